
-- The rollups of the social model: all that a refresh keeps, declared in the
-- model's schema as ordinary objects of the caller's.  social_reports() calls
-- these functions in turn.  Definitions of an active user and of churn: docs/models.md.
--
--      content_event, ad_event ──► active_daily ──► active_monthly      active users by device, exact and as sketches
--          ├──► content_daily, ad_daily, device_daily                   engagement, advertising, mix of events
--          ├──► device_set_daily, device_switch_daily                   users across devices
--          └──► user_activity ─ growth, active_rolling, signup_daily, user_churn_stats, "user"
--
-- user_activity holds the exact set of active days of each user.  A refresh
-- replaces the touched days in it and leaves the others alone, so new, late and
-- deleted events and replays all end in what a rebuild gives.  What the other
-- tables of its line hold is computed from it, not from events.

CREATE FUNCTION social_acts(active text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT $acts$
        SELECT coalesce(viewer_id, creator_id) AS user_id, event_time, device_id, 'content' AS source, event_type, event_id
        FROM content_event WHERE event_time >= $1 AND event_time < $2 $acts$
        || CASE active WHEN 'content' THEN '' ELSE $acts$
        UNION ALL
        SELECT user_id, event_time, device_id, 'ad', event_type, event_id
        FROM ad_event WHERE event_time >= $1 AND event_time < $2 $acts$ END;
END;
COMMENT ON FUNCTION social_acts(text)
    IS 'internal: the query of the acts between $1 and $2: whose they are, when, and on what; of content alone, or of all';

CREATE FUNCTION social_active_rollups(schema name, time_zone text, active text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $rollups$
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);

    PERFORM ecomsocial.rollup_create('active_daily', ARRAY['content_event'::regclass, 'ad_event'], '{event_time,event_time}', format($sql$
        SELECT CASE WHEN grouping(u.os) = 0 THEN 'os' WHEN grouping(u.device_type) = 0 THEN 'device_type' ELSE 'all' END AS level,
               u.device_type, u.os, count(DISTINCT u.user_id) AS users, sum(u.events)::bigint AS events,
               ecomsocial.sketch_agg(u.user_id) AS user_sketch
        FROM (SELECT a.user_id, coalesce(d.device_type, 'unknown') AS device_type, coalesce(d.os, 'unknown') AS os, count(*) AS events
              FROM (%s) a LEFT JOIN device d ON d.device_id = a.device_id
              GROUP BY 1, 2, 3) u
        GROUP BY GROUPING SETS ((u.device_type, u.os), (u.device_type), ())
        HAVING count(*) > 0 $sql$, ecomsocial.social_acts(active)),
        time_zone => time_zone, bucket_column => 'day', key => '{level,device_type,os}', nullable_key => true);

    PERFORM ecomsocial.rollup_create('active_monthly', '{active_daily}', '{day}', $sql$
        SELECT level, device_type, os, sum(events)::bigint AS events, ecomsocial.sketch_union_agg(user_sketch) AS user_sketch
        FROM active_daily WHERE day >= $1 AND day < $2 GROUP BY level, device_type, os $sql$,
        bucket => 'month', time_zone => time_zone, bucket_column => 'month', key => '{level,device_type,os}', nullable_key => true);
END
$rollups$;
COMMENT ON FUNCTION social_active_rollups(name, text, text)
    IS 'internal: declares the active users by day and month';

CREATE FUNCTION social_event_rollups(schema name, time_zone text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $rollups$
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);

    PERFORM ecomsocial.rollup_create('content_daily', '{content_event}', '{event_time}', $sql$
        SELECT coalesce(c.content_type, '(none)') AS content_type, e.event_type, count(*) AS events,
               count(DISTINCT e.viewer_id) AS viewers, count(DISTINCT e.content_id) AS contents,
               ecomsocial.sketch_agg(e.viewer_id) AS viewer_sketch
        FROM content_event e
        LEFT JOIN content c ON c.content_id = e.content_id AND c.valid_from <= e.event_time AND c.valid_to > e.event_time
        WHERE e.event_time >= $1 AND e.event_time < $2
        GROUP BY 1, e.event_type $sql$,
        time_zone => time_zone, bucket_column => 'day', key => '{content_type,event_type}');

    PERFORM ecomsocial.rollup_create('ad_daily', '{ad_event}', '{event_time}', $sql$
        SELECT campaign_id,
               count(*) FILTER (WHERE event_type = 'impression') AS impressions, count(*) FILTER (WHERE event_type = 'click') AS clicks,
               count(*) FILTER (WHERE event_type = 'conversion') AS conversions,
               count(*) FILTER (WHERE event_type NOT IN ('impression', 'click', 'conversion')) AS other_events,
               sum(cost) AS cost, sum(revenue) AS revenue, count(DISTINCT user_id) AS users, ecomsocial.sketch_agg(user_id) AS user_sketch
        FROM ad_event WHERE event_time >= $1 AND event_time < $2
        GROUP BY campaign_id $sql$,
        time_zone => time_zone, bucket_column => 'day', key => '{campaign_id}', nullable_key => true);
    CREATE INDEX ON ad_daily (campaign_id, day);
END
$rollups$;
COMMENT ON FUNCTION social_event_rollups(name, text)
    IS 'internal: declares what is kept of engagement and of advertising by day';

CREATE FUNCTION social_device_rollups(schema name, time_zone text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $rollups$
DECLARE
    acts constant text := ecomsocial.social_acts('all');
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);

    PERFORM ecomsocial.rollup_create('device_daily', ARRAY['content_event'::regclass, 'ad_event'], '{event_time,event_time}', format($sql$
        SELECT coalesce(d.device_type, 'unknown') AS device_type, coalesce(d.os, 'unknown') AS os, a.source, a.event_type, count(*) AS events
        FROM (%s) a LEFT JOIN device d ON d.device_id = a.device_id
        GROUP BY 1, 2, a.source, a.event_type $sql$, acts),
        time_zone => time_zone, bucket_column => 'day', key => '{device_type,os,source,event_type}');

    PERFORM ecomsocial.rollup_create('device_set_daily', ARRAY['content_event'::regclass, 'ad_event'], '{event_time,event_time}', format($sql$
        SELECT u.device_types, count(*) AS users
        FROM (SELECT a.user_id, array_agg(DISTINCT coalesce(d.device_type, 'unknown')) AS device_types
              FROM (%s) a LEFT JOIN device d ON d.device_id = a.device_id
              WHERE a.user_id IS NOT NULL
              GROUP BY a.user_id) u
        GROUP BY u.device_types $sql$, acts),
        time_zone => time_zone, bucket_column => 'day', key => '{device_types}');

    PERFORM ecomsocial.rollup_create('device_switch_daily', ARRAY['content_event'::regclass, 'ad_event'], '{event_time,event_time}', format($sql$
        SELECT s.from_device_type, s.to_device_type, count(*) AS switches, count(DISTINCT s.user_id) AS users
        FROM (SELECT a.user_id, coalesce(d.device_type, 'unknown') AS to_device_type,
                     lag(coalesce(d.device_type, 'unknown')) OVER (PARTITION BY a.user_id ORDER BY a.event_time, a.source, a.event_id) AS from_device_type
              FROM (%s) a LEFT JOIN device d ON d.device_id = a.device_id
              WHERE a.user_id IS NOT NULL) s
        WHERE s.from_device_type <> s.to_device_type
        GROUP BY s.from_device_type, s.to_device_type $sql$, acts),
        time_zone => time_zone, bucket_column => 'day', key => '{from_device_type,to_device_type}');
END
$rollups$;
COMMENT ON FUNCTION social_device_rollups(name, text)
    IS 'internal: declares what is kept of devices by day, of all acts';

CREATE FUNCTION social_user_tables(schema name) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $tables$
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);

    CREATE TABLE user_activity (
        user_id bigint              PRIMARY KEY,
        days    ecomsocial.activity NOT NULL
    ) WITH (fillfactor = 85);
    COMMENT ON TABLE user_activity IS 'the exact set of days on which each user was active, kept by refreshes; what growth_accounting() and its kin are asked with';
    COMMENT ON COLUMN user_activity.user_id IS 'user';
    COMMENT ON COLUMN user_activity.days IS 'active days, in the reporting time zone';

    CREATE TABLE growth (
        period           ecomsocial.period NOT NULL,
        period_start     date              NOT NULL,
        active           bigint            NOT NULL,
        new              bigint            NOT NULL,
        first_seen       bigint            NOT NULL,
        retained         bigint            NOT NULL,
        resurrected      bigint            NOT NULL,
        churned          bigint,
        dormant          bigint            NOT NULL,
        complete         boolean           NOT NULL,
        PRIMARY KEY (period, period_start)
    );
    COMMENT ON TABLE growth IS 'growth accounting by day, week and month, kept by refreshes; read it through user_growth and user_churn';
    COMMENT ON COLUMN growth.period IS 'day, week or month';
    COMMENT ON COLUMN growth.period_start IS 'first day of the period, in the reporting time zone';
    COMMENT ON COLUMN growth.active IS 'users active in the period';
    COMMENT ON COLUMN growth.new IS 'of these, for the first time';
    COMMENT ON COLUMN growth.first_seen IS 'of these, in the first period of the events at hand: nobody knows who of them is new';
    COMMENT ON COLUMN growth.retained IS 'of these, also active in the period before';
    COMMENT ON COLUMN growth.resurrected IS 'of these, not active in the period before, but earlier';
    COMMENT ON COLUMN growth.churned IS 'users active in the period before and not in this one; NULL while the period is not over';
    COMMENT ON COLUMN growth.dormant IS 'known users who were active neither in this period nor in the one before';
    COMMENT ON COLUMN growth.complete IS 'true where the events reach to the end of the period and it is over';

    CREATE TABLE active_rolling (
        day date   PRIMARY KEY,
        dau bigint NOT NULL,
        wau bigint NOT NULL,
        mau bigint NOT NULL
    );
    COMMENT ON TABLE active_rolling IS 'exact active users of each day and of the 7 and 28 days up to it, kept by refreshes; read it through active_users_daily';
    COMMENT ON COLUMN active_rolling.day IS 'day, in the reporting time zone';
    COMMENT ON COLUMN active_rolling.dau IS 'users active on the day';
    COMMENT ON COLUMN active_rolling.wau IS 'users active on any of the 7 days that end with it';
    COMMENT ON COLUMN active_rolling.mau IS 'users active on any of the 28 days that end with it';

    CREATE TABLE signup_daily (
        day        date   PRIMARY KEY,
        signups    bigint NOT NULL,
        registered bigint NOT NULL
    );
    COMMENT ON TABLE signup_daily IS 'sign-ups by day, as "user".created_at said at the last refresh';
    COMMENT ON COLUMN signup_daily.day IS 'day, in the reporting time zone; days without a sign-up have no row';
    COMMENT ON COLUMN signup_daily.signups IS 'users created on the day';
    COMMENT ON COLUMN signup_daily.registered IS 'users created until the end of the day';

    CREATE TABLE user_churn_period (
        period        text PRIMARY KEY,
        last_complete date NOT NULL
    );
    COMMENT ON TABLE user_churn_period IS 'the period at whose end user_churn_stats describes the users, kept by refreshes';
    COMMENT ON COLUMN user_churn_period.period IS 'day or month';
    COMMENT ON COLUMN user_churn_period.last_complete IS 'first day of the last complete period';
