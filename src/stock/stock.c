/*
 * stock.c
 *		SQL functions on stock ledgers: stock_ledger() and stock_snapshots().
 *
 * The caller's row type decides the shape of the result, and with it how many
 * of the query's columns are the key.  Both functions run the query to its end
 * in the first call and return one row per call after that.  So in a select
 * list nothing is stored beyond the ledger; in FROM PostgreSQL keeps the rows
 * of any function in a tuplestore.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/tupmacs.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "base/calendar.h"
#include "base/query.h"
#include "base/relation.h"
#include "stock/snapshots.h"

PG_FUNCTION_INFO_V1(ecs_stock_ledger);
PG_FUNCTION_INFO_V1(ecs_stock_ledger_table);
PG_FUNCTION_INFO_V1(ecs_stock_snapshots);

/* day, change, balance, counted; or day, quantity */
#define MAX_COLUMNS		(ECS_KEY_COLUMNS + 4)

/* The key, time, quantity, whether it is a stocktake */
#define MAX_READ		(ECS_KEY_COLUMNS + 3)

/* What is run, and where its rows have the columns that are read */
typedef struct StockQuery
{
	const char *text;
	int			ncolumns;		/* 0: they are all its columns, in turn */
	int			places[MAX_READ];
} StockQuery;

/* A call under way; lives as long as the set is returned */
typedef struct StockCall
{
	bool		dense;			/* stock_snapshots() */
	MemoryContext context;
	EcsLedger  *ledger;
	EcsSnapshots *snapshots;
	EcsZone		zone;

	/* the result: its live columns, in the order in which rows are filled */
	TupleDesc	desc;
	int			ncolumns;
	int			columns[MAX_COLUMNS];
	Oid			types[MAX_COLUMNS];
	int			nkeys;
	bool		with_counted;
	HeapTupleHeader tuple;		/* filled in for each row, or NULL */
	Datum		tuple_datum;
	char	   *fields[MAX_COLUMNS];
	int			widths[MAX_COLUMNS];

	/* the query */
	StockQuery	query;
	int			row_length;		/* as far as its rows are read */
	Oid			time_type;
	Oid			quantity_type;
	bool		timed;
} StockCall;

static void
report_shape(StockCall *call)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("row type does not fit the result of %s",
					call->dense ? "stock_snapshots" : "stock_ledger"),
			 call->dense ?
			 errdetail("Its columns must be the day (date), up to %d key columns, and the quantity (smallint, integer, bigint, or numeric without precision).",
					   ECS_KEY_COLUMNS) :
			 errdetail("Its columns must be up to %d key columns, the day (date), the change and the balance (smallint, integer, bigint, or numeric without precision), and optionally whether a stocktake set the balance (boolean).",
					   ECS_KEY_COLUMNS),
			 errhint("Pass a null value of a table's or composite type, or NULL::record with a column definition list.")));
}

static bool
is_quantity(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID || type == NUMERICOID;
}

/* Whether a column of the result can hold a quantity, which is never rounded */
static bool
holds_quantity(StockCall *call, int column)
{
	return is_quantity(call->types[column]) &&
		TupleDescAttr(call->desc, call->columns[column])->atttypmod < 0;
}

/* Learn the shape of the result from the caller's row type */
static void
init_result(StockCall *call, FunctionCallInfo fcinfo)
{
	int			day;

	if (get_call_result_type(fcinfo, NULL, &call->desc) != TYPEFUNC_COMPOSITE)
		report_shape(call);
	for (int i = 0; i < call->desc->natts; i++)
	{
		if (TupleDescAttr(call->desc, i)->attisdropped)
			continue;
		if (call->ncolumns == MAX_COLUMNS)
			report_shape(call);
		call->columns[call->ncolumns] = i;
		call->types[call->ncolumns++] = TupleDescAttr(call->desc, i)->atttypid;
	}
	if (call->dense)
	{
		call->nkeys = call->ncolumns - 2;
		day = 0;
	}
	else
	{
		if (call->ncolumns > 0)
			call->with_counted = call->types[call->ncolumns - 1] == BOOLOID;
		call->nkeys = day = call->ncolumns - 3 - call->with_counted;
	}
	if (call->nkeys < 0 || call->nkeys > ECS_KEY_COLUMNS ||
		call->types[day] != DATEOID ||
		!holds_quantity(call, call->dense ? call->nkeys + 1 : day + 1) ||
		!holds_quantity(call, call->dense ? call->nkeys + 1 : day + 2))
		report_shape(call);
	BlessTupleDesc(call->desc);
}

