
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

CREATE FUNCTION social_sources(active text) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE active WHEN 'content' THEN '{content}'::text[] ELSE '{content,ad}' END;
COMMENT ON FUNCTION social_sources(text)
    IS 'internal: the sources of user_act whose acts make a user active, in a model made with this argument';

CREATE FUNCTION social_sources(schema name, active text) RETURNS regclass[]
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT pg_catalog.array_agg(pg_catalog.format('%I.%I', schema, s || '_event')::regclass ORDER BY n)
    FROM pg_catalog.unnest(social_sources(active)) WITH ORDINALITY u(s, n);
END;
COMMENT ON FUNCTION social_sources(name, text)
    IS 'internal: their tables';

CREATE FUNCTION social_acts(schema name) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $acts$
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);

    CREATE VIEW user_act AS
    SELECT coalesce(viewer_id, creator_id) AS user_id, event_time, device_id, 'content' AS source, event_type, event_id FROM content_event
    UNION ALL
    SELECT user_id, event_time, device_id, 'ad', event_type, event_id FROM ad_event;
    COMMENT ON VIEW user_act IS 'the acts of users, straight from the events: whose they are, when, and on what';
    COMMENT ON COLUMN user_act.user_id IS 'user who acted, NULL where the event does not tell';
    COMMENT ON COLUMN user_act.source IS 'content or ad: which table it is in';
END
$acts$;
COMMENT ON FUNCTION social_acts(name)
    IS 'internal: makes the view of all acts, as the rollups read them';

CREATE FUNCTION social_active_rollups(schema name, time_zone text, active text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $rollups$
DECLARE
    sources constant text[] := ecomsocial.social_sources(active);
    tables  constant regclass[] := ecomsocial.social_sources(schema, active);
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);

    PERFORM ecomsocial.rollup_create('active_daily', tables, array_fill('event_time'::name, ARRAY[cardinality(tables)]), format($sql$
        SELECT CASE WHEN grouping(u.os) = 0 THEN 'os' WHEN grouping(u.device_type) = 0 THEN 'device_type' ELSE 'all' END AS level,
               u.device_type, u.os, count(DISTINCT u.user_id) AS users, sum(u.events)::bigint AS events,
               ecomsocial.sketch_agg(u.user_id) AS user_sketch
        FROM (SELECT a.user_id, coalesce(d.device_type, 'unknown') AS device_type, coalesce(d.os, 'unknown') AS os, count(*) AS events
              FROM user_act a LEFT JOIN device d ON d.device_id = a.device_id
              WHERE a.event_time >= $1 AND a.event_time < $2 AND a.source = ANY (%L)
              GROUP BY 1, 2, 3) u
        GROUP BY GROUPING SETS ((u.device_type, u.os), (u.device_type), ())
        HAVING count(*) > 0 $sql$, sources),
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
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);

    PERFORM ecomsocial.rollup_create('device_daily', ARRAY['content_event'::regclass, 'ad_event'], '{event_time,event_time}', $sql$
        SELECT coalesce(d.device_type, 'unknown') AS device_type, coalesce(d.os, 'unknown') AS os, a.source, a.event_type, count(*) AS events
        FROM user_act a LEFT JOIN device d ON d.device_id = a.device_id
        WHERE a.event_time >= $1 AND a.event_time < $2
        GROUP BY 1, 2, a.source, a.event_type $sql$,
        time_zone => time_zone, bucket_column => 'day', key => '{device_type,os,source,event_type}');

    PERFORM ecomsocial.rollup_create('device_set_daily', ARRAY['content_event'::regclass, 'ad_event'], '{event_time,event_time}', $sql$
        SELECT u.device_types, count(*) AS users
        FROM (SELECT a.user_id, array_agg(DISTINCT coalesce(d.device_type, 'unknown')) AS device_types
              FROM user_act a LEFT JOIN device d ON d.device_id = a.device_id
              WHERE a.event_time >= $1 AND a.event_time < $2 AND a.user_id IS NOT NULL
              GROUP BY a.user_id) u
        GROUP BY u.device_types $sql$,
        time_zone => time_zone, bucket_column => 'day', key => '{device_types}');

    PERFORM ecomsocial.rollup_create('device_switch_daily', ARRAY['content_event'::regclass, 'ad_event'], '{event_time,event_time}', $sql$
        SELECT s.from_device_type, s.to_device_type, count(*) AS switches, count(DISTINCT s.user_id) AS users
        FROM (SELECT a.user_id, coalesce(d.device_type, 'unknown') AS to_device_type,
                     lag(coalesce(d.device_type, 'unknown')) OVER (PARTITION BY a.user_id ORDER BY a.event_time, a.source, a.event_id) AS from_device_type
              FROM user_act a LEFT JOIN device d ON d.device_id = a.device_id
              WHERE a.event_time >= $1 AND a.event_time < $2 AND a.user_id IS NOT NULL) s
        WHERE s.from_device_type <> s.to_device_type
        GROUP BY s.from_device_type, s.to_device_type $sql$,
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

CREATE FUNCTION social_user_rollup(schema name, time_zone text, active text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $rollups$
DECLARE
    tables constant regclass[] := ecomsocial.social_sources(schema, active);
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);

    CREATE FUNCTION user_statistics_refresh() RETURNS void
        LANGUAGE sql VOLATILE PARALLEL UNSAFE
    BEGIN ATOMIC
        SELECT ecomsocial.social_refresh_statistics('user_activity', '{}', 'infinity');
    END;
    COMMENT ON FUNCTION user_statistics_refresh()
        IS 'moves growth, user_churn_stats and two columns of "user" on where days went by without an event, and counts sign-ups again';
    CREATE FUNCTION user_activity_refresh(days date[]) RETURNS void
        LANGUAGE sql VOLATILE PARALLEL UNSAFE
    BEGIN ATOMIC
        SELECT ecomsocial.social_refresh_activity('user_activity', days);
    END;
    COMMENT ON FUNCTION user_activity_refresh(date[])
        IS 'replaces the given days (NULL: all) in user_activity by what the events say, then everything that is computed from it; called by refreshes';
    PERFORM ecomsocial.rollup_create('user_activity', tables, array_fill('event_time'::name, ARRAY[cardinality(tables)]),
        time_zone => time_zone, on_refresh => 'user_activity_refresh');
END
$rollups$;
COMMENT ON FUNCTION social_user_rollup(name, text, text)
    IS 'internal: declares the rollup of the state of each user';
