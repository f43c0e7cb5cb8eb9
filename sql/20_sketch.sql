-- sketch: approximate distinct counts.

CREATE TYPE sketch;

CREATE FUNCTION sketch_in(cstring, oid, integer) RETURNS sketch
    AS 'MODULE_PATHNAME', 'ecs_sketch_in' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_in(cstring, oid, integer) IS 'I/O';

CREATE FUNCTION sketch_out(sketch) RETURNS cstring
    AS 'MODULE_PATHNAME', 'ecs_sketch_out' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_out(sketch) IS 'I/O';

CREATE FUNCTION sketch_recv(internal, oid, integer) RETURNS sketch
    AS 'MODULE_PATHNAME', 'ecs_sketch_recv' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_recv(internal, oid, integer) IS 'I/O';

CREATE FUNCTION sketch_send(sketch) RETURNS bytea
    AS 'MODULE_PATHNAME', 'ecs_sketch_send' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_send(sketch) IS 'I/O';

CREATE FUNCTION sketch_typmod_in(cstring[]) RETURNS integer
    AS 'MODULE_PATHNAME', 'ecs_sketch_typmod_in' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_typmod_in(cstring[]) IS 'I/O: type modifier, the precision';

CREATE FUNCTION sketch_typmod_out(integer) RETURNS cstring
    AS 'MODULE_PATHNAME', 'ecs_sketch_typmod_out' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_typmod_out(integer) IS 'I/O: type modifier, the precision';

-- MAIN keeps sketches of some kilobytes in the row; they do not compress.
CREATE TYPE sketch (
    INPUT = sketch_in, OUTPUT = sketch_out, RECEIVE = sketch_recv, SEND = sketch_send,
    TYPMOD_IN = sketch_typmod_in, TYPMOD_OUT = sketch_typmod_out,
    STORAGE = main
);
COMMENT ON TYPE sketch IS 'approximate set of distinct elements that can be counted and merged; the modifier is its precision, 4 to 18';

CREATE TYPE sketch_state;

CREATE FUNCTION sketch_state_in(cstring) RETURNS sketch_state
    AS 'MODULE_PATHNAME', 'ecs_sketch_state_in' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_state_in(cstring) IS 'I/O';

CREATE FUNCTION sketch_state_out(sketch_state) RETURNS cstring
    AS 'MODULE_PATHNAME', 'ecs_sketch_state_out' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_state_out(sketch_state) IS 'I/O';

CREATE FUNCTION sketch_state_recv(internal) RETURNS sketch_state
    AS 'MODULE_PATHNAME', 'ecs_sketch_state_recv' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_state_recv(internal) IS 'I/O';

CREATE FUNCTION sketch_state_send(sketch_state) RETURNS bytea
    AS 'MODULE_PATHNAME', 'ecs_sketch_state_send' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_state_send(sketch_state) IS 'I/O';

-- PLAIN, since a state is changed in place: it must not travel compressed or with a short header.
CREATE TYPE sketch_state (
    INPUT = sketch_state_in, OUTPUT = sketch_state_out, RECEIVE = sketch_state_recv, SEND = sketch_state_send,
    STORAGE = plain
);
COMMENT ON TYPE sketch_state IS 'transition state of the aggregates on sketches; not meant for tables';

-- Casts

CREATE FUNCTION sketch_reduce(sketch, "precision" integer) RETURNS sketch
    AS 'MODULE_PATHNAME', 'ecs_sketch_reduce' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_reduce(sketch, integer) IS 'the sketch that the same elements make at a smaller precision';

CREATE FUNCTION sketch_apply_modifier(sketch, integer, boolean) RETURNS sketch
    AS 'MODULE_PATHNAME', 'ecs_sketch_reduce' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_apply_modifier(sketch, integer, boolean) IS 'apply the type modifier of sketch: reduce to its precision';

CREATE CAST (sketch AS sketch) WITH FUNCTION sketch_apply_modifier(sketch, integer, boolean) AS IMPLICIT;
COMMENT ON CAST (sketch AS sketch) IS 'applies the precision of a column or cast';

CREATE FUNCTION sketch_to_bytea(sketch) RETURNS bytea
    AS 'MODULE_PATHNAME', 'ecs_sketch_to_bytea' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_to_bytea(sketch) IS 'the stored form of a sketch';

