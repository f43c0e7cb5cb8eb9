
-- Laying a table out: the steps of scd2_enable, each a function of its own.

CREATE FUNCTION scd2_name(rel regclass, suffix text) RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT format('%I.%I', n.nspname, c.relname || suffix) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = rel
$$;
COMMENT ON FUNCTION scd2_name(regclass, text) IS 'part of the functions that lay out: the qualified name of what belongs to a table';

CREATE FUNCTION scd2_make_table(rel regclass, suffix text, key name[], columns text, more_key text) RETURNS regclass
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	name text := ecomsocial.scd2_name(rel, suffix);
	keys text;
	definitions text;
BEGIN
	IF to_regclass(name) IS NULL THEN
		SELECT string_agg(quote_ident(k), ', ' ORDER BY n), string_agg(format('%I %s%s', k, format_type(a.atttypid, a.atttypmod),
				CASE WHEN a.attcollation <> ty.typcollation THEN ' COLLATE ' || a.attcollation::regcollation ELSE '' END), ', ' ORDER BY n)
		INTO keys, definitions
		FROM unnest(key) WITH ORDINALITY u (k, n) JOIN pg_attribute a ON a.attrelid = rel AND a.attname = k AND NOT a.attisdropped
		JOIN pg_type ty ON ty.oid = a.atttypid;
		EXECUTE format('CREATE TABLE %s (%s%s, PRIMARY KEY (%s%s))', name, definitions, columns, keys, more_key);
		EXECUTE format('ALTER TABLE %s OWNER TO %I', name, pg_get_userbyid((SELECT c.relowner FROM pg_class c WHERE c.oid = rel)));
	END IF;
	RETURN name::regclass;
END $$;
COMMENT ON FUNCTION scd2_make_table(regclass, text, name[], text, text) IS
	'part of scd2_enable: a table with the key columns of another, and further ones, of the same owner; nothing where it is there already';

CREATE FUNCTION scd2_check_table(rel regclass) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	c pg_class;
	bad text;
BEGIN
	SELECT * INTO c FROM pg_class p WHERE p.oid = rel;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'table % does not exist', rel USING ERRCODE = 'undefined_table';
	END IF;
	PERFORM ecomsocial.scd2_require_owner(rel);
	IF c.relkind NOT IN ('r', 'p') OR c.relispartition OR c.relpersistence = 't'
			OR EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = rel OR i.inhparent = rel AND c.relkind = 'r') THEN
		RAISE EXCEPTION '% cannot be versioned', rel USING ERRCODE = 'wrong_object_type',
			DETAIL = 'Only ordinary and partitioned tables can, not views, foreign or temporary tables, partitions or tables with inheritance.';
	END IF;
	IF ecomsocial.is_distributed(rel) THEN
		RAISE EXCEPTION '% is managed by Citus and cannot be versioned', rel USING ERRCODE = 'feature_not_supported',
			DETAIL = 'Its triggers would fire on the nodes that hold its shards, where the registry of this one is not known.',
			HINT = 'Keep versions in a table of this node.';
	END IF;
	EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', rel);
	IF EXISTS (SELECT FROM ecomsocial.scd2_table s WHERE s.rel = scd2_check_table.rel) THEN
		RAISE EXCEPTION 'table % is versioned already', rel USING ERRCODE = 'object_not_in_prerequisite_state',
			HINT = 'Call ecomsocial.scd2_refresh after a change of the table, or ecomsocial.scd2_disable to choose other columns.';
	END IF;
	IF octet_length(c.relname) > 52 THEN
		RAISE EXCEPTION 'the name of table % is too long', rel USING ERRCODE = 'name_too_long',
			HINT = 'Names are derived from it: at most 52 bytes.';
	END IF;

	-- nothing of the user's is replaced
	SELECT min(o.name) INTO bad FROM (
		SELECT o.oid::regclass::text FROM pg_class o
		WHERE o.relnamespace = c.relnamespace AND o.relname IN (c.relname || '_current', c.relname || '_as_of')
		UNION ALL
		SELECT p.oid::regprocedure::text FROM pg_proc p
		WHERE p.pronamespace = c.relnamespace AND p.proname = c.relname || '_as_of' AND p.proargtypes[0] = 'timestamptz'::regtype) o (name);
	IF bad IS NOT NULL THEN
		RAISE EXCEPTION '% exists already', bad USING ERRCODE = 'duplicate_object',
			DETAIL = format('Views %I and %I, and functions of the latter name, are to be made.', c.relname || '_current', c.relname || '_as_of'),
			HINT = 'Rename or drop it.';
	END IF;
