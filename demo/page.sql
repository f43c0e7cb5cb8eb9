-- One HTML page of both models, drawn by SQL from their reports: what a person
-- looks at.  Needs no network and no script.  Run by demo/run with the variables
-- page, the file to write, and shop, where the orders are from.
\set QUIET on
\pset tuples_only on
\pset format unaligned
\o /dev/null
\ir page_charts.sql
\o :page
\ir page_head.sql
SELECT format('<h1>A shop and a social product at a glance</h1><p>Drawn by SQL from the reports of ecomsocial: no script, no network.</p>');

SELECT format('<main><section aria-labelledby="shop"><h2 id="shop">The shop: %s</h2>', pg_temp.esc(:'shop'));
SET search_path = ecommerce, ecomsocial, public;
SELECT EXISTS (SELECT FROM campaign) AS has_campaigns \gset

SELECT pg_temp.tiles($$
    SELECT v.* FROM (SELECT sum(orders) AS orders, sum(gross) AS gross, sum(discount) AS discount, sum(returns) AS returns, sum(net_sales) AS net,
                            min(period_start) AS first, max(period_start) AS last
                     FROM average_order_value WHERE period = 'month' AND dimension = 'all') s,
         (SELECT count(*) AS customers, count(*) FILTER (WHERE orders > 1) AS again FROM customer_purchase_history WHERE orders > 0) c,
         LATERAL (VALUES ('Net sales', pg_temp.short(net), to_char(first, 'Mon YYYY') || ' to ' || to_char(last, 'Mon YYYY')),
                         ('Orders', pg_temp.grouped(orders), 'with a paid line'),
                         ('Order value', pg_temp.grouped(round((gross - discount) / nullif(orders, 0), 2)), 'mean, before returns'),
                         ('Returned', round(-100 * returns / nullif(gross - discount, 0), 1) || ' %', 'of sales after discounts'),
                         ('Customers', pg_temp.grouped(customers), 'with an order, known by id'),
                         ('Came back', round(100.0 * again / nullif(customers, 0), 1) || ' %', 'of them ordered again')) v $$);

SELECT '<div class="grid">';
SELECT pg_temp.chart('Net sales by category', 'by week, the six largest categories below the top; the first and the last week may be short', 'bar', $$
    WITH top AS (
        SELECT category_id FROM monthly_sales_by_category
        WHERE parent_category_id IN (SELECT product_category_id FROM product_category WHERE parent_category_id IS NULL)
        GROUP BY 1 ORDER BY sum(net_sales) DESC LIMIT 6
    )
    SELECT category, date_trunc('week', day)::date, sum(net_sales)
    FROM daily_sales_by_category JOIN top USING (category_id)
    GROUP BY 1, 2 ORDER BY sum(sum(net_sales)) OVER (PARTITION BY category) DESC, 2 $$);

SELECT pg_temp.chart('What an order is worth', 'mean value of the orders of a month, before and after returns', 'line', $$
    SELECT what, period_start, value
    FROM average_order_value,
         LATERAL (VALUES (1, 'average order value', aov), (2, 'net of returns', aov_net_of_returns)) v (n, what, value)
    WHERE period = 'month' AND dimension = 'all' ORDER BY n, period_start $$);

SELECT pg_temp.table_of('Customer segments', 'by recency, frequency and monetary value, at the end of the data', $$
    SELECT segment, count(*) AS customers, round(avg(recency_days)) AS days_since_order, round(avg(frequency), 1) AS orders_each,
           round(sum(monetary)) AS net_sales, round(100 * sum(monetary) / sum(sum(monetary)) OVER (), 1) AS "of sales, %"
    FROM customer_segments((SELECT max(last_order_time) + interval '1 second' FROM customer_purchase_history))
    GROUP BY segment ORDER BY sum(monetary) DESC $$);

SELECT pg_temp.chart('What customers become worth', 'net sales so far per customer, by the month of the first order', 'line', $$
    SELECT to_char(cohort_month, 'Mon YYYY'), (cohort_month + months_since * interval '1 month')::date, round(cumulative_clv_per_customer, 2)
    FROM lifetime_value_by_cohort()
    WHERE months_since >= 0
      AND cohort_month IN (SELECT cohort_month FROM lifetime_value_by_cohort() GROUP BY 1 HAVING max(months_since) >= 1 ORDER BY max(cohort_size) DESC LIMIT 6)
    ORDER BY cohort_month, months_since $$);

\if :has_campaigns
SELECT pg_temp.table_of('Campaigns', 'money of the attributed lines; all sales of its days beside those of as many days before: what to compare with, not what the campaign caused', $$
    SELECT campaign_name AS campaign, first_day, CASE WHEN is_over THEN last_day::text ELSE 'open' END AS last_day, orders, customers, new_customers,
           round(net_sales) AS net_sales, round(discount) AS discount, round(aov, 2) AS order_value, round(100 * share_of_sales, 1) AS "share of sales, %",
           round(all_sales) AS all_sales, CASE WHEN is_over THEN round(baseline_sales) END AS all_sales_before, CASE WHEN is_over THEN round(100 * change_of_sales, 1) END AS "change, %"
    FROM campaign_effectiveness ORDER BY first_day $$, true);
