-- The reports of the e-commerce model, each against an independent formulation
-- in plain SQL over the raw tables.
SET client_min_messages = warning;
SET timezone = 'Asia/Tokyo';         -- the model's zone counts, not the session's
SELECT count(*) FROM ecomsocial.create_ecommerce('shop', time_zone => 'Europe/London', foreign_keys => false) \gset created_
SET search_path = shop, ecomsocial, public;

\set ECHO none
\i test/oracle/difference.sql
\set ECHO all

-- An empty model: every report answers, with nothing.
CALL refresh_model('shop');
SELECT (SELECT count(*) FROM daily_sales_by_category) AS daily, (SELECT count(*) FROM monthly_sales_by_category) AS monthly,
       (SELECT count(*) FROM daily_sales_by_store) AS store, (SELECT count(*) FROM average_order_value) AS aov,
       (SELECT count(*) FROM customer_purchase_history) AS history, (SELECT count(*) FROM customer_orders) AS orders,
       (SELECT count(*) FROM customer_segments()) AS segments, (SELECT count(*) FROM average_order_value_by_segment()) AS by_segment,
       (SELECT count(*) FROM customer_lifetime_value) AS clv, (SELECT count(*) FROM lifetime_value_by_cohort()) AS cohorts,
       (SELECT count(*) FROM purchase_summary()) AS summary, (SELECT count(*) FROM campaign_effectiveness) AS campaigns,
       (SELECT count(*) FROM inventory_levels) AS inventory, (SELECT count(*) FROM stock_outs) AS stock_outs,
       (SELECT count(*) FROM validate_ecommerce()) AS problems \gx

-- One order of one customer.
INSERT INTO order_line (order_id, order_time, customer_id, product_id, count, amt, discount, unit_price_at_purchase)
VALUES (1, '2024-03-30 23:30 UTC', 7, 1, 2, 20, 5, 10);
CALL refresh_model('shop');
SELECT day, category, orders, customers, units, gross, discount, net_sales FROM daily_sales_by_category;
SELECT customer_id, recency_days, frequency, monetary, rfm, segment FROM customer_segments('2024-04-10 12:00 UTC');
SELECT period, period_start, dimension, key, orders, aov, aov_net_of_returns FROM average_order_value ORDER BY 1, 3;
TABLE customer_lifetime_value;
SELECT * FROM lifetime_value_by_cohort(0.3);
DELETE FROM order_line;
CALL refresh_model('shop');
SELECT (SELECT count(*) FROM sales_order) + (SELECT count(*) FROM customer_sales) + (SELECT count(*) FROM sales_daily) AS left_over;

-- A tree of three levels and a second root, campaigns that overlap, one without end.
INSERT INTO product_category VALUES (1, 'all', NULL), (2, 'home', 1), (3, 'garden', 1), (4, 'kitchen', 2), (5, 'bath', 2),
                                    (6, 'tools', 3), (7, 'gifts', NULL), (8, 'empty', 7);
INSERT INTO campaign VALUES (1, 'spring', '2024-03-01 00:00 Europe/London', '2024-03-16 00:00 Europe/London', NULL),
                            (2, 'easter', '2024-03-10 12:00 Europe/London', '2024-04-08 00:00 Europe/London', NULL),
                            (3, 'late',   '2024-05-01 00:00 Europe/London', '2024-05-03 00:00 Europe/London', NULL),
                            (4, 'nobody', '2023-01-01 00:00 Europe/London', '2023-02-01 00:00 Europe/London', NULL);

-- 95 days around a leap day and the night that has no 01:30, some of them without sales.
CREATE FUNCTION h(n integer, salt integer, m integer) RETURNS integer LANGUAGE sql IMMUTABLE AS
    $$ SELECT (hashint8extended(n, salt) & 1073741823)::integer % m $$;
INSERT INTO order_line (order_id, order_time, customer_id, campaign_id, store_id, product_id, product_category_id,
                        count, amt, discount, unit_price_at_purchase, tax_amt, shipping_amt, line_number)
