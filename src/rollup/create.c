/*
 * create.c
 *		Making a rollup: its objects (objects.c), capture triggers on its sources
 *		(capture.c) and a row in the registry.
 *
 * All SQL of the user's (DDL and the query) runs as the caller.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "parser/parse_func.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"

#include "base/argument.h"
#include "base/compat.h"
#include "rollup/request.h"
#include "rollup/rollup.h"

PG_FUNCTION_INFO_V1(ecs_rollup_create);

/* The names "<target>_query" and "<target>_live" must fit as well */
#define MAX_TARGET_LENGTH	(NAMEDATALEN - 1 - 6)

/* The elements of a regclass[]; none may be null */
static List *
relations(ArrayType *array, const char *argument)
{
	Datum	   *values;
	bool	   *nulls;
	int			count;
	List	   *list = NIL;

	deconstruct_array(array, REGCLASSOID, sizeof(Oid), true, TYPALIGN_INT, &values, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			ecs_report_null_element(argument);
		list = lappend_oid(list, DatumGetObjectId(values[i]));
	}
	return list;
}

/* Resolve "schema.table" or "table", which need not exist yet */
static void
resolve_target(EcsRequest *request, text *target)
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

/*
 * The handler's name: a function of one date[] that belongs to the caller.  In
 * the target's own schema it goes unqualified, so that it follows a rename.
 */
static char *
resolve_handler(const EcsRequest *request, text *name)
{
	Oid			types[] = {DATEARRAYOID};
	Oid			function = LookupFuncName(textToQualifiedNameList(name), 1, types, false);
	const char *schema;

	if (!object_ownercheck(ProcedureRelationId, function, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FUNCTION, text_to_cstring(name));
	schema = get_namespace_name(get_func_namespace(function));
	return quote_qualified_identifier(strcmp(schema, request->schema) == 0 ? NULL : schema, get_func_name(function));
}

static void
register_rollup(const EcsRequest *request, Oid target, List *captures)
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
create_rollup(EcsRequest *request, const char *query)
{
	const char *function = quote_qualified_identifier(request->schema, psprintf("%s_query", request->table));
	const char *zone;
	List	   *captures = NIL;
	ListCell   *source;
	ListCell   *column;
	Oid			target;

	/* one creation at a time: they share captures */
	LockRelationOid(ecs_registry_relid(), ShareRowExclusiveLock);
	ecs_forget_dropped();

	forboth(source, request->sources, column, request->columns)
		ecs_check_source(request, lfirst_oid(source), lfirst(column));
	if (query != NULL)
		ecs_check_query(request, query);
	if (OidIsValid(request->existing))
	{
		ecs_check_target(request);
		if (ecs_rollup_load(request->existing, true) != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("relation %s is a rollup already", request->name)));
	}
	else if (query != NULL)
		ecs_create_table(request);
	else
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation %s does not exist", request->name),
				 errdetail("A rollup with on_refresh keeps a table that is there already.")));
	target = get_relname_relid(request->table, get_namespace_oid(request->schema, false));

	if (query != NULL)
	{
		ecs_create_query_function(request, function);
		ecs_create_live_view(request, function);
	}
	zone = request->time_type == DATEOID ? "" : request->zone;
	forboth(source, request->sources, column, request->columns)
		captures = list_append_unique_int(captures, ecs_capture_make(lfirst_oid(source), lfirst(column), zone));
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
	EcsRequest	request = {0};
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
	request.sources = relations(PG_GETARG_ARRAYTYPE_P(1), "sources");
	request.columns = ecs_argument_names(fcinfo, 2, "time_columns");
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
		request.key = ecs_argument_names(fcinfo, 7, "key");
	request.nullable_key = !PG_ARGISNULL(8) && PG_GETARG_BOOL(8);
	if (!PG_ARGISNULL(9))
		request.handler = resolve_handler(&request, text_argument(fcinfo, 9));
	target = create_rollup(&request, PG_ARGISNULL(3) ? NULL : text_to_cstring(text_argument(fcinfo, 3)));
	SPI_finish();
	PG_RETURN_OID(target);
}
