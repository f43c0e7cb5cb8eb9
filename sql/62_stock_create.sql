-- Stock that is kept: the tables of a stock, and the functions that read them.

CREATE FUNCTION stock_fits_snapshots(events regclass, key name[], snapshots regclass) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT types[1] = 'date'::regtype AND names[2:n - 1] = key AND types[2:n - 1] = key_types
		AND types[n] IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype, 'numeric'::regtype)
		AND EXISTS (SELECT FROM pg_index i WHERE indrelid = snapshots AND indisunique AND indimmediate AND indpred IS NULL
			AND (SELECT array_agg(coalesce(attname, '') ORDER BY attname)
				 FROM unnest((indkey::int2[])[0:indnkeyatts - 1]) number LEFT JOIN pg_attribute ON attrelid = snapshots AND attnum = number)
				= (SELECT array_agg(name ORDER BY name) FROM unnest(names[:n - 1]) name))
	FROM (SELECT array_agg(attname ORDER BY attnum) AS names, array_agg(atttypid ORDER BY attnum) AS types, count(*)::integer AS n
		  FROM pg_attribute WHERE attrelid = snapshots AND attnum > 0 AND NOT attisdropped) s,
		(SELECT array_agg(atttypid ORDER BY place) AS key_types
		 FROM unnest(key) WITH ORDINALITY u(name, place) JOIN pg_attribute ON attrelid = events AND attname = name) k;
END;
COMMENT ON FUNCTION stock_fits_snapshots(regclass, name[], regclass) IS
'internal: whether the columns of a table are a date, the key of the events, and a quantity, and a unique index is on all but the last';

CREATE FUNCTION stock_check_arguments(events regclass, key name[], time_column name, quantity name, type_column name,
									  snapshots regclass, time_zone text, prefix name) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	reserved CONSTANT name[] := '{day,change,balance,counted,value,base,counts,old_change,old_balance,old_counted,first_day,until_day,from_day,line,snapshot_date,on_hand,at,moved,quantity,count_moved}';
	longest CONSTANT integer := 63 - length('_snapshot_computed');
	bad name;
BEGIN
	SELECT c INTO bad FROM unnest(key || time_column || quantity || type_column) c
	WHERE c IS NOT NULL AND NOT EXISTS (SELECT FROM pg_attribute a
		WHERE a.attrelid = events AND a.attname = c AND a.attnum > 0 AND NOT a.attisdropped);
	IF FOUND THEN
		RAISE EXCEPTION 'column "%" of relation % does not exist', bad, events USING ERRCODE = 'undefined_column';
	END IF;
	IF key && reserved OR cardinality(key) NOT BETWEEN 1 AND 4 THEN
		RAISE EXCEPTION 'unsuitable key columns'
			USING ERRCODE = 'invalid_parameter_value',
				DETAIL = format('There must be one to four, called none of %s.', array_to_string(reserved, ', ')),
				HINT = 'Use a view on the events that renames them.';
	END IF;
	SELECT attname INTO bad FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
	WHERE attrelid = events AND attname = ANY (key || time_column || quantity) AND typnamespace <> 'pg_catalog'::regnamespace AND typtype <> 'e';
	IF FOUND THEN
		RAISE EXCEPTION 'type of column "%" is not built in', bad
			USING ERRCODE = 'feature_not_supported', HINT = 'Use a view on the events that casts it.';
	END IF;
	SELECT attname INTO bad FROM pg_attribute
	WHERE attrelid = events AND (attname = time_column AND atttypid NOT IN ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype)
		OR attname = quantity AND atttypid NOT IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype, 'numeric'::regtype));
	IF FOUND THEN
		RAISE EXCEPTION 'column "%" of relation % has an unsuitable type', bad, events
			USING ERRCODE = 'datatype_mismatch',
				DETAIL = 'The time must be timestamptz, timestamp or date, the quantity smallint, integer, bigint or numeric.',
				HINT = 'Use a view on the events that casts it.';
	END IF;
	IF snapshots IS NOT NULL AND NOT ecomsocial.stock_fits_snapshots(events, key, snapshots) THEN
		RAISE EXCEPTION 'table % does not fit for snapshots of %', snapshots, events
			USING ERRCODE = 'datatype_mismatch',
				DETAIL = 'Its columns must be a date, the key columns under their names and of their types, and a quantity (smallint, integer, bigint or numeric), with a unique index on the date and the key.';
	END IF;
	IF octet_length(prefix) > longest THEN
		RAISE EXCEPTION 'prefix "%" is too long', prefix
			USING ERRCODE = 'name_too_long', DETAIL = format('It can have %s bytes, so that the names that begin with it are not cut off.', longest);
	END IF;
	-- a time zone that a ledger takes
	PERFORM FROM ecomsocial.stock_ledger(NULL::record, 'SELECT now(), 1 WHERE false', time_zone) AS l(day date, change bigint, balance bigint);
