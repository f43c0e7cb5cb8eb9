
-- The e-commerce model: create_ecommerce() makes ordinary tables of the caller's.
-- Definitions of every column and report: docs/models.md.

CREATE FUNCTION order_line_fill() RETURNS trigger
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sold_category bigint;
    list_price    numeric;
BEGIN
    EXECUTE format('SELECT product_category_id, unit_price FROM %I.product
                    WHERE product_id = $1 AND valid_to > $2 AND valid_from <= $2
                    ORDER BY valid_to LIMIT 1', TG_TABLE_SCHEMA)
        INTO sold_category, list_price USING NEW.product_id, NEW.order_time;
    NEW.product_category_id := coalesce(NEW.product_category_id, sold_category);
    NEW.unit_price_at_purchase := coalesce(NEW.unit_price_at_purchase, list_price);
    IF NEW.unit_price_at_purchase IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'not_null_violation',
            MESSAGE = format('product %s has no list price at %s', NEW.product_id, NEW.order_time),
            HINT = 'Give unit_price_at_purchase, or enter the product with the price of that time.';
    END IF;
    NEW.amt := coalesce(NEW.amt, NEW.count * NEW.unit_price_at_purchase);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION order_line_fill()
    IS 'trigger of order_line: a category, price or amt that is not given is taken from the product''s version valid at order_time';

CREATE FUNCTION ecommerce_foreign_keys(schema name) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);
    ALTER TABLE product_category ADD FOREIGN KEY (parent_category_id) REFERENCES product_category;
    ALTER TABLE product ADD FOREIGN KEY (product_category_id) REFERENCES product_category;
    ALTER TABLE order_line
        ADD FOREIGN KEY (customer_id) REFERENCES customer_hub,
        ADD FOREIGN KEY (campaign_id) REFERENCES campaign,
        ADD FOREIGN KEY (product_id) REFERENCES product_hub,
        ADD FOREIGN KEY (product_category_id) REFERENCES product_category;
    ALTER TABLE inventory_event ADD FOREIGN KEY (product_id) REFERENCES product_hub;
END
$$;
COMMENT ON FUNCTION ecommerce_foreign_keys(name)
    IS 'adds the foreign keys of an e-commerce model that was made without them: after a first load, it checks all rows at once';

CREATE FUNCTION ecommerce_attach(schema name, time_zone text, partition_by text, foreign_keys boolean, fill_from_product boolean, snapshots period)
    RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $attach$
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);
    PERFORM ecomsocial.scd2_enable('customer', key => '{customer_id}', overwrite => '{customer_age}', updated_at => 'updated_at',
                                   open_start => true);
    COMMENT ON TABLE customer_hub IS 'one row for each customer whatever the versions: what facts refer to';
    COMMENT ON COLUMN customer_hub.customer_id IS 'business key of the customer';
    COMMENT ON VIEW customer_current IS 'Who are the customers now? One row each, safe to join on customer_id';
    COMMENT ON VIEW customer_as_of IS 'customers as they were at the moment of the setting ecomsocial.as_of';
    PERFORM ecomsocial.scd2_enable('product', key => '{product_id}', overwrite => '{sku}', fixed => '{created_at}',
                                   updated_at => 'updated_at', created_at => 'created_at');
    COMMENT ON TABLE product_hub IS 'one row for each product whatever the versions: what facts refer to';
    COMMENT ON COLUMN product_hub.product_id IS 'business key of the product';
    COMMENT ON VIEW product_current IS 'What are the products now? One row each, safe to join on product_id';
    COMMENT ON VIEW product_as_of IS 'products as they were at the moment of the setting ecomsocial.as_of';

    IF fill_from_product THEN
        CREATE TRIGGER order_line_fill BEFORE INSERT ON order_line FOR EACH ROW
            WHEN (new.product_category_id IS NULL OR new.unit_price_at_purchase IS NULL OR new.amt IS NULL)
            EXECUTE FUNCTION ecomsocial.order_line_fill();
    END IF;

    CREATE VIEW order_line_as_sold AS
        SELECT l.*,
               c.city, c.state, c.country,
               p.product_title, p.product_brand, p.sku, p.unit_price AS list_price,
               g.category_name
        FROM order_line l
        LEFT JOIN customer c ON c.customer_id = l.customer_id AND c.valid_from <= l.order_time AND c.valid_to > l.order_time
        LEFT JOIN product p ON p.product_id = l.product_id AND p.valid_from <= l.order_time AND p.valid_to > l.order_time
        LEFT JOIN product_category g ON g.product_category_id = l.product_category_id;
    COMMENT ON VIEW order_line_as_sold IS 'What was sold to whom, as both were then? Each order line once, with the versions of customer and product valid at order_time';

    PERFORM ecomsocial.model_register('order_line', 'ecommerce', time_zone,
                                      jsonb_build_object('partition_by', partition_by, 'foreign_keys', foreign_keys,
                                                         'fill_from_product', fill_from_product, 'snapshots', snapshots));
    PERFORM ecomsocial.ecommerce_reports(schema, time_zone, snapshots);
