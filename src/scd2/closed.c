/*
 * closed.c
 *		Plain DML: the closed copies of what a statement replaced.
 *
 * They come from the OLD transition table: what really was replaced, whatever
 * other triggers, ON CONFLICT or MERGE did meanwhile.
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/rel.h"
#include "utils/tuplesort.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "scd2/scd2.h"

/* A statement's rows, and what was found among them */
typedef struct Replaced
{
	EcsScd2    *table;
	TriggerData *trigger;
	EcsScd2Mode mode;
	Tuplestorestate *unchanged; /* to be remembered, NULL: not wanted */
	bool		mine_changed;	/* a version that this transaction started
								 * took other values */
	/* what becomes of a closed version */
	void		(*emit) (TupleTableSlot *closed, void *arg);
	void	   *arg;
} Replaced;

void
ecs_scd2_rewind(Tuplestorestate *store)
{
	tuplestore_select_read_pointer(store, tuplestore_alloc_read_pointer(store, EXEC_FLAG_REWIND));
	tuplestore_rescan(store);
}

/* Whether an updated row begins anew, and where */
static bool
ends_by_update(Replaced *replaced, TupleTableSlot *old, TupleTableSlot *new, TimestampTz from, TimestampTz *to)
{
	bool		isnull;

	*to = DatumGetTimestampTz(slot_getattr(new, replaced->table->from, &isnull));
	if (*to != from)
		return true;
	if (replaced->mode == ECS_SCD2_PLAIN)
	{
		if (ecs_scd2_is_mine(replaced->table, old->tts_values, from))
			replaced->mine_changed = true;
		else if (replaced->unchanged)
			tuplestore_puttupleslot(replaced->unchanged, old);
	}
	return false;
}

/* Whether a deleted row was another transaction's; what I started myself leaves no copy */
static bool
ends_by_delete(Replaced *replaced, TupleTableSlot *old, TimestampTz from, TimestampTz *to)
{
	*to = ecs_scd2_start_after(from);
	if (!ecs_scd2_is_mine(replaced->table, old->tts_values, from))
		return true;
	ecs_scd2_note_ended(replaced->table, old->tts_values);
	return false;
}

/*
 * Emit the rows of OLD that end, closed.  The two transition tables of an
 * update are filled pair by pair.
 */
static void
close_replaced(Replaced *replaced)
{
	EcsScd2    *table = replaced->table;
	TriggerData *trigger = replaced->trigger;
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	TupleTableSlot *old = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	TupleTableSlot *new = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	TupleTableSlot *closed = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	bool		update = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event);

	ecs_scd2_rewind(trigger->tg_oldtable);
	if (update)
		ecs_scd2_rewind(trigger->tg_newtable);
	while (tuplestore_gettupleslot(trigger->tg_oldtable, true, false, old))
	{
		TimestampTz from,
					to;

		CHECK_FOR_INTERRUPTS();
		if (update && !tuplestore_gettupleslot(trigger->tg_newtable, true, false, new))
			elog(ERROR, "transition tables of \"%s\" differ in length", RelationGetRelationName(trigger->tg_relation));
		slot_getallattrs(old);
		from = DatumGetTimestampTz(old->tts_values[table->from - 1]);
		if (!(update ? ends_by_update(replaced, old, new, from, &to) : ends_by_delete(replaced, old, from, &to)))
			continue;
		ecs_scd2_form_closed(table, to, old, closed);
		replaced->emit(closed, replaced->arg);
	}
	ExecDropSingleTupleTableSlot(old);
	ExecDropSingleTupleTableSlot(new);
	ExecDropSingleTupleTableSlot(closed);
}

