
-- Dimension history.  User data belongs to the caller of scd2_enable; the
-- extension owns only the registry.

CREATE TABLE scd2_table (
	rel regclass PRIMARY KEY,
	hub regclass NOT NULL,
	remembered regclass,
	key_columns name[] NOT NULL,
	history_columns name[],
	overwrite_columns name[] NOT NULL,
	fixed_columns name[] NOT NULL,
	valid_from name NOT NULL,
	valid_to name NOT NULL,
	is_current name NOT NULL,
	updated_at name,
	sequence_by name,
	created_at name,
	open_start boolean NOT NULL
);
COMMENT ON TABLE scd2_table IS 'versioned tables: what scd2_enable was told of each; written by the extension only';
COMMENT ON COLUMN scd2_table.rel IS 'the versioned table';
COMMENT ON COLUMN scd2_table.hub IS 'its hub: one row per business key, the target of foreign keys and the lock of a key without a current version';
COMMENT ON COLUMN scd2_table.remembered IS 'out_of_order: the table that remembers events that left no trace in the history';
COMMENT ON COLUMN scd2_table.key_columns IS 'business key, in the order of the primary key';
COMMENT ON COLUMN scd2_table.history_columns IS 'columns whose change makes a version; NULL: all that have no other role';
COMMENT ON COLUMN scd2_table.overwrite_columns IS 'columns that are updated in place (type 1)';
COMMENT ON COLUMN scd2_table.fixed_columns IS 'columns that keep their first value (type 0)';
COMMENT ON COLUMN scd2_table.valid_from IS 'column with the first moment of a version';
COMMENT ON COLUMN scd2_table.valid_to IS 'column with the first moment after a version, infinity for the current one';
COMMENT ON COLUMN scd2_table.is_current IS 'column that marks the current version';
COMMENT ON COLUMN scd2_table.updated_at IS 'column that is never compared, the effective time when none is given';
COMMENT ON COLUMN scd2_table.sequence_by IS 'column that decides between events of one moment';
COMMENT ON COLUMN scd2_table.created_at IS 'column with the moment at which the first version of a key begins';
COMMENT ON COLUMN scd2_table.open_start IS 'whether the first version of a key begins at -infinity';
SELECT pg_catalog.pg_extension_config_dump('scd2_table', 'WHERE rel::oid IN (SELECT oid FROM pg_catalog.pg_class)');
GRANT SELECT, INSERT ON scd2_table TO PUBLIC;
CREATE TRIGGER registry_check BEFORE INSERT ON scd2_table FOR EACH ROW EXECUTE FUNCTION registry_check();
COMMENT ON TRIGGER registry_check ON scd2_table IS 'only the owner of a table and of its hub may enter its row';

CREATE TYPE scd2_action AS ENUM ('inserted', 'changed', 'overwritten', 'unchanged', 'closed', 'reopened', 'late', 'ignored');
COMMENT ON TYPE scd2_action IS 'what became of a row given to scd2_upsert or scd2_close';

CREATE FUNCTION scd2_version_row() RETURNS trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ecs_scd2_version_row';
COMMENT ON FUNCTION scd2_version_row() IS 'BEFORE ROW trigger of versioned tables, made by scd2_enable: sets the period of the row';

CREATE FUNCTION scd2_version_statement() RETURNS trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ecs_scd2_version_statement';
COMMENT ON FUNCTION scd2_version_statement() IS 'AFTER STATEMENT trigger of versioned tables, made by scd2_enable: writes closed versions and hub rows';

CREATE FUNCTION scd2_register(rel regclass, hub regclass, remembered regclass, key_columns name[], history_columns name[],
	overwrite_columns name[], fixed_columns name[], valid_from name, valid_to name, is_current name,
	updated_at name, sequence_by name, created_at name, open_start boolean) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ecs_scd2_register';
COMMENT ON FUNCTION scd2_register(regclass, regclass, regclass, name[], name[], name[], name[], name, name, name, name, name, name, boolean) IS
	'part of scd2_enable: records a table that the caller owns, replacing an earlier record';

CREATE FUNCTION scd2_unregister(rel regclass) RETURNS boolean
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ecs_scd2_unregister';
COMMENT ON FUNCTION scd2_unregister(regclass) IS 'part of scd2_disable: forgets a table that the caller owns, and tables that are gone; tells whether it was known';

