
-- The rollups of the e-commerce model: all that a refresh keeps, declared in the
-- model's schema as ordinary objects of the caller's.  ecommerce_reports() calls
-- these functions in turn.  Definitions of money and orders: docs/models.md.
--
--      order_line ──► sales_daily ──► sales_monthly                     amounts, by category as sold, store, campaign
--          └──► order_daily ──► sales_order (customer_sales, cohort_change, campaign_customer)
--                                   ├──► sales_daily_counts             orders and customers, by category of the
--                                   │        └──► sales_monthly_counts  tree, store, campaign, and in all
--                                   └──► cohort_monthly                 what the customers won in a month bought since
--      inventory_event ──► inventory_change, inventory_snapshot         stock, by the functions of stock_create()
--          │                   └──► inventory_now, stock_out_spell      stock of now, spells without any
--          └──► stock_sales_daily                                       units that left by a sale
--
-- Amounts add up over days and over the tree, so they are kept by leaf.  Orders
-- and customers do not, so they are counted at every level when a day is
-- refreshed, with the tree in category_counted; and an order may have lines on
-- several days, so sales_order puts it together and gives it its one day.

CREATE FUNCTION category_cycle(names text) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'data_exception',
        MESSAGE = 'product categories form a cycle',
        DETAIL = format('Each of these has the next one above it, and the last one the first: %s.', names),
        HINT = 'Set parent_category_id of the one that is at the top to NULL.';
END
$$;
COMMENT ON FUNCTION category_cycle(text)
    IS 'internal: the error 22000 of a tree that is none, with the categories in the cycle';

CREATE FUNCTION category_changed() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('INSERT INTO %I.category_change DEFAULT VALUES', TG_TABLE_SCHEMA);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION category_changed()
    IS 'trigger of product_category: notes that the tree changed, so that the next refresh counts orders and customers by the new one';

CREATE FUNCTION ecommerce_line_rollups(schema name, time_zone text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $rollups$
DECLARE
    amounts constant text := $sql$
        count(*)                                                             AS lines,
        coalesce(sum(l.count) FILTER (WHERE l.count > 0), 0)                 AS units,
        coalesce(sum(l.amt) FILTER (WHERE l.count > 0), 0)                   AS gross,
        coalesce(sum(l.discount) FILTER (WHERE l.count > 0), 0)              AS discount,
        coalesce(-sum(l.count) FILTER (WHERE l.count < 0), 0)                AS returned_units,
        coalesce(sum(l.amt - l.discount) FILTER (WHERE l.count < 0), 0)      AS returns,
        sum(l.tax_amt)                                                       AS tax,
        sum(l.shipping_amt)                                                  AS shipping $sql$;
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);

    PERFORM ecomsocial.rollup_create('sales_daily', '{order_line}', '{order_time}', format($sql$
        SELECT CASE WHEN grouping(l.product_category_id) = 0 THEN 'category'
                    WHEN grouping(l.store_id) = 0 THEN 'store'
                    WHEN grouping(l.campaign_id) = 0 THEN 'campaign' ELSE 'all' END AS dimension,
               CASE WHEN grouping(l.product_category_id) = 0 THEN l.product_category_id
                    WHEN grouping(l.store_id) = 0 THEN l.store_id
                    WHEN grouping(l.campaign_id) = 0 THEN l.campaign_id END AS key,
               %s
        FROM order_line l
        WHERE l.order_time >= $1 AND l.order_time < $2
        GROUP BY GROUPING SETS ((l.product_category_id), (l.store_id), (l.campaign_id), ())
        HAVING (grouping(l.campaign_id) = 1 OR l.campaign_id IS NOT NULL) AND count(*) > 0 $sql$, amounts),
        time_zone => time_zone, bucket_column => 'day', key => '{dimension,key}', nullable_key => true);
    CREATE INDEX ON sales_daily (dimension, key, day);

    PERFORM ecomsocial.rollup_create('sales_monthly', '{sales_daily}', '{day}', $sql$
        SELECT dimension, key, sum(lines)::bigint AS lines, sum(units)::bigint AS units, sum(gross) AS gross, sum(discount) AS discount,
               sum(returned_units)::bigint AS returned_units, sum(returns) AS returns, sum(tax) AS tax, sum(shipping) AS shipping
        FROM sales_daily WHERE day >= $1 AND day < $2 GROUP BY dimension, key $sql$,
        bucket => 'month', time_zone => time_zone, bucket_column => 'month', key => '{dimension,key}', nullable_key => true);

    PERFORM ecomsocial.rollup_create('order_daily', '{order_line}', '{order_time}', format($sql$
        SELECT l.order_id,
               min(l.order_time)                                                                     AS order_time,
               min(l.line_number)                                                                    AS line_number,
               (array_agg(l.customer_id ORDER BY l.line_number, l.line_item_id))[1]                  AS customer_id,
               bool_or(l.count > 0 AND l.amt > 0)                                                    AS is_order,
               %s,
               coalesce(array_agg(DISTINCT l.product_category_id) FILTER (WHERE l.count > 0 AND l.amt > 0), '{}') AS categories,
               coalesce(array_agg(DISTINCT l.store_id) FILTER (WHERE l.count > 0 AND l.amt > 0), '{}')            AS stores,
               coalesce(array_agg(DISTINCT l.campaign_id) FILTER (WHERE l.campaign_id IS NOT NULL), '{}')         AS campaigns
        FROM order_line l
        WHERE l.order_time >= $1 AND l.order_time < $2
        GROUP BY l.order_id $sql$, amounts),
        time_zone => time_zone, bucket_column => 'day', key => '{order_id}');
    CREATE INDEX ON order_daily (order_id);
