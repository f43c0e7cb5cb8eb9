/*
 * leaves.c
 *		What row triggers cannot see: TRUNCATE, partitions that come and go, and
 *		changes made while a trigger was disabled.
 *
 * For each leaf of a source (an ordinary table is its own leaf) the registry
 * keeps its relfilenode, a fingerprint of its capture triggers and the days that
 * its bounds allow.  A refresh compares that with the catalog.
 *
 *		new leaf				ATTACH: mark the days it has rows of
 *		leaf gone				DETACH or DROP: mark the buckets its bounds span
 *		other relfilenode		TRUNCATE (or a rewrite): both
 *		other fingerprint		DETACH and ATTACH again, or triggers that were
 *								disabled or dropped and put back: both
 *		blind					a trigger is missing or not ENABLE ALWAYS:
 *								somebody may be writing unseen: both, each time
 *		hidden					a child by inheritance, which triggers of its
 *								parent do not watch, or unlogged, which a crash
 *								empties, or foreign, which is written elsewhere:
 *								both, each time, and a warning
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
 *
 * Locking: whoever acts on differences locks the capture's row first and
 * compares again.  Comparing alone takes no lock and writes nothing; its cost is
 * one probe of pg_class and one of pg_trigger a leaf.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "common/hashfn.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "rollup/rollup.h"

typedef struct Leaf
{
	Oid			relid;
	Oid			file;			/* relfilenode: another one after TRUNCATE */
	int64		triggers;		/* fingerprint */
	bool		blind;			/* a trigger is missing or not ALWAYS */
	const char *hidden;			/* why triggers cannot help, or NULL */
	DateADT		from;			/* the bounds allow the days [from, until) */
	DateADT		until;
} Leaf;

/* A leaf that is not as it was; one of both is NULL where it is new or gone */
typedef struct Difference
{
	const Leaf *before;
	const Leaf *now;
} Difference;