CREATE FUNCTION scd2_as_of() RETURNS timestamptz
LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'ecs_scd2_as_of';
COMMENT ON FUNCTION scd2_as_of() IS 'the moment of the setting ecomsocial.as_of, or the start of the transaction where it is empty';

CREATE FUNCTION scd2_require_owner(rel regclass) RETURNS void
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT pg_has_role((SELECT c.relowner FROM pg_class c WHERE c.oid = rel), 'USAGE') THEN
		RAISE EXCEPTION 'must be owner of table %', rel USING ERRCODE = 'insufficient_privilege';
	END IF;
END $$;
COMMENT ON FUNCTION scd2_require_owner(regclass) IS 'part of the functions that lay out, prune and forget: an error if the caller does not own the table';

CREATE FUNCTION scd2_key_operators(rel regclass) RETURNS TABLE (n bigint, name name, operator text, type text)
LANGUAGE sql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT k.n, a.attname, format('OPERATOR(%I.%s)', ns.nspname, o.oprname), format_type(a.atttypid, a.atttypmod)
	FROM ecomsocial.scd2_table t
	JOIN pg_index i ON i.indrelid = t.rel AND i.indisprimary
	CROSS JOIN LATERAL unnest(i.indkey::int2[], i.indclass::oid[]) WITH ORDINALITY k (attnum, opclass, n)
	JOIN pg_attribute a ON a.attrelid = t.rel AND a.attnum = k.attnum
	JOIN pg_opclass c ON c.oid = k.opclass
	JOIN pg_amop m ON m.amopfamily = c.opcfamily AND m.amoplefttype = c.opcintype AND m.amoprighttype = c.opcintype AND m.amopstrategy = 3
	JOIN pg_operator o ON o.oid = m.amopopr
	JOIN pg_namespace ns ON ns.oid = o.oprnamespace
	WHERE t.rel = scd2_key_operators.rel AND a.attname = ANY (t.key_columns)
	ORDER BY k.n
$$;
COMMENT ON FUNCTION scd2_key_operators(regclass) IS
	'part of scd2_refresh and of the functions that read: the key columns of a versioned table, each with the equality of its primary key and its type';

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
	conditions text;
	at text;
