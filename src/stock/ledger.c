/*
 * ledger.c
 *		Running balances of signed movements, per key and day.
 *
 * One pass over the movements, none of them sorted by comparison:
 *
 * 1. A hash table finds the key, with open addressing and linear probing.  Each
 *	  key holds one open cell, a moment (or a day, where nothing needs more) and
 *	  a quantity.  A movement at the moment of the open cell is added to it; any
 *	  other closes it: the cell goes to the end of a sequential log, with the
 *	  number of its key.  With keys of integers the movements wait in a ring of
 *	  ECS_PENDING, so that the slot and then the key are fetched into the
 *	  processor's cache before they are needed.
 * 2. At the end the keys are sorted, by a radix sort where their columns are
 *	  integers whose ranges together fit in 64 bits, and the log is distributed
 *	  among the keys by a counting sort (D. E. Knuth, The Art of Computer
 *	  Programming, volume 3, section 5.2, algorithm D).
 * 3. The cells of one key nearly are in order, because movements arrive nearly
 *	  in order of time: insertion sort, and quicksort where they are not.
 * 4. Reading walks through them, and adds up.
 *
 * When memory reaches its limit, steps 2 and 3 make a sorted run of what there
 * is, which goes to a temporary file (run.c), and the table starts empty again.
 * In the end the runs are merged.  A run holds sums, so where few keys repeat
 * often little is written.
 *
 * Quantities are added by 64-bit integer arithmetic that raises an error on
 * overflow, or as numerics.
 */
#include "postgres.h"

#include <sys/mman.h>

#include "catalog/pg_type.h"
#include "common/int.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "base/compat.h"
#include "stock/ledger.h"

#define FIRST_KEYS			256 /* of an empty table; a power of 2 */
#define SORT_CELL_MEMORY	sizeof(EcsCell)
/* slots, order, ends, the open cell sorted, and what the radix sort takes on the way */
#define KEY_MEMORY(ledger)	((ledger)->stride + 2 * sizeof(EcsKeySlot) + 64)

/* Segments up to this length are put in order by insertion */
#define INSERTION_LENGTH	48

#define RADIX_BITS			11

#define LARGE_PAGE			((Size) 2 * 1024 * 1024)
#define MOST_CHUNK_CELLS	(1 << 19)

/* How early a key is fetched when the keys are read in order */
#define KEYS_AHEAD			8

typedef struct RadixItem
{
	uint64		key;
	uint32		id;
} RadixItem;

/* How far one key has come, when days are read one after the other */
typedef struct DenseKey
{
	int64		balance;
	uint64		line;			/* the next one */
	uint32		left;			/* lines from there on */
	DateADT		next_day;		/* the day of the next line */
	bool		seen;
} DenseKey;

typedef struct EcsDense
{
	const DateADT *days;
	int			ndays;
	int			at_day;
	uint32		at_key;
	DenseKey   *keys;			/* in the order of the keys; NULL when reading
								 * from runs */

	/* reading from runs: the line whose balance holds until some day */
	EcsLedgerRow line;
	int64		until;
} EcsDense;

static void
report_overflow(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("stock balance out of range"),
			 errdetail("A sum of quantities leaves the range of type bigint."),
			 errhint("Cast the quantity to numeric.")));
}

static void
init_column(EcsKeyColumn *column, Oid type, Oid collation)
{
	column->type = type;
	column->collation = collation;
	get_typlenbyval(type, &column->typlen, &column->typbyval);
	column->cache = lookup_type_cache(type,
									  TYPECACHE_HASH_PROC_FINFO | TYPECACHE_EQ_OPR_FINFO | TYPECACHE_LT_OPR);
	if (!OidIsValid(column->cache->hash_proc) || !OidIsValid(column->cache->eq_opr))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("could not identify a hash function for type %s", format_type_be(type)),
				 errhint("Cast the key column to a type that can be hashed, such as text.")));
	if (!OidIsValid(column->cache->lt_opr))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("could not identify an ordering operator for type %s", format_type_be(type)),
				 errhint("Cast the key column to a type that can be sorted, such as text.")));
	column->sort = (SortSupportData)
	{
		.ssup_cxt = CurrentMemoryContext,
			.ssup_collation = collation,
	};
	PrepareSortSupportFromOrderingOp(column->cache->lt_opr, &column->sort);
}

