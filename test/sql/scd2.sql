-- scd2: a table laid out, plain DML, the functions, what is refused.
SET client_min_messages = warning;
SET search_path = public, ecomsocial;

-- what a statement raises: SQLSTATE and message
CREATE FUNCTION raises(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE state text; message text; hint text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' ', state, regexp_replace(message, '\d{4}-\d\d-\d\d \S+', 'TIME'), CASE WHEN hint <> '' THEN '(hint)' END);
END $$;

-- Layout: any column order, a composite key, and types of every kind.
CREATE DOMAIN short AS text CHECK (length(VALUE) < 20);
CREATE TABLE thing (
	name short,
	id bigint NOT NULL,
	tags text[],
	region text NOT NULL,
	doc json,
	length int GENERATED ALWAYS AS (length(name)) STORED,
	price numeric(10, 2),
	seen int,
	born timestamptz,
	number bigint GENERATED ALWAYS AS IDENTITY,
	updated_at timestamptz,
	PRIMARY KEY (id, region)
);
INSERT INTO thing (id, region, name, born) VALUES (1, 'eu', 'old', '2020-01-01');
SET client_min_messages = notice;
SELECT scd2_enable('thing', '{region,id}', overwrite => '{seen,number}', fixed => '{born}', updated_at => 'updated_at', created_at => 'born');
SET client_min_messages = warning;
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'thing'::regclass AND contype <> 'n' ORDER BY 1;
SELECT region, id, valid_from = born AS from_birth, valid_to, is_current FROM thing;
SELECT * FROM thing_hub;
SELECT key_columns, history_columns, overwrite_columns, fixed_columns FROM scd2_table WHERE rel = 'thing'::regclass;

-- "now" of the transaction is the start of a version, the next microsecond where it must be
CREATE VIEW line AS
SELECT id, region, name, tags, doc, length, price, seen, is_current, valid_from = lag(valid_to) OVER w AS joined
FROM thing WINDOW w AS (PARTITION BY region, id ORDER BY valid_to) ORDER BY region, id, valid_to;

UPDATE thing_current SET name = 'new', tags = '{a,b}', doc = '{"a": 1}' WHERE id = 1;
-- no version: nothing changes, or only columns that are overwritten or computed; the count is the statement's own
WITH u AS (UPDATE thing_current SET name = 'new', tags = '{a,b}', doc = '{"a": 1}' RETURNING *) SELECT count(*) FROM u;
UPDATE thing_current SET seen = 5, updated_at = now(), born = now(), price = NULL;
SELECT * FROM line;
SELECT count(DISTINCT born) FROM thing;
-- json has no equality: its image is compared
UPDATE thing_current SET doc = '{"a":  1}';
-- equal numbers are no change, whatever their image
UPDATE thing_current SET price = 5;
UPDATE thing_current SET price = 5.00;
SELECT * FROM line;
DELETE FROM thing_current WHERE id = 1;
SELECT count(*) AS versions, count(*) FILTER (WHERE is_current) AS current FROM thing;
INSERT INTO thing (id, region, name) VALUES (1, 'eu', 'back');
SELECT * FROM line;
SELECT * FROM scd2_validate('thing');

-- several changes in one transaction are one version
BEGIN;
UPDATE thing_current SET name = 'a';
UPDATE thing_current SET seen = 6;		-- sets xmin, so xmin would not tell whose version it is
UPDATE thing_current SET name = 'b';
SAVEPOINT s;
UPDATE thing_current SET name = 'c';
ROLLBACK TO s;
UPDATE thing_current SET name = 'd';
COMMIT;
SELECT name, is_current FROM line;
-- a change and its return leave nothing
BEGIN;
UPDATE thing_current SET name = 'x';
UPDATE thing_current SET name = 'd';
COMMIT;
-- a version begun in a savepoint that is rolled back is not mine afterwards
BEGIN;
SAVEPOINT s;
UPDATE thing_current SET name = 'x';
ROLLBACK TO s;
UPDATE thing_current SET name = 'e';
COMMIT;
-- nor is one that another transaction started, after a write in place
BEGIN;
UPDATE thing_current SET seen = 7;
UPDATE thing_current SET name = 'f';
COMMIT;
SELECT name, is_current, joined FROM line;
-- delete and insert again, delete what was inserted
BEGIN;
DELETE FROM thing_current;
INSERT INTO thing_current (id, region, name) VALUES (1, 'eu', 'g');
INSERT INTO thing_current (id, region, name) VALUES (2, 'eu', 'never');
DELETE FROM thing_current WHERE id = 2;
COMMIT;
SELECT name, is_current, joined FROM line;
SELECT * FROM scd2_validate('thing');

