/*
 * registry.c
 *		Who owns what the registry tables name, and so may enter their rows.
 *
 * The registry tables belong to the extension, and so to the superuser that a
 * trusted extension is installed as.  The modules write them after checks of
 * their own.  But a dump holds their rows too, and whoever restores it copies
 * them in: an ordinary role, where the database is its own.  So INSERT is
 * granted to everybody, and the trigger here lets a row in only where its writer
 * has the rights of the owner of each relation that the row names.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/relation.h"

PG_FUNCTION_INFO_V1(ecs_registry_check);

static void
check_owner(Oid relid)
{
	if (!has_privs_of_role(GetUserId(), ecs_relation_owner(relid)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of relation %s", get_rel_name(relid)),
				 errhint("Rows of the registry are made by the functions of the extension, and by the restore of a dump.")));
}

/* BEFORE INSERT FOR EACH ROW */
Datum
ecs_registry_check(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleDesc	desc;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BY_INSERT(trigger->tg_event) ||
		!TRIGGER_FIRED_BEFORE(trigger->tg_event) || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("registry_check() must be a trigger BEFORE INSERT FOR EACH ROW")));

	desc = RelationGetDescr(trigger->tg_relation);
	for (int i = 0; i < desc->natts; i++)
	{
		bool		isnull;
		Datum		value;

		if (TupleDescAttr(desc, i)->atttypid != REGCLASSOID)
			continue;
		value = heap_getattr(trigger->tg_trigtuple, i + 1, desc, &isnull);
		if (!isnull)
			check_owner(DatumGetObjectId(value));
	}
	return PointerGetDatum(trigger->tg_trigtuple);
}