/* Types that are equal and sort as integers of their width do */
static bool
is_plain(Oid type)
{
	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case DATEOID:
			return true;
		case INT8OID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return FLOAT8PASSBYVAL;
		default:
			return false;
	}
}

EcsLedger *
ecs_ledger_create(int nkeys, const Oid *types, const Oid *collations,
				  bool numeric, bool timed, Size limit)
{
	EcsLedger  *ledger = palloc0(sizeof(EcsLedger));

	ledger->context = CurrentMemoryContext;
	ledger->run_context = AllocSetContextCreate(CurrentMemoryContext, "stock ledger",
												ALLOCSET_DEFAULT_SIZES);
	ledger->nkeys = nkeys;
	ledger->numeric = numeric;

	ledger->timed = timed;
	ledger->plain = true;
	for (int i = 0; i < nkeys; i++)
	{
		init_column(&ledger->columns[i], types[i], collations[i]);
		ledger->plain &= is_plain(getBaseType(types[i]));
	}
	/* no key lies in two cache lines */
	ledger->stride = nkeys <= 1 ? PG_CACHE_LINE_SIZE / 4 : PG_CACHE_LINE_SIZE / 2;
	ledger->limit = limit;
	ledger->chunk_cells = Min(MOST_CHUNK_CELLS, Max(64, limit / (16 * (2 * sizeof(EcsCell) + sizeof(uint32)))));
	ledger->max_runs = Min(1000, Max(8, limit / (4 * BLCKSZ)));
	if (numeric)
		ledger->balance = (int64) datumCopy(NumericGetDatum(int64_to_numeric(0)), false, -1);
	ecs_ledger_reset_run(ledger);
	return ledger;
}

/*
 * Memory that is visited at random, or soon in full: large pages, where the
 * system has them for those who ask, spare most of the misses of the address
 * cache and most page faults.
 */
static void *
alloc_large(EcsLedger *ledger, Size size)
{
	char	   *memory = MemoryContextAllocHuge(ledger->run_context, size);

#ifdef MADV_HUGEPAGE
	char	   *from = (char *) TYPEALIGN(LARGE_PAGE, memory);
	char	   *to = (char *) TYPEALIGN_DOWN(LARGE_PAGE, memory + size);

	if (from < to)
		(void) madvise(from, to - from, MADV_HUGEPAGE);
#endif
	return memory;
}

/* Room for n keys, aligned to cache lines */
static void
grow_keys(EcsLedger *ledger, uint32 n)
{
	char	   *memory = alloc_large(ledger, n * ledger->stride + PG_CACHE_LINE_SIZE);
	char	   *keys = (char *) TYPEALIGN(PG_CACHE_LINE_SIZE, memory);

	if (ledger->max_keys > 0)
	{
		memcpy(keys, ledger->keys, ledger->used_keys * ledger->stride);
		pfree(ledger->keys_memory);
	}
	ledger->keys = keys;
	ledger->keys_memory = memory;
	ledger->memory += (n - ledger->max_keys) * KEY_MEMORY(ledger);
	ledger->max_keys = n;
}

/* Empty the table and the log */
void
ecs_ledger_reset_run(EcsLedger *ledger)
{
	MemoryContextReset(ledger->run_context);
	ledger->first_chunk = ledger->last_chunk = NULL;
	ledger->used_keys = 0;
	ledger->memory = 0;
	ledger->cells = 0;
	ledger->mask = 2 * FIRST_KEYS - 1;
	ledger->slots = MemoryContextAllocZero(ledger->run_context, 2 * FIRST_KEYS * sizeof(EcsKeySlot));
	ledger->max_keys = 0;
	grow_keys(ledger, FIRST_KEYS);
}

/* Room for twice as many keys */
static void
grow_table(EcsLedger *ledger)
{
	Size		nslots = 4 * (Size) ledger->max_keys;
	EcsKeySlot *slots = alloc_large(ledger, nslots * sizeof(EcsKeySlot));
	uint32		mask = (uint32) (nslots - 1);

	memset(slots, 0, nslots * sizeof(EcsKeySlot));
	for (Size i = 0; i <= ledger->mask; i++)
	{
		EcsKeySlot	slot = ledger->slots[i];
		uint32		to = slot.hash & mask;

		if (slot.id == 0)
			continue;
		while (slots[to].id != 0)
			to = (to + 1) & mask;
		slots[to] = slot;
	}
	pfree(ledger->slots);
	ledger->slots = slots;
	ledger->mask = mask;
	grow_keys(ledger, 2 * ledger->max_keys);
}

