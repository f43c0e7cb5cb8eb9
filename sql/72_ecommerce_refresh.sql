
-- What refreshes of the e-commerce model do beyond summing up a day: orders put
-- together from their parts, what is kept of customers, the tree that is counted
-- by.  Each is called by a function in the model's schema, with one of the model's
-- tables, so that names are looked up in the schema as it is called now.
--
-- NULL in place of keys means all of them.  Plans are made for the keys at hand: all
-- of them are joined, and a day's are looked up.

CREATE FUNCTION ecommerce_refresh_customers(model regclass, customers bigint[]) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    moved bigint[];     -- customers who changed their cohort
    since date[];       -- the month of the earlier one
BEGIN
    PERFORM set_config('search_path', ecomsocial.model_path(model), true);

    DELETE FROM customer_sales s
    WHERE (customers IS NULL OR s.customer_id = ANY (customers)) AND NOT EXISTS (SELECT FROM sales_order o WHERE o.customer_id = s.customer_id);

    WITH written AS (
        INSERT INTO customer_sales AS s
        SELECT o.customer_id, count(*) FILTER (WHERE o.is_order),
               (array_agg(o.order_id ORDER BY o.order_time, o.order_id) FILTER (WHERE o.is_order))[1],
               min(o.order_time) FILTER (WHERE o.is_order), min(o.day) FILTER (WHERE o.is_order),
               max(o.order_time) FILTER (WHERE o.is_order), max(o.day) FILTER (WHERE o.is_order),
               sum(o.units), sum(o.gross), sum(o.discount), sum(o.returned_units), sum(o.returns)
        FROM sales_order o
        WHERE (customers IS NULL OR o.customer_id = ANY (customers)) AND o.customer_id IS NOT NULL
        GROUP BY o.customer_id
        ON CONFLICT (customer_id) DO UPDATE SET
            orders = excluded.orders, first_order_id = excluded.first_order_id,
            first_order_time = excluded.first_order_time, first_order_day = excluded.first_order_day,
            last_order_time = excluded.last_order_time, last_order_day = excluded.last_order_day,
            units = excluded.units, gross = excluded.gross, discount = excluded.discount,
            returned_units = excluded.returned_units, returns = excluded.returns
        WHERE s.* IS DISTINCT FROM excluded.*
        RETURNING s.customer_id, ecomsocial.rollup_bucket(s.first_order_day, 'month') AS cohort
    )
    SELECT array_agg(c.customer_id), array_agg(least(c.cohort, c.cohort_before)) INTO moved, since
    FROM (SELECT w.customer_id, w.cohort, ecomsocial.rollup_bucket(s.first_order_day, 'month') AS cohort_before
          FROM written w LEFT JOIN customer_sales s ON s.customer_id = w.customer_id) c     -- as it was before
    WHERE c.cohort IS DISTINCT FROM c.cohort_before;

    INSERT INTO cohort_change
    SELECT DISTINCT ecomsocial.rollup_bucket(o.day, 'month')
    FROM unnest(moved, since) m(customer_id, since) JOIN sales_order o ON o.customer_id = m.customer_id AND o.day >= m.since
    ON CONFLICT (month) DO UPDATE SET month = excluded.month;      -- a row that is written tells the rollup, whatever is in it

    WITH fresh AS MATERIALIZED (
        SELECT a.campaign_id, o.customer_id, count(*) AS orders, bool_or(o.order_id = s.first_order_id) AS is_new
        FROM sales_order o
        JOIN customer_sales s ON s.customer_id = o.customer_id
        CROSS JOIN unnest(o.campaigns) a(campaign_id)
        WHERE (customers IS NULL OR o.customer_id = ANY (customers)) AND o.is_order
        GROUP BY a.campaign_id, o.customer_id
    ), gone AS (
        DELETE FROM campaign_customer c
        WHERE (customers IS NULL OR c.customer_id = ANY (customers))
          AND NOT EXISTS (SELECT FROM fresh f WHERE f.campaign_id = c.campaign_id AND f.customer_id = c.customer_id)
    )
    INSERT INTO campaign_customer AS c SELECT * FROM fresh
    ON CONFLICT (campaign_id, customer_id) DO UPDATE SET orders = excluded.orders, is_new = excluded.is_new
    WHERE c.* IS DISTINCT FROM excluded.*;
END
$$;
COMMENT ON FUNCTION ecommerce_refresh_customers(regclass, bigint[])
    IS 'internal: brings what is kept of the given customers (NULL: all) up to date with their orders, for the model that a table belongs to';

CREATE FUNCTION ecommerce_refresh_orders(model regclass, days date[]) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    spans     constant datemultirange := (SELECT range_agg(daterange(d, d, '[]')) FROM unnest(days) d);
    touched   bigint[];
    customers bigint[];