END
$tables$;
COMMENT ON FUNCTION social_user_tables(name)
    IS 'internal: makes the tables of the state of each user and of what is computed from it';

CREATE FUNCTION social_churn_refresh(schema name) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $refresh$
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);

    -- What a user is at the end of a period depends on his days until then.  From one refresh to the next it changes
    -- for users whose days changed and, where another period has become the last complete one, for those who were
    -- active in the earlier of the two or since: who was not is churned at the end of either.
    EXECUTE format($sql$
        CREATE FUNCTION user_churn_refresh(users bigint[], over date) RETURNS bigint[]
            LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
            SET search_path = %1$I, pg_temp
        AS $body$
        #variable_conflict use_column
        DECLARE
            unit  ecomsocial.period;
            last  date;     -- first day of the last complete period
            since date;     -- users active from there on have to be looked at
            moved bigint[];
            all_moved bigint[] := '{}';
        BEGIN
            IF over IS NULL THEN
                DELETE FROM user_churn_stats;
                DELETE FROM user_churn_period;
                RETURN all_moved;
            END IF;
            FOREACH unit IN ARRAY '{day,month}'::ecomsocial.period[] LOOP
                last := ecomsocial.rollup_bucket(over, unit, -1);
                SELECT CASE WHEN users IS NULL THEN '-infinity' WHEN p.last_complete = last THEN 'infinity' ELSE least(p.last_complete, last) END
                INTO since FROM user_churn_period p WHERE p.period = unit::text;
                since := coalesce(since, '-infinity');

                WITH candidate AS MATERIALIZED (
                    SELECT unnest(users) AS user_id
                    UNION
                    SELECT a.user_id FROM user_activity a WHERE since < 'infinity' AND ecomsocial.activity_last(a.days) >= since
                    UNION
                    SELECT s.user_id FROM user_churn_stats s WHERE since = '-infinity' AND s.period = unit::text
                ), fresh AS MATERIALIZED (
                    SELECT c.user_id, ecomsocial.activity_churn_stats(a.days, last, unit) AS stats
                    FROM candidate c LEFT JOIN user_activity a ON a.user_id = c.user_id
                ), gone AS (
                    DELETE FROM user_churn_stats s USING fresh f
                    WHERE s.user_id = f.user_id AND s.period = unit::text AND (f.stats).last_active_date IS NULL
                    RETURNING s.user_id
                ), kept AS (
                    INSERT INTO user_churn_stats AS s
                    SELECT f.user_id, (f.stats).last_active_date, (f.stats).churned_flag, (f.stats).churned_date, (f.stats).resurrected_flag, unit::text
                    FROM fresh f WHERE (f.stats).last_active_date IS NOT NULL
                    ON CONFLICT (user_id, period) DO UPDATE SET
                        last_active_date = excluded.last_active_date, churned_flag = excluded.churned_flag,
                        churned_date = excluded.churned_date, resurrected_flag = excluded.resurrected_flag
                    WHERE s.* IS DISTINCT FROM excluded.*
                    RETURNING s.user_id
                )
                SELECT array_agg(m.user_id) INTO moved FROM (SELECT g.user_id FROM gone g UNION ALL SELECT k.user_id FROM kept k) m;
                all_moved := all_moved || moved;
                INSERT INTO user_churn_period VALUES (unit::text, last)
                ON CONFLICT (period) DO UPDATE SET last_complete = excluded.last_complete;
            END LOOP;
            RETURN all_moved;
        END
        $body$ $sql$, schema);
    COMMENT ON FUNCTION user_churn_refresh(bigint[], date)
        IS 'brings user_churn_stats up to date where the days of the given users changed (NULL: of any) and days are over before a date; returns the users whose rows changed; called by refreshes';
