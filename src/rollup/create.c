/*
 * create.c
 *		Making and dropping a rollup.
 *
 * A rollup named s.t is made of ordinary objects that belong to the caller:
 *
 *		s.t				the table
 *		s.t_query		the query as an SQL function of (from, until) with a
 *						parsed body: names in it are resolved once, follow
 *						renames, are dumped right, and hold their tables fast
 *		s.t_live		a view: what is materialised and, for the buckets that
 *						were touched since, the query itself
 *
 * and of capture triggers on the sources and rows in the registry.  A source
 * that has several rollups carries one set of triggers for each pair of time
 * column and time zone in use.
 *
 * All SQL of the user's (DDL and the query) runs as the caller.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parse_func.h"
#include "parser/parser.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "base/citus.h"
#include "base/compat.h"
#include "rollup/rollup.h"

PG_FUNCTION_INFO_V1(ecs_rollup_create);
PG_FUNCTION_INFO_V1(ecs_rollup_drop);
PG_FUNCTION_INFO_V1(ecs_rollup_retain);

/* The names "<target>_query" and "<target>_live" must fit as well */
#define MAX_TARGET_LENGTH	(NAMEDATALEN - 1 - 6)

/* What rollup_create() was asked for */
typedef struct Request
{
	char	   *schema;
	char	   *table;
	char	   *name;			/* both, quoted */
	Oid			existing;		/* the table where there is one already */
	List	   *sources;		/* of Oid */
	List	   *columns;		/* of char *, as long */
	Oid			time_type;		/* of all of them: date or timestamptz */
	const char *query;			/* one SELECT, without its semicolon; or NULL */
	List	   *outputs;		/* its TargetEntries */
	char	   *handler;
	Oid			bucket;			/* a value of the enum */
	char	   *zone;
	char	   *bucket_column;
	List	   *key;			/* of char *, besides the bucket */
	bool		has_key;
	bool		nullable_key;
} Request;

/* Run a statement in which every name is qualified but those of operators */
static void
run_sql(const char *sql)
{
	int			level = NewGUCNestLevel();
	int			rc;

	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	rc = SPI_execute(sql, false, 0);
	if (rc < 0)
		elog(ERROR, "SPI_execute returned %s: %s", SPI_result_code_string(rc), sql);
	AtEOXact_GUC(false, level);
}

/* The elements of an array argument; none may be null */
static List *
array_elements(ArrayType *array, Oid type, const char *argument)
{
	Datum	   *values;
	bool	   *nulls;
	int			count;
	List	   *list = NIL;

	if (type == NAMEOID)
		deconstruct_array(array, NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR, &values, &nulls, &count);
	else
		deconstruct_array(array, type, sizeof(Oid), true, TYPALIGN_INT, &values, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument \"%s\" must not contain nulls", argument)));
		if (type == NAMEOID)
			list = lappend(list, pstrdup(NameStr(*DatumGetName(values[i]))));
		else
			list = lappend_oid(list, DatumGetObjectId(values[i]));
	}
	return list;
}

