/*
 * merge.c
 *		Many events at once: scd2_merge, and the rebuilding of histories.
 *
 * The rows of a merge pass through tuplestores that the statements see as
 * tables, so nothing is written but what changes.  Most events are the newest
 * of their key: one join with the current versions sorts them into unchanged,
 * changed and new ones, and an UPDATE and an INSERT write them; the triggers
 * copy what the UPDATE replaces.  An event that falls inside an older version
 * is the same UPDATE, of that version.
 *
 * All others (several of one key, deletes, events of a moment that has one,
 * keys that come back) are folded: the history of their keys is taken apart
 * into the events it came from, the new ones are added, of each moment the
 * winner is kept, and the line of winners is cut into versions again where a
 * history column changes.  The difference to what is stored is written; closed
 * versions never change their valid_to, so rows are matched by their key.
 *
 * Locking: a merge takes SHARE ROW EXCLUSIVE on the table, so that it alone
 * writes.  In REPEATABLE READ it then makes sure that its snapshot sees the
 * keys as they are.  The current rows are written with the caller's rights;
 * the fold, which writes closed versions, as the table's owner after a check of
 * the caller's rights on the whole table.
 */
#include "postgres.h"

#include <ctype.h>

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "base/query.h"
#include "scd2/merge.h"

PG_FUNCTION_INFO_V1(ecs_scd2_merge);
PG_FUNCTION_INFO_V1(ecs_scd2_merge_table);

/* Columns of the stores that are no columns of the table */
#define CLASS	"\"scd2 class\""
#define AT		"\"scd2 at\""
#define DEL		"\"scd2 del\""

#define HISTORY		ECS_SCD2_MASK(ECS_SCD2_HISTORY)
#define OVERWRITE	ECS_SCD2_MASK(ECS_SCD2_OVERWRITE)
#define FIXED		ECS_SCD2_MASK(ECS_SCD2_FIXED)
#define SEQUENCE	ECS_SCD2_MASK(ECS_SCD2_SEQUENCE)

/* Rows by class, all of one shape */
typedef struct Sorter
{
	TupleDesc	desc;
	Tuplestorestate *stores[128];
	uint64		counts[128];
	MemoryContext context;
	EcsScd2Batch *check;		/* events to be checked as they come in */
} Sorter;

/* A sorter whose stores end with the batch: they may have files */
static Sorter *
make_sorter(EcsScd2Batch *batch)
{
	Sorter	   *sorter = palloc0(sizeof(Sorter));

	batch->sorters = lappend(batch->sorters, sorter);
	return sorter;
}

static const char *
column_name(const EcsScd2 *table, AttrNumber attnum)
{
	return table->columns[attnum - 1].name;
}

/*
 * Begin and end
 */
void
ecs_scd2_begin(EcsScd2Batch *batch, Oid relid, LOCKMODE lock, AclMode needed)
{
	memset(batch, 0, sizeof(EcsScd2Batch));
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	for (AclMode bit = 1; bit <= needed; bit <<= 1)
		if ((bit & needed) && pg_class_aclcheck(relid, GetUserId(), bit) != ACLCHECK_OK)
			aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, get_rel_name(relid));
	batch->rel = relation_open(relid, lock);
	batch->table = ecs_scd2_require(batch->rel);
	if (batch->table->root != relid)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a partition", RelationGetRelationName(batch->rel)),
				 errhint("Name the versioned table %s.", batch->table->name)));
	if (check_enable_rls(relid, InvalidOid, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("row security of table \"%s\" hides versions from this role", RelationGetRelationName(batch->rel)),
				 errhint("Use INSERT, UPDATE and DELETE, which obey the policies, or a role that bypasses them.")));
	batch->given = palloc0(batch->table->natts * sizeof(bool));
}

void
ecs_scd2_end(EcsScd2Batch *batch)
{
	ListCell   *cell;

	foreach(cell, batch->sorters)
	{
		Sorter	   *sorter = lfirst(cell);

		for (int class = 0; class < (int) lengthof(sorter->stores); class++)
			if (sorter->stores[class])
				tuplestore_end(sorter->stores[class]);
	}
	relation_close(batch->rel, NoLock);
}

/*
 * Stores
 */
TupleDesc
ecs_scd2_row_desc(const EcsScd2 *table)
{
	TupleDesc	desc;
	AttrNumber	n = 1;

	for (int i = 0; i < table->natts; i++)
		n += (ECS_SCD2_VALUES & ECS_SCD2_MASK(table->columns[i].role)) != 0;
	desc = CreateTemplateTupleDesc(n + 2);
	TupleDescInitEntry(desc, 1, "scd2 class", CHAROID, -1, 0);
	n = 2;
	for (int i = 0; i < table->natts; i++)
	{
		const EcsScd2Column *column = &table->columns[i];

		if (!(ECS_SCD2_VALUES & ECS_SCD2_MASK(column->role)))
			continue;
		TupleDescInitEntry(desc, n, column->raw, column->type, column->typmod, 0);
		TupleDescInitEntryCollation(desc, n++, column->collation);
	}
	TupleDescInitEntry(desc, n, "scd2 at", TIMESTAMPTZOID, -1, 0);
	TupleDescInitEntry(desc, n + 1, "scd2 del", BOOLOID, -1, 0);
	return desc;
}

/* An event of the source, before it is let in */
static void
check_event(EcsScd2Batch *batch, TupleDesc desc, TupleTableSlot *slot)
{
	EcsScd2    *table = batch->table;
	bool		isnull;
	TimestampTz at;
	AttrNumber	n = 2;

	slot_getallattrs(slot);
	for (int i = 0; i < table->natts; i++)
	{
		if (!(ECS_SCD2_VALUES & ECS_SCD2_MASK(table->columns[i].role)))
			continue;
		if (table->columns[i].role == ECS_SCD2_KEY && slot->tts_isnull[n - 1])
			ereport(ERROR,
					(errcode(ERRCODE_NOT_NULL_VIOLATION),
					 errmsg("key column \"%s\" of a row for table \"%s\" is null",
							table->columns[i].raw, RelationGetRelationName(batch->rel))));
		n++;
	}
	at = DatumGetTimestampTz(slot_getattr(slot, desc->natts - 1, &isnull));
	ecs_scd2_check_time(batch->rel, at);
}

static void
start_sorting(TupleDesc desc, void *state)
{
	Sorter	   *sorter = state;
	MemoryContext caller = MemoryContextSwitchTo(sorter->context);

	sorter->desc = CreateTupleDescCopy(desc);
	MemoryContextSwitchTo(caller);
}

static void
sort_row(TupleTableSlot *slot, void *state)
{
	Sorter	   *sorter = state;
	bool		isnull;
	Datum		first = slot_getattr(slot, 1, &isnull);
	int			class = TupleDescAttr(sorter->desc, 0)->atttypid == CHAROID && !isnull ? DatumGetChar(first) & 127 : 0;

	if (sorter->check)
		check_event(sorter->check, sorter->desc, slot);
	if (sorter->stores[class] == NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(sorter->context);

		sorter->stores[class] = tuplestore_begin_heap(false, false, work_mem);
		MemoryContextSwitchTo(caller);
	}
	tuplestore_puttupleslot(sorter->stores[class], slot);
	sorter->counts[class]++;
}

