/*
 * result.c
 *		The rows that a ledger returns, in the caller's row type.
 *
 * Where every column has a fixed width and is passed by value, as is most
 * common, there is one tuple that is filled in for each row: like what the
 * executor frees before it asks for the next row, it lives until then.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/tupmacs.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "stock/result.h"

static void
report_shape(bool snapshots)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("row type does not fit the result of %s",
					snapshots ? "stock_snapshots" : "stock_ledger"),
			 snapshots ?
			 errdetail("Its columns must be the day (date), up to %d key columns, and the quantity (smallint, integer, bigint, or numeric without precision).",
					   ECS_KEY_COLUMNS) :
			 errdetail("Its columns must be up to %d key columns, the day (date), the change and the balance (smallint, integer, bigint, or numeric without precision), and optionally whether a stocktake set the balance (boolean).",
					   ECS_KEY_COLUMNS),
			 errhint("Pass a null value of a table's or composite type, or NULL::record with a column definition list.")));
}

bool
ecs_is_quantity(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID || type == NUMERICOID;
}

/* Whether a column can hold a quantity, which is never rounded; or there is none to hold */
static bool
holds_quantity(const EcsResult *result, int column)
{
	return column < 0 || (ecs_is_quantity(result->types[column]) &&
						  TupleDescAttr(result->desc, result->attributes[column])->atttypmod < 0);
}

/* False where there are too many columns */
static bool
find_live_columns(EcsResult *result)
{
	for (int i = 0; i < result->desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(result->desc, i);

		if (attribute->attisdropped)
			continue;
		if (result->ncolumns == ECS_RESULT_COLUMNS)
			return false;
		result->attributes[result->ncolumns] = i;
		result->types[result->ncolumns++] = attribute->atttypid;
	}
	return true;
}

/* Tell the columns' meaning from their places; false where they have none */
static bool
place_columns(EcsResult *result, bool snapshots)
{
	int			n = result->ncolumns;
	bool		with_counted = !snapshots && n > 0 && result->types[n - 1] == BOOLOID;

	result->nkeys = n - (snapshots ? 2 : 3) - with_counted;
	if (result->nkeys < 0 || result->nkeys > ECS_KEY_COLUMNS)
		return false;
	result->counted = with_counted ? --n : -1;
	result->balance = --n;
	result->change = snapshots ? -1 : --n;
	result->day = snapshots ? 0 : --n;
	result->key = snapshots ? 1 : 0;
	return result->types[result->day] == DATEOID &&
		holds_quantity(result, result->change) && holds_quantity(result, result->balance);
}

/* Make the tuple that is filled in, where there can be one */
static void
init_tuple(EcsResult *result)
{
	Datum		zeros[ECS_RESULT_COLUMNS] = {0};
	bool		nulls[ECS_RESULT_COLUMNS] = {false};
	HeapTuple	tuple;
	Size		offset = 0;

	if (result->desc->natts != result->ncolumns)
		return;
	for (int i = 0; i < result->ncolumns; i++)
		if (!TupleDescAttr(result->desc, i)->attbyval)
			return;

	tuple = heap_form_tuple(result->desc, zeros, nulls);
	result->tuple = tuple->t_data;
	result->tuple_datum = HeapTupleGetDatum(tuple);
	for (int i = 0; i < result->ncolumns; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(result->desc, i);

		offset = att_align_nominal(offset, attribute->attalign);
		result->fields[i] = (char *) result->tuple + result->tuple->t_hoff + offset;
		result->widths[i] = attribute->attlen;
		offset += attribute->attlen;
	}
}

void
ecs_result_init(EcsResult *result, FunctionCallInfo fcinfo, bool snapshots)
{
	memset(result, 0, sizeof(EcsResult));
	if (get_call_result_type(fcinfo, NULL, &result->desc) != TYPEFUNC_COMPOSITE ||
		!find_live_columns(result) || !place_columns(result, snapshots))
		report_shape(snapshots);
	BlessTupleDesc(result->desc);
	init_tuple(result);
}

void
ecs_result_set_numeric(EcsResult *result, bool is_numeric)
{
	const int	columns[] = {result->change, result->balance};

	result->is_numeric = is_numeric;
	for (int i = 0; is_numeric && i < (int) lengthof(columns); i++)
		if (columns[i] >= 0 && result->types[columns[i]] != NUMERICOID)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("quantities are numeric, but column \"%s\" of the row type is %s",
							NameStr(TupleDescAttr(result->desc, result->attributes[columns[i]])->attname),
							format_type_be(result->types[columns[i]])),
					 errhint("Use numeric in the row type, or cast the quantity in the query.")));
}

/* A quantity as a value of the column's type */
static inline Datum
quantity_datum(const EcsResult *result, int column, int64 quantity)
{
	Oid			type = result->types[column];

	if (likely(type == INT8OID))
		return Int64GetDatum(quantity);
	if (type == NUMERICOID)
		return result->is_numeric ? (Datum) quantity : NumericGetDatum(int64_to_numeric(quantity));
	if (quantity > (type == INT4OID ? PG_INT32_MAX : PG_INT16_MAX) ||
		quantity < (type == INT4OID ? PG_INT32_MIN : PG_INT16_MIN))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("stock balance out of range for type %s", format_type_be(type)),
				 errhint("Use bigint or numeric in the row type.")));
	return type == INT4OID ? Int32GetDatum((int32) quantity) : Int16GetDatum((int16) quantity);
}

static Datum
form_row(EcsResult *result, const EcsLedgerRow *row)
{
	Datum	   *values = palloc0(result->desc->natts * sizeof(Datum));
	bool	   *nulls = palloc(result->desc->natts * sizeof(bool));

#define SET_COLUMN(column, value) \
	(values[result->attributes[column]] = (value), nulls[result->attributes[column]] = false)

	memset(nulls, true, result->desc->natts);	/* dropped columns stay null */
	for (int i = 0; i < result->nkeys; i++)
		if (!(row->key.nulls & (1 << i)))
			SET_COLUMN(result->key + i, row->key.values[i]);
	SET_COLUMN(result->day, DateADTGetDatum(row->day));
	if (result->change >= 0)
		SET_COLUMN(result->change, quantity_datum(result, result->change, row->change));
	SET_COLUMN(result->balance, quantity_datum(result, result->balance, row->balance));
	if (result->counted >= 0)
		SET_COLUMN(result->counted, BoolGetDatum(row->counted));
	return HeapTupleGetDatum(heap_form_tuple(result->desc, values, nulls));
}

static inline void
fill_column(const EcsResult *result, int column, Datum value)
{
	store_att_byval(result->fields[column], value, result->widths[column]);
}

Datum
ecs_result_row(EcsResult *result, const EcsLedgerRow *row)
{
	if (result->tuple == NULL || row->key.nulls != 0)
		return form_row(result, row);
	for (int i = 0; row->new_key && i < result->nkeys; i++)
		fill_column(result, result->key + i, row->key.values[i]);
	fill_column(result, result->day, DateADTGetDatum(row->day));
	if (result->change >= 0)
		fill_column(result, result->change, quantity_datum(result, result->change, row->change));
	fill_column(result, result->balance, quantity_datum(result, result->balance, row->balance));
	if (result->counted >= 0)
		fill_column(result, result->counted, BoolGetDatum(row->counted));
	return result->tuple_datum;
}
