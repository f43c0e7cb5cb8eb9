-- The reports of an e-commerce model once more, in plain SQL over its raw tables: what the tests hold the model's own
-- reports against, on generated orders and on real ones.  Made in the model's schema, first on the search_path; the
-- reporting time zone is Europe/London.  The table "comparison" pairs a query of each report with its oracle.

-- Lines with their local day, and orders by the definitions of the model.
CREATE MATERIALIZED VIEW line AS SELECT l.*, (order_time AT TIME ZONE 'Europe/London')::date AS day FROM order_line l;
CREATE INDEX ON line (order_id);
CREATE MATERIALIZED VIEW buyer AS SELECT DISTINCT ON (order_id) order_id, customer_id FROM line ORDER BY order_id, line_number, line_item_id;
CREATE MATERIALIZED VIEW placed AS
SELECT l.order_id, min(l.day) AS day, min(l.order_time) AS order_time, b.customer_id
FROM line l JOIN buyer b USING (order_id)
GROUP BY l.order_id, b.customer_id
HAVING bool_or(l.count > 0 AND l.amt > 0);
-- Money of each order_id, of its customer
CREATE MATERIALIZED VIEW bought AS
SELECT b.customer_id, p.order_id IS NOT NULL AS is_order, p.day, p.order_time, l.order_id, sum(CASE WHEN count > 0 THEN count ELSE 0 END) AS units,
       sum(CASE WHEN count > 0 THEN amt ELSE 0 END) AS gross, sum(CASE WHEN count > 0 THEN discount ELSE 0 END) AS discount,
       sum(CASE WHEN count < 0 THEN -count ELSE 0 END) AS returned, sum(CASE WHEN count < 0 THEN amt - discount ELSE 0 END) AS returns,
       sum(tax_amt) AS tax, sum(shipping_amt) AS shipping, count(*) AS lines, min(l.order_time) AS at, min(l.day) AS from_day
FROM line l JOIN buyer b USING (order_id) LEFT JOIN placed p USING (order_id)
GROUP BY b.customer_id, p.order_id, p.day, p.order_time, l.order_id;
ANALYZE;

-- after orders changed
CREATE PROCEDURE refresh_oracle() LANGUAGE sql AS $$
    REFRESH MATERIALIZED VIEW line;
    REFRESH MATERIALIZED VIEW buyer;
    REFRESH MATERIALIZED VIEW placed;
    REFRESH MATERIALIZED VIEW bought $$;

-- Sales by category: the tree walked by a plain recursion, orders counted over raw lines; a NULL category lies below the NULL one.
CREATE VIEW below AS
WITH RECURSIVE r(top, id) AS (
    SELECT product_category_id, product_category_id FROM product_category
    UNION ALL SELECT r.top, c.product_category_id FROM r JOIN product_category c ON c.parent_category_id = r.id)
SELECT top, id FROM r UNION ALL SELECT NULL, NULL;
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

CREATE FUNCTION aov(unit text, dimension text) RETURNS TABLE (p period, start date, d text, k bigint, orders bigint, customers bigint,
    gross numeric, discount numeric, returns numeric, net numeric, aov numeric, aov_net numeric)
