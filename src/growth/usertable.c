/*
 * usertable.c
 *		Some bits for each key of a long stream, in bounded memory.
 *
 * Keys and bits stand in slots (userslots.h).  With a million keys nearly every
 * record misses the cache twice, in the index and in the slot.  So records wait in a
 * batch.  When it is full, the places of all in the index are prefetched in one loop,
 * so that the processor waits for several at a time, in another the slots that they
 * lead to, and then all are added.  Large allocations ask for huge pages.
 *
 * When the slots are full, the keys that have one keep it and records of other keys
 * go to files (spill.c).
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/uuid.h"

#include "base/compat.h"
#include "growth/spill.h"
#include "growth/userkey.h"
#include "growth/userslots.h"
#include "growth/usertable.h"

#define BATCH_SIZE		64

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

struct EcsUserTable
{
	EcsUserTableMethods methods;
	MemoryContext context;

	EcsUserKeyType key_type;
	EcsUserSlots slots;

	WaitingRecord batch[BATCH_SIZE];
	KeyCopy		copies[BATCH_SIZE];
	int			waiting;		/* in the batch */

	EcsSpill	spill;
};

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
	Size		copied = ECS_KEY_IS_COPIED(table->key_type.kind) ? copy_of(table, entry)->size : 0;
	char	   *slot = ecs_slots_add(&table->slots, entry->hash, entry->words, copied);

	if (slot == NULL)
		write_record(table, entry);
	else
		add_record(table, ecs_slot_payload(&table->slots, slot), &entry->record);
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
	EcsSlotEntry *at;

	if (entry->slot != NULL && is_key_of(table, entry->slot, entry))
	{
		add_record(table, ecs_slot_payload(&table->slots, entry->slot), &entry->record);
		return;
	}
	/* new since it was looked for, or another key has the same hash */
	for (at = ecs_slots_home(&table->slots, entry->hash); at->number != 0; at = ecs_slots_after(&table->slots, at))
	{
		char	   *slot = ecs_slot_number(&table->slots, at->number - 1);

		if (at->hash == (uint32) entry->hash && is_key_of(table, slot, entry))
		{
			add_record(table, ecs_slot_payload(&table->slots, slot), &entry->record);
			return;
		}
	}
	add_key(table, entry);
}

/* Look for the slot of a record, whose place in the index has been prefetched, and prefetch it */
static inline void
expect_slot(EcsUserTable *table, WaitingRecord *entry)
{
	EcsSlotEntry *at;

	entry->slot = NULL;
	for (at = ecs_slots_home(&table->slots, entry->hash); at->number != 0; at = ecs_slots_after(&table->slots, at))
		if (at->hash == (uint32) entry->hash)
		{
			entry->slot = ecs_slot_number(&table->slots, at->number - 1);
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
		ecs_prefetch(ecs_slots_home(&table->slots, entry->hash));
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

	for (number = 0; number < table->slots.used; number++)
	{
		char	   *slot = ecs_slot_number(&table->slots, number);

		CHECK_FOR_INTERRUPTS();
		table->methods.emit(ecs_user_key_datum(&table->key_type, (uint64 *) slot), ecs_slot_payload(&table->slots, slot),
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

	table->methods = *methods;
	table->context = context;
	ecs_user_key_init(&table->key_type, type, collation, context);
	ecs_slots_init(&table->slots, table->key_type.words, methods->payload_size, context);
	ecs_spill_init(&table->spill, context);
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
		ecs_slots_empty(&table->slots);
		read_file(table, file);
		add_batch(table);
		emit_keys(table);
	}
	MemoryContextDelete(table->context);
}
