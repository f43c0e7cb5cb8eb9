/*
 * objects.c
 *		The objects of a rollup.
 *
 * A rollup named s.t is made of ordinary objects that belong to the caller:
 *
 *		s.t				the table
 *		s.t_query		the query as an SQL function of (from, until) with a
 *						parsed body: names in it are resolved once, follow
 *						renames, are dumped right, and hold their tables fast
 *		s.t_live		a view: what is materialised and, for the buckets that
 *						were touched since, the query itself
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "rollup/request.h"
#include "rollup/rollup.h"

static char *
qualified_type(Oid type, int32 typmod)
{
	return format_type_extended(type, typmod, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
}

static char *
collation_clause(Node *expr)
{
	Oid			collation = exprCollation(expr);
	HeapTuple	tuple;
	Form_pg_collation form;
	char	   *clause;

	if (!OidIsValid(collation) || collation == get_typcollation(exprType(expr)))
		return "";
	tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for collation %u", collation);
	form = (Form_pg_collation) GETSTRUCT(tuple);
	clause = psprintf(" COLLATE %s",
					  quote_qualified_identifier(get_namespace_name(form->collnamespace), NameStr(form->collname)));
	ReleaseSysCache(tuple);
	return clause;
}

void
ecs_create_table(const EcsRequest *request)
{
	const char *bucket = quote_identifier(request->bucket_column);
	StringInfoData sql;
	StringInfoData key;
	ListCell   *cell;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TABLE %s (%s pg_catalog.date NOT NULL", request->name, bucket);
	foreach(cell, request->outputs)
	{
		TargetEntry *entry = lfirst(cell);
		Node	   *expr = (Node *) entry->expr;

		appendStringInfo(&sql, ", %s %s%s", quote_identifier(entry->resname),
						 qualified_type(exprType(expr), exprTypmod(expr)), collation_clause(expr));
	}
	initStringInfo(&key);
	appendStringInfoString(&key, bucket);
	foreach(cell, request->key)
		appendStringInfo(&key, ", %s", quote_identifier(lfirst(cell)));
	if (request->has_key && !request->nullable_key)
		appendStringInfo(&sql, ", PRIMARY KEY (%s)", key.data);
	appendStringInfoChar(&sql, ')');
	ecs_run_sql(sql.data);

	if (request->has_key && request->nullable_key)
		ecs_run_sql(psprintf("CREATE UNIQUE INDEX ON %s (%s) NULLS NOT DISTINCT", request->name, key.data));
	else if (!request->has_key)
		ecs_run_sql(psprintf("CREATE INDEX ON %s (%s)", request->name, bucket));
	ecs_run_sql(psprintf("COMMENT ON TABLE %s IS 'rollup: kept by ecomsocial.rollup_refresh(), not to be written by hand'", request->name));
}

void
ecs_create_query_function(const EcsRequest *request, const char *function)
{
	StringInfoData sql;
	const char *type = format_type_be_qualified(request->time_type);
	ListCell   *cell;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE FUNCTION %s (rollup_from %s, rollup_until %s) RETURNS TABLE (", function, type, type);
	foreach(cell, request->outputs)
	{
		TargetEntry *entry = lfirst(cell);

		appendStringInfo(&sql, "%s%s %s", cell == list_head(request->outputs) ? "" : ", ",
						 quote_identifier(entry->resname), format_type_be_qualified(exprType((Node *) entry->expr)));
	}
	appendStringInfo(&sql, ") LANGUAGE sql STABLE PARALLEL %s BEGIN ATOMIC\n%s\n; END",
					 request->parallel == PROPARALLEL_SAFE ? "SAFE" : request->parallel == PROPARALLEL_RESTRICTED ? "RESTRICTED" : "UNSAFE",
					 request->query);
	/* the caller's own query means what it means in the caller's path */
	if (SPI_execute(sql.data, false, 0) < 0)
		elog(ERROR, "could not run: %s", sql.data);
	ecs_run_sql(psprintf("COMMENT ON FUNCTION %s (%s, %s) IS 'the query of rollup %s, for a range of time [$1, $2)'",
						 function, type, type, request->table));
}

void
ecs_create_live_view(const EcsRequest *request, const char *function)
{
	const char *view = quote_qualified_identifier(request->schema, psprintf("%s_live", request->table));
	const char *bucket = quote_identifier(request->bucket_column);
	const char *touched = psprintf("ecomsocial.rollup_touched(%s::pg_catalog.regclass) x", quote_literal_cstr(request->name));
	StringInfoData stored;
	StringInfoData computed;
	ListCell   *cell;

	initStringInfo(&stored);
	initStringInfo(&computed);
	foreach(cell, request->outputs)
	{
		const char *column = quote_identifier(((TargetEntry *) lfirst(cell))->resname);

		appendStringInfo(&stored, ", t.%s", column);
		appendStringInfo(&computed, ", q.%s", column);
	}
	ecs_run_sql(psprintf("CREATE VIEW %s AS SELECT t.%s%s FROM %s t "
						 "WHERE t.%s NOT IN (SELECT x.bucket FROM %s) "
						 "UNION ALL SELECT x.bucket%s FROM %s CROSS JOIN LATERAL %s(%s) q",
						 view, bucket, stored.data, request->name, bucket, touched, computed.data, touched, function,
						 request->time_type == DATEOID ? "x.bucket, x.next_bucket" : "x.from_time, x.until_time"));
	ecs_run_sql(psprintf("COMMENT ON VIEW %s IS 'rollup %s, with the buckets that changed since its last refresh computed now'",
						 view, request->table));
}
