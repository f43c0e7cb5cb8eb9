/*
 * model.c
 *		The register of models: which schemas create_ecommerce() and
 *		create_social() made, and with which settings.
 *
 * The table ecomsocial.model belongs to the extension, and nobody has a grant
 * to write it.  Its rows are written here, after a check that the caller owns
 * the table that the row is about.  A model is known by one of its tables
 * rather than by its schema, since pg_upgrade carries no column of type
 * regnamespace over; a rename of the schema or of the table changes nothing.
 *
 * A row whose table is gone is removed by the next registration.  Two that
 * removed the same one at once would fail, so a registration locks the register
 * in ShareRowExclusiveLock until its transaction ends, and only then looks.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(ecs_model_register);

/* columns of ecomsocial.model */
enum
{
	MODEL_REL,
	MODEL_KIND,
	MODEL_TIME_ZONE,
	MODEL_OPTIONS,
	MODEL_COLUMNS
};

/* Remove the rows of the register whose tables are gone. */
static void
remove_dropped(Relation model)
{
	SysScanDesc scan = systable_beginscan(model, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Oid			relid = DatumGetObjectId(heap_getattr(tuple, MODEL_REL + 1, RelationGetDescr(model), &isnull));

		CHECK_FOR_INTERRUPTS();
		if (get_rel_name(relid) == NULL)
			CatalogTupleDelete(model, &tuple->t_self);
	}
	systable_endscan(scan);
}

/* model_register(rel regclass, kind text, time_zone text, options jsonb) */
Datum
ecs_model_register(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	Oid			namespace = get_func_namespace(fcinfo->flinfo->fn_oid);
	Relation	rel = relation_open(relid, AccessShareLock);
	Relation	model;
	Datum		values[MODEL_COLUMNS];
	bool		nulls[MODEL_COLUMNS] = {false};

	PreventCommandIfReadOnly("model_register()");
	if (!has_privs_of_role(GetUserId(), rel->rd_rel->relowner))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(rel->rd_rel->relkind), RelationGetRelationName(rel));

	values[MODEL_REL] = ObjectIdGetDatum(relid);
	values[MODEL_KIND] = PG_GETARG_DATUM(1);
	values[MODEL_TIME_ZONE] = PG_GETARG_DATUM(2);
	values[MODEL_OPTIONS] = PG_GETARG_DATUM(3);

	model = table_open(get_relname_relid("model", namespace), ShareRowExclusiveLock);
	remove_dropped(model);
	CatalogTupleInsert(model, heap_form_tuple(RelationGetDescr(model), values, nulls));
	table_close(model, NoLock);
	relation_close(rel, NoLock);
	PG_RETURN_VOID();
}
