/*
 * upsert.c
 *		One event for one key: scd2_upsert, scd2_close.
 *
 * The usual event changes the current version of a plain table: then the row is
 * found and locked by the primary key, compared, updated and copied at the
 * level of the executor, as the logical replication worker applies changes:
 * row triggers, constraints, generated columns and indexes are the executor's
 * own work, and no statement is set up for them.  All else (partitioned tables,
 * other statement triggers, REPEATABLE READ, late events, new keys with a past)
 * goes the way of a merge of one row.
 *
 * Locking: the row lock of the current version.  A key without one is locked by
 * its hub row, which is made first where there is none, and is looked at again
 * with a later snapshot.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_relation.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "scd2/merge.h"

PG_FUNCTION_INFO_V1(ecs_scd2_upsert);
PG_FUNCTION_INFO_V1(ecs_scd2_upsert_row);
PG_FUNCTION_INFO_V1(ecs_scd2_close);

static const char *const action_labels[] = {
	"inserted", "changed", "overwritten", "unchanged", "closed", "reopened", "late", "ignored"
};

/* A row in the shape of the table */
typedef struct Event
{
	Datum	   *values;
	bool	   *nulls;
	TimestampTz at;
	bool		del;
} Event;

static void
make_event(Event *event, const EcsScd2Batch *batch)
{
	event->values = palloc0(batch->table->natts * sizeof(Datum));
	event->nulls = palloc(batch->table->natts * sizeof(bool));
	memset(event->nulls, true, batch->table->natts * sizeof(bool));
	event->at = DT_NOEND;
	event->del = false;
}

/* A value comes for a column: take it if it is the caller's to give */
static void
give_value(Event *event, EcsScd2Batch *batch, int i, Datum value, bool isnull)
{
	const EcsScd2Column *column = &batch->table->columns[i];

	if (column->role == ECS_SCD2_FROM && !isnull)
		event->at = DatumGetTimestampTz(value);
	if (!(ECS_SCD2_VALUES & ECS_SCD2_MASK(column->role)))
		return;
	event->values[i] = value;
	event->nulls[i] = isnull;
	batch->given[i] = true;
}

static int
column_of(const EcsScd2Batch *batch, const char *name)
{
	int			i = ecs_scd2_column_by_name(batch->table, name);

	if (i < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("table \"%s\" has no column \"%s\"", RelationGetRelationName(batch->rel), name)));
	return i;
}

/* jsonb_populate_record() for the table's row type, kept with the table */
static HeapTupleHeader
populate(EcsScd2Batch *batch, Jsonb *row)
{
	EcsScd2    *table = batch->table;

	LOCAL_FCINFO(fcinfo, 2);
	Datum		result;

	if (table->populate == NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(table->context);
		Oid			type = batch->rel->rd_rel->reltype;
		List	   *args = list_make2(makeNullConst(type, -1, InvalidOid), makeNullConst(JSONBOID, -1, InvalidOid));

		table->populate = palloc0(sizeof(FmgrInfo));
		fmgr_info_cxt(F_JSONB_POPULATE_RECORD, table->populate, table->context);
		fmgr_info_set_expr((Node *) makeFuncExpr(F_JSONB_POPULATE_RECORD, type, args, InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL),
						   table->populate);
		MemoryContextSwitchTo(caller);
	}
	InitFunctionCallInfoData(*fcinfo, table->populate, 2, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = (Datum) 0;
	fcinfo->args[0].isnull = true;
	fcinfo->args[1].value = JsonbPGetDatum(row);
	fcinfo->args[1].isnull = false;
	result = FunctionCallInvoke(fcinfo);
	if (fcinfo->isnull)
		elog(ERROR, "jsonb_populate_record returned NULL");
	return DatumGetHeapTupleHeader(result);
}

static void
read_json(Event *event, EcsScd2Batch *batch, Jsonb *row)
{
	TupleDesc	desc = RelationGetDescr(batch->rel);
	HeapTupleData tuple;
	Datum	   *values = palloc(desc->natts * sizeof(Datum));
	bool	   *nulls = palloc(desc->natts * sizeof(bool));
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;
	char		name[NAMEDATALEN];

	if (!JB_ROOT_IS_OBJECT(row))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a row for table \"%s\" must be a JSON object", RelationGetRelationName(batch->rel))));
	make_event(event, batch);
	tuple.t_data = populate(batch, row);
	tuple.t_len = HeapTupleHeaderGetDatumLength(tuple.t_data);
	heap_deform_tuple(&tuple, desc, values, nulls);

	iterator = JsonbIteratorInit(&row->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
		if (token == WJB_KEY)
		{
			int			i;

			if (value.val.string.len >= NAMEDATALEN)
				i = column_of(batch, pnstrdup(value.val.string.val, value.val.string.len));
			else
			{
				memcpy(name, value.val.string.val, value.val.string.len);
				name[value.val.string.len] = '\0';
				i = column_of(batch, name);
			}
			give_value(event, batch, i, values[i], nulls[i]);
		}
}

