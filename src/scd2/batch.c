/*
 * batch.c
 *		Batches of events: their rights and locks, and their rows in stores.
 *
 * Rows pass through tuplestores that the statements see as tables, so nothing
 * is written but what changes.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/query.h"
#include "scd2/engine.h"

/*
 * Begin and end
 */

/* The engine leaves to triggers what they do for plain DML */
static void
check_triggers(const EcsScd2 *table, Relation rel)
{
	ecs_scd2_require_guard(table, rel);
	if (SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA || !ecs_scd2_versioning(rel))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" makes no versions in this session", RelationGetRelationName(rel)),
				 errhint("Set ecomsocial.versioning to on, and session_replication_role to origin.")));
}

static void
check_rights(Oid relid, AclMode needed)
{
	for (AclMode bit = 1; bit <= needed; bit <<= 1)
		if ((bit & needed) && pg_class_aclcheck(relid, GetUserId(), bit) != ACLCHECK_OK)
			aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, get_rel_name(relid));
}

static void
check_row_security(Relation rel)
{
	if (check_enable_rls(RelationGetRelid(rel), InvalidOid, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("row security of table \"%s\" hides versions from this role", RelationGetRelationName(rel)),
				 errhint("Use INSERT, UPDATE and DELETE, which obey the policies, or a role that bypasses them.")));
}

void
ecs_scd2_begin(EcsScd2Batch *batch, Oid relid, LOCKMODE lock, AclMode needed)
{
	memset(batch, 0, sizeof(EcsScd2Batch));
	PreventCommandIfReadOnly("a write of a versioned table");
	PreventCommandIfParallelMode("a write of a versioned table");
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	check_rights(relid, needed);
	batch->rel = relation_open(relid, lock);
	batch->table = ecs_scd2_require(batch->rel);
	if (batch->table->root != relid)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a partition", RelationGetRelationName(batch->rel)),
				 errhint("Name the versioned table %s.", batch->table->name)));
	check_row_security(batch->rel);
	check_triggers(batch->table, batch->rel);
	batch->given = palloc0(batch->table->natts * sizeof(bool));
}

void
ecs_scd2_end(EcsScd2Batch *batch)
{
	ListCell   *cell;

	foreach(cell, batch->sorters)
	{
		EcsScd2Sorter *sorter = lfirst(cell);

		for (int class = 0; class < (int) lengthof(sorter->stores); class++)
			if (sorter->stores[class])
				tuplestore_end(sorter->stores[class]);
	}
	relation_close(batch->rel, NoLock);
}

/* An effective time is finite and not in the future */
void
ecs_scd2_check_time(Relation rel, TimestampTz at)
{
	if (TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("effective time for table \"%s\" is infinite", RelationGetRelationName(rel))));
	if (at > GetCurrentTimestamp())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("effective time %s for table \"%s\" lies in the future",
						timestamptz_to_str(at), RelationGetRelationName(rel))));
}


/*
 * Stores
 */
char *
ecs_scd2_event_columns(const EcsScd2 *table, const char *class, const char *a)
{
	return ecs_scd2_sql(table, "{1} AS {'class}, {2}, {3}.{'at}, {3}.{'del}", class ? class : "NULL::pg_catalog.\"char\"",
						ecs_scd2_sql(table, psprintf("{values %s}", a)), a);
}

TupleDesc
ecs_scd2_event_desc(const EcsScd2 *table)
{
	TupleDesc	desc;
	AttrNumber	n = 1;

	for (int i = 0; i < table->natts; i++)
		n += (ECS_SCD2_VALUES & table->columns[i].role) != 0;
	desc = CreateTemplateTupleDesc(n + 2);
	TupleDescInitEntry(desc, 1, "scd2 class", CHAROID, -1, 0);
	n = 2;
	for (int i = 0; i < table->natts; i++)
	{
		const EcsScd2Column *column = &table->columns[i];

		if (!(ECS_SCD2_VALUES & column->role))
			continue;
		TupleDescInitEntry(desc, n, column->raw, column->type, column->typmod, 0);
		TupleDescInitEntryCollation(desc, n++, column->collation);
	}
	TupleDescInitEntry(desc, n, "scd2 at", TIMESTAMPTZOID, -1, 0);
	TupleDescInitEntry(desc, n + 1, "scd2 del", BOOLOID, -1, 0);
	return desc;
}

