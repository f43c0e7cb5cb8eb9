
-- The rollups and reports of the social model.  create_social() calls
-- social_reports() at its end, which declares them in the model's schema as
-- ordinary objects of the caller's.  All rollups of the model are declared here
-- and nowhere else.  Definitions of an active user and of churn: docs/models.md.
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

CREATE FUNCTION social_reports(schema name, time_zone text, active text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $reports$
DECLARE
    sources  constant regclass[] := ARRAY[format('%I.content_event', schema), format('%I.ad_event', schema)];
    times    constant name[] := '{event_time,event_time}';
    -- Acts between $1 and $2: whose they are, when, and on what.  All of them, and those that make a user active.
    acts     constant text := $sql$
        SELECT coalesce(viewer_id, creator_id) AS user_id, event_time, device_id, 'content' AS source, event_type, event_id
        FROM content_event WHERE event_time >= $1 AND event_time < $2
        UNION ALL
        SELECT user_id, event_time, device_id, 'ad', event_type, event_id
        FROM ad_event WHERE event_time >= $1 AND event_time < $2 $sql$;
    counting constant text := CASE active WHEN 'content' THEN split_part(acts, 'UNION ALL', 1) ELSE acts END;
    grain    text;
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);

    -- Rollups: active users

    PERFORM ecomsocial.rollup_create('active_daily', sources, times, format($sql$
        SELECT CASE WHEN grouping(u.os) = 0 THEN 'os' WHEN grouping(u.device_type) = 0 THEN 'device_type' ELSE 'all' END AS level,
               u.device_type, u.os, count(DISTINCT u.user_id) AS users, sum(u.events)::bigint AS events,
               ecomsocial.sketch_agg(u.user_id) AS user_sketch
        FROM (SELECT a.user_id, coalesce(d.device_type, 'unknown') AS device_type, coalesce(d.os, 'unknown') AS os, count(*) AS events
              FROM (%s) a LEFT JOIN device d ON d.device_id = a.device_id
              GROUP BY 1, 2, 3) u
        GROUP BY GROUPING SETS ((u.device_type, u.os), (u.device_type), ())
        HAVING count(*) > 0 $sql$, counting),
        time_zone => time_zone, bucket_column => 'day', key => '{level,device_type,os}', nullable_key => true);

    PERFORM ecomsocial.rollup_create('active_monthly', '{active_daily}', '{day}', $sql$
        SELECT level, device_type, os, sum(events)::bigint AS events, ecomsocial.sketch_union_agg(user_sketch) AS user_sketch
        FROM active_daily WHERE day >= $1 AND day < $2 GROUP BY level, device_type, os $sql$,
        bucket => 'month', time_zone => time_zone, bucket_column => 'month', key => '{level,device_type,os}', nullable_key => true);

    -- Rollups: engagement and advertising

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

    -- Rollups: devices, of all acts

    PERFORM ecomsocial.rollup_create('device_daily', sources, times, format($sql$
        SELECT coalesce(d.device_type, 'unknown') AS device_type, coalesce(d.os, 'unknown') AS os, a.source, a.event_type, count(*) AS events
        FROM (%s) a LEFT JOIN device d ON d.device_id = a.device_id
        GROUP BY 1, 2, a.source, a.event_type $sql$, acts),
        time_zone => time_zone, bucket_column => 'day', key => '{device_type,os,source,event_type}');

    PERFORM ecomsocial.rollup_create('device_set_daily', sources, times, format($sql$
        SELECT u.device_types, count(*) AS users
        FROM (SELECT a.user_id, array_agg(DISTINCT coalesce(d.device_type, 'unknown')) AS device_types
              FROM (%s) a LEFT JOIN device d ON d.device_id = a.device_id
              WHERE a.user_id IS NOT NULL
              GROUP BY a.user_id) u
        GROUP BY u.device_types $sql$, acts),
        time_zone => time_zone, bucket_column => 'day', key => '{device_types}');

    PERFORM ecomsocial.rollup_create('device_switch_daily', sources, times, format($sql$
        SELECT s.from_device_type, s.to_device_type, count(*) AS switches, count(DISTINCT s.user_id) AS users
        FROM (SELECT a.user_id, coalesce(d.device_type, 'unknown') AS to_device_type,
                     lag(coalesce(d.device_type, 'unknown')) OVER (PARTITION BY a.user_id ORDER BY a.event_time, a.source, a.event_id) AS from_device_type
              FROM (%s) a LEFT JOIN device d ON d.device_id = a.device_id
              WHERE a.user_id IS NOT NULL) s
        WHERE s.from_device_type <> s.to_device_type
        GROUP BY s.from_device_type, s.to_device_type $sql$, acts),
        time_zone => time_zone, bucket_column => 'day', key => '{from_device_type,to_device_type}');

    -- The state of each user, and what is computed from it

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
        regexp_replace(counting, 'event_time >= \$1 AND event_time < \$2', 'isfinite(event_time)', 'g'),
        replace(replace(counting, '$1', format('(t.day::timestamp AT TIME ZONE %L)', time_zone)),
                '$2', format('((t.day + 1)::timestamp AT TIME ZONE %L)', time_zone)));
    COMMENT ON FUNCTION user_activity_refresh(date[])
        IS 'replaces the given days (NULL: all) in user_activity by what the events say, then everything that is computed from it; called by refreshes';
    PERFORM ecomsocial.rollup_create('user_activity',
        CASE active WHEN 'content' THEN sources[:1] ELSE sources END, CASE active WHEN 'content' THEN times[:1] ELSE times END,
        time_zone => time_zone, on_refresh => 'user_activity_refresh');

    -- Reports: active users and growth

    CREATE VIEW active_users_daily AS
    SELECT r.day, g.complete, r.dau, r.wau, r.mau, r.dau::numeric / nullif(r.mau, 0) AS stickiness,
           (SELECT ecomsocial.sketch_count(s.user_sketch) FROM active_daily s WHERE s.day = r.day AND s.level = 'all') AS dau_estimate,
           (SELECT ecomsocial.sketch_count(ecomsocial.sketch_union_agg(s.user_sketch))
            FROM active_daily s WHERE s.day > r.day - 7 AND s.day <= r.day AND s.level = 'all') AS wau_estimate,
           (SELECT ecomsocial.sketch_count(ecomsocial.sketch_union_agg(s.user_sketch))
            FROM active_daily s WHERE s.day > r.day - 28 AND s.day <= r.day AND s.level = 'all') AS mau_estimate,
           (SELECT ecomsocial.sketch_error(s.user_sketch) FROM active_daily s WHERE s.day = r.day AND s.level = 'all') AS estimate_error
    FROM active_rolling r
    LEFT JOIN growth g ON g.period = 'day' AND g.period_start = r.day;
    COMMENT ON VIEW active_users_daily IS 'How many users are active each day, week and month, and how often do they come back? Exact, with the estimates from sketches beside them';
    COMMENT ON COLUMN active_users_daily.day IS 'day, in the reporting time zone; each from the first with an active user to the last';
    COMMENT ON COLUMN active_users_daily.complete IS 'false for a day that is not over';
    COMMENT ON COLUMN active_users_daily.dau IS 'users active on the day';
    COMMENT ON COLUMN active_users_daily.wau IS 'users active on any of the 7 days that end with it';
    COMMENT ON COLUMN active_users_daily.mau IS 'users active on any of the 28 days that end with it: four whole weeks, so that months compare';
    COMMENT ON COLUMN active_users_daily.stickiness IS 'dau / mau';
    COMMENT ON COLUMN active_users_daily.dau_estimate IS 'dau as the sketches of the rollup say';
    COMMENT ON COLUMN active_users_daily.wau_estimate IS 'wau as the united sketches say';
    COMMENT ON COLUMN active_users_daily.mau_estimate IS 'mau as the united sketches say';
    COMMENT ON COLUMN active_users_daily.estimate_error IS 'relative standard error of the estimates, as a ratio';

    CREATE VIEW active_users_daily_by_device AS
    SELECT r.day, r.device_type, r.users AS dau, w.wau_estimate, w.mau_estimate, r.users::numeric / nullif(w.mau_estimate, 0) AS stickiness_estimate,
           ecomsocial.sketch_error(r.user_sketch) AS estimate_error
    FROM active_daily r
    CROSS JOIN LATERAL (
        SELECT ecomsocial.sketch_count(ecomsocial.sketch_union_agg(s.user_sketch) FILTER (WHERE s.day > r.day - 7)) AS wau_estimate,
               ecomsocial.sketch_count(ecomsocial.sketch_union_agg(s.user_sketch)) AS mau_estimate
        FROM active_daily s
        WHERE s.day > r.day - 28 AND s.day <= r.day AND s.level = 'device_type' AND s.device_type = r.device_type) w
    WHERE r.level = 'device_type';
    COMMENT ON VIEW active_users_daily_by_device IS 'How many users are active on each kind of device? A user of two kinds counts for both: the rows of a day do not add up to its dau';
    COMMENT ON COLUMN active_users_daily_by_device.device_type IS 'kind of device as it is at the refresh; unknown where the event has none';
    COMMENT ON COLUMN active_users_daily_by_device.dau IS 'users active on the day with such a device, exact';
    COMMENT ON COLUMN active_users_daily_by_device.wau_estimate IS 'the same of 7 days, from united sketches';
    COMMENT ON COLUMN active_users_daily_by_device.mau_estimate IS 'the same of 28 days, from united sketches';
    COMMENT ON COLUMN active_users_daily_by_device.stickiness_estimate IS 'dau / mau_estimate';
    COMMENT ON COLUMN active_users_daily_by_device.estimate_error IS 'relative standard error of the estimates, as a ratio';

    CREATE VIEW active_users_monthly AS
    SELECT g.period_start AS month, g.complete, g.active AS mau, d.mean_dau, d.mean_dau / nullif(g.active, 0) AS stickiness,
           ecomsocial.sketch_count(m.user_sketch) AS mau_estimate, ecomsocial.sketch_error(m.user_sketch) AS estimate_error, m.events
    FROM growth g
    LEFT JOIN active_monthly m ON m.month = g.period_start AND m.level = 'all'
    CROSS JOIN LATERAL (SELECT avg(r.dau) AS mean_dau FROM active_rolling r
                        WHERE r.day >= g.period_start AND r.day < ecomsocial.rollup_bucket(g.period_start, 'month', 1)) d
    WHERE g.period = 'month';
    COMMENT ON VIEW active_users_monthly IS 'How many users are active each calendar month? Exact, with the estimate from sketches beside it';
    COMMENT ON COLUMN active_users_monthly.month IS 'first day of the month, in the reporting time zone';
    COMMENT ON COLUMN active_users_monthly.complete IS 'false while the month is not over, or where the events end before it does';
    COMMENT ON COLUMN active_users_monthly.mau IS 'users active in the month';
    COMMENT ON COLUMN active_users_monthly.mean_dau IS 'mean daily active users, over the days of the month between the first and the last event';
    COMMENT ON COLUMN active_users_monthly.stickiness IS 'mean_dau / mau';
    COMMENT ON COLUMN active_users_monthly.events IS 'acts in the month that make a user active';

    CREATE VIEW active_users_monthly_by_device AS
    SELECT month, device_type, ecomsocial.sketch_count(user_sketch) AS mau_estimate, ecomsocial.sketch_error(user_sketch) AS estimate_error, events
    FROM active_monthly WHERE level = 'device_type';
    COMMENT ON VIEW active_users_monthly_by_device IS 'How many users are active each month on each kind of device? Estimates from sketches; kinds do not add up to all users';

    CREATE VIEW user_growth AS
    SELECT g.period, g.period_start, g.complete, g.active, g.new, g.first_seen, g.retained, g.resurrected, g.churned, g.dormant,
           CASE WHEN g.first_seen = 0 THEN g.new + g.resurrected - g.churned END AS net_growth,
           (g.new + g.resurrected)::numeric / nullif(g.churned, 0) AS quick_ratio,
           (SELECT coalesce(sum(s.signups), 0)::bigint FROM signup_daily s
            WHERE s.day >= g.period_start AND s.day < ecomsocial.rollup_bucket(g.period_start, g.period, 1)) AS signups,
           coalesce((SELECT s.registered FROM signup_daily s
                     WHERE s.day < ecomsocial.rollup_bucket(g.period_start, g.period, 1) ORDER BY s.day DESC LIMIT 1), 0) AS registered
    FROM growth g;
    COMMENT ON VIEW user_growth IS 'Where do active users come from and go to? By day, week and month (column period). active = new + first_seen + retained + resurrected; the active of the period before = retained + churned';
    COMMENT ON COLUMN user_growth.period IS 'day, week or month: one of them must be chosen';
    COMMENT ON COLUMN user_growth.complete IS 'false for a period that is not over, or where the events end before it does: its churn is NULL';
    COMMENT ON COLUMN user_growth.new IS 'active for the first time';
    COMMENT ON COLUMN user_growth.first_seen IS 'active in the first period of the events at hand, where nobody knows who is new; 0 in all others';
    COMMENT ON COLUMN user_growth.churned IS 'active in the period before and not in this one';
    COMMENT ON COLUMN user_growth.dormant IS 'active neither in this period nor in the one before, but earlier';
    COMMENT ON COLUMN user_growth.net_growth IS 'active minus the active of the period before; NULL in the first period';
    COMMENT ON COLUMN user_growth.quick_ratio IS '(new + resurrected) / churned: above 1 the product grows; NULL where nobody churned';
    COMMENT ON COLUMN user_growth.signups IS 'users created in the period ("user".created_at)';
    COMMENT ON COLUMN user_growth.registered IS 'users created until its end';

    CREATE VIEW user_churn AS
    SELECT g.period, g.period_start, g.complete, g.retained + g.churned AS active_before, g.churned,
           g.churned::numeric / nullif(g.retained + g.churned, 0) AS churn_rate,
           g.retained, CASE WHEN g.complete THEN g.retained::numeric / nullif(g.retained + g.churned, 0) END AS retention_rate,
           g.resurrected, g.dormant
    FROM growth g;
    COMMENT ON VIEW user_churn IS 'Which share of the active users does each period lose? By day, week and month (column period); user by user: user_churn_stats; as the documented query has it: documented_churn';
    COMMENT ON COLUMN user_churn.period IS 'day, week or month: one of them must be chosen';
    COMMENT ON COLUMN user_churn.period_start IS 'first day of the period that the users missed';
    COMMENT ON COLUMN user_churn.active_before IS 'users active in the period before; NULL, as the rates are, for a period that is not complete';
    COMMENT ON COLUMN user_churn.churn_rate IS 'churned / active_before, as a ratio';
    COMMENT ON COLUMN user_churn.retention_rate IS 'retained / active_before, as a ratio';

    CREATE VIEW documented_churn AS
    SELECT g.period_start AS month, 100.0 * n.churned / g.active AS churned_rate
    FROM growth g
    LEFT JOIN growth n ON n.period = 'month' AND n.period_start = ecomsocial.rollup_bucket(g.period_start, 'month', 1)
    WHERE g.period = 'month' AND g.active > 0;
    COMMENT ON VIEW documented_churn IS 'Which percentage of the users active in a month is not active in the next? Labelled with the last active month; NULL for the last month and where the next is not complete';
    COMMENT ON COLUMN documented_churn.month IS 'first day of the month in which they were active';
    COMMENT ON COLUMN documented_churn.churned_rate IS 'percent, 0 to 100';

    -- Reports: engagement and advertising

    CREATE VIEW post_engagement AS
    SELECT e.*, e.likes::numeric / nullif(e.views, 0) AS like_rate, e.comments::numeric / nullif(e.views, 0) AS comment_rate,
           e.shares::numeric / nullif(e.views, 0) AS share_rate,
           (e.likes + e.comments + e.shares)::numeric / nullif(e.views, 0) AS engagement_rate,
           (e.likes + e.comments + e.shares)::numeric / nullif(e.reach, 0) AS engagement_by_reach
    FROM (SELECT day, content_type,
                 coalesce(sum(events) FILTER (WHERE event_type = 'view'), 0)::bigint AS views,
                 coalesce(sum(viewers) FILTER (WHERE event_type = 'view'), 0)::bigint AS reach,
                 coalesce(sum(contents) FILTER (WHERE event_type = 'view'), 0)::bigint AS contents_viewed,
                 coalesce(sum(events) FILTER (WHERE event_type = 'like'), 0)::bigint AS likes,
                 coalesce(sum(events) FILTER (WHERE event_type = 'unlike'), 0)::bigint AS unlikes,
                 coalesce(sum(events) FILTER (WHERE event_type = 'comment'), 0)::bigint AS comments,
                 coalesce(sum(events) FILTER (WHERE event_type = 'share'), 0)::bigint AS shares,
                 coalesce(sum(events) FILTER (WHERE event_type = 'post'), 0)::bigint AS posts,
                 coalesce(sum(events) FILTER (WHERE event_type NOT IN ('view', 'like', 'unlike', 'comment', 'share', 'post')), 0)::bigint AS other_events
          FROM content_daily GROUP BY day, content_type) e;
    COMMENT ON VIEW post_engagement IS 'How do users engage with each type of content, day by day? Rates are ratios, NULL where nothing was viewed; other event types by name: content_daily';
    COMMENT ON COLUMN post_engagement.content_type IS 'type of the content when the event happened; (none) for events without content';
    COMMENT ON COLUMN post_engagement.reach IS 'distinct viewers of the day; does not add up over days or types: unite content_daily.viewer_sketch for that';
    COMMENT ON COLUMN post_engagement.contents_viewed IS 'distinct contents viewed on the day';
    COMMENT ON COLUMN post_engagement.engagement_rate IS '(likes + comments + shares) / views';
    COMMENT ON COLUMN post_engagement.engagement_by_reach IS '(likes + comments + shares) / reach';

    FOR grain IN VALUES ('day'), ('total') LOOP
        EXECUTE format($sql$
            CREATE VIEW %1$s AS
            SELECT %2$s a.campaign_id, c.campaign_name, c.campaign_type, a.impressions, a.clicks, a.conversions, a.other_events, a.reach, a.cost, a.revenue,
                   a.clicks::numeric / nullif(a.impressions, 0) AS ctr, a.conversions::numeric / nullif(a.clicks, 0) AS cvr,
                   a.cost / nullif(a.clicks, 0) AS cpc, 1000 * a.cost / nullif(a.impressions, 0) AS cpm,
                   a.cost / nullif(a.conversions, 0) AS cpa, a.revenue / nullif(a.cost, 0) AS roas
            FROM %3$s a
            LEFT JOIN campaign c ON c.campaign_id = a.campaign_id $sql$,
            CASE grain WHEN 'day' THEN 'ad_performance' ELSE 'ad_performance_by_campaign' END,
            CASE grain WHEN 'day' THEN 'a.day,' ELSE 'a.first_day, a.last_day,' END,
            CASE grain WHEN 'day' THEN
                '(SELECT day, campaign_id, impressions, clicks, conversions, other_events, users AS reach, cost, revenue FROM ad_daily)'
            ELSE
                '(SELECT campaign_id, min(day) AS first_day, max(day) AS last_day, sum(impressions)::bigint AS impressions, sum(clicks)::bigint AS clicks,
                         sum(conversions)::bigint AS conversions, sum(other_events)::bigint AS other_events,
                         ecomsocial.sketch_count(ecomsocial.sketch_union_agg(user_sketch)) AS reach, sum(cost) AS cost, sum(revenue) AS revenue
                  FROM ad_daily GROUP BY campaign_id)' END);
    END LOOP;
    COMMENT ON VIEW ad_performance IS 'How do advertisements perform, by campaign and day? Ratios are NULL where their denominator is zero';
    COMMENT ON VIEW ad_performance_by_campaign IS 'How did each campaign perform over all its days? As ad_performance; reach is an estimate from sketches';
    FOREACH grain IN ARRAY '{ad_performance,ad_performance_by_campaign}'::text[] LOOP
        EXECUTE format($sql$
            COMMENT ON COLUMN %1$I.campaign_id IS 'NULL for events without a campaign';
            COMMENT ON COLUMN %1$I.reach IS 'distinct users; does not add up';
            COMMENT ON COLUMN %1$I.ctr IS 'click-through rate: clicks / impressions';
            COMMENT ON COLUMN %1$I.cvr IS 'conversion rate: conversions / clicks';
            COMMENT ON COLUMN %1$I.cpc IS 'cost of a click';
            COMMENT ON COLUMN %1$I.cpm IS 'cost of a thousand impressions';
            COMMENT ON COLUMN %1$I.cpa IS 'cost of a conversion';
            COMMENT ON COLUMN %1$I.roas IS 'return on advertising spend: revenue / cost' $sql$, grain);
    END LOOP;

    -- Reports: devices

    CREATE VIEW device_behaviour AS
    SELECT e.day, e.device_type, e.events, e.events::numeric / e.all_events AS share_of_events, u.users, u.users::numeric / nullif(u.all_users, 0) AS share_of_users,
           u.multi_device_users, e.events::numeric / nullif(u.users, 0) AS events_per_user
    FROM (SELECT day, device_type, sum(events)::bigint AS events, sum(sum(events)) OVER (PARTITION BY day) AS all_events
          FROM device_daily GROUP BY day, device_type) e
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(s.users) FILTER (WHERE e.device_type = ANY (s.device_types)), 0)::bigint AS users,
               coalesce(sum(s.users) FILTER (WHERE e.device_type = ANY (s.device_types) AND cardinality(s.device_types) > 1), 0)::bigint AS multi_device_users,
               sum(s.users) AS all_users
        FROM device_set_daily s WHERE s.day = e.day) u;
    COMMENT ON VIEW device_behaviour IS 'What do users do on each kind of device, day by day? A user of two kinds counts for both. Event mix: device_event_mix; users of several kinds: device_combinations; sequences: device_switches';
    COMMENT ON COLUMN device_behaviour.device_type IS 'kind of device as it is at the refresh; unknown where the event has none';
    COMMENT ON COLUMN device_behaviour.events IS 'acts with such a device, of content and advertisements';
    COMMENT ON COLUMN device_behaviour.users IS 'users with such an act, exact; does not add up over kinds or days';
    COMMENT ON COLUMN device_behaviour.share_of_users IS 'users / all users of the day who have any act';
    COMMENT ON COLUMN device_behaviour.multi_device_users IS 'of these, users with another kind of device on the same day';

    CREATE VIEW device_event_mix AS
    SELECT day, device_type, os, source, event_type, events,
           events / sum(events) OVER (PARTITION BY day, device_type, os) AS share
    FROM device_daily;
    COMMENT ON VIEW device_event_mix IS 'Which acts are done on which device and operating system? share is of the events of the day, device_type and os';

    CREATE VIEW device_combinations AS
    SELECT day, device_types, cardinality(device_types) AS kinds, users, users / sum(users) OVER (PARTITION BY day) AS share
    FROM device_set_daily;
    COMMENT ON VIEW device_combinations IS 'Which kinds of devices do users combine on a day? Each user of a day is in one row, so they add up';

    CREATE VIEW device_switches AS
    SELECT day, from_device_type, to_device_type, switches, users
    FROM device_switch_daily;
    COMMENT ON VIEW device_switches IS 'From which kind of device to which do users move during a day? switches are pairs of acts of one user, one directly after the other';

    PERFORM ecomsocial.report_comments(schema, '{
        "day": "day, in the reporting time zone", "month": "first day of the month, in the reporting time zone",
        "level": "os: by device_type and os; device_type: by device_type; all: neither", "device_type": "kind of device; unknown where the event has none",
        "os": "operating system; unknown where the event has none", "users": "distinct users; do not add up", "events": "number of acts",
        "user_sketch": "sketch of the users: unite to count over more rows", "viewer_sketch": "sketch of the viewers: unite to count over more rows",
        "viewers": "distinct viewers", "contents": "distinct contents", "content_type": "type of the content when the event happened; (none) without content",
        "source": "content or ad", "event_type": "type of event", "device_types": "the kinds of devices that a user used on the day, sorted",
        "kinds": "how many kinds", "from_device_type": "kind of device of one act", "to_device_type": "kind of device of the next act of the same user on the day",
        "switches": "how many times", "share": "share of the rows beside it, as a ratio", "share_of_events": "share of the acts of the day, as a ratio",
        "events_per_user": "acts / users", "mau_estimate": "users active in the month, from sketches", "estimate_error": "relative standard error of the estimate, as a ratio",
        "campaign_id": "campaign; NULL for events without one", "campaign_name": "name of the campaign", "campaign_type": "kind of campaign",
        "impressions": "number of impressions", "clicks": "number of clicks", "conversions": "number of conversions", "other_events": "events of other types",
        "cost": "money paid", "revenue": "money earned", "first_day": "first day with an event", "last_day": "last day with an event",
        "views": "number of views", "likes": "number of likes", "unlikes": "number of unlikes", "comments": "number of comments", "shares": "number of shares",
        "posts": "number of posts", "like_rate": "likes / views", "comment_rate": "comments / views", "share_rate": "shares / views",
        "period_start": "first day of the period, in the reporting time zone", "active": "users active in the period",
        "retained": "active in this period and in the one before", "resurrected": "active again after at least one period without activity",
        "churned": "active in the period before and not in this one; NULL while the period is not complete",
        "dormant": "known users active neither in this period nor in the one before",
        "complete": "false for a period that is not over, or where the events end before it does"}');
END
$reports$;
COMMENT ON FUNCTION social_reports(name, text, text)
    IS 'internal: declares the rollups and reports of a social model in its schema; called by create_social()';
