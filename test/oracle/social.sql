-- The reports of a social model once more, in plain SQL over its raw tables: what the tests hold the model's own reports
-- against, on a generated network and on the buyers of a real shop.  Made in the model's schema, first on the search_path;
-- the reporting time zone is America/New_York.  The table "comparison" pairs a query of each report with its oracle.

-- Acts with their local day
CREATE MATERIALIZED VIEW act AS
SELECT (event_time AT TIME ZONE 'America/New_York')::date AS day, date_trunc('month', event_time AT TIME ZONE 'America/New_York')::date AS month, event_time,
       coalesce(viewer_id, creator_id) AS user_id, coalesce(device_type, 'unknown') AS device_type, coalesce(os, 'unknown') AS os, 'content' AS source, event_type, event_id
FROM content_event LEFT JOIN device USING (device_id)
UNION ALL
SELECT (event_time AT TIME ZONE 'America/New_York')::date, date_trunc('month', event_time AT TIME ZONE 'America/New_York')::date, event_time,
       user_id, coalesce(device_type, 'unknown'), coalesce(os, 'unknown'), 'ad', event_type, event_id
FROM ad_event LEFT JOIN device USING (device_id);
CREATE INDEX ON act (day, user_id);
CREATE MATERIALIZED VIEW user_day AS SELECT DISTINCT user_id, day FROM act WHERE user_id IS NOT NULL;
CREATE UNIQUE INDEX ON user_day (day, user_id);
CREATE INDEX ON user_day (user_id, day);
-- each local day from the first with an active user to the last
CREATE VIEW known_day AS SELECT d::date AS day FROM generate_series((SELECT min(day) FROM user_day)::timestamp, (SELECT max(day) FROM user_day), '1 day') d;
ANALYZE;

-- after events changed
CREATE PROCEDURE refresh_oracle() LANGUAGE sql AS $$
    REFRESH MATERIALIZED VIEW act;
    REFRESH MATERIALIZED VIEW user_day $$;

-- Growth and churn: who was there then, and who is now.  A period that the events do not reach the end of is not complete.
CREATE FUNCTION growth_oracle(unit text) RETURNS TABLE (p period, start date, complete boolean, active bigint, new bigint, first_seen bigint, retained bigint, resurrected bigint, churned bigint, dormant bigint)
LANGUAGE sql AS $$
    WITH u AS MATERIALIZED (SELECT DISTINCT user_id, date_trunc(unit, day::timestamp)::date AS s FROM user_day),
    f AS MATERIALIZED (SELECT user_id, min(s) AS first FROM u GROUP BY 1),
    t AS (SELECT d::date AS s, (d - ('1 ' || unit)::interval)::date AS before, (d + ('1 ' || unit)::interval)::date AS next
          FROM generate_series((SELECT min(s) FROM u), (SELECT max(s) FROM u), ('1 ' || unit)::interval) d),
    k AS (SELECT t.s, t.next, f.first, n.user_id IS NOT NULL AS now, b.user_id IS NOT NULL AS then
          FROM t JOIN f ON f.first <= t.s LEFT JOIN u n ON n.user_id = f.user_id AND n.s = t.s LEFT JOIN u b ON b.user_id = f.user_id AND b.s = t.before)
    SELECT unit::period, g.s, g.c, g.active, CASE WHEN g.f THEN 0 ELSE g.new END, CASE WHEN g.f THEN g.new ELSE 0 END, g.retained, g.resurrected, CASE WHEN g.c THEN g.churned END, g.dormant
    FROM (SELECT s, next <= (SELECT max(day) + 1 FROM user_day) AS c, s = (SELECT min(s) FROM u) AS f,
                 count(*) FILTER (WHERE now) AS active, count(*) FILTER (WHERE now AND first = s) AS new, count(*) FILTER (WHERE now AND k.then) AS retained,
                 count(*) FILTER (WHERE now AND NOT k.then AND first < s) AS resurrected, count(*) FILTER (WHERE NOT now AND k.then) AS churned,
                 count(*) FILTER (WHERE NOT now AND NOT k.then) AS dormant
          FROM k GROUP BY s, next) g $$;
