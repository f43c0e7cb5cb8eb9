/*
 * key.c
 *		Keys of up to four columns of any type that can be hashed and sorted.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "stock/key.h"

static void
init_column(EcsKeyColumn *column, Oid type, Oid collation)
{
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

void
ecs_key_type_init(EcsKeyType *type, int ncolumns, const Oid *types, const Oid *collations)
{
	type->ncolumns = ncolumns;
	type->plain = true;
	for (int i = 0; i < ncolumns; i++)
	{
		init_column(&type->columns[i], types[i], collations[i]);
		type->plain &= is_plain(getBaseType(types[i]));
	}
}

uint32
ecs_key_prepare_any(const EcsKeyType *type, Datum *values, uint32 nulls)
{
	uint64		hash = nulls;

	for (int i = 0; i < type->ncolumns; i++)
	{
		const EcsKeyColumn *column = &type->columns[i];

		if (nulls & (1 << i))
		{
			values[i] = (Datum) 0;
			continue;
		}
		if (column->typlen == -1)
			values[i] = PointerGetDatum(PG_DETOAST_DATUM_PACKED(values[i]));
		hash = ecs_key_mix(hash, DatumGetUInt32(FunctionCall1Coll(&column->cache->hash_proc_finfo,
																  column->collation, values[i])));
	}
	return (uint32) hash;
}

bool
ecs_values_equal(const EcsKeyColumn *column, Datum a, Datum b)
{
	return DatumGetBool(FunctionCall2Coll(&column->cache->eq_opr_finfo, column->collation, a, b));
}

int
ecs_key_compare(const EcsKeyType *type, EcsKey a, EcsKey b)
{
	for (int i = 0; i < type->ncolumns; i++)
	{
		int			order = ApplySortComparator(a.values[i], (a.nulls & (1 << i)) != 0,
												b.values[i], (b.nulls & (1 << i)) != 0,
												(SortSupport) &type->columns[i].sort);

		if (order != 0)
			return order;
	}
	return 0;
}

void
ecs_key_copy(const EcsKeyType *type, EcsKey key, Datum *values)
{
	for (int i = 0; i < type->ncolumns; i++)
	{
		const EcsKeyColumn *column = &type->columns[i];

		values[i] = key.nulls & (1 << i) ? key.values[i] :
			datumCopy(key.values[i], column->typbyval, column->typlen);
	}
}
