/*
 * source.c
 *		A table of users and days: its columns, and its first and last day.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/query.h"
#include "base/relation.h"
#include "growth/source.h"

/*
 * Columns
 */

static AttrNumber
find_column(Oid relation, const char *column)
{
	AttrNumber	number = get_attnum(relation, column);

	if (number == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist",
						column, get_rel_name(relation))));
	return number;
}

static void
open_day_column(EcsDayColumn *column, EcsSource *source, const char *name, Oid activity_type)
{
	AttrNumber	number = find_column(source->relation, name);

	column->name = quote_identifier(name);
	column->number = number;
	column->type = getBaseType(get_atttype(source->relation, number));
	if (column->type == DATEOID)
		column->kind = ECS_FROM_DATE;
	else if (column->type == TIMESTAMPOID)
		column->kind = ECS_FROM_TIMESTAMP;
	else if (column->type == TIMESTAMPTZOID)
		column->kind = ECS_FROM_TIMESTAMPTZ;
	else if (OidIsValid(activity_type) && column->type == activity_type)
		column->kind = ECS_FROM_ACTIVITY;
	else
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of relation \"%s\" is of type %s",
						name, get_rel_name(source->relation), format_type_be(column->type)),
				 errhint("It must be of type timestamptz, timestamp%s.",
						 OidIsValid(activity_type) ? ", date or activity" : " or date")));

	/*
	 * a timestamp is a local time already: its day is that of the same time
	 * in UTC
	 */
	if (column->kind == ECS_FROM_TIMESTAMP)
		ecs_zone_init(&column->zone, "UTC");
	else
		column->zone = source->zone;
}

void
ecs_source_open(EcsSource *source, Oid relation, const char *user_column, const char *time_column,
				const char *time_zone, EcsFirstSeen seen, const char *first_seen_column, Oid function)
{
	Oid			namespace = get_func_namespace(function);
	Oid			activity_type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
												CStringGetDatum("activity"), ObjectIdGetDatum(namespace));
	AttrNumber	number;
	int32		typmod;

	source->relkind = get_rel_relkind(relation);
	if (source->relkind == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relation)));
	if (strchr("rpvmf", source->relkind) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" cannot be read as a table", get_rel_name(relation)),
				 errhint("Name a table, a partitioned table, a foreign table or a view.")));
	source->relation = relation;
	source->relation_name = ecs_relation_name(relation);
	source->schema = quote_identifier(get_namespace_name(namespace));
	ecs_zone_init(&source->zone, time_zone);
	source->zone.between_midnights = true;	/* as rollups tell days */

	number = find_column(relation, user_column);
	source->user_name = quote_identifier(user_column);
	source->user_number = number;
	get_atttypetypmodcoll(relation, number, &source->user_type, &typmod, &source->user_collation);
	source->user_type = getBaseType(source->user_type);

	open_day_column(&source->time, source, time_column, activity_type);
	source->seen = seen;
	source->first_seen.name = NULL;
	source->first_seen.number = InvalidAttrNumber;
	if ((seen == ECS_SEEN_COLUMN) != (first_seen_column != NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("first_seen_by is 'column' if, and only if, first_seen_column is given"),
				 errhint("Name the column of a day such as that of sign-up, and pass 'column'.")));
	if (first_seen_column != NULL)
		open_day_column(&source->first_seen, source, first_seen_column, InvalidOid);
}

/*
 * Bounds
 */

typedef struct Bounds
{
	EcsDayColumn *column;
	DateADT		first;
	DateADT		last;
	bool		found;
	bool		infinite;
} Bounds;

static void
take_bounds(TupleTableSlot *slot, void *state)
{
	Bounds	   *bounds = state;

	slot_getallattrs(slot);
	bounds->found = !slot->tts_isnull[0];
	if (bounds->found)
		bounds->infinite = !ecs_column_day(bounds->column, slot->tts_values[0], &bounds->first) ||
			!ecs_column_day(bounds->column, slot->tts_values[1], &bounds->last);
}

static void
read_bounds(const EcsSource *source, const char *first, const char *last, const char *condition, Bounds *bounds)
{
	EcsRowSink	sink = {NULL, take_bounds, bounds};

	bounds->infinite = false;
	ecs_for_each_row(psprintf("SELECT pg_catalog.min(%s), pg_catalog.max(%s) FROM %s%s",
							  first, last, source->relation_name, condition), NULL, &sink);
}

bool
ecs_source_bounds(EcsSource *source, DateADT *first, DateADT *last)
{
	EcsDayColumn days = source->time;
	const char *name = days.name;
	Bounds		bounds = {.column = &days};

	if (days.kind == ECS_FROM_ACTIVITY)
	{
		days.kind = ECS_FROM_DATE;
		read_bounds(source, psprintf("%s.activity_first(%s)", source->schema, name),
					psprintf("%s.activity_last(%s)", source->schema, name), "", &bounds);
	}
	else
	{
		read_bounds(source, name, name, "", &bounds);
		if (bounds.infinite)
			read_bounds(source, name, name, psprintf(" WHERE pg_catalog.isfinite(%s)", name), &bounds);
	}
	*first = bounds.first;
	*last = bounds.last;
	return bounds.found;
}