#define QUERY_COLUMN(call, desc, i)		TupleDescAttr(desc, (call)->query.places[i])

/* Where the rows of the query have its columns; true where they fit the key */
static bool
place_columns(StockCall *call, TupleDesc desc)
{
	StockQuery *query = &call->query;

	if (query->ncolumns == 0)
	{
		query->ncolumns = desc->natts;
		for (int i = 0; i < Min(desc->natts, MAX_READ); i++)
			query->places[i] = i;
	}
	call->timed = query->ncolumns == call->nkeys + 3;
	if (query->ncolumns != call->nkeys + 2 && !call->timed)
		return false;
	for (int i = 0; i < query->ncolumns; i++)
		call->row_length = Max(call->row_length, query->places[i] + 1);
	return true;
}

/* Check the columns of the query against those of the result, and make the ledger */
static void
start_query(TupleDesc desc, void *state)
{
	StockCall  *call = state;
	int			nkeys = call->nkeys;
	Oid			types[ECS_KEY_COLUMNS];
	Oid			collations[ECS_KEY_COLUMNS];
	MemoryContext caller;

	if (!place_columns(call, desc))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("query returns %d columns, but the row type has %d key columns",
						call->query.ncolumns, nkeys),
				 errhint("The query returns the key columns, the time, the quantity, and optionally whether it is a stocktake.")));
	for (int i = 0; i < nkeys; i++)
	{
		int			column = call->dense ? i + 1 : i;

		types[i] = QUERY_COLUMN(call, desc, i)->atttypid;
		collations[i] = QUERY_COLUMN(call, desc, i)->attcollation;
		if (types[i] != call->types[column])
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("key column \"%s\" is of type %s in the query and %s in the row type",
							NameStr(QUERY_COLUMN(call, desc, i)->attname), format_type_be(types[i]),
							format_type_be(call->types[column])),
					 errhint("Cast the column in the query.")));
	}

	call->time_type = getBaseType(QUERY_COLUMN(call, desc, nkeys)->atttypid);
	if (call->time_type != TIMESTAMPTZOID && call->time_type != TIMESTAMPOID && call->time_type != DATEOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("time column \"%s\" is of type %s",
						NameStr(QUERY_COLUMN(call, desc, nkeys)->attname), format_type_be(call->time_type)),
				 errhint("Cast it to timestamptz, timestamp or date.")));

	call->quantity_type = getBaseType(QUERY_COLUMN(call, desc, nkeys + 1)->atttypid);
	if (!is_quantity(call->quantity_type))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("quantity column \"%s\" is of type %s",
						NameStr(QUERY_COLUMN(call, desc, nkeys + 1)->attname), format_type_be(call->quantity_type)),
				 errhint("Cast it to bigint or numeric.")));
	for (int i = 0; call->quantity_type == NUMERICOID && i < call->ncolumns; i++)
	{
		bool		is_key = i <= nkeys;

		if (!is_key && call->types[i] != BOOLOID && call->types[i] != NUMERICOID)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("quantities are numeric, but column \"%s\" of the row type is %s",
							NameStr(TupleDescAttr(call->desc, call->columns[i])->attname),
							format_type_be(call->types[i])),
					 errhint("Use numeric in the row type, or cast the quantity in the query.")));
	}
	if (call->timed && getBaseType(QUERY_COLUMN(call, desc, nkeys + 2)->atttypid) != BOOLOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("stocktake column \"%s\" is of type %s",
						NameStr(QUERY_COLUMN(call, desc, nkeys + 2)->attname),
						format_type_be(QUERY_COLUMN(call, desc, nkeys + 2)->atttypid)),
				 errhint("Return a boolean expression, such as event_type = 'stocktake'.")));

	caller = MemoryContextSwitchTo(call->context);
	call->ledger = ecs_ledger_create(nkeys, types, collations, call->quantity_type == NUMERICOID,
									 get_hash_memory_limit());
	MemoryContextSwitchTo(caller);
}

