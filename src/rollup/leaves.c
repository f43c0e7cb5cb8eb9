/*
 * leaves.c
 *		What row triggers cannot see: TRUNCATE, and partitions that come and go.
 *
 * For each leaf of a source (an ordinary table is its own leaf) the registry
 * keeps its relfilenode, the OID of its capture trigger and the days that its
 * bounds allow.  A refresh compares that with the catalog.
 *
 *		new leaf				ATTACH: mark the days it has rows of
 *		leaf gone				DETACH or DROP: mark the buckets its bounds span
 *		other relfilenode		TRUNCATE (or a rewrite): both
 *		other trigger			DETACH and ATTACH again: both
 *		trigger not ALWAYS		somebody may have written unseen: both, each time
 *
 * The trigger is part of it because a detached leaf loses its clones, and with
 * them our eyes: attached again it has new ones.  Rows that change after an
 * ATTACH are seen by the clones.
 *
 * A row of leaf 0 says that the leaves of a capture were recorded here.  Since
 * rollup_leaf is not dumped, a capture without one came from another database
 * by pg_dump: leaves may have come and gone unseen before, and relfilenodes say
 * nothing, so that all its rollups are marked wholly.
 *
 * Locking: whoever acts on differences locks the capture's row first and
 * compares again.  Comparing alone takes no lock and writes nothing.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "partitioning/partdesc.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "rollup/rollup.h"

#define TREE \
	"WITH RECURSIVE tree(relid) AS (SELECT $2::oid UNION ALL " \
	"SELECT i.inhrelid FROM tree JOIN pg_inherits i ON i.inhparent = tree.relid WHERE NOT i.inhdetachpending), " \
	"present AS (SELECT c.oid AS leaf, c.relfilenode AS file, t.trigger, t.always IS NOT DISTINCT FROM 3 AS always " \
	"FROM tree JOIN pg_class c ON c.oid = tree.relid " \
	"LEFT JOIN (SELECT tgrelid, count(*) FILTER (WHERE tgenabled = 'A') AS always, max(oid::int8)::oid AS trigger FROM pg_trigger " \
	"WHERE tgname = ANY ($3) GROUP BY tgrelid) t ON t.tgrelid = c.oid WHERE c.relkind <> 'p') "

#define DIFFERENCES \
	TREE "SELECT p.leaf, p.file, p.trigger, o.leaf, o.from_day, o.until_day, p.always FROM present p " \
	"FULL JOIN (SELECT * FROM ecomsocial.rollup_leaf WHERE capture = $1 AND leaf <> 0) o ON o.leaf = p.leaf " \
	"WHERE o.leaf IS NULL OR p.leaf IS NULL OR p.file <> o.file OR p.trigger IS DISTINCT FROM o.trigger OR NOT p.always"

/* $1 the capture, $2 its source, $3 the names of its triggers */
static Oid	capture_types[] = {INT4OID, OIDOID, NAMEARRAYOID};

static void
capture_values(const EcsCapture *capture, Datum values[3])
{
	static const char *const events[] = {"insert", "update", "delete"};
	Datum		names[3];

	for (int i = 0; i < 3; i++)
		names[i] = DirectFunctionCall1(namein, CStringGetDatum(psprintf("ecomsocial_rollup_%d_%s", capture->id, events[i])));
	values[0] = Int32GetDatum(capture->id);
	values[1] = ObjectIdGetDatum(capture->source);
	values[2] = PointerGetDatum(construct_array(names, 3, NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR));
}

/* The day of a bound on the time column; *exact unless it lies inside the day */
static DateADT
bound_day(const PartitionRangeDatum *datum, Oid type, EcsZone *zone, bool *exact)
{
	const Const *value = castNode(Const, datum->value);
	DateADT		day;
	TimestampTz from,
				until;

	*exact = true;
	if (type == DATEOID)
		return DatumGetDateADT(value->constvalue);
	if (TIMESTAMP_IS_NOBEGIN(DatumGetTimestampTz(value->constvalue)))
		return DATEVAL_NOBEGIN;
	if (TIMESTAMP_IS_NOEND(DatumGetTimestampTz(value->constvalue)))
		return DATEVAL_NOEND;
	ecs_instant_day(zone, DatumGetTimestampTz(value->constvalue), &day, &from, &until);
	*exact = DatumGetTimestampTz(value->constvalue) == from;
	return day;
}