/* Run a query with the latest snapshot, as a role (or InvalidOid), into stores by class */
static void
sort_query(Sorter *sorter, const char *sql, Oid role)
{
	EcsRowSink	sink = {start_sorting, sort_row, sorter};
	Oid			user;
	int			context;

	sorter->context = CurrentMemoryContext;
	GetUserIdAndSecContext(&user, &context);
	if (OidIsValid(role))
		SetUserIdAndSecContext(role, context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	ecs_for_each_row(sql, NULL, &sink);
	PopActiveSnapshot();
	SetUserIdAndSecContext(user, context);
}

/* Names the rows of a class for later statements */
static void
name_class(Sorter *sorter, int class, const char *name)
{
	if (sorter->stores[class] == NULL)
		sorter->stores[class] = tuplestore_begin_heap(false, false, work_mem);
	ecs_scd2_name_store(name, sorter->desc, sorter->stores[class]);
}

/* A query whose rows are one class, under a name */
static uint64
name_query(EcsScd2Batch *batch, const char *name, const char *sql, Oid role)
{
	Sorter	   *sorter = make_sorter(batch);

	sort_query(sorter, sql, role);
	name_class(sorter, 0, name);
	return sorter->counts[0];
}

static uint64
write_rows(EcsScd2 *table, const char *sql, EcsScd2Mode mode, Oid role)
{
	SPIPlanPtr	plan = SPI_prepare(sql, 0, NULL);

	if (plan == NULL)
		elog(ERROR, "SPI_prepare returned %s", SPI_result_code_string(SPI_result));
	return ecs_scd2_run(table, plan, NULL, NULL, mode, role, InvalidSnapshot);
}

/* "class, values, at, del" from prefix */
static void
put_row(StringInfo sql, const EcsScd2 *table, const char *class, const char *prefix)
{
	appendStringInfo(sql, "%s AS " CLASS ", ", class);
	ecs_scd2_put_columns(sql, table, prefix, ECS_SCD2_VALUES);
	appendStringInfo(sql, ", %s" AT ", %s" DEL, prefix, prefix);
}

/* put_same() for the columns that the batch brings */
static void
put_same_given(StringInfo sql, const EcsScd2Batch *batch, const char *a, const char *b, int roles)
{
	EcsScd2		visible = *batch->table;

	visible.columns = palloc(visible.natts * sizeof(EcsScd2Column));
	memcpy(visible.columns, batch->table->columns, visible.natts * sizeof(EcsScd2Column));
	for (int i = 0; i < visible.natts; i++)
		if (!batch->given[i])
			visible.columns[i].role = ECS_SCD2_SKIP;
	ecs_scd2_put_same(sql, &visible, a, b, roles);
	pfree(visible.columns);
}

/*
 * The fold
 */

/* The default of a column, as an expression of its type */
static char *
column_default(Relation rel, int i)
{
	TupleConstr *constr = RelationGetDescr(rel)->constr;

	if (TupleDescAttr(RelationGetDescr(rel), i)->attidentity)
		return psprintf("pg_catalog.nextval(pg_catalog.pg_get_serial_sequence(%s, %s)::pg_catalog.regclass)",
						quote_literal_cstr(ecs_scd2_qualified_name(RelationGetRelid(rel))),
						quote_literal_cstr(NameStr(TupleDescAttr(RelationGetDescr(rel), i)->attname)));
	for (int d = 0; constr && d < constr->num_defval; d++)
		if (constr->defval[d].adnum == i + 1)
			return TextDatumGetCString(DirectFunctionCall2(pg_get_expr, CStringGetTextDatum(constr->defval[d].adbin),
														   ObjectIdGetDatum(RelationGetRelid(rel))));
	return "NULL";
}

static char *
type_name(const EcsScd2Column *column, bool base)
{
	Oid			type = base ? getBaseType(column->type) : column->type;

	/*
	 * a cast would cut strings in silence: leave their length to the
	 * assignment
	 */
	if (type == BPCHAROID || type == VARCHAROID || type == BITOID || type == VARBITOID)
		return format_type_extended(type, -1, FORMAT_TYPE_FORCE_QUALIFY);
	return format_type_extended(type, base ? -1 : column->typmod, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
}

/*
 * The values of new events: a column that they do not bring is that of the
 * version they fall into, or else of the one before, or the one after.
 */
static void
put_new_events(StringInfo sql, const EcsScd2Batch *batch, const char *rows)
{
	EcsScd2    *table = batch->table;
	const char *from = column_name(table, table->from);
	bool		partial = false;

	appendStringInfoString(sql, "SELECT ");
	for (int i = 0; i < table->natts; i++)
	{
		const EcsScd2Column *column = &table->columns[i];

		if (!(ECS_SCD2_VALUES & ECS_SCD2_MASK(column->role)))
			continue;
		if (batch->given[i])
			appendStringInfo(sql, "s.%s, ", column->name);
		else if (column->role == ECS_SCD2_SEQUENCE)
			appendStringInfo(sql, "NULL::%s, ", type_name(column, true));
		else if (column->role == ECS_SCD2_STAMP)
			appendStringInfoString(sql, "s." AT ", ");
		else
		{
			partial = true;
			appendStringInfo(sql, "CASE WHEN f.%s IS NULL AND NOT s." DEL " THEN CAST(%s AS %s) ELSE f.%s END, ",
							 from, column_default(batch->rel, i), type_name(column, true), column->name);
		}
	}
	appendStringInfo(sql, "s." AT ", s." DEL ", true, NULL::pg_catalog.timestamptz FROM %s s", rows);
	if (partial)
	{
		appendStringInfo(sql, " LEFT JOIN LATERAL (SELECT * FROM %s o WHERE ", table->name);
		ecs_scd2_put_key_match(sql, table, "o.", "s.");
		appendStringInfo(sql, " ORDER BY o.%s OPERATOR(pg_catalog.<=) s." AT " DESC, "
						 "CASE WHEN o.%s OPERATOR(pg_catalog.<=) s." AT " THEN o.%s END DESC NULLS LAST, o.%s LIMIT 1) f ON true",
						 from, from, from, from);
	}
}

/* A delete: NULLs for the columns that are no key, but the sequence it is remembered with */
static void
put_empty_event(StringInfo sql, const EcsScd2 *table, const char *prefix, const char *sequence)
{
	for (int i = 0; i < table->natts; i++)
		if (table->columns[i].role == ECS_SCD2_KEY)
			appendStringInfo(sql, "%s%s, ", prefix, table->columns[i].name);
		else if (table->columns[i].role == ECS_SCD2_SEQUENCE && sequence)
			appendStringInfo(sql, "%s, ", sequence);
		else if (ECS_SCD2_VALUES & ECS_SCD2_MASK(table->columns[i].role))
			appendStringInfo(sql, "NULL::%s, ", type_name(&table->columns[i], true));
}

static void
put_events(StringInfo sql, const EcsScd2Batch *batch, const char *rows)
{
	EcsScd2    *table = batch->table;
	const char *from = column_name(table, table->from);
	const char *to = column_name(table, table->to);

	put_new_events(sql, batch, rows);
	appendStringInfoString(sql, " UNION ALL SELECT ");
	ecs_scd2_put_columns(sql, table, "o.", ECS_SCD2_VALUES);
	appendStringInfo(sql, ", o." AT ", false, false, o.%s FROM scd2_old o UNION ALL SELECT ", from);
	put_empty_event(sql, table, "o.", NULL);
	appendStringInfo(sql, "o.%s, true, false, NULL FROM scd2_old o WHERE o." DEL, to);
	if (!table->remembered)
		return;

	appendStringInfoString(sql, " UNION ALL SELECT ");
	for (int i = 0; i < table->natts; i++)
		if (ECS_SCD2_VALUES & ECS_SCD2_MASK(table->columns[i].role))
			appendStringInfo(sql, "%s%s, ", table->columns[i].role == ECS_SCD2_SEQUENCE ? "m." : "o.",
							 table->columns[i].role == ECS_SCD2_SEQUENCE ? "sequence" : table->columns[i].name);
	appendStringInfo(sql, "m.at, false, false, NULL FROM %s m JOIN scd2_old o ON ", table->remembered_name);
	ecs_scd2_put_key_match(sql, table, "m.", "o.");
	appendStringInfo(sql, " AND m.at OPERATOR(pg_catalog.>=) o.%s AND m.at OPERATOR(pg_catalog.<) o.%s WHERE m.kind OPERATOR(pg_catalog.=) 'row' "
					 "UNION ALL SELECT ", from, to);
	put_empty_event(sql, table, "m.", "m.sequence");
	appendStringInfo(sql, "m.at, true, false, NULL FROM %s m WHERE m.kind OPERATOR(pg_catalog.=) 'delete' AND EXISTS (SELECT FROM %s s WHERE ",
					 table->remembered_name, rows);
	ecs_scd2_put_key_match(sql, table, "m.", "s.");
	appendStringInfoChar(sql, ')');
}

/* "ROW(a, b) USING >, " that orders by images, the larger first; nothing where no column has the role */
static void
put_image_order(StringInfo sql, const EcsScd2 *table, int roles)
{
	StringInfoData columns;

	initStringInfo(&columns);
	ecs_scd2_put_columns(&columns, table, "e.", roles);
	if (columns.len > 0)
		appendStringInfo(sql, "ROW(%s) USING OPERATOR(pg_catalog.*>), ", columns.data);
}

/* The versions of the keys as they are, with the true time of their event; DEL: a gap follows */
static void
name_old_versions(EcsScd2Batch *batch, const char *rows)
{
	EcsScd2    *table = batch->table;
	const char *from = column_name(table, table->from);
	const char *to = column_name(table, table->to);
	StringInfoData sql;
	StringInfoData keys;

	initStringInfo(&keys);
	ecs_scd2_put_keys(&keys, table, "t.");
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	ecs_scd2_put_columns(&sql, table, "t.", ~ECS_SCD2_MASK(ECS_SCD2_SKIP));
	if (table->remembered)
	{
		appendStringInfo(&sql, ", CASE WHEN pg_catalog.row_number() OVER k OPERATOR(pg_catalog.=) 1 THEN COALESCE((SELECT m.at FROM %s m WHERE ",
						 table->remembered_name);
		ecs_scd2_put_key_match(&sql, table, "m.", "t.");
		appendStringInfo(&sql, " AND m.kind OPERATOR(pg_catalog.=) 'first'), t.%s) ELSE t.%s END", from, from);
	}
	else
		appendStringInfo(&sql, ", t.%s", from);
	appendStringInfo(&sql, " AS " AT ", t.%s OPERATOR(pg_catalog.<) 'infinity' AND "
					 "(pg_catalog.lead(t.%s) OVER k OPERATOR(pg_catalog.=) t.%s) IS NOT TRUE AS " DEL " FROM (SELECT DISTINCT ", to, from, to);
	ecs_scd2_put_keys(&sql, table, "s.");
	appendStringInfo(&sql, " FROM %s s) s JOIN %s t ON ", rows, table->name);
	ecs_scd2_put_key_match(&sql, table, "t.", "s.");
	appendStringInfo(&sql, " WINDOW k AS (PARTITION BY %s ORDER BY t.%s)", keys.data, to);
	name_query(batch, "scd2_old", sql.data, table->owner);
}

/*
 * The winners of each key and moment, in line.  bound: the state changes here;
 * next: where it changes again; nth: of the boundaries of the key; prev: whether
 * the event before was a delete; last_old: the last event known before.
 */
static void
name_fold(EcsScd2Batch *batch, const char *rows)
{
	EcsScd2    *table = batch->table;
	StringInfoData sql;
	StringInfoData keys;
	StringInfoData names;
	StringInfoData line;
	StringInfoData same;

	initStringInfo(&keys);
	ecs_scd2_put_keys(&keys, table, "e.");
	initStringInfo(&names);
	ecs_scd2_put_columns(&names, table, "e.", ECS_SCD2_VALUES);

	/*
	 * the history columns of the event before, and their comparison with this
	 * one's
	 */
	initStringInfo(&line);
	initStringInfo(&same);
	for (int i = 0; i < table->natts; i++)
	{
		const EcsScd2Column *column = &table->columns[i];
		const char *n = column->name;

		if (column->role != ECS_SCD2_HISTORY)
			continue;
		appendStringInfo(&line, ", pg_catalog.lag(e.%s) OVER k AS \"scd2 p%d\"", n, i);
		if (column->equal)
			appendStringInfo(&same, " AND ((e.%s %s e.\"scd2 p%d\") IS TRUE OR e.%s IS NULL AND e.\"scd2 p%d\" IS NULL)",
							 n, column->equal, i, n, i);
		else
			appendStringInfo(&same, " AND ROW(e.%s)::pg_catalog.record OPERATOR(pg_catalog.*=) ROW(e.\"scd2 p%d\")::pg_catalog.record", n, i);
	}

	/* versions: a current one takes the overwrite columns of the last event */
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (int i = 0; i < table->natts; i++)
	{
		const EcsScd2Column *column = &table->columns[i];

		if (column->role == ECS_SCD2_OVERWRITE)
			appendStringInfo(&sql, "CASE WHEN e.next IS NULL THEN e.\"scd2 l%d\" ELSE e.%s END AS %s, ", i, column->name, column->name);
		else if (ECS_SCD2_VALUES & ECS_SCD2_MASK(column->role))
			appendStringInfo(&sql, "e.%s, ", column->name);
	}

	/*
	 * boundaries with their successors; fixed columns are those of the first
	 * known event
	 */
	appendStringInfoString(&sql, "e." AT ", e." DEL ", e.new, e.bound, e.next, e.nth, e.prev, e.last_old, e.stored FROM (SELECT ");
	for (int i = 0; i < table->natts; i++)
	{
		const EcsScd2Column *column = &table->columns[i];
		const char *n = column->name;

		if (column->role == ECS_SCD2_OVERWRITE)
			appendStringInfo(&sql, "e.%s, pg_catalog.last_value(e.%s) OVER (PARTITION BY %s ORDER BY e." AT
							 " ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS \"scd2 l%d\", ", n, n, keys.data, i);
		else if (column->role == ECS_SCD2_FIXED)
			appendStringInfo(&sql, "pg_catalog.first_value(e.%s) OVER (PARTITION BY %s ORDER BY e." DEL ", e.new, e." AT ") AS %s, ",
							 n, keys.data, n);
		else if (ECS_SCD2_VALUES & ECS_SCD2_MASK(column->role))
			appendStringInfo(&sql, "e.%s, ", n);
	}
	appendStringInfoString(&sql, "e." AT ", e." DEL ", e.new, e.bound, e.prev, e.last_old, e.stored, "
						   "pg_catalog.lead(e." AT ") OVER b AS next, pg_catalog.row_number() OVER b AS nth FROM (");
	/* where the state changes */
	appendStringInfo(&sql, "SELECT %s, e." AT ", e." DEL ", e.new, e.stored, e.prev, e.last_old, "
					 "CASE WHEN e.prev IS NULL THEN NOT e." DEL " WHEN e." DEL " THEN NOT e.prev ELSE e.prev OR NOT (true%s) END AS bound FROM (",
					 names.data, same.data);
	/* the line of winners */
	appendStringInfo(&sql, "SELECT %s, e." AT ", e." DEL ", e.new, e.stored, pg_catalog.lag(e." DEL ") OVER k AS prev, "
					 "pg_catalog.max(CASE WHEN NOT e.new THEN e." AT " END) OVER (PARTITION BY %s) AS last_old%s FROM (",
					 names.data, keys.data, line.data);
	/* a place for each event of a moment */
	appendStringInfo(&sql, "SELECT e.*, pg_catalog.row_number() OVER (PARTITION BY %s, e." AT " ORDER BY ", keys.data);
	if (table->sequence)
		appendStringInfo(&sql, "e.%s DESC NULLS LAST, ", column_name(table, table->sequence));
	appendStringInfoString(&sql, "e." DEL ", ");
	put_image_order(&sql, table, HISTORY);
	put_image_order(&sql, table, OVERWRITE);
	appendStringInfoString(&sql, "e.new) AS place FROM (");
	put_events(&sql, batch, rows);
	appendStringInfoString(&sql, ") e (");
	ecs_scd2_put_columns(&sql, table, "", ECS_SCD2_VALUES);
	appendStringInfo(&sql, ", " AT ", " DEL ", new, stored)) e WHERE e.place OPERATOR(pg_catalog.=) 1 "
					 "WINDOW k AS (PARTITION BY %s ORDER BY e." AT ")) e) e "
					 "WINDOW b AS (PARTITION BY %s, e.bound ORDER BY e." AT ")) e",
					 keys.data, keys.data);
	name_query(batch, "scd2_fold", sql.data, table->owner);
}

/* An event before the first version must not bring another value of a fixed column */
static void
check_fixed(const EcsScd2Batch *batch, const char *rows)
{
	EcsScd2    *table = batch->table;
	StringInfoData sql;
	bool		any = false;

	for (int i = 0; i < table->natts; i++)
		any |= table->columns[i].role == ECS_SCD2_FIXED && batch->given[i];
	if (!any)
		return;
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	ecs_scd2_put_keys(&sql, table, "s.");
	appendStringInfo(&sql, " FROM %s s JOIN scd2_old o ON ", rows);
	ecs_scd2_put_key_match(&sql, table, "s.", "o.");
	appendStringInfo(&sql, " WHERE NOT s." DEL " AND s." AT " OPERATOR(pg_catalog.<) o." AT " AND NOT EXISTS (SELECT FROM scd2_old p WHERE ");
	ecs_scd2_put_key_match(&sql, table, "p.", "o.");
	appendStringInfo(&sql, " AND p." AT " OPERATOR(pg_catalog.<) o." AT ") AND NOT ");
	put_same_given(&sql, batch, "s.", "o.", FIXED);
	appendStringInfoString(&sql, " LIMIT 1");
	if (SPI_execute(sql.data, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not check fixed columns");
	if (SPI_processed > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a row for table \"%s\" is older than the first version and differs in a fixed column",
						RelationGetRelationName(batch->rel)),
				 errdetail("Key %s.", ecs_scd2_describe_tuple(table, SPI_tuptable->vals[0], SPI_tuptable->tupdesc)),
				 errhint("Fixed columns keep their first value: leave the column out, or correct the history with ecomsocial.versioning = off.")));
}

static void
count_fold(EcsScd2Batch *batch, const char *rows)
{
	const char *sql = "SELECT "
		"pg_catalog.count(*) FILTER (WHERE bound AND NOT " DEL " AND NOT late AND nth OPERATOR(pg_catalog.=) 1), "
		"pg_catalog.count(*) FILTER (WHERE bound AND NOT " DEL " AND NOT late AND nth OPERATOR(pg_catalog.>) 1 AND NOT prev), "
		"0::pg_catalog.int8, "
		"pg_catalog.count(*) FILTER (WHERE NOT bound AND NOT " DEL "), "
		"pg_catalog.count(*) FILTER (WHERE bound AND " DEL " AND NOT late), "
		"pg_catalog.count(*) FILTER (WHERE bound AND NOT " DEL " AND NOT late AND nth OPERATOR(pg_catalog.>) 1 AND prev), "
		"pg_catalog.count(*) FILTER (WHERE bound AND late), "
		"pg_catalog.count(*) FILTER (WHERE NOT bound AND " DEL "), "
		"pg_catalog.count(*), (SELECT pg_catalog.count(*) FROM %s) "
		"FROM (SELECT *, COALESCE(" AT " OPERATOR(pg_catalog.<) last_old, false) AS late FROM scd2_fold WHERE new) f";
	int64		n[ECS_SCD2_ACTIONS + 2];
	bool		isnull;

	if (SPI_execute(psprintf(sql, rows), true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not count the events of a fold");
	for (int i = 0; i < (int) lengthof(n); i++)
		n[i] = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, i + 1, &isnull));
	for (int i = 0; i < ECS_SCD2_ACTIONS; i++)
		batch->counts[i] += n[i];
	/* events that lost to another of the same moment */
	batch->counts[ECS_SCD2_IGNORED] += n[ECS_SCD2_ACTIONS + 1] - n[ECS_SCD2_ACTIONS];
}

/* What the history of the keys should be */
static void
name_target(EcsScd2Batch *batch)
{
	EcsScd2    *table = batch->table;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	ecs_scd2_put_columns(&sql, table, "f.", ECS_SCD2_VALUES);
	appendStringInfoString(&sql, ", CASE WHEN f.nth OPERATOR(pg_catalog.>) 1 THEN f." AT " ELSE COALESCE(f.stored, ");
	if (table->created)
		appendStringInfo(&sql, "LEAST(f.%s, f." AT ")", column_name(table, table->created));
	else
		appendStringInfoString(&sql, table->open_start ? "'-infinity'" : "f." AT);
	appendStringInfo(&sql, ") END AS %s, COALESCE(f.next, 'infinity') AS %s, f.next IS NULL AS %s, f." AT ", f.nth FROM scd2_fold f WHERE f.bound AND NOT f." DEL,
					 column_name(table, table->from), column_name(table, table->to), column_name(table, table->current));
	name_query(batch, "scd2_target", sql.data, InvalidOid);
}

static void
put_version_match(StringInfo sql, const EcsScd2 *table, const char *a, const char *b)
{
	ecs_scd2_put_key_match(sql, table, a, b);
	appendStringInfo(sql, " AND %s%s OPERATOR(pg_catalog.=) %s%s", a, column_name(table, table->to), b, column_name(table, table->to));
}

static void
write_target(EcsScd2 *table)
{
	int			all = ECS_SCD2_VALUES | ECS_SCD2_MASK(ECS_SCD2_FROM);
	int			row = all | ECS_SCD2_MASK(ECS_SCD2_TO) | ECS_SCD2_MASK(ECS_SCD2_CURRENT);
	const char *separator = "";
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "DELETE FROM %s t USING scd2_old o WHERE ", table->name);
	put_version_match(&sql, table, "t.", "o.");
	appendStringInfoString(&sql, " AND NOT EXISTS (SELECT FROM scd2_target n WHERE ");
	put_version_match(&sql, table, "n.", "o.");
	appendStringInfoChar(&sql, ')');
	write_rows(table, sql.data, ECS_SCD2_APPLYING, table->owner);

	resetStringInfo(&sql);
	appendStringInfo(&sql, "UPDATE %s t SET ", table->name);
	for (int i = 0; i < table->natts; i++)
		if ((all & ECS_SCD2_MASK(table->columns[i].role)) && table->columns[i].role != ECS_SCD2_KEY && !table->columns[i].always)
		{
			appendStringInfo(&sql, "%s%s = n.%s", separator, table->columns[i].name, table->columns[i].name);
			separator = ", ";
		}
	appendStringInfoString(&sql, " FROM scd2_target n JOIN scd2_old o ON ");
	put_version_match(&sql, table, "n.", "o.");
	appendStringInfoString(&sql, " WHERE ");
	put_version_match(&sql, table, "t.", "n.");
	appendStringInfoString(&sql, " AND NOT ");
	ecs_scd2_put_same(&sql, table, "n.", "o.", all);
	write_rows(table, sql.data, ECS_SCD2_APPLYING, table->owner);

	resetStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s (", table->name);
	ecs_scd2_put_columns(&sql, table, "", row);
	appendStringInfoString(&sql, ") OVERRIDING SYSTEM VALUE SELECT ");
	ecs_scd2_put_columns(&sql, table, "n.", row);
	appendStringInfoString(&sql, " FROM scd2_target n WHERE NOT EXISTS (SELECT FROM scd2_old o WHERE ");
	put_version_match(&sql, table, "n.", "o.");
	appendStringInfoChar(&sql, ')');
	write_rows(table, sql.data, ECS_SCD2_APPLYING, table->owner);
}

/* What left no trace in the history; the sequence of a delete leaves none */
static void
write_memory(EcsScd2Batch *batch)
{
	EcsScd2    *table = batch->table;
	StringInfoData sql;
	const char *sequence = table->sequence ? column_name(table, table->sequence) : NULL;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	ecs_scd2_put_keys(&sql, table, "f.");
	appendStringInfo(&sql, ", f." AT " AS at, CASE WHEN f." DEL " THEN 'delete' ELSE 'row' END AS kind, %s%s AS sequence FROM scd2_fold f WHERE NOT f.bound%s "
					 "UNION ALL SELECT ", sequence ? "f." : "", sequence ? sequence : "NULL::pg_catalog.int8", sequence ? " OR f." DEL : "");
	ecs_scd2_put_keys(&sql, table, "n.");
	appendStringInfo(&sql, ", n." AT ", 'first', %s%s FROM scd2_target n WHERE n.nth OPERATOR(pg_catalog.=) 1 AND n.%s OPERATOR(pg_catalog.<) n." AT,
					 sequence ? "n." : "", sequence ? sequence : "NULL", column_name(table, table->from));
	name_query(batch, "scd2_memory", sql.data, InvalidOid);

	resetStringInfo(&sql);
	appendStringInfo(&sql, "DELETE FROM %s m USING (SELECT DISTINCT ", table->remembered_name);
	ecs_scd2_put_keys(&sql, table, "f.");
	appendStringInfoString(&sql, " FROM scd2_fold f) f WHERE ");
	ecs_scd2_put_key_match(&sql, table, "m.", "f.");
	appendStringInfoString(&sql, " AND NOT EXISTS (SELECT FROM scd2_memory n WHERE ");
	ecs_scd2_put_key_match(&sql, table, "m.", "n.");
	appendStringInfoString(&sql, " AND m.at OPERATOR(pg_catalog.=) n.at)");
	write_rows(table, sql.data, ECS_SCD2_PLAIN, table->owner);

	resetStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s AS m (", table->remembered_name);
	ecs_scd2_put_keys(&sql, table, "");
	appendStringInfoString(&sql, ", at, kind, sequence) SELECT * FROM scd2_memory ON CONFLICT (");
	ecs_scd2_put_keys(&sql, table, "");
	appendStringInfoString(&sql, ", at) DO UPDATE SET kind = EXCLUDED.kind, sequence = EXCLUDED.sequence "
						   "WHERE ROW(m.kind, m.sequence)::pg_catalog.record OPERATOR(pg_catalog.*<>) ROW(EXCLUDED.kind, EXCLUDED.sequence)::pg_catalog.record");
	write_rows(table, sql.data, ECS_SCD2_PLAIN, table->owner);
}

/* Apply events that are not simply the newest of their key */
static void
apply_late(EcsScd2Batch *batch, const char *rows)
{
	name_old_versions(batch, rows);
	check_fixed(batch, rows);
	name_fold(batch, rows);
	count_fold(batch, rows);
	name_target(batch);
	write_target(batch->table);
	if (batch->table->remembered)
		write_memory(batch);
}

/* ", a = s.a" of the columns that the batch brings; sequence_by only where "changed" holds */
static void
put_assignments(StringInfo sql, const EcsScd2Batch *batch, int roles, const char *changed)
{
	EcsScd2    *table = batch->table;

	for (int i = 0; i < table->natts; i++)
	{
		const EcsScd2Column *column = &table->columns[i];

		if (!(roles & ECS_SCD2_MASK(column->role)) || column->always)
			continue;
		if (column->role == ECS_SCD2_STAMP && !batch->given[i])
			appendStringInfo(sql, ", %s = s." AT, column->name);
		else if (column->role == ECS_SCD2_SEQUENCE)
			appendStringInfo(sql, ", %s = CASE WHEN %s THEN %s%s ELSE t.%s END", column->name, changed,
							 batch->given[i] ? "s." : "NULL::", batch->given[i] ? column->name : type_name(column, true), column->name);
		else if (batch->given[i])
			appendStringInfo(sql, ", %s = s.%s", column->name, column->name);
	}
}

/* Events without a change of history, where the table remembers them */
static void
remember_rows(EcsScd2 *table, const char *rows)
{
	StringInfoData sql;

	if (!table->remembered)
		return;
	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s (", table->remembered_name);
	ecs_scd2_put_keys(&sql, table, "");
	appendStringInfoString(&sql, ", at, kind, sequence) SELECT ");
	ecs_scd2_put_keys(&sql, table, "s.");
	appendStringInfo(&sql, ", s." AT ", 'row', %s%s FROM %s s ON CONFLICT DO NOTHING",
					 table->sequence ? "s." : "", table->sequence ? column_name(table, table->sequence) : "NULL", rows);
	write_rows(table, sql.data, ECS_SCD2_PLAIN, table->owner);
}

/*
 * Events that fall strictly inside a version, alone of their key, and make it
 * two: the same UPDATE as of a current version.  What is not so simple is named
 * "scd2_rest"; returns how many those are.
 */
static uint64
split_versions(EcsScd2Batch *batch, const char *rows)
{
	EcsScd2    *table = batch->table;
	const char *from = column_name(table, table->from);
	const char *to = column_name(table, table->to);
	Sorter	   *sorter = make_sorter(batch);
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT CASE WHEN v.%s IS NULL OR v.%s OPERATOR(pg_catalog.>=) s." AT, from, from);
	if (table->remembered)
	{
		appendStringInfo(&sql, " OR EXISTS (SELECT FROM %s m WHERE ", table->remembered_name);
		ecs_scd2_put_key_match(&sql, table, "m.", "s.");
		appendStringInfo(&sql, " AND m.at OPERATOR(pg_catalog.>=) s." AT " AND m.at OPERATOR(pg_catalog.<) v.%s)", to);
	}
	appendStringInfoString(&sql, " THEN 'r' WHEN ");
	put_same_given(&sql, batch, "s.", "v.", HISTORY);
	appendStringInfo(&sql, " THEN 'u' WHEN (SELECT n.%s OPERATOR(pg_catalog.=) v.%s AND ", from, to);
	put_same_given(&sql, batch, "s.", "n.", HISTORY);
	appendStringInfo(&sql, " FROM %s n WHERE ", table->name);
	ecs_scd2_put_key_match(&sql, table, "n.", "s.");
	appendStringInfo(&sql, " AND n.%s OPERATOR(pg_catalog.>) v.%s ORDER BY n.%s LIMIT 1) THEN 'r' ELSE 'c' END::pg_catalog.\"char\" AS " CLASS ", ", to, to, to);
	ecs_scd2_put_columns(&sql, table, "s.", ECS_SCD2_VALUES);
	appendStringInfo(&sql, ", s." AT ", s." DEL ", v.%s AS \"scd2 to\", v.ctid AS \"scd2 tid\" FROM %s s LEFT JOIN LATERAL (SELECT *, o.ctid FROM %s o WHERE ", to, rows, table->name);
	ecs_scd2_put_key_match(&sql, table, "o.", "s.");
	appendStringInfo(&sql, " AND o.%s OPERATOR(pg_catalog.>) s." AT " ORDER BY o.%s LIMIT 1) v ON true", to, to);
	sort_query(sorter, sql.data, table->owner);

	if (sorter->counts['c'] > 0 && ecs_scd2_update_directly(batch, sorter->desc, sorter->stores['c'], ECS_SCD2_LATE))
		batch->counts[ECS_SCD2_LATE] += sorter->counts['c'];
	else if (sorter->counts['c'] > 0)
	{
		name_class(sorter, 'c', "scd2_split");
		resetStringInfo(&sql);
		appendStringInfo(&sql, "UPDATE %s t SET %s = s." AT, table->name, from);
		put_assignments(&sql, batch, HISTORY | ECS_SCD2_MASK(ECS_SCD2_STAMP) | SEQUENCE, "true");
		appendStringInfoString(&sql, " FROM scd2_split s WHERE ");
		ecs_scd2_put_key_match(&sql, table, "t.", "s.");
		appendStringInfo(&sql, " AND t.%s OPERATOR(pg_catalog.=) s.\"scd2 to\"", to);
		batch->counts[ECS_SCD2_LATE] += write_rows(table, sql.data, ECS_SCD2_WRITING, InvalidOid);
	}
	if (sorter->counts['u'] > 0)
	{
		batch->counts[ECS_SCD2_UNCHANGED] += sorter->counts['u'];
		name_class(sorter, 'u', "scd2_inside");
		remember_rows(table, "scd2_inside");
	}
	name_class(sorter, 'r', "scd2_rest");
	return sorter->counts['r'];
}

/*
 * In a transaction with one snapshot: whether it sees the keys as they are, now
 * that nobody else can write them.
 */
static void
check_snapshot(EcsScd2Batch *batch, const char *rows)
{
	EcsScd2    *table = batch->table;
	StringInfoData sql;
	SPIPlanPtr	plan;
	char	   *seen[2];

	if (!IsolationUsesXactSnapshot())
		return;
	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT COALESCE(pg_catalog.sum(pg_catalog.hashtextextended(ROW(t.tableoid, t.ctid, t.xmin)::pg_catalog.text, 0)), 0)::pg_catalog.text "
					 "FROM %s t WHERE EXISTS (SELECT FROM %s s WHERE ", table->name, rows);
	ecs_scd2_put_key_match(&sql, table, "t.", "s.");
	appendStringInfoChar(&sql, ')');
	plan = SPI_prepare(sql.data, 0, NULL);
	for (int i = 0; i < 2; i++)
	{
		ecs_scd2_run(table, plan, NULL, NULL, ECS_SCD2_PLAIN, table->owner, i == 0 ? InvalidSnapshot : GetLatestSnapshot());
		seen[i] = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	}
	if (strcmp(seen[0], seen[1]) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent update"),
				 errdetail("Versions of table %s were written meanwhile.", table->name)));
}

/*
 * scd2_merge
 */

/* The source as a query */
static char *
source_query(text *source)
{
	static const char *const starts[] = {"select", "with", "values", "table", "("};
	char	   *sql = text_to_cstring(source);
	char	   *p = sql;

	while (isspace((unsigned char) *p))
		p++;
	for (int i = 0; i < (int) lengthof(starts); i++)
		if (pg_strncasecmp(p, starts[i], strlen(starts[i])) == 0)
			return sql;
	return psprintf("TABLE %s", ecs_scd2_qualified_name(DatumGetObjectId(DirectFunctionCall1(regclassin, CStringGetDatum(p)))));
}

/* Which of the table's columns the source has */
static bool
match_source(EcsScd2Batch *batch, const char *source, const char *delete_when)
{
	EcsScd2    *table = batch->table;
	TupleDesc	desc;
	bool		has_from = false;

	if (SPI_execute(psprintf("SELECT * FROM (%s\n) s LIMIT 0", source), true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not describe the source of a merge");
	desc = SPI_tuptable->tupdesc;
	for (int a = 0; a < desc->natts; a++)
	{
		const char *name = NameStr(TupleDescAttr(desc, a)->attname);
		int			i = ecs_scd2_column_by_name(table, name);

		if (i < 0 && delete_when == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of the source is no column of table \"%s\"", name, RelationGetRelationName(batch->rel)),
					 errhint("Name the columns in a query.")));
		if (i >= 0 && table->columns[i].role == ECS_SCD2_FROM)
			has_from = true;
		else if (i >= 0 && (ECS_SCD2_VALUES & ECS_SCD2_MASK(table->columns[i].role)))
			batch->given[i] = true;
	}
	for (int i = 0; i < table->nkeys; i++)
		if (!batch->given[table->keys[i] - 1])
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("the source has no key column \"%s\"", table->columns[table->keys[i] - 1].raw)));
	return has_from;
}

