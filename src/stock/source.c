/*
 * source.c
 *		The movements that a query returns.
 *
 * A relation is read by a query too.  Where that pays its rows are read whole,
 * and so is the type of a movement, which is compared here rather than by the
 * executor, who would form a row of its own for the answer.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "base/query.h"
#include "base/relation.h"
#include "stock/source.h"

/* A query under way */
typedef struct Reader
{
	EcsSource  *source;
	EcsZone    *zone;
	EcsResult  *result;
	MemoryContext context;		/* for the ledger */
	EcsLedger  *ledger;

	int			nkeys;
	int			row_length;		/* as far as its rows are read */
	Oid			time_type;
	Oid			quantity_type;
	bool		timed;			/* there are stocktakes, so the order of the
								 * movements of a day matters */

	/* what tells a stocktake, where the column itself does not */
	FmgrInfo   *equal;
	Oid			collation;
	Datum		stocktake;
} Reader;

/* Read whole rows where that pays; names that are not those of columns are the parser's to refuse */
static bool
place_in_whole_rows(EcsSource *source, Oid relation, List *columns)
{
	AttrNumber	numbers[ECS_SOURCE_COLUMNS];
	ListCell   *cell;

	if (list_length(columns) > ECS_SOURCE_COLUMNS)
		return false;
	foreach(cell, columns)
	{
		int			i = foreach_current_index(cell);

		numbers[i] = get_attnum(relation, lfirst(cell));
		if (numbers[i] <= 0)
			return false;
		source->places[i] = numbers[i] - 1;
	}
	if (!ecs_whole_rows_pay(relation, numbers, list_length(columns)))
		return false;
	source->ncolumns = list_length(columns);
	return true;
}

EcsSource
ecs_source_of_relation(Oid relation, List *columns, const char *type_column, const char *stocktake)
{
	EcsSource	source = {0};
	StringInfoData query;
	ListCell   *cell;

	if (get_rel_name(relation) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relation)));
	if (type_column != NULL)
	{
		columns = lappend(columns, (void *) type_column);
		source.stocktake = stocktake;
	}
	initStringInfo(&query);
	appendStringInfoString(&query, "SELECT ");
	if (place_in_whole_rows(&source, relation, columns))
		appendStringInfoString(&query, "*");
	else
	{
		foreach(cell, columns)
		{
			appendStringInfo(&query, "%s%s", foreach_current_index(cell) > 0 ? ", " : "",
							 quote_identifier(lfirst(cell)));
		}
	}
	appendStringInfo(&query, " FROM %s", ecs_relation_name(relation));
	source.query = query.data;
	return source;
}

/* Where the rows of the query have its columns */
static void
place_columns(Reader *reader, TupleDesc desc)
{
	EcsSource  *source = reader->source;

	if (source->ncolumns == 0)
	{
		source->ncolumns = desc->natts;
		for (int i = 0; i < Min(desc->natts, ECS_SOURCE_COLUMNS); i++)
			source->places[i] = i;
	}
	reader->timed = source->ncolumns == reader->nkeys + 3;
	if (source->ncolumns != reader->nkeys + 2 && !reader->timed)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("query returns %d columns, but the row type has %d key columns",
						source->ncolumns, reader->nkeys),
				 errhint("The query returns the key columns, the time, the quantity, and optionally whether it is a stocktake.")));
	for (int i = 0; i < source->ncolumns; i++)
		reader->row_length = Max(reader->row_length, source->places[i] + 1);
}

#define SOURCE_COLUMN(reader, desc, i)		TupleDescAttr(desc, (reader)->source->places[i])

/* Make the ledger for the types of the key, which are those of the result */
static void
start_ledger(Reader *reader, TupleDesc desc)
{
	const EcsResult *result = reader->result;
	Oid			types[ECS_KEY_COLUMNS];
	Oid			collations[ECS_KEY_COLUMNS];
	MemoryContext caller;

	for (int i = 0; i < reader->nkeys; i++)
	{
		Form_pg_attribute column = SOURCE_COLUMN(reader, desc, i);
		Oid			wanted = result->types[result->key + i];

		types[i] = column->atttypid;
		collations[i] = column->attcollation;
		if (types[i] != wanted)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("key column \"%s\" is of type %s in the query and %s in the row type",
							NameStr(column->attname), format_type_be(types[i]), format_type_be(wanted)),
					 errhint("Cast the column in the query.")));
	}
	caller = MemoryContextSwitchTo(reader->context);
	reader->ledger = ecs_ledger_create(reader->nkeys, types, collations, result->is_numeric,
									   get_hash_memory_limit());
	MemoryContextSwitchTo(caller);
}

static void
learn_time(Reader *reader, Form_pg_attribute column)
{
	reader->time_type = getBaseType(column->atttypid);
	if (reader->time_type != TIMESTAMPTZOID && reader->time_type != TIMESTAMPOID && reader->time_type != DATEOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("time column \"%s\" is of type %s",
						NameStr(column->attname), format_type_be(reader->time_type)),
				 errhint("Cast it to timestamptz, timestamp or date.")));
}

