/*
 * keysort.c
 *		The order of the keys in a table.
 *
 * Keys of integers whose ranges together fit in 64 bits are packed into one
 * integer each, which sorts as the key does, and these are sorted by their
 * digits, the last one first (D. E. Knuth, The Art of Computer Programming,
 * volume 3, section 5.2.5, algorithm R).  Others are sorted by comparison.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "base/memory.h"

#include "stock/keytable.h"

#define RADIX_BITS		11
#define RADIX_MASK		((1 << RADIX_BITS) - 1)

/* How keys are packed: column i less its minimum, shifted */
typedef struct Packing
{
	int64		minimum[ECS_KEY_COLUMNS];
	int			shift[ECS_KEY_COLUMNS];
	int			bits;			/* in all */
} Packing;

typedef struct PackedKey
{
	uint64		key;
	uint32		id;
} PackedKey;

/* False where the keys cannot be packed */
static bool
find_packing(const EcsKeyTable *table, Packing *packing)
{
	int			ncolumns = table->type->ncolumns;
	int64		maximum[ECS_KEY_COLUMNS];

	if (!table->type->plain)
		return false;
	for (int i = 0; i < ncolumns; i++)
	{
		packing->minimum[i] = PG_INT64_MAX;
		maximum[i] = PG_INT64_MIN;
	}
	for (uint32 id = 1; id <= table->used; id++)
	{
		EcsKeyEntry *entry = ecs_keys_entry(table, id);

		if (entry->nulls != 0)
			return false;
		for (int i = 0; i < ncolumns; i++)
		{
			packing->minimum[i] = Min(packing->minimum[i], (int64) entry->values[i]);
			maximum[i] = Max(maximum[i], (int64) entry->values[i]);
		}
	}
	packing->bits = 0;
	for (int i = ncolumns - 1; i >= 0; i--)
	{
		uint64		range = (uint64) maximum[i] - (uint64) packing->minimum[i];

		packing->shift[i] = packing->bits;
		packing->bits += range == 0 ? 0 : pg_leftmost_one_pos64(range) + 1;
		if (packing->bits > 64)
			return false;
	}
	return true;
}

static uint64
pack(const Packing *packing, const EcsKeyEntry *entry, int ncolumns)
{
	uint64		packed = 0;

	for (int i = 0; i < ncolumns; i++)
	{
		uint64		value = (uint64) entry->values[i] - (uint64) packing->minimum[i];

		/* the shift of a column without range may be 64 */
		if (value != 0)
			packed |= value << packing->shift[i];
	}
	return packed;
}

/* Sorts in either of two arrays; returns the one that holds the result */
static PackedKey *
radix_sort(PackedKey *from, PackedKey *to, uint32 n, int bits)
{
	uint32		starts[1 << RADIX_BITS];

	for (int shift = 0; shift < bits; shift += RADIX_BITS)
	{
		PackedKey  *sorted = to;
		uint32		start = 0;

		CHECK_FOR_INTERRUPTS();
		memset(starts, 0, sizeof(starts));
		for (uint32 i = 0; i < n; i++)
			starts[(from[i].key >> shift) & RADIX_MASK]++;
		for (int digit = 0; digit <= RADIX_MASK; digit++)
		{
			uint32		count = starts[digit];

			starts[digit] = start;
			start += count;
		}
		for (uint32 i = 0; i < n; i++)
			to[starts[(from[i].key >> shift) & RADIX_MASK]++] = from[i];
		to = from;
		from = sorted;
	}
	return from;
}

static void
sort_packed(const EcsKeyTable *table, const Packing *packing, uint32 *order)
{
	uint32		n = table->used;
	PackedKey  *keys = ecs_alloc_large(table->context, 2 * (Size) n * sizeof(PackedKey));
	PackedKey  *sorted;

	for (uint32 i = 0; i < n; i++)
	{
		keys[i].key = pack(packing, ecs_keys_entry(table, i + 1), table->type->ncolumns);
		keys[i].id = i + 1;
	}
	sorted = radix_sort(keys, keys + n, n, packing->bits);
	for (uint32 i = 0; i < n; i++)
		order[i] = sorted[i].id;
	pfree(keys);
}

static int
compare_ids(const void *a, const void *b, void *arg)
{
	const EcsKeyTable *table = arg;

	CHECK_FOR_INTERRUPTS();
	return ecs_key_compare(table->type,
						   ecs_entry_key(ecs_keys_entry(table, *(const uint32 *) a)),
						   ecs_entry_key(ecs_keys_entry(table, *(const uint32 *) b)));
}

uint32 *
ecs_keys_sort(const EcsKeyTable *table)
{
	uint32		n = table->used;
	uint32	   *order = ecs_alloc_large(table->context, (Size) Max(n, 1) * sizeof(uint32));
	Packing		packing;

	if (n > 0 && find_packing(table, &packing))
	{
		sort_packed(table, &packing, order);
		return order;
	}
	for (uint32 i = 0; i < n; i++)
		order[i] = i + 1;
	qsort_arg(order, n, sizeof(uint32), compare_ids, (void *) table);
	return order;
}
