/*
 * event.c
 *		One event: its values, and the version that it makes.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/tuptable.h"
#include "nodes/makefuncs.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/typcache.h"
#include "catalog/pg_type.h"

#include "base/compat.h"
#include "scd2/engine.h"

void
ecs_scd2_make_event(EcsScd2Event *event, const EcsScd2Batch *batch)
{
	event->values = palloc0(batch->table->natts * sizeof(Datum));
	event->nulls = palloc(batch->table->natts * sizeof(bool));
	memset(event->nulls, true, batch->table->natts * sizeof(bool));
	event->at = DT_NOEND;
	event->timed = event->del = false;
}

/* A value comes for a column: take it if it is the caller's to give */
static void
give_value(EcsScd2Event *event, EcsScd2Batch *batch, int i, Datum value, bool isnull)
{
	const EcsScd2Column *column = &batch->table->columns[i];

	if (column->role == ECS_SCD2_FROM && !isnull)
	{
		event->at = DatumGetTimestampTz(value);
		event->timed = true;
	}
	if (!(ECS_SCD2_VALUES & column->role))
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
				 errmsg("table \"%s\" has no column \"%s\"", RelationGetRelationName(batch->rel), name),
				 errhint("Leave it out of the row, or add the column and call ecomsocial.scd2_refresh.")));
	return i;
}

/* A row without values: what jsonb_populate_record() begins with, so that it checks no domain of a column that does not come */
static Datum
empty_row(TupleDesc desc)
{
	Datum	   *values = palloc0(desc->natts * sizeof(Datum));
	bool	   *nulls = palloc(desc->natts * sizeof(bool));

	memset(nulls, true, desc->natts * sizeof(bool));
	return heap_copy_tuple_as_datum(heap_form_tuple(desc, values, nulls), desc);
}

/* jsonb_populate_record() for a row type, in a memory context */
static FmgrInfo *
make_populate(Oid type, MemoryContext context)
{
	MemoryContext caller = MemoryContextSwitchTo(context);
	List	   *args = list_make2(makeNullConst(type, -1, InvalidOid), makeNullConst(JSONBOID, -1, InvalidOid));
	FmgrInfo   *function = palloc0(sizeof(FmgrInfo));

	fmgr_info_cxt(F_JSONB_POPULATE_RECORD, function, context);
	fmgr_info_set_expr((Node *) makeFuncExpr(F_JSONB_POPULATE_RECORD, type, args, InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL),
					   function);
	MemoryContextSwitchTo(caller);
	return function;
}

/*
 * It is kept with the table.  But it keeps the attributes of composite types
 * within the row, and is not told when these are altered: with such columns it
 * serves one call.
 */
static HeapTupleHeader
populate(EcsScd2Batch *batch, Jsonb *row)
{
	EcsScd2    *table = batch->table;

	LOCAL_FCINFO(fcinfo, 2);
	Datum		result;

	if (table->no_values == (Datum) 0)
	{
		MemoryContext caller = MemoryContextSwitchTo(table->context);

		table->no_values = empty_row(RelationGetDescr(batch->rel));
		MemoryContextSwitchTo(caller);
	}
	if (table->populate == NULL || table->nested)
		table->populate = make_populate(batch->rel->rd_rel->reltype, table->nested ? CurrentMemoryContext : table->context);
	InitFunctionCallInfoData(*fcinfo, table->populate, 2, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = table->no_values;
	fcinfo->args[0].isnull = false;
	fcinfo->args[1].value = JsonbPGetDatum(row);
	fcinfo->args[1].isnull = false;
	result = FunctionCallInvoke(fcinfo);
	if (fcinfo->isnull)
		elog(ERROR, "jsonb_populate_record returned NULL");
	return DatumGetHeapTupleHeader(result);
}

void
ecs_scd2_read_json(EcsScd2Event *event, EcsScd2Batch *batch, Jsonb *row)
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
	ecs_scd2_make_event(event, batch);
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

/* A value of the column's type, perhaps of another length, is assigned to it */
static Datum
assign_value(const EcsScd2Batch *batch, int i, Datum value)
{
	const EcsScd2Column *column = &batch->table->columns[i];
	Oid			function;

	if (!(ECS_SCD2_VALUES & column->role) || column->typmod < 0)
		return value;
	switch (find_typmod_coercion_function(column->type, &function))
	{
		case COERCION_PATH_FUNC:
			return OidFunctionCall3(function, value, Int32GetDatum(column->typmod), BoolGetDatum(false));
		case COERCION_PATH_ARRAYCOERCE:
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("column \"%s\" of the row is an array of another length than in table \"%s\"",
							column->raw, RelationGetRelationName(batch->rel)),
					 errhint("Cast it to %s.", format_type_with_typemod(column->type, column->typmod))));
		default:
			return value;
	}
}

