-- stock_ledger() and stock_snapshots(), against plain SQL
\set VERBOSITY sqlstate
CREATE SCHEMA ledger;
SET search_path = ledger, ecomsocial;
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET jit = off;

-- Nine days over the end of daylight saving time in Brazil, where clocks went
-- back over midnight: 2018-02-18 00:00 became 2018-02-17 23:00.  Times are
-- rounded so that many are equal, and do not arrive in order.
CREATE TABLE event AS
SELECT i AS id,
	CASE WHEN h % 23 = 0 THEN 'stocktake' WHEN h % 29 = 0 THEN NULL WHEN h % 2 = 0 THEN 'sale' ELSE 'receipt' END AS event_type,
	'2018-02-14 12:00-02'::timestamptz + ((h >> 8) % (9 * 96)) * interval '15 minutes' AS event_time,
	(h >> 16) % 5 - 2 AS store_id, 'Product ' || (h >> 20) % 7 AS product,
	((h >> 24) % 41 - 15)::integer AS quantity
FROM (SELECT i, hashint8extended(i, 7) & 1099511627775 AS h FROM generate_series(1, 4000) i) e;
CREATE TABLE stock_line (store_id bigint, product text, day date, change bigint, balance bigint, counted boolean);
CREATE TYPE number_line AS (store_id bigint, product text, day date, change numeric, balance numeric, counted boolean);
CREATE TYPE plain_line AS (store_id bigint, day date, change bigint, balance bigint);

-- The balance at the end of a day, by its definition: the last count by then,
-- the largest where several fell on one instant, and what moved after it.
CREATE FUNCTION oracle(zone text) RETURNS SETOF stock_line LANGUAGE sql STABLE AS $$
	WITH e AS MATERIALIZED (
		SELECT *, (event_time AT TIME ZONE zone)::date AS day, event_type IS NOT DISTINCT FROM 'stocktake' AS is_count FROM event
	), days AS MATERIALIZED (
		SELECT store_id, product, day, bool_or(is_count) AS counted FROM e GROUP BY 1, 2, 3
	), balances AS MATERIALIZED (
		SELECT d.*, (SELECT max(event_time) FROM e WHERE (e.store_id, e.product) = (d.store_id, d.product) AND is_count AND e.day <= d.day) AS count_time
		FROM days d
	), sums AS MATERIALIZED (
		SELECT d.*,
			coalesce((SELECT max(quantity) FROM e WHERE (e.store_id, e.product) = (d.store_id, d.product) AND is_count AND event_time = count_time), 0)
			+ coalesce((SELECT sum(quantity) FROM e WHERE (e.store_id, e.product) = (d.store_id, d.product) AND NOT is_count AND e.day <= d.day
						AND (count_time IS NULL OR event_time > count_time)), 0)::bigint AS balance
		FROM balances d
	)
	SELECT store_id, product, day, balance - lag(balance, 1, 0) OVER (PARTITION BY store_id, product ORDER BY day), balance, counted FROM sums
$$;

