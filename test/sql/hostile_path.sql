-- No function of ours depends on the search_path of who calls it: here every
-- operator between two ordinary types, and every function that a body is likely
-- to call, stands in a schema before pg_catalog, and raises an error.
SELECT current_database() AS suite \gset
CREATE DATABASE hostile_path;
\c hostile_path
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA hostile;

DO $$
DECLARE
    f record;
    n int := 0;
BEGIN
    FOR f IN
        SELECT o.oprname AS name, format_type(o.oprleft, NULL) AS l, format_type(o.oprright, NULL) AS r, format_type(o.oprresult, NULL) AS result
        FROM pg_operator o
        WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprkind = 'b' AND o.oprcode <> 0
          AND NOT EXISTS (SELECT FROM pg_type t WHERE t.oid IN (o.oprleft, o.oprright, o.oprresult) AND t.typtype = 'p')
        ORDER BY o.oid
    LOOP
        n := n + 1;
        EXECUTE format('CREATE FUNCTION hostile.trap_%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS %L',
                       n, f.l, f.r, f.result, format('BEGIN RAISE EXCEPTION USING MESSAGE = %L; END', format('trapped: %s %s %s', f.l, f.name, f.r)));
        EXECUTE format('CREATE OPERATOR hostile.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = hostile.trap_%s)', f.name, f.l, f.r, n);
    END LOOP;
    FOR f IN
        SELECT p.proname AS name, pg_get_function_identity_arguments(p.oid) AS args, format_type(p.prorettype, NULL) AS result
        FROM pg_proc p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND NOT p.proretset AND p.provariadic = 0
          AND p.proargmodes IS NULL
          AND NOT EXISTS (SELECT FROM pg_type t WHERE t.oid = ANY (p.proargtypes::oid[] || p.prorettype) AND t.typtype = 'p')
          AND (p.proname ~ '^(abs|ceil|date|date_part|date_trunc|extract|floor|format|has_.*_privilege|isfinite|jsonb_.*|length|lower|md5|mod|now'
                            '|obj_description|pg_get_.*|pg_.*_is_visible|quote_.*|round|set_config|current_setting|substr.*|timezone|to_char|to_reg.*|upper|format_type|col_description)$')
        ORDER BY p.oid
    LOOP
        n := n + 1;
        EXECUTE format('CREATE FUNCTION hostile.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L',
                       f.name, f.args, f.result, format('BEGIN RAISE EXCEPTION USING MESSAGE = %L; END', format('trapped: %s(%s)', f.name, f.args)));
    END LOOP;
    -- as many as there are to be had, so that the trap is known to be set
    RAISE WARNING '%', CASE WHEN n > 900 THEN 'the trap is set' ELSE format('only %s traps', n) END;
END
$$;

SET search_path = hostile, pg_catalog;
SELECT 1 = 1;
SELECT now() IS NULL;

CREATE EXTENSION ecomsocial;
-- a versioned table: layout, triggers, upserts, folds, merges, readers
CREATE TABLE public.item (k bigint PRIMARY KEY, a text, doc json, seen int, updated_at timestamptz);
SELECT ecomsocial.scd2_enable('public.item', '{k}', overwrite => '{seen}', updated_at => 'updated_at', out_of_order => true);
INSERT INTO public.item_current (k, a, seen) VALUES (1, 'a', 1), (2, 'a', 1);
UPDATE public.item_current SET a = 'b';
DELETE FROM public.item_current;
INSERT INTO public.item_current (k, a) VALUES (1, 'c');
BEGIN;
UPDATE public.item_current SET a = 'd';
UPDATE public.item_current SET a = 'c';
COMMIT;
SELECT ecomsocial.scd2_upsert('public.item', '{"k": 3, "a": "a", "doc": {}}', '2024-01-01') AS a, ecomsocial.scd2_upsert('public.item', '{"k": 3, "a": "b"}', '2023-01-01') AS b,
    ecomsocial.scd2_close('public.item', '{"k": 3}', '2024-02-01') AS c, ecomsocial.scd2_upsert('public.item', '{"k": 3, "a": "c"}', '2024-03-01') AS d;
SELECT ecomsocial.scd2_merge('public.item', 'SELECT 3 AS k, ''d'' AS a', effective_at => '2024-04-01') AS a,
    ecomsocial.scd2_merge('public.item', 'SELECT 3 AS k, ''e'' AS a', effective_at => '2024-03-15') AS b,
    ecomsocial.scd2_merge('public.item', 'SELECT 4 AS k, ''e'' AS a', 'snapshot', effective_at => '2024-05-01') AS c;
