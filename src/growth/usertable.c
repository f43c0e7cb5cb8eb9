/*
 * usertable.c
 *		Some bits for each key of a long stream, in bounded memory.
 *
 * Every key has a slot, which is one or two words of key and then the payload;
 * slots follow one another in chunks, and those of up to a cache line never
 * straddle two.  An open-addressing index with linear probing, of 8 bytes an
 * entry, leads from the hash to the slot, so that probing stays within a cache
 * line, and growing neither moves a slot nor looks at one.
 *
 * With a million keys nearly every record misses the cache twice.  So records wait
 * in a batch.  When it is full, the places of all in the index are prefetched in one
 * loop, so that the processor waits for several at a time, in another the slots
 * that they lead to, and then all are added.  Large allocations ask for huge pages.
 *
 * Keys are words (userkey.c); those that are kept by address are copied beside the
 * slots.
 *
 * Memory: all of it takes up to work_mem * hash_mem_multiplier.  When more does
 * not fit, the keys that have a slot keep it and records of other keys go to
 * files (spill.c).
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/uuid.h"

#include "base/memory.h"
#include "growth/hash.h"
#include "growth/spill.h"
#include "growth/userkey.h"
#include "growth/usertable.h"

#define BATCH_SIZE		64
#define CACHE_LINE		64
#define FIRST_CAPACITY	1024
#define MAX_CHUNK		(16 * 1024 * 1024)
#define MIN_CHUNK_SLOTS	16
#define ARENA_BLOCK		(64 * 1024)

/* how full the index may become */
#define MAX_USED(capacity)	((capacity) - (capacity) / 4)

/* A copied key of a record that waits */
typedef struct KeyCopy
{
	char	   *bytes;
	Size		size;
	Size		capacity;
} KeyCopy;

typedef struct WaitingRecord
{
	uint64		hash;
	char	   *slot;			/* where the key is expected; NULL: none is */
	uint64		words[2];		/* as in a slot; the address of a copied key
								 * is that of its KeyCopy */
	EcsRecord	record;
} WaitingRecord;

/* The low half of a key's hash, and its slot's number from 1 on; 0: free */
typedef struct IndexEntry
{
	uint32		hash;
	uint32		number;
} IndexEntry;

struct EcsUserTable
{
	EcsUserTableMethods methods;
	MemoryContext context;

	EcsUserKeyType key_type;
	Size		slot_size;
	uint64		used;			/* slots */
	int			chunk_shift;	/* of the number of slots in a chunk */
	int			chunk_count;
	char	  **chunks;			/* each begins at a cache line */

	IndexEntry *index;
	uint64		capacity;

	Size		limit;			/* bytes that all may take */
	bool		full;			/* no new keys */

	/* copied keys */
	MemoryContext arena;
	char	   *arena_next;
	Size		arena_left;
	Size		arena_size;

	WaitingRecord batch[BATCH_SIZE];
	KeyCopy		copies[BATCH_SIZE];
	int			waiting;		/* in the batch */

	EcsSpill	spill;
};

static inline uint64 *
slot_payload(const EcsUserTable *table, char *slot)
{
	return (uint64 *) slot + table->key_type.words;
}

static inline char *
slot_number(const EcsUserTable *table, uint64 number)
{
	return table->chunks[number >> table->chunk_shift] +
		(number & ((UINT64CONST(1) << table->chunk_shift) - 1)) * table->slot_size;
}

static inline IndexEntry *
home_entry(const EcsUserTable *table, uint32 hash)
{
	return &table->index[ecs_home(hash, table->capacity)];
}

static inline IndexEntry *
entry_after(const EcsUserTable *table, IndexEntry *entry)
{
	return ++entry < table->index + table->capacity ? entry : table->index;
}

/* What is allocated now */
static inline Size
memory_taken(const EcsUserTable *table)
{
	return table->capacity * sizeof(IndexEntry) + table->arena_size +
		((Size) table->chunk_count << table->chunk_shift) * table->slot_size;
}

static inline KeyCopy *
copy_of(EcsUserTable *table, WaitingRecord *entry)
{
	return &table->copies[entry - table->batch];
}