BEGIN
	SELECT * INTO t FROM ecomsocial.scd2_table s WHERE s.rel = scd2_refresh.rel;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'table % is not versioned', rel USING ERRCODE = 'object_not_in_prerequisite_state',
			HINT = 'Call ecomsocial.scd2_enable first.';
	END IF;
	SELECT * INTO c FROM pg_class p WHERE p.oid = rel;
	PERFORM ecomsocial.scd2_require_owner(rel);
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
	SELECT string_agg(format('%I %s', o.name, o.type), ', ' ORDER BY o.n), string_agg(format('w.%I %s $%s', o.name, o.operator, o.n + 1), ' AND ' ORDER BY o.n)
	INTO parameters, conditions FROM ecomsocial.scd2_key_operators(rel) o;
	at := CASE WHEN 'at' = ANY (t.key_columns) THEN 'moment timestamptz' ELSE 'at timestamptz' END;
	FOR parameters, filter IN VALUES
			(at, format('SELECT v.* FROM %s v WHERE v.%I OPERATOR(pg_catalog.<=) $1 AND v.%I OPERATOR(pg_catalog.>) $1',
				self, t.valid_from, t.valid_to)),
			(at || ', ' || parameters, format('SELECT v.* FROM (SELECT w.* FROM %1$s w WHERE %2$s AND w.%3$I OPERATOR(pg_catalog.>) $1
				ORDER BY w.%3$I LIMIT 1) v WHERE v.%4$I OPERATOR(pg_catalog.<=) $1', self, conditions, t.valid_to, t.valid_from)) LOOP
		view := format('%s.%I', namespace, c.relname || '_as_of');
		EXECUTE format('CREATE OR REPLACE FUNCTION %s(%s) RETURNS SETOF %s LANGUAGE sql STABLE PARALLEL SAFE AS %L', view, parameters, self, filter);
		EXECUTE format('ALTER FUNCTION %s(%s) OWNER TO %s', view, parameters, owner);
	END LOOP;
END $$;
COMMENT ON FUNCTION scd2_refresh(regclass) IS
	'makes the triggers, views and functions of a versioned table that are missing or no longer fit: after ADD COLUMN, a rename or a new partition';

CREATE FUNCTION scd2_enable(rel regclass, key name[], history name[] DEFAULT NULL, overwrite name[] DEFAULT '{}', fixed name[] DEFAULT '{}',
	valid_from name DEFAULT 'valid_from', valid_to name DEFAULT 'valid_to', is_current name DEFAULT 'is_current',
	updated_at name DEFAULT NULL, sequence_by name DEFAULT NULL, hub regclass DEFAULT NULL, out_of_order boolean DEFAULT false,
	created_at name DEFAULT NULL, open_start boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	c pg_class;
	self text;
	namespace text;
	owner text;
	remembered regclass;
	col name;
	found_type regtype;
	keys text;
	definitions text;
	bad text;
	pkey pg_index;
	pkey_columns name[];
	added boolean := false;
	start text;
BEGIN
	IF rel IS NULL OR coalesce(cardinality(key), 0) = 0 OR valid_from IS NULL OR valid_to IS NULL OR is_current IS NULL
			OR overwrite IS NULL OR fixed IS NULL OR out_of_order IS NULL OR open_start IS NULL THEN
		RAISE EXCEPTION 'table, key and column names must be given' USING ERRCODE = 'null_value_not_allowed';
	END IF;
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
	IF EXISTS (SELECT FROM ecomsocial.scd2_table s WHERE s.rel = scd2_enable.rel) THEN
		RAISE EXCEPTION 'table % is versioned already', rel USING ERRCODE = 'object_not_in_prerequisite_state',
			HINT = 'Call ecomsocial.scd2_refresh after a change of the table, or ecomsocial.scd2_disable to choose other columns.';
	END IF;
	IF octet_length(c.relname) > 52 THEN
		RAISE EXCEPTION 'the name of table % is too long', rel USING ERRCODE = 'name_too_long',
			HINT = 'Names are derived from it: at most 52 bytes.';
	END IF;
	SELECT quote_ident(n.nspname) INTO namespace FROM pg_namespace n WHERE n.oid = c.relnamespace;
	self := format('%s.%I', namespace, c.relname);
	owner := quote_ident(pg_get_userbyid(c.relowner));

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

	-- nothing of the user's is replaced
	SELECT min(o.name) INTO bad FROM (
		SELECT format('%s.%I', namespace, o.relname) FROM pg_class o
		WHERE o.relnamespace = c.relnamespace AND o.relname IN (c.relname || '_current', c.relname || '_as_of')
		UNION ALL
		SELECT p.oid::regprocedure::text FROM pg_proc p
		WHERE p.pronamespace = c.relnamespace AND p.proname = c.relname || '_as_of' AND p.proargtypes[0] = 'timestamptz'::regtype) o (name);
	IF bad IS NOT NULL THEN
		RAISE EXCEPTION '% exists already', bad USING ERRCODE = 'duplicate_object',
			DETAIL = format('Views %I and %I, and functions of the latter name, are to be made.', c.relname || '_current', c.relname || '_as_of'),
			HINT = 'Rename or drop it.';
	END IF;

	-- any other unique index would reject the second version of a row; what depends on valid_to, or is restricted by is_current, does not
	SELECT string_agg(i.indexrelid::regclass::text, ', ') INTO bad FROM pg_index i
	WHERE i.indrelid = rel AND (i.indisunique OR i.indisexclusion) AND NOT i.indisprimary
		AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = rel AND a.attname = scd2_enable.valid_to AND a.attnum = ANY (i.indkey))
		AND NOT EXISTS (SELECT FROM pg_attribute a JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
				AND d.refclassid = 'pg_class'::regclass AND d.refobjid = rel AND d.refobjsubid = a.attnum
			WHERE a.attrelid = rel AND a.attname IN (scd2_enable.valid_to, scd2_enable.is_current) AND a.attnum <> ALL (i.indkey));
	IF bad IS NOT NULL THEN
		RAISE EXCEPTION 'unique index % would allow one version only', bad USING ERRCODE = 'invalid_table_definition',
			HINT = format('Make it a partial index, WHERE %I.', is_current);
	END IF;

	IF c.relkind = 'r' AND c.reloptions IS NULL THEN
		-- room for the next value of the current row on its own page: its update touches no index
		EXECUTE format('ALTER TABLE %s SET (fillfactor = 85)', self);
	END IF;

	-- the columns of the period
	FOR col, found_type IN VALUES (valid_from, 'timestamptz'::regtype), (valid_to, 'timestamptz'), (is_current, 'boolean') LOOP
		IF NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = rel AND a.attname = col AND NOT a.attisdropped) THEN
			RAISE NOTICE 'adding column % to %', quote_ident(col), rel;
			added := added OR col = valid_from;
			EXECUTE format('ALTER TABLE %s ADD COLUMN %I %s %s', self, col, found_type,
				CASE col WHEN valid_to THEN 'DEFAULT ''infinity''' WHEN is_current THEN 'DEFAULT true' ELSE '' END);
		ELSIF NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = rel AND a.attname = col AND a.atttypid = found_type) THEN
			RAISE EXCEPTION 'column % is not of type %', quote_ident(col), found_type USING ERRCODE = 'datatype_mismatch';
		END IF;
	END LOOP;
	start := format('least(coalesce(%s), pg_catalog.now())', concat_ws(', ', quote_ident(created_at), CASE WHEN open_start THEN '''-infinity''' END,
		quote_ident(updated_at), 'pg_catalog.now()'));
	IF added THEN
		-- one rewrite, which leaves no dead rows as an UPDATE would
		EXECUTE format('ALTER TABLE %s ALTER COLUMN %I TYPE timestamptz USING %s', self, valid_from, start);
	END IF;
	EXECUTE format('UPDATE %1$s SET %2$I = coalesce(%2$I, %3$s), %4$I = coalesce(%4$I, ''infinity''), %5$I = coalesce(%4$I, ''infinity'') = ''infinity''
		WHERE %2$I IS NULL OR %4$I IS NULL OR %5$I IS DISTINCT FROM (%4$I = ''infinity'')', self, valid_from, start, valid_to, is_current);
	EXECUTE format('ALTER TABLE %1$s ALTER COLUMN %2$I SET NOT NULL, ALTER COLUMN %3$I SET NOT NULL, ALTER COLUMN %3$I SET DEFAULT ''infinity'',
		ALTER COLUMN %4$I SET NOT NULL, ALTER COLUMN %4$I SET DEFAULT true', self, valid_from, valid_to, is_current);

	-- the primary key: the business key and the end of the period
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
				HINT = format('Drop it, and let it reference the hub, %s.%I, afterwards.', namespace, c.relname || '_hub');
		END IF;
		SELECT string_agg(quote_ident(k), ', ' ORDER BY n) INTO keys FROM unnest(key || valid_to) WITH ORDINALITY u (k, n);
		RAISE NOTICE 'the primary key of % becomes (%)', rel, keys;
		IF pkey_columns IS NOT NULL THEN
			EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', self,
				(SELECT o.conname FROM pg_constraint o WHERE o.conrelid = rel AND o.contype = 'p'));
		END IF;
		EXECUTE format('ALTER TABLE %s ADD PRIMARY KEY (%s)', self, keys);
	ELSIF NOT pkey.indimmediate THEN
		RAISE EXCEPTION 'the primary key of table % is deferrable', rel USING ERRCODE = 'invalid_table_definition',
			HINT = 'ON CONFLICT needs a key that is checked at once.';
	END IF;
	IF NOT EXISTS (SELECT FROM pg_constraint o WHERE o.conrelid = rel AND o.conname = 'scd2_is_current') THEN
		EXECUTE format('ALTER TABLE %s ADD CONSTRAINT scd2_is_current CHECK (%I = (%I = ''infinity''))', self, is_current, valid_to);
	END IF;
	IF NOT EXISTS (SELECT FROM pg_constraint o WHERE o.conrelid = rel AND o.conname = 'scd2_period') THEN
		EXECUTE format('ALTER TABLE %s ADD CONSTRAINT scd2_period CHECK (%I < %I)', self, valid_from, valid_to);
	END IF;

	-- the hub, and the memory for events without a trace
	SELECT string_agg(quote_ident(k), ', ' ORDER BY n), string_agg(format('%I %s%s', k, format_type(a.atttypid, a.atttypmod),
			CASE WHEN a.attcollation <> ty.typcollation THEN ' COLLATE ' || a.attcollation::regcollation ELSE '' END), ', ' ORDER BY n)
	INTO keys, definitions
	FROM unnest(key) WITH ORDINALITY u (k, n) JOIN pg_attribute a ON a.attrelid = rel AND a.attname = k AND NOT a.attisdropped
	JOIN pg_type ty ON ty.oid = a.atttypid;
	IF hub IS NULL THEN
		bad := format('%s.%I', namespace, c.relname || '_hub');
		IF to_regclass(bad) IS NULL THEN
			EXECUTE format('CREATE TABLE %s (%s, PRIMARY KEY (%s))', bad, definitions, keys);
			EXECUTE format('ALTER TABLE %s OWNER TO %s', bad, owner);
		END IF;
		hub := bad::regclass;
	END IF;
	IF NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = hub AND i.indisprimary AND (
			SELECT array_agg((a.attname, a.atttypid)::text ORDER BY k.n) FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, n)
			JOIN pg_attribute a ON a.attrelid = hub AND a.attnum = k.attnum) = (
			SELECT array_agg((a.attname, a.atttypid)::text ORDER BY k.n) FROM unnest(key) WITH ORDINALITY k (name, n)
			JOIN pg_attribute a ON a.attrelid = rel AND a.attname = k.name)) THEN
		RAISE EXCEPTION 'table % cannot be the hub of %', hub, rel USING ERRCODE = 'invalid_table_definition',
			HINT = format('Its primary key must be (%s), with the same types.', keys);
	END IF;
	EXECUTE format('INSERT INTO %1$s (%2$s) SELECT DISTINCT %2$s FROM %3$s ON CONFLICT DO NOTHING', hub, keys, self);
	IF out_of_order THEN
		bad := format('%s.%I', namespace, c.relname || '_events');
		IF to_regclass(bad) IS NULL THEN
			EXECUTE format('CREATE TABLE %s (%s, at timestamptz, kind text NOT NULL CHECK (kind IN (''row'', ''delete'', ''first'')), sequence %s, PRIMARY KEY (%s, at))',
				bad, definitions, coalesce((SELECT format_type(a.atttypid, a.atttypmod) FROM pg_attribute a WHERE a.attrelid = rel AND a.attname = sequence_by), 'bigint'), keys);
			EXECUTE format('ALTER TABLE %s OWNER TO %s', bad, owner);
		END IF;
		remembered := bad::regclass;
	END IF;

	PERFORM ecomsocial.scd2_register(rel, hub, remembered, key, history, overwrite, fixed, valid_from, valid_to, is_current,
		updated_at, sequence_by, created_at, open_start);
	PERFORM ecomsocial.scd2_refresh(rel);