CREATE FUNCTION signups(until date) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM "user" WHERE is_current AND created_at < until::timestamp AT TIME ZONE 'America/New_York' $$;

-- The state of each user at the end of the last complete day and month
CREATE VIEW oracle_stats AS
WITH over AS (SELECT max(day) + 1 AS day FROM user_day),
p AS (SELECT 'day' AS period, day - 1 AS start, day - 2 AS before, day AS over FROM over
      UNION ALL
      SELECT 'month', (m - interval '1 month')::date, (m - interval '2 months')::date, m::date FROM over, date_trunc('month', day::timestamp) m)
SELECT u.user_id, max(day) AS last_active_date, max(day) < p.start AS churned_flag,
       CASE WHEN max(day) < p.start THEN (date_trunc(p.period, max(day)::timestamp) + ('1 ' || p.period)::interval)::date END AS churned_date,
       bool_or(day >= p.start) AND NOT bool_or(day >= p.before AND day < p.start) AND bool_or(day < p.before) AS resurrected_flag, p.period
FROM user_day u CROSS JOIN p
WHERE u.day < p.over
GROUP BY u.user_id, p.period, p.start, p.before;

-- Content as it was when the event happened
CREATE VIEW seen AS
SELECT e.*, (event_time AT TIME ZONE 'America/New_York')::date AS day, coalesce((
           SELECT c.content_type FROM content c WHERE c.content_id = e.content_id AND c.valid_from <= e.event_time ORDER BY c.valid_from DESC LIMIT 1), '(none)') AS content_type
FROM content_event e;
CREATE VIEW ads AS SELECT (event_time AT TIME ZONE 'America/New_York')::date AS day, * FROM ad_event;

CREATE TABLE comparison (report text, ours text, oracle text);
INSERT INTO comparison VALUES
('active_users_daily', 'SELECT day, complete, dau, wau, mau, stickiness FROM active_users_daily', $$
    SELECT day, true, d, w, m, d / nullif(m, 0)::numeric
    FROM (SELECT k.day, (SELECT count(*) FROM user_day u WHERE u.day = k.day) AS d,
                 (SELECT count(DISTINCT user_id) FROM user_day u WHERE u.day > k.day - 7 AND u.day <= k.day) AS w,
                 (SELECT count(DISTINCT user_id) FROM user_day u WHERE u.day > k.day - 28 AND u.day <= k.day) AS m FROM known_day k) x$$),
('active_users_daily_by_device', 'SELECT day, device_type, dau FROM active_users_daily_by_device', 'SELECT day, device_type, count(DISTINCT user_id) FROM act GROUP BY 1, 2'),
('active_users_monthly', 'SELECT month, complete, mau, round(mean_dau, 6), round(stickiness, 6), events FROM active_users_monthly', $$
    SELECT month, (month + interval '1 month')::date <= (SELECT max(day) + 1 FROM user_day), mau, round(daus / days, 6), round(daus / days / mau, 6), events
    FROM (SELECT month, count(*) AS events, count(DISTINCT user_id) AS mau,
                 (SELECT count(*)::numeric FROM user_day u WHERE date_trunc('month', u.day::timestamp) = a.month) AS daus,
                 (SELECT count(*) FROM known_day k WHERE date_trunc('month', k.day::timestamp) = a.month) AS days
          FROM act a GROUP BY month) m$$),
('active_users_monthly_by_device', 'SELECT month, device_type, events FROM active_users_monthly_by_device', 'SELECT month, device_type, count(*) FROM act GROUP BY 1, 2'),
('active_daily', $$SELECT day, device_type, os, users, events FROM active_daily WHERE level = 'os'$$,
    'SELECT day, device_type, os, count(DISTINCT user_id), count(*) FROM act GROUP BY 1, 2, 3'),
