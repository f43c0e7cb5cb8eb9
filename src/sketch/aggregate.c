/*
 * aggregate.c
 *		Combining, merging and final functions of the aggregates; the functions
 *		that add an element are in element.c.
 */
#include "postgres.h"

#include "sketch/aggregate.h"
#include "sketch/estimate.h"
#include "sketch/function.h"

PG_FUNCTION_INFO_V1(ecs_sketch_combine);
PG_FUNCTION_INFO_V1(ecs_sketch_merge);
PG_FUNCTION_INFO_V1(ecs_sketch_final);
PG_FUNCTION_INFO_V1(ecs_sketch_final_count);

Datum
ecs_sketch_merge(PG_FUNCTION_ARGS)
{
	EcsState   *state = ecs_transition_state(fcinfo);
	EcsScratch	scratch;
	EcsView		view;

	if (!PG_ARGISNULL(1))
	{
		ecs_view_datum(PG_GETARG_DATUM(1), &view, &scratch);
		state = state == NULL ? ecs_state_of_view(&view) : ecs_state_merge(state, &view);
	}
	if (state == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(state);
}

Datum
ecs_sketch_combine(PG_FUNCTION_ARGS)
{
	EcsState   *state = ecs_transition_state(fcinfo);
	EcsState   *other = PG_ARGISNULL(1) ? NULL : (EcsState *) PG_DETOAST_DATUM(PG_GETARG_DATUM(1));
	EcsView		view;

	if (state != NULL && other != NULL)
	{
		ecs_view_state(other, &view);
		state = ecs_state_merge(state, &view);
	}
	else if (state == NULL)
		state = other;			/* the executor makes a copy of its own */
	if (state == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(state);
}

Datum
ecs_sketch_final(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P(ecs_sketch_of_state((EcsState *) PG_DETOAST_DATUM(PG_GETARG_DATUM(0))));
}

Datum
ecs_sketch_final_count(PG_FUNCTION_ARGS)
{
	EcsView		view;

	if (PG_ARGISNULL(0))
		PG_RETURN_INT64(0);
	ecs_view_state((EcsState *) PG_DETOAST_DATUM(PG_GETARG_DATUM(0)), &view);
	PG_RETURN_INT64(ecs_whole_count(ecs_sketch_estimate(&view).count));
}
