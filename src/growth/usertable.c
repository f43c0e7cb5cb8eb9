/*
 * usertable.c
 *		Some bits for each key of a long stream, in bounded memory.
 *
 * An open-addressing hash table with linear probing.  A slot is one or two words
 * of key, then the payload; it is free while the first word of its payload is 0.
 * Slots of up to a cache line never straddle two.  With a million keys nearly
 * every record misses the cache, so records wait in a ring of RING_SIZE after
 * their slots have been prefetched.  Large tables ask for huge pages.
 *
 * Integers and whatever else is passed by value take one word, uuids take two.
 * Other keys are copied beside the table; their slot holds the hash, so that
 * few unequal keys are compared, and the address.  Equality is that of the
 * type's default operator class; bytes decide where it says the same.
 *
 * Memory: slots and copied keys take up to work_mem * hash_mem_multiplier.  When
 * a larger table does not fit, the keys that have a slot keep it and records of
 * other keys go to temporary files, PARTITIONS of them by hash, as in the
 * executor's hash aggregation.  When the stream has ended, the keys in memory are
 * emitted and each file is read as the stream was, with other bits of the hash
 * choosing among files of its own.  Every pass disposes of as many keys as fit,
 * so this ends whatever the hash function is like.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/buffile.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"
#include "utils/uuid.h"

#include "base/compat.h"
#include "growth/usertable.h"

#define RING_SIZE		32
#define PARTITION_BITS	5
#define PARTITIONS		(1 << PARTITION_BITS)
#define CACHE_LINE		64
#define FIRST_CAPACITY	1024
#define MIN_CAPACITY	16
#define ARENA_BLOCK		(64 * 1024)

/* how full the table may become */
#define MAX_USED(capacity)	((capacity) - (capacity) / 4)

typedef enum KeyKind
{
	KEY_BITS,					/* by value, equal if the Datums are */
	KEY_VALUE,					/* by value, equal if the operator says so */
	KEY_UUID,
	KEY_TEXT,					/* varlena, equal if the bytes are */
	KEY_REFERENCE				/* by reference, equal if the operator says so */
} KeyKind;

#define KEY_IS_COPIED(kind)	((kind) >= KEY_TEXT)

/* A copied key in the ring */
typedef struct KeyCopy
{
	char	   *bytes;
	Size		size;
	Size		capacity;
} KeyCopy;

typedef struct RingEntry
{
	uint64		hash;
	char	   *slot;			/* where to look first; NULL: there is no
								 * record here */
	uint64		words[2];		/* as in a slot; the address of a copied key
								 * is that of its KeyCopy */
	EcsRecord	record;
} RingEntry;

typedef struct Partition
{
	BufFile    *file;
	int			depth;			/* of the records in it */
} Partition;

struct EcsUserTable
{
	EcsUserTableMethods methods;
	MemoryContext context;

	KeyKind		kind;
	int16		typlen;
	bool		typbyval;
	Oid			collation;
	FmgrInfo	hash_function;
	FmgrInfo	eq_function;

	/* slots; base is the allocation, slots the aligned address in it */
	char	   *base;
	char	   *slots;
	char	   *slots_end;
	Size		slot_size;
	int			key_words;
	uint64		capacity;
	uint64		used;
	Size		limit;			/* bytes that slots and copies may take */
	bool		full;			/* no new keys */

	/* copied keys */
	MemoryContext arena;
	char	   *arena_next;
	Size		arena_left;
	Size		arena_size;

	RingEntry	ring[RING_SIZE];
	KeyCopy		copies[RING_SIZE];
	uint32		ring_next;

	int			depth;			/* of the records that are being added */
	BufFile    *files[PARTITIONS];	/* where those of new keys go, when full */
	List	   *pending;		/* Partitions to be read */
};

static inline uint64
mix(uint64 x)
{
	/* the finalizer of MurmurHash3 */
	x ^= x >> 33;
	x *= UINT64CONST(0xff51afd7ed558ccd);
	x ^= x >> 33;
	x *= UINT64CONST(0xc4ceb9fe1a85ec53);
	x ^= x >> 33;
	return x;
}

static inline uint64 *
slot_payload(const EcsUserTable *table, char *slot)
{
	return (uint64 *) slot + table->key_words;
}

static inline char *
home_slot(const EcsUserTable *table, uint64 hash)
{
	return table->slots + ((uint64) (uint32) hash * table->capacity >> 32) * table->slot_size;
}

static inline char *
slot_after(const EcsUserTable *table, char *slot)
{
	slot += table->slot_size;
	return slot < table->slots_end ? slot : table->slots;
}

static inline KeyCopy *
copy_of(EcsUserTable *table, RingEntry *entry)
{
	return &table->copies[entry - table->ring];
}

/*
 * Keys
 */