\else
SELECT pg_temp.figure('Campaigns', 'The file tells of none.', '', true);
\endif

SELECT pg_temp.chart('Out of stock', 'pairs of product and store with nothing left at the end of the day; what lay there at first is an assumption where a file was loaded', 'line', $$
    SELECT 'out of stock', day, sum(sum(change)) OVER (ORDER BY day)
    FROM stock_outs, LATERAL (VALUES (first_day, 1), (last_day + 1, -1)) v (day, change)
    WHERE day IS NOT NULL GROUP BY day ORDER BY day $$);

SELECT pg_temp.table_of('Stock that runs out first', 'of what still sells: days of supply at the mean daily sales of the last four weeks', $$
    SELECT product_title AS product, store_id AS store, on_hand, round(mean_daily_sales, 1) AS sold_a_day, round(days_of_supply, 1) AS days_of_supply
    FROM inventory_levels WHERE on_hand > 0 AND mean_daily_sales >= 0.5 ORDER BY inventory_levels.days_of_supply, store_id, product_id LIMIT 10 $$);
SELECT '</div></section>';

SELECT '<section aria-labelledby="network"><h2 id="network" class="second">The social network: synthetic</h2>';
SET search_path = social, ecomsocial, public;

SELECT pg_temp.tiles($$
    SELECT v.* FROM (SELECT * FROM active_users_daily WHERE complete ORDER BY day DESC LIMIT 1) a,
         (SELECT * FROM user_churn WHERE period = 'month' AND complete ORDER BY period_start DESC LIMIT 1) c,
         (SELECT registered FROM user_growth WHERE period = 'month' ORDER BY period_start DESC LIMIT 1) g,
         LATERAL (VALUES ('DAU', pg_temp.grouped(dau), to_char(day, 'DD Mon YYYY')), ('WAU', pg_temp.grouped(wau), '7 days up to it'), ('MAU', pg_temp.grouped(mau), '28 days up to it'),
                         ('Stickiness', round(100 * stickiness, 1) || ' %', 'DAU / MAU'),
                         ('Churn', round(100 * churn_rate, 1) || ' %', 'of the month before ' || to_char(period_start, 'Mon YYYY')),
                         ('Registered', pg_temp.grouped(registered), 'users')) v $$);

SELECT '<div class="grid">';
SELECT pg_temp.chart('Active users', 'of the day, the last 7 and the last 28 days, exact', 'line', $$
    SELECT what, day, value FROM active_users_daily, LATERAL (VALUES (1, 'MAU', mau), (2, 'WAU', wau), (3, 'DAU', dau)) v (n, what, value)
    WHERE complete ORDER BY n, day $$);

SELECT pg_temp.chart('Growth accounting', 'active users of a month by where they come from, who was there at first being neither new nor old; below zero: who did not come back', 'bar', $$
    SELECT what, period_start, value
    FROM user_growth, LATERAL (VALUES (1, 'retained', retained), (2, 'resurrected', resurrected), (3, 'new', new), (4, 'first seen', first_seen), (5, 'churned', -churned)) v (n, what, value)
    WHERE period = 'month' AND complete AND value IS NOT NULL ORDER BY n, period_start $$, '{#0072b2,#56b4e9,#009e73,#999999,#d55e00}');

SELECT pg_temp.heat_map('Retention', 'share of the users first seen in a month who are active so many months later', 'users', $$
    SELECT to_char(cohort, 'YYYY-MM'), users, periods_since, ratio::numeric
    FROM retention_cohorts('social.user_activity', 'user_id', 'days', 'month') WHERE complete AND periods_since <= 12 $$);

SELECT pg_temp.chart('Engagement', 'likes, comments and shares per view, by type of content and month', 'line', $$
    SELECT content_type, date_trunc('month', day)::date, sum(likes + comments + shares) / nullif(sum(views), 0)
    FROM post_engagement GROUP BY 1, 2 ORDER BY 1, 2 $$);

SELECT pg_temp.chart('Devices', 'daily active users by kind of device, mean of each week; who uses two kinds counts for both', 'line', $$
    SELECT device_type, date_trunc('week', day)::date, round(avg(dau), 1) FROM active_users_daily_by_device GROUP BY 1, 2 ORDER BY 1, 2 $$);

SELECT pg_temp.table_of('Advertising', 'by campaign, over all its days', $$
    SELECT campaign_name AS campaign, impressions, clicks, conversions, round(cost, 2) AS cost, round(revenue, 2) AS revenue,
           round(100 * ctr, 2) AS "CTR, %", round(100 * cvr, 2) AS "CVR, %", round(cpc, 2) AS "CPC", round(cpm, 2) AS "CPM", round(cpa, 2) AS "CPA", round(roas, 1) AS "ROAS"
    FROM ad_performance_by_campaign ORDER BY revenue DESC $$, true);
SELECT '</div></section></main></html>';