void
ecs_scd2_read_record(EcsScd2Event *event, EcsScd2Batch *batch, HeapTupleHeader row)
{
	TupleDesc	desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(row), HeapTupleHeaderGetTypMod(row));
	Datum	   *values = palloc(desc->natts * sizeof(Datum));
	bool	   *nulls = palloc(desc->natts * sizeof(bool));
	HeapTupleData tuple;

	ecs_scd2_make_event(event, batch);
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
		if (!nulls[a] && att->atttypmod != batch->table->columns[i].typmod)
			values[a] = assign_value(batch, i, values[a]);
		give_value(event, batch, i, values[a], nulls[a]);
	}
	ReleaseTupleDesc(desc);
}

/* The key is whole, and the time is known and possible */

void
ecs_scd2_read_row(EcsScd2Event *event, const EcsScd2 *table, TupleTableSlot *row)
{
	int			n = 1;

	slot_getallattrs(row);
	for (int i = 0; i < table->natts; i++)
		if (ECS_SCD2_VALUES & table->columns[i].role)
		{
			event->values[i] = row->tts_values[n];
			event->nulls[i] = row->tts_isnull[n++];
		}
	event->at = DatumGetTimestampTz(row->tts_values[n]);
	event->del = DatumGetBool(row->tts_values[n + 1]);
}

void
ecs_scd2_write_row(const EcsScd2Event *event, const EcsScd2 *table, TupleTableSlot *row)
{
	AttrNumber	n = 1;

	ExecClearTuple(row);
	row->tts_isnull[0] = true;
	for (int i = 0; i < table->natts; i++)
		if (ECS_SCD2_VALUES & table->columns[i].role)
		{
			row->tts_values[n] = event->values[i];
			row->tts_isnull[n++] = event->nulls[i];
		}
	ecs_scd2_put_value(row, ++n, TimestampTzGetDatum(event->at));
	ecs_scd2_put_value(row, ++n, BoolGetDatum(event->del));
	ExecStoreVirtualTuple(row);
}

/* What the event does to the version in the slot */
EcsScd2Action
ecs_scd2_compare(const EcsScd2Batch *batch, const EcsScd2Event *event, TupleTableSlot *version)
{
	EcsScd2    *table = batch->table;
	EcsScd2Action action = ECS_SCD2_UNCHANGED;

	for (int i = 0; i < table->natts; i++)
	{
		const EcsScd2Column *column = &table->columns[i];

		if (!batch->given[i] || (column->role != ECS_SCD2_HISTORY && column->role != ECS_SCD2_OVERWRITE) ||
			ecs_scd2_same(column, event->values[i], event->nulls[i], version->tts_values[i], version->tts_isnull[i]))
			continue;
		if (column->role == ECS_SCD2_HISTORY)
			return ECS_SCD2_CHANGED;
		action = ECS_SCD2_OVERWRITTEN;
	}
	return action;
}

/* The version that replaces the one in "old" */
void
ecs_scd2_form_version(const EcsScd2Batch *batch, const EcsScd2Event *event, EcsScd2Action action, TimestampTz from,
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
			ecs_scd2_put_value(new, i + 1, TimestampTzGetDatum(event->at));
		else if (role == ECS_SCD2_SEQUENCE && action != ECS_SCD2_OVERWRITTEN)
		{
			new->tts_values[i] = event->values[i];
			new->tts_isnull[i] = event->nulls[i];
		}
	}
	ecs_scd2_put_value(new, table->from, TimestampTzGetDatum(from));
	ExecStoreVirtualTuple(new);
}
