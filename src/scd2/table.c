/*
 * table.c
 *		What is known of a versioned table, from its row in the registry.
 *
 * Anybody may enter a row for a table of his own, or change the table after
 * that, so nothing in the row is trusted: types are checked here, each time.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "lib/stringinfo.h"
#include "parser/parse_coerce.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "base/relation.h"
#include "scd2/scd2.h"

/* The name of a relation that a versioned table needs */
static char *
needed_name(Oid relid)
{
	if (get_rel_name(relid) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid),
				 errdetail("It belonged to a versioned table, and was dropped."),
				 errhint("Call ecomsocial.scd2_refresh, which makes it anew.")));
	return ecs_relation_name(relid);
}


/* The attribute of a column that the registry names; type: which it must have, InvalidOid: any that can be written */
static AttrNumber
registered_column(const EcsScd2 *table, Relation rel, Datum name, Oid type)
{
	const char *raw = NameStr(*DatumGetName(name));
	int			i = ecs_scd2_column_by_name(table, raw);

	if (i < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("versioned table \"%s\" has no column \"%s\"", RelationGetRelationName(rel), raw),
				 errdetail("The column has a role in the table's history, and was renamed or dropped."),
				 errhint("Call ecomsocial.scd2_disable and then ecomsocial.scd2_enable with the columns of today.")));
	if (!OidIsValid(table->columns[i].type) || (OidIsValid(type) && table->columns[i].type != type))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of versioned table \"%s\" cannot have its role in the table's history", raw, RelationGetRelationName(rel)),
				 OidIsValid(table->columns[i].type)
				 ? errdetail("It has type %s, not %s.", format_type_be(table->columns[i].type), format_type_be(type))
				 : errdetail("It is generated."),
				 errhint("Mend the column, or call ecomsocial.scd2_disable and then ecomsocial.scd2_enable with other columns.")));
	return i + 1;
}

/* Columns that there need not be: 0 */
static AttrNumber
assign_role(EcsScd2 *table, Relation rel, Datum name, bool isnull, EcsScd2Role role, Oid type)
{
	AttrNumber	attnum;

	if (isnull)
		return 0;
	attnum = registered_column(table, rel, name, type);
	table->columns[attnum - 1].role = role;
	return attnum;
}

/* The attributes are told where "attnums" is not NULL; returns how many */
static int
assign_roles(EcsScd2 *table, Relation rel, Datum names, EcsScd2Role role, AttrNumber **attnums)
{
	Datum	   *elems;
	int			count;

	deconstruct_array(DatumGetArrayTypeP(names), NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR,
					  &elems, NULL, &count);
	if (attnums)
		*attnums = palloc(count * sizeof(AttrNumber));
	for (int i = 0; i < count; i++)
	{
		AttrNumber	attnum = assign_role(table, rel, elems[i], false, role, InvalidOid);

		if (attnums)
			(*attnums)[i] = attnum;
	}
	return count;
}

/* That all are there, and fire in an ordinary session */
static bool
has_statement_triggers(Relation rel)
{
	static const char *const names[] = {"zz_scd2_insert", "zz_scd2_update", "zz_scd2_delete"};

	for (int i = 0; i < (int) lengthof(names); i++)
	{
		bool		found = false;

		for (int j = 0; rel->trigdesc && j < rel->trigdesc->numtriggers; j++)
		{
			const Trigger *trigger = &rel->trigdesc->triggers[j];

			found |= strcmp(trigger->tgname, names[i]) == 0 &&
				(trigger->tgenabled == TRIGGER_FIRES_ON_ORIGIN || trigger->tgenabled == TRIGGER_FIRES_ALWAYS);
		}
		if (!found)
			return false;
	}
	return true;
}

void
ecs_scd2_require_guard(const EcsScd2 *table, Relation rel)
{
	if (!table->guarded)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" lacks triggers of versioned table %s", RelationGetRelationName(rel), table->name),
				 errhint("Call ecomsocial.scd2_refresh for the table after a partition was added; enable triggers that were disabled.")));
}

/* Whether values of a type are rows, or arrays of them */
static bool
is_nested(Oid type)
{
	Oid			element = get_base_element_type(type);

	return type_is_rowtype(OidIsValid(element) ? element : type);
}

