-- growth_agg and growth_rows against growth_accounting over the same activities.
CREATE SCHEMA growth_agg_test;
SET search_path = growth_agg_test, ecomsocial, public;
SET datestyle = 'German';			-- the text form is ISO whatever this says
SET client_min_messages = warning;

-- In "all": one day, bursts, rare days with gaps of years, every day; who is not there at
-- all, an empty set, a NULL.  In the others what is left of it in a table of its own.
CREATE TABLE kept (of text, user_id bigint, country text, days activity);
INSERT INTO kept
SELECT 'all', user_id, (ARRAY['FR', 'DE', 'JP'])[1 + user_id % 3], activity_agg(day)
FROM (
	SELECT u AS user_id, date '2019-06-15' + (hashint8(u * 1000 + i) & 2047) AS day
	FROM generate_series(1, 200) u, generate_series(1, 1 + u % 12) i
	UNION ALL
	SELECT 200 + u, date '2019-12-20' + (hashint4(u) & 1023) + i FROM generate_series(1, 60) u, generate_series(0, u) i
	UNION ALL
	SELECT 300, date '2020-01-01' + i FROM generate_series(0, 800) i
	UNION ALL
	SELECT 301, date '1999-12-31' UNION ALL SELECT 301, '2000-01-01') x
GROUP BY user_id;
INSERT INTO kept VALUES ('all', 400, 'FR', '{}'), ('all', 401, 'DE', NULL), ('all', 402, NULL, '{2020-02-29}');
INSERT INTO kept SELECT 'single', user_id, country, days FROM kept WHERE user_id = 215;
INSERT INTO kept SELECT 'one day', user_id, country, days FROM kept WHERE user_id = 402;
INSERT INTO kept SELECT 'old', user_id, country, days FROM kept WHERE user_id IN (301, 202) AND of = 'all';
INSERT INTO kept VALUES ('empty', 1, 'FR', '{}'), ('bc', 1, 'FR', '{0044-03-15 BC..0043-01-02 BC,0001-01-01}');
CREATE VIEW part AS SELECT * FROM kept WHERE of = current_setting('growth_agg_test.part');

CREATE FUNCTION compare(part text, p period, since date, until date, OUT rows bigint, OUT wrong bigint) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('growth_agg_test.part', part, true);
	WITH ours AS MATERIALIZED (SELECT r FROM growth_rows((SELECT growth_agg(days, p) FROM part), since, until) r),
		 theirs AS MATERIALIZED (SELECT r FROM growth_accounting('part', 'user_id', 'days', p, since, until) r)
	SELECT (SELECT count(*) FROM ours), (SELECT count(*) FROM (TABLE ours EXCEPT ALL TABLE theirs) x) + (SELECT count(*) FROM (TABLE theirs EXCEPT ALL TABLE ours) x)
	INTO rows, wrong;
END $$;
-- The whole range; one that begins and ends inside; one before, one after, one around all.
SELECT part, p, since, until, (compare(part, p, since, until)).*
FROM unnest('{all,single,one day,old,empty,bc}'::text[]) part, unnest(enum_range(NULL::period)) p,
	 (VALUES (NULL::date, NULL::date), ('2020-02-15', '2021-01-01'), (NULL, '2019-07-01'), ('2024-01-01', NULL),
			 ('1990-01-01', '1991-01-01'), ('2026-01-01', '2026-03-17'), ('1998-05-05', '2027-02-03')) r(since, until)
WHERE (part IN ('all', 'old') OR since IS NULL OR p = 'month') AND (part <> 'bc' OR until IS NULL) AND
	  (part IN ('empty', 'one day') OR p NOT IN ('week', 'year') OR until IS NULL OR until NOT IN ('2019-07-01', '2021-01-01'))
ORDER BY part COLLATE "C", p, since, until;
SELECT * FROM growth_rows((SELECT growth_agg(days, 'year') FROM kept WHERE of = 'all'), '2018-01-01', '2023-01-01');
-- What is not over has churned nobody.
SELECT sum(active), count(*) FILTER (WHERE churned IS NULL AND NOT complete) AS not_over FROM growth_rows((SELECT growth_agg(activity(ARRAY[current_date - 400, (now() AT TIME ZONE 'UTC')::date]), 'year')));

-- Groups add up to the whole, in whatever order, and equal values are equal bytes.
CREATE TABLE counts AS SELECT p, country, growth_agg(days, p) AS counts FROM kept, unnest(enum_range(NULL::period)) p WHERE of = 'all' GROUP BY 1, 2;
SELECT p, (SELECT growth_union_agg(counts) FROM counts WHERE counts.p = e.p) = growth_agg(days, p) AS added,
	   (SELECT growth_union_agg(counts ORDER BY country DESC) FROM counts WHERE counts.p = e.p) = growth_agg(days, p ORDER BY user_id DESC) AS reversed,
	   growth_agg(days, p) <> growth_agg(days || date '2020-03-31', p) AS other