/*
 * Keys
 */

/* Make room for a copied key in a waiting record */
static KeyCopy *
reserve_copy(EcsUserTable *table, WaitingRecord *entry, Size size)
{
	KeyCopy    *copy = copy_of(table, entry);

	if (size > copy->capacity)
	{
		if (copy->bytes != NULL)
			pfree(copy->bytes);
		copy->bytes = NULL;
		copy->capacity = 0;
		copy->bytes = MemoryContextAlloc(table->context, Max(size, 64));
		copy->capacity = Max(size, 64);
	}
	copy->size = size;
	entry->words[1] = (uint64) PointerGetDatum(copy->bytes);
	return copy;
}

/* Take a key over into a waiting record, and its hash */
static void
take_key(EcsUserTable *table, WaitingRecord *entry, Datum key)
{
	KeyCopy    *copy;

	switch (table->key_type.kind)
	{
		case ECS_KEY_BITS:
		case ECS_KEY_VALUE:
			entry->words[0] = (uint64) key;
			break;
		case ECS_KEY_UUID:
			memcpy(entry->words, DatumGetPointer(key), UUID_LEN);
			break;
		default:
			if (table->key_type.typlen == -1)
				key = PointerGetDatum(PG_DETOAST_DATUM_PACKED(key));
			copy = reserve_copy(table, entry, datumGetSize(key, false, table->key_type.typlen));
			memcpy(copy->bytes, DatumGetPointer(key), copy->size);
			entry->words[0] = ecs_user_key_hash_copied(&table->key_type, key);
	}
	entry->hash = ecs_user_key_hash(&table->key_type, entry->words);
}

/* Copy a new key beside the table, and its address into the slot */
static void
keep_copy(EcsUserTable *table, const KeyCopy *copy, uint64 *words)
{
	Size		size = MAXALIGN(copy->size);

	if (size > table->arena_left)
	{
		table->arena_left = Max(size, ARENA_BLOCK);
		table->arena_next = MemoryContextAlloc(table->arena, table->arena_left);
		table->arena_size += table->arena_left;
	}
	memcpy(table->arena_next, copy->bytes, copy->size);
	words[1] = (uint64) PointerGetDatum(table->arena_next);
	table->arena_next += size;
	table->arena_left -= size;
}

/*
 * Slots and the index
 */

static void
allocate_index(EcsUserTable *table, uint64 capacity)
{
	table->index = ecs_alloc_large(table->context, capacity * sizeof(IndexEntry));
	table->capacity = capacity;
	memset(table->index, 0, capacity * sizeof(IndexEntry));
}

static bool
enlarge_index(EcsUserTable *table)
{
	IndexEntry *old = table->index;
	IndexEntry *old_end = old + table->capacity;
	IndexEntry *from;

	if (table->capacity > PG_INT32_MAX ||
		memory_taken(table) + 2 * table->capacity * sizeof(IndexEntry) > table->limit)
		return false;

	/*
	 * entries are in the order of their hashes, or nearly, so this writes in
	 * sequence
	 */
	allocate_index(table, table->capacity * 2);
	for (from = old; from < old_end; from++)
	{
		IndexEntry *to = home_entry(table, from->hash);

		if (from->number == 0)
			continue;
		while (to->number != 0)
			to = entry_after(table, to);
		*to = *from;
	}
	pfree(old);
	return true;
}

static bool
add_chunk(EcsUserTable *table)
{
	Size		size = table->slot_size << table->chunk_shift;

	if (table->chunk_count > 0 && memory_taken(table) + size > table->limit)
		return false;
	table->chunks = table->chunks == NULL ? MemoryContextAlloc(table->context, sizeof(char *)) :
		repalloc_huge(table->chunks, (table->chunk_count + 1) * sizeof(char *));
	table->chunks[table->chunk_count++] = (char *) TYPEALIGN(CACHE_LINE,
															 ecs_alloc_large(table->context, size + CACHE_LINE));
	return true;
}

