-- The type activity against plain arrays of dates.
SET search_path = ecomsocial, public;

-- One form for each set: any order of input, repeats and overlaps.
SELECT '{}'::activity AS empty,
	   ' { 2024-02-29 , 2024-02-27..2024-02-28, 2024-02-28..2024-03-02 } '::activity AS run,
	   '{2024-01-03,2024-01-01}'::activity AS apart,
	   '{0044-03-15 BC, 1969-12-31, 12024-01-01}'::activity AS far_apart;
SET datestyle = 'German, DMY';
SELECT '{2024-02-03}'::activity;
RESET datestyle;

-- The example in activity.h, and how compact values are.
SELECT activity_send('{2024-01-01,2024-01-03..2024-01-31}');
SELECT name, length(activity_send(days)) AS bytes, #days AS days
FROM (VALUES ('empty', '{}'::activity),
			 ('one day', '{2024-01-01}'),
			 ('daily for five years', '{2020-01-01..2024-12-31}'),
			 ('three days in five years', '{2020-01-01,2022-05-07,2024-12-31}'),
			 ('every date', '{4714-11-24 BC..5874897-12-31}')) v(name, days)
UNION ALL
SELECT 'working days for five years', length(activity_send(activity_agg(d::date))), count(*)
FROM generate_series('2020-01-01'::timestamp, '2024-12-31', '1 day') d WHERE extract(isodow FROM d) < 6
UNION ALL
SELECT 'every other day for a year', length(activity_send(activity_agg(d::date))), count(*)
FROM generate_series('2024-01-01'::timestamp, '2024-12-31', '2 days') d
ORDER BY days;

-- Random sets: s(id, days) with the dates as an array; some dense, some sparse, some
-- of whole weeks, some before 1970, the ends of the calendar among them.
CREATE TEMP TABLE s AS
SELECT id, ARRAY(
	SELECT DISTINCT day FROM (
		SELECT date '1969-06-01' + (id % 7) * 100 + i AS day
		FROM generate_series(0, (ARRAY[3, 40, 400, 1500])[1 + id % 4]) i
		WHERE hashint4(id * 10007 + i) & 1023 < (ARRAY[5, 150, 512, 900, 1024])[1 + id % 5]
		  AND (id % 3 > 0 OR i / 30 % 3 <> 1)
		UNION ALL SELECT d FROM unnest('{4714-11-24 BC,5874897-12-31,0001-12-31 BC}'::date[]) d WHERE id % 17 = 0) x
	ORDER BY day) AS days
FROM generate_series(1, 240) id;
CREATE TEMP TABLE a AS SELECT id, days, days::activity AS set FROM s;
SELECT count(*), sum(cardinality(days)), count(*) FILTER (WHERE days = '{}') AS empty FROM a;

