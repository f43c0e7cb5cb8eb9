-- Fills an empty social model on the search_path with a SYNTHETIC network:
--
--   psql -v ON_ERROR_STOP=1 -v scale=1 -c 'SET search_path = social, ecomsocial, public' -f demo/generate_social.sql
--
-- One year, 2024, of 1,200 users and about 250,000 events for each unit of scale, the same rows on every machine.  A few
-- users make most of the events and a few posts draw most of the views; users leave, and some come back months later;
-- one event in a hundred arrives late, after events of later days.
\if :{?scale} \else \set scale 1 \endif
SELECT clock_timestamp() AS step_began, round(1200 * :scale) AS users \gset
\ir hash.sql
BEGIN;
SET LOCAL work_mem = '64MB';
SET LOCAL TimeZone = 'UTC';

-- A user signs up before or during the year, is active on a share of the days of a first stay, and, one in three,
-- again of a second stay after some weeks away.
CREATE TEMP TABLE member ON COMMIT DROP AS
SELECT user_id, joined, left_on, back_on, away_on, pg_temp.u(user_id, 1) ^ 4 AS share
FROM generate_series(1, :users) AS user_id,
     LATERAL (SELECT floor(365 * (1.4 * pg_temp.u(user_id, 2) - 0.4))::integer AS joined) j,
     LATERAL (SELECT joined + ceil(140 * pg_temp.wait(pg_temp.u(user_id, 3)))::integer AS left_on) l,
     LATERAL (SELECT CASE WHEN pg_temp.u(user_id, 4) < 0.35 THEN left_on + 20 + floor(90 * pg_temp.u(user_id, 5))::integer END AS back_on) b,
     LATERAL (SELECT back_on + ceil(90 * pg_temp.wait(pg_temp.u(user_id, 6)))::integer AS away_on) a;

CREATE TEMP TABLE user_version ON COMMIT DROP AS
SELECT user_id, nth, '2024-01-01'::timestamptz + joined * interval '1 day' AS created_at,
       '2024-01-01'::timestamptz + CASE nth WHEN 0 THEN joined ELSE left_on + 60 * nth END * interval '1 day' AS valid_from,
       initcap(pg_temp.pick('{ana,bo,cleo,dan,eve,finn,gia,hal,ida,jon,kai,liv}', pg_temp.u(user_id, 7))) AS name,
       CASE nth WHEN 0 THEN 'active' WHEN 1 THEN 'inactive' ELSE 'deleted' END AS status
