-- scd2: tables that nobody laid out with this extension in mind, owners that
-- mean harm, and settings that stand in the way.
SET client_min_messages = warning;
SET search_path = public, ecomsocial;

CREATE FUNCTION refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE state text; message text; detail text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
	RETURN concat_ws(' ', state, message, CASE WHEN detail <> '' THEN '(' || detail || ')' END);
END $$;

-- Columns with names that the engine's own statements use, capitals, spaces and quotes.
CREATE SCHEMA "My ""Shop";
CREATE TABLE "My ""Shop"."Odd 'Table" (
	"Key" int, "scd2" text, at text, "new" text, next text, place text, bound text, stored text, prev text,
	before text, p1 text, problem text, found text, "row" text, kind text, sequence int, "old}{" text,
	PRIMARY KEY ("Key", "scd2"));
SELECT scd2_enable('"My ""Shop"."Odd ''Table"', '{Key,scd2}', overwrite => '{kind}', fixed => '{found}', sequence_by => 'sequence', out_of_order => true);
INSERT INTO "My ""Shop"."Odd 'Table_current" ("Key", "scd2", at, "new", place, found, sequence) VALUES (1, 'a', 'x', 'x', 'x', 'first', 1);
UPDATE "My ""Shop"."Odd 'Table_current" SET place = 'y', "old}{" = 'z';
SELECT scd2_upsert('"My ""Shop"."Odd ''Table"', '{"Key": 2, "scd2": "b", "place": "c", "kind": "k", "sequence": 1}', '2024-03-01'),
	scd2_upsert('"My ""Shop"."Odd ''Table"', '{"Key": 2, "scd2": "b", "place": "a"}', '2024-01-01'),
	scd2_upsert('"My ""Shop"."Odd ''Table"', '{"Key": 2, "scd2": "b", "place": "b", "next": "n"}', '2024-02-01'),
	scd2_close('"My ""Shop"."Odd ''Table"', '{"Key": 2, "scd2": "b"}', '2024-04-01');
SELECT unchanged, late FROM scd2_merge('"My ""Shop"."Odd ''Table"', $$SELECT 2 AS "Key", 'b' AS "scd2", 'b' AS place, 'n' AS next, d AS valid_from
	FROM unnest('{2024-02-10,2024-01-10}'::timestamptz[]) d$$);
SELECT "row" ->> 'place' AS place, "row" ->> 'next' AS next, valid_from, valid_to FROM scd2_history('"My ""Shop"."Odd ''Table"', '{"Key": 2, "scd2": "b"}');
SELECT * FROM scd2_diff('"My ""Shop"."Odd ''Table"', '{"Key": 2, "scd2": "b"}');
SELECT place FROM "My ""Shop"."Odd 'Table_as_of"('2024-01-20', 2, 'b');
SELECT * FROM scd2_validate('"My ""Shop"."Odd ''Table"');
SELECT scd2_forget('"My ""Shop"."Odd ''Table"', '{"Key": 2, "scd2": "b"}');
SELECT (SELECT count(*) FROM "My ""Shop"."Odd 'Table" WHERE "Key" = 2) AS versions, (SELECT count(*) FROM "My ""Shop"."Odd 'Table_hub" WHERE "Key" = 2) AS hub,
	(SELECT count(*) FROM "My ""Shop"."Odd 'Table_events" WHERE "Key" = 2) AS remembered;
-- a key column of the memory's own name
CREATE TABLE clash (at int PRIMARY KEY, a text);
SELECT refusal($$SELECT scd2_enable('clash', '{at}', out_of_order => true)$$);
SELECT scd2_enable('clash', '{at}');
INSERT INTO clash (at, a) VALUES (1, 'a');
SELECT a FROM clash_as_of(now(), 1);

-- Key types: one of an extension, an array, a numeric with several images, a domain; columns that must not be null.
CREATE SCHEMA types;
CREATE EXTENSION citext SCHEMA types;
CREATE DOMAIN must AS text NOT NULL CHECK (VALUE <> 'bad');
CREATE TABLE typed (c types.citext, n numeric, ids int[], m must, x jsonb, PRIMARY KEY (c, n, ids));
SELECT scd2_enable('typed', '{c,n,ids}');
SELECT scd2_upsert('typed', '{"c": "A", "n": 1.0, "ids": [1, 2], "m": "one"}'), scd2_upsert('typed', '{"c": "a", "n": 1.00, "ids": [1, 2], "x": {"a": 1}}'),
	scd2_upsert('typed', '{"c": "a", "n": 1, "ids": [1, 2], "x": {"a": 2}}', now() - interval '1 day');
