/*
 * cache.c
 *		The registry of versioned tables, and what is kept of them.
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
#include "catalog/partition.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/relation.h"
#include "scd2/scd2.h"

typedef struct CacheEntry
{
	Oid			relid;			/* hash key */
	EcsScd2    *table;
} CacheEntry;

static HTAB *cache = NULL;
static uint64 invalidations = 0;	/* that have come */
static List *released = NIL;	/* of EcsScd2, in TopMemoryContext */

Oid
ecs_scd2_registry(void)
{
	Oid			oid = ecs_extension_table("scd2_table");

	if (!OidIsValid(oid))
		elog(ERROR, "table ecomsocial.scd2_table does not exist");
	return oid;
}

static void
invalidate(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	CacheEntry *entry;

	(void) arg;
	invalidations++;
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
	CacheRegisterSyscacheCallback(OPEROID, invalidate_all, (Datum) 0);
	RegisterXactCallback(end_transaction, NULL);
}

static EcsScd2 *
read_registry(Relation rel)
{
	Oid			root = RelationGetRelid(rel);
	Relation	registry = table_open(ecs_scd2_registry(), AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	EcsScd2    *table = NULL;

	if (rel->rd_rel->relispartition)
		root = llast_oid(get_partition_ancestors(root));
	ScanKeyInit(&key, ECS_SCD2_REG_REL, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(root));
	scan = systable_beginscan(registry, InvalidOid, false, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		table = ecs_scd2_build(rel, root, tuple, RelationGetDescr(registry));
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
	uint64		before;
	bool		found;

	if (cache == NULL)
		make_cache();
	entry = hash_search(cache, &relid, HASH_FIND, NULL);
	if (entry && entry->table && entry->table->valid)
		return entry->table;

	before = invalidations;
	table = read_registry(rel);
	if (table == NULL && entry == NULL)
		return NULL;
	/* what came while it was read may have been about it */
	if (table)
		table->valid = before == invalidations;
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
