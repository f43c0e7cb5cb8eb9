/*
 * aggregate.h
 *		The transition state of the aggregates.
 *
 * It is a flat EcsState that is changed in place: its varlena header always
 * tells the whole allocation, so the copies that the executor makes are whole.
 * A larger one is built in the current memory context and returned, and the old
 * one left alone: the executor copies what it gets and frees what it had.  Final
 * functions only read, so aggregates may share a state, and windows go on with
 * it.
 */
#ifndef ECS_SKETCH_AGGREGATE_H
#define ECS_SKETCH_AGGREGATE_H

#include "nodes/nodes.h"

#include "sketch/value.h"

/*
 * The first argument, NULL before the first row.  Errors outside of an aggregate:
 * changes in place would damage a value that is not the executor's own.
 *
 * It is done for every row, so it does what AggCheckCallContext() does by itself.
 */
static inline EcsState *
ecs_transition_state(FunctionCallInfo fcinfo)
{
	struct varlena *state;

	if (unlikely(fcinfo->context == NULL ||
				 !(IsA(fcinfo->context, AggState) || IsA(fcinfo->context, WindowAggState))))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this function can be called by an aggregate only"),
				 errhint("Use sketch_add() or sketch_union() for single sketches.")));
	if (unlikely(PG_ARGISNULL(0)))
		return NULL;
	state = (struct varlena *) PG_GETARG_POINTER(0);

	/* the first one may come from a tuple; later ones are our own */
	return (EcsState *) (likely(VARATT_IS_4B_U(state)) ? state : pg_detoast_datum(state));
}

#endif							/* ECS_SKETCH_AGGREGATE_H */