-- ON CONFLICT and MERGE, through the table and through the view
INSERT INTO thing (id, region, name) VALUES (1, 'eu', 'h'), (3, 'us', 'h') ON CONFLICT (region, id, valid_to) DO UPDATE SET name = EXCLUDED.name;
INSERT INTO thing_current (id, region, name) VALUES (1, 'eu', 'i') ON CONFLICT (region, id, valid_to) DO UPDATE SET name = EXCLUDED.name;
INSERT INTO thing_current (id, region, name) VALUES (1, 'eu', 'j') ON CONFLICT DO NOTHING;
MERGE INTO thing t USING (VALUES (1, 'eu', 'k'), (3, 'us', NULL), (4, 'us', 'k')) s (id, region, name)
ON t.id = s.id AND t.region = s.region AND t.is_current
WHEN MATCHED AND s.name IS NULL THEN DELETE WHEN MATCHED THEN UPDATE SET name = s.name
WHEN NOT MATCHED THEN INSERT (id, region, name) VALUES (s.id, s.region, s.name);
SELECT id, name, is_current FROM line WHERE name >= 'g';
COPY thing (id, region, name) FROM stdin;
5	us	copied
6	us	copied
\.
SELECT id, name, is_current FROM line WHERE id > 4;
SELECT * FROM scd2_validate('thing');

-- reading: one version at a time
SELECT pg_get_function_result('thing_as_of(timestamptz)'::regprocedure), pg_get_function_arguments('thing_as_of(timestamptz, text, bigint)'::regprocedure);
SELECT name FROM thing_as_of('2020-06-01') ORDER BY 1;
SELECT name FROM thing_as_of('2020-06-01', 'eu', 1);
SELECT count(*) FROM thing_as_of('2019-06-01', 'eu', 1);
SET ecomsocial.as_of = '2020-06-01';
SELECT name FROM thing_as_of;
RESET ecomsocial.as_of;
SELECT count(*) = (SELECT count(*) FROM thing_current) FROM thing_as_of;
SELECT raises($$SET ecomsocial.as_of = 'tomorrowish'$$);

-- Functions.  Everything about key 10, in given time.
SELECT scd2_upsert('thing', '{"id": 10, "region": "eu", "name": "a", "seen": 1, "born": "2023-12-01"}', '2024-01-01') AS a,
	scd2_upsert('thing', '{"id": 10, "region": "eu", "name": "a", "seen": 1}', '2024-01-02') AS b,
	scd2_upsert('thing', '{"id": 10, "region": "eu", "seen": 2}', '2024-01-03') AS c,
	scd2_upsert('thing', '{"id": 10, "region": "eu", "name": "b", "updated_at": "2024-02-01"}') AS d,
	scd2_upsert('thing', '{"id": 10, "region": "eu", "price": 2, "seen": 1}', '2024-01-15') AS late_and_partial,
	scd2_close('thing', '{"id": 10, "region": "eu"}', '2024-03-01') AS e,
	scd2_upsert('thing', '{"id": 10, "region": "eu", "name": "c", "tags": null}', '2024-04-01') AS f,
	scd2_close('thing', '{"id": 99, "region": "eu"}') AS g;
