/*
 * step.h
 *		The steps of a refresh, each of which may fail without harm to the others.
 */
#ifndef ECS_ROLLUP_STEP_H
#define ECS_ROLLUP_STEP_H

#include "rollup/rollup.h"

/* What went wrong in one refresh, kept in the procedure's memory */
typedef struct EcsFailure
{
	int			count;
	int			sqlerrcode;		/* of the first */
	char	   *message;
} EcsFailure;

/* What a refresh was asked for and has done */
typedef struct EcsWork
{
	const EcsRollup *rollup;
	TimestampTz until;			/* buckets that begin later are left pending */
	DateADT		bucket;			/* at work on, or done last */
	bool		healed;			/* as far as could be done */
	bool		patient;		/* wait for other refreshes */
	bool		busy;			/* the last step met another refresh */
	EcsFailure	failure;
} EcsWork;

/* Returns false where there was nothing to do */
typedef bool (*EcsStep) (EcsWork *work);

extern bool ecs_step_move(EcsWork *work);
extern bool ecs_step_heal(EcsWork *work);
extern bool ecs_step_compute(EcsWork *work);
extern bool ecs_step_handle(EcsWork *work);

extern bool ecs_step_run(EcsStep step, EcsWork *work);
extern int64 ecs_step_find_pending(EcsWork *work);

#endif							/* ECS_ROLLUP_STEP_H */