static void
check_source(Request *request, Oid source, const char *column)
{
	char	   *name = ecs_relation_name(source);
	List	   *members;
	ListCell   *cell;
	AttrNumber	attnum;
	Oid			type;

	if (get_rel_relkind(source) != RELKIND_RELATION && get_rel_relkind(source) != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s is not a table", name),
				 errdetail("Changes of a source are captured by triggers, which only tables have.")));
	if (!object_ownercheck(RelationRelationId, source, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, name);
	if (ecs_is_distributed(source))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s is managed by Citus", name),
				 errdetail("Its triggers would note changes on the nodes that hold its shards, where no refresh sees them."),
				 errhint("Keep an aggregate table with INSERT ... SELECT ... ON CONFLICT; docs/citus.md has examples.")));
	if (source == request->existing)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("rollup %s cannot be its own source", name)));

	members = find_all_inheritors(source, AccessShareLock, NULL);
	if (list_length(members) > 1 && get_rel_relkind(source) == RELKIND_RELATION)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s has inheritance children", name),
				 errdetail("Triggers are not inherited by them."),
				 errhint("Use declarative partitioning.")));
	foreach(cell, members)
	{
		if (get_rel_persistence(lfirst_oid(cell)) != RELPERSISTENCE_PERMANENT)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("%s is temporary or unlogged", ecs_relation_name(lfirst_oid(cell))),
					 errdetail("A rollup outlives the rows of such a table.")));
	}

	attnum = get_attnum(source, column);
	if (attnum == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation %s does not exist", column, name)));
	type = get_atttype(source, attnum);
	if (type != DATEOID && type != TIMESTAMPTZOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of relation %s is of type %s", column, name, format_type_be(type)),
				 errdetail("A time column is of type timestamp with time zone or date.")));
	if (OidIsValid(request->time_type) && request->time_type != type)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("the time columns of the sources are of different types"),
				 errdetail("The query has one pair of parameters for all of them.")));
	request->time_type = type;
}

/* Whether a source reads, directly or through other rollups, the target */
static void
check_no_cycle(const Request *request, Oid source)
{
	Oid			types[] = {OIDOID, OIDOID};
	Datum		values[] = {ObjectIdGetDatum(source), ObjectIdGetDatum(request->existing)};

	if (OidIsValid(request->existing) &&
		ecs_registry_sql("WITH RECURSIVE reads(relid) AS (SELECT $1 UNION SELECT c.source::oid FROM reads "
						 "JOIN ecomsocial.rollups r ON r.target = reads.relid "
						 "JOIN ecomsocial.rollup_capture c ON c.capture = ANY (r.captures)) "
						 "SELECT FROM reads WHERE relid = $2", 2, types, values, NULL) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("rollup %s would read itself through %s", request->name, ecs_relation_name(source))));
}

/* Collect which parameters a query uses: context is bool used[2] */
static bool
find_params(Node *node, void *context)
{
	bool	   *used = context;

	if (node == NULL)
		return false;
	if (IsA(node, Param))
	{
		const Param *param = (Param *) node;

		if (param->paramkind == PARAM_EXTERN)
			used[param->paramid - 1] = true;
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, find_params, context, 0);
	return expression_tree_walker(node, find_params, context);
}

/* The query is one SELECT whose answer for a range depends on the tables alone */
static void
check_query(Request *request, const char *sql)
{
	List	   *statements = raw_parser(sql, RAW_PARSE_DEFAULT);
	RawStmt    *raw;
	Query	   *query;
	Oid			types[2] = {request->time_type, request->time_type};
	bool		used[2] = {false, false};
	ListCell   *cell;

	if (list_length(statements) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("the query of a rollup must be one statement")));
	raw = linitial_node(RawStmt, statements);
	request->query = raw->stmt_len > 0 ? pnstrdup(sql + raw->stmt_location, raw->stmt_len) : sql + raw->stmt_location;
	query = parse_analyze_fixedparams(raw, sql, types, 2, NULL);

	if (query->commandType != CMD_SELECT || query->hasModifyingCTE || query->rowMarks != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("the query of a rollup must be a SELECT that changes and locks nothing")));
	if (contain_volatile_functions((Node *) query))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("the query of a rollup must not use volatile functions"),
				 errdetail("A bucket computed again must come out the same.")));
	(void) find_params((Node *) query, used);
	if (!used[0] || !used[1])
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the query of a rollup must use $1 and $2"),
				 errdetail("A bucket holds the rows with time >= $1 and time < $2; both are of type %s.",
						   format_type_be(request->time_type))));

	foreach(cell, query->targetList)
	{
		TargetEntry *entry = lfirst(cell);
		ListCell   *other;

		if (entry->resjunk)
			continue;
		if (strcmp(entry->resname, "?column?") == 0 || strcmp(entry->resname, request->bucket_column) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_COLUMN_DEFINITION),
					 errmsg("column %d of the query needs a name of its own", entry->resno),
					 errdetail("It becomes a column of the rollup beside \"%s\", which is added.", request->bucket_column),
					 errhint("Name it by AS.")));
		foreach(other, request->outputs)
		{
			if (strcmp(((TargetEntry *) lfirst(other))->resname, entry->resname) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("two columns of the query are named \"%s\"", entry->resname)));
		}
		request->outputs = lappend(request->outputs, entry);
	}
	if (request->outputs == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_COLUMN_DEFINITION),
				 errmsg("the query of a rollup must return columns")));
}