END $$;
COMMENT ON FUNCTION scd2_enable(regclass, name[], name[], name[], name[], name, name, name, name, name, regclass, boolean, name, boolean) IS
	'lays a table out as a dimension that keeps every version: columns, primary key, hub, triggers, the view NAME_current, the view and functions NAME_as_of';

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

CREATE TYPE scd2_mode AS ENUM ('delta', 'snapshot');
COMMENT ON TYPE scd2_mode IS 'what the source of scd2_merge is: changes, or all keys that exist';

CREATE TYPE scd2_counts AS (
	inserted bigint,
	changed bigint,
	overwritten bigint,
	unchanged bigint,
	closed bigint,
	reopened bigint,
	late bigint,
	ignored bigint
);
COMMENT ON TYPE scd2_counts IS 'how many rows of a merge had each effect (scd2_action)';

CREATE FUNCTION scd2_merge(rel regclass, source text, mode scd2_mode DEFAULT 'delta', delete_when text DEFAULT NULL,
	effective_at timestamptz DEFAULT NULL) RETURNS scd2_counts
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ecs_scd2_merge';
COMMENT ON FUNCTION scd2_merge(regclass, text, scd2_mode, text, timestamptz) IS
	'writes the rows of a query (or of the table so named) to a versioned table; delete_when: a condition on a source row that makes it a delete';