static void
stage_source(EcsScd2Batch *batch, const char *source, const char *delete_when, TimestampTz effective)
{
	EcsScd2    *table = batch->table;
	bool		has_from = match_source(batch, source, delete_when);
	bool		has_stamp = table->stamp && batch->given[table->stamp - 1];
	Sorter	   *sorter = make_sorter(batch);
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT NULL::pg_catalog.\"char\" AS " CLASS);
	for (int i = 0; i < table->natts; i++)
		if (ECS_SCD2_VALUES & ECS_SCD2_MASK(table->columns[i].role))
		{
			if (batch->given[i])
				appendStringInfo(&sql, ", CAST(s.%s AS %s) AS %s", table->columns[i].name,
								 type_name(&table->columns[i], false), table->columns[i].name);
			else
				appendStringInfo(&sql, ", NULL::%s AS %s", type_name(&table->columns[i], true), table->columns[i].name);
		}
	batch->timed = table->remembered || effective != DT_NOEND || has_from || has_stamp;
	appendStringInfoString(&sql, ", COALESCE(");
	if (effective != DT_NOEND)
		appendStringInfo(&sql, "%s::pg_catalog.timestamptz, ", quote_literal_cstr(timestamptz_to_str(effective)));
	if (has_from)
		appendStringInfo(&sql, "s.%s, ", column_name(table, table->from));
	if (has_stamp)
		appendStringInfo(&sql, "s.%s, ", column_name(table, table->stamp));
	appendStringInfo(&sql, "pg_catalog.now()) AS " AT ", COALESCE((%s)::pg_catalog.bool, false) AS " DEL " FROM (%s\n) s",
					 delete_when ? delete_when : "false", source);
	sorter->check = batch;
	sort_query(sorter, sql.data, InvalidOid);
	name_class(sorter, 0, "scd2_source");
}