static void
check_target_column(const Request *request, const char *column, Oid type)
{
	AttrNumber	attnum = get_attnum(request->existing, column);

	if (attnum == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation %s does not exist", column, request->name),
				 errdetail("The rollup writes column \"%s\" and those of its query.", request->bucket_column)));
	if (get_atttype(request->existing, attnum) != type)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of relation %s is of type %s, the rollup gives %s",
						column, request->name,
						format_type_be(get_atttype(request->existing, attnum)), format_type_be(type))));
}

/* A table that is there already must take what the rollup writes */
static void
check_target(const Request *request)
{
	ListCell   *cell;

	if (get_rel_relkind(request->existing) != RELKIND_RELATION &&
		get_rel_relkind(request->existing) != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s is not a table", request->name)));
	if (!object_ownercheck(RelationRelationId, request->existing, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, request->name);
	if (request->query == NULL)
		return;
	check_target_column(request, request->bucket_column, DATEOID);
	foreach(cell, request->outputs)
		check_target_column(request, ((TargetEntry *) lfirst(cell))->resname,
							exprType((Node *) ((TargetEntry *) lfirst(cell))->expr));
}

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

static void
create_table(const Request *request)
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
	run_sql(sql.data);

	if (request->has_key && request->nullable_key)
		run_sql(psprintf("CREATE UNIQUE INDEX ON %s (%s) NULLS NOT DISTINCT", request->name, key.data));
	else if (!request->has_key)
		run_sql(psprintf("CREATE INDEX ON %s (%s)", request->name, bucket));
	run_sql(psprintf("COMMENT ON TABLE %s IS 'rollup: kept by ecomsocial.rollup_refresh(), not to be written by hand'", request->name));
}

static void
create_query_function(const Request *request, const char *function)
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
	appendStringInfo(&sql, ") LANGUAGE sql STABLE PARALLEL SAFE BEGIN ATOMIC\n%s\n; END", request->query);
	/* the caller's own query means what it means in the caller's path */
	if (SPI_execute(sql.data, false, 0) < 0)
		elog(ERROR, "could not run: %s", sql.data);
	run_sql(psprintf("COMMENT ON FUNCTION %s (%s, %s) IS 'the query of rollup %s, for a range of time [$1, $2)'",
					 function, type, type, request->table));
}

static void
create_live_view(const Request *request, const char *function)
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
	run_sql(psprintf("CREATE VIEW %s AS SELECT t.%s%s FROM %s t "
					 "WHERE t.%s NOT IN (SELECT x.bucket FROM %s) "
					 "UNION ALL SELECT x.bucket%s FROM %s CROSS JOIN LATERAL %s(%s) q",
					 view, bucket, stored.data, request->name, bucket, touched, computed.data, touched, function,
					 request->time_type == DATEOID ? "x.bucket, x.next_bucket" : "x.from_time, x.until_time"));
	run_sql(psprintf("COMMENT ON VIEW %s IS 'rollup %s, with the buckets that changed since its last refresh computed now'",
					 view, request->table));
}