CREATE FUNCTION scd2_merge(rel regclass, source regclass, mode scd2_mode DEFAULT 'delta', delete_when text DEFAULT NULL,
	effective_at timestamptz DEFAULT NULL) RETURNS scd2_counts
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ecs_scd2_merge_table';
COMMENT ON FUNCTION scd2_merge(regclass, regclass, scd2_mode, text, timestamptz) IS
	'writes the rows of a table or view to a versioned table; delete_when: a condition on a source row that makes it a delete';

CREATE FUNCTION scd2_upsert(rel regclass, "row" jsonb, effective_at timestamptz DEFAULT NULL) RETURNS scd2_action
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ecs_scd2_upsert';
COMMENT ON FUNCTION scd2_upsert(regclass, jsonb, timestamptz) IS
	'writes one row of a versioned table, which may be partial: missing keys keep their value; tells what was done';

CREATE FUNCTION scd2_upsert_row(rel regclass, "row" record, effective_at timestamptz DEFAULT NULL) RETURNS scd2_action
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ecs_scd2_upsert_row';
COMMENT ON FUNCTION scd2_upsert_row(regclass, record, timestamptz) IS
	'scd2_upsert for a composite row, whose columns are those of the table by name';

CREATE FUNCTION scd2_close(rel regclass, key jsonb, effective_at timestamptz DEFAULT NULL) RETURNS scd2_action
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ecs_scd2_close';
COMMENT ON FUNCTION scd2_close(regclass, jsonb, timestamptz) IS
	'ends the current version of a key, now or at a given time; tells what was done';

