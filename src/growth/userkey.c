/*
 * userkey.c
 *		Users of any type as one or two words.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "growth/hash.h"
#include "growth/userkey.h"

bool
ecs_type_is_word(Oid type)
{
	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case DATEOID:
			return true;
		default:
			return false;
	}
}

void
ecs_user_key_init(EcsUserKeyType *key_type, Oid type, Oid collation, MemoryContext context)
{
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_HASH_EXTENDED_PROC_FINFO | TYPECACHE_EQ_OPR_FINFO);

	if (!OidIsValid(entry->hash_extended_proc) || !OidIsValid(entry->eq_opr))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("users cannot be told apart by type %s", format_type_be(type)),
				 errdetail("The type has no hash function."),
				 errhint("Use a view that casts the column to a type with one, such as text.")));
	fmgr_info_copy(&key_type->hash_function, &entry->hash_extended_proc_finfo, context);
	fmgr_info_copy(&key_type->eq_function, &entry->eq_opr_finfo, context);
	key_type->collation = collation;
	key_type->typlen = entry->typlen;

	switch (type)
	{
		case UUIDOID:
			key_type->kind = ECS_KEY_UUID;
			break;
		case TEXTOID:
		case VARCHAROID:
			key_type->kind = !OidIsValid(collation) || get_collation_isdeterministic(collation) ? ECS_KEY_TEXT : ECS_KEY_REFERENCE;
			break;
		case BYTEAOID:
			key_type->kind = ECS_KEY_TEXT;
			break;
		default:
			key_type->kind = ecs_type_is_word(type) ? ECS_KEY_BITS : entry->typbyval ? ECS_KEY_VALUE : ECS_KEY_REFERENCE;
	}
	key_type->words = key_type->kind <= ECS_KEY_VALUE ? 1 : 2;
}

uint64
ecs_user_key_hash_copied(EcsUserKeyType *key_type, Datum key)
{
	if (key_type->kind == ECS_KEY_TEXT)
		return DatumGetUInt64(hash_any_extended((unsigned char *) VARDATA_ANY(DatumGetPointer(key)),
												VARSIZE_ANY_EXHDR(DatumGetPointer(key)), 0));
	return DatumGetUInt64(FunctionCall2Coll(&key_type->hash_function, key_type->collation, key, UInt64GetDatum(0)));
}

uint64
ecs_user_key_hash(EcsUserKeyType *key_type, const uint64 *words)
{
	switch (key_type->kind)
	{
		case ECS_KEY_BITS:
			return ecs_mix(words[0]);
		case ECS_KEY_VALUE:
			return ecs_mix(DatumGetUInt64(FunctionCall2Coll(&key_type->hash_function, key_type->collation,
															(Datum) words[0], UInt64GetDatum(0))));
		case ECS_KEY_UUID:
			return ecs_mix(words[0] ^ ecs_mix(words[1]));
		default:
			return words[0];
	}
}

bool
ecs_user_key_equal(EcsUserKeyType *key_type, const uint64 *a, const uint64 *b)
{
	switch (key_type->kind)
	{
		case ECS_KEY_BITS:
			return a[0] == b[0];
		case ECS_KEY_UUID:
			return a[0] == b[0] && a[1] == b[1];
		case ECS_KEY_TEXT:
			{
				const struct varlena *left = (const struct varlena *) DatumGetPointer((Datum) a[1]);
				const struct varlena *right = (const struct varlena *) DatumGetPointer((Datum) b[1]);

				return a[0] == b[0] && VARSIZE_ANY_EXHDR(left) == VARSIZE_ANY_EXHDR(right) &&
					memcmp(VARDATA_ANY(left), VARDATA_ANY(right), VARSIZE_ANY_EXHDR(left)) == 0;
			}
		case ECS_KEY_REFERENCE:
			if (a[0] != b[0])
				return false;
			/* FALLTHROUGH */
		default:
			return DatumGetBool(FunctionCall2Coll(&key_type->eq_function, key_type->collation,
												  ecs_user_key_datum(key_type, a), ecs_user_key_datum(key_type, b)));
	}
}
