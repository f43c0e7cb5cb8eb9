/*
 * arguments.c
 *		Arguments of the functions of growth, and rows of their results.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_enum.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "growth/growth.h"

#define MAX_WINDOW_DAYS	3660

/* Days that are days of timestamps too, with room for what is added to them */
#define LEAST_DAY		(-2400000)	/* 4572 BC */
#define GREATEST_DAY	(100000000) /* 275789 */

void
ecs_require_args(FunctionCallInfo fcinfo, int count)
{
	int			i;

	for (i = 0; i < count; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument %d must not be null", i + 1),
					 errhint("Only the first and last day, the column of first_seen and the witness may be null.")));
}

static EcsFirstSeen
first_seen_of(Oid value)
{
	static const char *const labels[] = {"history", "window", "column"};
	HeapTuple	tuple = SearchSysCache1(ENUMOID, ObjectIdGetDatum(value));
	int			i;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid internal value for enum: %u", value)));
	for (i = 0; i < (int) lengthof(labels); i++)
		if (strcmp(NameStr(((Form_pg_enum) GETSTRUCT(tuple))->enumlabel), labels[i]) == 0)
			break;
	ReleaseSysCache(tuple);
	if (i == (int) lengthof(labels))
		elog(ERROR, "enum value %u does not say who is new", value);
	return (EcsFirstSeen) i;
}

void
ecs_open_source(FunctionCallInfo fcinfo, EcsSource *source, int zone_arg, int seen_arg)
{
	bool		seen = seen_arg > 0;

	ecs_require_args(fcinfo, 3);
	if (PG_ARGISNULL(zone_arg) || (seen && PG_ARGISNULL(seen_arg)))
		ecs_require_args(fcinfo, Max(zone_arg, seen_arg) + 1);
	ecs_source_open(source, PG_GETARG_OID(0), NameStr(*PG_GETARG_NAME(1)), NameStr(*PG_GETARG_NAME(2)),
					text_to_cstring(PG_GETARG_TEXT_PP(zone_arg)),
					seen ? first_seen_of(PG_GETARG_OID(seen_arg)) : ECS_SEEN_HISTORY,
					seen && !PG_ARGISNULL(seen_arg + 1) ? NameStr(*PG_GETARG_NAME(seen_arg + 1)) : NULL,
					fcinfo->flinfo->fn_oid);
}

void
ecs_check_bound(DateADT day)
{
	if (DATE_NOT_FINITE(day))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("the range of days must be finite"),
				 errhint("Leave out a day, or pass NULL, to begin or end with the events.")));
	if (day < LEAST_DAY || day > GREATEST_DAY)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("day is out of range for timestamps"),
				 errdetail("Days from 4572 BC to 275789 can be looked at."),
				 errhint("Pass since and until, or cut activities by activity_slice(): one wrong day may lie far from the others.")));
}

void
ecs_check_days(int days, const char *name)
{
	if (days < 1 || days > MAX_WINDOW_DAYS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be between 1 and %d, not %d", name, MAX_WINDOW_DAYS, days)));
}

bool
ecs_make_range(FunctionCallInfo fcinfo, EcsZone *zone, DateADT first, DateADT last, int since_arg, EcsRange *range)
{
	range->since = PG_ARGISNULL(since_arg) ? first : PG_GETARG_DATEADT(since_arg);
	range->until = PG_ARGISNULL(since_arg + 1) ? last + 1 : PG_GETARG_DATEADT(since_arg + 1);
	ecs_check_bound(range->since);
	ecs_check_bound(range->until);
	if (range->since > range->until && !PG_ARGISNULL(since_arg) && !PG_ARGISNULL(since_arg + 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the range of days is reversed"),
				 errhint("Pass the first day as since, and the day after the last one as until.")));
	range->over = Min(range->until, ecs_local_day(zone, GetCurrentTransactionStartTimestamp()));
	return range->since < range->until;
}

bool
ecs_get_range(FunctionCallInfo fcinfo, EcsSource *source, int since_arg, EcsRange *range)
{
	DateADT		first = 0;
	DateADT		last = 0;

	if (!PG_ARGISNULL(since_arg))
		ecs_check_bound(PG_GETARG_DATEADT(since_arg));
	if (!PG_ARGISNULL(since_arg + 1))
		ecs_check_bound(PG_GETARG_DATEADT(since_arg + 1));
	if ((PG_ARGISNULL(since_arg) || PG_ARGISNULL(since_arg + 1)) && !ecs_source_bounds(source, &first, &last))
		return false;
	return ecs_make_range(fcinfo, &source->zone, first, last, since_arg, range);
}

/*
 * Results
 */

Datum
ecs_ratio(int64 part, int64 whole, bool *isnull)
{
	*isnull = whole == 0;
	return whole == 0 ? (Datum) 0 : Float8GetDatum((double) part / (double) whole);
}

void
ecs_put_row(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	CHECK_FOR_INTERRUPTS();
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

void
ecs_begin_result(FunctionCallInfo fcinfo)
{
	InitMaterializedSRF(fcinfo, 0);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

Datum
ecs_end_result(FunctionCallInfo fcinfo)
{
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	fcinfo->isnull = true;
	return (Datum) 0;
}