CREATE CAST (sketch AS bytea) WITH FUNCTION sketch_to_bytea(sketch);
COMMENT ON CAST (sketch AS bytea) IS 'the stored form of a sketch';

CREATE FUNCTION sketch_from_bytea(bytea) RETURNS sketch
    AS 'MODULE_PATHNAME', 'ecs_sketch_from_bytea' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_from_bytea(bytea) IS 'the sketch with this stored form, which is checked';

CREATE CAST (bytea AS sketch) WITH FUNCTION sketch_from_bytea(bytea);
COMMENT ON CAST (bytea AS sketch) IS 'the sketch with this stored form, which is checked';

-- Union

CREATE FUNCTION sketch_empty("precision" integer DEFAULT 11) RETURNS sketch
    AS 'MODULE_PATHNAME', 'ecs_sketch_empty' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_empty(integer) IS 'the sketch of no elements';

CREATE FUNCTION sketch_union(sketch, sketch) RETURNS sketch
    AS 'MODULE_PATHNAME', 'ecs_sketch_union' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_union(sketch, sketch) IS 'the sketch of the elements of either, at the smaller precision';

CREATE OPERATOR || (FUNCTION = sketch_union, LEFTARG = sketch, RIGHTARG = sketch, COMMUTATOR = ||);
COMMENT ON OPERATOR || (sketch, sketch) IS 'union';

-- Estimates

CREATE FUNCTION sketch_count(sketch) RETURNS bigint
    AS 'MODULE_PATHNAME', 'ecs_sketch_count' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_count(sketch) IS 'estimated number of distinct elements, a whole number';

CREATE OPERATOR # (FUNCTION = sketch_count, RIGHTARG = sketch);
COMMENT ON OPERATOR # (NONE, sketch) IS 'estimated number of distinct elements';

CREATE FUNCTION sketch_estimate(sketch) RETURNS double precision
    AS 'MODULE_PATHNAME', 'ecs_sketch_estimate_float8' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_estimate(sketch) IS 'estimated number of distinct elements, to thousandths';

CREATE FUNCTION sketch_error(sketch) RETURNS double precision
    AS 'MODULE_PATHNAME', 'ecs_sketch_error' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_error(sketch) IS 'relative standard error of the estimate: 0.01 is one per cent';

CREATE FUNCTION sketch_bounds(sketch, sigmas double precision DEFAULT 2,
                              OUT lower double precision, OUT upper double precision)
    AS 'MODULE_PATHNAME', 'ecs_sketch_bounds' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_bounds(sketch, double precision) IS 'the estimate less and plus a number of standard errors';

CREATE FUNCTION sketch_overlap(sketch, sketch,
                               OUT estimate double precision, OUT standard_error double precision)
    AS 'MODULE_PATHNAME', 'ecs_sketch_overlap' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_overlap(sketch, sketch) IS 'estimated number of elements in both, and its standard error in elements';

CREATE FUNCTION sketch_info(sketch) RETURNS jsonb
    AS 'MODULE_PATHNAME', 'ecs_sketch_info' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_info(sketch) IS 'what a sketch is made of: version, hash, flavour, precision, layout, bytes, estimate, error';

-- postgresql-hll

CREATE FUNCTION sketch_from_hll(bytea) RETURNS sketch
    AS 'MODULE_PATHNAME', 'ecs_sketch_from_hll' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_from_hll(bytea) IS 'the sketch of an hll, given in its storage format, version 1';

CREATE FUNCTION sketch_to_hll(sketch, regwidth integer DEFAULT 5, expthresh integer DEFAULT -1, sparse boolean DEFAULT true)
    RETURNS bytea
    AS 'MODULE_PATHNAME', 'ecs_sketch_to_hll' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_to_hll(sketch, integer, integer, boolean)
    IS 'the hll of the elements of a sketch, in its storage format, version 1; log2m is the precision';

-- Comparison: sketches of equal elements, precision and flavour are equal; the order means nothing else.

CREATE FUNCTION sketch_eq(sketch, sketch) RETURNS boolean
    AS 'MODULE_PATHNAME', 'ecs_sketch_eq' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_eq(sketch, sketch) IS 'implementation of = operator';

CREATE FUNCTION sketch_ne(sketch, sketch) RETURNS boolean
    AS 'MODULE_PATHNAME', 'ecs_sketch_ne' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_ne(sketch, sketch) IS 'implementation of <> operator';

