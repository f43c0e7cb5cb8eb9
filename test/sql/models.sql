-- What a model goes through: other schemas of the same kind, a rename of its schema, an owner who is nobody special.
SET client_min_messages = warning;
SET DateStyle = 'ISO';
CREATE ROLE ecs_owner;
CREATE ROLE ecs_reader;
SELECT current_database() AS database \gset
GRANT CREATE ON DATABASE :"database" TO ecs_owner;
SET ROLE ecs_owner;

-- Two shops and two networks, one of each in a schema whose name wants quotes.
SELECT count(*) > 0 AS made FROM ecomsocial.create_ecommerce('shop', 'Europe/London', foreign_keys => false);
SELECT count(*) > 0 AS made FROM ecomsocial.create_ecommerce('Shop', 'Asia/Tokyo', foreign_keys => false, snapshots => 'month');
SELECT count(*) > 0 AS made FROM ecomsocial.create_social('net', 'Europe/London', foreign_keys => false);
SELECT count(*) > 0 AS made FROM ecomsocial.create_social('My Net', 'Asia/Tokyo', foreign_keys => false, active => 'content');

-- The same acts in each: a sale, a gift and a return, stock that runs out, an active user and one who only saw an advertisement.
CREATE SCHEMA tools;
CREATE PROCEDURE tools.act(shop name, net name, at timestamptz, n integer) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('search_path', format('%I, %I, ecomsocial', shop, net), true);
    INSERT INTO product_category VALUES (1, 'all', NULL), (2, 'home', 1) ON CONFLICT DO NOTHING;
    INSERT INTO order_line (order_id, order_time, customer_id, product_id, product_category_id, count, amt, unit_price_at_purchase, line_number)
    VALUES (n, at, 7, 1, 2, 2, 20, 10, 1), (n, at, 7, 2, 1, 1, 0, 0, 2), (n + 1, at + interval '2 days', 7, 1, 2, -1, -10, 10, 1),
           (n + 2, at + interval '40 days', 8, 1, NULL, 1, 10, 10, 1);
    INSERT INTO inventory_event (event_type, event_time, product_id, quantity_change) VALUES ('receipt', at, 1, 2), ('sale', at, 1, -2);
    INSERT INTO content_event (event_time, event_type, viewer_id) VALUES (at, 'view', 1), (at + interval '40 days', 'view', 2);
    INSERT INTO ad_event (event_time, event_type, user_id, cost) VALUES (at, 'click', 3, 0.5);
    INSERT INTO "user" (user_id, created_at, updated_at) VALUES (n, at, at);
END $$;
CALL tools.act('shop', 'net', '2024-02-29 23:30 UTC', 1);
CALL tools.act('Shop', 'My Net', '2024-02-29 23:30 UTC', 1);

-- What all reports of a model say, as one table of rows.
CREATE FUNCTION tools.said(schema name) RETURNS TABLE (report text, "row" text) LANGUAGE plpgsql AS $$
DECLARE
    m record;
BEGIN
    FOR m IN SELECT object, rtrim(replace(try, 'LIMIT 10', ''), ';') AS query FROM ecomsocial.model_contents(schema) LOOP
        RETURN QUERY EXECUTE format('SELECT %L::text, r::text FROM (%s) r ORDER BY 2', m.object, m.query);
    END LOOP;
