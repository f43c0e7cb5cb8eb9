/*
 * table.c
 *		Versioned tables: the registry, what is kept of it, and pieces of SQL.
 *
 * The registry is read by a direct scan with a catalog snapshot, so that no
 * role needs rights on it, no search_path matters, and a registration is seen
 * by transactions with an older snapshot too.  What was read is kept for each
 * table and each partition that a trigger fired for, until an invalidation of
 * the table, its root or its hub comes; registering a table sends one.
 *
 * An entry that an invalidation made useless may be in use further up the
 * stack, so it is released at the end of the transaction.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "base/registry.h"
#include "scd2/scd2.h"

PG_FUNCTION_INFO_V1(ecs_scd2_register);
PG_FUNCTION_INFO_V1(ecs_scd2_unregister);
PG_FUNCTION_INFO_V1(ecs_scd2_as_of);

/* Columns of the registry */
enum
{
	REG_REL = 1, REG_HUB, REG_REMEMBERED, REG_KEYS, REG_HISTORY, REG_OVERWRITE, REG_FIXED,
	REG_FROM, REG_TO, REG_CURRENT, REG_STAMP, REG_SEQUENCE, REG_CREATED, REG_OPEN_START
};

typedef struct CacheEntry
{
	Oid			relid;			/* hash key */
	EcsScd2    *table;
} CacheEntry;

static HTAB *cache = NULL;
static List *released = NIL;	/* of EcsScd2, in TopMemoryContext */

static bool versioning = true;
static char *as_of_text = NULL;
static TimestampTz as_of_moment = DT_NOEND; /* infinity: not set */


static Oid
registry_oid(void)
{
	Oid			oid = get_relname_relid("scd2_table", get_namespace_oid("ecomsocial", false));

	if (!OidIsValid(oid))
		elog(ERROR, "table ecomsocial.scd2_table does not exist");
	return oid;
}

char *
ecs_scd2_qualified_name(Oid relid)
{
	char	   *name = get_rel_name(relid);

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid),
				 errdetail("It belongs to a versioned table, and was dropped."),
				 errhint("Call ecomsocial.scd2_disable and then ecomsocial.scd2_enable.")));
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), name);
}

/* The attribute of a column that the registry names */
static AttrNumber
registered_column(const EcsScd2 *table, Relation rel, const char *name)
{
	int			i = ecs_scd2_column_by_name(table, name);

	if (i >= 0)
		return i + 1;
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("versioned table \"%s\" has no column \"%s\"", RelationGetRelationName(rel), name),
			 errdetail("The column has a role in the table's history, and was renamed or dropped."),
			 errhint("Call ecomsocial.scd2_disable and then ecomsocial.scd2_enable with the columns of today.")));
}

static AttrNumber
assign_role(EcsScd2 *table, Relation rel, Datum name, EcsScd2Role role)
{
	AttrNumber	attnum = registered_column(table, rel, NameStr(*DatumGetName(name)));

	table->columns[attnum - 1].role = role;
	return attnum;
}

static int
assign_roles(EcsScd2 *table, Relation rel, Datum names, EcsScd2Role role, AttrNumber *attnums)
{
	Datum	   *elems;
	int			count;

	deconstruct_array(DatumGetArrayTypeP(names), NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR,
					  &elems, NULL, &count);
	for (int i = 0; i < count; i++)
	{
		AttrNumber	attnum = assign_role(table, rel, elems[i], role);

		if (attnums)
			attnums[i] = attnum;
	}
	return count;
}

