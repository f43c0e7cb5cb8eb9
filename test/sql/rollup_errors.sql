-- Rollups: what is refused, and who may do what.
-- In a database of its own, since the extension is dropped at the end.
SELECT current_database() AS suite \gset
CREATE DATABASE rollup_errors;
\c rollup_errors
SET client_min_messages = warning;
CREATE EXTENSION ecomsocial;
CREATE SCHEMA refuse;
SET search_path = refuse, ecomsocial, public;
\set VERBOSITY sqlstate

CREATE TABLE e (at timestamptz, day date, local timestamp, v int);
CREATE VIEW v AS SELECT * FROM e;
CREATE TABLE parent (at timestamptz);
CREATE TABLE child () INHERITS (parent);
CREATE UNLOGGED TABLE u (at timestamptz);
CREATE TEMP TABLE t (at timestamptz);
CREATE TABLE p (at timestamptz) PARTITION BY RANGE (at);
CREATE UNLOGGED TABLE p1 PARTITION OF p DEFAULT;
CREATE FUNCTION fails(args text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE 'SELECT ecomsocial.rollup_create(' || args || ')';
	RETURN 'made';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
	RETURN concat_ws(' | ', SQLSTATE, regexp_replace(message, 'pg_temp_\d+', 'pg_temp'), nullif(detail, ''));
END $$;
\set good '\'SELECT count(*) AS n FROM e WHERE at >= $1 AND at < $2\''

SELECT fails(args) FROM (VALUES
	(1, $$'r', '{e}', '{at}', 'SELECT count(*) AS n FROM e WHERE at >= $1'$$),
	(2, $$'r', '{e}', '{at}', 'SELECT count(*) AS n FROM e'$$),
	(3, $$'r', '{e}', '{at}', 'SELECT count(*) FROM e WHERE at >= $1 AND at < $2 AND v = $3'$$),
	(4, $$'r', '{e}', '{at}', 'SELECT random() AS n FROM e WHERE at >= $1 AND at < $2'$$),
	(5, $$'r', '{e}', '{at}', 'SELECT (SELECT clock_timestamp()) AS n FROM e WHERE at >= $1 AND at < $2'$$),
	(6, $$'r', '{e}', '{at}', 'SELECT 1 AS a; SELECT 2 AS b'$$),
	(7, $$'r', '{e}', '{at}', ''$$),
	(8, $$'r', '{e}', '{at}', 'DELETE FROM e WHERE at >= $1 AND at < $2'$$),
	(9, $$'r', '{e}', '{at}', 'WITH d AS (DELETE FROM e WHERE at >= $1 AND at < $2 RETURNING v) SELECT count(*) AS n FROM d'$$),
	(10, $$'r', '{e}', '{at}', 'SELECT v FROM e WHERE at >= $1 AND at < $2 FOR UPDATE'$$),
	(11, $$'r', '{e}', '{at}', 'SELECT count(*), 1 FROM e WHERE at >= $1 AND at < $2'$$),
	(12, $$'r', '{e}', '{at}', 'SELECT 1 AS a, 2 AS a FROM e WHERE at >= $1 AND at < $2'$$),
	(13, $$'r', '{e}', '{at}', 'SELECT 1 AS bucket FROM e WHERE at >= $1 AND at < $2'$$),
	(14, $$'r', '{e}', '{at}', 'SELECT FROM e WHERE at >= $1 AND at < $2'$$),
	(15, $$'r', '{e}', '{at}', 'SELECT e FROM no_such_table e WHERE $1 < $2'$$),
	(16, $$'r', '{e}', '{no_column}', 'SELECT 1 AS a FROM e WHERE at >= $1 AND at < $2'$$),
	(17, $$'r', '{e}', '{local}', 'SELECT 1 AS a FROM e WHERE local >= $1 AND local < $2'$$),
	(18, $$'r', '{e,e}', '{at,day}', 'SELECT 1 AS a FROM e WHERE at >= $1 AND at < $2'$$),
	(19, $$'r', '{e}', '{at,day}', 'SELECT 1 AS a FROM e WHERE at >= $1 AND at < $2'$$),
	(20, $$'r', '{}', '{}', 'SELECT 1 AS a FROM e WHERE at >= $1 AND at < $2'$$),
	(21, $$'r', '{NULL}', '{at}', 'SELECT 1 AS a FROM e WHERE at >= $1 AND at < $2'$$),
	(22, $$'r', '{v}', '{at}', 'SELECT count(*) AS n FROM v WHERE at >= $1 AND at < $2'$$),
	(23, $$'r', '{parent}', '{at}', 'SELECT count(*) AS n FROM parent WHERE at >= $1 AND at < $2'$$),
	(24, $$'r', '{u}', '{at}', 'SELECT count(*) AS n FROM u WHERE at >= $1 AND at < $2'$$),
	(25, $$'r', '{t}', '{at}', 'SELECT count(*) AS n FROM t WHERE at >= $1 AND at < $2'$$),
	(26, $$'r', '{p}', '{at}', 'SELECT count(*) AS n FROM p WHERE at >= $1 AND at < $2'$$),
	(27, $$'r', '{e}', '{at}', 'SELECT 1 AS a FROM e WHERE at >= $1 AND at < $2', time_zone => 'Europe/Atlantis'$$),
	(28, $$'r', '{e}', '{at}', 'SELECT 1 AS a FROM e WHERE at >= $1 AND at < $2', key => '{b}'$$),
	(29, $$'r', '{e}', '{at}', 'SELECT 1 AS a FROM e WHERE at >= $1 AND at < $2', on_refresh => 'f'$$),
	(30, $$'r', '{e}', '{at}'$$),
	(31, $$'no_table', '{e}', '{at}', on_refresh => 'pg_catalog.now'$$),
	(32, $$'e', '{e}', '{at}', 'SELECT 1 AS v FROM e WHERE at >= $1 AND at < $2', bucket_column => 'day'$$),
	(33, $$'parent', '{e}', '{at}', 'SELECT 1 AS v FROM e WHERE at >= $1 AND at < $2'$$),
	(34, $$'v', '{e}', '{at}', 'SELECT 1 AS v FROM e WHERE at >= $1 AND at < $2'$$),
	(35, $$'no_schema.r', '{e}', '{at}', 'SELECT 1 AS v FROM e WHERE at >= $1 AND at < $2'$$),
	(36, $$'r"r', '{e}', '{at}', 'SELECT 1 AS v FROM e WHERE at >= $1 AND at < $2'$$),
	(37, $$repeat('r', 58), '{e}', '{at}', 'SELECT 1 AS v FROM e WHERE at >= $1 AND at < $2'$$),
	(38, $$NULL, '{e}', '{at}', 'SELECT 1 AS v FROM e WHERE at >= $1 AND at < $2'$$),
	(39, $$'r', '{e}', '{at}', 'SELECT 1 AS v FROM e WHERE at >= $1 AND at < $2', bucket => NULL$$),
	(40, $$'r', '{e}', '{at}', 'SELECT count(*) AS n, max(v) FILTER (WHERE at < $2) AS "Größe ""x""" FROM e WHERE at >= $1 -- no newline'$$)
) c(n, args) ORDER BY n;
INSERT INTO e VALUES ('2024-01-01 12:00 UTC', NULL, NULL, 3);
CALL rollup_refresh('r');
TABLE r_live;
SELECT fails($$'r', '{e}', '{at}', 'SELECT count(*) AS n, 1 AS "Größe ""x""" FROM e WHERE at >= $1 AND at < $2'$$);
-- a table whose columns are of other types, and a circle of rollups
CREATE TABLE x (bucket date, n int); CREATE TABLE y (bucket date, n bigint); CREATE TABLE z (bucket timestamptz, n bigint);
SELECT fails($$'x', '{e}', '{at}', 'SELECT count(*) AS n FROM e WHERE at >= $1 AND at < $2'$$);
SELECT fails($$'z', '{e}', '{at}', 'SELECT count(*) AS n FROM e WHERE at >= $1 AND at < $2'$$);
SELECT fails($$'y', '{x}', '{bucket}', 'SELECT count(*) AS n FROM x WHERE bucket >= $1 AND bucket < $2'$$);
SELECT fails($$'x', '{y}', '{bucket}', 'SELECT count(*)::int AS n FROM y WHERE bucket >= $1 AND bucket < $2'$$);

-- what is no rollup, and calls in the wrong place
CALL rollup_refresh('e');
CALL rollup_rebuild('e');
CALL rollup_refresh(NULL);
CALL refresh_model(NULL);
SELECT rollup_drop('e');
SELECT rollup_retain('e', '2024-01-01');
SELECT rollup_retain('r', 'infinity');
CALL refresh_model('no_such_schema');
BEGIN; CALL rollup_refresh('r'); ROLLBACK;
BEGIN; CALL rollup_rebuild('r'); ROLLBACK;
DO $$ BEGIN EXECUTE 'CALL ecomsocial.rollup_refresh(''refuse.r'')'; END $$;
SELECT rollup_trigger();
SELECT rollup_note(-1, now());
SELECT rollup_day('2024-01-01 UTC', 'Europe/Atlantis');
SELECT rollup_bucket('2024-01-01', 'day', 2);
SELECT rollup_detach('p', '2024-01-01');
SELECT partitions_ahead('e', 'day');
SELECT partitions_ahead('p', 'day', -1);
SELECT partitions_ahead('p', 'day', 1, 'Europe/Atlantis');
-- a note of nobody's day does no harm
SELECT rollup_note(capture, '2024-05-01 UTC'::timestamptz) FROM rollup_capture WHERE source = 'e'::regclass;
CALL rollup_refresh('r');
SELECT count(*) FROM r WHERE bucket = '2024-05-01';
-- nobody changes a row; the restore of a dump enters those of relations that its role owns
SELECT t, has_table_privilege('public', t, 'UPDATE, DELETE, TRUNCATE') AS changes, has_table_privilege('public', t, 'INSERT') AS enters
FROM unnest('{rollups,rollup_capture,rollup_log,rollup_pending,rollup_leaf}'::regclass[]) t;

-- rows that no restore would enter
INSERT INTO rollups (target, captures, bucket, time_zone, bucket_column, query_function) VALUES ('e', '{}', 'day', 'UTC', 'day', 'now');
INSERT INTO rollups (target, captures, bucket, time_zone, bucket_column, query_function) VALUES ('e', '{NULL}', 'day', 'UTC', 'day', 'now');
INSERT INTO rollups (target, captures, bucket, time_zone, bucket_column, query_function) VALUES ('e', '{-1}', 'day', 'UTC', 'day', 'now');
CALL rollup_refresh('e');
INSERT INTO rollup_capture VALUES (-1, 'e', 'v', 'nowhere');
CALL rollup_refresh('e');
UPDATE rollup_capture SET time_zone = '' WHERE capture = -1;
CALL rollup_refresh('e');
DELETE FROM rollups WHERE target = 'e'::regclass;
DELETE FROM rollup_capture WHERE capture = -1;

-- Rights. A role with INSERT alone writes; the log is not its own.
CREATE ROLE ecs_rollup_owner; CREATE ROLE ecs_rollup_writer; CREATE ROLE ecs_rollup_other;
GRANT USAGE ON SCHEMA refuse TO PUBLIC; GRANT CREATE ON SCHEMA refuse TO ecs_rollup_owner, ecs_rollup_other;
SET ROLE ecs_rollup_owner;
CREATE TABLE own (at timestamptz, who text);
GRANT INSERT ON own TO ecs_rollup_writer;
GRANT SELECT ON own TO ecs_rollup_other;
SELECT rollup_create('own_daily', '{own}', '{at}', 'SELECT count(*) AS n FROM own WHERE at >= $1 AND at < $2 HAVING count(*) > 0');
CALL rollup_refresh('own_daily');
SET ROLE ecs_rollup_writer;
INSERT INTO own VALUES ('2024-01-01 12:00 UTC', 'x'), ('2024-01-02 12:00 UTC', 'y');
INSERT INTO rollup_log VALUES (1, now());
CALL rollup_refresh('own_daily');
SET ROLE ecs_rollup_other;
SELECT rollup_create('stolen', '{own}', '{at}', 'SELECT count(*) AS n FROM own WHERE at >= $1 AND at < $2');
SELECT rollup_drop('own_daily');
SELECT rollup_retain('own_daily', '2024-01-01');
-- row security does not shrink a bucket: not the owner's, for whom it is off
SET ROLE ecs_rollup_owner;
ALTER TABLE own ENABLE ROW LEVEL SECURITY;
CREATE POLICY only_x ON own USING (who = 'x');
CALL rollup_refresh('own_daily');
SELECT * FROM own_daily ORDER BY 1;
-- forced upon the owner, it is an error, not a smaller number
ALTER TABLE own FORCE ROW LEVEL SECURITY;
RESET ROLE;
INSERT INTO own VALUES ('2024-01-02 13:00 UTC', 'z');
\set VERBOSITY terse
CALL rollup_refresh('own_daily');
SELECT pending FROM rollup_status() WHERE target = 'own_daily'::regclass;
ALTER TABLE own NO FORCE ROW LEVEL SECURITY;

-- A refresh by a superuser runs the owner's functions as the owner, and lets them not become another.
SET ROLE ecs_rollup_owner;
CREATE TABLE seen (who name, row_security text, zone text, path text);
CREATE FUNCTION peek() RETURNS int LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN CASE WHEN current_user = 'ecs_rollup_owner' AND current_setting('row_security') = 'off'
		AND current_setting('TimeZone') = 'Europe/London' AND current_setting('search_path') = 'pg_catalog, pg_temp' THEN 1 ELSE 0 END;
END $$;
SELECT rollup_create('peeks', '{own}', '{at}', 'SELECT min(peek()) AS right FROM own WHERE at >= $1 AND at < $2', time_zone => 'Europe/London');
CREATE TABLE tries (tried text);
CREATE FUNCTION try_more(days date[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	statement text;
BEGIN
	FOREACH statement IN ARRAY ARRAY['SET ROLE postgres', 'RESET ROLE', 'SET SESSION AUTHORIZATION DEFAULT', 'CREATE TEMP TABLE trap (x int)', 'COPY refuse.tries TO PROGRAM ''true'''] LOOP
		BEGIN
			EXECUTE statement;
			INSERT INTO refuse.tries VALUES (statement || ': done as ' || current_user);
		EXCEPTION WHEN OTHERS THEN
			INSERT INTO refuse.tries VALUES (statement || ': ' || SQLSTATE || ' as ' || current_user);
		END;
	END LOOP;
END $$;
SELECT rollup_create('tries', '{own}', '{at}', on_refresh => 'try_more', time_zone => 'Europe/London');
RESET ROLE;
CALL rollup_refresh('peeks');
SELECT DISTINCT "right" FROM peeks;
CALL rollup_refresh('tries');
TABLE tries;
SELECT current_user = session_user AS myself_again, current_setting('row_security') AS row_security;
-- a deferred trigger would run at COMMIT as the caller: it is refused
SET ROLE ecs_rollup_owner;
CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO refuse.tries VALUES ('late as ' || current_user); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON own_daily DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late();
RESET ROLE;
CALL rollup_refresh('own_daily');
SELECT count(*) FROM tries WHERE tried LIKE 'late%';
DROP TRIGGER late ON own_daily;
-- partitions that a superuser's job makes are the owner's, and what the owner put in their way runs as the owner
SET ROLE ecs_rollup_owner;
CREATE TABLE parted (at timestamptz, v int, twice int GENERATED ALWAYS AS (v * 2) STORED) PARTITION BY RANGE (at);
CREATE TABLE parted_rest PARTITION OF parted DEFAULT;
CREATE FUNCTION moving() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	BEGIN
		SET ROLE postgres;
	EXCEPTION WHEN OTHERS THEN
		INSERT INTO refuse.tries VALUES ('moving: ' || SQLSTATE || ' as ' || current_user);
	END;
	RETURN OLD;
END $$;
CREATE TRIGGER moving BEFORE DELETE ON parted_rest FOR EACH ROW EXECUTE FUNCTION moving();
INSERT INTO parted VALUES ('2024-05-05 12:00 UTC', 1);
RESET ROLE;
SELECT partitions_ahead('parted', 'month', 0, 'UTC', '2024-05-01 UTC');
SELECT parted.tableoid::regclass, relowner::regrole, v, twice FROM parted JOIN pg_class c ON c.oid = parted.tableoid;
SELECT tried FROM tries WHERE tried LIKE 'moving%';
SET ROLE ecs_rollup_other;
SELECT partitions_ahead('parted', 'month', 1, 'UTC', '2024-05-01 UTC');
SELECT run_as_owner('parted', 'DROP TABLE refuse.parted');
RESET ROLE;
-- a query that belongs to somebody else is not run as the owner
ALTER FUNCTION own_daily_query(timestamptz, timestamptz) OWNER TO ecs_rollup_other;
CALL rollup_refresh('own_daily');
ALTER FUNCTION own_daily_query(timestamptz, timestamptz) OWNER TO ecs_rollup_owner;
CALL rollup_refresh('own_daily');
SELECT * FROM own_daily ORDER BY 1;

-- DROP EXTENSION takes no row, and does not stop the transaction that wrote before
BEGIN;
INSERT INTO own VALUES ('2024-01-02 13:00 UTC', 'z');
DROP EXTENSION ecomsocial CASCADE;
COMMIT;
SELECT (SELECT count(*) FROM own) AS events, (SELECT count(*) FROM own_daily) AS buckets;
INSERT INTO own VALUES ('2024-01-02 13:00 UTC', 'z');
-- a backend that knew the old registry learns the new one
CREATE EXTENSION ecomsocial;
SELECT rollup_create('again', '{own}', '{at}', 'SELECT count(*) AS n FROM own WHERE at >= $1 AND at < $2 HAVING count(*) > 0', time_zone => 'Asia/Tokyo');
CALL rollup_refresh('again');
INSERT INTO own VALUES ('2024-01-02 22:00 UTC', 'z');
CALL rollup_refresh('again');
SELECT * FROM again ORDER BY 1;
-- nor does the end of its schema
BEGIN;
INSERT INTO own VALUES ('2024-01-03 22:00 UTC', 'z');
DROP SCHEMA ecomsocial CASCADE;
COMMIT;
SELECT max(at) FROM own;
CREATE EXTENSION ecomsocial;
DROP SCHEMA refuse CASCADE;
CALL refresh_model('public');
DROP ROLE ecs_rollup_owner, ecs_rollup_writer, ecs_rollup_other;
\c :suite
DROP DATABASE rollup_errors;