/* The capture of a source: an existing one, or a new one with its triggers */
static int32
find_or_make_capture(const Request *request, Oid source, const char *column)
{
	static const struct
	{
		const char *event;
		const char *rows;		/* which rows' times */
	}			triggers[] = {{"insert", "NEW"}, {"update", "OLD NEW"}, {"delete", "OLD"}};
	const char *zone = request->time_type == DATEOID ? "" : request->zone;
	const char *column_name = quote_identifier(column);
	char	   *table = ecs_relation_name(source);
	Oid			types[] = {REGCLASSOID, NAMEOID, TEXTOID};
	Datum		values[] = {ObjectIdGetDatum(source), DirectFunctionCall1(namein, CStringGetDatum(column)),
	CStringGetTextDatum(zone)};
	int32		capture;

	if (ecs_registry_sql("SELECT capture FROM ecomsocial.rollup_capture WHERE source = $1 AND time_column = $2 AND time_zone = $3",
						 3, types, values, NULL) > 0)
		return (int32) ecs_spi_int(0, 1, NULL);

	/*
	 * the sequence may be behind: a dump holds the captures and not the
	 * sequence
	 */
	ecs_registry_sql("INSERT INTO ecomsocial.rollup_capture (capture, source, time_column, time_zone) "
					 "SELECT setval('ecomsocial.rollup_capture_seq', "
					 "greatest(nextval('ecomsocial.rollup_capture_seq'), 1 + coalesce(max(capture), 0))), $1, $2, $3 "
					 "FROM ecomsocial.rollup_capture RETURNING capture",
					 3, types, values, NULL);
	capture = (int32) ecs_spi_int(0, 1, NULL);

	for (int i = 0; i < (int) lengthof(triggers); i++)
	{
		char	   *name = psprintf("ecomsocial_rollup_%d_%s", capture, triggers[i].event);
		StringInfoData when;

		initStringInfo(&when);
		appendStringInfo(&when, "%d", capture);
		if (strstr(triggers[i].rows, "OLD") != NULL)
			appendStringInfo(&when, ", OLD.%s", column_name);
		if (strstr(triggers[i].rows, "NEW") != NULL)
			appendStringInfo(&when, ", NEW.%s", column_name);
		run_sql(psprintf("CREATE TRIGGER %s AFTER %s ON %s FOR EACH ROW WHEN (ecomsocial.rollup_note(%s)) "
						 "EXECUTE FUNCTION ecomsocial.rollup_trigger()",
						 name, triggers[i].event, table, when.data));
		run_sql(psprintf("ALTER TABLE %s ENABLE ALWAYS TRIGGER %s", table, name));
	}
	ecs_leaves_record(ecs_capture_load(capture));
	return capture;
}

/* Resolve "schema.table" or "table", which need not exist yet */
static void
resolve_target(Request *request, text *target)
{
	RangeVar   *var = makeRangeVarFromNameList(textToQualifiedNameList(target));

	request->existing = RangeVarGetRelid(var, NoLock, true);
	request->schema = get_namespace_name(OidIsValid(request->existing) ? get_rel_namespace(request->existing) :
										 RangeVarGetCreationNamespace(var));
	request->table = var->relname;
	request->name = quote_qualified_identifier(request->schema, request->table);
	if (strlen(request->table) > MAX_TARGET_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("the name of rollup \"%s\" is too long", request->table),
				 errdetail("It may have %d bytes, so that \"..._query\" and \"..._live\" fit.", MAX_TARGET_LENGTH)));
}

