/*
 * registry.c
 *		Who acts: the registry's owner on its tables, a rollup's owner on its data.
 *
 * The tables of the registry belong to the extension and nobody has rights on
 * them but SELECT.  They are written here, as their owner, after the caller's
 * right has been checked: ownership of the rollup's target.  A rollup's query
 * runs as the target's owner in a security-restricted operation with
 * row_security off, as REFRESH MATERIALIZED VIEW runs its own, so that whoever
 * calls a refresh gains nothing by it and lends nothing to it.
 *
 * Both run with search_path pg_catalog and what SQL they run is qualified.  An
 * error while another role is in force is put right by the abort of the
 * (sub)transaction, which restores role and settings.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "base/relation.h"
#include "rollup/rollup.h"

/* The table of rollups: who locks it makes rollups alone, who locks an object of it a part of one */
Oid
ecs_registry_relid(void)
{
	return get_relname_relid("rollups", get_namespace_oid(ECS_SCHEMA, false));
}

static void
set_locally(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

static void
become(EcsIdentity *saved, Oid role, int security)
{
	GetUserIdAndSecContext(&saved->user, &saved->security);
	SetUserIdAndSecContext(role, saved->security | security);
	saved->guc_level = NewGUCNestLevel();
	set_locally("search_path", "pg_catalog, pg_temp");
}

void
ecs_become_registry(EcsIdentity *saved)
{
	become(saved, ecs_relation_owner(ecs_registry_relid()), SECURITY_LOCAL_USERID_CHANGE);
}

void
ecs_become_owner(EcsIdentity *saved, Oid owner, const char *zone)
{
	become(saved, owner, SECURITY_RESTRICTED_OPERATION);
	set_locally("row_security", "off");
	set_locally("timezone", zone);
}

void
ecs_return(const EcsIdentity *saved)
{
	AtEOXact_GUC(false, saved->guc_level);
	SetUserIdAndSecContext(saved->user, saved->security);
}

/* A statement on the registry, planned once in a session */
typedef struct SavedPlan
{
	const char *sql;			/* the literal itself, not what it says */
	SPIPlanPtr	plan;
} SavedPlan;

static SPIPlanPtr
saved_plan(const char *sql, int nargs, Oid *types)
{
	static HTAB *plans = NULL;
	SavedPlan  *entry;
	SPIPlanPtr	plan;

	if (plans == NULL)
	{
		HASHCTL		info = {.keysize = sizeof(const char *),.entrysize = sizeof(SavedPlan)};

		plans = hash_create("rollup registry plans", 32, &info, HASH_ELEM | HASH_BLOBS);
	}
	entry = hash_search(plans, &sql, HASH_FIND, NULL);
	if (entry != NULL)
		return entry->plan;
	plan = SPI_prepare(sql, nargs, types);
	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare: %s", sql);
	entry = hash_search(plans, &sql, HASH_ENTER, NULL);
	entry->plan = plan;
	return plan;
}

/*
 * Run a statement, which must be a string literal, as the registry's owner;
 * returns the number of rows.
 */
uint64
ecs_registry_sql(const char *sql, int nargs, Oid *types, Datum *values, const char *nulls)
{
	EcsIdentity saved;

	ecs_become_registry(&saved);
	if (SPI_execute_plan(saved_plan(sql, nargs, types), values, nulls, false, 0) < 0)
		elog(ERROR, "could not run: %s", sql);
	ecs_return(&saved);
	return SPI_processed;
}

/* Run a statement as the current user, in which every name is qualified but those of operators */
void
ecs_run_sql(const char *sql)
{
	int			level = NewGUCNestLevel();
	int			rc;

	set_locally("search_path", "pg_catalog, pg_temp");
	rc = SPI_execute(sql, false, 0);
	if (rc < 0)
		elog(ERROR, "SPI_execute returned %s: %s", SPI_result_code_string(rc), sql);
	AtEOXact_GUC(false, level);
}

/* A value of the last result, as text: NULL where it is null */
char *
ecs_spi_text(int row, int column)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column);
}

