-- What writes does not do so in a transaction that is read only, whichever way
-- it writes: by statements, by the executor or straight into a table.
SET client_min_messages = warning;
CREATE SCHEMA sealed;
SET search_path = sealed, ecomsocial;
CREATE TABLE item (k int PRIMARY KEY, v text, at timestamptz);
CREATE TABLE event (at timestamptz);
CREATE TYPE one AS (k int);
SELECT scd2_enable('item', '{k}');
INSERT INTO item VALUES (1, 'a');
SELECT rollup_create('by_day', '{event}', '{at}', 'SELECT count(*) AS n FROM event WHERE at >= $1 AND at < $2');
SELECT capture FROM rollup_capture WHERE source = 'event'::regclass \gset

CREATE FUNCTION refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;

BEGIN READ ONLY;
SELECT statement, refusal(statement) FROM unnest(ARRAY[
	$$SELECT scd2_upsert('item', '{"k": 1, "v": "b"}')$$,
	$$SELECT scd2_upsert('item', '{"k": 2}')$$,
	$$SELECT scd2_upsert_row('item', ROW(1)::one)$$,
	$$SELECT scd2_close('item', '{"k": 1}')$$,
	$$SELECT scd2_merge('item', 'SELECT 1 AS k, ''b'' AS v')$$,
	$$SELECT scd2_merge('item', 'SELECT 2 AS k')$$,
	$$SELECT scd2_forget('item', '{"k": 1}')$$,
	$$SELECT scd2_prune('item', now())$$,
	$$SELECT scd2_refresh('item')$$,
	$$SELECT scd2_disable('item')$$,
	$$SELECT scd2_enable('event', '{at}')$$,
	$$SELECT rollup_create('more', '{event}', '{at}', 'SELECT count(*) AS n FROM event WHERE at >= $1 AND at < $2')$$,
	$$SELECT rollup_retain('by_day', NULL)$$,
	$$SELECT rollup_drop('by_day')$$,
	$$SELECT model_register('item', 'social', 'UTC', '{}')$$,
	$$SELECT create_social('sealed_model')$$]) statement;
SELECT refusal(format('SELECT rollup_note(%s, now())', :capture)), refusal(format('SELECT rollup_note(%s, current_date)', :capture));
COMMIT;
SELECT k, v FROM item;
SELECT count(*) FROM rollup_log WHERE capture = :capture;
DROP SCHEMA sealed CASCADE;
