/*
 * row_trigger.c
 *		Versions from plain DML: the BEFORE ROW trigger.
 *
 * The current row of a key stays in place and takes the new values; the values
 * it had are copied beside it as a closed version.  This trigger gives the row
 * its period, the one in statement_trigger.c writes the copies.
 *
 * Locking: the row lock of the current version, which the executor takes before
 * this trigger is called, is the lock of its key.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "scd2/scd2.h"

PG_FUNCTION_INFO_V1(ecs_scd2_version_row);

/* A row as it is to be written, and whether it is other than it came */
typedef struct Row
{
	Datum	   *values;
	bool	   *nulls;
	bool		touched;
} Row;

static void
reject_closed(const EcsScd2 *table, Relation rel, const Datum *values)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("cannot write a closed version of table \"%s\"", RelationGetRelationName(rel)),
			 errdetail("Key %s, version that ended at %s.", ecs_scd2_describe_key(table, values),
					   timestamptz_to_str(DatumGetTimestampTz(values[table->to - 1]))),
			 errhint("Write the current version (through the view of the current rows), give a late change to ecomsocial.scd2_upsert, "
					 "or as the table's owner SET LOCAL ecomsocial.versioning = off for a repair.")));
}


static void
check_not_future(const EcsScd2 *table, Relation rel, const Datum *values, TimestampTz from)
{
	if (from > GetCurrentTimestamp())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("effective time %s of table \"%s\" lies in the future",
						timestamptz_to_str(from), RelationGetRelationName(rel)),
				 errdetail("Key %s.", ecs_scd2_describe_key(table, values))));
}

static void
set_column(Row *row, AttrNumber attnum, Datum value)
{
	row->values[attnum - 1] = value;
	row->nulls[attnum - 1] = false;
	row->touched = true;
}

static TimestampTz
get_time(const Datum *values, AttrNumber attnum)
{
	return DatumGetTimestampTz(values[attnum - 1]);
}

/* Whether the row has a key: if not, the primary key rejects it, and no error can name it */
static bool
has_key(const EcsScd2 *table, const Row *row)
{
	for (int i = 0; i < table->nkeys; i++)
		if (row->nulls[table->keys[i] - 1])
			return false;
	return true;
}

/* A new row is current; it begins now unless it says otherwise */
static void
version_insert(const EcsScd2 *table, Relation rel, Row *row)
{
	TimestampTz from = GetCurrentTransactionStartTimestamp();
	bool		keyed = has_key(table, row);

	if (keyed && !row->nulls[table->to - 1] && !TIMESTAMP_IS_NOEND(get_time(row->values, table->to)))
		reject_closed(table, rel, row->values);
	if (!row->nulls[table->from - 1])
	{
		from = get_time(row->values, table->from);
		if (keyed)
			check_not_future(table, rel, row->values, from);
	}
	else if (table->created && !row->nulls[table->created - 1])
		from = Min(from, get_time(row->values, table->created));
	else if (table->open_start)
		from = DT_NOBEGIN;
	set_column(row, table->from, TimestampTzGetDatum(from));
	set_column(row, table->to, TimestampTzGetDatum(DT_NOEND));
	set_column(row, table->current, BoolGetDatum(true));
	if (keyed)
		ecs_scd2_note_tried(table, row->values, from);
}

static void
reject_key(const EcsScd2 *table, Relation rel, const Datum *values, const EcsScd2Column *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot change column \"%s\" of the key of versioned table \"%s\"",
					column->raw, RelationGetRelationName(rel)),
			 errdetail("Key %s.", ecs_scd2_describe_key(table, values)),
			 errhint("DELETE the row, and INSERT it with the new key.")));
}

/* An update neither ends a version nor touches a closed one */
static void
check_period(const EcsScd2 *table, Relation rel, const Datum *old_values, const Row *row)
{
	if (!TIMESTAMP_IS_NOEND(get_time(old_values, table->to)))
		reject_closed(table, rel, old_values);
	if (row->nulls[table->to - 1] || row->nulls[table->current - 1] ||
		!TIMESTAMP_IS_NOEND(get_time(row->values, table->to)) || !DatumGetBool(row->values[table->current - 1]))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot end a version of table \"%s\" by an update", RelationGetRelationName(rel)),
				 errdetail("Key %s.", ecs_scd2_describe_key(table, old_values)),
				 errhint("DELETE the current row, or call ecomsocial.scd2_close.")));
}

