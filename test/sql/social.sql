-- create_social(): what it answers, what it refuses, and what its tables do.
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
SELECT object, try FROM ecomsocial.create_social('net', 'America/New_York', active => 'content')
WHERE object IN ('user_current', 'active_users_daily', 'ad_performance');
SELECT kind, time_zone, options FROM ecomsocial.model WHERE rel = 'net.content_event'::regclass;

\set VERBOSITY default
SELECT * FROM ecomsocial.create_social('net');
SELECT * FROM ecomsocial.create_social('n2', active => 'everything');
SELECT * FROM ecomsocial.create_social('n2', active => NULL);
SELECT * FROM ecomsocial.create_social('n2', partition_by => NULL);
SELECT nspname FROM pg_namespace WHERE nspname IN ('n2', 'social');
\set VERBOSITY terse

SET search_path = net, public;
INSERT INTO user_current (name, created_at, updated_at) VALUES ('ann', '2024-01-01', '2024-01-01') RETURNING user_id;
UPDATE user_current SET last_active_date = '2024-02-01';        -- overwritten: no version
SELECT changed FROM ecomsocial.scd2_merge('"user"', $$ SELECT user_id, 'paused' AS status, name, created_at, '2024-02-02'::timestamptz AS updated_at
                                                         FROM "user" $$);
SELECT user_id, name, status, last_active_date, valid_from, valid_to FROM "user" ORDER BY valid_from;
INSERT INTO content_current (content_type, creator_id, created_at, updated_at) VALUES ('post', 1, '2024-01-01', '2024-01-01') RETURNING content_id;
INSERT INTO content_current (content_type, creator_id) VALUES ('post', 2);
INSERT INTO content_event (event_time, event_type, content_id, viewer_id, ip_address) VALUES ('2024-01-02', 'view', 1, 1, '10.0.0.1'),
    ('2024-01-02', 'login', NULL, 1, NULL);
INSERT INTO content_event (event_time, event_type, viewer_id) VALUES ('2024-01-02', 'login', 2);
INSERT INTO content_event (event_time, event_type, viewer_id) VALUES ('2024-01-02', '', 1);
INSERT INTO ad_event (event_time, event_type, user_id) VALUES ('2024-01-02', 'impression', 1) RETURNING revenue, cost;
INSERT INTO user_churn_stats VALUES (1, '2024-01-02', false, NULL, false, 'week');
RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA net CASCADE;