LANGUAGE sql AS $$
    SELECT unit::period, start, dimension, k, orders, customers, gross, discount, returns,
           gross - discount + returns, (gross - discount) / nullif(orders, 0), (gross - discount + returns) / nullif(orders, 0)
    FROM (SELECT coalesce(m.start, o.start), coalesce(m.k, o.k), coalesce(orders, 0), coalesce(customers, 0), coalesce(gross, 0), coalesce(discount, 0), coalesce(returns, 0)
    FROM (SELECT date_trunc(unit, day::timestamp)::date AS start, CASE dimension WHEN 'store' THEN store_id WHEN 'campaign' THEN campaign_id END AS k,
                 coalesce(sum(amt) FILTER (WHERE count > 0), 0) AS gross, coalesce(sum(l.discount) FILTER (WHERE count > 0), 0) AS discount,
                 coalesce(sum(amt - l.discount) FILTER (WHERE count < 0), 0) AS returns
          FROM line l WHERE dimension <> 'campaign' OR campaign_id IS NOT NULL GROUP BY 1, 2) m
    FULL JOIN (SELECT date_trunc(unit, p.day::timestamp)::date AS start, x.k, count(DISTINCT p.order_id) AS orders, count(DISTINCT p.customer_id) AS customers
          FROM placed p JOIN LATERAL (
              SELECT CASE dimension WHEN 'store' THEN l.store_id WHEN 'campaign' THEN l.campaign_id END AS k FROM line l
              WHERE l.order_id = p.order_id AND (dimension = 'campaign' AND l.campaign_id IS NOT NULL OR dimension <> 'campaign' AND l.count > 0 AND l.amt > 0)) x ON true
          GROUP BY 1, 2) o ON o.start = m.start AND coalesce(o.k, -1) = coalesce(m.k, -1)) a(start, k, orders, customers, gross, discount, returns) $$;

-- Segments: scores by counting, for each customer, how many are not better.
CREATE FUNCTION rfm(as_of timestamptz) RETURNS TABLE (customer_id bigint, recency_days integer, frequency bigint, monetary numeric) LANGUAGE sql AS $$
    SELECT customer_id, (as_of AT TIME ZONE 'Europe/London')::date - max(day), count(*) FILTER (WHERE is_order), sum(gross - discount + returns)
    FROM bought WHERE customer_id IS NOT NULL AND at < as_of GROUP BY customer_id HAVING bool_or(is_order) $$;
CREATE FUNCTION scores(as_of timestamptz) RETURNS TABLE (customer_id bigint, recency_days integer, frequency bigint, monetary numeric, r integer, f integer, m integer)
LANGUAGE sql AS $$
    WITH a AS MATERIALIZED (SELECT * FROM rfm(as_of)), n AS (SELECT count(*) FROM a)
    SELECT a.*, ceil(5.0 * b.r / n.count)::integer, ceil(5.0 * b.f / n.count)::integer, ceil(5.0 * b.m / n.count)::integer
    FROM a, n, LATERAL (SELECT sum((b.recency_days >= a.recency_days)::integer), sum((b.frequency <= a.frequency)::integer),
                               sum((b.monetary <= a.monetary)::integer) FROM a b) b(r, f, m) $$;

CREATE FUNCTION cohorts(margin numeric) RETURNS TABLE (cohort date, n integer, size bigint, active bigint, orders bigint, net numeric, clv numeric, per_customer numeric) LANGUAGE sql AS $$
    WITH won AS (SELECT customer_id, date_trunc('month', min(day)::timestamp)::date AS cohort FROM bought WHERE customer_id IS NOT NULL GROUP BY 1 HAVING bool_or(is_order)),
    spent AS MATERIALIZED (SELECT *, (date_trunc('month', from_day::timestamp)) AS month FROM bought JOIN won USING (customer_id)),
    cell AS (SELECT cohort, n, cohort + n * interval '1 month' AS month     -- from the first return on, which may be of something bought before the file begins
             FROM (SELECT cohort, min(month) AS first FROM spent GROUP BY 1) c, generate_series(-24, 24) n
             WHERE cohort + n * interval '1 month' BETWEEN first AND (SELECT max(month) FROM spent))
    SELECT g.cohort, g.n, (SELECT count(*) FROM won w WHERE w.cohort = g.cohort),
           (SELECT count(DISTINCT customer_id) FROM spent s WHERE s.cohort = g.cohort AND is_order AND s.month = g.month),
           (SELECT count(*) FROM spent s WHERE s.cohort = g.cohort AND is_order AND s.month = g.month),
           (SELECT coalesce(sum(gross - discount + returns), 0) FROM spent s WHERE s.cohort = g.cohort AND s.month = g.month),
           (SELECT coalesce(sum(margin * (gross - discount + returns)), 0) FROM spent s WHERE s.cohort = g.cohort AND s.month = g.month),
           round(margin * (SELECT sum(gross - discount + returns) FROM spent s WHERE s.cohort = g.cohort AND s.month <= g.month)
               / (SELECT count(*) FROM won w WHERE w.cohort = g.cohort), 6)
    FROM cell g $$;

