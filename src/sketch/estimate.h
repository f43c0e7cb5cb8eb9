/*
 * estimate.h
 *		How many distinct elements a sketch has seen.  Free of PostgreSQL.
 */
#ifndef ECS_SKETCH_ESTIMATE_H
#define ECS_SKETCH_ESTIMATE_H

#include "sketch/state.h"

/*
 * The count has the precision in which it is stored (codec.h), so that a state and
 * what is stored of it tell the same.
 */
typedef struct EcsEstimate
{
	float		count;			/* infinite when every register is full */
	double		error;			/* relative standard error */
} EcsEstimate;

extern EcsEstimate ecs_sketch_estimate(const EcsView *view);

/* Where the tokens are counted already, or the registers */
extern EcsEstimate ecs_estimate_tokens(uint32_t tokens);
extern EcsEstimate ecs_estimate_registers(const EcsView *view, const EcsHistogram *histogram);

#endif							/* ECS_SKETCH_ESTIMATE_H */
