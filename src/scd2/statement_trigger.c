/*
 * statement_trigger.c
 *		Versions from plain DML: the AFTER STATEMENT triggers.
 *
 * They close what was replaced (closed.c), see that each key has its hub row,
 * and put right what the BEFORE ROW trigger could not know.
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

#include "base/compat.h"
#include "scd2/scd2.h"

PG_FUNCTION_INFO_V1(ecs_scd2_version_statement);

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

	ecs_scd2_rewind(trigger->tg_newtable);
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
	Tuplestorestate *unchanged;
	bool		mine_changed;

	if (tuplestore_tuple_count(trigger->tg_oldtable) == 0)
		return;
	unchanged = table->remembered ? tuplestore_begin_heap(false, false, work_mem) : NULL;
	mine_changed = ecs_scd2_close_replaced(table, trigger, mode, unchanged);
	if (unchanged && tuplestore_tuple_count(unchanged) > 0)
	{
		ecs_scd2_name_store("scd2_events", desc, unchanged);
		ecs_scd2_run(table, ECS_SCD2_REMEMBER_ROWS, NULL);
	}
	if (unchanged)
		tuplestore_end(unchanged);
	if (mine_changed && ecs_scd2_trigger_depth() > 1)
		ecs_scd2_note_changed_inside();
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) && (mine_changed || ecs_scd2_changed_inside()))
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
