/*
 * classify.c
 *		What the events of a batch are to their keys.
 *
 * One join with the current versions sorts them: the triage of a merge, which
 * leaves only events of older versions to be looked at one by one.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "scd2/engine.h"

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

/*
 * The class of an event s, where v is the current version of its key.  A version
 * that was made to begin before its event does not repeat an event of its start.
 */
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
												  " WHEN s.{'del} THEN 'r' WHEN v.{to} IS NULL THEN 'n' WHEN s.{'at} {=} v.{from} AND {1}{3} THEN 'e' "
												  "WHEN s.{'at} {<} v.{from} THEN 'l' WHEN s.{'at} {=} v.{from}{2} THEN 'r'",
												  ecs_scd2_same_given(table, batch->given, "s", "v", ECS_SCD2_HISTORY | ECS_SCD2_OVERWRITE | ECS_SCD2_SEQUENCE),
												  table->remembered ? ecs_scd2_sql(table, " OR EXISTS (SELECT FROM {memory} m WHERE {match m s} AND m.at {>=} s.{'at})") : "",
												  table->remembered && (table->created || table->open_start)
												  ? ecs_scd2_sql(table, " AND NOT EXISTS (SELECT FROM {memory} m WHERE {match m s} AND m.kind {=} 'first')") : ""));
	else
		appendStringInfoString(&sql, ecs_scd2_sql(table,
												  " WHEN v.{to} IS NULL THEN CASE WHEN s.{'del} THEN 'i' ELSE 'n' END WHEN s.{'del} THEN 'd'"));
	appendStringInfo(&sql, " WHEN NOT %s THEN 'c' WHEN NOT %s THEN 'o' ELSE 'u' END)::pg_catalog.\"char\"",
					 ecs_scd2_same_given(table, batch->given, "s", "v", ECS_SCD2_HISTORY),
					 ecs_scd2_same_given(table, batch->given, "s", "v", ECS_SCD2_OVERWRITE));
	return sql.data;
}

EcsScd2Sorter *
ecs_scd2_classify(EcsScd2Batch *batch)
{
	EcsScd2    *table = batch->table;
	bool		duplicates = find_duplicates(batch) > 0;
	EcsScd2Sorter *sorter = ecs_scd2_make_sorter(batch);

	ecs_scd2_sort_query(sorter,
						ecs_scd2_sql(table,
									 "SELECT {1}, v.ctid AS {'tid} FROM scd2_source s LEFT JOIN {table} v ON {match v s} AND v.{to} {=} 'infinity'{2}",
									 ecs_scd2_event_columns(table, class_of_event(batch, duplicates), "s"),
									 duplicates ? ecs_scd2_sql(table, " LEFT JOIN scd2_several d ON {match d s}") : ""),
						table->owner);
	return sorter;
}
