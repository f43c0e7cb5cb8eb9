-- Charts as SVG, drawn by SQL: temporary functions that demo/page.sql calls.
-- Each takes a title, a sentence, and a query of a fixed shape, and returns HTML.

-- text that is safe between tags
CREATE FUNCTION pg_temp.esc(value text) RETURNS text LANGUAGE sql IMMUTABLE
RETURN replace(replace(replace(replace(value, '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;');

-- 1234567 as 1.2M, for axes
CREATE FUNCTION pg_temp.short(value numeric) RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE WHEN abs(value) >= 1e6 THEN trim_scale(round(value / 1e6, 1)) || 'M'
            WHEN abs(value) >= 1e3 THEN trim_scale(round(value / 1e3, 1)) || 'k'
            ELSE trim_scale(round(value, 2))::text END;

-- the eight colours of series, told apart by people with colour blindness (Okabe and Ito)
CREATE FUNCTION pg_temp.colour(n bigint) RETURNS text LANGUAGE sql IMMUTABLE
RETURN (ARRAY['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00', '#b8a800', '#767676'])[1 + (n - 1) % 8];

-- a round step that cuts a span into about four
CREATE FUNCTION pg_temp.step(span numeric) RETURNS numeric LANGUAGE sql IMMUTABLE
RETURN (SELECT min(m * 10.0 ^ floor(log(greatest(span, 1e-9) / 4)))
        FROM unnest(ARRAY[1, 2, 2.5, 5, 10]) m
        WHERE m * 10.0 ^ floor(log(greatest(span, 1e-9) / 4)) >= greatest(span, 1e-9) / 4);

CREATE FUNCTION pg_temp.figure(title text, sentence text, legend text, body text) RETURNS text LANGUAGE sql IMMUTABLE
RETURN format(E'<section><h2>%s</h2><p>%s</p>%s%s</section>\n', pg_temp.esc(title), pg_temp.esc(sentence),
              coalesce('<p class="legend">' || legend || '</p>', ''), coalesce(body, '<p class="none">no data</p>'));

-- query: (series text, x date, y numeric).  kind: 'line', or 'bar' for stacked
-- bars, in which what is below zero hangs below the axis.
CREATE FUNCTION pg_temp.chart(title text, sentence text, kind text, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    legend text;
    body text;
BEGIN
    EXECUTE format('CREATE TEMP TABLE point ON COMMIT DROP AS
                    SELECT series::text, x::date, y::numeric, dense_rank() OVER (ORDER BY first_row) AS n
                    FROM (SELECT *, min(r) OVER (PARTITION BY series) AS first_row
                          FROM (SELECT q.*, row_number() OVER () AS r FROM (%s) q (series, x, y)) q) q', query);
    DELETE FROM point WHERE y IS NULL;
    SELECT string_agg(format('<span><i style="background:%s"></i>%s</span>', pg_temp.colour(n), pg_temp.esc(series)), ' ' ORDER BY n)
    INTO legend FROM (SELECT DISTINCT n, series FROM point) s;

    -- the picture: 60 on the left for labels, 720 wide, 230 high, 24 below
    WITH reach AS (
        SELECT min(x) AS x0, greatest(max(x), min(x) + 1) AS x1, count(DISTINCT x) AS xs,
               least(0, min(CASE kind WHEN 'bar' THEN below ELSE y END)) AS y0,
               greatest(0, max(CASE kind WHEN 'bar' THEN above ELSE y END)) AS y1
        FROM (SELECT x, y, sum(least(y, 0)) OVER (PARTITION BY x) AS below, sum(greatest(y, 0)) OVER (PARTITION BY x) AS above
              FROM point) p
    ), axis AS (
        SELECT x0, x1, xs, step, floor(y0 / step) * step AS y0, greatest(ceil(y1 / step), floor(y0 / step) + 1) * step AS y1
        FROM reach, pg_temp.step(y1 - y0) step
        WHERE x0 IS NOT NULL
    ), placed AS (
        SELECT n, series, p.x AS day, p.y AS value, kind = 'bar' AS bar,
               round(60 + 640.0 * (p.x - x0 + CASE kind WHEN 'bar' THEN 0.5 * width ELSE 0 END) / (x1 - x0 + CASE kind WHEN 'bar' THEN width ELSE 0 END), 1) AS px,
               round(640.0 * 0.8 * width / (x1 - x0 + width), 1) AS pw,
               round(10 + 230 * (y1 - p.y) / (y1 - y0), 1) AS py,
               round(10 + 230 * (y1 - (sum(p.y) OVER (PARTITION BY p.x, p.y < 0 ORDER BY n))) / (y1 - y0), 1) AS stack,
               round(230 * abs(p.y) / (y1 - y0), 1) AS high
        FROM point p, axis, LATERAL (SELECT greatest(1, (x1 - x0)::numeric / greatest(xs - 1, 1)) AS width) w
    )
    SELECT '<svg viewBox="0 0 720 270" role="img" aria-label="' || pg_temp.esc(title) || '">'
        || (SELECT string_agg(format('<line x1="60" x2="700" y1="%1$s" y2="%1$s" class="%2$s"/><text x="54" y="%1$s" dy="4" class="y">%3$s</text>',
                                     round(10 + 230 * (y1 - tick) / (y1 - y0), 1), CASE tick WHEN 0 THEN 'zero' ELSE 'grid' END, pg_temp.short(tick)), '')
            FROM axis, generate_series(y0, y1, step) tick)
        || (SELECT string_agg(format('<text x="%s" y="262" class="x">%s</text>', px, to_char(day, CASE WHEN x1 - x0 > 62 THEN 'Mon YY' ELSE 'DD Mon' END)), '')
            FROM (SELECT DISTINCT ON (slot) day, px, x0, x1
                  FROM (SELECT day, px, x0, x1, floor((px - 60) / 107) AS slot FROM placed, axis) s ORDER BY slot, day) t)
        || CASE kind WHEN 'line' THEN
               (SELECT string_agg(format('<polyline points="%s" style="stroke:%s"><title>%s</title></polyline>', points, pg_temp.colour(n), pg_temp.esc(series)), '')
                FROM (SELECT n, series, string_agg(px || ',' || py, ' ' ORDER BY day) AS points FROM placed GROUP BY n, series) l)
           ELSE
               (SELECT string_agg(format('<rect x="%s" y="%s" width="%s" height="%s" fill="%s"><title>%s, %s: %s</title></rect>',
                                         px - pw / 2, CASE WHEN value < 0 THEN stack - high ELSE stack END, pw, high, pg_temp.colour(n),
                                         pg_temp.esc(series), day, trim_scale(value)), '' ORDER BY day, n)
                FROM placed WHERE value <> 0)
           END
        || '</svg>'
    INTO body FROM axis;
    DROP TABLE point;
    RETURN pg_temp.figure(title, sentence, legend, body);
END
$$;

-- query: (row label text, column number int, ratio numeric): darker is more
CREATE FUNCTION pg_temp.heat_map(title text, sentence text, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    body text;
BEGIN
    EXECUTE format($sql$
        WITH cell (label, col, ratio) AS (%s)
        SELECT '<div class="wide"><table class="heat"><tr><th></th>'
            || (SELECT string_agg('<th>' || col || '</th>', '' ORDER BY col) FROM (SELECT DISTINCT col FROM cell) c) || '</tr>'
            || string_agg(html, '' ORDER BY label) || '</table></div>'
        FROM (SELECT label, '<tr><th>' || pg_temp.esc(label) || '</th>' || string_agg(
                    format('<td style="background:rgba(0,114,178,%%s)%%s">%%s</td>', round(ratio, 2),
                           CASE WHEN ratio > 0.55 THEN ';color:#fff' ELSE '' END, round(100 * ratio) || '%%'), '' ORDER BY col) || '</tr>' AS html
              FROM cell WHERE ratio IS NOT NULL GROUP BY label) r $sql$, query) INTO body;
    RETURN pg_temp.figure(title, sentence, NULL, body);
END
$$;

-- any query: its rows as a table, numbers to the right
CREATE FUNCTION pg_temp.table_of(title text, sentence text, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    body text;
BEGIN
    EXECUTE format($sql$
        WITH line AS (SELECT row_number() OVER () AS n, to_json(q) AS line FROM (%s) q)
        SELECT '<div class="wide"><table><tr>'
            || (SELECT string_agg('<th>' || pg_temp.esc(replace(key, '_', ' ')) || '</th>', '' ORDER BY k) FROM line, json_each(line) WITH ORDINALITY e (key, value, k) WHERE n = 1)
            || '</tr>' || string_agg(html, '' ORDER BY n) || '</table></div>'
        FROM (SELECT n, '<tr>' || string_agg(format('<td%%s>%%s</td>', CASE json_typeof(value) WHEN 'number' THEN ' class="n"' ELSE '' END,
                    coalesce(pg_temp.esc(value #>> '{}'), '–')), '' ORDER BY k) || '</tr>' AS html
              FROM line, json_each(line) WITH ORDINALITY e (key, value, k) GROUP BY n) r $sql$, query) INTO body;
    RETURN pg_temp.figure(title, sentence, NULL, body);
END
$$;
