-- Growth functions against plain SQL, over events and over kept activity.
CREATE SCHEMA growth_test;
SET search_path = growth_test, ecomsocial, public;
SET datestyle = 'ISO';
SET timezone = 'Asia/Tokyo';		-- not the reporting zone

-- 2010-10 to 2012-03: a leap day, and changes to and from daylight saving time at
-- midnight (Sao Paulo) and one minute after it (St. John's).  Users 1 to 8 have one
-- event, 9 and 10 one a day, the others are rare or come in bursts.  The minutes
-- around every change of clocks are full of events.  Some rows lack what counts.
CREATE TABLE ev AS
SELECT user_id, event_time, (event_time AT TIME ZONE 'UTC') AS local_time, (event_time AT TIME ZONE 'UTC')::date AS day,
	   date '2010-09-15' + user_id::integer * 3 AS signup
FROM (
	SELECT i::bigint AS user_id, timestamptz '2010-11-07 02:00Z' + i * interval '31 minutes' AS event_time FROM generate_series(1, 8) i
	UNION ALL
	SELECT 9 + i % 2, timestamptz '2010-10-12 01:30Z' + i / 2 * interval '1 day' FROM generate_series(0, 1020) i
	UNION ALL
	SELECT 11 + (hashint4(i) & 31), timestamptz '2010-10-12 00:00Z' + (hashint4(i * 3) & 524287) * 84 * interval '1 second'
	FROM generate_series(1, 420) i WHERE hashint4(i * 5) & 7 > 0
	UNION ALL
	SELECT 11 + i % 32, change + (i - 60) * interval '3 minutes 7.000001 seconds'
	FROM unnest('{2010-10-17 03:00Z,2010-11-07 02:31Z,2011-02-20 02:00Z,2011-03-13 03:31Z,2011-10-16 03:00Z,2011-11-06 02:31Z,2012-02-26 02:00Z}'::timestamptz[]) change,
		 generate_series(0, 119) i WHERE (hashint4(i + extract(doy FROM change)::integer) & 3) = 0) x;
INSERT INTO ev VALUES (NULL, '2011-01-01Z', '2011-01-01', '2011-01-01'), (NULL, '2011-01-01Z', '2011-01-01', '2011-01-01'),
	(12, NULL, NULL, NULL), (12, 'infinity', 'infinity', 'infinity'), (12, '-infinity', '-infinity', '-infinity');
SELECT count(*), count(DISTINCT user_id) AS users, count(DISTINCT day) AS days FROM ev;

CREATE FUNCTION kept_in(zone text) RETURNS regclass LANGUAGE plpgsql AS $$
BEGIN
	DROP TABLE IF EXISTS kept;
	CREATE TABLE kept AS
	SELECT user_id, activity_agg(rollup_day(event_time, zone)) AS days, min(signup) AS signup
	FROM ev WHERE user_id IS NOT NULL AND isfinite(event_time) GROUP BY 1;
	RETURN 'kept';
END $$;

-- The definitions, written down once: now and before are active in the period and in
-- the one before it, seen is the period first seen in.
CREATE FUNCTION plain_growth(p text, zone text, since date, until date, mode text)
RETURNS TABLE (period_start date, active bigint, new bigint, retained bigint, resurrected bigint, churned bigint, dormant bigint)
LANGUAGE sql AS $$
	WITH days AS MATERIALIZED (
		SELECT DISTINCT user_id, date_trunc(p, rollup_day(event_time, zone)::timestamp)::date AS start
		FROM ev
		WHERE user_id IS NOT NULL AND isfinite(event_time) AND rollup_day(event_time, zone) < until
		  AND (mode <> 'window' OR rollup_day(event_time, zone) >= date_trunc(p, since::timestamp))),
	users AS MATERIALIZED (
		SELECT user_id, least(min(start), CASE WHEN mode = 'column' THEN (
			SELECT date_trunc(p, min(signup)::timestamp)::date FROM ev WHERE ev.user_id = days.user_id) END) AS seen
		FROM days GROUP BY 1),
	periods AS (
		SELECT s::date AS start, (s - CASE p WHEN 'quarter' THEN '3 months' ELSE '1 ' || p END::interval)::date AS earlier
		FROM generate_series(date_trunc(p, since::timestamp), until - 1, CASE p WHEN 'quarter' THEN '3 months' ELSE '1 ' || p END::interval) s)
	SELECT start, count(*) FILTER (WHERE now), count(*) FILTER (WHERE now AND seen = start),
		   count(*) FILTER (WHERE now AND before), count(*) FILTER (WHERE now AND NOT before AND seen < start),
		   count(*) FILTER (WHERE before AND NOT now), count(*) FILTER (WHERE NOT now AND NOT before AND seen <= start)
	FROM (SELECT periods.start, seen, now.user_id IS NOT NULL AS now, before.user_id IS NOT NULL AS before
		  FROM periods CROSS JOIN users
		  LEFT JOIN days now ON now.user_id = users.user_id AND now.start = periods.start
		  LEFT JOIN days before ON before.user_id = users.user_id AND before.start = earlier) x
	GROUP BY 1
$$;

-- Each line: how many rows, how many of them are not those of plain SQL, how many differ
-- between events and kept activity.
SET client_min_messages = warning;
CREATE FUNCTION compare_growth(p period, zone text, since date, until date, mode first_seen_source)
RETURNS TABLE (rows bigint, wrong bigint, kept_differs bigint, identities_broken bigint) LANGUAGE plpgsql AS $$
DECLARE
	seen name := CASE WHEN mode = 'column' THEN 'signup' END;
BEGIN
	PERFORM kept_in(zone);
	RETURN QUERY
	WITH ours AS MATERIALIZED (SELECT * FROM growth_accounting('ev', 'user_id', 'event_time', p, since, until, zone, mode, seen)),
		 kept AS MATERIALIZED (SELECT * FROM growth_accounting('kept', 'user_id', 'days', p, since, until, zone, mode, seen)),
		 plain AS MATERIALIZED (SELECT * FROM plain_growth(p::text, zone, since, until, mode::text)),
		 lines AS (SELECT *, lag(o.active) OVER w AS active_before, sum(o.new + o.first_seen) OVER w AS new_so_far FROM ours o WINDOW w AS (ORDER BY period_start))
	SELECT (SELECT count(*) FROM ours),
		   (SELECT count(*) FROM plain n FULL JOIN ours o USING (period_start)
			WHERE (n.active, n.new, n.retained, n.resurrected, n.churned, n.dormant) IS DISTINCT FROM
				  (o.active, o.new + o.first_seen, o.retained, o.resurrected, coalesce(o.churned, CASE WHEN NOT o.complete THEN n.churned END), o.dormant)),
		   (SELECT count(*) FROM ours o FULL JOIN kept k ON o = k WHERE o IS NULL OR k IS NULL),
		   (SELECT count(*) FROM lines l
			WHERE l.active <> l.new + l.first_seen + l.retained + l.resurrected OR l.active_before <> l.retained + l.churned
			   OR mode = 'window' AND l.new_so_far <> l.active + l.churned + l.dormant);
END $$;
SELECT zone, p, mode, (compare_growth(p, zone, since, until, mode)).*
FROM (VALUES ('UTC', date '2010-10-01', date '2012-04-01'), ('America/St_Johns', '2010-10-01', '2012-04-01'),
			 ('America/Sao_Paulo', '2010-11-15', '2012-02-20'), ('Pacific/Apia', '2011-01-03', '2011-07-09')) z(zone, since, until),
	 unnest(enum_range(NULL::period)) p, unnest(enum_range(NULL::first_seen_source)) mode
WHERE p > 'day' OR zone = 'America/St_Johns' OR mode = 'history'
ORDER BY zone, p, mode;

-- Who is new: in the first period of the source nobody knows, unless a column does.  Users 1
-- and 2 are there from the start; 2 signed up in that month, 1 before it, 5 never says.
CREATE TABLE first (user_id integer, day date, signup date);
INSERT INTO first VALUES (1, '2024-01-05', '2023-05-01'), (2, '2024-01-07', '2024-01-07'), (5, '2024-01-31', NULL),
	(1, '2024-02-10', '2023-05-01'), (3, '2024-02-11', '2024-02-11'), (4, '2024-03-01', '2024-02-25'), (3, '2024-04-20', '2024-02-11');
SELECT mode, period_start, active, new, first_seen, retained, resurrected, dormant
FROM unnest(enum_range(NULL::first_seen_source)) mode,
	 growth_accounting('first', 'user_id', 'day', 'month', '2023-12-01', '2024-04-01', 'UTC', mode, CASE WHEN mode = 'column' THEN 'signup'::name END) ORDER BY 1, 2;
SELECT mode, period_start, active, new, first_seen, retained, resurrected, dormant
FROM unnest(enum_range(NULL::first_seen_source)) mode,
	 growth_accounting('first', 'user_id', 'day', 'month', '2024-02-01', '2024-04-01', 'UTC', mode, CASE WHEN mode = 'column' THEN 'signup'::name END) ORDER BY 1, 2;
SELECT day, active, new, first_seen FROM rolling_growth('first', 'user_id', 'day', 7, '2024-01-04', '2024-01-15');
SELECT day, active, new, first_seen FROM rolling_growth('first', 'user_id', 'day', 7, '2024-01-04', '2024-01-15', first_seen_by => 'column', first_seen_column => 'signup') WHERE active > 0;
SELECT day, active, new, first_seen FROM churn_by_inactivity('first', 'user_id', 'day', 7, '2024-01-04', '2024-01-08');

-- Rolling windows, period over period and day over day.
CREATE FUNCTION plain_rolling(n integer, step integer, zone text, since date, until date)
RETURNS TABLE (day date, dau bigint, active bigint, new bigint, retained bigint, resurrected bigint, churned bigint, dormant bigint)
LANGUAGE sql AS $$
	WITH days AS MATERIALIZED (
		SELECT DISTINCT user_id, rollup_day(event_time, zone) AS day
		FROM ev WHERE user_id IS NOT NULL AND isfinite(event_time) AND rollup_day(event_time, zone) < until),
	users AS MATERIALIZED (SELECT user_id, min(day) AS seen, array_agg(day) AS days FROM days GROUP BY 1)
	SELECT day, count(*) FILTER (WHERE today), count(*) FILTER (WHERE now), count(*) FILTER (WHERE now AND seen > day - step),
		   count(*) FILTER (WHERE now AND before), count(*) FILTER (WHERE now AND NOT before AND seen <= day - step),
		   count(*) FILTER (WHERE before AND NOT now), count(*) FILTER (WHERE NOT now AND NOT before AND seen <= day)
	FROM (SELECT d::date AS day, seen, d::date = ANY (days) AS today,
				 EXISTS (SELECT FROM unnest(days) x WHERE x > d::date - n AND x <= d::date) AS now,
				 EXISTS (SELECT FROM unnest(days) x WHERE x > d::date - step - n AND x <= d::date - step) AS before
		  FROM generate_series(since, until - 1, interval '1 day') d, users) y
	GROUP BY 1
$$;
CREATE FUNCTION compare_rolling(n integer, step integer, zone text, since date, until date)
RETURNS TABLE (rows bigint, wrong bigint, wrong_active bigint, wrong_inactivity bigint, kept_differs bigint) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM kept_in(zone);
	RETURN QUERY
	WITH plain AS MATERIALIZED (SELECT * FROM plain_rolling(n, step, zone, since, until)),
		 ours AS MATERIALIZED (SELECT * FROM rolling_growth('ev', 'user_id', 'event_time', n, since, until, zone, step)),
		 kept AS MATERIALIZED (SELECT * FROM rolling_growth('kept', 'user_id', 'days', n, since, until, zone, step)),
		 actives AS MATERIALIZED (SELECT * FROM rolling_active('ev', 'user_id', 'event_time', n, since, until, zone)),
		 kept_actives AS MATERIALIZED (SELECT * FROM rolling_active('kept', 'user_id', 'days', n, since, until, zone)),
		 inactivity AS MATERIALIZED (SELECT * FROM churn_by_inactivity('ev', 'user_id', 'event_time', n, since, until, zone))
	SELECT (SELECT count(*) FROM ours),
		   (SELECT count(*) FROM plain p FULL JOIN ours o USING (day)
			WHERE (p.active, p.new, p.retained, p.resurrected, p.churned, p.dormant) IS DISTINCT FROM
				  (o.active, o.new + o.first_seen, o.retained, o.resurrected, o.churned, o.dormant)),
		   (SELECT count(*) FROM plain p FULL JOIN actives a USING (day)
			WHERE (p.dau, p.active, round(p.dau::numeric / nullif(p.active, 0), 9)) IS DISTINCT FROM
				  (a.dau, a.active_in_window, round(a.stickiness::numeric, 9))),
		   CASE WHEN step = 1 THEN
			(SELECT count(*) FROM plain p FULL JOIN inactivity i USING (day)
			 WHERE (p.active, p.new, p.resurrected, p.churned, p.churned + p.dormant) IS DISTINCT FROM
				   (i.active, i.new + i.first_seen, i.returned, i.churned, i.inactive)) END,
		   (SELECT count(*) FROM ours o FULL JOIN kept k ON o = k WHERE o IS NULL OR k IS NULL) +
		   (SELECT count(*) FROM actives o FULL JOIN kept_actives k ON o = k WHERE o IS NULL OR k IS NULL);
END $$;
SELECT n, step, zone, (compare_rolling(n, step, zone, since, until)).*
FROM (VALUES (28, 28, 'UTC', date '2010-10-12', date '2012-03-10'), (28, 1, 'America/St_Johns', '2010-10-20', '2011-04-01'),
			 (7, 7, 'America/Sao_Paulo', '2010-10-01', '2011-03-05'), (7, 1, 'America/Sao_Paulo', '2011-10-10', '2012-03-05'),
			 (7, 3, 'UTC', '2010-12-01', '2011-03-01'), (1, 1, 'UTC', '2010-12-01', '2010-12-20')) v(n, step, zone, since, until);

-- Stickiness, the power curve and cohorts.
CREATE VIEW user_days AS
SELECT DISTINCT user_id, rollup_day(event_time, 'America/St_Johns') AS day FROM ev WHERE user_id IS NOT NULL AND isfinite(event_time);
SELECT kept_in('America/St_Johns');
WITH plain AS (
	SELECT date_trunc('quarter', s)::date AS period_start, count(DISTINCT user_id) AS active, count(user_id) AS active_days,
		   round(count(user_id)::numeric / count(DISTINCT s), 9) AS mean,
		   round(count(user_id)::numeric / count(DISTINCT s) / count(DISTINCT user_id), 9) AS stickiness
	FROM generate_series(date '2010-10-01', '2011-11-19', interval '1 day') s LEFT JOIN user_days ON day = s GROUP BY 1),
ours AS (
	SELECT period_start, active, active_days, round(mean_daily_active::numeric, 9), round(stickiness::numeric, 9)
	FROM stickiness('ev', 'user_id', 'event_time', 'quarter', '2010-10-01', '2011-11-20', 'America/St_Johns')),
kept AS (
	SELECT period_start, active, active_days, round(mean_daily_active::numeric, 9), round(stickiness::numeric, 9)
	FROM stickiness('kept', 'user_id', 'days', 'quarter', '2010-10-01', '2011-11-20', 'America/St_Johns'))
SELECT (SELECT count(*) FROM ours) AS rows, (SELECT count(*) FROM (TABLE plain EXCEPT TABLE ours) x) AS wrong,
	   (SELECT count(*) FROM (TABLE ours EXCEPT TABLE kept) x) AS kept_differs;
WITH plain AS (
	SELECT n AS active_days, count(days) AS users, count(*) FILTER (WHERE days IS NOT NULL) AS n
	FROM generate_series(1, 28) n LEFT JOIN (
		SELECT user_id, count(*) AS days FROM user_days WHERE day > date '2011-02-28' - 28 AND day <= '2011-02-28' GROUP BY 1) x ON days = n
	GROUP BY 1),
ours AS (SELECT * FROM power_curve('ev', 'user_id', 'event_time', 28, '2011-02-28', 'America/St_Johns')),
kept AS (SELECT * FROM power_curve('kept', 'user_id', 'days', 28, '2011-02-28', 'America/St_Johns'))
SELECT (SELECT count(*) FROM ours) AS rows, (SELECT sum(users) FROM ours) AS users,
	   (SELECT count(*) FROM plain JOIN ours USING (active_days) WHERE plain.users <> ours.users
		OR ours.at_least <> (SELECT sum(p.users) FROM plain p WHERE p.active_days >= ours.active_days)) AS wrong,
	   (SELECT count(*) FROM (TABLE ours EXCEPT TABLE kept) x) AS kept_differs;
SELECT * FROM power_curve('kept', 'user_id', 'days', 7);

CREATE FUNCTION compare_cohorts(p period, recurring boolean, mode first_seen_source)
RETURNS TABLE (rows bigint, wrong bigint, kept_differs bigint) LANGUAGE plpgsql AS $$
DECLARE
	since date := '2010-12-05';
	until date := '2011-09-18';
	seen name := CASE WHEN mode = 'column' THEN 'signup' END;
BEGIN
	RETURN QUERY
	WITH step AS (SELECT ('1 ' || p)::interval AS step),
		 per AS MATERIALIZED (SELECT DISTINCT user_id, date_trunc(p::text, day::timestamp)::date AS start FROM user_days
							  WHERE day < until AND (mode <> 'window' OR day >= date_trunc(p::text, since::timestamp))),
		 firsts AS (SELECT user_id, least(min(start), CASE WHEN mode = 'column' THEN (
						SELECT date_trunc(p::text, min(signup)::timestamp)::date FROM ev WHERE ev.user_id = per.user_id) END) AS cohort
					FROM per GROUP BY 1),
		 members AS (SELECT user_id, start AS cohort FROM per WHERE recurring UNION ALL SELECT * FROM firsts WHERE NOT recurring),
		 starts AS (SELECT s::date AS start, row_number() OVER (ORDER BY s)::integer AS n
					FROM step, generate_series(date_trunc(p::text, since::timestamp), until - 1, step) s),
		 plain AS MATERIALIZED (
			SELECT c.start AS cohort, t.n - c.n AS periods_since, count(m.user_id) AS users, count(per.user_id) AS retained
			FROM starts c JOIN starts t ON t.n >= c.n LEFT JOIN members m ON m.cohort = c.start
			LEFT JOIN per ON per.user_id = m.user_id AND per.start = t.start GROUP BY 1, 2),
		 ours AS MATERIALIZED (SELECT c.cohort, c.periods_since, c.users, c.retained
			FROM retention_cohorts('ev', 'user_id', 'event_time', p, since, until, 'America/St_Johns', mode, seen, recurring) c),
		 kept AS MATERIALIZED (SELECT c.cohort, c.periods_since, c.users, c.retained
			FROM retention_cohorts('kept', 'user_id', 'days', p, since, until, 'America/St_Johns', mode, seen, recurring) c)
	SELECT (SELECT count(*) FROM ours),
		   (SELECT count(*) FROM (TABLE plain EXCEPT TABLE ours) x) + (SELECT count(*) FROM (TABLE ours EXCEPT TABLE plain) x),
		   (SELECT count(*) FROM (TABLE ours EXCEPT TABLE kept) x);
END $$;
SELECT p, recurring, mode, (compare_cohorts(p, recurring, mode)).*
FROM unnest('{week,month}'::period[]) p, unnest('{f,t}'::boolean[]) recurring, unnest(enum_range(NULL::first_seen_source)) mode
WHERE NOT recurring OR mode = 'history' ORDER BY 1, 2, 3;

-- The documented query: who is active in a month and not in the next, in percent.
WITH months AS (SELECT DISTINCT user_id, date_trunc('month', day::timestamp)::date AS month FROM user_days),
plain AS (
	SELECT a.month, 100.0::float8 * count(*) FILTER (WHERE b.user_id IS NULL) / count(*) AS churned_rate
	FROM months a LEFT JOIN months b ON b.user_id = a.user_id AND b.month = a.month + interval '1 month' GROUP BY 1),
ours AS (SELECT * FROM documented_churn('ev', 'user_id', 'event_time', time_zone => 'America/St_Johns')),
kept AS (SELECT * FROM documented_churn('kept', 'user_id', 'days', time_zone => 'America/St_Johns'))
SELECT month, ours.churned_rate, ours.churned_rate IS NOT DISTINCT FROM kept.churned_rate AS kept_agrees,
	   round(ours.churned_rate::numeric, 9) = round(plain.churned_rate::numeric, 9) AS right
FROM plain FULL JOIN ours USING (month) FULL JOIN kept USING (month) ORDER BY 1;

-- Lists of users.
CREATE FUNCTION compare_lists(p period, start date) RETURNS TABLE (churned bigint, resurrected bigint, wrong bigint) LANGUAGE sql AS $$
	WITH per AS (SELECT user_id, date_trunc(p::text, day::timestamp)::date AS period, max(day) AS last, min(day) AS first FROM user_days GROUP BY 1, 2),
	bounds AS (SELECT date_trunc(p::text, start::timestamp)::date AS now,
					  date_trunc(p::text, date_trunc(p::text, start::timestamp) - interval '1 day')::date AS before),
	churned AS (SELECT user_id, last FROM per a, bounds WHERE period = before AND NOT EXISTS (
					SELECT FROM per b WHERE b.user_id = a.user_id AND b.period = now)),
	resurrected AS (SELECT user_id, (SELECT max(day) FROM user_days d WHERE d.user_id = a.user_id AND day < now), first
					FROM per a, bounds WHERE period = now
					AND NOT EXISTS (SELECT FROM per b WHERE b.user_id = a.user_id AND b.period = before)
					AND EXISTS (SELECT FROM per b WHERE b.user_id = a.user_id AND b.period < before)),
	c1 AS (SELECT * FROM churned_users('ev', 'user_id', 'event_time', p, start, NULL::bigint, 'America/St_Johns')),
	c2 AS (SELECT * FROM churned_users('kept', 'user_id', 'days', p, start, NULL::bigint)),
	r1 AS (SELECT * FROM resurrected_users('ev', 'user_id', 'event_time', p, start, NULL::bigint, 'America/St_Johns')),
	r2 AS (SELECT * FROM resurrected_users('kept', 'user_id', 'days', p, start, NULL::bigint))
	SELECT (SELECT count(*) FROM churned), (SELECT count(*) FROM resurrected),
		   (SELECT count(*) FROM c1 FULL JOIN churned c ON c1 = c WHERE c1 IS NULL OR c IS NULL) + (SELECT count(*) FROM c2 FULL JOIN churned c ON c2 = c WHERE c2 IS NULL OR c IS NULL)
		 + (SELECT count(*) FROM r1 FULL JOIN resurrected r ON r1 = r WHERE r1 IS NULL OR r IS NULL) + (SELECT count(*) FROM r2 FULL JOIN resurrected r ON r2 = r WHERE r2 IS NULL OR r IS NULL)
$$;
SELECT p, start, (compare_lists(p, start)).* FROM unnest(enum_range(NULL::period)) p, unnest('{2010-11-08,2011-02-20,2012-01-31}'::date[]) start ORDER BY 1, 2;
WITH plain AS (SELECT user_id, max(day) AS last FROM user_days WHERE day <= '2011-06-10' GROUP BY 1 HAVING max(day) <= date '2011-06-10' - 30),
ours AS (SELECT * FROM inactive_users('ev', 'user_id', 'event_time', 30, '2011-06-10', NULL::bigint, 'America/St_Johns')),
kept AS (SELECT * FROM inactive_users('kept', 'user_id', 'days', 30, '2011-06-10', NULL::bigint))
SELECT (SELECT count(*) FROM plain) AS users, (SELECT count(*) FROM plain p FULL JOIN ours o ON o = p WHERE o IS NULL OR p IS NULL) AS wrong,
	   (SELECT count(*) FROM plain p FULL JOIN kept o ON o = p WHERE o IS NULL OR p IS NULL) AS kept_wrong;

-- Days of any kind of column, users of any type that can be hashed.
CREATE COLLATION caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE DOMAIN user_number AS bigint;
CREATE TABLE typed AS
SELECT user_id::smallint AS i2, user_id::integer AS i4, user_id::user_number AS dom, md5(user_id::text)::uuid AS u, 'user ' || repeat('x', (user_id * 17 % 300)::integer) || user_id AS t,
	   (CASE WHEN hashint8(extract(second FROM event_time)::bigint) & 1 = 0 THEN upper('u' || user_id) ELSE 'u' || user_id END) COLLATE caseless AS ci,
	   user_id::numeric + CASE WHEN hashint8(extract(minute FROM event_time)::bigint) & 1 = 0 THEN 0.00 ELSE 0 END AS n,
	   user_id::float8 - 9 AS f, decode(md5(user_id::text), 'hex') AS b, CASE WHEN user_id > 0 THEN ARRAY[user_id, 1] END AS a, ('n' || user_id)::name AS nm, date '2000-01-01' + user_id::integer AS d,
	   event_time, local_time, day
FROM ev;
UPDATE typed SET f = '-0' WHERE i4 = 9 AND extract(day FROM day)::integer % 2 = 0;
SELECT u, (SELECT count(*) FROM growth_accounting('typed', u, 'event_time', 'week') o
		   FULL JOIN growth_accounting('ev', 'user_id', 'event_time', 'week') e ON o = e WHERE o IS NULL OR e IS NULL) AS differ
FROM unnest('{i2,i4,dom,u,t,ci,n,f,b,a,nm,d}'::name[]) u;
SELECT c, (SELECT count(*) FROM growth_accounting('typed', 'u', c, 'day') o
		   FULL JOIN growth_accounting('ev', 'user_id', 'event_time', 'day') e ON o = e WHERE o IS NULL OR e IS NULL) AS differ
FROM unnest('{event_time,local_time,day}'::name[]) c;
SELECT user_id, last_active_date FROM churned_users('typed', 'u', 'event_time', 'month', '2011-05-01', NULL::uuid) ORDER BY 1 LIMIT 2;
SELECT lower(user_id) AS user_id, last_active_date FROM churned_users('typed', 'ci', 'event_time', 'month', '2011-05-01', NULL::text) ORDER BY 1 LIMIT 2;
SELECT user_id, last_active_date FROM churned_users('typed', 'a', 'day', 'month', '2011-05-01', NULL::bigint[]) ORDER BY 1 LIMIT 2;

-- Two centuries of local days, in no order of time: offsets in seconds, days left out
-- and met twice, and the years for which zones are extrapolated.
CREATE TABLE instants AS
SELECT i AS user_id, timestamptz '1880-01-01Z' + (hashint4(i)::bigint + 2147483648) * 1.6 * interval '1 second' AS event_time
FROM generate_series(1, 20000) i;
SELECT zone, (
	SELECT count(*) FROM (SELECT rollup_day(event_time, zone) AS day, count(*) AS dau FROM instants GROUP BY 1) plain
	FULL JOIN (SELECT day, dau FROM rolling_active('instants', 'user_id', 'event_time', 1, time_zone => zone) WHERE dau > 0) ours
	USING (day, dau) WHERE plain IS NULL OR ours IS NULL) AS differ
FROM unnest('{UTC,America/St_Johns,America/Sao_Paulo,Pacific/Apia,Africa/Monrovia,Europe/Amsterdam,Australia/Lord_Howe,Africa/Casablanca}'::text[]) zone;

-- clocks set back from shortly after midnight: the minute before belongs to the day that has not ended, as in rollups
CREATE TABLE minute AS SELECT 1 AS user_id, timestamptz '2010-11-07 02:30:30Z' AS event_time;
SELECT day, dau, (event_time AT TIME ZONE 'America/St_Johns')::date AS label
FROM minute, rolling_active('minute', 'user_id', 'event_time', 1, time_zone => 'America/St_Johns');

-- Views, partitions, an index on the time, parallel scans, row security and privileges.
CREATE VIEW ev_view AS SELECT user_id AS "User", event_time AS "Time" FROM ev;
CREATE TABLE parted (LIKE ev) PARTITION BY RANGE (event_time);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (MINVALUE) TO ('2011-03-01');
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM ('2011-03-01') TO (MAXVALUE);
CREATE TABLE parted_none PARTITION OF parted DEFAULT;
INSERT INTO parted SELECT * FROM ev;
CREATE INDEX ON typed (event_time);
ANALYZE ev, typed, parted;
CREATE FUNCTION differing(relation regclass, u name, t name) RETURNS bigint LANGUAGE sql AS $$
	SELECT (SELECT count(*) FROM growth_accounting(relation, u, t, 'week', '2011-01-15', '2011-09-05', 'America/Sao_Paulo') o
			FULL JOIN growth_accounting('ev', 'user_id', 'event_time', 'week', '2011-01-15', '2011-09-05', 'America/Sao_Paulo') e ON o = e WHERE o IS NULL OR e IS NULL)
		 + (SELECT count(*) FROM rolling_active(relation, u, t, 28, '2011-02-01', '2011-03-05', 'America/Sao_Paulo') o
			FULL JOIN rolling_active('ev', 'user_id', 'event_time', 28, '2011-02-01', '2011-03-05', 'America/Sao_Paulo') e ON o = e WHERE o IS NULL OR e IS NULL)
$$;
SELECT differing('ev_view', 'User', 'Time'), differing('parted', 'user_id', 'event_time'), differing('typed', 'i4', 'event_time');
SET enable_seqscan = off;
SELECT differing('typed', 'i4', 'event_time') AS by_index;
RESET enable_seqscan;
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2;
SELECT differing('parted', 'user_id', 'event_time') AS parallel;
RESET parallel_setup_cost; RESET parallel_tuple_cost; RESET min_parallel_table_scan_size; RESET max_parallel_workers_per_gather;
CREATE ROLE growth_reader;
GRANT USAGE ON SCHEMA growth_test TO growth_reader;
GRANT SELECT (user_id) ON ev TO growth_reader;
GRANT SELECT ON parted TO growth_reader;
ALTER TABLE parted ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON parted TO growth_reader USING (user_id < 11);
SET ROLE growth_reader;
\set VERBOSITY sqlstate
SELECT * FROM growth_accounting('ev', 'user_id', 'event_time');
\set VERBOSITY default
SELECT max(active), sum(new + first_seen) FROM growth_accounting('parted', 'user_id', 'event_time');
RESET ROLE;
SELECT max(active), sum(new + first_seen) FROM growth_accounting('parted', 'user_id', 'event_time');
-- rows that are not stored as they are selected: columns dropped, added later, in children; the right to two columns alone
CREATE TABLE odd (gone text, event_time timestamptz, other text, user_id bigint);
INSERT INTO odd SELECT 'x', event_time, repeat('y', 10), user_id FROM ev;
SELECT differing('odd', 'user_id', 'event_time') AS plain;
ALTER TABLE odd ADD late integer NOT NULL DEFAULT 7;
SELECT differing('odd', 'user_id', 'event_time') AS added;
ALTER TABLE odd DROP gone;
SELECT differing('odd', 'user_id', 'event_time') AS dropped;
CREATE TABLE parent (other text, event_time timestamptz, user_id bigint);
CREATE TABLE child (more text, user_id bigint, event_time timestamptz, other text) INHERITS (parent);
INSERT INTO parent SELECT 'p', event_time, user_id FROM ev WHERE user_id % 2 = 0;
INSERT INTO child (user_id, event_time) SELECT user_id, event_time FROM ev WHERE user_id % 2 = 0 IS NOT TRUE;
SELECT differing('parent', 'user_id', 'event_time') AS inherited;
-- rows in which a column does not stand where it does in others: after nulls, and in those from before it was added
CREATE TABLE sparse (a integer, event_time timestamptz, b integer, user_id bigint);
INSERT INTO sparse SELECT CASE WHEN user_id % 2 = 0 THEN 1 END, event_time, CASE WHEN user_id % 3 = 0 THEN 1 END, user_id FROM ev;
SELECT differing('sparse', 'user_id', 'event_time') AS after_nulls;
CREATE TABLE short (event_time timestamptz);
INSERT INTO short SELECT event_time FROM ev;
ALTER TABLE short ADD user_id bigint;
INSERT INTO short SELECT event_time, user_id FROM ev;
SELECT differing('short', 'user_id', 'event_time') AS short, differing('short', 'user_id', 'event_time') AS again;
-- and columns that are in no row
SELECT max(active), sum(first_seen) FROM growth_accounting('ev', 'tableoid', 'event_time');
GRANT SELECT (user_id, event_time) ON ev TO growth_reader;
SET ROLE growth_reader;
SELECT count(*) > 0 AS two_columns FROM growth_accounting('ev', 'user_id', 'event_time');
RESET ROLE;
DROP OWNED BY growth_reader;
DROP ROLE growth_reader;

-- Beyond work_mem users go to files, and the answers are the same.  Of weeks there are
-- more than a word has bits, of months there are not.
CREATE TABLE many AS
SELECT (hashint4(i) & 32767)::bigint - 9999 AS i8, md5((hashint4(i) & 32767)::text) AS t, (hashint4(i) & 32767)::text::numeric AS n,
	   date '2024-01-01' + (hashint4(i + 99) & 511) AS day
FROM generate_series(1, 120000) i;
CREATE TABLE answers AS
SELECT p, k, g.* FROM unnest('{week,month}'::period[]) p, unnest('{i8,t,n}'::name[]) k, growth_accounting('many', k, 'day', p) g;
SELECT p, count(*), count(DISTINCT (period_start, active, new, first_seen, retained, resurrected, churned, dormant)) FROM answers GROUP BY 1 ORDER BY 1;
SELECT count(*) AS differ FROM answers a JOIN (
	WITH months AS (SELECT DISTINCT i8, date_trunc('month', day)::date AS month FROM many)
	SELECT month, count(*) AS active, count(b.i8) AS retained
	FROM months a LEFT JOIN (SELECT i8, (month + interval '1 month')::date AS month FROM months) b USING (i8, month) GROUP BY 1) plain ON month = period_start
WHERE p = 'month' AND (a.active, a.retained) <> (plain.active, plain.retained);
CREATE TABLE lists AS
SELECT user_id, last_active_date, returned_date FROM resurrected_users('many', 't', 'day', 'month', '2024-09-01', NULL::text);
SET work_mem = '64kB'; SET hash_mem_multiplier = 1;
SELECT count(*) AS differ FROM unnest('{week,month}'::period[]) p, unnest('{i8,t,n}'::name[]) k, LATERAL (
	SELECT g FROM growth_accounting('many', k, 'day', p) g EXCEPT
	SELECT ROW(a.period_start, a.active, a.new, a.first_seen, a.retained, a.resurrected, a.churned, a.dormant, a.churn_rate, a.retention_rate, a.quick_ratio, a.complete) FROM answers a WHERE a.k = k.k AND a.p = p.p) x;
SELECT count(*) AS differ FROM lists l FULL JOIN resurrected_users('many', 't', 'day', 'month', '2024-09-01', NULL::text) r ON l = r WHERE l IS NULL OR r IS NULL;
SELECT count(*) FROM lists;
\set VERBOSITY sqlstate
SET temp_file_limit = '8kB';
SELECT count(*) FROM growth_accounting('many', 'i8', 'day', 'week');
SELECT count(*) FROM growth_accounting('many', 'i8', 'day', 'month');
SET work_mem = '64MB';
SELECT count(*) FROM growth_accounting('many', 'i8', 'day', 'week');
RESET temp_file_limit; RESET work_mem; RESET hash_mem_multiplier;

\set VERBOSITY default

-- Every integer is a user, 0 and those with all bits set too; a null is not.
SET client_min_messages = notice;
CREATE TABLE edge AS SELECT user_id, day FROM unnest('{0,-1,-9223372036854775808,9223372036854775807,NULL}'::bigint[]) user_id, unnest('{2024-01-31,2024-03-01}'::date[]) day;
SELECT period_start, active, retained, resurrected, churned, dormant FROM growth_accounting('edge', 'user_id', 'day');
SELECT active_days, users FROM power_curve('edge', 'user_id', 'day', 61) WHERE users > 0;
SET client_min_messages = warning;

-- Nothing there; nothing there in the range; periods that are not over.
CREATE TABLE nobody (user_id bigint, event_time timestamptz, days activity, signup date);
SELECT count(*) FROM growth_accounting('nobody', 'user_id', 'event_time');
SELECT count(*) FROM rolling_active('nobody', 'user_id', 'days');
SELECT count(*) FROM power_curve('nobody', 'user_id', 'days');
SELECT * FROM growth_accounting('nobody', 'user_id', 'event_time', 'week', '2024-01-01', '2024-01-09');
SELECT * FROM rolling_active('nobody', 'user_id', 'days', 7, '2024-01-01', '2024-01-02');
SELECT * FROM retention_cohorts('nobody', 'user_id', 'event_time', 'year', '2024-01-01', '2025-01-02');
SELECT count(*) FROM growth_accounting('ev', 'user_id', 'event_time', since => '2011-01-01', until => '2011-01-01');
SELECT count(*) FROM growth_accounting('ev', 'user_id', 'event_time', since => '2031-01-01');
INSERT INTO nobody VALUES (1, now() - interval '1 year'), (1, now()), (2, now() - interval '1 day');
SELECT complete, churned IS NULL AS churned, churn_rate IS NULL AS rate, active > 0 AS active
FROM growth_accounting('nobody', 'user_id', 'event_time', 'year') ORDER BY period_start DESC LIMIT 1;
SELECT count(*) FILTER (WHERE complete), count(*) FILTER (WHERE NOT complete) FROM rolling_active('nobody', 'user_id', 'event_time', 28, (now() AT TIME ZONE 'UTC')::date - 2, (now() AT TIME ZONE 'UTC')::date + 2);

-- What is left out is reported.
SET client_min_messages = notice;
SELECT sum(active) FROM growth_accounting('ev', 'user_id', 'event_time', 'year');
INSERT INTO kept VALUES (NULL, '{}', NULL), (100, NULL, NULL), (101, '{}', NULL);
SELECT sum(active) FROM growth_accounting('kept', 'user_id', 'days', 'year');

-- Bad input.
SELECT * FROM growth_accounting('ev', 'nobody', 'event_time');
SELECT * FROM growth_accounting('ev', 'user_id', 'user_id');
SELECT * FROM growth_accounting('ev', 'user_id', 'event_time', time_zone => 'Mars/Olympus');
SELECT * FROM growth_accounting('ev', 'user_id', 'event_time', since => '2011-02-01', until => '2011-01-01');
SELECT * FROM growth_accounting('ev', 'user_id', 'event_time', 'day', '0100-01-01', '2900-01-01');
SELECT * FROM growth_accounting('ev', 'user_id', 'event_time', since => '-infinity');
SELECT * FROM growth_accounting('ev', 'user_id', 'event_time', first_seen_by => 'column');
SELECT * FROM growth_accounting('ev', 'user_id', 'event_time', first_seen_column => 'signup');
SELECT * FROM growth_accounting('ev', 'user_id', 'event_time', first_seen_by => 'column', first_seen_column => 'user_id');
SELECT * FROM churned_users('ev', 'user_id', 'event_time', 'month', '2011-02-01', NULL::text);
\set VERBOSITY sqlstate
SELECT * FROM growth_accounting('ev', 'user_id', 'event_time', since => '4714-11-24 BC', until => '4713-01-01 BC');
SELECT * FROM growth_accounting('ev', 'user_id', 'event_time', until => '5874897-12-31');
SELECT * FROM growth_accounting(0, 'user_id', 'event_time');
SELECT * FROM growth_accounting(NULL, 'user_id', 'event_time');
SELECT * FROM growth_accounting('ev', 'user_id', 'event_time', NULL);
SELECT * FROM growth_accounting('ev', 'user_id', 'event_time', time_zone => NULL);
SELECT * FROM growth_accounting('ev', 'user_id', 'event_time', first_seen_by => NULL);
SELECT * FROM rolling_active('ev', 'user_id', 'event_time', 0);
SELECT * FROM rolling_growth('ev', 'user_id', 'event_time', 7, step_days => 8);
SELECT * FROM power_curve('ev', 'user_id', 'event_time', 1000000);
SELECT * FROM retention_cohorts('ev', 'user_id', 'event_time', 'day', '2001-01-01', '2011-01-01');
SELECT * FROM inactive_users('ev', 'user_id', 'event_time', 30, 'infinity', NULL::bigint);
CREATE TABLE points (p point, at timestamptz);
SELECT * FROM growth_accounting('points', 'p', 'at', since => '2024-01-01', until => '2025-01-01');
CREATE SEQUENCE seq;
CREATE INDEX ev_index ON ev (day);
SELECT * FROM growth_accounting('ev_index', 'day', 'day');

-- A cancel is heeded.
CREATE VIEW endless AS SELECT i AS user_id, now() AS event_time FROM generate_series(1, 1000000000000) i;
SET statement_timeout = '200ms';
SELECT * FROM growth_accounting('endless', 'user_id', 'event_time', since => '2024-01-01', until => '2099-01-01');
RESET statement_timeout;

-- An OID is one user, whether it comes from a table or from an expression.
CREATE TABLE ev_oid (who oid, day date);
INSERT INTO ev_oid VALUES (4000000000, '2024-01-01');
CREATE VIEW ev_oids AS SELECT who, day FROM ev_oid UNION ALL SELECT 4000000000, date '2024-01-02';
SELECT active FROM growth_accounting('ev_oids', 'who', 'day', 'month');

\set VERBOSITY default
SET client_min_messages = warning;
DROP SCHEMA growth_test CASCADE;
