-- rollup: what others may enter into the registry, and what they may write into
-- a source, stops nobody else's refresh.
SELECT current_database() AS suite \gset
CREATE DATABASE rollup_strangers;
\c rollup_strangers
SET client_min_messages = warning;
\set VERBOSITY terse
CREATE EXTENSION ecomsocial;
CREATE SCHEMA shop;
SET search_path = shop, ecomsocial;
CREATE ROLE ecs_stranger_owner; CREATE ROLE ecs_stranger;
GRANT ALL ON SCHEMA shop TO ecs_stranger_owner, ecs_stranger;

-- Days that no timestamp can be.
SET ROLE ecs_stranger_owner;
CREATE TABLE sale (day date, at timestamptz);
SELECT rollup_create('by_day', '{sale}', '{day}', 'SELECT count(*) AS n FROM sale WHERE day >= $1 AND day < $2 HAVING count(*) > 0');
SELECT rollup_create('by_month', '{sale}', '{day}', 'SELECT count(*) AS n FROM sale WHERE day >= $1 AND day < $2 HAVING count(*) > 0', bucket => 'month');
SELECT rollup_create('in_tokyo', '{sale}', '{at}', 'SELECT count(*) AS n FROM sale WHERE at >= $1 AND at < $2 HAVING count(*) > 0', time_zone => 'Asia/Tokyo');
INSERT INTO sale VALUES ('2024-01-02', '2024-01-01 15:00+00'), ('300000-01-01', '294276-12-31 23:00+00'), ('5874897-12-31', NULL);
SELECT bucket, n FROM by_day_live ORDER BY 1;
SELECT target, pending, oldest_pending FROM rollup_status() ORDER BY target::text;
CALL refresh_model('shop');
TABLE by_day ORDER BY 1;
TABLE by_month ORDER BY 1;
TABLE in_tokyo ORDER BY 1;
-- until a moment: buckets that begin before it
INSERT INTO sale SELECT day, (day + time '12:00') AT TIME ZONE 'Asia/Tokyo' FROM generate_series(timestamp '2024-02-01', '2024-02-04', '1 day') day;
CALL rollup_refresh('in_tokyo', '2024-02-02 00:00 Asia/Tokyo');
SELECT oldest_pending FROM rollup_status() WHERE target = 'in_tokyo'::regclass;
CALL rollup_refresh('in_tokyo', '2024-02-02 00:00:00.000001 Asia/Tokyo');
SELECT oldest_pending FROM rollup_status() WHERE target = 'in_tokyo'::regclass;
CALL rollup_refresh('in_tokyo', '-infinity');
SELECT oldest_pending FROM rollup_status() WHERE target = 'in_tokyo'::regclass;
CALL refresh_model('shop');
SELECT max(pending) FROM rollup_status();

-- The function of a query is as safe in a parallel plan as the query.
CREATE FUNCTION alone(n bigint) RETURNS bigint LANGUAGE plpgsql STABLE PARALLEL UNSAFE AS $$ BEGIN RETURN n; END $$;
SELECT rollup_create('unsafe', '{sale}', '{at}', 'SELECT alone(count(*)) AS n FROM sale WHERE at >= $1 AND at < $2');
SELECT proname, proparallel FROM pg_proc WHERE proname IN ('by_day_query', 'unsafe_query') ORDER BY 1;
SELECT rollup_drop('unsafe');

-- A stranger enters tables of his as rollups of that source: with a query of his own, captures that
-- there are not, no time zone; and a circle, and the largest number.
RESET ROLE;
SET ROLE ecs_stranger;
CREATE FUNCTION spring() RETURNS date LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the trap has sprung'; END $$;
CREATE VIEW trap AS SELECT spring() AS bucket;
CREATE TABLE broken (bucket date);
CREATE TABLE one (at timestamptz);
CREATE TABLE two (at timestamptz);
INSERT INTO rollup_capture VALUES (2147483647, 'one', 'at', 'UTC'), (501, 'one', 'at', 'UTC'), (502, 'two', 'at', 'UTC');
INSERT INTO rollups (target, captures, bucket, time_zone, bucket_column, query_function)
	SELECT target, captures, 'day', 'nowhere', 'bucket', 'f' FROM (
		SELECT 'trap'::regclass, array_agg(capture) FROM rollup_capture WHERE source = 'sale'::regclass
		UNION ALL SELECT 'broken', array_agg(capture) || 999 FROM rollup_capture WHERE source = 'sale'::regclass
		UNION ALL VALUES ('one'::regclass, '{502}'::int[]), ('two', '{501}')) r (target, captures);
INSERT INTO rollups (target, captures, bucket, time_zone, bucket_column, query_function) VALUES ('sale', '{501}', 'day', 'UTC', 'bucket', 'f');
INSERT INTO rollup_capture VALUES (503, 'sale', 'at', 'UTC');
RESET ROLE;
SET ROLE ecs_stranger_owner;
TRUNCATE sale;
INSERT INTO sale VALUES ('2024-01-03', '2024-01-03');
CALL rollup_refresh('by_day');
CALL rollup_refresh('in_tokyo');
TABLE by_day;
SELECT target, pending FROM rollup_status() WHERE target IN ('by_day'::regclass, 'in_tokyo') ORDER BY target::text;
-- what is his waits for him, wholly
SELECT target, bucket FROM rollup_pending WHERE target IN ('trap'::regclass, 'broken') AND bucket = '-infinity' GROUP BY 1, 2 ORDER BY target::text;
RESET ROLE;
CREATE SCHEMA quiet AUTHORIZATION ecs_stranger_owner;
SET ROLE ecs_stranger_owner;
SELECT rollup_create('quiet.by_day', '{sale}', '{at}', 'SELECT count(*) AS n FROM sale WHERE at >= $1 AND at < $2', time_zone => 'Asia/Kolkata');
SET statement_timeout = '60s';
CALL refresh_model('quiet');
RESET statement_timeout;
TABLE quiet.by_day;

-- Notes of captures that there are not
SELECT rollup_note(777, date '2024-01-01');
SELECT rollup_note(777, timestamptz '2024-01-01');
INSERT INTO rollup_log VALUES (777, '2024-01-01');
CALL refresh_model('quiet');
SELECT count(*) FROM rollup_log WHERE capture = 777;

RESET ROLE;
DROP OWNED BY ecs_stranger, ecs_stranger_owner CASCADE;
\c :suite
DROP DATABASE rollup_strangers;
DROP ROLE ecs_stranger, ecs_stranger_owner;
