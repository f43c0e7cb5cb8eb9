/*
 * value.h
 *		Sketches as PostgreSQL values: reading, building, growing.
 */
#ifndef ECS_SKETCH_VALUE_H
#define ECS_SKETCH_VALUE_H

#include "fmgr.h"

#include "base/compat.h"
#include "sketch/codec.h"

/* Room on the stack to decode sketches of up to this precision; finer ones take palloc */
#define ECS_STACK_PRECISION		12

typedef struct EcsScratch
{
	uint32		word[((1 << ECS_STACK_PRECISION) + ECS_SCRATCH_SLACK) / sizeof(uint32)];
} EcsScratch;

/* See into a stored sketch.  The view lasts as long as the value and the scratch do. */
extern void ecs_view_datum(Datum sketch, EcsView *view, EcsScratch *scratch);

/* The estimated number of elements of a stored sketch, of which no more than its head is fetched */
extern float ecs_count_datum(Datum sketch);

/* The stored form, palloc'd */
extern bytea *ecs_sketch_of_view(const EcsView *view);
extern bytea *ecs_sketch_of_state(const EcsState *state);

/* The stored form of bytes from outside; raises "sqlstate" unless they are a sketch */
extern bytea *ecs_sketch_of_bytes(const void *bytes, size_t len, int sqlstate);

/*
 * Working forms.  Those that change a state return it, or, where it had to grow,
 * a new one from the current memory context; the old one is left alone, since
 * the executor frees the transition states that it sees replaced.
 */
extern EcsState *ecs_state_create(EcsForm form, int precision, uint32 tokens);
extern EcsState *ecs_state_of_view(const EcsView *view);
extern EcsState *ecs_state_enlarge(EcsState *state, uint32 token);
extern EcsState *ecs_state_merge(EcsState *state, const EcsView *view);
extern EcsState *ecs_state_reduce(EcsState *state, int precision);

/* See into a state, which is left as it is: it may be another's */
extern void ecs_view_state(const EcsState *state, EcsView *view);

static inline EcsState *
ecs_state_with(EcsState *state, uint32 token)
{
	if (likely(ecs_state_add(state, token)))
		return state;
	return ecs_state_enlarge(state, token);
}

/* Errors 22023 unless it is a precision */
extern int	ecs_check_precision(int precision);

#endif							/* ECS_SKETCH_VALUE_H */