SELECT l.order_id, l.at, l.customer, l.campaign, l.store, l.product, l.category, l.units, l.units * l.price,
       CASE WHEN h(l.n, 11, 4) = 0 THEN round(l.units * l.price * 0.1, 3) ELSE 0 END, l.price,
       round(l.units * l.price * 0.2, 3), CASE l.line WHEN 1 THEN 2.95 ELSE 0 END, l.line
FROM (
    SELECT n, o AS order_id, line,
           timestamptz '2024-02-01 00:00 Europe/London' + day * interval '24 hours' + h(o, 2, 86400) * interval '1 second'
               + CASE WHEN o % 97 = 0 AND line > 1 THEN interval '13 hours' ELSE interval '0' END AS at,     -- some span two days
           CASE WHEN h(o, 3, 5) > 0 THEN CASE WHEN o % 61 = 0 AND line = 1 THEN 999 ELSE 1 + h(o, 4, 150) / (1 + h(o, 5, 4)) END END AS customer,
           CASE WHEN h(n, 6, 4) = 0 AND day BETWEEN 25 AND 70 THEN 1 + h(o, 7, 3) END AS campaign,
           1 + h(o, 8, 3) AS store, 1 + h(n, 9, 40) AS product,
           CASE WHEN h(n, 10, 9) < 8 THEN 1 + h(n, 10, 9) END AS category,
           CASE WHEN h(o, 12, 11) = 0 THEN -1 ELSE 1 END * (1 + h(n, 13, 5)) AS units,
           CASE WHEN h(n, 14, 20) = 0 THEN 0 ELSE (50 + h(n, 15, 3000)) / 100.0 END AS price
    FROM (SELECT row_number() OVER ()::integer AS n, o, line, h(o, 1, 95) AS day
          FROM generate_series(1, 1500) o, generate_series(1, 4) line WHERE line <= 1 + h(o, 16, 4)) g
    WHERE day NOT IN (10, 11, 12, 40)) l
WHERE l.category IS DISTINCT FROM 8;
-- an order of three days, in two categories, whose last day alone is of a campaign: one order and no money of it on the first
INSERT INTO order_line (order_id, order_time, customer_id, campaign_id, product_id, product_category_id, count, amt, unit_price_at_purchase, line_number)
SELECT 4003, timestamptz '2024-02-05 12:00 UTC' + i * interval '2 days', 5, CASE i WHEN 2 THEN 3 END, 1, 3 + i, 1, 10, 10, 1 + i FROM generate_series(0, 2) i;
-- Customers who moved once, and stock in two stores.
SET ecomsocial.versioning = off;     -- the history is given as it is
INSERT INTO customer (customer_id, first_name, city, valid_from, valid_to, is_current)
SELECT i, 'name ' || i, 'old town', timestamptz '-infinity', timestamptz '2024-03-01', false FROM generate_series(1, 150) i
UNION ALL SELECT i, 'name ' || i, 'town ' || i % 7, '2024-03-01', 'infinity', true FROM generate_series(1, 150) i;
RESET ecomsocial.versioning;
INSERT INTO inventory_event (event_type, event_time, store_id, product_id, quantity_change)
SELECT CASE WHEN n % 40 = 0 THEN 'stocktake' WHEN h(n, 41, 3) = 0 THEN 'receipt' ELSE 'sale' END,
       timestamptz '2024-02-01 00:00 Europe/London' + h(n, 42, 90 * 86400) * interval '1 second', 1 + h(n, 43, 2), 1 + h(n, 44, 12),
       CASE WHEN n % 40 = 0 THEN h(n, 45, 30) WHEN h(n, 41, 3) = 0 THEN h(n, 45, 30) ELSE -1 - h(n, 45, 15) END
