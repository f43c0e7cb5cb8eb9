/*
 * runs.h
 *		The merge of sorted runs.
 *
 * Beyond its limit of memory a ledger writes what it holds as a run, ordered by
 * key and moment, and starts empty again.  In the end the runs are merged.
 */
#ifndef ECS_RUNS_H
#define ECS_RUNS_H

#include "lib/binaryheap.h"

#include "stock/run.h"

/* The most cells that are handed on at a time */
#define ECS_MERGED_CELLS	256

typedef struct EcsRuns
{
	const EcsKeyType *type;
	bool		is_numeric;
	MemoryContext context;
	EcsRun	   *runs;
	int			n;
	int			max;
	binaryheap *heap;			/* of the runs that are not at their end, by
								 * key and moment */

	/* what was handed on, and whether more of that key follows */
	MemoryContext key_context;
	Datum		values[ECS_KEY_COLUMNS];
	uint32		nulls;
	EcsCell		cells[ECS_MERGED_CELLS];
	uint32		ncells;
	bool		continues;
} EcsRuns;

extern void ecs_runs_init(EcsRuns *runs, const EcsKeyType *type, bool is_numeric, Size limit);

/* Writes the batch, which is to be emptied then */
extern void ecs_runs_write(EcsRuns *runs, EcsBatch *batch);

/*
 * Begins to read all.  Then hands on the next cells of one key, which are valid
 * until the next call, or false at the end.
 */
extern void ecs_runs_rewind(EcsRuns *runs);
extern bool ecs_runs_next_cells(EcsRuns *runs, EcsKeyCells *group);

/* Closes the files */
extern void ecs_runs_end(EcsRuns *runs);

#endif							/* ECS_RUNS_H */