bool
ecs_scd2_find_length(const EcsScd2Column *column, EcsScd2Length *length)
{
	length->typmod = column->typmod;
	length->type = getBaseTypeAndTypmod(column->type, &length->typmod);
	length->function = InvalidOid;
	if (length->typmod < 0)
		return false;
	switch (find_typmod_coercion_function(length->type, &length->function))
	{
		case COERCION_PATH_ARRAYCOERCE:
			if (get_func_nargs(length->function) < 3)
				return false;
			length->function = InvalidOid;
			return true;
		case COERCION_PATH_FUNC:
			return get_func_nargs(length->function) == 3;
		default:
			return false;
	}
}

/* The types of the columns, all of role HISTORY but those that cannot be written */
static void
describe_columns(EcsScd2 *table, Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);

	table->natts = desc->natts;
	table->columns = palloc0(desc->natts * sizeof(EcsScd2Column));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		EcsScd2Column *column = &table->columns[i];
		EcsScd2Length length;
		TypeCacheEntry *type;

		if (att->attisdropped)
			continue;
		column->raw = pstrdup(NameStr(att->attname));
		column->name = pstrdup(quote_identifier(column->raw));
		if (att->attgenerated)
			continue;
		column->role = ECS_SCD2_HISTORY;
		column->type = att->atttypid;
		column->typmod = att->atttypmod;
		column->collation = att->attcollation;
		column->len = att->attlen;
		column->byval = att->attbyval;
		column->always = att->attidentity == ATTRIBUTE_IDENTITY_ALWAYS;
		table->nested |= is_nested(att->atttypid);
		table->statements |= ecs_scd2_find_length(column, &length) && !OidIsValid(length.function);
		type = lookup_type_cache(att->atttypid, TYPECACHE_EQ_OPR | TYPECACHE_HASH_EXTENDED_PROC);
		if (OidIsValid(type->eq_opr))
		{
			column->equal = psprintf("OPERATOR(%s.%s)",
									 quote_identifier(get_namespace_name(get_func_namespace(get_opcode(type->eq_opr)))),
									 get_opname(type->eq_opr));
			fmgr_info_cxt(get_opcode(type->eq_opr), &column->equal_fn, table->context);
		}
		if (!column->byval && OidIsValid(type->hash_extended_proc))
			fmgr_info_cxt(type->hash_extended_proc, &column->hash_fn, table->context);
	}
}

/* The relations that belong to it */
static void
name_relations(EcsScd2 *table, Relation rel, Oid root, Oid hub, Oid remembered)
{
	table->relid = RelationGetRelid(rel);
	table->root = root;
	table->owner = ecs_relation_owner(root);
	table->name = needed_name(root);
	table->hub = hub;
	table->hub_name = needed_name(hub);
	table->hub_owner = ecs_relation_owner(hub);
	table->remembered = remembered;
	if (OidIsValid(remembered))
		table->remembered_name = needed_name(remembered);
}

#define REG(column)			(values[ECS_SCD2_REG_##column - 1])
#define REG_NULL(column)	(nulls[ECS_SCD2_REG_##column - 1])

/* What the columns are for */
static void
assign_columns(EcsScd2 *table, Relation rel, const Datum *values, const bool *nulls)
{
	describe_columns(table, rel);
	if (!REG_NULL(HISTORY))
	{
		/* then a column without a role is one that is overwritten */
		for (int i = 0; i < table->natts; i++)
			if (table->columns[i].role == ECS_SCD2_HISTORY)
				table->columns[i].role = ECS_SCD2_OVERWRITE;
		assign_roles(table, rel, REG(HISTORY), ECS_SCD2_HISTORY, NULL);
	}
	assign_roles(table, rel, REG(OVERWRITE), ECS_SCD2_OVERWRITE, NULL);
	assign_roles(table, rel, REG(FIXED), ECS_SCD2_FIXED, NULL);
	table->nkeys = assign_roles(table, rel, REG(KEYS), ECS_SCD2_KEY, &table->keys);
	table->from = assign_role(table, rel, REG(FROM), false, ECS_SCD2_FROM, TIMESTAMPTZOID);
	table->to = assign_role(table, rel, REG(TO), false, ECS_SCD2_TO, TIMESTAMPTZOID);
	table->current = assign_role(table, rel, REG(CURRENT), false, ECS_SCD2_CURRENT, BOOLOID);
	table->stamp = assign_role(table, rel, REG(STAMP), REG_NULL(STAMP), ECS_SCD2_STAMP, TIMESTAMPTZOID);
	table->sequence = assign_role(table, rel, REG(SEQUENCE), REG_NULL(SEQUENCE), ECS_SCD2_SEQUENCE, InvalidOid);
	if (!REG_NULL(CREATED))
		table->created = registered_column(table, rel, REG(CREATED), TIMESTAMPTZOID);
}

