/*
 * ledger.h
 *		Running balances of signed movements, per key and day.
 *
 * A ledger is filled with movements in any order, each by ecs_ledger_pending()
 * and ecs_ledger_add(), closed by ecs_ledger_finish(), and then read once, in the
 * order of key and day.
 */
#ifndef ECS_LEDGER_H
#define ECS_LEDGER_H

#include "stock/runs.h"

/* A movement on its way into the table, while the processor fetches its key */
typedef struct EcsPending
{
	Datum		values[ECS_KEY_COLUMNS];
	uint32		nulls;
	uint32		hash;
	EcsCell		cell;
	uint32		guess;			/* of the key's number, or 0 */
} EcsPending;

#define ECS_PENDING			32	/* a power of 2 */

typedef struct EcsLedger
{
	EcsKeyType	type;
	bool		is_numeric;
	bool		waits;			/* movements wait in the ring */
	MemoryContext context;		/* for what lives as long as the ledger */
	EcsPending	pending[ECS_PENDING];
	uint64		npending;		/* that there have been; one place is free */
	EcsBatch	batch;
	EcsRuns		runs;			/* where memory did not suffice */

	/*
	 * reading: cells of the key at hand, those that follow, and the balance
	 * before them
	 */
	EcsKeyCells group;
	EcsCell    *next;
	EcsCell    *end;
	int64		balance;
} EcsLedger;

/* One line: what became of a key on a day */
typedef struct EcsLedgerRow
{
	EcsKey		key;			/* valid until the next row */
	DateADT		day;
	bool		counted;		/* a count set the balance on this day */
	bool		new_key;		/* may be another than the row before had */
	int64		change;			/* a numeric's address lives in the current
								 * context */
	int64		balance;
} EcsLedgerRow;

/* Makes an empty ledger in the current memory context for keys of the given types */
extern EcsLedger *ecs_ledger_create(int nkeys, const Oid *types, const Oid *collations,
									bool is_numeric, Size limit);

/*
 * Where the next movement is to be filled in: the values of the key, its nulls,
 * a bit for each, and the cell.
 */
static inline EcsPending *
ecs_ledger_pending(EcsLedger *ledger)
{
	return &ledger->pending[ledger->npending % ECS_PENDING];
}

/* Adds it; what its values and a numeric point to is copied */
extern void ecs_ledger_add(EcsLedger *ledger);

extern void ecs_ledger_finish(EcsLedger *ledger);
extern bool ecs_ledger_next(EcsLedger *ledger, EcsLedgerRow *row);

/* Between rows: whether the same key has another, on which day then tells */
extern bool ecs_ledger_key_goes_on(EcsLedger *ledger, DateADT *day);

/* Closes temporary files; memory goes with its context */
extern void ecs_ledger_end(EcsLedger *ledger);

#endif							/* ECS_LEDGER_H */