static void
read_record(Event *event, EcsScd2Batch *batch, HeapTupleHeader row)
{
	TupleDesc	desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(row), HeapTupleHeaderGetTypMod(row));
	Datum	   *values = palloc(desc->natts * sizeof(Datum));
	bool	   *nulls = palloc(desc->natts * sizeof(bool));
	HeapTupleData tuple;

	make_event(event, batch);
	tuple.t_data = row;
	tuple.t_len = HeapTupleHeaderGetDatumLength(row);
	heap_deform_tuple(&tuple, desc, values, nulls);
	for (int a = 0; a < desc->natts; a++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, a);
		int			i;

		if (att->attisdropped)
			continue;
		i = column_of(batch, NameStr(att->attname));
		if (att->atttypid != TupleDescAttr(RelationGetDescr(batch->rel), i)->atttypid)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("column \"%s\" of the row has type %s, that of table \"%s\" %s", NameStr(att->attname),
							format_type_be(att->atttypid), RelationGetRelationName(batch->rel),
							format_type_be(TupleDescAttr(RelationGetDescr(batch->rel), i)->atttypid))));
		give_value(event, batch, i, values[a], nulls[a]);
	}
	ReleaseTupleDesc(desc);
}

/* The key is whole, and the time is known and possible */
static void
check_event(Event *event, EcsScd2Batch *batch, bool has_time, TimestampTz effective)
{
	EcsScd2    *table = batch->table;

	for (int i = 0; i < table->nkeys; i++)
		if (event->nulls[table->keys[i] - 1])
			ereport(ERROR,
					(errcode(ERRCODE_NOT_NULL_VIOLATION),
					 errmsg("key column \"%s\" of a row for table \"%s\" is null",
							table->columns[table->keys[i] - 1].raw, RelationGetRelationName(batch->rel))));
	if (has_time)
		event->at = effective;
	else if (event->at == DT_NOEND && table->stamp && !event->nulls[table->stamp - 1])
		event->at = DatumGetTimestampTz(event->values[table->stamp - 1]);
	else if (event->at == DT_NOEND)
	{
		event->at = GetCurrentTransactionStartTimestamp();
		batch->timed = OidIsValid(table->remembered);
		return;
	}
	batch->timed = true;
	ecs_scd2_check_time(batch->rel, event->at);
}

/*
 * The way of a merge
 */
static void
key_params(const EcsScd2 *table, const Event *event, Oid *types, Datum *values)
{
	for (int i = 0; i < table->nkeys; i++)
	{
		types[i] = table->columns[table->keys[i] - 1].type;
		values[i] = event->values[table->keys[i] - 1];
	}
}

