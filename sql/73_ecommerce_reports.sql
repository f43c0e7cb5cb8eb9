
-- The reports of the e-commerce model: views and functions over its rollups, in
-- the model's schema and of the caller's, one function below for each subject.

CREATE FUNCTION ecommerce_sales_reports(schema name) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $reports$
DECLARE
    grain text;       -- of the rollup that a view reads
    unit  text;       -- its column
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);

    FOR grain, unit IN VALUES ('daily', 'day'), ('monthly', 'month') LOOP
        EXECUTE format($sql$
            CREATE VIEW %1$s_sales_by_category AS
            WITH closure AS MATERIALIZED (
                SELECT category_id, ancestor_id FROM category_tree
            ), moved AS MATERIALIZED (      -- categories whose descendants changed since they were counted
                SELECT d.ancestor_id
                FROM ((TABLE closure EXCEPT TABLE category_counted) UNION ALL (TABLE category_counted EXCEPT TABLE closure)) d
                WHERE EXISTS (SELECT FROM sales_daily s WHERE s.dimension = 'category' AND s.key = d.category_id)
            ), period AS (
                SELECT p.start::date AS %2$s
                FROM generate_series((SELECT min(%2$s) FROM sales_%1$s)::timestamp, (SELECT max(%2$s) FROM sales_%1$s)::timestamp, '1 %2$s') p(start)
            )
            SELECT p.%2$s, x.category_id, x.category, x.parent_category_id,
                   CASE WHEN NOT x.stale THEN x.orders END AS orders, CASE WHEN NOT x.stale THEN x.customers END AS customers,
                   x.units, x.gross, x.discount, x.returned_units, x.returns,
                   x.gross - x.discount + x.returns AS net_sales, x.tax, x.shipping,
                   x.gross - x.discount + x.returns + x.tax + x.shipping AS paid
            FROM period p
            CROSS JOIN LATERAL (
                SELECT g.product_category_id AS category_id, g.category_name AS category, g.parent_category_id,
                       g.product_category_id = ANY (SELECT ancestor_id FROM moved) AS stale, coalesce(n.orders, 0) AS orders, coalesce(n.customers, 0) AS customers,
                       coalesce(a.units, 0) AS units, coalesce(a.gross, 0) AS gross, coalesce(a.discount, 0) AS discount,
                       coalesce(a.returned_units, 0) AS returned_units, coalesce(a.returns, 0) AS returns, coalesce(a.tax, 0) AS tax, coalesce(a.shipping, 0) AS shipping
                FROM product_category g
                LEFT JOIN (
                    SELECT c.ancestor_id, sum(s.units)::bigint AS units, sum(s.gross) AS gross, sum(s.discount) AS discount,
                           sum(s.returned_units)::bigint AS returned_units, sum(s.returns) AS returns, sum(s.tax) AS tax, sum(s.shipping) AS shipping
                    FROM sales_%1$s s JOIN closure c ON c.category_id = s.key
                    WHERE s.dimension = 'category' AND s.%2$s = p.%2$s
                    GROUP BY c.ancestor_id) a ON a.ancestor_id = g.product_category_id
                LEFT JOIN sales_%1$s_counts n ON n.dimension = 'category' AND n.%2$s = p.%2$s AND n.key = g.product_category_id
                UNION ALL
                SELECT NULL, '(none)', NULL, EXISTS (SELECT FROM moved), n.orders, n.customers,
                       a.units, a.gross, a.discount, a.returned_units, a.returns, a.tax, a.shipping
                FROM (SELECT coalesce(sum(s.units), 0)::bigint AS units, coalesce(sum(s.gross), 0) AS gross, coalesce(sum(s.discount), 0) AS discount,
                             coalesce(sum(s.returned_units), 0)::bigint AS returned_units, coalesce(sum(s.returns), 0) AS returns,
                             coalesce(sum(s.tax), 0) AS tax, coalesce(sum(s.shipping), 0) AS shipping
                      FROM sales_%1$s s
                      WHERE s.dimension = 'category' AND s.%2$s = p.%2$s
                        AND NOT EXISTS (SELECT FROM product_category g WHERE g.product_category_id = s.key)) a
                CROSS JOIN (SELECT coalesce(sum(c.orders), 0)::bigint AS orders, coalesce(sum(c.customers), 0)::bigint AS customers
                      FROM sales_%1$s_counts c
                      WHERE c.dimension = 'category' AND c.%2$s = p.%2$s AND c.key IS NULL) n) x
            $sql$, grain, unit);
        EXECUTE format('COMMENT ON VIEW %s_sales_by_category IS %L', grain,
            format('What did each category sell on each %s? A category counts its descendants; every %1$s from the first sale to the last is listed, '
                   'also those without a sale. Amounts and units add up over the tree and over time, orders only over time, customers over neither', unit));
        EXECUTE format($sql$
            COMMENT ON COLUMN %1$s_sales_by_category.%2$s IS 'in the reporting time zone; a month is told by its first day';
            COMMENT ON COLUMN %1$s_sales_by_category.category_id IS 'category as sold or one above it in the tree as it is now; NULL for lines without a category';
            COMMENT ON COLUMN %1$s_sales_by_category.orders IS 'orders of this %2$s with a paid line in the category; NULL while the tree has changed and no refresh has counted by the new one';
            COMMENT ON COLUMN %1$s_sales_by_category.customers IS 'customers of these orders, those without customer_id left out; NULL where orders is';
            COMMENT ON COLUMN %1$s_sales_by_category.gross IS 'amt of sold lines: before discounts, returns, tax and shipping';
            COMMENT ON COLUMN %1$s_sales_by_category.discount IS 'discounts on sold lines';
            COMMENT ON COLUMN %1$s_sales_by_category.returned_units IS 'units returned on this %2$s, whenever they were sold; above zero';
            COMMENT ON COLUMN %1$s_sales_by_category.returns IS 'money given back on this %2$s, zero or below';
            COMMENT ON COLUMN %1$s_sales_by_category.net_sales IS 'gross - discount + returns';
            COMMENT ON COLUMN %1$s_sales_by_category.paid IS 'net_sales + tax + shipping' $sql$, grain, unit);
    END LOOP;

    CREATE VIEW daily_sales_by_store AS
    SELECT u.day, u.store_id, sum(u.orders)::bigint AS orders, sum(u.customers)::bigint AS customers,
           sum(u.units)::bigint AS units, sum(u.gross) AS gross, sum(u.discount) AS discount,
           sum(u.returned_units)::bigint AS returned_units, sum(u.returns) AS returns,
           sum(u.gross) - sum(u.discount) + sum(u.returns) AS net_sales, sum(u.tax) AS tax, sum(u.shipping) AS shipping
    FROM (SELECT day, key AS store_id, 0 AS orders, 0 AS customers, units, gross, discount, returned_units, returns, tax, shipping
          FROM sales_daily WHERE dimension = 'store'
          UNION ALL
          SELECT day, key, orders, customers, 0, 0, 0, 0, 0, 0, 0
          FROM sales_daily_counts WHERE dimension = 'store') u
    GROUP BY u.day, u.store_id;
    COMMENT ON VIEW daily_sales_by_store IS 'What did each store sell on each day? Days without a sale are left out; customers do not add up over days or stores';

    CREATE VIEW average_order_value AS
    SELECT u.period, u.period_start, u.dimension, u.key, sum(u.orders)::bigint AS orders, sum(u.customers)::bigint AS customers,
           sum(u.gross) AS gross, sum(u.discount) AS discount, sum(u.returns) AS returns,
           sum(u.gross) - sum(u.discount) + sum(u.returns) AS net_sales,
           (sum(u.gross) - sum(u.discount)) / nullif(sum(u.orders), 0) AS aov,
           (sum(u.gross) - sum(u.discount) + sum(u.returns)) / nullif(sum(u.orders), 0) AS aov_net_of_returns
    FROM (
        SELECT 'day'::ecomsocial.period AS period, day AS period_start, dimension, key, 0 AS orders, 0 AS customers, gross, discount, returns
        FROM sales_daily WHERE dimension <> 'category'
        UNION ALL
        SELECT 'day', day, dimension, key, orders, customers, 0, 0, 0 FROM sales_daily_counts WHERE dimension <> 'category'
        UNION ALL
        SELECT 'month', month, dimension, key, 0, 0, gross, discount, returns FROM sales_monthly WHERE dimension <> 'category'
        UNION ALL
        SELECT 'month', month, dimension, key, orders, customers, 0, 0, 0 FROM sales_monthly_counts WHERE dimension <> 'category') u
    GROUP BY u.period, u.period_start, u.dimension, u.key;
    COMMENT ON VIEW average_order_value IS 'What is an order worth? By day and by month (column period), in all, by store and by campaign (columns dimension and key). By segment: average_order_value_by_segment()';
    COMMENT ON COLUMN average_order_value.period IS 'day or month: one of them must be chosen';
    COMMENT ON COLUMN average_order_value.period_start IS 'first day of the period, in the reporting time zone';
    COMMENT ON COLUMN average_order_value.dimension IS 'all, store or campaign';
    COMMENT ON COLUMN average_order_value.key IS 'store_id or campaign_id; NULL with all';
    COMMENT ON COLUMN average_order_value.orders IS 'orders that began in the period; with campaign, those with any line attributed to it';
    COMMENT ON COLUMN average_order_value.gross IS 'of all lines; with campaign, of the lines attributed to it';
    COMMENT ON COLUMN average_order_value.aov IS '(gross - discount) / orders, NULL without orders';
    COMMENT ON COLUMN average_order_value.aov_net_of_returns IS 'net_sales / orders, NULL without orders';
