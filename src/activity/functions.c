/*
 * functions.c
 *		Questions to a value of type activity, and the rows that it makes.
 */
#include "postgres.h"

#include "funcapi.h"

#include "activity/activity.h"

PG_FUNCTION_INFO_V1(ecs_activity_count);
PG_FUNCTION_INFO_V1(ecs_activity_count_between);
PG_FUNCTION_INFO_V1(ecs_activity_first);
PG_FUNCTION_INFO_V1(ecs_activity_last);
PG_FUNCTION_INFO_V1(ecs_activity_next);
PG_FUNCTION_INFO_V1(ecs_activity_previous);
PG_FUNCTION_INFO_V1(ecs_activity_slice);
PG_FUNCTION_INFO_V1(ecs_activity_lness);
PG_FUNCTION_INFO_V1(ecs_activity_streak);
PG_FUNCTION_INFO_V1(ecs_activity_days);
PG_FUNCTION_INFO_V1(ecs_activity_runs);
PG_FUNCTION_INFO_V1(ecs_activity_gaps);

/*
 * Looking up days
 */

/* A bound of a half-open range, which may be infinite */
static DateADT
clamp_bound(DateADT day)
{
	return DATE_IS_NOBEGIN(day) ? ECS_MIN_DAY : DATE_IS_NOEND(day) ? ECS_MAX_DAY + 1 : day;
}

Datum
ecs_activity_count(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(ecs_count_days(PG_GETARG_ACTIVITY(0), ECS_MIN_DAY, ECS_MAX_DAY + 1));
}

Datum
ecs_activity_count_between(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(ecs_count_days(PG_GETARG_ACTIVITY(0),
								   clamp_bound(PG_GETARG_DATEADT(1)),
								   clamp_bound(PG_GETARG_DATEADT(2))));
}

Datum
ecs_activity_first(PG_FUNCTION_ARGS)
{
	DateADT		day;

	if (!ecs_first_day(PG_GETARG_ACTIVITY(0), &day))
		PG_RETURN_NULL();
	PG_RETURN_DATEADT(day);
}

Datum
ecs_activity_last(PG_FUNCTION_ARGS)
{
	DateADT		day;

	if (!ecs_last_day(PG_GETARG_ACTIVITY(0), &day))
		PG_RETURN_NULL();
	PG_RETURN_DATEADT(day);
}

Datum
ecs_activity_next(PG_FUNCTION_ARGS)
{
	DateADT		after = PG_GETARG_DATEADT(1);
	DateADT		day;

	if (!ecs_day_from(PG_GETARG_ACTIVITY(0),
					  DATE_NOT_FINITE(after) ? clamp_bound(after) : after + 1, &day))
		PG_RETURN_NULL();
	PG_RETURN_DATEADT(day);
}

Datum
ecs_activity_previous(PG_FUNCTION_ARGS)
{
	DateADT		day;

	if (!ecs_day_before(PG_GETARG_ACTIVITY(0), clamp_bound(PG_GETARG_DATEADT(1)), &day))
		PG_RETURN_NULL();
	PG_RETURN_DATEADT(day);
}

Datum
ecs_activity_slice(PG_FUNCTION_ARGS)
{
	DateADT		from = clamp_bound(PG_GETARG_DATEADT(1));
	DateADT		until = clamp_bound(PG_GETARG_DATEADT(2));

	PG_RETURN_POINTER(ecs_combine(PG_GETARG_ACTIVITY(0), ecs_make_run(from, until - 1), ECS_INTERSECT));
}

Datum
ecs_activity_lness(PG_FUNCTION_ARGS)
{
	DateADT		as_of = PG_GETARG_DATEADT(1);
	int32		days = PG_GETARG_INT32(2);

	ecs_check_day(as_of);
	if (days < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("number of days must be at least 1, not %d", days),
				 errhint("For L28, the active days of the last 28 days, pass 28.")));
	PG_RETURN_INT32((int32) ecs_count_days(PG_GETARG_ACTIVITY(0),
										   (DateADT) Max((int64) as_of + 1 - days, ECS_MIN_DAY), as_of + 1));
}

/* The consecutive days that end on a day */
static int32
streak_until(const struct varlena *activity, DateADT day)
{
	EcsRunReader runs;
	DateADT		first,
				last;

	ecs_read_runs(&runs, activity);
	while (ecs_next_run(&runs, &first, &last) && first <= day)
		if (day <= last)
			return day - first + 1;
	return 0;
}

Datum
ecs_activity_streak(PG_FUNCTION_ARGS)
{
	ecs_check_day(PG_GETARG_DATEADT(1));
	PG_RETURN_INT32(streak_until(PG_GETARG_ACTIVITY(0), PG_GETARG_DATEADT(1)));
}

/*
 * Sets of rows
 */

typedef struct RunCall
{
	EcsRunReader runs;
	DateADT		first;			/* the run that is being returned */
	DateADT		last;
} RunCall;

/* The call's state, which is made when the function is first called */
static FuncCallContext *
begin_runs(FunctionCallInfo fcinfo, bool rows)
{
	FuncCallContext *call;
	MemoryContext old;
	RunCall    *state;

	if (SRF_IS_FIRSTCALL())
	{
		call = SRF_FIRSTCALL_INIT();
		old = MemoryContextSwitchTo(call->multi_call_memory_ctx);
		state = palloc(sizeof(RunCall));
		ecs_read_runs(&state->runs, (struct varlena *) PG_DETOAST_DATUM_COPY(PG_GETARG_DATUM(0)));
		state->first = 1;
		state->last = 0;
		if (rows && get_call_result_type(fcinfo, NULL, &call->tuple_desc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "return type must be a row type");
		call->user_fctx = state;
		MemoryContextSwitchTo(old);
	}
	return SRF_PERCALL_SETUP();
}

static Datum
run_row(FuncCallContext *call, DateADT first, DateADT last)
{
	Datum		values[] = {DateADTGetDatum(first), DateADTGetDatum(last), Int32GetDatum(last - first + 1)};
	bool		nulls[] = {false, false, false};

	return HeapTupleGetDatum(heap_form_tuple(call->tuple_desc, values, nulls));
}

Datum
ecs_activity_days(PG_FUNCTION_ARGS)
{
	FuncCallContext *call = begin_runs(fcinfo, false);
	RunCall    *state = call->user_fctx;

	if (state->first > state->last &&
		!ecs_next_run(&state->runs, &state->first, &state->last))
		SRF_RETURN_DONE(call);
	SRF_RETURN_NEXT(call, DateADTGetDatum(state->first++));
}

Datum
ecs_activity_runs(PG_FUNCTION_ARGS)
{
	FuncCallContext *call = begin_runs(fcinfo, true);
	RunCall    *state = call->user_fctx;

	if (!ecs_next_run(&state->runs, &state->first, &state->last))
		SRF_RETURN_DONE(call);
	SRF_RETURN_NEXT(call, run_row(call, state->first, state->last));
}

Datum
ecs_activity_gaps(PG_FUNCTION_ARGS)
{
	FuncCallContext *call = begin_runs(fcinfo, true);
	RunCall    *state = call->user_fctx;
	DateADT		last;

	if (call->call_cntr == 0 && !ecs_next_run(&state->runs, &state->first, &state->last))
		SRF_RETURN_DONE(call);
	last = state->last;
	if (!ecs_next_run(&state->runs, &state->first, &state->last))
		SRF_RETURN_DONE(call);
	SRF_RETURN_NEXT(call, run_row(call, last + 1, state->first - 1));
}
