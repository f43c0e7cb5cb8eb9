
-- Events: what the engine is told.

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
