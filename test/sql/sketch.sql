-- The surface of the type sketch.
SET search_path = ecomsocial, public;

-- the SQLSTATE and message of a statement that fails
CREATE FUNCTION failure(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
    hint text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' | ', SQLSTATE, SQLERRM, nullif(detail, ''), nullif(hint, ''));
END $$;

-- exact while small: 256 elements at the default precision
SELECT n, approx_count_distinct(i % n) = n AS exact
FROM unnest(ARRAY[1, 2, 3, 4, 5, 17, 100, 255, 256]) n, generate_series(1, 1000) i
GROUP BY n ORDER BY n;

-- one hash whatever the width; equal numbers, equal addresses are one element
SELECT sketch_agg(i::smallint) = sketch_agg(i::bigint) AS smallint_,
       sketch_agg(i) = sketch_agg(i::bigint) AS integer_,
       sketch_agg(i::numeric) = sketch_agg(i::bigint) AS numeric_,
       sketch_agg(i::numeric(12, 5)) = sketch_agg(i::bigint) AS with_scale
FROM generate_series(-300, 300) i;
SELECT approx_count_distinct(v) FROM (VALUES (1.50), (1.5), (1.5000), (-1.5), (1.51)) AS t(v);
SELECT approx_count_distinct(v) FROM (VALUES ('NaN'::numeric), ('NaN'), ('Infinity'), ('-Infinity'), (0), (0.00), (-0.0)) AS t(v);
SELECT approx_count_distinct(v) FROM (VALUES (9223372036854775807), (9223372036854775808), (9223372036854775807.0)) AS t(v);
SELECT approx_count_distinct(v) FROM (VALUES (inet '10.0.0.1'), ('10.0.0.1/32'), ('10.0.0.1/24'), ('::1'), ('::1/128'), ('0.0.0.1')) AS t(v);
SELECT approx_count_distinct(v) FROM (VALUES ('a'), ('a '), ('b'), (''), (repeat('x', 10000)), (repeat('x', 10000))) AS t(v);
SELECT approx_count_distinct(v) FROM (VALUES ('a'::varchar(5)), ('a'), ('b')) AS t(v);
SELECT approx_count_distinct(v) FROM (VALUES ('a'::char(5)), ('a '), ('b')) AS t(v);
SELECT approx_count_distinct(v), approx_count_distinct(v::timestamptz) FROM (VALUES (date 'infinity'), ('-infinity'), ('2024-01-01'), ('infinity')) AS t(v);
SELECT sketch_agg(v) = sketch_agg(convert_to(v, 'UTF8')) AS text_is_bytes FROM (VALUES ('a'), ('ü'), ('0123456789abcdef!')) AS t(v);
SELECT approx_count_distinct(md5(i::text)::uuid) FROM generate_series(1, 200) i;
SELECT approx_count_distinct(d), approx_count_distinct(d::timestamp), approx_count_distinct(d AT TIME ZONE 'UTC')
FROM (SELECT date '2024-01-01' + i / 2 AS d FROM generate_series(0, 99) i) t;
-- a timestamp is not moved to the session's time zone
SET timezone = 'Asia/Tokyo';
SELECT sketch_agg(timestamp '2024-01-01 00:00') = sketch_agg(timestamptz '2024-01-01 00:00+00') AS same_instant;
RESET timezone;

-- NULL: ignored; a group without rows has no sketch, one of NULLs has an empty one
SELECT approx_count_distinct(v), sketch_agg(v) = sketch_empty() FROM (VALUES (NULL::int), (NULL)) AS t(v);
SELECT approx_count_distinct(1), sketch_agg(1) WHERE false;
SELECT sketch_count(sketch_agg(v)), sketch_count(sketch_union_agg(s)) FROM (VALUES (1, NULL::sketch), (NULL, sketch_add(sketch_empty(), 1)), (3, NULL)) AS t(v, s);
SELECT sketch_union_agg(NULL::sketch), sketch_union(NULL, sketch_empty()), # NULL::sketch;

