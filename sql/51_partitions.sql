
-- Partitions of tables by range of time, where pg_partman is not installed.

CREATE FUNCTION run_as_owner(rel regclass, commands text)
    RETURNS void AS 'MODULE_PATHNAME', 'ecs_run_as_owner' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION run_as_owner(regclass, text)
    IS 'runs commands as the owner of a table, with no more rights than that role has; the caller must be that role, a member of it or a superuser';

CREATE FUNCTION add_partitions(parent regclass, period period, from_day date, to_day date, time_zone text DEFAULT 'UTC') RETURNS SETOF regclass
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    schema      name;
    relname     name;
    time_column name;
    by_day      boolean;                -- the column is a date
    fallback    regclass;               -- the default partition
    columns     text;                   -- those that can be written
    first_day   date;
    next_day    date := ecomsocial.rollup_bucket(from_day, period);
    part        text;
    bounds      text[];
BEGIN
    SELECT n.nspname, c.relname, a.attname, a.atttypid = 'date'::regtype, nullif(p.partdefid, 0)::regclass
    INTO schema, relname, time_column, by_day, fallback
    FROM pg_partitioned_table p
    JOIN pg_class c ON c.oid = p.partrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
    WHERE p.partrelid = parent AND p.partstrat = 'r' AND p.partnatts = 1 AND a.atttypid IN ('date'::regtype, 'timestamptz'::regtype);
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'wrong_object_type',
            MESSAGE = format('%s is not partitioned by range of one column of type date or timestamp with time zone', parent);
    END IF;
    IF NOT (isfinite(from_day) AND isfinite(to_day)) OR to_day - from_day NOT BETWEEN 0 AND 36600 THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('cannot make partitions from %s to %s', from_day, to_day),
            HINT = 'to_day is the day after the last one, at most 100 years after from_day.';
    END IF;
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO columns
    FROM pg_attribute WHERE attrelid = parent AND attnum > 0 AND NOT attisdropped AND attgenerated = '';

    WHILE next_day < to_day LOOP
        first_day := next_day;
        next_day := ecomsocial.rollup_bucket(first_day, period, 1);
        part := format('%I.%I', schema, left(relname::text, 52) || to_char(first_day, '"_p"YYYYMMDD'));
        CONTINUE WHEN EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass(part) AND inhparent = parent);
        bounds := ARRAY[first_day::text, next_day::text];
        IF NOT by_day THEN      -- written so that no DateStyle changes them
            bounds := ARRAY(SELECT to_char(d::date::timestamp AT TIME ZONE time_zone AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS+00')
                            FROM unnest(bounds) WITH ORDINALITY b(d, n) ORDER BY n);
        END IF;
        BEGIN
            PERFORM ecomsocial.run_as_owner(parent, concat_ws('; ',
                format('CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING STORAGE INCLUDING COMPRESSION)',
                       part, parent),
                CASE WHEN fallback IS NOT NULL THEN     -- rows that came before their partition wait there: they move
                    format('WITH moved AS (DELETE FROM %1$s WHERE %2$I >= %3$L AND %2$I < %4$L RETURNING %5$s) INSERT INTO %6$s (%5$s) TABLE moved',
                           fallback, time_column, bounds[1], bounds[2], columns, part)
                END,
                format('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)', parent, part, bounds[1], bounds[2]),
                format('COMMENT ON TABLE %s IS %L', part,
                       format('%s of the days from %s until before %s%s', relname, first_day, next_day, CASE WHEN by_day THEN '' ELSE format(' (%s)', time_zone) END))));
            RETURN NEXT part::regclass;
        EXCEPTION WHEN invalid_object_definition THEN
            NULL;               -- a partition of another name has days of that range
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION add_partitions(regclass, period, date, date, text)
    IS 'makes the missing partitions of a table for the periods of the days from from_day until before to_day, and moves into them what waits in the default partition; returns those made';

CREATE FUNCTION partitions_ahead(parent regclass, period period, ahead integer DEFAULT 7, time_zone text DEFAULT 'UTC',
                                 as_of timestamptz DEFAULT now())
    RETURNS SETOF regclass
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    today  date := (as_of AT TIME ZONE time_zone)::date;
    to_day date := today;
BEGIN
    IF ahead NOT BETWEEN 0 AND 10000 THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'argument "ahead" must be between 0 and 10000';
    END IF;
    FOR i IN 0 .. ahead LOOP
        to_day := ecomsocial.rollup_bucket(to_day, period, 1);
    END LOOP;
    RETURN QUERY SELECT * FROM ecomsocial.add_partitions(parent, period, today, to_day, time_zone);
END
$$;
COMMENT ON FUNCTION partitions_ahead(regclass, period, integer, text, timestamptz)
    IS 'makes the partitions of the present period and of so many to come, where the table has none for them yet; returns those made';
