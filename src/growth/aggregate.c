/*
 * aggregate.c
 *		growth_agg(activity, period): growth accounting inside any query.
 *
 * Nothing here reads a table, so that servers can aggregate what they hold, of one
 * table side by side, and send counts.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "activity/activity.h"
#include "growth/counts.h"
#include "growth/growth.h"

PG_FUNCTION_INFO_V1(ecs_growth_counts_add);
PG_FUNCTION_INFO_V1(ecs_growth_union);
PG_FUNCTION_INFO_V1(ecs_growth_rows);

/* growth_counts_add(state, activity, period) */
Datum
ecs_growth_counts_add(PG_FUNCTION_ARGS)
{
	EcsGrowthCounts *counts;
	EcsPeriod	period;

	if (!AggCheckCallContext(fcinfo, NULL))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("this function can be called by an aggregate only"),
				 errhint("Use growth_agg(activity, period).")));
	if (PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}
	if (PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("period must not be null")));
	period = ecs_period_from_enum(PG_GETARG_OID(2));
	counts = PG_ARGISNULL(0) ? ecs_make_counts(period) : (EcsGrowthCounts *) PG_DETOAST_DATUM(PG_GETARG_DATUM(0));
	if (counts->period != period)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("period must be the same for all rows"),
				 errhint("Use one growth_agg() for each period.")));
	PG_RETURN_POINTER(ecs_add_user(counts, PG_GETARG_ACTIVITY(1)));
}

/* The first argument is changed in place where it is the state of an aggregate */
Datum
ecs_growth_union(PG_FUNCTION_ARGS)
{
	Datum		first = PG_GETARG_DATUM(0);
	EcsGrowthCounts *counts = (EcsGrowthCounts *)
		(AggCheckCallContext(fcinfo, NULL) ? PG_DETOAST_DATUM(first) : PG_DETOAST_DATUM_COPY(first));

	PG_RETURN_POINTER(ecs_add_counts(counts, (EcsGrowthCounts *) PG_DETOAST_DATUM(PG_GETARG_DATUM(1))));
}

/* Counts are of whole periods: days from "until" on cannot be taken out of one */
static void
check_until(const EcsGrowthCounts *counts, DateADT until)
{
	int32		index = ecs_period_index(counts->period, until);
	DateADT		start = ecs_period_start(counts->period, index);

	if (start < until && until > counts->first_day && until <= counts->last_day &&
		counts->periods[index - ecs_first_period(counts)].active > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("until is in the middle of a period that was counted as a whole"),
				 errhint("Pass the first day of a period, or aggregate the days before until only.")));
}

static void
fill_growth(EcsGrowth *growth, const EcsGrowthCounts *counts, int32 first, DateADT until)
{
	int			periods = until > counts->first_day ? ecs_count_periods(counts) : 0;
	int			slot = periods > 0 ? ecs_first_period(counts) - first : 0;
	int			i;

	for (i = 0; i < periods && slot < growth->window.slots; i++, slot++)
	{
		EcsPeriodCounts c = counts->periods[i];

		if (slot < 0)
		{
			growth->known += c.fresh;
			growth->older += c.fresh;
			continue;
		}
		growth->active[slot] = c.active;
		growth->fresh[slot] = c.fresh;
		growth->seen[slot] = c.fresh;
		growth->retained[slot] = c.retained;
	}
}

static void
put_rows(FunctionCallInfo fcinfo, const EcsGrowthCounts *counts, const EcsRange *range)
{
	/* the period before tells who churned */
	int32		first = ecs_period_index(counts->period, range->since) - 1;
	EcsGrowth	growth;

	if (counts->users > 0)
		check_until(counts, range->until);
	ecs_init_period_window(&growth.window, counts->period, first,
						   ecs_period_index(counts->period, range->until - 1), range->until);
	ecs_init_growth(&growth, NULL);
	fill_growth(&growth, counts, first, range->until);
	ecs_put_periods(fcinfo, &growth, counts->period, first, 1, range->over);
}

/* growth_rows(counts, since, until, zone) */
Datum
ecs_growth_rows(PG_FUNCTION_ARGS)
{
	ecs_begin_result(fcinfo);
	if (!PG_ARGISNULL(0))
	{
		EcsGrowthCounts *counts = (EcsGrowthCounts *) PG_DETOAST_DATUM(PG_GETARG_DATUM(0));
		EcsZone		zone;
		EcsRange	range;

		if (PG_ARGISNULL(3))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("time_zone must not be null")));
		ecs_zone_init(&zone, text_to_cstring(PG_GETARG_TEXT_PP(3)));
		if ((counts->users > 0 || (!PG_ARGISNULL(1) && !PG_ARGISNULL(2))) &&
			ecs_make_range(fcinfo, &zone, counts->first_day, counts->last_day, 1, &range))
			put_rows(fcinfo, counts, &range);
	}
	return ecs_end_result(fcinfo);
}
