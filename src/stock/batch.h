/*
 * batch.h
 *		The movements that are in memory, and their order.
 *
 * A batch is filled with movements, sorted, and then read key by key.
 */
#ifndef ECS_BATCH_H
#define ECS_BATCH_H

#include "utils/memutils.h"

#include "stock/keytable.h"

/* A piece of the log of closed cells: ids[], then cells[] */
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
	bool numeric;
	MemoryContext context;		/* for all that follows */
	EcsKeyTable keys;
	EcsLogChunk *first_chunk;
	EcsLogChunk *last_chunk;
	uint32		chunk_cells;	/* that a chunk has room for */
	Size		cell_memory;	/* what a cell takes beyond the log when
								 * sorted and read */
	uint32		cells;			/* in all, the open ones included */

	/* sorted: the numbers of the keys, and the cells of each in turn */
	uint32	   *order;
	EcsCell    *sorted;
	uint32		at_key;
	EcsCell    *at_cell;
} EcsBatch;

/* The cells of a key in order of time */
typedef struct EcsKeyCells
{
	EcsKey		key;
	EcsCell    *cells;
	uint32		n;
} EcsKeyCells;

/* "limit" is what the batch should take at most; the caller heeds ecs_batch_is_full() */
extern void ecs_batch_init(EcsBatch *batch, const EcsKeyType *type, bool numeric, Size limit);
extern void ecs_batch_reset(EcsBatch *batch);

/* A movement of a key; for the hash and the guess see ecs_keys_find() */
extern void ecs_batch_add(EcsBatch *batch, EcsKey key, uint32 hash, uint32 guess, EcsCell cell);

extern void ecs_batch_sort(EcsBatch *batch);
extern bool ecs_batch_next_key(EcsBatch *batch, EcsKeyCells *group);

/* Whether one more movement may take more memory than the limit, with what sorting takes */
static inline bool
ecs_batch_is_full(const EcsBatch *batch, Size limit)
{
	Size		memory = batch->context->mem_allocated + ecs_keys_growth(&batch->keys) +
		batch->cells * batch->cell_memory + batch->keys.used * ECS_KEY_SORT_MEMORY;

	if (likely(memory <= limit &&
			   batch->cells < PG_UINT32_MAX && batch->keys.used < ECS_MAX_KEYS))
		return false;
	return batch->cells > 0;
}

#endif							/* ECS_BATCH_H */
