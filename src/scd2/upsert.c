/*
 * upsert.c
 *		One event for one key: scd2_upsert, scd2_close.
 *
 * The usual event changes the current version of a plain table: then the row is
 * found and locked by the primary key, compared, updated and copied at the
 * level of the executor.  All else (partitioned tables, other statement
 * triggers, REPEATABLE READ, late events, new keys with a past) goes the way of
 * a merge of one row.
 *
 * Locking: the row lock of the current version.  A key without one is locked by
 * its hub row, which is made first where there is none, and is looked at again
 * with a later snapshot.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "scd2/engine.h"

PG_FUNCTION_INFO_V1(ecs_scd2_upsert);
PG_FUNCTION_INFO_V1(ecs_scd2_upsert_row);
PG_FUNCTION_INFO_V1(ecs_scd2_close);

static const char *const action_labels[] = {
	"inserted", "changed", "overwritten", "unchanged", "closed", "reopened", "late", "ignored"
};

/* The key is whole, and the time is known and possible */
static void
check_event(EcsScd2Event *event, EcsScd2Batch *batch, bool has_time, TimestampTz effective)
{
	EcsScd2    *table = batch->table;

	for (int i = 0; i < table->nkeys; i++)
		if (event->nulls[table->keys[i] - 1])
			ereport(ERROR,
					(errcode(ERRCODE_NOT_NULL_VIOLATION),
					 errmsg("key column \"%s\" of a row for table \"%s\" is null",
							table->columns[table->keys[i] - 1].raw, RelationGetRelationName(batch->rel))));
	if (has_time)
		event->at = effective;
	else if (!event->timed && table->stamp && !event->nulls[table->stamp - 1])
		event->at = DatumGetTimestampTz(event->values[table->stamp - 1]);
	else if (!event->timed)
	{
		event->at = GetCurrentTransactionStartTimestamp();
		batch->timed = OidIsValid(table->remembered);
		return;
	}
	batch->timed = true;
	ecs_scd2_check_time(batch->rel, event->at);
}

/*
 * The way of a merge
 */

/* Shut other writers out of the key; tells whether the hub row is new, so the key unknown */
static bool
lock_key(EcsScd2 *table, const EcsScd2Event *event)
{
	if (ecs_scd2_run(table, ECS_SCD2_CURRENT_ROW, event->values) > 0)
		return false;

	/*
	 * a delete leaves nothing of a key that was never seen, but what is
	 * remembered
	 */
	if ((!event->del || table->remembered) && ecs_scd2_run(table, ECS_SCD2_HUB_ROW, event->values) > 0)
		return true;
	ecs_scd2_run(table, ECS_SCD2_LOCK_KEY, event->values);
	ecs_scd2_run(table, ECS_SCD2_CURRENT_ROW, event->values);
	return false;
}

static EcsScd2Action
apply_as_merge(EcsScd2Batch *batch, const EcsScd2Event *event)
{
	EcsScd2Sorter *source = ecs_scd2_make_sorter(batch);
	TupleTableSlot *row;

	source->desc = ecs_scd2_event_desc(batch->table);
	row = MakeSingleTupleTableSlot(source->desc, &TTSOpsVirtual);
	ecs_scd2_write_row(event, batch->table, row);
	ecs_scd2_sort_row(source, 0, row);
	ExecDropSingleTupleTableSlot(row);
	ecs_scd2_name_class(source, 0, "scd2_source");
	ecs_scd2_apply(batch, false, DT_NOEND);
	for (int action = 0; action < ECS_SCD2_ACTIONS; action++)
		if (batch->counts[action] > 0)
			return action;
	return ECS_SCD2_IGNORED;
}

/*
 * The short way
 */

/* A row replaces another, which is kept, or there is none before */
typedef struct Replacement
{
	TupleTableSlot *old;
	TupleTableSlot *new;
	TupleTableSlot *closed;
} Replacement;

static void
write_replacement(EcsScd2Direct *direct, void *arg)
{
	Replacement *replacement = arg;

	if (replacement->old)
		ecs_scd2_direct_update(direct, replacement->old, replacement->new);
	else
		ecs_scd2_direct_insert(direct, replacement->new);
	if (replacement->closed)
		ecs_scd2_direct_insert(direct, replacement->closed);
}