-- Every row of the following answers counts differences: all must be 0.
SELECT count(*) FILTER (WHERE set::date[] <> days) AS array_cast,
	   count(*) FILTER (WHERE set::text::activity <> set) AS text_form,
	   count(*) FILTER (WHERE ARRAY(SELECT activity_days(set)) <> days) AS days,
	   count(*) FILTER (WHERE #set <> cardinality(days)) AS count,
	   count(*) FILTER (WHERE activity_first(set) IS DISTINCT FROM days[1]) AS first,
	   count(*) FILTER (WHERE activity_last(set) IS DISTINCT FROM days[cardinality(days)]) AS last
FROM a;

SELECT count(*) AS aggregate FROM a
WHERE set IS DISTINCT FROM (SELECT coalesce(activity_agg(d ORDER BY hashint4(d - date '2000-01-01')), '{}')
							FROM unnest(days || days) d);

WITH runs AS (
	SELECT id, min(d) AS first_day, max(d) AS last_day, count(*)::integer AS days
	FROM (SELECT id, d, d - date '2000-01-01' - row_number() OVER (PARTITION BY id ORDER BY d) AS island
		  FROM a, unnest(days) d) x
	GROUP BY id, island),
gaps AS (
	SELECT id, last_day + 1 AS first_day, next - 1 AS last_day
	FROM (SELECT id, last_day, lead(first_day) OVER (PARTITION BY id ORDER BY first_day) AS next FROM runs) x
	WHERE next IS NOT NULL),
ours AS (SELECT id, r.* FROM a, activity_runs(set) r),
our_gaps AS (SELECT id, g.* FROM a, activity_gaps(set) g)
SELECT (SELECT count(*) FROM (TABLE runs EXCEPT TABLE ours) x) + (SELECT count(*) FROM (TABLE ours EXCEPT TABLE runs) x) AS runs,
	   (SELECT count(*) FROM our_gaps FULL JOIN gaps USING (id, first_day, last_day)
		WHERE our_gaps.days IS DISTINCT FROM gaps.last_day - gaps.first_day + 1) AS gaps,
	   (SELECT count(*) FROM runs JOIN a USING (id) WHERE activity_streak(set, last_day) <> runs.days) AS streak;

-- Days and ranges that begin and end anywhere.
WITH probe AS (
	SELECT a.*, b.since, b.since + b.length AS until
	FROM a, LATERAL (
		SELECT date '1969-05-20' + hashint4(id * 31 + i) % 300 + i * 90 AS since, (i * 7 + id) % 45 AS length
		FROM generate_series(1, 20) i) b)
SELECT count(*) AS probes,
	   count(*) FILTER (WHERE activity_contains(set, since) <> (since = ANY (days))) AS contains,
	   count(*) FILTER (WHERE activity_count(set, since, until) <>
		(SELECT count(*) FROM unnest(days) d WHERE d >= since AND d < until)) AS count_between,
	   count(*) FILTER (WHERE activity_slice(set, since, until) <>
		ARRAY(SELECT d FROM unnest(days) d WHERE d >= since AND d < until)::activity) AS slice,
	   count(*) FILTER (WHERE activity_lness(set, since, 28) <>
		(SELECT count(*) FROM unnest(days) d WHERE d > since - 28 AND d <= since)) AS lness,
	   count(*) FILTER (WHERE activity_next(set, since) IS DISTINCT FROM
		(SELECT min(d) FROM unnest(days) d WHERE d > since)) AS next,
	   count(*) FILTER (WHERE activity_previous(set, since) IS DISTINCT FROM
		(SELECT max(d) FROM unnest(days) d WHERE d < since)) AS previous,
	   count(*) FILTER (WHERE set || since <> (days || since)::activity) AS add,
	   count(*) FILTER (WHERE set - since <> array_remove(days, since)::activity) AS remove
FROM probe;

-- Two sets at a time.
CREATE TEMP TABLE pair AS
SELECT a.days AS d1, a.set AS a1, b.days AS d2, b.set AS a2 FROM a JOIN a b ON (a.id * 7 + b.id) % 29 = 0;
SELECT count(*) AS pairs,
	   count(*) FILTER (WHERE a1 || a2 <> (d1 || d2)::activity) AS union,
	   count(*) FILTER (WHERE a1 & a2 <> ARRAY(SELECT unnest(d1) INTERSECT SELECT unnest(d2))::activity) AS intersect,
	   count(*) FILTER (WHERE a1 - a2 <> ARRAY(SELECT unnest(d1) EXCEPT SELECT unnest(d2))::activity) AS except,
	   count(*) FILTER (WHERE (a1 @> a2) <> (d1 @> d2)) AS contains,
	   count(*) FILTER (WHERE (a1 <@ a2) <> (d1 <@ d2)) AS contained,
	   count(*) FILTER (WHERE (a1 && a2) <> (d1 && d2)) AS overlaps,
	   count(*) FILTER (WHERE (a1 = a2) <> (d1 = d2) OR (a1 <> a2) <> (d1 <> d2)) AS equal,
	   count(*) FILTER (WHERE (a1 < a2) <> (d1 < d2) OR (a1 <= a2) <> (d1 <= d2)
						   OR (a1 > a2) <> (d1 > d2) OR (a1 >= a2) <> (d1 >= d2)) AS order,
	   count(*) FILTER (WHERE a1 = a2 AND activity_hash(a1) <> activity_hash(a2)) AS hash
FROM pair;
SELECT count(*) AS sorted_alike FROM (
	SELECT row_number() OVER (ORDER BY set, id) - row_number() OVER (ORDER BY days, id) AS difference FROM a) x
WHERE difference <> 0;
SELECT (SELECT activity_union_agg(set) FROM a) = (SELECT activity_agg(d) FROM a, unnest(days) d) AS union_agg;

-- A set that is a sequence of the same days can be a key.
CREATE TEMP TABLE k (days activity PRIMARY KEY);
INSERT INTO k VALUES ('{2024-01-01..2024-01-02}');
INSERT INTO k VALUES ('{2024-01-02,2024-01-01}') ON CONFLICT DO NOTHING;
TABLE k;
SELECT activity_hash_extended('{2024-01-01}', 0) & 4294967295 = activity_hash('{2024-01-01}')::bigint & 4294967295 AS extends;

-- Nothing, NULL and infinity.
SELECT activity_agg(NULL) AS agg, activity_agg(d) AS one FROM unnest('{NULL,2024-01-01,NULL}'::date[]) d;
SELECT activity_agg(d), activity_union_agg('{2024-01-01}') FROM unnest('{}'::date[]) d;
SELECT activity_first('{}'), activity_last('{}'), activity_next('{}', 'today'), activity_contains('{2024-01-01}', 'infinity');
SELECT activity_count('{2024-01-01,5874897-12-31}', '-infinity', 'infinity'),
	   activity_next('{4714-11-24 BC}', '-infinity'), activity_next('{5874897-12-31}', 'infinity'),
	   activity_previous('{5874897-12-31}', 'infinity'), activity_previous('{4714-11-24 BC}', '-infinity'),
	   activity_slice('{4714-11-24 BC,5874897-12-31}', '-infinity', 'infinity');

-- In parallel, over groups, and as a window aggregate, which asks for results midway.
CREATE TEMP TABLE w AS SELECT i % 5 AS g, date '2024-01-01' + i * 37 % 400 AS d FROM generate_series(1, 300) i;
SELECT count(*) AS window_differs FROM (
	SELECT g, d, activity_agg(d) OVER (PARTITION BY g ORDER BY d) AS days,
		   array_agg(d) OVER (PARTITION BY g ORDER BY d) AS dates FROM w) x
WHERE days <> dates::activity;
CREATE TABLE activity_events AS SELECT i % 50 AS u, date '2020-01-01' + hashint4(i) % 1000 AS d FROM generate_series(1, 20000) i;
ANALYZE activity_events;
SELECT count(*) AS serial, sum(#days) AS days, min(activity_first(days)), max(activity_last(days))
FROM (SELECT u, activity_agg(d) AS days FROM activity_events GROUP BY u) x;
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT activity_agg(d) FROM activity_events;
SELECT activity_agg(d) = (SELECT array_agg(DISTINCT d)::activity FROM activity_events) AS same FROM activity_events;
SELECT count(*) AS parallel, sum(#days) AS days, min(activity_first(days)), max(activity_last(days))
FROM (SELECT u, activity_agg(d) AS days FROM activity_events GROUP BY u) x;
RESET ALL;
SET search_path = ecomsocial, public;
DROP TABLE activity_events;

-- The state's text form carries everything.
SELECT '{2024-01-31,2023-01-01..2023-02-05}'::activity_state;

-- What a user is, against the definitions.
WITH want AS (
	SELECT id, period, start,
		   EXISTS (SELECT FROM unnest(days) d WHERE date_trunc(period, d) = start) AS now,
		   EXISTS (SELECT FROM unnest(days) d WHERE date_trunc(period, d) = previous) AS previous,
		   EXISTS (SELECT FROM unnest(days) d WHERE date_trunc(period, d) < previous) AS earlier,
		   (SELECT max(d) FROM unnest(days) d WHERE date_trunc(period, d) <= start) AS last_day, set
	FROM a, unnest('{day,week,month,quarter,year}'::text[]) period,
		 LATERAL (SELECT date_trunc(period, date '1969-04-01' + n * 97) AS start,
						 date_trunc(period, date_trunc(period, date '1969-04-01' + n * 97) - interval '1 day') AS previous
				  FROM generate_series(0, 17) n) p
	WHERE id % 7 = 0 AND id % 17 > 0),		-- date_trunc cannot reach the ends of the calendar
judged AS (
	SELECT *, CASE WHEN now THEN CASE WHEN previous THEN 'retained' WHEN earlier THEN 'resurrected' ELSE 'new' END
				   ELSE CASE WHEN previous THEN 'churned' WHEN earlier THEN 'dormant' ELSE 'never' END END AS status
	FROM want)
SELECT count(*) AS probes, count(DISTINCT status) AS statuses,
	   count(*) FILTER (WHERE status <> activity_status(set, start::date, period::period)::text) AS status_differs,
	   count(*) FILTER (WHERE activity_churn_stats(set, start::date, period::period) IS DISTINCT FROM
		CASE WHEN last_day IS NOT NULL THEN (last_day, NOT now,
			CASE WHEN NOT now THEN (date_trunc(period, last_day) + CASE period WHEN 'quarter' THEN '3 months' ELSE '1 ' || period END::interval)::date END,
			status = 'resurrected') END) AS stats_differ
FROM judged;
SELECT count(*) AS rows, count(*) FILTER (WHERE status <> activity_status(set, period_start, period)) AS differ,
	   count(*) FILTER (WHERE period_start < activity_first(set) - 366) AS too_early
FROM a, unnest(enum_range(NULL::period)) period, activity_statuses(set, period, '1969-04-01', '1971-01-01')
WHERE id % 5 = 0 AND id % 17 > 0;
SELECT * FROM activity_statuses('{2024-01-05,2024-02-03,2024-05-01}', 'month', '2023-11-01', '2024-07-02');
SELECT * FROM activity_statuses('{2024-01-05,2024-02-03,2024-05-01}', 'month', '2024-04-15', '2024-04-16');
SELECT * FROM activity_statuses('{}', 'month', '2024-04-15', '2024-04-16');

-- Bytes from outside: load(bytes) receives them as the binary form of an activity.
CREATE TEMP TABLE received (days activity);
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
	RETURN (SELECT days FROM received);
EXCEPTION WHEN invalid_binary_representation THEN
	GET STACKED DIAGNOSTICS problem = PG_EXCEPTION_DETAIL;
	RETURN problem;
END $$;
SELECT bytes, load(bytes) FROM unnest('{
	"\\x01e50400007d7fc207", "\\x01", "\\x", "\\x02", "\\x00", "\\x01e5", "\\x01e5040000", "\\x01e504000000", "\\x01e504000080",
	"\\x01e504000001c0", "\\x01e5040000018001", "\\x01e504000001818081", "\\x01e5040000c101", "\\x01e504000001c1c0",
	"\\x01e50400000101", "\\x01e504000001c101", "\\x01e50400000181c101", "\\x01e504000001ffffffffffff", "\\x01e504000001ffffffffff",
	"\\x01ffffff7f01", "\\x01f4a7faff01", "\\x01f3a7faff01"}'::bytea[]) bytes;

-- One byte changed anywhere: refused, or a value whose only form it is.
SELECT count(*) AS changed, count(*) FILTER (WHERE answer ~ '^{') > 0 AS some_load, count(*) FILTER (WHERE answer !~ '^{') > 0 AS some_fail,
	   count(*) FILTER (WHERE answer ~ '^{' AND activity_send(answer::activity) <> bytes) AS not_canonical
FROM (SELECT bytes, load(bytes) AS answer
	  FROM (SELECT set_byte(activity_send(set), (hashint4(id + 900) & 16383) % length(activity_send(set)), hashint4(id) & 255) AS bytes
			FROM a WHERE length(activity_send(set)) BETWEEN 2 AND 40 AND id % 17 > 0) y) x;
DROP FUNCTION load;

-- Bad input.
\set VERBOSITY sqlstate
SELECT ''::activity;
SELECT '2024-01-01'::activity;
SELECT '{2024-01-01'::activity;
SELECT '{2024-01-01,}'::activity;
SELECT '{,}'::activity;
SELECT '{2024-01-01 2024-01-02}'::activity;
SELECT '{2024-01-02..2024-01-01}'::activity;
SELECT '{2024-1-1}'::activity;
SELECT '{2024-01-01} x'::activity;
SELECT '{12345678-01-01}'::activity;
SELECT '{2023-02-29}'::activity;
SELECT '{0000-01-01}'::activity;
SELECT '{4714-11-23 BC}'::activity;
SELECT '{5874898-01-01}'::activity;
SELECT '{infinity}'::activity;
SELECT '{-infinity}'::activity;
SELECT activity_agg('infinity'::date);
SELECT '{}'::activity || date '-infinity';
SELECT '{2024-01-01,NULL}'::date[]::activity;
SELECT '{4714-11-24 BC..5874897-12-31}'::activity::date[];
SELECT activity_lness('{}', 'infinity', 7);
SELECT activity_lness('{}', '2024-01-01', 0);
SELECT activity_status('{}', 'infinity', 'day');
SELECT activity_status('{}', '5874897-12-31', 'year');
SELECT activity_state_add(NULL, '2024-01-01');
SELECT activity_state_combine('{2024-01-01}', '{2024-01-01}');
SELECT activity_state_final('{2024-01-01}');