END
$$;
COMMENT ON FUNCTION stock_check_arguments(regclass, name[], name, name, name, regclass, text, name) IS
'internal: errors where stock_create() cannot do with what it is told';

CREATE FUNCTION stock_create(events regclass, key name[], time_column name, quantity name,
							 type_column name DEFAULT NULL, stocktake text DEFAULT 'stocktake',
							 snapshots regclass DEFAULT NULL, snapshot_period period DEFAULT 'day',
							 time_zone text DEFAULT 'UTC', prefix name DEFAULT 'inventory')
RETURNS regclass
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	in_schema text;
	changes text;
	computed text;
	k text;					-- the key columns; with their types; and with their collations; their types; and those of c equal to the arguments of on_hand
	typed_k text;
	collated_k text;
	types text;
	same_key text;
	number text;			-- the type of balances
	is_zoned boolean;
	moved text;				-- the instant of an event
	at_date text;			-- the local date and the day of the argument of on_hand; which events are of that day
	at_day text;
	of_day text;
	counted text;
	one_key boolean;
	reader text;
BEGIN
	IF events IS NULL OR key IS NULL OR time_column IS NULL OR quantity IS NULL OR stocktake IS NULL
		OR snapshot_period IS NULL OR time_zone IS NULL OR prefix IS NULL THEN
		RAISE EXCEPTION 'only type_column and snapshots may be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	PERFORM ecomsocial.stock_check_arguments(events, key, time_column, quantity, type_column, snapshots, time_zone, prefix);

	SELECT format('%I', nspname) INTO in_schema
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = events;
	changes := format('%s.%I', in_schema, prefix || '_change');
	computed := format('%s.%I', in_schema, prefix || '_snapshot_computed');
	SELECT string_agg(format('%I', name), ', ' ORDER BY n), string_agg(format('%I %s', name, type), ', ' ORDER BY n),
		string_agg(concat(format('%I %s', name, type), ' COLLATE ' || nullif(collated, '-')), ', ' ORDER BY n),
		string_agg(type, ', ' ORDER BY n),
		string_agg(format('c.%1$I = %2$I.%1$I', name, prefix || '_on_hand_of'), ' AND ' ORDER BY n)
	INTO k, typed_k, collated_k, types, same_key
	FROM unnest(key) WITH ORDINALITY u(name, n),
		LATERAL (SELECT format_type(atttypid, atttypmod) AS type, attcollation::regcollation::text AS collated
				 FROM pg_attribute WHERE attrelid = events AND attname = name) t;
	SELECT CASE WHEN atttypid = 'numeric'::regtype THEN 'numeric' ELSE 'bigint' END INTO number
	FROM pg_attribute WHERE attrelid = events AND attname = quantity;
	SELECT atttypid = 'timestamptz'::regtype INTO is_zoned FROM pg_attribute WHERE attrelid = events AND attname = time_column;

	EXECUTE format('CREATE TABLE %1$s (%2$s, day date NOT NULL, change %3$s NOT NULL, balance %3$s NOT NULL, counted boolean NOT NULL, PRIMARY KEY (%4$s, day))',
				   changes, collated_k, number, k);
	EXECUTE format('CREATE INDEX ON %s (day)', changes);
	EXECUTE format('COMMENT ON TABLE %s IS %L', changes,
				   'what moved on each day, and the stock at its end; kept by ' || prefix || '_refresh()');
	IF snapshots IS NOT NULL THEN
		EXECUTE format('CREATE TABLE %s (snapshot_date date PRIMARY KEY)', computed);
		EXECUTE format('COMMENT ON TABLE %s IS %L', computed,
					   'the dates whose snapshot was computed; those of other dates were loaded, and are never touched');
	END IF;

	EXECUTE format($q$
		CREATE FUNCTION %1$s.%2$I() RETURNS ecomsocial.stock_definition LANGUAGE sql IMMUTABLE PARALLEL SAFE
		BEGIN ATOMIC
			SELECT ROW(%3$L::regclass, %4$L::name[], %5$L::name, %6$L::name, %7$L::name, %8$L::text, %9$L::regclass,
				%10$L::regclass, %11$L::regclass, %12$L::ecomsocial.period, %13$L::text)::ecomsocial.stock_definition;
		END
		$q$, in_schema, prefix || '_definition', events, key, time_column, quantity, type_column, stocktake, changes,
		snapshots, CASE WHEN snapshots IS NOT NULL THEN computed END, snapshot_period, time_zone);
	EXECUTE format($q$
		CREATE FUNCTION %1$s.%2$I(days datemultirange DEFAULT NULL, through date DEFAULT NULL,
			OUT change_rows bigint, OUT snapshot_rows bigint, OUT snapshot_dates bigint)
		LANGUAGE sql VOLATILE PARALLEL UNSAFE
		BEGIN ATOMIC
			SELECT r.* FROM ecomsocial.stock_refresh(%1$s.%3$I(), %2$I.days, %2$I.through) r;
		END
		$q$, in_schema, prefix || '_refresh', prefix || '_definition');

	-- The stock at a moment: the balance before its day, as if counted then, and
	-- the movements of that day until the moment.
	moved := quote_ident(time_column) || CASE WHEN is_zoned THEN '' ELSE format('::timestamp AT TIME ZONE %L', time_zone) END;
	counted := coalesce('coalesce(' || quote_ident(type_column) || ' = ' || quote_literal(stocktake) || ', false)', 'false');
	FOREACH one_key IN ARRAY '{false,true}'::boolean[] LOOP
		reader := prefix || CASE WHEN one_key THEN '_on_hand_of' ELSE '_on_hand' END;
		-- a date has not begun while clocks will be set back to before it
		at_date := format('(%I.at AT TIME ZONE %L)::date', reader, time_zone);
		at_day := format('%s - (%1$s::timestamp AT TIME ZONE %L > %I.at)::integer', at_date, time_zone, reader);
		of_day := format(CASE WHEN is_zoned THEN '%1$I >= (%2$s)::timestamp AT TIME ZONE %3$L' ELSE '%1$I >= %2$s AND %1$I < %2$s + 1' END,
						 time_column, at_day, time_zone);
		EXECUTE format($q$
			CREATE FUNCTION %1$s.%2$I(%3$s at timestamptz DEFAULT now()) RETURNS %4$s
			LANGUAGE sql STABLE PARALLEL SAFE
			BEGIN ATOMIC
				SELECT %5$s (coalesce(max(quantity) FILTER (WHERE counted AND moved = count_moved), 0)
					+ coalesce(sum(quantity) FILTER (WHERE NOT counted AND (count_moved IS NULL OR moved > count_moved)), 0))::%6$s AS on_hand
				FROM (SELECT *, max(moved) FILTER (WHERE counted) OVER (PARTITION BY %7$s) AS count_moved
					  FROM (SELECT %7$s, '-infinity'::timestamptz AS moved, balance AS quantity, true AS counted
							FROM (SELECT %8$s %7$s, balance FROM %9$s c WHERE day < %10$s %11$s) c
							UNION ALL
							SELECT %7$s, %12$s, %13$I, %14$s FROM %15$s c
							WHERE %16$s AND %12$s <= %2$I.at AND %13$I IS NOT NULL %17$s) m) m
				GROUP BY %7$s;
			END
			$q$, in_schema, reader, CASE WHEN one_key THEN typed_k || ',' END,
			CASE WHEN one_key THEN number ELSE format('TABLE (%s, on_hand %s)', typed_k, number) END,
			CASE WHEN NOT one_key THEN k || ',' END, number, k,
			CASE WHEN NOT one_key THEN format('DISTINCT ON (%s)', k) END, changes, at_day,
			CASE WHEN one_key THEN format('AND %s ORDER BY day DESC LIMIT 1', same_key) ELSE format('ORDER BY %s, day DESC', k) END,
			moved, quantity, counted, events, of_day, CASE WHEN one_key THEN 'AND ' || same_key END);
	END LOOP;
	EXECUTE format($q$
		CREATE FUNCTION %1$s.%2$I(from_day date, through date) RETURNS TABLE (day date, %3$s, on_hand %4$s)
		LANGUAGE sql STABLE PARALLEL SAFE
		BEGIN ATOMIC
			SELECT %2$I.from_day + i, %5$s, balance
			FROM (SELECT %5$s, c.day AS since, balance,
					coalesce(lead(c.day) OVER (PARTITION BY %5$s ORDER BY c.day), %2$I.through + 1) AS until_day
				  FROM %6$s c WHERE c.day <= %2$I.through) c
			CROSS JOIN LATERAL generate_series(greatest(since - %2$I.from_day, 0), until_day - %2$I.from_day - 1) i;
		END
		$q$, in_schema, prefix || '_daily', typed_k, number, k, changes);

	EXECUTE format('COMMENT ON FUNCTION %s.%I() IS %L', in_schema, prefix || '_definition',
				   'what the other functions work on');
	EXECUTE format('COMMENT ON FUNCTION %s.%I(datemultirange, date) IS %L', in_schema, prefix || '_refresh',
				   'brings changes and snapshots up to date with the events of the given days, or makes all anew where null');
	EXECUTE format('COMMENT ON FUNCTION %s.%I(timestamptz) IS %L', in_schema, prefix || '_on_hand',
				   'the stock of every key at a moment');
	EXECUTE format('COMMENT ON FUNCTION %s.%I(%s, timestamptz) IS %L', in_schema, prefix || '_on_hand_of', types,
				   'the stock of one key at a moment');
	EXECUTE format('COMMENT ON FUNCTION %s.%I(date, date) IS %L', in_schema, prefix || '_daily',
				   'the stock of every key at the end of each day from one date through another, from the day of its first movement on');
	IF snapshots IS NOT NULL THEN
		EXECUTE format($q$
			CREATE FUNCTION %1$s.%2$I(through date DEFAULT NULL)
			RETURNS TABLE (problem text, snapshot_date date, expected numeric, found numeric)
			LANGUAGE sql STABLE PARALLEL UNSAFE
			BEGIN ATOMIC
				SELECT r.* FROM ecomsocial.stock_check(%1$s.%3$I(), %2$I.through) r;
			END
			$q$, in_schema, prefix || '_check', prefix || '_definition');
		EXECUTE format('COMMENT ON FUNCTION %s.%I(date) IS %L', in_schema, prefix || '_check',
					   'holes and faults of the snapshots');
	END IF;
	RETURN changes::regclass;
END
$$;
COMMENT ON FUNCTION stock_create(regclass, name[], name, name, name, text, regclass, period, text, name) IS
'makes the table of changes of a table of events, and the functions that keep and read it, in the schema of the events: PREFIX_refresh, PREFIX_on_hand, PREFIX_on_hand_of, PREFIX_daily, PREFIX_check';