/*
 * The days [from, until) that a leaf's bounds allow its time column, as far as
 * partitioning by range of that column says.  Returns false where it says
 * nothing.  Each level between the leaf and the root may narrow it.
 */
bool
ecs_leaf_range(Oid leaf, Oid root, const char *column, EcsZone *zone, DateADT *from, DateADT *until)
{
	Oid			child = leaf;

	*from = DATEVAL_NOBEGIN;
	*until = DATEVAL_NOEND;
	while (child != root && get_rel_relispartition(child))
	{
		Oid			parent = get_partition_parent(child, false);
		Relation	rel = table_open(parent, AccessShareLock);
		PartitionKey key = RelationGetPartitionKey(rel);
		HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(child));
		bool		isnull;
		Datum		bound = HeapTupleIsValid(tuple) ?
			SysCacheGetAttr(RELOID, tuple, Anum_pg_class_relpartbound, &isnull) : (isnull = true, (Datum) 0);

		if (!isnull && key->strategy == PARTITION_STRATEGY_RANGE &&
			key->partattrs[0] == get_attnum(parent, column))
		{
			PartitionBoundSpec *spec = castNode(PartitionBoundSpec, stringToNode(TextDatumGetCString(bound)));

			if (!spec->is_default)
			{
				const PartitionRangeDatum *lower = linitial(spec->lowerdatums);
				const PartitionRangeDatum *upper = linitial(spec->upperdatums);
				bool		exact;

				if (lower->kind == PARTITION_RANGE_DATUM_VALUE)
					*from = Max(*from, bound_day(lower, key->parttypid[0], zone, &exact));
				if (upper->kind == PARTITION_RANGE_DATUM_VALUE)
				{
					DateADT		day = bound_day(upper, key->parttypid[0], zone, &exact);

					/*
					 * a key of several columns may include the bound's own
					 * value
					 */
					if (!DATE_NOT_FINITE(day) && (!exact || key->partnatts > 1))
						day++;
					*until = Min(*until, day);
				}
			}
		}
		if (HeapTupleIsValid(tuple))
			ReleaseSysCache(tuple);
		table_close(rel, AccessShareLock);
		child = parent;
	}
	return !DATE_IS_NOBEGIN(*from) || !DATE_IS_NOEND(*until);
}

static void
leaf_range_of(const EcsCapture *capture, Oid leaf, DateADT *from, DateADT *until)
{
	EcsZone		zone;

	ecs_zone_init(&zone, capture->zone[0] != '\0' ? capture->zone : "UTC");
	(void) ecs_leaf_range(leaf, capture->source, capture->column, &zone, from, until);
}

/* Put one leaf as it is now into the registry, or take out one that is gone */
static void
record_leaf(const EcsCapture *capture, Oid leaf, Oid file, Oid trigger, DateADT from, DateADT until)
{
	Oid			types[] = {INT4OID, OIDOID, OIDOID, OIDOID, DATEOID, DATEOID};
	Datum		values[] = {Int32GetDatum(capture->id), ObjectIdGetDatum(leaf), ObjectIdGetDatum(file),
	ObjectIdGetDatum(trigger), DateADTGetDatum(from), DateADTGetDatum(until)};

	ecs_registry_sql("DELETE FROM ecomsocial.rollup_leaf WHERE capture = $1 AND leaf = $2", 2, types, values, NULL);
	if (OidIsValid(file))
		ecs_registry_sql("INSERT INTO ecomsocial.rollup_leaf VALUES ($1, $2, $3, $4, $5, $6)", 6, types, values, NULL);
}

/* A difference between registry and catalog */
typedef struct Difference
{
	Oid			leaf;
	Oid			file;			/* invalid: the leaf is gone */
	Oid			trigger;
	bool		known;			/* with the days [from, until) */
	bool		blind;			/* its triggers are missing or not ALWAYS */
	DateADT		from;
	DateADT		until;
} Difference;