FROM generate_series(1, 800) n
UNION ALL VALUES ('receipt', '2024-04-01 12:00 UTC'::timestamptz, 1, 98, 3), ('sale', '2024-04-02 12:00 UTC', 1, 98, -3);      -- nothing left, and nothing missing
ANALYZE order_line, inventory_event;
CALL refresh_model('shop');
\set ECHO none
\i test/oracle/ecommerce.sql
\set ECHO all
-- the data has every case that is claimed
SELECT (SELECT count(*) FROM placed) AS orders,
       (SELECT count(*) FROM line WHERE customer_id IS NULL) > 0 AS unknown_customers,
       (SELECT count(*) FROM line WHERE product_category_id IS NULL) > 0 AS without_category,
       (SELECT count(*) FROM line WHERE count < 0) > 0 AS returns, (SELECT count(*) FROM line WHERE amt = 0) > 0 AS gifts,
       (SELECT count(*) FROM (SELECT order_id FROM line GROUP BY 1 HAVING min(day) < max(day)) o) > 0 AS several_days,
       (SELECT count(*) FROM (SELECT order_id FROM line GROUP BY 1 HAVING count(DISTINCT customer_id) > 1) o) > 0 AS several_customers,
       (SELECT count(*) FROM line WHERE day = '2024-03-31') > 0 AS short_day, (SELECT count(*) FROM line WHERE day = '2024-02-29') > 0 AS leap_day,
       (SELECT count(*) FROM line WHERE day <> order_time::date) > 0 AS other_zone;

-- Every report against its oracle: a row is a difference.
SELECT c.report, d.* FROM comparison c, difference(c.ours, c.oracle) d;
SELECT report FROM comparison;

SELECT count(*) AS days_of_nothing, bool_and(orders = 0 AND units = 0 AND gross = 0 AND net_sales = 0) AS zero
FROM daily_sales_by_category WHERE day IN ('2024-02-11', '2024-02-12', '2024-02-13');
-- what does not add up is counted: a root has fewer orders than its parts, customers of a month fewer than those of its days
SELECT (SELECT sum(orders) FROM daily_sales_by_category WHERE category_id = 1)
           < (SELECT sum(orders) FROM daily_sales_by_category WHERE category_id IN (2, 3)) AS over_tree,
       (SELECT sum(customers) FROM monthly_sales_by_category WHERE category_id = 1)
           < (SELECT sum(customers) FROM daily_sales_by_category WHERE category_id = 1) AS over_time;

-- Segments
SELECT count(*) AS split_ties FROM (
    SELECT frequency FROM customer_segments('2024-06-01') GROUP BY 1 HAVING count(DISTINCT f) > 1
    UNION ALL SELECT recency_days FROM customer_segments('2024-06-01') GROUP BY 1 HAVING count(DISTINCT r) > 1) t;
SELECT segment, count(*), min(rfm), max(rfm) FROM customer_segments('2024-06-01') GROUP BY 1 ORDER BY 1;
UPDATE rfm_segment SET segment = 'our best' WHERE recency = 5 AND value = 5;
SELECT count(*) > 0 AS renamed FROM customer_segments('2024-06-01') WHERE segment = 'our best';
\set VERBOSITY sqlstate
SELECT * FROM customer_segments(scoring => 'ntile');
\set VERBOSITY default

-- Campaigns
SELECT campaign_id, orders, aov IS NULL AS aov_null, share_of_sales IS NULL AS share_null, change_of_sales IS NULL AS change_null, net_sales_outside > 0 AS outside
FROM campaign_effectiveness ORDER BY 1;
UPDATE campaign SET campaign_end_time = NULL WHERE campaign_id = 2;
SELECT last_day = (now() AT TIME ZONE 'Europe/London')::date AS until_now, is_over FROM campaign_effectiveness WHERE campaign_id = 2;
UPDATE campaign SET campaign_end_time = 'infinity' WHERE campaign_id = 2;
SELECT last_day = (now() AT TIME ZONE 'Europe/London')::date AS until_now, is_over FROM campaign_effectiveness WHERE campaign_id = 2;
UPDATE campaign SET campaign_end_time = '2024-04-08 00:00 Europe/London' WHERE campaign_id = 2;

