-- Incremental aggregate tables: registry, capture, refresh.
--
-- Everything but rollup_leaf is dumped with the database: what was waiting
-- waits in the restored one too.  A database in which the leaves of a capture
-- are not recorded is a restored one, and there the first refresh computes every
-- bucket again (leaves.c).  pg_upgrade carries all tables over.

CREATE SEQUENCE rollup_capture_seq AS integer;
COMMENT ON SEQUENCE rollup_capture_seq IS 'numbers of captures, none of which is ever used again; not dumped, as it follows what rollup_capture holds';

CREATE TABLE rollup_capture (
	capture integer PRIMARY KEY,
	source regclass NOT NULL,
	time_column name NOT NULL,
	time_zone text NOT NULL
);
COMMENT ON TABLE rollup_capture IS 'sources of rollups; each with the time column and the time zone by which its triggers note the days that a transaction touched';
COMMENT ON COLUMN rollup_capture.capture IS 'number of the capture, part of the names of its triggers';
COMMENT ON COLUMN rollup_capture.source IS 'the table';
COMMENT ON COLUMN rollup_capture.time_column IS 'its column of type timestamp with time zone or date; follows a rename at the next refresh';
COMMENT ON COLUMN rollup_capture.time_zone IS 'the zone whose midnights part days; empty where the column is a date';
SELECT pg_catalog.pg_extension_config_dump('rollup_capture', 'WHERE source::oid IN (SELECT oid FROM pg_catalog.pg_class)');

CREATE TABLE rollups (
	target regclass PRIMARY KEY,
	captures integer[] NOT NULL,
	bucket period NOT NULL,
	time_zone text NOT NULL,
	bucket_column name,
	query_function name,
	on_refresh text,
	frozen_before date,
	refreshed_at timestamptz,
	last_error text,
	CHECK (cardinality(captures) > 0 AND array_position(captures, NULL) IS NULL),
	CHECK ((query_function IS NULL) <> (on_refresh IS NULL)),
	CHECK ((query_function IS NULL) = (bucket_column IS NULL))
);
COMMENT ON TABLE rollups IS 'the rollups; written by rollup_create(), rollup_retain(), rollup_drop() and refreshes only';
COMMENT ON COLUMN rollups.target IS 'the table that is kept';
COMMENT ON COLUMN rollups.captures IS 'its sources: numbers of rollup_capture';
COMMENT ON COLUMN rollups.bucket IS 'length of a bucket';
COMMENT ON COLUMN rollups.time_zone IS 'reporting time zone';
COMMENT ON COLUMN rollups.bucket_column IS 'column of the target that holds the first day of the bucket';
COMMENT ON COLUMN rollups.query_function IS 'function in the schema of the target that holds the query';
COMMENT ON COLUMN rollups.on_refresh IS 'function that is called with the touched buckets, in place of a query';
COMMENT ON COLUMN rollups.frozen_before IS 'buckets that begin before this day are never computed again';
COMMENT ON COLUMN rollups.refreshed_at IS 'end of the last refresh that had work';
COMMENT ON COLUMN rollups.last_error IS 'first error of the last refresh, NULL if it had none';
SELECT pg_catalog.pg_extension_config_dump('rollups', 'WHERE target::oid IN (SELECT oid FROM pg_catalog.pg_class)');

-- One row for each transaction, capture and day: heap_insert() by the triggers,
-- hence no index, no constraint and no default.
CREATE TABLE rollup_log (
	capture integer NOT NULL,
	day date NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_insert_threshold = -1);
COMMENT ON TABLE rollup_log IS 'days of sources that committed transactions touched since the last refresh';
COMMENT ON COLUMN rollup_log.capture IS 'number of rollup_capture';
COMMENT ON COLUMN rollup_log.day IS 'the day, in the zone of the capture';
SELECT pg_catalog.pg_extension_config_dump('rollup_log', '');

CREATE TABLE rollup_gate ();
COMMENT ON TABLE rollup_gate IS 'holds nothing: its lock is held by transactions that commit with notes, so that a refresh can wait for them';