CREATE FUNCTION sketch_lt(sketch, sketch) RETURNS boolean
    AS 'MODULE_PATHNAME', 'ecs_sketch_lt' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_lt(sketch, sketch) IS 'implementation of < operator';

CREATE FUNCTION sketch_le(sketch, sketch) RETURNS boolean
    AS 'MODULE_PATHNAME', 'ecs_sketch_le' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_le(sketch, sketch) IS 'implementation of <= operator';

CREATE FUNCTION sketch_gt(sketch, sketch) RETURNS boolean
    AS 'MODULE_PATHNAME', 'ecs_sketch_gt' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_gt(sketch, sketch) IS 'implementation of > operator';

CREATE FUNCTION sketch_ge(sketch, sketch) RETURNS boolean
    AS 'MODULE_PATHNAME', 'ecs_sketch_ge' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_ge(sketch, sketch) IS 'implementation of >= operator';

CREATE FUNCTION sketch_cmp(sketch, sketch) RETURNS integer
    AS 'MODULE_PATHNAME', 'ecs_sketch_cmp' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_cmp(sketch, sketch) IS 'btree support: less than, equal to or greater than 0';

CREATE FUNCTION sketch_hash(sketch) RETURNS integer
    AS 'MODULE_PATHNAME', 'ecs_sketch_hash' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_hash(sketch) IS 'hash support';

CREATE FUNCTION sketch_hash_extended(sketch, bigint) RETURNS bigint
    AS 'MODULE_PATHNAME', 'ecs_sketch_hash_extended' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_hash_extended(sketch, bigint) IS 'hash support';

CREATE OPERATOR = (
    FUNCTION = sketch_eq, LEFTARG = sketch, RIGHTARG = sketch, COMMUTATOR = =, NEGATOR = <>,
    RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES
);
COMMENT ON OPERATOR = (sketch, sketch) IS 'equal';

