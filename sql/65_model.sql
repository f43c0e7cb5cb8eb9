
-- What the two models share: the register of models, the making of a schema,
-- and the partitions of event tables.

CREATE TABLE model (
    rel       regclass PRIMARY KEY,
    kind      text     NOT NULL CHECK (kind IN ('ecommerce', 'social')),
    time_zone text     NOT NULL,
    options   jsonb    NOT NULL
);
COMMENT ON TABLE model IS 'the models of this database and the settings they were made with, one row each; written by create_ecommerce() and create_social()';
COMMENT ON COLUMN model.rel IS 'the table that stands for the model: order_line or content_event; its schema is the model''s';
COMMENT ON COLUMN model.kind IS 'ecommerce or social';
COMMENT ON COLUMN model.time_zone IS 'reporting time zone: where a day of this model begins; fixed when the model is made';
COMMENT ON COLUMN model.options IS 'the other arguments of the call that made the model';
SELECT pg_catalog.pg_extension_config_dump('model', 'WHERE rel::oid IN (SELECT oid FROM pg_class)');
GRANT SELECT, INSERT ON model TO PUBLIC;
CREATE TRIGGER registry_check BEFORE INSERT ON model FOR EACH ROW EXECUTE FUNCTION registry_check();
COMMENT ON TRIGGER registry_check ON model IS 'only the owner of rel may enter its row';

CREATE FUNCTION model_register(rel regclass, kind text, time_zone text, options jsonb) RETURNS void
    AS 'MODULE_PATHNAME', 'ecs_model_register'
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION model_register(regclass, text, text, jsonb)
    IS 'internal: enters a model into the register; only the owner of rel may, and rows of dropped tables are removed';

CREATE FUNCTION model_create_schema(schema name, time_zone text, partition_by text, VARIADIC others text[]) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF schema IS NULL OR array_position(ARRAY[time_zone, partition_by] || others, NULL) IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed',
            MESSAGE = 'no argument may be null',
            HINT = 'Leave an argument out to have its default.';
    END IF;
    IF partition_by NOT IN ('none', 'day', 'month') THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('partition_by must be none, day or month, not "%s"', partition_by);
    END IF;
    PERFORM now() AT TIME ZONE time_zone;       -- 22023 where there is none of that name
    IF EXISTS (SELECT FROM pg_namespace WHERE nspname = schema) THEN
        RAISE EXCEPTION USING ERRCODE = 'duplicate_schema',
            MESSAGE = format('schema "%s" already exists', schema),
            DETAIL = coalesce((SELECT format('It holds the %s model.', m.kind)
                               FROM ecomsocial.model m JOIN pg_class c ON c.oid = m.rel
                               WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = schema)
                               LIMIT 1),
                              'A model is made in a schema of its own.'),
            HINT = 'Name another one in the argument "schema", or drop this one first.';
    END IF;
    IF NOT has_database_privilege(current_database(), 'CREATE') THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
            MESSAGE = format('permission denied to create a schema in database "%s"', current_database()),
            HINT = format('Have its owner run: GRANT CREATE ON DATABASE %I TO %I.', current_database(), current_user);
    END IF;
    EXECUTE format('CREATE SCHEMA %I', schema);
END
$$;
COMMENT ON FUNCTION model_create_schema(name, text, text, text[])
    IS 'internal: checks the arguments of a model and the rights of the caller, and makes the schema; of the other arguments, that none is null';

CREATE FUNCTION model_path(rel regclass) RETURNS text
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT pg_catalog.format('%s, pg_temp', c.relnamespace::regnamespace) FROM pg_catalog.pg_class c WHERE c.oid = rel;
END;
COMMENT ON FUNCTION model_path(regclass)
    IS 'internal: the search_path in which the names of a model mean its own tables, given one of them: so that a schema may be renamed';

CREATE FUNCTION model_of(rel regclass) RETURNS model
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT m FROM model m JOIN pg_catalog.pg_class o ON o.oid = m.rel JOIN pg_catalog.pg_class c ON c.relnamespace = o.relnamespace WHERE c.oid = model_of.rel;
END;
COMMENT ON FUNCTION model_of(regclass)
    IS 'internal: the settings of the model that a table belongs to';

CREATE FUNCTION model_contents(schema name)
    RETURNS TABLE (object text, question text, try text)
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT o.name || o.call, pg_catalog.split_part(o.question, '?', 1) || '?', pg_catalog.format('SELECT * FROM %I.%I%s LIMIT 10;', schema, o.name, o.call)
    FROM (SELECT c.oid, c.relname AS name, '' AS call, pg_catalog.obj_description(c.oid, 'pg_class') AS question
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname = schema AND c.relkind = 'v'
          UNION ALL
          SELECT p.oid, p.proname, '()', pg_catalog.obj_description(p.oid, 'pg_proc')
          FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
          WHERE n.nspname = schema AND p.proretset AND p.pronargs = p.pronargdefaults) o
    WHERE o.question LIKE '%?%'
    ORDER BY o.oid;
END;
COMMENT ON FUNCTION model_contents(name)
    IS 'the reports of a model, which are the views and functions whose comment begins with a question: name, the question, a statement to try';

