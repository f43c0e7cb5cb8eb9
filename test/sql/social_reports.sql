-- The reports of the social model, each against an independent formulation in
-- plain SQL over the raw events.
SET client_min_messages = warning;
SET timezone = 'Asia/Tokyo';         -- the model's zone counts, not the session's
SELECT count(*) > 0 AS made FROM ecomsocial.create_social('net', time_zone => 'America/New_York', foreign_keys => false);
SET search_path = net, ecomsocial, public;

\set ECHO none
\i test/oracle/difference.sql
\set ECHO all
CREATE FUNCTION reports() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT unnest('{active_users_daily,active_users_daily_by_device,active_users_monthly,active_users_monthly_by_device,user_growth,user_churn,documented_churn,
        post_engagement,ad_performance,ad_performance_by_campaign,device_behaviour,device_event_mix,device_combinations,device_switches}'::text[]) $$;

-- An empty model: every report answers, with nothing.
CALL refresh_model('net');
SELECT sum(rows_of('SELECT * FROM ' || r)) AS rows, count(*) AS reports FROM reports() r;

-- One user, one act, five minutes before midnight in New York.
INSERT INTO content_event (event_time, event_type, viewer_id) VALUES ('2024-03-09 23:55 America/New_York', 'login', 1);
CALL refresh_model('net');
SELECT day, complete, dau, wau, mau, round(stickiness, 3) AS stickiness, dau_estimate, mau_estimate FROM active_users_daily;
SELECT * FROM user_churn_stats ORDER BY period;
SELECT period, period_start, complete, active, new, first_seen, churned, quick_ratio FROM user_growth ORDER BY 1;
DELETE FROM content_event;
CALL refresh_model('net');
SELECT sum(rows_of('SELECT * FROM ' || r)) + (SELECT count(*) FROM user_activity) + (SELECT count(*) FROM user_churn_stats) AS left_over FROM reports() r;

-- 100 days around a leap day and a night of 23 hours, two of them empty; users with gaps, NULL users, devices and contents.
CREATE FUNCTION h(n integer, salt integer, m integer) RETURNS integer LANGUAGE sql IMMUTABLE AS
    $$ SELECT (hashint8extended(n, salt) & 1073741823)::integer % m $$;
INSERT INTO device SELECT i, (ARRAY['phone', 'tablet', 'desktop', NULL])[1 + i % 4], (ARRAY['ios', 'android', NULL])[1 + i % 3] FROM generate_series(1, 60) i;
SET ecomsocial.versioning = off;     -- the history is given as it is
INSERT INTO content (content_id, content_type, created_at, valid_from, valid_to, is_current)
SELECT i, (ARRAY['photo', 'video', 'story'])[1 + i % 3], timestamptz '2024-02-01', timestamptz '-infinity', timestamptz '2024-04-01', false FROM generate_series(1, 50) i
UNION ALL SELECT i, CASE WHEN i < 10 THEN 'reel' ELSE (ARRAY['photo', 'video', 'story'])[1 + i % 3] END, '2024-02-01', '2024-04-01', 'infinity', true
FROM generate_series(1, 50) i;
RESET ecomsocial.versioning;
INSERT INTO campaign SELECT i, 'awareness', 'campaign ' || i, NULL, '2024-02-01', '2024-03-01', '2024-05-01' FROM generate_series(1, 4) i;
INSERT INTO "user" (user_id, name, created_at, updated_at) SELECT i, 'user ' || i, timestamptz '2024-02-10 03:00 UTC' + h(i, 1, 90) * interval '19 hours', '2024-02-01' FROM generate_series(1, 260) i;
INSERT INTO content_event (event_time, event_type, content_id, creator_id, viewer_id, device_id)
SELECT timestamptz '2024-02-15 00:00 America/New_York' + day * interval '24 hours' + h(n, 2, 86400) * interval '1 second',
       CASE h(n, 3, 12) WHEN 0 THEN 'like' WHEN 1 THEN 'comment' WHEN 2 THEN 'share' WHEN 3 THEN 'login' WHEN 4 THEN 'unlike' WHEN 5 THEN 'post' WHEN 6 THEN 'poke' ELSE 'view' END,
       CASE WHEN h(n, 4, 9) > 0 THEN 1 + h(n, 5, 50) END, 1 + h(n, 6, 40),
       CASE WHEN h(n, 3, 12) <> 5 THEN 1 + (h(n, 7, 250) * (1 + h(n, 8, 3))) / 3 END, CASE WHEN h(n, 9, 12) > 0 THEN 1 + h(n, 10, 60) END
