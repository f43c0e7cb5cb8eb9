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
#define NUMBER_MEMORY		32	/* about what a numeric takes */

/*
 * How early the processor is asked for what is reached in no order of addresses:
 * where a cell of the log goes, and the keys as they are read.
 */
#define CELLS_AHEAD			32
#define KEYS_AHEAD			8

void
ecs_batch_init(EcsBatch *batch, const EcsKeyType *type, bool numeric, Size limit)
{
	batch->type = type;
	batch->numeric = numeric;

	batch->context = AllocSetContextCreate(CurrentMemoryContext, "stock movements", ALLOCSET_DEFAULT_SIZES);
	/* numbers are read into others, see snapshots.c */
	batch->cell_memory = sizeof(EcsCell) + (numeric ? NUMBER_MEMORY : 0);
	batch->chunk_cells = Min(MOST_CHUNK_CELLS, Max(LEAST_CHUNK_CELLS, limit / 1024));
	ecs_batch_reset(batch);
}

void
ecs_batch_reset(EcsBatch *batch)
{
	MemoryContextReset(batch->context);
	ecs_keys_init(&batch->keys, batch->type, batch->context);
	batch->first_chunk = batch->last_chunk = NULL;
	batch->cells = 0;
}

static EcsLogChunk *
add_chunk(EcsBatch *batch)
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
	return chunk;
}

static inline void
log_cell(EcsBatch *batch, uint32 id, EcsCell cell)
{
	EcsLogChunk *chunk = batch->last_chunk;

	if (unlikely(chunk == NULL || chunk->used == batch->chunk_cells))
		chunk = add_chunk(batch);
	chunk->ids[chunk->used] = id;
	chunk->cells[chunk->used++] = cell;
}

/* Add a movement to the open cell, which is at the same moment */
static void
add_to_open(EcsBatch *batch, EcsCell *open, EcsCell cell)
{
	MemoryContext caller;
	int64		sum;

	if (!batch->numeric)
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

static void
copy_number(EcsBatch *batch, EcsCell *cell)
{
	MemoryContext caller = MemoryContextSwitchTo(batch->context);

	cell->quantity = (int64) NumericGetDatum(DatumGetNumericCopy((Datum) cell->quantity));
	MemoryContextSwitchTo(caller);
}

void
ecs_batch_add(EcsBatch *batch, EcsKey key, uint32 hash, uint32 guess, EcsCell cell)
{
	uint32		id = ecs_keys_find(&batch->keys, key, hash, guess);
	EcsKeyEntry *entry = ecs_keys_entry(&batch->keys, id);

	if (entry->cells > 0)
	{
		if (entry->open.at == cell.at)
		{
			add_to_open(batch, &entry->open, cell);
			return;
		}
		log_cell(batch, id, entry->open);
	}
	if (batch->numeric)
		copy_number(batch, &cell);
	entry->open = cell;
	entry->cells++;
	batch->cells++;
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
ecs_batch_next_key(EcsBatch *batch, EcsKeyCells *group)
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
