-- The reports of the e-commerce model, each against an independent formulation
-- in plain SQL over the raw tables.
SET client_min_messages = warning;
SET timezone = 'Asia/Tokyo';         -- the model's zone counts, not the session's
SELECT count(*) FROM ecomsocial.create_ecommerce('shop', time_zone => 'Europe/London', foreign_keys => false) \gset created_
SET search_path = shop, ecomsocial, public;

-- rows that only one of two queries gives; nothing where they are equal
CREATE FUNCTION public.difference(ours text, oracle text) RETURNS TABLE (side text, "row" text) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format($q$
        WITH a AS MATERIALIZED (%s), b AS MATERIALIZED (%s)
        SELECT s, r FROM (
            SELECT 'ours', x::text FROM (TABLE a EXCEPT ALL TABLE b) x
            UNION ALL SELECT 'oracle', x::text FROM (TABLE b EXCEPT ALL TABLE a) x
            UNION ALL SELECT 'no rows', '' WHERE NOT EXISTS (TABLE b)) d(s, r) ORDER BY s, r LIMIT 10 $q$, ours, oracle);
END $$;

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
ANALYZE order_line;
CALL refresh_model('shop');

-- What the oracles share: lines with their local day, and orders by the definitions of the model.
CREATE MATERIALIZED VIEW line AS SELECT l.*, (order_time AT TIME ZONE 'Europe/London')::date AS day FROM order_line l;
CREATE INDEX ON line (order_id);
CREATE MATERIALIZED VIEW buyer AS SELECT DISTINCT ON (order_id) order_id, customer_id FROM line ORDER BY order_id, line_number, line_item_id;
CREATE MATERIALIZED VIEW placed AS
SELECT l.order_id, min(l.day) AS day, min(l.order_time) AS order_time, date_trunc('month', min(l.day)::timestamp)::date AS month, b.customer_id
FROM line l JOIN buyer b USING (order_id)
GROUP BY l.order_id, b.customer_id
HAVING bool_or(l.count > 0 AND l.amt > 0);
ANALYZE;
-- the data has every case that is claimed
SELECT (SELECT count(*) FROM placed) AS orders,
       (SELECT count(*) FROM line WHERE customer_id IS NULL) > 0 AS unknown_customers,
       (SELECT count(*) FROM line WHERE product_category_id IS NULL) > 0 AS without_category,
       (SELECT count(*) FROM line WHERE count < 0) > 0 AS returns, (SELECT count(*) FROM line WHERE amt = 0) > 0 AS gifts,
       (SELECT count(*) FROM (SELECT order_id FROM line GROUP BY 1 HAVING min(day) < max(day)) o) > 0 AS several_days,
       (SELECT count(*) FROM (SELECT order_id FROM line GROUP BY 1 HAVING count(DISTINCT customer_id) > 1) o) > 0 AS several_customers,
       (SELECT count(*) FROM line WHERE day = '2024-03-31') > 0 AS short_day, (SELECT count(*) FROM line WHERE day = '2024-02-29') > 0 AS leap_day,
       (SELECT count(*) FROM line WHERE day <> order_time::date) > 0 AS other_zone;

-- Sales by category: the tree walked by a plain recursion, orders counted over raw lines.
CREATE VIEW below AS
WITH RECURSIVE r(top, id) AS (
    SELECT product_category_id, product_category_id FROM product_category
    UNION ALL SELECT r.top, c.product_category_id FROM r JOIN product_category c ON c.parent_category_id = r.id)
SELECT top, id FROM r UNION ALL SELECT NULL, NULL;
-- a NULL category lies below the NULL one
CREATE VIEW tagged AS
SELECT b.top, l.* FROM line l JOIN below b ON b.id = l.product_category_id UNION ALL SELECT NULL, l.* FROM line l WHERE l.product_category_id IS NULL;
CREATE FUNCTION sold(unit text) RETURNS TABLE (period date, category_id bigint, category text, parent bigint, orders bigint, customers bigint,
    units bigint, gross numeric, discount numeric, returned_units bigint, returns numeric, net numeric, tax numeric, shipping numeric, paid numeric)
