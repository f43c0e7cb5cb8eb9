/*
 * statement_trigger.c
 *		Versions from plain DML: the AFTER STATEMENT triggers.
 *
 * They write the closed copies from the OLD transition table: what really was
 * replaced, whatever other triggers, ON CONFLICT or MERGE did meanwhile.
 *
 * Locking: a key without a current version is locked by its hub row: a plain
 * INSERT finds out afterwards, with the hub row locked and in a later snapshot,
 * where the last version ended.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/rel.h"
#include "utils/tuplesort.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "scd2/scd2.h"

PG_FUNCTION_INFO_V1(ecs_scd2_version_statement);

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

static void
rewind_store(Tuplestorestate *store)
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

	rewind_store(trigger->tg_oldtable);
	if (update)
		rewind_store(trigger->tg_newtable);
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
	rewind_store(trigger->tg_oldtable);
	rewind_store(trigger->tg_newtable);
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

/* Note the starts that a statement of ours returned: key columns, valid_from */
static void
renote_returned(EcsScd2 *table)
{
	Datum	   *values = palloc(table->natts * sizeof(Datum));

	for (uint64 row = 0; row < SPI_processed; row++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[row];
		bool		isnull;

		for (int i = 0; i < table->nkeys; i++)
			values[table->keys[i] - 1] = heap_getattr(tuple, i + 1, SPI_tuptable->tupdesc, &isnull);
		ecs_scd2_note_started(table, values, DatumGetTimestampTz(heap_getattr(tuple, table->nkeys + 1, SPI_tuptable->tupdesc, &isnull)));
	}
}

/*
 * Where a version that I started has the same history columns as the one that
 * ends at its start, the two are one: the row goes back to the earlier start,
 * and goes on a version of another transaction: no longer mine.
 */
static void
join_equal(EcsScd2 *table)
{
	ecs_scd2_run(table, ECS_SCD2_JOIN, NULL);
	renote_returned(table);
}

/*
 * Keys that had versions before: they begin where the last one ended, at the
 * earliest.  The hub rows are locked first, so that no late change and no close
 * of these keys is on its way; what they left is read by a later statement.
 */
static void
adjust_reopened(EcsScd2 *table)
{
	ecs_scd2_run(table, ECS_SCD2_LOCK, NULL);
	ecs_scd2_run(table, ECS_SCD2_ADJUST, NULL);
	renote_returned(table);
	if (IsolationUsesXactSnapshot() && ecs_scd2_run(table, ECS_SCD2_OVERLAP, NULL) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent update"),
				 errdetail("A version of a key of table %s was closed meanwhile.", table->name)));
	join_equal(table);
}

static void
note_inserted(EcsScd2 *table, TriggerData *trigger)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(trigger->tg_relation), &TTSOpsMinimalTuple);

	rewind_store(trigger->tg_newtable);
	while (tuplestore_gettupleslot(trigger->tg_newtable, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		ecs_scd2_note_started(table, slot->tts_values, DatumGetTimestampTz(slot->tts_values[table->from - 1]));
	}
	ExecDropSingleTupleTableSlot(slot);
}

/* Every key has its hub row; keys that had one already may have been closed before */
static void
after_insert(EcsScd2 *table, TriggerData *trigger, EcsScd2Mode mode)
{
	uint64		count = tuplestore_tuple_count(trigger->tg_newtable);
	uint64		new_keys;

	if (count == 0)
		return;
	ecs_scd2_name_store("scd2_new", RelationGetDescr(trigger->tg_relation), trigger->tg_newtable);
	new_keys = ecs_scd2_run(table, ECS_SCD2_HUB, NULL);
	if (mode != ECS_SCD2_PLAIN && mode != ECS_SCD2_UNSEEN)
		return;
	note_inserted(table, trigger);
	if (table->remembered && (table->open_start || table->created))
		ecs_scd2_run(table, ECS_SCD2_REMEMBER_FIRST, NULL);
	if (mode == ECS_SCD2_PLAIN && new_keys < count)
		adjust_reopened(table);
}

static void
after_replace(EcsScd2 *table, TriggerData *trigger, EcsScd2Mode mode)
{
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	Replaced	replaced = {.table = table,.trigger = trigger,.mode = mode};

	if (tuplestore_tuple_count(trigger->tg_oldtable) == 0)
		return;
	if (table->remembered)
		replaced.unchanged = tuplestore_begin_heap(false, false, work_mem);
	if (ecs_scd2_can_write_directly(table, trigger->tg_relation) && ends_any(&replaced))
		ecs_scd2_write_directly(table, trigger->tg_relation, NULL, table->owner, close_directly, &replaced);
	else
		close_by_statement(&replaced);
	if (replaced.unchanged)
	{
		if (tuplestore_tuple_count(replaced.unchanged) > 0)
		{
			ecs_scd2_name_store("scd2_events", desc, replaced.unchanged);
			ecs_scd2_run(table, ECS_SCD2_REMEMBER_ROWS, NULL);
		}
		tuplestore_end(replaced.unchanged);
	}
	if (replaced.mine_changed && ecs_scd2_trigger_depth() > 1)
		ecs_scd2_note_changed_inside();
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) && (replaced.mine_changed || ecs_scd2_changed_inside()))
	{
		ecs_scd2_name_store("scd2_new", desc, trigger->tg_newtable);
		join_equal(table);
	}
}

/* What is remembered of keys goes with them; a partition holds some of the keys */
static void
after_truncate(EcsScd2 *table)
{
	const char *sql = table->relid == table->root ? "DELETE FROM {memory}" :
		"DELETE FROM {memory} m WHERE NOT EXISTS (SELECT FROM {table} t WHERE {match m t})";

	if (table->remembered)
		ecs_scd2_run_once(table, ecs_scd2_sql(table, sql), ECS_SCD2_PLAIN, table->owner, InvalidSnapshot);
}

/* Anybody may attach the function to a table of his own */
static void
check_call(FunctionCallInfo fcinfo)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	bool		fits = CALLED_AS_TRIGGER(fcinfo) && TRIGGER_FIRED_AFTER(trigger->tg_event) && TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event);

	if (fits && (TRIGGER_FIRED_BY_INSERT(trigger->tg_event) || TRIGGER_FIRED_BY_UPDATE(trigger->tg_event)))
		fits = trigger->tg_newtable != NULL;
	if (fits && (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) || TRIGGER_FIRED_BY_DELETE(trigger->tg_event)))
		fits = trigger->tg_oldtable != NULL;
	if (!fits)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function scd2_version_statement() must be called as an AFTER STATEMENT trigger with its transition tables")));
}

Datum
ecs_scd2_version_statement(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	EcsScd2    *table;
	EcsScd2Mode mode;

	check_call(fcinfo);
	table = ecs_scd2_require(trigger->tg_relation);
	mode = ecs_scd2_mode(table);
	if (mode == ECS_SCD2_COPYING || (mode == ECS_SCD2_PLAIN && !ecs_scd2_versioning(trigger->tg_relation)))
		return PointerGetDatum(NULL);

	SPI_connect();
	if (TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
		after_truncate(table);
	else if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		after_insert(table, trigger, mode);
	else if (mode != ECS_SCD2_APPLYING)
		after_replace(table, trigger, mode);
	SPI_finish();
	return PointerGetDatum(NULL);
}