/* What a leaf's capture triggers are */
static void
read_triggers(Relation pg_trigger, const EcsCapture *capture, Leaf *leaf)
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
static Leaf *
present_leaves(const EcsCapture *capture, int *count)
{
	Relation	pg_trigger;
	List	   *members;
	Leaf	   *leaves;
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
	leaves = palloc(sizeof(Leaf) * list_length(members));
	foreach(cell, members)
	{
		Leaf	   *leaf = &leaves[*count];
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
static Leaf *
recorded_leaves(const EcsCapture *capture, int *count)
{
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(capture->id)};
	Leaf	   *leaves;

	/* the first is leaf 0 */
	*count = (int) ecs_registry_sql("SELECT leaf, file, triggers, from_day, until_day FROM ecomsocial.rollup_leaf "
									"WHERE capture = $1 ORDER BY leaf", 1, types, values, NULL) - 1;
	if (*count < 0)
		return NULL;
	leaves = palloc0(sizeof(Leaf) * (*count + 1));
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

/* What registry and catalog differ in: a List of Difference; *restored if nothing is recorded */
static List *
find_differences(const EcsCapture *capture, bool *restored)
{
	int			nbefore;
	int			nnow;
	const Leaf *before = recorded_leaves(capture, &nbefore);
	const Leaf *now = present_leaves(capture, &nnow);
	List	   *differences = NIL;

	*restored = before == NULL;
	for (int b = 0, n = 0; b < nbefore || n < nnow;)
	{
		Difference	d = {NULL, NULL};

		if (n == nnow || (b < nbefore && before[b].relid <= now[n].relid))
			d.before = &before[b++];
		if (d.before == NULL || (n < nnow && now[n].relid == d.before->relid))
			d.now = &now[n++];
		if (d.before == NULL || d.now == NULL || d.now->blind || d.now->hidden != NULL ||
			d.before->file != d.now->file || d.before->triggers != d.now->triggers)
		{
			Difference *found = palloc(sizeof(Difference));

			*found = d;
			differences = lappend(differences, found);
		}
	}
	return differences;
}

/* *blind is one of the leaves that are */
EcsLeaves
ecs_leaves_compare(const EcsCapture *capture, Oid *blind)
{
	bool		restored;
	List	   *differences = find_differences(capture, &restored);
	ListCell   *cell;

	foreach(cell, differences)
	{
		const Difference *d = lfirst(cell);

		if (d->now != NULL && d->now->blind)
		{
			*blind = d->now->relid;
			return ECS_LEAVES_BLIND;
		}
	}
	return restored || differences != NIL ? ECS_LEAVES_DIFFER : ECS_LEAVES_SAME;
}

/* Put one leaf as it is now into the registry, or take out one that is gone */
static void
record_leaf(const EcsCapture *capture, Oid relid, const Leaf *now)
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
	const Leaf	recorded = {.from = DATEVAL_NOEND,.until = DATEVAL_NOBEGIN};
	int			count;
	Leaf	   *leaves = present_leaves(capture, &count);

	record_leaf(capture, InvalidOid, &recorded);
	for (int i = 0; i < count; i++)
	{
		ecs_leaf_days(capture, leaves[i].relid, &leaves[i].from, &leaves[i].until);
		record_leaf(capture, leaves[i].relid, &leaves[i]);
	}
}

/*
 * Anybody may enter a row of the registry that says that a table of his is a
 * rollup of this source.  What such a rollup defines runs in its own refreshes
 * alone: here it is marked wholly, without a look at it.
 */
#define TARGETS_OF_CAPTURE \
	" FROM ecomsocial.rollups r JOIN pg_class t ON t.oid = r.target LEFT JOIN pg_class s ON s.oid = $2 " \
	"WHERE $1 = ANY (r.captures) AND coalesce(pg_has_role(t.relowner, s.relowner, 'USAGE'), true)"

static void
mark_strangers(const EcsCapture *capture)
{
	Oid			types[] = {INT4OID, OIDOID};
	Datum		values[] = {Int32GetDatum(capture->id), ObjectIdGetDatum(capture->source)};

	ecs_registry_sql("INSERT INTO ecomsocial.rollup_pending SELECT r.target, '-infinity'" TARGETS_OF_CAPTURE " IS FALSE",
					 2, types, values, NULL);
}

/* The rollups of those who have the rights of the source's owner, as rollup_create() demands */
static List *
rollups_of(const EcsCapture *capture)
{
	Oid			types[] = {INT4OID, OIDOID};
	Datum		values[] = {Int32GetDatum(capture->id), ObjectIdGetDatum(capture->source)};
	List	   *targets = NIL;
	List	   *rollups = NIL;
	ListCell   *cell;
	uint64		n = ecs_registry_sql("SELECT r.target::oid" TARGETS_OF_CAPTURE, 2, types, values, NULL);

	for (uint64 i = 0; i < n; i++)
		targets = lappend_oid(targets, (Oid) ecs_spi_int((int) i, 1, NULL));
	SPI_freetuptable(SPI_tuptable);
	foreach(cell, targets)
		rollups = lappend(rollups, ecs_rollup_load(lfirst_oid(cell), false));
	return rollups;
}

static void
mark_difference(const EcsCapture *capture, const Difference *d, List *rollups)
{
	const Leaf *before = d->before;
	Leaf		now;
	ListCell   *cell;

	if (d->now != NULL)
	{
		now = *d->now;
		ecs_leaf_days(capture, now.relid, &now.from, &now.until);
	}
	foreach(cell, rollups)
	{
		if (before != NULL)
			ecs_mark_buckets(lfirst(cell), capture, before->from, before->until, true);
		if (d->now != NULL && (before == NULL || before->from != now.from || before->until != now.until))
			ecs_mark_buckets(lfirst(cell), capture, now.from, now.until, false);
	}
	record_leaf(capture, before != NULL ? before->relid : now.relid, d->now != NULL ? &now : NULL);
	if (d->now != NULL && d->now->hidden != NULL)
		ereport(WARNING,
				(errmsg("changes of %s may go unseen", ecs_relation_name(d->now->relid)),
				 errdetail("%s Each refresh computes all its buckets again.", d->now->hidden),
				 errhint("Use partitions that are ordinary, logged tables.")));
}

/* Mark what the differences touch.  The caller holds the lock on the capture. */
void
ecs_leaves_mark_changes(const EcsCapture *capture)
{
	List	   *rollups = rollups_of(capture);
	bool		restored;
	List	   *differences = find_differences(capture, &restored);
	ListCell   *cell;

	mark_strangers(capture);
	if (restored)
	{
		foreach(cell, rollups)
			ecs_mark_everything(((EcsRollup *) lfirst(cell))->target);
		ecs_leaves_record(capture);
		return;
	}
	foreach(cell, differences)
	{
		const Difference *d = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		mark_difference(capture, d, rollups);
	}
}