-- the sketches of a day, and those of a month united from them, are the sketches of its acts
('sketches of active_daily', 'SELECT day, level, device_type, os, user_sketch FROM active_daily', $$
    SELECT day, 'all', NULL, NULL, sketch_agg(user_id) FROM act GROUP BY day
    UNION ALL SELECT day, 'device_type', device_type, NULL, sketch_agg(user_id) FROM act GROUP BY day, device_type
    UNION ALL SELECT day, 'os', device_type, os, sketch_agg(user_id) FROM act GROUP BY day, device_type, os$$),
('sketches of active_monthly', 'SELECT month, level, device_type, os, user_sketch FROM active_monthly', $$
    SELECT month, 'all', NULL, NULL, sketch_agg(user_id) FROM act GROUP BY month
    UNION ALL SELECT month, 'device_type', device_type, NULL, sketch_agg(user_id) FROM act GROUP BY month, device_type
    UNION ALL SELECT month, 'os', device_type, os, sketch_agg(user_id) FROM act GROUP BY month, device_type, os$$),
('user_growth', 'SELECT period, period_start, complete, active, new, first_seen, retained, resurrected, churned, dormant, net_growth, round(quick_ratio, 6), signups, registered FROM user_growth', $$
    SELECT p, start, complete, active, new, first_seen, retained, resurrected, churned, dormant,
           CASE WHEN complete THEN active - lag(active) OVER (PARTITION BY p ORDER BY start) END, round((new + resurrected) / nullif(churned, 0)::numeric, 6),
           signups((start + ('1 ' || u)::interval)::date) - signups(start), signups((start + ('1 ' || u)::interval)::date)
    FROM unnest(array['day', 'week', 'month']) u, growth_oracle(u)$$),
('user_churn', 'SELECT period, period_start, complete, active_before, churned, round(churn_rate, 6), retained, round(retention_rate, 6), resurrected, dormant FROM user_churn', $$
    SELECT p, start, complete, active_before, churned, round(churned / nullif(active_before, 0)::numeric, 6), retained, round(retained / nullif(active_before, 0)::numeric, 6), resurrected, dormant
    FROM (SELECT *, CASE WHEN complete THEN coalesce(lag(active) OVER (PARTITION BY p ORDER BY start), 0) END AS active_before
          FROM unnest(array['day', 'week', 'month']) u, growth_oracle(u)) g$$),
('documented_churn', 'SELECT month, round(churned_rate, 6) FROM documented_churn', $$
    SELECT m.month, CASE WHEN (m.month + interval '2 months')::date <= (SELECT max(day) + 1 FROM user_day) THEN round(100.0 * count(*) FILTER (WHERE n.user_id IS NULL) / count(*), 6) END
    FROM (SELECT DISTINCT user_id, month FROM act WHERE user_id IS NOT NULL) m
    LEFT JOIN (SELECT DISTINCT user_id, month FROM act) n ON n.user_id = m.user_id AND n.month = (m.month + interval '1 month')::date
    GROUP BY 1$$),
('user_churn_stats', 'TABLE user_churn_stats', 'TABLE oracle_stats'),
('"user"', 'SELECT user_id, last_active_date, churned_date FROM "user" WHERE is_current', $$
    SELECT u.user_id, (SELECT max(day) FROM user_day d WHERE d.user_id = u.user_id), (SELECT churned_date FROM oracle_stats s WHERE s.user_id = u.user_id AND s.period = 'month')
    FROM (SELECT DISTINCT user_id FROM "user") u$$),
