/*
 * usertable.h
 *		Some bits for each key of a long stream, in bounded memory.
 */
#ifndef ECS_USERTABLE_H
#define ECS_USERTABLE_H

/* What is told of a key at a time: a bit to be set, and what "apply" makes something of */
typedef struct EcsRecord
{
	int32		bit;			/* not 0 */
	int32		values[2];
} EcsRecord;

/*
 * The payload of a key is bits, zero before its first record but for bit 0, which
 * is always set; what follows them is apply's.  "apply" is called for every record
 * unless it is NULL.  "emit" is told every key once, when all records have been
 * added, in no order.
 */
typedef struct EcsUserTableMethods
{
	Size		payload_size;	/* a multiple of 8 */
	void		(*apply) (uint64 *payload, const EcsRecord *record, void *arg);
	void		(*emit) (Datum key, const uint64 *payload, void *arg);
	void	   *arg;
} EcsUserTableMethods;

typedef struct EcsUserTable EcsUserTable;

/* Errors 42883 where values of the type cannot be hashed */
extern EcsUserTable *ecs_user_table_create(Oid type, Oid collation, const EcsUserTableMethods *methods);
extern void ecs_user_table_add(EcsUserTable *table, Datum key, const EcsRecord *record);
extern void ecs_user_table_finish(EcsUserTable *table);

#endif							/* ECS_USERTABLE_H */