/* Keys of which the source has several rows; returns how many */
static uint64
find_duplicates(EcsScd2Batch *batch)
{
	EcsScd2    *table = batch->table;
	StringInfoData sql;
	uint64		count;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	ecs_scd2_put_keys(&sql, table, "s.");
	appendStringInfoString(&sql, " FROM scd2_source s GROUP BY ");
	ecs_scd2_put_keys(&sql, table, "s.");
	appendStringInfoString(&sql, " HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 1");
	count = name_query(batch, "scd2_several", sql.data, InvalidOid);
	if (count > 0 && !batch->timed)
	{
		SPI_execute("SELECT * FROM scd2_several", true, 1);
		ereport(ERROR,
				(errcode(ERRCODE_CARDINALITY_VIOLATION),
				 errmsg("the source has several rows of one key for table \"%s\", and no time", RelationGetRelationName(batch->rel)),
				 errdetail("Key %s.", ecs_scd2_describe_tuple(table, SPI_tuptable->vals[0], SPI_tuptable->tupdesc)),
				 errhint("Bring the column \"%s\"%s with the time of each row, or remove the duplicates.",
						 table->columns[table->from - 1].raw,
						 table->stamp ? psprintf(" or \"%s\"", table->columns[table->stamp - 1].raw) : "")));
	}
	return count;
}