static bool
same_key(EcsLedger *ledger, const EcsKey *key, const Datum *values, uint32 nulls)
{
	if (key->nulls != nulls)
		return false;
	for (int i = 0; i < ledger->nkeys; i++)
	{
		EcsKeyColumn *column = &ledger->columns[i];

		if (ledger->plain)
		{
			if (key->values[i] != values[i])
				return false;
		}
		else if ((nulls & (1 << i)) == 0 &&
				 !DatumGetBool(FunctionCall2Coll(&column->cache->eq_opr_finfo, column->collation,
												 key->values[i], values[i])))
			return false;
	}
	return true;
}

/* Keep a key's values as long as the table lasts */
static void
store_key(EcsLedger *ledger, EcsKey *key, const Datum *values, uint32 nulls)
{
	key->cells = 0;
	key->nulls = nulls;
	for (int i = 0; i < ledger->nkeys; i++)
	{
		EcsKeyColumn *column = &ledger->columns[i];

		if (column->typbyval || (nulls & (1 << i)) != 0)
			key->values[i] = values[i];
		else
		{
			MemoryContext caller = MemoryContextSwitchTo(ledger->run_context);

			key->values[i] = datumCopy(values[i], false, column->typlen);
			MemoryContextSwitchTo(caller);
			ledger->memory += datumGetSize(values[i], false, column->typlen) + 2 * sizeof(void *);
		}
	}
}

/* The same for a number; only now, since a run that is written frees all numbers */
static int64
store_number(EcsLedger *ledger, int64 quantity)
{
	MemoryContext caller = MemoryContextSwitchTo(ledger->run_context);
	Numeric		number = DatumGetNumericCopy((Datum) quantity);

	MemoryContextSwitchTo(caller);
	/* twice: for the balance that make_lines() keeps */
	ledger->memory += 2 * (VARSIZE(number) + 2 * sizeof(void *));
	return (int64) NumericGetDatum(number);
}

static void
spill(EcsLedger *ledger)
{
	MemoryContext caller = MemoryContextSwitchTo(ledger->context);

	ecs_ledger_write_run(ledger);
	MemoryContextSwitchTo(caller);
}

static uint32
find_key(EcsLedger *ledger, const Datum *values, uint32 nulls, uint32 hash)
{
	uint32		at;
	EcsKeySlot *slot;

	for (at = hash & ledger->mask;; at = (at + 1) & ledger->mask)
	{
		slot = &ledger->slots[at];
		if (slot->id == 0)
			break;
		if (slot->hash == hash && same_key(ledger, ecs_ledger_key(ledger, slot->id), values, nulls))
			return slot->id;
	}

	if (unlikely(ledger->used_keys == ledger->max_keys))
	{
		if (ledger->memory + ledger->max_keys * KEY_MEMORY(ledger) > ledger->limit ||
			ledger->max_keys > PG_INT32_MAX / 2)
			spill(ledger);
		else
			grow_table(ledger);
		return find_key(ledger, values, nulls, hash);
	}
	slot->hash = hash;
	slot->id = ++ledger->used_keys;
	store_key(ledger, ecs_ledger_key(ledger, slot->id), values, nulls);
	return slot->id;
}

static EcsLogChunk *
add_chunk(EcsLedger *ledger)
{
	Size		size = ledger->chunk_cells * (sizeof(EcsCell) + sizeof(uint32));
	EcsLogChunk *chunk = alloc_large(ledger, MAXALIGN(sizeof(EcsLogChunk)) + size);

	chunk->next = NULL;
	chunk->used = 0;
	chunk->cells = (EcsCell *) ((char *) chunk + MAXALIGN(sizeof(EcsLogChunk)));
	chunk->ids = (uint32 *) (chunk->cells + ledger->chunk_cells);
	if (ledger->last_chunk == NULL)
		ledger->first_chunk = chunk;
	else
		ledger->last_chunk->next = chunk;
	ledger->last_chunk = chunk;
	ledger->memory += size + ledger->chunk_cells * SORT_CELL_MEMORY;
	return chunk;
}