static SPIPlanPtr
key_plan(EcsScd2 *table, EcsScd2Plan which, Oid *types)
{
	StringInfoData sql;

	if (table->plans[which])
		return table->plans[which];
	initStringInfo(&sql);
	if (which == ECS_SCD2_HUB_ROW)
	{
		appendStringInfo(&sql, "INSERT INTO %s (", table->hub_name);
		ecs_scd2_put_keys(&sql, table, "");
		appendStringInfoString(&sql, ") VALUES (");
		for (int i = 0; i < table->nkeys; i++)
			appendStringInfo(&sql, "%s$%d", i ? ", " : "", i + 1);
		appendStringInfoString(&sql, ") ON CONFLICT DO NOTHING");
	}
	else
	{
		appendStringInfo(&sql, "SELECT 1 FROM %s t WHERE ", which == ECS_SCD2_LOCK_KEY ? table->hub_name : table->name);
		ecs_scd2_put_key_match(&sql, table, "t.", "$");
		if (which == ECS_SCD2_CURRENT_ROW)
			appendStringInfo(&sql, " AND t.%s OPERATOR(pg_catalog.=) 'infinity'", table->columns[table->to - 1].name);
		appendStringInfoString(&sql, " FOR NO KEY UPDATE");
	}
	return ecs_scd2_plan(table, which, sql.data, table->nkeys, types);
}

/* Shut other writers out of the key; tells whether the hub row is new, so the key unknown */
static bool
lock_key(EcsScd2 *table, const Event *event)
{
	Oid		   *types = palloc(table->nkeys * sizeof(Oid));
	Datum	   *values = palloc(table->nkeys * sizeof(Datum));

	key_params(table, event, types, values);
	if (ecs_scd2_run(table, key_plan(table, ECS_SCD2_CURRENT_ROW, types), values, NULL,
					 ECS_SCD2_PLAIN, table->owner, InvalidSnapshot) > 0)
		return false;

	/*
	 * a delete leaves nothing of a key that was never seen, but what is
	 * remembered
	 */
	if ((!event->del || table->remembered) &&
		ecs_scd2_run(table, key_plan(table, ECS_SCD2_HUB_ROW, types), values, NULL,
					 ECS_SCD2_PLAIN, table->hub_owner, InvalidSnapshot) > 0)
		return true;
	ecs_scd2_run(table, key_plan(table, ECS_SCD2_LOCK_KEY, types), values, NULL,
				 ECS_SCD2_PLAIN, table->hub_owner, InvalidSnapshot);
	ecs_scd2_run(table, key_plan(table, ECS_SCD2_CURRENT_ROW, types), values, NULL,
				 ECS_SCD2_PLAIN, table->owner, InvalidSnapshot);
	return false;
}

static EcsScd2Action
apply_as_merge(EcsScd2Batch *batch, const Event *event)
{
	EcsScd2    *table = batch->table;
	TupleDesc	desc = ecs_scd2_row_desc(table);
	Tuplestorestate *store = tuplestore_begin_heap(false, false, work_mem);
	Datum	   *values = palloc0(desc->natts * sizeof(Datum));
	bool	   *nulls = palloc0(desc->natts * sizeof(bool));
	int			n = 0;

	nulls[n++] = true;
	for (int i = 0; i < table->natts; i++)
		if (ECS_SCD2_VALUES & ECS_SCD2_MASK(table->columns[i].role))
		{
			values[n] = event->values[i];
			nulls[n++] = event->nulls[i];
		}
	values[n++] = TimestampTzGetDatum(event->at);
	values[n] = BoolGetDatum(event->del);
	tuplestore_putvalues(store, desc, values, nulls);
	ecs_scd2_name_store("scd2_source", desc, store);
	ecs_scd2_apply(batch, false, DT_NOEND);
	for (int action = 0; action < ECS_SCD2_ACTIONS; action++)
		if (batch->counts[action] > 0)
			return action;
	return ECS_SCD2_IGNORED;
}

/*
 * The short way
 */

