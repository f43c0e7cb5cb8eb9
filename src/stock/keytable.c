/*
 * keytable.c
 *		A hash table of keys, each with room for its newest cells.
 */
#include "postgres.h"

#include "base/memory.h"
#include "stock/keytable.h"

#define FIRST_KEYS		256		/* of an empty table; a power of 2 */
#define SLOTS_PER_KEY	2
#define LEAST_CELLS		3		/* that an entry has room for */

static void
alloc_slots(EcsKeyTable *table, uint32 n)
{
	table->slots = ecs_alloc_large(table->context, n * sizeof(uint32));
	table->mask = n - 1;
	memset(table->slots, 0, n * sizeof(uint32));
}

/* Aligned to cache lines, of which an entry is a whole number */
static void
alloc_entries(EcsKeyTable *table, uint32 n)
{
	table->entries_memory = ecs_alloc_large(table->context, n * table->stride + ECS_CACHE_LINE);
	table->entries = (char *) TYPEALIGN(ECS_CACHE_LINE, table->entries_memory);
	table->max = n;
}

void
ecs_keys_init(EcsKeyTable *table, const EcsKeyType *type, int width, MemoryContext context)
{
	Size		head = offsetof(EcsKeyEntry, values) + type->ncolumns * sizeof(Datum);

	table->type = type;
	table->context = context;
	table->used = 0;
	table->stride = TYPEALIGN(ECS_CACHE_LINE, head + LEAST_CELLS * width * sizeof(int64));
	table->room = (table->stride - head) / sizeof(int64);
	table->room -= table->room % width;
	alloc_slots(table, FIRST_KEYS * SLOTS_PER_KEY);
	alloc_entries(table, FIRST_KEYS);
}

static inline void
enter_slot(EcsKeyTable *table, uint32 hash, uint32 id)
{
	uint32		at = hash & table->mask;

	while (table->slots[at] != 0)
		at = (at + 1) & table->mask;
	table->slots[at] = (hash & ~table->mask) | id;
}

/* Room for twice as many keys */
static void
grow(EcsKeyTable *table)
{
	char	   *entries = table->entries;
	void	   *entries_memory = table->entries_memory;

	alloc_entries(table, 2 * table->max);
	memcpy(table->entries, entries, table->used * table->stride);
	pfree(entries_memory);

	pfree(table->slots);
	alloc_slots(table, SLOTS_PER_KEY * table->max);
	for (uint32 id = 1; id <= table->used; id++)
		enter_slot(table, ecs_keys_entry(table, id)->hash, id);
}

Size
ecs_keys_growth(const EcsKeyTable *table)
{
	return table->used < table->max ? 0 :
		2 * table->max * (table->stride + SLOTS_PER_KEY * sizeof(uint32));
}

static uint32
add_key(EcsKeyTable *table, EcsKey key, uint32 hash)
{
	uint32		id;
	EcsKeyEntry *entry;
	MemoryContext caller;

	if (table->used == table->max)
		grow(table);
	id = ++table->used;
	entry = ecs_keys_entry(table, id);
	entry->hash = hash;
	entry->nulls = key.nulls;
	entry->used = 0;
	caller = MemoryContextSwitchTo(table->context);
	ecs_key_copy(table->type, key, entry->values);
	MemoryContextSwitchTo(caller);
	enter_slot(table, hash, id);
	return id;
}

uint32
ecs_keys_search(EcsKeyTable *table, EcsKey key, uint32 hash)
{
	for (uint32 at = hash & table->mask; table->slots[at] != 0; at = (at + 1) & table->mask)
	{
		uint32		id = table->slots[at] & table->mask;

		if (((table->slots[at] ^ hash) & ~table->mask) == 0 &&
			ecs_keys_entry(table, id)->hash == hash && ecs_keys_is(table, id, key))
			return id;
	}
	return add_key(table, key, hash);
}