static inline void
log_cell(EcsLedger *ledger, uint32 id, EcsCell cell)
{
	EcsLogChunk *chunk = ledger->last_chunk;

	if (unlikely(chunk == NULL || chunk->used == ledger->chunk_cells))
		chunk = add_chunk(ledger);
	chunk->ids[chunk->used] = id;
	chunk->cells[chunk->used++] = cell;
}

/* Add a movement to its key, which the processor's cache holds by now */
static inline void
add_cell(EcsLedger *ledger, const Datum *values, uint32 nulls, uint32 hash, EcsCell cell)
{
	uint32		id;
	EcsKey	   *key;

	if (unlikely(ledger->memory > ledger->limit || ledger->cells == PG_UINT32_MAX) &&
		ledger->used_keys > 0)
		spill(ledger);
	id = find_key(ledger, values, nulls, hash);
	key = ecs_ledger_key(ledger, id);
	if (ledger->numeric)
		cell.quantity = store_number(ledger, cell.quantity);

	if (key->cells > 0)
	{
		if (key->open.at == cell.at && !ledger->numeric)
		{
			if (cell.at & ECS_AT_COUNTED)
				key->open.quantity = Max(key->open.quantity, cell.quantity);
			else if (pg_add_s64_overflow(key->open.quantity, cell.quantity, &key->open.quantity))
				report_overflow();
			return;
		}
		log_cell(ledger, id, key->open);
	}
	key->open = cell;
	key->cells++;
	ledger->cells++;
}

/* The last step of the ring, for the oldest movement in it */
static inline void
add_pending(EcsLedger *ledger, EcsPending *pending)
{
	add_cell(ledger, pending->values, 0, pending->hash, pending->cell);
}

static inline Datum
plain_value(const EcsKeyColumn *column, Datum value)
{
	switch (column->typlen)
	{
		case sizeof(int16):
			return Int16GetDatum(DatumGetInt16(value));
		case sizeof(int32):
			return Int32GetDatum(DatumGetInt32(value));
		default:
			return value;
	}
}

/* A multiplicative hash with the upper bits folded into the lower ones */
static inline uint64
mix(uint64 hash, uint64 value)
{
	hash = (hash ^ value) * UINT64CONST(0x9E3779B97F4A7C15);
	return hash ^ (hash >> 32);
}

static void
add_plain(EcsLedger *ledger, const Datum *values, uint32 nulls, EcsCell cell)
{
	EcsPending *pending = &ledger->pending[ledger->npending % ECS_PENDING];
	EcsPending *half = &ledger->pending[(ledger->npending + ECS_PENDING / 2) % ECS_PENDING];
	uint64		hash = 0;
	Datum		plain[ECS_LEDGER_KEYS];

	for (int i = 0; i < ledger->nkeys; i++)
	{
		plain[i] = nulls & (1 << i) ? (Datum) 0 : plain_value(&ledger->columns[i], values[i]);
		hash = mix(hash, (uint64) plain[i]);
	}
	hash = mix(hash, nulls);

	if (unlikely(nulls != 0))
	{
		/* out of turn, which matters to nobody */
		add_cell(ledger, plain, nulls, (uint32) hash, cell);
		return;
	}
	if (ledger->npending >= ECS_PENDING)
		add_pending(ledger, pending);
	memcpy(pending->values, plain, sizeof(plain[0]) * ledger->nkeys);
	pending->cell = cell;
	pending->hash = (uint32) hash;
	ecs_prefetch(&ledger->slots[pending->hash & ledger->mask]);
	if (ledger->npending >= ECS_PENDING / 2)
	{
		uint32		at = half->hash & ledger->mask;

		while (ledger->slots[at].id != 0 && ledger->slots[at].hash != half->hash)
			at = (at + 1) & ledger->mask;
		if (ledger->slots[at].id != 0)
			ecs_prefetch(ecs_ledger_key(ledger, ledger->slots[at].id));
	}
	ledger->npending++;
}