/* The handler's name, qualified: a function of one date[] that belongs to the caller */
static char *
resolve_handler(text *name)
{
	Oid			types[] = {DATEARRAYOID};
	Oid			function = LookupFuncName(textToQualifiedNameList(name), 1, types, false);

	if (!object_ownercheck(ProcedureRelationId, function, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FUNCTION, text_to_cstring(name));
	return quote_qualified_identifier(get_namespace_name(get_func_namespace(function)), get_func_name(function));
}

static void
register_rollup(const Request *request, Oid target, List *captures)
{
	Oid			types[] = {REGCLASSOID, INT4ARRAYOID, TEXTOID, TEXTOID, NAMEOID, TEXTOID, TEXTOID};
	char		nulls[] = "       ";
	Datum	   *ids = palloc(sizeof(Datum) * list_length(captures));
	Datum		values[7];
	ListCell   *cell;
	int			n = 0;

	foreach(cell, captures)
		ids[n++] = Int32GetDatum(lfirst_int(cell));
	values[0] = ObjectIdGetDatum(target);
	values[1] = PointerGetDatum(construct_array(ids, n, INT4OID, sizeof(int32), true, TYPALIGN_INT));
	values[2] = CStringGetTextDatum(DatumGetCString(DirectFunctionCall1(enum_out, ObjectIdGetDatum(request->bucket))));
	values[3] = CStringGetTextDatum(request->zone);
	values[4] = DirectFunctionCall1(namein, CStringGetDatum(request->bucket_column));
	values[5] = CStringGetTextDatum(psprintf("%s_query", request->table));
	values[6] = (Datum) 0;
	if (request->handler != NULL)
	{
		nulls[4] = nulls[5] = 'n';
		values[6] = CStringGetTextDatum(request->handler);
	}
	else
		nulls[6] = 'n';
	ecs_registry_sql("INSERT INTO ecomsocial.rollups (target, captures, bucket, time_zone, bucket_column, query_function, on_refresh) "
					 "VALUES ($1, $2, $3::ecomsocial.period, $4, $5, $6, $7)", 7, types, values, nulls);
	ecs_mark_everything(target);
}

static text *
text_argument(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : PG_GETARG_TEXT_PP(n);
}

/* Make what the request says; returns the table */
static Oid
create_rollup(Request *request, const char *query)
{
	const char *function = quote_qualified_identifier(request->schema, psprintf("%s_query", request->table));
	Oid			registry = get_relname_relid("rollups", get_namespace_oid(ECS_SCHEMA, false));
	List	   *captures = NIL;
	ListCell   *source;
	ListCell   *column;
	Oid			target;

	forboth(source, request->sources, column, request->columns)
	{
		check_source(request, lfirst_oid(source), lfirst(column));
		check_no_cycle(request, lfirst_oid(source));
	}
	if (query != NULL)
		check_query(request, query);

	/* one creation at a time: they share captures */
	LockRelationOid(registry, ShareRowExclusiveLock);
	ecs_forget_dropped();
	if (OidIsValid(request->existing))
	{
		check_target(request);
		if (ecs_rollup_load(request->existing, true) != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("relation %s is a rollup already", request->name)));
	}
	else if (query != NULL)
		create_table(request);
	else
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation %s does not exist", request->name),
				 errdetail("A rollup with on_refresh keeps a table that is there already.")));
	target = get_relname_relid(request->table, get_namespace_oid(request->schema, false));

	if (query != NULL)
	{
		create_query_function(request, function);
		create_live_view(request, function);
	}
	forboth(source, request->sources, column, request->columns)
		captures = list_append_unique_int(captures, find_or_make_capture(request, lfirst_oid(source), lfirst(column)));
	register_rollup(request, target, captures);
	return target;
}

/*
 * rollup_create(target, sources, time_columns, query, bucket, time_zone,
 *				 bucket_column, key, nullable_key, on_refresh) → regclass
 */
