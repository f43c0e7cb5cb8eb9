/*
 * snapshots.c
 *		The balance of every key on each of some days.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/memutils.h"

#include "base/memory.h"
#include "stock/snapshots.h"

/* How far one key has come, when days are read one after the other */
typedef struct KeyState
{
	int64		balance;
	EcsCell    *line;			/* the next one */
	uint32		left;			/* lines from there on */
	DateADT		next_day;		/* the day of the next line */
	bool		seen;
} KeyState;

struct EcsSnapshots
{
	EcsLedger  *ledger;
	const DateADT *days;
	int			ndays;
	int			at_day;

	/* in memory: the keys in their order */
	KeyState   *keys;			/* NULL when reading from runs */
	uint32		at_key;

	/* from runs: the line whose balance holds until some day */
	EcsLedgerRow line;
	int64		until;
};

/* Turn the cells of all keys into lines (day, balance); there are no more lines than cells */
static KeyState *
make_lines(EcsLedger *ledger)
{
	EcsBatch   *batch = &ledger->batch;
	KeyState   *keys = MemoryContextAllocHuge(batch->context,
											  (Size) Max(batch->keys.used, 1) * sizeof(KeyState));
	KeyState   *key = keys - 1;
	EcsCell    *line = ecs_alloc_large(batch->context, (Size) Max(batch->cells, 1) * sizeof(EcsCell));
	EcsLedgerRow row;
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "stock lines", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(scratch);

	while (ecs_ledger_next(ledger, &row))
	{
		CHECK_FOR_INTERRUPTS();
		if (row.new_key)
		{
			*++key = (KeyState)
			{
				.line = line,
					.next_day = row.day
			};
		}
		if (ledger->is_numeric)
		{
			MemoryContextSwitchTo(batch->context);
			row.balance = (int64) datumCopy((Datum) row.balance, false, -1);
			MemoryContextSwitchTo(scratch);
			MemoryContextReset(scratch);
		}
		*line++ = (EcsCell)
		{
			row.day, row.balance
		};
		key->left++;
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);
	return keys;
}

EcsSnapshots *
ecs_snapshots_create(EcsLedger *ledger, const DateADT *days, int ndays)
{
	EcsSnapshots *snapshots = palloc0(sizeof(EcsSnapshots));

	snapshots->ledger = ledger;
	snapshots->days = days;
	snapshots->ndays = ndays;
	if (ledger->runs.n == 0)
		snapshots->keys = make_lines(ledger);
	else
		snapshots->at_day = ndays;	/* no line yet */
	return snapshots;
}

/* Take the lines of a key through a day; false where there are none yet */
static inline bool
advance(KeyState *key, DateADT day)
{
	while (key->left > 0 && key->next_day <= day)
	{
		key->balance = key->line->quantity;
		key->seen = true;
		key->line++;
		if (--key->left > 0)
			key->next_day = (DateADT) key->line->at;
	}
	return key->seen;
}

/* The days one after the other */
static bool
next_of_day(EcsSnapshots *snapshots, EcsLedgerRow *row)
{
	EcsBatch   *batch = &snapshots->ledger->batch;

	for (; snapshots->at_day < snapshots->ndays; snapshots->at_day++, snapshots->at_key = 0)
	{
		row->day = snapshots->days[snapshots->at_day];
		CHECK_FOR_INTERRUPTS();
		while (snapshots->at_key < batch->keys.used)
		{
			uint32		i = snapshots->at_key++;

			if (!advance(&snapshots->keys[i], row->day))
				continue;
			row->key = ecs_entry_key(ecs_keys_entry(&batch->keys, batch->order[i]));
			row->new_key = true;
			row->balance = snapshots->keys[i].balance;
			return true;
		}
	}
	return false;
}

/* The keys one after the other: each line's balance holds until the next line's day */
static bool
next_of_key(EcsSnapshots *snapshots, EcsLedgerRow *row)
{
	EcsLedger  *ledger = snapshots->ledger;
	EcsLedgerRow *line = &snapshots->line;
	DateADT		until;

	while (snapshots->at_day == snapshots->ndays || snapshots->days[snapshots->at_day] >= snapshots->until)
	{
		CHECK_FOR_INTERRUPTS();
		if (!ecs_ledger_next(ledger, line))
			return false;
		snapshots->until = ecs_ledger_key_goes_on(ledger, &until) ? until : PG_INT64_MAX;
		if (line->new_key)
			snapshots->at_day = 0;
		while (snapshots->at_day < snapshots->ndays && snapshots->days[snapshots->at_day] < line->day)
			snapshots->at_day++;
	}
	*row = *line;
	row->new_key = true;
	row->day = snapshots->days[snapshots->at_day++];
	return true;
}

bool
ecs_snapshots_next(EcsSnapshots *snapshots, EcsLedgerRow *row)
{
	return snapshots->keys != NULL ? next_of_day(snapshots, row) : next_of_key(snapshots, row);
}
