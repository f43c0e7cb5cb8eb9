-- A sketch is a function of the set of its elements and its precision: whatever
-- the split, the order, the precisions and forms on the way and the plan, the
-- bytes are the same.  And they are the right ones, by oracles in plain SQL.
\set QUIET 1
SET client_min_messages = warning;
BEGIN;
SET LOCAL search_path = ecomsocial, public;
SELECT plan(18);

-- sets of 0 to 28,000 elements; many of them of sizes around which tokens become registers
CREATE TABLE sets AS
SELECT id, CASE WHEN id < 39 THEN (2 ^ (id / 3) * (1 + id % 3 / 3.0))::int + id % 2 ELSE 1000 * (id - 39) END AS n
FROM generate_series(0, 49) id;
CREATE TABLE elements AS
SELECT id, i AS place, hashint8extended(i % (n - n / 4 + 1), id) >> 3 AS v FROM sets, generate_series(1, n) i;
CREATE TABLE whole AS
SELECT id, p, coalesce(s, sketch_empty(p)) AS s
FROM sets CROSS JOIN unnest(ARRAY[4, 8, 11, 13]) p
     LEFT JOIN (SELECT id, p, sketch_agg(v, p) AS s FROM elements, unnest(ARRAY[4, 8, 11, 13]) p GROUP BY id, p) x USING (id, p);
ANALYZE sets, elements, whole;
SELECT set_eq('SELECT sketch_info(s) ->> ''layout'' FROM whole', ARRAY['packed', 'raw', 'tokens'], 'every layout occurs');

-- how they came about
SELECT is_empty($$SELECT id, p FROM (SELECT id, p, sketch_agg(v, p ORDER BY md5(place::text)) AS s FROM elements, unnest(ARRAY[4, 8, 11, 13]) p GROUP BY id, p) x
                  JOIN whole USING (id, p) WHERE x.s <> whole.s$$,
                'any order');
SELECT is_empty($$WITH part AS (SELECT id, p, place % 7, sketch_agg(v, p) AS s FROM elements, unnest(ARRAY[4, 8, 11, 13]) p GROUP BY 1, 2, 3)
                  SELECT id, p FROM (SELECT id, p, sketch_union_agg(s ORDER BY s) AS s FROM part GROUP BY id, p) x JOIN whole USING (id, p) WHERE x.s <> whole.s$$,
                'any split, with common elements');
SELECT is_empty($$WITH part AS (SELECT id, p, place % 5, sketch_agg(v, p + (place % 5 * 2)::int % (19 - p)) AS s
                                FROM elements, unnest(ARRAY[4, 8, 11, 13]) p GROUP BY 1, 2, 3)
                  SELECT id, p FROM (SELECT id, p, sketch_union_agg(s) AS s FROM (TABLE part UNION ALL SELECT id, p, 0, sketch_empty(p) FROM whole) y GROUP BY id, p) x
                  JOIN whole USING (id, p) WHERE x.s <> whole.s$$,
                'any mix of precisions');
SELECT is_empty($$SELECT id, a.p FROM whole a JOIN whole b USING (id) WHERE b.p > a.p AND (sketch_reduce(b.s, a.p) <> a.s OR a.s || b.s <> a.s)$$,
                'reduced afterwards');
SELECT is_empty($$SELECT id, p FROM whole, LATERAL (SELECT sketch_union_agg(sketch_add(sketch_empty(p), v)) AS s FROM elements e WHERE e.id = whole.id) x
                  WHERE id BETWEEN 3 AND 36 AND x.s <> whole.s$$,
                'one by one');
SELECT is_empty($$SELECT 1 FROM whole a, whole b WHERE a.id % 4 = 1 AND b.id % 5 = 2 AND a.s || b.s <> b.s || a.s$$, 'union commutes');
SELECT is_empty($$SELECT 1 FROM whole a, whole b, whole c WHERE a.id = 20 AND b.id % 9 = 1 AND c.id % 11 = 3
                  AND ((a.s || b.s) || c.s <> a.s || (b.s || c.s) OR a.s || a.s <> a.s)$$,
                'union is associative and idempotent');

-- where they have been
SELECT is_empty($$SELECT id, p FROM whole WHERE s::text::sketch <> s OR s::bytea::sketch <> s OR s::text::sketch_state::text <> s::text$$,
                'round trips through text, bytea and the text of a state');
CREATE TABLE toasted (id bigint, p int, s sketch);
ALTER TABLE toasted ALTER s SET STORAGE external;
INSERT INTO toasted SELECT id, 13, sketch_agg(v, 13) FROM elements GROUP BY id;
SELECT is_empty($$SELECT id FROM toasted JOIN whole USING (id, p) WHERE toasted.s <> whole.s OR # toasted.s <> # whole.s
                  UNION ALL SELECT 0 WHERE (SELECT sketch_union_agg(s) FROM toasted) <> (SELECT sketch_union_agg(s) FROM whole WHERE p = 13)$$,
                'stored out of line');