int64
ecs_spi_int(int row, int column, bool *isnull)
{
	bool		null;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &null);

	if (isnull != NULL)
		*isnull = null;
	else if (null)
		elog(ERROR, "unexpected null in column %d", column);
	if (null)
		return 0;
	switch (SPI_gettypeid(SPI_tuptable->tupdesc, column))
	{
		case INT8OID:
			return DatumGetInt64(value);
		case OIDOID:
		case REGCLASSOID:
			return DatumGetObjectId(value);
		case BOOLOID:
			return DatumGetBool(value);
		default:
			return DatumGetInt32(value);	/* integer, date */
	}
}

EcsCapture *
ecs_capture_load(int32 id)
{
	EcsCapture *capture;
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(id)};

	if (ecs_registry_sql("SELECT source::oid, time_column::text, time_zone FROM ecomsocial.rollup_capture WHERE capture = $1",
						 1, types, values, NULL) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rollup capture %d is not registered", id)));
	capture = palloc(sizeof(EcsCapture));
	capture->id = id;
	capture->source = (Oid) ecs_spi_int(0, 1, NULL);
	capture->column = ecs_spi_text(0, 2);
	capture->zone = ecs_spi_text(0, 3);
	SPI_freetuptable(SPI_tuptable);
	ecs_capture_follow(capture);
	return capture;
}

/* The registered rollup, in the current memory context */
EcsRollup *
ecs_rollup_load(Oid target, bool missing_ok)
{
	EcsRollup  *rollup;
	Oid			types[] = {REGCLASSOID};
	Datum		values[] = {ObjectIdGetDatum(target)};
	bool		isnull;
	ArrayType  *captures;

	if (ecs_registry_sql("SELECT r.time_zone, r.bucket::text, r.bucket_column::text, r.query_function::text, r.on_refresh, "
						 "coalesce(r.frozen_before, '-infinity'), r.last_error IS NOT NULL, r.captures, r.bucket "
						 "FROM ecomsocial.rollups r JOIN pg_class c ON c.oid = r.target WHERE r.target = $1",
						 1, types, values, NULL) == 0)
	{
		if (missing_ok)
			return NULL;
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("relation %s is not a rollup", ecs_relation_name(target)),
				 errhint("ecomsocial.rollup_status() lists the rollups, ecomsocial.rollup_create() makes one.")));
	}
	rollup = palloc0(sizeof(EcsRollup));
	rollup->target = target;
	rollup->owner = ecs_relation_owner(target);
	rollup->name = ecs_relation_name(target);
	rollup->zone = ecs_spi_text(0, 1);
	rollup->period = ecs_spi_text(0, 2);
	rollup->bucket_column = ecs_spi_text(0, 3);
	rollup->function = ecs_spi_text(0, 4);
	rollup->handler = ecs_spi_text(0, 5);
	rollup->frozen = (DateADT) ecs_spi_int(0, 6, NULL);
	rollup->had_error = ecs_spi_int(0, 7, NULL) != 0;
	rollup->unit = ecs_period_from_enum(DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 9, &isnull)));
	captures = DatumGetArrayTypePCopy(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 8, &isnull));
	SPI_freetuptable(SPI_tuptable);
	for (int i = 0; i < ArrayGetNItems(ARR_NDIM(captures), ARR_DIMS(captures)); i++)
		rollup->captures = lappend(rollup->captures, ecs_capture_load(((int32 *) ARR_DATA_PTR(captures))[i]));
	return rollup;
}

void
ecs_check_rollup_owner(const EcsRollup *rollup)
{
	if (!has_privs_of_role(GetUserId(), rollup->owner))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, rollup->name);
}

/* Procedures cannot be strict, and some functions are not */
void
ecs_require_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name)));
}