BEGIN
    PERFORM set_config('search_path', ecomsocial.model_path(model), true);

    IF days IS NOT NULL THEN
        -- An order may also have lost its lines of a day given here, after its first day.
        SELECT coalesce(array_agg(d.order_id), '{}'), array_agg(DISTINCT s.customer_id) FILTER (WHERE s.customer_id IS NOT NULL)
        INTO touched, customers
        FROM (SELECT order_id FROM order_daily WHERE day = ANY (days)
              UNION SELECT order_id FROM sales_order WHERE day = ANY (days)
              UNION SELECT order_id FROM sales_order WHERE last_day > day AND daterange(day, last_day, '(]') && spans) d
        LEFT JOIN sales_order s USING (order_id);
    END IF;

    DELETE FROM sales_order s
    WHERE (touched IS NULL OR s.order_id = ANY (touched)) AND NOT EXISTS (SELECT FROM order_daily d WHERE d.order_id = s.order_id);

    WITH part AS NOT MATERIALIZED (
        SELECT * FROM order_daily WHERE touched IS NULL OR order_id = ANY (touched)
    ), several AS MATERIALIZED (        -- few orders are of several days
        SELECT order_id FROM part GROUP BY order_id HAVING count(*) > 1
    ), written AS (
        INSERT INTO sales_order AS s
        SELECT p.order_id, p.day, p.day, p.order_time, p.customer_id, p.is_order, p.lines, p.units, p.gross, p.discount,
               p.returned_units, p.returns, p.tax, p.shipping, p.categories, p.stores, p.campaigns
        FROM part p
        WHERE NOT EXISTS (SELECT FROM several m WHERE m.order_id = p.order_id)
        UNION ALL
        SELECT p.order_id, min(p.day), max(p.day), min(p.order_time), (array_agg(p.customer_id ORDER BY p.line_number, p.day))[1], bool_or(p.is_order),
               sum(p.lines)::bigint, sum(p.units)::bigint, sum(p.gross), sum(p.discount), sum(p.returned_units)::bigint, sum(p.returns), sum(p.tax), sum(p.shipping),
               (SELECT coalesce(array_agg(DISTINCT v), '{}') FROM order_daily d, unnest(d.categories) v WHERE d.order_id = p.order_id),
               (SELECT coalesce(array_agg(DISTINCT v), '{}') FROM order_daily d, unnest(d.stores) v WHERE d.order_id = p.order_id),
               (SELECT coalesce(array_agg(DISTINCT v), '{}') FROM order_daily d, unnest(d.campaigns) v WHERE d.order_id = p.order_id)
        FROM part p JOIN several m ON m.order_id = p.order_id
        GROUP BY p.order_id
        ON CONFLICT (order_id) DO UPDATE SET
            day = excluded.day, last_day = excluded.last_day, order_time = excluded.order_time, customer_id = excluded.customer_id,
            is_order = excluded.is_order, lines = excluded.lines, units = excluded.units, gross = excluded.gross, discount = excluded.discount,
            returned_units = excluded.returned_units, returns = excluded.returns, tax = excluded.tax, shipping = excluded.shipping,
            categories = excluded.categories, stores = excluded.stores, campaigns = excluded.campaigns
        WHERE s.* IS DISTINCT FROM excluded.*
        RETURNING s.customer_id
    )
    SELECT coalesce(array_agg(c.id), '{}') INTO customers
    FROM (SELECT customer_id FROM written WHERE days IS NOT NULL UNION SELECT unnest(customers)) c(id)
    WHERE c.id IS NOT NULL;

    PERFORM ecomsocial.ecommerce_refresh_customers(model, CASE WHEN days IS NOT NULL THEN customers END);
END
$$;
COMMENT ON FUNCTION ecommerce_refresh_orders(regclass, date[])
    IS 'internal: puts together the orders that have or had lines on the days (NULL: all), and what is kept of their customers, for the model that a table belongs to';

CREATE FUNCTION ecommerce_refresh_categories(model regclass) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    changed bigint[];
BEGIN
    PERFORM set_config('search_path', ecomsocial.model_path(model), true);

    -- Notes are read by their being there.  To delete some is a change too, and has this called once more.
    DELETE FROM category_change WHERE (SELECT count(*) FROM category_change) > 1000;
    WITH tree AS MATERIALIZED (
        SELECT category_id, ancestor_id FROM category_tree
    ), gone AS (
        DELETE FROM category_counted c
        WHERE NOT EXISTS (SELECT FROM tree t WHERE t.category_id = c.category_id AND t.ancestor_id = c.ancestor_id)
        RETURNING category_id
    ), come AS (
        INSERT INTO category_counted SELECT * FROM tree ON CONFLICT DO NOTHING RETURNING category_id
    )
    SELECT array_agg(category_id) INTO changed FROM (SELECT * FROM gone UNION SELECT * FROM come) c;
    -- One order of each day that sold them, written as it is, has the rollups above count that day again.
    UPDATE sales_order o SET day = o.day
    FROM (SELECT DISTINCT ON (day) order_id FROM sales_order WHERE categories && changed ORDER BY day) d
    WHERE o.order_id = d.order_id;