END
$reports$;
COMMENT ON FUNCTION ecommerce_sales_reports(name)
    IS 'internal: declares the reports on sales';

CREATE FUNCTION rfm_scoring(scoring text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF scoring NOT IN ('quintiles', 'fixed') THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('scoring must be quintiles or fixed, not "%s"', scoring),
            HINT = 'The limits of the fixed scores are in the table rfm_threshold.';
    END IF;
    RETURN scoring;
END
$$;
COMMENT ON FUNCTION rfm_scoring(text)
    IS 'internal: the argument of that name of customer_segments(), or the error 22023';

CREATE FUNCTION ecommerce_customer_reports(schema name, time_zone text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $reports$
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);

    CREATE VIEW customer_purchase_history AS
    SELECT s.customer_id, c.first_name, c.last_name, c.city, c.state, c.country, c.customer_age,
           s.orders, s.first_order_time, s.first_order_day, s.last_order_time, s.last_order_day,
           s.units, s.gross, s.discount, s.returned_units, s.returns, s.gross - s.discount + s.returns AS net_sales,
           (s.gross - s.discount) / nullif(s.orders, 0) AS aov,
           (s.last_order_day - s.first_order_day)::numeric / nullif(s.orders - 1, 0) AS days_between_orders
    FROM customer_sales s
    LEFT JOIN customer c ON c.customer_id = s.customer_id AND c.is_current;
    COMMENT ON VIEW customer_purchase_history IS 'What has each customer bought so far? One row each, with the customer as now; the single orders: customer_orders';
    COMMENT ON COLUMN customer_purchase_history.orders IS 'number of orders; 0 for a customer with returns alone';
    COMMENT ON COLUMN customer_purchase_history.returns IS 'money given back, zero or below';
    COMMENT ON COLUMN customer_purchase_history.net_sales IS 'gross - discount + returns';
    COMMENT ON COLUMN customer_purchase_history.aov IS '(gross - discount) / orders';
    COMMENT ON COLUMN customer_purchase_history.days_between_orders IS 'mean number of days from one order to the next; NULL with one order';

    CREATE VIEW customer_orders AS
    SELECT o.customer_id, o.order_id, o.day, o.order_time,
           count(*) OVER (PARTITION BY o.customer_id ORDER BY o.order_time, o.order_id) AS order_number,
           o.day - lag(o.day) OVER (PARTITION BY o.customer_id ORDER BY o.order_time, o.order_id) AS days_since_previous,
           o.lines, o.units, o.gross, o.discount, o.returns, o.gross - o.discount + o.returns AS net_sales, o.tax, o.shipping,
           o.categories, o.stores, o.campaigns
    FROM sales_order o
    WHERE o.is_order;
    COMMENT ON VIEW customer_orders IS 'Which orders did a customer make, in which sequence? Ask with a customer_id';
    COMMENT ON COLUMN customer_orders.order_number IS '1 for the first order of the customer';

    CREATE TABLE rfm_segment (
        recency integer CHECK (recency BETWEEN 1 AND 5),
        value   integer CHECK (value BETWEEN 1 AND 5),
        segment text    NOT NULL,
        PRIMARY KEY (recency, value)
    );
    COMMENT ON TABLE rfm_segment IS 'names of customer segments; edit them as you like';
    COMMENT ON COLUMN rfm_segment.recency IS 'score of recency: 5 ordered last';
    COMMENT ON COLUMN rfm_segment.value IS 'mean of the scores of frequency and monetary value, rounded up';
    COMMENT ON COLUMN rfm_segment.segment IS 'name of the segment';
    INSERT INTO rfm_segment (recency, value, segment)
    SELECT r, v, (ARRAY[
        ['lost',           'lost',            'hibernating',     'cannot lose', 'cannot lose'],
        ['hibernating',    'hibernating',     'at risk',         'at risk',     'at risk'],
        ['about to sleep', 'about to sleep',  'needs attention', 'loyal',       'loyal'],
        ['promising',      'promising',       'potential loyal', 'loyal',       'loyal'],
        ['new',            'potential loyal', 'potential loyal', 'champion',    'champion']])[r][v]
    FROM generate_series(1, 5) r, generate_series(1, 5) v;

    CREATE TABLE rfm_threshold (
        score        integer PRIMARY KEY CHECK (score BETWEEN 2 AND 5),
        recency_days integer NOT NULL,
        frequency    bigint  NOT NULL,
        monetary     numeric NOT NULL
    );
    COMMENT ON TABLE rfm_threshold IS 'limits of the fixed scores of customer_segments(scoring => ''fixed''); edit them as you like. Whoever reaches none of a measure scores 1 in it';
    COMMENT ON COLUMN rfm_threshold.score IS 'score that is reached';
    COMMENT ON COLUMN rfm_threshold.recency_days IS 'with at most so many days since the last order';
    COMMENT ON COLUMN rfm_threshold.frequency IS 'with at least so many orders';
    COMMENT ON COLUMN rfm_threshold.monetary IS 'with at least so much net sales';
    INSERT INTO rfm_threshold VALUES (5, 30, 10, 1000), (4, 60, 5, 500), (3, 120, 3, 200), (2, 240, 2, 100);

    EXECUTE format($sql$
        CREATE FUNCTION customer_sales_as_of(as_of timestamptz)
            RETURNS TABLE (customer_id bigint, orders bigint, last_order_day date, gross numeric, discount numeric, returns numeric)
            LANGUAGE sql STABLE PARALLEL SAFE ROWS 10000        -- a STRICT one would not be inlined
        BEGIN ATOMIC
            WITH later AS MATERIALIZED (
                SELECT EXISTS (SELECT FROM sales_order o WHERE o.day >= ecomsocial.rollup_day(as_of, %1$L) AND o.order_time >= as_of) AS yes
            )
            SELECT s.customer_id, s.orders, s.last_order_day, s.gross, s.discount, s.returns
            FROM customer_sales s
            WHERE s.orders > 0 AND as_of IS NOT NULL AND NOT (SELECT yes FROM later)
            UNION ALL
            SELECT o.customer_id, count(*) FILTER (WHERE o.is_order), max(o.day) FILTER (WHERE o.is_order), sum(o.gross), sum(o.discount), sum(o.returns)
            FROM sales_order o
            WHERE o.customer_id IS NOT NULL AND o.order_time < as_of AND (SELECT yes FROM later)
            GROUP BY o.customer_id
            HAVING bool_or(o.is_order);
        END $sql$, time_zone);
    COMMENT ON FUNCTION customer_sales_as_of(timestamptz)
        IS 'customers with an order before a moment, and what they had bought by then: as customer_sales keeps it where nothing came later, else from all orders';

    -- Of n customers in the sequence of a measure, those after the k n / 5th score 1 + k, and so do their equals: the score
    -- is ceil(5 × share of customers whose value is not better).
    EXECUTE format($sql$
        CREATE FUNCTION customer_segments(as_of timestamptz DEFAULT now(), scoring text DEFAULT 'quintiles')
            RETURNS TABLE (customer_id bigint, recency_days integer, frequency bigint, monetary numeric,
                           r integer, f integer, m integer, rfm text, segment text)
            LANGUAGE sql STABLE PARALLEL SAFE ROWS 10000
        BEGIN ATOMIC
            WITH measured AS MATERIALIZED (
                SELECT s.customer_id, ecomsocial.rollup_day(as_of, %1$L) - s.last_order_day AS recency_days, s.orders AS frequency,
                       s.gross - s.discount + s.returns AS monetary
                FROM customer_sales_as_of(as_of) s
            ), middle AS MATERIALIZED (
                SELECT array_agg((n * k / 5 + 0.5) / nullif(n, 0) ORDER BY k) AS of_rank
                FROM (SELECT count(*) AS n FROM measured) c CROSS JOIN generate_series(1, 4) k
            ), least AS (       -- least values that score 2 to 5
                SELECT percentile_disc((SELECT of_rank FROM middle)) WITHIN GROUP (ORDER BY -q.recency_days) AS r,
                       percentile_disc((SELECT of_rank FROM middle)) WITHIN GROUP (ORDER BY q.frequency) AS f,
                       percentile_disc((SELECT of_rank FROM middle)) WITHIN GROUP (ORDER BY q.monetary) AS m
                FROM measured q
                HAVING ecomsocial.rfm_scoring(scoring) = 'quintiles'
                UNION ALL
                SELECT array_agg(t.r ORDER BY t.score), array_agg(t.f ORDER BY t.score), array_agg(t.m ORDER BY t.score)
                FROM (SELECT k AS score, min(-t.recency_days) AS r, min(t.frequency) AS f, min(t.monetary) AS m
                      FROM generate_series(2, 5) k JOIN rfm_threshold t ON t.score >= k GROUP BY k) t
                HAVING ecomsocial.rfm_scoring(scoring) = 'fixed'
            ), scored AS (
                SELECT q.*, 1 + coalesce(width_bucket(-q.recency_days, l.r), 0) AS r, 1 + coalesce(width_bucket(q.frequency, l.f), 0) AS f,
                       1 + coalesce(width_bucket(q.monetary, l.m), 0) AS m
                FROM measured q CROSS JOIN least l
            )
            SELECT s.customer_id, s.recency_days, s.frequency, s.monetary, s.r, s.f, s.m, (100 * s.r + 10 * s.f + s.m)::text, g.segment
            FROM scored s
            LEFT JOIN rfm_segment g ON g.recency = s.r AND g.value = (s.f + s.m + 1) / 2;
        END $sql$, time_zone);
    COMMENT ON FUNCTION customer_segments(timestamptz, text)
        IS 'Which customers are champions, at risk, lost? Recency, frequency and monetary value of each customer with an order before the moment as_of, each scored from 1 to 5 (5 is best), '
           'by quintiles that give equal customers equal scores or by the limits in rfm_threshold (scoring => ''fixed''); the segment is named by rfm_segment';

    CREATE FUNCTION average_order_value_by_segment(as_of timestamptz DEFAULT now(), scoring text DEFAULT 'quintiles')
        RETURNS TABLE (segment text, customers bigint, orders bigint, gross numeric, discount numeric, returns numeric,
                       net_sales numeric, aov numeric, aov_net_of_returns numeric)
        LANGUAGE sql STABLE STRICT PARALLEL SAFE ROWS 10
    BEGIN ATOMIC
        SELECT s.segment, count(*), sum(o.orders)::bigint, sum(o.gross), sum(o.discount), sum(o.returns),
               sum(o.gross) - sum(o.discount) + sum(o.returns),
               (sum(o.gross) - sum(o.discount)) / sum(o.orders), (sum(o.gross) - sum(o.discount) + sum(o.returns)) / sum(o.orders)
        FROM customer_segments(as_of, scoring) s
        JOIN customer_sales_as_of(as_of) o ON o.customer_id = s.customer_id
        GROUP BY s.segment;
    END;
    COMMENT ON FUNCTION average_order_value_by_segment(timestamptz, text)
        IS 'What is an order of each customer segment worth? Orders before the moment as_of of the customers in each segment of customer_segments(as_of, scoring)';
END
$reports$;
COMMENT ON FUNCTION ecommerce_customer_reports(name, text)
    IS 'internal: declares the reports on customers and their segments';

CREATE FUNCTION ecommerce_value_reports(schema name, time_zone text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $reports$
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);

    CREATE VIEW customer_lifetime_value AS
    SELECT customer_id, date_trunc('month', first_order_day::timestamp)::date AS cohort_month, first_order_day, last_order_day,
           last_order_day - first_order_day AS lifespan_days, orders, (gross - discount) / orders AS aov, gross - discount + returns AS net_sales
    FROM customer_sales
    WHERE orders > 0;
    COMMENT ON VIEW customer_lifetime_value IS 'What has each customer been worth so far, in net sales? With a margin: customer_lifetime_value(margin); by cohort: lifetime_value_by_cohort(); predicted: purchase_summary()';
    COMMENT ON COLUMN customer_lifetime_value.cohort_month IS 'month of the first order';
    COMMENT ON COLUMN customer_lifetime_value.lifespan_days IS 'days from the first order to the last';
    CREATE FUNCTION customer_lifetime_value(margin numeric)
        RETURNS TABLE (customer_id bigint, cohort_month date, first_order_day date, last_order_day date, lifespan_days integer,
                       orders bigint, aov numeric, net_sales numeric, historical_clv numeric)
        LANGUAGE sql STABLE PARALLEL SAFE ROWS 100000       -- a STRICT one would not be inlined
    BEGIN ATOMIC
        SELECT v.customer_id, v.cohort_month, v.first_order_day, v.last_order_day, v.lifespan_days, v.orders, v.aov, v.net_sales, margin * v.net_sales
        FROM customer_lifetime_value v;
    END;
    COMMENT ON FUNCTION customer_lifetime_value(numeric)
        IS 'What has each customer been worth so far? Historical value is net sales times the margin (0.3 for 30 %); the month of the first order is the cohort';

    CREATE FUNCTION lifetime_value_by_cohort(margin numeric DEFAULT 1)
        RETURNS TABLE (cohort_month date, months_since integer, cohort_size bigint, active_customers bigint, orders bigint,
                       net_sales numeric, historical_clv numeric, cumulative_clv_per_customer numeric)
        LANGUAGE sql STABLE STRICT PARALLEL SAFE ROWS 500
    BEGIN ATOMIC
        WITH kept AS MATERIALIZED (
            SELECT cohort_month, month, customers, orders, net_sales FROM cohort_monthly
            UNION ALL       -- returns before the first order: of few customers, whose first order would have all these months counted again
            SELECT e.cohort_month, e.month, 0, 0, sum(e.net_sales)
            FROM (SELECT ecomsocial.rollup_bucket(s.first_order_day, 'month') AS cohort_month, ecomsocial.rollup_bucket(o.day, 'month') AS month,
                         o.gross - o.discount + o.returns AS net_sales
                  FROM sales_order o JOIN customer_sales s ON s.customer_id = o.customer_id
                  WHERE NOT o.is_order) e
            WHERE e.month < e.cohort_month
            GROUP BY e.cohort_month, e.month
        )
        SELECT m.cohort_month, m.since, m.size, coalesce(s.customers, 0), coalesce(s.orders, 0), coalesce(s.net_sales, 0), margin * coalesce(s.net_sales, 0),
               margin * sum(coalesce(s.net_sales, 0)) OVER (PARTITION BY m.cohort_month ORDER BY m.month) / m.size
        FROM (SELECT c.cohort_month, c.size, g.month::date,
                     (12 * (extract(year FROM g.month) - extract(year FROM c.cohort_month)) + extract(month FROM g.month) - extract(month FROM c.cohort_month))::integer AS since
              FROM (SELECT cohort_month, min(month) AS first, max(customers) FILTER (WHERE month = cohort_month) AS size     -- all of them ordered in it
                    FROM kept GROUP BY cohort_month) c
              CROSS JOIN LATERAL generate_series(c.first::timestamp, (SELECT max(month) FROM kept)::timestamp, '1 month') g(month)) m
        LEFT JOIN kept s ON s.cohort_month = m.cohort_month AND s.month = m.month;
    END;
    COMMENT ON FUNCTION lifetime_value_by_cohort(numeric)
        IS 'What have the customers won in a month been worth since, month by month? Net sales times the margin; months_since is below zero for returns before the first order';

    EXECUTE format($sql$
        CREATE FUNCTION purchase_summary(as_of timestamptz DEFAULT now())
            RETURNS TABLE (customer_id bigint, frequency bigint, recency double precision, age double precision, mean_value double precision)
            LANGUAGE sql STABLE PARALLEL SAFE ROWS 10000        -- a STRICT one would not be inlined
        BEGIN ATOMIC
            SELECT d.customer_id, count(*) - 1, (max(d.day) - min(d.day))::double precision,
                   (ecomsocial.rollup_day(as_of, %L) - min(d.day))::double precision,
                   (sum(d.value) FILTER (WHERE d.day > d.first_day) / nullif(count(*) - 1, 0))::double precision
            FROM (SELECT customer_id, day, min(day) OVER (PARTITION BY customer_id) AS first_day, sum(gross - discount) AS value
                  FROM sales_order
                  WHERE is_order AND customer_id IS NOT NULL AND order_time < as_of
                  GROUP BY customer_id, day) d
            GROUP BY d.customer_id;
        END $sql$, time_zone);
    COMMENT ON FUNCTION purchase_summary(timestamptz)
        IS 'what the fits of predictive lifetime value take, for each customer with an order before as_of, in days: frequency (days with an order after the first), recency (from the first to the last), age (from the first to as_of), mean_value of the later days';
END
$reports$;
COMMENT ON FUNCTION ecommerce_value_reports(name, text)
    IS 'internal: declares the reports on the lifetime value of customers';

CREATE FUNCTION ecommerce_stock_reports(schema name) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $reports$
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);

    CREATE VIEW inventory_levels AS
    SELECT n.store_id, n.product_id, p.product_title, p.sku, n.balance AS on_hand, n.day AS last_movement,
           n.balance <= 0 AS stock_out, n.balance < 0 AS negative_stock, n.out_since,
           coalesce(s.units, 0) / 28.0 AS mean_daily_sales,
           greatest(n.balance, 0) * 28.0 / nullif(s.units, 0) AS days_of_supply
    FROM inventory_now n
    LEFT JOIN (SELECT store_id, product_id, sum(units) AS units
               FROM stock_sales_daily
               WHERE day > (SELECT max(day) - 28 FROM inventory_change) AND day <= (SELECT max(day) FROM inventory_change)
               GROUP BY store_id, product_id) s ON s.product_id = n.product_id AND s.store_id = n.store_id
    LEFT JOIN product p ON p.product_id = n.product_id AND p.is_current;
    COMMENT ON VIEW inventory_levels IS 'How much of each product is in each store, and how long will it last? At any other moment: inventory_on_hand(moment); day by day: inventory_daily(from, through)';
    COMMENT ON COLUMN inventory_levels.on_hand IS 'units after the last event; below zero where events are missing';
    COMMENT ON COLUMN inventory_levels.last_movement IS 'day of the last event, in the reporting time zone';
    COMMENT ON COLUMN inventory_levels.stock_out IS 'true where nothing is left';
    COMMENT ON COLUMN inventory_levels.negative_stock IS 'true where more left than had come: events are missing';
    COMMENT ON COLUMN inventory_levels.out_since IS 'first day of the stock-out, NULL where there is stock';
    COMMENT ON COLUMN inventory_levels.mean_daily_sales IS 'units sold by events of type sale, a day, over the 28 days up to the last event of all';
    COMMENT ON COLUMN inventory_levels.days_of_supply IS 'on_hand / mean_daily_sales; NULL where nothing was sold';

    CREATE VIEW stock_outs AS
    SELECT store_id, product_id, first_day, last_day, lowest FROM stock_out_spell;
    COMMENT ON VIEW stock_outs IS 'When was a product not in stock? One row for each spell of days that ended without stock';
    COMMENT ON COLUMN stock_outs.last_day IS 'last day of the spell; NULL while it lasts';
    COMMENT ON COLUMN stock_outs.lowest IS 'lowest stock of the spell; below zero where events are missing';