static void
check_keys(const EcsScd2 *table, Relation rel)
{
	bool		whole = table->nkeys > 0 && table->nkeys < INDEX_MAX_KEYS;

	for (int i = 0; i < table->nkeys; i++)
	{
		const EcsScd2Column *column = &table->columns[table->keys[i] - 1];

		whole &= column->role == ECS_SCD2_KEY;
		if (column->equal == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_FUNCTION),
					 errmsg("type %s of key column \"%s\" has no equality operator",
							format_type_be(column->type), column->raw)));
	}
	if (!whole)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("registration of versioned table \"%s\" is broken", RelationGetRelationName(rel)),
				 errhint("Call ecomsocial.scd2_disable and then ecomsocial.scd2_enable.")));
}

EcsScd2 *
ecs_scd2_build(Relation rel, Oid root, HeapTuple tuple, TupleDesc regdesc)
{
	MemoryContext context = AllocSetContextCreate(CacheMemoryContext, "versioned table", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	EcsScd2    *table = palloc0(sizeof(EcsScd2));
	Datum		values[ECS_SCD2_REG_COLUMNS];
	bool		nulls[ECS_SCD2_REG_COLUMNS];

	/* until it is whole, an error releases it */
	MemoryContextSetParent(context, caller);
	heap_deform_tuple(tuple, regdesc, values, nulls);
	table->context = context;
	name_relations(table, rel, root, DatumGetObjectId(REG(HUB)), REG_NULL(REMEMBERED) ? InvalidOid : DatumGetObjectId(REG(REMEMBERED)));
	table->open_start = DatumGetBool(REG(OPEN_START));
	table->guarded = has_statement_triggers(rel);
	assign_columns(table, rel, values, nulls);
	check_keys(table, rel);

	MemoryContextSetParent(context, CacheMemoryContext);
	MemoryContextSwitchTo(caller);
	return table;
}

bool
ecs_scd2_same(const EcsScd2Column *column, Datum a, bool a_null, Datum b, bool b_null)
{
	if (a_null || b_null)
		return a_null && b_null;
	if (datum_image_eq(a, b, column->byval, column->len))
		return true;
	return column->equal != NULL &&
		DatumGetBool(FunctionCall2Coll(unconstify(FmgrInfo *, &column->equal_fn), column->collation, a, b));
}

/* The column's attribute number - 1, or -1 */
int
ecs_scd2_column_by_name(const EcsScd2 *table, const char *name)
{
	for (int i = 0; i < table->natts; i++)
		if (table->columns[i].raw && strcmp(table->columns[i].raw, name) == 0)
			return i;
	return -1;
}

/* The key with its values as text */
static char *
describe_values(const EcsScd2 *table, char **values)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "(%s)=(", ecs_scd2_sql(table, "{keys}"));
	for (int i = 0; i < table->nkeys; i++)
		appendStringInfo(&text, "%s%s", i ? ", " : "", values[i]);
	appendStringInfoChar(&text, ')');
	return text.data;
}

char *
ecs_scd2_describe_key(const EcsScd2 *table, const Datum *values)
{
	char	   *texts[INDEX_MAX_KEYS];

	for (int i = 0; i < table->nkeys; i++)
	{
		Oid			output;
		bool		varlena;

		getTypeOutputInfo(table->columns[table->keys[i] - 1].type, &output, &varlena);
		texts[i] = OidOutputFunctionCall(output, values[table->keys[i] - 1]);
	}
	return describe_values(table, texts);
}

char *
ecs_scd2_describe_tuple(const EcsScd2 *table, HeapTuple tuple, TupleDesc desc)
{
	char	   *texts[INDEX_MAX_KEYS];

	for (int i = 0; i < table->nkeys; i++)
		texts[i] = SPI_getvalue(tuple, desc, i + 1);
	return describe_values(table, texts);
}
