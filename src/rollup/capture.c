/*
 * capture.c
 *		The capture triggers of a source: made, put back, dropped.
 *
 * A source that has several rollups carries one set of triggers for each pair of
 * time column and time zone in use.  The source's owner may disable or drop
 * them, on purpose or by ALTER TABLE ... DISABLE TRIGGER ALL; a refresh that
 * meets it puts them back (refresh.c, step_heal()).
 *
 * Why nothing is missed then.  Whoever disables, drops or puts back a trigger
 * holds a lock that waits for all writers of the table, so when ours is granted,
 * whatever was written unseen is committed or rolled back, and whatever is
 * written later is noted.  The triggers have another fingerprint afterwards
 * (leaf.c), so that the refresh then computes all buckets of these leaves: it
 * needs nothing from the transaction that healed, and a crash between the two
 * does no harm.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "base/relation.h"
#include "rollup/rollup.h"

/* How often and how long a healer tries to find a source without writers */
#define HEAL_TRIES		100
#define HEAL_PAUSE_MS	10

static const struct
{
	const char *event;
	bool		old_row;		/* whose times are noted */
	bool		new_row;
}			triggers[ECS_TRIGGER_COUNT] = {
	{"insert", false, true}, {"update", true, true}, {"delete", true, false}
};

static char *
trigger_name(const EcsCapture *capture, int i)
{
	return psprintf(ECS_TRIGGER_PREFIX "%d_%s", capture->id, triggers[i].event);
}

/* The captures whose numbers a query of the registry gives */
static List *
load_captures(const char *sql, int nargs, Oid *types, Datum *values)
{
	uint64		count = ecs_registry_sql(sql, nargs, types, values, NULL);
	List	   *numbers = NIL;
	List	   *captures = NIL;
	ListCell   *cell;

	for (uint64 i = 0; i < count; i++)
		numbers = lappend_int(numbers, (int) ecs_spi_int((int) i, 1, NULL));
	SPI_freetuptable(SPI_tuptable);
	foreach(cell, numbers)
		captures = lappend(captures, ecs_capture_load(lfirst_int(cell)));
	return captures;
}

/* Make the triggers that are missing and enable them all, on the source and its partitions */
static void
put_triggers(const EcsCapture *capture)
{
	const char *column = quote_identifier(capture->column);
	char	   *table = ecs_relation_name(capture->source);

	ecs_capture_check(capture);
	for (int i = 0; i < ECS_TRIGGER_COUNT; i++)
	{
		char	   *name = trigger_name(capture, i);

		if (!OidIsValid(get_trigger_oid(capture->source, name, true)))
			ecs_run_sql(psprintf("CREATE TRIGGER %s AFTER %s ON %s FOR EACH ROW "
								 "WHEN (ecomsocial.rollup_note(%d%s%s%s%s)) EXECUTE FUNCTION ecomsocial.rollup_trigger()",
								 quote_identifier(name), triggers[i].event, table, capture->id,
								 triggers[i].old_row ? ", OLD." : "", triggers[i].old_row ? column : "",
								 triggers[i].new_row ? ", NEW." : "", triggers[i].new_row ? column : ""));
		ecs_run_sql(psprintf("ALTER TABLE %s ENABLE ALWAYS TRIGGER %s", table, quote_identifier(name)));
	}
}

/* The capture of a source: an existing one, or a new one with its triggers */
int32
ecs_capture_make(Oid source, const char *column, const char *zone)
{
	Oid			types[] = {REGCLASSOID, NAMEOID, TEXTOID};
	Datum		values[] = {ObjectIdGetDatum(source), DirectFunctionCall1(namein, CStringGetDatum(column)),
	CStringGetTextDatum(zone)};
	EcsCapture *capture;
	ListCell   *cell;

	foreach(cell, load_captures("SELECT capture FROM ecomsocial.rollup_capture WHERE source = $1", 1, types, values))
	{
		capture = lfirst(cell);
		if (strcmp(capture->column, column) == 0 && strcmp(capture->zone, zone) == 0)
			return capture->id;
	}

	/*
	 * the sequence may be behind: a dump holds the captures and not the
	 * sequence; and whoever enters a number that large means no good
	 */
	ecs_registry_sql("INSERT INTO ecomsocial.rollup_capture (capture, source, time_column, time_zone) "
					 "SELECT setval('ecomsocial.rollup_capture_seq', "
					 "greatest(nextval('ecomsocial.rollup_capture_seq'), 1 + coalesce(max(capture) FILTER (WHERE capture < 1000000000), 0))), $1, $2, $3 "
					 "FROM ecomsocial.rollup_capture RETURNING capture",
					 3, types, values, NULL);
	capture = ecs_capture_load((int32) ecs_spi_int(0, 1, NULL));
	put_triggers(capture);
	ecs_leaves_record(capture);
	return capture->id;
}

