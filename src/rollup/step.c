/*
 * step.c
 *		The steps of a refresh.
 *
 *	1.	Move.  Compare the leaves of the sources with what the last refresh saw
 *		(leaves.c).  Delete the notes of the sources from rollup_log, wait for
 *		commits that rely on them (log.c), and write the buckets that they touch
 *		to rollup_pending, for every rollup of these sources.
 *	2.	Heal, where triggers are missing (capture.c), before that.
 *	3.	Compute.  For each pending bucket: delete its rows of rollup_pending,
 *		then delete the bucket's rows of the target and insert what the query
 *		gives for [from, until).  Or let a handler do it for all buckets at once.
 *
 * Move and compute are exact for the same reason: what is deleted was visible,
 * and what is done afterwards, in a later statement of the same READ COMMITTED
 * transaction, sees at least as much.  What the deletion could not see stays,
 * and is work for the next time.  There is no watermark; a prepared or long
 * transaction is not waited for, and brings its note whenever it commits.
 *
 * Locking: who computes a bucket holds a lock on (registry, target, bucket).  A
 * bucket that another refresh is at is passed over, and waited for in the end:
 * when a refresh returns, what was committed before it began is there, whoever
 * computed it.  Passing over locked rows of what is pending (SKIP LOCKED) would
 * not do: while one refresh computes a bucket, a mover may add another row for
 * it, and a second refresh that took that row would write the bucket beside the
 * first.  A lock on the table would, but VACUUM takes it too.  Movers of one
 * source take turns by a row lock on its capture.  Readers and writers are not
 * disturbed.
 *
 * A step runs in a subtransaction.  An error undoes the step alone: a bucket
 * stays pending, the others go on.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"

#include "rollup/step.h"

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

/* Does nothing, and returns false, where triggers are to be put back first */
bool
ecs_step_move(EcsWork *work)
{
	const List *captures = work->rollup->captures;
	EcsLeaves  *leaves = palloc(sizeof(EcsLeaves) * list_length(captures));
	bool		blind = false;
	int			i = 0;
	Oid			leaf;
	ListCell   *cell;

	ecs_check_permanent(work->rollup->target);
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

bool
ecs_step_heal(EcsWork *work)
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

/* Lock a bucket against other refreshes until the end; false: one is at it */
static bool
lock_bucket(EcsWork *work)
{
	LOCKTAG		tag;

	/* buckets 65536 days apart share a lock: they wait needlessly, no more */
	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ecs_registry_relid(), work->rollup->target, (uint16) work->bucket);
	work->busy = LockAcquire(&tag, ExclusiveLock, false, !work->patient) == LOCKACQUIRE_NOT_AVAIL;
	return !work->busy;
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

bool
ecs_step_compute(EcsWork *work)
{
	if (!lock_bucket(work) || !take_bucket(work->rollup, work->bucket))
		return false;
	ecs_compute_bucket(work->rollup, work->bucket);
	return true;
}

/* The last day of a rollup that begins before a moment */
static DateADT
last_day_before(const EcsRollup *rollup, TimestampTz moment)
{
	EcsZone		zone;
	DateADT		day;
	TimestampTz from,
				until;

	if (TIMESTAMP_NOT_FINITE(moment))
		return TIMESTAMP_IS_NOBEGIN(moment) ? DATEVAL_NOBEGIN : DATEVAL_NOEND;
	ecs_zone_init(&zone, rollup->zone);
	ecs_instant_day(&zone, moment, &day, &from, &until);
	return from < moment ? day : day - 1;
}

/*
 * What of rollup_pending is wanted: buckets, and for a handler "everything" too.
 * Dates are compared, as they may lie beyond all timestamps.
 */
#define WANTED \
	" target = $1 AND (bucket >= $2 AND bucket > '-infinity' AND bucket <= $3 OR bucket = '-infinity' AND $4) "

#define WANTED_VALUES	4

static Oid	wanted_types[WANTED_VALUES] = {REGCLASSOID, DATEOID, DATEOID, BOOLOID};

static void
wanted_values(const EcsWork *work, Datum values[WANTED_VALUES])
{
	const EcsRollup *rollup = work->rollup;
	DateADT		next = DATE_IS_NOBEGIN(work->bucket) ? work->bucket : work->bucket + 1;

	values[0] = ObjectIdGetDatum(rollup->target);
	values[1] = DateADTGetDatum(Max(next, rollup->frozen));
	values[2] = DateADTGetDatum(last_day_before(rollup, work->until));
	values[3] = BoolGetDatum(rollup->handler != NULL);
}

/* All pending buckets at once: a handler knows best how to group its work */
bool
ecs_step_handle(EcsWork *work)
{
	Datum		values[WANTED_VALUES];
	Datum		buckets;
	bool		everything;
	bool		isnull;

	work->bucket = DATEVAL_NOBEGIN;
	work->patient = true;
	(void) lock_bucket(work);
	wanted_values(work, values);
	ecs_registry_sql("WITH taken AS (DELETE FROM ecomsocial.rollup_pending WHERE" WANTED "RETURNING bucket) "
					 "SELECT array_agg(DISTINCT bucket ORDER BY bucket), bool_or(bucket = '-infinity') FROM taken",
					 WANTED_VALUES, wanted_types, values, NULL);
	buckets = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (isnull)
		return false;
	buckets = datumCopy(buckets, false, -1);
	everything = ecs_spi_int(0, 2, NULL) != 0;
	ecs_call_handler(work->rollup, buckets, everything);
	return true;
}

/* Find the first wanted bucket after the one done last, and how many there are */
int64
ecs_step_find_pending(EcsWork *work)
{
	Datum		values[WANTED_VALUES];
	int64		count;
	bool		none;

	wanted_values(work, values);
	ecs_registry_sql("SELECT min(bucket), count(DISTINCT bucket) FROM ecomsocial.rollup_pending WHERE" WANTED,
					 WANTED_VALUES, wanted_types, values, NULL);
	work->bucket = (DateADT) ecs_spi_int(0, 1, &none);
	count = ecs_spi_int(0, 2, NULL);
	SPI_freetuptable(SPI_tuptable);
	return count;
}

/* Make a warning of an error and remember the first */
static void
note_failure(EcsStep step, EcsWork *work, ErrorData *error)
{
	EcsFailure *failure = &work->failure;

	if (step == ecs_step_compute)
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

/* Run a step; an error is a warning, is remembered, and undoes the step alone */
bool
ecs_step_run(EcsStep step, EcsWork *work)
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

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;

		/* whoever wants us to stop means it */
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED || error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN)
			ReThrowError(error);
		note_failure(step, work, error);
	}
	PG_END_TRY();
	MemoryContextDelete(step_context);
	return did;
}