END
$rollups$;
COMMENT ON FUNCTION ecommerce_line_rollups(name, text)
    IS 'internal: declares what is kept of order lines: amounts by day and month, and the part of each order on a day';

CREATE FUNCTION ecommerce_order_rollups(schema name, time_zone text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $rollups$
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);

    CREATE TABLE sales_order (
        order_id       bigint      PRIMARY KEY,
        day            date        NOT NULL,
        last_day       date        NOT NULL,
        order_time     timestamptz NOT NULL,
        customer_id    bigint,
        is_order       boolean     NOT NULL,
        lines          bigint      NOT NULL,
        units          bigint      NOT NULL,
        gross          numeric     NOT NULL,
        discount       numeric     NOT NULL,
        returned_units bigint      NOT NULL,
        returns        numeric     NOT NULL,
        tax            numeric     NOT NULL,
        shipping       numeric     NOT NULL,
        categories     bigint[]    NOT NULL,
        stores         bigint[]    NOT NULL,
        campaigns      bigint[]    NOT NULL
    );
    CREATE INDEX ON sales_order (day);
    CREATE INDEX ON sales_order (customer_id);
    CREATE INDEX ON sales_order (customer_id, day) INCLUDE (gross, discount, returns) WHERE NOT is_order;
    CREATE INDEX ON sales_order (day, last_day, order_id) WHERE last_day > day;
    COMMENT ON TABLE sales_order IS 'one row for each order_id, kept by refreshes: its day, its customer, its money; returns with an order_id of their own have a row too';
    COMMENT ON COLUMN sales_order.order_id IS 'the order';
    COMMENT ON COLUMN sales_order.day IS 'day of the earliest line, in the reporting time zone: the one day that the order belongs to';
    COMMENT ON COLUMN sales_order.last_day IS 'day of the latest line';
    COMMENT ON COLUMN sales_order.order_time IS 'time of the earliest line';
    COMMENT ON COLUMN sales_order.customer_id IS 'customer of the lowest line_number, NULL where unknown';
    COMMENT ON COLUMN sales_order.is_order IS 'true where a line has count > 0 and amt > 0: only then it counts as an order';
    COMMENT ON COLUMN sales_order.lines IS 'number of lines';
    COMMENT ON COLUMN sales_order.units IS 'units sold';
    COMMENT ON COLUMN sales_order.gross IS 'amt of the lines with count > 0';
    COMMENT ON COLUMN sales_order.discount IS 'discount of the lines with count > 0';
    COMMENT ON COLUMN sales_order.returned_units IS 'units returned, above zero';
    COMMENT ON COLUMN sales_order.returns IS 'amt − discount of the lines with count < 0, zero or below';
    COMMENT ON COLUMN sales_order.tax IS 'tax of all lines';
    COMMENT ON COLUMN sales_order.shipping IS 'shipping of all lines';
    COMMENT ON COLUMN sales_order.categories IS 'categories as sold of the lines with count > 0 and amt > 0; NULL among them for lines without';
    COMMENT ON COLUMN sales_order.stores IS 'stores of the lines with count > 0 and amt > 0';
    COMMENT ON COLUMN sales_order.campaigns IS 'campaigns that any line is attributed to';

    CREATE TABLE customer_sales (
        customer_id      bigint      PRIMARY KEY,
        orders           bigint      NOT NULL,
        first_order_id   bigint,
        first_order_time timestamptz,
        first_order_day  date,
        last_order_time  timestamptz,
        last_order_day   date,
        units            bigint      NOT NULL,
        gross            numeric     NOT NULL,
        discount         numeric     NOT NULL,
        returned_units   bigint      NOT NULL,
        returns          numeric     NOT NULL
    );
    CREATE INDEX ON customer_sales (first_order_day);
    COMMENT ON TABLE customer_sales IS 'one row for each customer with an order or a return, kept by refreshes';
    COMMENT ON COLUMN customer_sales.customer_id IS 'the customer';
    COMMENT ON COLUMN customer_sales.orders IS 'number of orders; 0 for a customer with returns alone';
    COMMENT ON COLUMN customer_sales.first_order_id IS 'first order; of several at one moment the lowest order_id';
    COMMENT ON COLUMN customer_sales.first_order_time IS 'when the first order was made';
    COMMENT ON COLUMN customer_sales.first_order_day IS 'day of the first order, in the reporting time zone';
    COMMENT ON COLUMN customer_sales.last_order_time IS 'when the last order was made';
    COMMENT ON COLUMN customer_sales.last_order_day IS 'day of the last order, in the reporting time zone';
    COMMENT ON COLUMN customer_sales.units IS 'units sold';
    COMMENT ON COLUMN customer_sales.gross IS 'money before discounts and returns';
    COMMENT ON COLUMN customer_sales.discount IS 'discounts on sales';
    COMMENT ON COLUMN customer_sales.returned_units IS 'units returned, above zero';
    COMMENT ON COLUMN customer_sales.returns IS 'money given back, zero or below';

    CREATE TABLE cohort_change (
        month date PRIMARY KEY
    );
    COMMENT ON TABLE cohort_change IS 'months in which customers had bought who then moved from one cohort to another: a refresh writes them, and cohort_monthly counts them again';
    COMMENT ON COLUMN cohort_change.month IS 'first day of the month';

    CREATE TABLE campaign_customer (
        campaign_id bigint  NOT NULL,
        customer_id bigint  NOT NULL,
        orders      bigint  NOT NULL,
        is_new      boolean NOT NULL,
        PRIMARY KEY (campaign_id, customer_id)
    );
    CREATE INDEX ON campaign_customer (customer_id);
    COMMENT ON TABLE campaign_customer IS 'one row for each customer of a campaign, kept by refreshes';
    COMMENT ON COLUMN campaign_customer.campaign_id IS 'the campaign';
    COMMENT ON COLUMN campaign_customer.customer_id IS 'a customer with an order attributed to it';
    COMMENT ON COLUMN campaign_customer.orders IS 'number of the customer''s orders attributed to it';
    COMMENT ON COLUMN campaign_customer.is_new IS 'true where the customer''s first order ever is attributed to it';

    CREATE FUNCTION sales_order_refresh(days date[]) RETURNS void
        LANGUAGE sql VOLATILE PARALLEL UNSAFE
    BEGIN ATOMIC
        SELECT ecomsocial.ecommerce_refresh_orders('sales_order', days);
    END;
    COMMENT ON FUNCTION sales_order_refresh(date[])
        IS 'puts together the orders that have or had lines on the days (NULL: all), and what is kept of their customers; called by refreshes';
    PERFORM ecomsocial.rollup_create('sales_order', '{order_daily}', '{day}', time_zone => time_zone, on_refresh => 'sales_order_refresh');
