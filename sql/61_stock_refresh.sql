-- Stock that is kept: what brings it up to date with its events.

CREATE TYPE stock_definition AS (
	events regclass,
	key name[],
	time_column name,
	quantity name,
	type_column name,
	stocktake text,
	changes regclass,
	snapshots regclass,
	computed regclass,
	snapshot_period period,
	time_zone text
);
COMMENT ON TYPE stock_definition IS
'what stock_create() was told: the events and their columns, the tables that are kept from them, and how days are told apart';
COMMENT ON COLUMN stock_definition.events IS 'the movements';
COMMENT ON COLUMN stock_definition.key IS 'columns that tell one stock from another';
COMMENT ON COLUMN stock_definition.time_column IS 'when a movement took place: timestamptz, timestamp or date';
COMMENT ON COLUMN stock_definition.quantity IS 'signed quantity: an integer type or numeric';
COMMENT ON COLUMN stock_definition.type_column IS 'type of movement, or null where there are no stocktakes';
COMMENT ON COLUMN stock_definition.stocktake IS 'the value of type_column at which the quantity is the level at that moment';
COMMENT ON COLUMN stock_definition.changes IS 'table of (key columns, day, change, balance, counted), one row per key and day with movements';
COMMENT ON COLUMN stock_definition.snapshots IS 'table of (date, key columns, quantity), complete on every date it holds, or null';
COMMENT ON COLUMN stock_definition.computed IS 'table of the dates whose snapshot was computed from changes; others are left alone';
COMMENT ON COLUMN stock_definition.snapshot_period IS 'the last day of every such period has a snapshot';
COMMENT ON COLUMN stock_definition.time_zone IS 'reporting time zone, in which days begin and end';

CREATE FUNCTION stock_period_ends(from_day date, through date, period period)
RETURNS SETOF date
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT from_day + i FROM generate_series(0, through - from_day) i
	WHERE date_trunc(period::text, (from_day + i + 1)::timestamp) = (from_day + i + 1)::timestamp;
END;
COMMENT ON FUNCTION stock_period_ends(date, date, period) IS
'the last days of the periods that end from one date through another';

CREATE TYPE stock_names AS (
	k text,
	fk text,
	typed_k text,
	same_key text,
	number text,
	date_column text,
	quantity_column text,
	day_start text,
	event_query text
);
COMMENT ON TYPE stock_names IS 'internal: what statements on a stock are made of';
COMMENT ON COLUMN stock_names.k IS 'the key columns';
COMMENT ON COLUMN stock_names.fk IS 'the key columns of f';
COMMENT ON COLUMN stock_names.typed_k IS 'the key columns with their types';
COMMENT ON COLUMN stock_names.same_key IS 'the condition that c and f have the same key';
COMMENT ON COLUMN stock_names.number IS 'type of balances';
COMMENT ON COLUMN stock_names.date_column IS 'the first column of the snapshots';
COMMENT ON COLUMN stock_names.quantity_column IS 'the last column of the snapshots';
COMMENT ON COLUMN stock_names.day_start IS 'what makes a day the time at which it begins';
COMMENT ON COLUMN stock_names.event_query IS 'the query for stock_ledger(), which a condition may follow';

CREATE FUNCTION stock_names(d stock_definition) RETURNS stock_names
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT ROW(k, fk, typed_k, same_key,
		(SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = d.changes AND attname = 'balance'),
		(SELECT format('%I', attname) FROM pg_attribute WHERE attrelid = d.snapshots AND attnum > 0 AND NOT attisdropped ORDER BY attnum LIMIT 1),
		(SELECT format('%I', attname) FROM pg_attribute WHERE attrelid = d.snapshots AND attnum > 0 AND NOT attisdropped ORDER BY attnum DESC LIMIT 1),
		(SELECT CASE WHEN atttypid = 'timestamptz'::regtype THEN format('::timestamp AT TIME ZONE %L', d.time_zone) ELSE '' END
		 FROM pg_attribute WHERE attrelid = d.events AND attname = d.time_column),
		format('SELECT %s, %I, %I', k, d.time_column, d.quantity)
			|| coalesce(', ' || quote_ident(d.type_column) || ' = ' || quote_literal(d.stocktake), '')
			|| format(' FROM %s', d.events))::ecomsocial.stock_names
	FROM (SELECT string_agg(format('%I', name), ', ' ORDER BY n) AS k, string_agg(format('f.%I', name), ', ' ORDER BY n) AS fk,
			string_agg(format('%I %s', name, format_type(atttypid, atttypmod)), ', ' ORDER BY n) AS typed_k,
			string_agg(format('c.%1$I = f.%1$I', name), ' AND ' ORDER BY n) AS same_key
		  FROM unnest(d.key) WITH ORDINALITY u(name, n)
		  JOIN pg_attribute ON attrelid = d.changes AND attname = name) key;
