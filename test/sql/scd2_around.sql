-- scd2: what stands around a versioned table, and what is done to it: triggers
-- of the user's, foreign keys, cursors, COPY FREEZE, changes of the schema.
SET client_min_messages = warning;
CREATE SCHEMA around;
SET search_path = around, public, ecomsocial;

CREATE FUNCTION refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE state text; message text; hint text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' ', state, regexp_replace(message, 'OID \d+', 'OID N'), CASE WHEN hint <> '' THEN '(' || hint || ')' END);
END $$;
-- the versions of each key, oldest first; "+" where one begins as the one before ends
CREATE FUNCTION story(rel regclass) RETURNS TABLE (k bigint, versions text) LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format('SELECT k::bigint, string_agg(joined || a || CASE WHEN is_current THEN '''' ELSE ''.'' END, '' '' ORDER BY valid_to) FROM (
		SELECT *, CASE WHEN lag(valid_to) OVER (PARTITION BY k ORDER BY valid_to) = valid_from THEN ''+'' ELSE '''' END AS joined FROM %s) v GROUP BY k ORDER BY k', rel);
END $$;

-- AFTER ROW triggers that write the same table run before ours are through: still one version a transaction.
CREATE TABLE echo (k int PRIMARY KEY, a text, n int DEFAULT 0);
CREATE TABLE plain (k int PRIMARY KEY, a text);
SELECT scd2_enable('echo', '{k}', overwrite => '{n}'), scd2_enable('plain', '{k}');
CREATE FUNCTION echo() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.a LIKE 'gone%' THEN
		EXECUTE format('DELETE FROM %s WHERE k = $1 AND is_current', TG_RELID::regclass) USING NEW.k;
	ELSIF NEW.a LIKE 'no%' AND TG_OP = 'UPDATE' THEN
		EXECUTE format('UPDATE %s SET a = $2 WHERE k = $1 AND is_current', TG_RELID::regclass) USING NEW.k, OLD.a;
	ELSIF NEW.a NOT LIKE '%!' THEN
		EXECUTE format('UPDATE %s SET a = a || ''!'' WHERE k = $1 AND is_current', TG_RELID::regclass) USING NEW.k;
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER echo AFTER INSERT OR UPDATE ON echo FOR EACH ROW WHEN (NEW.is_current) EXECUTE FUNCTION echo();
CREATE TRIGGER echo AFTER INSERT OR UPDATE ON plain FOR EACH ROW WHEN (NEW.is_current) EXECUTE FUNCTION echo();
INSERT INTO echo (k, a) VALUES (1, 'a'), (2, 'a'), (3, 'gone');
UPDATE echo_current SET a = 'b';
SELECT scd2_upsert('echo', '{"k": 1, "a": "c"}'), scd2_upsert('echo', '{"k": 4, "a": "c"}'), scd2_upsert('plain', '{"k": 1, "a": "c"}');
SELECT inserted, changed FROM scd2_merge('echo', 'SELECT k, ''d'' AS a FROM generate_series(4, 6) k');
SELECT * FROM story('echo') UNION ALL SELECT * FROM story('plain');
-- what the trigger takes back leaves nothing
UPDATE echo_current SET a = 'no' WHERE k < 3;
SELECT scd2_upsert('echo', '{"k": 4, "a": "no"}');
UPDATE echo_current SET a = 'gone' WHERE k = 5;
SELECT scd2_upsert('echo', '{"k": 6, "a": "gone"}');
INSERT INTO echo (k, a) VALUES (5, 'e'), (1, 'f') ON CONFLICT (k, valid_to) DO UPDATE SET a = EXCLUDED.a;
SELECT * FROM story('echo');
SELECT * FROM scd2_validate('echo');
-- an INSERT that meets a row is no claim to it: a version of another transaction is kept, also one that begins at the same moment
INSERT INTO plain (k, a, valid_from) VALUES (2, 'a!', '2024-01-01');
INSERT INTO plain (k, a, valid_from) VALUES (2, 'b!', '2024-01-01') ON CONFLICT (k, valid_to) DO UPDATE SET a = EXCLUDED.a;
-- nor is one that a savepoint took back
BEGIN;
SAVEPOINT s;
INSERT INTO plain (k, a) VALUES (3, 'a');
ROLLBACK TO s;
INSERT INTO plain (k, a) VALUES (3, 'b');
COMMIT;
SELECT refusal('INSERT INTO plain (k, a) VALUES (NULL, ''a'')');
SELECT * FROM story('plain');
SELECT * FROM scd2_validate('plain');