static void
replace_current(EcsScd2Batch *batch, const EcsScd2Event *event, EcsScd2Action action, TimestampTz from, TupleTableSlot *old)
{
	EcsScd2    *table = batch->table;
	TupleDesc	desc = RelationGetDescr(batch->rel);
	Replacement replacement = {old, MakeSingleTupleTableSlot(desc, &TTSOpsVirtual), NULL};

	ecs_scd2_form_version(batch, event, action, from, old, replacement.new);
	if (from != DatumGetTimestampTz(old->tts_values[table->from - 1]))
	{
		replacement.closed = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
		ecs_scd2_form_closed(table, from, old, replacement.closed);
	}
	ecs_scd2_write_directly(table, batch->rel, batch->given, InvalidOid, write_replacement, &replacement);
	ExecDropSingleTupleTableSlot(replacement.new);
	if (replacement.closed)
		ExecDropSingleTupleTableSlot(replacement.closed);
}

/* Whether the current version was locked, and the event could be applied to it */
static bool
apply_to(EcsScd2Batch *batch, const EcsScd2Event *event, TupleTableSlot *old, EcsScd2Action *action)
{
	EcsScd2    *table = batch->table;
	TimestampTz started,
				from;
	bool		isnull;

	if (!ecs_scd2_lock_current(table, batch->rel, event->values, old))
		return false;
	slot_getallattrs(old);
	started = from = DatumGetTimestampTz(old->tts_values[table->from - 1]);
	ecs_scd2_settle(table, old->tts_values, started, DatumGetTransactionId(slot_getsysattr(old, MinTransactionIdAttributeNumber, &isnull)));
	*action = ecs_scd2_compare(batch, event, old);
	if (*action == ECS_SCD2_CHANGED)
		from = batch->timed ? event->at : ecs_scd2_next_start(table, old->tts_values, started);

	/*
	 * needs the history of the key: not the newest event, or perhaps a change
	 * back of my own version
	 */
	if ((batch->timed && event->at <= started) || (*action == ECS_SCD2_CHANGED && from == started))
		return false;
	if (*action != ECS_SCD2_UNCHANGED)
		replace_current(batch, event, *action, from, old);
	return true;
}

static bool
apply_directly(EcsScd2Batch *batch, const EcsScd2Event *event, EcsScd2Action *action)
{
	TupleTableSlot *old = table_slot_create(batch->rel, NULL);
	bool		done = apply_to(batch, event, old, action);

	ExecDropSingleTupleTableSlot(old);
	return done;
}

/* Whether the planner has something to say of a column that the event does not bring: its default, the domain of its type */
static bool
needs_planner(const EcsScd2Batch *batch, int i)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(batch->rel), i);

	if (!(ECS_SCD2_VALUES & batch->table->columns[i].role) || batch->given[i] || i == batch->table->stamp - 1)
		return false;
	return att->atthasdef || att->attidentity || get_typtype(att->atttypid) == TYPTYPE_DOMAIN;
}

/* A key that was never seen: its hub row was just made */
static bool
insert_directly(EcsScd2Batch *batch, const EcsScd2Event *event)
{
	EcsScd2    *table = batch->table;
	TupleTableSlot *new;
	Replacement replacement = {0};
	TimestampTz from = event->at;

	for (int i = 0; i < table->natts; i++)
		if (needs_planner(batch, i))
			return false;
	if (table->created && !event->nulls[table->created - 1])
		from = Min(from, DatumGetTimestampTz(event->values[table->created - 1]));
	else if (table->open_start)
		from = DT_NOBEGIN;

	replacement.new = new = MakeSingleTupleTableSlot(RelationGetDescr(batch->rel), &TTSOpsVirtual);
	ExecClearTuple(new);
	memcpy(new->tts_values, event->values, table->natts * sizeof(Datum));
	memcpy(new->tts_isnull, event->nulls, table->natts * sizeof(bool));
	if (table->stamp && !batch->given[table->stamp - 1])
		ecs_scd2_put_value(new, table->stamp, TimestampTzGetDatum(event->at));
	ecs_scd2_put_value(new, table->from, TimestampTzGetDatum(from));
	ecs_scd2_put_value(new, table->to, TimestampTzGetDatum(DT_NOEND));
	ecs_scd2_put_value(new, table->current, BoolGetDatum(true));
	ExecStoreVirtualTuple(new);
	if (!batch->timed)
		ecs_scd2_note_started(table, new->tts_values, from);
	ecs_scd2_write_directly(table, batch->rel, batch->given, InvalidOid, write_replacement, &replacement);
	ExecDropSingleTupleTableSlot(new);
	return true;
}