/* Whether any row ends */
static bool
ends_any(const Replaced *replaced)
{
	TriggerData *trigger = replaced->trigger;
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	TupleTableSlot *old,
			   *new;
	bool		isnull;
	bool		ends = false;

	if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		return true;
	old = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	new = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	ecs_scd2_rewind(trigger->tg_oldtable);
	ecs_scd2_rewind(trigger->tg_newtable);
	while (!ends && tuplestore_gettupleslot(trigger->tg_oldtable, true, false, old) &&
		   tuplestore_gettupleslot(trigger->tg_newtable, true, false, new))
		ends = slot_getattr(old, replaced->table->from, &isnull) != slot_getattr(new, replaced->table->from, &isnull);
	ExecDropSingleTupleTableSlot(old);
	ExecDropSingleTupleTableSlot(new);
	return ends;
}

/* Closed versions are written as they come, */
static void
insert_closed(TupleTableSlot *closed, void *arg)
{
	ecs_scd2_direct_insert_later(arg, closed);
}

/*
 * many in the order of the key, so that insertions into its index that follow
 * each other meet the same pages,
 */
#define MANY	1000

static Tuplesortstate *
begin_sort(const EcsScd2 *table, TupleDesc desc)
{
	Oid			operators[INDEX_MAX_KEYS];
	Oid			collations[INDEX_MAX_KEYS];
	bool		nulls_first[INDEX_MAX_KEYS] = {false};

	for (int i = 0; i < table->nkeys; i++)
	{
		const EcsScd2Column *column = &table->columns[table->keys[i] - 1];

		operators[i] = lookup_type_cache(column->type, TYPECACHE_LT_OPR)->lt_opr;
		collations[i] = column->collation;
	}
	return tuplesort_begin_heap(desc, table->nkeys, table->keys, operators, collations, nulls_first, work_mem, NULL, TUPLESORT_NONE);
}

static void
sort_closed(TupleTableSlot *closed, void *arg)
{
	tuplesort_puttupleslot(arg, closed);
}

static void
close_in_order(EcsScd2Direct *direct, Replaced *replaced)
{
	TupleDesc	desc = RelationGetDescr(direct->rel);
	Tuplesortstate *sort = begin_sort(direct->table, desc);
	TupleTableSlot *closed = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);

	replaced->emit = sort_closed;
	replaced->arg = sort;
	close_replaced(replaced);
	tuplesort_performsort(sort);
	while (tuplesort_gettupleslot(sort, true, false, closed, NULL))
	{
		CHECK_FOR_INTERRUPTS();
		insert_closed(closed, direct);
	}
	ExecDropSingleTupleTableSlot(closed);
	tuplesort_end(sort);
}

static void
close_directly(EcsScd2Direct *direct, void *arg)
{
	Replaced   *replaced = arg;

	if (tuplestore_tuple_count(replaced->trigger->tg_oldtable) > MANY)
		close_in_order(direct, replaced);
	else
	{
		replaced->emit = insert_closed;
		replaced->arg = direct;
		close_replaced(replaced);
	}
}

/* or by a statement */
static void
store_closed(TupleTableSlot *closed, void *arg)
{
	tuplestore_puttupleslot(arg, closed);
}

static void
close_by_statement(Replaced *replaced)
{
	Tuplestorestate *closed = tuplestore_begin_heap(false, false, work_mem);

	replaced->emit = store_closed;
	replaced->arg = closed;
	close_replaced(replaced);
	if (tuplestore_tuple_count(closed) > 0)
	{
		ecs_scd2_name_store("scd2_closed", RelationGetDescr(replaced->trigger->tg_relation), closed);
		ecs_scd2_run(replaced->table, ECS_SCD2_COPY, NULL);
	}
	tuplestore_end(closed);
}

bool
ecs_scd2_close_replaced(EcsScd2 *table, TriggerData *trigger, EcsScd2Mode mode, Tuplestorestate *unchanged)
{
	Replaced	replaced = {.table = table,.trigger = trigger,.mode = mode,.unchanged = unchanged};

	if (ecs_scd2_can_write_directly(table, trigger->tg_relation) && ends_any(&replaced))
		ecs_scd2_write_directly(table, trigger->tg_relation, NULL, table->owner, close_directly, &replaced);
	else
		close_by_statement(&replaced);
	return replaced.mine_changed;
}