END
$attach$;
COMMENT ON FUNCTION ecommerce_attach(name, text, text, boolean, boolean, period)
    IS 'internal: makes all of an e-commerce model that needs the extension: history, completion of lines, rollups, reports';

CREATE FUNCTION create_ecommerce(schema name DEFAULT 'ecommerce', time_zone text DEFAULT 'UTC', partition_by text DEFAULT 'none',
                                 foreign_keys boolean DEFAULT true, fill_from_product boolean DEFAULT true,
                                 snapshots period DEFAULT 'day')
    RETURNS TABLE (object text, question text, try text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $create$
DECLARE
    event_key   text := CASE partition_by WHEN 'none' THEN 'PRIMARY KEY (%s)' ELSE 'PRIMARY KEY (%s, %s)' END;
    partitioned text := CASE partition_by WHEN 'none' THEN '' ELSE 'PARTITION BY RANGE (%I)' END;
BEGIN
    PERFORM ecomsocial.model_create_schema(schema, time_zone, partition_by, foreign_keys::text, fill_from_product::text, snapshots::text);
    -- What follows is made in the new schema and refers to it; the path of the caller comes back at the end.
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);

    CREATE TABLE customer (
        customer_id  bigint      NOT NULL GENERATED BY DEFAULT AS IDENTITY,
        first_name   text,
        last_name    text,
        email        text,
        phone        text,
        city         text,
        state        text,
        country      text,
        customer_age integer     CHECK (customer_age BETWEEN 0 AND 150),
        updated_at   timestamptz NOT NULL DEFAULT now(),
        is_current   boolean     NOT NULL DEFAULT true,
        valid_from   timestamptz NOT NULL,
        valid_to     timestamptz NOT NULL DEFAULT 'infinity',
        PRIMARY KEY (customer_id, valid_to)
    );
    COMMENT ON TABLE customer IS 'customers, one row for each version: join on customer_id only through customer_current, or at a moment';
    COMMENT ON COLUMN customer.customer_id IS 'business key: the same in all versions of a customer';
    COMMENT ON COLUMN customer.first_name IS 'given name';
    COMMENT ON COLUMN customer.last_name IS 'family name';
    COMMENT ON COLUMN customer.email IS 'mail address';
    COMMENT ON COLUMN customer.phone IS 'telephone number';
    COMMENT ON COLUMN customer.city IS 'city';
    COMMENT ON COLUMN customer.state IS 'state, county or region';
    COMMENT ON COLUMN customer.country IS 'country';
    COMMENT ON COLUMN customer.customer_age IS 'age in years; overwritten, makes no version';
    COMMENT ON COLUMN customer.updated_at IS 'when the source changed the row; never compared, and where a version begins when no other moment is given';
    COMMENT ON COLUMN customer.is_current IS 'true on the version that holds now';
    COMMENT ON COLUMN customer.valid_from IS 'first moment of the version; -infinity for the first one';
    COMMENT ON COLUMN customer.valid_to IS 'first moment after the version; infinity on the current one';

    CREATE TABLE product_category (
        product_category_id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
        category_name       text NOT NULL,
        parent_category_id  bigint,
        CHECK (parent_category_id <> product_category_id)
    );
    CREATE INDEX ON product_category (parent_category_id);
    COMMENT ON TABLE product_category IS 'the tree of product categories as it is now; a category counts its descendants in every report';
    COMMENT ON COLUMN product_category.product_category_id IS 'key of the category';
    COMMENT ON COLUMN product_category.category_name IS 'name as shown in reports';
    COMMENT ON COLUMN product_category.parent_category_id IS 'category above, NULL at the top';

    CREATE TABLE product (
        product_id          bigint      NOT NULL GENERATED BY DEFAULT AS IDENTITY,
        product_title       text,
        product_brand       text,
        product_category_id bigint,
        unit_price          numeric     CHECK (unit_price >= 0),
        sku                 text,
        created_at          timestamptz NOT NULL DEFAULT now(),
        updated_at          timestamptz NOT NULL DEFAULT now(),
        is_current          boolean     NOT NULL DEFAULT true,
        valid_from          timestamptz NOT NULL,
        valid_to            timestamptz NOT NULL DEFAULT 'infinity',
        PRIMARY KEY (product_id, valid_to)
    );
    COMMENT ON TABLE product IS 'products, one row for each version: join on product_id only through product_current, or at a moment';
    COMMENT ON COLUMN product.product_id IS 'business key: the same in all versions of a product';
    COMMENT ON COLUMN product.product_title IS 'title';
    COMMENT ON COLUMN product.product_brand IS 'brand';
    COMMENT ON COLUMN product.product_category_id IS 'category, NULL where it has none';
    COMMENT ON COLUMN product.unit_price IS 'list price of one unit without tax; what was paid is order_line.unit_price_at_purchase';
    COMMENT ON COLUMN product.sku IS 'stock keeping unit of the source; overwritten, makes no version';
    COMMENT ON COLUMN product.created_at IS 'when the product was first known; fixed, and where its first version begins';
    COMMENT ON COLUMN product.updated_at IS 'when the source changed the row; never compared, and where a version begins when no other moment is given';
    COMMENT ON COLUMN product.is_current IS 'true on the version that holds now';
    COMMENT ON COLUMN product.valid_from IS 'first moment of the version';
    COMMENT ON COLUMN product.valid_to IS 'first moment after the version; infinity on the current one';

    CREATE TABLE campaign (
        campaign_id          bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
        campaign_name        text        NOT NULL,
        campaign_start_time  timestamptz NOT NULL CHECK (isfinite(campaign_start_time)),
        campaign_end_time    timestamptz,
        campaign_description text,
        CHECK (campaign_start_time < campaign_end_time)
    );
    COMMENT ON TABLE campaign IS 'marketing campaigns that order lines are attributed to';
    COMMENT ON COLUMN campaign.campaign_id IS 'key of the campaign';
    COMMENT ON COLUMN campaign.campaign_name IS 'name as shown in reports';
    COMMENT ON COLUMN campaign.campaign_start_time IS 'first moment of the campaign';
    COMMENT ON COLUMN campaign.campaign_end_time IS 'first moment after the campaign; NULL while it has no end: reports then take now';
    COMMENT ON COLUMN campaign.campaign_description IS 'what was offered to whom';

    EXECUTE format($sql$
        CREATE TABLE order_line (
            line_item_id           bigint      NOT NULL GENERATED BY DEFAULT AS IDENTITY,
            order_id               bigint      NOT NULL,
            order_time             timestamptz NOT NULL CHECK (isfinite(order_time)),
            customer_id            bigint,
            campaign_id            bigint,
            store_id               bigint      NOT NULL DEFAULT 1,
            product_id             bigint      NOT NULL,
            product_category_id    bigint,
            count                  integer     NOT NULL CHECK (count <> 0),
            amt                    numeric     NOT NULL,
            discount               numeric     NOT NULL DEFAULT 0 CHECK (discount * count >= 0),
            unit_price_at_purchase numeric     NOT NULL,
            tax_amt                numeric     NOT NULL DEFAULT 0,
            shipping_amt           numeric     NOT NULL DEFAULT 0,
            line_number            integer     NOT NULL DEFAULT 1,
            %s
        ) %s $sql$,
        format(event_key, 'line_item_id', 'order_time'), format(partitioned, 'order_time'));
    CREATE INDEX ON order_line (order_time);
    CREATE INDEX ON order_line (order_id);
    CREATE INDEX ON order_line (customer_id, order_time);
    COMMENT ON TABLE order_line IS 'lines of orders; a return is a line with count below zero, booked on its own day. An order is an order_id with a line of count > 0 and amt > 0';
    COMMENT ON COLUMN order_line.line_item_id IS 'key of the line';
    COMMENT ON COLUMN order_line.order_id IS 'order that the line belongs to; not unique, so nothing can reference it by a foreign key';
    COMMENT ON COLUMN order_line.order_time IS 'when the line was ordered or returned; the order belongs to the day of its earliest line';
    COMMENT ON COLUMN order_line.customer_id IS 'who ordered; NULL where unknown: counted in sales, outside of segments and customer value. The order belongs to the customer of its lowest line_number';
    COMMENT ON COLUMN order_line.campaign_id IS 'campaign that the line is attributed to (last touch), NULL for none';
    COMMENT ON COLUMN order_line.store_id IS 'store or warehouse that sold it';
    COMMENT ON COLUMN order_line.product_id IS 'product sold';
    COMMENT ON COLUMN order_line.product_category_id IS 'category of the product as sold; when not given, from the product''s version at order_time';
    COMMENT ON COLUMN order_line.count IS 'units sold; below zero for a return, never zero';
    COMMENT ON COLUMN order_line.amt IS 'count × unit_price_at_purchase: money of the line before discount, tax and shipping; takes the sign of count';
    COMMENT ON COLUMN order_line.discount IS 'money taken off the whole line, with the sign of count';
    COMMENT ON COLUMN order_line.unit_price_at_purchase IS 'price of one unit without tax as charged; when not given, the list price of the product''s version at order_time';
    COMMENT ON COLUMN order_line.tax_amt IS 'tax on the line; not part of amt';
    COMMENT ON COLUMN order_line.shipping_amt IS 'shipping charged on the line; not part of amt';
    COMMENT ON COLUMN order_line.line_number IS 'position of the line in its order';

    EXECUTE format($sql$
        CREATE TABLE inventory_event (
            inventory_event_id bigint      NOT NULL GENERATED BY DEFAULT AS IDENTITY,
            event_type         text        NOT NULL CHECK (event_type <> ''),
            event_time         timestamptz NOT NULL CHECK (isfinite(event_time)),
            store_id           bigint      NOT NULL DEFAULT 1,
            product_id         bigint      NOT NULL,
            quantity_change    integer     NOT NULL,
            reference_order_id bigint,
            %s
        ) %s $sql$,
        format(event_key, 'inventory_event_id', 'event_time'), format(partitioned, 'event_time'));
    CREATE INDEX ON inventory_event (event_time);
    COMMENT ON TABLE inventory_event IS 'what moved stock; an order_line moves none by itself';
    COMMENT ON COLUMN inventory_event.inventory_event_id IS 'key of the event';
    COMMENT ON COLUMN inventory_event.event_type IS 'receipt, sale, return, adjustment, transfer_in, transfer_out, write_off, or stocktake; other types count by their sign';
    COMMENT ON COLUMN inventory_event.event_time IS 'when the stock moved';
    COMMENT ON COLUMN inventory_event.store_id IS 'store or warehouse';
    COMMENT ON COLUMN inventory_event.product_id IS 'product';
    COMMENT ON COLUMN inventory_event.quantity_change IS 'units added, below zero for units taken; a stocktake sets the level to this number instead';
    COMMENT ON COLUMN inventory_event.reference_order_id IS 'order_id of the order behind the event; no foreign key, since order_id is not unique in order_line';

    CREATE TABLE inventory_snapshot (
        snapshot_date    date   NOT NULL,
        store_id         bigint NOT NULL,
        product_id       bigint NOT NULL,
        quantity_on_hand bigint NOT NULL,
        PRIMARY KEY (snapshot_date, store_id, product_id)
    );
    COMMENT ON TABLE inventory_snapshot IS 'stock at the end of a day, complete for every date it holds: each store and product seen so far';
    COMMENT ON COLUMN inventory_snapshot.snapshot_date IS 'day in the reporting time zone of the model';
    COMMENT ON COLUMN inventory_snapshot.store_id IS 'store or warehouse';
    COMMENT ON COLUMN inventory_snapshot.product_id IS 'product';
    COMMENT ON COLUMN inventory_snapshot.quantity_on_hand IS 'units on hand at the end of snapshot_date; below zero where events are missing';

    IF partition_by <> 'none' THEN
        CREATE TABLE order_line_default PARTITION OF order_line DEFAULT;
        COMMENT ON TABLE order_line_default IS 'order lines of days that have no partition; ecomsocial.add_partitions() moves them';
        CREATE TABLE inventory_event_default PARTITION OF inventory_event DEFAULT;
        COMMENT ON TABLE inventory_event_default IS 'inventory events of days that have no partition; ecomsocial.add_partitions() moves them';
    END IF;

    PERFORM ecomsocial.ecommerce_attach(schema, time_zone, partition_by, foreign_keys, fill_from_product, snapshots);
    IF foreign_keys THEN
        PERFORM ecomsocial.ecommerce_foreign_keys(schema);
    END IF;
    RETURN QUERY SELECT * FROM ecomsocial.model_ready(schema);