END $$;
COMMENT ON FUNCTION scd2_check_table(regclass) IS 'part of scd2_enable: an error if the table cannot be versioned, or something stands where its views are to be made';

CREATE FUNCTION scd2_check_columns(rel regclass, key name[], history name[], overwrite name[], fixed name[],
	valid_from name, valid_to name, is_current name, updated_at name, sequence_by name, created_at name, out_of_order boolean) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	col name;
	found_type regtype;
	bad text;
BEGIN
	-- every named column exists and has one role
	SELECT string_agg(quote_ident(n), ', ') INTO bad
	FROM unnest(key || history || overwrite || fixed || ARRAY[updated_at, sequence_by, created_at]) n
	WHERE n IS NOT NULL AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = rel AND a.attname = n AND a.attnum > 0 AND NOT a.attisdropped);
	IF bad IS NOT NULL THEN
		RAISE EXCEPTION 'table % has no column %', rel, bad USING ERRCODE = 'undefined_column';
	END IF;
	SELECT string_agg(quote_ident(n), ', ') INTO bad FROM (
		SELECT n FROM unnest(key || history || overwrite || fixed || ARRAY[updated_at, sequence_by, valid_from, valid_to, is_current]) n
		WHERE n IS NOT NULL GROUP BY n HAVING count(*) > 1) d;
	IF bad IS NOT NULL THEN
		RAISE EXCEPTION 'column % has two roles', bad USING ERRCODE = 'duplicate_column';
	END IF;
	SELECT string_agg(quote_ident(a.attname), ', ') INTO bad FROM pg_attribute a
	WHERE a.attrelid = rel AND a.attgenerated <> '' AND a.attname = ANY (key || history || overwrite || fixed || ARRAY[updated_at, sequence_by]);
	IF bad IS NOT NULL THEN
		RAISE EXCEPTION 'column % is generated', bad USING ERRCODE = 'invalid_column_definition',
			HINT = 'Generated columns follow the others and have no role of their own.';
	END IF;
	SELECT string_agg(quote_ident(k), ', ') INTO bad FROM unnest(key) k WHERE out_of_order AND k IN ('at', 'kind', 'sequence');
	IF bad IS NOT NULL THEN
		RAISE EXCEPTION 'key column % has the name of a column of the memory', bad USING ERRCODE = 'duplicate_column',
			HINT = 'Rename it, or leave out_of_order.';
	END IF;
	SELECT quote_ident(a.attname), a.atttypid INTO col, found_type FROM pg_attribute a
	WHERE a.attrelid = rel AND a.attname IN (updated_at, created_at) AND a.atttypid <> 'timestamptz'::regtype;
	IF FOUND THEN
		RAISE EXCEPTION 'column % has type %, not timestamp with time zone', col, found_type USING ERRCODE = 'datatype_mismatch';
	END IF;

	-- any other unique index would reject the second version of a row; what depends on valid_to, or is restricted by is_current, does not
	SELECT string_agg(i.indexrelid::regclass::text, ', ') INTO bad FROM pg_index i
	WHERE i.indrelid = rel AND (i.indisunique OR i.indisexclusion) AND NOT i.indisprimary
		AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = rel AND a.attname = scd2_check_columns.valid_to AND a.attnum = ANY (i.indkey))
		AND NOT EXISTS (SELECT FROM pg_attribute a JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
				AND d.refclassid = 'pg_class'::regclass AND d.refobjid = rel AND d.refobjsubid = a.attnum
			WHERE a.attrelid = rel AND a.attname IN (scd2_check_columns.valid_to, scd2_check_columns.is_current) AND a.attnum <> ALL (i.indkey));
	IF bad IS NOT NULL THEN
		RAISE EXCEPTION 'unique index % would allow one version only', bad USING ERRCODE = 'invalid_table_definition',
			HINT = format('Make it a partial index, WHERE %I.', is_current);
	END IF;
	SELECT string_agg(quote_ident(o.conname), ', ') INTO bad FROM pg_constraint o
	WHERE o.conrelid = rel AND o.contype = 'f' AND (o.confupdtype NOT IN ('a', 'r') OR o.confdeltype NOT IN ('a', 'r'));
	IF bad IS NOT NULL THEN
		RAISE NOTICE 'what foreign key % does ON UPDATE or ON DELETE will fail: versions that ended keep their reference', bad;
	END IF;
