/*
 * column.c
 *		The time column of a capture, whatever became of its name.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_trigger.h"
#include "nodes/primnodes.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "rollup/rollup.h"

/* The attribute whose days the INSERT trigger notes; invalid where it is gone */
static AttrNumber
noted_attribute(const EcsCapture *capture)
{
	Relation	pg_trigger = table_open(TriggerRelationId, AccessShareLock);
	AttrNumber	attnum = InvalidAttrNumber;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		isnull = true;
	Datum		condition = (Datum) 0;

	ScanKeyInit(&keys[0], Anum_pg_trigger_tgrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(capture->source));
	ScanKeyInit(&keys[1], Anum_pg_trigger_tgname, BTEqualStrategyNumber, F_NAMEEQ, CStringGetDatum(psprintf(ECS_TRIGGER_PREFIX "%d_insert", capture->id)));
	scan = systable_beginscan(pg_trigger, TriggerRelidNameIndexId, true, NULL, 2, keys);
	if (HeapTupleIsValid(tuple = systable_getnext(scan)))
		condition = heap_getattr(tuple, Anum_pg_trigger_tgqual, RelationGetDescr(pg_trigger), &isnull);
	if (!isnull)
	{
		List	   *columns = pull_var_clause(stringToNode(TextDatumGetCString(condition)), 0);

		if (list_length(columns) == 1)
			attnum = linitial_node(Var, columns)->varattno;
	}
	systable_endscan(scan);
	table_close(pg_trigger, AccessShareLock);
	return attnum;
}

/*
 * The column may have been renamed since the registry was written, and another
 * may have its name now.  Triggers follow a rename, and the registry follows them.
 */
void
ecs_capture_follow(EcsCapture *capture)
{
	Oid			types[] = {INT4OID, TEXTOID};
	Datum		values[] = {Int32GetDatum(capture->id), (Datum) 0};
	char	   *name = get_attname(capture->source, noted_attribute(capture), true);

	if (name == NULL || strcmp(name, capture->column) == 0)
		return;
	capture->column = name;
	values[1] = CStringGetTextDatum(name);
	ecs_registry_sql("UPDATE ecomsocial.rollup_capture SET time_column = $2 WHERE capture = $1", 2, types, values, NULL);
}

/* A column that was dropped, which takes the triggers along */
void
ecs_capture_check(const EcsCapture *capture)
{
	if (get_attnum(capture->source, capture->column) == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("time column \"%s\" of %s does not exist", capture->column, ecs_relation_name(capture->source)),
				 errdetail("It says which bucket a row belongs to."),
				 errhint("Drop the rollups that read the table by it, with keep_table => true if need be, and create them again.")));
}