-- Stock
-- a product of which as much came as went on its first day, so that it begins without any; later below, that day is gone
INSERT INTO inventory_event (event_type, event_time, store_id, product_id, quantity_change)
VALUES ('receipt', '2024-02-03 12:00 UTC', 3, 99, 5), ('sale', '2024-02-03 13:00 UTC', 3, 99, -5), ('receipt', '2024-03-01 12:00 UTC', 3, 99, 4);
CALL refresh_model('shop');
SELECT * FROM stock_outs WHERE product_id = 99;
SELECT bool_and(out_since IS NOT DISTINCT FROM first_day) AS since, count(*) > 0 AS some, bool_or(negative_stock) AS negative
FROM inventory_levels l LEFT JOIN stock_outs o ON o.store_id = l.store_id AND o.product_id = l.product_id AND o.last_day IS NULL WHERE l.stock_out;

-- Late, changed, moved and deleted lines: what refreshes keep equals a rebuild from raw lines, and the oracles.
CREATE TABLE kept AS SELECT 0 AS step, '' AS name, '' AS "row" LIMIT 0;
CREATE PROCEDURE remember(step integer) LANGUAGE plpgsql AS $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY '{sales_daily,sales_monthly,order_daily,sales_order,customer_sales,campaign_customer,sales_daily_counts,sales_monthly_counts,cohort_monthly,
        inventory_change,stock_sales_daily,inventory_now,stock_out_spell}'::text[] LOOP
        EXECUTE format('INSERT INTO kept SELECT $1, %L, t::text FROM %I t', t, t) USING step;
    END LOOP;
END $$;
INSERT INTO order_line (order_id, order_time, customer_id, campaign_id, product_id, product_category_id, count, amt, unit_price_at_purchase, line_number)
SELECT 5000 + i, timestamptz '2024-01-20 23:00 UTC' + i * interval '5 days', i, 1 + i % 2, 1, 1 + i % 6, 3, 30, 10, 1 FROM generate_series(1, 15) i;
UPDATE order_line SET order_time = order_time - interval '3 days', customer_id = 3 WHERE order_id % 50 = 0;
UPDATE order_line SET customer_id = 4, amt = amt + 1 WHERE order_id = 97;
DELETE FROM order_line WHERE order_id % 40 = 1 OR order_id % 194 = 0 AND line_number = 1 OR order_id % 97 = 3 AND line_number > 1;
-- stock too: late events, a day that loses its events, a product that loses all of them
INSERT INTO inventory_event (event_type, event_time, store_id, product_id, quantity_change)
SELECT CASE n % 7 WHEN 0 THEN 'stocktake' ELSE 'sale' END, timestamptz '2024-02-05 12:00 UTC' + n * interval '61 hours', 1 + n % 2, 1 + n % 12, CASE n % 7 WHEN 0 THEN 0 ELSE n % 5 - 3 END
FROM generate_series(1, 40) n;
DELETE FROM inventory_event WHERE product_id = 12 OR product_id = 99 AND event_time < '2024-03-01' OR store_id = 1 AND product_id < 5 AND event_time > '2024-04-20'
    OR store_id = 2 AND event_time BETWEEN '2024-03-10' AND '2024-03-20';
CALL refresh_model('shop');
CALL refresh_oracle();
REFRESH MATERIALIZED VIEW stock_day;
SELECT c.report, d.* FROM comparison c, difference(c.ours, c.oracle) d;
-- an order that loses its line of a day between its first and its last
DELETE FROM order_line WHERE order_id = 4003 AND line_number = 2;
CALL refresh_model('shop');
CALL refresh_oracle();
SELECT day, last_day, lines, gross, categories FROM sales_order WHERE order_id = 4003;
CALL remember(1);
CALL rollup_rebuild('sales_daily');
CALL rollup_rebuild('order_daily');
CALL rollup_rebuild('inventory_change');
CALL rollup_rebuild('stock_sales_daily');
CALL rollup_rebuild('sales_order');
CALL refresh_model('shop');
CALL rollup_rebuild('sales_daily_counts');
CALL rollup_rebuild('sales_monthly_counts');
CALL rollup_rebuild('cohort_monthly');
CALL rollup_rebuild('inventory_now');
CALL remember(2);
SELECT * FROM difference('SELECT name, "row" FROM kept WHERE step = 1', 'SELECT name, "row" FROM kept WHERE step = 2');
SELECT count(*) AS pending FROM rollup_status() WHERE pending > 0 OR last_error IS NOT NULL;

