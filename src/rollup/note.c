/*
 * note.c
 *		Capture: a transaction notes which days of a source it touched.
 *
 * Each source carries AFTER ROW triggers for INSERT, UPDATE and DELETE whose
 * WHEN clause is rollup_note(capture, NEW.column).  The clause does the work: it
 * adds the day to the set of (capture, day) that this backend keeps for its
 * transaction, and is never true, so that no event is queued, no trigger is
 * called, a COPY keeps its multi-insert path, and a row costs one function call
 * that compares its time with the stretch of the row before.  Before commit or
 * prepare the set is written into the table rollup_log by heap_insert(): the log
 * has no index, no trigger and no rights for anybody, and needs none.
 *
 * Row triggers, because they are cloned to every partition, present and future,
 * fire for DML on a leaf and, being ENABLE ALWAYS, in a logical apply worker.
 * The event and its note commit, abort, are prepared and recover together: that
 * is all that exactness rests on.  What row triggers cannot see (TRUNCATE,
 * ATTACH, DETACH, DROP) is found by leaves.c.
 *
 * Measured, of the time without triggers: COPY of a million rows 1.0 (a NEW
 * TABLE trigger 1.3 to 1.7, BEFORE ROW 1.4 to 1.7, AFTER ROW 1.5 to 1.9, the
 * first two because they end multi-insert); letting the trigger write the note
 * cost a single-row INSERT 3 % more than writing it at commit.
 *
 * Subtransactions.  A note belongs to the subtransaction that made it.  Ids of
 * subtransactions grow, so what a subtransaction and its children noted is a
 * suffix of the list: given to the parent at its end, forgotten if it aborts.
 *
 * The zone of a capture is read once in a backend: rows of rollup_capture never
 * change and their numbers are never used again.  What is kept is thrown away
 * when that table is invalidated, as by DROP EXTENSION.
 *
 * A call of rollup_note() from elsewhere can cause a needless refresh of a
 * bucket; nothing can hide an event.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "funcapi.h"
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
PG_FUNCTION_INFO_V1(ecs_rollup_unwritten);
PG_FUNCTION_INFO_V1(ecs_rollup_day);
PG_FUNCTION_INFO_V1(ecs_rollup_bucket);

/* A (capture, day) that this transaction touched */
typedef struct Note
{
	int32		capture;
	DateADT		day;
} Note;

typedef struct NoteEntry
{
	Note		note;
	char		status;			/* used by simplehash */
} NoteEntry;

#define SH_PREFIX notes
#define SH_ELEMENT_TYPE NoteEntry
#define SH_KEY_TYPE Note
#define SH_KEY note
#define SH_HASH_KEY(tb, key) hash_combine(murmurhash32((uint32) (key).capture), murmurhash32((uint32) (key).day))
#define SH_EQUAL(tb, a, b) ((a).capture == (b).capture && (a).day == (b).day)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* The same notes in the order in which they were made */
typedef struct ListedNote
{
	Note		note;
	SubTransactionId subid;
} ListedNote;

typedef struct NoteSet
{
	notes_hash *set;			/* NULL: nothing noted, and no memory held */
	ListedNote *list;
	int			count;
	int			room;
} NoteSet;

static NoteSet touched;

/* Changes whenever notes are forgotten, so that nobody trusts an old answer */
static uint64 generation = 1;

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

/* The tables of the registry, looked up once; invalid: not looked up */
static Oid	log_relid = InvalidOid;
static Oid	capture_relid = InvalidOid;

/* What rollup_day() remembers from row to row */
typedef struct DayCache
{
	text	   *name;			/* of the zone */
	EcsZone		zone;
	DateADT		day;
	TimestampTz from;			/* the day is [from, until) */
	TimestampTz until;
} DayCache;

static void
at_invalidation(Datum arg, Oid relid)
{
	(void) arg;
	if (OidIsValid(relid) && relid != capture_relid && relid != log_relid)
		return;
	capture_relid = log_relid = InvalidOid;
	for (CaptureState *state = captures; state != NULL; state = state->next)
		state->valid = false;
}

static void
find_registry(void)
{
	Oid			schema;

	if (OidIsValid(log_relid) && OidIsValid(capture_relid))
		return;
	schema = get_namespace_oid(ECS_SCHEMA, false);
	capture_relid = get_relname_relid("rollup_capture", schema);
	log_relid = get_relname_relid("rollup_log", schema);
}

static void
forget_all(void)
{
	/* the memory goes with TopTransactionContext */
	memset(&touched, 0, sizeof(touched));
	generation++;
}

static void
write_notes(void)
{
	Relation	log;

	find_registry();
	if (!OidIsValid(log_relid))
		return;					/* this transaction dropped the extension */
	log = table_open(log_relid, RowExclusiveLock);
	for (int i = 0; i < touched.count; i++)
	{
		const Note *note = &touched.list[i].note;
		Datum		values[2] = {Int32GetDatum(note->capture), DateADTGetDatum(note->day)};
		bool		nulls[2] = {false, false};
		HeapTuple	tuple = heap_form_tuple(RelationGetDescr(log), values, nulls);

		heap_insert(log, tuple, GetCurrentCommandId(true), 0, NULL);
		heap_freetuple(tuple);
	}
	table_close(log, RowExclusiveLock);
}

static void
at_xact(XactEvent event, void *arg)
{
	(void) arg;
	if (touched.set == NULL)
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			if (touched.count > 0)
				write_notes();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			forget_all();
			break;
		default:
			break;
	}
}