static Difference *
find_differences(const EcsCapture *capture, int *count)
{
	Datum		values[3];
	Difference *found;

	capture_values(capture, values);
	*count = (int) ecs_registry_sql(DIFFERENCES, 3, capture_types, values, NULL);
	found = palloc0(sizeof(Difference) * (*count + 1));
	for (int i = 0; i < *count; i++)
	{
		Difference *d = &found[i];
		bool		gone,
					unknown,
					no_trigger;

		d->leaf = (Oid) ecs_spi_int(i, 1, &gone);
		d->file = (Oid) ecs_spi_int(i, 2, &gone);
		d->trigger = (Oid) ecs_spi_int(i, 3, &no_trigger);
		if (gone)
			d->leaf = (Oid) ecs_spi_int(i, 4, NULL);
		(void) ecs_spi_int(i, 4, &unknown);
		d->known = !unknown;
		d->from = unknown ? DATEVAL_NOBEGIN : (DateADT) ecs_spi_int(i, 5, NULL);
		d->until = unknown ? DATEVAL_NOEND : (DateADT) ecs_spi_int(i, 6, NULL);
		d->blind = !gone && ecs_spi_int(i, 7, NULL) == 0;
	}
	SPI_freetuptable(SPI_tuptable);
	return found;
}

/* Was nothing recorded in this database yet? */
static bool
is_restored(const EcsCapture *capture)
{
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(capture->id)};

	return ecs_registry_sql("SELECT FROM ecomsocial.rollup_leaf WHERE capture = $1 AND leaf = 0", 1, types, values, NULL) == 0;
}

/* The leaves as they are now are known: called where the triggers are made */
void
ecs_leaves_record(const EcsCapture *capture)
{
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(capture->id)};
	int			count;
	Difference *found = find_differences(capture, &count);

	ecs_registry_sql("INSERT INTO ecomsocial.rollup_leaf VALUES ($1, 0, 0, NULL, 'infinity', '-infinity')", 1, types, values, NULL);
	for (int i = 0; i < count; i++)
	{
		DateADT		from,
					until;

		leaf_range_of(capture, found[i].leaf, &from, &until);
		record_leaf(capture, found[i].leaf, found[i].file, found[i].trigger, from, until);
	}
}

bool
ecs_leaves_differ(const EcsCapture *capture)
{
	int			count;

	pfree(find_differences(capture, &count));
	return count > 0 || is_restored(capture);
}

static List *
rollups_of(const EcsCapture *capture)
{
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(capture->id)};
	List	   *targets = NIL;
	List	   *rollups = NIL;
	ListCell   *cell;
	uint64		n = ecs_registry_sql("SELECT r.target::oid FROM ecomsocial.rollups r JOIN pg_class c ON c.oid = r.target WHERE $1 = ANY (r.captures)",
									 1, types, values, NULL);

	for (uint64 i = 0; i < n; i++)
		targets = lappend_oid(targets, (Oid) ecs_spi_int((int) i, 1, NULL));
	SPI_freetuptable(SPI_tuptable);
	foreach(cell, targets)
		rollups = lappend(rollups, ecs_rollup_load(lfirst_oid(cell), false));
	return rollups;
}

/* Mark what the differences touch.  The caller holds the lock on the capture. */
void
ecs_leaves_mark_changes(const EcsCapture *capture)
{
	List	   *rollups = rollups_of(capture);
	int			count;
	Difference *found;
	ListCell   *cell;

	if (is_restored(capture))
	{
		foreach(cell, rollups)
			ecs_mark_everything(((EcsRollup *) lfirst(cell))->target);
		ecs_leaves_record(capture);
		return;
	}
	found = find_differences(capture, &count);
	for (int i = 0; i < count; i++)
	{
		Difference *d = &found[i];
		DateADT		from = DATEVAL_NOBEGIN;
		DateADT		until = DATEVAL_NOEND;

		CHECK_FOR_INTERRUPTS();
		if (OidIsValid(d->file))
			leaf_range_of(capture, d->leaf, &from, &until);
		record_leaf(capture, d->leaf, d->file, d->trigger, from, until);
		if (d->blind)
			ereport(WARNING,
					(errmsg("a capture trigger on %s is missing or not enabled always", ecs_relation_name(d->leaf)),
					 errdetail("Changes may go unseen: each refresh computes all its buckets again."),
					 errhint("ALTER TABLE %s ENABLE ALWAYS TRIGGER ecomsocial_rollup_%d_insert, and likewise ..._update and ..._delete.",
							 ecs_relation_name(capture->source), capture->id)));
		foreach(cell, rollups)
		{
			if (d->known)
				ecs_mark_buckets(lfirst(cell), capture, d->from, d->until, true);
			if (OidIsValid(d->file) && (!d->known || d->from != from || d->until != until))
				ecs_mark_buckets(lfirst(cell), capture, from, until, false);
		}
	}
}