LANGUAGE sql AS $$
    SELECT s.start::date, t.top, coalesce(c.category_name, '(none)'), c.parent_category_id, coalesce(o.orders, 0), coalesce(o.customers, 0),
           coalesce(m.units, 0), coalesce(m.gross, 0), coalesce(m.discount, 0), coalesce(m.returned, 0), coalesce(m.returns, 0),
           coalesce(m.gross - m.discount + m.returns, 0), coalesce(m.tax, 0), coalesce(m.shipping, 0), coalesce(m.gross - m.discount + m.returns + m.tax + m.shipping, 0)
    FROM generate_series((SELECT date_trunc(unit, min(day)::timestamp) FROM line), (SELECT max(day) FROM line), ('1 ' || unit)::interval) s(start)
    CROSS JOIN (SELECT DISTINCT top FROM below) t
    LEFT JOIN product_category c ON c.product_category_id = t.top
    LEFT JOIN (
        SELECT date_trunc(unit, p.day::timestamp) AS start, g.top, count(DISTINCT p.order_id) AS orders, count(DISTINCT p.customer_id) AS customers
        FROM placed p JOIN tagged g USING (order_id) WHERE g.count > 0 AND g.amt > 0 GROUP BY 1, 2) o ON o.start = s.start AND o.top IS NOT DISTINCT FROM t.top
    LEFT JOIN (
        SELECT date_trunc(unit, g.day::timestamp) AS start, g.top,
               sum(CASE WHEN count > 0 THEN count ELSE 0 END) AS units, sum(CASE WHEN count > 0 THEN amt ELSE 0 END) AS gross,
               sum(CASE WHEN count > 0 THEN g.discount ELSE 0 END) AS discount, sum(CASE WHEN count < 0 THEN -count ELSE 0 END) AS returned,
               sum(CASE WHEN count < 0 THEN amt - g.discount ELSE 0 END) AS returns, sum(tax_amt) AS tax, sum(shipping_amt) AS shipping
        FROM tagged g GROUP BY 1, 2) m ON m.start = s.start AND m.top IS NOT DISTINCT FROM t.top $$;
SELECT * FROM difference('TABLE daily_sales_by_category', 'SELECT * FROM sold(''day'')');
SELECT * FROM difference('TABLE monthly_sales_by_category', 'SELECT * FROM sold(''month'')');
SELECT count(*) AS days_of_nothing, bool_and(orders = 0 AND units = 0 AND gross = 0 AND net_sales = 0) AS zero
FROM daily_sales_by_category WHERE day IN ('2024-02-11', '2024-02-12', '2024-02-13');
-- what does not add up is counted: a root has fewer orders than its parts, customers of a month fewer than those of its days
SELECT (SELECT sum(orders) FROM daily_sales_by_category WHERE category_id = 1)
           < (SELECT sum(orders) FROM daily_sales_by_category WHERE category_id IN (2, 3)) AS over_tree,
       (SELECT sum(customers) FROM monthly_sales_by_category WHERE category_id = 1)
           < (SELECT sum(customers) FROM daily_sales_by_category WHERE category_id = 1) AS over_time;

SELECT * FROM difference($$SELECT day, store_id, orders, customers, units, gross, discount, returned_units, returns, net_sales, tax, shipping FROM daily_sales_by_store$$, $$
    SELECT coalesce(m.day, o.day), coalesce(m.store_id, o.store_id), coalesce(orders, 0), coalesce(customers, 0), units, gross, discount, returned, returns,
           gross - discount + returns, tax, shipping
    FROM (SELECT day, store_id, coalesce(sum(CASE WHEN count > 0 THEN count END), 0) AS units, coalesce(sum(CASE WHEN count > 0 THEN amt END), 0) AS gross,
                 coalesce(sum(CASE WHEN count > 0 THEN discount END), 0) AS discount, coalesce(sum(CASE WHEN count < 0 THEN -count END), 0) AS returned,
                 coalesce(sum(CASE WHEN count < 0 THEN amt - discount END), 0) AS returns, sum(tax_amt) AS tax, sum(shipping_amt) AS shipping
          FROM line GROUP BY 1, 2) m
    FULL JOIN (SELECT p.day, l.store_id, count(DISTINCT order_id) AS orders, count(DISTINCT p.customer_id) AS customers
          FROM placed p JOIN line l USING (order_id) WHERE l.count > 0 AND l.amt > 0 GROUP BY 1, 2) o ON o.day = m.day AND o.store_id = m.store_id$$);