static void
learn_quantity(Reader *reader, Form_pg_attribute column)
{
	reader->quantity_type = getBaseType(column->atttypid);
	if (!ecs_is_quantity(reader->quantity_type))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("quantity column \"%s\" is of type %s",
						NameStr(column->attname), format_type_be(reader->quantity_type)),
				 errhint("Cast it to bigint or numeric.")));
	ecs_result_set_numeric(reader->result, reader->quantity_type == NUMERICOID);
}

/* How a stocktake is told: by a boolean, or by a value of any type that has an equality */
static void
learn_stocktake(Reader *reader, Form_pg_attribute column)
{
	Oid			type = getBaseType(column->atttypid);
	TypeCacheEntry *cache;
	Oid			input;
	Oid			io_param;

	if (reader->source->stocktake == NULL)
	{
		if (type != BOOLOID)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("stocktake column \"%s\" is of type %s",
							NameStr(column->attname), format_type_be(column->atttypid)),
					 errhint("Return a boolean expression, such as event_type = 'stocktake'.")));
		return;
	}
	cache = lookup_type_cache(type, TYPECACHE_EQ_OPR_FINFO);
	if (!OidIsValid(cache->eq_opr_finfo.fn_oid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("could not identify an equality operator for type %s", format_type_be(type)),
				 errhint("Use a column of a type such as text.")));
	reader->equal = &cache->eq_opr_finfo;
	reader->collation = column->attcollation;
	getTypeInputInfo(type, &input, &io_param);
	reader->stocktake = OidInputFunctionCall(input, (char *) reader->source->stocktake, io_param, -1);
}

static void
start_query(TupleDesc desc, void *state)
{
	Reader	   *reader = state;

	place_columns(reader, desc);
	learn_time(reader, SOURCE_COLUMN(reader, desc, reader->nkeys));
	learn_quantity(reader, SOURCE_COLUMN(reader, desc, reader->nkeys + 1));
	if (reader->timed)
		learn_stocktake(reader, SOURCE_COLUMN(reader, desc, reader->nkeys + 2));
	start_ledger(reader, desc);
}

static inline int64
make_at(DateADT day, int64 instant, bool counted)
{
	if (unlikely(day > ECS_AT_MAX_DAY || day < -ECS_AT_MAX_DAY))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("time of a stock movement out of range"),
				 errhint("Leave movements with infinite times out of the query.")));
	return (int64) day * (INT64CONST(1) << ECS_AT_DAY_SHIFT) + instant * 2 + counted;
}

static inline int64
find_at(const Reader *reader, Datum value, bool counted)
{
	int64		time;
	DateADT		day;

	if (reader->time_type == DATEOID)
		return make_at(DatumGetDateADT(value), 0, counted);

	time = DatumGetTimestampTz(value);
	if (unlikely(TIMESTAMP_NOT_FINITE(time)))
		return make_at(DATEVAL_NOEND, 0, counted);
	if (reader->time_type == TIMESTAMPTZOID)
		day = ecs_local_day(reader->zone, time);
	else
		day = (DateADT) (time / USECS_PER_DAY - (time % USECS_PER_DAY < 0));
	return make_at(day, reader->timed ? time - day * USECS_PER_DAY + ECS_AT_ZONE_SHIFT : 0, counted);
}

static inline int64
find_quantity(const Reader *reader, Datum value)
{
	switch (reader->quantity_type)
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

static inline bool
is_stocktake(const Reader *reader, Datum value)
{
	return DatumGetBool(reader->equal == NULL ? value :
						FunctionCall2Coll(reader->equal, reader->collation, value, reader->stocktake));
}

static void
take_row(TupleTableSlot *slot, void *state)
{
	const Reader *reader = state;
	const int  *places = reader->source->places;
	const int  *rest = places + reader->nkeys;	/* time, quantity, stocktake */
	EcsPending *movement = ecs_ledger_pending(reader->ledger);
	bool		counted;

	slot_getsomeattrs(slot, reader->row_length);
	if (slot->tts_isnull[rest[0]] || slot->tts_isnull[rest[1]])
		return;					/* nothing that moved, or at no time */
	movement->nulls = 0;
	for (int i = 0; i < reader->nkeys; i++)
	{
		movement->values[i] = slot->tts_values[places[i]];
		movement->nulls |= (uint32) slot->tts_isnull[places[i]] << i;
	}
	counted = reader->timed && !slot->tts_isnull[rest[2]] && is_stocktake(reader, slot->tts_values[rest[2]]);
	movement->cell.at = find_at(reader, slot->tts_values[rest[0]], counted);
	movement->cell.quantity = find_quantity(reader, slot->tts_values[rest[1]]);
	ecs_ledger_add(reader->ledger);
}

EcsLedger *
ecs_source_read(EcsSource *source, EcsZone *zone, EcsResult *result)
{
	Reader		reader = {
		.source = source,
		.zone = zone,
		.result = result,
		.context = CurrentMemoryContext,
		.nkeys = result->nkeys
	};
	EcsRowSink	sink = {start_query, take_row, &reader};

	SPI_connect();
	ecs_for_each_row(source->query, NULL, &sink);
	SPI_finish();
	ecs_ledger_finish(reader.ledger);
	return reader.ledger;
}
