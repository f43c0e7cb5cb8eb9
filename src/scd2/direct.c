/*
 * direct.c
 *		Reading and writing versions at the level of the executor.
 *
 * Rows are written as the logical replication worker applies changes, and
 * closed versions as COPY writes rows, many together: row triggers,
 * constraints, generated columns and indexes are the executor's own work, and
 * no statement is set up for them.  What worker and COPY do not do must not be
 * needed: statement triggers other than ours, which know that they miss
 * nothing; BEFORE ROW triggers of others, which may skip the row or change its
 * period; rules; the routing of partitions; and the checks of a transaction
 * with one snapshot.
 *
 * Rows are found by the primary key (key…, time), which is the layout of a
 * versioned table and of its memory.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relscan.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "miscadmin.h"
#include "parser/parse_relation.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "scd2/scd2.h"

bool
ecs_scd2_can_write_directly(const EcsScd2 *table, Relation rel)
{
	const TriggerDesc *triggers = rel->trigdesc;
	Oid			ours = InvalidOid;

	/*
	 * statements assign; the copies of a partition may belong into another
	 * one
	 */
	if (table->statements || table->relid != table->root || rel->rd_rel->relkind != RELKIND_RELATION || rel->rd_rules != NULL ||
		IsolationUsesXactSnapshot() || triggers == NULL)
		return false;
	for (int i = 0; i < triggers->numtriggers; i++)
		if (strcmp(triggers->triggers[i].tgname, "zz_scd2_update") == 0)
			ours = triggers->triggers[i].tgfoid;
	for (int i = 0; i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (TRIGGER_FOR_ROW(trigger->tgtype) ? TRIGGER_FOR_BEFORE(trigger->tgtype) && strcmp(trigger->tgname, "zz_scd2_row") != 0
			: trigger->tgfoid != ours)
			return false;
	}
	return OidIsValid(ours);
}

/*
 * Writing
 */
static void
begin_direct(EcsScd2Direct *direct, EcsScd2 *table, Relation rel, const bool *given)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	List	   *perminfos = NIL;
	RTEPermissionInfo *perminfo;

	direct->table = table;
	direct->rel = rel;
	direct->estate = CreateExecutorState();
	direct->target = makeNode(ResultRelInfo);
	rte->rtekind = RTE_RELATION;
	rte->relid = table->root;
	rte->relkind = rel->rd_rel->relkind;
	rte->rellockmode = RowExclusiveLock;
	perminfo = addRTEPermissionInfo(&perminfos, rte);
	for (int i = 0; i < table->natts; i++)
		if ((given && given[i]) || (table->columns[i].role & (ECS_SCD2_FROM | ECS_SCD2_STAMP | ECS_SCD2_SEQUENCE)))
			perminfo->updatedCols = bms_add_member(perminfo->updatedCols, i + 1 - FirstLowInvalidHeapAttributeNumber);
	ecs_init_range_table(direct->estate, rte, perminfos);
	InitResultRelInfo(direct->target, rel, 1, NULL, 0);

	/*
	 * the only BEFORE ROW trigger is ours, which would let the rows pass
	 * after locking them once more
	 */
	direct->target->ri_TrigDesc->trig_insert_before_row = direct->target->ri_TrigDesc->trig_update_before_row = false;
	direct->estate->es_opened_result_relations = lappend(direct->estate->es_opened_result_relations, direct->target);
	direct->estate->es_output_cid = GetCurrentCommandId(true);
	ecs_eval_plan_qual_init(&direct->epq, direct->estate);
	ExecOpenIndices(direct->target, false);

	PushActiveSnapshot(GetTransactionSnapshot());
	direct->estate->es_snapshot = GetActiveSnapshot();
}

static void
end_direct(EcsScd2Direct *direct)
{
	PopActiveSnapshot();
	EvalPlanQualEnd(&direct->epq);
	ExecCloseIndices(direct->target);
	ExecResetTupleTable(direct->estate->es_tupleTable, false);
	FreeExecutorState(direct->estate);
	CommandCounterIncrement();
}

typedef struct Writing
{
	EcsScd2Direct direct;
	void		(*write) (EcsScd2Direct *direct, void *arg);
	void	   *arg;
} Writing;

/*
 * Store the rows that wait: a page of them is one change of the page, and one
 * record of the log.  Indexes and row triggers follow row by row.
 */
