/*
 * userslots.c
 *		Slots that hold keys and what belongs to them, found by hash.
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"

#include "base/memory.h"
#include "growth/userslots.h"

#define CACHE_LINE		64
#define FIRST_CAPACITY	1024
#define MAX_CHUNK		(16 * 1024 * 1024)
#define MIN_CHUNK_SLOTS	16
#define ARENA_BLOCK		(64 * 1024)

/* how full the index may become */
#define MAX_USED(capacity)	((capacity) - (capacity) / 4)

/* What is allocated now */
static inline Size
memory_taken(const EcsUserSlots *slots)
{
	return slots->capacity * sizeof(EcsSlotEntry) + slots->arena_size +
		((Size) slots->chunk_count << slots->chunk_shift) * slots->slot_size;
}

static void
allocate_index(EcsUserSlots *slots, uint64 capacity)
{
	slots->index = ecs_alloc_large(slots->context, capacity * sizeof(EcsSlotEntry));
	slots->capacity = capacity;
	memset(slots->index, 0, capacity * sizeof(EcsSlotEntry));
}

static bool
enlarge_index(EcsUserSlots *slots)
{
	EcsSlotEntry *old = slots->index;
	EcsSlotEntry *old_end = old + slots->capacity;
	EcsSlotEntry *from;

	if (slots->capacity > PG_INT32_MAX ||
		memory_taken(slots) + 2 * slots->capacity * sizeof(EcsSlotEntry) > slots->limit)
		return false;

	/*
	 * entries are in the order of their hashes, or nearly, so this writes in
	 * sequence
	 */
	allocate_index(slots, slots->capacity * 2);
	for (from = old; from < old_end; from++)
	{
		EcsSlotEntry *to = ecs_slots_home(slots, from->hash);

		if (from->number == 0)
			continue;
		while (to->number != 0)
			to = ecs_slots_after(slots, to);
		*to = *from;
	}
	pfree(old);
	return true;
}

static bool
add_chunk(EcsUserSlots *slots)
{
	Size		size = slots->slot_size << slots->chunk_shift;

	if (slots->chunk_count > 0 && memory_taken(slots) + size > slots->limit)
		return false;
	slots->chunks = slots->chunks == NULL ? MemoryContextAlloc(slots->context, sizeof(char *)) :
		repalloc_huge(slots->chunks, (slots->chunk_count + 1) * sizeof(char *));
	slots->chunks[slots->chunk_count++] = (char *) TYPEALIGN(CACHE_LINE,
															 ecs_alloc_large(slots->context, size + CACHE_LINE));
	return true;
}

/* Whether another key fits, for which memory is allocated */
static bool
make_room(EcsUserSlots *slots, Size copied)
{
	if (slots->used >= MAX_USED(slots->capacity) && !enlarge_index(slots))
		return false;
	if (slots->used == (uint64) slots->chunk_count << slots->chunk_shift && !add_chunk(slots))
		return false;
	return MAXALIGN(copied) <= slots->arena_left || slots->used == 0 ||
		memory_taken(slots) + Max(MAXALIGN(copied), ARENA_BLOCK) <= slots->limit;
}

/* A copy of a key beside the slots */
static char *
keep_copy(EcsUserSlots *slots, const void *bytes, Size size)
{
	Size		aligned = MAXALIGN(size);
	char	   *copy;

	if (aligned > slots->arena_left)
	{
		slots->arena_left = Max(aligned, ARENA_BLOCK);
		slots->arena_next = MemoryContextAlloc(slots->arena, slots->arena_left);
		slots->arena_size += slots->arena_left;
	}
	copy = memcpy(slots->arena_next, bytes, size);
	slots->arena_next += aligned;
	slots->arena_left -= aligned;
	return copy;
}

char *
ecs_slots_add(EcsUserSlots *slots, uint64 hash, const uint64 *key, Size copied)
{
	EcsSlotEntry *at;
	char	   *slot;

	slots->full = slots->full || !make_room(slots, copied);
	if (slots->full)
		return NULL;

	for (at = ecs_slots_home(slots, hash); at->number != 0;)
		at = ecs_slots_after(slots, at);
	slot = ecs_slot_number(slots, slots->used++);
	at->hash = (uint32) hash;
	at->number = slots->used;

	memset(slot, 0, slots->slot_size);
	memcpy(slot, key, slots->key_words * sizeof(uint64));
	if (copied > 0)
		((uint64 *) slot)[1] = (uint64) PointerGetDatum(keep_copy(slots, DatumGetPointer((Datum) key[1]), copied));
	return slot;
}

void
ecs_slots_empty(EcsUserSlots *slots)
{
	memset(slots->index, 0, slots->capacity * sizeof(EcsSlotEntry));
	MemoryContextReset(slots->arena);
	slots->arena_size = slots->arena_left = 0;
	slots->used = 0;
	slots->full = false;
}

void
ecs_slots_init(EcsUserSlots *slots, int key_words, Size payload_size, MemoryContext context)
{
	Size		chunk;

	memset(slots, 0, sizeof(EcsUserSlots));
	slots->context = context;
	slots->arena = AllocSetContextCreate(context, "ecomsocial user keys", ALLOCSET_DEFAULT_SIZES);
	slots->limit = get_hash_memory_limit();
	slots->key_words = key_words;
	slots->slot_size = key_words * sizeof(uint64) + payload_size;
	if (slots->slot_size <= CACHE_LINE)
		slots->slot_size = pg_nextpower2_size_t(slots->slot_size);
	chunk = Max(Min(MAX_CHUNK, slots->limit / 8) / slots->slot_size, MIN_CHUNK_SLOTS);
	slots->chunk_shift = pg_leftmost_one_pos64(chunk);
	allocate_index(slots, FIRST_CAPACITY);
}