-- The tree changes: amounts follow at once, counts say NULL until a refresh has counted by the new tree.
UPDATE product_category SET parent_category_id = 7 WHERE product_category_id = 5;
SELECT category_id, bool_and(orders IS NULL AND customers IS NULL) AS unknown,
       sum(units) = (SELECT sum(units) FROM sold('day') s WHERE s.category_id IS NOT DISTINCT FROM v.category_id) AS units_follow
FROM daily_sales_by_category v GROUP BY 1 ORDER BY 1;
CALL refresh_model('shop');
SELECT * FROM difference('TABLE daily_sales_by_category', 'SELECT * FROM sold(''day'')');
SELECT * FROM difference('TABLE monthly_sales_by_category', 'SELECT * FROM sold(''month'')');
-- a category that nothing was sold in makes nobody wait
INSERT INTO product_category VALUES (9, 'new', 4);
SELECT count(*) AS unknown FROM daily_sales_by_category WHERE orders IS NULL;
CALL refresh_model('shop');

-- A cycle is named, by the report and by the refresh; nothing else stops.
UPDATE product_category SET parent_category_id = 4 WHERE product_category_id = 1;
SELECT * FROM daily_sales_by_category;
CALL refresh_model('shop');
UPDATE product_category SET parent_category_id = NULL WHERE product_category_id = 1;
CALL refresh_model('shop');
SELECT count(*) > 0 AS back FROM daily_sales_by_category;
SELECT * FROM category_tree ORDER BY 1, 3;

-- Filters reach the indexes of the rollups, and no report reads order lines.
CREATE FUNCTION plan(query text) RETURNS TABLE (node text) LANGUAGE plpgsql AS $$
BEGIN
    -- the data are small: an index is taken where the filter allows it at all
    SET LOCAL enable_seqscan = off;
    RETURN QUERY EXECUTE 'EXPLAIN (COSTS off) ' || query;
END $$;
SELECT object, bool_or(p.node ~ 'order_line|inventory_event') AS reads_events
FROM model_contents('shop'), plan('SELECT * FROM ' || object) p GROUP BY 1 ORDER BY 1;
SELECT r.name, bool_or(p.node ~ ('Index Cond: .*' || r.filter)) AS as_index_condition
FROM (VALUES ('daily_sales_by_category', 'day >= ''2024-03-01''', 'day = \(p.start'),
             ('daily_sales_by_category', 'category_id = 4', 'key = '),
             ('monthly_sales_by_category', 'month >= ''2024-03-01''', 'month = \(p.start'),
             ('daily_sales_by_store', 'store_id = 2', 'key = '),
             ('daily_sales_by_store', 'day BETWEEN ''2024-03-01'' AND ''2024-03-31''', 'day >= .*day <= '),
             ('average_order_value', 'period = ''day'' AND period_start >= ''2024-03-01''', 'day >= '),
             ('inventory_levels', 'product_id = 3 AND store_id = 1', 'product_id = 3'),
             ('stock_outs', 'product_id = 3 AND store_id = 1', 'product_id = 3'),
             ('customer_purchase_history', 'customer_id = 5', 'customer_id = '),
             ('customer_orders', 'customer_id = 5', 'customer_id = '),
             ('customer_lifetime_value', 'customer_id = 5', 'customer_id = '),
             ('campaign_effectiveness', 'campaign_id = 2', 'campaign_id = ')) r(name, condition, filter),
     plan(format('SELECT * FROM %s WHERE %s', r.name, r.condition)) p
GROUP BY r.name, r.condition ORDER BY r.name, r.condition;