-- Average order value
CREATE FUNCTION aov(unit text, dimension text) RETURNS TABLE (p period, start date, d text, k bigint, orders bigint, customers bigint,
    gross numeric, discount numeric, returns numeric, net numeric, aov numeric, aov_net numeric)
LANGUAGE sql AS $$
    SELECT unit::period, m.start, dimension, m.k, coalesce(o.orders, 0), coalesce(o.customers, 0), m.gross, m.discount, m.returns,
           m.gross - m.discount + m.returns, (m.gross - m.discount) / nullif(o.orders, 0), (m.gross - m.discount + m.returns) / nullif(o.orders, 0)
    FROM (SELECT date_trunc(unit, day::timestamp)::date AS start, CASE dimension WHEN 'store' THEN store_id WHEN 'campaign' THEN campaign_id END AS k,
                 coalesce(sum(amt) FILTER (WHERE count > 0), 0) AS gross, coalesce(sum(l.discount) FILTER (WHERE count > 0), 0) AS discount,
                 coalesce(sum(amt - l.discount) FILTER (WHERE count < 0), 0) AS returns
          FROM line l WHERE dimension <> 'campaign' OR campaign_id IS NOT NULL GROUP BY 1, 2) m
    LEFT JOIN (SELECT date_trunc(unit, p.day::timestamp)::date AS start, x.k, count(DISTINCT p.order_id) AS orders, count(DISTINCT p.customer_id) AS customers
          FROM placed p JOIN LATERAL (
              SELECT CASE dimension WHEN 'store' THEN l.store_id WHEN 'campaign' THEN l.campaign_id END AS k FROM line l
              WHERE l.order_id = p.order_id AND (dimension = 'campaign' AND l.campaign_id IS NOT NULL OR dimension <> 'campaign' AND l.count > 0 AND l.amt > 0)) x ON true
          GROUP BY 1, 2) o ON o.start = m.start AND o.k IS NOT DISTINCT FROM m.k $$;
SELECT * FROM difference('TABLE average_order_value',
    $$SELECT a.* FROM unnest(array['day', 'month']) u, unnest(array['all', 'store', 'campaign']) d, aov(u, d) a$$);

-- Customers
CREATE VIEW bought AS     -- money and orders per customer, as the order's customer
SELECT b.customer_id, p.order_id IS NOT NULL AS is_order, p.day, p.order_time, l.order_id, sum(CASE WHEN count > 0 THEN count ELSE 0 END) AS units,
       sum(CASE WHEN count > 0 THEN amt ELSE 0 END) AS gross, sum(CASE WHEN count > 0 THEN discount ELSE 0 END) AS discount,
       sum(CASE WHEN count < 0 THEN -count ELSE 0 END) AS returned, sum(CASE WHEN count < 0 THEN amt - discount ELSE 0 END) AS returns,
       min(l.order_time) AS at
