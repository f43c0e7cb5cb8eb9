-- The type activity: an exact set of dates.  See docs/activity.md.

CREATE TYPE activity;
COMMENT ON TYPE activity IS 'exact set of dates, such as the days on which one user was active';

CREATE FUNCTION activity_in(cstring) RETURNS activity
	AS 'MODULE_PATHNAME', 'ecs_activity_in' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_in(cstring) IS 'text input: {2024-01-01,2024-01-03..2024-01-31}';

CREATE FUNCTION activity_out(activity) RETURNS cstring
	AS 'MODULE_PATHNAME', 'ecs_activity_out' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_out(activity) IS 'text output: {2024-01-01,2024-01-03..2024-01-31}, always ISO dates';

CREATE FUNCTION activity_recv(internal) RETURNS activity
	AS 'MODULE_PATHNAME', 'ecs_activity_recv' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_recv(internal) IS 'binary input: the stored bytes, all of them checked';

CREATE FUNCTION activity_send(activity) RETURNS bytea
	AS 'MODULE_PATHNAME', 'ecs_activity_send' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_send(activity) IS 'binary output: the stored bytes';

CREATE TYPE activity (
	INPUT = activity_in, OUTPUT = activity_out, RECEIVE = activity_recv, SEND = activity_send,
	INTERNALLENGTH = VARIABLE, STORAGE = extended
);
COMMENT ON TYPE activity IS 'exact set of dates, such as the days on which one user was active';

-- Casts

CREATE FUNCTION activity(days date[]) RETURNS activity
	AS 'MODULE_PATHNAME', 'ecs_activity_from_dates' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity(date[]) IS 'the set of the dates of an array';

CREATE FUNCTION dates(activity) RETURNS date[]
	AS 'MODULE_PATHNAME', 'ecs_activity_to_dates' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION dates(activity) IS 'the days in ascending order';

CREATE CAST (date[] AS activity) WITH FUNCTION activity(date[]);
COMMENT ON CAST (date[] AS activity) IS 'the set of the dates of an array';

CREATE CAST (activity AS date[]) WITH FUNCTION dates(activity);
COMMENT ON CAST (activity AS date[]) IS 'the days in ascending order';

-- Set algebra

CREATE FUNCTION activity_add(activity, date) RETURNS activity
	AS 'MODULE_PATHNAME', 'ecs_activity_add' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_add(activity, date) IS 'the set with one more day';

CREATE FUNCTION activity_remove(activity, date) RETURNS activity
	AS 'MODULE_PATHNAME', 'ecs_activity_remove' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_remove(activity, date) IS 'the set without one day';

CREATE FUNCTION activity_union(activity, activity) RETURNS activity
	AS 'MODULE_PATHNAME', 'ecs_activity_union' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_union(activity, activity) IS 'the days that are in either set';

CREATE FUNCTION activity_intersect(activity, activity) RETURNS activity
	AS 'MODULE_PATHNAME', 'ecs_activity_intersect' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_intersect(activity, activity) IS 'the days that are in both sets';

CREATE FUNCTION activity_except(activity, activity) RETURNS activity
	AS 'MODULE_PATHNAME', 'ecs_activity_except' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_except(activity, activity) IS 'the days of the first set that are not in the second';

CREATE FUNCTION activity_contains(activity, date) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ecs_activity_contains' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_contains(activity, date) IS 'whether a day is in the set';

CREATE FUNCTION activity_within(date, activity) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ecs_activity_within' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_within(date, activity) IS 'whether a day is in the set';

CREATE FUNCTION activity_contains_all(activity, activity) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ecs_activity_contains_all' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_contains_all(activity, activity) IS 'whether the first set holds all days of the second';

CREATE FUNCTION activity_contained(activity, activity) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ecs_activity_contained' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_contained(activity, activity) IS 'whether the second set holds all days of the first';

CREATE FUNCTION activity_overlaps(activity, activity) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ecs_activity_overlaps' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_overlaps(activity, activity) IS 'whether the sets have a day in common';

CREATE OPERATOR || (LEFTARG = activity, RIGHTARG = date, FUNCTION = activity_add);
COMMENT ON OPERATOR || (activity, date) IS 'the set with one more day';

CREATE OPERATOR || (LEFTARG = activity, RIGHTARG = activity, FUNCTION = activity_union, COMMUTATOR = ||);
COMMENT ON OPERATOR || (activity, activity) IS 'the days that are in either set';

