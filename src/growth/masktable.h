/*
 * masktable.h
 *		A word of bits for each key of a long stream, where the key is a word too.
 */
#ifndef ECS_MASKTABLE_H
#define ECS_MASKTABLE_H

/* Told every key once, when all have been added, in no order */
typedef void (*EcsMaskFunction) (Datum key, const uint64 *mask, void *arg);

typedef struct EcsMaskTable EcsMaskTable;

extern EcsMaskTable *ecs_mask_table_create(EcsMaskFunction emit, void *arg);

/* Set the bits of a mask, which is not 0, for a key */
extern void ecs_mask_table_add(EcsMaskTable *table, Datum key, uint64 mask);

extern void ecs_mask_table_finish(EcsMaskTable *table);

#endif							/* ECS_MASKTABLE_H */
