/*
 * batch.c
 *		The movements that are in memory, and their order.
 *
 * Each key holds one open cell.  A movement at the moment of the open cell is
 * added to it; any other closes it: the cell goes to the end of a sequential
 * log, with the number of its key.
 *
 * To sort, the keys are put in order, and the log is distributed among them by
 * counting (D. E. Knuth, The Art of Computer Programming, volume 3, section
 * 5.2, algorithm D).  The cells of one key nearly are in order then, because
 * movements arrive nearly in order of time.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/memory.h"
#include "stock/batch.h"

#define MOST_CHUNK_CELLS	(1 << 21)
#define LEAST_CHUNK_CELLS	64

/*
 * What a cell takes when it is sorted and read, beyond the log: numbers are
 * read into others (see snapshots.c), of about this length.
 */
#define NUMBER_MEMORY		32
#define READ_MEMORY(batch)	(sizeof(EcsCell) + ((batch)->is_numeric ? NUMBER_MEMORY : 0))

/* The most that a movement takes of what is not allocated yet, where it is known: its cell, and a key */
#define ADDED_MEMORY		(2 * sizeof(EcsCell) + sizeof(uint32) + ECS_KEY_SORT_MEMORY)

/*
 * How early the processor is asked for what is reached in no order of addresses:
 * where a cell of the log goes, and the keys as they are read.
 */
#define CELLS_AHEAD			32
#define KEYS_AHEAD			8

void
ecs_batch_init(EcsBatch *batch, const EcsKeyType *type, bool is_numeric, Size limit)
{
	batch->type = type;
	batch->is_numeric = is_numeric;
	batch->limit = limit;
	batch->context = AllocSetContextCreate(CurrentMemoryContext, "stock movements", ALLOCSET_DEFAULT_SIZES);
	batch->chunk_cells = Min(MOST_CHUNK_CELLS, Max(LEAST_CHUNK_CELLS, limit / 1024));
	ecs_batch_reset(batch);
}

void
ecs_batch_reset(EcsBatch *batch)
{
	MemoryContextReset(batch->context);
	ecs_keys_init(&batch->keys, batch->type, batch->context);
	batch->first_chunk = batch->last_chunk = NULL;
	batch->cells = batch->cells_checked = 0;
}

/*
 * Whether there is room for one more movement.  Where what it takes is known, as
 * long as the table of keys does not grow, so is how many there is room for
 * without another look.
 */
bool
ecs_batch_check_room(EcsBatch *batch)
{
	const EcsKeyTable *keys = &batch->keys;
	Size		memory = batch->context->mem_allocated + ecs_keys_growth(keys) +
		batch->cells * READ_MEMORY(batch) + keys->used * ECS_KEY_SORT_MEMORY;

	if (batch->cells > 0 &&
		(memory > batch->limit || batch->cells == PG_UINT32_MAX || keys->used == ECS_MAX_KEYS))
		return false;
	if (batch->type->plain && !batch->is_numeric && memory < batch->limit)
		batch->cells_checked = Min(batch->cells + Min((batch->limit - memory) / ADDED_MEMORY, keys->max - keys->used),
								   PG_UINT32_MAX);
	return true;
}

void
ecs_batch_add_chunk(EcsBatch *batch)
{
	EcsLogChunk *chunk = ecs_alloc_large(batch->context,
										 MAXALIGN(sizeof(EcsLogChunk)) + batch->chunk_cells * (sizeof(EcsCell) + sizeof(uint32)));

	chunk->next = NULL;
	chunk->used = 0;
	chunk->cells = (EcsCell *) ((char *) chunk + MAXALIGN(sizeof(EcsLogChunk)));
	chunk->ids = (uint32 *) (chunk->cells + batch->chunk_cells);
	if (batch->last_chunk == NULL)
		batch->first_chunk = chunk;
	else
		batch->last_chunk->next = chunk;
	batch->last_chunk = chunk;
}

/* Add a movement to the open cell, which is at the same moment */
void
ecs_batch_add_to_open(EcsBatch *batch, EcsCell *open, EcsCell cell)
{
	MemoryContext caller;
	int64		sum;

	if (!batch->is_numeric)
	{
		open->quantity = ecs_apply_cell(open->quantity, cell, true);
		return;
	}
	caller = MemoryContextSwitchTo(batch->context);
	sum = ecs_apply_numeric_cell(open->quantity, cell, true);
	MemoryContextSwitchTo(caller);
	pfree(EcsNumber(open->quantity));
	open->quantity = sum;
}

int64
ecs_batch_copy_number(EcsBatch *batch, int64 number)
{
	MemoryContext caller = MemoryContextSwitchTo(batch->context);
	Numeric		copy = DatumGetNumericCopy((Datum) number);

	MemoryContextSwitchTo(caller);
	return (int64) NumericGetDatum(copy);
}

/* Where the cells of each key begin, by its number; the open cell has its place already */
static uint32 *
place_keys(EcsBatch *batch)
{
	uint32		n = batch->keys.used;
	uint32	   *places = MemoryContextAllocHuge(batch->context, (Size) Max(n, 1) * sizeof(uint32));
	uint32		place = 0;

	for (uint32 i = 0; i < n; i++)
	{
		uint32		id = batch->order[i];
		EcsKeyEntry *entry = ecs_keys_entry(&batch->keys, id);

		if (i + KEYS_AHEAD < n)
			ecs_prefetch(ecs_keys_entry(&batch->keys, batch->order[i + KEYS_AHEAD]));
		places[id - 1] = place;
		place += entry->cells;
		batch->sorted[place - 1] = entry->open;
	}
	return places;
}

void
ecs_batch_sort(EcsBatch *batch)
{
	uint32	   *places;

	batch->order = ecs_keys_sort(&batch->keys);
	batch->sorted = ecs_alloc_large(batch->context, Max(batch->cells, 1) * sizeof(EcsCell));
	places = place_keys(batch);
	for (EcsLogChunk *chunk = batch->first_chunk; chunk != NULL; chunk = chunk->next)
	{
		CHECK_FOR_INTERRUPTS();
		for (uint32 i = 0; i < chunk->used; i++)
		{
			if (i + CELLS_AHEAD < chunk->used)
				ecs_prefetch_write(&batch->sorted[places[chunk->ids[i + CELLS_AHEAD] - 1]]);
			batch->sorted[places[chunk->ids[i] - 1]++] = chunk->cells[i];
		}
	}
	pfree(places);
	batch->at_key = 0;
	batch->at_cell = batch->sorted;
}

bool
ecs_batch_next_cells(EcsBatch *batch, EcsKeyCells *group)
{
	EcsKeyEntry *entry;

	CHECK_FOR_INTERRUPTS();
	if (batch->at_key == batch->keys.used)
		return false;
	if (batch->at_key + KEYS_AHEAD < batch->keys.used)
		ecs_prefetch(ecs_keys_entry(&batch->keys, batch->order[batch->at_key + KEYS_AHEAD]));
	entry = ecs_keys_entry(&batch->keys, batch->order[batch->at_key++]);
	group->key = ecs_entry_key(entry);
	group->n = entry->cells;
	group->cells = batch->at_cell;
	batch->at_cell += entry->cells;
	ecs_cells_sort(group->cells, group->n);
	return true;
}