END
$refresh$;
COMMENT ON FUNCTION social_churn_refresh(name)
    IS 'internal: makes the function that keeps user_churn_stats';

CREATE FUNCTION social_statistics_refresh(schema name, time_zone text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $refresh$
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);

    EXECUTE format($sql$
        CREATE FUNCTION user_statistics_refresh(users bigint[] DEFAULT '{}') RETURNS void
            LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
            SET search_path = %1$I, pg_temp
        AS $body$
        DECLARE
            first date;     -- active day
            until date;     -- day after the last one
            moved bigint[]; -- users whose churn changed
        BEGIN
            SELECT min(ecomsocial.activity_first(days)), max(ecomsocial.activity_last(days)) + 1 INTO first, until FROM user_activity;

            WITH fresh AS (
                SELECT p.period, g.period_start, g.active, g.new, g.first_seen, g.retained, g.resurrected, g.churned, g.dormant, g.complete
                FROM unnest('{day,week,month}'::ecomsocial.period[]) p(period)
                CROSS JOIN LATERAL ecomsocial.growth_accounting('user_activity', 'user_id', 'days', p.period, first, until, %2$L) g
            ), gone AS (
                DELETE FROM growth g WHERE NOT EXISTS (SELECT FROM fresh f WHERE f.period = g.period AND f.period_start = g.period_start)
            )
            INSERT INTO growth AS g SELECT * FROM fresh
            ON CONFLICT (period, period_start) DO UPDATE SET
                active = excluded.active, new = excluded.new, first_seen = excluded.first_seen, retained = excluded.retained,
                resurrected = excluded.resurrected, churned = excluded.churned, dormant = excluded.dormant, complete = excluded.complete
            WHERE g.* IS DISTINCT FROM excluded.*;

            WITH fresh AS (
                SELECT w.day, w.dau, w.active_in_window AS wau, m.active_in_window AS mau
                FROM ecomsocial.rolling_active('user_activity', 'user_id', 'days', 7, first, until, %2$L) w
                JOIN ecomsocial.rolling_active('user_activity', 'user_id', 'days', 28, first, until, %2$L) m USING (day)
            ), gone AS (
                DELETE FROM active_rolling a WHERE NOT EXISTS (SELECT FROM fresh f WHERE f.day = a.day)
            )
            INSERT INTO active_rolling AS a SELECT * FROM fresh
            ON CONFLICT (day) DO UPDATE SET dau = excluded.dau, wau = excluded.wau, mau = excluded.mau
            WHERE a.* IS DISTINCT FROM excluded.*;

            WITH fresh AS (
                SELECT d.day, d.signups, sum(d.signups) OVER (ORDER BY d.day)::bigint AS registered
                FROM (SELECT ecomsocial.rollup_day(created_at, %2$L) AS day, count(*) AS signups
                      FROM "user" WHERE is_current AND isfinite(created_at) GROUP BY 1) d
            ), gone AS (
                DELETE FROM signup_daily s WHERE NOT EXISTS (SELECT FROM fresh f WHERE f.day = s.day)
            )
            INSERT INTO signup_daily AS s SELECT * FROM fresh
            ON CONFLICT (day) DO UPDATE SET signups = excluded.signups, registered = excluded.registered
            WHERE s.* IS DISTINCT FROM excluded.*;

            moved := user_churn_refresh(users, least(until, ecomsocial.rollup_day(now(), %2$L)));

            -- Type 1: the current version takes them in place.  Those who signed up after their first act are looked for too.
            UPDATE "user" u SET last_active_date = f.last_active_date, churned_date = f.churned_date
            FROM (SELECT c.user_id, ecomsocial.activity_last(a.days) AS last_active_date, s.churned_date
                  FROM (SELECT unnest(users || moved) AS user_id
                        UNION
                        SELECT k.user_id FROM "user" k JOIN user_activity a ON a.user_id = k.user_id
                        WHERE k.is_current AND k.last_active_date IS NULL
                        UNION
                        SELECT k.user_id FROM "user" k WHERE users IS NULL AND k.is_current) c
                  LEFT JOIN user_activity a ON a.user_id = c.user_id
                  LEFT JOIN user_churn_stats s ON s.user_id = c.user_id AND s.period = 'month') f
            WHERE u.user_id = f.user_id AND u.is_current
              AND (u.last_active_date, u.churned_date) IS DISTINCT FROM (f.last_active_date, f.churned_date);
        END
        $body$ $sql$, schema, time_zone);
    COMMENT ON FUNCTION user_statistics_refresh(bigint[])
        IS 'computes growth, active_rolling, signup_daily, user_churn_stats and two columns of "user" from user_activity, and writes the rows that changed, given the users whose days changed (NULL: all); called by refreshes';