-- Many copies at once are rows like others: generated columns, toast, checks, constraints, row triggers, foreign keys.
CREATE EXTENSION btree_gist;
CREATE EXTENSION amcheck;
CREATE TABLE many (k int PRIMARY KEY, a text, long text, n int, twice int GENERATED ALWAYS AS (n * 2) STORED, home regclass GENERATED ALWAYS AS (tableoid) STORED,
	valid_from timestamptz, valid_to timestamptz, CHECK (tableoid = 'many'::regclass), CHECK (n <> 13 OR valid_to = 'infinity'),
	EXCLUDE USING gist (k WITH =, tstzrange(valid_from, valid_to) WITH &&));
SELECT scd2_enable('many', '{k}', overwrite => '{n}');
ALTER TABLE many ALTER long SET STORAGE EXTERNAL;
CREATE TABLE copied (k int, twice int);
CREATE FUNCTION copied() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO copied VALUES (NEW.k, NEW.twice); RETURN NULL; END $$;
CREATE TRIGGER copied AFTER INSERT ON many FOR EACH ROW WHEN (NOT NEW.is_current) EXECUTE FUNCTION copied();
INSERT INTO many (k, a, long, n) SELECT i, 'a', CASE WHEN i % 100 = 0 THEN repeat(i::text, 2000) END, i FROM generate_series(1, 3000) i WHERE i <> 13;
UPDATE many SET a = 'b', n = n + 1 WHERE is_current;
SELECT count(*), count(DISTINCT k), sum(twice), sum(length(long)), count(*) FILTER (WHERE home = 'many'::regclass) FROM many WHERE NOT is_current;
SELECT count(*), sum(twice) FROM copied;
-- one bad copy, and none is written
SELECT refusal('UPDATE many SET a = ''c'' WHERE is_current');
UPDATE many SET n = n + 10000 WHERE is_current;
SELECT changed FROM scd2_merge('many', 'SELECT k, ''c'' AS a FROM generate_series(1000, 2500) k');
SELECT scd2_upsert('many', '{"k": 1, "a": "c"}');
SELECT count(*), sum(twice) FROM many;
SELECT count(*) FROM scd2_validate('many');
SELECT bt_index_check(indexrelid, true) FROM pg_index WHERE indrelid = 'many'::regclass AND indisprimary;

-- Generated columns, virtual where the server has them
DO $$
BEGIN
	EXECUTE format('CREATE TABLE computed (k int PRIMARY KEY, a text, n int, twice int GENERATED ALWAYS AS (n * 2) %s, CHECK (twice < 100))',
		CASE WHEN current_setting('server_version_num')::int >= 180000 THEN 'VIRTUAL' ELSE 'STORED' END);
END $$;
SELECT scd2_enable('computed', '{k}', out_of_order => true);
INSERT INTO computed (k, a, n) SELECT k, 'a', k FROM generate_series(1, 4) k;
UPDATE computed_current SET n = n + 1, a = 'b';
SELECT scd2_upsert('computed', '{"k": 1, "a": "c", "n": 10, "twice": 7}');
SELECT changed FROM scd2_merge('computed', 'SELECT k, ''d'' AS a, k * 5 AS n FROM generate_series(1, 3) k');
SELECT scd2_upsert('computed', '{"k": 2, "a": "z", "n": 3}', '2024-01-01'), scd2_upsert('computed', '{"k": 2, "a": "y", "n": 4}', '2024-02-01'),
	scd2_upsert('computed', '{"k": 2, "a": "x", "n": 5}', '2024-01-15');
DELETE FROM computed_current WHERE k = 4;
SELECT k, string_agg(a || twice, ' ' ORDER BY valid_to) FROM computed GROUP BY k ORDER BY k;
SELECT "row" ->> 'twice' AS twice FROM scd2_history('computed', '{"k": 1}');
SELECT refusal('UPDATE computed_current SET n = 60'), refusal('SELECT scd2_upsert(''computed'', ''{"k": 3, "n": 60}'')');
SELECT * FROM scd2_validate('computed');

