-- Damaged sketches and hlls through SQL: an error of the documented kind or a
-- sketch that holds together, never anything else.  And the same bytes as if they
-- had been damaged in a table: an error or any answer.
-- psql -v mutations=1000000 makes more of them (test/bench/sketch_mutations).
\set QUIET 1
\if :{?mutations}
\else
    \set mutations 20000
\endif
SET client_min_messages = warning;
BEGIN;
SET LOCAL search_path = ecomsocial, public;
SELECT plan(5);

CREATE TABLE original AS
SELECT row_number() OVER (ORDER BY p, n) - 1 AS id, s::bytea AS bytes,
       sketch_to_hll(s, 4 + n % 4, -1, n % 2 = 0) AS hll, sketch_from_hll(sketch_to_hll(s, 6, 0, false))::bytea AS imported
FROM unnest(ARRAY[4, 5, 8, 11]) p, unnest(ARRAY[0, 1, 2, 30, 31, 255, 2000, 50001]) n,
     LATERAL (SELECT coalesce(sketch_agg(i, p), sketch_empty(p)) AS s FROM generate_series(1, n) i) x;

-- some bytes changed, the rest cut off, or another one put behind
CREATE FUNCTION mutate(bytes bytea, other bytea, seed bigint) RETURNS bytea LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    chance bigint;
    place int;
    value int;
BEGIN
    FOR i IN 0 .. seed % 3 LOOP
        EXIT WHEN length(bytes) = 0;
        chance := hashint8extended(seed, i);
        place := chance >> 8 & 16777215;
        value := chance >> 32 & 255;
        bytes := CASE chance & 7
            WHEN 0 THEN substr(bytes, 1, place % length(bytes))
            WHEN 1 THEN substr(bytes, 1, place % (length(bytes) + 1)) || substr(other, value % (length(other) + 1) + 1)
            WHEN 2 THEN set_bit(bytes, place % (8 * length(bytes)), 1 - get_bit(bytes, place % (8 * length(bytes))))
            WHEN 3 THEN set_byte(bytes, place % least(length(bytes), 12), value)
            ELSE set_byte(bytes, place % length(bytes), value)
        END;
    END LOOP;
    RETURN bytes;
END $$;
-- the outcome of reading bytes: an SQLSTATE, or whether what was read holds together
CREATE FUNCTION outcome(bytes bytea, kind int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    s sketch;
BEGIN
    s := CASE kind WHEN 0 THEN bytes::sketch WHEN 1 THEN bytes::text::sketch ELSE sketch_from_hll(bytes) END;
    IF s::bytea::sketch <> s OR s::text::sketch <> s OR s || s <> s OR s || sketch_empty(4) <> sketch_reduce(s, 4) OR
       sketch_estimate(s) < 0 OR sketch_estimate(s) = 'NaN' OR sketch_info(s) IS NULL OR sketch_to_hll(s) IS NULL OR
       length(s::bytea) > 18 + (1 << (sketch_info(s) ->> 'precision')::int) THEN
        RETURN 'broken';
    END IF;
    RETURN 'sketch';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;
CREATE FUNCTION unchecked(bytea) RETURNS sketch AS '$libdir/ecomsocial', 'ecs_sketch_to_bytea' LANGUAGE c IMMUTABLE STRICT;
CREATE FUNCTION stored_outcome(s sketch) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF sketch_count(s) < 0 OR sketch_info(s) IS NULL OR sketch_to_hll(s || s) IS NULL OR sketch_hash(s) IS NULL OR s <> s THEN
        RETURN 'broken';
    END IF;
    RETURN 'sketch';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;
CREATE TABLE result AS
SELECT kind, outcome, count(*) AS n
FROM generate_series(0, :mutations - 1) i, LATERAL (SELECT i % 4 AS kind, i / 4 % 32 AS a, hashint8(i) & 31 AS b) choice
     JOIN original x ON x.id = a JOIN original y ON y.id = b,
     LATERAL (SELECT CASE WHEN kind = 2 THEN mutate(x.hll, y.hll, i) WHEN i / 128 % 2 = 0 THEN mutate(x.bytes, y.imported, i) ELSE mutate(x.imported, y.bytes, i) END AS damaged) m,
     LATERAL (SELECT CASE WHEN kind = 3 THEN stored_outcome(unchecked(damaged)) ELSE outcome(damaged, kind) END AS outcome) o
GROUP BY kind, outcome;
SELECT is((SELECT sum(n) FROM result), :mutations::numeric, 'the server survives');
SELECT set_eq('SELECT outcome FROM result WHERE kind = 0', ARRAY['sketch', '22P03'], 'bytea');
SELECT set_eq('SELECT outcome FROM result WHERE kind = 1', ARRAY['sketch', '22P02'], 'text');
SELECT set_eq('SELECT outcome FROM result WHERE kind = 2', ARRAY['sketch', '22P03'], 'hll');
SELECT set_eq('SELECT outcome FROM result WHERE kind = 3', ARRAY['sketch', 'XX001', '22003'], 'what is stored');
SELECT * FROM finish();
ROLLBACK;