END
$reports$;
COMMENT ON FUNCTION ecommerce_stock_reports(name)
    IS 'internal: declares the reports on stock';

CREATE FUNCTION ecommerce_campaign_reports(schema name, time_zone text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $reports$
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);

    EXECUTE format($sql$
        CREATE VIEW campaign_effectiveness AS
        SELECT w.campaign_id, w.campaign_name, w.first_day, w.last_day, w.is_over,
               n.orders, u.customers, u.new_customers, a.units, a.gross, a.discount, a.returns, a.gross - a.discount + a.returns AS net_sales,
               (a.gross - a.discount) / nullif(n.orders, 0) AS aov,
               a.net_in_window / nullif(t.net, 0) AS share_of_sales,
               a.gross - a.discount + a.returns - a.net_in_window AS net_sales_outside,
               t.net AS all_sales, t.orders AS all_orders, b.net AS baseline_sales, b.orders AS baseline_orders,
               t.net / nullif(b.net, 0) - 1 AS change_of_sales
        FROM (SELECT c.campaign_id, c.campaign_name,
                     ecomsocial.rollup_day(c.campaign_start_time, %1$L) AS first_day,
                     greatest(ecomsocial.rollup_day(c.campaign_start_time, %1$L),
                              ecomsocial.rollup_day(CASE WHEN isfinite(c.campaign_end_time) THEN c.campaign_end_time ELSE now() END - interval '1 microsecond', %1$L)) AS last_day,
                     c.campaign_end_time IS NOT NULL AND c.campaign_end_time <= now() AS is_over
              FROM campaign c) w
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(s.units), 0)::bigint AS units, coalesce(sum(s.gross), 0) AS gross, coalesce(sum(s.discount), 0) AS discount,
                   coalesce(sum(s.returns), 0) AS returns,
                   coalesce(sum(s.gross - s.discount + s.returns) FILTER (WHERE s.day BETWEEN w.first_day AND w.last_day), 0) AS net_in_window
            FROM sales_daily s WHERE s.dimension = 'campaign' AND s.key = w.campaign_id) a
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(s.orders), 0)::bigint AS orders
            FROM sales_daily_counts s WHERE s.dimension = 'campaign' AND s.key = w.campaign_id) n
        CROSS JOIN LATERAL (
            SELECT count(*) AS customers, count(*) FILTER (WHERE c.is_new) AS new_customers
            FROM campaign_customer c WHERE c.campaign_id = w.campaign_id) u
        CROSS JOIN LATERAL (
            SELECT (SELECT coalesce(sum(s.gross - s.discount + s.returns), 0) FROM sales_daily s
                    WHERE s.dimension = 'all' AND s.day BETWEEN w.first_day AND w.last_day) AS net,
                   (SELECT coalesce(sum(s.orders), 0)::bigint FROM sales_daily_counts s
                    WHERE s.dimension = 'all' AND s.day BETWEEN w.first_day AND w.last_day) AS orders) t
        CROSS JOIN LATERAL (
            SELECT (SELECT coalesce(sum(s.gross - s.discount + s.returns), 0) FROM sales_daily s
                    WHERE s.dimension = 'all' AND s.day BETWEEN w.first_day - (w.last_day - w.first_day + 1) AND w.first_day - 1) AS net,
                   (SELECT coalesce(sum(s.orders), 0)::bigint FROM sales_daily_counts s
                    WHERE s.dimension = 'all' AND s.day BETWEEN w.first_day - (w.last_day - w.first_day + 1) AND w.first_day - 1) AS orders) b
        $sql$, time_zone);
    COMMENT ON VIEW campaign_effectiveness IS 'What did each campaign bring? Orders with any line attributed to it, money of the attributed lines alone, beside all sales of its days and of as many days before';
    COMMENT ON COLUMN campaign_effectiveness.first_day IS 'first day of the campaign, in the reporting time zone';
    COMMENT ON COLUMN campaign_effectiveness.last_day IS 'last day; today while the campaign has no end';
    COMMENT ON COLUMN campaign_effectiveness.is_over IS 'false while the campaign runs: its figures are not final';
    COMMENT ON COLUMN campaign_effectiveness.customers IS 'distinct customers of these orders, those without customer_id left out';
    COMMENT ON COLUMN campaign_effectiveness.new_customers IS 'those whose first order ever is attributed to the campaign';
    COMMENT ON COLUMN campaign_effectiveness.share_of_sales IS 'net sales attributed to the campaign within its days / all net sales of its days';
    COMMENT ON COLUMN campaign_effectiveness.net_sales_outside IS 'net sales attributed to it on days outside of the campaign: part of net_sales, and worth a look';
    COMMENT ON COLUMN campaign_effectiveness.all_sales IS 'net sales of the campaign''s days, attributed or not';
    COMMENT ON COLUMN campaign_effectiveness.baseline_sales IS 'all net sales of as many days directly before: not what the campaign caused, but what it is to be compared with';
    COMMENT ON COLUMN campaign_effectiveness.change_of_sales IS 'all_sales / baseline_sales - 1: of the whole shop, not of the campaign; NULL without baseline_sales';

    CREATE VIEW campaign_overlap AS
    SELECT a.campaign_id, a.campaign_name, b.campaign_id AS other_id, b.campaign_name AS other_name,
           greatest(a.campaign_start_time, b.campaign_start_time) AS overlap_start,
           nullif(least(coalesce(a.campaign_end_time, 'infinity'), coalesce(b.campaign_end_time, 'infinity')), 'infinity') AS overlap_end,
           (SELECT count(*) FROM campaign_customer x JOIN campaign_customer y ON y.customer_id = x.customer_id
            WHERE x.campaign_id = a.campaign_id AND y.campaign_id = b.campaign_id) AS shared_customers
    FROM campaign a
    JOIN campaign b ON b.campaign_id <> a.campaign_id
                   AND a.campaign_start_time < coalesce(b.campaign_end_time, 'infinity')
                   AND b.campaign_start_time < coalesce(a.campaign_end_time, 'infinity');
    COMMENT ON VIEW campaign_overlap IS 'Which campaigns ran at the same time, and how many customers had orders from both? Each pair is listed from both sides';
    COMMENT ON COLUMN campaign_overlap.overlap_end IS 'NULL where neither has an end';
    COMMENT ON COLUMN campaign_overlap.shared_customers IS 'customers with an order attributed to the one and an order attributed to the other, at any time';