/*
 * The functions
 */
static Datum
apply_event(FunctionCallInfo fcinfo, EcsScd2Batch *batch, EcsScd2Event *event)
{
	EcsScd2Action action;
	Oid			type = get_func_rettype(fcinfo->flinfo->fn_oid);
	Oid		   *labels = fcinfo->flinfo->fn_extra;
	bool		plain = false;

	if (event->del || !(plain = ecs_scd2_can_write_directly(batch->table, batch->rel) && !OidIsValid(batch->table->remembered)) || !apply_directly(batch, event, &action))
	{
		SPI_connect();
		batch->unknown = lock_key(batch->table, event);
		if (batch->unknown && plain && insert_directly(batch, event))
			action = ECS_SCD2_INSERTED;
		else
			action = apply_as_merge(batch, event);
		ecs_scd2_end(batch);
		SPI_finish();
	}
	else
		ecs_scd2_end(batch);

	if (labels == NULL)
	{
		labels = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, ECS_SCD2_ACTIONS * sizeof(Oid));
		for (int i = 0; i < ECS_SCD2_ACTIONS; i++)
			labels[i] = DatumGetObjectId(DirectFunctionCall2(enum_in, CStringGetDatum(action_labels[i]), ObjectIdGetDatum(type)));
		fcinfo->flinfo->fn_extra = labels;
	}
	return ObjectIdGetDatum(labels[action]);
}

static void
begin(FunctionCallInfo fcinfo, EcsScd2Batch *batch, AclMode needed)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("table and row must not be null")));
	ecs_scd2_begin(batch, PG_GETARG_OID(0), RowExclusiveLock, needed);
}

static TimestampTz
effective_argument(FunctionCallInfo fcinfo)
{
	return PG_ARGISNULL(2) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(2);
}

Datum
ecs_scd2_upsert(PG_FUNCTION_ARGS)
{
	EcsScd2Batch batch;
	EcsScd2Event event;

	begin(fcinfo, &batch, ACL_SELECT | ACL_INSERT | ACL_UPDATE);
	ecs_scd2_read_json(&event, &batch, PG_GETARG_JSONB_P(1));
	check_event(&event, &batch, !PG_ARGISNULL(2), effective_argument(fcinfo));
	return apply_event(fcinfo, &batch, &event);
}

Datum
ecs_scd2_upsert_row(PG_FUNCTION_ARGS)
{
	EcsScd2Batch batch;
	EcsScd2Event event;

	begin(fcinfo, &batch, ACL_SELECT | ACL_INSERT | ACL_UPDATE);
	ecs_scd2_read_record(&event, &batch, PG_GETARG_HEAPTUPLEHEADER(1));
	check_event(&event, &batch, !PG_ARGISNULL(2), effective_argument(fcinfo));
	return apply_event(fcinfo, &batch, &event);
}

Datum
ecs_scd2_close(PG_FUNCTION_ARGS)
{
	EcsScd2Batch batch;
	EcsScd2Event event;

	begin(fcinfo, &batch, ACL_SELECT | ACL_INSERT | ACL_UPDATE | ACL_DELETE);
	ecs_scd2_read_json(&event, &batch, PG_GETARG_JSONB_P(1));
	for (int i = 0; i < batch.table->natts; i++)
		if (batch.given[i] && batch.table->columns[i].role != ECS_SCD2_KEY)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("column \"%s\" is no part of the key of table \"%s\"",
							batch.table->columns[i].raw, RelationGetRelationName(batch.rel))));
	event.del = true;
	check_event(&event, &batch, !PG_ARGISNULL(2), effective_argument(fcinfo));
	return apply_event(fcinfo, &batch, &event);
}