('user_activity', 'SELECT user_id, dates(days) FROM user_activity', 'SELECT user_id, array_agg(day ORDER BY day) FROM user_day GROUP BY 1'),
('post_engagement', 'SELECT day, content_type, views, reach, contents_viewed, likes, unlikes, comments, shares, posts, other_events,
        round(like_rate, 6), round(comment_rate, 6), round(share_rate, 6), round(engagement_rate, 6), round(engagement_by_reach, 6) FROM post_engagement', $$
    SELECT day, content_type, v, r, c, l, u, m, s, p, o, round(l / nullif(v, 0)::numeric, 6), round(m / nullif(v, 0)::numeric, 6), round(s / nullif(v, 0)::numeric, 6),
           round((l + m + s) / nullif(v, 0)::numeric, 6), round((l + m + s) / nullif(r, 0)::numeric, 6)
    FROM (SELECT day, content_type, sum((event_type = 'view')::int) AS v, count(DISTINCT CASE WHEN event_type = 'view' THEN viewer_id END) AS r,
                 count(DISTINCT CASE WHEN event_type = 'view' THEN content_id END) AS c, sum((event_type = 'like')::int) AS l, sum((event_type = 'unlike')::int) AS u,
                 sum((event_type = 'comment')::int) AS m, sum((event_type = 'share')::int) AS s, sum((event_type = 'post')::int) AS p,
                 sum((event_type <> ALL ('{view,like,unlike,comment,share,post}'))::int) AS o
          FROM seen GROUP BY 1, 2) x$$),
('ad_performance', 'SELECT day, campaign_id, campaign_name, campaign_type, impressions, clicks, conversions, other_events, reach, cost, revenue,
        round(ctr, 6), round(cvr, 6), round(cpc, 6), round(cpm, 6), round(cpa, 6), round(roas, 6) FROM ad_performance', $$
    SELECT day, campaign_id, k.campaign_name, k.campaign_type, i, c, v, o, r, cost, rev, round(c / nullif(i, 0)::numeric, 6), round(v / nullif(c, 0)::numeric, 6),
           round(cost / nullif(c, 0), 6), round(1000 * cost / nullif(i, 0), 6), round(cost / nullif(v, 0), 6), round(rev / nullif(cost, 0), 6)
    FROM (SELECT day, campaign_id, sum((event_type = 'impression')::int) AS i, sum((event_type = 'click')::int) AS c, sum((event_type = 'conversion')::int) AS v,
                 sum((event_type <> ALL ('{impression,click,conversion}'))::int) AS o, count(DISTINCT user_id) AS r, sum(cost) AS cost, sum(revenue) AS rev FROM ads GROUP BY 1, 2) x
    LEFT JOIN campaign k USING (campaign_id)$$),
('ad_performance_by_campaign', 'SELECT campaign_id, campaign_name, first_day, last_day, impressions, clicks, conversions, other_events, cost, revenue,
        round(ctr, 6), round(cvr, 6), round(cpc, 6), round(cpm, 6), round(cpa, 6), round(roas, 6) FROM ad_performance_by_campaign', $$
    SELECT campaign_id, k.campaign_name, f, t, i, c, v, n - i - c - v, cost, rev, round(c / nullif(i, 0)::numeric, 6), round(v / nullif(c, 0)::numeric, 6),
           round(cost / nullif(c, 0), 6), round(1000 * cost / nullif(i, 0), 6), round(cost / nullif(v, 0), 6), round(rev / nullif(cost, 0), 6)
    FROM (SELECT campaign_id, min(day) AS f, max(day) AS t, sum((event_type = 'impression')::int) AS i, sum((event_type = 'click')::int) AS c, sum((event_type = 'conversion')::int) AS v,
                 count(*) AS n, sum(cost) AS cost, sum(revenue) AS rev FROM ads GROUP BY 1) x
    LEFT JOIN campaign k USING (campaign_id)$$),
