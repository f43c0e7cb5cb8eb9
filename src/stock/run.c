/*
 * run.c
 *		Sorted runs of a stock ledger in temporary files, and their merge.
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
#include "utils/numeric.h"

#include "base/compat.h"
#include "stock/ledger.h"

/* The most cells in a group, and in one that a merge writes */
#define GROUP_CELLS		(1 << 24)
#define MERGED_CELLS	256

static void
write_group(EcsLedger *ledger, EcsRun *run, const Datum *values, uint32 nulls,
			EcsCell *cells, uint32 n)
{
	BufFileWrite(run->file, &n, sizeof(n));
	BufFileWrite(run->file, &nulls, sizeof(nulls));
	for (int i = 0; i < ledger->nkeys; i++)
	{
		EcsKeyColumn *column = &ledger->columns[i];
		Datum		value = values[i];

		if (nulls & (1 << i))
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
	if (ledger->numeric)
		for (uint32 i = 0; i < n; i++)
		{
			Numeric		number = CellNumeric(cells[i].quantity);

			BufFileWrite(run->file, &cells[i].at, sizeof(cells[i].at));
			BufFileWrite(run->file, number, VARSIZE(number));
		}
	else
		BufFileWrite(run->file, cells, n * sizeof(EcsCell));
	run->groups++;
}

/* A new run behind those there are */
static EcsRun *
add_run(EcsLedger *ledger)
{
	EcsRun	   *run;

	if (ledger->runs == NULL)
		ledger->runs = palloc0(ledger->max_runs * sizeof(EcsRun));
	run = &ledger->runs[ledger->nruns++];
	memset(run, 0, sizeof(EcsRun));
	run->file = BufFileCreateTemp(false);
	run->context = AllocSetContextCreate(ledger->context, "stock ledger run", ALLOCSET_SMALL_SIZES);
	return run;
}

static void
end_run(EcsRun *run)
{
	BufFileClose(run->file);
	run->file = NULL;
	MemoryContextDelete(run->context);
}

/* Make one run of all */
static void
merge_runs(EcsLedger *ledger)
{
	EcsCell		cells[MERGED_CELLS];

	/* a number is lost when the next one is read */
	uint32		most = ledger->numeric ? 1 : MERGED_CELLS;
	uint32		n = 0;
	int			merged = ledger->nruns;
	EcsRun		target = {
		.file = BufFileCreateTemp(false),
		.context = AllocSetContextCreate(ledger->context, "stock ledger run", ALLOCSET_SMALL_SIZES)
	};

	ecs_ledger_start_merge(ledger);
	while (ecs_ledger_merge_cell(ledger))
	{
		CHECK_FOR_INTERRUPTS();
		if (ledger->next_is_new_key)
		{
			if (n > 0)
				write_group(ledger, &target, ledger->merged_values, ledger->merged_nulls, cells, n);
			n = 0;
			ecs_ledger_keep_merged_key(ledger);
		}
		cells[n++] = ledger->next;
		if (n == most)
		{
			write_group(ledger, &target, ledger->merged_values, ledger->merged_nulls, cells, n);
			n = 0;
		}
	}
	if (n > 0)
		write_group(ledger, &target, ledger->merged_values, ledger->merged_nulls, cells, n);

	for (int i = 0; i < merged; i++)
		end_run(&ledger->runs[i]);
	ledger->runs[0] = target;
	ledger->nruns = 1;
	ledger->has_merged_key = false;
}

/* Write what is in memory as a run, and empty the memory */
void
ecs_ledger_write_run(EcsLedger *ledger)
{
	EcsRun	   *run;
	uint64		start = 0;

	if (ledger->nruns == ledger->max_runs)
		merge_runs(ledger);
	run = add_run(ledger);
	ecs_ledger_sort(ledger);
	for (uint32 i = 0; i < ledger->used_keys; i++)
	{
		uint32		id = ledger->order[i];
		EcsKey	   *key = ecs_ledger_key(ledger, id);
		uint64		end = ledger->ends[id - 1];

		CHECK_FOR_INTERRUPTS();
		ecs_ledger_sort_cells(ledger->sorted + start, end - start);
		while (start < end)
		{
			uint32		n = (uint32) Min(end - start, GROUP_CELLS);

			write_group(ledger, run, key->values, key->nulls, ledger->sorted + start, n);
			start += n;
		}
	}
	ecs_ledger_reset_run(ledger);
}

static void
read_key(EcsLedger *ledger, EcsRun *run)
{
	MemoryContextReset(run->context);
	BufFileReadExact(run->file, &run->left, sizeof(run->left));
	BufFileReadExact(run->file, &run->nulls, sizeof(run->nulls));
	for (int i = 0; i < ledger->nkeys; i++)
	{
		run->values[i] = (Datum) 0;
		if (run->nulls & (1 << i))
			continue;
		if (ledger->columns[i].typbyval)
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

/* Step to the next cell of a run; false at its end */
static bool
read_cell(EcsLedger *ledger, EcsRun *run)
{
	if (ledger->numeric &&run->cell.quantity != 0)
	{
		pfree(CellNumeric(run->cell.quantity));
		run->cell.quantity = 0;
	}
	if (run->left == 0)
	{
		if (run->groups == 0)
			return false;
		read_key(ledger, run);
	}
	run->left--;
	if (ledger->numeric)
	{
		struct varlena head;
		char	   *number;
		Size		size;

		BufFileReadExact(run->file, &run->cell.at, sizeof(run->cell.at));
		BufFileReadExact(run->file, &head, VARHDRSZ);
		size = VARSIZE(&head);
		number = MemoryContextAlloc(ledger->context, size);
		memcpy(number, &head, VARHDRSZ);
		BufFileReadExact(run->file, number + VARHDRSZ, size - VARHDRSZ);
		run->cell.quantity = (int64) PointerGetDatum(number);
	}
	else
		BufFileReadExact(run->file, &run->cell, sizeof(EcsCell));
	return true;
}

/* The heap has the greatest on top, so this is turned around */
static int
compare_runs(Datum a, Datum b, void *arg)
{
	EcsLedger  *ledger = arg;
	EcsRun	   *a_run = &ledger->runs[DatumGetInt32(a)];
	EcsRun	   *b_run = &ledger->runs[DatumGetInt32(b)];
	int			order = ecs_ledger_compare_keys(ledger, a_run->values, a_run->nulls,
												b_run->values, b_run->nulls);

	if (order == 0)
		order = (a_run->cell.at > b_run->cell.at) - (a_run->cell.at < b_run->cell.at);
	return -order;
}

void
ecs_ledger_start_merge(EcsLedger *ledger)
{
	if (ledger->heap == NULL)
	{
		ledger->heap = binaryheap_allocate(ledger->max_runs + 1, compare_runs, ledger);
		ledger->merge_context = AllocSetContextCreate(ledger->context, "stock ledger merge",
													  ALLOCSET_SMALL_SIZES);
	}
	binaryheap_reset(ledger->heap);
	for (int i = 0; i < ledger->nruns; i++)
	{
		if (BufFileSeek(ledger->runs[i].file, 0, 0, SEEK_SET) != 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not rewind temporary file")));
		if (read_cell(ledger, &ledger->runs[i]))
			binaryheap_add_unordered(ledger->heap, Int32GetDatum(i));
	}
	binaryheap_build(ledger->heap);
	ledger->top_is_taken = false;
	ledger->has_merged_key = false;
}

/* Step to the next cell of all runs; false at the end */
bool
ecs_ledger_merge_cell(EcsLedger *ledger)
{
	EcsRun	   *run;

	if (ledger->top_is_taken)
	{
		Datum		top = binaryheap_first(ledger->heap);

		if (read_cell(ledger, &ledger->runs[DatumGetInt32(top)]))
			binaryheap_replace_first(ledger->heap, top);
		else
			binaryheap_remove_first(ledger->heap);
	}
	ledger->top_is_taken = false;
	if (binaryheap_empty(ledger->heap))
		return false;

	run = &ledger->runs[DatumGetInt32(binaryheap_first(ledger->heap))];
	ledger->next = run->cell;
	ledger->next_values = run->values;
	ledger->next_nulls = run->nulls;
	ledger->next_is_new_key = !ledger->has_merged_key ||
		ecs_ledger_compare_keys(ledger, run->values, run->nulls,
								ledger->merged_values, ledger->merged_nulls) != 0;
	ledger->top_is_taken = true;
	return true;
}

/* Keep the key of the cell at hand when the run that gave it goes on */
void
ecs_ledger_keep_merged_key(EcsLedger *ledger)
{
	MemoryContext caller;

	MemoryContextReset(ledger->merge_context);
	caller = MemoryContextSwitchTo(ledger->merge_context);
	ledger->merged_nulls = ledger->next_nulls;
	for (int i = 0; i < ledger->nkeys; i++)
		ledger->merged_values[i] = ledger->next_nulls & (1 << i) ? (Datum) 0 :
			datumCopy(ledger->next_values[i], ledger->columns[i].typbyval, ledger->columns[i].typlen);
	MemoryContextSwitchTo(caller);
	ledger->has_merged_key = true;
}

void
ecs_ledger_end(EcsLedger *ledger)
{
	for (int i = 0; i < ledger->nruns; i++)
		end_run(&ledger->runs[i]);
	ledger->nruns = 0;
}
