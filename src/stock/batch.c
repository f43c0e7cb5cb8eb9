/*
 * batch.c
 *		The movements that are in memory, and their order.
 *
 * Each key has room for its newest cells beside it, in the line of the
 * processor's cache that is there for the key anyway.  A movement at the moment
 * of the newest cell is added to it.  Any other becomes a cell of its own; when
 * there is no room left, the cells go together to the end of a sequential log.
 * So of a long log a few cells at a time are written, and read, at one place.
 *
 * To sort, the keys and then the pieces of the log are put in order, by their
 * numbers; the cells of a key are gathered as it is read.  They nearly are in
 * order then, because movements arrive nearly in order of time.
 *
 * Cells are kept in one integer each as long as all of them are narrow.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/memory.h"
#include "stock/batch.h"

/* What part of the limit a block of the log may take */
#define LOG_BLOCKS			64

/*
 * What reading a cell may take, as a cell or a line of snapshots.c; numbers are
 * read into others, of about this length.
 */
#define NUMBER_MEMORY		32
#define READ_MEMORY(batch)	(sizeof(EcsCell) + ((batch)->is_numeric ? NUMBER_MEMORY : 0))

/* The most that a movement takes of what is not allocated yet, where it is known: its cell, and a key */
#define ADDED_MEMORY		(2 * sizeof(EcsCell) + ECS_LOG_MEMORY + ECS_KEY_SORT_MEMORY)

/* How early the processor is asked for what is read in no order of addresses */
#define KEYS_AHEAD			8
#define PIECES_AHEAD		16

void
ecs_batch_init(EcsBatch *batch, const EcsKeyType *type, bool is_numeric, Size limit)
{
	batch->type = type;
	batch->is_numeric = is_numeric;
	batch->limit = limit;
	batch->context = AllocSetContextCreate(CurrentMemoryContext, "stock movements", ALLOCSET_DEFAULT_SIZES);
	batch->width = 1;
	ecs_batch_reset(batch, is_numeric);
}

void
ecs_batch_reset(EcsBatch *batch, bool wide)
{
	if (wide)
		batch->width = 2;
	MemoryContextReset(batch->context);
	ecs_keys_init(&batch->keys, batch->type, batch->width, batch->context);
	ecs_log_init(&batch->log, batch->keys.room, batch->limit / LOG_BLOCKS, batch->context);
	batch->cells = batch->cells_checked = 0;
	batch->read = NULL;
	batch->max_read = 0;
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
		batch->cells * READ_MEMORY(batch) + keys->used * ECS_KEY_SORT_MEMORY + batch->log.used * ECS_LOG_MEMORY;

	if (batch->cells > 0 &&
		(memory > batch->limit || batch->cells == PG_UINT32_MAX || keys->used == ECS_MAX_KEYS))
		return false;
	if (batch->type->plain && !batch->is_numeric && memory < batch->limit)
		batch->cells_checked = Min(batch->cells + Min((batch->limit - memory) / ADDED_MEMORY, keys->max - keys->used),
								   PG_UINT32_MAX);
	return true;
}

/* Add a movement to a number that is kept */
void
ecs_batch_sum_numeric(EcsBatch *batch, int64 *sum, EcsCell cell)
{
	MemoryContext caller = MemoryContextSwitchTo(batch->context);
	int64		before = *sum;

	*sum = ecs_apply_numeric_cell(before, cell, true);
	pfree(EcsNumber(before));
	MemoryContextSwitchTo(caller);
}

int64
ecs_batch_copy_number(EcsBatch *batch, int64 number)
{
	MemoryContext caller = MemoryContextSwitchTo(batch->context);
	Numeric		copy = DatumGetNumericCopy((Datum) number);

	MemoryContextSwitchTo(caller);
	return (int64) NumericGetDatum(copy);
}

void
ecs_batch_sort(EcsBatch *batch)
{
	uint32		n = batch->keys.used;

	batch->order = ecs_keys_sort(&batch->keys);
	batch->ends = ecs_alloc_large(batch->context, (Size) Max(n, 1) * sizeof(uint32));
	batch->pieces = ecs_log_sort(&batch->log, batch->order, n, batch->ends);
	batch->at_key = 0;
	batch->at_piece = 0;
}

/* Make room to read so many cells */
static void
reserve_read(EcsBatch *batch, Size n)
{
	if (n <= batch->max_read)
		return;
	if (batch->read != NULL)
		pfree(batch->read);
	batch->max_read = n;
	batch->read = MemoryContextAllocHuge(batch->context, n * sizeof(EcsCell));
}

/* Take cells as they are kept; returns what is behind them */
static inline EcsCell *
take_cells(const EcsBatch *batch, const int64 *kept, uint32 size, EcsCell *to)
{
	if (batch->width == 1)
	{
		for (uint32 i = 0; i < size; i++)
			*to++ = ecs_widen(kept[i]);
		return to;
	}
	memcpy(to, kept, size * sizeof(int64));
	return to + size / 2;
}

/* Always inline, see ecs_keys_fetch_slot() */
static pg_attribute_always_inline void
fetch_piece(const EcsBatch *batch, uint32 i)
{
	const int64 *piece = ecs_log_piece(&batch->log, batch->pieces[i]);

	ecs_prefetch(piece);
	ecs_prefetch(piece + batch->log.size - 1);
}

/* The cells of a key in order of arrival; returns their number */
static uint32
gather_cells(EcsBatch *batch, uint32 id)
{
	EcsKeyEntry *entry = ecs_keys_entry(&batch->keys, id);
	uint32		end = batch->ends[id - 1];
	EcsCell    *to;

	reserve_read(batch, ((Size) (end - batch->at_piece) * batch->log.size + entry->used) / batch->width);
	to = batch->read;
	for (; batch->at_piece < end; batch->at_piece++)
	{
		if (batch->at_piece + PIECES_AHEAD < batch->log.used)
			fetch_piece(batch, batch->at_piece + PIECES_AHEAD);
		to = take_cells(batch, ecs_log_piece(&batch->log, batch->pieces[batch->at_piece]), batch->log.size, to);
	}
	to = take_cells(batch, ecs_entry_room(&batch->keys, entry), entry->used, to);
	return to - batch->read;
}

bool
ecs_batch_next_cells(EcsBatch *batch, EcsKeyCells *group)
{
	uint32		id;

	CHECK_FOR_INTERRUPTS();
	if (batch->at_key == batch->keys.used)
		return false;
	if (batch->at_key + KEYS_AHEAD < batch->keys.used)
		ecs_fetch_entry(&batch->keys, batch->order[batch->at_key + KEYS_AHEAD]);
	id = batch->order[batch->at_key++];
	group->key = ecs_entry_key(ecs_keys_entry(&batch->keys, id));
	group->n = gather_cells(batch, id);
	group->cells = batch->read;
	ecs_cells_sort(group->cells, group->n);
	return true;
}