FROM kept, unnest(enum_range(NULL::period)) e(p) WHERE of = 'all' GROUP BY p ORDER BY p;
SELECT country, sum(new) AS new, sum(resurrected) AS resurrected FROM counts, growth_rows(counts) WHERE p = 'month' GROUP BY 1 ORDER BY 1;
SELECT count(*) AS groups, sum(n) FROM (SELECT counts, count(*) AS n FROM (TABLE counts UNION ALL TABLE counts) c GROUP BY counts) x;
SELECT count(DISTINCT counts), count(*) FILTER (WHERE counts < first OR NOT counts >= first) AS below
FROM counts, (SELECT counts AS first FROM counts ORDER BY counts LIMIT 1) f;

-- Workers.
CREATE TABLE many AS SELECT k.country, k.days FROM kept k, generate_series(1, 40) WHERE of = 'all';
CREATE TABLE alone AS SELECT country, growth_agg(days, 'week') AS counts FROM many GROUP BY 1;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
ALTER TABLE many SET (parallel_workers = 2);
EXPLAIN (COSTS OFF) SELECT growth_agg(days, 'week') FROM many;
SELECT country, growth_agg(days, 'week') = counts AS same
FROM many JOIN alone USING (country) GROUP BY country, counts ORDER BY 1;
CREATE TABLE together AS SELECT growth_agg(days, 'week') AS counts FROM many;
SELECT counts = (SELECT growth_union_agg(counts) FROM alone) AS same FROM together;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

-- Two aggregates over one argument, windows that grow and slide, stored and compressed states.
SELECT growth_agg(days, 'year') = growth_agg(days, 'year') AS same, growth_agg(days, 'quarter') = growth_agg(days, 'quarter') AS same_too,
	   growth_union_agg(growth_union(one, one)) = growth_union(growth_agg(days, 'year'), growth_agg(days, 'year')) AS doubled
FROM kept, LATERAL (SELECT growth_agg(k.days, 'year') AS one FROM (VALUES (kept.days)) k(days) OFFSET 0) o WHERE of = 'all';
SELECT user_id, growth_agg(days, 'year') OVER so_far AS so_far, growth_agg(days, 'year') OVER two AS two, first_value(days) OVER so_far = days AS is_first
FROM kept WHERE of = 'all' AND user_id IN (3, 17, 202, 203, 400, 401, 402)
WINDOW so_far AS (ORDER BY user_id), two AS (ORDER BY user_id ROWS 1 PRECEDING) ORDER BY 1;
SELECT user_id, growth_union_agg(counts) OVER (ORDER BY user_id) AS so_far
FROM (SELECT user_id, growth_agg(days, 'year') AS counts FROM kept WHERE of = 'all' AND user_id IN (3, 17, 402) GROUP BY 1) x ORDER BY 1;
SELECT p, (SELECT pg_column_size(counts) > 200 FROM counts c WHERE c.p = e.p AND country = 'FR') AS large, (SELECT growth_union_agg(counts) = growth_union_agg(counts::text::growth_counts) FROM counts c WHERE c.p = e.p) AS same
FROM unnest(enum_range(NULL::period)) e(p);
SELECT growth_agg(days, 'month') IS NULL AS of_nobody FROM kept WHERE false;
SELECT * FROM growth_rows((SELECT growth_agg(days, 'month') FROM kept WHERE false), '2024-01-01', '2024-03-01');
SELECT growth_agg(days, 'month') IS NULL AS of_null FROM kept WHERE days IS NULL;

