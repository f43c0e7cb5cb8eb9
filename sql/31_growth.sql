-- Growth accounting, rolling actives, cohorts: functions over a table of events, or
-- over one with an activity per user.  See docs/growth.md.

CREATE TYPE first_seen_source AS ENUM ('history', 'window', 'column');
COMMENT ON TYPE first_seen_source IS 'what says when a user was first seen: the first event in the source, the first event in the range asked for, or a column';

CREATE FUNCTION growth_accounting(
		source regclass, user_column name, time_column name,
		period period DEFAULT 'month', since date DEFAULT NULL, until date DEFAULT NULL, time_zone text DEFAULT 'UTC', first_seen_by first_seen_source DEFAULT 'history', first_seen_column name DEFAULT NULL)
	RETURNS TABLE (
		period_start date,
		active bigint, new bigint, first_seen bigint, retained bigint, resurrected bigint, churned bigint, dormant bigint,
		churn_rate double precision, retention_rate double precision, quick_ratio double precision,
		complete boolean)
	AS 'MODULE_PATHNAME', 'ecs_growth_accounting' LANGUAGE C STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED ROWS 100;
COMMENT ON FUNCTION growth_accounting(regclass, name, name, period, date, date, text, first_seen_source, name) IS 'per period: active users, split into new, retained and resurrected, and those who churned since the period before or are dormant for longer; the active users of the first period of the source are not new but first_seen; rates are ratios to the period before';

CREATE FUNCTION rolling_growth(
		source regclass, user_column name, time_column name,
		window_days integer DEFAULT 28, since date DEFAULT NULL, until date DEFAULT NULL, time_zone text DEFAULT 'UTC', step_days integer DEFAULT NULL, first_seen_by first_seen_source DEFAULT 'history', first_seen_column name DEFAULT NULL)
	RETURNS TABLE (
		day date,
		active bigint, new bigint, first_seen bigint, retained bigint, resurrected bigint, churned bigint, dormant bigint,
		churn_rate double precision, retention_rate double precision, quick_ratio double precision,
		complete boolean)
	AS 'MODULE_PATHNAME', 'ecs_rolling_growth' LANGUAGE C STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED ROWS 365;
COMMENT ON FUNCTION rolling_growth(regclass, name, name, integer, date, date, text, integer, first_seen_source, name) IS 'growth accounting for each day, of the window_days days that end on it, compared with the window that ended step_days earlier (default: the window before)';

CREATE FUNCTION churn_by_inactivity(
		source regclass, user_column name, time_column name,
		inactive_days integer DEFAULT 28, since date DEFAULT NULL, until date DEFAULT NULL, time_zone text DEFAULT 'UTC', first_seen_by first_seen_source DEFAULT 'history', first_seen_column name DEFAULT NULL)
	RETURNS TABLE (
		day date,
		active bigint, new bigint, first_seen bigint, returned bigint, churned bigint, inactive bigint,
		churn_rate double precision,
		complete boolean)
	AS 'MODULE_PATHNAME', 'ecs_churn_by_inactivity' LANGUAGE C STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED ROWS 365;
COMMENT ON FUNCTION churn_by_inactivity(regclass, name, name, integer, date, date, text, first_seen_source, name) IS 'per day: users active within inactive_days days, those who came, came back, or had no activity for exactly so many days, and all who are inactive; the rate is to the actives of the day before';

CREATE FUNCTION rolling_active(
		source regclass, user_column name, time_column name,
		window_days integer DEFAULT 28, since date DEFAULT NULL, until date DEFAULT NULL, time_zone text DEFAULT 'UTC')
	RETURNS TABLE (
		day date,
		dau bigint, active_in_window bigint,
		stickiness double precision,
		complete boolean)
	AS 'MODULE_PATHNAME', 'ecs_rolling_active' LANGUAGE C STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED ROWS 365;
COMMENT ON FUNCTION rolling_active(regclass, name, name, integer, date, date, text) IS 'per day: users active on it, and on any of the window_days days that end on it; stickiness is their ratio';