/* Sort the events by what is to be done: see the cases */
static Sorter *
classify(EcsScd2Batch *batch, bool duplicates)
{
	EcsScd2    *table = batch->table;
	const char *from = column_name(table, table->from);
	const char *to = column_name(table, table->to);
	const char *key = column_name(table, table->keys[0]);
	Sorter	   *sorter = make_sorter(batch);
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT CASE");
	if (duplicates)
		appendStringInfo(&sql, " WHEN d.%s IS NOT NULL THEN 'r'", key);
	if (batch->timed)
	{
		/*
		 * late or not simple, new, the same event again, inside an older
		 * version
		 */
		appendStringInfo(&sql, " WHEN s." DEL " THEN 'r' WHEN v.%s IS NULL THEN 'n' WHEN s." AT " OPERATOR(pg_catalog.=) v.%s AND ", to, from);
		put_same_given(&sql, batch, "s.", "v.", HISTORY | OVERWRITE | SEQUENCE);
		appendStringInfo(&sql, " THEN 'e' WHEN s." AT " OPERATOR(pg_catalog.<) v.%s THEN 'l' WHEN s." AT " OPERATOR(pg_catalog.=) v.%s", from, from);
		if (table->remembered)
		{
			appendStringInfo(&sql, " OR EXISTS (SELECT FROM %s m WHERE ", table->remembered_name);
			ecs_scd2_put_key_match(&sql, table, "m.", "s.");
			appendStringInfoString(&sql, " AND m.at OPERATOR(pg_catalog.>=) s." AT ")");
		}
		appendStringInfoString(&sql, " THEN 'r'");
	}
	else
		appendStringInfo(&sql, " WHEN v.%s IS NULL THEN CASE WHEN s." DEL " THEN 'i' ELSE 'n' END WHEN s." DEL " THEN 'd'", to);
	appendStringInfoString(&sql, " WHEN NOT ");
	put_same_given(&sql, batch, "s.", "v.", HISTORY);
	appendStringInfoString(&sql, " THEN 'c' WHEN NOT ");
	put_same_given(&sql, batch, "s.", "v.", OVERWRITE);
	appendStringInfoString(&sql, " THEN 'o' ELSE 'u' END");
	{
		char	   *class = psprintf("(%s)::pg_catalog.\"char\"", sql.data + strlen("SELECT "));

		resetStringInfo(&sql);
		appendStringInfoString(&sql, "SELECT ");
		put_row(&sql, table, class, "s.");
	}
	appendStringInfo(&sql, ", v.ctid AS \"scd2 tid\" FROM scd2_source s LEFT JOIN %s v ON ", table->name);
	ecs_scd2_put_key_match(&sql, table, "v.", "s.");
	appendStringInfo(&sql, " AND v.%s OPERATOR(pg_catalog.=) 'infinity'", to);
	if (duplicates)
	{
		appendStringInfoString(&sql, " LEFT JOIN scd2_several d ON ");
		ecs_scd2_put_key_match(&sql, table, "d.", "s.");
	}
	sort_query(sorter, sql.data, table->owner);
	return sorter;
}

