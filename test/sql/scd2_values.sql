-- scd2: values on their way into a table: no key, lengths, composite types, a
-- time that is none, and an equality that moves.
SELECT current_database() AS suite \gset
CREATE DATABASE scd2_values;
\c scd2_values
SET client_min_messages = warning;
CREATE EXTENSION ecomsocial;
SET search_path = public, ecomsocial;

CREATE FUNCTION refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE state text; message text; hint text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' ', state, message, CASE WHEN hint <> '' THEN '(' || hint || ')' END);
END $$;

-- A row without a key is the primary key's to refuse, whatever else is wrong with it.
CREATE TABLE keyed (k text NOT NULL, v text);
SELECT scd2_enable('keyed', '{k}');
SELECT refusal($$INSERT INTO keyed (k, valid_from) VALUES (NULL, '2999-01-01')$$),
	refusal($$INSERT INTO keyed (k, valid_to) VALUES (NULL, '2020-01-01')$$);

-- Values are assigned: what is too long is refused, and never cut, whichever way it comes.
CREATE DOMAIN short AS varchar(3);
CREATE TABLE limited (k int PRIMARY KEY, v varchar(3), c char(3), s short, n numeric(4,2), b bit varying(2), e text);
CREATE TABLE listed (k int PRIMARY KEY, a varchar(3)[]);
CREATE TYPE looser AS (k int, v varchar, c bpchar, n numeric);
SELECT scd2_enable(t, '{k}') FROM unnest('{limited,listed}'::regclass[]) t;
INSERT INTO limited VALUES (1, 'abc', 'abc', 'abc', 1.11, '11');
INSERT INTO listed VALUES (1, '{abc}');
SELECT what, refusal(format('SELECT scd2_merge(''limited'', $q$SELECT 1 AS k, %s$q$)', what)) FROM unnest(ARRAY[
	$$'abcd' AS v$$, $$'abcd'::text AS c$$, $$'abcd' AS s$$, $$111.1 AS n$$, $$B'111' AS b$$]) what;
SELECT refusal($$SELECT scd2_merge('listed', 'SELECT 1 AS k, ''{abcd}''::text[] AS a')$$);
SELECT what, refusal(format('SELECT scd2_upsert_row(''limited'', ROW(1, %s)::looser)', what)) FROM unnest(ARRAY[
	$$'abcd', NULL, NULL$$, $$NULL, 'abcd', NULL$$, $$NULL, NULL, 111.1$$]) what;
SELECT refusal($$SELECT scd2_upsert('limited', '{"k": 1, "v": "abcd"}')$$), refusal($$SELECT scd2_upsert('listed', '{"k": 1, "a": ["abcd"]}')$$);
SELECT scd2_merge('limited', $$SELECT 1 AS k, 'xy  ' AS v, 'x'::text AS c, 'xy' AS s, 2.345 AS n, B'1' AS b$$);
SELECT scd2_merge('listed', $$SELECT k, ARRAY['x'::text] AS a FROM generate_series(1, 2) k$$);
SELECT scd2_upsert_row('limited', ROW(2, 'v   ', 'c', 3.456)::looser);
SELECT k, v || '|' AS v, c || '|' AS c, pg_column_size(c), s, n, b FROM limited_current ORDER BY k;
SELECT k, a FROM listed_current ORDER BY k;
CREATE TYPE listed_looser AS (k int, a varchar[]);
SELECT refusal($$SELECT scd2_upsert_row('listed', ROW(1, '{abcd}')::listed_looser)$$);

-- A composite type that is altered: its new attribute is not lost.
CREATE TYPE place AS (street text);
CREATE TABLE located (k int PRIMARY KEY, at place, before place[]);
SELECT scd2_enable('located', '{k}');
SELECT scd2_upsert('located', '{"k": 1, "at": {"street": "a"}, "before": [{"street": "b"}]}');
ALTER TYPE place ADD ATTRIBUTE town text;
SELECT scd2_upsert('located', '{"k": 1, "at": {"street": "a", "town": "t"}}'), scd2_upsert('located', '{"k": 1, "before": [{"street": "b", "town": "t"}]}');
SELECT k, at, before FROM located_current;

-- A key that is spelled otherwise is the same key: one transaction makes one version.
CREATE TABLE spelled (n numeric PRIMARY KEY, v text);
SELECT scd2_enable('spelled', '{n}');
BEGIN;
INSERT INTO spelled VALUES (1.0, 'a');
UPDATE spelled SET n = 1.00, v = 'b' WHERE n = 1;
UPDATE spelled SET v = 'c' WHERE n = 1;
COMMIT;
SELECT n, v FROM spelled;

-- A column that there is not; a time that is none.
SELECT refusal($$SELECT scd2_upsert('keyed', '{"k": "a", "w": 1}')$$);
SELECT refusal($$SELECT scd2_upsert('keyed', '{"k": "a", "valid_from": "infinity"}')$$), refusal($$SELECT scd2_upsert('keyed', '{"k": "a", "valid_from": null}')$$);

-- Triggers on columns that the engine sets see that it does.
CREATE TABLE stamped (k int PRIMARY KEY, v text, updated_at timestamptz);
SELECT scd2_enable('stamped', '{k}', updated_at => 'updated_at');
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING '% to %', OLD.v, NEW.v; RETURN NULL; END $$;
CREATE TRIGGER tell AFTER UPDATE OF updated_at ON stamped FOR EACH ROW EXECUTE FUNCTION tell();
SELECT scd2_upsert('stamped', '{"k": 1, "v": "a"}', '2024-01-01'), scd2_upsert('stamped', '{"k": 1, "v": "b"}', '2024-02-01');

-- An equality that moves to another schema, behind a session that knows the table.
CREATE SCHEMA first;
CREATE SCHEMA second;
CREATE EXTENSION citext SCHEMA first;
CREATE TABLE moved (k first.citext PRIMARY KEY, v text);
SELECT scd2_enable('moved', '{k}');
INSERT INTO moved VALUES ('a', 'x');
SELECT changed FROM scd2_merge('moved', $$SELECT 'A' AS k, 'y' AS v$$);
ALTER EXTENSION citext SET SCHEMA second;
SELECT changed FROM scd2_merge('moved', $$SELECT 'A' AS k, 'z' AS v$$);
SELECT k, v FROM moved_current;

\c :suite
DROP DATABASE scd2_values;