FROM (SELECT n, h(n, 11, 100) AS day FROM generate_series(1, 6000) n) g
WHERE day NOT IN (20, 21) AND (h(n, 7, 250) % 5 > 0 OR h(day, 12, 3) > 0 AND day / 30 <> 1);
INSERT INTO ad_event (event_time, event_type, campaign_id, user_id, device_id, revenue, cost)
SELECT timestamptz '2024-02-15 00:00 America/New_York' + day * interval '24 hours' + h(n, 22, 86400) * interval '1 second',
       CASE WHEN h(n, 23, 12) = 0 THEN 'conversion' WHEN h(n, 23, 12) < 4 THEN 'click' WHEN h(n, 23, 12) = 4 THEN 'hide' ELSE 'impression' END,
       CASE WHEN h(n, 24, 9) > 0 THEN 1 + h(n, 25, 3) END, CASE WHEN h(n, 26, 7) > 0 THEN 1 + h(n, 27, 260) END, CASE WHEN h(n, 28, 9) > 0 THEN 1 + h(n, 29, 60) END,
       CASE WHEN h(n, 23, 12) = 0 THEN h(n, 30, 900) / 100.0 ELSE 0 END, CASE WHEN h(n, 23, 12) < 4 THEN h(n, 31, 50) / 100.0 ELSE 0 END
FROM (SELECT n, h(n, 32, 100) AS day FROM generate_series(1, 1500) n) g WHERE day NOT IN (20, 21);
CALL refresh_model('net');

\set ECHO none
\i test/oracle/social.sql
\set ECHO all
-- the data has every case that is claimed
SELECT (SELECT count(*) FROM act) AS acts, (SELECT count(DISTINCT user_id) FROM act) AS users, (SELECT min(day) FROM act) AS first, (SELECT max(day) FROM act) AS last,
       (SELECT count(*) FROM act WHERE user_id IS NULL) > 0 AS no_user, (SELECT count(*) FROM act WHERE device_type = 'unknown') > 0 AS no_device,
       (SELECT count(*) FROM content_event WHERE content_id IS NULL) > 0 AS no_content, (SELECT count(*) FROM content_event WHERE viewer_id IS NULL) > 0 AS posts,
       (SELECT count(*) FROM act WHERE day = '2024-02-29') > 0 AS leap_day, (SELECT count(*) FROM act WHERE day = '2024-03-10') > 0 AS short_day,
       (SELECT count(*) FROM act WHERE day <> event_time::date) > 0 AS other_zone, max - min + 1 - days AS empty_days
FROM (SELECT min(day), max(day), count(DISTINCT day) AS days FROM act) d;

-- Every report against its oracle: a row is a difference.
SELECT c.report, d.* FROM comparison c, difference(c.ours, c.oracle) d;
SELECT report FROM comparison;
SELECT report, count(*) > 0 AS "any", bool_and(abs(coalesce(estimate, 0) - exact) <= 5 * coalesce(error, 0.02) * exact) AS within_five_errors, max(error) < 0.02 AS error FROM estimate GROUP BY 1 ORDER BY 1;
SELECT * FROM difference('SELECT month, churned_rate::double precision FROM documented_churn',
    $$SELECT * FROM ecomsocial.documented_churn('user_activity', 'user_id', 'days', time_zone => 'America/New_York')$$);