/* Update current versions: changed and overwritten ones */
static void
update_current(EcsScd2Batch *batch, Sorter *sorter)
{
	EcsScd2    *table = batch->table;
	const char *from = column_name(table, table->from);
	StringInfoData sql;

	for (int i = 0; i < 2; i++)
	{
		int			class = "co"[i];
		const char *name = i == 0 ? "scd2_changed" : "scd2_overwritten";

		if (sorter->counts[class] == 0)
			continue;
		name_class(sorter, class, name);
		if (ecs_scd2_update_directly(batch, sorter->desc, sorter->stores[class], class == 'c' ? ECS_SCD2_CHANGED : ECS_SCD2_OVERWRITTEN))
		{
			batch->counts[i == 0 ? ECS_SCD2_CHANGED : ECS_SCD2_OVERWRITTEN] += sorter->counts[class];
			if (class == 'o')
				remember_rows(table, name);
			continue;
		}
		initStringInfo(&sql);
		appendStringInfo(&sql, "UPDATE %s t SET %s = %s", table->name, from,
						 batch->timed && class == 'c' ? "s." AT : psprintf("t.%s", from));
		put_assignments(&sql, batch, HISTORY | OVERWRITE | ECS_SCD2_MASK(ECS_SCD2_STAMP) | SEQUENCE, class == 'c' ? "true" : "false");
		appendStringInfo(&sql, " FROM %s s WHERE ", name);
		ecs_scd2_put_key_match(&sql, table, "t.", "s.");
		appendStringInfo(&sql, " AND t.%s OPERATOR(pg_catalog.=) 'infinity'", column_name(table, table->to));
		batch->counts[i == 0 ? ECS_SCD2_CHANGED : ECS_SCD2_OVERWRITTEN] +=
			write_rows(table, sql.data, batch->timed ? ECS_SCD2_WRITING : ECS_SCD2_PLAIN, InvalidOid);
		if (class == 'o')
			remember_rows(table, name);
	}
}

