/*
 * ledger.c
 *		Running balances of signed movements, per key and day.
 *
 * One pass over the movements, none of them sorted by comparison: they gather in
 * a batch (batch.c), by a hash table of keys and a log, and at the end are
 * distributed among the keys.  When memory reaches its limit, the batch goes to
 * a temporary file as a sorted run (runs.c), and begins anew; in the end the
 * runs are merged.  A run holds sums, so where few keys repeat often little is
 * written.  Reading walks through the cells in order, and adds up.
 *
 * Plain keys and integer quantities are copied into a ring of ECS_PENDING
 * movements before they enter the table, so that the slot and then the key are
 * in the processor's cache when they are needed.
 *
 * Quantities are added by 64-bit integer arithmetic that raises an error on
 * overflow, or as numerics.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"

#include "stock/ledger.h"

EcsLedger *
ecs_ledger_create(int nkeys, const Oid *types, const Oid *collations, bool numeric, Size limit)
{
	EcsLedger  *ledger = palloc0(sizeof(EcsLedger));

	ledger->numeric = numeric;

	ledger->context = CurrentMemoryContext;
	ledger->limit = limit;
	ecs_key_type_init(&ledger->type, nkeys, types, collations);
	ecs_batch_init(&ledger->batch, &ledger->type, numeric, limit);
	ecs_runs_init(&ledger->runs, &ledger->type, numeric, limit);
	if (numeric)
		ledger->balance = (int64) NumericGetDatum(int64_to_numeric(0));
	return ledger;
}

static void
enter(EcsLedger *ledger, const EcsPending *pending)
{
	if (unlikely(ecs_batch_is_full(&ledger->batch, ledger->limit)))
	{
		ecs_runs_write(&ledger->runs, &ledger->batch);
		ecs_batch_reset(&ledger->batch);
	}
	ecs_batch_add(&ledger->batch, ecs_key(pending->values, pending->nulls),
				  pending->hash, pending->guess, pending->cell);
}

static inline EcsPending *
nth_pending(EcsLedger *ledger, uint64 i)
{
	return &ledger->pending[i % ECS_PENDING];
}

/* Make the ring ready for one more movement */
static inline void
advance_pending(EcsLedger *ledger)
{
	uint64		i = ledger->npending++;

	if (i >= ECS_PENDING)
		enter(ledger, nth_pending(ledger, i));	/* the oldest one */
	if (i >= ECS_PENDING / 2)
	{
		EcsPending *half = nth_pending(ledger, i - ECS_PENDING / 2);

		half->guess = ecs_keys_fetch(&ledger->batch.keys, half->hash);
	}
}

void
ecs_ledger_add(EcsLedger *ledger, Datum *values, uint32 nulls, EcsCell cell)
{
	EcsPending *pending = nth_pending(ledger, ledger->npending);
	bool		waits = ledger->type.plain && !ledger->numeric;
	uint32		hash = ecs_key_prepare(&ledger->type, values, nulls);

	if (waits)
	{
		advance_pending(ledger);
		ecs_keys_fetch_slot(&ledger->batch.keys, hash);
	}
	memcpy(pending->values, values, ledger->type.ncolumns * sizeof(Datum));
	pending->nulls = nulls;
	pending->hash = hash;
	pending->guess = 0;
	pending->cell = cell;
	if (!waits)
		enter(ledger, pending);
}

/* Step to the next cell; false at the end */
static inline bool
fetch_cell(EcsLedger *ledger)
{
	if (unlikely(ledger->runs.n > 0))
	{
		bool		found = ecs_runs_next(&ledger->runs);

		ledger->next = ledger->runs.cell;
		ledger->next_is_new_key = ledger->runs.is_new_key;
		return found;
	}
	ledger->next_is_new_key = ledger->at_cell == ledger->group.n;
	if (ledger->next_is_new_key)
	{
		if (!ecs_batch_next_key(&ledger->batch, &ledger->group))
			return false;
		ledger->at_cell = 0;
	}
	ledger->next = ledger->group.cells[ledger->at_cell++];
	return true;
}

void
ecs_ledger_finish(EcsLedger *ledger)
{
	for (uint64 i = ledger->npending - Min(ledger->npending, ECS_PENDING); i < ledger->npending; i++)
		enter(ledger, nth_pending(ledger, i));
	if (ledger->runs.n > 0)
	{
		ecs_runs_write(&ledger->runs, &ledger->batch);
		ecs_batch_reset(&ledger->batch);
		ecs_runs_rewind(&ledger->runs);
	}
	else
		ecs_batch_sort(&ledger->batch);
	ledger->has_next = fetch_cell(ledger);
}

/* Numbers along the way live in the caller's context, the balance in the ledger's */
static void
keep_numeric_balance(EcsLedger *ledger, int64 balance)
{
	MemoryContext caller = MemoryContextSwitchTo(ledger->context);

	pfree(EcsNumber(ledger->balance));
	ledger->balance = (int64) datumCopy((Datum) balance, false, -1);
	MemoryContextSwitchTo(caller);
}

/* The first cell of a key is the next one */
static void
start_key(EcsLedger *ledger)
{
	ledger->key = ledger->runs.n > 0 ? ecs_runs_keep_key(&ledger->runs) : ledger->group.key;
	if (ledger->numeric)
		keep_numeric_balance(ledger, (int64) NumericGetDatum(int64_to_numeric(0)));
	else
		ledger->balance = 0;
}

/* The balance after the next cell and all that follow on its day */
static int64
sum_day(EcsLedger *ledger, EcsLedgerRow *row)
{
	int64		level = ledger->balance;
	EcsCell		cell = {0, 0};

	row->day = ECS_AT_DAY(ledger->next.at);
	row->counted = false;
	do
	{
		bool		again = row->counted && cell.at == ledger->next.at;

		cell = ledger->next;
		row->counted |= (cell.at & ECS_AT_COUNTED) != 0;
		if (!ledger->numeric)
			level = ecs_apply_cell(level, cell, again);
		else
		{
			int64		before = level;

			level = ecs_apply_numeric_cell(before, cell, again);
			if (before != ledger->balance)
				pfree(EcsNumber(before));
		}
		ledger->has_next = fetch_cell(ledger);
	} while (ledger->has_next && !ledger->next_is_new_key && ECS_AT_DAY(ledger->next.at) == row->day);
	return level;
}

bool
ecs_ledger_next(EcsLedger *ledger, EcsLedgerRow *row)
{
	int64		level;

	if (!ledger->has_next)
		return false;
	row->new_key = ledger->next_is_new_key;
	if (row->new_key)
		start_key(ledger);
	row->key = ledger->key;
	level = sum_day(ledger, row);
	if (ledger->numeric)
	{
		row->change = (int64) DirectFunctionCall2(numeric_sub, (Datum) level, (Datum) ledger->balance);
		keep_numeric_balance(ledger, level);
	}
	else
	{
		if (pg_sub_s64_overflow(level, ledger->balance, &row->change))
			ecs_report_stock_overflow();
		ledger->balance = level;
	}
	row->balance = ledger->balance;
	return true;
}

void
ecs_ledger_end(EcsLedger *ledger)
{
	ecs_runs_end(&ledger->runs);
}