END
$create$;
COMMENT ON FUNCTION create_ecommerce(name, text, text, boolean, boolean, period)
    IS 'makes the e-commerce model in a new schema owned by the caller, and lists its views with a statement to try';

CREATE FUNCTION adopt_ecommerce(schema name DEFAULT 'ecommerce', time_zone text DEFAULT 'UTC', partition_by text DEFAULT 'none',
                                fill_from_product boolean DEFAULT true, snapshots period DEFAULT 'day')
    RETURNS TABLE (object text, question text, try text)
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $adopt$
DECLARE
    aside name;
BEGIN
    aside := ecomsocial.model_set_aside(schema, 'ecommerce', partition_by, '{order_line,inventory_event}',
        '{customer,customer_hub,product,product_hub,product_category,campaign,order_line,inventory_event,inventory_snapshot}');
    -- Snapshots that were computed are computed again; those that the user loaded stay.
    EXECUTE format('DELETE FROM %1$I.inventory_snapshot WHERE snapshot_date IN (SELECT snapshot_date FROM %2$I.inventory_snapshot_computed)', schema, aside);
    PERFORM ecomsocial.ecommerce_attach(schema, time_zone, partition_by,
        EXISTS (SELECT FROM pg_constraint WHERE contype = 'f' AND conrelid = format('%I.order_line', schema)::regclass),
        fill_from_product, snapshots);
    -- What the user may have edited is taken over.
    EXECUTE format('TRUNCATE %1$I.rfm_segment, %1$I.rfm_threshold', schema);
    EXECUTE format('INSERT INTO %1$I.rfm_segment SELECT * FROM %2$I.rfm_segment', schema, aside);
    EXECUTE format('INSERT INTO %1$I.rfm_threshold SELECT * FROM %2$I.rfm_threshold', schema, aside);
    RETURN QUERY SELECT * FROM ecomsocial.model_ready(schema, aside);
END
$adopt$;
COMMENT ON FUNCTION adopt_ecommerce(name, text, text, boolean, period)
    IS 'makes history, rollups and reports anew for the tables of an e-commerce model that was there before the extension was created again; needs the arguments that the model was made with';
