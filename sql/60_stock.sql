-- Stock: running balances of signed movements.

CREATE FUNCTION stock_ledger(witness anyelement, query text, time_zone text DEFAULT 'UTC')
RETURNS SETOF anyelement
LANGUAGE c STABLE PARALLEL UNSAFE ROWS 100000
AS 'MODULE_PATHNAME', 'ecs_stock_ledger';
COMMENT ON FUNCTION stock_ledger(anyelement, text, text) IS
'change and balance per key and day, from a query that returns (key columns, time, quantity [, is a stocktake]); rows are of the type of the witness: (key columns, day, change, balance [, counted])';

CREATE FUNCTION stock_ledger(witness anyelement, events regclass, key name[], time_column name, quantity name,
							 type_column name DEFAULT NULL, stocktake text DEFAULT 'stocktake', time_zone text DEFAULT 'UTC')
RETURNS SETOF anyelement
LANGUAGE c STABLE PARALLEL UNSAFE ROWS 100000
AS 'MODULE_PATHNAME', 'ecs_stock_ledger_table';
COMMENT ON FUNCTION stock_ledger(anyelement, regclass, name[], name, name, name, text, text) IS
'change and balance per key and day, from the movements in a table; where type_column has the value stocktake, the quantity is the level at that moment; rows are of the type of the witness: (key columns, day, change, balance [, counted])';

CREATE FUNCTION stock_snapshots(witness anyelement, query text, days date[], time_zone text DEFAULT 'UTC')
RETURNS SETOF anyelement
LANGUAGE c STABLE PARALLEL UNSAFE ROWS 100000
AS 'MODULE_PATHNAME', 'ecs_stock_snapshots';
COMMENT ON FUNCTION stock_snapshots(anyelement, text, date[], text) IS
'the balance of every key at the end of each of the days, from the day of its first movement on, from a query as for stock_ledger; rows are of the type of the witness: (day, key columns, quantity)';

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