/* Whether nothing stands in it */
static bool
is_plain(EcsScd2Batch *batch)
{
	TriggerDesc *triggers = batch->rel->trigdesc;
	Oid			ours = InvalidOid;

	if (batch->rel->rd_rel->relkind != RELKIND_RELATION || batch->rel->rd_rules != NULL ||
		IsolationUsesXactSnapshot() || triggers == NULL)
		return false;
	for (int i = 0; i < triggers->numtriggers; i++)
		if (strcmp(triggers->triggers[i].tgname, "zz_scd2_update") == 0)
			ours = triggers->triggers[i].tgfoid;

	/*
	 * statements of others' triggers are missed, and a BEFORE ROW trigger may
	 * skip the row or change its period
	 */
	for (int i = 0; i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (TRIGGER_FOR_ROW(trigger->tgtype) ? TRIGGER_FOR_BEFORE(trigger->tgtype) && strcmp(trigger->tgname, "zz_scd2_row") != 0
			: trigger->tgfoid != ours)
			return false;
	}
	return OidIsValid(ours);
}

/* Finds the current version of the key and locks it, waiting for others */
static bool
lock_current(EcsScd2Batch *batch, Relation index, const Event *event, TupleTableSlot *slot)
{
	EcsScd2    *table = batch->table;
	int			nkeys = IndexRelationGetNumberOfKeyAttributes(index);
	ScanKeyData keys[INDEX_MAX_KEYS];
	SnapshotData dirty;
	IndexScanDesc scan;

	for (int i = 0; i < nkeys; i++)
	{
		AttrNumber	attnum = index->rd_index->indkey.values[i];
		Oid			operator = get_opfamily_member(index->rd_opfamily[i], index->rd_opcintype[i],
												   index->rd_opcintype[i], BTEqualStrategyNumber);

		ScanKeyInit(&keys[i], i + 1, BTEqualStrategyNumber, get_opcode(operator),
					attnum == table->to ? TimestampTzGetDatum(DT_NOEND) : event->values[attnum - 1]);
		keys[i].sk_collation = index->rd_indcollation[i];
	}
	InitDirtySnapshot(dirty);
	scan = ecs_index_beginscan(batch->rel, index, &dirty, nkeys);
	for (;;)
	{
		TransactionId writer;
		TM_FailureData failure;
		TM_Result	result;

		CHECK_FOR_INTERRUPTS();
		index_rescan(scan, keys, nkeys, NULL, 0);
		if (!index_getnext_slot(scan, ForwardScanDirection, slot))
			break;
		ExecMaterializeSlot(slot);
		writer = TransactionIdIsValid(dirty.xmin) ? dirty.xmin : dirty.xmax;
		if (TransactionIdIsValid(writer))
		{
			XactLockTableWait(writer, NULL, NULL, XLTW_None);
			continue;
		}
		PushActiveSnapshot(GetLatestSnapshot());
		result = table_tuple_lock(batch->rel, &slot->tts_tid, GetActiveSnapshot(), slot,
								  GetCurrentCommandId(false), LockTupleNoKeyExclusive, LockWaitBlock, 0, &failure);
		PopActiveSnapshot();
		if (result == TM_Ok)
		{
			index_endscan(scan);
			return true;
		}
		if (result != TM_Updated && result != TM_Deleted)
			elog(ERROR, "unexpected result %d of locking a tuple", result);
	}
	index_endscan(scan);
	return false;
}

/* What the event does to the version in the slot */
static EcsScd2Action
compare_event(const EcsScd2Batch *batch, const Event *event, TupleTableSlot *slot)
{
	EcsScd2    *table = batch->table;
	EcsScd2Action action = ECS_SCD2_UNCHANGED;

	for (int i = 0; i < table->natts; i++)
	{
		const EcsScd2Column *column = &table->columns[i];

		if (!batch->given[i] || (column->role != ECS_SCD2_HISTORY && column->role != ECS_SCD2_OVERWRITE) ||
			ecs_scd2_same(column, event->values[i], event->nulls[i], slot->tts_values[i], slot->tts_isnull[i]))
			continue;
		if (column->role == ECS_SCD2_HISTORY)
			return ECS_SCD2_CHANGED;
		action = ECS_SCD2_OVERWRITTEN;
	}
	return action;
}

static void
put_value(TupleTableSlot *slot, AttrNumber attnum, Datum value)
{
	slot->tts_values[attnum - 1] = value;
	slot->tts_isnull[attnum - 1] = false;
}

