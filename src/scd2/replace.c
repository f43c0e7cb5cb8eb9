/*
 * replace.c
 *		Versions that events replace, at the level of the executor.
 *
 * A version takes the values of an event, and what it was is copied beside it.
 * The current versions are known by their place; for an event inside an older
 * one, one descent of the primary key finds it.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "scd2/engine.h"

/* Versions that take the values of a class of events */
typedef struct Update
{
	EcsScd2Batch *batch;
	EcsScd2Action action;
	EcsScd2Sorter *events;
	int			class;
	EcsScd2Sorter *rest;		/* inner events that make no version by
								 * themselves */
	/* the row of an event; the versions it replaces, makes and leaves behind */
	TupleTableSlot *row;
	TupleTableSlot *old;
	TupleTableSlot *new;
	TupleTableSlot *closed;
} Update;

static void
make_slots(Update *update, Relation rel)
{
	update->row = MakeSingleTupleTableSlot(update->events->desc, &TTSOpsMinimalTuple);
	update->old = table_slot_create(rel, NULL);
	update->new = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsVirtual);
	update->closed = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsVirtual);
}

static void
drop_slots(Update *update)
{
	ExecDropSingleTupleTableSlot(update->row);
	ExecDropSingleTupleTableSlot(update->old);
	ExecDropSingleTupleTableSlot(update->new);
	ExecDropSingleTupleTableSlot(update->closed);
}

static bool
next_event(Update *update, EcsScd2Event *event)
{
	CHECK_FOR_INTERRUPTS();
	if (!tuplestore_gettupleslot(update->events->stores[update->class], true, false, update->row))
		return false;
	ecs_scd2_read_row(event, update->batch->table, update->row);
	return true;
}

static TimestampTz
start_of(const Update *update, TupleTableSlot *version)
{
	return DatumGetTimestampTz(version->tts_values[update->batch->table->from - 1]);
}

/* The old version takes the values of an event; what it was is kept if it begins anew */
static void
replace_version(EcsScd2Direct *direct, Update *update, const EcsScd2Event *event, TimestampTz from)
{
	bool		ends = from != start_of(update, update->old);

	ecs_scd2_form_version(update->batch, event, update->action, from, update->old, update->new);
	if (ends)
		ecs_scd2_form_closed(direct->table, from, update->old, update->closed);
	ecs_scd2_direct_update(direct, update->old, update->new);
	if (ends)
		ecs_scd2_direct_insert_later(direct, update->closed);
}

/* Where the current version begins after an event */
static TimestampTz
start_of_current(const Update *update, const EcsScd2Event *event)
{
	TimestampTz started = start_of(update, update->old);

	if (update->action == ECS_SCD2_OVERWRITTEN)
		return started;
	return update->batch->timed ? event->at : ecs_scd2_next_start(update->batch->table, update->old->tts_values, started);
}

/* Current versions: the last column of a row is the version's ctid */
static void
update_found(EcsScd2Direct *direct, void *arg)
{
	Update	   *update = arg;
	MemoryContext caller = CurrentMemoryContext;
	AttrNumber	tid = update->events->desc->natts;
	EcsScd2Event event;

	make_slots(update, direct->rel);
	ecs_scd2_make_event(&event, update->batch);
	while (next_event(update, &event))
	{
		if (!table_tuple_fetch_row_version(direct->rel, (ItemPointer) DatumGetPointer(update->row->tts_values[tid - 1]),
										   direct->estate->es_snapshot, update->old))
			elog(ERROR, "a version of table \"%s\" vanished under its lock", RelationGetRelationName(direct->rel));
		slot_getallattrs(update->old);
		MemoryContextSwitchTo(GetPerTupleMemoryContext(direct->estate));
		replace_version(direct, update, &event, start_of_current(update, &event));
		MemoryContextSwitchTo(caller);
		ResetPerTupleExprContext(direct->estate);
	}
	drop_slots(update);
}

/*
 * Inner events.  One descent of the primary key finds the version that an event
 * falls into, and the one after it.  What the event does to the older one: make
 * it two, leave it as it is, or more than that: then it goes to the fold.
 */
typedef struct Inner
{
	EcsScd2Lookup versions;
	EcsScd2Lookup memory;
	TupleTableSlot *next;
	TupleTableSlot *remembered;
} Inner;

static void
begin_inner(Inner *inner, EcsScd2Direct *direct)
{
	EcsScd2    *table = direct->table;

	ecs_scd2_begin_lookup(&inner->versions, table, direct->rel, BTGreaterStrategyNumber, direct->estate->es_snapshot);
	inner->next = table_slot_create(direct->rel, NULL);
	if (table->remembered)
	{
		Relation	memory = table_open(table->remembered, RowExclusiveLock);

		ecs_scd2_begin_lookup(&inner->memory, table, memory, BTGreaterEqualStrategyNumber, direct->estate->es_snapshot);
		inner->remembered = table_slot_create(memory, NULL);
	}
}

