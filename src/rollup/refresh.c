/*
 * refresh.c
 *		Refreshing: bucket by bucket, each in a transaction of its own.
 *
 * Two steps, both exact for the same reason: what is deleted was visible, and
 * what is computed afterwards, in a later statement of the same READ COMMITTED
 * transaction, sees at least as much.  What the deletion could not see stays,
 * and is work for the next time.
 *
 *	1.	Move.  Delete the notes of the rollup's sources from rollup_log, wait for
 *		commits that rely on them (log.c), and write the buckets that they touch
 *		to rollup_pending, for every rollup of these sources.  Before that,
 *		compare the leaves (leaves.c), and put back triggers that are missing
 *		(capture.c).
 *	2.	Compute.  For each pending bucket: delete its rows of rollup_pending,
 *		then delete the bucket's rows of the target and insert what the query
 *		gives for [from, until).
 *
 * There is no watermark; a prepared or long transaction is not waited for, and
 * brings its note along whenever it commits.
 *
 * Locking: a bucket is computed under a SHARE UPDATE EXCLUSIVE lock on the
 * target, taken before the first snapshot of its transaction.  So two refreshes
 * of one rollup take turns bucket by bucket, and the second finds that a bucket
 * is no longer pending.  Readers and writers are not disturbed.  Movers of one
 * source take turns by a row lock on its capture.
 *
 * An error in a bucket is caught by a subtransaction around it: the bucket stays
 * pending, the others go on, and the end raises the first error again.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "rollup/rollup.h"

PG_FUNCTION_INFO_V1(ecs_rollup_refresh);
PG_FUNCTION_INFO_V1(ecs_refresh_model);
PG_FUNCTION_INFO_V1(ecs_rollup_rebuild);

/* Seconds between two messages of progress */
#define PROGRESS_INTERVAL	10

/* What went wrong in one refresh, kept in the procedure's memory */
typedef struct Failure
{
	int			count;
	int			sqlerrcode;		/* of the first */
	char	   *message;
} Failure;

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

static bool
exists(const char *sql, const EcsCapture *capture)
{
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(capture->id)};
	bool		found = ecs_registry_sql(sql, 1, types, values, NULL) > 0;

	SPI_freetuptable(SPI_tuptable);
	return found;
}

/* Turn what is known of a source since the last time into pending buckets */
static void
move_notes(const EcsCapture *capture, bool differ)
{
	Oid			types[] = {INT4OID, DATEARRAYOID};
	Datum		values[] = {Int32GetDatum(capture->id), (Datum) 0};
	bool		none;

	if (!differ && !exists("SELECT FROM ecomsocial.rollup_log WHERE capture = $1 LIMIT 1", capture))
		return;
	(void) exists("SELECT FROM ecomsocial.rollup_capture WHERE capture = $1 FOR NO KEY UPDATE", capture);
	if (differ)
		ecs_leaves_mark_changes(capture);

	ecs_registry_sql("WITH moved AS (DELETE FROM ecomsocial.rollup_log WHERE capture = $1 RETURNING day) "
					 "SELECT array_agg(DISTINCT day) FROM moved", 1, types, values, NULL);
	values[1] = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &none);
	if (none)
		return;
	values[1] = datumCopy(values[1], false, -1);
	ecs_log_settle();
	ecs_registry_sql("INSERT INTO ecomsocial.rollup_pending "
					 "SELECT DISTINCT r.target, ecomsocial.rollup_bucket(d.day, r.bucket) "
					 "FROM unnest($2) d(day) JOIN ecomsocial.rollups r ON $1 = ANY (r.captures) ORDER BY 1, 2",
					 2, types, values, NULL);
}

/* A mark of everything becomes the buckets that there are */
static void
expand_everything(const EcsRollup *rollup)
{
	Oid			types[] = {REGCLASSOID};
	Datum		values[] = {ObjectIdGetDatum(rollup->target)};

	if (rollup->handler == NULL &&
		ecs_registry_sql("DELETE FROM ecomsocial.rollup_pending WHERE target = $1 AND bucket = '-infinity'",
						 1, types, values, NULL) > 0)
		ecs_mark_buckets(rollup, NULL, DATEVAL_NOBEGIN, DATEVAL_NOEND, true);
}

