/*
 * mark.c
 *		Marking buckets that a refresh must compute though no note says so.
 *
 * A mark is a row of rollup_pending.  A day of -infinity stands for every bucket
 * there is: a refresh turns it into those, and a handler is called with NULL.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "rollup/rollup.h"

void
ecs_mark_everything(Oid target)
{
	Oid			types[] = {REGCLASSOID};
	Datum		values[] = {ObjectIdGetDatum(target)};

	ecs_registry_sql("INSERT INTO ecomsocial.rollup_pending VALUES ($1, '-infinity')", 1, types, values, NULL);
}

/*
 * The statements below have the range twice, as dates $1 and $2 and as instants
 * $3 and $4, and use either.
 */

static void
append_union(StringInfo sql)
{
	if (sql->len > 0)
		appendStringInfoString(sql, " UNION ALL ");
}

/* Append a query for the days that a source has rows of */
static void
append_source_days(StringInfo sql, const EcsCapture *capture)
{
	const char *column = quote_identifier(capture->column);
	bool		by_day = capture->zone[0] == '\0';

	ecs_capture_check(capture);
	append_union(sql);
	appendStringInfoString(sql, "SELECT DISTINCT ");
	if (by_day)
		appendStringInfoString(sql, column);
	else
		appendStringInfo(sql, "ecomsocial.rollup_day(%s, %s)", column, quote_literal_cstr(capture->zone));
	appendStringInfo(sql, " FROM %s WHERE %s >= %s AND %s < %s AND %s > '-infinity'",
					 ecs_relation_name(capture->source), column, by_day ? "$1" : "$3",
					 column, by_day ? "$2" : "$4", column);
}

/* Append a query for the days whose buckets the target has: of a handler, all days */
static void
append_target_days(StringInfo sql, const EcsRollup *rollup)
{
	const char *bucket;

	append_union(sql);
	if (rollup->handler != NULL)
	{
		appendStringInfoString(sql, "SELECT g::date FROM generate_series($1::timestamp, $2::timestamp - interval '1 day', interval '1 day') g WHERE $3 < $4");
		return;
	}
	bucket = quote_identifier(rollup->bucket_column);
	appendStringInfo(sql, "SELECT DISTINCT %s FROM %s WHERE %s >= ecomsocial.rollup_bucket($1, '%s') AND %s < $2 AND $3 < $4",
					 bucket, rollup->name, bucket, rollup->period, bucket);
}

/* The buckets, as a date[], that a query finds as the rollup's owner; false: none */
static bool
find_buckets(const EcsRollup *rollup, const char *days, DateADT from, DateADT until, Datum *buckets)
{
	Oid			types[] = {DATEOID, DATEOID, TIMESTAMPTZOID, TIMESTAMPTZOID};
	Datum		values[4];
	EcsZone		zone;
	EcsIdentity saved;
	const char *sql = psprintf("SELECT array_agg(DISTINCT ecomsocial.rollup_bucket(d, '%s')) FROM (%s) x(d)", rollup->period, days);
	bool		isnull;

	ecs_zone_init(&zone, rollup->zone);
	values[0] = DateADTGetDatum(from);
	values[1] = DateADTGetDatum(until);
	values[2] = TimestampTzGetDatum(DATE_IS_NOBEGIN(from) ? DT_NOBEGIN : ecs_day_start(&zone, from));
	values[3] = TimestampTzGetDatum(DATE_IS_NOEND(until) ? DT_NOEND : ecs_day_start(&zone, until));

	ecs_become_owner(&saved, rollup->owner, rollup->zone);
	if (SPI_execute_with_args(sql, 4, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not run: %s", sql);
	ecs_return(&saved);
	*buckets = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (!isnull)
		*buckets = datumCopy(*buckets, false, -1);
	SPI_freetuptable(SPI_tuptable);
	return !isnull;
}

/*
 * Mark the buckets of [from, until) that a source has rows of and, if
 * "existing", those that the target has: all whose content may be another now.
 * The days are read as the rollup's owner, and only one source's if "only".
 */
void
ecs_mark_buckets(const EcsRollup *rollup, const EcsCapture *only, DateADT from, DateADT until, bool existing)
{
	Oid			types[] = {REGCLASSOID, DATEARRAYOID};
	Datum		values[] = {ObjectIdGetDatum(rollup->target), 0};
	StringInfoData days;
	ListCell   *cell;

	from = Max(from, rollup->frozen);
	if (from >= until)
		return;
	if (rollup->handler != NULL && existing && (DATE_NOT_FINITE(from) || DATE_NOT_FINITE(until)))
	{
		/* nobody knows which buckets there were: the handler starts anew */
		ecs_mark_everything(rollup->target);
		return;
	}
	initStringInfo(&days);
	foreach(cell, rollup->captures)
	{
		const EcsCapture *capture = lfirst(cell);

		if ((only == NULL || only->id == capture->id) && get_rel_name(capture->source) != NULL)
			append_source_days(&days, capture);
	}
	if (existing)
		append_target_days(&days, rollup);
	if (days.len > 0 && find_buckets(rollup, days.data, from, until, &values[1]))
		ecs_registry_sql("INSERT INTO ecomsocial.rollup_pending SELECT $1, b FROM unnest($2) b ORDER BY b",
						 2, types, values, NULL);
}
