-- Rollups: whatever happens to the sources, after a refresh the tables are what
-- the raw events say, and before it the live views are.
-- In a database of its own: triggers carry the number of their capture.
SELECT current_database() AS suite \gset
CREATE DATABASE rollup;
\c rollup
SET client_min_messages = warning;
CREATE EXTENSION ecomsocial;
SET timezone = 'Asia/Tokyo';		-- the rollup's zone counts, not the session's
CREATE SCHEMA shop;
SET search_path = shop, ecomsocial, public;

CREATE TABLE event (event_id bigint GENERATED ALWAYS AS IDENTITY, event_time timestamptz, user_id bigint, kind text) PARTITION BY RANGE (event_time);
SELECT count(*) FROM partitions_ahead('event', 'month', 5, 'Europe/London', '2024-01-15 UTC');
-- once more makes none
SELECT count(*) FROM partitions_ahead('event', 'month', 5, 'Europe/London', '2024-01-15 UTC');
SELECT inhrelid::regclass, pg_get_expr(relpartbound, inhrelid) FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = 'event'::regclass ORDER BY 1;

-- half of the events are there before the rollups are
CREATE FUNCTION load(part int) RETURNS void LANGUAGE sql AS $$
	INSERT INTO event (event_time, user_id, kind)
	SELECT '2024-01-01 UTC'::timestamptz + ((hashint4(i)::bigint + 2147483648) % 12960000) * interval '1 second', abs(hashint4(i + 1)) % 50, 'k' || abs(hashint4(i + 2)) % 3
	FROM generate_series(1, 4000) i WHERE i % 2 = part $$;
SELECT load(0);

-- The oracles: one plain query each over the raw events.
CREATE VIEW daily_oracle AS
	SELECT (event_time AT TIME ZONE 'Europe/London')::date AS bucket, kind, count(*) AS n, count(DISTINCT user_id) AS users
	FROM event WHERE isfinite(event_time) GROUP BY 1, 2;
CREATE VIEW monthly_oracle AS
	SELECT date_trunc('month', event_time AT TIME ZONE 'Europe/London')::date AS bucket, count(*) AS n
	FROM event WHERE isfinite(event_time) GROUP BY 1;
CREATE VIEW weekly_oracle AS
	SELECT date_trunc('week', event_time AT TIME ZONE 'Europe/London')::date AS bucket, count(DISTINCT user_id) AS users
	FROM event WHERE isfinite(event_time) GROUP BY 1;

SELECT rollup_create('daily', '{event}', '{event_time}', $$
	SELECT kind, count(*) AS n, count(DISTINCT user_id) AS users FROM event
	WHERE event_time >= $1 AND event_time < $2 GROUP BY kind; -- a comment at the end $$,
	time_zone => 'Europe/London', key => '{kind}', nullable_key => true);
SELECT rollup_create('monthly', '{daily}', '{bucket}', 'SELECT sum(n)::bigint AS n FROM daily WHERE bucket >= $1 AND bucket < $2 HAVING sum(n) > 0',
	'month', 'Europe/London', key => '{}');
