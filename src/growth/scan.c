/*
 * scan.c
 *		Reading users and their days, from events or from kept activity.
 *
 * Either kind of source ends as the same bits per user, so that an analysis is
 * written once.  One query reads the source, in whatever order; its rows go to
 * events.c or to kept.c.
 *
 * The query runs as the caller, so privileges and row security are those of a
 * SELECT.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "lib/stringinfo.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

#include "activity/activity.h"
#include "base/query.h"
#include "growth/events.h"
#include "growth/kept.h"
#include "growth/scan.h"

/* How the query is best written */
typedef struct QueryShape
{
	bool		condition;		/* compare the time in SQL */
	bool		whole_rows;		/* read rows as they are stored */
} QueryShape;

/* Whether some index has the time as its first column */
static bool
has_time_index(const EcsSource *source)
{
	Relation	relation = table_open(source->relation, AccessShareLock);
	ListCell   *cell;
	bool		found = false;

	foreach(cell, RelationGetIndexList(relation))
	{
		HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(cell)));

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for index %u", lfirst_oid(cell));
		found |= ((Form_pg_index) GETSTRUCT(tuple))->indkey.values[0] == source->time.number;
		ReleaseSysCache(tuple);
	}
	table_close(relation, NoLock);
	return found;
}

/*
 * Comparing the time in SQL is done for every row that is read, and so costs a
 * tenth of the scan where no index and no partition can spare the server rows.
 * Where it does not pay, whole rows may: with no condition either that is a bare scan.
 */
static QueryShape
choose_shape(EcsSource *source)
{
	QueryShape	shape = {true, false};
	AttrNumber	columns[] = {source->user_number, source->time.number, source->first_seen.number};

	if (source->relkind != RELKIND_RELATION && source->relkind != RELKIND_MATVIEW)
		return shape;
	shape.condition = source->time.kind != ECS_FROM_ACTIVITY && has_time_index(source);
	shape.whole_rows = !shape.condition &&
		ecs_whole_rows_pay(source->relation, columns, source->first_seen.name != NULL ? 3 : 2);
	return shape;
}

/* A moment as a value of the time column that is a day before any of the day's */
static ParamListInfo
window_params(EcsSource *source, const EcsWindow *window)
{
	ParamListInfo params = makeParamList(2);
	int			i;

	for (i = 0; i < 2; i++)
	{
		ParamExternData *param = &params->params[i];

		/* leave a day on either side to the scan, whatever zones do */
		DateADT		day = i == 0 ? Max(window->since, ECS_MIN_DAY + 1) - 1 : window->end + 1;

		param->ptype = source->time.type;
		param->pflags = PARAM_FLAG_CONST;
		param->isnull = false;
		if (source->time.kind == ECS_FROM_DATE)
			param->value = DateADTGetDatum(day);
		else if (source->time.kind == ECS_FROM_TIMESTAMP)
			param->value = TimestampGetDatum((Timestamp) day * USECS_PER_DAY);
		else
			param->value = TimestampTzGetDatum(ecs_day_start(&source->zone, day));
	}
	return params;
}

/* The operators are named in full: the caller's search_path may have others of the name */
static void
append_condition(const EcsSource *source, const EcsWindow *window, StringInfo query)
{
	appendStringInfo(query, " WHERE %s OPERATOR(pg_catalog.<) $2", source->time.name);
	if (window->since != ECS_NO_DAY)
		appendStringInfo(query, " AND %s OPERATOR(pg_catalog.>=) $1", source->time.name);
}

static void
report_left_out(const EcsScan *scan)
{
	if (scan->without_user > 0 || scan->without_time > 0)
		ereport(NOTICE,
				(errmsg("rows of \"%s\" left out: %llu without a user, %llu without a finite time",
						get_rel_name(scan->source->relation),
						(unsigned long long) scan->without_user, (unsigned long long) scan->without_time)));
}

/* Begin a query's text with the columns that are read, and note their places in its rows */
static void
choose_columns(EcsScan *scan, bool whole_rows, StringInfo query)
{
	const EcsSource *source = scan->source;
	bool		seen = source->first_seen.name != NULL;

	scan->user_place = whole_rows ? source->user_number - 1 : 0;
	scan->time_place = whole_rows ? source->time.number - 1 : 1;
	scan->seen_place = !seen ? -1 : whole_rows ? source->first_seen.number - 1 : 2;

	if (whole_rows)
		appendStringInfo(query, "SELECT * FROM %s", source->relation_name);
	else
		appendStringInfo(query, "SELECT %s, %s%s%s FROM %s", source->user_name, source->time.name,
						 seen ? ", " : "", seen ? source->first_seen.name : "", source->relation_name);
}

static void
tell_alike(EcsScan *scan)
{
	uint64		end = UINT64CONST(1) << (ECS_SLOT + scan->window->slots);
	uint64		bits;

	for (bits = 1; bits < end; bits += 2)
	{
		EcsUser		user = {.bits = &bits,.users = scan->alike[bits >> 1]};

		if (user.users > 0)
			scan->function(&user, scan->state);
	}
}

void
ecs_source_scan(EcsSource *source, const EcsWindow *window, EcsUserFunction function, void *state)
{
	QueryShape	shape = choose_shape(source);
	EcsScan		scan = {
		.source = source,.window = window,.function = function,.state = state,.words = ECS_WORDS(window)
	};
	StringInfoData query;

	if (window->slots <= ECS_FEW_SLOTS && !window->dates)
		scan.alike = palloc0(sizeof(int64) << (ECS_SLOT - 1 + window->slots));
	initStringInfo(&query);
	choose_columns(&scan, shape.whole_rows, &query);
	if (source->time.kind == ECS_FROM_ACTIVITY)
		ecs_scan_kept(&scan, query.data);
	else
	{
		if (shape.condition)
			append_condition(source, window, &query);
		ecs_scan_events(&scan, query.data, shape.condition ? window_params(source, window) : NULL);
	}
	if (scan.alike != NULL)
		tell_alike(&scan);
	report_left_out(&scan);
}