-- What the functions below know of a table: the statement's pieces.
CREATE FUNCTION scd2_describe(rel regclass, OUT t scd2_table, OUT self text, OUT keys text, OUT key_object text, OUT compared name[])
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	SELECT * INTO t FROM ecomsocial.scd2_table s WHERE s.rel = scd2_describe.rel;
	IF t.rel IS NULL THEN
		RAISE EXCEPTION 'table % is not versioned', rel USING ERRCODE = 'object_not_in_prerequisite_state',
			HINT = 'Call ecomsocial.scd2_enable first.';
	END IF;
	self := rel::text;
	SELECT string_agg(quote_ident(k), ', ' ORDER BY n), format('jsonb_build_object(%s)', string_agg(format('%L, v.%I', k, k), ', ' ORDER BY n))
	INTO keys, key_object FROM unnest(t.key_columns) WITH ORDINALITY u (k, n);
	-- the columns that make versions
	SELECT coalesce(t.history_columns, array_agg(a.attname ORDER BY a.attnum) FILTER (WHERE a.attgenerated = '' AND a.attname <> ALL
		(t.key_columns || t.overwrite_columns || t.fixed_columns || array_remove(ARRAY[t.valid_from, t.valid_to, t.is_current, t.updated_at, t.sequence_by], NULL))))
	INTO compared FROM pg_attribute a WHERE a.attrelid = scd2_describe.rel AND a.attnum > 0 AND NOT a.attisdropped;
END $$;
COMMENT ON FUNCTION scd2_describe(regclass) IS 'part of scd2_history, scd2_diff, scd2_validate, scd2_prune and scd2_forget: what is known of a versioned table';

-- The condition that a version "v" has this key
CREATE FUNCTION scd2_key_condition(rel regclass, key jsonb) RETURNS text
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t ecomsocial.scd2_table;
	result text;
	bad text;
BEGIN
	t := (ecomsocial.scd2_describe(rel)).t;
	IF jsonb_typeof(key) <> 'object' OR (SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(key) k)
			IS DISTINCT FROM (SELECT array_agg(k::text ORDER BY k::text) FROM unnest(t.key_columns) k) THEN
		RAISE EXCEPTION 'key must be a JSON object of the key columns of %', rel USING ERRCODE = 'invalid_parameter_value',
			DETAIL = format('They are %s.', array_to_string(t.key_columns, ', '));
	END IF;
	SELECT min(e.key) INTO bad FROM jsonb_each(scd2_key_condition.key) e WHERE e.value = 'null';
	IF bad IS NOT NULL THEN
		RAISE EXCEPTION 'key column % of a key of table % is null', quote_ident(bad), rel USING ERRCODE = 'not_null_violation';
	END IF;
	SELECT string_agg(format('v.%1$I %2$s (SELECT r.%1$I FROM jsonb_to_record(%3$L) r (%1$I %4$s))', o.name, o.operator, key, o.type), ' AND ' ORDER BY o.n)
	INTO result FROM ecomsocial.scd2_key_operators(rel) o;
	RETURN result;
