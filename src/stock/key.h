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

/*
 * The hash of a key.  Its values are made what the other functions expect:
 * integers extended to a Datum, others detoasted in the current context.
 */
extern uint32 ecs_key_prepare(const EcsKeyType *type, Datum *values, uint32 nulls);

extern bool ecs_key_equal(const EcsKeyType *type, EcsKey a, EcsKey b);
extern int	ecs_key_compare(const EcsKeyType *type, EcsKey a, EcsKey b);	/* NULL sorts last */

/* Copies what the values point to into the current context */
extern void ecs_key_copy(const EcsKeyType *type, EcsKey key, Datum *values);

#endif							/* ECS_KEY_H */
