-- Growth accounting as an aggregate over one activity per user.  See docs/growth.md.

CREATE TYPE growth_counts;
COMMENT ON TYPE growth_counts IS 'growth accounting of a set of users, as counts that add up: see growth_agg and growth_rows';

CREATE FUNCTION growth_counts_in(cstring) RETURNS growth_counts
	AS 'MODULE_PATHNAME', 'ecs_growth_counts_in' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION growth_counts_in(cstring) IS 'text input: month 2024-01-05..2024-03-01 {2/2/0,2/1/1,1/0/1}';

CREATE FUNCTION growth_counts_out(growth_counts) RETURNS cstring
	AS 'MODULE_PATHNAME', 'ecs_growth_counts_out' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION growth_counts_out(growth_counts) IS 'text output: first and last day, and of each period users active, first seen, retained';

CREATE FUNCTION growth_counts_recv(internal) RETURNS growth_counts
	AS 'MODULE_PATHNAME', 'ecs_growth_counts_recv' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION growth_counts_recv(internal) IS 'binary input, all of it checked';

CREATE FUNCTION growth_counts_send(growth_counts) RETURNS bytea
	AS 'MODULE_PATHNAME', 'ecs_growth_counts_send' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION growth_counts_send(growth_counts) IS 'binary output';

CREATE TYPE growth_counts (
	INPUT = growth_counts_in, OUTPUT = growth_counts_out, RECEIVE = growth_counts_recv, SEND = growth_counts_send,
	INTERNALLENGTH = VARIABLE, ALIGNMENT = double, STORAGE = extended
);
COMMENT ON TYPE growth_counts IS 'growth accounting of a set of users, as counts that add up: see growth_agg and growth_rows';

-- Equal values are equal bytes

CREATE FUNCTION growth_counts_eq(growth_counts, growth_counts) RETURNS boolean AS 'byteaeq' LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION growth_counts_eq(growth_counts, growth_counts) IS 'whether all counts are the same';

CREATE FUNCTION growth_counts_ne(growth_counts, growth_counts) RETURNS boolean AS 'byteane' LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION growth_counts_ne(growth_counts, growth_counts) IS 'whether any count differs';

CREATE FUNCTION growth_counts_lt(growth_counts, growth_counts) RETURNS boolean AS 'bytealt' LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION growth_counts_lt(growth_counts, growth_counts) IS 'whether the left value sorts before the right';

CREATE FUNCTION growth_counts_le(growth_counts, growth_counts) RETURNS boolean AS 'byteale' LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION growth_counts_le(growth_counts, growth_counts) IS 'whether the left value sorts before the right or is equal';

CREATE FUNCTION growth_counts_gt(growth_counts, growth_counts) RETURNS boolean AS 'byteagt' LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION growth_counts_gt(growth_counts, growth_counts) IS 'whether the left value sorts after the right';

CREATE FUNCTION growth_counts_ge(growth_counts, growth_counts) RETURNS boolean AS 'byteage' LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION growth_counts_ge(growth_counts, growth_counts) IS 'whether the left value sorts after the right or is equal';

CREATE FUNCTION growth_counts_cmp(growth_counts, growth_counts) RETURNS integer AS 'byteacmp' LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION growth_counts_cmp(growth_counts, growth_counts) IS 'order of the bytes: -1, 0 or 1';

CREATE FUNCTION growth_counts_hash(growth_counts) RETURNS integer AS 'hashvarlena' LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION growth_counts_hash(growth_counts) IS 'hash of a value';

CREATE FUNCTION growth_counts_hash_extended(growth_counts, bigint) RETURNS bigint AS 'hashvarlenaextended' LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION growth_counts_hash_extended(growth_counts, bigint) IS 'hash of a value, with a seed';

CREATE OPERATOR = (LEFTARG = growth_counts, RIGHTARG = growth_counts, FUNCTION = growth_counts_eq,
	COMMUTATOR = =, NEGATOR = <>, RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES);
COMMENT ON OPERATOR = (growth_counts, growth_counts) IS 'whether all counts are the same';

CREATE OPERATOR <> (LEFTARG = growth_counts, RIGHTARG = growth_counts, FUNCTION = growth_counts_ne,
	COMMUTATOR = <>, NEGATOR = =, RESTRICT = neqsel, JOIN = neqjoinsel);
COMMENT ON OPERATOR <> (growth_counts, growth_counts) IS 'whether any count differs';