static void
at_subxact(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	(void) arg;
	if (touched.set == NULL)
		return;
	if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		for (int i = touched.count; i-- > 0 && touched.list[i].subid >= subid;)
			touched.list[i].subid = parent;
	}
	else if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		while (touched.count > 0 && touched.list[touched.count - 1].subid >= subid)
			notes_delete(touched.set, touched.list[--touched.count].note);
		generation++;
	}
}

static void
register_callbacks(void)
{
	static bool registered = false;

	if (registered)
		return;
	RegisterXactCallback(at_xact, NULL);
	RegisterSubXactCallback(at_subxact, NULL);
	CacheRegisterRelcacheCallback(at_invalidation, (Datum) 0);
	registered = true;
}

static void
note_day(int32 capture, DateADT day)
{
	Note		note = {capture, day};
	bool		found;

	register_callbacks();
	if (touched.set == NULL)
	{
		touched.room = 16;
		touched.list = MemoryContextAlloc(TopTransactionContext, touched.room * sizeof(ListedNote));
		touched.set = notes_create(TopTransactionContext, touched.room, NULL);
	}
	/* room first: an error here must not leave a note that is not listed */
	if (touched.count == touched.room)
	{
		touched.list = repalloc_huge(touched.list, 2 * (Size) touched.room * sizeof(ListedNote));
		touched.room *= 2;
	}
	notes_insert(touched.set, note, &found);
	if (found)
		return;
	touched.list[touched.count].note = note;
	touched.list[touched.count].subid = GetCurrentSubTransactionId();
	touched.count++;
}

/*
 * The day of an instant and its stretch [from, until).
 *
 * A bucket's query reads from one local midnight to the next, so this, and not
 * the date on the local clock, says which bucket an event belongs to.  The two
 * differ where clocks went back from shortly after midnight (St. John's until
 * 2011, at 00:01): a few minutes then carry the date of the coming day.
 */
void
ecs_instant_day(EcsZone *zone, TimestampTz instant, DateADT *day, TimestampTz *from, TimestampTz *until)
{
	DateADT		d = ecs_local_day(zone, instant);

	while ((*from = ecs_day_start(zone, d)) > instant)
		d--;
	while ((*until = ecs_day_start(zone, d + 1)) <= instant)
	{
		*from = *until;
		d++;
	}
	*day = d;
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
	bool		isnull;

	find_registry();
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
	ecs_zone_init(&state->zone, TextDatumGetCString(heap_getattr(tuple, 4, RelationGetDescr(rel), &isnull)));
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	state->from = state->until = 0;
	state->valid = true;
}

static CaptureState *
find_capture(FmgrInfo *flinfo, int32 id)
{
	CaptureState *state = flinfo->fn_extra;

	if (likely(state != NULL && state->id == id && state->valid))
		return state;
	register_callbacks();
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
		if (likely(state->generation == generation))
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
	note_day(capture, state->day);
	state->generation = generation;
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
			note_day(PG_GETARG_INT32(0), PG_GETARG_DATEADT(i));
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

/* rollup_unwritten() → setof (capture, day): noted by the current transaction */
Datum
ecs_rollup_unwritten(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < touched.count; i++)
	{
		Datum		values[2] = {Int32GetDatum(touched.list[i].note.capture), DateADTGetDatum(touched.list[i].note.day)};
		bool		nulls[2] = {false, false};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* rollup_day(at timestamptz, zone text) → date */
Datum
ecs_rollup_day(PG_FUNCTION_ARGS)
{
	TimestampTz instant = PG_GETARG_TIMESTAMPTZ(0);
	text	   *name = PG_GETARG_TEXT_PP(1);
	DayCache   *cache = fcinfo->flinfo->fn_extra;

	if (TIMESTAMP_IS_NOBEGIN(instant))
		PG_RETURN_DATEADT(DATEVAL_NOBEGIN);
	if (TIMESTAMP_IS_NOEND(instant))
		PG_RETURN_DATEADT(DATEVAL_NOEND);
	if (cache == NULL)
		cache = fcinfo->flinfo->fn_extra = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(DayCache));
	if (cache->name == NULL ||
		VARSIZE_ANY_EXHDR(cache->name) != VARSIZE_ANY_EXHDR(name) ||
		memcmp(VARDATA_ANY(cache->name), VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name)) != 0)
	{
		MemoryContext old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);

		ecs_zone_init(&cache->zone, text_to_cstring(name));
		cache->name = (text *) PG_DETOAST_DATUM_COPY(PointerGetDatum(name));
		cache->from = cache->until = 0;
		MemoryContextSwitchTo(old);
	}
	if (instant < cache->from || instant >= cache->until)
		ecs_instant_day(&cache->zone, instant, &cache->day, &cache->from, &cache->until);
	PG_RETURN_DATEADT(cache->day);
}

/* rollup_bucket(day, period, shift) → date */
Datum
ecs_rollup_bucket(PG_FUNCTION_ARGS)
{
	DateADT		day = PG_GETARG_DATEADT(0);
	EcsPeriod	period = ecs_period_from_enum(PG_GETARG_OID(1));
	int32		shift = PG_GETARG_INT32(2);

	if (DATE_NOT_FINITE(day))
		PG_RETURN_DATEADT(day);
	if (shift < -1 || shift > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a bucket is shifted by -1, 0 or 1")));
	PG_RETURN_DATEADT(ecs_period_start(period, ecs_period_index(period, day) + shift));
}
