/*
 * citus.c
 *		What has to be known of tables that Citus manages.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_namespace.h"
#include "fmgr.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "base/citus.h"

/* Citus keeps the tables that it manages here, by their OID in the first column */
#define CITUS_TABLES			"pg_dist_partition"
#define CITUS_TABLES_RELID		1

PG_FUNCTION_INFO_V1(ecs_is_distributed_rel);

bool
ecs_is_distributed(Oid relid)
{
	Oid			catalog = get_relname_relid(CITUS_TABLES, PG_CATALOG_NAMESPACE);
	Relation	tables;
	ScanKeyData key;
	SysScanDesc scan;
	bool		found;

	if (!OidIsValid(catalog))
		return false;			/* Citus is not installed */
	tables = table_open(catalog, AccessShareLock);
	ScanKeyInit(&key, CITUS_TABLES_RELID, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(tables, InvalidOid, false, NULL, 1, &key);
	found = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(tables, AccessShareLock);
	return found;
}

/* is_distributed(rel regclass) → boolean */
Datum
ecs_is_distributed_rel(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(ecs_is_distributed(PG_GETARG_OID(0)));
}
