/*
 * partition.c
 *		Commands that make and fill partitions, run as the owner of the table.
 *
 * A superuser's job may keep everybody's partitions.  What it makes belongs to
 * the owner of the table, and what it calls on the way (triggers of a default
 * partition, check constraints, generated columns) is the owner's and must not
 * run with more rights than the owner has.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "base/relation.h"
#include "rollup/rollup.h"

PG_FUNCTION_INFO_V1(ecs_run_as_owner);

/* run_as_owner(rel, commands) */
Datum
ecs_run_as_owner(PG_FUNCTION_ARGS)
{
	Oid			rel = PG_GETARG_OID(0);
	char	   *commands = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Oid			owner = ecs_relation_owner(rel);
	bool		other = owner != GetUserId();
	EcsIdentity saved;

	if (!has_privs_of_role(GetUserId(), owner))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, ecs_relation_name(rel));
	SPI_connect();
	if (other)
		ecs_become_owner(&saved, owner, "UTC");
	if (SPI_execute(commands, false, 0) < 0)
		elog(ERROR, "could not run: %s", commands);
	if (other)
		ecs_return(&saved);
	SPI_finish();
	PG_RETURN_VOID();
}