static bool
has_statement_triggers(Relation rel)
{
	static const char *const names[] = {"zz_scd2_insert", "zz_scd2_update", "zz_scd2_delete"};

	for (int i = 0; i < (int) lengthof(names); i++)
	{
		int			found = 0;

		for (int j = 0; rel->trigdesc && j < rel->trigdesc->numtriggers; j++)
			found += strcmp(rel->trigdesc->triggers[j].tgname, names[i]) == 0;
		if (!found)
			return false;
	}
	return true;
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
		type = lookup_type_cache(att->atttypid, TYPECACHE_EQ_OPR);
		if (OidIsValid(type->eq_opr))
		{
			column->equal = psprintf("OPERATOR(%s.%s)",
									 quote_identifier(get_namespace_name(get_func_namespace(get_opcode(type->eq_opr)))),
									 get_opname(type->eq_opr));
			fmgr_info_cxt(get_opcode(type->eq_opr), &column->equal_fn, table->context);
		}
	}
}

static EcsScd2 *
build_table(Relation rel, Oid root, HeapTuple tuple, TupleDesc regdesc)
{
	MemoryContext context = AllocSetContextCreate(CacheMemoryContext, "versioned table", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	EcsScd2    *table = palloc0(sizeof(EcsScd2));
	Datum		values[REG_OPEN_START];
	bool		nulls[REG_OPEN_START];

	/* until it is whole, an error releases it */
	MemoryContextSetParent(context, caller);
	heap_deform_tuple(tuple, regdesc, values, nulls);
	table->context = context;
	table->relid = RelationGetRelid(rel);
	table->root = root;
	table->owner = ecs_relation_owner(root);
	table->hub = DatumGetObjectId(values[REG_HUB - 1]);
	table->name = ecs_scd2_qualified_name(root);
	table->hub_name = ecs_scd2_qualified_name(table->hub);
	table->hub_owner = ecs_relation_owner(table->hub);
	if (!nulls[REG_REMEMBERED - 1])
	{
		table->remembered = DatumGetObjectId(values[REG_REMEMBERED - 1]);
		table->remembered_name = ecs_scd2_qualified_name(table->remembered);
	}
	table->open_start = DatumGetBool(values[REG_OPEN_START - 1]);
	table->guarded = has_statement_triggers(rel);

	describe_columns(table, rel);
	if (!nulls[REG_HISTORY - 1])
	{
		/* then a column without a role is one that is overwritten */
		for (int i = 0; i < table->natts; i++)
			if (table->columns[i].role == ECS_SCD2_HISTORY)
				table->columns[i].role = ECS_SCD2_OVERWRITE;
		assign_roles(table, rel, values[REG_HISTORY - 1], ECS_SCD2_HISTORY, NULL);
	}
	assign_roles(table, rel, values[REG_OVERWRITE - 1], ECS_SCD2_OVERWRITE, NULL);
	assign_roles(table, rel, values[REG_FIXED - 1], ECS_SCD2_FIXED, NULL);
	table->keys = palloc(table->natts * sizeof(AttrNumber));
	table->nkeys = assign_roles(table, rel, values[REG_KEYS - 1], ECS_SCD2_KEY, table->keys);
	table->from = assign_role(table, rel, values[REG_FROM - 1], ECS_SCD2_FROM);
	table->to = assign_role(table, rel, values[REG_TO - 1], ECS_SCD2_TO);
	table->current = assign_role(table, rel, values[REG_CURRENT - 1], ECS_SCD2_CURRENT);
	if (!nulls[REG_STAMP - 1])
		table->stamp = assign_role(table, rel, values[REG_STAMP - 1], ECS_SCD2_STAMP);
	if (!nulls[REG_SEQUENCE - 1])
		table->sequence = assign_role(table, rel, values[REG_SEQUENCE - 1], ECS_SCD2_SEQUENCE);
	if (!nulls[REG_CREATED - 1])
		table->created = registered_column(table, rel, NameStr(*DatumGetName(values[REG_CREATED - 1])));
	for (int i = 0; i < table->nkeys; i++)
		if (table->columns[table->keys[i] - 1].equal == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_FUNCTION),
					 errmsg("type %s of key column \"%s\" has no equality operator",
							format_type_be(table->columns[table->keys[i] - 1].type), table->columns[table->keys[i] - 1].raw)));

	table->valid = true;
	MemoryContextSetParent(context, CacheMemoryContext);
	MemoryContextSwitchTo(caller);
	return table;
}

