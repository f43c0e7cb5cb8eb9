-- Kept stock: whatever happens to the events, a refresh of the touched days
-- leaves what a rebuild would, and writes nothing else.
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET jit = off;
SET client_min_messages = warning;
CREATE SCHEMA ecommerce;
SET search_path = ecommerce, ecomsocial;

CREATE TABLE inventory_event (inventory_event_id bigint PRIMARY KEY, event_type text NOT NULL, event_time timestamptz NOT NULL,
	store_id bigint NOT NULL, product_id bigint NOT NULL, quantity_change bigint NOT NULL, reference_order_id bigint);
CREATE TABLE inventory_snapshot (snapshot_date date, store_id bigint, product_id bigint, quantity_on_hand bigint,
	PRIMARY KEY (snapshot_date, store_id, product_id));
SELECT stock_create('inventory_event', '{store_id,product_id}', 'event_time', 'quantity_change', 'event_type',
	snapshots => 'inventory_snapshot', time_zone => 'America/Sao_Paulo');

-- An event made from a number: 45 days around the two changes of the clocks at
-- midnight, at quarters of an hour; a stocktake in 15; returns and losses by sign.
CREATE FUNCTION make_event(id bigint, version bigint) RETURNS inventory_event LANGUAGE sql IMMUTABLE AS $$
	SELECT ROW(id, (ARRAY['stocktake', 'receipt', 'sale', 'return', 'adjustment', 'transfer_in', 'transfer_out', 'write_off', 'unheard of'])
			[CASE WHEN h % 15 = 0 THEN 1 ELSE 2 + h % 8 END],
		'2018-01-20 12:00-02'::timestamptz + ((h >> 8) % (45 * 96)) * interval '15 minutes',
		1 + (h >> 24) % 3, 1 + (h >> 28) % 4, (h >> 32) % 61 - 25, NULL)::inventory_event
	FROM (SELECT hashint8extended(id, version) & 4611686018427387903 AS h) h
$$;

-- The definition in plain SQL: see stock_ledger.sql
CREATE VIEW wanted_change AS
	WITH e AS MATERIALIZED (SELECT *, (event_time AT TIME ZONE 'America/Sao_Paulo')::date AS day, event_type = 'stocktake' AS is_count FROM inventory_event
	), d AS MATERIALIZED (
		SELECT store_id, product_id, day, bool_or(is_count) AS counted FROM e GROUP BY 1, 2, 3
	), t AS MATERIALIZED (
		SELECT d.*, (SELECT max(event_time) FROM e WHERE (e.store_id, e.product_id) = (d.store_id, d.product_id) AND is_count AND e.day <= d.day) AS count_time FROM d
	), b AS MATERIALIZED (
		SELECT t.*, coalesce((SELECT max(quantity_change) FROM e WHERE (e.store_id, e.product_id) = (t.store_id, t.product_id) AND is_count AND event_time = count_time), 0)
			+ coalesce((SELECT sum(quantity_change) FROM e WHERE (e.store_id, e.product_id) = (t.store_id, t.product_id) AND NOT is_count AND e.day <= t.day
						AND (count_time IS NULL OR event_time > count_time)), 0)::bigint AS balance FROM t
	)
	SELECT store_id, product_id, day, balance - lag(balance, 1, 0::bigint) OVER (PARTITION BY store_id, product_id ORDER BY day) AS change, balance, counted FROM b;
CREATE FUNCTION wanted_snapshot(through date) RETURNS SETOF inventory_snapshot LANGUAGE sql STABLE AS $$
	WITH w AS MATERIALIZED (TABLE wanted_change)
	SELECT d::date, k.store_id, k.product_id, b.balance
	FROM generate_series((SELECT min(day) FROM w), through, interval '1 day') d
	CROSS JOIN (SELECT DISTINCT store_id, product_id FROM w) k
	CROSS JOIN LATERAL (SELECT balance FROM w WHERE (w.store_id, w.product_id) = (k.store_id, k.product_id) AND day <= d ORDER BY day DESC LIMIT 1) b