/* Insert keys without a current version, but leave those with a past to the fold */
static void
insert_new(EcsScd2Batch *batch, Sorter *candidates, Sorter *rest)
{
	EcsScd2    *table = batch->table;
	Sorter	   *sorter = make_sorter(batch);
	StringInfoData sql;
	StringInfoData columns;
	StringInfoData values;
	const char *start = "s." AT;

	if (candidates->counts['n'] == 0)
		return;
	name_class(candidates, 'n', "scd2_unknown");
	initStringInfo(&sql);
	appendStringInfo(&sql, "(CASE WHEN %s EXISTS (SELECT FROM %s h WHERE ", batch->unknown ? "false AND" : "", table->hub_name);
	ecs_scd2_put_key_match(&sql, table, "h.", "s.");
	appendStringInfoChar(&sql, ')');
	if (table->remembered)
	{
		appendStringInfo(&sql, " OR EXISTS (SELECT FROM %s m WHERE ", table->remembered_name);
		ecs_scd2_put_key_match(&sql, table, "m.", "s.");
		appendStringInfoChar(&sql, ')');
	}
	appendStringInfoString(&sql, " THEN 'r' ELSE 'n' END)::pg_catalog.\"char\"");
	{
		char	   *class = pstrdup(sql.data);

		resetStringInfo(&sql);
		appendStringInfoString(&sql, "SELECT ");
		put_row(&sql, table, class, "s.");
		appendStringInfoString(&sql, " FROM scd2_unknown s");
	}
	sort_query(sorter, sql.data, table->owner);
	*rest = *sorter;

	if (table->created && batch->given[table->created - 1])
		start = psprintf("LEAST(s.%s, s." AT ")", column_name(table, table->created));
	else if (table->open_start)
		start = "'-infinity'::pg_catalog.timestamptz";
	for (int i = 0; i < 2; i++)
	{
		int			class = "nr"[i];
		const char *name = i == 0 ? "scd2_fresh" : "scd2_back";
		uint64		count;

		/* with a time of their own, keys that come back need their history */
		if (sorter->counts[class] == 0 || (class == 'r' && batch->timed))
			continue;
		name_class(sorter, class, name);
		initStringInfo(&columns);
		initStringInfo(&values);
		for (int c = 0; c < table->natts; c++)
		{
			const EcsScd2Column *column = &table->columns[c];

			if (!(ECS_SCD2_VALUES & ECS_SCD2_MASK(column->role)) || (!batch->given[c] && c != table->stamp - 1 && (class == 'n' || column->always)))
				continue;
			appendStringInfo(&columns, ", %s", column->name);
			if (batch->given[c])
				appendStringInfo(&values, ", s.%s", column->name);
			else if (c == table->stamp - 1)
				appendStringInfoString(&values, ", s." AT);
			else
				appendStringInfo(&values, ", CASE WHEN f.%s IS NULL THEN %s ELSE f.%s END",
								 column_name(table, table->from), column_default(batch->rel, c), column->name);
		}
		resetStringInfo(&sql);
		appendStringInfo(&sql, "INSERT INTO %s (%s%s) OVERRIDING SYSTEM VALUE SELECT %s%s FROM %s s", table->name,
						 column_name(table, table->from), columns.data, batch->timed ? start : "NULL", values.data, name);
		if (class == 'r')
		{
			appendStringInfo(&sql, " LEFT JOIN LATERAL (SELECT * FROM %s o WHERE ", table->name);
			ecs_scd2_put_key_match(&sql, table, "o.", "s.");
			appendStringInfo(&sql, " ORDER BY o.%s DESC LIMIT 1) f ON true", column_name(table, table->to));
		}
		count = write_rows(table, sql.data, batch->timed ? ECS_SCD2_WRITING : ECS_SCD2_PLAIN, InvalidOid);
		batch->counts[class == 'n' ? ECS_SCD2_INSERTED : ECS_SCD2_REOPENED] += count;
		if (class == 'n' && table->remembered && strcmp(start, "s." AT) != 0)
		{
			resetStringInfo(&sql);
			appendStringInfo(&sql, "INSERT INTO %s (", table->remembered_name);
			ecs_scd2_put_keys(&sql, table, "");
			appendStringInfoString(&sql, ", at, kind, sequence) SELECT ");
			ecs_scd2_put_keys(&sql, table, "s.");
			appendStringInfo(&sql, ", s." AT ", 'first', %s%s FROM %s s WHERE %s OPERATOR(pg_catalog.<) s." AT,
							 table->sequence ? "s." : "", table->sequence ? column_name(table, table->sequence) : "NULL", name, start);
			write_rows(table, sql.data, ECS_SCD2_PLAIN, table->owner);
		}
	}
	if (!batch->timed)
		rest->counts['r'] = 0;
}