END
$reports$;
COMMENT ON FUNCTION ecommerce_campaign_reports(name, text)
    IS 'internal: declares the reports on campaigns';

CREATE FUNCTION ecommerce_validation(schema name, time_zone text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $reports$
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);

    EXECUTE format($sql$
        CREATE FUNCTION validate_ecommerce() RETURNS TABLE (problem text, key bigint, detail text)
            LANGUAGE sql STABLE PARALLEL SAFE ROWS 100
        BEGIN ATOMIC
            SELECT 'order with several customers', order_id,
                   format('customers %%s; counted for the one of the lowest line_number',
                          string_agg(DISTINCT coalesce(customer_id::text, 'unknown'), ', '))
            FROM order_line GROUP BY order_id
            HAVING count(DISTINCT customer_id) + max((customer_id IS NULL)::integer) > 1
            UNION ALL
            SELECT 'order on several days', order_id,
                   format('from %%s to %%s; counted on the first', ecomsocial.rollup_day(min(order_time), %1$L), ecomsocial.rollup_day(max(order_time), %1$L))
            FROM order_line GROUP BY order_id
            HAVING ecomsocial.rollup_day(min(order_time), %1$L) < ecomsocial.rollup_day(max(order_time), %1$L)
            UNION ALL
            SELECT 'amount is not count × price', line_item_id, format('amt %%s, count %%s, unit_price_at_purchase %%s', amt, count, unit_price_at_purchase)
            FROM order_line WHERE amt <> count * unit_price_at_purchase
            UNION ALL
            SELECT 'discount above the amount', line_item_id, format('amt %%s, discount %%s', amt, discount)
            FROM order_line WHERE abs(discount) > abs(amt)
            UNION ALL
            SELECT 'sale outside of its campaign', l.line_item_id, format('campaign %%s, order_time %%s', c.campaign_id, l.order_time)
            FROM order_line l JOIN campaign c ON c.campaign_id = l.campaign_id
            WHERE l.count > 0 AND (l.order_time < c.campaign_start_time OR l.order_time >= c.campaign_end_time)
            UNION ALL
            SELECT 'unknown category', l.product_category_id, format('%%s order lines; counted without a category', count(*))
            FROM order_line l
            WHERE l.product_category_id IS NOT NULL
              AND NOT EXISTS (SELECT FROM product_category g WHERE g.product_category_id = l.product_category_id)
            GROUP BY l.product_category_id
            UNION ALL
            SELECT 'unknown parent of a category', g.product_category_id, format('parent %%s; shown at the top', g.parent_category_id)
            FROM product_category g
            WHERE g.parent_category_id IS NOT NULL
              AND NOT EXISTS (SELECT FROM product_category p WHERE p.product_category_id = g.parent_category_id)
            UNION ALL
            SELECT 'negative stock', product_id, format('%%s units in store %%s', on_hand, store_id) FROM inventory_levels WHERE negative_stock
            UNION ALL
            SELECT 'inventory snapshot: ' || problem, NULL, format('date %%s, expected %%s, found %%s', snapshot_date, expected, found)
            FROM inventory_check((SELECT max(snapshot_date) FROM inventory_snapshot_computed))
            ORDER BY 1, 2, 3;
        END $sql$, time_zone);
    COMMENT ON FUNCTION validate_ecommerce()
        IS 'what in the data deserves a look, and how the reports take it: problem, key of the order, line, category or product, detail. Reads all order lines';
