/*
 * run.c
 *		A sorted run of cells in a temporary file.
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
 * groups, one after the other.
 */
#include "postgres.h"

#include "utils/datum.h"
#include "utils/memutils.h"

#include "stock/run.h"

EcsRun
ecs_run_create(const EcsKeyType *type, bool is_numeric)
{
	return (EcsRun)
	{
		.type = type,
			.is_numeric = is_numeric,
			.file = BufFileCreateTemp(false),
			.context = AllocSetContextCreate(CurrentMemoryContext, "stock run", ALLOCSET_SMALL_SIZES),
			.numbers = CurrentMemoryContext
	};
}

void
ecs_run_end(EcsRun *run)
{
	BufFileClose(run->file);
	MemoryContextDelete(run->context);
}

static void
write_key(EcsRun *run, EcsKey key)
{
	BufFileWrite(run->file, &key.nulls, sizeof(key.nulls));
	for (int i = 0; i < run->type->ncolumns; i++)
	{
		const EcsKeyColumn *column = &run->type->columns[i];
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
}

static void
write_numeric_cell(EcsRun *run, EcsCell *cell)
{
	Numeric		number = EcsNumber(cell->quantity);

	BufFileWrite(run->file, &cell->at, sizeof(cell->at));
	BufFileWrite(run->file, number, VARSIZE(number));
}

void
ecs_run_write(EcsRun *run, EcsKeyCells *group)
{
	BufFileWrite(run->file, &group->n, sizeof(group->n));
	write_key(run, group->key);
	if (run->is_numeric)
		for (uint32 i = 0; i < group->n; i++)
			write_numeric_cell(run, &group->cells[i]);
	else
		BufFileWrite(run->file, group->cells, group->n * sizeof(EcsCell));
	run->groups++;
}

static void
read_key(EcsRun *run)
{
	MemoryContextReset(run->context);
	BufFileReadExact(run->file, &run->nulls, sizeof(run->nulls));
	for (int i = 0; i < run->type->ncolumns; i++)
	{
		run->values[i] = (Datum) 0;
		if (run->nulls & (1 << i))
			continue;
		if (run->type->columns[i].typbyval)
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
}

static void
read_numeric_cell(EcsRun *run)
{
	varattrib_4b head;
	char	   *number;
	Size		size;

	BufFileReadExact(run->file, &run->cell.at, sizeof(run->cell.at));
	BufFileReadExact(run->file, &head, VARHDRSZ);
	size = VARSIZE(&head);
	number = MemoryContextAlloc(run->numbers, size);
	memcpy(number, &head, VARHDRSZ);
	BufFileReadExact(run->file, number + VARHDRSZ, size - VARHDRSZ);
	run->cell.quantity = (int64) PointerGetDatum(number);
}

bool
ecs_run_step(EcsRun *run)
{
	if (run->left == 0)
	{
		if (run->groups == 0)
			return false;
		run->groups--;
		BufFileReadExact(run->file, &run->left, sizeof(run->left));
		read_key(run);
	}
	run->left--;
	if (run->is_numeric)
		read_numeric_cell(run);
	else
		BufFileReadExact(run->file, &run->cell, sizeof(EcsCell));
	return true;
}

bool
ecs_run_rewind(EcsRun *run)
{
	if (BufFileSeek(run->file, 0, 0, SEEK_SET) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not rewind temporary file")));
	return ecs_run_step(run);
}