FROM line l JOIN buyer b USING (order_id) LEFT JOIN placed p USING (order_id)
GROUP BY b.customer_id, p.order_id, p.day, p.order_time, l.order_id;
SET ecomsocial.versioning = off;     -- the history is given as it is
INSERT INTO customer (customer_id, first_name, city, valid_from, valid_to, is_current)
SELECT i, 'name ' || i, 'old town', timestamptz '-infinity', timestamptz '2024-03-01', false FROM generate_series(1, 150) i
UNION ALL SELECT i, 'name ' || i, 'town ' || i % 7, '2024-03-01', 'infinity', true FROM generate_series(1, 150) i;
RESET ecomsocial.versioning;
SELECT * FROM difference($$SELECT customer_id, first_name, city, orders, first_order_time, first_order_day, last_order_time, last_order_day, units, gross, discount,
        returned_units, returns, net_sales, aov, days_between_orders FROM customer_purchase_history$$, $$
    SELECT customer_id, min(n.name), min(n.town), count(*) FILTER (WHERE is_order), min(order_time), min(day), max(order_time), max(day), sum(units)::bigint, sum(gross),
           sum(discount), sum(returned)::bigint, sum(returns), sum(gross - discount + returns), sum(gross - discount) / nullif(count(*) FILTER (WHERE is_order), 0),
           (max(day) - min(day)) / nullif(count(*) FILTER (WHERE is_order) - 1, 0)::numeric
    FROM bought LEFT JOIN (SELECT i::bigint AS customer_id, 'name ' || i AS name, 'town ' || i % 7 AS town FROM generate_series(1, 150) i) n USING (customer_id)
    WHERE customer_id IS NOT NULL GROUP BY customer_id$$);
SELECT * FROM difference('SELECT customer_id, order_id, order_number, net_sales FROM customer_orders', $$
    SELECT customer_id, order_id, row_number() OVER (PARTITION BY customer_id ORDER BY order_time, order_id), gross - discount + returns FROM bought WHERE is_order$$);

-- Segments: scores by counting, for each customer, how many are not better; and the moment matters.
CREATE FUNCTION rfm(as_of timestamptz) RETURNS TABLE (customer_id bigint, recency_days integer, frequency bigint, monetary numeric) LANGUAGE sql AS $$
    SELECT customer_id, (as_of AT TIME ZONE 'Europe/London')::date - max(day), count(*) FILTER (WHERE is_order), sum(gross - discount + returns)
    FROM bought WHERE customer_id IS NOT NULL AND at < as_of GROUP BY customer_id HAVING bool_or(is_order) $$;
CREATE FUNCTION scores(as_of timestamptz) RETURNS TABLE (customer_id bigint, recency_days integer, frequency bigint, monetary numeric, r integer, f integer, m integer)
LANGUAGE sql AS $$
    WITH a AS MATERIALIZED (SELECT * FROM rfm(as_of))
    SELECT a.*, ceil(5.0 * (SELECT count(*) FROM a b WHERE b.recency_days >= a.recency_days) / (SELECT count(*) FROM a))::integer,
           ceil(5.0 * (SELECT count(*) FROM a b WHERE b.frequency <= a.frequency) / (SELECT count(*) FROM a))::integer,
           ceil(5.0 * (SELECT count(*) FROM a b WHERE b.monetary <= a.monetary) / (SELECT count(*) FROM a))::integer
    FROM a $$;
SELECT * FROM unnest('{2024-03-01 09:00+00,2024-03-31 01:30+01,2024-06-01 00:00+00}'::timestamptz[]) t,
    LATERAL difference(format('SELECT customer_id, recency_days, frequency, monetary, r, f, m FROM customer_segments(%L)', t), format('SELECT * FROM scores(%L)', t));
SELECT count(*) AS split_ties FROM (
    SELECT frequency FROM customer_segments('2024-06-01') GROUP BY 1 HAVING count(DISTINCT f) > 1
    UNION ALL SELECT recency_days FROM customer_segments('2024-06-01') GROUP BY 1 HAVING count(DISTINCT r) > 1) t;
SELECT segment, count(*), min(rfm), max(rfm) FROM customer_segments('2024-06-01') GROUP BY 1 ORDER BY 1;
SELECT * FROM difference($$SELECT customer_id, r, f, m FROM customer_segments('2024-05-10', scoring => 'fixed')$$, $$
    SELECT customer_id, CASE WHEN recency_days <= 30 THEN 5 WHEN recency_days <= 60 THEN 4 WHEN recency_days <= 120 THEN 3 WHEN recency_days <= 240 THEN 2 ELSE 1 END,
           CASE WHEN frequency >= 10 THEN 5 WHEN frequency >= 5 THEN 4 WHEN frequency >= 3 THEN 3 WHEN frequency >= 2 THEN 2 ELSE 1 END,
           CASE WHEN monetary >= 1000 THEN 5 WHEN monetary >= 500 THEN 4 WHEN monetary >= 200 THEN 3 WHEN monetary >= 100 THEN 2 ELSE 1 END
    FROM rfm('2024-05-10')$$);
