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

\c :suite
DROP DATABASE scd2_values;