FROM member, generate_series(0, CASE WHEN back_on IS NULL AND left_on < 240 THEN floor(3 * pg_temp.u(user_id, 8))::integer ELSE 0 END) AS nth;
SELECT format('users who join, leave and come back: %s, changed %s times; devices, campaigns', inserted, changed) AS step
FROM scd2_merge('"user"', 'SELECT user_id, status, name, lower(name) || user_id || ''@example.org'' AS email, created_at, valid_from AS updated_at
                           FROM user_version')
\gset
SELECT setval(pg_get_serial_sequence('"user"', 'user_id'), :users) \g /dev/null

INSERT INTO device (device_id, device_type, os) VALUES
    (1, 'phone', 'Android'), (2, 'phone', 'iOS'), (3, 'tablet', 'Android'), (4, 'tablet', 'iOS'),
    (5, 'desktop', 'Windows'), (6, 'desktop', 'macOS'), (7, 'desktop', 'Linux'), (8, 'tv', NULL), (9, NULL, NULL);
SELECT setval(pg_get_serial_sequence('device', 'device_id'), 9) \g /dev/null

INSERT INTO campaign (campaign_id, campaign_type, campaign_name, campaign_desc, created_at, starttime, endtime) VALUES
    (1, 'awareness', 'Fresh start', 'all users', '2023-12-01', '2024-01-01', '2024-03-01'),
    (2, 'conversion', 'Spring sale', 'all users', '2024-02-01', '2024-02-15', '2024-05-01'),
    (3, 'awareness', 'Festival season', 'phones first', '2024-04-01', '2024-05-15', '2024-09-01'),
    (4, 'conversion', 'Autumn offers', 'returning users', '2024-08-01', '2024-08-15', '2024-12-01'),
    (5, 'conversion', 'Always on', 'no end set', '2023-12-01', '2024-01-01', NULL);
SELECT setval(pg_get_serial_sequence('campaign', 'campaign_id'), 5) \g /dev/null
\ir step.sql

-- The days on which each user is there.
CREATE TEMP TABLE presence ON COMMIT DROP AS
SELECT user_id, share, day, user_id * 1000 + day AS id
FROM member,
     LATERAL (SELECT generate_series(greatest(0, joined), least(366, left_on) - 1) UNION ALL
              SELECT generate_series(greatest(0, back_on), least(366, away_on) - 1)) AS d (day)
WHERE day = joined OR pg_temp.u(user_id, day, 11) < 0.02 + 0.7 * share * CASE WHEN day % 7 IN (5, 6) THEN 0.7 ELSE 1 END;

-- Posts, numbered in the order of their time: those of before the year first.
CREATE TEMP TABLE post ON COMMIT DROP AS
SELECT row_number() OVER (ORDER BY day, at, user_id) AS content_id, user_id AS creator_id, day,
       '2024-01-01'::timestamptz + (day + at) * interval '1 day' AS created_at, id
FROM (SELECT user_id, day, pg_temp.u(id, 12) AS at, id FROM presence WHERE pg_temp.u(id, 13) < 0.02 + 0.25 * share
      UNION ALL
      SELECT user_id, -1 - floor(30 * pg_temp.u(user_id, 14))::integer, pg_temp.u(user_id, 15), -user_id
      FROM member WHERE joined < -31 AND share > 0.2) p;
CREATE TEMP TABLE content_version ON COMMIT DROP AS
SELECT content_id, pg_temp.pick('{post,post,post,photo,photo,video,story}', pg_temp.u(content_id, 16)) AS content_type,
       'Post ' || content_id || CASE nth WHEN 1 THEN ' (edited)' ELSE '' END AS content_name, creator_id, created_at,
       created_at + nth * (pg_temp.u(content_id, 18) + 0.01) * interval '2 days' AS updated_at
FROM post, generate_series(0, CASE WHEN pg_temp.u(content_id, 17) < 0.1 THEN 1 ELSE 0 END) AS nth;
SELECT format('posts: %s, edited %s times', inserted, changed) AS step
FROM scd2_merge('content', 'content_version'::regclass)
\gset
SELECT setval(pg_get_serial_sequence('content', 'content_id'), (SELECT max(content_id) FROM post)) \g /dev/null
\ir step.sql

-- Views of what was posted on earlier days, the newest and a few favourites most; of them likes, comments and shares.
CREATE TEMP TABLE seen ON COMMIT DROP AS
WITH n AS (SELECT day, count(*) AS posts FROM post GROUP BY day)
SELECT d.day, coalesce((SELECT sum(posts)::bigint FROM n WHERE n.day < d.day), 0) AS seen
FROM generate_series(0, 365) AS d (day);
ANALYZE presence, post, seen;
CREATE TEMP TABLE view ON COMMIT DROP AS
SELECT p.user_id, p.day, p.id * 64 + nth AS id,
       CASE WHEN pg_temp.u(p.id, nth, 21) < 0.2 THEN 1 + floor(seen * pg_temp.u(p.id, nth, 22) ^ 6)::bigint
            ELSE seen - floor(least(seen, 300 * :scale) * pg_temp.u(p.id, nth, 22) ^ 2)::bigint END AS content_id,
       '2024-01-01'::timestamptz + (p.day + pg_temp.u(p.id, nth, 23)) * interval '1 day' AS event_time
FROM presence p
JOIN seen USING (day),
     generate_series(1, least(60, floor(4 * (0.3 + share) * pg_temp.wait(pg_temp.u(p.id, 24))))::integer) AS nth
WHERE seen > 0;
ANALYZE view;

INSERT INTO content_event (event_time, event_type, content_id, creator_id, viewer_id, device_id, ip_address)
SELECT event_time, event_type, content_id, creator_id, viewer_id,
       -- a user has one device, and some a second or third
       1 + floor(9 * pg_temp.u(coalesce(viewer_id, creator_id), floor((1 + 2 * pg_temp.u(coalesce(viewer_id, creator_id), 31) ^ 2)
                                                                      * pg_temp.u(id, 32))::bigint, 33) ^ 1.5)::bigint,
       '10.0.0.0'::inet + coalesce(viewer_id, creator_id) % 16000000
FROM (
    SELECT event_time, 'view' AS event_type, v.content_id, creator_id, user_id AS viewer_id, v.id * 8 AS id
    FROM view v JOIN post USING (content_id)
    UNION ALL
    SELECT event_time + reaction * interval '20 seconds', (array['like', 'comment', 'share', 'unlike'])[reaction], v.content_id, creator_id, user_id, v.id * 8 + reaction
    FROM view v JOIN post USING (content_id), generate_series(1, 4) AS reaction
    WHERE pg_temp.u(v.id, reaction, 34) < (array[0.12, 0.03, 0.015, 0.003])[reaction]
    UNION ALL
    SELECT created_at, 'post', content_id, creator_id, NULL, id * 512 + 7
    FROM post
    UNION ALL
    SELECT '2024-01-01'::timestamptz + (day + pg_temp.u(id, 35)) * interval '1 day', 'login', NULL, NULL, user_id, id * 512 + 6
    FROM presence
) e
ORDER BY pg_temp.u(id, 36) < 0.01, event_time, id;
\set step 'content events'
\ir step.sql

-- Advertisements of the campaigns that run: three campaigns of different appeal, some without a user.
INSERT INTO ad_event (event_time, event_type, campaign_id, user_id, device_id, ip_address, revenue, cost)
SELECT event_time + step * interval '45 seconds', (array['impression', 'click', 'conversion'])[step + 1], campaign_id,
       CASE WHEN pg_temp.u(id, 41) < 0.95 THEN user_id END, device_id, '10.0.0.0'::inet + user_id % 16000000,
       CASE step WHEN 2 THEN round((8 + 30 * pg_temp.wait(pg_temp.u(id, 42)))::numeric, 2) ELSE 0 END,
       CASE step WHEN 0 THEN round((0.002 + 0.006 * pg_temp.u(id, 43))::numeric, 4) WHEN 1 THEN round((0.1 + 0.5 * pg_temp.u(id, 44))::numeric, 2) ELSE 0 END
FROM (SELECT v.id, v.user_id, v.event_time + interval '5 seconds' AS event_time, c.campaign_id,
             1 + floor(9 * pg_temp.u(v.user_id, 0, 33) ^ 1.5)::bigint AS device_id
      FROM view v
      JOIN campaign c ON c.starttime <= v.event_time AND coalesce(c.endtime, 'infinity') > v.event_time
      WHERE pg_temp.u(v.id, c.campaign_id, 45) < 0.2) shown,
     generate_series(0, 2) AS step
WHERE step = 0
   OR pg_temp.u(id, campaign_id, 46) < (array[0.02, 0.04, 0.01, 0.06, 0.03])[campaign_id] AND (step = 1 OR pg_temp.u(id, campaign_id, 47) < 0.15)
ORDER BY pg_temp.u(id, 48) < 0.01, event_time, id, campaign_id, step;
\set step 'ad events'
\ir step.sql
COMMIT;
DROP FUNCTION pg_temp.u(bigint, bigint), pg_temp.u(bigint, bigint, bigint), pg_temp.wait(float8), pg_temp.pick(text[], float8);