END
$reports$;
COMMENT ON FUNCTION ecommerce_validation(name, text)
    IS 'internal: declares the check of the data, which alone reads the raw tables';

CREATE FUNCTION ecommerce_reports(schema name, time_zone text, snapshots period) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM ecomsocial.ecommerce_line_rollups(schema, time_zone);
    PERFORM ecomsocial.ecommerce_order_rollups(schema, time_zone);
    PERFORM ecomsocial.ecommerce_category_tree(schema, time_zone);
    PERFORM ecomsocial.ecommerce_count_rollups(schema, time_zone);
    PERFORM ecomsocial.ecommerce_stock_rollups(schema, time_zone, snapshots);
    PERFORM ecomsocial.ecommerce_level_rollups(schema, time_zone);
    PERFORM ecomsocial.ecommerce_sales_reports(schema);
    PERFORM ecomsocial.ecommerce_customer_reports(schema, time_zone);
    PERFORM ecomsocial.ecommerce_value_reports(schema, time_zone);
    PERFORM ecomsocial.ecommerce_stock_reports(schema);
    PERFORM ecomsocial.ecommerce_campaign_reports(schema, time_zone);
    PERFORM ecomsocial.ecommerce_validation(schema, time_zone);

    PERFORM ecomsocial.report_comments(schema, '{
        "day": "day, in the reporting time zone", "month": "first day of the month, in the reporting time zone",
        "dimension": "what key is: category (as sold in amounts, each level of the tree in counts), store, campaign; all: of everything",
        "key": "product_category_id, store_id or campaign_id; NULL for lines without a category, and with all",
        "lines": "number of order lines", "orders": "number of orders", "customers": "distinct customers; do not add up over time or dimensions",
        "units": "units sold", "gross": "amt of sold lines: before discounts, returns, tax and shipping", "discount": "discounts on sold lines",
        "returned_units": "units returned, above zero", "returns": "money given back, zero or below", "net_sales": "gross - discount + returns",
        "tax": "tax of all lines", "shipping": "shipping of all lines", "aov": "(gross - discount) / orders",
        "line_number": "lowest line number of the order on the day", "category": "name of the category", "campaign_id": "the campaign", "campaign_name": "its name",
        "all_orders": "orders of the days of the campaign, attributed or not", "baseline_orders": "orders of as many days directly before",
        "other_id": "another campaign", "other_name": "its name", "overlap_start": "first moment at which both ran",
        "days_since_previous": "days since the order before, NULL for the first", "first_day": "first day of the spell",
        "change": "balance minus the balance before", "balance": "units at the end of the day", "counted": "true where a stocktake set the balance",
        "snapshot_date": "day whose snapshot was computed, not loaded", "list_price": "list price of the product''s version valid at order_time",
        "product_title": "title", "sku": "stock keeping unit of the source", "store_id": "store or warehouse", "product_id": "product"}');
END
$$;
COMMENT ON FUNCTION ecommerce_reports(name, text, period)
    IS 'internal: declares the rollups and reports of an e-commerce model in its schema; called by create_ecommerce()';
