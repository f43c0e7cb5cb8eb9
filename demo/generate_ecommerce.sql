-- Fills an empty e-commerce model on the search_path with a SYNTHETIC shop:
--
--   psql -v ON_ERROR_STOP=1 -v scale=1 -c 'SET search_path = ecommerce, ecomsocial, public' -f demo/generate_ecommerce.sql
--
-- One year, 2024, of 5,000 customers, 500 products and about 65,000 order lines for each unit of scale, the same rows
-- on every machine.  A few customers and products make most of the sales; customers move, come and stay away; prices
-- change; lines come back; campaigns overlap, and some of their sales fall outside of them; one line in a hundred
-- arrives late, after lines of later days.
\if :{?scale} \else \set scale 1 \endif
SELECT clock_timestamp() AS step_began, round(5000 * :scale) AS customers, round(500 * :scale) AS products \gset
\ir hash.sql
BEGIN;
SET LOCAL work_mem = '64MB';
SET LOCAL TimeZone = 'UTC';

INSERT INTO product_category (product_category_id, category_name, parent_category_id) VALUES
    (1, 'Home', NULL), (2, 'Fashion', NULL), (3, 'Electronics', NULL),
    (11, 'Kitchen', 1), (12, 'Furniture', 1), (13, 'Lighting', 1),
    (21, 'Clothing', 2), (22, 'Shoes', 2), (23, 'Accessories', 2),
    (31, 'Audio', 3), (32, 'Computers', 3),
    (111, 'Cookware', 11), (112, 'Tableware', 11), (311, 'Headphones', 31), (321, 'Laptops', 32);
SELECT setval(pg_get_serial_sequence('product_category', 'product_category_id'), 321) \g /dev/null

-- Prices from a few to a few hundred; up to six changes in the year, of which some only reword the title.
CREATE TEMP TABLE product_version ON COMMIT DROP AS
SELECT product_id, nth, category.id AS product_category_id,
       '2023-01-01'::timestamptz + floor(pg_temp.u(product_id, 1) * 365) * interval '1 day' AS created_at,
       CASE nth WHEN 0 THEN '2023-01-01'::timestamptz + floor(pg_temp.u(product_id, 1) * 365) * interval '1 day'
                ELSE '2024-01-01'::timestamptz + floor((nth - 1 + pg_temp.u(product_id, nth, 2)) * 60) * interval '1 day' END AS valid_from,
       round((4 + 3 * pg_temp.wait(pg_temp.u(product_id, 3)) ^ 2 * CASE category.id / 100 WHEN 3 THEN 20 ELSE 4 END)::numeric
             * CASE WHEN nth % 3 = 2 THEN 1 ELSE 1 + round(0.12 * nth + 0.1 * pg_temp.u(product_id, nth, 4)::numeric, 2) END, 2) AS unit_price,
       initcap(pg_temp.pick('{plain,fine,light,solid,small,grand,classic,modern}', pg_temp.u(product_id, 5))) || ' '
           || category.name || ' ' || product_id || CASE WHEN nth % 3 = 2 THEN ' (new)' ELSE '' END AS product_title,
       pg_temp.pick('{Alder,Birch,Cedar,Dogwood,Elm,Fir,Hazel,Juniper}', pg_temp.u(product_id, 6)) AS product_brand
FROM generate_series(1, :products) AS product_id,
     LATERAL (SELECT (array[12, 13, 21, 22, 23, 111, 112, 311, 321])[1 + floor(pg_temp.u(product_id, 7) * 9)::integer] AS id) AS pick,
     LATERAL (SELECT product_category_id AS id, lower(category_name) AS name FROM product_category WHERE product_category_id = pick.id) AS category,
     generate_series(0, floor(7 * pg_temp.u(product_id, 8) ^ 3)::integer) AS nth;
