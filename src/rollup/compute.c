/*
 * compute.c
 *		What a rollup's owner has defined, run as that owner: its query for one
 *		bucket, or its handler.
 *
 * The caller holds the lock on the target and has taken the buckets from what is
 * pending, in an earlier statement (refresh.c).
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "parser/parse_func.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "rollup/rollup.h"

/* The function of that name is the owner's own, so that nobody else can put words into the owner's mouth */
static void
check_function(const EcsRollup *rollup, Oid function, const char *name)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function %s of rollup %s does not exist", name, rollup->name),
				 errhint("It stands in the schema of the rollup's table. If it is gone, drop the rollup with ecomsocial.rollup_drop() and create it again.")));
	owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
	ReleaseSysCache(tuple);
	if (owner != rollup->owner && !superuser_arg(owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("function %s of rollup %s belongs to another role than its table", name, rollup->name),
				 errdetail("The function runs as the owner of the table."),
				 errhint("ALTER FUNCTION %s OWNER TO %s.", name, quote_identifier(GetUserNameFromId(rollup->owner, false)))));
}

static void
run_as_owner(const EcsRollup *rollup, const char *sql, int nargs, Oid *types, Datum *values, const char *nulls)
{
	EcsIdentity saved;
	int			rc;

	ecs_become_owner(&saved, rollup->owner, rollup->zone);
	rc = SPI_execute_with_args(sql, nargs, types, values, nulls, false, 0);
	if (rc < 0)
		elog(ERROR, "SPI_execute_with_args returned %s: %s", SPI_result_code_string(rc), sql);
	if (SPI_tuptable != NULL)
		SPI_freetuptable(SPI_tuptable);
	ecs_return(&saved);
}

/* The names of the query's columns, as a list in SQL */
static char *
result_columns(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	StringInfoData columns;
	Oid		   *types;
	char	  **names;
	char	   *modes;
	int			count = get_func_arg_info(tuple, &types, &names, &modes);

	initStringInfo(&columns);
	for (int i = 0; i < count; i++)
		if (modes != NULL && modes[i] == PROARGMODE_TABLE)
			appendStringInfo(&columns, ", %s", quote_identifier(names[i]));
	ReleaseSysCache(tuple);
	return columns.data;
}

/* Compute one bucket of a rollup with a query */
void
ecs_compute_bucket(const EcsRollup *rollup, DateADT bucket)
{
	DateADT		next = ecs_period_start(rollup->unit, ecs_period_index(rollup->unit, bucket) + 1);
	bool		by_instant = ((EcsCapture *) linitial(rollup->captures))->zone[0] != '\0';
	Oid			range_type = by_instant ? TIMESTAMPTZOID : DATEOID;
	Oid			types[] = {DATEOID, range_type, range_type};
	Datum		values[] = {DateADTGetDatum(bucket), DateADTGetDatum(bucket), DateADTGetDatum(next)};
	Oid			schema = get_rel_namespace(rollup->target);
	char	   *function_name = quote_qualified_identifier(get_namespace_name(schema), rollup->function);
	Oid			function = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
										   CStringGetDatum(rollup->function),
										   PointerGetDatum(buildoidvector(types + 1, 2)),
										   ObjectIdGetDatum(schema));

	check_function(rollup, function, function_name);
	if (by_instant)
	{
		EcsZone		zone;

		ecs_zone_init(&zone, rollup->zone);
		values[1] = TimestampTzGetDatum(ecs_day_start(&zone, bucket));
		values[2] = TimestampTzGetDatum(ecs_day_start(&zone, next));
	}
	run_as_owner(rollup,
				 psprintf("DELETE FROM %s WHERE %s = $1", rollup->name, quote_identifier(rollup->bucket_column)),
				 1, types, values, NULL);
	run_as_owner(rollup,
				 psprintf("INSERT INTO %s (%s%s) SELECT $1, q.* FROM %s($2, $3) q",
						  rollup->name, quote_identifier(rollup->bucket_column), result_columns(function), function_name),
				 3, types, values, NULL);
}

/* Let the handler repair what the buckets concern: NULL for everything */
void
ecs_call_handler(const EcsRollup *rollup, Datum buckets, bool everything)
{
	Oid			types[] = {DATEARRAYOID};
	List	   *names = textToQualifiedNameList(cstring_to_text(rollup->handler));
	char	   *name;

	if (list_length(names) == 1)
		names = lcons(makeString(get_namespace_name(get_rel_namespace(rollup->target))), names);
	name = NameListToQuotedString(names);
	check_function(rollup, LookupFuncName(names, 1, types, true), name);
	run_as_owner(rollup, psprintf("SELECT %s($1)", name), 1, types, &buckets, everything ? "n" : " ");
}
