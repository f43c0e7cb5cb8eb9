/*
 * runs.c
 *		Sorted runs of cells in temporary files, and their merge.
 *
 * A run is a sequence of groups, each the key with its cells in order of time:
 *
 *		uint32		number of cells
 *		uint32		a bit for each key column that is NULL
 *		for each key column that is not NULL
 *			Datum		where the type is passed by value, else
 *			uint32		length, and as many bytes
 *		for each cell
 *			EcsCell		quantity included, or in a ledger of numerics
 *			int64		the moment, and the numeric, which tells its length
 *
 * Nothing but the process that wrote it reads it.  A key may have several
 * groups, one after the other.  The runs are merged through a heap by key and
 * moment.  When there are too many to hold a buffer for each, they are merged
 * into one.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/memutils.h"

#include "stock/runs.h"

/* The most cells in a group that a merge writes */
#define MERGED_CELLS	256

static int	compare_runs(Datum a, Datum b, void *arg);

void
ecs_runs_init(EcsRuns *runs, const EcsKeyType *type, bool numeric, Size limit)
{
	runs->type = type;
	runs->numeric = numeric;

	runs->context = CurrentMemoryContext;
	runs->n = 0;
	runs->max = Min(1000, Max(8, limit / (4 * BLCKSZ)));
}

static void
write_group(EcsRuns *runs, EcsRun *run, EcsKey key, EcsCell *cells, uint32 n)
{
	BufFileWrite(run->file, &n, sizeof(n));
	BufFileWrite(run->file, &key.nulls, sizeof(key.nulls));
	for (int i = 0; i < runs->type->ncolumns; i++)
	{
		const EcsKeyColumn *column = &runs->type->columns[i];
		Datum		value = key.values[i];

		if (key.nulls & (1 << i))
			continue;
		if (column->typbyval)
			BufFileWrite(run->file, &value, sizeof(value));
		else
		{
			uint32		size = datumGetSize(value, false, column->typlen);

			BufFileWrite(run->file, &size, sizeof(size));
			BufFileWrite(run->file, DatumGetPointer(value), size);
		}
	}
	if (runs->numeric)
		for (uint32 i = 0; i < n; i++)
		{
			Numeric		number = EcsNumber(cells[i].quantity);

			BufFileWrite(run->file, &cells[i].at, sizeof(cells[i].at));
			BufFileWrite(run->file, number, VARSIZE(number));
		}
	else
		BufFileWrite(run->file, cells, n * sizeof(EcsCell));
	run->groups++;
}

static EcsRun
create_run(EcsRuns *runs)
{
	return (EcsRun)
	{
		.file = BufFileCreateTemp(false),
			.context = AllocSetContextCreate(runs->context, "stock run", ALLOCSET_SMALL_SIZES)
	};
}

static void
end_run(EcsRun *run)
{
	BufFileClose(run->file);
	MemoryContextDelete(run->context);
}

void
ecs_runs_end(EcsRuns *runs)
{
	for (int i = 0; i < runs->n; i++)
		end_run(&runs->runs[i]);
	runs->n = 0;
}

/* Make one run of all */
static void
merge_all(EcsRuns *runs)
{
	EcsRun		target = create_run(runs);
	EcsCell		cells[MERGED_CELLS];
	uint32		most = runs->numeric ? 1 : MERGED_CELLS;	/* a number goes with
															 * the next cell */
	uint32		n = 0;
	EcsKey		key = ecs_key(runs->kept_values, 0);

	ecs_runs_rewind(runs);
	while (ecs_runs_next(runs))
	{
		CHECK_FOR_INTERRUPTS();
		if (runs->is_new_key)
		{
			if (n > 0)
				write_group(runs, &target, key, cells, n);
			n = 0;
			key = ecs_runs_keep_key(runs);
		}
		cells[n++] = runs->cell;
		if (n == most)
		{
			write_group(runs, &target, key, cells, n);
			n = 0;
		}
	}
	if (n > 0)
		write_group(runs, &target, key, cells, n);

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
		runs->kept_context = AllocSetContextCreate(runs->context, "kept key of stock runs", ALLOCSET_SMALL_SIZES);
	}
	if (runs->n == runs->max)
		merge_all(runs);
	runs->runs[runs->n] = create_run(runs);
	MemoryContextSwitchTo(caller);
	return &runs->runs[runs->n++];
}

void
ecs_runs_write(EcsRuns *runs, EcsBatch *batch)
{
	EcsRun	   *run = add_run(runs);
	EcsKeyCells group;

	ecs_batch_sort(batch);
	while (ecs_batch_next_key(batch, &group))
		write_group(runs, run, group.key, group.cells, group.n);
}

