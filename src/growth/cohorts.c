/*
 * cohorts.c
 *		retention_cohorts: who of a period comes back in the later ones.
 */
#include "postgres.h"

#include "growth/growth.h"

PG_FUNCTION_INFO_V1(ecs_retention_cohorts);

#define MAX_COHORTS		2000

typedef struct Cohorts
{
	const EcsSource *source;
	EcsWindow	window;
	bool		recurring;
	int64	   *users;			/* by cohort */
	int64	   *retained;		/* by cohort and period */
	int		   *slots;			/* of one user */
} Cohorts;

static void
count_cohort_user(const EcsUser *user, void *state)
{
	Cohorts    *cohorts = state;
	int			slots = cohorts->window.slots;
	int			first;
	int			count = 0;
	int			i,
				j;
	EcsSlotReader reader;

	ecs_read_slots(&reader, user, &cohorts->window);
	while ((cohorts->slots[count] = ecs_next_slot(&reader)) >= 0)
		count++;

	if (cohorts->recurring)
	{
		for (i = 0; i < count; i++)
		{
			cohorts->users[cohorts->slots[i]] += user->users;
			for (j = i; j < count; j++)
				cohorts->retained[cohorts->slots[i] * slots + cohorts->slots[j]] += user->users;
		}
		return;
	}
	first = Min(ecs_first_active_slot(user), ecs_column_slot(user, &cohorts->window, cohorts->source));
	if (first < 0)
		return;
	cohorts->users[first] += user->users;
	for (i = 0; i < count; i++)
		cohorts->retained[first * slots + cohorts->slots[i]] += user->users;
}

/* retention_cohorts(source, user, time, period, since, until, zone, first_seen_by, column, recurring) */
Datum
ecs_retention_cohorts(PG_FUNCTION_ARGS)
{
	EcsSource	source;
	EcsPeriod	period;
	EcsRange	range;
	Cohorts		cohorts;

	ecs_require_args(fcinfo, 4);
	if (PG_ARGISNULL(9))
		ecs_require_args(fcinfo, 10);
	period = ecs_period_from_enum(PG_GETARG_OID(3));
	ecs_open_source(fcinfo, &source, 6, 7);
	ecs_begin_result(fcinfo);
	if (ecs_get_range(fcinfo, &source, 4, &range))
	{
		int32		first = ecs_period_index(period, range.since);
		int			slots,
					cohort,
					slot;

		ecs_init_period_window(&cohorts.window, period, first, ecs_period_index(period, range.until - 1), range.until);
		slots = cohorts.window.slots;
		if (slots > MAX_COHORTS)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("%d cohorts are too many", slots),
					 errdetail("At most %d periods can be compared with each other.", MAX_COHORTS),
					 errhint("Choose a longer period, or pass since and until.")));
		cohorts.source = &source;
		cohorts.recurring = PG_GETARG_BOOL(9);
		ecs_look_for_first(&cohorts.window, &source);
		if (cohorts.recurring)
			cohorts.window.since = cohorts.window.begin;
		cohorts.users = palloc0(slots * sizeof(int64));
		cohorts.retained = palloc0((Size) slots * slots * sizeof(int64));
		cohorts.slots = palloc((slots + 1) * sizeof(int));
		ecs_source_scan(&source, &cohorts.window, count_cohort_user, &cohorts);

		for (cohort = 0; cohort < slots; cohort++)
			for (slot = cohort; slot < slots; slot++)
			{
				Datum		values[6];
				bool		nulls[6] = {false};
				int64		retained = cohorts.retained[cohort * slots + slot];

				values[0] = DateADTGetDatum(ecs_period_start(period, first + cohort));
				values[1] = Int32GetDatum(slot - cohort);
				values[2] = Int64GetDatum(cohorts.users[cohort]);
				values[3] = Int64GetDatum(retained);
				values[4] = ecs_ratio(retained, cohorts.users[cohort], &nulls[4]);
				values[5] = BoolGetDatum(ecs_period_start(period, first + slot + 1) <= range.over);
				ecs_put_row(fcinfo, values, nulls);
			}
	}
	return ecs_end_result(fcinfo);
}
