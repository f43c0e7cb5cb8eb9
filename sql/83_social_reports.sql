
-- The reports of the social model: views over its rollups, in the model's schema
-- and of the caller's, one function below for each subject.

CREATE FUNCTION social_growth_reports(schema name) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $reports$
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);

    CREATE VIEW active_users_daily AS
    SELECT r.day, g.complete, r.dau, r.wau, r.mau, r.dau::numeric / nullif(r.mau, 0) AS stickiness,
           ecomsocial.sketch_count(s.day) AS dau_estimate, ecomsocial.sketch_count(s.week) AS wau_estimate, ecomsocial.sketch_count(s.month) AS mau_estimate,
           ecomsocial.sketch_error(s.month) AS estimate_error
    FROM active_rolling r
    LEFT JOIN growth g ON g.period = 'day' AND g.period_start = r.day
    CROSS JOIN LATERAL (
        SELECT ecomsocial.sketch_union_agg(a.user_sketch) FILTER (WHERE a.day = r.day) AS day,
               ecomsocial.sketch_union_agg(a.user_sketch) FILTER (WHERE a.day > r.day - 7) AS week,
               ecomsocial.sketch_union_agg(a.user_sketch) AS month
        FROM active_daily a WHERE a.day > r.day - 28 AND a.day <= r.day AND a.level = 'all') s;
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
    COMMENT ON COLUMN active_users_daily.estimate_error IS 'relative standard error of mau_estimate, as a ratio; the sketches of fewer users are as exact or better';

    CREATE VIEW active_users_daily_by_device AS
    SELECT r.day, r.device_type, r.users AS dau, ecomsocial.sketch_count(s.week) AS wau_estimate, ecomsocial.sketch_count(s.month) AS mau_estimate,
           r.users::numeric / nullif(ecomsocial.sketch_count(s.month), 0) AS stickiness_estimate, ecomsocial.sketch_error(s.month) AS estimate_error
    FROM active_daily r
    CROSS JOIN LATERAL (
        SELECT ecomsocial.sketch_union_agg(a.user_sketch) FILTER (WHERE a.day > r.day - 7) AS week, ecomsocial.sketch_union_agg(a.user_sketch) AS month
        FROM active_daily a
        WHERE a.day > r.day - 28 AND a.day <= r.day AND a.level = 'device_type' AND a.device_type = r.device_type) s
    WHERE r.level = 'device_type';
    COMMENT ON VIEW active_users_daily_by_device IS 'How many users are active on each kind of device? A user of two kinds counts for both: the rows of a day do not add up to its dau';
    COMMENT ON COLUMN active_users_daily_by_device.device_type IS 'kind of device as it is at the refresh; unknown where the event has none';
    COMMENT ON COLUMN active_users_daily_by_device.dau IS 'users active on the day with such a device, exact';
    COMMENT ON COLUMN active_users_daily_by_device.wau_estimate IS 'the same of 7 days, from united sketches';
    COMMENT ON COLUMN active_users_daily_by_device.mau_estimate IS 'the same of 28 days, from united sketches';
    COMMENT ON COLUMN active_users_daily_by_device.stickiness_estimate IS 'dau / mau_estimate';
    COMMENT ON COLUMN active_users_daily_by_device.estimate_error IS 'relative standard error of mau_estimate, as a ratio; the sketches of fewer users are as exact or better';

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
END
$reports$;
COMMENT ON FUNCTION social_growth_reports(name)
    IS 'internal: declares the reports on active users, their growth and their churn';

CREATE FUNCTION social_engagement_reports(schema name) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $reports$
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);

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
END
$reports$;
COMMENT ON FUNCTION social_engagement_reports(name)
    IS 'internal: declares the report on engagement';

CREATE FUNCTION social_ad_reports(schema name) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $reports$
DECLARE
    grain text;
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);

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
END
$reports$;
COMMENT ON FUNCTION social_ad_reports(name)
    IS 'internal: declares the reports on advertising';

CREATE FUNCTION social_device_reports(schema name) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $reports$
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);

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
END
$reports$;
COMMENT ON FUNCTION social_device_reports(name)
    IS 'internal: declares the reports on devices';

CREATE FUNCTION social_reports(schema name, time_zone text, active text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM ecomsocial.social_acts(schema);
    PERFORM ecomsocial.social_active_rollups(schema, time_zone, active);
    PERFORM ecomsocial.social_event_rollups(schema, time_zone);
    PERFORM ecomsocial.social_device_rollups(schema, time_zone);
    PERFORM ecomsocial.social_user_tables(schema);
    PERFORM ecomsocial.social_user_rollup(schema, time_zone, active);
    PERFORM ecomsocial.social_growth_reports(schema);
    PERFORM ecomsocial.social_engagement_reports(schema);
    PERFORM ecomsocial.social_ad_reports(schema);
    PERFORM ecomsocial.social_device_reports(schema);

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
$$;
COMMENT ON FUNCTION social_reports(name, text, text)
    IS 'internal: declares the rollups and reports of a social model in its schema; called by create_social()';
