/*
 * newcomers.c
 *		Events of keys without a current version: new ones, and those that come
 *		back.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "scd2/engine.h"

EcsScd2Sorter *
ecs_scd2_find_past(EcsScd2Batch *batch, EcsScd2Sorter *events)
{
	EcsScd2    *table = batch->table;
	EcsScd2Sorter *sorter = ecs_scd2_make_sorter(batch);
	char	   *class;

	if (events->counts[ECS_CLASS_NEW] == 0)
		return sorter;
	ecs_scd2_name_class(events, ECS_CLASS_NEW, "scd2_unknown");
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

void
ecs_scd2_insert_new(EcsScd2Batch *batch, EcsScd2Sorter *known)
{
	if (known->counts[ECS_CLASS_NEW] > 0)
	{
		ecs_scd2_name_class(known, ECS_CLASS_NEW, "scd2_fresh");
		ecs_scd2_make_hub_rows(batch->table, "scd2_fresh");
		batch->counts[ECS_SCD2_INSERTED] += insert_rows(batch, "scd2_fresh", false);
		remember_first(batch, "scd2_fresh");
	}
	if (known->counts[ECS_CLASS_REST] > 0 && !batch->timed)
	{
		ecs_scd2_name_class(known, ECS_CLASS_REST, "scd2_back");
		batch->counts[ECS_SCD2_REOPENED] += insert_rows(batch, "scd2_back", true);
	}
}