CREATE FUNCTION stock_refresh(definition stock_definition, days datemultirange DEFAULT NULL, through date DEFAULT NULL,
							  OUT change_rows bigint, OUT snapshot_rows bigint, OUT snapshot_dates bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET row_security = off
SET jit = off
AS $$
DECLARE
	d CONSTANT ecomsocial.stock_definition := definition;
	-- the key columns, those of rows f, and with their types; and the same key in c and f
	k text;
	fk text;
	typed_k text;
	same_key text;
	number text;			-- the type of balances
	date_column text;		-- the first and the last column of the snapshots
	quantity_column text;
	day_start text;			-- makes a day the time at which it begins
	event_query text;
	event_filter text;
	change_filter text;
	gone jsonb;
	has_loaded boolean;
	is_next boolean := false;
	first_date date;
	base_date date;
	dates date[];
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

	SELECT string_agg(format('%I', name), ', ' ORDER BY n), string_agg(format('f.%I', name), ', ' ORDER BY n),
		string_agg(format('%I %s', name, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY n),
		string_agg(format('c.%1$I = f.%1$I', name), ' AND ' ORDER BY n)
	INTO k, fk, typed_k, same_key
	FROM unnest(d.key) WITH ORDINALITY u(name, n)
	JOIN pg_attribute a ON a.attrelid = d.changes AND a.attname = name;
	SELECT format_type(atttypid, NULL) INTO number FROM pg_attribute WHERE attrelid = d.changes AND attname = 'balance';
	SELECT min(format('%I', attname)) FILTER (WHERE attnum = low), min(format('%I', attname)) FILTER (WHERE attnum = high)
	INTO date_column, quantity_column
	FROM (SELECT attname, attnum, min(attnum) OVER () AS low, max(attnum) OVER () AS high
		  FROM pg_attribute WHERE attrelid = d.snapshots AND attnum > 0 AND NOT attisdropped) a;
	SELECT CASE WHEN atttypid = 'timestamptz'::regtype THEN format('::timestamp AT TIME ZONE %L', d.time_zone) ELSE '' END
	INTO day_start
	FROM pg_attribute WHERE attrelid = d.events AND attname = d.time_column;
	event_query := format('SELECT %s, %I, %I', k, d.time_column, d.quantity)
		|| coalesce(', ' || quote_ident(d.type_column) || ' = ' || quote_literal(d.stocktake), '')
		|| format(' FROM %s', d.events);
	change_rows := 0;
	snapshot_rows := 0;
	snapshot_dates := 0;

	-- One refresh at a time.  Events are not locked: of those that this refresh
	-- does not see, the next one is told.  Readers wait only for a rebuild.
	EXECUTE format('LOCK TABLE %s IN %s MODE', concat_ws(', ', d.changes, d.snapshots),
				   CASE WHEN days IS NULL THEN 'ACCESS EXCLUSIVE' ELSE 'SHARE ROW EXCLUSIVE' END);

	IF days IS NULL THEN
		EXECUTE format('TRUNCATE %s', d.changes);
		EXECUTE format('INSERT INTO %1$s SELECT (l).* FROM (SELECT ecomsocial.stock_ledger(NULL::%1$s, %2$L, %3$L) AS l) l',
					   d.changes, event_query, d.time_zone);
		GET DIAGNOSTICS change_rows = ROW_COUNT;
		IF d.snapshots IS NOT NULL THEN
			EXECUTE format('SELECT EXISTS (SELECT FROM %s c WHERE NOT EXISTS (SELECT FROM %s f WHERE f.snapshot_date = c.%s))',
						   d.snapshots, d.computed, date_column) INTO has_loaded;
			IF has_loaded THEN
				EXECUTE format('DELETE FROM %s c USING %s f WHERE f.snapshot_date = c.%s', d.snapshots, d.computed, date_column);
			ELSE
				EXECUTE format('TRUNCATE %s', d.snapshots);
			END IF;
			EXECUTE format('DELETE FROM %s', d.computed);
		END IF;

	ELSIF NOT isempty(days) THEN
		SELECT string_agg(concat_ws(' AND ', 'true', 'c.day >= ' || quote_literal(lower(r)), 'c.day < ' || quote_literal(upper(r))), ' OR '),
			string_agg(concat_ws(' AND ', 'true',
								 quote_ident(d.time_column) || ' >= ' || quote_literal(lower(r)) || day_start,
								 quote_ident(d.time_column) || ' < ' || quote_literal(upper(r)) || day_start), ' OR ')
		INTO change_filter, event_filter
		FROM unnest(days) r;

		-- One day after all that is kept: nothing to compare, nothing to repair.
		IF upper(days) = lower(days) + 1 THEN
			EXECUTE format('SELECT NOT EXISTS (SELECT FROM %s c WHERE c.day >= $1)'
						   || CASE WHEN d.snapshots IS NULL THEN '' ELSE ' AND NOT EXISTS (SELECT FROM %s c WHERE c.snapshot_date >= $1)' END,
						   d.changes, d.computed) INTO is_next USING lower(days);
		END IF;
		IF is_next THEN
			EXECUTE format($q$
				INSERT INTO %1$s (%2$s, day, change, balance, counted)
				SELECT %3$s, f.day, CASE WHEN f.counted THEN f.balance - coalesce(c.balance, 0) ELSE f.change END,
					CASE WHEN f.counted THEN f.balance ELSE coalesce(c.balance, 0) + f.change END, f.counted
				FROM (SELECT (l).* FROM (SELECT ecomsocial.stock_ledger(NULL::%1$s, %5$L, %6$L) AS l) l) f
				LEFT JOIN LATERAL (SELECT c.balance FROM %1$s c WHERE %4$s AND c.day < f.day ORDER BY c.day DESC LIMIT 1) c ON true
				$q$, d.changes, k, fk, same_key, event_query || ' WHERE ' || event_filter, d.time_zone);
			GET DIAGNOSTICS change_rows = ROW_COUNT;
		ELSE
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
				k, fk, same_key, number, d.changes, d.snapshots, d.computed, date_column, quantity_column,
				event_query || ' WHERE ' || event_filter, d.time_zone, change_filter)
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
					$q$, d.snapshots, typed_k, d.computed, same_key, date_column)
				INTO snapshot_rows USING gone, snapshot_rows;
			END IF;
		END IF;
	END IF;

	IF d.snapshots IS NOT NULL THEN
		-- the dates that should be there and are not, neither computed nor loaded
		EXECUTE format('SELECT min(day) FROM %s', d.changes) INTO first_date;
		EXECUTE format($q$
			SELECT array_agg(f.day ORDER BY f.day)
			FROM ecomsocial.stock_period_ends($1, $2, $3) f(day)
			WHERE NOT EXISTS (SELECT FROM %2$s c WHERE c.snapshot_date = f.day)
				AND NOT EXISTS (SELECT FROM %1$s c WHERE c.%3$s = f.day)
			$q$, d.snapshots, d.computed, date_column)
		INTO dates
		USING first_date, coalesce(through, (now() AT TIME ZONE d.time_zone)::date - 1), d.snapshot_period;

		IF dates IS NOT NULL THEN
			-- from the last snapshot before them, where there is one, and the changes since
			EXECUTE format('SELECT max(snapshot_date) FROM %s WHERE snapshot_date < $1', d.computed)
			INTO base_date USING dates[1];
			EXECUTE format('INSERT INTO %1$s SELECT (s).* FROM (SELECT ecomsocial.stock_snapshots(NULL::%1$s, %2$L, $1) AS s) s',
						   d.snapshots,
						   format('SELECT %s, day, balance, true FROM %s WHERE day > %L AND day <= %L',
								  k, d.changes, coalesce(base_date, '-infinity'), dates[cardinality(dates)])
						   || CASE WHEN base_date IS NULL THEN '' ELSE
							   format(' UNION ALL SELECT %1$s, %2$s, %3$s, true FROM %4$s WHERE %2$s = %5$L',
									  k, date_column, quantity_column, d.snapshots, base_date) END)
			USING dates;
			GET DIAGNOSTICS snapshot_dates = ROW_COUNT;
			snapshot_rows := snapshot_rows + snapshot_dates;
			EXECUTE format('INSERT INTO %s SELECT unnest($1)', d.computed) USING dates;
			snapshot_dates := cardinality(dates);
		END IF;
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
	date_column text;
	quantity_column text;