SELECT rollup_create('weekly', '{event}', '{event_time}', 'SELECT count(DISTINCT user_id) AS users FROM event
	WHERE event_time >= $1 AND event_time < $2 HAVING count(*) > 0', 'week', 'Europe/London', 'week', nullable_key => true, key => '{}');
SELECT attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute WHERE attrelid IN ('daily'::regclass, 'weekly'::regclass) AND attnum > 0 ORDER BY 1, attnum;
SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid IN ('daily'::regclass, 'weekly'::regclass, 'monthly'::regclass) ORDER BY 1;
SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid IN ('event'::regclass, 'daily'::regclass) ORDER BY 1;
SELECT pg_get_function_arguments(p) FROM unnest(ARRAY['daily_query'::regproc, 'monthly_query']) p;

-- rows that differ between tables or live views and oracles
CREATE FUNCTION wrong(suffix text DEFAULT '') RETURNS TABLE (rollup text, differences bigint) LANGUAGE plpgsql AS $$
DECLARE
	name text;
BEGIN
	FOREACH name IN ARRAY ARRAY['daily', 'monthly', 'weekly'] LOOP
		EXECUTE format('SELECT count(*) FROM ((TABLE %I EXCEPT ALL TABLE %I) UNION ALL (TABLE %I EXCEPT ALL TABLE %I)) d',
			name || suffix, name || '_oracle', name || '_oracle', name || suffix) INTO differences;
		rollup := name || suffix;
		IF differences > 0 OR suffix = '' THEN RETURN NEXT; END IF;
	END LOOP;
END $$;

-- nothing is there before the first refresh
SELECT * FROM wrong() WHERE differences = 0;
SELECT target, sources, bucket, time_zone, pending, everything_pending, refreshed_at IS NOT NULL AS refreshed, last_error FROM rollup_status() ORDER BY target::text;
CALL refresh_model('shop');
SELECT * FROM wrong();
SELECT target, pending, everything_pending, refreshed_at IS NOT NULL AS refreshed, last_error FROM rollup_status() ORDER BY target::text;

-- a refresh with nothing to do writes nothing
SELECT pg_current_wal_insert_lsn() AS before \gset
CALL refresh_model('shop');
SELECT pg_current_wal_insert_lsn() - :'before' < 200 AS wrote_nothing, (SELECT count(*) FROM rollup_log) AS log, (SELECT count(*) FROM rollup_pending) AS pending;

-- INSERT: the live views know at once, also within the transaction, and the note is one a day
BEGIN;
SELECT load(1);
SELECT * FROM wrong('_live') WHERE rollup <> 'monthly_live';
COMMIT;
SELECT count(*) = count(DISTINCT day) AS once_a_day FROM rollup_log;
SELECT * FROM wrong('_live') WHERE rollup <> 'monthly_live';
CALL refresh_model('shop');
SELECT * FROM wrong();

-- What each kind of write touches: the days of the log, and the state after a refresh.
CREATE PROCEDURE try(statement text) LANGUAGE plpgsql AS $$
DECLARE
	touched text;
	kept text;
BEGIN
	EXECUTE statement;
	COMMIT;
	SELECT string_agg(day::text, ' ' ORDER BY day) INTO touched FROM (SELECT DISTINCT day FROM ecomsocial.rollup_log) l;
	SELECT string_agg(rollup || ' ' || differences, ', ') INTO kept FROM shop.wrong('_live') WHERE rollup <> 'monthly_live';
	RAISE INFO 'touched %, live %', coalesce(touched, 'nothing'), coalesce('WRONG: ' || kept, 'right');
END $$;

-- half an hour before London's midnight in summer, and just after it
CALL try($$INSERT INTO event (event_time, user_id) VALUES ('2024-05-05 22:30 UTC', 1), ('2024-05-05 23:00 UTC', 1)$$);
CALL refresh_model('shop'); SELECT * FROM wrong() WHERE differences > 0;
-- an update moves an event to another day, and to another partition
CALL try($$UPDATE event SET event_time = '2024-02-29 12:00 UTC' WHERE kind IS NULL AND event_time = '2024-05-05 22:30 UTC'$$);
CALL refresh_model('shop'); SELECT * FROM wrong() WHERE differences > 0;
CALL try($$UPDATE event SET user_id = 2 WHERE kind IS NULL$$);
CALL refresh_model('shop'); SELECT * FROM wrong() WHERE differences > 0;
CALL try($$DELETE FROM event WHERE kind IS NULL$$);
CALL refresh_model('shop'); SELECT * FROM wrong() WHERE differences > 0;
-- DML on a leaf
CALL try($$INSERT INTO event_p20240301 (event_id, event_time, user_id) OVERRIDING SYSTEM VALUE VALUES (-1, '2024-03-31 12:00 UTC', 1)$$);
CALL try($$DELETE FROM event_p20240301 WHERE event_id = -1$$);
CALL refresh_model('shop'); SELECT * FROM wrong() WHERE differences > 0;
-- no time and no end of time lie in no bucket
CREATE TABLE event_default PARTITION OF event DEFAULT;
CALL refresh_model('shop');
CALL try($$INSERT INTO event (event_time, user_id) VALUES (NULL, 1), ('infinity', 1), ('-infinity', 1)$$);
CALL try($$UPDATE event SET event_time = '2024-01-02 UTC' WHERE event_time = 'infinity'$$);
CALL try($$UPDATE event SET event_time = NULL WHERE event_time = '2024-01-02 UTC'$$);
CALL try($$DELETE FROM event WHERE event_time IS NULL OR NOT isfinite(event_time)$$);
-- an event far away
CALL try($$INSERT INTO event (event_time, user_id) VALUES ('4000-01-01 BC', 1), ('9999-12-31 UTC', 1)$$);
CALL refresh_model('shop'); SELECT * FROM wrong() WHERE differences > 0;
CALL try($$DELETE FROM event WHERE event_time < '2000-01-01' OR event_time > '3000-01-01'$$);
CALL refresh_model('shop'); SELECT * FROM wrong() WHERE differences > 0;
DROP TABLE event_default;
CALL refresh_model('shop'); SELECT * FROM wrong() WHERE differences > 0;

-- COPY
COPY event (event_time, user_id, kind) FROM stdin;
2024-01-03 12:00:00+00	7	k1
2024-04-03 12:00:00+00	7	k1
\.
SELECT capture, day FROM rollup_log ORDER BY 1, 2;
CALL refresh_model('shop'); SELECT * FROM wrong() WHERE differences > 0;

-- ON CONFLICT and MERGE, on a source that is one table with a date column
CREATE TABLE sale (sale_id int PRIMARY KEY, day date, amount numeric);
SELECT rollup_create('sales', '{sale}', '{day}', 'SELECT sum(amount) AS amount FROM sale WHERE day >= $1 AND day < $2 HAVING count(*) > 0');
CALL try($$INSERT INTO sale VALUES (1, '2024-01-01', 10), (2, '2024-01-02', 20), (3, NULL, 1), (4, 'infinity', 1)$$);
CALL rollup_refresh('sales');
CALL try($$INSERT INTO sale VALUES (1, '2024-01-05', 11) ON CONFLICT (sale_id) DO UPDATE SET day = excluded.day, amount = excluded.amount$$);
CALL rollup_refresh('sales');
CALL try($$INSERT INTO sale VALUES (1, '2024-02-05', 11) ON CONFLICT (sale_id) DO NOTHING$$);
CALL try($$MERGE INTO sale s USING (VALUES (1, 5), (2, 0), (9, 9)) v(id, amount) ON s.sale_id = v.id
	WHEN MATCHED AND v.amount = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET amount = v.amount WHEN NOT MATCHED THEN INSERT VALUES (v.id, '2024-03-01', v.amount)$$);
CALL rollup_refresh('sales');
TABLE sales ORDER BY 1;

-- savepoints: what is rolled back is not noted, what survives is
BEGIN;
INSERT INTO sale VALUES (20, '2024-06-01', 1);
SAVEPOINT a;
INSERT INTO sale VALUES (21, '2024-06-02', 1);
SAVEPOINT b;
INSERT INTO sale VALUES (22, '2024-06-03', 1), (23, '2024-06-01', 1);
RELEASE b;
ROLLBACK TO a;
INSERT INTO sale VALUES (24, '2024-06-03', 1);
SAVEPOINT c;
INSERT INTO sale VALUES (25, '2024-06-04', 1);
RELEASE c;
SELECT * FROM rollup_unwritten();
COMMIT;
SELECT capture, day FROM rollup_log ORDER BY 1, 2;
DO $$
BEGIN
	FOR i IN 1..3 LOOP
		BEGIN
			INSERT INTO sale VALUES (30 + i, date '2024-07-01' + i, 1);
			IF i = 2 THEN RAISE division_by_zero; END IF;
		EXCEPTION WHEN division_by_zero THEN
			INSERT INTO sale VALUES (40, '2024-07-10', 1);
		END;
	END LOOP;
END $$;
SELECT capture, day FROM rollup_log WHERE day >= '2024-07-01' ORDER BY 1, 2;
BEGIN; INSERT INTO sale VALUES (50, '2024-08-01', 1); ROLLBACK;
SELECT * FROM rollup_unwritten();
SELECT count(*) FROM rollup_log WHERE day = '2024-08-01';
-- by instants: a day that was noted, rolled back and touched again, among few and among many
CREATE TABLE moment (at timestamptz);
SELECT rollup_create('moments', '{moment}', '{at}', 'SELECT count(*) AS n FROM moment WHERE at >= $1 AND at < $2 HAVING count(*) > 0');
BEGIN;
SAVEPOINT a;
INSERT INTO moment VALUES ('2024-06-01 12:00 UTC');
ROLLBACK TO a;
INSERT INTO moment VALUES ('2024-06-01 13:00 UTC');
INSERT INTO moment SELECT timestamptz '2024-07-01 12:00 UTC' + i * interval '1 day' FROM generate_series(1, 20) i;
SAVEPOINT b;
SAVEPOINT c;
INSERT INTO moment VALUES ('2024-08-01 12:00 UTC');
RELEASE c;
INSERT INTO moment VALUES ('2024-08-02 12:00 UTC');
SELECT count(*), max(day) FROM rollup_unwritten();
ROLLBACK TO b;
SELECT count(*), max(day) FROM rollup_unwritten();
INSERT INTO moment VALUES ('2024-08-01 13:00 UTC');
COMMIT;
SELECT count(*), count(DISTINCT day), min(day), max(day) FROM rollup_log WHERE capture = (SELECT capture FROM rollup_capture WHERE source = 'moment'::regclass);
SELECT rollup_drop('moments');
DROP TABLE moment;
CALL rollup_refresh('sales');
SELECT count(*) FROM ((TABLE sales EXCEPT SELECT day, sum(amount) FROM sale WHERE isfinite(day) GROUP BY 1)
	UNION ALL (SELECT day, sum(amount) FROM sale WHERE isfinite(day) GROUP BY 1 EXCEPT TABLE sales)) d;

-- partitions come and go
BEGIN;
CREATE TABLE event_july (LIKE event INCLUDING IDENTITY);
INSERT INTO event_july (event_time, user_id, kind) SELECT '2024-07-01 UTC'::timestamptz + i * interval '7 hours', i, 'k0' FROM generate_series(0, 40) i;
ALTER TABLE event_july ALTER event_id DROP IDENTITY;
ALTER TABLE event ATTACH PARTITION event_july FOR VALUES FROM ('2024-07-01 Europe/London') TO ('2024-08-01 Europe/London');
COMMIT;
CALL refresh_model('shop'); SELECT * FROM wrong() WHERE differences > 0;
SELECT count(*) FROM daily WHERE bucket >= '2024-07-01';
ALTER TABLE event DETACH PARTITION event_july;
CALL refresh_model('shop'); SELECT * FROM wrong() WHERE differences > 0;
SELECT count(*) FROM daily WHERE bucket >= '2024-07-01';
ALTER TABLE event ATTACH PARTITION event_july FOR VALUES FROM ('2024-07-01 Europe/London') TO ('2024-08-01 Europe/London');
CALL refresh_model('shop'); SELECT * FROM wrong() WHERE differences > 0;
-- changed while it was away
ALTER TABLE event DETACH PARTITION event_july;
DELETE FROM event_july WHERE event_time < '2024-07-05 UTC';
ALTER TABLE event ATTACH PARTITION event_july FOR VALUES FROM ('2024-07-01 Europe/London') TO ('2024-08-01 Europe/London');
CALL refresh_model('shop'); SELECT * FROM wrong() WHERE differences > 0;
ALTER TABLE event DETACH PARTITION event_july CONCURRENTLY;
CALL refresh_model('shop'); SELECT * FROM wrong() WHERE differences > 0;
ALTER TABLE event ATTACH PARTITION event_july FOR VALUES FROM ('2024-07-01 Europe/London') TO ('2024-08-01 Europe/London');
TRUNCATE event_july;
CALL refresh_model('shop'); SELECT * FROM wrong() WHERE differences > 0;
DROP TABLE event_p20240201;
CALL refresh_model('shop'); SELECT * FROM wrong() WHERE differences > 0;
-- bounds within a day, and of two columns: a leaf takes along all days that it may hold
CREATE TABLE half (at timestamptz, v int) PARTITION BY RANGE (at);
CREATE TABLE half_1 PARTITION OF half FOR VALUES FROM ('2024-01-01 UTC') TO ('2024-01-03 12:00 UTC');
CREATE TABLE pair (at timestamptz, v int) PARTITION BY RANGE (at, v);
CREATE TABLE pair_1 PARTITION OF pair FOR VALUES FROM ('2024-01-01 UTC', 0) TO ('2024-01-03 UTC', 5);
SELECT rollup_create('half_daily', '{half}', '{at}', 'SELECT count(*) AS n FROM half WHERE at >= $1 AND at < $2 HAVING count(*) > 0'),
	rollup_create('pair_daily', '{pair}', '{at}', 'SELECT count(*) AS n FROM pair WHERE at >= $1 AND at < $2 HAVING count(*) > 0');
INSERT INTO half VALUES ('2024-01-03 06:00 UTC', 1);
INSERT INTO pair VALUES ('2024-01-03 UTC', 1);
CALL refresh_model('shop');
SELECT h.n AS half, p.n AS pair FROM half_daily h, pair_daily p;
ALTER TABLE half DETACH PARTITION half_1;
ALTER TABLE pair DETACH PARTITION pair_1;
CALL refresh_model('shop');
SELECT (SELECT count(*) FROM half_daily) AS half, (SELECT count(*) FROM pair_daily) AS pair;
SELECT rollup_drop('half_daily'), rollup_drop('pair_daily');
DROP TABLE half, pair, half_1, pair_1;
-- triggers switched off, as by pg_restore --disable-triggers: what they missed is found, and they are put back
CREATE VIEW triggers AS SELECT tgenabled, count(*) FROM pg_trigger WHERE tgname ~ '^ecomsocial_rollup_1_' GROUP BY 1;
TABLE triggers;
ALTER TABLE event_p20240101 DISABLE TRIGGER ALL;
DELETE FROM event_p20240101 WHERE user_id < 10;
ALTER TABLE event_p20240101 ENABLE TRIGGER ALL;
CALL refresh_model('shop'); SELECT * FROM wrong() WHERE differences > 0;
TABLE triggers;
CALL refresh_model('shop');
ALTER TABLE event DISABLE TRIGGER USER;
DELETE FROM event WHERE user_id < 15;
CALL refresh_model('shop'); SELECT * FROM wrong() WHERE differences > 0;
TABLE triggers;
-- put back by hand in time: the traces are enough
ALTER TABLE event DISABLE TRIGGER ecomsocial_rollup_1_delete;
DELETE FROM event WHERE user_id < 18;
ALTER TABLE event ENABLE ALWAYS TRIGGER ecomsocial_rollup_1_delete;
CALL refresh_model('shop'); SELECT * FROM wrong() WHERE differences > 0;
BEGIN;
ALTER TABLE event_p20240101 DISABLE TRIGGER ecomsocial_rollup_1_update;
UPDATE event SET kind = 'k3' WHERE user_id = 20;
ALTER TABLE event_p20240101 ENABLE ALWAYS TRIGGER ecomsocial_rollup_1_update;
COMMIT;
CALL refresh_model('shop'); SELECT * FROM wrong() WHERE differences > 0;
-- dropped
DROP TRIGGER ecomsocial_rollup_1_insert ON event;
DROP TRIGGER ecomsocial_rollup_1_delete ON event;
INSERT INTO event (event_time, user_id) VALUES ('2024-03-03 12:00 UTC', 1);
CALL refresh_model('shop'); SELECT * FROM wrong() WHERE differences > 0;
TABLE triggers;
INSERT INTO event (event_time, user_id) VALUES ('2024-03-04 12:00 UTC', 1);
CALL refresh_model('shop'); SELECT * FROM wrong() WHERE differences > 0;
-- a child that is no partition has no triggers: every refresh computes what it may hold, and says so
CREATE TABLE sale_more () INHERITS (sale);
INSERT INTO sale_more VALUES (100, '2024-09-01', 5);
CALL rollup_refresh('sales');
UPDATE sale_more SET amount = 6;
CALL rollup_refresh('sales');
SELECT * FROM sales WHERE bucket = '2024-09-01';
DROP TABLE sale_more;
CALL rollup_refresh('sales');
SELECT * FROM sales WHERE bucket = '2024-09-01';
-- an unlogged source is emptied by a crash and nothing tells: the same
ALTER TABLE sale SET UNLOGGED;
CALL rollup_refresh('sales');
CALL rollup_refresh('sales');
ALTER TABLE sale SET LOGGED;
CALL rollup_refresh('sales');
-- an unlogged rollup is refused
ALTER TABLE sales SET UNLOGGED;
CALL rollup_refresh('sales');
ALTER TABLE sales SET LOGGED;
CALL rollup_refresh('sales');
-- rows that are visible before their transaction is
BEGIN;
TRUNCATE sale;
COPY sale FROM stdin (FREEZE);
1	2024-09-03	7
2	2024-09-04	8
\.
COMMIT;
CALL rollup_refresh('sales');
TABLE sales ORDER BY 1;
-- files that were written anew are computed anew
VACUUM FULL sale;
UPDATE sales SET amount = 0;
CALL rollup_refresh('sales');
TABLE sales ORDER BY 1;
SET session_replication_role = replica;
UPDATE sale SET day = '2024-09-05' WHERE sale_id = 2;
RESET session_replication_role;
CALL rollup_refresh('sales');
TABLE sales ORDER BY 1;
-- what a query or a bucket needs cannot be changed under it
ALTER TABLE sale ALTER day TYPE text;
ALTER TABLE sale DROP day;
-- many small transactions between two refreshes write one row
DO $$ BEGIN FOR i IN 1..50 LOOP INSERT INTO shop.sale VALUES (200 + i, '2024-09-02', 1); COMMIT; END LOOP; END $$;
SELECT day, count(*) FROM rollup_log GROUP BY 1;
CALL rollup_refresh('sales');
INSERT INTO sale VALUES (300, '2024-09-02', 1);
SELECT day, count(*) FROM rollup_log GROUP BY 1;
CALL rollup_refresh('sales');
SELECT * FROM sales WHERE bucket = '2024-09-02';
TRUNCATE event, sale;
CALL refresh_model('shop'); SELECT * FROM wrong() WHERE differences > 0;
SELECT count(*) FROM daily;

-- one late event on each of 30 scattered days touches those 30 buckets and their months, and no other
CREATE TABLE year (at timestamptz) PARTITION BY RANGE (at);
SELECT count(*) FROM partitions_ahead('year', 'month', 11, 'Europe/London', '2023-01-15 UTC');
INSERT INTO year SELECT '2023-01-01 12:00 UTC'::timestamptz + i * interval '1 day' FROM generate_series(0, 364) i;
SELECT rollup_create('year_daily', '{year}', '{at}', 'SELECT count(*) AS n FROM year WHERE at >= $1 AND at < $2 HAVING count(*) > 0', time_zone => 'Europe/London', key => '{}');
SELECT rollup_create('year_monthly', '{year_daily}', '{bucket}', 'SELECT sum(n) AS n FROM year_daily WHERE bucket >= $1 AND bucket < $2 HAVING sum(n) > 0', 'month', 'Europe/London', key => '{}');
CALL refresh_model('shop');
CREATE TABLE before AS SELECT bucket, xmin::text AS version FROM year_daily UNION ALL SELECT bucket - 10000, xmin::text FROM year_monthly;
-- three a month from March on, at days that a hash chooses
INSERT INTO year SELECT '2023-03-01 12:00 UTC'::timestamptz + (i % 10) * interval '1 month' + (1 + i / 10 * 9 + abs(hashint4(i)) % 8) * interval '1 day' FROM generate_series(0, 29) i;
SELECT count(DISTINCT day) AS days, count(DISTINCT date_trunc('month', day)) AS months FROM rollup_log;
CALL refresh_model('shop');
SELECT count(*) FILTER (WHERE y.bucket > '2000-01-01') AS days, count(*) FILTER (WHERE y.bucket < '2000-01-01') AS months
FROM before b JOIN (SELECT bucket, xmin::text AS version FROM year_daily UNION ALL SELECT bucket - 10000, xmin::text FROM year_monthly) y USING (bucket)
WHERE b.version <> y.version;
SELECT sum(n) = (SELECT count(*) FROM year) AS all_counted FROM year_monthly;
SELECT rollup_drop('year_monthly'), rollup_drop('year_daily');
DROP TABLE year, before;

-- a refresh until a moment leaves the bucket that is open
INSERT INTO event (event_time, user_id) VALUES ('2024-03-01 12:00 UTC', 1), ('2024-03-02 12:00 UTC', 1);
CALL rollup_refresh('daily', '2024-03-02 00:00 Europe/London');
SELECT bucket, n FROM daily;
SELECT bucket, n FROM daily_live ORDER BY 1;
SELECT pending, oldest_pending FROM rollup_status() WHERE target = 'daily'::regclass;
CALL refresh_model('shop'); SELECT * FROM wrong() WHERE differences > 0;

-- a rebuild repairs what the engine cannot know of
UPDATE daily SET n = 99; DELETE FROM weekly;
CALL rollup_rebuild('daily', '2024-03-02', '2024-03-03');
SELECT bucket, n FROM daily ORDER BY 1;
CALL rollup_rebuild('daily'); CALL rollup_rebuild('weekly'); CALL refresh_model('shop');
SELECT * FROM wrong() WHERE differences > 0;

-- Handlers: a table of one row for each user, repaired for the touched days
CREATE TABLE user_days (user_id bigint PRIMARY KEY, days bigint);
CREATE TABLE handler_log (called int GENERATED ALWAYS AS IDENTITY, buckets date[]);
CREATE FUNCTION repair_users(buckets date[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO shop.handler_log (buckets) VALUES (buckets);
	IF buckets IS NULL THEN DELETE FROM shop.user_days; END IF;
	INSERT INTO shop.user_days
	SELECT user_id, count(DISTINCT shop.event.event_time::date) FROM shop.event WHERE user_id IN (
		SELECT user_id FROM shop.event WHERE buckets IS NULL OR (event_time AT TIME ZONE 'Europe/London')::date = ANY (buckets))
	GROUP BY 1 ON CONFLICT (user_id) DO UPDATE SET days = excluded.days;
END $$;
SELECT rollup_create('user_days', '{event}', '{event_time}', time_zone => 'Europe/London', on_refresh => 'repair_users');
CALL rollup_refresh('user_days');
INSERT INTO event (event_time, user_id) VALUES ('2024-03-05 12:00 UTC', 1), ('2024-03-07 12:00 UTC', 2), ('2024-03-05 12:00 UTC', 1);
CALL rollup_refresh('user_days');
CALL rollup_refresh('user_days');
CALL rollup_rebuild('user_days');
CALL rollup_rebuild('user_days', '2024-03-05', '2024-03-07');
SELECT buckets FROM handler_log ORDER BY called;
TABLE user_days ORDER BY 1;
DELETE FROM event; CALL refresh_model('shop');

-- A refresh that is cancelled stops at once and goes on where it was
CREATE TABLE slow (at timestamptz);
CREATE FUNCTION slowly(n bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$ BEGIN PERFORM pg_sleep(CASE WHEN n > 1 THEN 30 ELSE 0 END); RETURN n; END $$;
SELECT rollup_create('slow_daily', '{slow}', '{at}', 'SELECT slowly(count(*)) AS n FROM slow WHERE at >= $1 AND at < $2');
CALL rollup_refresh('slow_daily');
INSERT INTO slow VALUES ('2024-01-01 UTC'), ('2024-01-02 UTC'), ('2024-01-02 UTC'), ('2024-01-03 UTC');
SET statement_timeout = '1500ms';
CALL rollup_refresh('slow_daily');
RESET statement_timeout;
SELECT * FROM slow_daily;
SELECT pending, oldest_pending FROM rollup_status() WHERE target = 'slow_daily'::regclass;
CREATE OR REPLACE FUNCTION slowly(n bigint) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT n';
CALL rollup_refresh('slow_daily');
SELECT * FROM slow_daily ORDER BY 1;
SELECT rollup_drop('slow_daily');

-- Errors in one rollup leave the others refreshed, and the bucket waiting
CREATE TABLE rate (kind text, factor int);
INSERT INTO rate VALUES ('k0', 1);
SELECT rollup_create('rated', '{event}', '{event_time}', $$SELECT kind, count(*) / min(factor) AS n FROM event JOIN rate USING (kind)
	WHERE event_time >= $1 AND event_time < $2 GROUP BY kind$$, time_zone => 'Europe/London', key => '{kind}');
CALL refresh_model('shop');
UPDATE rate SET factor = 0;
INSERT INTO event (event_time, user_id, kind) VALUES ('2024-03-05 12:00 UTC', 1, 'k0'), ('2024-03-06 12:00 UTC', 1, 'k1');
CALL refresh_model('shop');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM wrong() WHERE differences > 0;
SELECT pending, oldest_pending, last_error FROM rollup_status() WHERE target = 'rated'::regclass;
UPDATE rate SET factor = 1;
CALL rollup_refresh('rated');
TABLE rated;
SELECT pending, last_error FROM rollup_status() WHERE target = 'rated'::regclass;

-- Retention: rollup rows outlive their events
SELECT rollup_drop('weekly');
SELECT * FROM partitions_ahead('event', 'month', 0, 'Europe/London', '2024-02-10 UTC');
INSERT INTO event (event_time, user_id, kind) SELECT t, 1, 'k0' FROM generate_series('2024-01-10 12:00 UTC'::timestamptz, '2024-03-20 UTC', '1 day') t;
SELECT rollup_retain('daily', '2024-03-01');
CALL refresh_model('shop');
SELECT * FROM rollup_detach('daily', '2024-03-15');
SELECT rollup_retain('monthly', '2024-02-15');
SELECT * FROM rollup_detach('event', '2024-03-01', drop => true);
CALL refresh_model('shop');
SELECT count(*) FILTER (WHERE bucket < '2024-03-01') AS kept, count(*) FILTER (WHERE bucket >= '2024-03-01') AS current FROM daily;
-- a rebuild does not even mark what is frozen: nothing would be left of it when it is no longer
CALL rollup_rebuild('daily');
SELECT count(*) FILTER (WHERE bucket < '2024-03-01') AS kept, count(*) FILTER (WHERE bucket >= '2024-03-01') AS current FROM daily;
SELECT pending, frozen_pending FROM rollup_status() WHERE target = 'daily'::regclass;
-- a late event for a frozen bucket is not lost from sight
SELECT * FROM partitions_ahead('event', 'month', 0, 'Europe/London', '2024-02-10 UTC');
INSERT INTO event (event_time, user_id, kind) VALUES ('2024-02-10 12:00 UTC', 1, 'late');
CALL rollup_refresh('daily');
SELECT pending, frozen_before, frozen_pending FROM rollup_status() WHERE target = 'daily'::regclass;
SELECT count(*) FROM daily WHERE kind = 'late';
SELECT rollup_retain('daily', NULL);
CALL rollup_refresh('daily');
SELECT bucket, kind, n FROM daily WHERE kind = 'late';

-- a partition ends when it has ended for each rollup, in all its own partitions
CREATE TABLE zoned (at timestamptz, kind text) PARTITION BY RANGE (at);
CREATE TABLE zoned_1 PARTITION OF zoned FOR VALUES FROM ('2024-01-01 UTC') TO ('2024-02-01 UTC') PARTITION BY LIST (kind);
CREATE TABLE zoned_1_rest PARTITION OF zoned_1 DEFAULT;
CREATE TABLE zoned_2 PARTITION OF zoned FOR VALUES FROM ('2024-02-01 UTC') TO ('2024-03-01 UTC');
SELECT rollup_create('zoned_utc', '{zoned}', '{at}', 'SELECT count(*) AS n FROM zoned WHERE at >= $1 AND at < $2 HAVING count(*) > 0'),
	rollup_create('zoned_tokyo', '{zoned}', '{at}', 'SELECT count(*) AS n FROM zoned WHERE at >= $1 AND at < $2 HAVING count(*) > 0', time_zone => 'Asia/Tokyo');
INSERT INTO zoned VALUES ('2024-01-31 18:00 UTC'), ('2024-02-01 12:00 UTC');
CALL refresh_model('shop');
SELECT rollup_detach('zoned', '2024-02-01');
CALL refresh_model('shop');
SELECT u.bucket, u.n AS utc, t.n AS tokyo FROM zoned_utc u FULL JOIN zoned_tokyo t USING (bucket) ORDER BY 1;
CREATE TABLE zoned_1_new PARTITION OF zoned_1 FOR VALUES IN ('new');	-- which no refresh has seen
SELECT rollup_detach('zoned', '2024-02-02');
CALL refresh_model('shop');
SELECT rollup_detach('zoned', '2024-02-02');
CALL refresh_model('shop');
SELECT u.bucket, u.n AS utc, t.n AS tokyo FROM zoned_utc u FULL JOIN zoned_tokyo t USING (bucket) ORDER BY 1;
SELECT rollup_drop('zoned_utc'), rollup_drop('zoned_tokyo');
DROP TABLE zoned, zoned_1;

-- Days where clocks go back over midnight: an event of the first minute of
-- 29 October belongs to the bucket that reads it.
CREATE TABLE odd (at timestamptz);
SELECT rollup_create('odd_daily', '{odd}', '{at}', 'SELECT count(*) AS n FROM odd WHERE at >= $1 AND at < $2 HAVING count(*) > 0', time_zone => 'America/St_Johns');
CALL rollup_refresh('odd_daily');
INSERT INTO odd VALUES ('2006-10-29 02:30:30 UTC');
CALL rollup_refresh('odd_daily');
INSERT INTO odd VALUES ('2006-10-29 02:31:30 UTC'), ('2006-10-29 03:29:59 UTC'), ('2006-10-29 03:30 UTC');
CALL rollup_refresh('odd_daily');
SELECT sum(n) = (SELECT count(*) FROM odd) AS none_missed FROM odd_daily;
SELECT bool_and(rollup_day(t, z)::timestamp AT TIME ZONE z <= t AND (rollup_day(t, z) + 1)::timestamp AT TIME ZONE z > t) AS in_its_bucket
FROM unnest(ARRAY['Europe/London', 'America/St_Johns', 'Pacific/Apia', 'America/Havana', 'Asia/Gaza', 'UTC']) z,
	generate_series('2006-10-27 UTC'::timestamptz, '2006-11-01 UTC', '7 min') t;
SELECT rollup_bucket(d, 'quarter'), rollup_bucket(d, 'quarter', 1), rollup_bucket(d, 'week', -1), rollup_bucket('-infinity', 'year', 1)
FROM (VALUES (date '2024-02-29'), ('1999-12-31'), ('0001-12-31 BC')) v(d);

-- Dropping: the last rollup of a source takes the triggers along
DROP TABLE event;
SELECT rollup_drop('daily');
SELECT rollup_drop('monthly');
SELECT rollup_drop('daily', keep_table => true);
SELECT rollup_drop('rated');
SELECT rollup_drop('user_days');
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'event'::regclass;
SELECT to_regclass('daily'), to_regclass('daily_live'), to_regprocedure('daily_query(timestamptz, timestamptz)'), to_regclass('rated');
DROP TABLE event;
-- a table dropped by hand is forgotten
DROP TABLE sales CASCADE;
CALL refresh_model('shop');
SELECT target FROM rollup_status();
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'sale'::regclass;
SELECT rollup_drop('odd_daily');

-- a source dropped by force takes the query along: a refresh says so, and the table stays as it was
CREATE TABLE gone (at timestamptz);
INSERT INTO gone VALUES ('2024-01-01 12:00 UTC');
SELECT rollup_create('gone_daily', '{gone}', '{at}', 'SELECT count(*) AS n FROM gone WHERE at >= $1 AND at < $2');
CALL rollup_refresh('gone_daily');
DROP TABLE gone CASCADE;
CALL rollup_refresh('gone_daily');
SELECT count(*) FROM gone_daily;
SELECT rollup_drop('gone_daily');

-- an existing table as the target, and several sources
CREATE TABLE a (at timestamptz, user_id int);
CREATE TABLE b (at timestamptz, user_id int);
CREATE TABLE active (id int GENERATED ALWAYS AS IDENTITY, day date, users bigint, noted timestamptz DEFAULT now());
SELECT rollup_create('active', '{a,b}', '{at,at}', $$SELECT count(DISTINCT user_id) AS users
	FROM (SELECT at, user_id FROM a UNION ALL SELECT at, user_id FROM b) e WHERE at >= $1 AND at < $2 HAVING count(*) > 0$$, bucket_column => 'day');
INSERT INTO a VALUES ('2024-01-01 12:00 UTC', 1), ('2024-01-01 13:00 UTC', 2);
INSERT INTO b VALUES ('2024-01-01 12:00 UTC', 2), ('2024-01-03 13:00 UTC', 2);
CALL rollup_refresh('active');
DELETE FROM a WHERE user_id = 1;
CALL rollup_refresh('active');
SELECT day, users FROM active ORDER BY 1;

-- renames do not matter, even where another column takes the old name
ALTER TABLE a RENAME TO alpha; ALTER TABLE active RENAME TO active_users; ALTER SCHEMA shop RENAME TO shop2; SET search_path = shop2, ecomsocial;
INSERT INTO alpha VALUES ('2024-01-05 12:00 UTC', 2);
CALL rollup_refresh('active_users');
SELECT day, users FROM active_users ORDER BY 1;
ALTER TABLE alpha RENAME at TO happened;
ALTER TABLE alpha ADD at timestamptz;
INSERT INTO alpha VALUES ('2024-01-06 12:00 UTC', 2, '2024-02-02 12:00 UTC');
CALL rollup_refresh('active_users');
SELECT day, users FROM active_users WHERE day > '2024-01-05';
ALTER TABLE alpha DISABLE TRIGGER USER;
INSERT INTO alpha VALUES ('2024-01-07 12:00 UTC', 2, '2024-02-03 12:00 UTC');
CALL rollup_refresh('active_users');
SELECT day, users FROM active_users WHERE day > '2024-01-05' ORDER BY 1;
SELECT rollup_create('alpha_daily', '{alpha}', '{at}', 'SELECT count(*) AS n FROM alpha WHERE at >= $1 AND at < $2 HAVING count(*) > 0');
CALL rollup_refresh('alpha_daily');
SELECT bucket, n FROM alpha_daily ORDER BY 1;
CALL rollup_rebuild('active_users');
SELECT day, users FROM active_users WHERE day > '2024-01-05' ORDER BY 1;
SELECT source, time_column FROM rollup_capture ORDER BY source::text, time_column;
SELECT rollup_drop('alpha_daily');
-- one that was dropped by force is missed
ALTER TABLE alpha DROP happened CASCADE;
CALL rollup_refresh('active_users');
SELECT rollup_drop('active_users');
DROP SCHEMA shop2 CASCADE;
\c :suite
DROP DATABASE rollup;