-- Campaigns: of the local days, those that hold a moment of the campaign.
CREATE VIEW oracle_campaign AS
SELECT c.campaign_id, w.f AS first_day, w.l AS last_day,
       (SELECT count(DISTINCT order_id) FROM placed JOIN line l USING (order_id) WHERE l.campaign_id = c.campaign_id) AS orders,
       (SELECT count(DISTINCT p.customer_id) FROM placed p JOIN line l USING (order_id) WHERE l.campaign_id = c.campaign_id) AS customers,
       (SELECT count(*) FROM (SELECT DISTINCT ON (customer_id) order_id FROM placed WHERE customer_id IS NOT NULL ORDER BY customer_id, order_time, order_id) x
        WHERE EXISTS (SELECT FROM line l WHERE l.order_id = x.order_id AND l.campaign_id = c.campaign_id)) AS new_customers,
       m.*,
       coalesce((SELECT sum(amt - discount) FROM line l WHERE l.campaign_id = c.campaign_id AND day BETWEEN w.f AND w.l), 0) AS inside,
       coalesce((SELECT sum(amt - discount) FROM line WHERE day BETWEEN w.f AND w.l), 0) AS all_sales,
       coalesce((SELECT sum(amt - discount) FROM line WHERE day BETWEEN w.f - (w.l - w.f + 1) AND w.f - 1), 0) AS before,
       (SELECT count(*) FROM placed WHERE day BETWEEN w.f AND w.l) AS all_orders,
       (SELECT count(*) FROM placed WHERE day BETWEEN w.f - (w.l - w.f + 1) AND w.f - 1) AS before_orders
FROM campaign c
CROSS JOIN LATERAL (
    SELECT min(d)::date, max(d)::date
    FROM generate_series(c.campaign_start_time::date - 1, coalesce(c.campaign_end_time, now())::date + 1, '1 day'::interval) d
    WHERE (d::date + 1)::timestamp AT TIME ZONE 'Europe/London' > c.campaign_start_time
      AND d::date::timestamp AT TIME ZONE 'Europe/London' < coalesce(c.campaign_end_time, now())) w(f, l)
CROSS JOIN LATERAL (
    SELECT coalesce(sum(CASE WHEN count > 0 THEN count END), 0) AS units, coalesce(sum(CASE WHEN count > 0 THEN amt END), 0) AS gross,
           coalesce(sum(CASE WHEN count > 0 THEN discount END), 0) AS discount, coalesce(sum(CASE WHEN count < 0 THEN amt - discount END), 0) AS returns,
           coalesce(sum(amt - discount), 0) AS net
    FROM line l WHERE l.campaign_id = c.campaign_id) m;

-- Stock at the end of each day with an event: changes summed up since the last stocktake, which comes last of its moment.
CREATE MATERIALIZED VIEW stock_day AS
SELECT DISTINCT ON (store_id, product_id, day) store_id, product_id, day, sum(quantity_change) OVER (
           PARTITION BY store_id, product_id, stocktakes ORDER BY event_time, event_type = 'stocktake', inventory_event_id) AS stock
FROM (SELECT *, (event_time AT TIME ZONE 'Europe/London')::date AS day, count(*) FILTER (WHERE event_type = 'stocktake') OVER (
                 PARTITION BY store_id, product_id ORDER BY event_time, event_type = 'stocktake', inventory_event_id) AS stocktakes
      FROM inventory_event) e
ORDER BY store_id, product_id, day, event_time DESC, event_type = 'stocktake' DESC, inventory_event_id DESC;
CREATE VIEW stock_span AS
SELECT *, coalesce(lead(day) OVER (PARTITION BY store_id, product_id ORDER BY day), (SELECT max(day) + 4 FROM stock_day)) AS until FROM stock_day;