BEGIN
	IF d.snapshots IS NULL THEN
		RETURN;
	END IF;
	SELECT min(format('%I', attname)) FILTER (WHERE attnum = low), min(format('%I', attname)) FILTER (WHERE attnum = high)
	INTO date_column, quantity_column
	FROM (SELECT attname, attnum, min(attnum) OVER () AS low, max(attnum) OVER () AS high
		  FROM pg_attribute WHERE attrelid = d.snapshots AND attnum > 0 AND NOT attisdropped) a;
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
		$q$, (SELECT string_agg(format('%I', name), ', ') FROM unnest(d.key) name), d.changes,
		date_column, quantity_column, d.snapshots, d.computed)
	USING coalesce(through, (now() AT TIME ZONE d.time_zone)::date - 1), d.snapshot_period;
END
$$;
COMMENT ON FUNCTION stock_check(stock_definition, date) IS
'holes and faults of the snapshots: dates missing through the given one (by default yesterday), computed dates with too few or too many keys, or whose stock is not the sum of all changes';

CREATE FUNCTION stock_create(events regclass, key name[], time_column name, quantity name,
							 type_column name DEFAULT NULL, stocktake text DEFAULT 'stocktake',
							 snapshots regclass DEFAULT NULL, snapshot_period period DEFAULT 'day',
							 time_zone text DEFAULT 'UTC', prefix name DEFAULT 'inventory')
RETURNS regclass
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	reserved CONSTANT name[] := '{day,change,balance,counted,value,base,counts,old_change,old_balance,old_counted,first_day,until_day,from_day,line,snapshot_date,on_hand,at,moved,quantity,count_moved}';
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
	bad name;
	one_key boolean;
	reader text;
BEGIN
	IF events IS NULL OR key IS NULL OR time_column IS NULL OR quantity IS NULL OR stocktake IS NULL
		OR snapshot_period IS NULL OR time_zone IS NULL OR prefix IS NULL THEN
		RAISE EXCEPTION 'only type_column and snapshots may be null' USING ERRCODE = 'null_value_not_allowed';
	END IF;
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
	PERFORM now() AT TIME ZONE time_zone;

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