SELECT version, valid_from, valid_to, "row" ->> 'name' AS name, "row" ->> 'price' AS price, "row" ->> 'seen' AS seen FROM scd2_history('thing', '{"id": 10, "region": "eu"}');
SELECT * FROM scd2_diff('thing', '{"id": 10, "region": "eu"}');
SELECT scd2_upsert_row('thing', t, '2024-05-01') FROM (SELECT 10::bigint AS id, 'eu' AS region, 9 AS seen) t;
SELECT scd2_upsert_row('thing', t, '2024-05-01') FROM thing_current t WHERE id = 10;
SELECT count(*) FROM thing_hub WHERE id = 99;
SELECT scd2_prune('thing', '2024-03-01') - count(*) AS difference FROM thing_as_of('2020-01-01') WHERE id = 77;
SELECT version, valid_from, "row" ->> 'name' AS name FROM scd2_history('thing', '{"id": 10, "region": "eu"}');
CREATE TABLE fact (id bigint, region text, FOREIGN KEY (region, id) REFERENCES thing_hub);
INSERT INTO fact VALUES (10, 'eu');
SELECT scd2_forget('thing', '{"id": 10, "region": "eu"}'), scd2_forget('thing', '{"id": 6, "region": "us"}');
SELECT id, region FROM thing_hub WHERE id IN (6, 10);
SELECT * FROM scd2_validate('thing');

-- Merges
SELECT * FROM scd2_merge('thing', $$SELECT * FROM (VALUES (20::int2, 'eu', 'a', timestamptz '2024-01-01', 'U'), (20, 'eu', 'c', '2024-03-01', 'U'), (20, 'eu', 'b', '2024-02-01', 'U'),
	(21, 'eu', 'a', '2024-01-01', 'U'), (21, 'eu', NULL, '2024-02-01', 'D'), (22, 'eu', NULL, '2024-02-01', 'D')) v (id, region, name, updated_at, op)$$, delete_when => $$op = 'D'$$);
SELECT id, name, valid_from, valid_to FROM thing WHERE id >= 20 ORDER BY 1, 3;
CREATE TABLE staged AS SELECT id, region, name FROM thing_current;
UPDATE staged SET name = 'merged' WHERE id = 20;
SELECT * FROM scd2_merge('thing', 'staged');
SELECT * FROM scd2_merge('thing', 'staged'::regclass);
DELETE FROM staged WHERE id = 20;
SELECT * FROM scd2_merge('thing', 'staged', 'snapshot');
SELECT * FROM scd2_merge('thing', 'SELECT 20::bigint AS id, ''eu'' AS region, ''merged'' AS name');
SELECT * FROM scd2_validate('thing');

-- Bad input: what is raised, and that nothing is written.
CREATE TABLE before AS SELECT * FROM thing;
SELECT statement, raises(statement) FROM (VALUES
	($$SELECT scd2_upsert('thing', '{"id": 1, "region": "eu", "nome": "x"}')$$),
	($$SELECT scd2_upsert('thing', '{"id": 1, "name": "x"}')$$),
	($$SELECT scd2_upsert('thing', '{"id": "one", "region": "eu"}')$$),
	($$SELECT scd2_upsert('thing', '"x"')$$),
	($$SELECT scd2_upsert('thing', NULL)$$),
	($$SELECT scd2_upsert('thing', '{"id": 1, "region": "eu", "name": "this is no short name at all"}')$$),
	($$SELECT scd2_upsert('thing', '{"id": 1, "region": "eu", "name": "x"}', 'infinity')$$),
	($$SELECT scd2_upsert('thing', '{"id": 1, "region": "eu", "name": "x"}', '-infinity')$$),
	($$SELECT scd2_upsert('thing', '{"id": 1, "region": "eu", "name": "x"}', now() + '1 day')$$),
	($$SELECT scd2_upsert('thing', '{"id": 1, "region": "eu", "name": "x", "born": "2019-01-01"}', '2019-01-01')$$),
	($$SELECT scd2_upsert_row('thing', ROW(1, 2))$$),
	($$SELECT scd2_close('thing', '{"id": 1, "region": "eu", "name": "x"}')$$),
	($$SELECT scd2_history('thing', '{"id": 1}')$$),
	($$SELECT scd2_upsert('before', '{}')$$),
	($$SELECT scd2_upsert('thing_current', '{}')$$),
	($$SELECT scd2_merge('thing', 'SELECT 1::bigint AS id, ''eu'' AS region, 1 AS other')$$),
	($$SELECT scd2_merge('thing', 'SELECT 1 AS id')$$),
	($$SELECT scd2_merge('thing', 'SELECT NULL::bigint AS id, ''eu'' AS region')$$),
	($$SELECT scd2_merge('thing', 'SELECT 1 AS id, ''eu'' AS region, n::text AS name FROM generate_series(1, 2) n')$$),
	($$SELECT scd2_merge('thing', 'SELECT 1 AS id, ''eu'' AS region, ''x'' AS name, timestamptz ''infinity'' AS valid_from')$$),
	($$SELECT scd2_merge('thing', 'no_such_table')$$),
	($$SELECT scd2_merge('thing', 'SELECT (SELECT')$$),
	($$UPDATE thing SET name = 'x' WHERE NOT is_current$$),
	($$DELETE FROM thing WHERE NOT is_current$$),
	($$INSERT INTO thing (id, region, valid_from, valid_to) VALUES (1, 'eu', '2019-01-01', '2019-02-01')$$),
	($$INSERT INTO thing (id, region, valid_from) VALUES (50, 'eu', now() + '1 day')$$),
	($$INSERT INTO thing (id, region) VALUES (1, 'eu')$$),
	($$UPDATE thing_current SET id = 50 WHERE id = 1$$),
	($$UPDATE thing_current SET is_current = false, valid_to = now() WHERE id = 1$$),
	($$UPDATE thing_current SET name = 'x', valid_from = '2019-01-01' WHERE id = 1$$),
	($$SELECT scd2_enable('thing', '{id}')$$),
	($$SELECT scd2_enable('thing_current', '{id}')$$),
	($$SELECT scd2_enable('before', '{nope}')$$),
	($$SELECT scd2_enable('before', '{id}', overwrite => '{id}')$$),
	($$SELECT scd2_enable('before', NULL)$$),
	($$SELECT scd2_disable('before')$$),
	($$SELECT scd2_refresh('before')$$),
	($$SELECT scd2_validate('before')$$),
	($$SELECT scd2_prune('thing', 'infinity')$$)) v (statement);