void
ecs_mark_everything(Oid target)
{
	Oid			types[] = {REGCLASSOID};
	Datum		values[] = {ObjectIdGetDatum(target)};

	ecs_registry_sql("INSERT INTO ecomsocial.rollup_pending VALUES ($1, '-infinity')", 1, types, values, NULL);
}

/*
 * Mark the buckets of [from, until) that a source has rows of and, if
 * "existing", those that the target has: all whose content may be another now.
 * The days are read as the rollup's owner, and only one source's if "only".
 */
void
ecs_mark_buckets(const EcsRollup *rollup, const EcsCapture *only, DateADT from, DateADT until, bool existing)
{
	StringInfoData sql;
	EcsIdentity saved;
	Oid			types[] = {DATEOID, DATEOID, TIMESTAMPTZOID, TIMESTAMPTZOID};
	Datum		values[4];
	EcsZone		zone;
	ListCell   *cell;
	Datum		buckets;
	bool		isnull;

	from = Max(from, rollup->frozen);
	if (from >= until)
		return;
	if (rollup->handler != NULL && existing && (DATE_NOT_FINITE(from) || DATE_NOT_FINITE(until)))
	{
		/* nobody knows which buckets there were: the handler starts anew */
		ecs_mark_everything(rollup->target);
		return;
	}
	ecs_zone_init(&zone, rollup->zone);
	values[0] = DateADTGetDatum(from);
	values[1] = DateADTGetDatum(until);
	values[2] = TimestampTzGetDatum(DATE_IS_NOBEGIN(from) ? DT_NOBEGIN :
									ecs_day_start(&zone, from));
	values[3] = TimestampTzGetDatum(DATE_IS_NOEND(until) ? DT_NOEND : ecs_day_start(&zone, until));

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT array_agg(DISTINCT ecomsocial.rollup_bucket(d, '%s')) FROM (", rollup->period);
	foreach(cell, rollup->captures)
	{
		const EcsCapture *capture = lfirst(cell);
		const char *column = quote_identifier(capture->column);

		if (only != NULL && only->id != capture->id)
			continue;
		if (get_attnum(capture->source, capture->column) == InvalidAttrNumber)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("time column \"%s\" of %s does not exist", capture->column, ecs_relation_name(capture->source)),
					 errdetail("Changes are captured nevertheless, but not which days the table holds."),
					 errhint("Rename the column back, or drop rollup %s with keep_table => true and create it again.", rollup->name)));
		if (capture->zone[0] == '\0')
			appendStringInfo(&sql, "SELECT DISTINCT %s FROM %s WHERE %s >= $1 AND %s < $2 AND %s > '-infinity' UNION ALL ",
							 column, ecs_relation_name(capture->source), column, column, column);
		else
			appendStringInfo(&sql, "SELECT DISTINCT ecomsocial.rollup_day(%s, %s) FROM %s WHERE %s >= $3 AND %s < $4 AND %s > '-infinity' UNION ALL ",
							 column, quote_literal_cstr(capture->zone), ecs_relation_name(capture->source), column, column, column);
	}
	if (!existing)
		appendStringInfoString(&sql, "SELECT NULL::date WHERE $1 > $2 AND $3 > $4");
	else if (rollup->handler != NULL)
		appendStringInfoString(&sql, "SELECT g::date FROM generate_series($1::timestamp, $2::timestamp - interval '1 day', interval '1 day') g WHERE $3 < $4");
	else
		appendStringInfo(&sql, "SELECT DISTINCT %s FROM %s WHERE %s >= ecomsocial.rollup_bucket($1, '%s') AND %s < $2 AND $3 < $4",
						 quote_identifier(rollup->bucket_column), rollup->name,
						 quote_identifier(rollup->bucket_column), rollup->period,
						 quote_identifier(rollup->bucket_column));
	appendStringInfoString(&sql, ") x(d)");

	ecs_become_owner(&saved, rollup->owner, rollup->zone);
	if (SPI_execute_with_args(sql.data, 4, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not run: %s", sql.data);
	ecs_return(&saved);
	buckets = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (!isnull)
	{
		Oid			pending_types[] = {REGCLASSOID, DATEARRAYOID, DATEOID};
		Datum		pending_values[] = {ObjectIdGetDatum(rollup->target), datumCopy(buckets, false, -1), DateADTGetDatum(rollup->frozen)};

		ecs_registry_sql("INSERT INTO ecomsocial.rollup_pending SELECT $1, b FROM unnest($2) b WHERE b >= $3 ORDER BY b",
						 3, pending_types, pending_values, NULL);
	}
}