static void
insert_waiting(EcsScd2Direct *direct)
{
	EState	   *estate = direct->estate;
	MemoryContext caller = MemoryContextSwitchTo(GetPerTupleMemoryContext(estate));

	table_multi_insert(direct->rel, direct->waiting, direct->nwaiting, GetCurrentCommandId(true), 0, NULL);
	for (int i = 0; i < direct->nwaiting; i++)
	{
		TupleTableSlot *slot = direct->waiting[i];
		List	   *recheck = NIL;

		if (direct->target->ri_NumIndices > 0)
			recheck = ecs_insert_index_tuples(direct->target, slot, estate);
		ExecARInsertTriggers(estate, direct->target, slot, recheck, NULL);
		ExecClearTuple(slot);
		ResetPerTupleExprContext(estate);
	}
	MemoryContextSwitchTo(caller);
	direct->nwaiting = 0;
	direct->waiting_size = 0;
}

static void
write_rows(void *arg)
{
	Writing    *writing = arg;

	AfterTriggerBeginQuery();
	writing->write(&writing->direct, writing->arg);
	if (writing->direct.nwaiting > 0)
		insert_waiting(&writing->direct);
	AfterTriggerEndQuery(writing->direct.estate);
}

void
ecs_scd2_write_directly(EcsScd2 *table, Relation rel, const bool *given, Oid role,
						void (*write) (EcsScd2Direct *direct, void *arg), void *arg)
{
	Writing		writing = {.write = write,.arg = arg};

	CommandCounterIncrement();
	begin_direct(&writing.direct, table, rel, given);
	ecs_scd2_do(table, ECS_SCD2_WRITING, role, write_rows, &writing);
	end_direct(&writing.direct);
}

void
ecs_scd2_direct_update(EcsScd2Direct *direct, TupleTableSlot *old, TupleTableSlot *new)
{
	new->tts_tableOid = direct->table->relid;
	ExecSimpleRelationUpdate(direct->target, direct->estate, &direct->epq, old, new);
}

void
ecs_scd2_direct_insert(EcsScd2Direct *direct, TupleTableSlot *slot)
{
	slot->tts_tableOid = direct->table->relid;
	ExecSimpleRelationInsert(direct->target, direct->estate, slot);
}

/* A slot of its own for a row that waits */
static TupleTableSlot *
waiting_slot(EcsScd2Direct *direct)
{
	MemoryContext caller;
	TupleTableSlot **slot = &direct->waiting[direct->nwaiting++];

	if (*slot == NULL)
	{
		caller = MemoryContextSwitchTo(direct->estate->es_query_cxt);
		*slot = table_slot_create(direct->rel, &direct->estate->es_tupleTable);
		MemoryContextSwitchTo(caller);
	}
	return *slot;
}

void
ecs_scd2_direct_insert_later(EcsScd2Direct *direct, TupleTableSlot *row)
{
	const TupleConstr *constraints = RelationGetDescr(direct->rel)->constr;
	TupleTableSlot *slot = waiting_slot(direct);

	ExecCopySlot(slot, row);
	slot->tts_tableOid = direct->table->relid;
	if (constraints && constraints->has_generated_stored)
		ExecComputeStoredGenerated(direct->target, direct->estate, slot, CMD_INSERT);
	if (constraints)
		ExecConstraints(direct->target, slot, direct->estate);
	direct->waiting_size += ExecFetchSlotHeapTuple(slot, true, NULL)->t_len;
	if (direct->nwaiting == ECS_SCD2_WAITING || direct->waiting_size > ECS_SCD2_WAITING_SIZE)
		insert_waiting(direct);
}

void
ecs_scd2_form_closed(const EcsScd2 *table, TimestampTz to, TupleTableSlot *old, TupleTableSlot *closed)
{
	ExecClearTuple(closed);
	memcpy(closed->tts_values, old->tts_values, table->natts * sizeof(Datum));
	memcpy(closed->tts_isnull, old->tts_isnull, table->natts * sizeof(bool));
	ecs_scd2_put_value(closed, table->to, TimestampTzGetDatum(to));
	ecs_scd2_put_value(closed, table->current, BoolGetDatum(false));
	ExecStoreVirtualTuple(closed);
}

/*
 * Lookups
 */
