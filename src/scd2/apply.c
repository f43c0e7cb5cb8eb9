/*
 * apply.c
 *		What a batch of events does to its table.
 *
 * Most events are the newest of their key: one join with the current versions
 * sorts them into unchanged, changed and new ones, and an UPDATE and an INSERT
 * write them; the triggers copy what the UPDATE replaces.  An event that falls
 * inside an older version is the same UPDATE, of that version.  All others
 * (several of one key, deletes, events of a moment that has one, keys that come
 * back) are folded.
 *
 * Locking: the caller holds the locks of the keys, or the table's.  In
 * REPEATABLE READ it is then made sure that the snapshot sees the keys as they
 * are.  Current versions are written with the caller's rights.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "scd2/engine.h"

/* What is to be done with an event: the classes of the sorters */
enum
{
	CLASS_CHANGED = 'c',
	CLASS_OVERWRITTEN = 'o',
	CLASS_UNCHANGED = 'u',
	CLASS_REPEATED = 'e',		/* the same event again */
	CLASS_NEW = 'n',			/* its key has no current version */
	CLASS_INNER = 'l',			/* older than the current version */
	CLASS_DELETE = 'd',
	CLASS_IGNORED = 'i',
	CLASS_REST = 'r'			/* to be folded */
};

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

/*
 * In a transaction with one snapshot: whether it sees the keys as they are, now
 * that nobody else can write them.
 */
static void
check_snapshot(EcsScd2Batch *batch, const char *rows)
{
	EcsScd2    *table = batch->table;
	char	   *sql;
	char	   *seen[2];

	if (!IsolationUsesXactSnapshot())
		return;
	sql = ecs_scd2_sql(table,
					   "SELECT COALESCE(pg_catalog.sum(pg_catalog.hashtextextended(ROW(t.tableoid, t.ctid, t.xmin)::pg_catalog.text, 0)), 0)::pg_catalog.text "
					   "FROM {table} t WHERE EXISTS (SELECT FROM {1} s WHERE {match t s})", rows);
	for (int i = 0; i < 2; i++)
	{
		ecs_scd2_run_once(table, sql, ECS_SCD2_PLAIN, table->owner, i == 0 ? InvalidSnapshot : GetLatestSnapshot());
		seen[i] = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	}
	if (strcmp(seen[0], seen[1]) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent update"),
				 errdetail("Versions of table %s were written meanwhile.", table->name)));
}

/* Keys of which the source has several rows; returns how many */
static uint64
find_duplicates(EcsScd2Batch *batch)
{
	EcsScd2    *table = batch->table;
	uint64		count;

	count = ecs_scd2_name_query(batch, "scd2_several",
								ecs_scd2_sql(table, "SELECT {keys s} FROM scd2_source s GROUP BY {keys s} HAVING pg_catalog.count(*) {>} 1"),
								InvalidOid);
	if (count > 0 && !batch->timed)
	{
		SPI_execute("SELECT * FROM scd2_several", true, 1);
		ereport(ERROR,
				(errcode(ERRCODE_CARDINALITY_VIOLATION),
				 errmsg("the source has several rows of one key for table \"%s\", and no time", RelationGetRelationName(batch->rel)),
				 errdetail("Key %s.", ecs_scd2_describe_tuple(table, SPI_tuptable->vals[0], SPI_tuptable->tupdesc)),
				 errhint("Bring the column \"%s\"%s with the time of each row, or remove the duplicates.",
						 table->columns[table->from - 1].raw,
						 table->stamp ? psprintf(" or \"%s\"", table->columns[table->stamp - 1].raw) : "")));
	}
	return count;
}

