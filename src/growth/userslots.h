/*
 * userslots.h
 *		Slots that hold keys and what belongs to them, found by hash.
 *
 * A slot is one or two words of key (userkey.h) and then the payload.  Slots follow
 * one another in chunks, and those of up to a cache line never straddle two.  An
 * open-addressing index with linear probing, of 8 bytes an entry, leads from the
 * hash to the slot, so that probing stays within a cache line, and growing neither
 * moves a slot nor looks at one.
 *
 * The slots, the index and copies of keys that are kept by address take up to
 * work_mem * hash_mem_multiplier.  When another key does not fit, the slots are full
 * until they are emptied.
 */
#ifndef ECS_USERSLOTS_H
#define ECS_USERSLOTS_H

#include "growth/hash.h"

/* The low half of a key's hash, and its slot's number from 1 on; 0: free */
typedef struct EcsSlotEntry
{
	uint32		hash;
	uint32		number;
} EcsSlotEntry;

typedef struct EcsUserSlots
{
	MemoryContext context;
	int			key_words;
	Size		slot_size;
	uint64		used;			/* slots */
	int			chunk_shift;	/* of the number of slots in a chunk */
	int			chunk_count;
	char	  **chunks;			/* each begins at a cache line */

	EcsSlotEntry *index;
	uint64		capacity;

	Size		limit;			/* bytes that all may take */
	bool		full;			/* no new keys */

	/* copied keys */
	MemoryContext arena;
	char	   *arena_next;
	Size		arena_left;
	Size		arena_size;
} EcsUserSlots;

extern void ecs_slots_init(EcsUserSlots *slots, int key_words, Size payload_size, MemoryContext context);

/*
 * A slot, all zeros but for its key, for a key that has none; NULL: the slots are
 * full.  Of "copied" bytes, if not 0, at the address in the key's second word the slot
 * has a copy.
 */
extern char *ecs_slots_add(EcsUserSlots *slots, uint64 hash, const uint64 *key, Size copied);

extern void ecs_slots_empty(EcsUserSlots *slots);

static inline uint64 *
ecs_slot_payload(const EcsUserSlots *slots, char *slot)
{
	return (uint64 *) slot + slots->key_words;
}

static inline char *
ecs_slot_number(const EcsUserSlots *slots, uint64 number)
{
	return slots->chunks[number >> slots->chunk_shift] +
		(number & ((UINT64CONST(1) << slots->chunk_shift) - 1)) * slots->slot_size;
}

/* Where probing for a hash begins, and how it goes on until a free entry */
static inline EcsSlotEntry *
ecs_slots_home(const EcsUserSlots *slots, uint32 hash)
{
	return &slots->index[ecs_home(hash, slots->capacity)];
}

static inline EcsSlotEntry *
ecs_slots_after(const EcsUserSlots *slots, EcsSlotEntry *entry)
{
	return ++entry < slots->index + slots->capacity ? entry : slots->index;
}

#endif							/* ECS_USERSLOTS_H */