static void
add_any(EcsLedger *ledger, const Datum *values, uint32 nulls, EcsCell cell)
{
	uint64		hash = 0;
	Datum		flat[ECS_LEDGER_KEYS];

	for (int i = 0; i < ledger->nkeys; i++)
	{
		EcsKeyColumn *column = &ledger->columns[i];

		flat[i] = values[i];
		if (nulls & (1 << i))
		{
			flat[i] = (Datum) 0;
			hash = mix(hash, 0);
			continue;
		}
		if (column->typlen == -1)
			flat[i] = PointerGetDatum(PG_DETOAST_DATUM_PACKED(values[i]));
		hash = mix(hash, DatumGetUInt32(FunctionCall1Coll(&column->cache->hash_proc_finfo,
														  column->collation, flat[i])));
	}
	add_cell(ledger, flat, nulls, (uint32) hash, cell);
}

void
ecs_ledger_add(EcsLedger *ledger, const Datum *values, uint32 nulls, int64 at, Datum quantity)
{
	EcsCell		cell = {at, (int64) quantity};

	if (ledger->plain && !ledger->numeric)
		add_plain(ledger, values, nulls, cell);
	else
		add_any(ledger, values, nulls, cell);
}

/* NULL sorts last */
int
ecs_ledger_compare_keys(EcsLedger *ledger, const Datum *a, uint32 a_nulls,
						const Datum *b, uint32 b_nulls)
{
	for (int i = 0; i < ledger->nkeys; i++)
	{
		int			order = ApplySortComparator(a[i], (a_nulls & (1 << i)) != 0,
												b[i], (b_nulls & (1 << i)) != 0,
												&ledger->columns[i].sort);

		if (order != 0)
			return order;
	}
	return 0;
}

static int
compare_ids(const void *a, const void *b, void *arg)
{
	EcsLedger  *ledger = arg;
	EcsKey	   *a_key = ecs_ledger_key(ledger, *(const uint32 *) a);
	EcsKey	   *b_key = ecs_ledger_key(ledger, *(const uint32 *) b);

	CHECK_FOR_INTERRUPTS();
	return ecs_ledger_compare_keys(ledger, a_key->values, a_key->nulls, b_key->values, b_key->nulls);
}

/*
 * Tell how to pack the columns of each key into one integer that sorts as the
 * key does: column i, less its minimum, shifted.  False where they do not fit.
 */
static bool
find_packing(EcsLedger *ledger, int64 *minimum, int *shift, int *bits)
{
	int64		maximum[ECS_LEDGER_KEYS];

	if (!ledger->plain || ledger->used_keys == 0)
		return false;
	for (int i = 0; i < ledger->nkeys; i++)
	{
		minimum[i] = PG_INT64_MAX;
		maximum[i] = PG_INT64_MIN;
	}
	for (uint32 id = 1; id <= ledger->used_keys; id++)
	{
		EcsKey	   *key = ecs_ledger_key(ledger, id);

		if (key->nulls != 0)
			return false;
		for (int i = 0; i < ledger->nkeys; i++)
		{
			minimum[i] = Min(minimum[i], (int64) key->values[i]);
			maximum[i] = Max(maximum[i], (int64) key->values[i]);
		}
	}
	*bits = 0;
	for (int i = ledger->nkeys - 1; i >= 0; i--)
	{
		uint64		range = (uint64) maximum[i] - (uint64) minimum[i];

		shift[i] = *bits;
		*bits += range == 0 ? 0 : pg_leftmost_one_pos64(range) + 1;
		if (*bits > 64)
			return false;
	}
	return true;
}

static RadixItem *
radix_sort(RadixItem *from, RadixItem *to, Size n, int bits)
{
	Size		starts[1 << RADIX_BITS];

	for (int shift = 0; shift < bits; shift += RADIX_BITS)
	{
		RadixItem  *sorted = to;
		Size		start = 0;

		memset(starts, 0, sizeof(starts));
		for (Size i = 0; i < n; i++)
			starts[(from[i].key >> shift) & ((1 << RADIX_BITS) - 1)]++;
		for (int digit = 0; digit < 1 << RADIX_BITS; digit++)
		{
			Size		count = starts[digit];

			starts[digit] = start;
			start += count;
		}
		for (Size i = 0; i < n; i++)
			to[starts[(from[i].key >> shift) & ((1 << RADIX_BITS) - 1)]++] = from[i];
		to = from;
		from = sorted;
	}
	return from;
}