CREATE FUNCTION stickiness(
		source regclass, user_column name, time_column name,
		period period DEFAULT 'month', since date DEFAULT NULL, until date DEFAULT NULL, time_zone text DEFAULT 'UTC')
	RETURNS TABLE (
		period_start date,
		active bigint, active_days bigint,
		mean_daily_active double precision, stickiness double precision,
		complete boolean)
	AS 'MODULE_PATHNAME', 'ecs_stickiness' LANGUAGE C STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED ROWS 100;
COMMENT ON FUNCTION stickiness(regclass, name, name, period, date, date, text) IS 'per period: active users, the sum of their active days, active users on an average day, and its ratio to those of the period';

CREATE FUNCTION power_curve(
		source regclass, user_column name, time_column name,
		days integer DEFAULT 28, as_of date DEFAULT NULL, time_zone text DEFAULT 'UTC')
	RETURNS TABLE (active_days integer, users bigint, at_least bigint, ratio double precision)
	AS 'MODULE_PATHNAME', 'ecs_power_curve' LANGUAGE C STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED ROWS 28;
COMMENT ON FUNCTION power_curve(regclass, name, name, integer, date, text) IS 'users by the number of active days among the last days, as_of included (default: the day of the last event): L28, L7';

CREATE FUNCTION retention_cohorts(
		source regclass, user_column name, time_column name,
		period period DEFAULT 'month', since date DEFAULT NULL, until date DEFAULT NULL, time_zone text DEFAULT 'UTC', first_seen_by first_seen_source DEFAULT 'history', first_seen_column name DEFAULT NULL, recurring boolean DEFAULT false)
	RETURNS TABLE (
		cohort date, periods_since integer,
		users bigint, retained bigint,
		ratio double precision,
		complete boolean)
	AS 'MODULE_PATHNAME', 'ecs_retention_cohorts' LANGUAGE C STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED ROWS 100;
COMMENT ON FUNCTION retention_cohorts(regclass, name, name, period, date, date, text, first_seen_source, name, boolean) IS 'per cohort and number of periods since: users first seen in the cohort''s period (recurring: active in it) who are active so much later';

CREATE FUNCTION documented_churn(
		source regclass, user_column name, time_column name,
		since date DEFAULT NULL, until date DEFAULT NULL, time_zone text DEFAULT 'UTC')
	RETURNS TABLE (month date, churned_rate double precision)
	AS 'MODULE_PATHNAME', 'ecs_documented_churn' LANGUAGE C STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED ROWS 12;
COMMENT ON FUNCTION documented_churn(regclass, name, name, date, date, text) IS 'percentage of a month''s active users who are not active in the next, on the month of their last activity; NULL where the next month is not over';

CREATE FUNCTION churned_users(
		source regclass, user_column name, time_column name,
		period period, period_start date, witness anyelement, time_zone text DEFAULT 'UTC')
	RETURNS TABLE (user_id anyelement, last_active_date date)
	AS 'MODULE_PATHNAME', 'ecs_churned_users' LANGUAGE C STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED ROWS 1000;
COMMENT ON FUNCTION churned_users(regclass, name, name, period, date, anyelement, text) IS 'the users active in the period before the one that period_start lies in, and not in it; witness is a NULL of the type of the users';

CREATE FUNCTION resurrected_users(
		source regclass, user_column name, time_column name,
		period period, period_start date, witness anyelement, time_zone text DEFAULT 'UTC')
	RETURNS TABLE (user_id anyelement, last_active_date date, returned_date date)
	AS 'MODULE_PATHNAME', 'ecs_resurrected_users' LANGUAGE C STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED ROWS 1000;
COMMENT ON FUNCTION resurrected_users(regclass, name, name, period, date, anyelement, text) IS 'the users active in the period that period_start lies in, not in the one before, but earlier: their last day before it, and first day in it; witness is a NULL of the type of the users';

CREATE FUNCTION inactive_users(
		source regclass, user_column name, time_column name,
		inactive_days integer, as_of date, witness anyelement, time_zone text DEFAULT 'UTC')
	RETURNS TABLE (user_id anyelement, last_active_date date)
	AS 'MODULE_PATHNAME', 'ecs_inactive_users' LANGUAGE C STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED ROWS 1000;
COMMENT ON FUNCTION inactive_users(regclass, name, name, integer, date, anyelement, text) IS 'the users who were active once, but on none of the last inactive_days days, as_of included; witness is a NULL of the type of the users';