UPDATE rfm_segment SET segment = 'our best' WHERE recency = 5 AND value = 5;
SELECT count(*) > 0 AS renamed FROM customer_segments('2024-06-01') WHERE segment = 'our best';
\set VERBOSITY sqlstate
SELECT * FROM customer_segments(scoring => 'ntile');
\set VERBOSITY default
SELECT * FROM difference($$SELECT segment, customers, orders, net_sales, aov FROM average_order_value_by_segment('2024-05-01')$$, $$
    SELECT s.segment, count(DISTINCT s.customer_id), count(*) FILTER (WHERE is_order), sum(gross - discount + returns), sum(gross - discount) / count(*) FILTER (WHERE is_order)
    FROM customer_segments('2024-05-01') s JOIN bought b USING (customer_id) WHERE b.at < '2024-05-01' GROUP BY 1$$);

-- Lifetime value
SELECT * FROM difference('SELECT * FROM customer_lifetime_value(0.25)', $$
    SELECT customer_id, date_trunc('month', min(day)::timestamp)::date, min(day), max(day), max(day) - min(day), count(*) FILTER (WHERE is_order),
           sum(gross - discount) / count(*) FILTER (WHERE is_order), sum(gross - discount + returns), 0.25 * sum(gross - discount + returns)
    FROM bought WHERE customer_id IS NOT NULL GROUP BY 1 HAVING bool_or(is_order)$$);
SELECT * FROM difference('SELECT cohort_month, months_since, cohort_size, active_customers, orders, net_sales, round(cumulative_clv_per_customer, 6) FROM lifetime_value_by_cohort(0.5) WHERE months_since >= 0', $$
    WITH c AS (SELECT customer_id, date_trunc('month', min(day)::timestamp)::date AS cohort FROM bought WHERE customer_id IS NOT NULL GROUP BY 1 HAVING bool_or(is_order)),
    g AS (SELECT DISTINCT cohort, n FROM c, generate_series(0, 3) n WHERE cohort + n * interval '1 month' < '2024-06-01')
    SELECT g.cohort, g.n, (SELECT count(*) FROM c WHERE c.cohort = g.cohort),
           (SELECT count(DISTINCT customer_id) FROM bought JOIN c USING (customer_id) WHERE c.cohort = g.cohort AND is_order AND date_trunc('month', day::timestamp) = g.cohort + g.n * interval '1 month'),
           (SELECT count(*) FROM bought JOIN c USING (customer_id) WHERE c.cohort = g.cohort AND is_order AND date_trunc('month', day::timestamp) = g.cohort + g.n * interval '1 month'),
           (SELECT coalesce(sum(gross - discount + returns), 0) FROM bought JOIN c USING (customer_id) WHERE c.cohort = g.cohort
               AND date_trunc('month', at AT TIME ZONE 'Europe/London') = g.cohort + g.n * interval '1 month'),
           round((SELECT sum(gross - discount + returns) FROM bought JOIN c USING (customer_id) WHERE c.cohort = g.cohort
               AND date_trunc('month', at AT TIME ZONE 'Europe/London') <= g.cohort + g.n * interval '1 month') / 2 / (SELECT count(*) FROM c WHERE c.cohort = g.cohort), 6)
    FROM g$$);
SELECT * FROM difference($$SELECT customer_id, frequency, recency, age, round(mean_value::numeric, 6) FROM purchase_summary('2024-04-20 12:00 UTC')$$, $$
    WITH d AS (SELECT customer_id, day, sum(gross - discount) AS v FROM bought WHERE customer_id IS NOT NULL AND is_order AND order_time < '2024-04-20 12:00 UTC' GROUP BY 1, 2)
    SELECT customer_id, count(*) - 1, max(day) - min(day), date '2024-04-20' - min(day),
           (SELECT round(avg(v), 6) FROM d e WHERE e.customer_id = d.customer_id AND e.day > min(d.day)) FROM d GROUP BY 1$$);