static int64
make_at(DateADT day, int64 instant, bool counted)
{
	if (day > ECS_AT_MAX_DAY || day < -ECS_AT_MAX_DAY)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("time of a stock movement out of range"),
				 errhint("Leave movements with infinite times out of the query.")));
	return (int64) day * (INT64CONST(1) << ECS_AT_DAY_SHIFT) + instant * 2 + counted;
}

static int64
find_at(StockCall *call, Datum value, bool counted)
{
	int64		time = 0;
	DateADT		day;

	if (call->time_type == DATEOID)
		return make_at(DatumGetDateADT(value), 0, counted);

	time = DatumGetTimestampTz(value);
	if (unlikely(TIMESTAMP_NOT_FINITE(time)))
		return make_at(DATEVAL_NOEND, 0, counted);
	if (call->time_type == TIMESTAMPTZOID)
		day = ecs_local_day(&call->zone, time);
	else
		day = (DateADT) (time / USECS_PER_DAY - (time % USECS_PER_DAY < 0));
	return make_at(day, call->timed ? time - day * USECS_PER_DAY + ECS_AT_ZONE_SHIFT : 0, counted);
}

static int64
find_quantity(StockCall *call, Datum value)
{
	switch (call->quantity_type)
	{
		case INT2OID:
			return DatumGetInt16(value);
		case INT4OID:
			return DatumGetInt32(value);
		case INT8OID:
			return DatumGetInt64(value);
		default:
			value = NumericGetDatum(DatumGetNumeric(value));
			if (numeric_is_nan(DatumGetNumeric(value)) || numeric_is_inf(DatumGetNumeric(value)))
				ereport(ERROR,
						(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						 errmsg("quantity of a stock movement is not finite")));
			return (int64) value;
	}
}

static void
take_row(TupleTableSlot *slot, void *state)
{
	StockCall  *call = state;
	const int  *places = call->query.places;
	int			nkeys = call->nkeys;
	Datum		key[ECS_KEY_COLUMNS];
	uint32		nulls = 0;
	bool		counted = false;
	EcsCell		cell;

	slot_getsomeattrs(slot, call->row_length);
	if (slot->tts_isnull[places[nkeys]] || slot->tts_isnull[places[nkeys + 1]])
		return;					/* nothing that moved, or at no time */
	for (int i = 0; i < nkeys; i++)
	{
		key[i] = slot->tts_values[places[i]];
		nulls |= (uint32) slot->tts_isnull[places[i]] << i;
	}
	if (call->timed)
		counted = !slot->tts_isnull[places[nkeys + 2]] && DatumGetBool(slot->tts_values[places[nkeys + 2]]);
	cell.at = find_at(call, slot->tts_values[places[nkeys]], counted);
	cell.quantity = find_quantity(call, slot->tts_values[places[nkeys + 1]]);
	ecs_ledger_add(call->ledger, key, nulls, cell);
}

/* Files are closed also when the caller wants no more rows */
static void
end_call(Datum arg)
{
	StockCall  *call = (StockCall *) DatumGetPointer(arg);

	if (call->ledger != NULL)
		ecs_ledger_end(call->ledger);
	call->ledger = NULL;
}

static void init_tuple(StockCall *call);

static FuncCallContext *
start_call(FunctionCallInfo fcinfo, StockQuery query, const char *zone, bool dense)
{
	FuncCallContext *funcctx = SRF_FIRSTCALL_INIT();
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext caller = MemoryContextSwitchTo(funcctx->multi_call_memory_ctx);
	StockCall  *call = palloc0(sizeof(StockCall));
	EcsRowSink	sink = {start_query, take_row, call};

	call->dense = dense;
	call->query = query;
	call->context = funcctx->multi_call_memory_ctx;
	ecs_zone_init(&call->zone, zone);
	init_result(call, fcinfo);
	init_tuple(call);
	RegisterExprContextCallback(rsinfo->econtext, end_call, PointerGetDatum(call));

	SPI_connect();
	ecs_for_each_row(query.text, NULL, &sink);
	SPI_finish();
	ecs_ledger_finish(call->ledger);
	funcctx->user_fctx = call;
	MemoryContextSwitchTo(caller);
	return funcctx;
}

