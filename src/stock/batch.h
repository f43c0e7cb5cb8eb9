/*
 * batch.h
 *		The movements that are in memory, and their order.
 *
 * A batch is filled with movements, sorted, and then read key by key.
 */
#ifndef ECS_BATCH_H
#define ECS_BATCH_H

#include "stock/celllog.h"
#include "stock/keytable.h"

typedef struct EcsBatch
{
	const EcsKeyType *type;
	bool		is_numeric;
	int			width;			/* of a cell as it is kept, in integers */
	Size		limit;			/* of memory */
	MemoryContext context;		/* for all that follows */
	EcsKeyTable keys;			/* with the newest cells of each */
	EcsCellLog	log;			/* of the older ones */
	uint32		cells;			/* in all */
	uint32		cells_checked;	/* up to so many there is room for certain */

	/*
	 * sorted: the numbers of the keys, and of the pieces of each in turn,
	 * which end where "ends" tells
	 */
	uint32	   *order;
	uint32	   *pieces;
	uint32	   *ends;
	uint32		at_key;
	uint32		at_piece;
	EcsCell    *read;			/* the cells of the key at hand */
	Size		max_read;
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

/* Empties it; from then on there may be cells that are not narrow */
extern void ecs_batch_reset(EcsBatch *batch, bool wide);

extern void ecs_batch_sort(EcsBatch *batch);

/* All cells of a key, valid until the next call */
extern bool ecs_batch_next_cells(EcsBatch *batch, EcsKeyCells *group);

extern bool ecs_batch_check_room(EcsBatch *batch);
extern void ecs_batch_sum_numeric(EcsBatch *batch, int64 *sum, EcsCell cell);
extern int64 ecs_batch_copy_number(EcsBatch *batch, int64 number);

/* Whether the batch can take one more movement: it keeps cells of that width, and memory is within the limit */
static inline bool
ecs_batch_takes(EcsBatch *batch, EcsCell cell)
{
	return (batch->width == 2 || likely(ecs_is_narrow(cell))) &&
		(likely(batch->cells < batch->cells_checked) || ecs_batch_check_room(batch));
}

/* Add to a cell as it is kept, where that is at the same moment and holds the sum */
static inline bool
ecs_batch_add_to(EcsBatch *batch, int64 *kept, EcsCell cell)
{
	if (likely(batch->width == 1))
	{
		EcsCell		sum = ecs_widen(*kept);

		if (sum.at != cell.at)
			return false;
		sum.quantity += cell.quantity;
		if (!ecs_is_narrow(sum))
			return false;
		*kept = ecs_narrow(sum);
		return true;
	}
	if (kept[0] != cell.at)
		return false;
	if (batch->is_numeric)
		ecs_batch_sum_numeric(batch, &kept[1], cell);
	else
		kept[1] = ecs_apply_cell(kept[1], cell, true);
	return true;
}

static inline void
ecs_batch_keep(EcsBatch *batch, int64 *kept, EcsCell cell)
{
	if (likely(batch->width == 1))
	{
		*kept = ecs_narrow(cell);
		return;
	}
	kept[0] = cell.at;
	kept[1] = unlikely(batch->is_numeric) ? ecs_batch_copy_number(batch, cell.quantity) : cell.quantity;
}

/* A movement of a key; for the hash and the guess see ecs_keys_find() */
static inline void
ecs_batch_add(EcsBatch *batch, EcsKey key, uint32 hash, uint32 guess, EcsCell cell)
{
	uint32		id = ecs_keys_find(&batch->keys, key, hash, guess);
	EcsKeyEntry *entry = ecs_keys_entry(&batch->keys, id);
	int64	   *room = ecs_entry_room(&batch->keys, entry);

	if (entry->used > 0 && ecs_batch_add_to(batch, &room[entry->used - batch->width], cell))
		return;
	if (entry->used == batch->keys.room)
	{
		ecs_log_append(&batch->log, id, room);
		entry->used = 0;
	}
	ecs_batch_keep(batch, &room[entry->used], cell);
	entry->used += batch->width;
	batch->cells++;
}

#endif							/* ECS_BATCH_H */