-- Campaigns
CREATE VIEW oracle_campaign AS
SELECT c.campaign_id, w.f AS first_day, w.l AS last_day,
       (SELECT count(DISTINCT order_id) FROM placed JOIN line l USING (order_id) WHERE l.campaign_id = c.campaign_id) AS orders,
       (SELECT count(DISTINCT p.customer_id) FROM placed p JOIN line l USING (order_id) WHERE l.campaign_id = c.campaign_id) AS customers,
       (SELECT count(*) FROM (SELECT DISTINCT ON (customer_id) order_id FROM placed WHERE customer_id IS NOT NULL ORDER BY customer_id, order_time, order_id) x
        WHERE EXISTS (SELECT FROM line l WHERE l.order_id = x.order_id AND l.campaign_id = c.campaign_id)) AS new_customers,
       coalesce((SELECT sum(amt - discount) FROM line l WHERE l.campaign_id = c.campaign_id), 0) AS net,
       coalesce((SELECT sum(amt - discount) FROM line l WHERE l.campaign_id = c.campaign_id AND day BETWEEN w.f AND w.l), 0) AS inside,
       coalesce((SELECT sum(amt - discount) FROM line WHERE day BETWEEN w.f AND w.l), 0) AS all_sales,
       coalesce((SELECT sum(amt - discount) FROM line WHERE day BETWEEN w.f - (w.l - w.f + 1) AND w.f - 1), 0) AS before,
       (SELECT count(*) FROM placed WHERE day BETWEEN w.f AND w.l) AS all_orders,
       (SELECT count(*) FROM placed WHERE day BETWEEN w.f - (w.l - w.f + 1) AND w.f - 1) AS before_orders
FROM campaign c JOIN (VALUES (1, date '2024-03-01', date '2024-03-15'), (2, '2024-03-10', '2024-04-07'), (3, '2024-05-01', '2024-05-02'), (4, '2023-01-01', '2023-01-31')) w(id, f, l)
    ON w.id = c.campaign_id;
