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
SELECT format('<h1>A shop and a social product at a glance</h1><p>Orders: %s. Social network: synthetic. Drawn by SQL from the reports of ecomsocial.</p><main>', :'shop');
SET search_path = ecommerce, ecomsocial, public;

SELECT pg_temp.chart('Net sales by category', 'per week, in the six largest categories below the top', 'bar', $$
    WITH top AS (
        SELECT category_id FROM monthly_sales_by_category
        WHERE parent_category_id IN (SELECT product_category_id FROM product_category WHERE parent_category_id IS NULL)
        GROUP BY 1 ORDER BY sum(net_sales) DESC LIMIT 6
    )
    SELECT category, date_trunc('week', day)::date, sum(net_sales)
    FROM daily_sales_by_category JOIN top USING (category_id)
    GROUP BY 1, 2 ORDER BY sum(sum(net_sales)) OVER (PARTITION BY category) DESC, 2 $$);

SELECT pg_temp.chart('What an order is worth', 'mean value of the orders of each day''s month, before and net of returns', 'line', $$
    SELECT what, period_start, value
    FROM average_order_value,
         LATERAL (VALUES (1, 'average order value', aov), (2, 'net of returns', aov_net_of_returns)) v (n, what, value)
    WHERE period = 'month' AND dimension = 'all' ORDER BY n, period_start $$);

SELECT pg_temp.table_of('Customer segments', 'by recency, frequency and monetary value, at the end of the data', $$
    SELECT segment, count(*) AS customers, round(avg(recency_days)) AS mean_recency_days, round(avg(frequency), 1) AS mean_orders,
           round(sum(monetary)) AS net_sales
    FROM customer_segments((SELECT max(last_order_time) + interval '1 second' FROM customer_purchase_history))
    GROUP BY segment ORDER BY sum(monetary) DESC $$);

SELECT pg_temp.table_of('Campaigns', 'revenue of attributed lines beside all sales of as many days before', $$
    SELECT campaign_name AS campaign, first_day, last_day, orders, new_customers, round(net_sales) AS net_sales,
           round(100 * share_of_sales, 1) AS "share, %", round(baseline_sales) AS all_sales_before
    FROM campaign_effectiveness ORDER BY first_day $$);

SELECT pg_temp.chart('Out of stock', 'products that a store did not have, on each day', 'line', $$
    SELECT 'out of stock', day, sum(sum(change)) OVER (ORDER BY day)
    FROM stock_outs, LATERAL (VALUES (first_day, 1), (last_day + 1, -1)) v (day, change)
    WHERE day IS NOT NULL GROUP BY day ORDER BY day $$);

SELECT pg_temp.table_of('Stock that runs out first', 'days of supply at the mean daily sales of the last weeks', $$
    SELECT product_title AS product, on_hand, round(mean_daily_sales, 1) AS sold_per_day, round(days_of_supply, 1) AS days_of_supply, last_movement
    FROM inventory_levels WHERE mean_daily_sales > 0 ORDER BY days_of_supply, product_id LIMIT 10 $$);

SET search_path = social, ecomsocial, public;

SELECT pg_temp.chart('Active users', 'of the day, the last 7 and the last 28 days (exact)', 'line', $$
    SELECT what, day, value FROM active_users_daily, LATERAL (VALUES (1, 'MAU', mau), (2, 'WAU', wau), (3, 'DAU', dau)) v (n, what, value)
    WHERE complete ORDER BY n, day $$);

SELECT pg_temp.chart('Growth accounting', 'active users of a month by where they come from; below zero: who did not come back', 'bar', $$
    SELECT what, period_start, value
    FROM user_growth, LATERAL (VALUES (1, 'retained', retained), (2, 'resurrected', resurrected), (3, 'new', new), (4, 'churned', -churned)) v (n, what, value)
    WHERE period = 'month' AND complete ORDER BY n, period_start $$);

SELECT pg_temp.heat_map('Retention', 'share of the users first seen in a month who are active so many months later', $$
    SELECT to_char(cohort, 'YYYY-MM'), periods_since, ratio::numeric
    FROM retention_cohorts('social.user_activity', 'user_id', 'days', 'month') WHERE complete AND periods_since <= 12 $$);

SELECT pg_temp.chart('Engagement', 'likes, comments and shares per view, by type of content and month', 'line', $$
    SELECT content_type, date_trunc('month', day)::date, sum(likes + comments + shares) / nullif(sum(views), 0)
    FROM post_engagement GROUP BY 1, 2 ORDER BY 1, 2 $$);

SELECT pg_temp.table_of('Advertising', 'by campaign, over all its days', $$
    SELECT campaign_name AS campaign, impressions, clicks, conversions, round(cost, 2) AS cost, round(revenue, 2) AS revenue,
           round(100 * ctr, 2) AS "CTR, %", round(100 * cvr, 2) AS "CVR, %", round(cpc, 2) AS cpc, round(roas, 1) AS roas
    FROM ad_performance_by_campaign ORDER BY revenue DESC $$);

SELECT pg_temp.chart('Devices', 'daily active users by kind of device, mean of each week; kinds do not add up', 'line', $$
    SELECT device_type, date_trunc('week', day)::date, round(avg(dau), 1) FROM active_users_daily_by_device GROUP BY 1, 2 ORDER BY 1, 2 $$);

SELECT '</main></html>';