$$;
-- how many rows differ from what they should be
CREATE FUNCTION faults(through date) RETURNS bigint LANGUAGE sql STABLE AS $$
	SELECT (SELECT count(*) FROM ((TABLE inventory_change EXCEPT ALL TABLE wanted_change) UNION ALL (TABLE wanted_change EXCEPT ALL TABLE inventory_change)) x)
		+ (SELECT count(*) FROM ((TABLE inventory_snapshot EXCEPT ALL SELECT * FROM wanted_snapshot(through))
			UNION ALL (SELECT * FROM wanted_snapshot(through) EXCEPT ALL TABLE inventory_snapshot)) x)
$$;
-- the days on which events were touched, as a trigger would note them
CREATE TABLE touched (day date);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP <> 'INSERT' THEN INSERT INTO touched VALUES ((OLD.event_time AT TIME ZONE 'America/Sao_Paulo')::date); END IF;
	IF TG_OP <> 'DELETE' THEN INSERT INTO touched VALUES ((NEW.event_time AT TIME ZONE 'America/Sao_Paulo')::date); END IF;
	RETURN NULL;
END
$$;
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON inventory_event FOR EACH ROW EXECUTE FUNCTION note();

-- a rebuild, of nothing and of something
SELECT * FROM inventory_refresh(through => '2018-03-10');
INSERT INTO inventory_event SELECT (make_event(i, 0)).* FROM generate_series(1, 150) i;
SELECT * FROM inventory_refresh(through => '2018-03-01');
SELECT faults('2018-03-01'), (SELECT count(*) FROM inventory_change) AS changes,
	(SELECT count(*) FROM inventory_change WHERE counted) AS counted, (SELECT count(*) FROM inventory_change WHERE balance < 0) AS negative;
TRUNCATE touched;
-- nothing happened
SELECT * FROM inventory_refresh('{}', '2018-03-01');
SELECT * FROM inventory_refresh('{(,)}', '2018-03-01');

-- Forty rounds of late, corrected and deleted events.  Few events a key, so that
-- keys come and go.  Rows that did not change must not have been written.
CREATE TABLE round (n int, faults bigint, change_rows bigint, snapshot_rows bigint, needless bigint);
DO $$
DECLARE
	r record;
	needless bigint;
	through date;
BEGIN
	FOR n IN 1..40 LOOP
		through := date '2018-03-01' + n / 5;
		INSERT INTO inventory_event SELECT (make_event(1000 * n + i, n)).* FROM generate_series(1, n % 7) i;
		DELETE FROM inventory_event WHERE hashint8extended(inventory_event_id, n) % (CASE n % 10 WHEN 0 THEN 2 ELSE 25 END) = 0;
		UPDATE inventory_event e SET event_time = m.event_time, event_type = m.event_type, store_id = m.store_id, quantity_change = m.quantity_change
		FROM inventory_event o, LATERAL make_event(o.inventory_event_id, 100 + n) m
		WHERE e.inventory_event_id = o.inventory_event_id AND hashint8extended(o.inventory_event_id, 200 + n) % 30 = 0;

		CREATE TEMP TABLE old_change AS TABLE inventory_change;
		CREATE TEMP TABLE old_snapshot AS SELECT * FROM inventory_snapshot;
		SELECT * INTO r FROM inventory_refresh((SELECT coalesce(range_agg(daterange(day, day + 1)), '{}') FROM touched), through);
		SELECT r.change_rows + r.snapshot_rows
			- (SELECT count(*) FROM (SELECT * FROM inventory_change EXCEPT TABLE old_change) x)
			- (SELECT count(*) FROM old_change o WHERE NOT EXISTS (SELECT FROM inventory_change c WHERE (c.store_id, c.product_id, c.day) = (o.store_id, o.product_id, o.day)))
			- (SELECT count(*) FROM (SELECT * FROM inventory_snapshot EXCEPT TABLE old_snapshot) x)
			- (SELECT count(*) FROM old_snapshot o WHERE NOT EXISTS (SELECT FROM inventory_snapshot c WHERE (c.store_id, c.product_id, c.snapshot_date) = (o.store_id, o.product_id, o.snapshot_date)))
		INTO needless;
		INSERT INTO round VALUES (n, faults(through), r.change_rows, r.snapshot_rows, needless);
		DROP TABLE old_change, old_snapshot;
		TRUNCATE touched;
	END LOOP;