/* Lock a source and all its partitions against writers, if nobody writes for a moment */
static bool
lock_against_writers(Oid source)
{
	List	   *members;
	ListCell   *cell;
	int			tries = 0;

	PushActiveSnapshot(GetTransactionSnapshot());
	members = find_all_inheritors(source, NoLock, NULL);
	PopActiveSnapshot();
	foreach(cell, members)
	{
		/* waiting in the lock's queue would hold up writers behind us */
		while (!ConditionalLockRelationOid(lfirst_oid(cell), ShareRowExclusiveLock))
		{
			if (++tries > HEAL_TRIES)
				return false;
			CHECK_FOR_INTERRUPTS();
			pg_usleep(HEAL_PAUSE_MS * 1000L);
		}
	}
	return true;
}

/*
 * Put back what is missing or disabled, as the owner of the source.  Where that
 * cannot be done now, only a warning: the leaves stay blind, and every refresh
 * computes all their buckets.
 */
void
ecs_capture_heal(const EcsCapture *capture)
{
	char	   *source = ecs_relation_name(capture->source);
	Oid			blind = capture->source;
	EcsIdentity saved;

	if (lock_against_writers(capture->source))
	{
		ecs_become_owner(&saved, ecs_relation_owner(capture->source), "UTC");
		put_triggers(capture);
		ecs_return(&saved);
		CommandCounterIncrement();
		if (ecs_leaves_compare(capture, &blind) != ECS_LEAVES_BLIND)
		{
			ereport(WARNING,
					(errmsg("capture triggers of %s were missing or not enabled always", source),
					 errdetail("They are put back. As changes may have gone unseen, the buckets of the tables that lacked them are computed again.")));
			return;
		}
	}
	ereport(WARNING,
			(errmsg("capture triggers of %s are missing or not enabled always", ecs_relation_name(blind)),
			 errdetail("They could not be put back now. As changes may go unseen, each refresh computes the buckets of that table again."),
			 errhint("A refresh while nobody writes to %s puts them back.", source)));
}

/*
 * The triggers of a capture go with its last rollup.  If the source is another
 * role's by now, that one takes them away when it comes by.
 */
void
ecs_capture_drop_unused(const EcsCapture *capture)
{
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(capture->id)};

	if (ecs_registry_sql("SELECT FROM ecomsocial.rollups WHERE $1 = ANY (captures)", 1, types, values, NULL) > 0)
		return;
	if (get_rel_name(capture->source) != NULL)
	{
		if (!object_ownercheck(RelationRelationId, capture->source, GetUserId()))
			return;
		for (int i = 0; i < ECS_TRIGGER_COUNT; i++)
			ecs_run_sql(psprintf("DROP TRIGGER IF EXISTS %s ON %s", quote_identifier(trigger_name(capture, i)), ecs_relation_name(capture->source)));
	}
	ecs_registry_sql("DELETE FROM ecomsocial.rollup_capture WHERE capture = $1", 1, types, values, NULL);
	ecs_registry_sql("DELETE FROM ecomsocial.rollup_leaf WHERE capture = $1", 1, types, values, NULL);
	ecs_registry_sql("DELETE FROM ecomsocial.rollup_log WHERE capture = $1", 1, types, values, NULL);
}

/* Clear away what belongs to rollups whose table was dropped by hand */
void
ecs_forget_dropped(void)
{
	ListCell   *cell;

	if (ecs_registry_sql("SELECT FROM ecomsocial.rollups r WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = r.target) LIMIT 1",
						 0, NULL, NULL, NULL) > 0)
	{
		ecs_registry_sql("DELETE FROM ecomsocial.rollups r WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = r.target)",
						 0, NULL, NULL, NULL);
		ecs_registry_sql("DELETE FROM ecomsocial.rollup_pending p WHERE NOT EXISTS (SELECT FROM ecomsocial.rollups r WHERE r.target = p.target)",
						 0, NULL, NULL, NULL);
	}
	/* days of captures that are not there, which anybody may enter */
	ecs_registry_sql("DELETE FROM ecomsocial.rollup_log l WHERE NOT EXISTS (SELECT FROM ecomsocial.rollup_capture c WHERE c.capture = l.capture)",
					 0, NULL, NULL, NULL);
	foreach(cell, load_captures("SELECT capture FROM ecomsocial.rollup_capture c WHERE NOT EXISTS "
								"(SELECT FROM ecomsocial.rollups r WHERE c.capture = ANY (r.captures))", 0, NULL, NULL))
		ecs_capture_drop_unused(lfirst(cell));
}
