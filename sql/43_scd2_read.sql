
-- Reading, checking and erasing history.

-- What the functions below know of a table: the statement's pieces.
CREATE FUNCTION scd2_describe(rel regclass, OUT t scd2_table, OUT self text, OUT keys text, OUT key_object text, OUT compared name[])
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	gone regclass;
BEGIN
	t := ecomsocial.scd2_registered(rel);
	SELECT r INTO gone FROM unnest(ARRAY[t.hub, t.remembered]) r WHERE r IS NOT NULL AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = r);
	IF FOUND THEN
		RAISE EXCEPTION 'relation with OID % does not exist', gone::oid USING ERRCODE = 'undefined_table',
			DETAIL = format('It belonged to versioned table %s, and was dropped.', rel),
			HINT = 'Call ecomsocial.scd2_refresh, which makes it anew.';
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
