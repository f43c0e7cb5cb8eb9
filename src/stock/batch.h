/*
 * batch.h
 *		The movements that are in memory, and their order.
 *
 * A batch is filled with movements, sorted, and then read key by key.
 */
#ifndef ECS_BATCH_H
#define ECS_BATCH_H

#include "stock/keytable.h"

/* A piece of the log of closed cells: cells[], then ids[] */
typedef struct EcsLogChunk
{
	struct EcsLogChunk *next;
	uint32		used;
	uint32	   *ids;
	EcsCell    *cells;
} EcsLogChunk;

typedef struct EcsBatch
{
	const EcsKeyType *type;
	bool		is_numeric;
	Size		limit;			/* of memory */
	MemoryContext context;		/* for all that follows */
	EcsKeyTable keys;
	EcsLogChunk *first_chunk;
	EcsLogChunk *last_chunk;
	uint32		chunk_cells;	/* that a chunk has room for */
	uint32		cells;			/* in all, the open ones included */
	uint32		cells_checked;	/* up to so many there is room for certain */

	/* sorted: the numbers of the keys, and the cells of each in turn */
	uint32	   *order;
	EcsCell    *sorted;
	uint32		at_key;
	EcsCell    *at_cell;
} EcsBatch;

/* Cells of a key in order of time */
typedef struct EcsKeyCells
{
	EcsKey		key;
	EcsCell    *cells;
	uint32		n;
} EcsKeyCells;

/* "limit" is what the batch should take at most, and what reading it takes */
extern void ecs_batch_init(EcsBatch *batch, const EcsKeyType *type, bool is_numeric, Size limit);
extern void ecs_batch_reset(EcsBatch *batch);

extern void ecs_batch_sort(EcsBatch *batch);
extern bool ecs_batch_next_cells(EcsBatch *batch, EcsKeyCells *group);	/* all of a key */

extern bool ecs_batch_check_room(EcsBatch *batch);
extern void ecs_batch_add_chunk(EcsBatch *batch);
extern void ecs_batch_add_to_open(EcsBatch *batch, EcsCell *open, EcsCell cell);
extern int64 ecs_batch_copy_number(EcsBatch *batch, int64 number);

/* Whether one more movement may take more memory than the limit */
static inline bool
ecs_batch_is_full(EcsBatch *batch)
{
	return batch->cells >= batch->cells_checked && !ecs_batch_check_room(batch);
}

static inline void
ecs_batch_log(EcsBatch *batch, uint32 id, EcsCell cell)
{
	EcsLogChunk *chunk = batch->last_chunk;

	if (unlikely(chunk == NULL || chunk->used == batch->chunk_cells))
	{
		ecs_batch_add_chunk(batch);
		chunk = batch->last_chunk;
	}
	chunk->ids[chunk->used] = id;
	chunk->cells[chunk->used++] = cell;
}

/* A movement of a key; for the hash and the guess see ecs_keys_find() */
static inline void
ecs_batch_add(EcsBatch *batch, EcsKey key, uint32 hash, uint32 guess, EcsCell cell)
{
	uint32		id = ecs_keys_find(&batch->keys, key, hash, guess);
	EcsKeyEntry *entry = ecs_keys_entry(&batch->keys, id);

	if (entry->cells > 0)
	{
		if (entry->open.at == cell.at)
		{
			ecs_batch_add_to_open(batch, &entry->open, cell);
			return;
		}
		ecs_batch_log(batch, id, entry->open);
	}
	if (unlikely(batch->is_numeric))
		cell.quantity = ecs_batch_copy_number(batch, cell.quantity);
	entry->open = cell;
	entry->cells++;
	batch->cells++;
}

#endif							/* ECS_BATCH_H */