-- What is empty, not over, or has nothing to be divided by
SELECT count(*) AS days, count(*) FILTER (WHERE dau = 0 AND stickiness = 0 AND dau_estimate IS NULL) AS empty_days FROM active_users_daily;
SELECT period, period_start, churned IS NULL AS churned_null, quick_ratio IS NULL AS ratio_null, net_growth IS NULL AS growth_null FROM user_growth WHERE NOT complete ORDER BY 1;
SELECT month, mau_estimate BETWEEN 0.9 * mau AND 1.1 * mau AS near, complete FROM active_users_monthly ORDER BY 1;
SELECT period, period_start, active_before, churn_rate IS NULL AS rate_null FROM user_churn WHERE period_start < '2024-02-16' OR NOT complete ORDER BY 1, 2;
SELECT month, churned_rate IS NULL AS rate_null FROM documented_churn ORDER BY 1;
SELECT period, bool_or(churned_flag) AND NOT bool_and(churned_flag) AS churned, bool_or(resurrected_flag) AND NOT bool_and(resurrected_flag) AS resurrected FROM user_churn_stats GROUP BY 1 ORDER BY 1;
SELECT count(*) AS versions, bool_and(updated_at = '2024-02-01') AS updated_at_untouched FROM "user";
SELECT bool_or(engagement_rate IS NULL) AS null_without_views FROM post_engagement WHERE views = 0;
SELECT bool_or(cpa IS NULL) AND bool_or(ctr IS NULL) AS nulls FROM ad_performance WHERE conversions = 0 OR impressions = 0;
SELECT count(*) FILTER (WHERE content_type = 'reel' AND day < '2024-03-31') AS too_early, count(*) FILTER (WHERE content_type = 'reel') > 0 AS later FROM post_engagement;

-- Late, moved, deleted and replayed events: what refreshes keep equals a rebuild from raw events, and the oracles.
CREATE TABLE kept AS SELECT 0 AS step, '' AS name, '' AS "row" LIMIT 0;
CREATE PROCEDURE remember(step integer) LANGUAGE plpgsql AS $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY '{active_daily,active_monthly,content_daily,ad_daily,device_daily,device_set_daily,device_switch_daily,user_activity,growth,active_rolling,signup_daily,
            user_churn_stats,user}'::text[] LOOP
        EXECUTE format('INSERT INTO kept SELECT $1, %L, t::text FROM %I t', t, t) USING step;
    END LOOP;
END $$;
INSERT INTO content_event (event_time, event_type, viewer_id, device_id)       -- late, and some of users never seen
SELECT timestamptz '2024-02-10 04:00 UTC' + i * interval '5 days', 'view', 240 + i * 3, 1 + i FROM generate_series(1, 15) i;
DELETE FROM content_event WHERE coalesce(viewer_id, creator_id) IN (17, 18) OR viewer_id % 20 = 0 AND event_time > '2024-05-10';
DELETE FROM ad_event WHERE user_id IN (17, 18);
UPDATE content_event SET event_time = event_time - interval '11 days' WHERE viewer_id % 31 = 0;
UPDATE content_event SET viewer_id = 300 WHERE viewer_id = 40;
CALL refresh_model('net');
CALL remember(1);
CALL refresh_oracle();
SELECT c.report, d.* FROM comparison c, difference(c.ours, c.oracle) d;
SELECT count(*) AS still_there FROM user_activity WHERE user_id IN (17, 18);
SELECT last_active_date, churned_date FROM "user" WHERE user_id IN (17, 18);
CALL rollup_rebuild('active_daily');
CALL rollup_rebuild('active_monthly');
CALL rollup_rebuild('content_daily');
CALL rollup_rebuild('ad_daily');
CALL rollup_rebuild('device_daily');
CALL rollup_rebuild('device_set_daily');
CALL rollup_rebuild('device_switch_daily');
CALL rollup_rebuild('user_activity');
CALL remember(2);
SELECT * FROM difference('SELECT name, "row" FROM kept WHERE step = 1', 'SELECT name, "row" FROM kept WHERE step = 2');
SELECT count(*) AS pending FROM rollup_status() WHERE pending > 0 OR last_error IS NOT NULL;
-- a replay writes nothing
SELECT max(xmin::text::bigint) AS newest FROM user_activity \gset before_
UPDATE content_event SET ip_address = '192.0.2.1' WHERE event_time BETWEEN '2024-04-01' AND '2024-04-10';
CALL refresh_model('net');
SELECT max(xmin::text::bigint) = :before_newest AS state_untouched FROM user_activity;
-- users who lose one day of several, and nothing else happens to them
CREATE TABLE lost AS SELECT user_id, max(day) AS day FROM user_day GROUP BY 1 HAVING count(*) > 3 ORDER BY 1 LIMIT 3;
DELETE FROM content_event e USING lost l WHERE coalesce(viewer_id, creator_id) = l.user_id AND (event_time AT TIME ZONE 'America/New_York')::date = l.day;
DELETE FROM ad_event e USING lost l WHERE e.user_id = l.user_id AND (event_time AT TIME ZONE 'America/New_York')::date = l.day;
CALL refresh_model('net');
CALL refresh_oracle();
SELECT count(*) AS lost_a_day FROM lost l JOIN user_activity a USING (user_id) WHERE NOT a.days @> l.day;
SELECT * FROM difference('SELECT user_id, dates(days) FROM user_activity', 'SELECT user_id, array_agg(day ORDER BY day) FROM user_day GROUP BY 1');