CREATE FUNCTION model_ready(schema name, aside name DEFAULT NULL)
    RETURNS TABLE (object text, question text, try text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF aside IS NULL THEN
        RAISE NOTICE 'the model is ready: SET search_path = %, ecomsocial, public; after loading: CALL refresh_model(%)',
            quote_ident(schema), quote_literal(schema);
    ELSE
        RAISE NOTICE 'what was left of the old reports is in schema %, to be dropped; now: CALL refresh_model(%)',
            quote_ident(aside), quote_literal(schema);
    END IF;
    RETURN QUERY SELECT * FROM ecomsocial.model_contents(schema);
END
$$;
COMMENT ON FUNCTION model_ready(name, name)
    IS 'internal: the end of making or adopting a model: says what to call next, and lists the reports';

CREATE FUNCTION report_comments(schema name, comments jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    bare record;
BEGIN
    FOR bare IN
        SELECT c.oid AS rel, c.relkind, a.attname, coalesce(comments ->> a.attname, (
                   SELECT col_description(t.oid, o.attnum)
                   FROM pg_class t JOIN pg_attribute o ON o.attrelid = t.oid AND o.attname = a.attname
                   WHERE t.relnamespace = c.relnamespace AND t.relkind IN ('r', 'p') AND NOT t.relispartition AND col_description(t.oid, o.attnum) IS NOT NULL
                   ORDER BY t.relname = regexp_replace(c.relname, '_(current|as_of)$', '') DESC, t.oid LIMIT 1)) AS comment
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE n.nspname = schema AND c.relkind IN ('r', 'v') AND NOT c.relispartition AND col_description(c.oid, a.attnum) IS NULL
    LOOP
        EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', bare.rel::regclass, bare.attname, bare.comment);
    END LOOP;
END
$$;
COMMENT ON FUNCTION report_comments(name, jsonb)
    IS 'internal: gives each column in the schema of a model that has no comment the one given for its name, or that of a table''s column of this name';

CREATE FUNCTION model_set_aside(schema name, kind text, partition_by text, event_tables name[], kept name[]) RETURNS name
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    aside   name := left(schema, 55) || '_before';
    pattern name := left(schema, 55) || '_pattern';
    missing text;
    leftover record;
BEGIN
    SELECT string_agg(quote_ident(t), ', ' ORDER BY t) INTO missing
    FROM unnest(kept) t WHERE to_regclass(format('%I.%I', schema, t)) IS NULL;
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'undefined_table',
            MESSAGE = format('schema "%s" does not hold the tables of the %s model', schema, kind),
            DETAIL = format('Missing: %s.', missing),
            HINT = format('create_%s() makes a model in a new schema.', kind);
    END IF;
    IF EXISTS (SELECT FROM ecomsocial.model m JOIN pg_class c ON c.oid = m.rel
               WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = schema)) THEN
        RAISE EXCEPTION USING ERRCODE = 'duplicate_object',
            MESSAGE = format('schema "%s" holds a model that is in use', schema),
            HINT = 'There is nothing to adopt. CALL ecomsocial.refresh_model() refreshes its reports.';
    END IF;
    IF (partition_by <> 'none') <> EXISTS (SELECT FROM unnest(event_tables) t JOIN pg_partitioned_table p ON p.partrelid = format('%I.%I', schema, t)::regclass) THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('partition_by "%s" is not what the tables in schema "%s" were made with', partition_by, schema);
    END IF;

    -- A model made for the purpose tells which names are a model's; whatever else is in the schema is the user's.
    EXECUTE format('SELECT count(*) FROM ecomsocial.create_%s(%L, foreign_keys => false)', kind, pattern);
    EXECUTE format('CREATE SCHEMA %I', aside);
    FOR leftover IN
        SELECT format('ALTER %s %I.%I SET SCHEMA %I', CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, schema, c.relname, aside) AS move
        FROM pg_class c JOIN pg_class p ON p.relname = c.relname AND p.relkind = c.relkind
        WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = schema)
          AND p.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = pattern)
          AND c.relkind IN ('r', 'v') AND c.relname <> ALL (kept)
        UNION ALL
        SELECT format('ALTER FUNCTION %s SET SCHEMA %I', f.oid::regprocedure, aside)
        FROM pg_proc f
        WHERE f.pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = schema)
          AND f.proname IN (SELECT proname FROM pg_proc WHERE pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = pattern))
    LOOP
        EXECUTE leftover.move;
    END LOOP;
    EXECUTE format('DROP SCHEMA %I CASCADE', pattern);
    RETURN aside;
END
$$;
COMMENT ON FUNCTION model_set_aside(name, text, text, name[], name[])
    IS 'internal: moves what an earlier creation of the extension derived from the tables of a model into a schema of its own, and returns its name';

CREATE FUNCTION add_partitions(rel regclass, from_day date, to_day date) RETURNS SETOF regclass
    LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    settings constant ecomsocial.model := ecomsocial.model_of(rel);
BEGIN
    IF coalesce(settings.options ->> 'partition_by', 'none') = 'none' OR NOT EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = rel) THEN
        RAISE EXCEPTION USING ERRCODE = 'wrong_object_type',
            MESSAGE = format('"%s" is not a partitioned event table of a model', rel),
            HINT = 'Make the model with partition_by => ''day'' or ''month''.';
    END IF;
    RETURN QUERY SELECT * FROM ecomsocial.add_partitions(rel, (settings.options ->> 'partition_by')::ecomsocial.period, from_day, to_day, settings.time_zone);
END
$$;
COMMENT ON FUNCTION add_partitions(regclass, date, date)
    IS 'add_partitions() for an event table of a model, by the period and the time zone that the model was made with';