-- Rows that only one of two queries returns; one row tells that they are equal and how many
CREATE FUNCTION compare(a text, b text) RETURNS TABLE (only_in_first bigint, only_in_second bigint, rows bigint) LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format('WITH a AS (%s), b AS (%s) SELECT (SELECT count(*) FROM (TABLE a EXCEPT ALL TABLE b) x),
		(SELECT count(*) FROM (TABLE b EXCEPT ALL TABLE a) x), (SELECT count(*) FROM a)', a, b);
END
$$;

-- with stocktakes, two keys of which one is text, in two zones
CREATE TABLE wanted AS SELECT * FROM oracle('America/Sao_Paulo');
SELECT count(*) FILTER (WHERE counted) AS counted, count(*) FILTER (WHERE balance < 0) AS negative, count(*), min(day), max(day) FROM wanted;
SELECT * FROM compare('TABLE wanted', $$SELECT * FROM stock_ledger(NULL::stock_line, 'event', '{store_id,product}', 'event_time', 'quantity', 'event_type', time_zone => 'America/Sao_Paulo')$$);
SELECT * FROM compare('SELECT * FROM oracle(''Asia/Tokyo'')', $$SELECT * FROM stock_ledger(NULL::stock_line, 'event', '{store_id,product}', 'event_time', 'quantity', 'event_type', time_zone => 'Asia/Tokyo')$$);
-- the order of arrival does not matter
SELECT * FROM compare('TABLE wanted', $$SELECT * FROM stock_ledger(NULL::stock_line,
	'SELECT store_id, product, event_time, quantity, event_type = ''stocktake'' FROM event ORDER BY hashint8(id)', 'America/Sao_Paulo')$$);
-- numerics, and smallint into numeric
SELECT * FROM compare('SELECT store_id, product, day, change / 8.0, balance / 8.0, counted FROM wanted', $$SELECT * FROM stock_ledger(NULL::number_line,
	'SELECT store_id, product, event_time, quantity / 8.0, event_type = ''stocktake'' FROM event', 'America/Sao_Paulo')$$);
SELECT * FROM compare('SELECT store_id, product, day, change::numeric, balance::numeric, counted FROM wanted', $$SELECT * FROM stock_ledger(NULL::number_line,
	'SELECT store_id, product, event_time, quantity::smallint, event_type = ''stocktake'' FROM event', 'America/Sao_Paulo')$$);
-- beyond memory: runs in temporary files, and so many that they are merged on the way
BEGIN;
SET LOCAL work_mem = '64kB';
SET LOCAL hash_mem_multiplier = 1;
CREATE FUNCTION many(copies int) RETURNS text LANGUAGE sql IMMUTABLE AS
	$$SELECT format('SELECT store_id + 10 * i, product, event_time, quantity, event_type = ''stocktake'' FROM generate_series(0, %s) i, event', copies - 1)$$;
SELECT * FROM compare('SELECT store_id + 10 * i, product, day, change, balance, counted FROM wanted, generate_series(0, 19) i',
	$$SELECT * FROM stock_ledger(NULL::stock_line, many(20), 'America/Sao_Paulo')$$);
SELECT * FROM compare('SELECT store_id + 10 * i, product, day, change::numeric, balance::numeric, counted FROM wanted, generate_series(0, 3) i',
	$$SELECT * FROM stock_ledger(NULL::number_line, replace(many(4), 'quantity', 'quantity::numeric'), 'America/Sao_Paulo')$$);
-- the result is in order all the same
SELECT bool_and((store_id, product, day) > (last_store, last_product, last_day)) AS in_order
FROM (SELECT *, lag(store_id) OVER (ROWS 1 PRECEDING) AS last_store, lag(product) OVER (ROWS 1 PRECEDING) AS last_product, lag(day) OVER (ROWS 1 PRECEDING) AS last_day
	FROM stock_ledger(NULL::stock_line, many(20), 'America/Sao_Paulo')) l;
-- and stopping early leaves no file behind
SELECT store_id, day FROM (SELECT (l).* FROM (SELECT stock_ledger(NULL::stock_line, many(20)) AS l) l) l LIMIT 1;

ROLLBACK;

-- integer keys, no stocktakes, and nulls: a null key is a key and sorts last, without time or quantity nothing moved
CREATE FUNCTION plain_oracle() RETURNS SETOF plain_line LANGUAGE sql STABLE AS $$
	SELECT nullif(store_id, 1), event_time::date, sum(quantity), (sum(sum(quantity)) OVER (PARTITION BY nullif(store_id, 1) ORDER BY event_time::date))::bigint
	FROM event WHERE quantity <> 3 GROUP BY 1, 2
$$;
SELECT * FROM compare('SELECT * FROM plain_oracle()',
	$$SELECT * FROM stock_ledger(NULL::plain_line, 'SELECT nullif(store_id, 1), nullif(event_time, ''infinity''), nullif(quantity, 3) FROM event')$$);
SELECT * FROM stock_ledger(NULL::plain_line, 'VALUES (NULL::bigint, date ''2024-01-02'', 1), (5, ''2024-01-02'', 2), (-5, ''2024-01-03'', 3), (NULL, ''2024-01-01'', 4), (7, NULL, 5), (8, ''2024-01-01'', NULL)');
-- dates and local timestamps are days of no zone
SELECT * FROM stock_ledger(NULL::record, 'VALUES (timestamp ''2024-01-01 23:59:59.999999'', 1), (''2024-01-02 00:00'', 2), (''1999-12-31 23:00'', 4)', 'Asia/Tokyo')
	AS l(day date, change bigint, balance bigint);
-- keys: none; four; of many ranges, which do not fit into one integer; with dropped columns in the row type
SELECT * FROM stock_ledger(NULL::record, 'SELECT event_time, quantity FROM event WHERE id <= 30') AS l(day date, change smallint, balance integer);
SELECT * FROM stock_ledger(NULL::record, $$VALUES (1, 2::smallint, date '2020-01-01', 4::bigint, now(), 5), (1, 2::smallint, '2019-01-01', 4, now(), 6)$$)
	AS l(a int, b smallint, c date, e bigint, day date, change bigint, balance bigint) LIMIT 1 \gset first_
SELECT :first_balance AS balance, :'first_c' AS c;
SELECT l.a, l.b, l.balance FROM stock_ledger(NULL::record, $$VALUES (9223372036854775807, -9223372036854775808, date '2020-01-01', 1), (-9223372036854775808, 0, '2020-01-01', 2),
	(9223372036854775807, -9223372036854775807, '2020-01-01', 3), (0, 0, '2020-01-01', 4)$$) AS l(a bigint, b bigint, day date, change bigint, balance bigint);
CREATE TABLE dropped (x int, store_id integer, y text, day date, change bigint, balance bigint, z int);
ALTER TABLE dropped DROP x, DROP y, DROP z;
SELECT * FROM stock_ledger(NULL::dropped, 'VALUES (1, date ''2024-01-01'', 10), (1, ''2024-01-03'', -4), (NULL, ''2024-01-03'', 1)');
-- a view, a name that needs quotes, no rows at all
CREATE VIEW "Odd ""events""" AS SELECT store_id AS "Store", event_time AS "when", quantity AS "select" FROM event WHERE id <= 3;
SELECT count(*), sum(change) FROM stock_ledger(NULL::plain_line, '"Odd ""events"""'::regclass, '{Store}', 'when', 'select');
SELECT * FROM stock_ledger(NULL::plain_line, 'SELECT store_id, event_time, quantity FROM event WHERE false');
-- a table is the query on its columns: all of its rows as they are stored, columns dropped, added later, in an index, in children, and the right to some alone
CREATE FUNCTION compare_table(events regclass) RETURNS TABLE (only_in_table bigint, only_in_query bigint, rows bigint) LANGUAGE sql AS $$
	SELECT * FROM compare(format('SELECT * FROM stock_ledger(NULL::number_line, %L::regclass, ''{store_id,product}'', ''event_time'', ''quantity'')', events),
		format('SELECT * FROM stock_ledger(NULL::number_line, ''SELECT store_id, product, event_time, quantity FROM %s'')', events))
$$;
CREATE TABLE whole AS SELECT event_type AS gone, quantity::numeric, event_time, 'x'::text AS other, product, store_id FROM event;
SELECT * FROM compare_table('whole');
CREATE INDEX whole_index ON whole (store_id, product) INCLUDE (event_time, quantity);
SELECT * FROM compare_table('whole');
ALTER TABLE whole ADD late integer NOT NULL DEFAULT 7;
SELECT * FROM compare_table('whole');
ALTER TABLE whole DROP gone;
SELECT * FROM compare_table('whole');
CREATE TABLE child (event_time timestamptz, more text, store_id bigint, quantity integer, product text, other text);
CREATE TABLE parent (store_id bigint, product text, other text, quantity integer, event_time timestamptz);
ALTER TABLE child INHERIT parent;
INSERT INTO parent (store_id, product, quantity, event_time) SELECT store_id, product, quantity, event_time FROM event WHERE id % 2 = 0;
INSERT INTO child (store_id, product, quantity, event_time) SELECT store_id, product, quantity, event_time FROM event WHERE id % 2 = 1;
SELECT * FROM compare_table('parent');
CREATE ROLE stock_reader;
GRANT USAGE ON SCHEMA ledger, ecomsocial TO stock_reader;
GRANT SELECT (store_id, event_time, quantity) ON event TO stock_reader;
SET ROLE stock_reader;
SELECT count(*) FROM stock_ledger(NULL::plain_line, 'event', '{store_id}', 'event_time', 'quantity');
SELECT * FROM stock_ledger(NULL::number_line, 'event', '{store_id,product}', 'event_time', 'quantity');
RESET ROLE;
DROP OWNED BY stock_reader;
DROP ROLE stock_reader;

-- Where clocks went back from one minute after midnight, a day begins when they pass midnight for the last time, as for rollups: days follow each
-- other as instants do, and the count of 23:30 includes the sale at 00:00:30, which was an hour earlier.
SELECT day, change, balance, counted FROM stock_ledger(NULL::record, $$VALUES ('2010-11-07 02:30:30Z'::timestamptz, -1, false), ('2010-11-07 03:00Z', 10, true),
	('2010-11-07 03:30Z', -2, false)$$, 'America/St_Johns') AS l(day date, change bigint, balance bigint, counted boolean);
SELECT zone, count(*), count(DISTINCT day) AS days, count(*) FILTER (WHERE day <> rollup_day(at, zone)) AS wrong, count(*) FILTER (WHERE day <> (at AT TIME ZONE zone)::date) AS other_date
FROM unnest('{America/St_Johns,America/Moncton,America/Goose_Bay,America/Havana,America/Sao_Paulo,Asia/Beirut,Australia/Lord_Howe,Pacific/Kwajalein}'::text[]) zone,
	LATERAL stock_ledger(NULL::record, $$SELECT at, at, 1 FROM generate_series('1993-08-19'::timestamptz, '1993-08-23', '17 seconds') at
		UNION ALL SELECT at, at, 1 FROM generate_series('2005-10-28'::timestamptz, '2005-11-01', '17 seconds') at$$, zone) AS l(at timestamptz, day date, change bigint, balance bigint)
GROUP BY zone ORDER BY zone;
-- what is a time zone and an abbreviation of a fixed offset, which AT TIME ZONE takes it for, is refused
SELECT * FROM stock_ledger(NULL::plain_line, 'SELECT 1::bigint, now(), 3', 'CET');
SELECT count(*) FROM unnest('{UTC,gmt,Etc/GMT+5,EST5EDT,Europe/Paris}'::text[]) zone, LATERAL stock_ledger(NULL::plain_line, 'SELECT 1::bigint, now(), 3', zone) l;

-- quantities at the bounds of what is kept beside its day in one integer, alone and in sums: few first, the last rows the largest, and the other way around
CREATE VIEW large AS
SELECT id, store_id, event_time,
	CASE WHEN id <= 1000 THEN quantity WHEN id <= 3000 THEN (ARRAY[274877906943, -274877906944])[1 + id % 2] ELSE (ARRAY[274877906944, -274877906945, 1, 4611686018427387])[1 + id % 4] END AS quantity
FROM event;
CREATE FUNCTION large_oracle(condition text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT format('SELECT store_id, event_time::date, sum(quantity)::bigint, sum(sum(quantity)) OVER (PARTITION BY store_id ORDER BY event_time::date)::bigint FROM large WHERE %s GROUP BY 1, 2', condition)
$$;
SELECT condition, direction, c.*
FROM unnest('{true,id <= 3000,id % 2 = 1 AND id <= 3000}'::text[]) condition, unnest('{ASC,DESC}'::text[]) direction, LATERAL compare(large_oracle(condition),
	format('SELECT * FROM stock_ledger(NULL::plain_line, %L)', format('SELECT store_id, event_time, quantity FROM large WHERE %s ORDER BY id %s', condition, direction))) c
ORDER BY condition, direction;
-- what the largest numbers do: the bounds are reached, never passed
SELECT balance FROM stock_ledger(NULL::record, 'VALUES (date ''2024-01-01'', 9223372036854775806), (''2024-01-01'', 1)') AS l(day date, change bigint, balance bigint);
SELECT balance FROM stock_ledger(NULL::record, 'VALUES (date ''2024-01-01'', 9223372036854775807), (''2024-01-01'', 1)') AS l(day date, change bigint, balance bigint);
SELECT balance FROM stock_ledger(NULL::record, 'VALUES (date ''2024-01-01'', 9223372036854775807), (''2024-01-02'', 1)') AS l(day date, change bigint, balance bigint);
SELECT balance FROM stock_ledger(NULL::record, 'VALUES (date ''2024-01-01'', -9223372036854775808), (''2024-01-02'', -1)') AS l(day date, change bigint, balance bigint);
SELECT balance FROM stock_ledger(NULL::record, 'VALUES (date ''2024-01-01'', -9223372036854775808, true), (''2024-01-02'', 5, true)') AS l(day date, change bigint, balance bigint);
SELECT balance FROM stock_ledger(NULL::record, 'VALUES (date ''2024-01-01'', 9223372036854775807::numeric), (''2024-01-02'', 1)') AS l(day date, change numeric, balance numeric);
SELECT balance FROM stock_ledger(NULL::record, 'VALUES (date ''2024-01-01'', 2147483647), (''2024-01-02'', 1)') AS l(day date, change integer, balance integer);
SELECT balance FROM stock_ledger(NULL::record, 'VALUES (date ''2024-01-01'', ''NaN''::numeric)') AS l(day date, change numeric, balance numeric);
SELECT day FROM stock_ledger(NULL::record, 'VALUES (date ''infinity'', 1)') AS l(day date, change integer, balance integer);
SELECT day FROM stock_ledger(NULL::record, 'VALUES (''-infinity''::timestamptz, 1)') AS l(day date, change integer, balance integer);
SELECT day FROM stock_ledger(NULL::record, 'VALUES (''294276-12-31''::timestamptz, 1)') AS l(day date, change integer, balance integer);
SELECT day FROM stock_ledger(NULL::record, 'VALUES (''40000-12-31 23:59:59.999999+0''::timestamptz, 1, true), (''4713-01-01 00:00+0 BC'', 1, true)') AS l(day date, change integer, balance integer);

SELECT balance FROM stock_ledger(NULL::record, 'VALUES (date ''2024-01-01'', 9223372036854775807, true), (''2024-01-02'', 1, false)') AS l(day date, change bigint, balance bigint);
SELECT balance FROM stock_ledger(NULL::record, 'VALUES (date ''2024-01-01'', -5, false), (''2024-01-02'', 9223372036854775807, true)') AS l(day date, change bigint, balance bigint);
BEGIN;
SET LOCAL work_mem = '64kB';
SET LOCAL hash_mem_multiplier = 1;
SELECT count(*) FROM stock_ledger(NULL::record, 'SELECT ''2024-01-01''::timestamptz + i * interval ''1 day'', 9223372036854775 FROM generate_series(1, 4000) i ORDER BY i % 7')
	AS l(day date, change bigint, balance bigint);
ROLLBACK;

-- stocktakes by a type of another kind than text, and by none that has equality; where there is no such value there is an error, not no stocktake
CREATE TYPE kind AS ENUM ('sale', 'count');
CREATE TABLE kinds AS SELECT k::kind AS kind, k::varchar(5) AS short, point(1, 2) AS place, day, quantity
	FROM (VALUES ('count', date '2024-01-01', 5), ('sale', '2024-01-02', -2), (NULL, '2024-01-03', 4), ('count', '2024-01-04', 3)) v(k, day, quantity);
SELECT * FROM stock_ledger(NULL::record, 'kinds', '{}', 'day', 'quantity', 'kind', 'count') AS l(day date, change bigint, balance bigint, counted boolean);
SELECT sum(change) FROM stock_ledger(NULL::record, 'kinds', '{}', 'day', 'quantity', 'short', 'count') AS l(day date, change bigint, balance bigint, counted boolean);
SELECT sum(change) FROM stock_ledger(NULL::record, 'kinds', '{}', 'day', 'quantity', 'short', 'stocktake') AS l(day date, change bigint, balance bigint, counted boolean);
SELECT sum(change) FROM stock_ledger(NULL::record, 'kinds', '{}', 'day', 'quantity', 'kind', 'counts') AS l(day date, change bigint, balance bigint, counted boolean);
SELECT sum(change) FROM stock_ledger(NULL::record, 'kinds', '{}', 'day', 'quantity', 'place', '(1,2)') AS l(day date, change bigint, balance bigint, counted boolean);
DROP TABLE kinds;
DROP TYPE kind;

-- what does not fit is refused
SELECT * FROM stock_ledger(NULL::bigint, 'SELECT 1');
SELECT * FROM stock_ledger(NULL::record, 'SELECT now(), 1.5') AS l(day date, change numeric, balance numeric(10, 1));
SELECT * FROM stock_ledger(NULL::event, 'SELECT 1');
SELECT * FROM stock_ledger(NULL::plain_line, 'SELECT 1');
SELECT * FROM stock_ledger(NULL::plain_line, 'SELECT 1, now(), 2');
SELECT * FROM stock_ledger(NULL::plain_line, 'SELECT 1::bigint, 2, 3');
SELECT * FROM stock_ledger(NULL::plain_line, 'SELECT 1::bigint, now(), 3.5');
SELECT * FROM stock_ledger(NULL::plain_line, 'SELECT 1::bigint, now(), ''x''::text');
SELECT * FROM stock_ledger(NULL::plain_line, 'SELECT 1::bigint, now(), 3, 4');
SELECT * FROM stock_ledger(NULL::record, 'SELECT point(1, 2), now(), 3') AS l(a point, day date, change bigint, balance bigint);
SELECT * FROM stock_ledger(NULL::record, 'SELECT ''1''::xid, now(), 3') AS l(a xid, day date, change bigint, balance bigint);
SELECT * FROM stock_ledger(NULL::plain_line, 'SELECT 1::bigint, now(), 3; SELECT 2::bigint, now(), 3');
SELECT * FROM stock_ledger(NULL::plain_line, 'DELETE FROM event RETURNING store_id, event_time, quantity');
SELECT * FROM stock_ledger(NULL::plain_line, 'EXPLAIN SELECT 1');
SELECT * FROM stock_ledger(NULL::plain_line, '');
SELECT * FROM stock_ledger(NULL::plain_line, NULL);
SELECT * FROM stock_ledger(NULL::plain_line, 'SELECT 1::bigint, now(), 3', 'Mars/Olympus');
SELECT * FROM stock_ledger(NULL::plain_line, 'event', '{store_id}', 'event_time', 'quantities');
SELECT * FROM stock_ledger(NULL::plain_line, 'event', '{NULL}', 'event_time', 'quantity');
SELECT * FROM stock_ledger(NULL::plain_line, 0::regclass, '{store_id}', 'event_time', 'quantity');
SELECT count(*) FROM event;

-- snapshots: each key from the day of its first movement on
CREATE TYPE snapshot AS (day date, store_id bigint, product text, quantity bigint);
CREATE FUNCTION snapshot_oracle(days date[]) RETURNS SETOF snapshot LANGUAGE sql STABLE AS $$
	SELECT d, store_id, product, balance
	FROM (SELECT DISTINCT d FROM unnest(days) d) d CROSS JOIN (SELECT DISTINCT store_id, product FROM wanted) k
	CROSS JOIN LATERAL (SELECT balance FROM wanted w WHERE (w.store_id, w.product) = (k.store_id, k.product) AND w.day <= d ORDER BY w.day DESC LIMIT 1) b
$$;
\set days '{2018-02-20,2018-02-10,2018-02-14,2018-02-18,2018-02-18,2018-02-17,2018-06-30}'
SELECT * FROM compare(format('SELECT * FROM snapshot_oracle(%L)', :'days'), format($$SELECT * FROM stock_snapshots(NULL::snapshot,
	'SELECT store_id, product, event_time, quantity, event_type = ''stocktake'' FROM event', %L, 'America/Sao_Paulo')$$, :'days'));
BEGIN;
SET LOCAL work_mem = '64kB';
SET LOCAL hash_mem_multiplier = 1;
SELECT * FROM compare(format('SELECT day, store_id + 10 * i, product, quantity FROM snapshot_oracle(%L), generate_series(0, 9) i', :'days'), format($$SELECT * FROM stock_snapshots(NULL::snapshot,
	'SELECT store_id + 10 * i, product, event_time, quantity, event_type = ''stocktake'' FROM generate_series(0, 9) i, event', %L, 'America/Sao_Paulo')$$, :'days'));
ROLLBACK;
SELECT * FROM stock_snapshots(NULL::record, 'VALUES (1, date ''2024-01-02'', 1.5), (0, ''2024-01-03'', 2.5), (1, ''2024-01-04'', -1)', '{2024-01-04,2024-01-01,2024-01-02,2024-01-03}')
	AS s(day date, store_id int, quantity numeric);
SELECT count(*) FROM stock_snapshots(NULL::snapshot, 'SELECT store_id, product, event_time, quantity FROM event', '{}');
SELECT count(*) FROM stock_snapshots(NULL::snapshot, 'SELECT store_id, product, event_time, quantity FROM event', '{2018-02-20,NULL}');
SELECT count(*) FROM stock_snapshots(NULL::snapshot, 'SELECT store_id, product, event_time, quantity FROM event', '{infinity}');
SELECT count(*) FROM stock_snapshots(NULL::stock_line, 'SELECT store_id, product, event_time, quantity FROM event', '{}');

DROP FUNCTION snapshot_oracle, plain_oracle, large_oracle, oracle, compare;
DROP VIEW "Odd ""events""", large;
DROP TABLE event, stock_line, wanted, dropped;
DROP TYPE number_line, plain_line, snapshot;