SELECT * FROM difference($$SELECT campaign_id, first_day, last_day, orders, customers, new_customers, net_sales, net_sales_outside, all_sales, all_orders,
        baseline_sales, baseline_orders, share_of_sales, change_of_sales FROM campaign_effectiveness$$,
    'SELECT campaign_id, first_day, last_day, orders, customers, new_customers, net, net - inside, all_sales, all_orders, before, before_orders,
        inside / nullif(all_sales, 0), all_sales / nullif(before, 0) - 1 FROM oracle_campaign');
SELECT campaign_id, orders, aov IS NULL AS aov_null, share_of_sales IS NULL AS share_null, change_of_sales IS NULL AS change_null, net_sales_outside > 0 AS outside
FROM campaign_effectiveness ORDER BY 1;
UPDATE campaign SET campaign_end_time = NULL WHERE campaign_id = 2;
SELECT last_day = (now() AT TIME ZONE 'Europe/London')::date AS until_now, is_over FROM campaign_effectiveness WHERE campaign_id = 2;
UPDATE campaign SET campaign_end_time = '2024-04-08 00:00 Europe/London' WHERE campaign_id = 2;
SELECT * FROM difference('SELECT campaign_id, other_id, overlap_start, overlap_end, shared_customers FROM campaign_overlap', $$
    SELECT a.id, b.id, timestamptz '2024-03-10 12:00 Europe/London', timestamptz '2024-03-16 00:00 Europe/London',
           (SELECT count(*) FROM (SELECT p.customer_id FROM placed p JOIN line l USING (order_id) WHERE l.campaign_id = 1
                        INTERSECT SELECT p.customer_id FROM placed p JOIN line l USING (order_id) WHERE l.campaign_id = 2) x WHERE customer_id IS NOT NULL)
    FROM (VALUES (1, 2), (2, 1)) ab(a, b), LATERAL (SELECT a AS id) a, LATERAL (SELECT b AS id) b$$);

-- Stock: summed up again, event by event
INSERT INTO inventory_event (event_type, event_time, store_id, product_id, quantity_change)
SELECT CASE WHEN n % 40 = 0 THEN 'stocktake' WHEN h(n, 41, 3) = 0 THEN 'receipt' ELSE 'sale' END,
       timestamptz '2024-02-01 00:00 Europe/London' + h(n, 42, 90 * 86400) * interval '1 second', 1 + h(n, 43, 2), 1 + h(n, 44, 12),
       CASE WHEN n % 40 = 0 THEN h(n, 45, 30) WHEN h(n, 41, 3) = 0 THEN h(n, 45, 30) ELSE -1 - h(n, 45, 15) END
FROM generate_series(1, 800) n;
CALL refresh_model('shop');
CREATE VIEW moved AS SELECT *, (event_time AT TIME ZONE 'Europe/London')::date AS day FROM inventory_event;
CREATE FUNCTION stock_at(s bigint, p bigint, d date) RETURNS bigint LANGUAGE sql AS $$
    SELECT coalesce(sum(quantity_change), 0) FROM moved WHERE store_id = s AND product_id = p AND day <= d
      AND event_time >= coalesce((SELECT max(event_time) FROM moved WHERE store_id = s AND product_id = p AND day <= d AND event_type = 'stocktake'), '-infinity')
      AND (event_type = 'stocktake' OR event_time > coalesce((SELECT max(event_time) FROM moved WHERE store_id = s AND product_id = p AND day <= d AND event_type = 'stocktake'), '-infinity')) $$;
SELECT * FROM difference('SELECT store_id, product_id, on_hand, last_movement, stock_out, round(mean_daily_sales, 6), round(days_of_supply, 6) FROM inventory_levels', $$
    SELECT store_id, product_id, n, last, n <= 0, round(sold / 28.0, 6), round(greatest(n, 0) * 28 / nullif(sold, 0)::numeric, 6)
    FROM (SELECT store_id, product_id, stock_at(store_id, product_id, max(day)) AS n, max(day) AS last,
                 coalesce(-sum(quantity_change) FILTER (WHERE event_type = 'sale' AND day > (SELECT max(day) - 28 FROM moved)), 0) AS sold FROM moved GROUP BY 1, 2) k$$);
SELECT * FROM difference('SELECT store_id, product_id, d FROM stock_outs, generate_series(first_day::timestamp, coalesce(last_day, ''2024-05-31''), ''1 day'') d', $$
    SELECT k.store_id, k.product_id, d FROM (SELECT store_id, product_id, min(day) AS first FROM moved GROUP BY 1, 2) k, generate_series(first::timestamp, '2024-05-31', '1 day') d
    WHERE stock_at(k.store_id, k.product_id, d::date) <= 0$$);
SELECT bool_and(out_since IS NOT DISTINCT FROM first_day) AS since, count(*) > 0 AS some, bool_or(negative_stock) AS negative
FROM inventory_levels l LEFT JOIN stock_outs o ON o.store_id = l.store_id AND o.product_id = l.product_id AND o.last_day IS NULL WHERE l.stock_out;

-- Late, changed, moved and deleted lines: what refreshes keep equals a rebuild from raw lines, and the oracles.
CREATE TABLE kept AS SELECT 0 AS step, '' AS name, '' AS "row" LIMIT 0;
CREATE PROCEDURE remember(step integer) LANGUAGE plpgsql AS $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY '{sales_daily,sales_monthly,order_daily,sales_order,customer_sales,campaign_customer,sales_daily_counts,sales_monthly_counts}'::text[] LOOP
        EXECUTE format('INSERT INTO kept SELECT $1, %L, t::text FROM %I t', t, t) USING step;
    END LOOP;
END $$;
INSERT INTO order_line (order_id, order_time, customer_id, campaign_id, product_id, product_category_id, count, amt, unit_price_at_purchase, line_number)
SELECT 5000 + i, timestamptz '2024-01-20 23:00 UTC' + i * interval '5 days', i, 1 + i % 2, 1, 1 + i % 6, 3, 30, 10, 1 FROM generate_series(1, 15) i;
UPDATE order_line SET order_time = order_time - interval '3 days', customer_id = 3 WHERE order_id % 50 = 0;
UPDATE order_line SET customer_id = 4, amt = amt + 1 WHERE order_id = 97;
DELETE FROM order_line WHERE order_id % 40 = 1 OR order_id % 194 = 0 AND line_number = 1 OR order_id % 97 = 3 AND line_number > 1;
CALL refresh_model('shop');
CALL remember(1);
REFRESH MATERIALIZED VIEW line;
REFRESH MATERIALIZED VIEW buyer;
REFRESH MATERIALIZED VIEW placed;
SELECT * FROM difference('SELECT order_id, day, order_time, customer_id FROM sales_order WHERE is_order', 'SELECT order_id, day, order_time, customer_id FROM placed');
SELECT * FROM difference('TABLE daily_sales_by_category', 'SELECT * FROM sold(''day'')');
SELECT * FROM difference('TABLE monthly_sales_by_category', 'SELECT * FROM sold(''month'')');
SELECT * FROM difference('SELECT campaign_id, orders, customers, new_customers FROM campaign_effectiveness', 'SELECT campaign_id, orders, customers, new_customers FROM oracle_campaign');
CALL rollup_rebuild('sales_daily');
CALL rollup_rebuild('order_daily');
CALL rollup_rebuild('sales_order');
CALL refresh_model('shop');
CALL rollup_rebuild('sales_daily_counts');
CALL rollup_rebuild('sales_monthly_counts');
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
SELECT r.name, bool_or(p.node ~ 'order_line|inventory_event') AS reads_events
FROM (VALUES ('daily_sales_by_category'), ('monthly_sales_by_category'), ('daily_sales_by_store'), ('average_order_value'), ('customer_purchase_history'),
             ('customer_orders'), ('customer_lifetime_value'), ('inventory_levels'), ('stock_outs'), ('campaign_effectiveness'), ('campaign_overlap'),
             ('lifetime_value_by_cohort()'), ('purchase_summary()'), ('average_order_value_by_segment()')) r(name), plan('SELECT * FROM ' || r.name) p
GROUP BY 1 ORDER BY 1;
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
CREATE FUNCTION rows_of(report text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM (SELECT * FROM %I OFFSET 0) r', report) INTO n;
    RETURN n;
END $$;
SET ROLE ecs_analyst;
SELECT r AS report, rows_of(r) > 0 AS readable
FROM unnest('{daily_sales_by_category,monthly_sales_by_category,daily_sales_by_store,average_order_value,customer_purchase_history,customer_orders,
    customer_lifetime_value,campaign_effectiveness,campaign_overlap,inventory_levels,stock_outs}'::text[]) r;
INSERT INTO product_category VALUES (100, 'by an analyst', NULL);
\set VERBOSITY sqlstate
SELECT count(*) FROM sales_order;
SELECT count(*) FROM order_line;
\set VERBOSITY default
RESET ROLE;

-- The check of the data
INSERT INTO order_line (order_id, order_time, product_id, product_category_id, campaign_id, count, amt, discount, unit_price_at_purchase)
VALUES (9001, '2024-03-01 UTC', 1, 77, NULL, 2, 21, 0, 10), (9002, '2024-03-01 UTC', 1, 1, 4, 2, 20, 30, 10);
SELECT problem, count(*) FROM validate_ecommerce() GROUP BY 1 ORDER BY 1;
SELECT problem, key > 0 AS key, detail FROM validate_ecommerce() WHERE problem ~ '^(unknown|amount|discount)' OR key = 9002 ORDER BY 1, 3;
SELECT * FROM validate_ecommerce() WHERE key = 61 * 4;

DROP SCHEMA shop CASCADE;
DROP ROLE ecs_analyst;
DROP FUNCTION public.difference;