END;
COMMENT ON FUNCTION stock_names(stock_definition) IS 'internal: the names and types of a stock, as they are now';

CREATE FUNCTION stock_rebuild(d stock_definition, n stock_names, OUT change_rows bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
	has_loaded boolean;
BEGIN
	EXECUTE format('TRUNCATE %s', d.changes);
	EXECUTE format('INSERT INTO %1$s SELECT (l).* FROM (SELECT ecomsocial.stock_ledger(NULL::%1$s, %2$L, %3$L) AS l) l',
				   d.changes, n.event_query, d.time_zone);
	GET DIAGNOSTICS change_rows = ROW_COUNT;
	IF d.snapshots IS NULL THEN
		RETURN;
	END IF;
	EXECUTE format('SELECT EXISTS (SELECT FROM %s c WHERE NOT EXISTS (SELECT FROM %s f WHERE f.snapshot_date = c.%s))',
				   d.snapshots, d.computed, n.date_column) INTO has_loaded;
	IF has_loaded THEN
		EXECUTE format('DELETE FROM %s c USING %s f WHERE f.snapshot_date = c.%s', d.snapshots, d.computed, n.date_column);
	ELSE
		EXECUTE format('TRUNCATE %s', d.snapshots);
	END IF;
	EXECUTE format('DELETE FROM %s', d.computed);
END
$$;
COMMENT ON FUNCTION stock_rebuild(stock_definition, stock_names) IS
'internal: makes all changes anew, and empties the computed snapshots; returns the number of changes';

CREATE FUNCTION stock_event_filter(d stock_definition, n stock_names, days datemultirange) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
	SELECT string_agg(concat_ws(' AND ', 'true', quote_ident(d.time_column) || ' >= ' || quote_literal(lower(r)) || n.day_start,
								quote_ident(d.time_column) || ' < ' || quote_literal(upper(r)) || n.day_start), ' OR ')
	FROM unnest(days) r;
END;
COMMENT ON FUNCTION stock_event_filter(stock_definition, stock_names, datemultirange) IS 'internal: the condition that an event is of these days';

CREATE FUNCTION stock_append(d stock_definition, n stock_names, days datemultirange, OUT change_rows bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
BEGIN
	EXECUTE format($q$
		INSERT INTO %1$s (%2$s, day, change, balance, counted)
		SELECT %3$s, f.day, CASE WHEN f.counted THEN f.balance - coalesce(c.balance, 0) ELSE f.change END,
			CASE WHEN f.counted THEN f.balance ELSE coalesce(c.balance, 0) + f.change END, f.counted
		FROM (SELECT (l).* FROM (SELECT ecomsocial.stock_ledger(NULL::%1$s, %5$L, %6$L) AS l) l) f
		LEFT JOIN LATERAL (SELECT c.balance FROM %1$s c WHERE %4$s AND c.day < f.day ORDER BY c.day DESC LIMIT 1) c ON true
		$q$, d.changes, n.k, n.fk, n.same_key, n.event_query || ' WHERE ' || ecomsocial.stock_event_filter(d, n, days), d.time_zone);
	GET DIAGNOSTICS change_rows = ROW_COUNT;
END
$$;
COMMENT ON FUNCTION stock_append(stock_definition, stock_names, datemultirange) IS
'internal: the changes of a day after all that is kept: nothing to compare, nothing to repair';

CREATE FUNCTION stock_repair(d stock_definition, n stock_names, days datemultirange, OUT change_rows bigint, OUT snapshot_rows bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
	event_filter CONSTANT text := ecomsocial.stock_event_filter(d, n, days);
	change_filter CONSTANT text := (SELECT string_agg(concat_ws(' AND ', 'true', 'c.day >= ' || quote_literal(lower(r)), 'c.day < ' || quote_literal(upper(r))), ' OR ')
									FROM unnest(days) r);
	gone jsonb;
BEGIN
	-- 1 to 4: k, fk, same_key, number; 5 to 7: changes, snapshots, computed;
	-- 8 and 9: columns of snapshots; 10 to 12: events, time zone, kept days
	EXECUTE format($q$
		WITH facts AS MATERIALIZED (
			-- What the events of these days say.  Of a day with a stocktake it is the
			-- level, whatever came before; of any other only the change is known.
			SELECT %1$s, day, CASE WHEN counted THEN balance ELSE change END AS value, counted
			FROM (SELECT (l).* FROM (SELECT ecomsocial.stock_ledger(NULL::%5$s, %10$L, %11$L) AS l) l) l
		), kept AS (
			SELECT %1$s, day, CASE WHEN counted THEN balance ELSE change END AS value, counted, change, balance
			FROM %5$s c WHERE %12$s
		), touched AS MATERIALIZED (
			-- value is null where nothing happened after all
			SELECT %1$s, day, f.value, f.counted,
				c.change AS old_change, c.balance AS old_balance, c.counted AS old_counted
			FROM facts f FULL JOIN kept c USING (%1$s, day)
			WHERE f.value IS DISTINCT FROM c.value OR f.counted IS DISTINCT FROM c.counted
		), base AS MATERIALIZED (
			-- what each touched key had before
			SELECT f.*, b.balance AS base
			FROM (SELECT %1$s, min(day) AS first_day FROM touched GROUP BY %1$s) f
			LEFT JOIN LATERAL (SELECT c.balance FROM %5$s c WHERE %3$s AND c.day < f.first_day
							   ORDER BY c.day DESC LIMIT 1) b ON true
		), lines AS (
			SELECT %1$s, day, value, counted, old_change, old_balance, old_counted, false AS is_base
			FROM touched WHERE value IS NOT NULL
			UNION ALL
			-- OFFSET: by the index, whatever the planner thinks of the number of keys;
			-- and not at all where the touched days are the last ones
			SELECT %2$s, c.day, CASE WHEN c.counted THEN c.balance ELSE c.change END, c.counted,
				c.change, c.balance, c.counted, false
			FROM base f
			CROSS JOIN LATERAL (SELECT * FROM %5$s c WHERE %3$s AND c.day >= f.first_day
								AND f.first_day <= (SELECT max(day) FROM %5$s) OFFSET 0) c
			WHERE NOT EXISTS (SELECT FROM touched f WHERE %3$s AND c.day = f.day)
			UNION ALL
			-- it is as if that had been counted on the day before
			SELECT %1$s, first_day - 1, base, true, NULL, NULL, NULL, true FROM base WHERE base IS NOT NULL
		), counts AS (
			SELECT *, count(*) FILTER (WHERE counted) OVER (PARTITION BY %1$s ORDER BY day) AS counts FROM lines
		), balances AS (
			SELECT *, (sum(value) OVER (PARTITION BY %1$s, counts ORDER BY day))::%4$s AS balance FROM counts
		), news AS MATERIALIZED (
			-- counts grow with the days, so this order is the one before
			SELECT *, balance - lag(balance, 1, 0::%4$s) OVER (PARTITION BY %1$s ORDER BY counts, day) AS change FROM balances
		), written AS (
			INSERT INTO %5$s AS c (%1$s, day, change, balance, counted)
			SELECT %1$s, day, change, balance, counted FROM news
			WHERE NOT is_base AND (change, balance, counted) IS DISTINCT FROM (old_change, old_balance, old_counted)
			ON CONFLICT (%1$s, day) DO UPDATE
			SET change = excluded.change, balance = excluded.balance, counted = excluded.counted
			RETURNING 1
		), deleted AS (
			DELETE FROM %5$s c USING touched f WHERE %3$s AND c.day = f.day AND f.value IS NULL
			RETURNING 1
		)
		$q$ || CASE WHEN d.snapshots IS NULL THEN $q$
		SELECT (SELECT count(*) FROM written) + (SELECT count(*) FROM deleted), 0, NULL
		$q$ ELSE $q$
		, snapped_later AS MATERIALIZED (
			SELECT (SELECT max(snapshot_date) FROM %7$s) >= (SELECT min(first_day) FROM base) AS yes
		), segments AS (
			-- from when until when each touched key has which balance
			SELECT %1$s, CASE WHEN is_base THEN day + 1 ELSE day END AS from_day, balance,
				coalesce(lead(day) OVER (PARTITION BY %1$s ORDER BY day), 'infinity') AS until_day
			FROM news WHERE (SELECT yes FROM snapped_later)
		), snapped AS (
			INSERT INTO %6$s (%8$s, %1$s, %9$s)
			SELECT f.snapshot_date, %2$s, f.balance
			FROM (SELECT * FROM segments s
				  JOIN %7$s p ON p.snapshot_date >= s.from_day AND p.snapshot_date < s.until_day) f
			LEFT JOIN LATERAL (SELECT c.%9$s AS quantity FROM %6$s c
							   WHERE %3$s AND c.%8$s = f.snapshot_date OFFSET 0) c ON true
			WHERE c.quantity IS DISTINCT FROM f.balance
			ON CONFLICT (%8$s, %1$s) DO UPDATE SET %9$s = excluded.%9$s
			RETURNING 1
		), gone AS (
			-- days on which a key that had been seen is seen no more
			SELECT %1$s, min(first_day) AS first_day, coalesce(min(day), 'infinity') AS until_day
			FROM (SELECT %1$s, first_day, NULL::date AS day FROM base WHERE base IS NULL
				  UNION ALL
				  SELECT %1$s, NULL, day FROM news) f
			WHERE (SELECT yes FROM snapped_later)
			GROUP BY %1$s
			HAVING min(first_day) < coalesce(min(day), 'infinity')
		)
		SELECT (SELECT count(*) FROM written) + (SELECT count(*) FROM deleted), (SELECT count(*) FROM snapped),
			(SELECT jsonb_agg(to_jsonb(gone)) FROM gone)
		$q$ END,
		n.k, n.fk, n.same_key, n.number, d.changes, d.snapshots, d.computed, n.date_column, n.quantity_column,
		n.event_query || ' WHERE ' || event_filter, d.time_zone, change_filter)
	INTO change_rows, snapshot_rows, gone;

	IF gone IS NOT NULL THEN
		EXECUTE format($q$
			WITH deleted AS (
				DELETE FROM %1$s c USING jsonb_to_recordset($1) AS f(%2$s, first_day date, until_day date), %3$s p
				WHERE %4$s AND c.%5$s = p.snapshot_date
					AND p.snapshot_date >= f.first_day AND p.snapshot_date < f.until_day
				RETURNING 1
			)
			SELECT count(*) + $2 FROM deleted
			$q$, d.snapshots, n.typed_k, d.computed, n.same_key, n.date_column)
		INTO snapshot_rows USING gone, snapshot_rows;
	END IF;
END
$$;
COMMENT ON FUNCTION stock_repair(stock_definition, stock_names, datemultirange) IS
'internal: compares the changes of these days with what the events say, and writes them and the later changes and snapshots of their keys where they differ';

CREATE FUNCTION stock_add_snapshots(d stock_definition, n stock_names, through date, OUT snapshot_rows bigint, OUT snapshot_dates bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
	first_date date;
	base_date date;
	dates date[];
BEGIN
	snapshot_rows := 0;
	snapshot_dates := 0;
	EXECUTE format('SELECT min(day) FROM %s', d.changes) INTO first_date;
	EXECUTE format($q$
		SELECT array_agg(f.day ORDER BY f.day)
		FROM ecomsocial.stock_period_ends($1, $2, $3) f(day)
		WHERE NOT EXISTS (SELECT FROM %2$s c WHERE c.snapshot_date = f.day)
			AND NOT EXISTS (SELECT FROM %1$s c WHERE c.%3$s = f.day)
		$q$, d.snapshots, d.computed, n.date_column)
	INTO dates
	USING first_date, coalesce(through, (now() AT TIME ZONE d.time_zone)::date - 1), d.snapshot_period;

	IF dates IS NOT NULL THEN
		-- from the last snapshot before them, where there is one, and the changes since
		EXECUTE format('SELECT max(snapshot_date) FROM %s WHERE snapshot_date < $1', d.computed)
		INTO base_date USING dates[1];
		EXECUTE format('INSERT INTO %1$s SELECT (s).* FROM (SELECT ecomsocial.stock_snapshots(NULL::%1$s, %2$L, $1) AS s) s',
					   d.snapshots,
					   format('SELECT %s, day, balance, true FROM %s WHERE day > %L AND day <= %L',
							  n.k, d.changes, coalesce(base_date, '-infinity'), dates[cardinality(dates)])
					   || CASE WHEN base_date IS NULL THEN '' ELSE
						   format(' UNION ALL SELECT %1$s, %2$s, %3$s, true FROM %4$s WHERE %2$s = %5$L',
								  n.k, n.date_column, n.quantity_column, d.snapshots, base_date) END)
		USING dates;
		GET DIAGNOSTICS snapshot_rows = ROW_COUNT;
		EXECUTE format('INSERT INTO %s SELECT unnest($1)', d.computed) USING dates;
		snapshot_dates := cardinality(dates);
	END IF;
END
$$;
COMMENT ON FUNCTION stock_add_snapshots(stock_definition, stock_names, date) IS
'internal: makes the snapshots that are due through a date and missing, neither computed nor loaded';

CREATE FUNCTION stock_refresh(definition stock_definition, days datemultirange DEFAULT NULL, through date DEFAULT NULL,
							  OUT change_rows bigint, OUT snapshot_rows bigint, OUT snapshot_dates bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET row_security = off
SET jit = off
AS $$
DECLARE
	d CONSTANT ecomsocial.stock_definition := definition;
	n ecomsocial.stock_names;
	is_next boolean := false;
	added record;
BEGIN
	IF current_setting('transaction_isolation') <> 'read committed' THEN
		RAISE EXCEPTION 'stock_refresh needs the isolation level READ COMMITTED'
			USING ERRCODE = 'active_sql_transaction',
				DETAIL = 'It waits for other refreshes, and then must see what they wrote.';
	END IF;
	IF d.events IS NULL OR d.key IS NULL OR d.time_column IS NULL OR d.quantity IS NULL OR d.stocktake IS NULL
		OR d.changes IS NULL OR d.snapshot_period IS NULL OR d.time_zone IS NULL OR (d.snapshots IS NULL) <> (d.computed IS NULL) THEN
		RAISE EXCEPTION 'definition of a stock is incomplete'
			USING ERRCODE = 'null_value_not_allowed', HINT = 'Use the one that PREFIX_definition() returns.';
	END IF;

	n := ecomsocial.stock_names(d);
	change_rows := 0;
	snapshot_rows := 0;
	snapshot_dates := 0;

	-- One refresh at a time.  Events are not locked: of those that this refresh
	-- does not see, the next one is told.  Readers wait only for a rebuild.
	EXECUTE format('LOCK TABLE %s IN %s MODE', concat_ws(', ', d.changes, d.snapshots),
				   CASE WHEN days IS NULL THEN 'ACCESS EXCLUSIVE' ELSE 'SHARE ROW EXCLUSIVE' END);

	IF upper(days) = lower(days) + 1 THEN
		EXECUTE format('SELECT NOT EXISTS (SELECT FROM %s c WHERE c.day >= $1)'
					   || CASE WHEN d.snapshots IS NULL THEN '' ELSE ' AND NOT EXISTS (SELECT FROM %s c WHERE c.snapshot_date >= $1)' END,
					   d.changes, d.computed) INTO is_next USING lower(days);
	END IF;
	IF days IS NULL THEN
		change_rows := ecomsocial.stock_rebuild(d, n);
	ELSIF is_next THEN
		change_rows := ecomsocial.stock_append(d, n, days);
	ELSIF NOT isempty(days) THEN
		SELECT r.change_rows, r.snapshot_rows INTO change_rows, snapshot_rows FROM ecomsocial.stock_repair(d, n, days) r;
	END IF;
	IF d.snapshots IS NOT NULL THEN
		SELECT * INTO added FROM ecomsocial.stock_add_snapshots(d, n, through);
		snapshot_rows := snapshot_rows + added.snapshot_rows;
		snapshot_dates := added.snapshot_dates;
	END IF;
END
$$;
COMMENT ON FUNCTION stock_refresh(stock_definition, datemultirange, date) IS
'brings changes and snapshots up to date with the events of the given days, and nothing else; with null days all is made anew; snapshots are made through the given date, by default yesterday; returns the numbers of rows written';

CREATE FUNCTION stock_check(definition stock_definition, through date DEFAULT NULL)
RETURNS TABLE (problem text, snapshot_date date, expected numeric, found numeric)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $$
DECLARE
	d CONSTANT ecomsocial.stock_definition := definition;
	n CONSTANT ecomsocial.stock_names := ecomsocial.stock_names(definition);
BEGIN
	IF d.snapshots IS NULL THEN
		RETURN;
	END IF;
	-- on every date all keys seen by then have a row, and all stock is the sum of all changes
	RETURN QUERY EXECUTE format($q$
		WITH day AS (
			SELECT day, count(*) FILTER (WHERE is_first) AS keys, sum(change) AS change
			FROM (SELECT day, change, row_number() OVER (PARTITION BY %1$s ORDER BY day) = 1 AS is_first FROM %2$s) c
			GROUP BY day
		), running AS (
			SELECT day, coalesce(lead(day) OVER w, 'infinity') AS until_day, sum(keys) OVER w AS keys, sum(change) OVER w AS stock
			FROM day WINDOW w AS (ORDER BY day)
		), snapshot AS (
			SELECT %3$s AS date, count(*) AS keys, sum(%4$s) AS stock FROM %5$s GROUP BY 1
		), wanted AS (
			SELECT ends AS date, false AS computed FROM (SELECT min(day) AS day FROM day) m, ecomsocial.stock_period_ends(m.day, $1, $2) ends
			UNION ALL
			SELECT p.snapshot_date, true FROM %6$s p
		), checked AS (
			SELECT date, bool_or(computed) AS computed FROM wanted GROUP BY date
		)
		SELECT p.problem, c.date, p.expected::numeric, p.found::numeric
		FROM checked c
		LEFT JOIN running r ON c.date >= r.day AND c.date < r.until_day
		LEFT JOIN snapshot s USING (date)
		CROSS JOIN LATERAL (VALUES
			('missing', coalesce(r.keys, 0), 0, s.keys IS NULL AND (NOT computed OR r.keys > 0)),
			('incomplete', coalesce(r.keys, 0), s.keys, computed AND s.keys <> coalesce(r.keys, 0)),
			('wrong total', coalesce(r.stock, 0), s.stock, computed AND s.stock <> coalesce(r.stock, 0))
		) p(problem, expected, found, is_one)
		WHERE p.is_one
		ORDER BY 2, 1
		$q$, n.k, d.changes,
		n.date_column, n.quantity_column, d.snapshots, d.computed)
	USING coalesce(through, (now() AT TIME ZONE d.time_zone)::date - 1), d.snapshot_period;
END
$$;
COMMENT ON FUNCTION stock_check(stock_definition, date) IS
'holes and faults of the snapshots: dates missing through the given one (by default yesterday), computed dates with too few or too many keys, or whose stock is not the sum of all changes';
