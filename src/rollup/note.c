/*
 * note.c
 *		Capture: a transaction notes which days of a source it touched.
 *
 * Each source carries AFTER ROW triggers for INSERT, UPDATE and DELETE whose
 * WHEN clause is rollup_note(capture, NEW.column).  The clause does the work: it
 * adds the day to the set that this backend keeps for its transaction (notes.c),
 * and is never true, so that no event is queued, no trigger is called, a COPY
 * keeps its multi-insert path, and a row costs one function call that compares
 * its time with the stretch of the row before.
 *
 * Row triggers, because they are cloned to every partition, present and future,
 * fire for DML on a leaf and, being ENABLE ALWAYS, in a logical apply worker.
 * The event and its note commit, abort, are prepared and recover together: that
 * is all that exactness rests on.  What row triggers cannot see (TRUNCATE,
 * ATTACH, DETACH, DROP) is found by leaves.c.
 *
 * Measured, of the time without triggers: COPY of a million rows 1.0 (a NEW
 * TABLE trigger 1.3 to 1.7, BEFORE ROW 1.4 to 1.7, AFTER ROW 1.5 to 1.9, the
 * first two because they end multi-insert).  A single-row INSERT pays for reading
 * and preparing the clause anew, as every statement does.
 *
 * The zone of a capture is read once in a backend: it never changes, and numbers
 * of captures are never used again.  What is kept is thrown away when that table
 * is invalidated, as by DROP EXTENSION.
 *
 * A call of rollup_note() from elsewhere can cause a needless refresh of a
 * bucket; nothing can hide an event.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "commands/trigger.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "rollup/rollup.h"

PG_FUNCTION_INFO_V1(ecs_rollup_note_instant);
PG_FUNCTION_INFO_V1(ecs_rollup_note_day);
PG_FUNCTION_INFO_V1(ecs_rollup_trigger);

/* What a backend knows of a capture; never freed, fn_extra points at it */
typedef struct CaptureState
{
	int32		id;
	bool		valid;
	EcsZone		zone;
	TimestampTz from;			/* the day met last is [from, until) */
	TimestampTz until;
	DateADT		day;
	uint64		generation;		/* in which that day was noted */
	struct CaptureState *next;
} CaptureState;

static CaptureState *captures = NULL;

/* Looked up once; invalid: not looked up */
static Oid	capture_relid = InvalidOid;

static void
at_invalidation(Datum arg, Oid relid)
{
	(void) arg;
	if (OidIsValid(relid) && relid != capture_relid)
		return;
	capture_relid = InvalidOid;
	for (CaptureState *state = captures; state != NULL; state = state->next)
		state->valid = false;
}

/* Read the zone of a capture from the registry */
static void
load_capture(CaptureState *state)
{
	Relation	rel;
	ScanKeyData key;
	Snapshot	snapshot;
	SysScanDesc scan;
	HeapTuple	tuple;
	const char *zone;
	bool		isnull;

	if (!OidIsValid(capture_relid))
		capture_relid = ecs_extension_table("rollup_capture");
	rel = table_open(capture_relid, AccessShareLock);
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(state->id));
	/* the latest, since triggers are looked up in it too */
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	scan = systable_beginscan(rel, InvalidOid, false, snapshot, 1, &key);
	tuple = systable_getnext(scan);
	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rollup capture %d is not registered", state->id),
				 errdetail("A trigger of this table notes changes for a rollup that the registry does not know."),
				 errhint("Drop the triggers ecomsocial_rollup_%d_insert, ..._update and ..._delete.", state->id)));
	zone = TextDatumGetCString(heap_getattr(tuple, 4, RelationGetDescr(rel), &isnull));
	ecs_zone_init(&state->zone, zone[0] != '\0' ? zone : "UTC");
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	state->from = state->until = 0;
	state->valid = true;
}

static CaptureState *
find_capture(FmgrInfo *flinfo, int32 id)
{
	static bool registered = false;
	CaptureState *state = flinfo->fn_extra;

	if (likely(state != NULL && state->id == id && state->valid))
		return state;
	if (!registered)
		CacheRegisterRelcacheCallback(at_invalidation, (Datum) 0);
	registered = true;
	for (state = captures; state != NULL && state->id != id; state = state->next)
		;
	if (state == NULL)
	{
		state = MemoryContextAllocZero(TopMemoryContext, sizeof(CaptureState));
		state->id = id;
		state->next = captures;
		captures = state;
	}
	if (!state->valid)
		load_capture(state);
	flinfo->fn_extra = state;
	return state;
}

static void
note_instant(FmgrInfo *flinfo, int32 capture, TimestampTz instant)
{
	CaptureState *state = find_capture(flinfo, capture);

	if (likely(instant >= state->from && instant < state->until))
	{
		if (likely(state->generation == ecs_notes_generation))
			return;
	}
	else if (TIMESTAMP_NOT_FINITE(instant))
		return;					/* lies in no bucket */
	else
	{
		/* empty while it is being changed */
		state->until = state->from;
		ecs_instant_day(&state->zone, instant, &state->day, &state->from, &state->until);
	}
	state->generation = 0;
	ecs_notes_add(capture, state->day);
	state->generation = ecs_notes_generation;
}

/* rollup_note(capture, at [, new_at]) → false.  No time lies in no bucket. */
Datum
ecs_rollup_note_instant(PG_FUNCTION_ARGS)
{
	for (int i = 1; i < PG_NARGS(); i++)
		if (!PG_ARGISNULL(0) && !PG_ARGISNULL(i))
			note_instant(fcinfo->flinfo, PG_GETARG_INT32(0), PG_GETARG_TIMESTAMPTZ(i));
	PG_RETURN_BOOL(false);
}

/* rollup_note(capture, day [, new_day]) → false */
Datum
ecs_rollup_note_day(PG_FUNCTION_ARGS)
{
	for (int i = 1; i < PG_NARGS(); i++)
		if (!PG_ARGISNULL(0) && !PG_ARGISNULL(i) && !DATE_NOT_FINITE(PG_GETARG_DATEADT(i)))
			ecs_notes_add(find_capture(fcinfo->flinfo, PG_GETARG_INT32(0))->id, PG_GETARG_DATEADT(i));
	PG_RETURN_BOOL(false);
}

/* rollup_trigger() → trigger: its condition is never true */
Datum
ecs_rollup_trigger(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("rollup_trigger() can only be called as a trigger")));
	return PointerGetDatum(NULL);
}
