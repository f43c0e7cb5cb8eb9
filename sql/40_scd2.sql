
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

CREATE FUNCTION scd2_registered(rel regclass) RETURNS scd2_table
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t ecomsocial.scd2_table;
	gone text;
BEGIN
	SELECT * INTO t FROM ecomsocial.scd2_table s WHERE s.rel = scd2_registered.rel;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'table % is not versioned', rel USING ERRCODE = 'object_not_in_prerequisite_state',
			HINT = 'Call ecomsocial.scd2_enable first.';
	END IF;
	SELECT min(quote_ident(n)) INTO gone
	FROM unnest(t.key_columns || t.history_columns || t.overwrite_columns || t.fixed_columns
		|| ARRAY[t.valid_from, t.valid_to, t.is_current, t.updated_at, t.sequence_by, t.created_at]) n
	WHERE n IS NOT NULL AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = t.rel AND a.attname = n AND NOT a.attisdropped);
	IF gone IS NOT NULL THEN
		RAISE EXCEPTION 'versioned table % has no column %', rel, gone USING ERRCODE = 'undefined_column',
			DETAIL = 'The column has a role in the table''s history, and was renamed or dropped.',
			HINT = 'Call ecomsocial.scd2_disable and then ecomsocial.scd2_enable with the columns of today.';
	END IF;
	RETURN t;
END $$;
COMMENT ON FUNCTION scd2_registered(regclass) IS
	'part of scd2_refresh and of the functions that read: the registration of a table; an error where there is none, or a column is gone';

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