CREATE OPERATOR <> (
    FUNCTION = sketch_ne, LEFTARG = sketch, RIGHTARG = sketch, COMMUTATOR = <>, NEGATOR = =,
    RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR <> (sketch, sketch) IS 'not equal';

CREATE OPERATOR < (
    FUNCTION = sketch_lt, LEFTARG = sketch, RIGHTARG = sketch, COMMUTATOR = >, NEGATOR = >=,
    RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR < (sketch, sketch) IS 'less than, by bytes';

CREATE OPERATOR <= (
    FUNCTION = sketch_le, LEFTARG = sketch, RIGHTARG = sketch, COMMUTATOR = >=, NEGATOR = >,
    RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR <= (sketch, sketch) IS 'less than or equal, by bytes';

CREATE OPERATOR > (
    FUNCTION = sketch_gt, LEFTARG = sketch, RIGHTARG = sketch, COMMUTATOR = <, NEGATOR = <=,
    RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR > (sketch, sketch) IS 'greater than, by bytes';

CREATE OPERATOR >= (
    FUNCTION = sketch_ge, LEFTARG = sketch, RIGHTARG = sketch, COMMUTATOR = <=, NEGATOR = <,
    RESTRICT = scalargesel, JOIN = scalargejoinsel
);
COMMENT ON OPERATOR >= (sketch, sketch) IS 'greater than or equal, by bytes';

CREATE OPERATOR CLASS sketch_ops DEFAULT FOR TYPE sketch USING btree AS
    OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >,
    FUNCTION 1 sketch_cmp(sketch, sketch);
COMMENT ON OPERATOR CLASS sketch_ops USING btree IS 'order by bytes';
COMMENT ON OPERATOR FAMILY sketch_ops USING btree IS 'order by bytes';

CREATE OPERATOR CLASS sketch_ops DEFAULT FOR TYPE sketch USING hash AS
    OPERATOR 1 =,
    FUNCTION 1 sketch_hash(sketch), FUNCTION 2 sketch_hash_extended(sketch, bigint);
COMMENT ON OPERATOR CLASS sketch_ops USING hash IS 'equality by bytes';
COMMENT ON OPERATOR FAMILY sketch_ops USING hash IS 'equality by bytes';

-- Aggregates.  SSPACE is the state of a group of some fifty elements: it starts
-- at 32 bytes and ends at 2 kB at the default precision, or 4 kB for unions.

CREATE FUNCTION sketch_state_combine(sketch_state, sketch_state) RETURNS sketch_state
    AS 'MODULE_PATHNAME', 'ecs_sketch_combine' LANGUAGE c IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION sketch_state_combine(sketch_state, sketch_state) IS 'combine function of the aggregates on sketches';

CREATE FUNCTION sketch_state_merge(sketch_state, sketch) RETURNS sketch_state
    AS 'MODULE_PATHNAME', 'ecs_sketch_merge' LANGUAGE c IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION sketch_state_merge(sketch_state, sketch) IS 'transition function of sketch_union_agg';

CREATE FUNCTION sketch_state_final(sketch_state) RETURNS sketch
    AS 'MODULE_PATHNAME', 'ecs_sketch_final' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sketch_state_final(sketch_state) IS 'final function of sketch_agg and sketch_union_agg';

CREATE FUNCTION sketch_state_count(sketch_state) RETURNS bigint
    AS 'MODULE_PATHNAME', 'ecs_sketch_final_count' LANGUAGE c IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION sketch_state_count(sketch_state) IS 'final function of approx_count_distinct';

CREATE AGGREGATE sketch_union_agg(sketch) (
    SFUNC = sketch_state_merge, STYPE = sketch_state, SSPACE = 4096,
    FINALFUNC = sketch_state_final, FINALFUNC_MODIFY = READ_ONLY,
    COMBINEFUNC = sketch_state_combine, PARALLEL = SAFE
);
COMMENT ON AGGREGATE sketch_union_agg(sketch) IS 'the sketch of the elements of any, at the smallest precision';

-- One overload of each function for every type of elements: no polymorphism, so that aggregation can be pushed to other nodes.
DO $do$
DECLARE
    element text[];
    options text;
BEGIN
    FOREACH element SLICE 1 IN ARRAY ARRAY[
        ['smallint', 'int2'], ['integer', 'int4'], ['bigint', 'int8'], ['numeric', 'numeric'],
        ['text', 'varlena'], ['bytea', 'varlena'], ['uuid', 'uuid'], ['inet', 'inet'],
        ['date', 'int4'], ['timestamp', 'int8'], ['timestamptz', 'int8']]
    LOOP
        EXECUTE format($sql$
            CREATE FUNCTION sketch_add(sketch, value %1$s) RETURNS sketch
                AS 'MODULE_PATHNAME', 'ecs_sketch_add_%2$s' LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
            COMMENT ON FUNCTION sketch_add(sketch, %1$s) IS 'the sketch with one more element';
        $sql$, element[1], element[2]);

        FOREACH options IN ARRAY ARRAY['', ', "precision" integer'] LOOP
            EXECUTE format($sql$
                CREATE FUNCTION sketch_state_add(sketch_state, value %1$s%3$s) RETURNS sketch_state
                    AS 'MODULE_PATHNAME', 'ecs_sketch_transition_%2$s' LANGUAGE c IMMUTABLE PARALLEL SAFE;
                COMMENT ON FUNCTION sketch_state_add(sketch_state, value %1$s%3$s)
                    IS 'transition function of sketch_agg and approx_count_distinct';

                CREATE AGGREGATE sketch_agg(value %1$s%3$s) (
                    SFUNC = sketch_state_add, STYPE = sketch_state, SSPACE = 256,
                    FINALFUNC = sketch_state_final, FINALFUNC_MODIFY = READ_ONLY,
                    COMBINEFUNC = sketch_state_combine, PARALLEL = SAFE
                );
                COMMENT ON AGGREGATE sketch_agg(value %1$s%3$s) IS 'the sketch of the values that are not null';

                CREATE AGGREGATE approx_count_distinct(value %1$s%3$s) (
                    SFUNC = sketch_state_add, STYPE = sketch_state, SSPACE = 256,
                    FINALFUNC = sketch_state_count, FINALFUNC_MODIFY = READ_ONLY,
                    COMBINEFUNC = sketch_state_combine, PARALLEL = SAFE
                );
                COMMENT ON AGGREGATE approx_count_distinct(value %1$s%3$s)
                    IS 'estimated number of distinct values that are not null';
            $sql$, element[1], element[2], options);
        END LOOP;
    END LOOP;
END
$do$;
