/*
 * function.h
 *		What several files of SQL functions on sketches need.
 */
#ifndef ECS_SKETCH_FUNCTION_H
#define ECS_SKETCH_FUNCTION_H

#include "sketch/estimate.h"

/* The estimate; errors 22003 where it is infinite */
extern EcsEstimate ecs_estimate_view(const EcsView *view);

/* As a whole number; errors 22003 where it does not fit */
extern int64 ecs_count_view(const EcsView *view);

#endif							/* ECS_SKETCH_FUNCTION_H */