/* The version that replaces the one in "old" */
static void
form_version(const EcsScd2Batch *batch, const Event *event, EcsScd2Action action, TimestampTz from,
			 TupleTableSlot *old, TupleTableSlot *new)
{
	EcsScd2    *table = batch->table;

	ExecClearTuple(new);
	for (int i = 0; i < table->natts; i++)
	{
		EcsScd2Role role = table->columns[i].role;
		bool		take = batch->given[i] && (role == ECS_SCD2_HISTORY || role == ECS_SCD2_STAMP ||
											   (role == ECS_SCD2_OVERWRITE && action != ECS_SCD2_LATE));

		new->tts_values[i] = take ? event->values[i] : old->tts_values[i];
		new->tts_isnull[i] = take ? event->nulls[i] : old->tts_isnull[i];
		if (role == ECS_SCD2_STAMP && !batch->given[i])
			put_value(new, i + 1, TimestampTzGetDatum(event->at));
		else if (role == ECS_SCD2_SEQUENCE && action != ECS_SCD2_OVERWRITTEN)
		{
			new->tts_values[i] = event->values[i];
			new->tts_isnull[i] = event->nulls[i];
		}
	}
	put_value(new, table->from, TimestampTzGetDatum(from));
	ExecStoreVirtualTuple(new);
}

/* The version in "old", ended */
static void
form_closed(const EcsScd2 *table, TimestampTz to, TupleTableSlot *old, TupleTableSlot *closed)
{
	ExecClearTuple(closed);
	memcpy(closed->tts_values, old->tts_values, table->natts * sizeof(Datum));
	memcpy(closed->tts_isnull, old->tts_isnull, table->natts * sizeof(bool));
	put_value(closed, table->to, TimestampTzGetDatum(to));
	put_value(closed, table->current, BoolGetDatum(false));
	ExecStoreVirtualTuple(closed);
}

/*
 * Writing at the level of the executor, between begin and end; what stands
 * between them leaves the mode also on error.
 */
typedef struct Direct
{
	EState	   *estate;
	ResultRelInfo *target;
	EPQState	epq;
	EcsScd2Running outer;
} Direct;

static void
begin_direct(Direct *direct, EcsScd2Batch *batch)
{
	EcsScd2    *table = batch->table;
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	List	   *perminfos = NIL;
	RTEPermissionInfo *perminfo;

	direct->estate = CreateExecutorState();
	direct->target = makeNode(ResultRelInfo);
	rte->rtekind = RTE_RELATION;
	rte->relid = table->root;
	rte->relkind = batch->rel->rd_rel->relkind;
	rte->rellockmode = RowExclusiveLock;
	perminfo = addRTEPermissionInfo(&perminfos, rte);
	for (int i = 0; i < table->natts; i++)
		if (batch->given[i] || i == table->from - 1)
			perminfo->updatedCols = bms_add_member(perminfo->updatedCols, i + 1 - FirstLowInvalidHeapAttributeNumber);
	ecs_init_range_table(direct->estate, rte, perminfos);
	InitResultRelInfo(direct->target, batch->rel, 1, NULL, 0);

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
	AfterTriggerBeginQuery();
	ecs_scd2_enter(&direct->outer, table, ECS_SCD2_WRITING);
}

static void
end_direct(Direct *direct)
{
	PopActiveSnapshot();
	EvalPlanQualEnd(&direct->epq);
	ExecCloseIndices(direct->target);
	ExecResetTupleTable(direct->estate->es_tupleTable, false);
	FreeExecutorState(direct->estate);
	CommandCounterIncrement();
}

/* Update the row in "old" to "new", if there is one, and insert "inserted" */
static void
write_directly(EcsScd2Batch *batch, TupleTableSlot *old, TupleTableSlot *new, TupleTableSlot *inserted)
{
	Direct		direct;

	begin_direct(&direct, batch);
	PG_TRY();
	{
		if (new)
			ExecSimpleRelationUpdate(direct.target, direct.estate, &direct.epq, old, new);
		if (inserted)
			ExecSimpleRelationInsert(direct.target, direct.estate, inserted);
		AfterTriggerEndQuery(direct.estate);
	}
	PG_FINALLY();
	{
		ecs_scd2_leave(&direct.outer);
	}
	PG_END_TRY();
	end_direct(&direct);
}