-- which plan made them
CREATE FUNCTION plan_has(query text, node text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        IF line ~ node THEN RETURN true; END IF;
    END LOOP;
    RETURN false;
END $$;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
CREATE FUNCTION same_with(workers int) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('max_parallel_workers_per_gather', workers::text, true);
    RETURN (SELECT sketch_agg(v) FROM elements) = (SELECT sketch_union_agg(s) FROM whole WHERE p = 11)
        AND (SELECT approx_count_distinct(v, 13) FROM elements) = (SELECT # sketch_union_agg(s) FROM whole WHERE p = 13)
        AND NOT EXISTS (SELECT FROM (SELECT id, sketch_agg(v) AS s FROM elements GROUP BY id) x JOIN whole USING (id) WHERE p = 11 AND x.s <> whole.s);
END $$;
SET LOCAL cpu_operator_cost = 1;     -- or it is a toss-up for so few rows
SELECT ok(plan_has('SELECT sketch_agg(v) FROM ecomsocial.elements', 'Partial Aggregate') AND plan_has('SELECT sketch_union_agg(s) FROM ecomsocial.whole', 'Partial Aggregate'),
          'aggregation is split among workers');
SELECT ok(bool_and(same_with(workers)), 'any number of workers') FROM unnest(ARRAY[0, 1, 2, 4]) workers;
RESET cpu_operator_cost;
SET LOCAL enable_hashagg = off;
SELECT ok(same_with(2), 'sorted groups');
RESET enable_hashagg;
SET LOCAL work_mem = '64kB';
SET LOCAL hash_mem_multiplier = 1;
SELECT ok(same_with(0), 'groups that spill');
RESET work_mem;

-- how much memory that took
CREATE FUNCTION batches(query text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (ANALYZE, FORMAT json) ' || query INTO plan;
    RETURN plan -> 0 -> 'Plan' ->> 'HashAgg Batches';
END $$;
SET LOCAL work_mem = '64MB';
SELECT is(batches('SELECT i % 100000, ecomsocial.sketch_agg(i) FROM generate_series(1, 300000) i GROUP BY 1'), 1, '100,000 groups of three in 64 MB');
RESET work_mem;

-- The registers are what the definition says, computed from hashes.  The hash of
-- an element is read out of the token of a sketch of it alone.
CREATE FUNCTION hash_of(v bigint, OUT low bigint, OUT zeros int) LANGUAGE sql AS $$
    SELECT q << 25 | (SELECT sum(get_bit(b, 25 + q + i)::bigint << i)::bigint FROM generate_series(0, 24) i),
           (SELECT min(i) FROM generate_series(0, 8 * length(b) - 51 - q) i WHERE get_bit(b, 50 + q + i) = 1)
    FROM (SELECT sketch_add(sketch_empty(18), v)::bytea AS b) x, LATERAL (SELECT 1 - get_bit(b, 24) AS q) y
$$;
CREATE TABLE update_value AS
SELECT DISTINCT id, p, low & ((1 << p) - 1) AS j,
       CASE WHEN low >> p = 0 THEN 27 - p + zeros ELSE (SELECT min(i) FROM generate_series(0, 25) i WHERE low >> p >> i & 1 = 1) + 1 END AS k
FROM elements, hash_of(v), unnest(ARRAY[4, 8, 11]) p WHERE id IN (9, 25, 33, 40, 43);
CREATE TABLE register AS
SELECT id, p, j, coalesce(u, 0) AS u, coalesce(u - 1 = ANY (seen), false) AS b1, coalesce(u - 2 = ANY (seen), false) AS b0
FROM (SELECT DISTINCT id, p FROM update_value) x CROSS JOIN LATERAL generate_series(0, (1 << p) - 1) j
     LEFT JOIN (SELECT id, p, j, max(k) AS u, array_agg(k) AS seen FROM update_value GROUP BY id, p, j) y USING (id, p, j);
CREATE TABLE oracle AS
SELECT id, p, ('\x11' || lpad(to_hex(p), 2, '0') || '00000000' || string_agg(lpad(to_hex(4 * u + 2 * b1::int + b0::int), 2, '0'), '' ORDER BY j))::sketch AS s
FROM register GROUP BY id, p;
SELECT is((SELECT count(*) FROM oracle), 15::bigint, 'the oracle has sketches');
SELECT is_empty($$SELECT id, p FROM oracle JOIN whole USING (id, p) WHERE sketch_info(whole.s) ->> 'layout' <> 'tokens' AND oracle.s <> whole.s$$,
                'registers are those of the definition');

-- The estimate maximises the likelihood of the registers: its derivative changes sign there.
CREATE FUNCTION slope(id int, p int, x float8) RETURNS float8 LANGUAGE sql AS $$
    SELECT sum(CASE WHEN seen THEN rate / (exp(x * rate) - 1) ELSE -rate END)
    FROM register r, LATERAL (
        SELECT u, true WHERE u > 0
        UNION ALL SELECT u - 1, b1 WHERE u > 1 UNION ALL SELECT u - 2, b0 WHERE u > 2
        UNION ALL SELECT i, false FROM generate_series(u + 1, 45) i) value(k, seen),
        LATERAL (SELECT 2::float8 ^ -k AS rate) y
    WHERE r.id = $1 AND r.p = $2
$$;
-- the bias that was taken off, at so many elements per register, times the number of registers
CREATE FUNCTION bias(x float8) RETURNS float8 LANGUAGE sql AS $$
    SELECT 0.75 * sum(y ^ 3 * shown) / sum(y ^ 2 * shown) ^ 2
    FROM generate_series(1, 30) j, LATERAL (SELECT x * 2::float8 ^ -j AS y) level, LATERAL (SELECT exp(-y / 4) / (exp(y) - 1) AS shown WHERE y < 500) told
$$;
SELECT is_empty($$SELECT id, p FROM oracle, LATERAL (SELECT sketch_estimate(s) / 2 ^ p AS reduced) z,
                      LATERAL (SELECT reduced / (1 - bias(reduced / (1 - bias(reduced / (1 - bias(reduced) / 2 ^ p)) / 2 ^ p)) / 2 ^ p) AS x) y
                  WHERE NOT (slope(id, p, x - 0.001 / 2 ^ p - 1e-6 * x) > 0 AND slope(id, p, x + 0.001 / 2 ^ p + 1e-6 * x) < 0)$$,
                'the estimate is that of the greatest likelihood');
SELECT * FROM finish();
ROLLBACK;