END
$$;
SELECT count(*) AS rounds, sum(faults) AS faults, sum(needless) AS needless, min(change_rows) < max(change_rows) AS vary FROM round;
SELECT n, faults, needless FROM round WHERE faults <> 0 OR needless <> 0;
SELECT * FROM inventory_check('2018-03-09');

-- one late event of one key writes that key only, and no day before it
CREATE TEMP TABLE before AS SELECT ctid AS at, xmin::text AS by, * FROM inventory_snapshot;
INSERT INTO inventory_event VALUES (1, 'receipt', '2018-01-25 12:00-02', 2, 3, 7, NULL)
	ON CONFLICT (inventory_event_id) DO UPDATE SET event_type = 'receipt', event_time = excluded.event_time, store_id = 2, product_id = 3, quantity_change = 7;
SELECT change_rows > 0 AS changed, snapshot_rows > 0 AS snapped FROM inventory_refresh((SELECT range_agg(daterange(day, day + 1)) FROM touched), '2018-03-09');
SELECT store_id, product_id, min(snapshot_date) >= '2018-01-25' AS is_later
FROM inventory_snapshot s WHERE NOT EXISTS (SELECT FROM before b WHERE b.at = s.ctid AND b.by = s.xmin::text) GROUP BY 1, 2 ORDER BY 1, 2;
SELECT faults('2018-03-09');
TRUNCATE touched;

-- a day after all others: several events of one key, stocktakes, a key that is new
INSERT INTO inventory_event SELECT 900000 + i, CASE WHEN i % 7 = 0 THEN 'stocktake' ELSE 'sale' END, '2018-03-20 09:00-03'::timestamptz + i % 10 * interval '1 hour',
	CASE WHEN i = 5 THEN 9 ELSE 1 + i % 3 END, 1 + i % 4, i, NULL FROM generate_series(1, 30) i;
SELECT * FROM inventory_refresh('{[2018-03-20,2018-03-21)}', '2018-03-09');
SELECT * FROM inventory_refresh('{[2018-03-20,2018-03-21)}', '2018-03-09');
SELECT (SELECT count(*) FROM ((TABLE inventory_change EXCEPT ALL TABLE wanted_change) UNION ALL (TABLE wanted_change EXCEPT ALL TABLE inventory_change)) x) AS faults;
DELETE FROM inventory_event WHERE inventory_event_id > 900000;
SELECT change_rows FROM inventory_refresh((SELECT range_agg(daterange(day, day + 1)) FROM touched), '2018-03-09');
SELECT faults('2018-03-09');
TRUNCATE touched;

-- the stock at any moment, of all keys and of one, against the events
CREATE FUNCTION wanted_on_hand(moment timestamptz) RETURNS TABLE (store_id bigint, product_id bigint, on_hand bigint) LANGUAGE sql STABLE AS $$
	WITH e AS (SELECT *, event_type = 'stocktake' AS is_count FROM inventory_event WHERE event_time <= moment),
	t AS (SELECT store_id, product_id, max(event_time) FILTER (WHERE is_count) AS count_time FROM e GROUP BY 1, 2)
	SELECT store_id, product_id, (coalesce(max(quantity_change) FILTER (WHERE is_count AND event_time = count_time), 0)
		+ coalesce(sum(quantity_change) FILTER (WHERE NOT is_count AND (count_time IS NULL OR event_time > count_time)), 0))::bigint
	FROM e JOIN t USING (store_id, product_id) GROUP BY 1, 2
$$;
CREATE TABLE moment AS SELECT '2018-01-19 00:00-02'::timestamptz + i * interval '31 minutes' * 37 AS at FROM generate_series(0, 60) i
	UNION ALL SELECT event_time FROM inventory_event WHERE inventory_event_id % 3 = 0 UNION ALL VALUES ('infinity'::timestamptz), ('-infinity'),
	('2018-02-18 00:00-02'), ('2018-02-18 00:00-03'), ('2018-02-17 23:59:59.999999-03');
SELECT count(*) > 60 AS many,
	sum((SELECT count(*) FROM (SELECT * FROM wanted_on_hand(at) EXCEPT SELECT * FROM inventory_on_hand(at)) x)) AS missed,
	sum((SELECT count(*) FROM (SELECT * FROM inventory_on_hand(at) EXCEPT SELECT * FROM wanted_on_hand(at)) x)) AS wrong,
	sum((SELECT count(*) FROM (SELECT s, p, inventory_on_hand_of(s, p, at) AS on_hand FROM generate_series(1, 3) s, generate_series(1, 4) p) o
		 FULL JOIN wanted_on_hand(at) w ON (w.store_id, w.product_id) = (s, p) WHERE o.on_hand IS DISTINCT FROM w.on_hand)) AS wrong_single