END
$$;
COMMENT ON FUNCTION ecommerce_refresh_categories(regclass)
    IS 'internal: takes over the tree of product_category, and marks the days whose orders and customers are counted anew, for the model that a table belongs to';

CREATE FUNCTION ecommerce_refresh_levels(model regclass, days date[]) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    stores   bigint[];      -- keys whose stock changed
    products bigint[];
BEGIN
    PERFORM set_config('search_path', ecomsocial.model_path(model), true);

    -- A change of stock shows on the day itself or, where its row is gone, on a later day, or in what was kept of it.
    SELECT array_agg(k.store_id), array_agg(k.product_id) INTO stores, products
    FROM (SELECT store_id, product_id FROM inventory_change WHERE days IS NULL OR day = ANY (days)
          UNION SELECT store_id, product_id FROM inventory_now WHERE days IS NULL OR day = ANY (days)
          UNION SELECT store_id, product_id FROM stock_out_spell WHERE days IS NULL OR first_day = ANY (days)) k;

    -- A spell begins where stock falls to nothing, or where that is the first that is known of it, and ends before there is some again.
    WITH key AS (
        SELECT * FROM unnest(stores, products) k(store_id, product_id)
    ), fresh AS MATERIALIZED (
        SELECT b.store_id, b.product_id, b.day AS first_day, e.day - 1 AS last_day, l.lowest
        FROM key k
        JOIN inventory_change b ON b.store_id = k.store_id AND b.product_id = k.product_id AND b.balance <= 0 AND b.balance - b.change >= 0
        LEFT JOIN LATERAL (SELECT i.day FROM inventory_change i
                           WHERE i.store_id = b.store_id AND i.product_id = b.product_id AND i.day > b.day AND i.balance > 0
                           ORDER BY i.day LIMIT 1) e ON true
        CROSS JOIN LATERAL (SELECT min(i.balance) AS lowest FROM inventory_change i
                            WHERE i.store_id = b.store_id AND i.product_id = b.product_id AND i.day >= b.day AND i.day < coalesce(e.day, 'infinity')) l
        WHERE b.balance > b.change
           OR NOT EXISTS (SELECT FROM inventory_change i WHERE i.store_id = b.store_id AND i.product_id = b.product_id AND i.day < b.day)
    ), gone AS (
        DELETE FROM stock_out_spell s USING key k
        WHERE s.store_id = k.store_id AND s.product_id = k.product_id
          AND NOT EXISTS (SELECT FROM fresh f WHERE f.store_id = s.store_id AND f.product_id = s.product_id AND f.first_day = s.first_day)
    )
    INSERT INTO stock_out_spell AS s SELECT * FROM fresh
    ON CONFLICT (product_id, store_id, first_day) DO UPDATE SET last_day = excluded.last_day, lowest = excluded.lowest
    WHERE s.* IS DISTINCT FROM excluded.*;

    WITH key AS (
        SELECT * FROM unnest(stores, products) k(store_id, product_id)
    ), fresh AS MATERIALIZED (
        SELECT k.store_id, k.product_id, c.day, c.balance, o.first_day
        FROM key k
        CROSS JOIN LATERAL (SELECT i.day, i.balance FROM inventory_change i
                            WHERE i.store_id = k.store_id AND i.product_id = k.product_id ORDER BY i.day DESC LIMIT 1) c
        LEFT JOIN stock_out_spell o ON o.store_id = k.store_id AND o.product_id = k.product_id AND o.last_day IS NULL
    ), gone AS (
        DELETE FROM inventory_now n USING key k
        WHERE n.store_id = k.store_id AND n.product_id = k.product_id
          AND NOT EXISTS (SELECT FROM fresh f WHERE f.store_id = n.store_id AND f.product_id = n.product_id)
    )
    INSERT INTO inventory_now AS n SELECT * FROM fresh
    ON CONFLICT (product_id, store_id) DO UPDATE SET day = excluded.day, balance = excluded.balance, out_since = excluded.out_since
    WHERE n.* IS DISTINCT FROM excluded.*;
END
$$;
COMMENT ON FUNCTION ecommerce_refresh_levels(regclass, date[])
    IS 'internal: brings the stock of now and the spells without stock up to date with the changes of the days (NULL: all), for the model that a table belongs to';