END
$rollups$;
COMMENT ON FUNCTION ecommerce_order_rollups(name, text)
    IS 'internal: declares the orders, and what is kept of customers and of the customers of campaigns';

CREATE FUNCTION ecommerce_category_tree(schema name, time_zone text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $rollups$
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);

    CREATE VIEW category_tree AS
    WITH RECURSIVE up AS (
        SELECT product_category_id AS category_id, product_category_id AS ancestor_id, parent_category_id AS next_id, 0 AS depth,
               ARRAY[product_category_id] AS ids, format('%s (%s)', category_name, product_category_id) AS names
        FROM product_category
        UNION ALL
        SELECT u.category_id, p.product_category_id, p.parent_category_id, u.depth + 1,
               u.ids || p.product_category_id, format('%s, %s (%s)', u.names, p.category_name, p.product_category_id)
        FROM up u JOIN product_category p ON p.product_category_id = u.next_id
        WHERE u.next_id <> ALL (u.ids)
    )
    SELECT category_id, ancestor_id, depth
    FROM up
    WHERE CASE WHEN next_id = ids[1] AND next_id <= ALL (ids) THEN ecomsocial.category_cycle(names) ELSE true END;     -- told once, from its least id on
    COMMENT ON VIEW category_tree IS 'each category with itself (depth 0) and every category above it, as the tree is now; an error where categories form a cycle';
    COMMENT ON COLUMN category_tree.category_id IS 'a category';
    COMMENT ON COLUMN category_tree.ancestor_id IS 'itself, or a category above it';
    COMMENT ON COLUMN category_tree.depth IS 'how far above: 0 for itself, 1 for its parent';

    CREATE TABLE category_change (
        changed_at timestamptz NOT NULL DEFAULT now()
    );
    COMMENT ON TABLE category_change IS 'notes that product_category changed; refreshes remove them when they are many';
    COMMENT ON COLUMN category_change.changed_at IS 'when';
    GRANT INSERT ON category_change TO PUBLIC;      -- whoever may write categories; a needless note costs a look at the tree
    CREATE TRIGGER category_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON product_category
        FOR EACH STATEMENT EXECUTE FUNCTION ecomsocial.category_changed();

    CREATE TABLE category_counted (
        category_id bigint NOT NULL,
        ancestor_id bigint NOT NULL,
        PRIMARY KEY (category_id, ancestor_id)
    );
    COMMENT ON TABLE category_counted IS 'the tree by which orders and customers are counted: product_category as of the last refresh';
    COMMENT ON COLUMN category_counted.category_id IS 'a category';
    COMMENT ON COLUMN category_counted.ancestor_id IS 'itself, or a category above it';

    CREATE FUNCTION category_counted_refresh(days date[]) RETURNS void
        LANGUAGE sql VOLATILE PARALLEL UNSAFE
    BEGIN ATOMIC
        SELECT ecomsocial.ecommerce_refresh_categories('category_counted');
    END;
    COMMENT ON FUNCTION category_counted_refresh(date[])
        IS 'takes over the tree of product_category, and marks the days whose orders and customers are counted anew; called by refreshes';
    PERFORM ecomsocial.rollup_create('category_counted', '{category_change}', '{changed_at}', time_zone => time_zone, on_refresh => 'category_counted_refresh');