/* An integer balance as a value of the column's type */
static inline Datum
quantity_datum(StockCall *call, int column, int64 quantity)
{
	Oid			type = call->types[column];

	if (likely(type == INT8OID))
		return Int64GetDatum(quantity);
	if (type == NUMERICOID)
		return call->quantity_type == NUMERICOID ? (Datum) quantity :
			NumericGetDatum(int64_to_numeric(quantity));
	if (quantity > (type == INT4OID ? PG_INT32_MAX : PG_INT16_MAX) ||
		quantity < (type == INT4OID ? PG_INT32_MIN : PG_INT16_MIN))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("stock balance out of range for type %s", format_type_be(type)),
				 errhint("Use bigint or numeric in the row type.")));
	return type == INT4OID ? Int32GetDatum((int32) quantity) : Int16GetDatum((int16) quantity);
}

/*
 * Build a row.  Where every column has a fixed width and is passed by value, as
 * is most common, there is one tuple that is filled in for each row: like what
 * the executor frees before it asks for the next row, it lives until then.
 */
static Datum
make_result(StockCall *call, EcsLedgerRow *row)
{
	Datum		values[MAX_COLUMNS];
	int			n = 0;

	if (call->dense)
		values[n++] = DateADTGetDatum(row->day);
	for (int i = 0; i < call->nkeys; i++)
		values[n++] = row->key.values[i];
	if (!call->dense)
	{
		values[n++] = DateADTGetDatum(row->day);
		values[n] = quantity_datum(call, n, row->change);
		n++;
	}
	values[n] = quantity_datum(call, n, row->balance);
	n++;
	if (call->with_counted)
		values[n++] = BoolGetDatum(row->counted);

	if (call->tuple != NULL && row->key.nulls == 0)
	{
		for (int i = 0; i < n; i++)
			store_att_byval(call->fields[i], values[i], call->widths[i]);
		return call->tuple_datum;
	}
	else
	{
		Datum	   *all = palloc0(call->desc->natts * sizeof(Datum));
		bool	   *nulls = palloc(call->desc->natts * sizeof(bool));

		/* dropped columns stay null */
		memset(nulls, true, call->desc->natts);
		for (int i = 0; i < n; i++)
		{
			all[call->columns[i]] = values[i];
			nulls[call->columns[i]] = false;
		}
		for (int i = 0; i < call->nkeys; i++)
			nulls[call->columns[i + call->dense]] = (row->key.nulls & (1 << i)) != 0;
		return HeapTupleGetDatum(heap_form_tuple(call->desc, all, nulls));
	}
}

/* Make the tuple that is filled in, where there can be one */
static void
init_tuple(StockCall *call)
{
	Datum		zeros[MAX_COLUMNS] = {0};
	bool		nulls[MAX_COLUMNS] = {false};
	HeapTuple	tuple;
	Size		offset = 0;

	if (call->desc->natts != call->ncolumns)
		return;
	for (int i = 0; i < call->ncolumns; i++)
		if (!TupleDescAttr(call->desc, i)->attbyval)
			return;

	tuple = heap_form_tuple(call->desc, zeros, nulls);
	call->tuple = tuple->t_data;
	call->tuple_datum = HeapTupleGetDatum(tuple);
	for (int i = 0; i < call->ncolumns; i++)
	{
		Form_pg_attribute att = TupleDescAttr(call->desc, i);

		offset = att_align_nominal(offset, att->attalign);
		call->fields[i] = (char *) call->tuple + call->tuple->t_hoff + offset;
		call->widths[i] = att->attlen;
		offset += att->attlen;
	}
}

static Datum
next_result(FunctionCallInfo fcinfo)
{
	FuncCallContext *funcctx = SRF_PERCALL_SETUP();
	StockCall  *call = funcctx->user_fctx;
	EcsLedgerRow row;

	if (call->dense ? ecs_snapshots_next(call->snapshots, &row) : ecs_ledger_next(call->ledger, &row))
		SRF_RETURN_NEXT(funcctx, make_result(call, &row));

	UnregisterExprContextCallback(((ReturnSetInfo *) fcinfo->resultinfo)->econtext,
								  end_call, PointerGetDatum(call));
	end_call(PointerGetDatum(call));
	SRF_RETURN_DONE(funcctx);
}

/* An argument that may not be NULL */
static Datum
required(FunctionCallInfo fcinfo, int i, const char *name)
{
	if (PG_ARGISNULL(i))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name)));
	return PG_GETARG_DATUM(i);
}