CREATE OPERATOR - (LEFTARG = activity, RIGHTARG = date, FUNCTION = activity_remove);
COMMENT ON OPERATOR - (activity, date) IS 'the set without one day';

CREATE OPERATOR - (LEFTARG = activity, RIGHTARG = activity, FUNCTION = activity_except);
COMMENT ON OPERATOR - (activity, activity) IS 'the days of the left set that are not in the right';

CREATE OPERATOR & (LEFTARG = activity, RIGHTARG = activity, FUNCTION = activity_intersect, COMMUTATOR = &);
COMMENT ON OPERATOR & (activity, activity) IS 'the days that are in both sets';

CREATE OPERATOR @> (LEFTARG = activity, RIGHTARG = date, FUNCTION = activity_contains, COMMUTATOR = <@, RESTRICT = contsel, JOIN = contjoinsel);
COMMENT ON OPERATOR @> (activity, date) IS 'whether a day is in the set';

CREATE OPERATOR <@ (LEFTARG = date, RIGHTARG = activity, FUNCTION = activity_within, COMMUTATOR = @>, RESTRICT = contsel, JOIN = contjoinsel);
COMMENT ON OPERATOR <@ (date, activity) IS 'whether a day is in the set';

CREATE OPERATOR @> (LEFTARG = activity, RIGHTARG = activity, FUNCTION = activity_contains_all, COMMUTATOR = <@, RESTRICT = contsel, JOIN = contjoinsel);
COMMENT ON OPERATOR @> (activity, activity) IS 'whether the left set holds all days of the right';

CREATE OPERATOR <@ (LEFTARG = activity, RIGHTARG = activity, FUNCTION = activity_contained, COMMUTATOR = @>, RESTRICT = contsel, JOIN = contjoinsel);
COMMENT ON OPERATOR <@ (activity, activity) IS 'whether the right set holds all days of the left';

CREATE OPERATOR && (LEFTARG = activity, RIGHTARG = activity, FUNCTION = activity_overlaps, COMMUTATOR = &&, RESTRICT = contsel, JOIN = contjoinsel);
COMMENT ON OPERATOR && (activity, activity) IS 'whether the sets have a day in common';

-- Days

CREATE FUNCTION activity_count(activity) RETURNS bigint
	AS 'MODULE_PATHNAME', 'ecs_activity_count' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_count(activity) IS 'the number of days';

CREATE FUNCTION activity_count(activity, since date, until date) RETURNS bigint
	AS 'MODULE_PATHNAME', 'ecs_activity_count_between' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_count(activity, date, date) IS 'the number of days from since until before until';

CREATE OPERATOR # (RIGHTARG = activity, FUNCTION = activity_count);
COMMENT ON OPERATOR # (NONE, activity) IS 'the number of days';

CREATE FUNCTION activity_first(activity) RETURNS date
	AS 'MODULE_PATHNAME', 'ecs_activity_first' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_first(activity) IS 'the first day; NULL of the empty set';

CREATE FUNCTION activity_last(activity) RETURNS date
	AS 'MODULE_PATHNAME', 'ecs_activity_last' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_last(activity) IS 'the last day; NULL of the empty set';

CREATE FUNCTION activity_next(activity, date) RETURNS date
	AS 'MODULE_PATHNAME', 'ecs_activity_next' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_next(activity, date) IS 'the first day after a date; NULL if there is none';

CREATE FUNCTION activity_previous(activity, date) RETURNS date
	AS 'MODULE_PATHNAME', 'ecs_activity_previous' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_previous(activity, date) IS 'the last day before a date; NULL if there is none';

CREATE FUNCTION activity_slice(activity, since date, until date) RETURNS activity
	AS 'MODULE_PATHNAME', 'ecs_activity_slice' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_slice(activity, date, date) IS 'the days from since until before until';

CREATE FUNCTION activity_lness(activity, as_of date, days integer) RETURNS integer
	AS 'MODULE_PATHNAME', 'ecs_activity_lness' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_lness(activity, date, integer) IS 'active days among the last days, as_of included: L7, L28';

CREATE FUNCTION activity_streak(activity, as_of date) RETURNS integer
	AS 'MODULE_PATHNAME', 'ecs_activity_streak' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_streak(activity, date) IS 'consecutive active days that end on as_of; 0 if that is none';

CREATE FUNCTION activity_days(activity) RETURNS SETOF date
	AS 'MODULE_PATHNAME', 'ecs_activity_days' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 30;