END
$rollups$;
COMMENT ON FUNCTION ecommerce_category_tree(name, text)
    IS 'internal: declares the tree of categories as it is, and as orders and customers are counted by';

CREATE FUNCTION ecommerce_count_rollups(schema name, time_zone text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $rollups$
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);

    PERFORM ecomsocial.rollup_create('sales_daily_counts', '{sales_order}', '{day}', $sql$
        WITH placed AS (
            SELECT order_id, customer_id, categories, stores, campaigns
            FROM sales_order WHERE is_order AND day >= $1 AND day < $2
        ), counted AS (
            SELECT 'all' AS dimension, NULL::bigint AS key, customer_id, count(*) AS orders
            FROM placed GROUP BY customer_id
            UNION ALL
            SELECT 'category', c.key, c.customer_id, count(*)
            FROM (SELECT DISTINCT p.order_id, p.customer_id, t.ancestor_id AS key
                  FROM placed p CROSS JOIN unnest(p.categories) v LEFT JOIN category_counted t ON t.category_id = v) c
            GROUP BY c.key, c.customer_id
            UNION ALL
            SELECT 'store', v, customer_id, count(*) FROM placed CROSS JOIN unnest(stores) v GROUP BY v, customer_id
            UNION ALL
            SELECT 'campaign', v, customer_id, count(*) FROM placed CROSS JOIN unnest(campaigns) v GROUP BY v, customer_id
        )
        SELECT dimension, key, sum(orders)::bigint AS orders, count(customer_id) AS customers
        FROM counted GROUP BY dimension, key $sql$,
        time_zone => time_zone, bucket_column => 'day', key => '{dimension,key}', nullable_key => true);
    CREATE INDEX ON sales_daily_counts (dimension, key, day);

    -- An order has one day, so the orders of a month are those of its days; a customer has several.
    PERFORM ecomsocial.rollup_create('sales_monthly_counts', '{sales_daily_counts,sales_order}', '{day,day}', $sql$
        WITH placed AS (
            SELECT customer_id, categories, stores, campaigns
            FROM sales_order WHERE is_order AND customer_id IS NOT NULL AND day >= $1 AND day < $2
        ), bought AS (
            SELECT 'all' AS dimension, NULL::bigint AS key, count(DISTINCT customer_id) AS customers FROM placed
            UNION ALL
            SELECT 'category', c.key, count(*)
            FROM (SELECT DISTINCT s.customer_id, t.ancestor_id AS key
                  FROM (SELECT DISTINCT customer_id, v AS sold FROM placed CROSS JOIN unnest(categories) v) s
                  LEFT JOIN category_counted t ON t.category_id = s.sold) c
            GROUP BY c.key
            UNION ALL
            SELECT 'store', c.key, count(*) FROM (SELECT DISTINCT customer_id, v AS key FROM placed CROSS JOIN unnest(stores) v) c GROUP BY c.key
            UNION ALL
            SELECT 'campaign', c.key, count(*) FROM (SELECT DISTINCT customer_id, v AS key FROM placed CROSS JOIN unnest(campaigns) v) c GROUP BY c.key
        )
        SELECT o.dimension, o.key, o.orders, coalesce(b.customers, 0) AS customers
        FROM (SELECT dimension, key, sum(orders)::bigint AS orders
              FROM sales_daily_counts WHERE day >= $1 AND day < $2 GROUP BY dimension, key) o
        LEFT JOIN bought b ON b.dimension = o.dimension AND b.key IS NOT DISTINCT FROM o.key $sql$,
        bucket => 'month', time_zone => time_zone, bucket_column => 'month', key => '{dimension,key}', nullable_key => true);
    CREATE INDEX ON sales_monthly_counts (dimension, key, month);

    PERFORM ecomsocial.rollup_create('cohort_monthly', '{sales_order,cohort_change}', '{day,month}', $sql$
        SELECT ecomsocial.rollup_bucket(s.first_order_day, 'month') AS cohort_month,
               count(DISTINCT o.customer_id) FILTER (WHERE o.is_order) AS customers, count(*) FILTER (WHERE o.is_order) AS orders,
               sum(o.gross - o.discount + o.returns) AS net_sales
        FROM sales_order o JOIN customer_sales s ON s.customer_id = o.customer_id AND s.orders > 0
        WHERE o.day >= $1 AND o.day < $2 AND o.day >= ecomsocial.rollup_bucket(s.first_order_day, 'month')
        GROUP BY 1 $sql$,
        bucket => 'month', time_zone => time_zone, bucket_column => 'month', key => '{cohort_month}');
