/*
 * ledger.h
 *		Running balances of signed movements, per key and day.
 *
 * A ledger is filled with movements in any order by ecs_ledger_add(), closed by
 * ecs_ledger_finish(), and then read once, in the order of key and day.
 */
#ifndef ECS_LEDGER_H
#define ECS_LEDGER_H

#include "stock/runs.h"

/* A movement on its way into the table, while the processor fetches its key */
typedef struct EcsPending
{
	Datum		values[ECS_KEY_COLUMNS];
	EcsCell		cell;
	uint32		hash;
	uint32		nulls;
	uint32		guess;			/* of the key's number, or 0 */
} EcsPending;

#define ECS_PENDING			32	/* a power of 2 */

typedef struct EcsLedger
{
	EcsKeyType	type;
	bool numeric;
	MemoryContext context;		/* for what lives as long as the ledger */
	Size		limit;
	EcsPending	pending[ECS_PENDING];
	uint64		npending;		/* that there have been */
	EcsBatch	batch;
	EcsRuns		runs;			/* where memory did not suffice */

	/* reading: the cells of the batch's key at hand, and the next cell of all */
	EcsKeyCells group;
	uint32		at_cell;
	bool		has_next;
	bool		next_is_new_key;
	EcsCell		next;
	EcsKey		key;			/* of the line at hand */
	int64		balance;
} EcsLedger;

/* One line: what became of a key on a day */
typedef struct EcsLedgerRow
{
	EcsKey		key;			/* valid until the next row */
	DateADT		day;
	bool		counted;		/* a count set the balance on this day */
	bool		new_key;		/* the first line of its key */
	int64		change;			/* a numeric's address lives in the current
								 * context */
	int64		balance;
} EcsLedgerRow;

/* Makes an empty ledger in the current memory context for keys of the given types */
extern EcsLedger *ecs_ledger_create(int nkeys, const Oid *types, const Oid *collations,
									bool numeric, Size limit);

/*
 * Adds a movement; nulls has a bit for each key column that is NULL.  Values
 * may be changed; what they and a numeric point to is copied.
 */
extern void ecs_ledger_add(EcsLedger *ledger, Datum *values, uint32 nulls, EcsCell cell);

extern void ecs_ledger_finish(EcsLedger *ledger);
extern bool ecs_ledger_next(EcsLedger *ledger, EcsLedgerRow *row);

/* Closes temporary files; memory goes with its context */
extern void ecs_ledger_end(EcsLedger *ledger);

#endif							/* ECS_LEDGER_H */