void
ecs_scd2_begin_lookup(EcsScd2Lookup *lookup, EcsScd2 *table, Relation rel, StrategyNumber strategy, Snapshot snapshot)
{
	Oid			primary = RelationGetPrimaryKeyIndex(rel, false);
	Relation	index = OidIsValid(primary) ? index_open(primary, RowExclusiveLock) : NULL;
	bool		fits = index && IndexRelationGetNumberOfKeyAttributes(index) == table->nkeys + 1;

	for (int i = 0; fits && i < table->nkeys; i++)
	{
		const char *name = NameStr(TupleDescAttr(RelationGetDescr(rel), index->rd_index->indkey.values[i] - 1)->attname);

		fits = strcmp(name, table->columns[table->keys[i] - 1].raw) == 0;
	}
	if (!fits)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("primary key of table \"%s\" is not the one that scd2_enable made", RelationGetRelationName(rel)),
				 errhint("It consists of the key and the time: call ecomsocial.scd2_disable and then ecomsocial.scd2_enable.")));

	lookup->table = table;
	lookup->rel = rel;
	lookup->index = index;
	for (int i = 0; i <= table->nkeys; i++)
	{
		Oid			operator = get_opfamily_member(index->rd_opfamily[i], index->rd_opcintype[i], index->rd_opcintype[i],
												   i < table->nkeys ? BTEqualStrategyNumber : strategy);

		ScanKeyInit(&lookup->keys[i], i + 1, i < table->nkeys ? BTEqualStrategyNumber : strategy, get_opcode(operator), (Datum) 0);
		lookup->keys[i].sk_collation = index->rd_indcollation[i];
	}
	lookup->scan = ecs_index_beginscan(rel, index, snapshot, table->nkeys + 1);
}

void
ecs_scd2_end_lookup(EcsScd2Lookup *lookup)
{
	index_endscan(lookup->scan);
	index_close(lookup->index, NoLock);
}

void
ecs_scd2_look_up(EcsScd2Lookup *lookup, const Datum *keys, TimestampTz at)
{
	const EcsScd2 *table = lookup->table;

	for (int i = 0; i < table->nkeys; i++)
		lookup->keys[i].sk_argument = keys[table->keys[i] - 1];
	lookup->keys[table->nkeys].sk_argument = TimestampTzGetDatum(at);
	index_rescan(lookup->scan, lookup->keys, table->nkeys + 1, NULL, 0);
}

bool
ecs_scd2_get_next(EcsScd2Lookup *lookup, TupleTableSlot *slot)
{
	return index_getnext_slot(lookup->scan, ForwardScanDirection, slot);
}

/* The row in the slot, in its newest version; false where it went on, and is to be looked up again */
static bool
lock_row(Relation rel, TupleTableSlot *slot)
{
	TM_FailureData failure;
	TM_Result	result;

	PushActiveSnapshot(GetLatestSnapshot());
	result = table_tuple_lock(rel, &slot->tts_tid, GetActiveSnapshot(), slot,
							  GetCurrentCommandId(false), LockTupleNoKeyExclusive, LockWaitBlock, 0, &failure);
	PopActiveSnapshot();
	if (result == TM_Invisible || result == TM_SelfModified)
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
				 errmsg("a version of table \"%s\" was written by the command that calls for another change", RelationGetRelationName(rel)),
				 errhint("Do it in a command of its own.")));
	if (result != TM_Ok && result != TM_Updated && result != TM_Deleted)
		elog(ERROR, "unexpected result %d of locking a tuple", result);
	return result == TM_Ok;
}

bool
ecs_scd2_lock_current(EcsScd2 *table, Relation rel, const Datum *keys, TupleTableSlot *slot)
{
	EcsScd2Lookup lookup;
	SnapshotData dirty;
	bool		locked = false;

	InitDirtySnapshot(dirty);
	ecs_scd2_begin_lookup(&lookup, table, rel, BTEqualStrategyNumber, &dirty);
	while (!locked)
	{
		TransactionId writer;

		CHECK_FOR_INTERRUPTS();
		ecs_scd2_look_up(&lookup, keys, DT_NOEND);
		if (!ecs_scd2_get_next(&lookup, slot))
			break;
		ExecMaterializeSlot(slot);
		writer = TransactionIdIsValid(dirty.xmin) ? dirty.xmin : dirty.xmax;
		if (TransactionIdIsValid(writer))
			XactLockTableWait(writer, NULL, NULL, XLTW_None);
		else
			locked = lock_row(rel, slot);
	}
	ecs_scd2_end_lookup(&lookup);
	return locked;
}