END $$;
COMMENT ON FUNCTION scd2_check_columns(regclass, name[], name[], name[], name[], name, name, name, name, name, name, boolean) IS 'part of scd2_enable: an error if a column cannot have its role, or an index would allow one version only';

CREATE FUNCTION scd2_make_period(rel regclass, valid_from name, valid_to name, is_current name, start text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	col name;
	found_type regtype;
	added boolean := false;
BEGIN
	FOR col, found_type IN VALUES (valid_from, 'timestamptz'::regtype), (valid_to, 'timestamptz'), (is_current, 'boolean') LOOP
		IF NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = rel AND a.attname = col AND NOT a.attisdropped) THEN
			RAISE NOTICE 'adding column % to %', quote_ident(col), rel;
			added := added OR col = valid_from;
			EXECUTE format('ALTER TABLE %s ADD COLUMN %I %s %s', rel, col, found_type,
				CASE col WHEN valid_to THEN 'DEFAULT ''infinity''' WHEN is_current THEN 'DEFAULT true' ELSE '' END);
		ELSIF NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = rel AND a.attname = col AND a.atttypid = found_type) THEN
			RAISE EXCEPTION 'column % is not of type %', quote_ident(col), found_type USING ERRCODE = 'datatype_mismatch';
		END IF;
	END LOOP;
	IF added THEN
		-- one rewrite, which leaves no dead rows as an UPDATE would
		EXECUTE format('ALTER TABLE %s ALTER COLUMN %I TYPE timestamptz USING %s', rel, valid_from, start);
	END IF;
	EXECUTE format('UPDATE %1$s SET %2$I = coalesce(%2$I, %3$s), %4$I = coalesce(%4$I, ''infinity''), %5$I = coalesce(%4$I, ''infinity'') = ''infinity''
		WHERE %2$I IS NULL OR %4$I IS NULL OR %5$I IS DISTINCT FROM (%4$I = ''infinity'')', rel, valid_from, start, valid_to, is_current);
	EXECUTE format('ALTER TABLE %1$s ALTER COLUMN %2$I SET NOT NULL, ALTER COLUMN %3$I SET NOT NULL, ALTER COLUMN %3$I SET DEFAULT ''infinity'',
		ALTER COLUMN %4$I SET NOT NULL, ALTER COLUMN %4$I SET DEFAULT true', rel, valid_from, valid_to, is_current);
END $$;
COMMENT ON FUNCTION scd2_make_period(regclass, name, name, name, text) IS 'part of scd2_enable: the columns of the period, where they are missing; rows without one begin at start, an expression';

CREATE FUNCTION scd2_make_key(rel regclass, key name[], valid_from name, valid_to name, is_current name) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	keys text;
	bad text;
	pkey pg_index;
	pkey_columns name[];
BEGIN
	SELECT i.* INTO pkey FROM pg_index i WHERE i.indrelid = rel AND i.indisprimary;
	IF FOUND THEN
		SELECT array_agg(a.attname ORDER BY k.n) INTO pkey_columns
		FROM unnest(pkey.indkey::int2[]) WITH ORDINALITY k (attnum, n) JOIN pg_attribute a ON a.attrelid = rel AND a.attnum = k.attnum;
	END IF;
	IF pkey_columns IS DISTINCT FROM key || valid_to THEN
		IF pkey_columns IS NOT NULL AND NOT (pkey_columns @> key AND pkey_columns <@ (key || ARRAY[valid_from, valid_to])) THEN
			RAISE EXCEPTION 'table % has another primary key: (%)', rel, array_to_string(pkey_columns, ', ') USING ERRCODE = 'invalid_table_definition',
				HINT = 'A versioned table is identified by its business key and the end of the period: drop the other key first.';
		END IF;
		SELECT min(o.conname::text) INTO bad FROM pg_constraint o WHERE o.confrelid = rel AND o.contype = 'f';
		IF bad IS NOT NULL THEN
			RAISE EXCEPTION 'table % is referenced by foreign key %', rel, bad USING ERRCODE = 'dependent_objects_still_exist',
				HINT = format('Drop it, and let it reference the hub, %s, afterwards.', ecomsocial.scd2_name(rel, '_hub'));
		END IF;
		SELECT string_agg(quote_ident(k), ', ' ORDER BY n) INTO keys FROM unnest(key || valid_to) WITH ORDINALITY u (k, n);
		RAISE NOTICE 'the primary key of % becomes (%)', rel, keys;
		IF pkey_columns IS NOT NULL THEN
			EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', rel,
				(SELECT o.conname FROM pg_constraint o WHERE o.conrelid = rel AND o.contype = 'p'));
		END IF;
		EXECUTE format('ALTER TABLE %s ADD PRIMARY KEY (%s)', rel, keys);
	ELSIF NOT pkey.indimmediate THEN
		RAISE EXCEPTION 'the primary key of table % is deferrable', rel USING ERRCODE = 'invalid_table_definition',
			HINT = 'ON CONFLICT needs a key that is checked at once.';
	END IF;
	IF NOT EXISTS (SELECT FROM pg_constraint o WHERE o.conrelid = rel AND o.conname = 'scd2_is_current') THEN
		EXECUTE format('ALTER TABLE %s ADD CONSTRAINT scd2_is_current CHECK (%I = (%I = ''infinity''))', rel, is_current, valid_to);
	END IF;
	IF NOT EXISTS (SELECT FROM pg_constraint o WHERE o.conrelid = rel AND o.conname = 'scd2_period') THEN
		EXECUTE format('ALTER TABLE %s ADD CONSTRAINT scd2_period CHECK (%I < %I)', rel, valid_from, valid_to);
	END IF;
END $$;
COMMENT ON FUNCTION scd2_make_key(regclass, name[], name, name, name) IS 'part of scd2_enable: the primary key, which is the business key and the end of the period, and the checks';

CREATE FUNCTION scd2_make_hub(rel regclass, key name[], INOUT hub regclass) RETURNS regclass
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	keys text;
BEGIN
	hub := coalesce(hub, ecomsocial.scd2_make_table(rel, '_hub', key, '', ''));
	SELECT string_agg(quote_ident(k), ', ' ORDER BY n) INTO keys FROM unnest(key) WITH ORDINALITY u (k, n);
	IF NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = hub AND i.indisprimary AND (
			SELECT array_agg((a.attname, a.atttypid)::text ORDER BY k.n) FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, n)
			JOIN pg_attribute a ON a.attrelid = hub AND a.attnum = k.attnum) = (
			SELECT array_agg((a.attname, a.atttypid)::text ORDER BY k.n) FROM unnest(key) WITH ORDINALITY k (name, n)
			JOIN pg_attribute a ON a.attrelid = rel AND a.attname = k.name)) THEN
		RAISE EXCEPTION 'table % cannot be the hub of %', hub, rel USING ERRCODE = 'invalid_table_definition',
			HINT = format('Its primary key must be (%s), with the same types.', keys);
	END IF;