/* An event of the source, before it is let in */
static void
check_event(EcsScd2Batch *batch, TupleDesc desc, TupleTableSlot *slot)
{
	EcsScd2    *table = batch->table;
	bool		isnull;
	TimestampTz at;
	AttrNumber	n = 2;

	slot_getallattrs(slot);
	for (int i = 0; i < table->natts; i++)
	{
		if (!(ECS_SCD2_VALUES & table->columns[i].role))
			continue;
		if (table->columns[i].role == ECS_SCD2_KEY && slot->tts_isnull[n - 1])
			ereport(ERROR,
					(errcode(ERRCODE_NOT_NULL_VIOLATION),
					 errmsg("key column \"%s\" of a row for table \"%s\" is null",
							table->columns[i].raw, RelationGetRelationName(batch->rel))));
		n++;
	}
	at = DatumGetTimestampTz(slot_getattr(slot, desc->natts - 1, &isnull));
	ecs_scd2_check_time(batch->rel, at);
}

static void
start_sorting(TupleDesc desc, void *state)
{
	EcsScd2Sorter *sorter = state;
	MemoryContext caller = MemoryContextSwitchTo(sorter->context);

	sorter->desc = CreateTupleDescCopy(desc);
	MemoryContextSwitchTo(caller);
}

EcsScd2Sorter *
ecs_scd2_make_sorter(EcsScd2Batch *batch)
{
	EcsScd2Sorter *sorter = palloc0(sizeof(EcsScd2Sorter));

	batch->sorters = lappend(batch->sorters, sorter);
	sorter->context = CurrentMemoryContext;
	return sorter;
}

static Tuplestorestate *
store_of_class(EcsScd2Sorter *sorter, int class)
{
	if (sorter->stores[class] == NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(sorter->context);

		sorter->stores[class] = tuplestore_begin_heap(false, false, work_mem);
		MemoryContextSwitchTo(caller);
	}
	return sorter->stores[class];
}

void
ecs_scd2_sort_row(EcsScd2Sorter *sorter, int class, TupleTableSlot *slot)
{
	tuplestore_puttupleslot(store_of_class(sorter, class), slot);
	sorter->counts[class]++;
}

static void
receive_row(TupleTableSlot *slot, void *state)
{
	EcsScd2Sorter *sorter = state;
	bool		isnull;
	Datum		first = slot_getattr(slot, 1, &isnull);

	if (sorter->check)
		check_event(sorter->check, sorter->desc, slot);
	ecs_scd2_sort_row(sorter, TupleDescAttr(sorter->desc, 0)->atttypid == CHAROID && !isnull ? DatumGetChar(first) & 127 : 0, slot);
}

void
ecs_scd2_sort_query(EcsScd2Sorter *sorter, const char *sql, Oid role)
{
	EcsRowSink	sink = {start_sorting, receive_row, sorter};
	Oid			user;
	int			context;

	GetUserIdAndSecContext(&user, &context);
	if (OidIsValid(role))
		SetUserIdAndSecContext(role, context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	ecs_for_each_row(sql, NULL, &sink);
	PopActiveSnapshot();
	SetUserIdAndSecContext(user, context);
}

void
ecs_scd2_name_class(EcsScd2Sorter *sorter, int class, const char *name)
{
	ecs_scd2_name_store(name, sorter->desc, store_of_class(sorter, class));
}

uint64
ecs_scd2_name_query(EcsScd2Batch *batch, const char *name, const char *sql, Oid role)
{
	EcsScd2Sorter *sorter = ecs_scd2_make_sorter(batch);

	ecs_scd2_sort_query(sorter, sql, role);
	ecs_scd2_name_class(sorter, 0, name);
	return sorter->counts[0];
}

void
ecs_scd2_make_hub_rows(EcsScd2 *table, const char *rows)
{
	ecs_scd2_run_once(table,
					  ecs_scd2_sql(table, "INSERT INTO {hub} ({keys}) SELECT DISTINCT {keys s} FROM {1} s ORDER BY {keys s} ON CONFLICT DO NOTHING", rows),
					  ECS_SCD2_PLAIN, table->hub_owner, InvalidSnapshot);
}

void
ecs_scd2_remember_class(EcsScd2Batch *batch, EcsScd2Sorter *sorter, int class, const char *name)
{
	EcsScd2    *table = batch->table;

	if (!table->remembered || sorter->counts[class] == 0)
		return;
	ecs_scd2_name_class(sorter, class, name);
	ecs_scd2_run_once(table, ecs_scd2_sql(table,
										  "INSERT INTO {memory} ({keys}, at, kind, sequence) SELECT {keys s}, s.{'at}, 'row', {1} FROM {2} s ON CONFLICT DO NOTHING",
										  table->sequence ? ecs_scd2_sql(table, "s.{sequence}") : "NULL", name),
					  ECS_SCD2_PLAIN, table->owner, InvalidSnapshot);
}
