/*
 * masktable.c
 *		A word of bits for each key of a long stream, where the key is a word too.
 *
 * The cells of an open-addressing table with linear probing hold key and mask
 * themselves, so that a record misses the cache once, where the table of users
 * (usertable.c) with its index and slots of any size misses it twice.  A cell whose
 * mask is 0 is free, so every key may be used.
 *
 * Records wait in a batch.  When it is full, the cells of all are prefetched in one
 * loop, so that the processor waits for several at a time, and then all are added.
 *
 * Memory: up to work_mem * hash_mem_multiplier.  When the table cannot grow any
 * more, the keys in it stay and records of others go to files (spill.c).
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"

#include "base/memory.h"
#include "growth/hash.h"
#include "growth/masktable.h"
#include "growth/spill.h"

#define FIRST_CAPACITY	1024
#define MOST_CAPACITY	(UINT64CONST(1) << 32)
#define BATCH_SIZE		64

/* how full the table may become */
#define MAX_USED(capacity)	((capacity) - (capacity) / 4)

/* Also a record: bits that are to be set */
typedef struct Cell
{
	uint64		key;
	uint64		mask;
} Cell;

struct EcsMaskTable
{
	EcsMaskFunction emit;
	void	   *arg;
	MemoryContext context;

	Cell	   *cells;
	uint64		capacity;
	uint64		used;
	Size		limit;			/* bytes that all may take */
	bool		full;			/* no new keys */

	Cell		batch[BATCH_SIZE];
	uint64		hashes[BATCH_SIZE]; /* of the keys in it */
	int			waiting;		/* in the batch */

	EcsSpill	spill;
};

static inline Cell *
home_cell(const EcsMaskTable *table, uint64 hash)
{
	return &table->cells[ecs_home(hash, table->capacity)];
}

/* The cell of a key, or the free one where it would be */
static inline Cell *
find_cell(const EcsMaskTable *table, uint64 key, uint64 hash)
{
	const Cell *end = table->cells + table->capacity;
	Cell	   *cell = home_cell(table, hash);

	while (cell->mask != 0 && cell->key != key)
		if (++cell == end)
			cell = table->cells;
	return cell;
}

static void
allocate_cells(EcsMaskTable *table, uint64 capacity)
{
	table->cells = ecs_alloc_large(table->context, capacity * sizeof(Cell));
	table->capacity = capacity;
	memset(table->cells, 0, capacity * sizeof(Cell));
}

/* Double the capacity; false: memory does not suffice for the old cells and the new ones */
static bool
enlarge_table(EcsMaskTable *table)
{
	Cell	   *old = table->cells;
	Cell	   *old_end = old + table->capacity;
	Cell	   *from;

	if (table->capacity == MOST_CAPACITY || 3 * table->capacity * sizeof(Cell) > table->limit)
		return false;

	/*
	 * cells are in the order of their hashes, or nearly, so this writes in
	 * sequence
	 */
	allocate_cells(table, table->capacity * 2);
	for (from = old; from < old_end; from++)
		if (from->mask != 0)
			*find_cell(table, from->key, ecs_mix(from->key)) = *from;
	pfree(old);
	return true;
}

static void
empty_table(EcsMaskTable *table)
{
	memset(table->cells, 0, table->capacity * sizeof(Cell));
	table->used = 0;
	table->full = false;
}

/* Add the records that wait */
static void
add_batch(EcsMaskTable *table)
{
	int			waiting = table->waiting;

	if (!table->full && table->used + waiting > MAX_USED(table->capacity))
		table->full = !enlarge_table(table);
	for (int i = 0; i < waiting; i++)
		ecs_prefetch_write(home_cell(table, table->hashes[i]));
	for (int i = 0; i < waiting; i++)
	{
		Cell	   *record = &table->batch[i];
		Cell	   *cell = find_cell(table, record->key, table->hashes[i]);

		if (unlikely(cell->mask == 0))
		{
			if (table->full)
			{
				BufFileWrite(ecs_spill_file(&table->spill, table->hashes[i]), record, sizeof(Cell));
				continue;
			}
			cell->key = record->key;
			table->used++;
		}
		cell->mask |= record->mask;
	}
	table->waiting = 0;
}

static void
emit_keys(EcsMaskTable *table)
{
	const Cell *end = table->cells + table->capacity;
	const Cell *cell;

	for (cell = table->cells; cell < end; cell++)
	{
		CHECK_FOR_INTERRUPTS();
		if (cell->mask != 0)
			table->emit((Datum) cell->key, &cell->mask, table->arg);
	}
}

EcsMaskTable *
ecs_mask_table_create(EcsMaskFunction emit, void *arg)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "ecomsocial masks", ALLOCSET_DEFAULT_SIZES);
	EcsMaskTable *table = MemoryContextAllocZero(context, sizeof(EcsMaskTable));

	table->emit = emit;
	table->arg = arg;
	table->context = context;
	table->limit = get_hash_memory_limit();
	ecs_spill_init(&table->spill, context);
	allocate_cells(table, FIRST_CAPACITY);
	return table;
}

void
ecs_mask_table_add(EcsMaskTable *table, Datum key, uint64 mask)
{
	Cell	   *record = &table->batch[table->waiting];

	record->key = (uint64) key;
	record->mask = mask;
	table->hashes[table->waiting] = ecs_mix(record->key);
	if (++table->waiting == BATCH_SIZE)
		add_batch(table);
}

void
ecs_mask_table_finish(EcsMaskTable *table)
{
	BufFile    *file;

	add_batch(table);
	emit_keys(table);
	while ((file = ecs_spill_next(&table->spill)) != NULL)
	{
		Cell		record;

		empty_table(table);
		while (ecs_spill_read(file, &record, sizeof(Cell)))
		{
			CHECK_FOR_INTERRUPTS();
			ecs_mask_table_add(table, (Datum) record.key, record.mask);
		}
		BufFileClose(file);
		add_batch(table);
		emit_keys(table);
	}
	MemoryContextDelete(table->context);
}