END $$;
COMMENT ON FUNCTION scd2_key_condition(regclass, jsonb) IS 'part of scd2_history, scd2_diff and scd2_forget: the condition on the key columns, as SQL';

CREATE FUNCTION scd2_history(rel regclass, key jsonb)
RETURNS TABLE (version bigint, valid_from timestamptz, valid_to timestamptz, is_current boolean, "row" jsonb)
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d record;
BEGIN
	d := ecomsocial.scd2_describe(rel);
	RETURN QUERY EXECUTE format('SELECT row_number() OVER (ORDER BY v.%1$I), v.%2$I, v.%1$I, v.%3$I, to_jsonb(v) - ARRAY[%2$L, %1$L, %3$L] FROM %4$s v WHERE %5$s ORDER BY 1',
		(d.t).valid_to, (d.t).valid_from, (d.t).is_current, d.self, ecomsocial.scd2_key_condition(rel, key));
END $$;
COMMENT ON FUNCTION scd2_history(regclass, jsonb) IS 'the versions of one key, oldest first, numbered from 1';

CREATE FUNCTION scd2_diff(rel regclass, key jsonb)
RETURNS TABLE (at timestamptz, "column" name, old jsonb, new jsonb)
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d record;
BEGIN
	d := ecomsocial.scd2_describe(rel);
	RETURN QUERY SELECT v.valid_from, c.name, v.before -> c.name::text, v."row" -> c.name::text
	FROM (SELECT h.*, lag(h."row") OVER (ORDER BY h.version) AS before FROM ecomsocial.scd2_history(scd2_diff.rel, scd2_diff.key) h) v
	CROSS JOIN unnest(d.compared) WITH ORDINALITY c (name, n)
	WHERE v.before IS NOT NULL AND v.before -> c.name::text IS DISTINCT FROM v."row" -> c.name::text
	ORDER BY v.version, c.n;
END $$;
COMMENT ON FUNCTION scd2_diff(regclass, jsonb) IS 'what each version of a key changed against the one before: one row per history column';

CREATE FUNCTION scd2_validate(rel regclass) RETURNS TABLE (problem text, key jsonb, at timestamptz, detail text)
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d record;
	t ecomsocial.scd2_table;
	same text;
BEGIN
	d := ecomsocial.scd2_describe(rel);
	t := d.t;
	SELECT coalesce(string_agg(format('ROW(v.%I)::record *= ROW(v."scd2 p%s")::record', c, n), ' AND '), 'true') INTO same
	FROM unnest(d.compared) WITH ORDINALITY u (c, n);

	RETURN QUERY EXECUTE format($q$
		SELECT p.problem, %1$s, v.%3$I, NULL::text
		FROM (SELECT *, lag(%4$I) OVER w AS "scd2 before"%7$s FROM %2$s WINDOW w AS (PARTITION BY %6$s ORDER BY %4$I, %3$I)) v
		CROSS JOIN LATERAL (VALUES
			('overlap', v."scd2 before" > v.%3$I),
			('empty period', v.%3$I >= v.%4$I),
			('flag mismatch', v.%5$I IS DISTINCT FROM (v.%4$I = 'infinity')),
			('equal neighbours', v."scd2 before" = v.%3$I AND %8$s)) p (problem, found)
		WHERE p.found
		UNION ALL
		SELECT 'no hub row', %1$s, NULL, NULL FROM (SELECT DISTINCT %6$s FROM %2$s) v WHERE NOT EXISTS (SELECT FROM %9$s h WHERE %10$s)
		ORDER BY 1, 2, 3$q$,
		d.key_object, d.self, t.valid_from, t.valid_to, t.is_current, d.keys,
		(SELECT string_agg(format(', lag(%I) OVER w AS "scd2 p%s"', c, n), '') FROM unnest(d.compared) WITH ORDINALITY u (c, n)),
		same, t.hub, (SELECT string_agg(format('h.%1$I %2$s v.%1$I', o.name, o.operator), ' AND ' ORDER BY o.n) FROM ecomsocial.scd2_key_operators(rel) o));

	RETURN QUERY SELECT 'trigger missing'::text, NULL::jsonb, NULL::timestamptz, format('%s of %s', k, p.part)
	FROM (SELECT scd2_validate.rel AS part UNION SELECT relid FROM pg_partition_tree(scd2_validate.rel)) p,
		unnest('{row,insert,update,delete,truncate}'::text[]) k
	WHERE NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = p.part AND g.tgname = 'zz_scd2_' || k AND g.tgenabled <> 'D')
	ORDER BY 4;

	RETURN QUERY SELECT 'trigger after ours'::text, NULL::jsonb, NULL::timestamptz, format('%s of %s', g.tgname, g.tgrelid::regclass)
	FROM (SELECT scd2_validate.rel AS part UNION SELECT relid FROM pg_partition_tree(scd2_validate.rel)) p
	JOIN pg_trigger g ON g.tgrelid = p.part
	WHERE g.tgname > 'zz_scd2_row' AND g.tgtype & 3 = 3 AND NOT g.tgisinternal
	ORDER BY 4;