CREATE TABLE comparison (report text, ours text, oracle text);
INSERT INTO comparison VALUES
('daily_sales_by_category', 'TABLE daily_sales_by_category', $$SELECT * FROM sold('day')$$),
('monthly_sales_by_category', 'TABLE monthly_sales_by_category', $$SELECT * FROM sold('month')$$),
('daily_sales_by_store', 'SELECT day, store_id, orders, customers, units, gross, discount, returned_units, returns, net_sales, tax, shipping FROM daily_sales_by_store', $$
    SELECT coalesce(m.day, o.day), coalesce(m.store_id, o.store_id), coalesce(orders, 0), coalesce(customers, 0), units, gross, discount, returned, returns,
           gross - discount + returns, tax, shipping
    FROM (SELECT day, store_id, coalesce(sum(CASE WHEN count > 0 THEN count END), 0) AS units, coalesce(sum(CASE WHEN count > 0 THEN amt END), 0) AS gross,
                 coalesce(sum(CASE WHEN count > 0 THEN discount END), 0) AS discount, coalesce(sum(CASE WHEN count < 0 THEN -count END), 0) AS returned,
                 coalesce(sum(CASE WHEN count < 0 THEN amt - discount END), 0) AS returns, sum(tax_amt) AS tax, sum(shipping_amt) AS shipping
          FROM line GROUP BY 1, 2) m
    FULL JOIN (SELECT p.day, l.store_id, count(DISTINCT order_id) AS orders, count(DISTINCT p.customer_id) AS customers
          FROM placed p JOIN line l USING (order_id) WHERE l.count > 0 AND l.amt > 0 GROUP BY 1, 2) o ON o.day = m.day AND o.store_id = m.store_id$$),
('average_order_value', 'TABLE average_order_value', $$SELECT a.* FROM unnest(array['day', 'month']) u, unnest(array['all', 'store', 'campaign']) d, aov(u, d) a$$),
('customer_purchase_history', 'SELECT customer_id, first_name, city, country, orders, first_order_time, first_order_day, last_order_time, last_order_day, units, gross, discount,
        returned_units, returns, net_sales, aov, days_between_orders FROM customer_purchase_history', $$
    SELECT customer_id, c.first_name, c.city, c.country, count(*) FILTER (WHERE is_order), min(order_time), min(day), max(order_time), max(day), sum(units)::bigint, sum(gross),
           sum(discount), sum(returned)::bigint, sum(returns), sum(gross - discount + returns), sum(gross - discount) / nullif(count(*) FILTER (WHERE is_order), 0),
           (max(day) - min(day)) / nullif(count(*) FILTER (WHERE is_order) - 1, 0)::numeric
    FROM bought LEFT JOIN (SELECT * FROM customer WHERE valid_to = 'infinity') c USING (customer_id)
    WHERE customer_id IS NOT NULL GROUP BY customer_id, c.first_name, c.city, c.country$$),
('customer_orders', 'SELECT customer_id, order_id, day, order_time, order_number, days_since_previous, lines, units, gross, discount, returns, net_sales, tax, shipping,
        categories, stores, campaigns FROM customer_orders', $$
    SELECT customer_id, order_id, day, order_time, row_number() OVER w, day - lag(day) OVER w, lines, units, gross, discount, returns, gross - discount + returns, tax, shipping,
           (SELECT array_agg(DISTINCT product_category_id) FROM line l WHERE l.order_id = b.order_id AND l.count > 0 AND l.amt > 0),
           (SELECT array_agg(DISTINCT store_id) FROM line l WHERE l.order_id = b.order_id AND l.count > 0 AND l.amt > 0),
           ARRAY(SELECT DISTINCT campaign_id FROM line l WHERE l.order_id = b.order_id AND campaign_id IS NOT NULL ORDER BY 1)
    FROM bought b WHERE is_order WINDOW w AS (PARTITION BY customer_id ORDER BY order_time, order_id)$$),
