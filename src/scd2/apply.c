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

#include "access/xact.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "scd2/engine.h"

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
	const char *name = action == ECS_SCD2_CHANGED ? "scd2_changed" : "scd2_overwritten";
	char	   *sql;

	if (events->counts[class] == 0 || ecs_scd2_replace_current(batch, events, class, action))
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

	if (events->counts[ECS_CLASS_DELETE] == 0)
		return;
	ecs_scd2_name_class(events, ECS_CLASS_DELETE, "scd2_ended");
	batch->counts[ECS_SCD2_CLOSED] +=
		ecs_scd2_run_once(table, ecs_scd2_sql(table, "DELETE FROM {table} t USING scd2_ended s WHERE t.{to} {=} 'infinity' AND {match t s}"),
						  ECS_SCD2_PLAIN, InvalidOid, InvalidSnapshot);
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
	static const int classes[] = {ECS_CLASS_REST, ECS_CLASS_INNER, ECS_CLASS_REST, ECS_CLASS_REST, ECS_CLASS_REST};
	EcsScd2Sorter *events,
			   *known;

	check_snapshot(batch, "scd2_source");
	events = ecs_scd2_classify(batch);
	batch->counts[ECS_SCD2_UNCHANGED] = events->counts[ECS_CLASS_UNCHANGED] + events->counts[ECS_CLASS_REPEATED];
	batch->counts[ECS_SCD2_IGNORED] = events->counts[ECS_CLASS_IGNORED];
	ecs_scd2_remember_class(batch, events, ECS_CLASS_UNCHANGED, "scd2_same");
	update_current(batch, events, ECS_CLASS_CHANGED, ECS_SCD2_CHANGED);
	update_current(batch, events, ECS_CLASS_OVERWRITTEN, ECS_SCD2_OVERWRITTEN);
	ecs_scd2_remember_class(batch, events, ECS_CLASS_OVERWRITTEN, "scd2_same_but");
	delete_current(batch, events);
	sorters[4] = whole ? close_missing(batch, effective) : ecs_scd2_make_sorter(batch);
	known = ecs_scd2_find_past(batch, events);
	ecs_scd2_insert_new(batch, known);
	sorters[0] = sorters[1] = events;
	sorters[2] = ecs_scd2_split_inner(batch, events);
	sorters[3] = known;
	if (batch->timed)
		fold_rest(batch, sorters, classes, lengthof(classes));
}