-- Days and months go by, and one month goes back: what churn says of users whom no event touched, and of one who signs up after his first act.
INSERT INTO content_event (event_time, event_type, viewer_id) SELECT '2024-05-27 12:00Z', 'view', i * 7 FROM generate_series(1, 30) i;
CALL refresh_model('net');
CALL remember(3);
CALL rollup_rebuild('user_activity');
CALL remember(4);
SELECT * FROM difference('SELECT name, "row" FROM kept WHERE step = 3', 'SELECT name, "row" FROM kept WHERE step = 4');
INSERT INTO content_event (event_time, event_type, viewer_id) SELECT timestamptz '2024-05-28 12:00Z' + i % 20 * interval '1 day', 'view', i * 5 FROM generate_series(1, 50) i;
INSERT INTO content_event (event_time, event_type, viewer_id) VALUES ('2024-07-02 12:00Z', 'view', 11), ('2024-07-02 12:00Z', 'view', 999);
INSERT INTO "user" (user_id, created_at) VALUES (999, '2024-07-02 13:00Z');
CALL refresh_model('net');
CALL remember(5);
CALL rollup_rebuild('user_activity');
CALL remember(6);
SELECT * FROM difference('SELECT name, "row" FROM kept WHERE step = 5', 'SELECT name, "row" FROM kept WHERE step = 6');
SELECT period, last_complete FROM user_churn_period ORDER BY 1;
DELETE FROM content_event WHERE event_time > '2024-07-01';
CALL refresh_model('net');
CALL remember(7);
CALL rollup_rebuild('user_activity');
CALL remember(8);
SELECT * FROM difference('SELECT name, "row" FROM kept WHERE step = 7', 'SELECT name, "row" FROM kept WHERE step = 8');
SELECT period, last_complete FROM user_churn_period ORDER BY 1;
SELECT count(*) > 0 AS changed FROM ((SELECT "row" FROM kept WHERE step = 3 AND name = 'user_churn_stats') EXCEPT (SELECT "row" FROM kept WHERE step = 7 AND name = 'user_churn_stats')) x;

-- Whoever may read a report needs no right on what is below it.
CREATE ROLE ecs_analyst;
GRANT USAGE ON SCHEMA net TO ecs_analyst;
DO $$
BEGIN
    EXECUTE (SELECT format('GRANT SELECT ON %s TO ecs_analyst', string_agg(r, ', ')) FROM reports() r);
END $$;
SET ROLE ecs_analyst;
SELECT r AS report, rows_of('SELECT * FROM ' || r) > 0 AS readable FROM reports() r;
RESET ROLE;

-- Filters reach the indexes of the rollups, and no report reads events.
CREATE FUNCTION plan(query text) RETURNS TABLE (node text) LANGUAGE plpgsql AS $$
BEGIN
    -- the data are small: an index is taken where the filter allows it at all
    SET LOCAL enable_seqscan = off;
    RETURN QUERY EXECUTE 'EXPLAIN (COSTS off) ' || query;
