/*
 * keytable.h
 *		A hash table of keys, each with room for its newest cells.
 *
 * Open addressing with linear probing: a slot holds the number of a key, and the
 * keys stand in an array in the order in which they came.  So a key is found in
 * two steps, and a caller who knows some keys in advance can have both fetched
 * into the processor's cache meanwhile: the slot, by ecs_keys_fetch_slot(), then
 * the key, by ecs_keys_fetch(), which guesses its number from the hash.
 *
 * The number of a key is less than that of the slots.  The bits that are left in
 * a slot are those of the hash that do not tell the place of the slot.
 */
#ifndef ECS_KEYTABLE_H
#define ECS_KEYTABLE_H

#include "base/compat.h"
#include "stock/cell.h"
#include "stock/key.h"

/* A key in the table; its values follow, and then its room */
typedef struct EcsKeyEntry
{
	uint32		hash;
	uint16		nulls;
	uint16		used;			/* of the room */
	Datum		values[FLEXIBLE_ARRAY_MEMBER];
} EcsKeyEntry;

typedef struct EcsKeyTable
{
	const EcsKeyType *type;
	MemoryContext context;
	uint32	   *slots;			/* 0 is an empty one */
	uint32		mask;			/* of a key's number, and of a slot's */
	uint32		used;
	uint32		max;
	Size		stride;			/* of an entry, in cache lines */
	uint32		room;			/* of an entry, in integers */
	char	   *entries;
	void	   *entries_memory; /* where they were allocated */
} EcsKeyTable;

#define ECS_MAX_KEYS	((uint32) 1 << 30)
#define ECS_CACHE_LINE	64

/* What sorting takes for each key, see keysort.c, with a number for where its cells end */
#define ECS_KEY_SORT_MEMORY	(2 * (sizeof(uint64) + sizeof(uint64)) + 2 * sizeof(uint32))

/* Everything is allocated in the context, which the caller empties; a cell takes "width" integers */
extern void ecs_keys_init(EcsKeyTable *table, const EcsKeyType *type, int width, MemoryContext context);

/* What the next key takes, where it makes the table grow */
extern Size ecs_keys_growth(const EcsKeyTable *table);

/* The numbers of all keys in their order, allocated in the table's context */
extern uint32 *ecs_keys_sort(const EcsKeyTable *table);

/* As ecs_keys_find(), without a guess */
extern uint32 ecs_keys_search(EcsKeyTable *table, EcsKey key, uint32 hash);

static inline EcsKeyEntry *
ecs_keys_entry(const EcsKeyTable *table, uint32 id)
{
	return (EcsKeyEntry *) (table->entries + (Size) (id - 1) * table->stride);
}

static inline EcsKey
ecs_entry_key(const EcsKeyEntry *entry)
{
	return ecs_key(entry->values, entry->nulls);
}

static inline int64 *
ecs_entry_room(const EcsKeyTable *table, EcsKeyEntry *entry)
{
	return (int64 *) &entry->values[table->type->ncolumns];
}

/* An entry is reached at random, whole */
static pg_attribute_always_inline void
ecs_fetch_entry(const EcsKeyTable *table, uint32 id)
{
	char	   *entry = (char *) ecs_keys_entry(table, id);

	for (Size i = 0; i < table->stride; i += ECS_CACHE_LINE)
		ecs_prefetch_write(entry + i);
}

/* Always inline: gcc takes what only prefetches for a function without effect, and drops it */
static pg_attribute_always_inline void
ecs_keys_fetch_slot(const EcsKeyTable *table, uint32 hash)
{
	ecs_prefetch(&table->slots[hash & table->mask]);
}

/* Of some key of that hash; 0 where there is none */
static inline uint32
ecs_keys_fetch(const EcsKeyTable *table, uint32 hash)
{
	uint32		at = hash & table->mask;
	uint32		id;

	while (table->slots[at] != 0 && ((table->slots[at] ^ hash) & ~table->mask) != 0)
		at = (at + 1) & table->mask;
	id = table->slots[at] & table->mask;
	if (id != 0)
		ecs_fetch_entry(table, id);
	return id;
}

static inline bool
ecs_keys_is(const EcsKeyTable *table, uint32 id, EcsKey key)
{
	return ecs_key_equal(table->type, ecs_entry_key(ecs_keys_entry(table, id)), key);
}

/*
 * The number of a key, prepared by ecs_key_prepare(), which enters the table
 * where it is new; "guess" is what ecs_keys_fetch() returned, or 0.
 */
static inline uint32
ecs_keys_find(EcsKeyTable *table, EcsKey key, uint32 hash, uint32 guess)
{
	/* the table may have been emptied since */
	if (likely(guess != 0 && guess <= table->used && ecs_keys_is(table, guess, key)))
		return guess;
	return ecs_keys_search(table, key, hash);
}

#endif							/* ECS_KEYTABLE_H */
