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

#include "sketch/value.h"

/* The first argument, NULL before the first row.  Errors outside of an aggregate. */
extern EcsState *ecs_transition_state(FunctionCallInfo fcinfo);

#endif							/* ECS_SKETCH_AGGREGATE_H */