static void
choose_kind(EcsUserTable *table, Oid type, Oid collation)
{
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_HASH_EXTENDED_PROC_FINFO | TYPECACHE_EQ_OPR_FINFO);

	if (!OidIsValid(entry->hash_extended_proc) || !OidIsValid(entry->eq_opr))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("users cannot be told apart by type %s", format_type_be(type)),
				 errdetail("The type has no hash function."),
				 errhint("Use a view that casts the column to a type with one, such as text.")));
	fmgr_info_copy(&table->hash_function, &entry->hash_extended_proc_finfo, table->context);
	fmgr_info_copy(&table->eq_function, &entry->eq_opr_finfo, table->context);
	table->collation = collation;
	table->typlen = entry->typlen;
	table->typbyval = entry->typbyval;

	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case OIDOID:
		case DATEOID:
			table->kind = KEY_BITS;
			break;
		case UUIDOID:
			table->kind = KEY_UUID;
			break;
		case TEXTOID:
		case VARCHAROID:
			table->kind = !OidIsValid(collation) || get_collation_isdeterministic(collation) ? KEY_TEXT : KEY_REFERENCE;
			break;
		case BYTEAOID:
			table->kind = KEY_TEXT;
			break;
		default:
			table->kind = entry->typbyval ? KEY_VALUE : KEY_REFERENCE;
	}
	table->key_words = table->kind <= KEY_VALUE ? 1 : 2;
}

static uint64
hash_words(EcsUserTable *table, const uint64 *words)
{
	switch (table->kind)
	{
		case KEY_BITS:
			return mix(words[0]);
		case KEY_VALUE:
			return mix(DatumGetUInt64(FunctionCall2Coll(&table->hash_function, table->collation,
														(Datum) words[0], UInt64GetDatum(0))));
		case KEY_UUID:
			return mix(words[0] ^ mix(words[1]));
		default:
			return words[0];
	}
}

static inline Datum
words_datum(KeyKind kind, const uint64 *words)
{
	return kind <= KEY_VALUE ? (Datum) words[0] :
		kind == KEY_UUID ? PointerGetDatum(words) : (Datum) words[1];
}

static inline bool
equal_words(EcsUserTable *table, const uint64 *a, const uint64 *b)
{
	switch (table->kind)
	{
		case KEY_BITS:
			return a[0] == b[0];
		case KEY_UUID:
			return a[0] == b[0] && a[1] == b[1];
		case KEY_TEXT:
			{
				const struct varlena *left = (const struct varlena *) DatumGetPointer((Datum) a[1]);
				const struct varlena *right = (const struct varlena *) DatumGetPointer((Datum) b[1]);

				return a[0] == b[0] && VARSIZE_ANY_EXHDR(left) == VARSIZE_ANY_EXHDR(right) &&
					memcmp(VARDATA_ANY(left), VARDATA_ANY(right), VARSIZE_ANY_EXHDR(left)) == 0;
			}
		case KEY_REFERENCE:
			if (a[0] != b[0])
				return false;
			/* FALLTHROUGH */
		default:
			return DatumGetBool(FunctionCall2Coll(&table->eq_function, table->collation,
												  words_datum(table->kind, a), words_datum(table->kind, b)));
	}
}

/* Make room for a copied key in a ring entry */
static KeyCopy *
reserve_copy(EcsUserTable *table, RingEntry *entry, Size size)
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

