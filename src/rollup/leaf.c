/*
 * leaf.c
 *		The leaves of a source, as the catalog has them now and as the registry
 *		has them from the last refresh.
 *
 * For each leaf (an ordinary table is its own) the registry keeps its
 * relfilenode, a fingerprint of its capture triggers and the days that its bounds
 * allow.
 *
 * The fingerprint is made of the OID and xmin of each trigger's row in
 * pg_trigger.  A detached leaf loses its clones, and with them our eyes, and has
 * new ones when it is attached again; every ALTER TABLE ... TRIGGER writes the
 * row anew, so that even a trigger that was disabled and enabled between two
 * refreshes, or within one transaction, has left a trace.
 *
 * A row of leaf 0 says that the leaves of a capture were recorded here.  Since
 * rollup_leaf is not dumped, a capture without one came from another database
 * by pg_dump: leaves may have come and gone unseen before, and relfilenodes say
 * nothing, so that all its rollups are marked wholly.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "rollup/leaf.h"

/* What a leaf's capture triggers are */
static void
read_triggers(Relation pg_trigger, const EcsCapture *capture, EcsLeaf *leaf)
{
	char		prefix[NAMEDATALEN];
	int			length = snprintf(prefix, sizeof(prefix), ECS_TRIGGER_PREFIX "%d_", capture->id);
	int			always = 0;
	uint64		fingerprint = 0;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_trigger_tgrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(leaf->relid));
	scan = systable_beginscan(pg_trigger, TriggerRelidNameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);

		if (strncmp(NameStr(form->tgname), prefix, length) != 0)
			continue;
		always += form->tgenabled == TRIGGER_FIRES_ALWAYS;
		fingerprint = hash_combine64(fingerprint,
									 (uint64) form->oid << 32 | HeapTupleHeaderGetRawXmin(tuple->t_data));
	}
	systable_endscan(scan);
	leaf->blind = leaf->hidden == NULL && always != ECS_TRIGGER_COUNT;
	leaf->triggers = (int64) fingerprint;
}

/* Why nothing would tell of a change of a leaf, even if it had triggers; NULL: it would */
static const char *
reason_hidden(const EcsCapture *capture, Form_pg_class form)
{
	if (form->relpersistence == RELPERSISTENCE_UNLOGGED)
		return "It is unlogged: a crash empties it unseen.";
	if (form->relkind == RELKIND_FOREIGN_TABLE)
		return "It is a foreign table, which is written elsewhere too.";
	if (form->oid != capture->source && !form->relispartition)
		return "It is a child by inheritance, which the triggers of its parent do not watch.";
	return NULL;
}

/* The leaves as the catalog has them, in order of OID; *count of them */
EcsLeaf *
ecs_leaves_present(const EcsCapture *capture, int *count)
{
	Relation	pg_trigger;
	List	   *members;
	EcsLeaf    *leaves;
	ListCell   *cell;

	*count = 0;
	if (get_rel_name(capture->source) == NULL)
		return NULL;			/* dropped, and the query with it */

	/* a partition whose detachment is pending is none for this snapshot */
	PushActiveSnapshot(GetTransactionSnapshot());
	members = find_all_inheritors(capture->source, NoLock, NULL);
	PopActiveSnapshot();
	list_sort(members, list_oid_cmp);

	pg_trigger = table_open(TriggerRelationId, AccessShareLock);
	leaves = palloc(sizeof(EcsLeaf) * list_length(members));
	foreach(cell, members)
	{
		EcsLeaf    *leaf = &leaves[*count];
		HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(lfirst_oid(cell)));
		Form_pg_class form;

		if (!HeapTupleIsValid(tuple))
			continue;			/* dropped in the meantime */
		form = (Form_pg_class) GETSTRUCT(tuple);
		if (form->relkind != RELKIND_PARTITIONED_TABLE)
		{
			leaf->relid = form->oid;
			leaf->file = form->relfilenode;
			leaf->hidden = reason_hidden(capture, form);
			read_triggers(pg_trigger, capture, leaf);
			(*count)++;
		}
		ReleaseSysCache(tuple);
	}
	table_close(pg_trigger, AccessShareLock);
	return leaves;
}

/* The leaves as the registry has them, in order of OID; NULL: they were never recorded */
EcsLeaf *
ecs_leaves_recorded(const EcsCapture *capture, int *count)
{
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(capture->id)};
	EcsLeaf    *leaves;

	/* the first is leaf 0 */
	*count = (int) ecs_registry_sql("SELECT leaf, file, triggers, from_day, until_day FROM ecomsocial.rollup_leaf "
									"WHERE capture = $1 ORDER BY leaf", 1, types, values, NULL) - 1;
	if (*count < 0)
		return NULL;
	leaves = palloc0(sizeof(EcsLeaf) * (*count + 1));
	for (int i = 0; i < *count; i++)
	{
		leaves[i].relid = (Oid) ecs_spi_int(i + 1, 1, NULL);
		leaves[i].file = (Oid) ecs_spi_int(i + 1, 2, NULL);
		leaves[i].triggers = ecs_spi_int(i + 1, 3, NULL);
		leaves[i].from = (DateADT) ecs_spi_int(i + 1, 4, NULL);
		leaves[i].until = (DateADT) ecs_spi_int(i + 1, 5, NULL);
	}
	SPI_freetuptable(SPI_tuptable);
	return leaves;
}

/* Put one leaf as it is now into the registry, or take out one that is gone */
void
ecs_leaf_record(const EcsCapture *capture, Oid relid, const EcsLeaf *now)
{
	Oid			types[] = {INT4OID, OIDOID, OIDOID, INT8OID, DATEOID, DATEOID};
	Datum		values[] = {Int32GetDatum(capture->id), ObjectIdGetDatum(relid), 0, 0, 0, 0};

	ecs_registry_sql("DELETE FROM ecomsocial.rollup_leaf WHERE capture = $1 AND leaf = $2", 2, types, values, NULL);
	if (now == NULL)
		return;
	values[2] = ObjectIdGetDatum(now->file);
	values[3] = Int64GetDatum(now->triggers);
	values[4] = DateADTGetDatum(now->from);
	values[5] = DateADTGetDatum(now->until);
	ecs_registry_sql("INSERT INTO ecomsocial.rollup_leaf VALUES ($1, $2, $3, $4, $5, $6)", 6, types, values, NULL);
}

/* The leaves as they are now are known: called where the triggers are made */
void
ecs_leaves_record(const EcsCapture *capture)
{
	const EcsLeaf recorded = {.from = DATEVAL_NOEND,.until = DATEVAL_NOBEGIN};
	int			count;
	EcsLeaf    *leaves = ecs_leaves_present(capture, &count);

	ecs_leaf_record(capture, InvalidOid, &recorded);
	for (int i = 0; i < count; i++)
	{
		ecs_leaf_days(capture, leaves[i].relid, &leaves[i].from, &leaves[i].until);
		ecs_leaf_record(capture, leaves[i].relid, &leaves[i]);
	}
}