SELECT format('products: %s, changed %s times', inserted, changed) AS step
FROM scd2_merge('product', 'SELECT product_id, product_title, product_brand, product_category_id, unit_price, ''SKU-'' || product_id AS sku,
                                   created_at, valid_from AS updated_at
                            FROM product_version')
\gset
SELECT setval(pg_get_serial_sequence('product', 'product_id'), :products) \g /dev/null
\ir step.sql

-- A customer comes on some day, buys at a rate of their own (a few often, most seldom), and stays away for good after a while.
CREATE TEMP TABLE shopper ON COMMIT DROP AS
SELECT customer_id, came, least(365 - came, 20 + 150 * pg_temp.wait(pg_temp.u(customer_id, 11))) AS stays,
       0.015 / (0.05 + pg_temp.u(customer_id, 12)) AS rate
FROM generate_series(1, :customers) AS customer_id,
     LATERAL (SELECT greatest(0, 365 * (1.3 * pg_temp.u(customer_id, 13) - 0.3)) AS came) AS c;
CREATE TEMP TABLE customer_version ON COMMIT DROP AS
SELECT customer_id, nth,
       '2024-01-01'::timestamptz + floor(came + nth * (1 + 200 * pg_temp.u(customer_id, nth, 14))) * interval '1 day' AS valid_from,
       pg_temp.pick('{Ann,Ben,Cai,Dora,Emil,Fay,Gus,Hana,Ivo,Jo,Kim,Lea}', pg_temp.u(customer_id, 15)) AS first_name,
       pg_temp.pick('{Archer,Baker,Carter,Draper,Fisher,Glover,Hooper,Mason,Potter,Sawyer}', pg_temp.u(customer_id, 16)) AS last_name,
       18 + floor(60 * pg_temp.u(customer_id, 17) ^ 1.5)::integer AS customer_age,
       pg_temp.pick('{Lyon/Rhone/France,Paris/Paris/France,Leeds/Yorkshire/United Kingdom,London/London/United Kingdom,Porto/Norte/Portugal,Berlin/Berlin/Germany,Kiel/Holstein/Germany,Oslo/Oslo/Norway}',
                    (pg_temp.u(customer_id, 18) + nth / 8.0)::numeric % 1) AS place
FROM shopper, generate_series(0, floor(1.2 * pg_temp.u(customer_id, 19))::integer) AS nth;
SELECT format('customers: %s, changed %s times; campaigns', inserted, changed) AS step
FROM scd2_merge('customer', 'SELECT customer_id, first_name, last_name, lower(first_name || ''.'' || last_name) || customer_id || ''@example.org'' AS email,
                                    split_part(place, ''/'', 1) AS city, split_part(place, ''/'', 2) AS state, split_part(place, ''/'', 3) AS country,
                                    customer_age, valid_from AS updated_at
                             FROM customer_version')
\gset
SELECT setval(pg_get_serial_sequence('customer', 'customer_id'), :customers) \g /dev/null

INSERT INTO campaign (campaign_id, campaign_name, campaign_start_time, campaign_end_time, campaign_description) VALUES
    (1, 'New year clearance', '2024-01-05', '2024-01-20', '15 % off what is left'),
    (2, 'Spring mailing', '2024-03-10', '2024-04-01', '10 % for subscribers'),
    (3, 'Summer festival', '2024-06-15', '2024-07-15', '10 % off'),
    (4, 'Back to school', '2024-07-10', '2024-09-01', 'overlaps the summer festival'),
    (5, 'Winter gifts', '2024-11-20', NULL, 'no end set');
SELECT setval(pg_get_serial_sequence('campaign', 'campaign_id'), 5) \g /dev/null
\ir step.sql

-- Orders, then their lines.  More is bought before Christmas; every tenth order is of a guest.
CREATE TEMP TABLE orders ON COMMIT DROP AS
SELECT row_number() OVER (ORDER BY customer_id, nth) AS order_id, customer_id AS shopper_id,
       CASE WHEN pg_temp.u(customer_id, nth, 21) >= 0.1 THEN customer_id END AS customer_id,
       '2024-01-01'::timestamptz + (came + stays * pg_temp.u(customer_id, nth, 22)
                                    ^ CASE WHEN came + stays >= 364 THEN 0.8 ELSE 1 END) * interval '1 day' AS order_time,
       1 + floor(5 * pg_temp.u(customer_id, 23))::bigint AS store_id,
       1 + least(20, floor(1.5 * pg_temp.wait(pg_temp.u(customer_id, nth, 24))))::integer AS lines
FROM shopper, generate_series(1, 1 + floor(rate * stays)::integer) AS nth;

CREATE TEMP TABLE sale ON COMMIT DROP AS
SELECT o.order_id * 32 + line_number AS id, o.order_id, o.order_time, o.customer_id, o.store_id, line_number,
       1 + floor(:products * pg_temp.u(o.order_id, line_number, 31) ^ 2.5)::bigint AS product_id,
       1 + floor(CASE WHEN pg_temp.u(o.shopper_id, 32) < 0.02 THEN 30 ELSE 0.7 END
                 * pg_temp.wait(pg_temp.u(o.order_id, line_number, 33)))::integer AS count,
       CASE WHEN pg_temp.u(o.order_id, 34) < 0.35 THEN
           (SELECT campaign_id FROM campaign       -- the page stays open for two days after the campaign
            WHERE campaign_start_time <= o.order_time AND coalesce(campaign_end_time, 'infinity') + interval '2 days' > o.order_time
            ORDER BY campaign_start_time DESC LIMIT 1) END AS campaign_id
FROM orders o, generate_series(1, lines) AS line_number;

CREATE TEMP TABLE line ON COMMIT DROP AS
SELECT s.*, p.product_category_id, p.unit_price, s.count * p.unit_price AS amt,
       CASE WHEN campaign_id IS NULL THEN 0 ELSE round(s.count * p.unit_price * CASE campaign_id WHEN 1 THEN 0.15 ELSE 0.10 END, 2) END AS discount,
       CASE line_number WHEN 1 THEN 4.90 ELSE 0 END AS shipping_amt
FROM sale s JOIN product p USING (product_id)
WHERE valid_from <= order_time AND valid_to > order_time;
-- One line in fifteen comes back within six weeks, some of it or all.
INSERT INTO line
SELECT id + 16 * 32 * (SELECT max(order_id) FROM orders), order_id, order_time + 42 * pg_temp.u(id, 41) * interval '1 day', customer_id, store_id,
       line_number + 100, product_id, -back, campaign_id, product_category_id, unit_price, -back * unit_price,
       -round(discount * back / count, 2), 0
FROM line, LATERAL (SELECT 1 + floor(count * pg_temp.u(id, 42))::integer AS back) AS b
WHERE pg_temp.u(id, 43) < 1.0 / 15 AND order_time + 42 * pg_temp.u(id, 41) * interval '1 day' < '2025-01-01';

INSERT INTO order_line (order_id, order_time, customer_id, campaign_id, store_id, product_id, product_category_id, count, amt,
                        discount, unit_price_at_purchase, tax_amt, shipping_amt, line_number)
SELECT order_id, order_time, customer_id, campaign_id, store_id, product_id, product_category_id, count, amt,
       discount, unit_price, round((amt - discount) * 0.2, 2), shipping_amt, line_number
FROM line
ORDER BY pg_temp.u(id, 51) < 0.01, order_time, id;
\set step 'order lines'
\ir step.sql

-- Stock: what is sold and returned, a delivery every month of about what the month will sell, breakage, two counts a year.
INSERT INTO inventory_event (event_type, event_time, store_id, product_id, quantity_change, reference_order_id)
SELECT event_type, event_time, store_id, product_id, quantity_change, order_id
FROM (
    SELECT CASE WHEN count > 0 THEN 'sale' ELSE 'return' END AS event_type, order_time AS event_time, store_id, product_id,
           -count AS quantity_change, order_id, id
    FROM line
    UNION ALL
    SELECT 'receipt', month, store_id, product_id, 1 + ceil(sold * (0.7 + 0.7 * pg_temp.u(product_id, store_id, 61)))::integer, NULL, product_id
    FROM (SELECT date_trunc('month', order_time) AS month, store_id, product_id, sum(count) AS sold
          FROM line WHERE count > 0 GROUP BY 1, 2, 3) m
    UNION ALL
    SELECT 'write_off', order_time + interval '1 hour', store_id, product_id, -1, NULL, id
    FROM line WHERE count < 0 AND pg_temp.u(id, 62) < 0.1
    UNION ALL
    SELECT 'stocktake', counted, store_id, product_id, floor(10 * pg_temp.wait(pg_temp.u(product_id, store_id, 63)))::integer, NULL, product_id
    FROM (SELECT DISTINCT store_id, product_id FROM line) k, unnest(array['2024-06-30 22:00', '2024-12-31 22:00']::timestamptz[]) AS counted
    WHERE pg_temp.u(product_id, store_id, 64) < 0.2
) e
ORDER BY pg_temp.u(id, 51) < 0.01, event_time, event_type, store_id, product_id, id;
\set step 'stock events'
\ir step.sql
COMMIT;
DROP FUNCTION pg_temp.u(bigint, bigint), pg_temp.u(bigint, bigint, bigint), pg_temp.wait(float8), pg_temp.pick(text[], float8);
