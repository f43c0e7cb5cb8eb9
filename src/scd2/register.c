/*
 * register.c
 *		Rows of the registry: scd2_register, scd2_unregister.
 *
 * They are written as the registry's owner, by statements in which nothing is
 * looked up by search_path, after a check of ownership.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "base/relation.h"
#include "scd2/scd2.h"

PG_FUNCTION_INFO_V1(ecs_scd2_register);
PG_FUNCTION_INFO_V1(ecs_scd2_unregister);

static uint64
write_registry(const char *sql, int nargs, Oid *types, Datum *values, const char *nulls)
{
	Oid			user;
	int			context;
	int			rc;
	uint64		rows;

	GetUserIdAndSecContext(&user, &context);
	SPI_connect();
	SetUserIdAndSecContext(ecs_relation_owner(ecs_scd2_registry()), context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
	rc = SPI_execute_with_args(sql, nargs, types, values, nulls, false, 0);
	if (rc < 0)
		elog(ERROR, "SPI_execute_with_args returned %s", SPI_result_code_string(rc));
	rows = SPI_processed;
	SetUserIdAndSecContext(user, context);
	SPI_finish();
	return rows;
}

static void
check_owner(Oid relid)
{
	if (!has_privs_of_role(GetUserId(), ecs_relation_owner(relid)))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(relid));
}

Datum
ecs_scd2_register(PG_FUNCTION_ARGS)
{
	static Oid	types[] = {REGCLASSOID, REGCLASSOID, REGCLASSOID, NAMEARRAYOID, NAMEARRAYOID, NAMEARRAYOID, NAMEARRAYOID,
	NAMEOID, NAMEOID, NAMEOID, NAMEOID, NAMEOID, NAMEOID, BOOLOID};
	Datum		values[ECS_SCD2_REG_COLUMNS];
	char		nulls[ECS_SCD2_REG_COLUMNS + 1] = {0};

	for (int i = 0; i < ECS_SCD2_REG_COLUMNS; i++)
	{
		bool		optional = i + 1 == ECS_SCD2_REG_REMEMBERED || i + 1 == ECS_SCD2_REG_HISTORY ||
			i + 1 == ECS_SCD2_REG_STAMP || i + 1 == ECS_SCD2_REG_SEQUENCE || i + 1 == ECS_SCD2_REG_CREATED;

		if (PG_ARGISNULL(i) && !optional)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument %d must not be null", i + 1)));
		values[i] = PG_GETARG_DATUM(i);
		nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
	}
	for (int i = ECS_SCD2_REG_REL; i <= ECS_SCD2_REG_REMEMBERED; i++)
		if (nulls[i - 1] == ' ')
			check_owner(DatumGetObjectId(values[i - 1]));

	write_registry("DELETE FROM ecomsocial.scd2_table WHERE rel OPERATOR(pg_catalog.=) $1", 1, types, values, nulls);
	write_registry("INSERT INTO ecomsocial.scd2_table VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
				   ECS_SCD2_REG_COLUMNS, types, values, nulls);
	CacheInvalidateRelcacheByRelid(DatumGetObjectId(values[ECS_SCD2_REG_REL - 1]));
	CommandCounterIncrement();
	PG_RETURN_VOID();
}

Datum
ecs_scd2_unregister(PG_FUNCTION_ARGS)
{
	Oid			types[] = {REGCLASSOID};
	Datum		values[] = {PG_GETARG_DATUM(0)};
	Oid			relid = PG_GETARG_OID(0);
	bool		known;

	check_owner(relid);
	known = write_registry("DELETE FROM ecomsocial.scd2_table WHERE rel OPERATOR(pg_catalog.=) $1", 1, types, values, NULL) > 0;
	write_registry("DELETE FROM ecomsocial.scd2_table WHERE NOT EXISTS "
				   "(SELECT FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) rel)", 0, NULL, NULL, NULL);
	CacheInvalidateRelcacheByRelid(relid);
	CommandCounterIncrement();
	PG_RETURN_BOOL(known);
}