static void
end_inner(Inner *inner, const EcsScd2 *table)
{
	ecs_scd2_end_lookup(&inner->versions);
	ExecDropSingleTupleTableSlot(inner->next);
	if (table->remembered)
	{
		ecs_scd2_end_lookup(&inner->memory);
		ExecDropSingleTupleTableSlot(inner->remembered);
		table_close(inner->memory.rel, NoLock);
	}
}

/* Whether an event without a trace is remembered between this one and the end of its version */
static bool
is_remembered(Inner *inner, const EcsScd2Event *event, TimestampTz to)
{
	bool		isnull;

	ecs_scd2_look_up(&inner->memory, event->values, event->at);
	return ecs_scd2_get_next(&inner->memory, inner->remembered) &&
		DatumGetTimestampTz(slot_getattr(inner->remembered, inner->memory.table->nkeys + 1, &isnull)) < to;
}

static int
classify_inner(Inner *inner, Update *update, const EcsScd2Event *event)
{
	EcsScd2    *table = update->batch->table;
	TimestampTz to;

	ecs_scd2_look_up(&inner->versions, event->values, event->at);
	if (!ecs_scd2_get_next(&inner->versions, update->old))
		return ECS_CLASS_REST;
	slot_getallattrs(update->old);
	to = DatumGetTimestampTz(update->old->tts_values[table->to - 1]);
	if (start_of(update, update->old) >= event->at || (table->remembered && is_remembered(inner, event, to)))
		return ECS_CLASS_REST;
	if (ecs_scd2_compare(update->batch, event, update->old) != ECS_SCD2_CHANGED)
		return ECS_CLASS_UNCHANGED;
	if (ecs_scd2_get_next(&inner->versions, inner->next))
	{
		slot_getallattrs(inner->next);
		/* the two would be one */
		if (start_of(update, inner->next) == to && ecs_scd2_compare(update->batch, event, inner->next) != ECS_SCD2_CHANGED)
			return ECS_CLASS_REST;
	}
	return ECS_CLASS_CHANGED;
}

static void
split_found(EcsScd2Direct *direct, void *arg)
{
	Update	   *update = arg;
	MemoryContext caller = CurrentMemoryContext;
	EcsScd2Event event;
	Inner		inner;

	make_slots(update, direct->rel);
	ecs_scd2_make_event(&event, update->batch);
	begin_inner(&inner, direct);
	while (next_event(update, &event))
	{
		int			class = classify_inner(&inner, update, &event);

		if (class == ECS_CLASS_CHANGED)
		{
			MemoryContextSwitchTo(GetPerTupleMemoryContext(direct->estate));
			replace_version(direct, update, &event, event.at);
			MemoryContextSwitchTo(caller);
			ResetPerTupleExprContext(direct->estate);
			update->batch->counts[ECS_SCD2_LATE]++;
		}
		else
			ecs_scd2_sort_row(update->rest, class, update->row);
	}
	end_inner(&inner, direct->table);
	drop_slots(update);
}

bool
ecs_scd2_replace_current(EcsScd2Batch *batch, EcsScd2Sorter *events, int class, EcsScd2Action action)
{
	Update		update = {.batch = batch,.action = action,.events = events,.class = class};

	/*
	 * a version that this transaction started may have to be joined with the
	 * one before
	 */
	if (!ecs_scd2_can_write_directly(batch->table, batch->rel) || (!batch->timed && ecs_scd2_has_started()))
		return false;
	ecs_scd2_write_directly(batch->table, batch->rel, batch->given, InvalidOid, update_found, &update);
	batch->counts[action] += events->counts[class];
	return true;
}

EcsScd2Sorter *
ecs_scd2_split_inner(EcsScd2Batch *batch, EcsScd2Sorter *events)
{
	EcsScd2Sorter *rest = ecs_scd2_make_sorter(batch);
	Update		update = {.batch = batch,.action = ECS_SCD2_LATE,.events = events,.class = ECS_CLASS_INNER,.rest = rest};

	rest->desc = events->desc;
	if (events->counts[ECS_CLASS_INNER] == 0 || !ecs_scd2_can_write_directly(batch->table, batch->rel))
		return rest;
	ecs_scd2_write_directly(batch->table, batch->rel, batch->given, InvalidOid, split_found, &update);
	batch->counts[ECS_SCD2_UNCHANGED] += rest->counts[ECS_CLASS_UNCHANGED];
	ecs_scd2_remember_class(batch, rest, ECS_CLASS_UNCHANGED, "scd2_inside");
	events->counts[ECS_CLASS_INNER] = 0;
	return rest;
}