CREATE TABLE rollup_pending (
	target regclass NOT NULL,
	bucket date NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
CREATE INDEX rollup_pending_target_bucket_idx ON rollup_pending (target, bucket);
COMMENT ON TABLE rollup_pending IS 'buckets that a refresh has yet to compute';
COMMENT ON COLUMN rollup_pending.target IS 'the rollup';
COMMENT ON COLUMN rollup_pending.bucket IS 'first day of the bucket; -infinity: all buckets';
SELECT pg_catalog.pg_extension_config_dump('rollup_pending', 'WHERE target::oid IN (SELECT oid FROM pg_catalog.pg_class)');

CREATE TABLE rollup_leaf (
	capture integer NOT NULL,
	leaf oid NOT NULL,
	file oid NOT NULL,
	triggers bigint NOT NULL,
	from_day date NOT NULL,
	until_day date NOT NULL,
	PRIMARY KEY (capture, leaf)
);
COMMENT ON TABLE rollup_leaf IS 'the leaves of each source as the last refresh saw them';
COMMENT ON COLUMN rollup_leaf.capture IS 'number of rollup_capture';
COMMENT ON COLUMN rollup_leaf.leaf IS 'OID of the leaf partition, or of the source itself; 0 in a row that says that the leaves of the capture are recorded';
COMMENT ON COLUMN rollup_leaf.file IS 'its relfilenode: another one after TRUNCATE';
COMMENT ON COLUMN rollup_leaf.triggers IS 'fingerprint of its capture triggers: another one after DETACH and ATTACH, and after any ALTER TABLE ... TRIGGER';
COMMENT ON COLUMN rollup_leaf.from_day IS 'first day that its bounds allow';
COMMENT ON COLUMN rollup_leaf.until_day IS 'first day after those';

-- What a dump holds, whoever owns the rollups copies in again.
-- A parallel restore may bring the log before the captures: a day of a capture that
-- is not there does no harm.
CREATE FUNCTION rollup_log_check() RETURNS trigger
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF EXISTS (SELECT FROM ecomsocial.rollup_capture c JOIN pg_class s ON s.oid = c.source
			   WHERE c.capture = NEW.capture AND NOT pg_has_role(s.relowner, 'USAGE')) THEN
		RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
			MESSAGE = format('must be owner of the source of capture %s', NEW.capture),
			HINT = 'Rows of the log are written by triggers, and by the restore of a dump.';
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION rollup_log_check() IS 'trigger of rollup_log: who enters a row, as the restore of a dump does, must own the source that it names';

GRANT SELECT ON rollup_leaf TO PUBLIC;
GRANT SELECT, INSERT ON rollup_capture, rollups, rollup_log, rollup_pending TO PUBLIC;
CREATE TRIGGER registry_check BEFORE INSERT ON rollup_log FOR EACH ROW EXECUTE FUNCTION rollup_log_check();
COMMENT ON TRIGGER registry_check ON rollup_log IS 'only the owner of a source may enter a day of it; capture writes past triggers';
CREATE TRIGGER registry_check BEFORE INSERT ON rollup_pending FOR EACH ROW EXECUTE FUNCTION registry_check();
COMMENT ON TRIGGER registry_check ON rollup_pending IS 'only the owner of a rollup may enter a bucket of it';
CREATE TRIGGER registry_check BEFORE INSERT ON rollup_capture FOR EACH ROW EXECUTE FUNCTION registry_check();
COMMENT ON TRIGGER registry_check ON rollup_capture IS 'only the owner of a source may enter its row';
CREATE TRIGGER registry_check BEFORE INSERT ON rollups FOR EACH ROW EXECUTE FUNCTION registry_check();
COMMENT ON TRIGGER registry_check ON rollups IS 'only the owner of a rollup may enter its row';

-- Capture

CREATE FUNCTION rollup_note(capture integer, at timestamptz) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ecs_rollup_note_instant' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rollup_note(integer, timestamptz) IS 'condition of capture triggers: notes that this transaction touched the day of an instant; always false, so that the trigger itself is never called';

CREATE FUNCTION rollup_note(capture integer, old_at timestamptz, new_at timestamptz) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ecs_rollup_note_instant' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rollup_note(integer, timestamptz, timestamptz) IS 'condition of capture triggers for UPDATE: notes both days; always false';

CREATE FUNCTION rollup_note(capture integer, day date) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ecs_rollup_note_day' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rollup_note(integer, date) IS 'condition of capture triggers: notes that this transaction touched a day; always false, so that the trigger itself is never called';

CREATE FUNCTION rollup_note(capture integer, old_day date, new_day date) RETURNS boolean
	AS 'MODULE_PATHNAME', 'ecs_rollup_note_day' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rollup_note(integer, date, date) IS 'condition of capture triggers for UPDATE: notes both days; always false';

CREATE FUNCTION rollup_trigger() RETURNS trigger
	AS 'MODULE_PATHNAME', 'ecs_rollup_trigger' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rollup_trigger() IS 'function of capture triggers, whose condition does all the work: it is never called';

CREATE FUNCTION rollup_unwritten(OUT capture integer, OUT day date) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'ecs_rollup_unwritten' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 1;
COMMENT ON FUNCTION rollup_unwritten() IS 'days that the current transaction touched, which go to rollup_log when it commits';

-- Buckets

CREATE FUNCTION rollup_day(at timestamptz, time_zone text) RETURNS date
	AS 'MODULE_PATHNAME', 'ecs_rollup_day' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION rollup_day(timestamptz, text) IS 'the day whose bucket an instant belongs to: between local midnights of the time zone';

CREATE FUNCTION rollup_bucket(day date, period period, shift integer DEFAULT 0) RETURNS date
	AS 'MODULE_PATHNAME', 'ecs_rollup_bucket' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION rollup_bucket(date, period, integer) IS 'first day of the period that a day lies in; with shift 1 of the next period, with -1 of the one before';

CREATE FUNCTION rollup_touched(target regclass, OUT bucket date, OUT next_bucket date, OUT from_time timestamptz, OUT until_time timestamptz)
	RETURNS SETOF record LANGUAGE sql STABLE PARALLEL RESTRICTED ROWS 10
BEGIN ATOMIC
	SELECT b.bucket, b.next_bucket, b.bucket::timestamp AT TIME ZONE b.time_zone, b.next_bucket::timestamp AT TIME ZONE b.time_zone
	FROM (SELECT DISTINCT t.bucket, rollup_bucket(t.bucket, r.bucket, 1) AS next_bucket, r.time_zone
		FROM rollups r CROSS JOIN LATERAL (
			SELECT p.bucket FROM rollup_pending p WHERE p.target = r.target
			UNION ALL
			SELECT rollup_bucket(l.day, r.bucket) FROM rollup_log l WHERE l.capture = ANY (r.captures)
			UNION ALL
			SELECT rollup_bucket(u.day, r.bucket) FROM rollup_unwritten() u WHERE u.capture = ANY (r.captures)) t
		WHERE r.target = rollup_touched.target AND t.bucket > '-infinity' AND t.bucket >= coalesce(r.frozen_before, '-infinity')) b;
END;
COMMENT ON FUNCTION rollup_touched(regclass) IS 'buckets of a rollup whose sources changed since they were computed, as the current snapshot sees it';

-- Making, refreshing, dropping

CREATE FUNCTION rollup_create(target text, sources regclass[], time_columns name[], query text DEFAULT NULL,
		bucket period DEFAULT 'day', time_zone text DEFAULT 'UTC', bucket_column name DEFAULT 'bucket',
		key name[] DEFAULT NULL, nullable_key boolean DEFAULT false, on_refresh text DEFAULT NULL)
	RETURNS regclass AS 'MODULE_PATHNAME', 'ecs_rollup_create' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rollup_create(text, regclass[], name[], text, period, text, name, name[], boolean, text) IS 'declare a table that is kept up to date from its sources, bucket by bucket';

CREATE FUNCTION rollup_drop(target regclass, keep_table boolean DEFAULT false)
	RETURNS void AS 'MODULE_PATHNAME', 'ecs_rollup_drop' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION rollup_drop(regclass, boolean) IS 'end a rollup: drop its triggers, view and function, and its table unless that is kept';

CREATE PROCEDURE rollup_refresh(target regclass, until timestamptz DEFAULT 'infinity')
	AS 'MODULE_PATHNAME', 'ecs_rollup_refresh' LANGUAGE C;
COMMENT ON PROCEDURE rollup_refresh(regclass, timestamptz) IS 'compute the buckets whose sources changed, of those that begin before a moment; commits after each';

CREATE PROCEDURE rollup_rebuild(target regclass, from_day date DEFAULT '-infinity', until_day date DEFAULT 'infinity')
	AS 'MODULE_PATHNAME', 'ecs_rollup_rebuild' LANGUAGE C;
COMMENT ON PROCEDURE rollup_rebuild(regclass, date, date) IS 'compute all buckets of the days [from_day, until_day) again';

CREATE PROCEDURE refresh_model(schema name, until timestamptz DEFAULT 'infinity')
	AS 'MODULE_PATHNAME', 'ecs_refresh_model' LANGUAGE C;
COMMENT ON PROCEDURE refresh_model(name, timestamptz) IS 'refresh all rollups of a schema, each after those that it reads';

CREATE FUNCTION rollup_status(OUT target regclass, OUT sources regclass[], OUT bucket period, OUT time_zone text,
		OUT pending bigint, OUT oldest_pending date, OUT everything_pending boolean, OUT frozen_before date, OUT frozen_pending bigint,
		OUT refreshed_at timestamptz, OUT last_error text)
	RETURNS SETOF record LANGUAGE sql STABLE PARALLEL RESTRICTED ROWS 20
BEGIN ATOMIC
	SELECT r.target,
		(SELECT array_agg(c.source ORDER BY array_position(r.captures, c.capture)) FROM rollup_capture c WHERE c.capture = ANY (r.captures)),
		r.bucket, r.time_zone,
		(SELECT count(*) FROM rollup_touched(r.target)),
		(SELECT min(t.bucket) FROM rollup_touched(r.target) t),
		EXISTS (SELECT FROM rollup_pending p WHERE p.target = r.target AND p.bucket = '-infinity')
			OR EXISTS (SELECT FROM unnest(r.captures) c WHERE NOT EXISTS (SELECT FROM rollup_leaf l WHERE l.capture = c AND l.leaf = 0)),
		r.frozen_before,
		(SELECT count(DISTINCT p.bucket) FROM rollup_pending p WHERE p.target = r.target AND p.bucket > '-infinity' AND p.bucket < r.frozen_before),
		r.refreshed_at, r.last_error
	FROM rollups r JOIN pg_catalog.pg_class k ON k.oid = r.target;
END;
COMMENT ON FUNCTION rollup_status() IS 'each rollup with the number of buckets that wait for a refresh and how the last one ended';

-- Retention

CREATE FUNCTION rollup_retain(target regclass, before date)
	RETURNS void AS 'MODULE_PATHNAME', 'ecs_rollup_retain' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rollup_retain(regclass, date) IS 'freeze the buckets before a day, so that their events may be dropped; NULL freezes none';

CREATE FUNCTION rollup_detach(source regclass, before date, drop boolean DEFAULT false) RETURNS SETOF text
	LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	leaf record;
BEGIN
	PERFORM FROM ecomsocial.rollup_capture c WHERE c.source = rollup_detach.source;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = format('%s is not a source of a rollup', source),
			HINT = 'Detach its partitions with ALTER TABLE ... DETACH PARTITION.';
	END IF;
	PERFORM ecomsocial.rollup_retain(r.target, greatest(before, r.frozen_before))
	FROM ecomsocial.rollups r
	WHERE EXISTS (SELECT FROM ecomsocial.rollup_capture c WHERE c.source = rollup_detach.source AND c.capture = ANY (r.captures));
	FOR leaf IN		-- in the time of each rollup: the end of a month in one zone is within a day of another
		SELECT i.inhrelid::regclass AS name
		FROM pg_inherits i
		CROSS JOIN LATERAL pg_partition_tree(i.inhrelid) t
		CROSS JOIN ecomsocial.rollup_capture c
		LEFT JOIN ecomsocial.rollup_leaf l ON l.capture = c.capture AND l.leaf = t.relid
		WHERE i.inhparent = rollup_detach.source AND t.isleaf AND c.source = rollup_detach.source
		GROUP BY 1
		HAVING bool_and(coalesce(l.until_day <= before, false))
		ORDER BY 1
	LOOP
		EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', source, leaf.name);
		RETURN NEXT leaf.name::text;
		IF drop THEN
			EXECUTE format('DROP TABLE %s', leaf.name);
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION rollup_detach(regclass, date, boolean) IS 'freeze all rollups of a partitioned source before a day and detach, or drop, the partitions that end by then; returns their names';