SELECT count(*) FROM (SELECT b::text FROM before b EXCEPT SELECT t::text FROM thing t) b;
-- layouts that would not hold
CREATE TABLE surrogate (key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id int, email text UNIQUE);
SELECT raises($$SELECT scd2_enable('surrogate', '{id}')$$);
ALTER TABLE surrogate DROP CONSTRAINT surrogate_email_key;
SELECT raises($$SELECT scd2_enable('surrogate', '{id}')$$);

-- repairs by the owner
BEGIN;
SET LOCAL ecomsocial.versioning = off;
UPDATE thing SET name = 'mended' WHERE NOT is_current AND id = 20;
INSERT INTO thing (id, region, valid_from, valid_to, is_current) VALUES (1, 'eu', '2019-06-01', '2020-06-01', false);
SELECT problem, key FROM scd2_validate('thing');
ROLLBACK;

-- Change of the table
ALTER TABLE thing ADD COLUMN extra int DEFAULT 1;
UPDATE thing_current SET name = 'wide' WHERE id = 1;
UPDATE thing SET extra = 2 WHERE id = 1 AND is_current;
SELECT extra FROM thing_as_of(now(), 'eu', 1);
SELECT scd2_refresh('thing');
UPDATE thing_current SET extra = 3 WHERE id = 1;
SELECT name, extra, is_current FROM thing WHERE id = 1 ORDER BY valid_to DESC LIMIT 3;
DROP VIEW line, thing_current, thing_as_of;
ALTER TABLE thing DROP COLUMN price;
UPDATE thing SET extra = 4 WHERE id = 1 AND is_current;
SELECT scd2_refresh('thing');
ALTER TABLE thing RENAME TO item;
UPDATE item SET extra = 5 WHERE id = 1 AND is_current;
SELECT scd2_refresh('item');
SELECT extra FROM item_as_of(now(), 'eu', 1);
SELECT scd2_upsert('item', '{"id": 1, "region": "eu", "extra": 6}');
ALTER TABLE item RENAME COLUMN seen TO watched;
SELECT raises($$UPDATE item SET extra = 7 WHERE id = 1 AND is_current$$);
SELECT raises($$SELECT scd2_upsert('item', '{"id": 1, "region": "eu", "extra": 7}')$$);
SELECT scd2_disable('item');
DROP VIEW thing_current, thing_as_of;
SELECT scd2_enable('item', '{region,id}', overwrite => '{watched,number}', fixed => '{born}', updated_at => 'updated_at', created_at => 'born', hub => 'thing_hub');
UPDATE item_current SET extra = 7 WHERE id = 1;
-- two versions differed in the dropped column only
SELECT problem, key FROM scd2_validate('item');
SELECT scd2_disable('item');
UPDATE item SET extra = 8 WHERE id = 1 AND is_current;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'item'::regclass AND NOT tgisinternal;