static void
invalidate(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	CacheEntry *entry;

	(void) arg;
	hash_seq_init(&status, cache);
	while ((entry = hash_seq_search(&status)) != NULL)
		if (entry->table && (!OidIsValid(relid) || relid == entry->relid || relid == entry->table->root ||
							 relid == entry->table->hub || relid == entry->table->remembered))
			entry->table->valid = false;
}

static void
invalidate_all(Datum arg, int cacheid, uint32 hashvalue)
{
	(void) cacheid;
	(void) hashvalue;
	invalidate(arg, InvalidOid);
}

static void
end_transaction(XactEvent event, void *arg)
{
	ListCell   *cell;

	(void) arg;
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	foreach(cell, released)
	{
		EcsScd2    *table = lfirst(cell);

		for (int i = 0; i < ECS_SCD2_PLANS; i++)
			if (table->plans[i])
				SPI_freeplan(table->plans[i]);
		MemoryContextDelete(table->context);
	}
	list_free(released);
	released = NIL;
}

static void
make_cache(void)
{
	HASHCTL		ctl = {.keysize = sizeof(Oid),.entrysize = sizeof(CacheEntry)};

	cache = hash_create("versioned tables", 32, &ctl, HASH_ELEM | HASH_BLOBS);
	CacheRegisterRelcacheCallback(invalidate, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, invalidate_all, (Datum) 0);
	RegisterXactCallback(end_transaction, NULL);
}

static EcsScd2 *
read_registry(Relation rel)
{
	Oid			root = RelationGetRelid(rel);
	Relation	registry = table_open(registry_oid(), AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	EcsScd2    *table = NULL;

	if (rel->rd_rel->relispartition)
		root = llast_oid(get_partition_ancestors(root));
	ScanKeyInit(&key, REG_REL, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(root));
	scan = systable_beginscan(registry, InvalidOid, false, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		table = build_table(rel, root, tuple, RelationGetDescr(registry));
	systable_endscan(scan);
	table_close(registry, AccessShareLock);
	return table;
}

EcsScd2 *
ecs_scd2_find(Relation rel)
{
	Oid			relid = RelationGetRelid(rel);
	CacheEntry *entry;
	EcsScd2    *table;
	bool		found;

	if (cache == NULL)
		make_cache();
	entry = hash_search(cache, &relid, HASH_FIND, NULL);
	if (entry && entry->table && entry->table->valid)
		return entry->table;

	table = read_registry(rel);
	if (table == NULL && entry == NULL)
		return NULL;
	entry = hash_search(cache, &relid, HASH_ENTER, &found);
	if (found && entry->table)
	{
		MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

		released = lappend(released, entry->table);
		MemoryContextSwitchTo(caller);
	}
	entry->table = table;
	return table;
}

EcsScd2 *
ecs_scd2_require(Relation rel)
{
	EcsScd2    *table = ecs_scd2_find(rel);

	if (table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not versioned", RelationGetRelationName(rel)),
				 errhint("Call ecomsocial.scd2_enable first.")));
	return table;
}

bool
ecs_scd2_versioning(Relation rel)
{
	if (versioning)
		return true;
	if (!has_privs_of_role(GetUserId(), rel->rd_rel->relowner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of table \"%s\" to write without versioning", RelationGetRelationName(rel)),
				 errhint("Set ecomsocial.versioning to on.")));
	return false;
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

/* "(a, b)=(1, 2)", where a tuple begins with the key columns in their order */
char *
ecs_scd2_describe_tuple(const EcsScd2 *table, HeapTuple tuple, TupleDesc desc)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoChar(&text, '(');
	ecs_scd2_put_keys(&text, table, "");
	appendStringInfoString(&text, ")=(");
	for (int i = 0; i < table->nkeys; i++)
		appendStringInfo(&text, "%s%s", i ? ", " : "", SPI_getvalue(tuple, desc, i + 1));
	appendStringInfoChar(&text, ')');
	return text.data;
}

