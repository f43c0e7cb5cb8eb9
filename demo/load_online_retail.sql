-- Loads the UCI data set "Online Retail" (CSV on standard input) into an empty e-commerce model on the search_path,
-- fastest before ecommerce_foreign_keys():
--
--   zcat online_retail.csv.gz | psql -v ON_ERROR_STOP=1 -c 'SET search_path = ecommerce, ecomsocial, public' \
--                                    -f demo/load_online_retail.sql
--
-- Every line of the file becomes one of these, and the table printed at the end counts them:
--   product   an order line of a product
--   service   an order line outside stock and product reports: fees, discounts, vouchers, samples, manual corrections
--   shipping  shipping_amt of the first line of its invoice
--   postage   an order line of a service product: shipping in an invoice that holds nothing else
--   stock     no sale at all but a movement of stock: damages, finds, corrections

SELECT clock_timestamp() AS step_began \gset
BEGIN;
SET LOCAL work_mem = '192MB';

CREATE TEMP TABLE raw (
    line     integer GENERATED ALWAYS AS IDENTITY,
    invoice  text,
    code     text,
    title    text,
    quantity integer,
    at       timestamp,
    price    numeric,
    customer text,
    country  text
) ON COMMIT DROP;
\copy raw (invoice, code, title, quantity, at, price, customer, country) FROM pstdin (FORMAT csv, HEADER)
ANALYZE raw;
\set step 'read the file'
\ir step.sql

-- Keys: an invoice is its digits (C536379 is the cancellation 536379), a product its code in one case.
CREATE TEMP TABLE clean ON COMMIT DROP AS
SELECT line, order_id, cancelled, sku, t.title, quantity, at AS local_time, at AT TIME ZONE 'Europe/London' AS order_time,
       price, quantity * price AS amt, split_part(customer, '.', 1)::bigint AS customer_id, country,
       row_number() OVER (PARTITION BY order_id ORDER BY line)::integer AS line_number,
       bool_and(sku IN ('POST', 'DOT', 'C2')) OVER (PARTITION BY order_id) AS only_shipping
FROM (SELECT *, ltrim(invoice, 'AC')::bigint AS order_id, invoice LIKE 'C%' AS cancelled, upper(code) AS sku FROM raw) r
LEFT JOIN (SELECT title AS raw_title, nullif(regexp_replace(btrim(title), '\s+', ' ', 'g'), '') AS title
           FROM raw WHERE title IS NOT NULL GROUP BY title) t ON t.raw_title = r.title;
ANALYZE clean;

-- Only paid lines name a product: '?', 'check' and 'damages' stand on the others.
CREATE TEMP TABLE paid_title ON COMMIT DROP AS
SELECT sku, date_trunc('month', local_time) AS month, title, count(*) AS lines
FROM clean
WHERE price > 0 AND quantity > 0 AND title IS NOT NULL
GROUP BY 1, 2, 3;
ANALYZE paid_title;

-- The keepers of the stock write lines without price and customer whose quantity is the change of stock: those
-- below zero that are no cancellation, and those above zero whose text is no title ('found').
CREATE TEMP TABLE stock_line ON COMMIT DROP AS
SELECT line
FROM clean c
WHERE price = 0 AND customer_id IS NULL AND NOT cancelled
  AND (quantity < 0 OR title IS NULL OR NOT EXISTS (SELECT FROM paid_title p WHERE p.sku = c.sku AND p.title = c.title));
ANALYZE stock_line;

CREATE TEMP VIEW line AS
SELECT c.*,
       CASE
           WHEN sku IN ('POST', 'DOT', 'C2') THEN CASE WHEN only_shipping THEN 'postage' ELSE 'shipping' END
           WHEN sku IN ('D', 'M', 'S', 'B', 'AMAZONFEE', 'BANK CHARGES', 'CRUK', 'PADS') OR sku LIKE 'GIFT%' THEN 'service'
           WHEN s.line IS NOT NULL THEN 'stock'
           ELSE 'product'
       END AS kind
FROM clean c LEFT JOIN stock_line s USING (line);
\set step 'sorted its lines into products, services, shipping and stock'
\ir step.sql

-- Categories are not in the file.  These are derived from words of the title: the first rule that fits.
INSERT INTO product_category (product_category_id, category_name, parent_category_id) VALUES
    (1, 'Goods (derived from title words)', NULL),
    (2, 'Services', NULL), (3, 'Postage', 2),
    (10, 'Home', 1), (11, 'Kitchen and dining', 1), (12, 'Gifts and occasions', 1), (13, 'Personal', 1),
    (14, 'Children', 1), (15, 'Garden and outdoor', 1), (16, 'Other goods', 1),
    (101, 'Lights and candles', 10), (102, 'Decoration', 10), (103, 'Storage', 10), (104, 'Clocks, frames and signs', 10),
    (111, 'Baking', 11), (112, 'Tea and coffee', 11), (113, 'Tableware', 11),
    (121, 'Christmas', 12), (122, 'Easter', 12), (123, 'Cards and wrapping', 12), (124, 'Party', 12),
    (131, 'Bags', 13), (132, 'Jewellery', 13), (133, 'Stationery', 13), (134, 'Warmth and comfort', 13);
