-- The social model: exactly the documented tables and columns, of an ordinary owner.
BEGIN;
SELECT plan(23);
SET LOCAL client_min_messages = warning;

CREATE ROLE host;
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO host', current_database()); END $$;
SET LOCAL ROLE host;
SELECT lives_ok($$ SELECT * FROM ecomsocial.create_social() $$, 'an ordinary role makes the model');
SELECT lives_ok($$ SELECT * FROM ecomsocial.create_social('social_day', 'America/New_York', 'day', foreign_keys => false, active => 'content') $$,
                'all options');

CREATE TEMP VIEW cols AS
SELECT c.relnamespace::regnamespace::text AS schema, c.relname::text AS rel,
       string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum) AS columns
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p')
GROUP BY c.oid;
CREATE TEMP TABLE documented (rel text, columns text);
INSERT INTO documented VALUES
('user', 'user_id bigint, status text, name text, email text, phone text, created_at timestamp with time zone, updated_at timestamp with time zone, is_current boolean, last_active_date date, churned_date date, valid_from timestamp with time zone, valid_to timestamp with time zone'),
('content', 'content_id bigint, content_type text, content_name text, content_desc text, creator_id bigint, created_at timestamp with time zone, updated_at timestamp with time zone, is_current boolean, valid_from timestamp with time zone, valid_to timestamp with time zone'),
('campaign', 'campaign_id bigint, campaign_type text, campaign_name text, campaign_desc text, created_at timestamp with time zone, starttime timestamp with time zone, endtime timestamp with time zone'),
('content_event', 'event_id bigint, event_time timestamp with time zone, event_type text, content_id bigint, creator_id bigint, viewer_id bigint, device_id bigint, ip_address inet'),
('ad_event', 'event_id bigint, event_time timestamp with time zone, event_type text, campaign_id bigint, user_id bigint, device_id bigint, ip_address inet, revenue numeric, cost numeric'),
('device', 'device_id bigint, device_type text, os text'),
('user_churn_stats', 'user_id bigint, last_active_date date, churned_flag boolean, churned_date date, resurrected_flag boolean, period text'),
('user_hub', 'user_id bigint'),
('content_hub', 'content_id bigint');
SELECT is(c.columns, d.columns, d.rel || ' has the documented columns')
FROM documented d LEFT JOIN cols c ON c.schema = 'social' AND c.rel = d.rel
ORDER BY d.rel;
SELECT is((SELECT string_agg(DISTINCT schema || '.' || rel, ', ') FROM cols c JOIN documented d USING (rel)
           WHERE schema LIKE 'social\_%' AND c.columns <> d.columns),
          NULL, 'the options change no column');
SELECT is((SELECT string_agg(c.oid::regclass::text, ', ') FROM pg_class c
           WHERE c.relnamespace::regnamespace::text ~ '^social' AND c.relkind IN ('r', 'p', 'v') AND c.relname !~ '_live$'
             AND obj_description(c.oid, 'pg_class') IS NULL),
          NULL, 'every table and view has a comment');
SELECT is((SELECT string_agg(format('%s.%I', c.oid::regclass, a.attname), ', ')
           FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
           WHERE c.relnamespace::regnamespace::text ~ '^social' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND NOT EXISTS (SELECT FROM ecomsocial.rollups r WHERE r.target = c.oid)
             AND col_description(c.oid, a.attnum) IS NULL),
          NULL, 'every column has a comment');
SELECT is((SELECT string_agg(c.oid::regclass::text, ', ') FROM pg_class c
           WHERE c.relnamespace::regnamespace::text ~ '^social' AND c.relowner <> 'host'::regrole),
          NULL, 'everything belongs to the caller');
SELECT is((SELECT string_agg(c.oid::regclass::text, ', ') FROM pg_class c
           JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
           WHERE c.relnamespace::regnamespace::text ~ '^social'),
          NULL, 'nothing of it belongs to the extension');

SELECT col_is_pk('social', 'user', ARRAY['user_id', 'valid_to'], 'one version of a user ends at a moment');
SELECT col_is_pk('social', 'content', ARRAY['content_id', 'valid_to'], 'one version of content ends at a moment');
SELECT col_is_pk('social', 'user_churn_stats', ARRAY['user_id', 'period'], 'one state for each user and period');
SELECT col_is_pk('social_day', 'content_event', ARRAY['event_id', 'event_time'], 'a partitioned event has its time in the key');
SELECT set_eq($$ SELECT conrelid::regclass::text || ' > ' || confrelid::regclass FROM pg_constraint
                 WHERE contype = 'f' AND connamespace = 'social'::regnamespace $$,
              ARRAY['social.content > social.user_hub', 'social.content_event > social.content_hub', 'social.content_event > social.user_hub',
                    'social.content_event > social.device', 'social.ad_event > social.campaign', 'social.ad_event > social.user_hub',
                    'social.ad_event > social.device'],
              'facts refer to hubs and to the tables that have no versions');
SELECT is((SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND connamespace = 'social_day'::regnamespace), 0::bigint,
          'foreign_keys => false makes none');

SELECT lives_ok($$ SELECT ecomsocial.social_foreign_keys('social_day') $$, 'and they can be added later');

SELECT * FROM finish();
ROLLBACK;
