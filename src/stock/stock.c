/*
 * stock.c
 *		SQL functions on stock ledgers: stock_ledger() and stock_snapshots().
 *
 * Both run the query to its end in the first call and return one row per call
 * after that.  So in a select list nothing is stored beyond the ledger; in FROM
 * PostgreSQL keeps the rows of any function in a tuplestore.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "base/argument.h"
#include "stock/snapshots.h"
#include "stock/source.h"

PG_FUNCTION_INFO_V1(ecs_stock_ledger);
PG_FUNCTION_INFO_V1(ecs_stock_ledger_table);
PG_FUNCTION_INFO_V1(ecs_stock_snapshots);

/* A call under way; lives as long as the set is returned */
typedef struct StockCall
{
	EcsZone		zone;
	EcsLedger  *ledger;
	EcsSnapshots *snapshots;	/* of stock_snapshots() */
	EcsResult	result;
} StockCall;

/* Files are closed also when the caller wants no more rows */
static void
end_call(Datum arg)
{
	StockCall  *call = (StockCall *) DatumGetPointer(arg);

	if (call->ledger != NULL)
		ecs_ledger_end(call->ledger);
	call->ledger = NULL;
}

static int
compare_days(const void *a, const void *b)
{
	DateADT		a_day = *(const DateADT *) a;
	DateADT		b_day = *(const DateADT *) b;

	return (a_day > b_day) - (a_day < b_day);
}

/* The days of an array in order, each once */
static int
sort_days(ArrayType *array, DateADT **days)
{
	Datum	   *values;
	bool	   *nulls;
	int			n;
	int			distinct = 0;

	deconstruct_array(array, DATEOID, sizeof(DateADT), true, TYPALIGN_INT, &values, &nulls, &n);
	*days = palloc(Max(n, 1) * sizeof(DateADT));
	for (int i = 0; i < n; i++)
	{
		if (nulls[i] || DATE_NOT_FINITE(DatumGetDateADT(values[i])))
			ereport(ERROR,
					(errcode(nulls[i] ? ERRCODE_NULL_VALUE_NOT_ALLOWED : ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
					 errmsg("argument \"days\" must not contain nulls or infinite dates")));
		(*days)[i] = DatumGetDateADT(values[i]);
	}
	qsort(*days, n, sizeof(DateADT), compare_days);
	for (int i = 0; i < n; i++)
		if (distinct == 0 || (*days)[distinct - 1] != (*days)[i])
			(*days)[distinct++] = (*days)[i];
	return distinct;
}

/* Read all movements; for their balances on some days, where there is an array of days */
static void
start_call(FunctionCallInfo fcinfo, EcsSource *source, const char *zone, ArrayType *days)
{
	FuncCallContext *funcctx = SRF_FIRSTCALL_INIT();
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext caller = MemoryContextSwitchTo(funcctx->multi_call_memory_ctx);
	StockCall  *call = palloc0(sizeof(StockCall));
	DateADT    *sorted = NULL;
	int			ndays = 0;

	ecs_zone_init(&call->zone, zone);
	call->zone.between_midnights = true;
	ecs_result_init(&call->result, fcinfo, days != NULL);
	if (days != NULL)
		ndays = sort_days(days, &sorted);
	call->ledger = ecs_source_read(source, &call->zone, &call->result);
	if (days != NULL)
		call->snapshots = ecs_snapshots_create(call->ledger, sorted, ndays);
	RegisterExprContextCallback(rsinfo->econtext, end_call, PointerGetDatum(call));
	funcctx->user_fctx = call;
	MemoryContextSwitchTo(caller);
}

static Datum
next_result(FunctionCallInfo fcinfo)
{
	FuncCallContext *funcctx = SRF_PERCALL_SETUP();
	StockCall  *call = funcctx->user_fctx;
	EcsLedgerRow row;

	if (call->snapshots != NULL ? ecs_snapshots_next(call->snapshots, &row) : ecs_ledger_next(call->ledger, &row))
		SRF_RETURN_NEXT(funcctx, ecs_result_row(&call->result, &row));

	UnregisterExprContextCallback(((ReturnSetInfo *) fcinfo->resultinfo)->econtext,
								  end_call, PointerGetDatum(call));
	end_call(PointerGetDatum(call));
	SRF_RETURN_DONE(funcctx);
}

static Datum
required(FunctionCallInfo fcinfo, int i, const char *name)
{
	ecs_require_argument(fcinfo, i, name);
	return PG_GETARG_DATUM(i);
}

#define REQUIRED_TEXT(i, name)	TextDatumGetCString(required(fcinfo, i, name))
#define REQUIRED_NAME(i, name)	NameStr(*DatumGetName(required(fcinfo, i, name)))

Datum
ecs_stock_ledger(PG_FUNCTION_ARGS)
{
	if (SRF_IS_FIRSTCALL())
	{
		EcsSource	source = {.query = REQUIRED_TEXT(1, "query")};

		start_call(fcinfo, &source, REQUIRED_TEXT(2, "time_zone"), NULL);
	}
	return next_result(fcinfo);
}

Datum
ecs_stock_ledger_table(PG_FUNCTION_ARGS)
{
	if (SRF_IS_FIRSTCALL())
	{
		Oid			relation = DatumGetObjectId(required(fcinfo, 1, "events"));
		List	   *columns;
		EcsSource	source;

		ecs_require_argument(fcinfo, 2, "key");
		columns = ecs_argument_names(fcinfo, 2, "key");
		columns = lappend(columns, REQUIRED_NAME(3, "time_column"));
		columns = lappend(columns, REQUIRED_NAME(4, "quantity"));
		source = ecs_source_of_relation(relation, columns, PG_ARGISNULL(5) ? NULL : NameStr(*PG_GETARG_NAME(5)),
										REQUIRED_TEXT(6, "stocktake"));
		start_call(fcinfo, &source, REQUIRED_TEXT(7, "time_zone"), NULL);
	}
	return next_result(fcinfo);
}

Datum
ecs_stock_snapshots(PG_FUNCTION_ARGS)
{
	if (SRF_IS_FIRSTCALL())
	{
		EcsSource	source = {.query = REQUIRED_TEXT(1, "query")};
		ArrayType  *days = DatumGetArrayTypeP(required(fcinfo, 2, "days"));

		start_call(fcinfo, &source, REQUIRED_TEXT(3, "time_zone"), days);
	}
	return next_result(fcinfo);
}