/* Insert closed versions as the table's owner; false where that needs a statement */
bool
ecs_scd2_copy_directly(EcsScd2 *table, Relation rel, Tuplestorestate *closed)
{
	EcsScd2Batch batch = {.table = table,.rel = rel};
	TupleTableSlot *slot;
	Direct		direct;
	Oid			user;
	int			context;

	/* the copies of a partition may belong into another one */
	if (table->relid != table->root || !is_plain(&batch))
		return false;
	batch.given = palloc0(table->natts * sizeof(bool));
	slot = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsMinimalTuple);
	CommandCounterIncrement();
	GetUserIdAndSecContext(&user, &context);
	begin_direct(&direct, &batch);
	PG_TRY();
	{
		SetUserIdAndSecContext(table->owner, context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
		while (tuplestore_gettupleslot(closed, true, false, slot))
		{
			CHECK_FOR_INTERRUPTS();
			ExecSimpleRelationInsert(direct.target, direct.estate, slot);
			ResetPerTupleExprContext(direct.estate);
		}
		AfterTriggerEndQuery(direct.estate);
	}
	PG_FINALLY();
	{
		ecs_scd2_leave(&direct.outer);
		SetUserIdAndSecContext(user, context);
	}
	PG_END_TRY();
	end_direct(&direct);
	ExecDropSingleTupleTableSlot(slot);
	return true;
}

/* The event in a row of a batch's store */
static void
read_stored(Event *event, const EcsScd2 *table, TupleTableSlot *stored)
{
	int			n = 1;

	slot_getallattrs(stored);
	for (int i = 0; i < table->natts; i++)
		if (ECS_SCD2_VALUES & ECS_SCD2_MASK(table->columns[i].role))
		{
			event->values[i] = stored->tts_values[n];
			event->nulls[i] = stored->tts_isnull[n++];
		}
	event->at = DatumGetTimestampTz(stored->tts_values[n]);
}

static void
update_stored(EcsScd2Batch *batch, Direct *direct, TupleDesc desc, Tuplestorestate *store, EcsScd2Action action)
{
	EcsScd2    *table = batch->table;
	TupleDesc	reldesc = RelationGetDescr(batch->rel);
	TupleTableSlot *stored = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	TupleTableSlot *old = table_slot_create(batch->rel, NULL);
	TupleTableSlot *new = MakeSingleTupleTableSlot(reldesc, &TTSOpsVirtual);
	TupleTableSlot *closed = MakeSingleTupleTableSlot(reldesc, &TTSOpsVirtual);
	Event		event;

	make_event(&event, batch);
	while (tuplestore_gettupleslot(store, true, false, stored))
	{
		MemoryContext caller = MemoryContextSwitchTo(GetPerTupleMemoryContext(direct->estate));
		TimestampTz started,
					from;

		CHECK_FOR_INTERRUPTS();
		read_stored(&event, table, stored);
		if (!table_tuple_fetch_row_version(batch->rel, (ItemPointer) DatumGetPointer(stored->tts_values[desc->natts - 1]),
										   direct->estate->es_snapshot, old))
			elog(ERROR, "a version of table \"%s\" vanished under its lock", RelationGetRelationName(batch->rel));
		slot_getallattrs(old);
		started = from = DatumGetTimestampTz(old->tts_values[table->from - 1]);
		if (action != ECS_SCD2_OVERWRITTEN)
			from = batch->timed ? event.at : ecs_scd2_next_start(table, old->tts_values, started);
		form_version(batch, &event, action, from, old, new);
		if (from != started)
			form_closed(table, from, old, closed);
		ExecSimpleRelationUpdate(direct->target, direct->estate, &direct->epq, old, new);
		if (from != started)
			ExecSimpleRelationInsert(direct->target, direct->estate, closed);
		MemoryContextSwitchTo(caller);
		ResetPerTupleExprContext(direct->estate);
	}
	ExecDropSingleTupleTableSlot(stored);
	ExecDropSingleTupleTableSlot(old);
	ExecDropSingleTupleTableSlot(new);
	ExecDropSingleTupleTableSlot(closed);
	AfterTriggerEndQuery(direct->estate);
}