/* Delete a bucket from what is pending; false: another refresh was faster */
static bool
take_bucket(const EcsRollup *rollup, DateADT bucket)
{
	Oid			types[] = {REGCLASSOID, DATEOID};
	Datum		values[] = {ObjectIdGetDatum(rollup->target), DateADTGetDatum(bucket)};

	return ecs_registry_sql("DELETE FROM ecomsocial.rollup_pending WHERE target = $1 AND bucket = $2",
							2, types, values, NULL) > 0;
}

/* What a refresh was asked for and has done */
typedef struct Work
{
	const EcsRollup *rollup;
	TimestampTz until;			/* buckets that begin later are left pending */
	DateADT		bucket;			/* at work on, or done last */
	int			done;
	bool		healed;			/* as far as could be done */
	Failure    *failure;
} Work;

/* What of rollup_pending is wanted: buckets, and for a handler "everything" too */
#define WANTED \
	" target = $1 AND (bucket >= $2 AND bucket > '-infinity' AND bucket::timestamp AT TIME ZONE $4 < $3 " \
	"OR bucket = '-infinity' AND $5) "

static Oid	wanted_types[] = {REGCLASSOID, DATEOID, TIMESTAMPTZOID, TEXTOID, BOOLOID};

static void
wanted_values(const Work *work, Datum values[5])
{
	const EcsRollup *rollup = work->rollup;
	DateADT		next = DATE_IS_NOBEGIN(work->bucket) ? work->bucket : work->bucket + 1;

	values[0] = ObjectIdGetDatum(rollup->target);
	values[1] = DateADTGetDatum(Max(next, rollup->frozen));
	values[2] = TimestampTzGetDatum(work->until);
	values[3] = CStringGetTextDatum(rollup->zone);
	values[4] = BoolGetDatum(rollup->handler != NULL);
}

/* A step runs in a subtransaction; returns false where there was nothing to do */
typedef bool (*Step) (Work *work);

/* Does nothing where triggers are to be put back first */
static bool
step_move(Work *work)
{
	const List *captures = work->rollup->captures;
	EcsLeaves  *leaves = palloc(sizeof(EcsLeaves) * list_length(captures));
	bool		blind = false;
	int			i = 0;
	Oid			leaf;
	ListCell   *cell;

	foreach(cell, captures)
	{
		leaves[i] = ecs_leaves_compare(lfirst(cell), &leaf);
		blind |= leaves[i++] == ECS_LEAVES_BLIND;
	}
	if (blind && !work->healed)
		return false;
	i = 0;
	foreach(cell, captures)
		move_notes(lfirst(cell), leaves[i++] != ECS_LEAVES_SAME);
	expand_everything(work->rollup);
	return true;
}

static bool
step_heal(Work *work)
{
	Oid			leaf;
	ListCell   *cell;

	foreach(cell, work->rollup->captures)
	{
		if (ecs_leaves_compare(lfirst(cell), &leaf) == ECS_LEAVES_BLIND)
			ecs_capture_heal(lfirst(cell));
	}
	return true;
}

static bool
step_compute(Work *work)
{
	LockRelationOid(work->rollup->target, ShareUpdateExclusiveLock);
	if (!take_bucket(work->rollup, work->bucket))
		return false;
	ecs_compute_bucket(work->rollup, work->bucket);
	return true;
}

/* All pending buckets at once: a handler knows best how to group its work */
static bool
step_handle(Work *work)
{
	const EcsRollup *rollup = work->rollup;
	Datum		values[5];
	Datum		buckets;
	bool		everything;
	bool		isnull;

	work->bucket = DATEVAL_NOBEGIN;
	wanted_values(work, values);
	LockRelationOid(rollup->target, ShareUpdateExclusiveLock);
	ecs_registry_sql("WITH taken AS (DELETE FROM ecomsocial.rollup_pending WHERE" WANTED "RETURNING bucket) "
					 "SELECT array_agg(DISTINCT bucket ORDER BY bucket), bool_or(bucket = '-infinity') FROM taken",
					 5, wanted_types, values, NULL);
	buckets = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (isnull)
		return false;
	buckets = datumCopy(buckets, false, -1);
	everything = ecs_spi_int(0, 2, NULL) != 0;
	ecs_call_handler(rollup, buckets, everything);
	return true;
}

