-- Charts as SVG, drawn by SQL: temporary functions that demo/page.sql calls.
-- Each takes a title, a sentence, and a query of a fixed shape, and returns HTML.

-- text that is safe between tags
CREATE FUNCTION pg_temp.esc(value text) RETURNS text LANGUAGE sql IMMUTABLE
RETURN replace(replace(replace(replace(value, '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;');

-- 1234567 as 1.2M, for tiles
CREATE FUNCTION pg_temp.short(value numeric) RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE WHEN abs(value) >= 1e6 THEN trim_scale(round(value / 1e6, 2)) || 'M'
            WHEN abs(value) >= 1e4 THEN trim_scale(round(value / 1e3, 1)) || 'k'
            WHEN abs(value) >= 1e3 THEN to_char(value, 'FM9,999')
            ELSE trim_scale(round(value, 2))::text END;

-- the same for the round figures at an axis, where there is little room: 2500 as 2.5k
CREATE FUNCTION pg_temp.tick(value numeric) RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE WHEN abs(value) >= 1e3 AND abs(value) < 1e4 THEN trim_scale(round(value / 1e3, 2)) || 'k' ELSE pg_temp.short(value) END;

-- 1234567.5 as 1,234,567.5, for tables
CREATE FUNCTION pg_temp.grouped(value numeric) RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE WHEN value < 0 THEN '−' ELSE '' END || to_char(trunc(abs(value)), 'FM999,999,999,999,990') || coalesce(substring(value::text, '\.\d+'), '');

-- the eight colours of series, told apart by people with colour blindness (Okabe and Ito)
CREATE FUNCTION pg_temp.colour(n bigint) RETURNS text LANGUAGE sql IMMUTABLE
RETURN (ARRAY['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00', '#b8a800', '#767676'])[1 + (n - 1) % 8];

-- a round step that cuts a span into about four
CREATE FUNCTION pg_temp.step(span numeric) RETURNS numeric LANGUAGE sql IMMUTABLE
RETURN (SELECT min(m * 10.0 ^ floor(log(greatest(span, 1e-9) / 4)))
        FROM unnest(ARRAY[1, 2, 2.5, 5, 10]) m
        WHERE m * 10.0 ^ floor(log(greatest(span, 1e-9) / 4)) >= greatest(span, 1e-9) / 4);

-- the days to write below an axis: first days of months, at most seven of them, or every other week
CREATE FUNCTION pg_temp.days(from_day date, to_day date) RETURNS SETOF date LANGUAGE sql IMMUTABLE AS $$
    SELECT d::date
    FROM (SELECT CASE WHEN to_day - from_day > 62 THEN date_trunc('month', from_day + interval '1 month' - interval '1 day') ELSE from_day END AS first,
                 CASE WHEN to_day - from_day > 62 THEN (SELECT min(m) FROM unnest('{1,2,3,6,12,24,60,120}'::integer[]) m WHERE m >= (to_day - from_day) / 213.0) * interval '1 month'
                      ELSE interval '14 days' END AS every) t,
         generate_series(first, to_day, every) d $$;

CREATE FUNCTION pg_temp.figure(title text, sentence text, body text, broad boolean DEFAULT false) RETURNS text LANGUAGE sql IMMUTABLE
RETURN format(E'<figure%s><figcaption><h3>%s</h3><p>%s</p></figcaption>%s</figure>\n', CASE WHEN broad THEN ' class="broad"' ELSE '' END,
              pg_temp.esc(title), pg_temp.esc(sentence), coalesce(body, '<p class="none">no data</p>'));

-- query: (label text, value text, note text): a few figures in large
CREATE FUNCTION pg_temp.tiles(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    body text;
BEGIN
    EXECUTE format($sql$
        SELECT string_agg(format('<div><dt>%%s</dt><dd>%%s</dd><dd class="note">%%s</dd></div>', pg_temp.esc(label), pg_temp.esc(coalesce(value, '–')), pg_temp.esc(note)), '')
        FROM (%s) t (label, value, note) $sql$, query) INTO body;
    RETURN format(E'<dl class="tiles">%s</dl>\n', body);
END
$$;

-- query: (series text, x date, y numeric).  kind: 'line', or 'bar' for stacked
-- bars, in which what is below zero hangs below the axis.  The same figures follow
-- as a table, for whoever cannot see the picture; of many days the last of each month.
CREATE FUNCTION pg_temp.chart(title text, sentence text, kind text, query text, colours text[] DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    legend text;
    picture text;
    figures text;
BEGIN
    EXECUTE format('CREATE TEMP TABLE point ON COMMIT DROP AS
                    SELECT series::text, x::date, y::numeric, dense_rank() OVER (ORDER BY first_row) AS n
                    FROM (SELECT *, min(r) OVER (PARTITION BY series) AS first_row
                          FROM (SELECT q.*, row_number() OVER () AS r FROM (%s) q (series, x, y)) q) q', query);
    DELETE FROM point WHERE y IS NULL;
    IF NOT EXISTS (SELECT FROM point) THEN
        DROP TABLE point;
        RETURN pg_temp.figure(title, sentence, NULL);
    END IF;
    CREATE TEMP TABLE series ON COMMIT DROP AS
    SELECT DISTINCT ON (n) n, series AS name, coalesce(colours[n], pg_temp.colour(n)) AS colour, y AS latest FROM point ORDER BY n, x DESC;
    SELECT string_agg(format('<li><i style="background:%s"></i>%s%s</li>', colour, pg_temp.esc(name),
                             CASE kind WHEN 'line' THEN format(' <b>%s</b>', pg_temp.short(latest)) ELSE '' END), '' ORDER BY n)
    INTO legend FROM series;

    -- the picture: from 48 to 548 across, from 12 to 212 down; below that the days
    WITH reach AS (
        SELECT min(x) AS x0, greatest(max(x), min(x) + 1) AS x1, count(DISTINCT x) AS xs,
               least(0, min(CASE kind WHEN 'bar' THEN below ELSE y END)) AS y0,
               greatest(0, max(CASE kind WHEN 'bar' THEN above ELSE y END)) AS y1
        FROM (SELECT x, y, sum(least(y, 0)) OVER (PARTITION BY x) AS below, sum(greatest(y, 0)) OVER (PARTITION BY x) AS above
              FROM point) p
    ), axis AS (
        SELECT x0, x1, step, floor(y0 / step) * step AS y0, greatest(ceil(y1 / step), floor(y0 / step) + 1) * step AS y1,
               CASE kind WHEN 'bar' THEN greatest(1, (x1 - x0)::numeric / greatest(xs - 1, 1)) ELSE 0 END AS width
        FROM reach, pg_temp.step(y1 - y0) step
        WHERE x0 IS NOT NULL
    ), scale AS (
        SELECT *, 500.0 / (x1 - x0 + width) AS per_day, 200 / (y1 - y0) AS per_unit FROM axis
    ), placed AS (
        SELECT n, series, x AS day, y AS value, round(48 + per_day * (x - x0 + 0.5 * width), 1) AS px, round(least(per_day * 0.8 * width, 60), 1) AS pw,
               round(12 + per_unit * (y1 - y), 1) AS py, round(per_unit * abs(y), 1) AS high,
               round(12 + per_unit * (y1 - (sum(y) OVER (PARTITION BY x, y < 0 ORDER BY n))), 1) AS stack
        FROM point, scale
    )
    SELECT format('<svg viewBox="0 0 572 244" role="img" aria-label="%s: %s">', pg_temp.esc(title), pg_temp.esc(sentence))
        || (SELECT string_agg(format('<line x1="48" x2="548" y1="%1$s" y2="%1$s" class="%2$s"/><text x="42" y="%1$s" dy="4" class="y">%3$s</text>',
                                     round(12 + per_unit * (y1 - tick), 1), CASE tick WHEN 0 THEN 'zero' ELSE 'rule' END, pg_temp.tick(tick)), '')
            FROM scale, generate_series(y0, y1, step) tick)
        || (SELECT string_agg(format('<text x="%s" y="236" class="x">%s</text>', round(48 + per_day * (day - x0 + 0.5 * width), 1),
                                     CASE WHEN x1 - x0 <= 62 THEN to_char(day, 'DD Mon')
                                          WHEN n = 1 OR to_char(day, 'MM') = '01' THEN to_char(day, 'Mon ’YY') ELSE to_char(day, 'Mon') END), '' ORDER BY day)
            FROM scale, pg_temp.days(x0, x1) WITH ORDINALITY t (day, n))
        || CASE kind WHEN 'line' THEN
               (SELECT string_agg(format('<g stroke="%1$s" fill="%1$s"><title>%2$s</title><polyline points="%3$s"/><circle cx="%4$s" cy="%5$s" r="2"/></g>',
                                         colour, pg_temp.esc(name), points, last[2], last[3]), '' ORDER BY n DESC)
                FROM (SELECT n, string_agg(px || ',' || py, ' ' ORDER BY day) AS points, max(ARRAY[extract(epoch FROM day), px, py]) AS last
                      FROM placed GROUP BY n) l JOIN series USING (n))
           ELSE
               (SELECT coalesce(string_agg(format('<rect x="%s" y="%s" width="%s" height="%s" fill="%s"><title>%s, %s: %s</title></rect>',
                                         px - pw / 2, CASE WHEN value < 0 THEN stack - high ELSE stack END, pw, high, colour,
                                         pg_temp.esc(series), day, pg_temp.grouped(round(value, 2))), '' ORDER BY day, n), '')
                FROM placed JOIN series USING (n) WHERE value <> 0)
           END
        || '</svg>'
    INTO picture FROM scale;

    SELECT '<tr><th scope="col">from</th>' || (SELECT string_agg(format('<th scope="col">%s</th>', pg_temp.esc(name)), '' ORDER BY n) FROM series) || '</tr>'
        || string_agg(line, '' ORDER BY x)
    INTO figures
    FROM (SELECT d.x, format('<tr><th scope="row">%s</th>', d.x)
                 || string_agg(format('<td class="n">%s</td>', coalesce(pg_temp.grouped(trim_scale(round(p.y, 3))), '–')), '' ORDER BY s.n) || '</tr>' AS line
          FROM (SELECT x, count(*) OVER () <= 60 OR x = max(x) OVER (PARTITION BY date_trunc('month', x)) AS shown FROM (SELECT DISTINCT x FROM point) p) d
          CROSS JOIN series s LEFT JOIN point p ON p.x = d.x AND p.n = s.n
          WHERE d.shown GROUP BY d.x) t;
    DROP TABLE point, series;
    RETURN pg_temp.figure(title, sentence, format('<ul class="legend">%s</ul>%s<details><summary>figures</summary><div class="wide" tabindex="0"><table>%s</table></div></details>',
                                                  legend, picture, figures));
END
$$;

-- query: (row label text, size bigint, column number int, ratio numeric): darker is more
CREATE FUNCTION pg_temp.heat_map(title text, sentence text, size_label text, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    body text;
BEGIN
    EXECUTE format($sql$
        WITH cell (label, size, col, ratio) AS (%s)
        SELECT '<div class="wide" tabindex="0"><table class="heat"><tr><th></th><th scope="col">' || pg_temp.esc(%L) || '</th>'
            || (SELECT string_agg(format('<th scope="col">%%s</th>', col), '' ORDER BY col) FROM (SELECT DISTINCT col FROM cell) c) || '</tr>'
            || string_agg(html, '' ORDER BY label) || '</table></div>'
        FROM (SELECT label, format('<tr><th scope="row">%%s</th><td class="n">%%s</td>', pg_temp.esc(label), pg_temp.grouped(max(size))) || string_agg(
                    format('<td style="background:rgb(%%s,%%s,%%s);color:%%s">%%s</td>', round(242 - 234 * ratio), round(247 - 166 * ratio), round(251 - 95 * ratio),
                           CASE WHEN ratio > 0.75 THEN '#fff' ELSE '#111' END, round(100 * ratio) || '%%'), '' ORDER BY col) || '</tr>' AS html
              FROM cell WHERE ratio IS NOT NULL GROUP BY label) r $sql$, query, size_label) INTO body;
    RETURN pg_temp.figure(title, sentence, body, true);
END
$$;

-- any query: its rows as a table, numbers to the right
CREATE FUNCTION pg_temp.table_of(title text, sentence text, query text, broad boolean DEFAULT false) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    body text;
BEGIN
    EXECUTE format($sql$
        WITH line AS (SELECT row_number() OVER () AS n, to_json(q) AS line FROM (%s) q),
        cell AS (SELECT n, k, key, value #>> '{}' AS value, bool_or(json_typeof(value) = 'number') OVER (PARTITION BY k) AS is_number
                 FROM line, json_each(line) WITH ORDINALITY e (key, value, k))
        SELECT '<div class="wide" tabindex="0"><table><tr>'
            || (SELECT string_agg(format('<th scope="col"%%s>%%s</th>', CASE WHEN is_number THEN ' class="n"' ELSE '' END, pg_temp.esc(replace(key, '_', ' '))), '' ORDER BY k)
                FROM cell WHERE n = 1)
            || '</tr>' || string_agg(html, '' ORDER BY n) || '</table></div>'
        FROM (SELECT n, '<tr>' || string_agg(CASE WHEN k = 1 THEN format('<th scope="row">%%s</th>', coalesce(pg_temp.esc(value), '–'))
                                                  WHEN is_number THEN format('<td class="n">%%s</td>', coalesce(pg_temp.grouped(value::numeric), '–'))
                                                  ELSE format('<td>%%s</td>', coalesce(pg_temp.esc(value), '–')) END, '' ORDER BY k) || '</tr>' AS html
              FROM cell GROUP BY n) r $sql$, query) INTO body;
    RETURN pg_temp.figure(title, sentence, body, broad);
END
$$;