bool
ecs_scd2_update_directly(EcsScd2Batch *batch, TupleDesc desc, Tuplestorestate *store, EcsScd2Action action)
{
	Direct		direct;

	/*
	 * a version that this transaction started may have to be joined with the
	 * one before
	 */
	if (!is_plain(batch) || (!batch->timed && ecs_scd2_has_started()))
		return false;
	begin_direct(&direct, batch);
	PG_TRY();
	{
		update_stored(batch, &direct, desc, store, action);
	}
	PG_FINALLY();
	{
		ecs_scd2_leave(&direct.outer);
	}
	PG_END_TRY();
	end_direct(&direct);
	return true;
}

/* Tries the short way */
static bool
apply_directly(EcsScd2Batch *batch, const Event *event, EcsScd2Action *action)
{
	EcsScd2    *table = batch->table;
	TupleDesc	desc = RelationGetDescr(batch->rel);
	Relation	index = index_open(RelationGetPrimaryKeyIndex(batch->rel, false), RowExclusiveLock);
	TupleTableSlot *old = table_slot_create(batch->rel, NULL);
	bool		done = lock_current(batch, index, event, old);

	index_close(index, NoLock);
	if (done)
	{
		TimestampTz started,
					from;

		slot_getallattrs(old);
		started = DatumGetTimestampTz(old->tts_values[table->from - 1]);
		*action = compare_event(batch, event, old);
		from = started;
		if (*action == ECS_SCD2_CHANGED)
			from = batch->timed ? event->at : ecs_scd2_next_start(table, old->tts_values, started);

		/*
		 * needs the history of the key: not the newest event, or perhaps a
		 * change back of my own version
		 */
		if ((batch->timed && event->at <= started) || (*action == ECS_SCD2_CHANGED && from == started))
			done = false;
		else if (*action != ECS_SCD2_UNCHANGED)
		{
			TupleTableSlot *new = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
			TupleTableSlot *closed = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);

			form_version(batch, event, *action, from, old, new);
			if (from != started)
				form_closed(table, from, old, closed);
			write_directly(batch, old, new, from != started ? closed : NULL);
			ExecDropSingleTupleTableSlot(new);
			ExecDropSingleTupleTableSlot(closed);
		}
	}
	ExecDropSingleTupleTableSlot(old);
	return done;
}

/* A key that was never seen: its hub row was just made */
static bool
insert_directly(EcsScd2Batch *batch, const Event *event)
{
	EcsScd2    *table = batch->table;
	TupleDesc	desc = RelationGetDescr(batch->rel);
	TupleTableSlot *new;
	TimestampTz from = event->at;

	/* defaults are the planner's work */
	for (int i = 0; i < table->natts; i++)
		if ((ECS_SCD2_VALUES & ECS_SCD2_MASK(table->columns[i].role)) && !batch->given[i] && i != table->stamp - 1 &&
			(TupleDescAttr(desc, i)->atthasdef || TupleDescAttr(desc, i)->attidentity))
			return false;
	if (table->created && !event->nulls[table->created - 1])
		from = Min(from, DatumGetTimestampTz(event->values[table->created - 1]));
	else if (table->open_start)
		from = DT_NOBEGIN;

	new = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	ExecClearTuple(new);
	memcpy(new->tts_values, event->values, table->natts * sizeof(Datum));
	memcpy(new->tts_isnull, event->nulls, table->natts * sizeof(bool));
	if (table->stamp && !batch->given[table->stamp - 1])
		put_value(new, table->stamp, TimestampTzGetDatum(event->at));
	put_value(new, table->from, TimestampTzGetDatum(from));
	put_value(new, table->to, TimestampTzGetDatum(DT_NOEND));
	put_value(new, table->current, BoolGetDatum(true));
	ExecStoreVirtualTuple(new);
	write_directly(batch, NULL, NULL, new);
	if (!batch->timed)
		ecs_scd2_note_started(table, new->tts_values, from);
	ExecDropSingleTupleTableSlot(new);
	return true;
}

