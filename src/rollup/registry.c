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

#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
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
	return ecs_extension_table("rollups");
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
