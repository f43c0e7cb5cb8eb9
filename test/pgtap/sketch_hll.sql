-- Import from and export to postgresql-hll, compared with the package itself.
\set QUIET 1
SET client_min_messages = warning;
BEGIN;
SET LOCAL search_path = ecomsocial, public;
SELECT plan(13);
SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'hll') AS have_hll \gset
\if :have_hll
CREATE EXTENSION hll;

CREATE FUNCTION bytes(hll) RETURNS bytea LANGUAGE sql IMMUTABLE AS 'SELECT $1::text::bytea';
-- the hll of integers from .. till
CREATE FUNCTION hll_of(first bigint, last bigint, log2m int, regwidth int, threshold bigint, sparse int) RETURNS hll LANGUAGE sql IMMUTABLE
    AS 'SELECT hll_add_agg(hll_hash_bigint(i), $3, $4, $5, $6) FROM generate_series($1, $2) i';
CREATE FUNCTION sketch_of(first bigint, last bigint, p int) RETURNS sketch LANGUAGE sql IMMUTABLE
    AS 'SELECT coalesce(sketch_agg(i, $3), sketch_empty($3)) FROM generate_series($1, $2) i';

SELECT is((SELECT count(*) FROM unnest(ARRAY[0, 1, 3, 100, 700, 5000, 20000]) n, unnest(ARRAY[4, 7, 11, 17]) p, generate_series(4, 7) width
           WHERE sketch_to_hll(sketch_of(1, n, p), width, 0, false) IS DISTINCT FROM coalesce(bytes(hll_of(1, n, p, width, 0, 0)), bytes(hll_empty(p, width, 0, 0)))),
          0::bigint, 'export as FULL: the bytes that hll makes itself');
SELECT is((SELECT count(*) FROM unnest(ARRAY[0, 1, 3, 100, 600, 650, 700, 5000]) n, unnest(ARRAY[4, 7, 11, 17]) p, generate_series(4, 7) width
           WHERE sketch_to_hll(sketch_of(1, n, p), width, 0, true) IS DISTINCT FROM coalesce(bytes(hll_of(1, n, p, width, 0, 1)), bytes(hll_empty(p, width, 0, 1)))),
          0::bigint, 'export as SPARSE or FULL: the bytes that hll makes itself');
SELECT is((SELECT sketch_to_hll(sketch_agg(v), 5, 0, false) FROM (SELECT md5(i::text) || repeat('x', i % 40) AS v FROM generate_series(1, 3000) i) t),
          (SELECT bytes(hll_add_agg(hll_hash_text(v), 11, 5, 0, 0)) FROM (SELECT md5(i::text) || repeat('x', i % 40) AS v FROM generate_series(1, 3000) i) t),
          'the hash of text is hll''s');
SELECT is((SELECT sketch_to_hll(sketch_agg(v), 5, 0, false) FROM (SELECT substr(decode(md5(i::text), 'hex'), 1, 1 + i % 16) AS v FROM generate_series(1, 3000) i) t),
          (SELECT bytes(hll_add_agg(hll_hash_bytea(v), 11, 5, 0, 0)) FROM (SELECT substr(decode(md5(i::text), 'hex'), 1, 1 + i % 16) AS v FROM generate_series(1, 3000) i) t),
          'the hash of bytea is hll''s');
SELECT is((SELECT array_agg(get_byte(sketch_to_hll(sketch_of(1, 5000, 11), 5, threshold), 2) ORDER BY threshold) FROM unnest(ARRAY[-1, 0, 1, 2, 256, 8192]) threshold),
          (SELECT array_agg(get_byte(bytes(hll_of(1, 5000, 11, 5, threshold, 1)), 2) ORDER BY threshold) FROM unnest(ARRAY[-1, 0, 1, 2, 256, 8192]) threshold),
          'the threshold of a column''s type is kept');
SELECT is(round(# (hll_of(1, 3000, 11, 5, -1, 1) || sketch_to_hll(sketch_of(2001, 5000, 11))::text::hll)),
          round(# hll_of(1, 5000, 11, 5, -1, 1)), 'hll takes an export into a rollup of its own');

SELECT is((SELECT count(*) FROM generate_series(4, 17) p WHERE sketch_from_hll(bytes(hll_empty(p, 5, -1, 1))) <> sketch_empty(p)),
          0::bigint, 'import of EMPTY');
SELECT is((SELECT count(*) FROM unnest(ARRAY[1, 2, 100, 160]) n, generate_series(4, 17) p
           WHERE sketch_from_hll(bytes(hll_of(1, n, p, 5, 256, 1))) <> sketch_of(1, n, p)),
          0::bigint, 'import of EXPLICIT: the sketch of the elements');
SELECT is((SELECT count(*) FROM unnest(ARRAY[1, 100, 700, 5000, 100000]) n, unnest(ARRAY[4, 7, 11, 12, 17]) p, generate_series(4, 7) width, generate_series(0, 1) sparse
           WHERE sketch_to_hll(sketch_from_hll(bytes(hll_of(1, n, p, width, 0, sparse))), width, 0, sparse = 1) <> bytes(hll_of(1, n, p, width, 0, sparse))),
          0::bigint, 'import and export of SPARSE and FULL: the same bytes again');
SELECT is((SELECT count(*) FROM unnest(ARRAY[100, 700, 20000]) n, unnest(ARRAY[5, 11, 14]) p
           WHERE sketch_from_hll(bytes(hll_of(1, n, p, 5, 0, 1))) || sketch_from_hll(bytes(hll_of(n / 2, 2 * n, p, 5, 0, 1)))
                 <> sketch_from_hll(bytes(hll_of(1, 2 * n, p, 5, 0, 1)))),
          0::bigint, 'the union of imports is the import of the union');
SELECT is((SELECT count(*) FROM unnest(ARRAY[10, 700, 20000]) n, unnest(ARRAY[5, 11, 14]) p
           WHERE sketch_of(n / 2, 2 * n, p) || sketch_from_hll(bytes(hll_of(1, n, p, 5, 0, 0)))
                 <> sketch_from_hll(bytes(hll_of(1, 2 * n, p, 5, 0, 0)))),
          0::bigint, 'a rollup goes on: old days imported, new ones built here');
SELECT is((SELECT count(*) FROM unnest(ARRAY[700, 20000]) n
           WHERE sketch_reduce(sketch_from_hll(bytes(hll_of(1, n, 14, 5, 0, 0))), 11) <> sketch_from_hll(bytes(hll_of(1, n, 11, 5, 0, 0)))),
          0::bigint, 'imports of different log2m can be united');
SELECT ok(bool_and(abs(sketch_estimate(s) / n - 1) < 3 * sketch_error(s) AND (n < 20000 OR abs(sketch_error(s) / (1.0367 / sqrt(2048)) - 1) < 0.05)), 'estimates of imports')
FROM (SELECT n, sketch_from_hll(bytes(hll_of(1, n, 11, 5, 0, 1))) AS s FROM unnest(ARRAY[10, 1000, 6000, 20000, 200000]) n) t;
\else
SELECT skip('postgresql-hll is not installed', 13);
\endif
SELECT * FROM finish();
ROLLBACK;