END $$;
COMMENT ON FUNCTION scd2_make_hub(regclass, name[], regclass) IS 'part of scd2_enable and scd2_refresh: the hub, made or found fit';

CREATE FUNCTION scd2_make_memory(rel regclass, key name[], sequence_by name) RETURNS regclass
LANGUAGE sql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT ecomsocial.scd2_make_table(rel, '_events', key, format(', at timestamptz, kind text NOT NULL CHECK (kind IN (''row'', ''delete'', ''first'')), sequence %s',
		coalesce((SELECT format_type(a.atttypid, a.atttypmod) FROM pg_attribute a WHERE a.attrelid = rel AND a.attname = sequence_by), 'bigint')), ', at')
$$;
COMMENT ON FUNCTION scd2_make_memory(regclass, name[], name) IS 'part of scd2_enable and scd2_refresh: the table that remembers events without a trace';

CREATE FUNCTION scd2_fit_keys(rel regclass, key name[], other regclass) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	col name;
	wanted text;
BEGIN
	FOR col, wanted IN SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a JOIN pg_attribute o ON o.attname = a.attname
			WHERE a.attrelid = rel AND o.attrelid = other AND a.attname = ANY (key) AND (a.atttypid, a.atttypmod) <> (o.atttypid, o.atttypmod) LOOP
		EXECUTE format('ALTER TABLE %s ALTER COLUMN %I TYPE %s', other, col, wanted);
	END LOOP;