-- adding, uniting
SELECT sketch_add(sketch_add(sketch_empty(), 1), 2) = sketch_agg(i) AS added FROM generate_series(1, 2) i;
SELECT # (sketch_add(sketch_empty(), 'a'::text) || sketch_add(sketch_empty(), 'b'::text) || sketch_add(sketch_empty(), 'a'::text));
CREATE TABLE numbers AS SELECT i, i % 10 AS part FROM generate_series(1, 20000) i;
CREATE TABLE parts (part int, users sketch);
INSERT INTO parts SELECT part, sketch_agg(i) FROM numbers GROUP BY part;
SELECT sketch_union_agg(users) = (SELECT sketch_agg(i) FROM numbers) AS united FROM parts;
SELECT part, sketch_info(users) - 'estimate' - 'error', abs(sketch_estimate(users) / 2000 - 1) < 0.05 AS near
FROM parts ORDER BY part LIMIT 2;
SELECT sketch_info(sketch_empty(4)), sketch_info(sketch_agg(i)) FROM generate_series(1, 3) i;

-- the estimate, its error and bounds
SELECT sketch_error(sketch_empty()), sketch_error(sketch_add(sketch_empty(), 1)),
       round(sketch_error(users)::numeric, 2), sketch_estimate(users)::bigint = # users,
       sketch_bounds(users, 0) = ROW(sketch_estimate(users), sketch_estimate(users)) AS bounds_0,
       (SELECT lower < 2000 AND upper > 2000 AND abs((upper - lower) / (4 * sketch_error(users) * sketch_estimate(users)) - 1) < 1e-3
        FROM sketch_bounds(users)) AS bounds_2
FROM parts WHERE part = 3;
SELECT (sketch_overlap(a, b)).estimate, (sketch_overlap(a, b)).standard_error < 1 AS exact
FROM (SELECT sketch_agg(i) FILTER (WHERE i <= 150) AS a, sketch_agg(i) FILTER (WHERE i > 100 AND i <= 200) AS b FROM numbers) t;
SELECT abs(estimate - 5000) < 3 * standard_error AND standard_error < 600 AS near
FROM (SELECT sketch_agg(i) FILTER (WHERE i <= 10000) AS a, sketch_agg(i, 13) FILTER (WHERE i > 5000 AND i <= 15000) AS b FROM numbers) t,
     sketch_overlap(a, b);

-- precision
SELECT p, (sketch_info(sketch_empty(p)) ->> 'token_limit')::int AS exactly FROM generate_series(4, 18) p ORDER BY p;
SELECT p, # sketch_agg(i, p) BETWEEN 20000 * (1 - 3 * 0.7609 / sqrt(2 ^ p)) AND 20000 * (1 + 3 * 0.7609 / sqrt(2 ^ p)) AS near,
       sketch_reduce(sketch_agg(i, 18), p) = sketch_agg(i, p) AS reduced
FROM numbers, generate_series(4, 18) p GROUP BY p ORDER BY p;
-- the smallest precision counts, wherever it stands
SELECT sketch_agg(i, 4 + (i % 8)) = sketch_agg(i, 4) AS smallest, sketch_agg(i, CASE i WHEN 20000 THEN 5 ELSE 12 END) = sketch_agg(i, 5) AS last FROM numbers;
SELECT sketch_agg(i, 12) || sketch_agg(i + 10000, 9) = sketch_agg(i, 9) || sketch_agg(i + 10000, 18) AS mixed FROM numbers;
SELECT failure('SELECT ecomsocial.sketch_agg(1, 3)');
SELECT failure('SELECT ecomsocial.sketch_agg(1, 19)');
SELECT failure('SELECT ecomsocial.sketch_agg(1, NULL)');
SELECT failure('SELECT ecomsocial.sketch_empty(0)');
SELECT failure('SELECT ecomsocial.sketch_reduce(ecomsocial.sketch_empty(10), 11)');
SELECT failure('SELECT ecomsocial.sketch_reduce(ecomsocial.sketch_empty(10), 3)');
SELECT failure('SELECT ecomsocial.sketch_bounds(ecomsocial.sketch_empty(), ''NaN'')');
SELECT failure('SELECT ecomsocial.sketch_agg(1.5::float8)');