-- Text and binary forms.
SELECT growth_agg(days, p) FROM kept, unnest(enum_range(NULL::period)) p WHERE of = 'one day' GROUP BY p ORDER BY p;
SELECT growth_agg(days, 'year') = growth_agg(days, 'year')::text::growth_counts AS same, length(growth_agg(days, 'year')::text) FROM kept WHERE of = 'bc';
SELECT count(*) FROM counts WHERE counts::text::growth_counts <> counts;
SELECT growth_agg(days, 'month') FROM kept WHERE of = 'empty';
COPY counts (counts) TO '/dev/null' WITH (FORMAT binary);
SELECT encode(growth_counts_send('month 2024-01-05..2024-02-01 {2/2/0,2/1/1}'), 'hex');
CREATE TABLE received (counts growth_counts);
CREATE FUNCTION load(bytes bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	file bytea := '\x5047434f50590aff0d0a00' || int4send(0) || int4send(0) || int2send(1::int2)
		|| int4send(length(bytes)) || bytes || int2send((-1)::int2);
	problem text;
BEGIN
	TRUNCATE received;
	EXECUTE format('COPY received FROM PROGRAM %L (FORMAT binary)', 'printf ''' || (
		SELECT string_agg('\' || (b >> 6) || (b >> 3 & 7) || (b & 7), '' ORDER BY i)
		FROM (SELECT i, get_byte(file, i) AS b FROM generate_series(0, length(file) - 1) i) x) || '''');
	RETURN (SELECT counts FROM received);
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS problem = PG_EXCEPTION_DETAIL;
	RETURN SQLSTATE || ' ' || problem;
END $$;
SELECT bool_and(load(growth_counts_send(counts)) = counts::text) AS same FROM counts WHERE p >= 'month';
-- One byte changed anywhere, or some cut off: refused, or a value whose only form it is.
WITH value AS (SELECT growth_counts_send('month 2024-01-05..2024-02-01 {2/2/0,2/1/1}') AS send)
SELECT count(*) AS changed, count(*) FILTER (WHERE answer ~ '{') > 0 AS some_load, count(*) FILTER (WHERE answer ~ '^22P03') > 0 AS some_fail,
	   count(*) FILTER (WHERE answer ~ '{' AND growth_counts_send(answer::growth_counts) <> bytes) AS not_canonical,
	   count(*) FILTER (WHERE answer !~ '{' AND answer !~ '^(22P03|22008|54000|08P01)') AS other
FROM (SELECT bytes, load(bytes) AS answer
	  FROM (SELECT set_byte(send, i, x) AS bytes FROM value, generate_series(0, length(send) - 1) i, unnest('{0,1,2,4,127,128,255}'::integer[]) x
			UNION ALL SELECT substr(send, 1, i) FROM value, generate_series(0, length(send) - 1) i) y) z;
-- Each line is wrong.
CREATE FUNCTION problem(value text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	state text;
	detail text;
BEGIN
	RETURN 'taken: ' || value::growth_counts;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, state = RETURNED_SQLSTATE;
	RETURN state || ' ' || detail;
END $$;
SELECT value, problem(value) FROM unnest(ARRAY[
	'', 'month', 'month ', 'month{}', 'months {}', 'mont {}', 'month {} ', 'month {0/0/0}', 'month 2024-01-05 {1/1/0}', 'month 05.01.2024..06.01.2024 {1/1/0}',
	'month 2024-01-05..2024-01-04 {1/1/0}', 'month 2024-01-05..2024-01-06 {}', 'month 2024-01-05..2024-01-06 {1/1}', 'month 2024-01-05..2024-01-06 {1/1/0,1/0/1}',
	'month 2024-01-05..2024-02-06 {1/1/0}', 'month 2024-02-30..2024-03-06 {1/1/0}', 'month today..today {1/1/0}', 'month infinity..infinity {1/1/0}', 'month 0001-01-01..2024-01-06 {1/1/0}',
	'month 5874897-01-01..5874897-01-02 {1/1/0}', 'month 2024-01-05..2024-01-06 {0/0/0}', 'month 2024-01-05..2024-01-06 {-1/-1/0}', 'month 2024-01-05..2024-01-06 { 1/1/0}',
	'month 2024-01-05..2024-01-06 {1/0/0}', 'month 2024-01-05..2024-01-06 {1/2/0}', 'month 2024-01-05..2024-01-06 {2/1/1}', 'month 2024-01-05..2024-02-06 {1/1/0,2/0/2}',
	'month 2024-01-05..2024-02-06 {1/1/0,2/1/2}', 'month 2024-01-05..2024-02-06 {1/1/0,1/0/0}', 'month 2024-01-05..2024-02-06 {1/1/0,0/0/0}',
	'month 2024-01-05..2024-01-06 {9223372036854775808/1/0}', 'month 2024-01-05..2024-02-06 {9223372036854775807/9223372036854775807/0,1/1/0}',
	repeat('month ', 3), 'month 2024-01-05..2024-01-06 {1/1/0', 'month 2024-01-05..2024-01-06 {1/1/0}}', 'month 2024-01-05..2024-01-06 {1/1/0,}']) value;

-- Bad use.
SELECT growth_agg(days, CASE WHEN user_id < 100 THEN 'month' ELSE 'day' END::period) FROM kept;
SELECT growth_union('month {}', 'week {}');
SELECT growth_union('month 2024-01-05..2024-01-06 {9223372036854775807/9223372036854775807/0}', 'month 2024-01-05..2024-01-06 {1/1/0}');
SELECT growth_union('day 1000-01-01..1000-01-01 {1/1/0}', 'day 2024-01-06..2024-01-06 {1/1/0}');
SELECT growth_agg(days, 'year') FROM (VALUES ('{5874897-12-31}'::activity)) v(days);
SELECT growth_agg(days, NULL) FROM kept;
SELECT growth_counts_add(NULL, '{}', 'month');
SELECT * FROM growth_rows('month 2024-01-05..2024-01-06 {1/1/0}', until => '2024-01-06');
SELECT * FROM growth_rows('month 2024-01-05..2024-01-06 {1/1/0}', '2024-02-01', '2024-01-01');
SELECT * FROM growth_rows('day 2024-01-05..2024-01-05 {1/1/0}', until => '4000-01-01');
SELECT * FROM growth_rows('month {}', time_zone => 'Mars/Olympus');
SELECT * FROM growth_rows('month {}', time_zone => NULL);

DROP SCHEMA growth_agg_test CASCADE;