BEGIN ISOLATION LEVEL REPEATABLE READ;
INSERT INTO public.item_current (k, a) VALUES (2, 'again');
SELECT ecomsocial.scd2_upsert('public.item', '{"k": 4, "a": "f"}');
COMMIT;
SELECT count(*) FROM public.item_current;
SELECT count(*) FROM public.item_as_of('2024-03-20') a, public.item_as_of('2024-03-20', 3) b;
SELECT count(*) FROM public.item_as_of;
SELECT count(*) FROM ecomsocial.scd2_history('public.item', '{"k": 3}');
SELECT count(*) FROM ecomsocial.scd2_diff('public.item', '{"k": 3}');
SELECT * FROM ecomsocial.scd2_validate('public.item');
SELECT ecomsocial.scd2_refresh('public.item'), ecomsocial.scd2_forget('public.item', '{"k": 3}'), ecomsocial.scd2_prune('public.item', '2024-01-01');
SELECT ecomsocial.scd2_disable('public.item');
SELECT count(*) FROM ecomsocial.create_ecommerce(partition_by => 'month');
SELECT count(*) FROM ecomsocial.create_social(partition_by => 'day');
-- both models: writing, refreshing, every report
INSERT INTO ecommerce.product_category (product_category_id, category_name, parent_category_id) VALUES (1, 'a', NULL), (2, 'b', 1);
INSERT INTO ecommerce.product (product_id, product_title, product_category_id, unit_price, created_at, updated_at) VALUES (1, 'p', 2, 5, '2024-01-01 UTC', '2024-01-01 UTC');
INSERT INTO ecommerce.customer (customer_id, country, updated_at) VALUES (1, 'c', '2024-01-01 UTC');
INSERT INTO ecommerce.order_line (order_id, order_time, customer_id, product_id, count) VALUES (1, '2024-02-01 UTC', 1, 1, 2), (2, '2024-03-01 UTC', 1, 1, 1);
INSERT INTO ecommerce.inventory_event (event_type, event_time, product_id, quantity_change) VALUES ('receipt', '2024-02-01 UTC', 1, 9), ('sale', '2024-02-02 UTC', 1, -2);
INSERT INTO social."user" (user_id, status, created_at, updated_at) VALUES (1, 'active', '2024-01-01 UTC', '2024-01-01 UTC');
INSERT INTO social.content_event (event_time, event_type, viewer_id) VALUES ('2024-02-01 UTC', 'login', 1), ('2024-03-01 UTC', 'login', 1);
INSERT INTO social.ad_event (event_time, event_type, user_id) VALUES ('2024-02-01 UTC', 'click', 1);
CALL ecomsocial.refresh_model('ecommerce');
CALL ecomsocial.refresh_model('social');
INSERT INTO ecommerce.order_line (order_id, order_time, customer_id, product_id, count) VALUES (3, '2024-02-01 UTC', 1, 1, 1);
INSERT INTO ecommerce.inventory_event (event_type, event_time, product_id, quantity_change) VALUES ('stocktake', '2024-02-01 UTC', 1, 4);
INSERT INTO social.content_event (event_time, event_type, viewer_id) VALUES ('2024-02-15 UTC', 'login', 1);
CALL ecomsocial.refresh_model('ecommerce');
CALL ecomsocial.refresh_model('social');
-- growth: of times that are compared in SQL, some of them infinite, and of activity
CREATE TABLE public.visit (user_id bigint, event_time timestamptz);
CREATE INDEX ON public.visit (event_time);
INSERT INTO public.visit VALUES (1, '2024-01-05 UTC'), (1, '2024-02-05 UTC'), (2, '2024-02-01 UTC'), (2, 'infinity');
CREATE TABLE public.kept AS SELECT user_id, ecomsocial.activity_agg(ecomsocial.rollup_day(event_time, 'UTC')) AS days FROM public.visit WHERE pg_catalog.isfinite(event_time) GROUP BY 1;
SELECT g.active, g.retained FROM ecomsocial.growth_accounting('public.visit', 'user_id', 'event_time') g;
SELECT count(*) FROM ecomsocial.growth_accounting('public.visit', 'user_id', 'event_time', first_seen_by => 'window'),
    ecomsocial.rolling_active('public.kept', 'user_id', 'days', 7), ecomsocial.growth_rows((SELECT ecomsocial.growth_agg(days, 'month') FROM public.kept));
SELECT count(*) FROM ecomsocial.power_curve('public.visit', 'user_id', 'event_time'), ecomsocial.churned_users('public.visit', 'user_id', 'event_time', 'month', '2024-03-01', NULL::bigint);
\pset tuples_only on
SELECT pg_catalog.format('SELECT %L, pg_catalog.count(t) FROM %I.%s t;', object, schema, object) AS report
FROM (SELECT 'ecommerce' AS schema, * FROM ecomsocial.model_contents('ecommerce') UNION ALL
      SELECT 'social', * FROM ecomsocial.model_contents('social')) m
\gexec
\c :suite
DROP DATABASE hostile_path;