Datum
ecs_rollup_create(PG_FUNCTION_ARGS)
{
	Request		request = {0};
	EcsZone		zone;
	Oid			target;

	ecs_require_argument(fcinfo, 0, "target");
	ecs_require_argument(fcinfo, 1, "sources");
	ecs_require_argument(fcinfo, 2, "time_columns");
	ecs_require_argument(fcinfo, 4, "bucket");
	ecs_require_argument(fcinfo, 5, "time_zone");
	ecs_require_argument(fcinfo, 6, "bucket_column");
	if (PG_ARGISNULL(3) == PG_ARGISNULL(9))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a rollup has either a query or on_refresh")));

	SPI_connect();
	resolve_target(&request, PG_GETARG_TEXT_PP(0));
	request.sources = array_elements(PG_GETARG_ARRAYTYPE_P(1), REGCLASSOID, "sources");
	request.columns = array_elements(PG_GETARG_ARRAYTYPE_P(2), NAMEOID, "time_columns");
	if (request.sources == NIL || list_length(request.sources) != list_length(request.columns))
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("a rollup needs sources and as many time columns"),
				 errdetail("There are %d sources and %d time columns.",
						   list_length(request.sources), list_length(request.columns))));
	request.bucket = PG_GETARG_OID(4);
	request.zone = text_to_cstring(PG_GETARG_TEXT_PP(5));
	ecs_zone_init(&zone, request.zone);
	request.bucket_column = pstrdup(NameStr(*PG_GETARG_NAME(6)));
	request.has_key = !PG_ARGISNULL(7);
	if (request.has_key)
		request.key = array_elements(PG_GETARG_ARRAYTYPE_P(7), NAMEOID, "key");
	request.nullable_key = !PG_ARGISNULL(8) && PG_GETARG_BOOL(8);
	if (!PG_ARGISNULL(9))
		request.handler = resolve_handler(text_argument(fcinfo, 9));
	target = create_rollup(&request, PG_ARGISNULL(3) ? NULL : text_to_cstring(text_argument(fcinfo, 3)));
	SPI_finish();
	PG_RETURN_OID(target);
}

/* The triggers of a capture go with its last rollup */
static void
drop_unused_capture(const EcsCapture *capture)
{
	static const char *const events[] = {"insert", "update", "delete"};
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(capture->id)};

	if (ecs_registry_sql("SELECT FROM ecomsocial.rollups WHERE $1 = ANY (captures)", 1, types, values, NULL) > 0)
		return;
	if (get_rel_name(capture->source) != NULL)
		for (int i = 0; i < 3; i++)
			run_sql(psprintf("DROP TRIGGER IF EXISTS ecomsocial_rollup_%d_%s ON %s",
							 capture->id, events[i], ecs_relation_name(capture->source)));
	ecs_registry_sql("DELETE FROM ecomsocial.rollup_capture WHERE capture = $1", 1, types, values, NULL);
	ecs_registry_sql("DELETE FROM ecomsocial.rollup_leaf WHERE capture = $1", 1, types, values, NULL);
	ecs_registry_sql("DELETE FROM ecomsocial.rollup_log WHERE capture = $1", 1, types, values, NULL);
}

/* Clear away what belongs to rollups whose table was dropped by hand */
void
ecs_forget_dropped(void)
{
	List	   *unused = NIL;
	ListCell   *cell;
	uint64		count;

	if (ecs_registry_sql("SELECT FROM ecomsocial.rollups r WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = r.target) LIMIT 1",
						 0, NULL, NULL, NULL) > 0)
	{
		ecs_registry_sql("DELETE FROM ecomsocial.rollups r WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = r.target)",
						 0, NULL, NULL, NULL);
		ecs_registry_sql("DELETE FROM ecomsocial.rollup_pending p WHERE NOT EXISTS (SELECT FROM ecomsocial.rollups r WHERE r.target = p.target)",
						 0, NULL, NULL, NULL);
	}
	count = ecs_registry_sql("SELECT capture FROM ecomsocial.rollup_capture c WHERE NOT EXISTS "
							 "(SELECT FROM ecomsocial.rollups r WHERE c.capture = ANY (r.captures))", 0, NULL, NULL, NULL);
	for (uint64 i = 0; i < count; i++)
		unused = lappend_int(unused, (int) ecs_spi_int((int) i, 1, NULL));
	foreach(cell, unused)
	{
		EcsCapture *capture = ecs_capture_load(lfirst_int(cell));

		/* whoever owns the source takes the triggers away when he comes by */
		if (get_rel_name(capture->source) == NULL ||
			object_ownercheck(RelationRelationId, capture->source, GetUserId()))
			drop_unused_capture(capture);
	}
}

