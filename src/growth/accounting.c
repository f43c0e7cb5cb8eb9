/*
 * accounting.c
 *		growth_accounting, documented_churn: calendar periods, compared with the one before.
 */
#include "postgres.h"

#include "growth/growth.h"

PG_FUNCTION_INFO_V1(ecs_growth_accounting);
PG_FUNCTION_INFO_V1(ecs_documented_churn);

static void
count_user(const EcsUser *user, void *state)
{
	EcsGrowth  *growth = state;
	EcsSlotReader reader;
	bool		signed_up;
	int			first = ecs_count_first(growth, user, &signed_up);
	int			previous = -2;
	int			slot;

	if (first >= 0 && ECS_HAS_BIT(user->bits, ECS_SLOT + first))
	{
		growth->fresh[first] += user->users;
		growth->signed_up[first] += signed_up ? user->users : 0;
	}
	ecs_read_slots(&reader, user, &growth->window);
	while ((slot = ecs_next_slot(&reader)) >= 0)
	{
		growth->active[slot] += user->users;
		growth->retained[slot] += previous == slot - 1 ? user->users : 0;
		previous = slot;
	}
}

/* growth_accounting(source, user, time, period, since, until, zone, first_seen_by, column) */
Datum
ecs_growth_accounting(PG_FUNCTION_ARGS)
{
	EcsSource	source;
	EcsPeriod	period;
	EcsRange	range;
	EcsGrowth	growth;

	ecs_require_args(fcinfo, 4);
	period = ecs_period_from_enum(PG_GETARG_OID(3));
	ecs_open_source(fcinfo, &source, 6, 7);
	ecs_begin_result(fcinfo);
	if (ecs_get_range(fcinfo, &source, 4, &range))
	{
		/*
		 * the period before tells who was retained, unless nothing before
		 * counts
		 */
		int			before = source.seen == ECS_SEEN_WINDOW ? 0 : 1;
		int32		first = ecs_period_index(period, range.since) - before;

		ecs_init_period_window(&growth.window, period, first, ecs_period_index(period, range.until - 1), range.until);
		ecs_look_for_first(&growth.window, &source);
		ecs_init_growth(&growth, &source);
		ecs_source_scan(&source, &growth.window, count_user, &growth);

		ecs_put_periods(fcinfo, &growth, period, first, before, range.over);
	}
	return ecs_end_result(fcinfo);
}

/* documented_churn(source, user, time, since, until, zone) */
Datum
ecs_documented_churn(PG_FUNCTION_ARGS)
{
	EcsSource	source;
	EcsRange	range;
	EcsGrowth	growth;

	ecs_open_source(fcinfo, &source, 5, 0);
	ecs_begin_result(fcinfo);
	if (ecs_get_range(fcinfo, &source, 3, &range))
	{
		int32		first = ecs_period_index(ECS_MONTH, range.since);
		int			slot;

		ecs_init_period_window(&growth.window, ECS_MONTH, first, ecs_period_index(ECS_MONTH, range.until - 1), range.until);
		growth.window.since = growth.window.begin;
		ecs_init_growth(&growth, &source);
		ecs_source_scan(&source, &growth.window, count_user, &growth);
		for (slot = 0; slot < growth.window.slots; slot++)
		{
			int64		active = growth.active[slot];
			bool		next_is_over = slot + 1 < growth.window.slots &&
				ecs_period_start(ECS_MONTH, first + slot + 2) <= range.over;
			Datum		values[2];
			bool		nulls[2] = {false, active == 0 || !next_is_over};

			values[0] = DateADTGetDatum(ecs_period_start(ECS_MONTH, first + slot));
			values[1] = nulls[1] ? (Datum) 0 :
				Float8GetDatum(100.0 * (active - growth.retained[slot + 1]) / active);
			ecs_put_row(fcinfo, values, nulls);
		}
	}
	return ecs_end_result(fcinfo);
}
