/*
 * runs.h
 *		Sorted runs of cells in temporary files, and their merge.
 *
 * Beyond its limit of memory a ledger writes what it holds as a run, ordered by
 * key and moment, and starts empty again.  In the end the runs are merged.
 */
#ifndef ECS_RUNS_H
#define ECS_RUNS_H

#include "lib/binaryheap.h"
#include "storage/buffile.h"

#include "stock/batch.h"

/* A run, and where it is being read */
typedef struct EcsRun
{
	BufFile    *file;
	MemoryContext context;		/* of the values below */
	uint64		groups;			/* that follow */
	uint32		left;			/* cells of this group that follow */
	uint32		nulls;
	Datum		values[ECS_KEY_COLUMNS];
	EcsCell		cell;
} EcsRun;

typedef struct EcsRuns
{
	const EcsKeyType *type;
	bool numeric;
	MemoryContext context;
	EcsRun	   *runs;
	int			n;
	int			max;
	binaryheap *heap;			/* of the runs that are not at their end */
	bool		top_is_taken;	/* the first of them gave the last cell */

	/* the cell at hand, which goes with the next one */
	EcsCell		cell;
	EcsKey		key;
	bool		is_new_key;		/* not the key that is kept */

	/* the key that is kept */
	MemoryContext kept_context;
	bool		has_kept;
	uint32		kept_nulls;
	Datum		kept_values[ECS_KEY_COLUMNS];
} EcsRuns;

extern void ecs_runs_init(EcsRuns *runs, const EcsKeyType *type, bool numeric, Size limit);

/* Writes the batch, which is to be emptied then */
extern void ecs_runs_write(EcsRuns *runs, EcsBatch *batch);

/* Begins to read all; then steps to the next cell, false at the end */
extern void ecs_runs_rewind(EcsRuns *runs);
extern bool ecs_runs_next(EcsRuns *runs);

/* Keeps the key of the cell at hand while the run that gave it goes on */
extern EcsKey ecs_runs_keep_key(EcsRuns *runs);

/* Closes the files */
extern void ecs_runs_end(EcsRuns *runs);

#endif							/* ECS_RUNS_H */
