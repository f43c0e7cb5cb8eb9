-- The e-commerce model: exactly the documented tables and columns, of an ordinary owner.
BEGIN;
SELECT plan(28);
SET LOCAL client_min_messages = warning;

CREATE ROLE shopkeeper;
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO shopkeeper', current_database()); END $$;
SET LOCAL ROLE shopkeeper;
SELECT lives_ok($$ SELECT * FROM ecomsocial.create_ecommerce() $$, 'an ordinary role makes the model');
SELECT lives_ok($$ SELECT * FROM ecomsocial.create_ecommerce('ecommerce_day', partition_by => 'day') $$, 'partitioned by day');
SELECT lives_ok($$ SELECT * FROM ecomsocial.create_ecommerce('ecommerce_month', 'Europe/London', 'month', foreign_keys => false) $$,
                'partitioned by month, without foreign keys');

CREATE TEMP VIEW cols AS
SELECT c.relnamespace::regnamespace::text AS schema, c.relname::text AS rel, c.relkind, c.relispartition,
       string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum) AS columns
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p')
GROUP BY c.oid;
CREATE TEMP TABLE documented (rel text, columns text);
INSERT INTO documented VALUES
('customer', 'customer_id bigint, first_name text, last_name text, email text, phone text, city text, state text, country text, customer_age integer, updated_at timestamp with time zone, is_current boolean, valid_from timestamp with time zone, valid_to timestamp with time zone'),
('product', 'product_id bigint, product_title text, product_brand text, product_category_id bigint, unit_price numeric, sku text, created_at timestamp with time zone, updated_at timestamp with time zone, is_current boolean, valid_from timestamp with time zone, valid_to timestamp with time zone'),
('campaign', 'campaign_id bigint, campaign_name text, campaign_start_time timestamp with time zone, campaign_end_time timestamp with time zone, campaign_description text'),
('product_category', 'product_category_id bigint, category_name text, parent_category_id bigint'),
('order_line', 'line_item_id bigint, order_id bigint, order_time timestamp with time zone, customer_id bigint, campaign_id bigint, store_id bigint, product_id bigint, product_category_id bigint, count integer, amt numeric, discount numeric, unit_price_at_purchase numeric, tax_amt numeric, shipping_amt numeric, line_number integer'),
('inventory_event', 'inventory_event_id bigint, event_type text, event_time timestamp with time zone, store_id bigint, product_id bigint, quantity_change integer, reference_order_id bigint'),
('inventory_snapshot', 'snapshot_date date, store_id bigint, product_id bigint, quantity_on_hand bigint'),
('customer_hub', 'customer_id bigint'),
('product_hub', 'product_id bigint');
SELECT is(c.columns, d.columns, d.rel || ' has the documented columns')
FROM documented d LEFT JOIN cols c ON c.schema = 'ecommerce' AND c.rel = d.rel
ORDER BY d.rel;
SELECT is((SELECT string_agg(DISTINCT schema || '.' || rel, ', ') FROM cols c JOIN documented d USING (rel)
           WHERE schema LIKE 'ecommerce\_%' AND c.columns <> d.columns),
          NULL, 'the options change no column');

CREATE TEMP VIEW uncommented AS
SELECT c.oid::regclass::text AS object
FROM pg_class c
WHERE c.relnamespace::regnamespace::text ~ '^ecommerce' AND c.relkind IN ('r', 'p', 'v') AND c.relname !~ '_live$'
  AND obj_description(c.oid, 'pg_class') IS NULL
UNION ALL
SELECT format('%s.%I', c.oid::regclass, a.attname)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace::regnamespace::text ~ '^ecommerce' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND NOT EXISTS (SELECT FROM ecomsocial.rollups r WHERE r.target = c.oid)
  AND col_description(c.oid, a.attnum) IS NULL;
SELECT is((SELECT string_agg(object, ', ') FROM uncommented), NULL, 'every table, view and column has a comment');
SELECT is((SELECT string_agg(c.oid::regclass::text, ', ') FROM pg_class c
           WHERE c.relnamespace::regnamespace::text ~ '^ecommerce' AND c.relowner <> 'shopkeeper'::regrole),
          NULL, 'everything belongs to the caller');
SELECT is((SELECT string_agg(c.oid::regclass::text, ', ') FROM pg_class c
           JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
           WHERE c.relnamespace::regnamespace::text ~ '^ecommerce'),
          NULL, 'nothing of it belongs to the extension');

SELECT col_is_pk('ecommerce', 'customer', ARRAY['customer_id', 'valid_to'], 'one version of a customer ends at a moment');
SELECT col_is_pk('ecommerce', 'product', ARRAY['product_id', 'valid_to'], 'one version of a product ends at a moment');
SELECT col_is_pk('ecommerce', 'order_line', ARRAY['line_item_id'], 'a line has its id as key');
SELECT col_is_pk('ecommerce_day', 'order_line', ARRAY['line_item_id', 'order_time'], 'a partitioned line has its time in the key');
SELECT set_eq($$ SELECT conrelid::regclass::text || ' > ' || confrelid::regclass FROM pg_constraint
                 WHERE contype = 'f' AND connamespace = 'ecommerce'::regnamespace $$,
              ARRAY['ecommerce.product_category > ecommerce.product_category', 'ecommerce.product > ecommerce.product_category',
                    'ecommerce.order_line > ecommerce.customer_hub', 'ecommerce.order_line > ecommerce.campaign',
                    'ecommerce.order_line > ecommerce.product_hub', 'ecommerce.order_line > ecommerce.product_category',
                    'ecommerce.inventory_event > ecommerce.product_hub'],
              'facts refer to hubs and to the tables that have no versions');
SELECT is((SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND connamespace = 'ecommerce_month'::regnamespace), 0::bigint,
          'foreign_keys => false makes none');

INSERT INTO ecommerce_month.order_line (order_id, order_time, product_id, count, unit_price_at_purchase, amt, product_category_id)
VALUES (1, '2011-01-20', 7, 1, 2, 2, 1);
SELECT throws_ok($$ SELECT ecomsocial.ecommerce_foreign_keys('ecommerce_month') $$, '23503', NULL, 'foreign keys added later find what is wrong');
INSERT INTO ecommerce_month.product_category (product_category_id, category_name) VALUES (1, 'mugs');
INSERT INTO ecommerce_month.product_current (product_id, created_at, updated_at) VALUES (7, '2011-01-01', '2011-01-01');
SELECT lives_ok($$ SELECT ecomsocial.ecommerce_foreign_keys('ecommerce_month') $$, 'and are as good as those made at once');

SELECT is((SELECT count(*) FROM ecomsocial.add_partitions('ecommerce_month.order_line', '2011-01-15', '2011-03-01')), 2::bigint, 'two months, two partitions');
SELECT is((SELECT count(*) FROM ecommerce_month.order_line_p20110101), 1::bigint, 'and the line that waited is in the first');
SELECT is((SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE oid = 'ecommerce_month.order_line_p20110101'::regclass),
          format('FOR VALUES FROM (%L) TO (%L)', '2011-01-01 Europe/London'::timestamptz, '2011-02-01 Europe/London'::timestamptz),
          'a partition is a local month');
SELECT is((SELECT count(*) FROM ecomsocial.add_partitions('ecommerce_month.order_line', '2011-01-15', '2011-03-01')), 0::bigint, 'what is there is not made twice');

SELECT * FROM finish();
ROLLBACK;