/* An effective time is finite and not in the future */
void
ecs_scd2_check_time(Relation rel, TimestampTz at)
{
	if (TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("effective time for table \"%s\" is infinite", RelationGetRelationName(rel))));
	if (at > GetCurrentTimestamp())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("effective time %s for table \"%s\" lies in the future",
						timestamptz_to_str(at), RelationGetRelationName(rel))));
}

/* "prefix.a, prefix.b" of the columns with these roles */
void
ecs_scd2_put_columns(StringInfo sql, const EcsScd2 *table, const char *prefix, int roles)
{
	const char *separator = "";

	for (int i = 0; i < table->natts; i++)
		if (roles & ECS_SCD2_MASK(table->columns[i].role))
		{
			appendStringInfo(sql, "%s%s%s", separator, prefix, table->columns[i].name);
			separator = ", ";
		}
}

/* The same of the key columns, in the order of the primary key */
void
ecs_scd2_put_keys(StringInfo sql, const EcsScd2 *table, const char *prefix)
{
	for (int i = 0; i < table->nkeys; i++)
		appendStringInfo(sql, "%s%s%s", i ? ", " : "", prefix, table->columns[table->keys[i] - 1].name);
}

/* Parameters $1 ... where b is "$" */
void
ecs_scd2_put_key_match(StringInfo sql, const EcsScd2 *table, const char *a, const char *b)
{
	for (int i = 0; i < table->nkeys; i++)
	{
		const EcsScd2Column *column = &table->columns[table->keys[i] - 1];

		appendStringInfo(sql, "%s%s%s %s ", i ? " AND " : "", a, column->name, column->equal);
		if (b[0] == '$')
			appendStringInfo(sql, "$%d", i + 1);
		else
			appendStringInfo(sql, "%s%s", b, column->name);
	}
}

/* That the columns of a and b with these roles are the same, NULL being the same as NULL */
void
ecs_scd2_put_same(StringInfo sql, const EcsScd2 *table, const char *a, const char *b, int roles)
{
	appendStringInfoString(sql, "(true");
	for (int i = 0; i < table->natts; i++)
	{
		const EcsScd2Column *column = &table->columns[i];
		const char *n = column->name;

		if (!(roles & ECS_SCD2_MASK(column->role)))
			continue;
		if (column->equal)
			appendStringInfo(sql, " AND ((%s%s %s %s%s) IS TRUE OR %s%s IS NULL AND %s%s IS NULL)",
							 a, n, column->equal, b, n, a, n, b, n);
		else
			appendStringInfo(sql, " AND ROW(%s%s)::pg_catalog.record OPERATOR(pg_catalog.*=) ROW(%s%s)::pg_catalog.record", a, n, b, n);
	}
	appendStringInfoChar(sql, ')');
}

/*
 * Registration.  The rows are written as the registry's owner, by statements in
 * which nothing is looked up by search_path, after a check of ownership.
 */
static uint64
write_registry(const char *sql, int nargs, Oid *types, Datum *values, const char *nulls)
{
	Oid			user;
	int			context;
	int			rc;
	uint64		rows;

	GetUserIdAndSecContext(&user, &context);
	SPI_connect();
	SetUserIdAndSecContext(ecs_relation_owner(registry_oid()), context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
	rc = SPI_execute_with_args(sql, nargs, types, values, nulls, false, 0);
	if (rc < 0)
		elog(ERROR, "SPI_execute_with_args returned %s", SPI_result_code_string(rc));
	rows = SPI_processed;
	SetUserIdAndSecContext(user, context);
	SPI_finish();
	return rows;
}

static void
check_owner(Oid relid)
{
	if (!has_privs_of_role(GetUserId(), ecs_relation_owner(relid)))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(relid));
}

