/*
 * drop.c
 *		The end of a rollup, and of the events behind one.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/argument.h"
#include "rollup/rollup.h"

PG_FUNCTION_INFO_V1(ecs_rollup_drop);
PG_FUNCTION_INFO_V1(ecs_rollup_retain);

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
		ecs_capture_drop_unused(lfirst(cell));
	if (rollup->function != NULL)
	{
		char	   *stem = pnstrdup(rollup->function, strlen(rollup->function) - strlen("_query"));
		const char *type = ((EcsCapture *) linitial(rollup->captures))->zone[0] == '\0' ? "date" : "timestamptz";

		ecs_run_sql(psprintf("DROP VIEW IF EXISTS %s", quote_qualified_identifier(schema, psprintf("%s_live", stem))));
		ecs_run_sql(psprintf("DROP FUNCTION IF EXISTS %s (pg_catalog.%s, pg_catalog.%s)",
							 quote_qualified_identifier(schema, rollup->function), type, type));
	}
	if (!keep_table)
		ecs_run_sql(psprintf("DROP TABLE %s", rollup->name));
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
