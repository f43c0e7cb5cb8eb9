-- What the demo prints of a shop: a title and a statement, as often as you like.
\pset footer off
\pset null '-'
SELECT max(day)::timestamp + interval '1 day' AS the_end FROM sales_daily \gset

\echo 'Sales of each month: returns beside gross, net after discounts and returns'
SELECT to_char(period_start, 'YYYY-MM') AS month, orders, customers, round(gross, 2) AS gross, round(discount, 2) AS discount,
       round(returns, 2) AS returns, round(net_sales, 2) AS net_sales,
       round(aov, 2) AS "order value", round(aov_net_of_returns, 2) AS "net of returns"
FROM average_order_value
WHERE period = 'month' AND dimension = 'all'
ORDER BY period_start;

\echo 'Sales by category over all months, each with what lies below it: units and money add up, orders do not'
WITH RECURSIVE tree AS (
    SELECT product_category_id, category_name AS path, 0 AS depth FROM product_category WHERE parent_category_id IS NULL
    UNION ALL
    SELECT c.product_category_id, t.path || ' / ' || c.category_name, t.depth + 1
    FROM tree t JOIN product_category c ON c.parent_category_id = t.product_category_id
)
SELECT repeat('    ', depth) || s.category AS category, sum(s.orders) AS orders, sum(s.units) AS units, round(sum(s.net_sales), 2) AS net_sales,
       repeat('▪', greatest(0, round(25 * sum(s.net_sales) / max(sum(s.net_sales)) OVER ())::integer)) AS " "
FROM monthly_sales_by_category s JOIN tree t ON t.product_category_id = s.category_id
GROUP BY t.path, t.depth, s.category
ORDER BY t.path;

\echo 'Customers who bought most'
SELECT customer_id, country, orders, round(net_sales, 2) AS net_sales, round(aov, 2) AS "order value", first_order_day, last_order_day
FROM customer_purchase_history
ORDER BY net_sales DESC, customer_id
LIMIT 8;

\echo 'Segments of customers at the end, by recency, frequency and money'
SELECT segment, customers, orders, round(net_sales, 2) AS net_sales, round(aov, 2) AS "order value"
FROM average_order_value_by_segment(:'the_end')
ORDER BY net_sales DESC;

\echo 'What a customer of each month''s cohort was worth after so many months'
SELECT to_char(cohort_month, 'YYYY-MM') AS cohort, cohort_size AS customers,
       max(round(cumulative_clv_per_customer)) FILTER (WHERE months_since = 0) AS "0",
       max(round(cumulative_clv_per_customer)) FILTER (WHERE months_since = 1) AS "1",
       max(round(cumulative_clv_per_customer)) FILTER (WHERE months_since = 2) AS "2",
       max(round(cumulative_clv_per_customer)) FILTER (WHERE months_since = 4) AS "4",
       max(round(cumulative_clv_per_customer)) FILTER (WHERE months_since = 6) AS "6",
       max(round(cumulative_clv_per_customer)) FILTER (WHERE months_since = 9) AS "9",
       max(round(cumulative_clv_per_customer)) FILTER (WHERE months_since = 12) AS "12"
FROM lifetime_value_by_cohort()
GROUP BY 1, 2
ORDER BY 1;

SELECT count(*) > 0 AS has_campaigns FROM campaign \gset
\if :has_campaigns
\echo 'Campaigns: what was attributed to them, and all sales of their days against as many days before'
SELECT campaign_name, first_day, last_day, orders, customers, new_customers AS "new", net_sales, round(aov, 2) AS "order value",
       round(100 * share_of_sales, 1) AS "% of sales", net_sales_outside AS "outside", round(100 * change_of_sales, 1) AS "all sales, %"
FROM campaign_effectiveness
WHERE is_over
ORDER BY first_day;
\else
\echo 'Campaigns: the file tells of none.'
\echo
\endif

\echo 'Stock that runs out first at the pace of the last four weeks (what lay there at first is an ASSUMPTION where a file was loaded)'
SELECT l.store_id AS store, l.product_id, p.product_title, l.on_hand, round(l.mean_daily_sales, 1) AS "sold a day",
       round(l.days_of_supply, 1) AS "days of supply", l.last_movement
FROM inventory_levels l JOIN product_current p USING (product_id)
WHERE l.on_hand > 0 AND l.mean_daily_sales >= 1
ORDER BY l.days_of_supply, l.store_id, l.product_id
LIMIT 8;

\echo 'A product and its list price over time'
SELECT product_title, unit_price, valid_from::date, valid_to::date
FROM product
WHERE product_id = (SELECT product_id FROM product GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1)
ORDER BY product.valid_from;