-- the type modifier
CREATE TABLE typed (s sketch(9));
INSERT INTO typed SELECT sketch_agg(i) FROM numbers;
SELECT s = sketch_agg(i, 9) AS reduced, pg_typeof(s), format_type(atttypid, atttypmod)
FROM typed, numbers, pg_attribute WHERE attrelid = 'typed'::regclass AND attname = 's' GROUP BY s, atttypid, atttypmod;
SELECT sketch_info(sketch_empty(18)::sketch(5)) -> 'precision';
SELECT failure('INSERT INTO typed VALUES (ecomsocial.sketch_empty(8))');
SELECT failure('CREATE TABLE bad (s ecomsocial.sketch(3))');
SELECT failure('CREATE TABLE bad (s ecomsocial.sketch(10, 11))');
SELECT failure('SELECT NULL::ecomsocial.sketch(''x'')');
-- modifiers that no type has
SELECT n, failure(format('SELECT ecomsocial.sketch_apply_modifier(ecomsocial.sketch_empty(), %s, true)', n)) AS applied,
       failure(format('SELECT ecomsocial.sketch_in(''\x100b'', 0, %s)', n)) AS read FROM unnest(ARRAY[-1, 0, 3, 19]) n;

-- text form
SELECT sketch_empty(), sketch_agg(i) FROM generate_series(1, 3) i;
SELECT users::text::sketch = users AS round_trip, users::bytea::sketch = users AS bytes, length(users::bytea) = (sketch_info(users) ->> 'bytes')::int AS length
FROM parts WHERE part = 1;
SELECT text, failure(format('SELECT %L::ecomsocial.sketch', text)) FROM unnest(ARRAY[
    '', 'x', '\x', '\x1', '\x10', '\x100', '\x1g0b', '\x200b', '\x130b', '\x104b', '\x1003', '\x1013', '\x102b',
    '\x100b00', '\x100b01', '\x100b8080', '\x100bff', '\x110b', '\x110b000000', '\x110b0000000000', '\x110400000000ffffffffffffffffffffffffffffffff',
    '\x120b', '\x120b00000000', '\x120b00000000ff00000000000000', '\x120b000000000000ffffffffffff', '\x120b000000000000000000000000']) WITH ORDINALITY AS t(text, n) ORDER BY n;
SELECT failure('SELECT ''\x100b''::bytea::ecomsocial.sketch'), failure('SELECT ''\x''::bytea::ecomsocial.sketch');
-- raw registers are accepted, and stored as every other sketch of the same contents
SELECT sketch_info(('\x110400000000' || repeat('0c', 16))::sketch);
SELECT failure($$SELECT '\x110400000000 0c'::ecomsocial.sketch$$);
SELECT failure(format('SELECT %L::ecomsocial.sketch', '\x110400000000' || repeat(byte, 16))) FROM unnest(ARRAY['01', '05', '09', 'f8', 'f7']) byte;
SELECT failure(format('SELECT %L::ecomsocial.sketch', '\x112400000000' || repeat(byte, 16))) FROM unnest(ARRAY['0d', '0c', 'f4', 'f8']) byte;
-- the estimate of the stored form: what approx_count_distinct tells, and computed anew whatever comes in
SELECT p, # s = c AS same, sketch_estimate(s) = (sketch_info(s) ->> 'estimate')::float8 AS same_estimate,
       overlay(s::bytea PLACING '\xffffffff' FROM 3 FOR 4)::sketch::bytea = s::bytea AS not_trusted,
       overlay(s::text PLACING '0000807f' FROM 7 FOR 8)::sketch::text = s::text AS not_trusted_either
