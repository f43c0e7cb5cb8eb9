/*
 * userkey.h
 *		Users of any type as one or two words.
 *
 * What is passed by value takes one word, a uuid two.  Of other keys the words are
 * the hash, so that few unequal ones are compared, and the address.
 */
#ifndef ECS_USERKEY_H
#define ECS_USERKEY_H

#include "fmgr.h"

typedef enum EcsUserKeyKind
{
	ECS_KEY_BITS,				/* by value, equal if the Datums are */
	ECS_KEY_VALUE,				/* by value, equal if the operator says so */
	ECS_KEY_UUID,
	ECS_KEY_TEXT,				/* varlena, equal if the bytes are */
	ECS_KEY_REFERENCE			/* by reference, equal if the operator says so */
} EcsUserKeyKind;

#define ECS_KEY_IS_COPIED(kind)	((kind) >= ECS_KEY_TEXT)

typedef struct EcsUserKeyType
{
	EcsUserKeyKind kind;
	int			words;
	int16		typlen;
	Oid			collation;
	FmgrInfo	hash_function;
	FmgrInfo	eq_function;
} EcsUserKeyType;

/* Whether values of the type are ECS_KEY_BITS */
extern bool ecs_type_is_word(Oid type);

/* Equality is that of the type's default operator class.  Errors 42883 where values cannot be hashed */
extern void ecs_user_key_init(EcsUserKeyType *key_type, Oid type, Oid collation, MemoryContext context);

/* The first word of a key whose second is its address */
extern uint64 ecs_user_key_hash_copied(EcsUserKeyType *key_type, Datum key);

extern uint64 ecs_user_key_hash(EcsUserKeyType *key_type, const uint64 *words);
extern bool ecs_user_key_equal(EcsUserKeyType *key_type, const uint64 *a, const uint64 *b);

static inline Datum
ecs_user_key_datum(const EcsUserKeyType *key_type, const uint64 *words)
{
	return key_type->words == 1 ? (Datum) words[0] :
		key_type->kind == ECS_KEY_UUID ? PointerGetDatum(words) : (Datum) words[1];
}

#endif							/* ECS_USERKEY_H */