/* Whether another key fits, for which memory is allocated */
static bool
make_room(EcsUserTable *table, const KeyCopy *copy)
{
	if (table->used >= MAX_USED(table->capacity) && !enlarge_index(table))
		return false;
	if (table->used == (uint64) table->chunk_count << table->chunk_shift && !add_chunk(table))
		return false;
	return !ECS_KEY_IS_COPIED(table->key_type.kind) || copy->size <= table->arena_left || table->used == 0 ||
		memory_taken(table) + Max(copy->size, ARENA_BLOCK) <= table->limit;
}

static void
empty_table(EcsUserTable *table)
{
	memset(table->index, 0, table->capacity * sizeof(IndexEntry));
	MemoryContextReset(table->arena);
	table->arena_size = table->arena_left = 0;
	table->used = 0;
	table->full = false;
}

/*
 * Temporary files: of each record the key's words, for a copied key its hash,
 * size and bytes, then the record.
 */

static void
write_record(EcsUserTable *table, WaitingRecord *entry)
{
	BufFile    *file = ecs_spill_file(&table->spill, entry->hash);

	if (ECS_KEY_IS_COPIED(table->key_type.kind))
	{
		KeyCopy    *copy = copy_of(table, entry);

		BufFileWrite(file, &entry->words[0], sizeof(uint64));
		BufFileWrite(file, &copy->size, sizeof(Size));
		BufFileWrite(file, copy->bytes, copy->size);
	}
	else
		BufFileWrite(file, entry->words, table->key_type.words * sizeof(uint64));
	BufFileWrite(file, &entry->record, sizeof(EcsRecord));
}

/* Read a record into a waiting record; false: there is none left */
static bool
read_record(EcsUserTable *table, BufFile *file, WaitingRecord *entry)
{
	if (!ecs_spill_read(file, &entry->words[0], sizeof(uint64)))
		return false;
	if (ECS_KEY_IS_COPIED(table->key_type.kind))
	{
		Size		size;

		BufFileReadExact(file, &size, sizeof(Size));
		BufFileReadExact(file, reserve_copy(table, entry, size)->bytes, size);
	}
	else if (table->key_type.words == 2)
		BufFileReadExact(file, &entry->words[1], sizeof(uint64));
	BufFileReadExact(file, &entry->record, sizeof(EcsRecord));
	entry->hash = ecs_user_key_hash(&table->key_type, entry->words);
	return true;
}

/*
 * Records
 */

/* Add a record to the payload of its key */
static inline void
add_record(EcsUserTable *table, uint64 *payload, const EcsRecord *record)
{
	payload[0] |= 1;
	payload[record->bit / 64] |= UINT64CONST(1) << (record->bit % 64);
	if (table->methods.apply != NULL)
		table->methods.apply(payload, record, table->methods.arg);
}

/* The record of a key that has no slot yet */
static void
add_key(EcsUserTable *table, WaitingRecord *entry)
{
	IndexEntry *at;
	char	   *slot;

	table->full = table->full || !make_room(table, copy_of(table, entry));
	if (table->full)
	{
		write_record(table, entry);
		return;
	}

	for (at = home_entry(table, entry->hash); at->number != 0;)
		at = entry_after(table, at);
	slot = slot_number(table, table->used++);
	at->hash = (uint32) entry->hash;
	at->number = table->used;

	memset(slot, 0, table->slot_size);
	memcpy(slot, entry->words, table->key_type.words * sizeof(uint64));
	if (ECS_KEY_IS_COPIED(table->key_type.kind))
		keep_copy(table, copy_of(table, entry), (uint64 *) slot);
	add_record(table, slot_payload(table, slot), &entry->record);
}

static inline bool
is_key_of(EcsUserTable *table, char *slot, const WaitingRecord *entry)
{
	return table->key_type.kind == ECS_KEY_BITS ? *(uint64 *) slot == entry->words[0] :
		ecs_user_key_equal(&table->key_type, (uint64 *) slot, entry->words);
}