/* Take a key over into a ring entry, and its hash */
static void
take_key(EcsUserTable *table, RingEntry *entry, Datum key)
{
	KeyCopy    *copy;

	switch (table->kind)
	{
		case KEY_BITS:
		case KEY_VALUE:
			entry->words[0] = (uint64) key;
			break;
		case KEY_UUID:
			memcpy(entry->words, DatumGetPointer(key), UUID_LEN);
			break;
		default:
			if (table->typlen == -1)
				key = PointerGetDatum(PG_DETOAST_DATUM_PACKED(key));
			copy = reserve_copy(table, entry, datumGetSize(key, false, table->typlen));
			memcpy(copy->bytes, DatumGetPointer(key), copy->size);
			if (table->kind == KEY_TEXT)
				entry->words[0] = DatumGetUInt64(hash_any_extended((unsigned char *) VARDATA_ANY(DatumGetPointer(key)),
																   VARSIZE_ANY_EXHDR(DatumGetPointer(key)), 0));
			else
				entry->words[0] = DatumGetUInt64(FunctionCall2Coll(&table->hash_function, table->collation,
																   key, UInt64GetDatum(0)));
	}
	entry->hash = hash_words(table, entry->words);
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

/* Whether another block of copies would be too much */
static bool
copy_fits(const EcsUserTable *table, const KeyCopy *copy)
{
	return copy->size <= table->arena_left || table->used == 0 ||
		table->arena_size + Max(copy->size, ARENA_BLOCK) + table->capacity * table->slot_size <= table->limit;
}

/*
 * Slots
 */

static void
allocate_slots(EcsUserTable *table, uint64 capacity)
{
	Size		size = capacity * table->slot_size;

	table->base = MemoryContextAllocExtended(table->context, size + CACHE_LINE, MCXT_ALLOC_HUGE);
	if (size >= 2 * ECS_HUGE_PAGE)
		ecs_advise_huge_pages(table->base, table->base + size);
	table->slots = (char *) TYPEALIGN(CACHE_LINE, table->base);
	table->slots_end = table->slots + size;
	memset(table->slots, 0, size);
	table->capacity = capacity;
}

/* Double the table, or enlarge it as far as memory allows; false: it does not */
static bool
enlarge(EcsUserTable *table)
{
	char	   *old_base = table->base;
	char	   *old = table->slots;
	char	   *old_end = table->slots_end;
	Size		taken = table->capacity * table->slot_size + table->arena_size;
	uint64		capacity = taken < table->limit ? (table->limit - taken) / table->slot_size : 0;
	int			i;

	capacity = Min(Min(capacity, table->capacity * 2), PG_UINT32_MAX);
	if (capacity < table->capacity + table->capacity / 4)
		return false;

	/*
	 * slots are in the order of their hashes, or nearly, so this writes in
	 * sequence
	 */
	allocate_slots(table, capacity);
	for (; old < old_end; old += table->slot_size)
	{
		char	   *slot;

		CHECK_FOR_INTERRUPTS();
		if (*slot_payload(table, old) == 0)
			continue;
		slot = home_slot(table, hash_words(table, (uint64 *) old));
		while (*slot_payload(table, slot) != 0)
			slot = slot_after(table, slot);
		memcpy(slot, old, table->slot_size);
	}
	pfree(old_base);
	for (i = 0; i < RING_SIZE; i++)
		if (table->ring[i].slot != NULL)
			table->ring[i].slot = home_slot(table, table->ring[i].hash);
	return true;
}

static void
empty_table(EcsUserTable *table)
{
	memset(table->slots, 0, table->capacity * table->slot_size);
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
write_record(EcsUserTable *table, RingEntry *entry)
{
	/* bits of the hash that no other depth and no slot goes by */
	int			part = mix(entry->hash + table->depth + 1) >> (64 - PARTITION_BITS);
	BufFile    *file;

	if (table->files[part] == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(table->context);

		table->files[part] = BufFileCreateTemp(false);
		MemoryContextSwitchTo(old);
	}
	file = table->files[part];
	if (KEY_IS_COPIED(table->kind))
	{
		KeyCopy    *copy = copy_of(table, entry);

		BufFileWrite(file, &entry->words[0], sizeof(uint64));
		BufFileWrite(file, &copy->size, sizeof(Size));
		BufFileWrite(file, copy->bytes, copy->size);
	}
	else
		BufFileWrite(file, entry->words, table->key_words * sizeof(uint64));
	BufFileWrite(file, &entry->record, sizeof(EcsRecord));
}

/* Read a record into a ring entry; false: there is none left */
static bool
read_record(EcsUserTable *table, BufFile *file, RingEntry *entry)
{
	Size		got = BufFileRead(file, &entry->words[0], sizeof(uint64));

	if (got == 0)
		return false;
	if (got != sizeof(uint64))
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read from temporary file: unexpected end of file")));
	if (KEY_IS_COPIED(table->kind))
	{
		Size		size;

		BufFileReadExact(file, &size, sizeof(Size));
		BufFileReadExact(file, reserve_copy(table, entry, size)->bytes, size);
	}
	else if (table->key_words == 2)
		BufFileReadExact(file, &entry->words[1], sizeof(uint64));
	BufFileReadExact(file, &entry->record, sizeof(EcsRecord));
	entry->hash = hash_words(table, entry->words);
	return true;
}

/* The files that were written become partitions to be read */
static void
close_files(EcsUserTable *table)
{
	MemoryContext old = MemoryContextSwitchTo(table->context);
	int			part;

	for (part = 0; part < PARTITIONS; part++)
	{
		Partition  *partition;

		if (table->files[part] == NULL)
			continue;
		partition = palloc(sizeof(Partition));
		partition->file = table->files[part];
		partition->depth = table->depth + 1;
		table->pending = lappend(table->pending, partition);
		table->files[part] = NULL;
	}
	MemoryContextSwitchTo(old);
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

/* The record of a key that has no slot yet; "slot" is where it would be */
static void
add_key(EcsUserTable *table, RingEntry *entry, char *slot)
{
	if (!table->full && table->used >= MAX_USED(table->capacity))
	{
		if (enlarge(table))
		{
			slot = home_slot(table, entry->hash);
			while (*slot_payload(table, slot) != 0)
				slot = slot_after(table, slot);
		}
		else
			table->full = true;
	}
	if (!table->full && KEY_IS_COPIED(table->kind) && !copy_fits(table, copy_of(table, entry)))
		table->full = true;
	if (table->full)
	{
		write_record(table, entry);
		return;
	}

	memcpy(slot, entry->words, table->key_words * sizeof(uint64));
	if (KEY_IS_COPIED(table->kind))
		keep_copy(table, copy_of(table, entry), (uint64 *) slot);
	table->used++;
	add_record(table, slot_payload(table, slot), &entry->record);
}

static void
process_entry(EcsUserTable *table, RingEntry *entry)
{
	char	   *slot = entry->slot;

	entry->slot = NULL;
	for (;; slot = slot_after(table, slot))
	{
		uint64	   *payload = slot_payload(table, slot);

		if (*payload == 0)
			break;
		if (table->kind == KEY_BITS ? *(uint64 *) slot == entry->words[0] :
			equal_words(table, (uint64 *) slot, entry->words))
		{
			add_record(table, payload, &entry->record);
			return;
		}
	}
	add_key(table, entry, slot);
}

/* The ring entry to fill next; the record in it has waited longest */
static inline RingEntry *
next_entry(EcsUserTable *table)
{
	RingEntry  *entry = &table->ring[table->ring_next++ % RING_SIZE];

	if (entry->slot != NULL)
		process_entry(table, entry);
	return entry;
}

static inline void
enqueue_entry(EcsUserTable *table, RingEntry *entry)
{
	entry->slot = home_slot(table, entry->hash);
	ecs_prefetch(entry->slot);
}

static void
drain_ring(EcsUserTable *table)
{
	int			i;

	for (i = 0; i < RING_SIZE; i++)
	{
		RingEntry  *entry = &table->ring[(table->ring_next + i) % RING_SIZE];

		if (entry->slot != NULL)
			process_entry(table, entry);
	}
}

static void
emit_keys(EcsUserTable *table)
{
	char	   *slot;

	for (slot = table->slots; slot < table->slots_end; slot += table->slot_size)
	{
		CHECK_FOR_INTERRUPTS();
		if (*slot_payload(table, slot) != 0)
			table->methods.emit(words_datum(table->kind, (uint64 *) slot), slot_payload(table, slot),
								table->methods.arg);
	}
}

static void
read_partition(EcsUserTable *table, Partition *partition)
{
	BufFile    *file = partition->file;

	if (BufFileSeek(file, 0, 0, SEEK_SET) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not rewind temporary file")));
	table->depth = partition->depth;
	for (;;)
	{
		RingEntry  *entry = next_entry(table);

		CHECK_FOR_INTERRUPTS();
		if (!read_record(table, file, entry))
			break;
		enqueue_entry(table, entry);
	}
	BufFileClose(file);
	pfree(partition);
}

EcsUserTable *
ecs_user_table_create(Oid type, Oid collation, const EcsUserTableMethods *methods)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "ecomsocial users", ALLOCSET_DEFAULT_SIZES);
	EcsUserTable *table = MemoryContextAllocZero(context, sizeof(EcsUserTable));
	uint64		capacity;

	table->methods = *methods;
	table->context = context;
	table->arena = AllocSetContextCreate(context, "ecomsocial user keys", ALLOCSET_DEFAULT_SIZES);
	choose_kind(table, type, collation);

	table->slot_size = table->key_words * sizeof(uint64) + methods->payload_size;
	if (table->slot_size <= CACHE_LINE)
		table->slot_size = pg_nextpower2_size_t(table->slot_size);
	table->limit = get_hash_memory_limit();
	capacity = Min(FIRST_CAPACITY, table->limit / 4 / table->slot_size);
	allocate_slots(table, Max(capacity, MIN_CAPACITY));
	return table;
}

void
ecs_user_table_add(EcsUserTable *table, Datum key, const EcsRecord *record)
{
	RingEntry  *entry = next_entry(table);

	if (table->kind == KEY_BITS)
	{
		entry->words[0] = (uint64) key;
		entry->hash = mix(entry->words[0]);
	}
	else
		take_key(table, entry, key);
	entry->record = *record;
	enqueue_entry(table, entry);
}

void
ecs_user_table_finish(EcsUserTable *table)
{
	drain_ring(table);
	emit_keys(table);
	close_files(table);
	while (table->pending != NIL)
	{
		/* the last first, so that few files are open */
		Partition  *partition = llast(table->pending);

		table->pending = list_delete_last(table->pending);
		empty_table(table);
		read_partition(table, partition);
		drain_ring(table);
		emit_keys(table);
		close_files(table);
	}
	MemoryContextDelete(table->context);
}