-- Whoever may read a report needs no right on what is below it; a role that writes categories needs none on our notes.
CREATE ROLE ecs_analyst;
GRANT USAGE ON SCHEMA shop TO ecs_analyst;
GRANT SELECT ON daily_sales_by_category, monthly_sales_by_category, daily_sales_by_store, average_order_value, customer_purchase_history, customer_orders,
    customer_lifetime_value, campaign_effectiveness, campaign_overlap, inventory_levels, stock_outs TO ecs_analyst;
GRANT INSERT ON product_category TO ecs_analyst;
SET ROLE ecs_analyst;
SELECT r AS report, rows_of('SELECT * FROM ' || r) > 0 AS readable
FROM unnest('{daily_sales_by_category,monthly_sales_by_category,daily_sales_by_store,average_order_value,customer_purchase_history,customer_orders,
    customer_lifetime_value,campaign_effectiveness,campaign_overlap,inventory_levels,stock_outs}'::text[]) r;
INSERT INTO product_category VALUES (100, 'by an analyst', NULL);
\set VERBOSITY sqlstate
SELECT count(*) FROM sales_order;
SELECT count(*) FROM order_line;
\set VERBOSITY default
RESET ROLE;
-- The functions work with the rights of who calls them, and need none on order lines.
GRANT SELECT ON sales_order, customer_sales, cohort_monthly, rfm_segment, rfm_threshold TO ecs_analyst;
SET ROLE ecs_analyst;
SELECT (SELECT count(*) FROM customer_segments()) > 0 AS segments, (SELECT count(*) FROM customer_segments('2024-04-01', 'fixed')) > 0 AS fixed,
       (SELECT count(*) FROM average_order_value_by_segment()) > 0 AS by_segment, (SELECT count(*) FROM customer_lifetime_value(0.3)) > 0 AS clv,
       (SELECT count(*) FROM lifetime_value_by_cohort()) > 0 AS cohorts, (SELECT count(*) FROM purchase_summary()) > 0 AS summary;
RESET ROLE;

-- The check of the data
INSERT INTO order_line (order_id, order_time, product_id, product_category_id, campaign_id, count, amt, discount, unit_price_at_purchase)
VALUES (9001, '2024-03-01 UTC', 1, 77, NULL, 2, 21, 0, 10), (9002, '2024-03-01 UTC', 1, 1, 4, 2, 20, 30, 10);
SELECT problem, count(*) FROM validate_ecommerce() GROUP BY 1 ORDER BY 1;
SELECT problem, key > 0 AS key, detail FROM validate_ecommerce() WHERE problem ~ '^(unknown|amount|discount)' OR key = 9002 ORDER BY 1, 3;
SELECT * FROM validate_ecommerce() WHERE key = 61 * 4;

DROP SCHEMA shop CASCADE;
DROP ROLE ecs_analyst;

-- A model in a schema whose name wants quotes: each report answers, by the statement that the first screen tells.
SELECT count(*) > 0 AS made FROM ecomsocial.create_ecommerce('My "Shop" is 100% O''Neill', foreign_keys => false);
INSERT INTO "My ""Shop"" is 100% O'Neill".order_line (order_id, order_time, customer_id, product_id, count, amt, unit_price_at_purchase)
VALUES (1, '2024-02-29 12:00 UTC', 7, 1, 2, 20, 10);
INSERT INTO "My ""Shop"" is 100% O'Neill".inventory_event (event_type, event_time, product_id, quantity_change) VALUES ('receipt', '2024-02-29 12:00 UTC', 1, 5);
CALL ecomsocial.refresh_model('My "Shop" is 100% O''Neill');
SELECT object, public.rows_of(try) AS "rows" FROM ecomsocial.model_contents('My "Shop" is 100% O''Neill') ORDER BY 1;
SELECT count(*) AS pending FROM ecomsocial.rollup_status() WHERE pending > 0 OR last_error IS NOT NULL;
DROP SCHEMA "My ""Shop"" is 100% O'Neill" CASCADE;
DROP FUNCTION public.difference, public.rows_of;