FROM (SELECT p, sketch_agg(i, p) AS s, approx_count_distinct(i, p) AS c FROM numbers, unnest(ARRAY[4, 7, 11, 14]) p GROUP BY p) t ORDER BY p;
-- it is read without the registers, where they are in the row, out of it or compressed
CREATE TABLE plain (s sketch);
CREATE TABLE external (LIKE plain);
CREATE TABLE compressed (LIKE plain);
ALTER TABLE external ALTER s SET STORAGE external;
ALTER TABLE compressed ALTER s SET STORAGE extended;
INSERT INTO plain SELECT sketch_agg(i, 11) FROM numbers UNION ALL SELECT sketch_agg(i, 18) FROM numbers
UNION ALL VALUES (sketch_empty()), (('\x110e00000000' || repeat('10', 16384))::sketch);
INSERT INTO external TABLE plain;
INSERT INTO compressed TABLE plain;
SELECT array_agg(# s ORDER BY # s) AS plain, (SELECT array_agg(# s ORDER BY # s) FROM external) AS external, (SELECT array_agg(# s ORDER BY # s) FROM compressed) AS compressed,
       (SELECT bool_or(pg_column_size(s) < length(s::bytea)) FROM compressed) AS is_compressed
FROM plain;
DROP TABLE plain, external, compressed;
-- what input refuses may stand in a damaged table: an error, and comparisons that do not look at the estimate
CREATE FUNCTION unchecked(bytea) RETURNS sketch AS '$libdir/ecomsocial', 'ecs_sketch_to_bytea' LANGUAGE c IMMUTABLE STRICT;
SELECT failure(format('SELECT # ecomsocial.unchecked(%L)', bytes)), failure(format('SELECT ecomsocial.sketch_error(ecomsocial.unchecked(%L))', bytes))
FROM unnest(ARRAY['\x', '\x200b', '\x130b', '\x100b8080', '\x100bff7f', '\x110b000000', '\x110b0000c0ff', '\x110b000080bf', '\x120b0000807f']) bytes;
SELECT a = b AS equal, a < b OR a > b AS ordered, sketch_cmp(a, b), sketch_hash(a) = sketch_hash(b) AS hashes, sketch_hash_extended(a, 7) = sketch_hash_extended(b, 7) AS extended,
       a::bytea = b::bytea AS bytes, a || sketch_empty(11) = b AS united
FROM (SELECT sketch_agg(i) AS a FROM numbers) x, unchecked(overlay(a::bytea PLACING '\x00000040' FROM 3 FOR 4)) AS b;
DROP FUNCTION unchecked;
-- every register full: no estimate fits
SELECT sketch_estimate(s), sketch_error(s), sketch_info(s) -> 'estimate', failure(format('SELECT # %L::ecomsocial.sketch', s)),
       failure(format('SELECT ecomsocial.sketch_bounds(%L)', s)), failure(format('SELECT ecomsocial.sketch_overlap(%L, %1$L)', s))
FROM (SELECT ('\x110400000000' || repeat('f7', 16))::sketch AS s) t;
SELECT sketch_estimate(s) > 9.3e18, failure(format('SELECT # %L::ecomsocial.sketch', s))
FROM (SELECT ('\x110400000000' || repeat('f6', 16))::sketch AS s) t;

-- comparison
SELECT count(*), count(DISTINCT users) FROM (SELECT users FROM parts UNION ALL SELECT users FROM parts) t;
SELECT count(*) FROM (SELECT users FROM parts UNION SELECT sketch_agg(i) FROM numbers GROUP BY part) t;
SELECT count(*) FROM (SELECT 1 FROM (SELECT users FROM parts UNION ALL SELECT users FROM parts) t GROUP BY users HAVING count(*) = 2) t;
CREATE INDEX ON parts (users);
CREATE INDEX ON parts USING hash (users);
SELECT bool_and((a.users < b.users) = (a.bytes < b.bytes) AND (a.users >= b.users) = (a.bytes >= b.bytes)
                AND (a.users > b.users) = (a.bytes > b.bytes) AND (a.users <= b.users) = (a.bytes <= b.bytes)
                AND (a.users <> b.users) = (a.part <> b.part)) AS consistent
FROM (SELECT part, users, overlay(users::bytea PLACING '' FROM 3 FOR 4) AS bytes FROM parts) a,
     (SELECT part, users, overlay(users::bytea PLACING '' FROM 3 FOR 4) AS bytes FROM parts) b;
SELECT sketch_hash(users) = sketch_hash_extended(users, 0)::bit(32)::int AS low_half FROM parts WHERE part = 1;
SELECT failure('SELECT ecomsocial.sketch_cmp(''\x100b'', ''\x10'')');

-- aggregates: shared states, windows, DISTINCT, FILTER
SELECT approx_count_distinct(i % 100), # sketch_agg(i % 100), # sketch_agg(i % 100), approx_count_distinct(DISTINCT i % 100),
       approx_count_distinct(i) FILTER (WHERE i <= 7) FROM numbers;
SELECT i, approx_count_distinct(i / 2) OVER w, # sketch_agg(i / 2) OVER w, approx_count_distinct(i) OVER (ORDER BY i ROWS 2 PRECEDING)
FROM numbers WINDOW w AS (ORDER BY i) ORDER BY i LIMIT 6;
SELECT bool_and(c = least(i, 200)) AS running
FROM (SELECT i, approx_count_distinct(i % 200) OVER (ORDER BY i) AS c FROM numbers WHERE i <= 1000) t;
SELECT # u = # s AS over_parts FROM (SELECT part, sketch_union_agg(users) OVER (ORDER BY part) AS u FROM parts) t,
       (SELECT sketch_agg(i) AS s FROM numbers) n WHERE part = 9;
-- elements wait in the state before they reach its registers: each row of a window must see all of them, and leave them
SELECT p, bool_and(s = (SELECT sketch_agg(j, p) FROM generate_series(1, i) j)) AS sketches,
       bool_and(c = (SELECT # sketch_agg(j, p) FROM generate_series(1, i) j)) AS counts
FROM unnest(ARRAY[4, 7, 8]) p, LATERAL
     (SELECT i, sketch_agg(i, p) OVER w AS s, approx_count_distinct(i, p) OVER w AS c FROM numbers WHERE i <= 200 WINDOW w AS (ORDER BY i)) t
GROUP BY p ORDER BY p;
-- update values up to the largest, among few and among many others, early and late: no way to build a sketch loses them
CREATE TABLE hashes AS
SELECT i, CASE WHEN i % 97 = 0 THEN (-9223372036854775808) + i ELSE hashint8extended(i, 1) END AS hash FROM generate_series(1, 3000) i;
SELECT p, n, built = united AND built || base = late AS same, sketch_info(built) ->> 'layout' AS layout
FROM unnest(ARRAY[10, 11, 13]) p, unnest(ARRAY[90, 400, 2000, 3000]) n,
     LATERAL (SELECT set_byte('\x128b7f', 1, 128 + p) AS head, sketch_agg(i, p) AS base FROM generate_series(1, 5000) i) x,
     LATERAL (SELECT sketch_from_hll(head || string_agg(int8send(hash), '' ORDER BY i)) AS built,
                     sketch_union_agg(sketch_from_hll(head || int8send(hash)) ORDER BY i DESC) AS united FROM hashes WHERE i <= n) y,
     LATERAL (SELECT sketch_union_agg(s ORDER BY i) AS late
              FROM (SELECT 0 AS i, base AS s UNION ALL SELECT i, sketch_from_hll(head || int8send(hash)) FROM hashes WHERE i <= n) e) z
ORDER BY p, n;
DROP TABLE hashes;
-- and so must whoever reads a state, however often
CREATE AGGREGATE state_agg(integer) (SFUNC = sketch_state_add, STYPE = sketch_state, INITCOND = '\x1008');
CREATE TABLE states AS SELECT n, state_agg(i) AS state, sketch_agg(i, 8) AS s FROM generate_series(1, 200) n JOIN numbers ON i <= n GROUP BY n;
SELECT bool_and(state::text = s::text AND sketch_state_count(state) = # s AND sketch_state_final(state) = s AND sketch_state_send(state) = s::bytea) AS same
FROM states, generate_series(1, 2);
DROP TABLE states;
DROP AGGREGATE state_agg(integer);
SELECT failure('SELECT ecomsocial.sketch_state_add(NULL, 1)');
SELECT failure('SELECT ecomsocial.sketch_state_combine(''\x100b'', ''\x100b'')');
SELECT failure('SELECT ecomsocial.sketch_state_merge(''\x100b'', ''\x100b'')');

-- the transition state has the text form of its sketch
SELECT s::text::sketch_state::text = s::text AS state FROM (SELECT users AS s FROM parts UNION ALL SELECT sketch_agg(i) FROM numbers WHERE i < 100) t GROUP BY 1;
SELECT failure('SELECT ''\x10''::ecomsocial.sketch_state');

DROP TABLE numbers, parts, typed;
DROP FUNCTION failure;