/* Snapshot mode: current keys that the source lacks are deleted */
static void
close_missing(EcsScd2Batch *batch, TimestampTz effective)
{
	EcsScd2    *table = batch->table;
	const char *from = column_name(table, table->from);
	const char *to = column_name(table, table->to);
	const char *at = effective == DT_NOEND ? "pg_catalog.now()" :
		psprintf("%s::pg_catalog.timestamptz", quote_literal_cstr(timestamptz_to_str(effective)));
	StringInfoData sql;
	StringInfoData missing;

	initStringInfo(&missing);
	appendStringInfo(&missing, "v.%s OPERATOR(pg_catalog.=) 'infinity' AND NOT EXISTS (SELECT FROM scd2_source s WHERE ", to);
	ecs_scd2_put_key_match(&missing, table, "s.", "v.");
	appendStringInfoChar(&missing, ')');
	initStringInfo(&sql);
	if (!batch->timed)
	{
		appendStringInfo(&sql, "DELETE FROM %s v WHERE %s", table->name, missing.data);
		batch->counts[ECS_SCD2_CLOSED] += write_rows(table, sql.data, ECS_SCD2_PLAIN, InvalidOid);
		return;
	}
	appendStringInfoString(&sql, "SELECT NULL::pg_catalog.\"char\" AS " CLASS ", ");
	for (int i = 0; i < table->natts; i++)
		if (table->columns[i].role == ECS_SCD2_KEY)
			appendStringInfo(&sql, "v.%s, ", table->columns[i].name);
		else if (ECS_SCD2_VALUES & ECS_SCD2_MASK(table->columns[i].role))
			appendStringInfo(&sql, "NULL::%s AS %s, ", type_name(&table->columns[i], true), table->columns[i].name);
	appendStringInfo(&sql, "%s AS " AT ", true AS " DEL " FROM %s v WHERE %s AND v.%s OPERATOR(pg_catalog.<) %s", at, table->name, missing.data, from, at);
	if (name_query(batch, "scd2_missing", sql.data, table->owner) > 0)
		apply_late(batch, "scd2_missing");
}

/* All rows that need their history, as one store */
static void
apply_rest(EcsScd2Batch *batch, Sorter *a, Sorter *b)
{
	EcsScd2    *table = batch->table;
	uint64		inside = 0;
	StringInfoData sql;

	if (a->counts['l'] > 0)
	{
		name_class(a, 'l', "scd2_inner");
		inside = split_versions(batch, "scd2_inner");
	}
	if (a->counts['r'] + b->counts['r'] + inside == 0)
		return;
	initStringInfo(&sql);
	if (a->counts['r'] > 0)
	{
		name_class(a, 'r', "scd2_rest_a");
		appendStringInfoString(&sql, " UNION ALL SELECT ");
		put_row(&sql, table, "NULL::pg_catalog.\"char\"", "s.");
		appendStringInfoString(&sql, " FROM scd2_rest_a s");
	}
	if (b->counts['r'] > 0)
	{
		name_class(b, 'r', "scd2_rest_b");
		appendStringInfoString(&sql, " UNION ALL SELECT ");
		put_row(&sql, table, "NULL::pg_catalog.\"char\"", "s.");
		appendStringInfoString(&sql, " FROM scd2_rest_b s");
	}
	if (inside > 0)
	{
		appendStringInfoString(&sql, " UNION ALL SELECT ");
		put_row(&sql, table, "NULL::pg_catalog.\"char\"", "s.");
		appendStringInfoString(&sql, " FROM scd2_rest s");
	}
	name_query(batch, "scd2_late", sql.data + strlen(" UNION ALL "), InvalidOid);
	apply_late(batch, "scd2_late");
}

static Datum
counts_datum(FunctionCallInfo fcinfo, const EcsScd2Batch *batch)
{
	TupleDesc	desc;
	Datum		values[ECS_SCD2_ACTIONS];
	bool		nulls[ECS_SCD2_ACTIONS] = {0};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	for (int i = 0; i < ECS_SCD2_ACTIONS; i++)
		values[i] = Int64GetDatum((int64) batch->counts[i]);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/* Apply the events named "scd2_source", whose keys nobody else can write */
void
ecs_scd2_apply(EcsScd2Batch *batch, bool whole, TimestampTz effective)
{
	EcsScd2    *table = batch->table;
	Sorter	   *sorter;
	Sorter		known = {0};

	check_snapshot(batch, "scd2_source");
	sorter = classify(batch, find_duplicates(batch) > 0);

	batch->counts[ECS_SCD2_UNCHANGED] = sorter->counts['u'] + sorter->counts['e'];
	batch->counts[ECS_SCD2_IGNORED] = sorter->counts['i'];
	if (sorter->counts['u'] > 0 && table->remembered)
	{
		name_class(sorter, 'u', "scd2_same");
		remember_rows(table, "scd2_same");
	}
	update_current(batch, sorter);
	if (sorter->counts['d'] > 0)
	{
		StringInfoData sql;

		name_class(sorter, 'd', "scd2_ended");
		initStringInfo(&sql);
		appendStringInfo(&sql, "DELETE FROM %s t USING scd2_ended s WHERE t.%s OPERATOR(pg_catalog.=) 'infinity' AND ",
						 table->name, column_name(table, table->to));
		ecs_scd2_put_key_match(&sql, table, "t.", "s.");
		batch->counts[ECS_SCD2_CLOSED] += write_rows(table, sql.data, ECS_SCD2_PLAIN, InvalidOid);
	}
	if (whole)
		close_missing(batch, effective);
	insert_new(batch, sorter, &known);
	apply_rest(batch, sorter, &known);
}

static Datum
merge_call(FunctionCallInfo fcinfo, const char *source)
{
	EcsScd2Batch batch;
	bool		whole = strcmp(DatumGetCString(DirectFunctionCall1(enum_out, PG_GETARG_DATUM(2))), "snapshot") == 0;
	char	   *delete_when = PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3));
	TimestampTz effective = PG_ARGISNULL(4) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(4);

	ecs_scd2_begin(&batch, PG_GETARG_OID(0), ShareRowExclusiveLock,
				   ACL_SELECT | ACL_INSERT | ACL_UPDATE | (whole || delete_when ? ACL_DELETE : 0));
	if (!PG_ARGISNULL(4))
		ecs_scd2_check_time(batch.rel, effective);
	SPI_connect();
	stage_source(&batch, source, delete_when, effective);
	ecs_scd2_apply(&batch, whole, effective);
	ecs_scd2_end(&batch);
	SPI_finish();
	return counts_datum(fcinfo, &batch);
}

static void
require_arguments(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("table, source and mode must not be null")));
}

Datum
ecs_scd2_merge(PG_FUNCTION_ARGS)
{
	require_arguments(fcinfo);
	return merge_call(fcinfo, source_query(PG_GETARG_TEXT_PP(1)));
}

Datum
ecs_scd2_merge_table(PG_FUNCTION_ARGS)
{
	require_arguments(fcinfo);
	return merge_call(fcinfo, psprintf("TABLE %s", ecs_scd2_qualified_name(PG_GETARG_OID(1))));
}