SELECT setval(pg_get_serial_sequence('product_category', 'product_category_id'), 134) \g /dev/null

CREATE TEMP TABLE category_rule (
    rule                integer GENERATED ALWAYS AS IDENTITY,
    pattern             text,
    product_category_id bigint
) ON COMMIT DROP;
INSERT INTO category_rule (pattern, product_category_id) VALUES
    ('CHRISTMAS|XMAS|ADVENT|SANTA|REINDEER|SNOWFLAKE|SNOWMAN', 121),
    ('\mEASTER', 122),
    ('\m(NECKLACE|BRACELET|EARRINGS?|BROOCH|BANGLE|JEWEL\w*|DIAMANTE|HAIR|RINGS?|CHARM|TIARA)\M', 132),
    ('\m(BAGS?|HANDBAG|PURSE|SHOPPER|RUCKSACK|BACKPACK|SATCHEL)\M', 131),
    ('HOT WATER BOTTLE|HAND WARMER|\m(CUSHION|THROW|BLANKET|SLIPPERS|SCARF|SHAWL)\M', 134),
    ('\m(CARDS?|WRAP|RIBBONS?|TISSUE PAPER|GIFT TAPE|STICKERS?|GIFT TAGS?|ENVELOPES?)\M', 123),
    ('\m(PARTY|BUNTING|BALLOONS?|CONFETTI|GARLAND|PAPER CHAIN|STREAMERS?|BIRTHDAY)\M', 124),
    ('\m(CANDLES?|T-?LIGHTS?|TEALIGHTS?|LIGHTS?|LAMP|LANTERN|CHANDELIER|INCENSE)\M', 101),
    ('\m(CAKE|BAKING|CUPCAKE|COOKIE|JELLY|MIXING|ROLLING PIN|OVEN GLOVES?|PANTRY|JAM|RECIPE)\M', 111),
    ('\m(TEA|TEAPOT|TEACUP|COFFEE|MUGS?|CUPS?|COSY)\M', 112),
    ('\m(BOWLS?|PLATES?|DISH|GLASS(ES)?|CUTLERY|TRAY|NAPKINS?|JUG|LUNCH|COASTERS?|PLACEMATS?|TABLECLOTH|DOIL(Y|IES)|TUMBLER)\M', 113),
    ('\m(KITCHEN|APRON|CHOPPING|BOTTLES?)\M', 11),
    ('\m(BOX|BOXES|DRAWERS?|CABINET|STORAGE|BASKETS?|TINS?|JARS?|HOOKS?|HANGERS?|RACK|SHELF|KNOB|TRINKET)\M', 103),
    ('\m(CLOCK|FRAMES?|SIGN|MIRROR|PICTURE|BLACKBOARD|CHALKBOARD|WALL ART|DOORMAT)\M', 104),
    ('\m(PENS?|PENCILS?|NOTEBOOK|JOURNAL|PAPER|ERASER|RUBBER|MAGNETS?|TAPE|STAMP|SCRAPBOOK|BOOK)\M', 133),
    ('\m(TOY|GAMES?|JIGSAW|DOLL|DOLLY|TEDDY|PLAYING|CHILDRENS?|CHILDS|KIDS|BABY|SPACEBOY|SOLDIER|PLAYHOUSE|FELTCRAFT)\M', 14),
    ('\m(GARDEN|WATERING|PLANT|PLANTER|FLOWER POT|PARASOL|PICNIC|BIRD|BEACH|DECKCHAIR|HERB)\M', 15),
    ('\m(DECORATION|HEARTS?|HANGING|WREATH|ORNAMENT|VASE|FLOWERS?|ANGEL|BELLS?|CERAMIC|ZINC|METAL|WOODEN|BIRDCAGE)\M', 102),
    ('', 16);