-- Partitions: rows routed, and statements that name a leaf
CREATE TABLE part (a text, k int) PARTITION BY HASH (k);
CREATE TABLE part_0 PARTITION OF part FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE part_1 (k int, a text);
ALTER TABLE part ATTACH PARTITION part_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
SELECT scd2_enable('part', '{k}');
INSERT INTO part_current (k, a) SELECT i, 'a' FROM generate_series(1, 6) i;
UPDATE part_current SET a = 'b' WHERE k < 5;
UPDATE part_0 SET a = 'c' WHERE is_current;
UPDATE part_1 SET a = 'c' WHERE is_current;
DELETE FROM part_1 WHERE is_current;
SELECT scd2_upsert('part', jsonb_build_object('k', k, 'a', 'd')) FROM generate_series(1, 7) k;
SELECT changed, reopened, unchanged FROM scd2_merge('part', 'SELECT k, ''d'' AS a FROM part_current');
SELECT scd2_upsert('part', '{"k": 1, "a": "z"}', '2024-01-01');
SELECT k, string_agg(a, ' ' ORDER BY valid_to), count(*) FILTER (WHERE is_current) AS current FROM part GROUP BY k ORDER BY k;
SELECT raises($$SELECT scd2_upsert('part_0', '{"k": 1}')$$);
ALTER TABLE part DETACH PARTITION part_1;
CREATE TABLE part_2 (LIKE part INCLUDING CONSTRAINTS);
INSERT INTO part_2 SELECT a, k, valid_from, valid_to, is_current FROM part_1;
ALTER TABLE part ATTACH PARTITION part_2 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
SELECT raises($$UPDATE part_2 SET a = 'e' WHERE is_current$$);
SELECT problem, detail FROM scd2_validate('part');
SELECT scd2_refresh('part');
UPDATE part_2 SET a = 'e' WHERE is_current;
SELECT * FROM scd2_validate('part');
-- the current rows in a partition of their own
CREATE TABLE kept (k int, a text, valid_from timestamptz, valid_to timestamptz DEFAULT 'infinity') PARTITION BY RANGE (valid_to);
CREATE TABLE kept_now PARTITION OF kept FOR VALUES FROM ('infinity') TO (MAXVALUE);
CREATE TABLE kept_past PARTITION OF kept DEFAULT;
SELECT scd2_enable('kept', '{k}');
INSERT INTO kept_current (k, a) VALUES (1, 'a'), (2, 'a');
UPDATE kept_current SET a = 'b';
DELETE FROM kept_now WHERE k = 2;
SELECT tableoid::regclass, k, a FROM kept ORDER BY k, valid_to;
SELECT * FROM scd2_validate('kept');