END $$;
COMMENT ON FUNCTION scd2_fit_keys(regclass, name[], regclass) IS 'part of scd2_refresh: gives the key columns of a hub or memory the types of the table''s';

CREATE FUNCTION scd2_refresh_keys(rel regclass) RETURNS void
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t ecomsocial.scd2_table;
	hub regclass;
	remembered regclass;
	keys text;
BEGIN
	t := ecomsocial.scd2_registered(rel);
	SELECT c.oid INTO hub FROM pg_class c WHERE c.oid = t.hub;
	hub := coalesce(hub, ecomsocial.scd2_make_table(rel, '_hub', t.key_columns, '', ''));
	PERFORM ecomsocial.scd2_fit_keys(rel, t.key_columns, hub);
	hub := ecomsocial.scd2_make_hub(rel, t.key_columns, hub);
	SELECT string_agg(quote_ident(k), ', ' ORDER BY n) INTO keys FROM unnest(t.key_columns) WITH ORDINALITY u (k, n);
	EXECUTE format('INSERT INTO %1$s (%2$s) SELECT %2$s FROM %3$s EXCEPT SELECT %2$s FROM %1$s ON CONFLICT DO NOTHING', hub, keys, rel);
	IF t.remembered IS NOT NULL THEN
		SELECT c.oid INTO remembered FROM pg_class c WHERE c.oid = t.remembered;
		remembered := coalesce(remembered, ecomsocial.scd2_make_memory(rel, t.key_columns, t.sequence_by));
		PERFORM ecomsocial.scd2_fit_keys(rel, t.key_columns, remembered);
	END IF;
	IF (hub, remembered) IS DISTINCT FROM (t.hub, t.remembered) THEN
		PERFORM ecomsocial.scd2_register(rel, hub, remembered, t.key_columns, t.history_columns, t.overwrite_columns, t.fixed_columns,
			t.valid_from, t.valid_to, t.is_current, t.updated_at, t.sequence_by, t.created_at, t.open_start);
	END IF;
END $$;
COMMENT ON FUNCTION scd2_refresh_keys(regclass) IS 'part of scd2_refresh: hub and memory are there, have the types of the table, and the hub has each key';