CREATE TEMP TABLE product_key ON COMMIT DROP AS
WITH key AS (
    SELECT sku, min(order_time) AS created_at, min(kind) AS kind FROM line WHERE kind <> 'shipping' GROUP BY sku
), title AS (
    SELECT DISTINCT ON (sku) sku, title
    FROM (SELECT sku, title, sum(lines) AS lines FROM paid_title GROUP BY 1, 2) p
    ORDER BY sku, lines DESC, title
)
SELECT row_number() OVER (ORDER BY sku) AS product_id, sku, created_at,
       CASE kind
           WHEN 'postage' THEN 3
           WHEN 'service' THEN 2
           ELSE (SELECT product_category_id FROM category_rule WHERE upper(coalesce(title, '')) ~ pattern ORDER BY rule LIMIT 1)
       END AS product_category_id
FROM key LEFT JOIN title USING (sku);
ANALYZE product_key;

-- What does not change makes no version, so every month that tells something may be given to the merge.
-- A product has the title of most paid lines of a month, and as list price what most lines of known customers paid in
-- a month, none where it has no such line.  (Retail and wholesale prices stand side by side in the file, so consecutive prices tell of no change.)
CREATE TEMP TABLE product_version ON COMMIT DROP AS
WITH title AS (
    SELECT DISTINCT ON (sku, month) sku, month, title
    FROM paid_title
    ORDER BY sku, month, lines DESC, title
), price AS (
    SELECT DISTINCT ON (sku, month) sku, month, price
    FROM (SELECT sku, date_trunc('month', local_time) AS month, price, count(*) AS lines
          FROM line
          WHERE kind = 'product' AND price > 0 AND quantity > 0 AND customer_id IS NOT NULL
          GROUP BY 1, 2, 3) p
    ORDER BY sku, month, lines DESC, price
), told AS (        -- a row for each month that tells a title or a price, and how many of each were told until then
    SELECT product_id, created_at, month, title, price,
           row_number() OVER w AS nth, count(title) OVER w AS titles, count(price) OVER w AS prices
    FROM product_key
    LEFT JOIN (title FULL JOIN price USING (sku, month)) USING (sku)
    WINDOW w AS (PARTITION BY product_id ORDER BY month)
), filled AS (      -- what a month does not tell is as in the month before; the first version begins with the product
    SELECT product_id,
           CASE nth WHEN 1 THEN created_at ELSE month AT TIME ZONE 'Europe/London' END AS valid_from,
           max(title) OVER (PARTITION BY product_id, greatest(titles, 1)) AS title,
           max(price) OVER (PARTITION BY product_id, greatest(prices, 1)) AS price
    FROM told
)
SELECT product_id, title AS product_title, product_category_id, price AS unit_price, sku, created_at, valid_from AS updated_at
FROM filled JOIN product_key USING (product_id);

SELECT format('products with the history of their titles and list prices: %s, changed %s times', inserted, changed) AS step
FROM scd2_merge('product', 'product_version'::regclass)
\gset
SELECT setval(pg_get_serial_sequence('product', 'product_id'), max(product_id)) FROM product_key \g /dev/null
\ir step.sql

-- Of a customer the file tells the country only.
CREATE TEMP TABLE customer_version ON COMMIT DROP AS
SELECT DISTINCT ON (customer_id, order_time) customer_id, country, order_time AS updated_at     -- the last line of a moment decides
FROM line
WHERE customer_id IS NOT NULL
ORDER BY customer_id, order_time, line DESC;

SELECT format('customers with the history of their countries: %s, changed %s times', inserted, changed) AS step
FROM scd2_merge('customer', 'customer_version'::regclass)
\gset
SELECT setval(pg_get_serial_sequence('customer', 'customer_id'), max(customer_id)) FROM customer_version \g /dev/null
\ir step.sql

INSERT INTO order_line (order_id, order_time, customer_id, store_id, product_id, product_category_id, count, amt,
                        unit_price_at_purchase, shipping_amt, line_number)
SELECT order_id, order_time, customer_id, 1, product_id, product_category_id, quantity, amt, price,
       CASE line_number WHEN min(line_number) OVER (PARTITION BY order_id) THEN coalesce(shipping, 0) ELSE 0 END,
       line_number
FROM line
JOIN product_key USING (sku)
LEFT JOIN (SELECT order_id, sum(amt) AS shipping FROM line WHERE kind = 'shipping' GROUP BY order_id) s USING (order_id)
WHERE kind IN ('product', 'service', 'postage')
ORDER BY line;
\set step 'order lines'
\ir step.sql

CREATE TEMP TABLE movement ON COMMIT DROP AS
SELECT line, product_id, order_time AS event_time,
       CASE kind WHEN 'product' THEN order_id END AS order_id,
       CASE kind WHEN 'product' THEN -quantity ELSE quantity END AS quantity_change,
       CASE
           WHEN kind = 'product' THEN CASE WHEN quantity > 0 THEN 'sale' ELSE 'return' END
           WHEN quantity < 0 AND title ~* 'dama|dagam|throw|unsal|destr|wet|rust|smash|smudge|crush|brok|break|mould|lost|missing'
               THEN 'write_off'
           ELSE 'adjustment'
       END AS event_type