Datum
ecs_scd2_register(PG_FUNCTION_ARGS)
{
	static Oid	types[] = {REGCLASSOID, REGCLASSOID, REGCLASSOID, NAMEARRAYOID, NAMEARRAYOID, NAMEARRAYOID, NAMEARRAYOID,
	NAMEOID, NAMEOID, NAMEOID, NAMEOID, NAMEOID, NAMEOID, BOOLOID};
	Datum		values[REG_OPEN_START];
	char		nulls[REG_OPEN_START + 1] = {0};

	for (int i = 0; i < REG_OPEN_START; i++)
	{
		bool		optional = i + 1 == REG_REMEMBERED || i + 1 == REG_HISTORY ||
			i + 1 == REG_STAMP || i + 1 == REG_SEQUENCE || i + 1 == REG_CREATED;

		if (PG_ARGISNULL(i) && !optional)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument %d must not be null", i + 1)));
		values[i] = PG_GETARG_DATUM(i);
		nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
	}
	for (int i = REG_REL; i <= REG_REMEMBERED; i++)
		if (nulls[i - 1] == ' ')
			check_owner(DatumGetObjectId(values[i - 1]));

	write_registry("DELETE FROM ecomsocial.scd2_table WHERE rel OPERATOR(pg_catalog.=) $1", 1, types, values, nulls);
	write_registry("INSERT INTO ecomsocial.scd2_table VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
				   REG_OPEN_START, types, values, nulls);
	CacheInvalidateRelcacheByRelid(DatumGetObjectId(values[REG_REL - 1]));
	CommandCounterIncrement();
	PG_RETURN_VOID();
}

Datum
ecs_scd2_unregister(PG_FUNCTION_ARGS)
{
	Oid			types[] = {REGCLASSOID};
	Datum		values[] = {PG_GETARG_DATUM(0)};
	Oid			relid = PG_GETARG_OID(0);
	bool		known;

	check_owner(relid);
	known = write_registry("DELETE FROM ecomsocial.scd2_table WHERE rel OPERATOR(pg_catalog.=) $1", 1, types, values, NULL) > 0;
	write_registry("DELETE FROM ecomsocial.scd2_table WHERE NOT EXISTS "
				   "(SELECT FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) rel)", 0, NULL, NULL, NULL);
	CacheInvalidateRelcacheByRelid(relid);
	CommandCounterIncrement();
	PG_RETURN_BOOL(known);
}

/*
 * Settings
 */
static bool
check_as_of(char **newval, void **extra, GucSource source)
{
	TimestampTz *moment;

	(void) source;
	moment = guc_malloc(LOG, sizeof(TimestampTz));
	if (moment == NULL)
		return false;
	*moment = DT_NOEND;
	if (*newval && **newval)
	{
		MemoryContext caller = CurrentMemoryContext;

		PG_TRY();
		{
			*moment = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(*newval),
															  ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
		}
		PG_CATCH();
		{
			ErrorData  *error;

			MemoryContextSwitchTo(caller);
			error = CopyErrorData();
			FlushErrorState();
			GUC_check_errdetail("%s.", error->message);
			guc_free(moment);
			return false;
		}
		PG_END_TRY();
	}
	*extra = moment;
	return true;
}

static void
assign_as_of(const char *newval, void *extra)
{
	(void) newval;
	as_of_moment = *(TimestampTz *) extra;
}

Datum
ecs_scd2_as_of(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	PG_RETURN_TIMESTAMPTZ(as_of_moment == DT_NOEND ? GetCurrentTransactionStartTimestamp() : as_of_moment);
}

void
ecs_scd2_init(void)
{
	DefineCustomBoolVariable("ecomsocial.versioning",
							 "Whether writes of versioned tables make versions.",
							 "Off lets the owner of a table repair or restore its history.",
							 &versioning, true, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("ecomsocial.as_of",
							   "The moment that the views NAME_as_of show.",
							   "Empty: the start of the transaction.",
							   &as_of_text, "", PGC_USERSET, 0, check_as_of, assign_as_of, NULL);
}