END $$;
COMMENT ON FUNCTION scd2_validate(regclass) IS
	'what is wrong with a versioned table: overlaps, empty periods, flags, equal neighbours, keys without hub row, missing triggers, BEFORE ROW triggers that run after ours; nothing if all is well';

CREATE FUNCTION scd2_prune(rel regclass, before timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET ecomsocial.versioning = off SET row_security = off AS $$
DECLARE
	d record;
	pruned bigint;
BEGIN
	d := ecomsocial.scd2_describe(rel);
	PERFORM ecomsocial.scd2_require_owner(rel);
	IF before > clock_timestamp() THEN
		RAISE EXCEPTION 'history can be pruned up to now' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	EXECUTE format('DELETE FROM %s v WHERE v.%I <= $1', d.self, (d.t).valid_to) USING before;
	GET DIAGNOSTICS pruned = ROW_COUNT;
	IF (d.t).remembered IS NOT NULL THEN
		EXECUTE format('DELETE FROM %s WHERE at < $1', (d.t).remembered) USING before;
	END IF;
	RETURN pruned;
END $$;
COMMENT ON FUNCTION scd2_prune(regclass, timestamptz) IS
	'retention: deletes the versions that ended by a moment, and the events remembered before it; by the table''s owner; tells how many versions';

CREATE FUNCTION scd2_forget(rel regclass, key jsonb) RETURNS bigint
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET ecomsocial.versioning = off SET row_security = off AS $$
DECLARE
	d record;
	condition text;
	forgotten bigint;
BEGIN
	d := ecomsocial.scd2_describe(rel);
	PERFORM ecomsocial.scd2_require_owner(rel);
	IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
		RAISE EXCEPTION 'scd2_forget must see what others have just committed' USING ERRCODE = 'active_sql_transaction',
			HINT = 'Call it in a transaction that is READ COMMITTED.';
	END IF;
	condition := ecomsocial.scd2_key_condition(rel, key);
	-- whoever writes the key holds its current row, or its hub row: what he left is seen by the statements that follow
	EXECUTE format('SELECT 1 FROM %s v WHERE %s AND v.%I = ''infinity'' FOR UPDATE', d.self, condition, (d.t).valid_to);
	EXECUTE format('SELECT 1 FROM %s v WHERE %s FOR UPDATE', (d.t).hub, condition);
	EXECUTE format('DELETE FROM %s v WHERE %s', d.self, condition);
	GET DIAGNOSTICS forgotten = ROW_COUNT;
	IF (d.t).remembered IS NOT NULL THEN
		EXECUTE format('DELETE FROM %s v WHERE %s', (d.t).remembered, condition);
	END IF;
	BEGIN
		EXECUTE format('DELETE FROM %s v WHERE %s', (d.t).hub, condition);
	EXCEPTION WHEN foreign_key_violation THEN
		RAISE NOTICE 'the key stays in %: other tables reference it', (d.t).hub;
	END;
	RETURN forgotten;
END $$;
COMMENT ON FUNCTION scd2_forget(regclass, jsonb) IS
	'erases all versions of a key, what is remembered of it, and its hub row if nothing references it; by the table''s owner; tells how many versions';
