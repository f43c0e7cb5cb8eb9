-- What the demo prints of a shop: a title, a statement, and so on.
\pset footer off
\pset null '-'

\echo 'Sales of each month: returns beside gross, net after discounts and returns'
SELECT to_char(order_time AT TIME ZONE m.time_zone, 'YYYY-MM') AS month,
       count(DISTINCT order_id) FILTER (WHERE count > 0 AND amt > 0) AS orders,
       count(DISTINCT customer_id) AS customers,
       sum(amt) FILTER (WHERE count > 0) AS gross,
       sum(discount) FILTER (WHERE count > 0) AS discount,
       sum(amt - discount) FILTER (WHERE count < 0) AS returns,
       sum(amt - discount) AS net_sales
FROM order_line, model m
WHERE m.rel = 'order_line'::regclass
GROUP BY 1
ORDER BY 1;

\echo 'Sales by category, each with what lies below it'
WITH RECURSIVE tree AS (
    SELECT product_category_id AS top, product_category_id FROM product_category
    UNION ALL
    SELECT top, c.product_category_id FROM tree t JOIN product_category c ON c.parent_category_id = t.product_category_id
), named AS (
    SELECT product_category_id, category_name AS path, 0 AS depth FROM product_category WHERE parent_category_id IS NULL
    UNION ALL
    SELECT c.product_category_id, n.path || ' / ' || c.category_name, n.depth + 1
    FROM named n JOIN product_category c ON c.parent_category_id = n.product_category_id
)
SELECT repeat('    ', depth) || category_name AS category, count(DISTINCT order_id) AS orders, sum(count) AS units,
       sum(amt - discount) AS net_sales
FROM named n
JOIN product_category c USING (product_category_id)
JOIN tree ON tree.top = n.product_category_id
JOIN order_line l ON l.product_category_id = tree.product_category_id
GROUP BY n.path, depth, category_name
ORDER BY n.path;

\echo 'Customers who bought most'
SELECT c.customer_id, c.country, count(DISTINCT order_id) FILTER (WHERE count > 0) AS orders,
       sum(amt - discount) AS net_sales, max(order_time)::date AS last_seen
FROM order_line JOIN customer_current c USING (customer_id)
GROUP BY 1, 2
ORDER BY net_sales DESC, 1
LIMIT 8;

\echo 'A product and its list price over time'
SELECT product_title, unit_price, valid_from, valid_to
FROM product
WHERE product_id = (SELECT product_id FROM product GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1)
ORDER BY valid_from;