CREATE FUNCTION scd2_enable(rel regclass, key name[], history name[] DEFAULT NULL, overwrite name[] DEFAULT '{}', fixed name[] DEFAULT '{}',
	valid_from name DEFAULT 'valid_from', valid_to name DEFAULT 'valid_to', is_current name DEFAULT 'is_current',
	updated_at name DEFAULT NULL, sequence_by name DEFAULT NULL, hub regclass DEFAULT NULL, out_of_order boolean DEFAULT false,
	created_at name DEFAULT NULL, open_start boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	c pg_class;
	remembered regclass;
BEGIN
	IF rel IS NULL OR coalesce(cardinality(key), 0) = 0 OR valid_from IS NULL OR valid_to IS NULL OR is_current IS NULL
			OR overwrite IS NULL OR fixed IS NULL OR out_of_order IS NULL OR open_start IS NULL THEN
		RAISE EXCEPTION 'table, key and column names must be given' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	PERFORM ecomsocial.scd2_check_table(rel);
	PERFORM ecomsocial.scd2_check_columns(rel, key, history, overwrite, fixed, valid_from, valid_to, is_current, updated_at, sequence_by, created_at, out_of_order);

	SELECT * INTO c FROM pg_class p WHERE p.oid = rel;
	IF c.relkind = 'r' AND c.reloptions IS NULL THEN
		-- room for the next value of the current row on its own page: its update touches no index
		EXECUTE format('ALTER TABLE %s SET (fillfactor = 85)', rel);
	END IF;
	PERFORM ecomsocial.scd2_make_period(rel, valid_from, valid_to, is_current,
		format('least(coalesce(%s), pg_catalog.now())', concat_ws(', ', quote_ident(created_at), CASE WHEN open_start THEN '''-infinity''' END,
			quote_ident(updated_at), 'pg_catalog.now()')));
	PERFORM ecomsocial.scd2_make_key(rel, key, valid_from, valid_to, is_current);
	hub := ecomsocial.scd2_make_hub(rel, key, hub);
	IF out_of_order THEN
		remembered := ecomsocial.scd2_make_memory(rel, key, sequence_by);
	END IF;
	PERFORM ecomsocial.scd2_register(rel, hub, remembered, key, history, overwrite, fixed, valid_from, valid_to, is_current,
		updated_at, sequence_by, created_at, open_start);
	PERFORM ecomsocial.scd2_refresh(rel);
END $$;
COMMENT ON FUNCTION scd2_enable(regclass, name[], name[], name[], name[], name, name, name, name, name, regclass, boolean, name, boolean) IS
	'lays a table out as a dimension that keeps every version: columns, primary key, hub, triggers, the view NAME_current, the view and functions NAME_as_of';

CREATE FUNCTION scd2_refresh(rel regclass) RETURNS void
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t ecomsocial.scd2_table;
	c pg_class;
	self text;
	namespace text;
	owner text;
	part regclass;
	kind text;
	rights text;
	filter text;
	view text;
	columns text[];
	present text[];
	parameters text;
	types text;
	conditions text;
	at text;
	made oid[] := '{}';
BEGIN
	t := ecomsocial.scd2_registered(rel);
	SELECT * INTO c FROM pg_class p WHERE p.oid = rel;
	PERFORM ecomsocial.scd2_require_owner(rel);
	PERFORM ecomsocial.scd2_refresh_keys(rel);
	SELECT quote_ident(n.nspname) INTO namespace FROM pg_namespace n WHERE n.oid = c.relnamespace;
	self := format('%s.%I', namespace, c.relname);
	owner := quote_ident(pg_get_userbyid(c.relowner));

	-- statement triggers of the parent do not fire for statements that name a leaf
	FOR part, kind IN SELECT p.part, k FROM
			(SELECT scd2_refresh.rel AS part UNION SELECT relid FROM pg_partition_tree(scd2_refresh.rel)) p,
			unnest('{row,insert,update,delete,truncate}'::text[]) k ORDER BY p.part <> scd2_refresh.rel, 1, 2 LOOP
		CONTINUE WHEN EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = part AND g.tgname = 'zz_scd2_' || kind);
		EXECUTE format('CREATE TRIGGER %I %s ON %s %s EXECUTE FUNCTION ecomsocial.%s()', 'zz_scd2_' || kind,
			CASE kind WHEN 'row' THEN 'BEFORE INSERT OR UPDATE OR DELETE' ELSE 'AFTER ' || kind END, part,
			CASE kind WHEN 'row' THEN 'FOR EACH ROW'
				WHEN 'insert' THEN 'REFERENCING NEW TABLE AS scd2_new'
				WHEN 'update' THEN 'REFERENCING OLD TABLE AS scd2_old NEW TABLE AS scd2_new'
				WHEN 'delete' THEN 'REFERENCING OLD TABLE AS scd2_old'
				ELSE 'FOR EACH STATEMENT' END,
			CASE kind WHEN 'row' THEN 'scd2_version_row' ELSE 'scd2_version_statement' END);
	END LOOP;

	-- the views work with the rights of who uses them: those of the table decide
	SELECT array_agg(format('v.%I', a.attname) ORDER BY a.attnum) INTO columns
	FROM pg_attribute a WHERE a.attrelid = rel AND a.attnum > 0 AND NOT a.attisdropped;
	FOR kind, rights, filter IN VALUES
			('current', 'SELECT, INSERT, UPDATE, DELETE', format('v.%I = ''infinity''', t.valid_to)),
			('as_of', 'SELECT', format('v.%I <= ecomsocial.scd2_as_of() AND v.%I > ecomsocial.scd2_as_of()', t.valid_from, t.valid_to)) LOOP
		view := format('%s.%I', namespace, c.relname || '_' || kind);
		SELECT array_agg(format('v.%I', a.attname) ORDER BY a.attnum) INTO present
		FROM pg_attribute a WHERE a.attrelid = to_regclass(view) AND a.attnum > 0 AND NOT a.attisdropped;
		-- columns at its end are added to a view, and what depends on it stays
		IF present <> columns[1:cardinality(present)] THEN
			EXECUTE format('DROP VIEW %s', view);
		END IF;
		EXECUTE format('CREATE OR REPLACE VIEW %s WITH (security_invoker = true%s) AS SELECT %s FROM %s v WHERE %s',
			view, CASE kind WHEN 'current' THEN ', check_option = cascaded' ELSE '' END, array_to_string(columns, ', '), self, filter);
		EXECUTE format('ALTER VIEW %s OWNER TO %s', view, owner);
		EXECUTE format('GRANT %s ON %s TO PUBLIC', rights, view);
	END LOOP;

	-- string bodies follow added and dropped columns by themselves, and are inlined
	SELECT string_agg(format('%I %s', o.name, o.type), ', ' ORDER BY o.n), string_agg(o.type, ', ' ORDER BY o.n),
		string_agg(format('w.%I %s $%s', o.name, o.operator, o.n + 1), ' AND ' ORDER BY o.n)
	INTO parameters, types, conditions FROM ecomsocial.scd2_key_operators(rel) o;
	at := CASE WHEN 'at' = ANY (t.key_columns) THEN 'moment timestamptz' ELSE 'at timestamptz' END;
	FOR parameters, types, filter IN VALUES
			(at, 'timestamptz', format('SELECT v.* FROM %s v WHERE v.%I OPERATOR(pg_catalog.<=) $1 AND v.%I OPERATOR(pg_catalog.>) $1',
				self, t.valid_from, t.valid_to)),
			(at || ', ' || parameters, 'timestamptz, ' || types, format('SELECT v.* FROM (SELECT w.* FROM %1$s w WHERE %2$s AND w.%3$I OPERATOR(pg_catalog.>) $1
				ORDER BY w.%3$I LIMIT 1) v WHERE v.%4$I OPERATOR(pg_catalog.<=) $1', self, conditions, t.valid_to, t.valid_from)) LOOP
		view := format('%s.%I', namespace, c.relname || '_as_of');
		EXECUTE format('CREATE OR REPLACE FUNCTION %s(%s) RETURNS SETOF %s LANGUAGE sql STABLE PARALLEL SAFE AS %L', view, parameters, self, filter);
		EXECUTE format('ALTER FUNCTION %s(%s) OWNER TO %s', view, parameters, owner);
		made := made || format('%s(%s)', view, types)::regprocedure::oid;
	END LOOP;

	-- those of another name, or of another type of the key, look for what is not there
	FOR view IN SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.prorettype = c.reltype AND p.proretset
			AND p.proname LIKE '%\_as\_of' AND p.prosrc LIKE 'SELECT v.* FROM %' AND p.oid <> ALL (made) LOOP
		BEGIN
			EXECUTE format('DROP FUNCTION %s', view);
		EXCEPTION WHEN dependent_objects_still_exist THEN
			RAISE NOTICE 'function % does not fit the table any more, and stays: other objects use it', view;
		END;
	END LOOP;
END $$;
COMMENT ON FUNCTION scd2_refresh(regclass) IS
	'makes the triggers, views and functions of a versioned table that are missing or no longer fit: after ADD COLUMN, a rename or a new partition';

CREATE FUNCTION scd2_disable(rel regclass) RETURNS void
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	part regclass;
	name text;
	routine regprocedure;
BEGIN
	IF NOT ecomsocial.scd2_unregister(rel) THEN
		RAISE EXCEPTION 'table % is not versioned', rel USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	FOR part, name IN SELECT g.tgrelid, g.tgname FROM pg_trigger g
			JOIN (SELECT scd2_disable.rel AS relid UNION SELECT relid FROM pg_partition_tree(scd2_disable.rel)) p ON g.tgrelid = p.relid
			WHERE g.tgname LIKE 'zz\_scd2\_%' AND g.tgparentid = 0 LOOP
		EXECUTE format('DROP TRIGGER %I ON %s', name, part);
	END LOOP;
	FOR name IN SELECT format('%I.%I', n.nspname, c.relname || k) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
			unnest('{_current,_as_of}'::text[]) k WHERE c.oid = rel LOOP
		EXECUTE format('DROP VIEW IF EXISTS %s', name);
	END LOOP;
	FOR routine IN SELECT p.oid FROM pg_class c JOIN pg_proc p ON p.pronamespace = c.relnamespace AND p.proname = c.relname || '_as_of' AND p.prorettype = c.reltype
			WHERE c.oid = rel LOOP
		EXECUTE format('DROP FUNCTION %s', routine);
	END LOOP;
END $$;
COMMENT ON FUNCTION scd2_disable(regclass) IS
	'ends the versioning of a table: drops its triggers, views and functions; the table, its hub and all rows stay';