END
$refresh$;
COMMENT ON FUNCTION social_statistics_refresh(name, text)
    IS 'internal: makes the function that keeps what is computed from the state of all users';

CREATE FUNCTION social_user_rollup(schema name, time_zone text, active text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $rollups$
DECLARE
    acts constant text := ecomsocial.social_acts(active);
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);

    EXECUTE format($sql$
        CREATE FUNCTION user_activity_refresh(days date[]) RETURNS void
            LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
            SET search_path = %1$I, pg_temp
        AS $body$
        #variable_conflict use_column
        DECLARE
            touched ecomsocial.activity := ecomsocial.activity(user_activity_refresh.days);
            changed bigint[];
        BEGIN
            IF touched IS NULL THEN
                WITH fresh AS MATERIALIZED (
                    SELECT a.user_id, ecomsocial.activity_agg(ecomsocial.rollup_day(a.event_time, %2$L)) AS days
                    FROM (%3$s) a
                    WHERE a.user_id IS NOT NULL
                    GROUP BY a.user_id
                ), gone AS (
                    DELETE FROM user_activity u WHERE NOT EXISTS (SELECT FROM fresh f WHERE f.user_id = u.user_id)
                )
                INSERT INTO user_activity AS u SELECT * FROM fresh
                ON CONFLICT (user_id) DO UPDATE SET days = excluded.days WHERE u.days OPERATOR(ecomsocial.<>) excluded.days;
            ELSE
                WITH fresh AS MATERIALIZED (
                    SELECT a.user_id, ecomsocial.activity_agg(t.day) AS days
                    FROM unnest(user_activity_refresh.days) t(day)
                    CROSS JOIN LATERAL (%4$s) a
                    WHERE a.user_id IS NOT NULL
                    GROUP BY a.user_id
                ), lost AS MATERIALIZED (
                    SELECT u.user_id, u.days OPERATOR(ecomsocial.-) touched AS days
                    FROM user_activity u
                    WHERE u.days OPERATOR(ecomsocial.&&) touched AND NOT EXISTS (SELECT FROM fresh f WHERE f.user_id = u.user_id)
                ), gone AS (
                    DELETE FROM user_activity u USING lost l WHERE u.user_id = l.user_id AND ecomsocial.activity_count(l.days) = 0
                    RETURNING u.user_id
                ), shrunk AS (
                    UPDATE user_activity u SET days = l.days FROM lost l WHERE u.user_id = l.user_id AND ecomsocial.activity_count(l.days) > 0
                    RETURNING u.user_id
                ), kept AS (
                    INSERT INTO user_activity AS u SELECT * FROM fresh
                    ON CONFLICT (user_id) DO UPDATE SET days = (u.days OPERATOR(ecomsocial.-) touched) OPERATOR(ecomsocial.||) excluded.days
                    WHERE u.days OPERATOR(ecomsocial.<>) ((u.days OPERATOR(ecomsocial.-) touched) OPERATOR(ecomsocial.||) excluded.days)
                    RETURNING u.user_id
                )
                SELECT coalesce(array_agg(c.user_id), '{}') INTO changed
                FROM (SELECT g.user_id FROM gone g UNION ALL SELECT h.user_id FROM shrunk h UNION ALL SELECT k.user_id FROM kept k) c;
            END IF;
            PERFORM user_statistics_refresh(changed);
        END
        $body$ $sql$, schema, time_zone,
        regexp_replace(acts, 'event_time >= \$1 AND event_time < \$2', 'isfinite(event_time)', 'g'),
        replace(replace(acts, '$1', format('(t.day::timestamp AT TIME ZONE %L)', time_zone)),
                '$2', format('((t.day + 1)::timestamp AT TIME ZONE %L)', time_zone)));
    COMMENT ON FUNCTION user_activity_refresh(date[])
        IS 'replaces the given days (NULL: all) in user_activity by what the events say, then everything that is computed from it; called by refreshes';
    PERFORM ecomsocial.rollup_create('user_activity',
        CASE active WHEN 'content' THEN ARRAY['content_event'::regclass] ELSE ARRAY['content_event'::regclass, 'ad_event'] END,
        CASE active WHEN 'content' THEN '{event_time}'::name[] ELSE '{event_time,event_time}' END,
        time_zone => time_zone, on_refresh => 'user_activity_refresh');
END
$rollups$;
COMMENT ON FUNCTION social_user_rollup(name, text, text)
    IS 'internal: declares the rollup of the state of each user, with the function that keeps it';