/* The class of an event s, where v is the current version of its key */
static char *
class_of_event(const EcsScd2Batch *batch, bool duplicates)
{
	EcsScd2    *table = batch->table;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "(CASE");
	if (duplicates)
		appendStringInfo(&sql, " WHEN d.%s IS NOT NULL THEN 'r'", table->columns[table->keys[0] - 1].name);
	if (batch->timed)
		appendStringInfoString(&sql, ecs_scd2_sql(table,
												  " WHEN s.{'del} THEN 'r' WHEN v.{to} IS NULL THEN 'n' WHEN s.{'at} {=} v.{from} AND {1} THEN 'e' "
												  "WHEN s.{'at} {<} v.{from} THEN 'l' WHEN s.{'at} {=} v.{from}{2} THEN 'r'",
												  ecs_scd2_same_given(table, batch->given, "s", "v", ECS_SCD2_HISTORY | ECS_SCD2_OVERWRITE | ECS_SCD2_SEQUENCE),
												  table->remembered ? ecs_scd2_sql(table, " OR EXISTS (SELECT FROM {memory} m WHERE {match m s} AND m.at {>=} s.{'at})") : ""));
	else
		appendStringInfoString(&sql, ecs_scd2_sql(table,
												  " WHEN v.{to} IS NULL THEN CASE WHEN s.{'del} THEN 'i' ELSE 'n' END WHEN s.{'del} THEN 'd'"));
	appendStringInfo(&sql, " WHEN NOT %s THEN 'c' WHEN NOT %s THEN 'o' ELSE 'u' END)::pg_catalog.\"char\"",
					 ecs_scd2_same_given(table, batch->given, "s", "v", ECS_SCD2_HISTORY),
					 ecs_scd2_same_given(table, batch->given, "s", "v", ECS_SCD2_OVERWRITE));
	return sql.data;
}

static EcsScd2Sorter *
classify(EcsScd2Batch *batch, bool duplicates)
{
	EcsScd2    *table = batch->table;
	EcsScd2Sorter *sorter = ecs_scd2_make_sorter(batch);

	ecs_scd2_sort_query(sorter,
						ecs_scd2_sql(table,
									 "SELECT {1}, v.ctid AS {'tid} FROM scd2_source s LEFT JOIN {table} v ON {match v s} AND v.{to} {=} 'infinity'{2}",
									 ecs_scd2_event_columns(table, class_of_event(batch, duplicates), "s"),
									 duplicates ? ecs_scd2_sql(table, " LEFT JOIN scd2_several d ON {match d s}") : ""),
						table->owner);
	return sorter;
}

/* Events without a change of history, where the table remembers them */
static void
remember_class(EcsScd2Batch *batch, EcsScd2Sorter *sorter, int class, const char *name)
{
	EcsScd2    *table = batch->table;

	if (!table->remembered || sorter->counts[class] == 0)
		return;
	ecs_scd2_name_class(sorter, class, name);
	ecs_scd2_run_once(table, ecs_scd2_sql(table,
										  "INSERT INTO {memory} ({keys}, at, kind, sequence) SELECT {keys s}, s.{'at}, 'row', {1} FROM {2} s ON CONFLICT DO NOTHING",
										  table->sequence ? ecs_scd2_sql(table, "s.{sequence}") : "NULL", name),
					  ECS_SCD2_PLAIN, table->owner, InvalidSnapshot);
}

/*
 * Updates at the level of the executor
 */
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
		return CLASS_REST;
	slot_getallattrs(update->old);
	to = DatumGetTimestampTz(update->old->tts_values[table->to - 1]);
	if (start_of(update, update->old) >= event->at || (table->remembered && is_remembered(inner, event, to)))
		return CLASS_REST;
	if (ecs_scd2_compare(update->batch, event, update->old) != ECS_SCD2_CHANGED)
		return CLASS_UNCHANGED;
	if (ecs_scd2_get_next(&inner->versions, inner->next))
	{
		slot_getallattrs(inner->next);
		/* the two would be one */
		if (start_of(update, inner->next) == to && ecs_scd2_compare(update->batch, event, inner->next) != ECS_SCD2_CHANGED)
			return CLASS_REST;
	}
	return CLASS_CHANGED;
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

		if (class == CLASS_CHANGED)
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

/*
 * The classes
 */

/* Whether current versions can be updated without a statement, and have been */
static bool
update_directly(EcsScd2Batch *batch, Update *update)
{
	/*
	 * a version that this transaction started may have to be joined with the
	 * one before
	 */
	if (!ecs_scd2_can_write_directly(batch->table, batch->rel) || (!batch->timed && ecs_scd2_has_started()))
		return false;
	ecs_scd2_write_directly(batch->table, batch->rel, batch->given, InvalidOid, update_found, update);
	batch->counts[update->action] += update->events->counts[update->class];
	return true;
}

