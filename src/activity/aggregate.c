/*
 * aggregate.c
 *		activity_agg(date): the state that days are gathered in.
 *
 * The state, type activity_state, is a flat list of weeks with some of their
 * days, in the order of arrival, changed in place.  Its VARSIZE is always its
 * capacity, so that a copy at VARSIZE copies all of it, and it is never moved by
 * repalloc: a larger one is made in the current context and returned, and the
 * executor copies it and frees the old one.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "activity/activity.h"

PG_FUNCTION_INFO_V1(ecs_activity_state_in);
PG_FUNCTION_INFO_V1(ecs_activity_state_out);
PG_FUNCTION_INFO_V1(ecs_activity_state_add);
PG_FUNCTION_INFO_V1(ecs_activity_state_combine);
PG_FUNCTION_INFO_V1(ecs_activity_state_final);

typedef struct WeekDays
{
	int32		week;
	uint32		days;
} WeekDays;

typedef struct State
{
	int32		vl_len_;
	int32		used;
	WeekDays	weeks[FLEXIBLE_ARRAY_MEMBER];
} State;

#define FIRST_CAPACITY	4
#define STATE_SIZE(n)	(offsetof(State, weeks) + (Size) (n) * sizeof(WeekDays))
#define STATE_CAPACITY(state) \
	((int32) ((VARSIZE(state) - offsetof(State, weeks)) / sizeof(WeekDays)))
#define MAX_CAPACITY	((int32) ((MaxAllocSize - offsetof(State, weeks)) / sizeof(WeekDays)))

static State *
make_state(int32 capacity)
{
	State	   *state = palloc(STATE_SIZE(capacity));

	SET_VARSIZE(state, STATE_SIZE(capacity));
	state->used = 0;
	return state;
}

static int
compare_weeks(const void *a, const void *b)
{
	int32		left = ((const WeekDays *) a)->week;
	int32		right = ((const WeekDays *) b)->week;

	return (left > right) - (left < right);
}

/* Sort the weeks and make one of equal ones; returns how many are left */
static int32
compact_weeks(WeekDays *weeks, int32 count)
{
	int32		kept = 0;
	int32		i;

	qsort(weeks, count, sizeof(WeekDays), compare_weeks);
	for (i = 0; i < count; i++)
	{
		if (kept > 0 && weeks[kept - 1].week == weeks[i].week)
			weeks[kept - 1].days |= weeks[i].days;
		else
			weeks[kept++] = weeks[i];
	}
	return kept;
}

/* Add days to a state, which may be replaced by a larger one */
static State *
add_days(State *state, int32 week, uint8 days)
{
	if (state->used > 0 && state->weeks[state->used - 1].week == week)
	{
		state->weeks[state->used - 1].days |= days;
		return state;
	}
	if (state->used == STATE_CAPACITY(state))
	{
		state->used = compact_weeks(state->weeks, state->used);
		if (state->used > STATE_CAPACITY(state) / 2)
		{
			State	   *old = state;

			if (STATE_CAPACITY(old) > MAX_CAPACITY / 2)
				ereport(ERROR,
						(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						 errmsg("too many different weeks for one activity")));
			state = make_state(STATE_CAPACITY(old) * 2);
			memcpy(state->weeks, old->weeks, old->used * sizeof(WeekDays));
			state->used = old->used;
		}
	}
	state->weeks[state->used].week = week;
	state->weeks[state->used++].days = days;
	return state;
}

static struct varlena *
finish_state(const State *state)
{
	Size		size = state->used * sizeof(WeekDays);
	WeekDays   *weeks = memcpy(palloc(Max(size, 1)), state->weeks, size);
	int32		count = compact_weeks(weeks, state->used);
	int32		i;
	EcsWriter	writer;

	ecs_write_begin(&writer);
	for (i = 0; i < count; i++)
		ecs_write_weeks(&writer, weeks[i].week, 1, weeks[i].days);
	pfree(weeks);
	return ecs_write_end(&writer);
}

static State *
state_of_activity(const struct varlena *activity)
{
	State	   *state = make_state(FIRST_CAPACITY);
	EcsWeekReader reader;
	EcsWeeks	weeks;

	ecs_read_weeks(&reader, activity);
	while (ecs_next_weeks(&reader, &weeks))
		for (; weeks.count > 0; weeks.count--, weeks.week++)
		{
			CHECK_FOR_INTERRUPTS();
			state = add_days(state, weeks.week, weeks.days);
		}
	return state;
}

static void
check_aggregate(FunctionCallInfo fcinfo)
{
	if (!AggCheckCallContext(fcinfo, NULL))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("this function can be called by an aggregate only"),
				 errhint("Use activity_agg(date).")));
}

/* The state in the argument; a copy where it does not stand as it must */
#define GETARG_STATE(n) ((State *) PG_DETOAST_DATUM(PG_GETARG_DATUM(n)))

Datum
ecs_activity_state_in(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(state_of_activity(ecs_parse_activity(PG_GETARG_CSTRING(0))));
}

Datum
ecs_activity_state_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(ecs_format_activity(finish_state(GETARG_STATE(0))));
}

Datum
ecs_activity_state_add(PG_FUNCTION_ARGS)
{
	State	   *state;
	DateADT		day;
	int32		week;

	check_aggregate(fcinfo);
	if (PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}
	day = PG_GETARG_DATEADT(1);
	ecs_check_day(day);
	week = ecs_week_of(day);
	state = PG_ARGISNULL(0) ? make_state(FIRST_CAPACITY) : GETARG_STATE(0);
	PG_RETURN_POINTER(add_days(state, week, 1 << (day - ecs_week_start(week))));
}

Datum
ecs_activity_state_combine(PG_FUNCTION_ARGS)
{
	State	   *state;
	State	   *other;
	int32		i;

	check_aggregate(fcinfo);
	if (PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}
	other = GETARG_STATE(1);
	state = PG_ARGISNULL(0) ? make_state(Max(other->used, FIRST_CAPACITY)) : GETARG_STATE(0);
	for (i = 0; i < other->used; i++)
		state = add_days(state, other->weeks[i].week, other->weeks[i].days);
	PG_RETURN_POINTER(state);
}

Datum
ecs_activity_state_final(PG_FUNCTION_ARGS)
{
	check_aggregate(fcinfo);
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_POINTER(finish_state(GETARG_STATE(0)));
}