static void
process_entry(EcsUserTable *table, WaitingRecord *entry)
{
	IndexEntry *at;

	if (entry->slot != NULL && is_key_of(table, entry->slot, entry))
	{
		add_record(table, slot_payload(table, entry->slot), &entry->record);
		return;
	}
	/* new since it was looked for, or another key has the same hash */
	for (at = home_entry(table, entry->hash); at->number != 0; at = entry_after(table, at))
	{
		char	   *slot = slot_number(table, at->number - 1);

		if (at->hash == (uint32) entry->hash && is_key_of(table, slot, entry))
		{
			add_record(table, slot_payload(table, slot), &entry->record);
			return;
		}
	}
	add_key(table, entry);
}

/* Look for the slot of a record, whose place in the index has been prefetched, and prefetch it */
static inline void
expect_slot(EcsUserTable *table, WaitingRecord *entry)
{
	IndexEntry *at;

	entry->slot = NULL;
	for (at = home_entry(table, entry->hash); at->number != 0; at = entry_after(table, at))
		if (at->hash == (uint32) entry->hash)
		{
			entry->slot = slot_number(table, at->number - 1);
			ecs_prefetch(entry->slot);
			return;
		}
}

/* Add the records that wait */
static void
add_batch(EcsUserTable *table)
{
	WaitingRecord *end = table->batch + table->waiting;
	WaitingRecord *entry;

	for (entry = table->batch; entry < end; entry++)
		ecs_prefetch(home_entry(table, entry->hash));
	for (entry = table->batch; entry < end; entry++)
		expect_slot(table, entry);
	for (entry = table->batch; entry < end; entry++)
		process_entry(table, entry);
	table->waiting = 0;
}

/* The record at the end of the batch has been filled in */
static inline void
enqueue_entry(EcsUserTable *table)
{
	if (++table->waiting == BATCH_SIZE)
		add_batch(table);
}

static void
emit_keys(EcsUserTable *table)
{
	uint64		number;

	for (number = 0; number < table->used; number++)
	{
		char	   *slot = slot_number(table, number);

		CHECK_FOR_INTERRUPTS();
		table->methods.emit(ecs_user_key_datum(&table->key_type, (uint64 *) slot), slot_payload(table, slot),
							table->methods.arg);
	}
}

static void
read_file(EcsUserTable *table, BufFile *file)
{
	while (read_record(table, file, &table->batch[table->waiting]))
	{
		CHECK_FOR_INTERRUPTS();
		enqueue_entry(table);
	}
	BufFileClose(file);
}

EcsUserTable *
ecs_user_table_create(Oid type, Oid collation, const EcsUserTableMethods *methods)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "ecomsocial users", ALLOCSET_DEFAULT_SIZES);
	EcsUserTable *table = MemoryContextAllocZero(context, sizeof(EcsUserTable));
	Size		chunk;

	table->methods = *methods;
	table->context = context;
	table->arena = AllocSetContextCreate(context, "ecomsocial user keys", ALLOCSET_DEFAULT_SIZES);
	ecs_user_key_init(&table->key_type, type, collation, context);
	table->limit = get_hash_memory_limit();
	ecs_spill_init(&table->spill, context);

	table->slot_size = table->key_type.words * sizeof(uint64) + methods->payload_size;
	if (table->slot_size <= CACHE_LINE)
		table->slot_size = pg_nextpower2_size_t(table->slot_size);
	chunk = Max(Min(MAX_CHUNK, table->limit / 8) / table->slot_size, MIN_CHUNK_SLOTS);
	table->chunk_shift = pg_leftmost_one_pos64(chunk);
	allocate_index(table, FIRST_CAPACITY);
	return table;
}

void
ecs_user_table_add(EcsUserTable *table, Datum key, const EcsRecord *record)
{
	WaitingRecord *entry = &table->batch[table->waiting];

	if (table->key_type.kind == ECS_KEY_BITS)
	{
		entry->words[0] = (uint64) key;
		entry->hash = ecs_mix(entry->words[0]);
	}
	else
		take_key(table, entry, key);
	entry->record = *record;
	enqueue_entry(table);
}

void
ecs_user_table_finish(EcsUserTable *table)
{
	BufFile    *file;

	add_batch(table);
	emit_keys(table);
	while ((file = ecs_spill_next(&table->spill)) != NULL)
	{
		empty_table(table);
		read_file(table, file);
		add_batch(table);
		emit_keys(table);
	}
	MemoryContextDelete(table->context);
}