/* ", a = s.a" of the columns that the batch brings; sequence_by and updated_at have rules of their own */
static char *
assignments(const EcsScd2Batch *batch, EcsScd2Action action)
{
	EcsScd2    *table = batch->table;
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < table->natts; i++)
	{
		const EcsScd2Column *column = &table->columns[i];

		if (column->always)
			continue;
		if (column->role == ECS_SCD2_STAMP && !batch->given[i])
			appendStringInfoString(&sql, ecs_scd2_for_column(table, i, ", {c} = s.{'at}"));
		else if (column->role == ECS_SCD2_SEQUENCE && action == ECS_SCD2_CHANGED && !batch->given[i])
			appendStringInfoString(&sql, ecs_scd2_for_column(table, i, ", {c} = NULL"));
		else if (batch->given[i] && ((column->role & (ECS_SCD2_HISTORY | ECS_SCD2_OVERWRITE | ECS_SCD2_STAMP)) ||
									 (column->role == ECS_SCD2_SEQUENCE && action == ECS_SCD2_CHANGED)))
			appendStringInfoString(&sql, ecs_scd2_for_column(table, i, ", {c} = s.{c}"));
	}
	return sql.data;
}

/* Update current versions: changed or overwritten ones */
static void
update_current(EcsScd2Batch *batch, EcsScd2Sorter *events, int class, EcsScd2Action action)
{
	EcsScd2    *table = batch->table;
	Update		update = {.batch = batch,.action = action,.events = events,.class = class};
	const char *name = action == ECS_SCD2_CHANGED ? "scd2_changed" : "scd2_overwritten";
	char	   *sql;

	if (events->counts[class] == 0 || update_directly(batch, &update))
		return;
	ecs_scd2_name_class(events, class, name);
	sql = ecs_scd2_sql(table, "UPDATE {table} t SET {from} = {1}{2} FROM {3} s WHERE {match t s} AND t.{to} {=} 'infinity'",
					   ecs_scd2_sql(table, batch->timed && action == ECS_SCD2_CHANGED ? "s.{'at}" : "t.{from}"),
					   assignments(batch, action), name);
	batch->counts[action] += ecs_scd2_run_once(table, sql, batch->timed ? ECS_SCD2_WRITING : ECS_SCD2_PLAIN, InvalidOid, InvalidSnapshot);
}

static void
delete_current(EcsScd2Batch *batch, EcsScd2Sorter *events)
{
	EcsScd2    *table = batch->table;

	if (events->counts[CLASS_DELETE] == 0)
		return;
	ecs_scd2_name_class(events, CLASS_DELETE, "scd2_ended");
	batch->counts[ECS_SCD2_CLOSED] +=
		ecs_scd2_run_once(table, ecs_scd2_sql(table, "DELETE FROM {table} t USING scd2_ended s WHERE t.{to} {=} 'infinity' AND {match t s}"),
						  ECS_SCD2_PLAIN, InvalidOid, InvalidSnapshot);
}

/* Keys without a current version: CLASS_NEW, those never seen, and CLASS_REST, those with a past */
static EcsScd2Sorter *
find_past(EcsScd2Batch *batch, EcsScd2Sorter *events)
{
	EcsScd2    *table = batch->table;
	EcsScd2Sorter *sorter = ecs_scd2_make_sorter(batch);
	char	   *class;

	if (events->counts[CLASS_NEW] == 0)
		return sorter;
	ecs_scd2_name_class(events, CLASS_NEW, "scd2_unknown");
	class = ecs_scd2_sql(table, "(CASE WHEN {1}EXISTS (SELECT FROM {hub} h WHERE {match h s}){2} THEN 'r' ELSE 'n' END)::pg_catalog.\"char\"",
						 batch->unknown ? "false AND " : "",
						 table->remembered ? ecs_scd2_sql(table, " OR EXISTS (SELECT FROM {memory} m WHERE {match m s})") : "");
	ecs_scd2_sort_query(sorter, ecs_scd2_sql(table, "SELECT {1} FROM scd2_unknown s", ecs_scd2_event_columns(table, class, "s")), table->owner);
	return sorter;
}

/* Where the first version of a key begins */
static char *
first_start(const EcsScd2Batch *batch)
{
	EcsScd2    *table = batch->table;

	if (table->created && batch->given[table->created - 1])
		return ecs_scd2_sql(table, "LEAST(s.{created}, s.{'at})");
	return ecs_scd2_sql(table, table->open_start ? "'-infinity'::pg_catalog.timestamptz" : "s.{'at}");
}