-- The hub as the target of keys: the rows are there before the versions of a merge, so a tree can be merged whole; after a plain
-- INSERT they are there when the statement is through, for keys that are checked later.
CREATE TABLE tree (k int PRIMARY KEY, a text, up int);
SELECT scd2_enable('tree', '{k}');
ALTER TABLE tree ADD FOREIGN KEY (up) REFERENCES tree_hub;
SELECT inserted FROM scd2_merge('tree', 'SELECT k, ''a'' AS a, least(k + 1, 10) AS up FROM generate_series(1, 10) k');
SELECT inserted FROM scd2_merge('tree', 'SELECT k, ''a'' AS a, least(k + 1, 20) AS up FROM generate_series(11, 20) k', effective_at => '2024-01-01');
SELECT inserted, unchanged FROM scd2_merge('tree', 'SELECT k, ''a'' AS a, least(k + 1, 30) AS up, d AS valid_from FROM generate_series(21, 30) k, unnest(''{2024-01-01,2024-01-02}''::timestamptz[]) d');
SELECT scd2_upsert('tree', '{"k": 31, "a": "a", "up": 31}');
CREATE TABLE visit (k int REFERENCES tree_hub DEFERRABLE INITIALLY DEFERRED);
SELECT refusal('INSERT INTO tree (k, up) VALUES (40, 40)');
ALTER TABLE tree DROP CONSTRAINT tree_up_fkey, ADD FOREIGN KEY (up) REFERENCES tree_hub DEFERRABLE INITIALLY DEFERRED;
WITH new AS (INSERT INTO tree (k, up) VALUES (40, 41), (41, 40) RETURNING k) INSERT INTO visit SELECT k FROM new;
SELECT count(*) FROM visit;
SELECT * FROM scd2_validate('tree');

-- Foreign keys of the versions: what history refers to stays.  A cascade is an error, and scd2_enable says so.
CREATE TABLE category (id int PRIMARY KEY);
INSERT INTO category SELECT generate_series(1, 4);
CREATE TABLE good (k int PRIMARY KEY, a int REFERENCES category ON UPDATE CASCADE ON DELETE SET NULL);
SET client_min_messages = notice;
SELECT scd2_enable('good', '{k}');
SET client_min_messages = warning;
INSERT INTO good (k, a) VALUES (1, 1), (2, 2);
SELECT refusal('UPDATE category SET id = 11 WHERE id = 1'), refusal('DELETE FROM category WHERE id = 2'), refusal('DELETE FROM category WHERE id = 3');
SELECT * FROM story('good');

-- Cursors
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM plain WHERE is_current ORDER BY k FOR UPDATE;
MOVE 1 FROM c;
UPDATE plain SET a = 'cursor!' WHERE CURRENT OF c;
MOVE 1 FROM c;
DELETE FROM plain WHERE CURRENT OF c;
COMMIT;
SELECT * FROM story('plain');

-- COPY FREEZE, in the transaction that emptied the table
BEGIN;
TRUNCATE plain;
COPY plain (k, a) FROM stdin WITH (FREEZE);
1	a!
2	a!
\.
UPDATE plain SET a = 'b!' WHERE k = 1 AND is_current;
COMMIT;
UPDATE plain SET a = 'c!' WHERE is_current;
SELECT * FROM story('plain');
SELECT * FROM scd2_validate('plain');

-- Rows of the hub, the hub, and what is remembered: gone, and made anew.
CREATE TABLE lost (k int PRIMARY KEY, a text, b text, seq int, u timestamptz, n int);
SELECT scd2_enable('lost', '{k}', overwrite => '{n}', fixed => '{b}', sequence_by => 'seq', updated_at => 'u', out_of_order => true);
SELECT scd2_upsert('lost', jsonb_build_object('k', k, 'a', 'a'), '2024-01-01') FROM generate_series(1, 3) k;
DELETE FROM lost_hub WHERE k = 1;
SELECT problem, key FROM scd2_validate('lost');
SELECT scd2_refresh('lost');
SELECT * FROM scd2_validate('lost');
DROP TABLE lost_hub;
SELECT refusal(s) FROM unnest(ARRAY['UPDATE lost SET a = ''b'' WHERE is_current', 'SELECT scd2_upsert(''lost'', ''{"k": 1}'')',
	'SELECT scd2_validate(''lost'')', 'SELECT scd2_forget(''lost'', ''{"k": 1}'')']) s;
DROP TABLE lost_events;
SELECT scd2_refresh('lost');
SELECT scd2_upsert('lost', '{"k": 1, "a": "z"}', '2023-01-01'), (SELECT count(*) FROM lost_hub) AS hub;
-- views and functions
DROP VIEW lost_current;
DROP FUNCTION lost_as_of(timestamptz);
SELECT scd2_refresh('lost');
SELECT (SELECT count(*) FROM lost_current), (SELECT count(*) FROM lost_as_of(now()));