('device_behaviour', 'SELECT day, device_type, events, users, multi_device_users, round(share_of_events, 6), round(share_of_users, 6), round(events_per_user, 6) FROM device_behaviour', $$
    SELECT day, device_type, count(*), count(DISTINCT user_id),
           count(DISTINCT user_id) FILTER (WHERE EXISTS (SELECT FROM act b WHERE b.day = a.day AND b.user_id = a.user_id AND b.device_type <> a.device_type)),
           round(count(*)::numeric / (SELECT count(*) FROM act b WHERE b.day = a.day), 6),
           round(count(DISTINCT user_id)::numeric / nullif((SELECT count(DISTINCT user_id) FROM act b WHERE b.day = a.day), 0), 6), round(count(*)::numeric / nullif(count(DISTINCT user_id), 0), 6)
    FROM act a GROUP BY 1, 2$$),
('device_event_mix', 'SELECT day, device_type, os, source, event_type, events, round(share, 6) FROM device_event_mix', $$
    SELECT day, device_type, os, source, event_type, n, round(n::numeric / m, 6)
    FROM (SELECT day, device_type, os, source, event_type, count(*) AS n FROM act GROUP BY 1, 2, 3, 4, 5) a JOIN (SELECT day, device_type, os, count(*) AS m FROM act GROUP BY 1, 2, 3) b USING (day, device_type, os)$$),
('device_combinations', 'SELECT day, array_to_string(device_types, ''+''), kinds, users, round(share, 6) FROM device_combinations', $$
    SELECT day, kinds, n, count(*), round(count(*)::numeric / (SELECT count(DISTINCT user_id) FROM act a WHERE a.day = u.day), 6)
    FROM (SELECT day, user_id, string_agg(DISTINCT device_type, '+' ORDER BY device_type) AS kinds, count(DISTINCT device_type)::integer AS n FROM act WHERE user_id IS NOT NULL GROUP BY 1, 2) u GROUP BY 1, 2, 3$$),
('device_switches', 'TABLE device_switches', $$
    WITH n AS (SELECT *, row_number() OVER (PARTITION BY user_id, day ORDER BY event_time, source, event_id) AS i FROM act WHERE user_id IS NOT NULL)
    SELECT a.day, a.device_type, b.device_type, count(*), count(DISTINCT a.user_id)
    FROM n a JOIN n b ON b.user_id = a.user_id AND b.day = a.day AND b.i = a.i + 1 AND b.device_type <> a.device_type GROUP BY 1, 2, 3$$);

-- Estimates, each with the exact number that it stands for
CREATE VIEW estimate AS
SELECT 'active_users_daily' AS report, e.estimate, e.exact, a.estimate_error AS error
FROM active_users_daily a, LATERAL (VALUES (dau_estimate, dau), (wau_estimate, wau), (mau_estimate, mau)) e(estimate, exact)
UNION ALL
SELECT 'active_users_daily_by_device', e.estimate, e.exact, v.estimate_error
FROM active_users_daily_by_device v, LATERAL (VALUES
    (v.wau_estimate, (SELECT count(DISTINCT user_id) FROM act a WHERE a.device_type = v.device_type AND a.day > v.day - 7 AND a.day <= v.day)),
    (v.mau_estimate, (SELECT count(DISTINCT user_id) FROM act a WHERE a.device_type = v.device_type AND a.day > v.day - 28 AND a.day <= v.day))) e(estimate, exact)
UNION ALL
SELECT 'active_users_monthly', mau_estimate, mau, estimate_error FROM active_users_monthly
UNION ALL
SELECT 'active_users_monthly_by_device', mau_estimate, (SELECT count(DISTINCT user_id) FROM act a WHERE a.device_type = v.device_type AND a.month = v.month), estimate_error
FROM active_users_monthly_by_device v
UNION ALL
SELECT 'ad_performance_by_campaign', reach, (SELECT count(DISTINCT user_id) FROM ads a WHERE a.campaign_id IS NOT DISTINCT FROM v.campaign_id), NULL FROM ad_performance_by_campaign v;