END
$rollups$;
COMMENT ON FUNCTION ecommerce_count_rollups(name, text)
    IS 'internal: declares the orders and customers of each day and month, counted at each level, and what each cohort of customers bought in a month since';

CREATE FUNCTION ecommerce_stock_rollups(schema name, time_zone text, snapshots period) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $rollups$
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);

    PERFORM ecomsocial.stock_create('inventory_event', '{store_id,product_id}', 'event_time', 'quantity_change', 'event_type',
                                    snapshots => 'inventory_snapshot', snapshot_period => snapshots, time_zone => time_zone);
    CREATE FUNCTION inventory_change_refresh(days date[]) RETURNS void
        LANGUAGE sql VOLATILE PARALLEL UNSAFE
    BEGIN ATOMIC
        -- Snapshots go as far as the events do: those of days long after the last one would all be the same.
        SELECT inventory_refresh(
            CASE WHEN days IS NOT NULL THEN coalesce((SELECT range_agg(daterange(d, d + 1)) FROM unnest(days) d), '{}') END,
            (SELECT least(ecomsocial.rollup_day((SELECT max(event_time) FROM inventory_event), d.time_zone), ecomsocial.rollup_day(now(), d.time_zone) - 1)
             FROM inventory_definition() d));
    END;
    COMMENT ON FUNCTION inventory_change_refresh(date[])
        IS 'brings stock up to date with the events of the days (NULL: all), and makes the snapshots of complete days up to the last event; called by refreshes';
    PERFORM ecomsocial.rollup_create('inventory_change', '{inventory_event}', '{event_time}', time_zone => time_zone, on_refresh => 'inventory_change_refresh');

    PERFORM ecomsocial.rollup_create('stock_sales_daily', '{inventory_event}', '{event_time}', $sql$
        SELECT store_id, product_id, -sum(quantity_change)::bigint AS units
        FROM inventory_event
        WHERE event_time >= $1 AND event_time < $2 AND event_type = 'sale'
        GROUP BY store_id, product_id $sql$,
        time_zone => time_zone, bucket_column => 'day', key => '{store_id,product_id}');
    CREATE INDEX ON stock_sales_daily (product_id, store_id, day);