END $$;
SELECT object, bool_or(p.node ~ 'content_event|ad_event') AS reads_events FROM model_contents('net'), plan('SELECT * FROM ' || object) p GROUP BY 1 ORDER BY 1;
SELECT r.name, bool_or(p.node ~ ('Index Cond: .*' || r.filter)) AS as_index_condition
FROM (VALUES ('active_users_daily', 'day >= ''2024-04-01''', 'day >= ''2024'),
             ('active_users_daily_by_device', 'day = ''2024-04-01'' AND device_type = ''phone''', 'device_type = ''phone'),
             ('active_users_monthly', 'month = ''2024-04-01''', 'period_start = ''2024'),
             ('active_users_monthly_by_device', 'month = ''2024-04-01''', 'month = ''2024'),
             ('user_growth', 'period = ''month'' AND period_start >= ''2024-04-01''', 'period_start >= ''2024'),
             ('user_churn', 'period = ''month'' AND period_start >= ''2024-04-01''', 'period_start >= ''2024'),
             ('documented_churn', 'month >= ''2024-04-01''', 'period_start >= ''2024'),
             ('post_engagement', 'day >= ''2024-04-01'' AND content_type = ''photo''', 'content_type = ''photo'),
             ('ad_performance', 'day >= ''2024-04-01''', 'day >= ''2024'),
             ('ad_performance', 'campaign_id = 2', 'campaign_id = 2'),
             ('ad_performance_by_campaign', 'campaign_id = 2', 'campaign_id = 2'),
             ('device_behaviour', 'day >= ''2024-04-01''', 'day >= ''2024'),
             ('device_event_mix', 'day = ''2024-04-01'' AND device_type = ''phone''', 'device_type = ''phone'),
             ('device_combinations', 'day = ''2024-04-01''', 'day = ''2024'),
             ('device_switches', 'day >= ''2024-04-01''', 'day >= ''2024')) r(name, condition, filter),
     plan(format('SELECT * FROM %s WHERE %s', r.name, r.condition)) p
GROUP BY r.name, r.condition ORDER BY r.name, r.condition;
DROP SCHEMA net CASCADE;

-- active => 'content': advertisements make nobody active, and still count as acts.
SELECT count(*) > 0 AS made FROM ecomsocial.create_social('net', foreign_keys => false, active => 'content');
INSERT INTO content_event (event_time, event_type, viewer_id) VALUES ('2024-04-01 10:00 UTC', 'view', 1);
INSERT INTO ad_event (event_time, event_type, user_id) VALUES ('2024-04-01 11:00 UTC', 'impression', 2);
CALL refresh_model('net');
SELECT (SELECT dau FROM active_users_daily) AS dau, (SELECT dau FROM active_users_daily_by_device) AS by_device,
       (SELECT users FROM device_behaviour) AS users, (SELECT array_agg(user_id) FROM user_activity) AS state;
DROP SCHEMA net CASCADE;

-- A model in a schema whose name wants quotes: each report answers, by the statement that the first screen tells.
SELECT count(*) > 0 AS made FROM ecomsocial.create_social('My "Net" is 100% O''Neill', foreign_keys => false);
INSERT INTO "My ""Net"" is 100% O'Neill".content_event (event_time, event_type, viewer_id) VALUES ('2024-02-29 12:00 UTC', 'view', 1);
INSERT INTO "My ""Net"" is 100% O'Neill".ad_event (event_time, event_type, campaign_id, user_id) VALUES ('2024-02-29 12:00 UTC', 'click', 1, 1);
CALL ecomsocial.refresh_model('My "Net" is 100% O''Neill');
SELECT object, public.rows_of(try) AS "rows" FROM ecomsocial.model_contents('My "Net" is 100% O''Neill') ORDER BY 1;
SELECT count(*) AS pending FROM ecomsocial.rollup_status() WHERE pending > 0 OR last_error IS NOT NULL;
DROP SCHEMA "My ""Net"" is 100% O'Neill" CASCADE;
DROP FUNCTION public.difference, public.rows_of;
DROP ROLE ecs_analyst;
