/*
 * run.h
 *		A sorted run of cells in a temporary file.
 */
#ifndef ECS_RUN_H
#define ECS_RUN_H

#include "storage/buffile.h"

#include "stock/batch.h"

/* A run, and the cell at which it is being read */
typedef struct EcsRun
{
	const EcsKeyType *type;
	bool		is_numeric;
	BufFile    *file;
	MemoryContext context;		/* of the values below */
	MemoryContext numbers;		/* of the numerics of cells, which the reader
								 * frees */
	uint64		groups;			/* that follow */
	uint32		left;			/* cells of this group that follow */
	uint32		nulls;
	Datum		values[ECS_KEY_COLUMNS];
	EcsCell		cell;
} EcsRun;

/* The file, and all that is read from it, goes with ecs_run_end(); numbers live in the current context */
extern EcsRun ecs_run_create(const EcsKeyType *type, bool is_numeric);
extern void ecs_run_write(EcsRun *run, EcsKeyCells *group);
extern void ecs_run_end(EcsRun *run);

/* Begins to read; then steps from cell to cell.  False at the end */
extern bool ecs_run_rewind(EcsRun *run);
extern bool ecs_run_step(EcsRun *run);

/* The key of the cell at hand, valid until the next step */
static inline EcsKey
ecs_run_key(const EcsRun *run)
{
	return ecs_key(run->values, run->nulls);
}

#endif							/* ECS_RUN_H */