/* Whether a history column changes; fixed columns are put back, and the key must stay */
static bool
compare_columns(const EcsScd2 *table, Relation rel, const Datum *old_values, const bool *old_nulls, Row *row)
{
	bool		changed = false;

	for (int i = 0; i < table->natts; i++)
	{
		const EcsScd2Column *column = &table->columns[i];

		if (!(column->role & (ECS_SCD2_KEY | ECS_SCD2_FIXED | ECS_SCD2_HISTORY)) || (changed && column->role == ECS_SCD2_HISTORY) ||
			ecs_scd2_same(column, old_values[i], old_nulls[i], row->values[i], row->nulls[i]))
			continue;
		if (column->role == ECS_SCD2_KEY)
			reject_key(table, rel, old_values, column);
		else if (column->role == ECS_SCD2_HISTORY)
			changed = true;
		else
		{
			row->values[i] = old_values[i];
			row->nulls[i] = old_nulls[i];
			row->touched = true;
		}
	}
	return changed;
}

/* Where a changed version begins that replaces another transaction's */
static TimestampTz
start_of_change(const EcsScd2 *table, Relation rel, const Datum *old_values, const Row *row)
{
	TimestampTz old_from = get_time(old_values, table->from);
	TimestampTz given = row->nulls[table->from - 1] ? old_from : get_time(row->values, table->from);

	if (given < old_from)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("effective time %s is before the current version of table \"%s\"",
						timestamptz_to_str(given), RelationGetRelationName(rel)),
				 errdetail("Key %s.", ecs_scd2_describe_key(table, old_values)),
				 errhint("Give a late change to ecomsocial.scd2_upsert.")));
	if (given == old_from)
		return ecs_scd2_start_after(old_from);
	check_not_future(table, rel, row->values, given);
	return given;
}

static void
version_update(const EcsScd2 *table, Relation rel, const Datum *old_values, const bool *old_nulls, Row *row)
{
	TimestampTz from = get_time(old_values, table->from);

	check_period(table, rel, old_values, row);
	if (compare_columns(table, rel, old_values, old_nulls, row) && !ecs_scd2_is_mine(table, old_values, from))
	{
		from = start_of_change(table, rel, old_values, row);
		ecs_scd2_note_started(table, old_values, from);
	}
	if (row->nulls[table->from - 1] || get_time(row->values, table->from) != from)
		set_column(row, table->from, TimestampTzGetDatum(from));
}

/* Whether an INSERT of this transaction made the old row */
static void
settle_old(const EcsScd2 *table, TriggerData *trigger)
{
	TupleTableSlot *old = trigger->tg_trigslot;

	slot_getallattrs(old);
	ecs_scd2_settle(table, old->tts_values, get_time(old->tts_values, table->from),
					HeapTupleHeaderGetXmin(trigger->tg_trigtuple->t_data));
}

static HeapTuple
version_tuple(const EcsScd2 *table, TriggerData *trigger)
{
	Relation	rel = trigger->tg_relation;
	bool		update = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event);
	HeapTuple	tuple = update ? trigger->tg_newtuple : trigger->tg_trigtuple;
	TupleTableSlot *old = trigger->tg_trigslot;
	TupleTableSlot *new = update ? trigger->tg_newslot : old;
	Row			row = {palloc(table->natts * sizeof(Datum)), palloc(table->natts * sizeof(bool)), false};

	slot_getallattrs(new);
	memcpy(row.values, new->tts_values, table->natts * sizeof(Datum));
	memcpy(row.nulls, new->tts_isnull, table->natts * sizeof(bool));
	if (update)
		version_update(table, rel, old->tts_values, old->tts_isnull, &row);
	else
		version_insert(table, rel, &row);
	return row.touched ? heap_form_tuple(RelationGetDescr(rel), row.values, row.nulls) : tuple;
}

Datum
ecs_scd2_version_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Relation	rel;
	HeapTuple	tuple;
	EcsScd2    *table;
	EcsScd2Mode mode;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigger->tg_event) || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function scd2_version_row() must be called as a BEFORE ROW trigger")));
	rel = trigger->tg_relation;
	tuple = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple;
	table = ecs_scd2_require(rel);
	mode = ecs_scd2_mode(table);
	if ((mode != ECS_SCD2_PLAIN && mode != ECS_SCD2_UNSEEN) || !ecs_scd2_versioning(rel))
		return PointerGetDatum(tuple);
	ecs_scd2_require_guard(table, rel);
	if (!TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		settle_old(table, trigger);
	if (!TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		return PointerGetDatum(version_tuple(table, trigger));
	if (!TIMESTAMP_IS_NOEND(get_time(trigger->tg_trigslot->tts_values, table->to)))
		reject_closed(table, rel, trigger->tg_trigslot->tts_values);
	return PointerGetDatum(tuple);
}
