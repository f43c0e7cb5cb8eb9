/*
 * query.c
 *		Run a query once and hand each of its rows to a function.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "tcop/dest.h"

#include "base/query.h"

typedef struct SinkReceiver
{
	DestReceiver pub;
	const EcsRowSink *sink;
	uint64		rows;
} SinkReceiver;

static bool
sink_receive(TupleTableSlot *slot, DestReceiver *self)
{
	SinkReceiver *receiver = (SinkReceiver *) self;

	/* the executor does not look for interrupts between rows of every plan */
	CHECK_FOR_INTERRUPTS();
	receiver->sink->row(slot, receiver->sink->state);
	receiver->rows++;
	return true;
}

static void
sink_startup(DestReceiver *self, int operation, TupleDesc desc)
{
	SinkReceiver *receiver = (SinkReceiver *) self;

	(void) operation;
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
			.mydest = DestNone
		},
		.sink = sink,
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
		elog(ERROR, "SPI_execute_extended returned %s", SPI_result_code_string(rc));
	return receiver.rows;
}