/*
 * Insert current versions.  Keys that come back take what the events do not
 * bring from their last version, f; other columns are left to their defaults.
 */
static uint64
insert_rows(EcsScd2Batch *batch, const char *rows, bool back)
{
	EcsScd2Mode mode = batch->timed ? ECS_SCD2_WRITING : back ? ECS_SCD2_PLAIN : ECS_SCD2_UNSEEN;
	EcsScd2    *table = batch->table;
	StringInfoData columns;
	StringInfoData values;

	initStringInfo(&columns);
	initStringInfo(&values);
	for (int i = 0; i < table->natts; i++)
	{
		const EcsScd2Column *column = &table->columns[i];
		bool		stamp = i == table->stamp - 1;

		if (!(ECS_SCD2_VALUES & column->role) || (!batch->given[i] && !stamp && (!back || column->always)))
			continue;
		appendStringInfo(&columns, ", %s", column->name);
		if (batch->given[i] || stamp)
			appendStringInfoString(&values, ecs_scd2_for_column(table, i, batch->given[i] ? ", s.{c}" : ", s.{'at}"));
		else
			appendStringInfo(&values, "%s%s%s", ecs_scd2_for_column(table, i, ", CASE WHEN f.{from} IS NULL THEN "),
							 ecs_scd2_column_default(batch->rel, i), ecs_scd2_for_column(table, i, " ELSE f.{c} END"));
	}
	return ecs_scd2_run_once(table,
							 ecs_scd2_sql(table, "INSERT INTO {table} ({from}{1}) OVERRIDING SYSTEM VALUE SELECT {2}{3} FROM {4} s{5}",
										  columns.data, batch->timed ? first_start(batch) : "NULL", values.data, rows,
										  !back ? "" : ecs_scd2_sql(table,
																	" LEFT JOIN LATERAL (SELECT * FROM {table} o WHERE {match o s} ORDER BY o.{to} DESC LIMIT 1) f ON true")),
							 mode, InvalidOid, InvalidSnapshot);
}

/* Where the table remembers: the true time of events whose version was made to begin earlier */
static void
remember_first(EcsScd2Batch *batch, const char *rows)
{
	EcsScd2    *table = batch->table;

	if (!table->remembered || !(table->created || table->open_start))
		return;
	ecs_scd2_run_once(table, ecs_scd2_sql(table,
										  "INSERT INTO {memory} ({keys}, at, kind, sequence) SELECT {keys s}, s.{'at}, 'first', {1} FROM {2} s WHERE {3} {<} s.{'at}",
										  table->sequence ? ecs_scd2_sql(table, "s.{sequence}") : "NULL", rows, first_start(batch)),
					  ECS_SCD2_PLAIN, table->owner, InvalidSnapshot);
}

/* Insert keys without a current version; with a time of their own, keys that come back need their history */
static void
insert_new(EcsScd2Batch *batch, EcsScd2Sorter *known)
{
	if (known->counts[CLASS_NEW] > 0)
	{
		ecs_scd2_name_class(known, CLASS_NEW, "scd2_fresh");
		ecs_scd2_make_hub_rows(batch->table, "scd2_fresh");
		batch->counts[ECS_SCD2_INSERTED] += insert_rows(batch, "scd2_fresh", false);
		remember_first(batch, "scd2_fresh");
	}
	if (known->counts[CLASS_REST] > 0 && !batch->timed)
	{
		ecs_scd2_name_class(known, CLASS_REST, "scd2_back");
		batch->counts[ECS_SCD2_REOPENED] += insert_rows(batch, "scd2_back", true);
	}
}

/* Split older versions; what cannot be split by itself is left */
static EcsScd2Sorter *
split_inner(EcsScd2Batch *batch, EcsScd2Sorter *events)
{
	EcsScd2Sorter *rest = ecs_scd2_make_sorter(batch);
	Update		update = {.batch = batch,.action = ECS_SCD2_LATE,.events = events,.class = CLASS_INNER,.rest = rest};

	rest->desc = events->desc;
	if (events->counts[CLASS_INNER] == 0 || !ecs_scd2_can_write_directly(batch->table, batch->rel))
		return rest;
	ecs_scd2_write_directly(batch->table, batch->rel, batch->given, InvalidOid, split_found, &update);
	batch->counts[ECS_SCD2_UNCHANGED] += rest->counts[CLASS_UNCHANGED];
	remember_class(batch, rest, CLASS_UNCHANGED, "scd2_inside");
	events->counts[CLASS_INNER] = 0;
	return rest;
}