SELECT refusal($$SELECT scd2_upsert('typed', '{"c": "b", "n": 1, "ids": [1]}')$$);
SELECT refusal($$SELECT scd2_upsert('typed', '{"c": "b", "n": 1, "ids": [1], "m": "bad"}')$$);
SELECT refusal($$SELECT scd2_upsert('typed', '{"c": "b", "n": 1, "ids": [1], "m": null}')$$);
SELECT count(*), count(DISTINCT c) FROM typed;
SELECT * FROM scd2_validate('typed');
SELECT version, "row" ->> 'm' AS m, "row" ->> 'x' AS x FROM scd2_history('typed', '{"c": "a", "n": 1.000, "ids": [1, 2]}');
SELECT refusal($$SELECT * FROM scd2_history('typed', '{"c": null, "n": 1, "ids": [1, 2]}')$$);
SELECT refusal($$SELECT scd2_forget('typed', '{"c": "a", "n": "x", "ids": [1, 2]}')$$);
SELECT scd2_forget('typed', '{"c": "a", "n": 1, "ids": [1, 2]}');

-- A snapshot that closes keys and brings rows out of order at once.
CREATE TABLE snap (k int PRIMARY KEY, a text);
SELECT scd2_enable('snap', '{k}');
SELECT inserted FROM scd2_merge('snap', $$SELECT k, 'a' AS a FROM generate_series(1, 4) k$$, effective_at => '2024-01-01');
SELECT changed, closed, late FROM scd2_merge('snap', $$SELECT * FROM (VALUES (1, 'b', timestamptz '2024-03-01'), (2, 'z', '2023-06-01'), (2, 'c', '2024-02-01')) v (k, a, valid_from)$$, 'snapshot');
SELECT k, a, valid_from, isfinite(valid_to) AS ended FROM snap ORDER BY k, valid_to;
SELECT * FROM scd2_validate('snap');
-- tables whose names begin as queries do; a comment before a query, and behind a condition
CREATE TABLE selection AS SELECT 1 AS k, 'b' AS a;
CREATE TABLE "with" AS TABLE selection;
SELECT unchanged FROM scd2_merge('snap', 'selection');
SELECT unchanged FROM scd2_merge('snap', '"with"');
SELECT unchanged, closed FROM scd2_merge('snap', E'-- first\nSELECT 1 AS k, ''b'' AS a -- last', delete_when => 'k < 0 -- never');

-- Without triggers the engine would lose what it replaces.
SET ecomsocial.versioning = off;
SELECT refusal($$SELECT scd2_upsert('snap', '{"k": 1, "a": "lost"}')$$), refusal($$SELECT scd2_merge('snap', 'SELECT 1 AS k, ''lost'' AS a')$$);
RESET ecomsocial.versioning;
SET session_replication_role = replica;
SELECT refusal($$SELECT scd2_merge('snap', 'SELECT 1 AS k, ''lost'' AS a')$$);
RESET session_replication_role;
ALTER TABLE snap DISABLE TRIGGER zz_scd2_update;
SELECT refusal($$UPDATE snap_current SET a = 'lost' WHERE k = 1$$), refusal($$SELECT scd2_upsert('snap', '{"k": 1, "a": "lost"}')$$);
SELECT problem, detail FROM scd2_validate('snap');
ALTER TABLE snap ENABLE TRIGGER zz_scd2_update;

-- The trigger functions on tables of others, without what they need.
CREATE TABLE bare (k int);
CREATE TRIGGER x BEFORE INSERT ON bare FOR EACH ROW EXECUTE FUNCTION scd2_version_row();
SELECT refusal($$INSERT INTO bare VALUES (1)$$);
CREATE TRIGGER x AFTER UPDATE ON snap FOR EACH STATEMENT EXECUTE FUNCTION scd2_version_statement();
SELECT refusal($$UPDATE snap_current SET a = 'x' WHERE k = 1$$);
DROP TRIGGER x ON snap;
CREATE TRIGGER x AFTER UPDATE ON snap REFERENCING OLD TABLE AS o FOR EACH STATEMENT EXECUTE FUNCTION scd2_version_statement();
SELECT refusal($$UPDATE snap_current SET a = 'x' WHERE k = 1$$);
DROP TRIGGER x ON snap;