END
$rollups$;
COMMENT ON FUNCTION ecommerce_stock_rollups(name, text, period)
    IS 'internal: declares what is kept of the movements of stock';

CREATE FUNCTION ecommerce_level_rollups(schema name, time_zone text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $rollups$
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);

    CREATE INDEX ON inventory_change (store_id, product_id, day) WHERE balance <= 0 AND balance - change >= 0;     -- where spells may begin
    CREATE TABLE inventory_now (
        store_id   bigint NOT NULL,
        product_id bigint NOT NULL,
        day        date   NOT NULL,
        balance    bigint NOT NULL,
        out_since  date,
        PRIMARY KEY (product_id, store_id)
    );
    COMMENT ON TABLE inventory_now IS 'the stock of each product in each store after its last event, kept by refreshes; read it through inventory_levels';
    COMMENT ON COLUMN inventory_now.day IS 'day of the last event, in the reporting time zone';
    COMMENT ON COLUMN inventory_now.balance IS 'units after it';
    COMMENT ON COLUMN inventory_now.out_since IS 'first day of the stock-out, NULL where there is stock';
    CREATE INDEX ON inventory_now (day);

    CREATE TABLE stock_out_spell (
        store_id   bigint NOT NULL,
        product_id bigint NOT NULL,
        first_day  date   NOT NULL,
        last_day   date,
        lowest     bigint NOT NULL,
        PRIMARY KEY (product_id, store_id, first_day)
    );
    COMMENT ON TABLE stock_out_spell IS 'the spells of days that ended without stock, kept by refreshes; read it through stock_outs';
    COMMENT ON COLUMN stock_out_spell.last_day IS 'last day of the spell; NULL while it lasts';
    COMMENT ON COLUMN stock_out_spell.lowest IS 'lowest stock of the spell; below zero where events are missing';
    CREATE INDEX ON stock_out_spell (first_day);

    CREATE FUNCTION inventory_now_refresh(days date[]) RETURNS void
        LANGUAGE sql VOLATILE PARALLEL UNSAFE
    BEGIN ATOMIC
        SELECT ecomsocial.ecommerce_refresh_levels('inventory_now', days);
    END;
    COMMENT ON FUNCTION inventory_now_refresh(date[])
        IS 'brings the stock of now and the spells without stock up to date with the changes of the days (NULL: all); called by refreshes';
    PERFORM ecomsocial.rollup_create('inventory_now', '{inventory_change}', '{day}', time_zone => time_zone, on_refresh => 'inventory_now_refresh');
END
$rollups$;
COMMENT ON FUNCTION ecommerce_level_rollups(name, text)
    IS 'internal: declares what is kept of the levels of stock: those of now, and the spells without any';