('order_line_as_sold', 'SELECT line_item_id, city, country, product_title, sku, list_price, category_name FROM order_line_as_sold', $$
    SELECT line_item_id, c.city, c.country, p.product_title, p.sku, p.unit_price, (SELECT category_name FROM product_category g WHERE g.product_category_id = l.product_category_id)
    FROM line l
    LEFT JOIN LATERAL (SELECT * FROM customer c WHERE c.customer_id = l.customer_id AND valid_from <= order_time ORDER BY valid_from DESC LIMIT 1) c ON true
    LEFT JOIN LATERAL (SELECT * FROM product p WHERE p.product_id = l.product_id AND valid_from <= order_time ORDER BY valid_from DESC LIMIT 1) p ON true$$),
('customer_lifetime_value()', 'SELECT * FROM customer_lifetime_value(0.25)', $$
    SELECT customer_id, date_trunc('month', min(day)::timestamp)::date, min(day), max(day), max(day) - min(day), count(*) FILTER (WHERE is_order),
           sum(gross - discount) / count(*) FILTER (WHERE is_order), sum(gross - discount + returns), 0.25 * sum(gross - discount + returns)
    FROM bought WHERE customer_id IS NOT NULL GROUP BY 1 HAVING bool_or(is_order)$$),
('lifetime_value_by_cohort()', 'SELECT cohort_month, months_since, cohort_size, active_customers, orders, net_sales, historical_clv,
        round(cumulative_clv_per_customer, 6) FROM lifetime_value_by_cohort(0.5)', 'SELECT * FROM cohorts(0.5)'),
('campaign_effectiveness', 'TABLE campaign_effectiveness', $$
    SELECT campaign_id, campaign_name, first_day, last_day, coalesce(campaign_end_time <= now(), false), orders, customers, new_customers, units, gross, discount, returns, net,
           (gross - discount) / nullif(orders, 0), inside / nullif(all_sales, 0), net - inside, all_sales, all_orders, before, before_orders, all_sales / nullif(before, 0) - 1
    FROM oracle_campaign JOIN campaign USING (campaign_id)$$),
('campaign_overlap', 'SELECT campaign_id, other_id, overlap_start, overlap_end, shared_customers FROM campaign_overlap', $$
    SELECT a.campaign_id, b.campaign_id, lower(o), upper(o),
           (SELECT count(*) FROM (SELECT p.customer_id FROM placed p JOIN line l USING (order_id) WHERE l.campaign_id = a.campaign_id
                        INTERSECT SELECT p.customer_id FROM placed p JOIN line l USING (order_id) WHERE l.campaign_id = b.campaign_id) x WHERE customer_id IS NOT NULL)
    FROM campaign a, campaign b,
         LATERAL (SELECT tstzrange(a.campaign_start_time, a.campaign_end_time) * tstzrange(b.campaign_start_time, b.campaign_end_time) AS o) o
    WHERE a.campaign_id <> b.campaign_id AND NOT isempty(o)$$),
('inventory_levels', 'SELECT store_id, product_id, product_title, sku, on_hand, last_movement, stock_out, negative_stock,
        round(mean_daily_sales, 6), round(days_of_supply, 6) FROM inventory_levels', $$
    SELECT store_id, product_id, product_title, sku, stock, day, stock <= 0, stock < 0, round(coalesce(sold, 0) / 28.0, 6), round(greatest(stock, 0) * 28 / nullif(sold, 0)::numeric, 6)
    FROM (SELECT DISTINCT ON (store_id, product_id) * FROM stock_day ORDER BY store_id, product_id, day DESC) k
    LEFT JOIN (SELECT store_id, product_id, -sum(quantity_change) AS sold FROM inventory_event
               WHERE event_type = 'sale' AND (event_time AT TIME ZONE 'Europe/London')::date > (SELECT max(day) - 28 FROM stock_day) GROUP BY 1, 2) s USING (store_id, product_id)
    LEFT JOIN (SELECT product_id, product_title, sku FROM product WHERE valid_to = 'infinity') p USING (product_id)$$),
('stock_outs', 'TABLE stock_outs', $$
    SELECT store_id, product_id, min(day), CASE WHEN NOT bool_or(last) THEN max(until) - 1 END, min(stock)
    FROM (SELECT *, count(*) FILTER (WHERE stock > 0) OVER w AS spell, lead(day) OVER w IS NULL AS last FROM stock_span WINDOW w AS (PARTITION BY store_id, product_id ORDER BY day)) s
    WHERE stock <= 0 GROUP BY store_id, product_id, spell$$),
('inventory_snapshot', 'SELECT snapshot_date, store_id, product_id, quantity_on_hand FROM inventory_snapshot',
    'SELECT snapshot_date, store_id, product_id, stock FROM inventory_snapshot_computed JOIN stock_span ON day <= snapshot_date AND until > snapshot_date');
-- Reports as of a moment
INSERT INTO comparison
SELECT c.report || ' of ' || as_of::date, format(c.ours, as_of), format(c.oracle, as_of)
FROM unnest('{2011-06-15 09:00+00,2012-01-01 00:00+00,2024-03-31 01:30+01,2024-06-01 00:00+00}'::timestamptz[]) as_of, (VALUES
    ('customer_segments()', 'SELECT * FROM customer_segments(%L)', $$
        SELECT s.customer_id, recency_days, frequency, monetary, r, f, m, concat(r, f, m), (SELECT segment FROM rfm_segment g WHERE g.recency = r AND g.value = ceil((f + m) / 2.0))
        FROM scores(%L) s$$),
    ('customer_segments(fixed)', $$SELECT customer_id, r, f, m FROM customer_segments(%L, scoring => 'fixed')$$, $$
        SELECT customer_id, CASE WHEN recency_days <= 30 THEN 5 WHEN recency_days <= 60 THEN 4 WHEN recency_days <= 120 THEN 3 WHEN recency_days <= 240 THEN 2 ELSE 1 END,
               CASE WHEN frequency >= 10 THEN 5 WHEN frequency >= 5 THEN 4 WHEN frequency >= 3 THEN 3 WHEN frequency >= 2 THEN 2 ELSE 1 END,
               CASE WHEN monetary >= 1000 THEN 5 WHEN monetary >= 500 THEN 4 WHEN monetary >= 200 THEN 3 WHEN monetary >= 100 THEN 2 ELSE 1 END
        FROM rfm(%L)$$),
    ('average_order_value_by_segment()', 'SELECT * FROM average_order_value_by_segment(%L)', $$
        SELECT s.segment, count(DISTINCT s.customer_id), count(*) FILTER (WHERE is_order), sum(gross), sum(discount), sum(returns), sum(gross - discount + returns),
               sum(gross - discount) / count(*) FILTER (WHERE is_order), sum(gross - discount + returns) / count(*) FILTER (WHERE is_order)
        FROM customer_segments(%1$L) s JOIN bought b USING (customer_id) WHERE b.at < %1$L GROUP BY 1$$),
    ('purchase_summary()', 'SELECT customer_id, frequency, recency, age, round(mean_value::numeric, 6) FROM purchase_summary(%L)', $$
        WITH d AS (SELECT customer_id, day, sum(gross - discount) AS v FROM bought WHERE customer_id IS NOT NULL AND is_order AND order_time < %1$L GROUP BY 1, 2),
             f AS (SELECT customer_id, min(day) AS first FROM d GROUP BY 1)
        SELECT customer_id, count(*) - 1, max(day) - first, (timestamptz %1$L AT TIME ZONE 'Europe/London')::date - first, round(avg(v) FILTER (WHERE day > first), 6)
        FROM d JOIN f USING (customer_id) GROUP BY customer_id, first$$)) c(report, ours, oracle)
WHERE EXISTS (SELECT FROM placed WHERE order_time < as_of AND order_time > as_of - interval '1 year');
