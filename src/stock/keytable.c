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
	table->slots = ecs_alloc_large(table->context, n * sizeof(EcsKeySlot));
	table->mask = n - 1;
	memset(table->slots, 0, n * sizeof(EcsKeySlot));
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
enter_slot(EcsKeyTable *table, EcsKeySlot slot)
{
	uint32		at = slot.hash & table->mask;

	while (table->slots[at].id != 0)
		at = (at + 1) & table->mask;
	table->slots[at] = slot;
}

/* Room for twice as many keys */
static void
grow(EcsKeyTable *table)
{
	EcsKeySlot *slots = table->slots;
	uint32		nslots = table->mask + 1;
	char	   *entries = table->entries;
	void	   *entries_memory = table->entries_memory;

	alloc_slots(table, 2 * nslots);
	for (uint32 i = 0; i < nslots; i++)
		if (slots[i].id != 0)
			enter_slot(table, slots[i]);
	pfree(slots);

	alloc_entries(table, 2 * table->max);
	memcpy(table->entries, entries, table->used * table->stride);
	pfree(entries_memory);
}

Size
ecs_keys_growth(const EcsKeyTable *table)
{
	return table->used < table->max ? 0 :
		2 * table->max * (table->stride + SLOTS_PER_KEY * sizeof(EcsKeySlot));
}

static uint32
add_key(EcsKeyTable *table, EcsKey key, uint32 hash)
{
	EcsKeySlot	slot;
	EcsKeyEntry *entry;
	MemoryContext caller;

	if (table->used == table->max)
		grow(table);
	slot.hash = hash;
	slot.id = ++table->used;
	entry = ecs_keys_entry(table, slot.id);
	entry->used = 0;
	entry->nulls = key.nulls;
	caller = MemoryContextSwitchTo(table->context);
	ecs_key_copy(table->type, key, entry->values);
	MemoryContextSwitchTo(caller);
	enter_slot(table, slot);
	return slot.id;
}

uint32
ecs_keys_search(EcsKeyTable *table, EcsKey key, uint32 hash)
{
	uint32		at = hash & table->mask;

	for (; table->slots[at].id != 0; at = (at + 1) & table->mask)
	{
		EcsKeySlot	slot = table->slots[at];

		if (slot.hash == hash && ecs_keys_is(table, slot.id, key))
			return slot.id;
	}
	return add_key(table, key, hash);
}