/* Run a step; an error is a warning, is remembered, and undoes the step alone */
static bool
run_step(Step step, Work *work)
{
	MemoryContext context = CurrentMemoryContext;
	MemoryContext step_context = AllocSetContextCreate(context, "rollup step", ALLOCSET_DEFAULT_SIZES);
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool did = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(step_context);
	PG_TRY();
	{
		did = step(work);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		ErrorData  *error;
		Failure    *failure = work->failure;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;

		/* whoever wants us to stop means it */
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED || error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN)
			ReThrowError(error);

		if (step == step_compute)
			error->message = psprintf("bucket %s: %s",
									  DatumGetCString(DirectFunctionCall1(date_out, DateADTGetDatum(work->bucket))),
									  error->message);
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("rollup %s: %s", work->rollup->name, error->message),
				 error->detail ? errdetail_internal("%s", error->detail) : 0,
				 error->hint ? errhint("%s", error->hint) : 0));
		if (failure->count++ == 0)
		{
			failure->sqlerrcode = error->sqlerrcode;
			failure->message = error->message;
		}
	}
	PG_END_TRY();
	MemoryContextDelete(step_context);
	return did;
}

/* Find the first wanted bucket after the one done last, and how many there are */
static int64
find_pending(Work *work)
{
	Datum		values[5];
	int64		count;
	bool		none;

	wanted_values(work, values);
	ecs_registry_sql("SELECT min(bucket), count(DISTINCT bucket) FROM ecomsocial.rollup_pending WHERE" WANTED,
					 5, wanted_types, values, NULL);
	work->bucket = (DateADT) ecs_spi_int(0, 1, &none);
	count = ecs_spi_int(0, 2, NULL);
	SPI_freetuptable(SPI_tuptable);
	return count;
}

static void
record_end(const EcsRollup *rollup, const Failure *failure)
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
static Failure
refresh_rollup(const EcsRollup *rollup, TimestampTz until)
{
	Failure		failure = {0};
	Work		work = {.rollup = rollup,.until = until,.bucket = DATEVAL_NOBEGIN,.failure = &failure};
	TimestampTz told = GetCurrentTimestamp();
	int64		pending;

	ecs_check_rollup_owner(rollup);
	if (!run_step(step_move, &work) && failure.count == 0)
	{
		run_step(step_heal, &work);
		next_transaction();
		work.healed = true;
		run_step(step_move, &work);
	}
	next_transaction();

	while ((pending = find_pending(&work)) > 0)
	{
		CHECK_FOR_INTERRUPTS();
		if (rollup->handler != NULL)
		{
			work.done += run_step(step_handle, &work);
			next_transaction();
			break;
		}
		work.done += run_step(step_compute, &work);
		next_transaction();
		if (TimestampDifferenceExceeds(told, GetCurrentTimestamp(), PROGRESS_INTERVAL * 1000))
		{
			ereport(NOTICE,
					(errmsg("rollup %s: " INT64_FORMAT " buckets left", rollup->name, pending - 1)));
			told = GetCurrentTimestamp();
		}
	}
	if (work.done > 0 || failure.count > 0 || rollup->had_error)
	{
		record_end(rollup, &failure);
		next_transaction();
	}
	ereport(DEBUG1,
			(errmsg("rollup %s: %d buckets refreshed, %d failed", rollup->name, work.done, failure.count)));
	return failure;
}

static void
report_failure(const EcsRollup *rollup, const Failure *failure)
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
	Failure		failure;

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
	Failure		failure;

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

/* The rollups of a schema, each after those that it reads */
static List *
rollups_in_order(const char *schema)
{
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(schema)};
	List	   *targets = NIL;
	uint64		n = ecs_registry_sql("WITH RECURSIVE reads AS (SELECT r.target::oid AS target, c.source::oid AS source "
									 "FROM ecomsocial.rollups r JOIN ecomsocial.rollup_capture c ON c.capture = ANY (r.captures)), "
									 "depth(target, level) AS (SELECT target::oid, 0 FROM ecomsocial.rollups UNION "
									 "SELECT reads.target, depth.level + 1 FROM depth JOIN reads ON reads.source = depth.target) "
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
	Failure		first = {0};
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
		Failure		failure;

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