-- Roles of columns that their types do not bear, from a registration and from a change of the table.
CREATE TABLE wrong (k int, a text, valid_from timestamptz, valid_to timestamptz, is_current boolean, g int GENERATED ALWAYS AS (k) STORED);
SELECT scd2_enable('wrong', '{k}');
SELECT scd2_register('wrong', 'wrong_hub', NULL, '{k}', NULL, '{}', '{}', 'a', 'valid_to', 'is_current', NULL, NULL, NULL, false);
SELECT refusal($$INSERT INTO wrong (k, a) VALUES (1, 'a')$$);
SELECT scd2_register('wrong', 'wrong_hub', NULL, '{k}', NULL, '{}', '{}', 'valid_from', 'valid_to', 'k', NULL, NULL, NULL, false);
SELECT refusal($$INSERT INTO wrong (k, a) VALUES (1, 'a')$$);
SELECT scd2_register('wrong', 'wrong_hub', NULL, '{g}', NULL, '{}', '{}', 'valid_from', 'valid_to', 'is_current', NULL, NULL, NULL, false);
SELECT refusal($$INSERT INTO wrong (k, a) VALUES (1, 'a')$$);
SELECT scd2_register('wrong', 'wrong_hub', NULL, array_fill('k'::name, '{1000}'), NULL, '{}', '{}', 'valid_from', 'valid_to', 'is_current', NULL, NULL, NULL, false);
SELECT refusal($$INSERT INTO wrong (k, a) VALUES (1, 'a')$$);
SELECT scd2_register('wrong', 'wrong_hub', NULL, '{}', NULL, '{}', '{}', 'valid_from', 'valid_to', 'is_current', NULL, NULL, NULL, false);
SELECT refusal($$INSERT INTO wrong (k, a) VALUES (1, 'a')$$);
SELECT scd2_register('wrong', 'wrong_hub', NULL, '{k}', NULL, '{}', '{}', 'valid_from', 'valid_to', 'is_current', 'a', NULL, NULL, false);
SELECT refusal($$SELECT scd2_upsert('wrong', '{"k": 1, "a": "a"}')$$);
SELECT scd2_register('wrong', 'wrong_hub', NULL, '{k}', NULL, '{}', '{}', 'valid_from', 'valid_to', 'is_current', NULL, NULL, NULL, false);
DROP VIEW wrong_current, wrong_as_of;
ALTER TABLE wrong ALTER valid_from TYPE text USING valid_from::text, DROP CONSTRAINT scd2_period;
SELECT refusal($$INSERT INTO wrong (k, a) VALUES (1, 'a')$$);

-- What would be taken for ours, or allows one version only
CREATE TABLE shop (id int PRIMARY KEY, email text, phone text);
CREATE VIEW shop_current AS SELECT 1 AS one;
SELECT refusal($$SELECT scd2_enable('shop', '{id}')$$);
DROP VIEW shop_current;
CREATE UNIQUE INDEX shop_email ON shop (email) WHERE email IS NOT NULL;
SELECT refusal($$SELECT scd2_enable('shop', '{id}')$$);
DROP INDEX shop_email;
ALTER TABLE shop ADD is_current boolean DEFAULT true;
CREATE UNIQUE INDEX shop_email ON shop (email) WHERE email IS NOT NULL AND is_current;
CREATE UNIQUE INDEX shop_phone ON shop (phone, is_current);
SELECT refusal($$SELECT scd2_enable('shop', '{id}')$$);
DROP INDEX shop_phone;
SELECT scd2_enable('shop', '{id}');
INSERT INTO shop (id, email) VALUES (1, 'a@b');
UPDATE shop_current SET phone = '1';
SELECT refusal($$INSERT INTO shop (id, email) VALUES (2, 'a@b')$$);
-- views on the current rows live through ADD COLUMN
CREATE VIEW mail AS SELECT email FROM shop_current;
ALTER TABLE shop ADD extra int;
SELECT scd2_refresh('shop');
UPDATE shop_current SET extra = 1;
SELECT count(*) FROM shop WHERE email = (SELECT email FROM mail);
SELECT refusal($$SELECT scd2_enable('mail', '{email}')$$);
CREATE FOREIGN DATA WRAPPER nothing;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
CREATE FOREIGN TABLE far (k int) SERVER nowhere;
CREATE TEMP TABLE short (k int);
SELECT refusal($$SELECT scd2_enable('far', '{k}')$$), refusal($$SELECT scd2_enable('short', '{k}')$$), refusal($$SELECT scd2_upsert('far', '{"k": 1}')$$);
DROP FOREIGN DATA WRAPPER nothing CASCADE;