/* Snapshot mode: current keys that the source lacks are deleted, or become events that do so */
static EcsScd2Sorter *
close_missing(EcsScd2Batch *batch, TimestampTz effective)
{
	EcsScd2    *table = batch->table;
	EcsScd2Sorter *missing = ecs_scd2_make_sorter(batch);
	char	   *condition = ecs_scd2_sql(table, "v.{to} {=} 'infinity' AND NOT EXISTS (SELECT FROM scd2_source s WHERE {match s v})");
	const char *at = "pg_catalog.now()";
	StringInfoData values;

	if (!batch->timed)
	{
		batch->counts[ECS_SCD2_CLOSED] += ecs_scd2_run_once(table, ecs_scd2_sql(table, "DELETE FROM {table} v WHERE {1}", condition),
															ECS_SCD2_PLAIN, InvalidOid, InvalidSnapshot);
		return missing;
	}
	if (effective != DT_NOEND)
		at = psprintf("%s::pg_catalog.timestamptz", quote_literal_cstr(timestamptz_to_str(effective)));
	initStringInfo(&values);
	for (int i = 0; i < table->natts; i++)
		if (ECS_SCD2_VALUES & table->columns[i].role)
			appendStringInfoString(&values, ecs_scd2_for_column(table, i, table->columns[i].role == ECS_SCD2_KEY ? "v.{c}, " : "NULL::{base} AS {c}, "));
	ecs_scd2_sort_query(missing,
						ecs_scd2_sql(table,
									 "SELECT 'r'::pg_catalog.\"char\" AS {'class}, {1}{2} AS {'at}, true AS {'del} FROM {table} v WHERE {3} AND v.{from} {<} {2}",
									 values.data, at, condition),
						table->owner);
	return missing;
}

/* All rows that need their history, in one fold */
static void
fold_rest(EcsScd2Batch *batch, EcsScd2Sorter **sorters, const int *classes, int count)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < count; i++)
	{
		char	   *name = psprintf("scd2_rest_%d", i);

		if (sorters[i]->counts[classes[i]] == 0)
			continue;
		ecs_scd2_name_class(sorters[i], classes[i], name);
		appendStringInfo(&sql, "%sSELECT %s FROM %s s", sql.len > 0 ? " UNION ALL " : "", ecs_scd2_event_columns(batch->table, NULL, "s"), name);
	}
	if (sql.len == 0)
		return;
	ecs_scd2_name_query(batch, "scd2_late", sql.data, InvalidOid);
	ecs_scd2_fold(batch, "scd2_late");
}

void
ecs_scd2_apply(EcsScd2Batch *batch, bool whole, TimestampTz effective)
{
	EcsScd2Sorter *sorters[] = {NULL, NULL, NULL, NULL, NULL};
	static const int classes[] = {CLASS_REST, CLASS_INNER, CLASS_REST, CLASS_REST, CLASS_REST};
	EcsScd2Sorter *events,
			   *known;

	check_snapshot(batch, "scd2_source");
	events = classify(batch, find_duplicates(batch) > 0);
	batch->counts[ECS_SCD2_UNCHANGED] = events->counts[CLASS_UNCHANGED] + events->counts[CLASS_REPEATED];
	batch->counts[ECS_SCD2_IGNORED] = events->counts[CLASS_IGNORED];
	remember_class(batch, events, CLASS_UNCHANGED, "scd2_same");
	update_current(batch, events, CLASS_CHANGED, ECS_SCD2_CHANGED);
	update_current(batch, events, CLASS_OVERWRITTEN, ECS_SCD2_OVERWRITTEN);
	remember_class(batch, events, CLASS_OVERWRITTEN, "scd2_same_but");
	delete_current(batch, events);
	sorters[4] = whole ? close_missing(batch, effective) : ecs_scd2_make_sorter(batch);
	known = find_past(batch, events);
	insert_new(batch, known);
	sorters[0] = sorters[1] = events;
	sorters[2] = split_inner(batch, events);
	sorters[3] = known;
	if (batch->timed)
		fold_rest(batch, sorters, classes, lengthof(classes));
}