static void
drop_rollup(const EcsRollup *rollup, bool keep_table)
{
	Oid			types[] = {REGCLASSOID};
	Datum		values[] = {ObjectIdGetDatum(rollup->target)};
	const char *schema = get_namespace_name(get_rel_namespace(rollup->target));
	ListCell   *cell;

	if (ecs_registry_sql("SELECT r.target::text FROM ecomsocial.rollups r JOIN ecomsocial.rollup_capture c "
						 "ON c.capture = ANY (r.captures) WHERE c.source = $1 ORDER BY 1", 1, types, values, NULL) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop rollup %s because rollup %s reads it", rollup->name, ecs_spi_text(0, 1)),
				 errhint("Drop that one first.")));
	ecs_registry_sql("DELETE FROM ecomsocial.rollups WHERE target = $1", 1, types, values, NULL);
	ecs_registry_sql("DELETE FROM ecomsocial.rollup_pending WHERE target = $1", 1, types, values, NULL);
	foreach(cell, rollup->captures)
		drop_unused_capture(lfirst(cell));
	if (rollup->function != NULL)
	{
		char	   *stem = pnstrdup(rollup->function, strlen(rollup->function) - strlen("_query"));
		const char *type = ((EcsCapture *) linitial(rollup->captures))->zone[0] == '\0' ? "date" : "timestamptz";

		run_sql(psprintf("DROP VIEW IF EXISTS %s", quote_qualified_identifier(schema, psprintf("%s_live", stem))));
		run_sql(psprintf("DROP FUNCTION IF EXISTS %s (pg_catalog.%s, pg_catalog.%s)",
						 quote_qualified_identifier(schema, rollup->function), type, type));
	}
	if (!keep_table)
		run_sql(psprintf("DROP TABLE %s", rollup->name));
}

/* rollup_drop(target, keep_table) */
Datum
ecs_rollup_drop(PG_FUNCTION_ARGS)
{
	EcsRollup  *rollup;

	SPI_connect();
	rollup = ecs_rollup_load(PG_GETARG_OID(0), false);
	ecs_check_rollup_owner(rollup);
	drop_rollup(rollup, PG_GETARG_BOOL(1));
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * Freeze the buckets before a day, which must be the first of a bucket and have
 * nothing waiting before it; without a day, freeze none.
 */
static void
freeze_before(const EcsRollup *rollup, bool none, DateADT before)
{
	Oid			types[] = {REGCLASSOID, DATEOID};
	Datum		values[] = {ObjectIdGetDatum(rollup->target), DateADTGetDatum(before)};

	if (!none && (DATE_NOT_FINITE(before) ||
				  ecs_period_start(rollup->unit, ecs_period_index(rollup->unit, before)) != before))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a bucket of rollup %s does not begin on %s", rollup->name,
						DatumGetCString(DirectFunctionCall1(date_out, DateADTGetDatum(before)))),
				 errdetail("Its buckets are of one %s. A bucket is frozen wholly or not at all.", rollup->period)));
	if (!none && ecs_registry_sql("SELECT FROM ecomsocial.rollup_touched($1) WHERE bucket < $2 UNION ALL "
								  "SELECT FROM ecomsocial.rollup_pending WHERE target = $1 AND bucket = '-infinity'",
								  2, types, values, NULL) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rollup %s has buckets to freeze that wait for a refresh", rollup->name),
				 errhint("CALL ecomsocial.rollup_refresh(%s) first.", quote_literal_cstr(rollup->name))));
	ecs_registry_sql("UPDATE ecomsocial.rollups SET frozen_before = $2 WHERE target = $1", 2, types, values, none ? " n" : "  ");
}

/* rollup_retain(target, before) */
Datum
ecs_rollup_retain(PG_FUNCTION_ARGS)
{
	EcsRollup  *rollup;

	ecs_require_argument(fcinfo, 0, "target");
	SPI_connect();
	rollup = ecs_rollup_load(PG_GETARG_OID(0), false);
	ecs_check_rollup_owner(rollup);
	freeze_before(rollup, PG_ARGISNULL(1), PG_ARGISNULL(1) ? 0 : PG_GETARG_DATEADT(1));
	SPI_finish();
	PG_RETURN_VOID();
}
