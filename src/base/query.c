/*
 * query.c
 *		Run a query once and hand each of its rows to a function.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "utils/memutils.h"

#include "base/query.h"

typedef struct SinkReceiver
{
	DestReceiver pub;
	const EcsRowSink *sink;
	MemoryContext row_context;	/* emptied before each row */
	bool		started;
	uint64		rows;
} SinkReceiver;

static bool
sink_receive(TupleTableSlot *slot, DestReceiver *self)
{
	SinkReceiver *receiver = (SinkReceiver *) self;
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
	receiver->sink->start(desc, receiver->sink->state);
}

static void
sink_nothing(DestReceiver *self)
{
	(void) self;
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
	int			rc = SPI_execute_extended(query, &options);

	if (rc != SPI_OK_SELECT)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("query must be a single SELECT")));
	MemoryContextDelete(receiver.row_context);
	return receiver.rows;
}