/* Fill ledger->order with the ids of all keys in order */
static void
sort_keys(EcsLedger *ledger)
{
	uint32		n = ledger->used_keys;
	int64		minimum[ECS_LEDGER_KEYS];
	int			shift[ECS_LEDGER_KEYS];
	int			bits;

	ledger->order = MemoryContextAllocHuge(ledger->run_context, (Size) Max(n, 1) * sizeof(uint32));
	if (find_packing(ledger, minimum, shift, &bits))
	{
		RadixItem  *items = MemoryContextAllocHuge(ledger->run_context, 2 * (Size) n * sizeof(RadixItem));
		RadixItem  *sorted;

		for (uint32 id = 1; id <= n; id++)
		{
			EcsKey	   *key = ecs_ledger_key(ledger, id);
			uint64		packed = 0;

			for (int i = 0; i < ledger->nkeys; i++)
			{
				uint64		value = (uint64) key->values[i] - (uint64) minimum[i];

				/* the shift of a column without range may be 64 */
				if (value != 0)
					packed |= value << shift[i];
			}
			items[id - 1] = (RadixItem)
			{
				packed, id
			};
		}
		sorted = radix_sort(items, items + n, n, bits);
		for (uint32 i = 0; i < n; i++)
			ledger->order[i] = sorted[i].id;
		pfree(items);
	}
	else
	{
		for (uint32 i = 0; i < n; i++)
			ledger->order[i] = i + 1;
		qsort_arg(ledger->order, n, sizeof(uint32), compare_ids, ledger);
	}
}

/* Sort the keys, and distribute the cells among them */
void
ecs_ledger_sort(EcsLedger *ledger)
{
	uint64		start = 0;
	uint64	   *ends;

	sort_keys(ledger);
	ledger->sorted = alloc_large(ledger, Max(ledger->cells, 1) * sizeof(EcsCell));
	ledger->ends = ends = MemoryContextAllocHuge(ledger->run_context,
												 (Size) Max(ledger->used_keys, 1) * sizeof(uint64));
	for (uint32 i = 0; i < ledger->used_keys; i++)
	{
		uint32		id = ledger->order[i];

		ends[id - 1] = start;
		start += ecs_ledger_key(ledger, id)->cells;
	}
	for (EcsLogChunk *chunk = ledger->first_chunk; chunk != NULL; chunk = chunk->next)
	{
		CHECK_FOR_INTERRUPTS();
		for (uint32 i = 0; i < chunk->used; i++)
			ledger->sorted[ends[chunk->ids[i] - 1]++] = chunk->cells[i];
	}
	for (uint32 id = 1; id <= ledger->used_keys; id++)
		ledger->sorted[ends[id - 1]++] = ecs_ledger_key(ledger, id)->open;
	ledger->at_key = 0;
	ledger->at_cell = 0;
}

static int
compare_cells(const void *a, const void *b)
{
	int64		a_at = ((const EcsCell *) a)->at;
	int64		b_at = ((const EcsCell *) b)->at;

	return (a_at > b_at) - (a_at < b_at);
}

/* Put the cells of the key at hand in order */
void
ecs_ledger_sort_cells(EcsCell *cells, Size n)
{
	if (n > INSERTION_LENGTH)
	{
		qsort(cells, n, sizeof(EcsCell), compare_cells);	/* knows sorted input */
		return;
	}
	for (Size i = 1; i < n; i++)
	{
		EcsCell		cell = cells[i];
		Size		to = i;

		while (to > 0 && cells[to - 1].at > cell.at)
		{
			cells[to] = cells[to - 1];
			to--;
		}
		cells[to] = cell;
	}
}

/* Step to the next cell; false at the end */
static inline bool
fetch_cell(EcsLedger *ledger)
{
	if (unlikely(ledger->nruns > 0))
		return ecs_ledger_merge_cell(ledger);

	ledger->next_is_new_key = ledger->at_cell == ledger->end_of_key;
	if (ledger->next_is_new_key)
	{
		uint32		id;
		EcsKey	   *key;

		if (ledger->at_key == ledger->used_keys)
			return false;
		if (ledger->at_key + KEYS_AHEAD < ledger->used_keys)
		{
			uint32		ahead = ledger->order[ledger->at_key + KEYS_AHEAD];

			ecs_prefetch(ecs_ledger_key(ledger, ahead));
			ecs_prefetch(&ledger->ends[ahead - 1]);
		}
		CHECK_FOR_INTERRUPTS();
		id = ledger->order[ledger->at_key++];
		key = ecs_ledger_key(ledger, id);
		ledger->end_of_key = ledger->ends[id - 1];
		ledger->next_values = key->values;
		ledger->next_nulls = key->nulls;
		ecs_ledger_sort_cells(ledger->sorted + ledger->at_cell, ledger->end_of_key - ledger->at_cell);
	}
	ledger->next = ledger->sorted[ledger->at_cell++];
	return true;
}

