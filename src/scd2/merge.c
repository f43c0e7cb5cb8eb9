/*
 * merge.c
 *		scd2_merge: the source, its columns and times.
 *
 * Locking: a merge takes SHARE ROW EXCLUSIVE on the table, so that it alone
 * writes.  The query of the source runs with the caller's rights.
 */
#include "postgres.h"

#include <ctype.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "base/relation.h"
#include "scd2/engine.h"

PG_FUNCTION_INFO_V1(ecs_scd2_merge);
PG_FUNCTION_INFO_V1(ecs_scd2_merge_table);

/* The source as a query: text that begins as one, or else the name of a table */
static char *
source_query(text *source)
{
	static const char *const starts[] = {"select", "with", "values", "table"};
	char	   *sql = text_to_cstring(source);
	char	   *p = sql;
	size_t		word;

	while (isspace((unsigned char) *p))
		p++;
	word = strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_$.");
	for (int i = 0; i < (int) lengthof(starts); i++)
		if (word == strlen(starts[i]) && pg_strncasecmp(p, starts[i], word) == 0)
			return sql;
	if (*p == '(' || strncmp(p, "--", 2) == 0 || strncmp(p, "/*", 2) == 0)
		return sql;
	return psprintf("TABLE %s", ecs_relation_name(DatumGetObjectId(DirectFunctionCall1(regclassin, CStringGetDatum(p)))));
}

/* Which of the table's columns the source has */
static bool
match_source(EcsScd2Batch *batch, const char *source, const char *delete_when)
{
	EcsScd2    *table = batch->table;
	TupleDesc	desc;
	bool		has_from = false;

	if (SPI_execute(psprintf("SELECT * FROM (%s\n) s LIMIT 0", source), true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not describe the source of a merge");
	desc = SPI_tuptable->tupdesc;
	for (int a = 0; a < desc->natts; a++)
	{
		const char *name = NameStr(TupleDescAttr(desc, a)->attname);
		int			i = ecs_scd2_column_by_name(table, name);

		if (i < 0 && delete_when == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of the source is no column of table \"%s\"", name, RelationGetRelationName(batch->rel)),
					 errhint("Name the columns in a query.")));
		if (i >= 0 && table->columns[i].role == ECS_SCD2_FROM)
			has_from = true;
		else if (i >= 0 && (ECS_SCD2_VALUES & table->columns[i].role))
			batch->given[i] = true;
	}
	for (int i = 0; i < table->nkeys; i++)
		if (!batch->given[table->keys[i] - 1])
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("the source has no key column \"%s\"", table->columns[table->keys[i] - 1].raw)));
	return has_from;
}

/* The time of a row: the first of those that there are */
static char *
source_time(const EcsScd2 *table, TimestampTz effective, bool has_from, bool has_stamp)
{
	StringInfoData sql;

	initStringInfo(&sql);
	if (effective != DT_NOEND)
		appendStringInfo(&sql, "%s::pg_catalog.timestamptz, ", quote_literal_cstr(timestamptz_to_str(effective)));
	if (has_from)
		appendStringInfoString(&sql, ecs_scd2_sql(table, "s.{from}, "));
	if (has_stamp)
		appendStringInfoString(&sql, ecs_scd2_sql(table, "s.{stamp}, "));
	return psprintf("COALESCE(%spg_catalog.now())", sql.data);
}

static void
stage_source(EcsScd2Batch *batch, const char *source, const char *delete_when, TimestampTz effective)
{
	EcsScd2    *table = batch->table;
	bool		has_from = match_source(batch, source, delete_when);
	bool		has_stamp = table->stamp && batch->given[table->stamp - 1];
	EcsScd2Sorter *sorter = ecs_scd2_make_sorter(batch);
	StringInfoData values;

	batch->timed = table->remembered || effective != DT_NOEND || has_from || has_stamp;
	initStringInfo(&values);
	for (int i = 0; i < table->natts; i++)
		if (ECS_SCD2_VALUES & table->columns[i].role)
			appendStringInfo(&values, "%s%s",
							 batch->given[i] ? ecs_scd2_assigned(&table->columns[i], ecs_scd2_for_column(table, i, "s.{c}")) : "",
							 ecs_scd2_for_column(table, i, batch->given[i] ? " AS {c}, " : "NULL::{base} AS {c}, "));
	sorter->check = batch;
	ecs_scd2_sort_query(sorter,
						ecs_scd2_sql(table, "SELECT NULL::pg_catalog.\"char\" AS {'class}, {1}{2} AS {'at}, COALESCE(({3}\n)::pg_catalog.bool, false) AS {'del} FROM ({4}\n) s",
									 values.data, source_time(table, effective, has_from, has_stamp), delete_when ? delete_when : "false", source),
						InvalidOid);
	ecs_scd2_name_class(sorter, 0, "scd2_source");
}

static Datum
counts_datum(FunctionCallInfo fcinfo, const EcsScd2Batch *batch)
{
	TupleDesc	desc;
	Datum		values[ECS_SCD2_ACTIONS];
	bool		nulls[ECS_SCD2_ACTIONS] = {0};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	for (int i = 0; i < ECS_SCD2_ACTIONS; i++)
		values[i] = Int64GetDatum((int64) batch->counts[i]);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

static Datum
merge_call(FunctionCallInfo fcinfo, const char *source)
{
	EcsScd2Batch batch;
	bool		whole = strcmp(DatumGetCString(DirectFunctionCall1(enum_out, PG_GETARG_DATUM(2))), "snapshot") == 0;
	char	   *delete_when = PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3));
	TimestampTz effective = PG_ARGISNULL(4) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(4);

	ecs_scd2_begin(&batch, PG_GETARG_OID(0), ShareRowExclusiveLock,
				   ACL_SELECT | ACL_INSERT | ACL_UPDATE | (whole || delete_when ? ACL_DELETE : 0));
	if (!PG_ARGISNULL(4))
		ecs_scd2_check_time(batch.rel, effective);
	SPI_connect();
	stage_source(&batch, source, delete_when, effective);
	ecs_scd2_apply(&batch, whole, effective);
	ecs_scd2_end(&batch);
	SPI_finish();
	return counts_datum(fcinfo, &batch);
}

static void
require_arguments(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("table, source and mode must not be null")));
}

Datum
ecs_scd2_merge(PG_FUNCTION_ARGS)
{
	require_arguments(fcinfo);
	return merge_call(fcinfo, source_query(PG_GETARG_TEXT_PP(1)));
}

Datum
ecs_scd2_merge_table(PG_FUNCTION_ARGS)
{
	require_arguments(fcinfo);
	return merge_call(fcinfo, psprintf("TABLE %s", ecs_relation_name(PG_GETARG_OID(1))));
}