-- Columns that have a role: dropped, every function says so
DROP VIEW lost_current, lost_as_of;
CREATE FUNCTION without(col name, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
	EXECUTE format('ALTER TABLE lost DROP COLUMN %I CASCADE', col);
	result := refusal(statement);
	RAISE EXCEPTION USING ERRCODE = 'ZZZZZ', MESSAGE = result;
EXCEPTION WHEN SQLSTATE 'ZZZZZ' THEN
	RETURN SQLERRM;
END $$;
SELECT c AS "column", count(*) AS told, min(without(c, s)) AS first FROM unnest('{n,b,seq,u,k,valid_from}'::name[]) c,
	unnest('{UPDATE lost SET a = a,SELECT scd2_merge(''lost''\, ''SELECT 1 AS k''),SELECT scd2_validate(''lost''),SELECT scd2_refresh(''lost'')}'::text[]) s
WHERE without(c, s) ~ ('42703 versioned table .*lost"? has no column "?' || c) GROUP BY c ORDER BY c;

-- The type of the key, and the name and schema of the table: scd2_refresh brings what belongs to it along
ALTER TABLE lost ALTER k TYPE bigint;
SELECT scd2_refresh('lost');
INSERT INTO lost (k, a) VALUES (5000000000, 'big');
SELECT scd2_upsert('lost', '{"k": 5000000000, "a": "late"}', '2024-01-01');
SELECT p.oid::regprocedure FROM pg_proc p WHERE proname LIKE 'lost%' ORDER BY 1;
CREATE SCHEMA around_elsewhere;
ALTER TABLE lost RENAME TO found;
ALTER TABLE found SET SCHEMA around_elsewhere;
UPDATE around_elsewhere.found SET a = 'moved' WHERE k = 5000000000 AND is_current;
SELECT count(*) FROM lost_current WHERE a = 'moved';
SELECT scd2_refresh('around_elsewhere.found');
SELECT p.oid::regprocedure FROM pg_proc p WHERE proname ~ '^(lost|found)_' ORDER BY 1;
SELECT a FROM around_elsewhere.found_as_of(now(), 5000000000);
SELECT * FROM scd2_validate('around_elsewhere.found');
-- a function that fits no more but is in use stays
CREATE VIEW use AS SELECT * FROM around_elsewhere.found_as_of(now());
ALTER TABLE around_elsewhere.found RENAME TO again;
SELECT scd2_refresh('around_elsewhere.again');
SELECT p.oid::regprocedure FROM pg_proc p WHERE proname ~ '^(found|again)_' ORDER BY 1;

-- Rights: a policy for each command, and a function with its owner's rights
CREATE ROLE scd2_keeper;
CREATE ROLE scd2_guest;
GRANT CREATE, USAGE ON SCHEMA around TO scd2_keeper;
GRANT USAGE ON SCHEMA around TO scd2_guest;
SET ROLE scd2_keeper;
CREATE TABLE kept (k int PRIMARY KEY, a text, owner text DEFAULT current_user);
SELECT scd2_enable('kept', '{k}');
GRANT SELECT, INSERT, UPDATE, DELETE ON kept TO scd2_guest;
ALTER TABLE kept ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY r ON kept FOR SELECT USING (true);
CREATE POLICY i ON kept FOR INSERT WITH CHECK (a <> 'forbidden' AND is_current);
CREATE POLICY u ON kept FOR UPDATE USING (owner = current_user) WITH CHECK (a <> 'forbidden');
CREATE POLICY d ON kept FOR DELETE USING (a = 'done');
CREATE FUNCTION done(key int) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$ UPDATE around.kept_current SET a = 'done' WHERE k = key $$;
INSERT INTO kept (k, a) VALUES (1, 'a');
UPDATE kept_current SET a = 'b';
DELETE FROM kept_current;
SELECT refusal('UPDATE kept_current SET a = ''forbidden'''), refusal('INSERT INTO kept (k, a) VALUES (2, ''forbidden'')');
SET ROLE scd2_guest;
UPDATE kept_current SET a = 'theirs';
INSERT INTO kept_current (k, a) VALUES (2, 'a');
UPDATE kept_current SET a = 'mine';
SELECT done(1), done(2);
DELETE FROM kept_current;
INSERT INTO kept_current (k, a) VALUES (1, 'back');
SELECT refusal('SELECT * FROM kept_hub');
SELECT * FROM story('kept');
RESET ROLE;
SELECT * FROM scd2_validate('kept');
DROP OWNED BY scd2_keeper, scd2_guest CASCADE;
DROP ROLE scd2_keeper, scd2_guest;
