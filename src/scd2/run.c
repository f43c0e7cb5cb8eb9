/*
 * run.c
 *		Statements of the engine, in a mode that the triggers know.
 *
 * What the engine writes fires the triggers of the table too.  They learn what
 * to make of it from the mode, which holds for one table and for triggers of
 * the next level only: a trigger of the user that writes the same table does so
 * as plain DML.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/snapmgr.h"

#include "scd2/scd2.h"

/* As whom a statement runs that is planned once: each writes one relation */
static const struct
{
	EcsScd2Mode mode;
	bool		on_hub;			/* as the hub's owner, not the table's */
	bool		latest;			/* sees what was committed just now */
	const char *sql;
}			statements[ECS_SCD2_PLANS] =

{
	/* insert closed versions */
	[ECS_SCD2_COPY] = {
		ECS_SCD2_COPYING, false, false,
		"INSERT INTO {table} ({row}) OVERRIDING SYSTEM VALUE SELECT {row} FROM scd2_closed"
	},
	/* insert hub rows of new keys */
	[ECS_SCD2_HUB] = {
		ECS_SCD2_PLAIN, true, false,
		"INSERT INTO {hub} ({keys}) SELECT {keys} FROM scd2_new ORDER BY {keys} ON CONFLICT DO NOTHING"
	},
	/* lock hub rows of known keys */
	[ECS_SCD2_LOCK] = {
		ECS_SCD2_PLAIN, true, false,
		"SELECT 1 FROM {hub} h, scd2_new n WHERE {match h n} ORDER BY {keys h} FOR NO KEY UPDATE OF h"
	},

	/*
	 * begin reopened keys where their last version ended, with its fixed
	 * columns
	 */
	[ECS_SCD2_ADJUST] = {
		ECS_SCD2_APPLYING, false, false,
		"UPDATE {table} t SET {from} = CASE WHEN t.{from} {<} c.{to} THEN GREATEST(pg_catalog.now(), c.{to}) ELSE t.{from} END{set c f} "
		"FROM scd2_new n CROSS JOIN LATERAL ("
		"SELECT * FROM {table} l WHERE {match l n} AND l.{to} {<} 'infinity' ORDER BY l.{to} DESC LIMIT 1) c "
		"WHERE {match t n} AND t.{to} {=} 'infinity' AND (t.{from} {<} c.{to} OR NOT {same t c f}) "
		"RETURNING {keys t}, t.{from}"
	},
	/* join versions with the one before, where they came to be equal */
	[ECS_SCD2_JOIN] = {
		ECS_SCD2_APPLYING, false, false,
		"WITH gone AS (DELETE FROM {table} c USING scd2_new n, {table} t "
		"WHERE {match t n} AND t.{to} {=} 'infinity' AND {match c n} AND c.{to} {=} t.{from} AND {same c t h} "
		"RETURNING {keys c}, c.{from}) "
		"UPDATE {table} t SET {from} = gone.{from} FROM gone WHERE {match t gone} AND t.{to} {=} 'infinity' "
		"RETURNING {keys t}, 'infinity'::pg_catalog.timestamptz"
	},
	/* find closed versions that a snapshot did not see */
	[ECS_SCD2_OVERLAP] = {
		ECS_SCD2_PLAIN, false, true,
		"SELECT 1 FROM scd2_new n, {table} t, {table} c WHERE {match t n} AND t.{to} {=} 'infinity' "
		"AND {match c n} AND c.{to} {<} 'infinity' AND c.{to} {>} t.{from} LIMIT 1"
	},
	/* remember events that left no trace */
	[ECS_SCD2_REMEMBER_ROWS] = {
		ECS_SCD2_PLAIN, false, false,
		"INSERT INTO {memory} ({keys}, at, kind) SELECT {keys}, pg_catalog.now(), 'row' "
		"FROM scd2_events WHERE {from} {<} pg_catalog.now() ON CONFLICT DO NOTHING"
	},

	/*
	 * remember the true time of events whose version was made to begin
	 * earlier
	 */
	[ECS_SCD2_REMEMBER_FIRST] = {
		ECS_SCD2_PLAIN, false, false,
		"INSERT INTO {memory} ({keys}, at, kind) SELECT {keys}, pg_catalog.now(), 'first' "
		"FROM scd2_new WHERE {from} {<} pg_catalog.now() ON CONFLICT DO NOTHING"
	},
	/* of one key: lock its current version, make its hub row, lock that */
	[ECS_SCD2_CURRENT_ROW] = {
		ECS_SCD2_PLAIN, false, false,
		"SELECT 1 FROM {table} t WHERE {match t $} AND t.{to} {=} 'infinity' FOR NO KEY UPDATE"
	},
	[ECS_SCD2_HUB_ROW] = {
		ECS_SCD2_PLAIN, true, false,
		"INSERT INTO {hub} ({keys}) VALUES ({parameters}) ON CONFLICT DO NOTHING"
	},
	[ECS_SCD2_LOCK_KEY] = {
		ECS_SCD2_PLAIN, true, false,
		"SELECT 1 FROM {hub} h WHERE {match h $} FOR NO KEY UPDATE"
	}
};