-- A row security that hides rows from the owner too hides them from no erasure.
CREATE ROLE scd2_owner;
CREATE TABLE private (k int PRIMARY KEY, a text);
ALTER TABLE private OWNER TO scd2_owner;
GRANT CREATE, USAGE ON SCHEMA public TO scd2_owner;
SET ROLE scd2_owner;
SELECT scd2_enable('private', '{k}');
INSERT INTO private (k, a) VALUES (1, 'a');
ALTER TABLE private ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SELECT refusal($$SELECT scd2_forget('private', '{"k": 1}')$$), refusal($$SELECT scd2_prune('private', now())$$);
ALTER TABLE private NO FORCE ROW LEVEL SECURITY;
RESET ROLE;
CREATE ROLE scd2_other;
GRANT SELECT, DELETE, UPDATE ON private, private_hub TO scd2_other;
SET ROLE scd2_other;
SELECT refusal($$SELECT scd2_forget('private', '{"k": 1}')$$), refusal($$SELECT scd2_forget('private', '{"k": 2}')$$), refusal($$SELECT scd2_prune('private', now())$$);
SET ROLE scd2_owner;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT refusal($$SELECT scd2_forget('private', '{"k": 1}')$$);
COMMIT;
SELECT scd2_forget('private', '{"k": 1}');
RESET ROLE;
DROP OWNED BY scd2_owner, scd2_other CASCADE;
DROP ROLE scd2_owner, scd2_other;

-- The moment of ecomsocial.as_of is the same in parallel workers, which are given the zone later.
CREATE TABLE big (k int, a text, valid_from timestamptz, valid_to timestamptz, is_current boolean);
INSERT INTO big SELECT k, 'old', timestamptz '2019-01-01', timestamptz '2020-06-01 00:00 Asia/Tokyo', false FROM generate_series(1, 2000) k
	UNION ALL SELECT k, 'new', '2020-06-01 00:00 Asia/Tokyo', 'infinity', true FROM generate_series(1, 2000) k;
SELECT scd2_enable('big', '{k}');
SET timezone = 'Asia/Tokyo';
SET ecomsocial.as_of = '2020-06-01';
SHOW ecomsocial.as_of;
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET parallel_leader_participation = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM big_as_of WHERE a = 'new';
SELECT a, count(*) FROM big_as_of GROUP BY a;
RESET parallel_leader_participation;
RESET timezone;
SHOW ecomsocial.as_of;
RESET ecomsocial.as_of;

-- An event that another part of the same command has written already
CREATE TABLE once (k int PRIMARY KEY, a text);
SELECT scd2_enable('once', '{k}');
INSERT INTO once (k, a) VALUES (1, 'a');
SELECT refusal($$WITH u AS (UPDATE once_current SET a = 'b' RETURNING k) SELECT scd2_upsert('once', jsonb_build_object('k', k, 'a', 'c')) FROM u$$);
SELECT k, a FROM once;

-- TRUNCATE of a partition leaves what is remembered of the keys in the others.
CREATE TABLE leafed (k int, a text, PRIMARY KEY (k)) PARTITION BY HASH (k);
CREATE TABLE leafed_0 PARTITION OF leafed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE leafed_1 PARTITION OF leafed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
SELECT scd2_enable('leafed', '{k}', out_of_order => true);
SELECT scd2_upsert('leafed', jsonb_build_object('k', k, 'a', 'a'), '2024-01-01') FROM generate_series(1, 8) k;
SELECT scd2_upsert('leafed', jsonb_build_object('k', k, 'a', 'a'), '2024-02-01') FROM generate_series(1, 8) k;
TRUNCATE leafed_0;
SELECT (SELECT count(*) FROM leafed) = count(*) AS others_stay, count(*) > 0 AS some FROM leafed_events;
TRUNCATE leafed;
SELECT count(*) FROM leafed_events;
