/*
 * query.c
 *		Run a query once and hand each of its rows to a function.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/query.h"

typedef struct SinkReceiver
{
	DestReceiver pub;
	const EcsRowSink *sink;
	MemoryContext row_context;	/* emptied before each row */
	bool		started;
	uint64		rows;
} SinkReceiver;

static inline void
take_row(SinkReceiver *receiver, TupleTableSlot *slot)
{
	MemoryContext caller;

	/* the executor does not look for interrupts between rows of every plan */
	CHECK_FOR_INTERRUPTS();

	/* its own context would be the query's, which lives as long as the query */
	if (!receiver->row_context->isReset)
		MemoryContextReset(receiver->row_context);
	caller = MemoryContextSwitchTo(receiver->row_context);
	receiver->sink->row(slot, receiver->sink->state);
	MemoryContextSwitchTo(caller);
	receiver->rows++;
}

static bool
sink_receive(TupleTableSlot *slot, DestReceiver *self)
{
	take_row((SinkReceiver *) self, slot);
	return true;
}

static void
sink_startup(DestReceiver *self, int operation, TupleDesc desc)
{
	SinkReceiver *receiver = (SinkReceiver *) self;

	/* SPI runs every statement of the string, each with columns of its own */
	if (operation != CMD_SELECT || receiver->started)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("query must be a single SELECT")));
	receiver->started = true;
	if (receiver->sink->start != NULL)
		receiver->sink->start(desc, receiver->sink->state);
}

static void
sink_nothing(DestReceiver *self)
{
	(void) self;
}

/*
 * Queries that are but a scan
 *
 * Where the plan is to read all rows of a table as they are stored, the executor is
 * started, so that rights are looked at as always, but rows do not take the way
 * through its nodes, which would cost another tenth.
 */

static void
name_query(void *query)
{
	errcontext("SQL statement \"%s\"", (const char *) query);
}

/* The scan, if that is all; whoever measures the executor must see it work */
static ScanState *
whole_scan(const QueryDesc *desc)
{
	PlanState  *state = desc->planstate;

	if (state->ps_ProjInfo != NULL || desc->estate->es_junkFilter != NULL || desc->totaltime != NULL ||
		state->instrument != NULL)
		return NULL;
	return (ScanState *) state;
}

static void
read_table(ScanState *scan, SinkReceiver *receiver)
{
	scan->ss_currentScanDesc = table_beginscan(scan->ss_currentRelation, scan->ps.state->es_snapshot, 0, NULL);
	while (table_scan_getnextslot(scan->ss_currentScanDesc, ForwardScanDirection, scan->ss_ScanTupleSlot))
		take_row(receiver, scan->ss_ScanTupleSlot);
}

static void
run_scan(PlannedStmt *statement, const char *query, SinkReceiver *receiver)
{
	QueryDesc  *desc = CreateQueryDesc(statement, query, GetActiveSnapshot(), InvalidSnapshot, &receiver->pub,
									   NULL, NULL, 0);
	ErrorContextCallback callback = {
		.previous = error_context_stack,.callback = name_query,.arg = unconstify(char *, query)
	};
	ScanState  *scan;

	error_context_stack = &callback;
	ExecutorStart(desc, 0);
	scan = whole_scan(desc);
	if (scan != NULL)
	{
		sink_startup(&receiver->pub, CMD_SELECT, desc->tupDesc);
		read_table(scan, receiver);
	}
	else
		ecs_executor_run(desc);
	ExecutorFinish(desc);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);
	error_context_stack = callback.previous;
}

static bool
is_scan(const CachedPlan *cached)
{
	const Plan *plan = linitial_node(PlannedStmt, cached->stmt_list)->planTree;

	return plan != NULL && IsA(plan, SeqScan) && plan->qual == NIL;
}

uint64
ecs_for_each_row(const char *query, ParamListInfo params, const EcsRowSink *sink)
{
	SinkReceiver receiver = {
		.pub = {
			.receiveSlot = sink_receive,
			.rStartup = sink_startup,
			.rShutdown = sink_nothing,
			.rDestroy = sink_nothing,
			.mydest = DestTuplestore	/* one that SPI leaves to us */
		},
		.sink = sink,
		.row_context = AllocSetContextCreate(CurrentMemoryContext, "row of a query",
											 ALLOCSET_DEFAULT_SIZES),
		.started = false,
		.rows = 0
	};
	SPIExecuteOptions options = {
		.params = params,
		.read_only = true,
		.must_return_tuples = true,
		.dest = &receiver.pub
	};
	SPIPlanPtr	plan = SPI_prepare_params(query, params == NULL ? NULL : params->parserSetup,
										  params == NULL ? NULL : params->parserSetupArg, CURSOR_OPT_PARALLEL_OK);
	CachedPlan *cached = params == NULL ? SPI_plan_get_cached_plan(plan) : NULL;

	if (cached != NULL && is_scan(cached))
		run_scan(linitial(cached->stmt_list), query, &receiver);
	else if (SPI_execute_plan_extended(plan, &options) != SPI_OK_SELECT)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("query must be a single SELECT")));
	if (cached != NULL)
		ReleaseCachedPlan(cached, NULL);
	SPI_freeplan(plan);
	MemoryContextDelete(receiver.row_context);
	return receiver.rows;
}

/* Whether a row is stored as SELECT * returns it */
static bool
has_plain_rows(Relation relation)
{
	TupleDesc	desc = RelationGetDescr(relation);
	int			i;

	for (i = 0; i < desc->natts; i++)
		if (TupleDescAttr(desc, i)->attisdropped || TupleDescAttr(desc, i)->atthasmissing)
			return false;
	return true;
}

static bool
index_covers(Oid id, const AttrNumber *columns, int ncolumns)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(id));
	Form_pg_index index;
	int			found = 0;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for index %u", id);
	index = (Form_pg_index) GETSTRUCT(tuple);
	for (int i = 0; i < ncolumns; i++)
	{
		int			at = 0;

		while (at < index->indnatts && index->indkey.values[at] != columns[i])
			at++;
		found += at < index->indnatts;
	}
	ReleaseSysCache(tuple);
	return found == ncolumns;
}

/* An index that holds the columns may be all that has to be read for them */
static bool
is_covered(Relation relation, const AttrNumber *columns, int ncolumns)
{
	ListCell   *cell;

	foreach(cell, RelationGetIndexList(relation))
	{
		if (index_covers(lfirst_oid(cell), columns, ncolumns))
			return true;
	}
	return false;
}

bool
ecs_whole_rows_pay(Oid relation, const AttrNumber *columns, int ncolumns)
{
	char		relkind = get_rel_relkind(relation);
	Relation	rel;
	bool		pays;

	if ((relkind != RELKIND_RELATION && relkind != RELKIND_MATVIEW) ||
		pg_class_aclcheck(relation, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		return false;
	for (int i = 0; i < ncolumns; i++)
		if (columns[i] < 0)
			return false;		/* a system column is in no row of SELECT * */
	rel = table_open(relation, AccessShareLock);
	pays = has_plain_rows(rel) && !is_covered(rel, columns, ncolumns);
	table_close(rel, NoLock);
	return pays;
}