CREATE OPERATOR < (LEFTARG = growth_counts, RIGHTARG = growth_counts, FUNCTION = growth_counts_lt,
	COMMUTATOR = >, NEGATOR = >=, RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
COMMENT ON OPERATOR < (growth_counts, growth_counts) IS 'whether the left value sorts before the right';

CREATE OPERATOR <= (LEFTARG = growth_counts, RIGHTARG = growth_counts, FUNCTION = growth_counts_le,
	COMMUTATOR = >=, NEGATOR = >, RESTRICT = scalarlesel, JOIN = scalarlejoinsel);
COMMENT ON OPERATOR <= (growth_counts, growth_counts) IS 'whether the left value sorts before the right or is equal';

CREATE OPERATOR > (LEFTARG = growth_counts, RIGHTARG = growth_counts, FUNCTION = growth_counts_gt,
	COMMUTATOR = <, NEGATOR = <=, RESTRICT = scalargtsel, JOIN = scalargtjoinsel);
COMMENT ON OPERATOR > (growth_counts, growth_counts) IS 'whether the left value sorts after the right';

CREATE OPERATOR >= (LEFTARG = growth_counts, RIGHTARG = growth_counts, FUNCTION = growth_counts_ge,
	COMMUTATOR = <=, NEGATOR = <, RESTRICT = scalargesel, JOIN = scalargejoinsel);
COMMENT ON OPERATOR >= (growth_counts, growth_counts) IS 'whether the left value sorts after the right or is equal';

CREATE OPERATOR CLASS growth_counts_btree_ops DEFAULT FOR TYPE growth_counts USING btree AS
	OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >,
	FUNCTION 1 growth_counts_cmp(growth_counts, growth_counts);
COMMENT ON OPERATOR CLASS growth_counts_btree_ops USING btree IS 'order of the bytes, which says nothing about growth';
COMMENT ON OPERATOR FAMILY growth_counts_btree_ops USING btree IS 'order of the bytes, which says nothing about growth';

CREATE OPERATOR CLASS growth_counts_hash_ops DEFAULT FOR TYPE growth_counts USING hash AS
	OPERATOR 1 =, FUNCTION 1 growth_counts_hash(growth_counts), FUNCTION 2 growth_counts_hash_extended(growth_counts, bigint);
COMMENT ON OPERATOR CLASS growth_counts_hash_ops USING hash IS 'equality of counts';
COMMENT ON OPERATOR FAMILY growth_counts_hash_ops USING hash IS 'equality of counts';

-- Aggregates

CREATE FUNCTION growth_union(growth_counts, growth_counts) RETURNS growth_counts
	AS 'MODULE_PATHNAME', 'ecs_growth_union' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION growth_union(growth_counts, growth_counts) IS 'the counts of two sets of users that have no user in common, per the same period';

CREATE FUNCTION growth_counts_add(growth_counts, activity, period) RETURNS growth_counts
	AS 'MODULE_PATHNAME', 'ecs_growth_counts_add' LANGUAGE C IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE;
COMMENT ON FUNCTION growth_counts_add(growth_counts, activity, period) IS 'transition function of growth_agg';

CREATE AGGREGATE growth_agg(days activity, period period) (
	SFUNC = growth_counts_add, STYPE = growth_counts, SSPACE = 1024,
	COMBINEFUNC = growth_union, PARALLEL = SAFE
);
COMMENT ON AGGREGATE growth_agg(activity, period) IS 'growth accounting of the users with these activities, one each: counts per period, which growth_rows shows';

CREATE AGGREGATE growth_union_agg(growth_counts) (
	SFUNC = growth_union, STYPE = growth_counts, SSPACE = 1024,
	COMBINEFUNC = growth_union, PARALLEL = SAFE
);
COMMENT ON AGGREGATE growth_union_agg(growth_counts) IS 'the counts of sets of users that have no user in common';

CREATE FUNCTION growth_rows(
		counts growth_counts, since date DEFAULT NULL, until date DEFAULT NULL, time_zone text DEFAULT 'UTC')
	RETURNS TABLE (
		period_start date,
		active bigint, new bigint, first_seen bigint, retained bigint, resurrected bigint, churned bigint, dormant bigint,
		churn_rate double precision, retention_rate double precision, quick_ratio double precision,
		complete boolean)
	AS 'MODULE_PATHNAME', 'ecs_growth_rows' LANGUAGE C STABLE CALLED ON NULL INPUT PARALLEL SAFE ROWS 100;
COMMENT ON FUNCTION growth_rows(growth_counts, date, date, text) IS 'the rows of growth_accounting for the users of growth_agg; until, if it is not after the last day, must be the first day of a period';
