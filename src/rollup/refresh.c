/*
 * refresh.c
 *		The procedures: refresh bucket by bucket, each in a transaction of its own.
 *
 * What makes that exact stands in step.c.  An error in one step leaves the
 * others done; the end raises the first error again.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/argument.h"
#include "rollup/rollup.h"
#include "rollup/step.h"

PG_FUNCTION_INFO_V1(ecs_rollup_refresh);
PG_FUNCTION_INFO_V1(ecs_refresh_model);
PG_FUNCTION_INFO_V1(ecs_rollup_rebuild);

/* Seconds between two messages of progress */
#define PROGRESS_INTERVAL	10

/* The procedures commit, so they must not run inside somebody's transaction */
static void
require_nonatomic(FunctionCallInfo fcinfo, const char *name)
{
	if (fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
		castNode(CallContext, fcinfo->context)->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s() cannot run inside a transaction block or function", name),
				 errdetail("It commits after each bucket."),
				 errhint("Run CALL as a statement of its own.")));
	SPI_connect_ext(SPI_OPT_NONATOMIC);
}

/* End the transaction; the next one is READ COMMITTED whatever the default is */
static void
next_transaction(void)
{
	SPI_commit();
	XactIsoLevel = XACT_READ_COMMITTED;
}

/* Run a step in a transaction of its own */
static bool
run_alone(EcsStep step, EcsWork *work)
{
	bool		did = ecs_step_run(step, work);

	next_transaction();
	return did;
}

/* Find out what is to be done, with eyes where they were missing */
static void
move(EcsWork *work)
{
	if (ecs_step_run(ecs_step_move, work) || work->failure.count > 0)
		next_transaction();
	else
	{
		(void) run_alone(ecs_step_heal, work);
		work->healed = true;
		(void) run_alone(ecs_step_move, work);
	}
}

/* Compute what is pending, in order; returns the number of buckets */
static int
compute(EcsWork *work)
{
	TimestampTz told = GetCurrentTimestamp();
	List	   *busy = NIL;
	ListCell   *cell;
	int64		pending;
	int			done = 0;

	while ((pending = ecs_step_find_pending(work)) > 0)
	{
		CHECK_FOR_INTERRUPTS();
		done += run_alone(ecs_step_compute, work);
		if (work->busy)
			busy = lappend_int(busy, work->bucket);
		if (TimestampDifferenceExceeds(told, GetCurrentTimestamp(), PROGRESS_INTERVAL * 1000))
		{
			ereport(NOTICE,
					(errmsg("rollup %s: " INT64_FORMAT " buckets left", work->rollup->name, pending - 1)));
			told = GetCurrentTimestamp();
		}
	}
	work->patient = true;
	foreach(cell, busy)
	{
		work->bucket = lfirst_int(cell);
		done += run_alone(ecs_step_compute, work);
	}
	return done;
}

static void
record_end(const EcsRollup *rollup, const EcsFailure *failure)
{
	Oid			types[] = {REGCLASSOID, TEXTOID};
	Datum		values[] = {ObjectIdGetDatum(rollup->target),
	failure->message != NULL ? CStringGetTextDatum(failure->message) : (Datum) 0};

	ecs_registry_sql("UPDATE ecomsocial.rollups SET refreshed_at = clock_timestamp(), last_error = $2 WHERE target = $1",
					 2, types, values, failure->message != NULL ? "  " : " n");
}

/*
 * Refresh one rollup.  Begins and ends at a transaction's start; errors of
 * steps are returned, not raised.
 */
static EcsFailure
refresh_rollup(const EcsRollup *rollup, TimestampTz until)
{
	EcsWork		work = {.rollup = rollup,.until = until,.bucket = DATEVAL_NOBEGIN};
	int			done = 0;

	ecs_check_rollup_owner(rollup);
	move(&work);
	if (rollup->handler == NULL)
		done = compute(&work);
	else if (ecs_step_find_pending(&work) > 0)
		done = run_alone(ecs_step_handle, &work);
	if (done > 0 || work.failure.count > 0 || rollup->had_error)
	{
		record_end(rollup, &work.failure);
		next_transaction();
	}
	ereport(DEBUG1,
			(errmsg("rollup %s: %d steps done, %d failed", rollup->name, done, work.failure.count)));
	return work.failure;
}

static void
report_failure(const EcsRollup *rollup, const EcsFailure *failure)
{
	if (failure->count > 0)
		ereport(ERROR,
				(errcode(failure->sqlerrcode),
				 errmsg("rollup %s is not wholly refreshed: %s", rollup->name, failure->message),
				 errdetail_plural("%d step failed, the others are committed.", "%d steps failed, the others are committed.",
								  failure->count, failure->count),
				 errhint("What failed stays pending: mend the cause and refresh again.")));
}

