/*
 * bounds.c
 *		Which days the bounds of a partition allow.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "nodes/parsenodes.h"
#include "partitioning/partdesc.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "rollup/rollup.h"

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

/* Narrow [*from, *until) by the bounds of one partition, as far as they are on the time column */
static void
narrow_by_bounds(Relation parent, Oid child, const char *column, EcsZone *zone, DateADT *from, DateADT *until)
{
	PartitionKey key = RelationGetPartitionKey(parent);
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(child));
	bool		isnull = true;
	Datum		bound = (Datum) 0;
	const PartitionBoundSpec *spec;
	const PartitionRangeDatum *lower;
	const PartitionRangeDatum *upper;
	bool		exact;

	if (!HeapTupleIsValid(tuple))
		return;
	bound = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_relpartbound, &isnull);
	spec = isnull ? NULL : castNode(PartitionBoundSpec, stringToNode(TextDatumGetCString(bound)));
	ReleaseSysCache(tuple);
	if (spec == NULL || spec->is_default || key->strategy != PARTITION_STRATEGY_RANGE ||
		key->partattrs[0] != get_attnum(RelationGetRelid(parent), column))
		return;

	lower = linitial(spec->lowerdatums);
	upper = linitial(spec->upperdatums);
	if (lower->kind == PARTITION_RANGE_DATUM_VALUE)
		*from = Max(*from, bound_day(lower, key->parttypid[0], zone, &exact));
	if (upper->kind == PARTITION_RANGE_DATUM_VALUE)
	{
		DateADT		day = bound_day(upper, key->parttypid[0], zone, &exact);

		/* a key of several columns may include the bound's own value */
		if (!DATE_NOT_FINITE(day) && (!exact || key->partnatts > 1))
			day++;
		*until = Min(*until, day);
	}
}

/*
 * The days [*from, *until) that a leaf's bounds allow its time column.  Each
 * level between the leaf and the root may narrow them.
 */
void
ecs_leaf_days(const EcsCapture *capture, Oid leaf, DateADT *from, DateADT *until)
{
	Oid			child = leaf;
	EcsZone		zone;

	ecs_zone_init(&zone, capture->zone[0] != '\0' ? capture->zone : "UTC");
	*from = DATEVAL_NOBEGIN;
	*until = DATEVAL_NOEND;
	while (child != capture->source && get_rel_relispartition(child))
	{
		Oid			parent = get_partition_parent(child, false);
		Relation	rel = table_open(parent, AccessShareLock);

		narrow_by_bounds(rel, child, capture->column, &zone, from, until);
		table_close(rel, AccessShareLock);
		child = parent;
	}
}
