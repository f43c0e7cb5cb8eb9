/*
 * runs.c
 *		The merge of sorted runs.
 *
 * The runs stand in a heap by the key and the moment of the cell at which each
 * is.  When there are too many to hold a buffer for each, they are merged into
 * one.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "stock/runs.h"

/* The heap has the greatest on top, so this is turned around */
static int
compare_runs(Datum a, Datum b, void *arg)
{
	EcsRuns    *runs = arg;
	EcsRun	   *a_run = &runs->runs[DatumGetInt32(a)];
	EcsRun	   *b_run = &runs->runs[DatumGetInt32(b)];
	int			order = ecs_key_compare(runs->type, ecs_run_key(a_run), ecs_run_key(b_run));

	if (order == 0)
		order = (a_run->cell.at > b_run->cell.at) - (a_run->cell.at < b_run->cell.at);
	return -order;
}

void
ecs_runs_init(EcsRuns *runs, const EcsKeyType *type, bool is_numeric, Size limit)
{
	runs->type = type;
	runs->is_numeric = is_numeric;
	runs->context = CurrentMemoryContext;
	runs->n = 0;
	runs->ncells = 0;
	runs->max = Min(1000, Max(8, limit / (4 * BLCKSZ)));
}

static void
free_cells(EcsRuns *runs)
{
	for (uint32 i = 0; runs->is_numeric && i < runs->ncells; i++)
		pfree(EcsNumber(runs->cells[i].quantity));
	runs->ncells = 0;
}

void
ecs_runs_end(EcsRuns *runs)
{
	free_cells(runs);
	for (int i = 0; i < runs->n; i++)
		ecs_run_end(&runs->runs[i]);
	runs->n = 0;
}

/* Make one run of all */
static void
merge_all(EcsRuns *runs)
{
	EcsRun		target = ecs_run_create(runs->type, runs->is_numeric);
	EcsKeyCells group;

	ecs_runs_rewind(runs);
	while (ecs_runs_next_cells(runs, &group))
	{
		CHECK_FOR_INTERRUPTS();
		ecs_run_write(&target, &group);
	}
	ecs_runs_end(runs);
	runs->runs[0] = target;
	runs->n = 1;
}

/* A new run behind those there are */
static EcsRun *
add_run(EcsRuns *runs)
{
	MemoryContext caller = MemoryContextSwitchTo(runs->context);

	if (runs->n == 0)
	{
		runs->runs = palloc(runs->max * sizeof(EcsRun));
		runs->heap = binaryheap_allocate(runs->max, compare_runs, runs);
		runs->key_context = AllocSetContextCreate(runs->context, "key of merged stock runs", ALLOCSET_SMALL_SIZES);
	}
	if (runs->n == runs->max)
		merge_all(runs);
	runs->runs[runs->n] = ecs_run_create(runs->type, runs->is_numeric);
	MemoryContextSwitchTo(caller);
	return &runs->runs[runs->n++];
}

void
ecs_runs_write(EcsRuns *runs, EcsBatch *batch)
{
	EcsRun	   *run = add_run(runs);
	EcsKeyCells group;

	ecs_batch_sort(batch);
	while (ecs_batch_next_cells(batch, &group))
		ecs_run_write(run, &group);
}

void
ecs_runs_rewind(EcsRuns *runs)
{
	binaryheap_reset(runs->heap);
	for (int i = 0; i < runs->n; i++)
		if (ecs_run_rewind(&runs->runs[i]))
			binaryheap_add_unordered(runs->heap, Int32GetDatum(i));
	binaryheap_build(runs->heap);
	runs->continues = false;
}

/* The run with the first cell of all */
static inline EcsRun *
top_run(EcsRuns *runs)
{
	return &runs->runs[DatumGetInt32(binaryheap_first(runs->heap))];
}

/* Keep the key of a run, which goes on */
static void
keep_key(EcsRuns *runs, EcsRun *run)
{
	MemoryContext caller;

	MemoryContextReset(runs->key_context);
	caller = MemoryContextSwitchTo(runs->key_context);
	ecs_key_copy(runs->type, ecs_run_key(run), runs->values);
	MemoryContextSwitchTo(caller);
	runs->nulls = run->nulls;
}

static EcsCell
take_cell(EcsRuns *runs)
{
	EcsRun	   *run = top_run(runs);
	EcsCell		cell = run->cell;

	if (ecs_run_step(run))
		binaryheap_replace_first(runs->heap, binaryheap_first(runs->heap));
	else
		binaryheap_remove_first(runs->heap);
	return cell;
}

bool
ecs_runs_next_cells(EcsRuns *runs, EcsKeyCells *group)
{
	free_cells(runs);
	if (binaryheap_empty(runs->heap))
		return false;
	if (!runs->continues)
		keep_key(runs, top_run(runs));
	group->key = ecs_key(runs->values, runs->nulls);
	do
	{
		runs->cells[runs->ncells++] = take_cell(runs);
		runs->continues = !binaryheap_empty(runs->heap) &&
			ecs_key_compare(runs->type, ecs_run_key(top_run(runs)), group->key) == 0;
	} while (runs->continues && runs->ncells < ECS_MERGED_CELLS);
	group->cells = runs->cells;
	group->n = runs->ncells;
	return true;
}