/* rollup_refresh(target, until) */
Datum
ecs_rollup_refresh(PG_FUNCTION_ARGS)
{
	Oid			target = PG_GETARG_OID(0);
	TimestampTz until = PG_GETARG_TIMESTAMPTZ(1);
	EcsRollup  *rollup;
	EcsFailure	failure;

	ecs_require_argument(fcinfo, 0, "target");
	ecs_require_argument(fcinfo, 1, "until");
	require_nonatomic(fcinfo, "rollup_refresh");
	next_transaction();
	rollup = ecs_rollup_load(target, false);
	failure = refresh_rollup(rollup, until);
	report_failure(rollup, &failure);
	SPI_finish();
	PG_RETURN_VOID();
}

/* rollup_rebuild(target, from, until) */
Datum
ecs_rollup_rebuild(PG_FUNCTION_ARGS)
{
	Oid			target = PG_GETARG_OID(0);
	DateADT		from = PG_GETARG_DATEADT(1);
	DateADT		until = PG_GETARG_DATEADT(2);
	EcsRollup  *rollup;
	EcsFailure	failure;

	ecs_require_argument(fcinfo, 0, "target");
	ecs_require_argument(fcinfo, 1, "from_day");
	ecs_require_argument(fcinfo, 2, "until_day");
	require_nonatomic(fcinfo, "rollup_rebuild");
	next_transaction();
	rollup = ecs_rollup_load(target, false);
	ecs_check_rollup_owner(rollup);
	ecs_mark_buckets(rollup, NULL, from, until, true);
	next_transaction();
	failure = refresh_rollup(rollup, DT_NOEND);
	report_failure(rollup, &failure);
	SPI_finish();
	PG_RETURN_VOID();
}

/* The rollups of a schema, each after those that it reads; rows that others entered may form a circle */
static List *
rollups_in_order(const char *schema)
{
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(schema)};
	List	   *targets = NIL;
	uint64		n = ecs_registry_sql("WITH RECURSIVE reads AS (SELECT r.target::oid AS target, c.source::oid AS source "
									 "FROM ecomsocial.rollups r JOIN ecomsocial.rollup_capture c ON c.capture = ANY (r.captures)), "
									 "depth(target, level) AS (SELECT target::oid, 0 FROM ecomsocial.rollups UNION "
									 "SELECT reads.target, depth.level + 1 FROM depth JOIN reads ON reads.source = depth.target "
									 "WHERE depth.level < (SELECT count(*) FROM ecomsocial.rollups)) "
									 "SELECT d.target FROM depth d JOIN pg_class c ON c.oid = d.target "
									 "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 "
									 "GROUP BY d.target, c.relname ORDER BY max(d.level), c.relname",
									 1, types, values, NULL);

	for (uint64 i = 0; i < n; i++)
		targets = lappend_oid(targets, (Oid) ecs_spi_int((int) i, 1, NULL));
	SPI_freetuptable(SPI_tuptable);
	return targets;
}

/* refresh_model(schema, until) */
Datum
ecs_refresh_model(PG_FUNCTION_ARGS)
{
	char	   *schema;
	TimestampTz until = PG_GETARG_TIMESTAMPTZ(1);
	EcsFailure	first = {0};
	StringInfoData failed;
	List	   *targets;
	ListCell   *cell;
	int			count = 0;

	ecs_require_argument(fcinfo, 0, "schema");
	ecs_require_argument(fcinfo, 1, "until");
	schema = pstrdup(NameStr(*PG_GETARG_NAME(0)));
	require_nonatomic(fcinfo, "refresh_model");
	next_transaction();
	ecs_forget_dropped();
	next_transaction();
	initStringInfo(&failed);
	targets = rollups_in_order(schema);
	if (targets == NIL)
	{
		(void) get_namespace_oid(schema, false);
		ereport(NOTICE,
				(errmsg("schema \"%s\" has no rollups", schema)));
	}
	foreach(cell, targets)
		ecs_check_rollup_owner(ecs_rollup_load(lfirst_oid(cell), false));
	foreach(cell, targets)
	{
		/* dropped in the meantime? */
		EcsRollup  *rollup = ecs_rollup_load(lfirst_oid(cell), true);
		EcsFailure	failure;

		if (rollup == NULL)
			continue;
		failure = refresh_rollup(rollup, until);
		if (failure.count == 0)
			continue;
		if (count++ == 0)
			first = failure;
		appendStringInfo(&failed, "%s%s", count > 1 ? ", " : "", rollup->name);
	}
	if (count > 0)
		ereport(ERROR,
				(errcode(first.sqlerrcode),
				 errmsg("not wholly refreshed: %s", failed.data),
				 errdetail("The first error was: %s", first.message),
				 errhint("The other rollups of schema \"%s\" are refreshed. What failed stays pending: mend the cause and refresh again.",
						 schema)));
	SPI_finish();
	PG_RETURN_VOID();
}