-- Roles
CREATE ROLE scd2_writer;
CREATE ROLE scd2_reader;
CREATE TABLE guarded (k int PRIMARY KEY, a text, b text, tenant text DEFAULT 'x');
SELECT scd2_enable('guarded', '{k}');
INSERT INTO guarded (k, a, tenant) VALUES (1, 'a', 'scd2_writer'), (2, 'a', 'other');
GRANT SELECT ON guarded TO scd2_writer, scd2_reader;
GRANT UPDATE (a) ON guarded TO scd2_writer;
SET ROLE scd2_writer;
-- the copy and nothing else is written with the owner's rights
UPDATE guarded_current SET a = 'b' WHERE k = 1;
SELECT raises($$UPDATE guarded_current SET b = 'b'$$);
SELECT raises($$INSERT INTO guarded (k) VALUES (3)$$);
SELECT raises($$SELECT scd2_upsert('guarded', '{"k": 1, "a": "c"}')$$);
SELECT raises($$SELECT scd2_merge('guarded', 'SELECT 1 AS k')$$);
SELECT raises($$SELECT scd2_close('guarded', '{"k": 1}')$$);
SELECT raises($$SELECT scd2_disable('guarded')$$);
SELECT raises($$SELECT scd2_forget('guarded', '{"k": 1}')$$);
SELECT raises($$SELECT scd2_register('guarded', 'guarded_hub', NULL, '{k}', NULL, '{}', '{}', 'valid_from', 'valid_to', 'is_current', NULL, NULL, NULL, false)$$);
SELECT raises($$DELETE FROM ecomsocial.scd2_table$$);
SET ecomsocial.versioning = off;
SELECT raises($$UPDATE guarded_current SET a = 'unversioned'$$);
RESET ecomsocial.versioning;
SET ROLE scd2_reader;
SELECT count(*) FROM guarded_current;
SELECT raises($$UPDATE guarded_current SET a = 'c'$$);
RESET ROLE;
GRANT INSERT, UPDATE, DELETE ON guarded TO scd2_writer;
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON guarded USING (tenant = current_user);
SET ROLE scd2_writer;
UPDATE guarded_current SET a = 'c';
INSERT INTO guarded_current (k, a, tenant) VALUES (3, 'a', 'scd2_writer');
DELETE FROM guarded_current WHERE k = 3;
SELECT raises($$SELECT scd2_upsert('guarded', '{"k": 1, "a": "d"}')$$);
SELECT k, a, is_current FROM guarded ORDER BY k, valid_to;
RESET ROLE;
SELECT k, a, is_current FROM guarded ORDER BY k, valid_to;
SELECT * FROM scd2_validate('guarded');

-- The owner's own triggers: one that runs after ours is found; statement triggers fire for upserts too
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.a := upper(NEW.a); RETURN NEW; END $$;
CREATE TRIGGER zzz BEFORE UPDATE ON guarded FOR EACH ROW EXECUTE FUNCTION shout();
SELECT problem, detail FROM scd2_validate('guarded');
DROP TRIGGER zzz ON guarded;
CREATE TRIGGER a BEFORE INSERT OR UPDATE ON guarded FOR EACH ROW EXECUTE FUNCTION shout();
UPDATE guarded_current SET a = 'c' WHERE k = 2;
SELECT scd2_upsert('guarded', '{"k": 2, "a": "c"}'), scd2_upsert('guarded', '{"k": 2, "a": "d"}');
SELECT a FROM guarded WHERE k = 2 ORDER BY valid_to;

-- replica role: rows come as they are
SET session_replication_role = replica;
INSERT INTO guarded (k, a, valid_from, valid_to, is_current) VALUES (8, 'r', '2020-01-01', '2021-01-01', false), (8, 'r', '2021-01-01', 'infinity', true);
RESET session_replication_role;
SELECT problem, key FROM scd2_validate('guarded') ORDER BY 1;
TRUNCATE guarded;
INSERT INTO guarded (k, a) VALUES (1, 'again');
SELECT * FROM scd2_validate('guarded');
DROP OWNED BY scd2_writer, scd2_reader;
DROP ROLE scd2_writer, scd2_reader;

-- a first version that is open to the past
CREATE TABLE opened (k int PRIMARY KEY, a text);
SELECT scd2_enable('opened', '{k}', open_start => true, out_of_order => true);
INSERT INTO opened (k, a) VALUES (1, 'a');
SELECT scd2_upsert('opened', '{"k": 2, "a": "c"}', '2024-03-01'), scd2_upsert('opened', '{"k": 2, "a": "a"}', '2024-01-01'), scd2_upsert('opened', '{"k": 2, "a": "b"}', '2024-02-01');
SELECT scd2_merge('opened', 'SELECT 3 AS k, ''c'' AS a', effective_at => '2024-03-01'), scd2_merge('opened', 'SELECT 3 AS k, ''b'' AS a', effective_at => '2024-02-01');
DELETE FROM opened_current WHERE k = 1;
INSERT INTO opened (k, a) VALUES (1, 'b');
SELECT k, a, CASE WHEN k = 1 AND isfinite(valid_from) THEN NULL ELSE valid_from END AS valid_from FROM opened ORDER BY k, valid_to;
SELECT k, at, kind FROM opened_events WHERE k > 1 ORDER BY 1, 2;
