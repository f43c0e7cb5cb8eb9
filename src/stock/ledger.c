/*
 * ledger.c
 *		Running balances of signed movements, per key and day.
 *
 * One pass over the movements, none of them sorted by comparison: they gather in
 * a batch (batch.c), by a hash table of keys and a log, and at the end are read
 * key by key.  When memory reaches its limit, the batch goes to
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
ecs_ledger_create(int nkeys, const Oid *types, const Oid *collations, bool is_numeric, Size limit)
{
	EcsLedger  *ledger = palloc0(sizeof(EcsLedger));

	ledger->is_numeric = is_numeric;
	ledger->context = CurrentMemoryContext;
	ecs_key_type_init(&ledger->type, nkeys, types, collations);
	ledger->waits = ledger->type.plain && !is_numeric;
	ecs_batch_init(&ledger->batch, &ledger->type, is_numeric, limit);
	ecs_runs_init(&ledger->runs, &ledger->type, is_numeric, limit);
	if (is_numeric)
		ledger->balance = (int64) NumericGetDatum(int64_to_numeric(0));
	return ledger;
}

/* Empty the batch for a cell that it does not take */
static void
empty_batch(EcsLedger *ledger, EcsCell cell)
{
	if (ledger->batch.cells > 0)
		ecs_runs_write(&ledger->runs, &ledger->batch);
	ecs_batch_reset(&ledger->batch, !ecs_is_narrow(cell));
}

static pg_attribute_always_inline void
enter(EcsLedger *ledger, const EcsPending *pending)
{
	if (unlikely(!ecs_batch_takes(&ledger->batch, pending->cell)))
		empty_batch(ledger, pending->cell);
	ecs_batch_add(&ledger->batch, ecs_key(pending->values, pending->nulls),
				  pending->hash, pending->guess, pending->cell);
}

static inline EcsPending *
nth_pending(EcsLedger *ledger, uint64 i)
{
	return &ledger->pending[i % ECS_PENDING];
}

/* The movement that was filled in waits until the ring is full; the one before half of the ring is looked up */
static inline void
advance_pending(EcsLedger *ledger)
{
	uint64		n = ++ledger->npending;

	if (n >= ECS_PENDING / 2)
	{
		EcsPending *half = nth_pending(ledger, n - ECS_PENDING / 2);

		half->guess = ecs_keys_fetch(&ledger->batch.keys, half->hash);
	}
	if (n >= ECS_PENDING)
		enter(ledger, nth_pending(ledger, n));	/* the oldest one, whose place
												 * is next */
}

void
ecs_ledger_add(EcsLedger *ledger)
{
	EcsPending *pending = ecs_ledger_pending(ledger);

	pending->hash = ecs_key_prepare(&ledger->type, pending->values, pending->nulls);
	pending->guess = 0;
	if (!ledger->waits)
	{
		enter(ledger, pending);
		return;
	}
	ecs_keys_fetch_slot(&ledger->batch.keys, pending->hash);
	advance_pending(ledger);
}

void
ecs_ledger_finish(EcsLedger *ledger)
{
	for (uint64 i = ledger->npending - Min(ledger->npending, ECS_PENDING - 1); i < ledger->npending; i++)
		enter(ledger, nth_pending(ledger, i));
	if (ledger->runs.n > 0)
	{
		ecs_runs_write(&ledger->runs, &ledger->batch);
		ecs_batch_reset(&ledger->batch, false);
		ecs_runs_rewind(&ledger->runs);
	}
	else
		ecs_batch_sort(&ledger->batch);
}

/* Step to more cells; false at the end */
static bool
fetch_cells(EcsLedger *ledger)
{
	bool		found = ledger->runs.n > 0 ? ecs_runs_next_cells(&ledger->runs, &ledger->group) :
		ecs_batch_next_cells(&ledger->batch, &ledger->group);

	ledger->next = found ? ledger->group.cells : NULL;
	ledger->end = found ? ledger->next + ledger->group.n : NULL;
	return found;
}

/* Whether the key at hand has a next cell */
static inline bool
has_next(EcsLedger *ledger)
{
	if (likely(ledger->next != ledger->end))
		return true;
	return ledger->runs.n > 0 && ledger->runs.continues && fetch_cells(ledger);
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

/* Go to the next key, false where there is none */
static bool
start_key(EcsLedger *ledger)
{
	if (!fetch_cells(ledger))
		return false;
	if (ledger->is_numeric)
		keep_numeric_balance(ledger, (int64) NumericGetDatum(int64_to_numeric(0)));
	else
		ledger->balance = 0;
	return true;
}

static int64
apply_numeric_cell(EcsLedger *ledger, int64 before, EcsCell cell, bool again)
{
	int64		level = ecs_apply_numeric_cell(before, cell, again);

	if (before != ledger->balance)
		pfree(EcsNumber(before));
	return level;
}

/* The balance after the next cell and all that follow on its day */
static inline int64
sum_day(EcsLedger *ledger, EcsLedgerRow *row)
{
	int64		level = ledger->balance;
	int64		at = 0;

	row->day = ECS_AT_DAY(ledger->next->at);
	row->counted = false;
	do
	{
		EcsCell		cell = *ledger->next++;
		bool		again = row->counted && cell.at == at;

		at = cell.at;
		row->counted |= (at & ECS_AT_COUNTED) != 0;
		level = ledger->is_numeric ? apply_numeric_cell(ledger, level, cell, again) :
			ecs_apply_cell(level, cell, again);
	} while (has_next(ledger) && ECS_AT_DAY(ledger->next->at) == row->day);
	return level;
}

bool
ecs_ledger_next(EcsLedger *ledger, EcsLedgerRow *row)
{
	int64		level;

	row->new_key = !has_next(ledger);
	if (row->new_key && !start_key(ledger))
		return false;
	row->key = ledger->group.key;
	level = sum_day(ledger, row);
	if (ledger->is_numeric)
	{
		row->change = (int64) DirectFunctionCall2(numeric_sub, (Datum) level, (Datum) ledger->balance);
		keep_numeric_balance(ledger, level);
	}
	else
	{
		if (unlikely(pg_sub_s64_overflow(level, ledger->balance, &row->change)))
			ecs_report_stock_overflow();
		ledger->balance = level;
	}
	row->balance = ledger->balance;
	return true;
}

bool
ecs_ledger_key_goes_on(EcsLedger *ledger, DateADT *day)
{
	if (!has_next(ledger))
		return false;
	*day = ECS_AT_DAY(ledger->next->at);
	return true;
}

void
ecs_ledger_end(EcsLedger *ledger)
{
	ecs_runs_end(&ledger->runs);
}