/*
 * The functions
 */
static Datum
apply_event(FunctionCallInfo fcinfo, EcsScd2Batch *batch, Event *event)
{
	EcsScd2Action action;
	Oid			type = get_func_rettype(fcinfo->flinfo->fn_oid);
	Oid		   *labels = fcinfo->flinfo->fn_extra;
	bool		plain = false;

	PreventCommandIfReadOnly("a write of a versioned table");
	PreventCommandIfParallelMode("a write of a versioned table");
	if (event->del || !(plain = is_plain(batch) && !OidIsValid(batch->table->remembered)) || !apply_directly(batch, event, &action))
	{
		SPI_connect();
		batch->unknown = lock_key(batch->table, event);
		if (batch->unknown && plain && insert_directly(batch, event))
			action = ECS_SCD2_INSERTED;
		else
			action = apply_as_merge(batch, event);
		ecs_scd2_end(batch);
		SPI_finish();
	}
	else
		ecs_scd2_end(batch);

	if (labels == NULL)
	{
		labels = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, ECS_SCD2_ACTIONS * sizeof(Oid));
		for (int i = 0; i < ECS_SCD2_ACTIONS; i++)
			labels[i] = DatumGetObjectId(DirectFunctionCall2(enum_in, CStringGetDatum(action_labels[i]), ObjectIdGetDatum(type)));
		fcinfo->flinfo->fn_extra = labels;
	}
	return ObjectIdGetDatum(labels[action]);
}

static void
begin(FunctionCallInfo fcinfo, EcsScd2Batch *batch, AclMode needed)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("table and row must not be null")));
	ecs_scd2_begin(batch, PG_GETARG_OID(0), RowExclusiveLock, needed);
}

static TimestampTz
effective_argument(FunctionCallInfo fcinfo)
{
	return PG_ARGISNULL(2) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(2);
}

Datum
ecs_scd2_upsert(PG_FUNCTION_ARGS)
{
	EcsScd2Batch batch;
	Event		event;

	begin(fcinfo, &batch, ACL_SELECT | ACL_INSERT | ACL_UPDATE);
	read_json(&event, &batch, PG_GETARG_JSONB_P(1));
	check_event(&event, &batch, !PG_ARGISNULL(2), effective_argument(fcinfo));
	return apply_event(fcinfo, &batch, &event);
}

Datum
ecs_scd2_upsert_row(PG_FUNCTION_ARGS)
{
	EcsScd2Batch batch;
	Event		event;

	begin(fcinfo, &batch, ACL_SELECT | ACL_INSERT | ACL_UPDATE);
	read_record(&event, &batch, PG_GETARG_HEAPTUPLEHEADER(1));
	check_event(&event, &batch, !PG_ARGISNULL(2), effective_argument(fcinfo));
	return apply_event(fcinfo, &batch, &event);
}

Datum
ecs_scd2_close(PG_FUNCTION_ARGS)
{
	EcsScd2Batch batch;
	Event		event;

	begin(fcinfo, &batch, ACL_SELECT | ACL_INSERT | ACL_UPDATE | ACL_DELETE);
	read_json(&event, &batch, PG_GETARG_JSONB_P(1));
	for (int i = 0; i < batch.table->natts; i++)
		if (batch.given[i] && batch.table->columns[i].role != ECS_SCD2_KEY)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("column \"%s\" is no part of the key of table \"%s\"",
							batch.table->columns[i].raw, RelationGetRelationName(batch.rel))));
	event.del = true;
	check_event(&event, &batch, !PG_ARGISNULL(2), effective_argument(fcinfo));
	return apply_event(fcinfo, &batch, &event);
}
