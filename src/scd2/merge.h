/*
 * merge.h
 *		The engine behind scd2_merge, scd2_upsert and scd2_close.
 */
#ifndef ECS_SCD2_MERGE_H
#define ECS_SCD2_MERGE_H

#include "scd2/scd2.h"

/* In the order of the SQL enum "scd2_action" */
typedef enum EcsScd2Action
{
	ECS_SCD2_INSERTED,
	ECS_SCD2_CHANGED,
	ECS_SCD2_OVERWRITTEN,
	ECS_SCD2_UNCHANGED,
	ECS_SCD2_CLOSED,
	ECS_SCD2_REOPENED,
	ECS_SCD2_LATE,
	ECS_SCD2_IGNORED,
	ECS_SCD2_ACTIONS
} EcsScd2Action;

/*
 * A batch of events for one table.  Its stores hold rows of one shape: class
 * "char", the columns with a value of their own, the effective time, and whether
 * the event is a delete.  "given" tells which columns the events bring.
 */
typedef struct EcsScd2Batch
{
	EcsScd2    *table;
	Relation	rel;
	bool	   *given;			/* by attribute number - 1 */
	bool		timed;			/* the events bring their time */
	bool		unknown;		/* the keys were never seen, whatever the hub
								 * says by now */
	uint64		counts[ECS_SCD2_ACTIONS];
	List	   *sorters;		/* whose stores are to be ended */
} EcsScd2Batch;

/* Roles of the columns whose values events bring */
#define ECS_SCD2_VALUES (ECS_SCD2_MASK(ECS_SCD2_KEY) | ECS_SCD2_MASK(ECS_SCD2_HISTORY) | \
						 ECS_SCD2_MASK(ECS_SCD2_OVERWRITE) | ECS_SCD2_MASK(ECS_SCD2_FIXED) | \
						 ECS_SCD2_MASK(ECS_SCD2_STAMP) | ECS_SCD2_MASK(ECS_SCD2_SEQUENCE))

extern void ecs_scd2_begin(EcsScd2Batch *batch, Oid relid, LOCKMODE lock, AclMode needed);

/* Within the SPI connection, where there was one */
extern void ecs_scd2_end(EcsScd2Batch *batch);

/* The shape of a batch's rows */
extern TupleDesc ecs_scd2_row_desc(const EcsScd2 *table);

/*
 * Apply the events named "scd2_source".  The caller holds the lock of their
 * keys.  "whole": current keys that are not among them are closed at
 * "effective" (infinity: now).
 */
extern void ecs_scd2_apply(EcsScd2Batch *batch, bool whole, TimestampTz effective);

/*
 * Update the versions that the rows of a store belong to, at the level of the
 * executor, and write their copies; the last column of the store is the ctid.
 * False, and nothing is done, where the table needs statements for that.
 */
extern bool ecs_scd2_update_directly(EcsScd2Batch *batch, TupleDesc desc, Tuplestorestate *store, EcsScd2Action action);

#endif							/* ECS_SCD2_MERGE_H */