#define REQUIRED_TEXT(i, name)	TextDatumGetCString(required(fcinfo, i, name))
#define REQUIRED_NAME(i, name)	NameStr(*DatumGetName(required(fcinfo, i, name)))

static StockQuery
plain_query(const char *text)
{
	StockQuery	query = {0};

	query.text = text;

	return query;
}

Datum
ecs_stock_ledger(PG_FUNCTION_ARGS)
{
	if (SRF_IS_FIRSTCALL())
		start_call(fcinfo, plain_query(REQUIRED_TEXT(1, "query")), REQUIRED_TEXT(2, "time_zone"), false);
	return next_result(fcinfo);
}

/* The names of the columns of the key */
static List *
key_names(ArrayType *key)
{
	List	   *names = NIL;
	Datum	   *values;
	bool	   *nulls;
	int			n;

	deconstruct_array(key, NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR, &values, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument \"key\" must not contain nulls")));
		names = lappend(names, NameStr(*DatumGetName(values[i])));
	}
	return names;
}

/* Read whole rows where that pays; names that are not those of columns are the parser's to refuse */
static bool
place_in_whole_rows(StockQuery *query, Oid relation, List *columns)
{
	AttrNumber	numbers[MAX_READ];
	ListCell   *cell;

	if (list_length(columns) > MAX_READ)
		return false;
	foreach(cell, columns)
	{
		int			i = foreach_current_index(cell);

		numbers[i] = get_attnum(relation, lfirst(cell));
		if (numbers[i] <= 0)
			return false;
		query->places[i] = numbers[i] - 1;
	}
	if (!ecs_whole_rows_pay(relation, numbers, list_length(columns)))
		return false;
	query->ncolumns = list_length(columns);
	return true;
}

/* The query on a table: some columns, and whether it is a stocktake */
static StockQuery
table_query(Oid relation, List *columns, const char *type_column, const char *stocktake)
{
	StockQuery	query = {0};
	StringInfoData text;
	ListCell   *cell;

	if (get_rel_name(relation) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relation)));
	initStringInfo(&text);
	appendStringInfoString(&text, "SELECT ");
	if (type_column == NULL && place_in_whole_rows(&query, relation, columns))
		appendStringInfoString(&text, "*");
	else
	{
		foreach(cell, columns)
		{
			appendStringInfo(&text, "%s%s", foreach_current_index(cell) > 0 ? ", " : "",
							 quote_identifier(lfirst(cell)));
		}
	}
	if (type_column != NULL)
		appendStringInfo(&text, ", %s OPERATOR(pg_catalog.=) %s", quote_identifier(type_column),
						 quote_literal_cstr(stocktake));
	appendStringInfo(&text, " FROM %s", ecs_relation_name(relation));
	query.text = text.data;

	return query;
}

Datum
ecs_stock_ledger_table(PG_FUNCTION_ARGS)
{
	if (SRF_IS_FIRSTCALL())
	{
		Oid			relation = DatumGetObjectId(required(fcinfo, 1, "events"));
		List	   *columns = key_names(DatumGetArrayTypeP(required(fcinfo, 2, "key")));

		columns = lappend(columns, REQUIRED_NAME(3, "time_column"));
		columns = lappend(columns, REQUIRED_NAME(4, "quantity"));
		start_call(fcinfo,
				   table_query(relation, columns, PG_ARGISNULL(5) ? NULL : NameStr(*PG_GETARG_NAME(5)),
							   REQUIRED_TEXT(6, "stocktake")),
				   REQUIRED_TEXT(7, "time_zone"), false);
	}
	return next_result(fcinfo);
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

Datum
ecs_stock_snapshots(PG_FUNCTION_ARGS)
{
	if (SRF_IS_FIRSTCALL())
	{
		ArrayType  *array = DatumGetArrayTypeP(required(fcinfo, 2, "days"));
		FuncCallContext *funcctx = start_call(fcinfo, plain_query(REQUIRED_TEXT(1, "query")),
											  REQUIRED_TEXT(3, "time_zone"), true);
		StockCall  *call = funcctx->user_fctx;
		MemoryContext caller = MemoryContextSwitchTo(call->context);
		DateADT    *days;
		int			ndays = sort_days(array, &days);

		call->snapshots = ecs_snapshots_create(call->ledger, days, ndays);
		MemoryContextSwitchTo(caller);
	}
	return next_result(fcinfo);
}
