-- create_ecommerce(): what it answers, what it refuses, and what its tables do.
\set VERBOSITY terse
SET TimeZone = 'UTC';
SET DateStyle = 'ISO';
SELECT object, try FROM ecomsocial.create_ecommerce('shop', 'Europe/London')
WHERE object IN ('customer_current', 'order_line_as_sold', 'daily_sales_by_category', 'customer_segments()');
SELECT kind, time_zone, options FROM ecomsocial.model WHERE rel = 'shop.order_line'::regclass;

-- Refused, with nothing half-made.
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT * FROM ecomsocial.create_ecommerce('shop');
CREATE SCHEMA taken;
SELECT * FROM ecomsocial.create_ecommerce('taken');
SELECT * FROM ecomsocial.create_ecommerce('s1', time_zone => 'Europe/Atlantis');
SELECT * FROM ecomsocial.create_ecommerce('s1', partition_by => 'week');
SELECT * FROM ecomsocial.create_ecommerce(NULL);
SELECT * FROM ecomsocial.create_ecommerce('s1', snapshots => NULL);
CREATE ROLE regress_shop_guest;
GRANT USAGE ON SCHEMA shop TO regress_shop_guest;
SET ROLE regress_shop_guest;
SELECT * FROM ecomsocial.create_ecommerce('s1');
-- The register is written for owners only, and not by hand.
SELECT ecomsocial.model_register('shop.order_line', 'ecommerce', 'UTC', '{}');
INSERT INTO ecomsocial.model VALUES ('shop.campaign', 'ecommerce', 'UTC', '{}');
SELECT count(*) FROM ecomsocial.model WHERE rel = 'shop.order_line'::regclass;
RESET ROLE;
REVOKE USAGE ON SCHEMA shop FROM regress_shop_guest;
DROP ROLE regress_shop_guest;
SELECT nspname FROM pg_namespace WHERE nspname IN ('s1', 'ecommerce');
\set VERBOSITY terse

-- What a line does not tell comes from the product's version at its time.
SET search_path = shop, public;
INSERT INTO product_category (product_category_id, category_name) VALUES (1, 'mugs'), (2, 'cups');
INSERT INTO product_current (product_id, product_title, product_category_id, unit_price, created_at, updated_at)
VALUES (7, 'mug', 1, 5, '2024-01-01', '2024-01-01');
SELECT changed FROM ecomsocial.scd2_merge('product', $$ SELECT product_id, product_title, 2::bigint AS product_category_id, 6 AS unit_price,
                                                               created_at, '2024-03-01'::timestamptz AS updated_at FROM product $$);
INSERT INTO order_line (order_id, order_time, product_id, count) VALUES (1, '2024-02-29 23:59', 7, 2), (2, '2024-03-01', 7, -2);
INSERT INTO order_line (order_id, order_time, product_id, product_category_id, count, unit_price_at_purchase, amt) VALUES (3, '2024-03-02', 7, 1, 3, 4.995, 14.98);
INSERT INTO order_line (order_id, order_time, product_id, count) VALUES (4, '2023-12-31', 7, 1);
INSERT INTO order_line (order_id, order_time, product_id, count) VALUES (5, '2024-02-01', 8, 1);
SELECT order_id, product_category_id, count, unit_price_at_purchase, amt FROM order_line ORDER BY order_id;

-- Each line once, with the versions of its time, whatever became of them.
SELECT order_id, count, product_title, category_name, list_price, country FROM order_line_as_sold ORDER BY order_id;

-- Money and counts may be negative together, not against one another.
INSERT INTO order_line (order_id, order_time, product_id, count, discount) VALUES (6, '2024-03-03', 7, -1, -0.5);
INSERT INTO order_line (order_id, order_time, product_id, count, discount) VALUES (7, '2024-03-03', 7, -1, 0.5);
INSERT INTO order_line (order_id, order_time, product_id, count) VALUES (7, '2024-03-03', 7, 0);
INSERT INTO order_line (order_id, order_time, product_id, count, unit_price_at_purchase, amt, product_category_id) VALUES (7, 'infinity', 7, 1, 1, 1, 1);
INSERT INTO order_line (order_id, order_time, product_id, count, unit_price_at_purchase, amt) VALUES (7, '2024-03-03', 9, 1, 1, 1);
INSERT INTO product_category (product_category_id, category_name, parent_category_id) VALUES (3, 'itself', 3);
INSERT INTO campaign (campaign_name, campaign_start_time, campaign_end_time) VALUES ('backwards', '2024-02-01', '2024-01-01');
RESET search_path;

-- A trigger can be left out.
SELECT count(*) FROM ecomsocial.create_ecommerce('plain', fill_from_product => false) WHERE object = 'order_line_as_sold';
INSERT INTO plain.product_current (product_id, unit_price, created_at, updated_at) VALUES (7, 5, '2024-01-01', '2024-01-01');
INSERT INTO plain.order_line (order_id, order_time, product_id, count) VALUES (1, '2024-02-01', 7, 1);

-- A partition takes over what waited for it in the default one.
SELECT count(*) FROM ecomsocial.create_ecommerce('parted', 'Europe/London', 'month') WHERE object = 'order_line_as_sold';
INSERT INTO parted.inventory_event (event_type, event_time, product_id, quantity_change)
SELECT 'receipt', at, 7, 1 FROM unnest(array['2024-03-31 22:59', '2024-03-31 23:00', '2024-04-30 22:59', '2024-04-30 23:00']::timestamptz[]) at;
INSERT INTO parted.product_current (product_id, created_at, updated_at) VALUES (7, '2024-01-01', '2024-01-01');
INSERT INTO parted.inventory_event (event_type, event_time, product_id, quantity_change)
SELECT 'receipt', at, 7, 1 FROM unnest(array['2024-03-31 22:59', '2024-03-31 23:00', '2024-04-30 22:59', '2024-04-30 23:00']::timestamptz[]) at;
SELECT * FROM ecomsocial.add_partitions('parted.inventory_event', '2024-04-15', '2024-04-16');
SELECT tableoid::regclass, event_time FROM parted.inventory_event ORDER BY event_time;
INSERT INTO parted.inventory_event (event_type, event_time, product_id, quantity_change) VALUES ('sale', '2024-04-02', 7, -1)
RETURNING tableoid::regclass, inventory_event_id;
SELECT * FROM ecomsocial.add_partitions('parted.campaign', '2024-01-01', '2024-02-01');
SELECT * FROM ecomsocial.add_partitions('shop.order_line', '2024-01-01', '2024-02-01');
SELECT * FROM ecomsocial.add_partitions('parted.order_line', '2024-02-01', '2024-01-01');
SELECT * FROM ecomsocial.add_partitions('parted.order_line', '-infinity', '2024-01-01');

-- A dropped model leaves no row behind once another is made.
SET client_min_messages = warning;
DROP SCHEMA shop, plain, parted CASCADE;
SELECT count(*) FROM ecomsocial.create_ecommerce('last') WHERE object = 'order_line_as_sold';
SELECT rel FROM ecomsocial.model;
DROP SCHEMA last CASCADE;
DROP SCHEMA taken;

-- Adopting is for the tables of a model that is registered no more (what it does then: test/t/life.pl)
SELECT count(*) FROM ecomsocial.create_ecommerce('kept') WHERE object = 'order_line_as_sold';
SELECT * FROM ecomsocial.adopt_ecommerce('kept');
SELECT * FROM ecomsocial.adopt_ecommerce('nowhere');
SELECT * FROM ecomsocial.adopt_social('kept');
DROP SCHEMA kept CASCADE;