COMMENT ON FUNCTION activity_days(activity) IS 'the days in ascending order, a row each';

CREATE FUNCTION activity_runs(activity, OUT first_day date, OUT last_day date, OUT days integer) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'ecs_activity_runs' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 20;
COMMENT ON FUNCTION activity_runs(activity) IS 'the stretches of consecutive active days';

CREATE FUNCTION activity_gaps(activity, OUT first_day date, OUT last_day date, OUT days integer) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'ecs_activity_gaps' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 20;
COMMENT ON FUNCTION activity_gaps(activity) IS 'the stretches without an active day between the first day and the last';

-- What a user is in a period

CREATE TYPE growth_status AS ENUM ('never', 'new', 'retained', 'resurrected', 'churned', 'dormant');
COMMENT ON TYPE growth_status IS 'what a user is in a period: never active until its end; active for the first time; active as in the period before; active again; not active, but in the period before; inactive for longer';

CREATE FUNCTION activity_status(activity, period_start date, period period) RETURNS growth_status
	AS 'MODULE_PATHNAME', 'ecs_activity_status' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_status(activity, date, period) IS 'what the user is in the period that a date lies in';

CREATE FUNCTION activity_statuses(activity, period period, since date, until date, OUT period_start date, OUT status growth_status) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'ecs_activity_statuses' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 12;
COMMENT ON FUNCTION activity_statuses(activity, period, date, date) IS 'what the user is in each period from since until before until, from the first active one on';

CREATE FUNCTION activity_churn_stats(activity, period_start date, period period, OUT last_active_date date, OUT churned_flag boolean, OUT churned_date date, OUT resurrected_flag boolean) RETURNS record
	AS 'MODULE_PATHNAME', 'ecs_activity_churn_stats' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_churn_stats(activity, date, period) IS 'state at the end of the period that a date lies in: churned_date is the first day of the first period missed; NULL if never active until then';

-- Comparison

CREATE FUNCTION activity_eq(activity, activity) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ecs_activity_eq' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_eq(activity, activity) IS 'whether the sets are equal';

CREATE FUNCTION activity_ne(activity, activity) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ecs_activity_ne' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_ne(activity, activity) IS 'whether the sets differ';

CREATE FUNCTION activity_lt(activity, activity) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ecs_activity_lt' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_lt(activity, activity) IS 'whether the left sequence of days sorts before the right';

CREATE FUNCTION activity_le(activity, activity) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ecs_activity_le' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_le(activity, activity) IS 'whether the left sequence of days sorts before the right or is equal';

CREATE FUNCTION activity_gt(activity, activity) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ecs_activity_gt' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_gt(activity, activity) IS 'whether the left sequence of days sorts after the right';

CREATE FUNCTION activity_ge(activity, activity) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ecs_activity_ge' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_ge(activity, activity) IS 'whether the left sequence of days sorts after the right or is equal';

CREATE FUNCTION activity_cmp(activity, activity) RETURNS integer
	AS 'MODULE_PATHNAME', 'ecs_activity_cmp' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_cmp(activity, activity) IS '-1, 0 or 1: order of the sequences of days';

CREATE FUNCTION activity_hash(activity) RETURNS integer
	AS 'MODULE_PATHNAME', 'ecs_activity_hash' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_hash(activity) IS 'hash';

CREATE FUNCTION activity_hash_extended(activity, bigint) RETURNS bigint
	AS 'MODULE_PATHNAME', 'ecs_activity_hash_extended' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_hash_extended(activity, bigint) IS 'hash with a seed';

CREATE OPERATOR = (LEFTARG = activity, RIGHTARG = activity, FUNCTION = activity_eq,
	COMMUTATOR = =, NEGATOR = <>, RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES);
COMMENT ON OPERATOR = (activity, activity) IS 'whether the sets are equal';

CREATE OPERATOR <> (LEFTARG = activity, RIGHTARG = activity, FUNCTION = activity_ne,
	COMMUTATOR = <>, NEGATOR = =, RESTRICT = neqsel, JOIN = neqjoinsel);
COMMENT ON OPERATOR <> (activity, activity) IS 'whether the sets differ';

