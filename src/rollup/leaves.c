/*
 * leaves.c
 *		What row triggers cannot see: TRUNCATE, partitions that come and go, and
 *		changes made while a trigger was disabled.
 *
 * A refresh compares the leaves of a source, as the registry has them, with the
 * catalog (leaf.c).
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
 * A capture whose leaves are not recorded came from another database by pg_dump
 * (leaf.c): all its rollups are marked wholly.
 *
 * Locking: whoever acts on differences locks the capture's row first and
 * compares again.  Comparing alone takes no lock and writes nothing; its cost is
 * one probe of pg_class and one of pg_trigger a leaf.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"

#include "rollup/leaf.h"

/* A leaf that is not as it was; one of both is NULL where it is new or gone */
typedef struct Difference
{
	const EcsLeaf *before;
	const EcsLeaf *now;
} Difference;

/* What registry and catalog differ in: a List of Difference; *restored if nothing is recorded */
static List *
find_differences(const EcsCapture *capture, bool *restored)
{
	int			nbefore;
	int			nnow;
	const EcsLeaf *before = ecs_leaves_recorded(capture, &nbefore);
	const EcsLeaf *now = ecs_leaves_present(capture, &nnow);
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
	const EcsLeaf *before = d->before;
	EcsLeaf		now;
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
	ecs_leaf_record(capture, before != NULL ? before->relid : now.relid, d->now != NULL ? &now : NULL);
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
