/*
 * key.h
 *		Keys of up to four columns of any type that can be hashed and sorted.
 */
#ifndef ECS_KEY_H
#define ECS_KEY_H

#include "utils/sortsupport.h"
#include "utils/typcache.h"

#define ECS_KEY_COLUMNS		4

typedef struct EcsKeyColumn
{
	int16		typlen;
	bool		typbyval;
	Oid			collation;
	TypeCacheEntry *cache;
	SortSupportData sort;
} EcsKeyColumn;

typedef struct EcsKeyType
{
	int			ncolumns;
	bool		plain;			/* all columns are equal and sort as integers
								 * of their width do */
	EcsKeyColumn columns[ECS_KEY_COLUMNS];
} EcsKeyType;

/* A key; nulls has a bit for each column that is NULL, whose value then is 0 */
typedef struct EcsKey
{
	const Datum *values;
	uint32		nulls;
} EcsKey;

static inline EcsKey
ecs_key(const Datum *values, uint32 nulls)
{
	EcsKey		key = {values, nulls};

	return key;
}

/* Lives in the current memory context; errors where a type will not do */
extern void ecs_key_type_init(EcsKeyType *type, int ncolumns, const Oid *types, const Oid *collations);

extern int	ecs_key_compare(const EcsKeyType *type, EcsKey a, EcsKey b);	/* NULL sorts last */

/* Copies what the values point to into the current context */
extern void ecs_key_copy(const EcsKeyType *type, EcsKey key, Datum *values);

/* For types that are not plain: as ecs_key_prepare(), and whether two values of a column are equal */
extern uint32 ecs_key_prepare_any(const EcsKeyType *type, Datum *values, uint32 nulls);
extern bool ecs_values_equal(const EcsKeyColumn *column, Datum a, Datum b);

/* A multiplicative hash with the upper bits folded into the lower ones */
static inline uint64
ecs_key_mix(uint64 hash, uint64 value)
{
	hash = (hash ^ value) * UINT64CONST(0x9E3779B97F4A7C15);
	return hash ^ (hash >> 32);
}

static inline Datum
ecs_plain_value(const EcsKeyColumn *column, Datum value)
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

/*
 * The hash of a key.  Its values are made what the other functions expect:
 * integers extended to a Datum, others detoasted in the current context, 0 for
 * NULL.
 */
static inline uint32
ecs_key_prepare(const EcsKeyType *type, Datum *values, uint32 nulls)
{
	uint64		hash = nulls;

	if (!type->plain)
		return ecs_key_prepare_any(type, values, nulls);
	for (int i = 0; i < type->ncolumns; i++)
	{
		values[i] = nulls & (1 << i) ? (Datum) 0 : ecs_plain_value(&type->columns[i], values[i]);
		hash = ecs_key_mix(hash, values[i]);
	}
	return (uint32) hash;
}

static inline bool
ecs_key_equal(const EcsKeyType *type, EcsKey a, EcsKey b)
{
	if (a.nulls != b.nulls)
		return false;
	for (int i = 0; i < type->ncolumns; i++)
	{
		/* NULL is 0 in both; values at one address are one value */
		if (a.values[i] != b.values[i] &&
			(type->plain || !ecs_values_equal(&type->columns[i], a.values[i], b.values[i])))
			return false;
	}
	return true;
}

#endif							/* ECS_KEY_H */