CREATE OPERATOR < (LEFTARG = activity, RIGHTARG = activity, FUNCTION = activity_lt,
	COMMUTATOR = >, NEGATOR = >=, RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
COMMENT ON OPERATOR < (activity, activity) IS 'whether the left sequence of days sorts before the right';

CREATE OPERATOR <= (LEFTARG = activity, RIGHTARG = activity, FUNCTION = activity_le,
	COMMUTATOR = >=, NEGATOR = >, RESTRICT = scalarlesel, JOIN = scalarlejoinsel);
COMMENT ON OPERATOR <= (activity, activity) IS 'whether the left sequence of days sorts before the right or is equal';

CREATE OPERATOR > (LEFTARG = activity, RIGHTARG = activity, FUNCTION = activity_gt,
	COMMUTATOR = <, NEGATOR = <=, RESTRICT = scalargtsel, JOIN = scalargtjoinsel);
COMMENT ON OPERATOR > (activity, activity) IS 'whether the left sequence of days sorts after the right';

CREATE OPERATOR >= (LEFTARG = activity, RIGHTARG = activity, FUNCTION = activity_ge,
	COMMUTATOR = <=, NEGATOR = <, RESTRICT = scalargesel, JOIN = scalargejoinsel);
COMMENT ON OPERATOR >= (activity, activity) IS 'whether the left sequence of days sorts after the right or is equal';

CREATE OPERATOR CLASS activity_btree_ops DEFAULT FOR TYPE activity USING btree AS
	OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >,
	FUNCTION 1 activity_cmp(activity, activity);
COMMENT ON OPERATOR CLASS activity_btree_ops USING btree IS 'order of the sequences of days';
COMMENT ON OPERATOR FAMILY activity_btree_ops USING btree IS 'order of the sequences of days';

CREATE OPERATOR CLASS activity_hash_ops DEFAULT FOR TYPE activity USING hash AS
	OPERATOR 1 =, FUNCTION 1 activity_hash(activity), FUNCTION 2 activity_hash_extended(activity, bigint);
COMMENT ON OPERATOR CLASS activity_hash_ops USING hash IS 'equality of sets of days';
COMMENT ON OPERATOR FAMILY activity_hash_ops USING hash IS 'equality of sets of days';

-- Aggregates

CREATE TYPE activity_state;
COMMENT ON TYPE activity_state IS 'days while activity_agg gathers them; not for tables';

CREATE FUNCTION activity_state_in(cstring) RETURNS activity_state
	AS 'MODULE_PATHNAME', 'ecs_activity_state_in' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_state_in(cstring) IS 'text input, as that of activity';

CREATE FUNCTION activity_state_out(activity_state) RETURNS cstring
	AS 'MODULE_PATHNAME', 'ecs_activity_state_out' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION activity_state_out(activity_state) IS 'text output, as that of activity';

CREATE TYPE activity_state (
	INPUT = activity_state_in, OUTPUT = activity_state_out,
	INTERNALLENGTH = VARIABLE, ALIGNMENT = int4, STORAGE = extended
);
COMMENT ON TYPE activity_state IS 'days while activity_agg gathers them; not for tables';

CREATE FUNCTION activity_state_add(activity_state, date) RETURNS activity_state
	AS 'MODULE_PATHNAME', 'ecs_activity_state_add' LANGUAGE C IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE;
COMMENT ON FUNCTION activity_state_add(activity_state, date) IS 'transition of activity_agg';

CREATE FUNCTION activity_state_combine(activity_state, activity_state) RETURNS activity_state
	AS 'MODULE_PATHNAME', 'ecs_activity_state_combine' LANGUAGE C IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE;
COMMENT ON FUNCTION activity_state_combine(activity_state, activity_state) IS 'union of two states of activity_agg';

CREATE FUNCTION activity_state_final(activity_state) RETURNS activity
	AS 'MODULE_PATHNAME', 'ecs_activity_state_final' LANGUAGE C IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE;
COMMENT ON FUNCTION activity_state_final(activity_state) IS 'result of activity_agg';

CREATE AGGREGATE activity_agg(date) (
	SFUNC = activity_state_add, STYPE = activity_state, SSPACE = 128,
	FINALFUNC = activity_state_final, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = activity_state_combine, PARALLEL = SAFE
);
COMMENT ON AGGREGATE activity_agg(date) IS 'the set of the dates; NULL if there is none';

CREATE AGGREGATE activity_union_agg(activity) (
	SFUNC = activity_union, STYPE = activity, SSPACE = 64,
	COMBINEFUNC = activity_union, PARALLEL = SAFE
);
COMMENT ON AGGREGATE activity_union_agg(activity) IS 'the days that are in any of the sets; NULL if there is no set';