FROM line JOIN product_key USING (sku)
WHERE kind IN ('product', 'stock');

-- The file tells of no receipt.  ASSUMPTION: before its first line there lay as much of each product as it is ever short of.
INSERT INTO inventory_event (event_type, event_time, store_id, product_id, quantity_change)
SELECT 'stocktake', '2010-12-01 00:00 Europe/London', 1, product_id, -min(balance)
FROM (SELECT product_id, sum(quantity_change) OVER (PARTITION BY product_id ORDER BY event_time, line) AS balance FROM movement) b
GROUP BY product_id
HAVING min(balance) < 0
ORDER BY product_id;
INSERT INTO inventory_event (event_type, event_time, store_id, product_id, quantity_change, reference_order_id)
SELECT event_type, event_time, 1, product_id, quantity_change, order_id
FROM movement
ORDER BY line;
\set step 'stock events'
\ir step.sql

-- Where the lines of the file went.  The left half is computed from the file, the rest from the tables of the model.
CREATE TEMP TABLE reconciliation ON COMMIT DROP AS
WITH file AS (
    SELECT date_trunc('month', at)::date AS month, count(*) AS lines, sum(quantity) AS units, sum(quantity * price) AS amount
    FROM raw
    GROUP BY 1
), sold AS (
    SELECT date_trunc('month', order_time AT TIME ZONE 'Europe/London')::date AS month, sum(count) AS units,
           count(*) FILTER (WHERE product_category_id NOT IN (2, 3)) AS product_lines,
           count(*) FILTER (WHERE product_category_id IN (2, 3)) AS service_lines,
           sum(amt) FILTER (WHERE product_category_id NOT IN (2, 3)) AS product_amount,
           sum(amt) FILTER (WHERE product_category_id IN (2, 3)) AS service_amount,
           sum(shipping_amt) AS shipping_amount
    FROM order_line
    GROUP BY 1
), moved AS (
    SELECT date_trunc('month', event_time AT TIME ZONE 'Europe/London')::date AS month,
           count(*) AS lines, sum(quantity_change) AS units
    FROM inventory_event
    WHERE event_type IN ('write_off', 'adjustment')
    GROUP BY 1
), shipped AS (
    SELECT date_trunc('month', local_time)::date AS month, count(*) AS lines, sum(quantity) AS units
    FROM line
    WHERE kind = 'shipping'
    GROUP BY 1
)
SELECT to_char(month, 'YYYY-MM') AS month, f.lines, f.units, f.amount,
       product_lines, service_lines, coalesce(s.lines, 0) AS shipping_lines, coalesce(m.lines, 0) AS stock_lines,
       product_amount, coalesce(service_amount, 0) AS service_amount, shipping_amount,
       f.lines - product_lines - service_lines - coalesce(s.lines, 0) - coalesce(m.lines, 0) AS lost_lines,
       f.units - o.units - coalesce(s.units, 0) - coalesce(m.units, 0) AS lost_units,
       f.amount - product_amount - coalesce(service_amount, 0) - shipping_amount AS lost_amount
FROM file f FULL JOIN sold o USING (month) FULL JOIN moved m USING (month) FULL JOIN shipped s USING (month);

\echo
\echo 'Where the lines of the file went, and its money in GBP; lost are lines / units / money:'
SELECT coalesce(month, 'total') AS month, sum(lines) AS lines, sum(product_lines) AS product, sum(service_lines) AS service,
       sum(shipping_lines) AS shipping, sum(stock_lines) AS stock, round(sum(amount), 2) AS money,
       round(sum(product_amount), 2) AS product, round(sum(service_amount), 2) AS service, round(sum(shipping_amount), 2) AS shipping,
       format('%s / %s / %s', sum(lost_lines), sum(lost_units), round(sum(lost_amount), 2)) AS lost
FROM reconciliation
GROUP BY ROLLUP (month)
ORDER BY month NULLS LAST;
DO $$
BEGIN
    IF EXISTS (SELECT FROM reconciliation WHERE (lost_lines, lost_units, lost_amount) IS DISTINCT FROM (0::bigint, 0::bigint, 0::numeric)) THEN
        RAISE EXCEPTION 'the model and the file differ';
    END IF;
END
$$;
SELECT format('ASSUMPTION in the stock: an opening stocktake of %s units of %s products, since the file tells of no receipt.',
              to_char(sum(quantity_change), 'FM999,999,999'), to_char(count(*), 'FM999,999')) AS note
FROM inventory_event
WHERE event_type = 'stocktake'
\gset
\echo :note
COMMIT;