END $$;
CREATE FUNCTION tools.rows_of(statement text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM (%s OFFSET 0) r', rtrim(statement, ';')) INTO n;
    RETURN n;
END $$;
CALL ecomsocial.refresh_model('shop');
CALL ecomsocial.refresh_model('Shop');
CALL ecomsocial.refresh_model('net');
CALL ecomsocial.refresh_model('My Net');
SELECT target::text, pending, last_error FROM ecomsocial.rollup_status() WHERE pending > 0 OR last_error IS NOT NULL;
-- one copy knows nothing of the other, and each has its own days
SELECT 'shop' AS model, day, orders, units, net_sales FROM shop.daily_sales_by_category WHERE category_id = 1 AND units + returned_units > 0
UNION ALL SELECT 'Shop', day, orders, units, net_sales FROM "Shop".daily_sales_by_category WHERE category_id = 1 AND units + returned_units > 0 ORDER BY 1, 2;
SELECT 'net' AS model, period_start, active, new + first_seen AS new FROM net.user_growth WHERE period = 'month' AND active > 0
UNION ALL SELECT 'My Net', period_start, active, new + first_seen FROM "My Net".user_growth WHERE period = 'month' AND active > 0 ORDER BY 1, 2;
-- where advertisements make nobody active, nothing that tells who is active waits for them
SELECT c.source::text, array_agg(r.target::text ORDER BY r.target::text) FILTER (WHERE r.target::text ~ 'active_daily|user_activity') AS active
FROM ecomsocial.rollup_capture c JOIN ecomsocial.rollups r ON c.capture = ANY (r.captures)
WHERE c.source IN ('net.ad_event'::regclass, '"My Net".ad_event') GROUP BY 1 ORDER BY 1;
INSERT INTO "My Net".ad_event (event_time, event_type, user_id) VALUES ('2024-05-01 UTC', 'click', 4);
SELECT target::text, pending FROM ecomsocial.rollup_status() WHERE pending > 0 ORDER BY 1;
CALL ecomsocial.refresh_model('My Net');
SELECT max(day) FROM "My Net".active_users_daily;

-- The schemas are renamed, and every report says what it said.
CREATE TABLE tools.before AS
SELECT 'store' AS schema, * FROM tools.said('shop') UNION ALL SELECT 'A "Store"', * FROM tools.said('Shop')
UNION ALL SELECT 'Net', * FROM tools.said('net') UNION ALL SELECT 'other', * FROM tools.said('My Net');
ALTER SCHEMA shop RENAME TO store;
ALTER SCHEMA "Shop" RENAME TO "A ""Store""";
ALTER SCHEMA net RENAME TO "Net";
ALTER SCHEMA "My Net" RENAME TO other;
-- who takes the old name is not mistaken for it
CREATE SCHEMA shop;
CREATE TABLE shop.sales_order (LIKE store.sales_order);
CREATE VIEW tools.after AS
SELECT s.schema, r.* FROM unnest('{store,"A \"Store\"",Net,other}'::name[]) s(schema), tools.said(s.schema) r;
SELECT * FROM tools.before EXCEPT ALL SELECT * FROM tools.after;
SELECT count(DISTINCT report) AS reports FROM tools.after;
-- and refreshes go on: late events, a changed tree, a rebuild
CALL tools.act('store', 'Net', '2024-01-10 12:00 UTC', 11);
CALL tools.act('A "Store"', 'other', '2024-01-10 12:00 UTC', 11);
UPDATE store.product_category SET parent_category_id = NULL;
UPDATE "A ""Store""".product_category SET parent_category_id = NULL;
CALL ecomsocial.refresh_model('store');
CALL ecomsocial.refresh_model('A "Store"');
CALL ecomsocial.refresh_model('Net');
CALL ecomsocial.refresh_model('other');
SELECT customer_id, recency_days, monetary, rfm, segment FROM store.customer_segments('2024-06-01') ORDER BY 1;
SELECT orders, first_order_day FROM store.customer_sales ORDER BY customer_id;
SELECT cohort_month, months_since, cohort_size, active_customers, orders, net_sales FROM store.lifetime_value_by_cohort() ORDER BY 1, 2;
SELECT day, on_hand FROM store.inventory_daily('2024-02-29', '2024-02-29');
SELECT month, mau FROM "Net".active_users_monthly ORDER BY 1;
SELECT month, mau FROM other.active_users_monthly ORDER BY 1;
SELECT last_active_date FROM other."user" ORDER BY user_id;
-- a quiet day moves on by a call, from any search_path
SELECT "Net".user_statistics_refresh(), other.user_statistics_refresh();
DROP TABLE tools.before;
CREATE TABLE tools.before AS TABLE tools.after;
CALL ecomsocial.rollup_rebuild('store.order_daily');
CALL ecomsocial.rollup_rebuild('store.sales_order');
CALL ecomsocial.rollup_rebuild('store.inventory_change');
CALL ecomsocial.rollup_rebuild('"Net".user_activity');
CALL ecomsocial.rollup_rebuild('other.user_activity');
CALL ecomsocial.refresh_model('store');
SELECT * FROM tools.before EXCEPT ALL SELECT * FROM tools.after;
SELECT target::text, pending, last_error FROM ecomsocial.rollup_status() WHERE pending > 0 OR last_error IS NOT NULL;
-- versions as of a moment are told the new name once
SELECT ecomsocial.scd2_refresh('store.product'), ecomsocial.scd2_refresh('"Net"."user"');
SELECT count(*) FROM store.product_as_of('2024-06-01');
SELECT count(*) FROM "Net".user_as_of('2024-06-01');

-- Who may read the reports alone reads each of them; the functions need what they read.
GRANT USAGE ON SCHEMA store, "Net", tools TO ecs_reader;
DO $$
BEGIN
    EXECUTE (SELECT format('GRANT SELECT ON %s TO ecs_reader', string_agg(format('%I.%I', s, c.object), ', '))
             FROM unnest('{store,Net}'::name[]) s, ecomsocial.model_contents(s) c WHERE c.object !~ '\(' AND c.object !~ '_current$|_as_sold$');
END $$;
RESET ROLE;
SET ROLE ecs_reader;
SELECT count(*) FILTER (WHERE tools.rows_of(c.try) IS NOT NULL) AS answered, count(*) AS asked
FROM unnest('{store,Net}'::name[]) s, ecomsocial.model_contents(s) c WHERE c.object !~ '\(' AND c.object !~ '_current$|_as_sold$';
\set VERBOSITY terse
SELECT count(*) FROM store.order_line;
SELECT count(*) FROM store.customer_segments();
SELECT count(*) FROM "Net".user_activity;
CALL ecomsocial.refresh_model('store');
RESET ROLE;
SET ROLE ecs_owner;
GRANT SELECT ON store.sales_order, store.customer_sales, store.cohort_monthly, store.rfm_segment, store.rfm_threshold TO ecs_reader;
RESET ROLE;
SET ROLE ecs_reader;
SELECT (SELECT count(*) FROM store.customer_segments()) AS segments, (SELECT count(*) FROM store.lifetime_value_by_cohort()) AS cohorts,
       (SELECT count(*) FROM store.purchase_summary()) AS summary, (SELECT count(*) FROM store.average_order_value_by_segment()) AS by_segment;
RESET ROLE;

-- Arguments that make no sense
SET search_path = store;
SELECT * FROM customer_segments(scoring => 'ntile');
SELECT count(*) FROM customer_segments(NULL);
SELECT count(*) FROM customer_segments(scoring => NULL);
SELECT count(*) FROM customer_segments('-infinity');
SELECT count(*) FROM customer_segments('infinity');
SELECT * FROM purchase_summary('infinity');
SELECT count(*) FROM lifetime_value_by_cohort(NULL);
SELECT count(*) FROM lifetime_value_by_cohort(-1) WHERE historical_clv <> - net_sales;
SELECT count(*) FROM average_order_value_by_segment(NULL);
RESET search_path;

DROP SCHEMA store, "A ""Store""", "Net", other, shop, tools CASCADE;
DROP OWNED BY ecs_owner;
DROP ROLE ecs_owner;
DROP ROLE ecs_reader;