static void
read_key(EcsRuns *runs, EcsRun *run)
{
	MemoryContextReset(run->context);
	BufFileReadExact(run->file, &run->left, sizeof(run->left));
	BufFileReadExact(run->file, &run->nulls, sizeof(run->nulls));
	for (int i = 0; i < runs->type->ncolumns; i++)
	{
		run->values[i] = (Datum) 0;
		if (run->nulls & (1 << i))
			continue;
		if (runs->type->columns[i].typbyval)
			BufFileReadExact(run->file, &run->values[i], sizeof(Datum));
		else
		{
			uint32		size;
			void	   *value;

			BufFileReadExact(run->file, &size, sizeof(size));
			value = MemoryContextAlloc(run->context, size);
			BufFileReadExact(run->file, value, size);
			run->values[i] = PointerGetDatum(value);
		}
	}
	run->groups--;
}

static int64
read_number(EcsRuns *runs, EcsRun *run)
{
	varattrib_4b head;
	char	   *number;
	Size		size;

	BufFileReadExact(run->file, &head, VARHDRSZ);
	size = VARSIZE(&head);
	number = MemoryContextAlloc(runs->context, size);
	memcpy(number, &head, VARHDRSZ);
	BufFileReadExact(run->file, number + VARHDRSZ, size - VARHDRSZ);
	return (int64) PointerGetDatum(number);
}

/* Step to the next cell of a run; false at its end */
static bool
read_cell(EcsRuns *runs, EcsRun *run)
{
	if (runs->numeric &&run->cell.quantity != 0)
	{
		pfree(EcsNumber(run->cell.quantity));
		run->cell.quantity = 0;
	}
	if (run->left == 0)
	{
		if (run->groups == 0)
			return false;
		read_key(runs, run);
	}
	run->left--;
	if (runs->numeric)
	{
		BufFileReadExact(run->file, &run->cell.at, sizeof(run->cell.at));
		run->cell.quantity = read_number(runs, run);
	}
	else
		BufFileReadExact(run->file, &run->cell, sizeof(EcsCell));
	return true;
}

static inline EcsKey
run_key(const EcsRun *run)
{
	return ecs_key(run->values, run->nulls);
}

/* The heap has the greatest on top, so this is turned around */
static int
compare_runs(Datum a, Datum b, void *arg)
{
	EcsRuns    *runs = arg;
	EcsRun	   *a_run = &runs->runs[DatumGetInt32(a)];
	EcsRun	   *b_run = &runs->runs[DatumGetInt32(b)];
	int			order = ecs_key_compare(runs->type, run_key(a_run), run_key(b_run));

	if (order == 0)
		order = (a_run->cell.at > b_run->cell.at) - (a_run->cell.at < b_run->cell.at);
	return -order;
}

void
ecs_runs_rewind(EcsRuns *runs)
{
	binaryheap_reset(runs->heap);
	for (int i = 0; i < runs->n; i++)
	{
		if (BufFileSeek(runs->runs[i].file, 0, 0, SEEK_SET) != 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not rewind temporary file")));
		if (read_cell(runs, &runs->runs[i]))
			binaryheap_add_unordered(runs->heap, Int32GetDatum(i));
	}
	binaryheap_build(runs->heap);
	runs->top_is_taken = false;
	runs->has_kept = false;
}

bool
ecs_runs_next(EcsRuns *runs)
{
	EcsRun	   *run;

	if (runs->top_is_taken)
	{
		Datum		top = binaryheap_first(runs->heap);

		if (read_cell(runs, &runs->runs[DatumGetInt32(top)]))
			binaryheap_replace_first(runs->heap, top);
		else
			binaryheap_remove_first(runs->heap);
	}
	runs->top_is_taken = !binaryheap_empty(runs->heap);
	if (!runs->top_is_taken)
		return false;

	run = &runs->runs[DatumGetInt32(binaryheap_first(runs->heap))];
	runs->cell = run->cell;
	runs->key = run_key(run);
	runs->is_new_key = !runs->has_kept ||
		ecs_key_compare(runs->type, runs->key, ecs_key(runs->kept_values, runs->kept_nulls)) != 0;
	return true;
}

EcsKey
ecs_runs_keep_key(EcsRuns *runs)
{
	MemoryContext caller;

	MemoryContextReset(runs->kept_context);
	caller = MemoryContextSwitchTo(runs->kept_context);
	ecs_key_copy(runs->type, runs->key, runs->kept_values);
	MemoryContextSwitchTo(caller);
	runs->kept_nulls = runs->key.nulls;
	runs->has_kept = true;
	return ecs_key(runs->kept_values, runs->kept_nulls);
}