static struct
{
	Oid			root;
	EcsScd2Mode mode;
	int			depth;			/* of triggers, that the mode is for */
}			running;

int
ecs_scd2_trigger_depth(void)
{
	LOCAL_FCINFO(fcinfo, 0);

	InitFunctionCallInfoData(*fcinfo, NULL, 0, InvalidOid, NULL, NULL);
	return DatumGetInt32(pg_trigger_depth(fcinfo));
}

EcsScd2Mode
ecs_scd2_mode(const EcsScd2 *table)
{
	if (running.root != table->root || ecs_scd2_trigger_depth() != running.depth)
		return ECS_SCD2_PLAIN;
	return running.mode;
}

void
ecs_scd2_do(const EcsScd2 *table, EcsScd2Mode mode, Oid role, void (*action) (void *), void *arg)
{
	Oid			user;
	int			context;
	Oid			outer_root = running.root;
	EcsScd2Mode outer_mode = running.mode;
	int			outer_depth = running.depth;

	GetUserIdAndSecContext(&user, &context);
	PG_TRY();
	{
		running.root = table->root;
		running.mode = mode;
		running.depth = ecs_scd2_trigger_depth() + 1;
		if (OidIsValid(role))
			SetUserIdAndSecContext(role, context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
		action(arg);
	}
	PG_FINALLY();
	{
		running.root = outer_root;
		running.mode = outer_mode;
		running.depth = outer_depth;
		SetUserIdAndSecContext(user, context);
	}
	PG_END_TRY();
}

/*
 * Plans
 */
typedef struct Execution
{
	SPIPlanPtr	plan;
	Datum	   *params;
	Snapshot	snapshot;
} Execution;

static void
execute(void *arg)
{
	Execution  *execution = arg;
	int			rc = SPI_execute_snapshot(execution->plan, execution->params, NULL, execution->snapshot, InvalidSnapshot, false, true, 0);

	if (rc < 0)
		elog(ERROR, "SPI_execute_snapshot returned %s", SPI_result_code_string(rc));
}

static SPIPlanPtr
prepare(const char *sql, int nargs, Oid *types)
{
	SPIPlanPtr	plan = SPI_prepare(sql, nargs, types);

	if (plan == NULL)
		elog(ERROR, "SPI_prepare returned %s", SPI_result_code_string(SPI_result));
	return plan;
}

uint64
ecs_scd2_run(EcsScd2 *table, EcsScd2Plan which, const Datum *keys)
{
	Execution	execution = {.snapshot = statements[which].latest ? GetLatestSnapshot() : InvalidSnapshot};
	Datum		params[INDEX_MAX_KEYS];
	Oid			types[INDEX_MAX_KEYS];

	for (int i = 0; keys && i < table->nkeys; i++)
	{
		types[i] = table->columns[table->keys[i] - 1].type;
		params[i] = keys[table->keys[i] - 1];
	}
	if (table->plans[which] == NULL)
	{
		table->plans[which] = prepare(ecs_scd2_sql(table, statements[which].sql), keys ? table->nkeys : 0, types);
		SPI_keepplan(table->plans[which]);
	}
	execution.plan = table->plans[which];
	execution.params = params;
	ecs_scd2_do(table, statements[which].mode, statements[which].on_hub ? table->hub_owner : table->owner, execute, &execution);
	return SPI_processed;
}

uint64
ecs_scd2_run_once(EcsScd2 *table, const char *sql, EcsScd2Mode mode, Oid role, Snapshot snapshot)
{
	Execution	execution = {.plan = prepare(sql, 0, NULL),.snapshot = snapshot};

	ecs_scd2_do(table, mode, role, execute, &execution);
	return SPI_processed;
}

void
ecs_scd2_name_store(const char *name, TupleDesc desc, Tuplestorestate *store)
{
	EphemeralNamedRelation enr = palloc0(sizeof(EphemeralNamedRelationData));
	int			rc;

	enr->md.name = pstrdup(name);
	enr->md.tupdesc = desc;
	enr->md.enrtype = ENR_NAMED_TUPLESTORE;
	enr->md.enrtuples = tuplestore_tuple_count(store);
	enr->reldata = store;
	rc = SPI_register_relation(enr);
	if (rc != SPI_OK_REL_REGISTER)
		elog(ERROR, "SPI_register_relation returned %s", SPI_result_code_string(rc));
}