FROM moment;

-- every day of every key
SELECT count(*) FILTER (WHERE d.on_hand IS DISTINCT FROM s.quantity_on_hand) AS wrong, count(*) > 100 AS many
FROM inventory_daily('2018-02-01', '2018-02-28') d
FULL JOIN (SELECT * FROM inventory_snapshot WHERE snapshot_date BETWEEN '2018-02-01' AND '2018-02-28') s
	ON (d.day, d.store_id, d.product_id) = (s.snapshot_date, s.store_id, s.product_id);
SELECT count(*) FROM inventory_daily('2018-02-02', '2018-02-01');

-- the functions that read are inlined: of a key asked for, only its own rows are read
CREATE FUNCTION conditions(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		IF line ~ 'inventory_change|Index Cond.*day' THEN RETURN NEXT regexp_replace(line, '^[ >-]*', ''); END IF;
	END LOOP;
END
$$;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT * FROM conditions('SELECT on_hand FROM inventory_daily(''2018-02-01'', ''2018-02-28'') WHERE store_id = 1 AND product_id = 2');
SELECT * FROM conditions('SELECT on_hand FROM inventory_on_hand(''2018-02-10 12:00-02'') WHERE store_id = 1 AND product_id = 2');
RESET enable_seqscan;
RESET enable_bitmapscan;

-- A loaded snapshot is left alone, also by a rebuild, and on a date that has one none is made
DELETE FROM inventory_snapshot WHERE snapshot_date = '2018-02-10';
DELETE FROM inventory_snapshot_computed WHERE snapshot_date = '2018-02-10';
SELECT * FROM inventory_check('2018-03-09');
INSERT INTO inventory_snapshot VALUES ('2018-02-10', 1, 1, 12345), ('2018-03-10', 1, 1, 54321);
INSERT INTO inventory_event VALUES (2, 'receipt', '2018-01-25 12:00-02', 1, 1, 7, NULL)
	ON CONFLICT (inventory_event_id) DO UPDATE SET event_type = 'receipt', event_time = excluded.event_time, store_id = 1, product_id = 1, quantity_change = 7;
SELECT snapshot_dates FROM inventory_refresh((SELECT range_agg(daterange(day, day + 1)) FROM touched), '2018-03-12');
SELECT snapshot_date FROM generate_series(date '2018-03-08', '2018-03-12', '1 day') d JOIN inventory_snapshot_computed ON snapshot_date = d ORDER BY 1;
SELECT snapshot_dates > 40 AS many FROM inventory_refresh(through => '2018-03-12');
SELECT * FROM inventory_snapshot WHERE snapshot_date IN ('2018-02-10', '2018-03-10');
SELECT count(*) FROM (SELECT * FROM wanted_snapshot('2018-03-12') WHERE snapshot_date NOT IN ('2018-02-10', '2018-03-10') EXCEPT TABLE inventory_snapshot) x;
SELECT * FROM inventory_check('2018-03-12');

-- holes, wrong numbers and missing keys are found
DELETE FROM inventory_snapshot WHERE snapshot_date = '2018-02-20';
UPDATE inventory_snapshot SET quantity_on_hand = quantity_on_hand + 1 WHERE snapshot_date = '2018-02-21' AND store_id = 2;
DELETE FROM inventory_snapshot WHERE (snapshot_date, store_id) = ('2018-02-22', 3);
DELETE FROM inventory_snapshot_computed WHERE snapshot_date = '2018-02-23';
DELETE FROM inventory_snapshot WHERE snapshot_date = '2018-02-23';
SELECT problem, snapshot_date, found < expected AS less FROM inventory_check('2018-03-12') ORDER BY 2, 1;

-- Overflow is an error and leaves everything as it was
\set VERBOSITY sqlstate
INSERT INTO inventory_event VALUES (3, 'receipt', '2018-01-26 12:00-02', 1, 1, 9223372036854775807, NULL), (4, 'receipt', '2018-01-27 12:00-02', 1, 1, 9223372036854775807, NULL)
	ON CONFLICT (inventory_event_id) DO UPDATE SET quantity_change = 9223372036854775807, event_type = 'receipt', store_id = 1, product_id = 1, event_time = excluded.event_time;
SELECT count(*), sum(balance) FROM inventory_change \gset before_
SELECT * FROM inventory_refresh('{[2018-01-25,2018-01-29)}', '2018-03-12');
SELECT * FROM inventory_refresh();
SELECT count(*) = :before_count AND sum(balance) = :before_sum AS unchanged FROM inventory_change;

-- other isolation levels, and what cannot be kept
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM inventory_refresh('{}');
ROLLBACK;
SELECT stock_create('inventory_event', '{store_id,product}', 'event_time', 'quantity_change');
SELECT stock_create('inventory_event', '{}', 'event_time', 'quantity_change');
SELECT stock_create('inventory_event', NULL, 'event_time', 'quantity_change');
SELECT stock_create('inventory_event', '{store_id}', 'event_time', 'quantity_change', time_zone => 'Mars/Olympus');
SELECT stock_create('inventory_event', '{store_id}', 'event_time', 'quantity_change');
CREATE DOMAIN moment_of AS timestamptz;
CREATE TABLE domains (at moment_of, item integer, quantity integer);
SELECT stock_create('domains', '{item}', 'at', 'quantity', prefix => 'thing');
SELECT stock_create('inventory_event', '{store_id}', 'event_type', 'quantity_change', prefix => 'thing');
SELECT stock_create('inventory_event', '{store_id}', 'event_time', 'event_type', prefix => 'thing');
SELECT stock_create('inventory_event', '{store_id}', 'event_time', 'quantity_change', prefix => 'thing', time_zone => 'CET');
SELECT stock_create('inventory_event', '{store_id}', 'event_time', 'quantity_change', prefix => repeat('x', 46)::name);
-- tables that do not fit for snapshots: a column too many, another order, another type of the key or of the quantity, no unique index, one of some rows, one of more columns
CREATE TABLE unfit_1 (day date, store_id bigint, quantity bigint, note text, PRIMARY KEY (day, store_id));
CREATE TABLE unfit_2 (store_id bigint, day date, quantity bigint, PRIMARY KEY (day, store_id));
CREATE TABLE unfit_3 (day date, store_id integer, quantity bigint, PRIMARY KEY (day, store_id));
CREATE TABLE unfit_4 (day date, store_id bigint, quantity real, PRIMARY KEY (day, store_id));
CREATE TABLE unfit_5 (day date, store_id bigint, quantity bigint);
CREATE TABLE unfit_6 (day date, store_id bigint, quantity bigint);
CREATE UNIQUE INDEX ON unfit_6 (day, store_id) WHERE quantity <> 0;
CREATE TABLE unfit_7 (day date, store_id bigint, quantity bigint, PRIMARY KEY (day, store_id, quantity));
CREATE TABLE fit (gone text, day date, store_id bigint, quantity integer);
ALTER TABLE fit DROP gone;
CREATE UNIQUE INDEX ON fit (store_id, day) INCLUDE (quantity);
SELECT r, stock_fits_snapshots('inventory_event', '{store_id}', r::regclass) FROM unnest('{unfit_1,unfit_2,unfit_3,unfit_4,unfit_5,unfit_6,unfit_7,fit,inventory_snapshot}'::text[]) r;
SELECT stock_create('inventory_event', '{store_id}', 'event_time', 'quantity_change', snapshots => 'unfit_7', prefix => 'thing');
SET search_path = ecomsocial;
DROP SCHEMA ecommerce CASCADE;

-- A definition that nobody made
SELECT * FROM stock_refresh(NULL);

-- Keys that are equal by their collation are one key, in whatever spelling they arrive
CREATE SCHEMA spelling;
SET search_path = spelling, ecomsocial;
CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE event (at date, item text COLLATE any_case, place uuid, quantity integer);
CREATE TABLE level (day date, item text COLLATE any_case, place uuid, quantity bigint, PRIMARY KEY (day, item, place));
SELECT stock_create('event', '{item,place}', 'at', 'quantity', snapshots => 'level', prefix => 'thing');
INSERT INTO event VALUES ('2024-01-01', 'Pen', '00000000-0000-0000-0000-000000000001', 5), ('2024-01-02', 'PEN', '00000000-0000-0000-0000-000000000001', -1);
SELECT * FROM thing_refresh(through => '2024-01-02');
INSERT INTO event VALUES ('2024-01-02', 'pen', '00000000-0000-0000-0000-000000000001', -1), ('2024-01-04', 'pEN', '00000000-0000-0000-0000-000000000001', 2);
SELECT * FROM thing_refresh('{[2024-01-02,2024-01-03)}', '2024-01-03');
SELECT * FROM thing_refresh('{[2024-01-04,2024-01-05)}', '2024-01-04');
SELECT lower(item) AS item, day, change, balance FROM thing_change ORDER BY day;
SELECT day, lower(item) AS item, quantity FROM level ORDER BY day;
SELECT on_hand, thing_on_hand_of('peN', place, '2024-01-03') AS third FROM thing_on_hand('2024-01-09');
SELECT * FROM thing_check('2024-01-04');
SET search_path = ecomsocial;
DROP SCHEMA spelling CASCADE;

-- A late event in the minute before clocks went back over midnight belongs to the day that rollups note
CREATE SCHEMA minute;
SET search_path = minute, ecomsocial;
CREATE TABLE event (at timestamptz, kind text, item uuid, quantity integer);
SELECT stock_create('event', '{item}', 'at', 'quantity', 'kind', time_zone => 'America/St_Johns', prefix => 'thing');
INSERT INTO event SELECT at, kind, '00000000-0000-0000-0000-000000000001', quantity FROM (VALUES ('2010-11-05 12:00Z'::timestamptz, 'sale', -4), ('2010-11-07 03:00Z', 'stocktake', 10), ('2010-11-07 03:30Z', 'sale', -2)) e(at, kind, quantity);
SELECT change_rows FROM thing_refresh();
INSERT INTO event VALUES ('2010-11-07 02:30:30Z', 'sale', '00000000-0000-0000-0000-000000000001', -1), ('2010-11-07 03:29:59Z', 'sale', '00000000-0000-0000-0000-000000000001', -1);
SELECT day, change_rows FROM (SELECT DISTINCT rollup_day(at, 'America/St_Johns') AS day FROM event WHERE quantity = -1) d, LATERAL thing_refresh(datemultirange(daterange(day, day + 1)));
SELECT day, change, balance, counted FROM thing_change ORDER BY day;
SELECT at, on_hand, thing_on_hand_of('00000000-0000-0000-0000-000000000001', at) AS of_one
FROM unnest('{2010-11-07 02:30:29Z,2010-11-07 02:30:30Z,2010-11-07 02:59Z,2010-11-07 03:00Z,2010-11-07 03:29:59Z,2010-11-07 03:30Z}'::timestamptz[]) at, LATERAL thing_on_hand(at);
SET search_path = ecomsocial;
DROP SCHEMA minute CASCADE;

-- Partitioned events, snapshots and changes; a trigger and a constraint of the snapshots; what an ordinary role may do, and what row security hides
CREATE SCHEMA parts;
SET search_path = parts, ecomsocial;
CREATE ROLE stock_clerk;
GRANT USAGE, CREATE ON SCHEMA parts TO stock_clerk;
SET ROLE stock_clerk;
CREATE TABLE event (at timestamptz NOT NULL, kind text, shop integer, item numeric, quantity bigint) PARTITION BY RANGE (at);
CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM ('2024-01-01 00:00Z') TO ('2024-02-01 00:00Z');
CREATE TABLE event_2 (quantity bigint, item numeric, kind text, at timestamptz NOT NULL, shop integer);
ALTER TABLE event ATTACH PARTITION event_2 FOR VALUES FROM ('2024-02-01 00:00Z') TO ('2024-03-01 00:00Z');
CREATE TABLE level (day date, shop integer, item numeric, quantity bigint CHECK (quantity < 1000), PRIMARY KEY (day, shop, item)) PARTITION BY LIST (shop);
CREATE TABLE level_1 PARTITION OF level FOR VALUES IN (1);
CREATE TABLE level_2 PARTITION OF level FOR VALUES IN (2);
CREATE TABLE noted (n bigint);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO parts.noted VALUES (NEW.quantity); RETURN NEW; END$$;
CREATE TRIGGER note BEFORE INSERT OR UPDATE ON level FOR EACH ROW EXECUTE FUNCTION note();
SELECT stock_create('event', '{shop,item}', 'at', 'quantity', 'kind', snapshots => 'level', snapshot_period => 'week', prefix => 'thing');
INSERT INTO event SELECT '2024-01-01 00:00Z'::timestamptz + i * interval '7 hours', CASE WHEN i % 9 = 0 THEN 'stocktake' ELSE 'sale' END, 1 + i % 2, i % 5 + 0.50, i % 17 - 8 FROM generate_series(1, 200) i;
SELECT * FROM thing_refresh(through => '2024-02-29');
SELECT (SELECT count(*) FROM noted) = (SELECT count(*) FROM level) AS trigger_fired, (SELECT count(*) FROM level_2) > 10 AS spread;
INSERT INTO event VALUES ('2024-01-15 00:00Z', 'stocktake', 1, 1.5, 900), ('2024-02-15 00:00Z', 'sale', 1, 1.500, 2);
SELECT change_rows FROM thing_refresh('{[2024-01-15,2024-01-16)}', '2024-02-29');
SELECT change_rows FROM thing_refresh('{[2024-02-15,2024-02-16)}', '2024-02-29');
\set VERBOSITY sqlstate
INSERT INTO event VALUES ('2024-01-16 00:00Z', 'receipt', 1, 1.5, 100);
SELECT change_rows FROM thing_refresh('{[2024-01-16,2024-01-17)}', '2024-02-29');
DELETE FROM event WHERE kind = 'receipt';
CREATE TABLE kept_change AS TABLE thing_change;
CREATE TABLE kept_level AS TABLE level;
SELECT change_rows > 0 AS rebuilt FROM thing_refresh(through => '2024-02-29');
SELECT (SELECT count(*) FROM (TABLE kept_change EXCEPT TABLE thing_change) x) AS changes, (SELECT count(*) FROM (TABLE kept_level EXCEPT TABLE level) x) AS levels;
-- a null key
INSERT INTO event VALUES ('2024-01-17 00:00Z', 'sale', NULL, 1.5, 1);
SELECT * FROM thing_refresh('{[2024-01-17,2024-01-18)}');
DELETE FROM event WHERE shop IS NULL;
-- another role needs the rights, and sees all rows or none
RESET ROLE;
CREATE ROLE stock_helper;
GRANT USAGE ON SCHEMA parts TO stock_helper;
SET ROLE stock_helper;
SELECT * FROM thing_refresh('{}');
RESET ROLE;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA parts TO stock_helper;
SET ROLE stock_helper;
SELECT change_rows FROM thing_refresh('{[2024-01-16,2024-01-17)}', '2024-02-29');
SELECT change_rows FROM thing_refresh();
RESET ROLE;
ALTER TABLE event ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON event USING (shop = 1);
SET ROLE stock_helper;
SELECT change_rows FROM thing_refresh('{[2024-01-16,2024-01-17)}', '2024-02-29');
SELECT count(*) > 0 AS own FROM stock_ledger(NULL::record, 'event', '{shop}', 'at', 'quantity') AS l(shop integer, day date, change bigint, balance bigint) WHERE shop = 1;
SELECT count(*) AS others FROM stock_ledger(NULL::record, 'event', '{shop}', 'at', 'quantity') AS l(shop integer, day date, change bigint, balance bigint) WHERE shop = 2;
RESET ROLE;
SELECT count(*) FROM thing_change WHERE shop = 2;
\set VERBOSITY default
SET search_path = ecomsocial;
DROP SCHEMA parts CASCADE;
DROP ROLE stock_clerk, stock_helper;

-- The stock of one key is a few pages of many: one descent in the changes, one in the events
CREATE SCHEMA pages;
SET search_path = pages, ecomsocial;
CREATE TABLE event (item bigint, at timestamptz, quantity integer);
INSERT INTO event SELECT i % 1000, '2024-01-01 00:00Z'::timestamptz + i * interval '5 minutes', 1 FROM generate_series(1, 60000) i;
CREATE INDEX ON event (item, at);
SELECT stock_create('event', '{item}', 'at', 'quantity', prefix => 'thing');
SELECT change_rows FROM thing_refresh();
VACUUM ANALYZE event, thing_change;
CREATE FUNCTION pages_read(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	plan jsonb;
BEGIN
	EXECUTE query;		-- what the planner looks up is known then
	EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ' || query INTO plan;
	RETURN (plan -> 0 -> 'Plan' ->> 'Shared Hit Blocks')::bigint + (plan -> 0 -> 'Plan' ->> 'Shared Read Blocks')::bigint;
END
$$;
SELECT pg_relation_size('thing_change') / current_setting('block_size')::int > 100 AS many, max(pages_read(format('SELECT pages.thing_on_hand_of(%s, %L)', i * 77, '2024-01-02 12:34Z'::timestamptz + i * interval '17 days'))) <= 8 AS few
FROM generate_series(0, 12) i;
SET search_path = ecomsocial;
DROP SCHEMA pages CASCADE;

-- After the extension was dropped and created, kept stock is made again, and knows which snapshots were loaded
CREATE SCHEMA again;
SET search_path = again, ecomsocial;
CREATE TABLE event (day date, item bigint, quantity integer);
CREATE TABLE level (day date, item bigint, quantity bigint, PRIMARY KEY (day, item));
INSERT INTO event SELECT date '2024-01-01' + i, i % 3, 1 FROM generate_series(0, 5) i;
INSERT INTO level VALUES ('2024-01-04', 0, 99);
SELECT stock_create('event', '{item}', 'day', 'quantity', snapshots => 'level', prefix => 'thing');
SELECT * FROM thing_refresh(through => '2024-01-06');
CREATE TABLE level_before AS TABLE level;
BEGIN;
DROP EXTENSION ecomsocial CASCADE;
CREATE EXTENSION ecomsocial;
SET search_path = again, ecomsocial;
CREATE TEMP TABLE kept AS TABLE thing_snapshot_computed;
DROP TABLE thing_change, thing_snapshot_computed CASCADE;
SELECT stock_create('event', '{item}', 'day', 'quantity', snapshots => 'level', prefix => 'thing');
INSERT INTO thing_snapshot_computed TABLE kept;
SELECT * FROM thing_refresh(through => '2024-01-06');
SELECT count(*) AS differ FROM ((TABLE level EXCEPT TABLE level_before) UNION ALL (TABLE level_before EXCEPT TABLE level)) d;
ROLLBACK;
SET search_path = ecomsocial;
DROP SCHEMA again CASCADE;

-- Dates, numerics, month ends, no stocktakes, and names that need quotes
CREATE SCHEMA "Other ""one""";
SET search_path = "Other ""one""", ecomsocial;
CREATE TABLE "Move" ("When" date, "Bin %s" text, "select" numeric);
CREATE TABLE "Level" ("Date" date, "Bin %s" text, "Amount" numeric, PRIMARY KEY ("Bin %s", "Date"));
SELECT stock_create('"Move"', '{Bin %s}', 'When', 'select', snapshots => '"Level"', snapshot_period => 'month', prefix => 'Bin''s');
INSERT INTO "Move" VALUES ('2024-01-15', 'a', 1.5), ('2024-03-15', 'b', 2), ('2024-03-31', 'a', -0.5), ('2024-04-01', 'a', 9);
SELECT * FROM "Bin's_refresh"(through => '2024-04-29');
TABLE "Level" ORDER BY 1, 2;
DELETE FROM "Move" WHERE "When" = '2024-03-15';
INSERT INTO "Move" VALUES ('2024-02-29', 'a', 0.1);
SELECT * FROM "Bin's_refresh"('{[2024-02-29,2024-03-01),[2024-03-15,2024-03-16)}', '2024-04-30');
TABLE "Level" ORDER BY 1, 2;
SELECT * FROM "Bin's_on_hand"('2024-03-01 00:00Z');
SELECT "Bin's_on_hand_of"('a', '2024-02-28 23:00Z') AS a, "Bin's_on_hand_of"('b') AS b;
SELECT * FROM "Bin's_check"('2024-04-30');
SELECT p.proname, obj_description(p.oid) IS NOT NULL AS described FROM pg_proc p WHERE pronamespace = '"Other ""one"""'::regnamespace ORDER BY 1, p.oid;
SET search_path = ecomsocial;
DROP SCHEMA "Other ""one""" CASCADE;
