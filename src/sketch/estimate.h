/*
 * estimate.h
 *		How many distinct elements a sketch has seen.  Free of PostgreSQL.
 */
#ifndef ECS_SKETCH_ESTIMATE_H
#define ECS_SKETCH_ESTIMATE_H

#include "sketch/state.h"

typedef struct EcsEstimate
{
	double		count;			/* infinite when every register is full */
	double		error;			/* relative standard error */
} EcsEstimate;

extern EcsEstimate ecs_sketch_estimate(const EcsView *view);

#endif							/* ECS_SKETCH_ESTIMATE_H */