void
ecs_ledger_finish(EcsLedger *ledger)
{
	MemoryContext caller = MemoryContextSwitchTo(ledger->context);
	uint64		waiting = Min(ledger->npending, ECS_PENDING);

	for (uint64 i = ledger->npending - waiting; i != ledger->npending; i++)
		add_pending(ledger, &ledger->pending[i % ECS_PENDING]);
	ledger->npending = 0;
	if (ledger->nruns > 0)
	{
		if (ledger->used_keys > 0)
			ecs_ledger_write_run(ledger);
		ecs_ledger_start_merge(ledger);
	}
	else
		ecs_ledger_sort(ledger);
	ledger->has_next = fetch_cell(ledger);
	MemoryContextSwitchTo(caller);
}

/* Balance and count of one day of one key, as its cells are taken in order */
static inline int64
apply_integer(int64 balance, EcsCell cell, bool again)
{
	if (cell.at & ECS_AT_COUNTED)

		/*
		 * of several counts at one instant the largest is taken, whatever
		 * their order
		 */
		return again ? Max(balance, cell.quantity) : cell.quantity;
	if (pg_add_s64_overflow(balance, cell.quantity, &balance))
		report_overflow();
	return balance;
}

static Numeric
apply_numeric(Numeric balance, EcsCell cell, bool again)
{
	Datum		a = NumericGetDatum(balance);
	Datum		b = (Datum) cell.quantity;

	if (!(cell.at & ECS_AT_COUNTED))
		return DatumGetNumeric(DirectFunctionCall2(numeric_add, a, b));
	if (again)
		b = DirectFunctionCall2(numeric_larger, a, b);
	/* a number read from a run goes when the next one is read */
	return DatumGetNumericCopy(b);
}

static void
keep_numeric_balance(EcsLedger *ledger, Numeric balance)
{
	MemoryContext caller = MemoryContextSwitchTo(ledger->context);

	pfree(CellNumeric(ledger->balance));
	ledger->balance = (int64) datumCopy(NumericGetDatum(balance), false, -1);
	MemoryContextSwitchTo(caller);
}

bool
ecs_ledger_next(EcsLedger *ledger, EcsLedgerRow *row)
{
	int64		before;
	int64		balance;
	EcsCell		cell = {0, 0};
	bool		again = false;

	if (!ledger->has_next)
		return false;

	row->new_key = ledger->next_is_new_key;
	row->values = ledger->next_values;
	row->nulls = ledger->next_nulls;
	row->day = ECS_AT_DAY(ledger->next.at);
	row->counted = false;
	if (row->new_key)
	{
		if (ledger->nruns > 0)
			ecs_ledger_keep_merged_key(ledger);
		if (ledger->numeric)
			keep_numeric_balance(ledger, int64_to_numeric(0));
		else
			ledger->balance = 0;
	}
	if (ledger->nruns > 0)
	{
		row->values = ledger->merged_values;
		row->nulls = ledger->merged_nulls;
	}

	before = balance = ledger->balance;
	do
	{
		again = row->counted && cell.at == ledger->next.at;
		cell = ledger->next;
		row->counted |= (cell.at & ECS_AT_COUNTED) != 0;
		if (ledger->numeric)
		{
			int64		summand = balance;

			balance = (int64) NumericGetDatum(apply_numeric(CellNumeric(balance), cell, again));
			if (summand != before)
				pfree(CellNumeric(summand));
		}
		else
			balance = apply_integer(balance, cell, again);
		ledger->has_next = fetch_cell(ledger);
	} while (ledger->has_next && !ledger->next_is_new_key && ECS_AT_DAY(ledger->next.at) == row->day);

	if (ledger->numeric)
	{
		row->change = (int64) DirectFunctionCall2(numeric_sub, (Datum) balance, (Datum) before);
		keep_numeric_balance(ledger, CellNumeric(balance));
	}
	else
	{
		if (pg_sub_s64_overflow(balance, before, &row->change))
			report_overflow();
		ledger->balance = balance;
	}
	row->balance = ledger->balance;
	return true;
}

/*
 * Turn the cells of all keys into lines (day, balance), in place, since there
 * are no more lines than cells.
 */
static DenseKey *
make_lines(EcsLedger *ledger)
{
	DenseKey   *keys = MemoryContextAllocHuge(ledger->run_context,
											  (Size) Max(ledger->used_keys, 1) * sizeof(DenseKey));
	DenseKey   *key = keys - 1;
	uint64		lines = 0;
	EcsLedgerRow row;
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "stock ledger lines",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(scratch);

	while (ecs_ledger_next(ledger, &row))
	{
		int64		balance = row.balance;

		CHECK_FOR_INTERRUPTS();
		if (row.new_key)
		{
			*++key = (DenseKey)
			{
				.line = lines,
					.next_day = row.day
			};
		}
		if (ledger->numeric)
		{
			MemoryContextSwitchTo(ledger->run_context);
			balance = (int64) datumCopy((Datum) balance, false, -1);
			MemoryContextSwitchTo(scratch);
			MemoryContextReset(scratch);
		}
		ledger->sorted[lines++] = (EcsCell)
		{
			row.day, balance
		};
		key->left++;
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);
	return keys;
}

void
ecs_ledger_dense(EcsLedger *ledger, const DateADT *days, int ndays)
{
	MemoryContext caller = MemoryContextSwitchTo(ledger->context);

	ledger->dense = palloc0(sizeof(EcsDense));
	ledger->dense->days = days;
	ledger->dense->ndays = ndays;
	if (ledger->nruns == 0)
		ledger->dense->keys = make_lines(ledger);
	else
		ledger->dense->at_day = ndays;	/* no line yet */
	MemoryContextSwitchTo(caller);
}

/* The days one after the other */
static bool
next_of_day(EcsLedger *ledger, EcsLedgerRow *row)
{
	EcsDense   *dense = ledger->dense;

	for (; dense->at_day < dense->ndays; dense->at_day++, dense->at_key = 0)
	{
		DateADT		day = dense->days[dense->at_day];

		CHECK_FOR_INTERRUPTS();
		while (dense->at_key < ledger->used_keys)
		{
			uint32		i = dense->at_key++;
			DenseKey   *state = &dense->keys[i];
			EcsKey	   *key;

			while (state->left > 0 && state->next_day <= day)
			{
				state->balance = ledger->sorted[state->line++].quantity;
				state->seen = true;
				if (--state->left > 0)
					state->next_day = (DateADT) ledger->sorted[state->line].at;
			}
			if (!state->seen)
				continue;
			key = ecs_ledger_key(ledger, ledger->order[i]);
			row->values = key->values;
			row->nulls = key->nulls;
			row->day = day;
			row->balance = state->balance;
			return true;
		}
	}
	return false;
}

/* The keys one after the other: each line's balance holds until the next line's day */
static bool
next_of_key(EcsLedger *ledger, EcsLedgerRow *row)
{
	EcsDense   *dense = ledger->dense;
	EcsLedgerRow *line = &dense->line;

	while (dense->at_day == dense->ndays || dense->days[dense->at_day] >= dense->until)
	{
		CHECK_FOR_INTERRUPTS();
		if (!ecs_ledger_next(ledger, line))
			return false;
		dense->until = ledger->has_next && !ledger->next_is_new_key ?
			ECS_AT_DAY(ledger->next.at) : PG_INT64_MAX;
		if (line->new_key)
			dense->at_day = 0;
		while (dense->at_day < dense->ndays && dense->days[dense->at_day] < line->day)
			dense->at_day++;
	}
	*row = *line;
	row->day = dense->days[dense->at_day++];
	return true;
}

bool
ecs_ledger_dense_next(EcsLedger *ledger, EcsLedgerRow *row)
{
	return ledger->dense->keys != NULL ? next_of_day(ledger, row) : next_of_key(ledger, row);
}
