/*
 * note.c
 *		Capture: a transaction notes which days of a source it touched.
 *
 * Each source carries AFTER ROW triggers for INSERT, UPDATE and DELETE whose
 * WHEN clause is rollup_note(capture, zone, NEW.column).  That function keeps,
 * in this backend and for this transaction, the set of (capture, day) seen so
 * far, and is true only for a day that is new: so one event is queued per day,
 * not per row, a COPY keeps its multi-insert path, and what a row costs is one
 * function call that compares its time with the stretch of the day before.  The
 * trigger then writes the new notes into the table rollup_log by heap_insert():
 * the log has no index, no trigger and no rights for anybody, and needs none.
 *
 * Row triggers, because they are cloned to every partition, present and future,
 * fire for DML on a leaf and, being ENABLE ALWAYS, in a logical apply worker.
 * The event and its note commit, abort, are prepared and recover together: that
 * is all that exactness rests on.  What row triggers cannot see (TRUNCATE,
 * ATTACH, DETACH, DROP) is found by leaves.c.
 *
 * Subtransactions.  A note belongs to the subtransaction that made it.  Ids of
 * subtransactions grow, so what a subtransaction and its children noted is a
 * suffix of the list: given to the parent at its end, forgotten if it aborts.
 *
 * A call of rollup_note() from elsewhere claims a day that no trigger writes.
 * So whatever is not written is written before commit or prepare: such a call
 * can cause a needless refresh of a bucket and never hides an event.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "rollup/rollup.h"

PG_FUNCTION_INFO_V1(ecs_rollup_note_instant);
PG_FUNCTION_INFO_V1(ecs_rollup_note_instants);
PG_FUNCTION_INFO_V1(ecs_rollup_note_day);
PG_FUNCTION_INFO_V1(ecs_rollup_note_days);
PG_FUNCTION_INFO_V1(ecs_rollup_trigger);
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

static struct
{
	notes_hash *set;			/* NULL: nothing noted, and no memory held */
	ListedNote *list;
	int			count;
	int			written;		/* so many of the list are in the log */
	int			room;
} touched;

/* Changes whenever notes are forgotten, so that nobody trusts an old answer */
static uint64 generation = 0;

/* What a WHEN clause remembers from row to row, in fn_extra */
typedef struct NoteCache
{
	EcsZone		zone;
	uint64		generation;
	int32		capture;
	TimestampTz from;			/* the day noted last is [from, until) */
	TimestampTz until;
} NoteCache;

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

	if (touched.written == touched.count)
		return;
	log = table_open(get_relname_relid("rollup_log", get_namespace_oid(ECS_SCHEMA, false)),
					 RowExclusiveLock);
	for (; touched.written < touched.count; touched.written++)
	{
		const Note *note = &touched.list[touched.written].note;
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
		touched.written = Min(touched.written, touched.count);
		generation++;
	}
}

/* Is this day touched for the first time?  Then it is noted from now on. */
static bool
note_day(int32 capture, DateADT day)
{
	static bool registered = false;
	Note		note = {capture, day};
	bool		found;

	if (!registered)
	{
		RegisterXactCallback(at_xact, NULL);
		RegisterSubXactCallback(at_subxact, NULL);
		registered = true;
	}
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
		return false;
	touched.list[touched.count].note = note;
	touched.list[touched.count].subid = GetCurrentSubTransactionId();
	touched.count++;
	return true;
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

static bool
note_instant(FmgrInfo *flinfo, int32 capture, text *zone, TimestampTz instant)
{
	NoteCache  *cache = flinfo->fn_extra;
	DateADT		day;
	bool		first;

	if (likely(cache != NULL && instant >= cache->from && instant < cache->until &&
			   cache->generation == generation && cache->capture == capture))
		return false;
	if (TIMESTAMP_NOT_FINITE(instant))
		return false;			/* lies in no bucket */
	if (cache == NULL)
	{
		/* the zone is a constant of the WHEN clause */
		cache = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(NoteCache));
		ecs_zone_init(&cache->zone, text_to_cstring(zone));
		flinfo->fn_extra = cache;
	}
	cache->from = cache->until = 0;
	ecs_instant_day(&cache->zone, instant, &day, &cache->from, &cache->until);
	first = note_day(capture, day);
	cache->capture = capture;
	cache->generation = generation;
	return first;
}

/* rollup_note(capture, zone, at) → boolean */
Datum
ecs_rollup_note_instant(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_BOOL(false);	/* no time lies in no bucket */
	PG_RETURN_BOOL(note_instant(fcinfo->flinfo, PG_GETARG_INT32(0), PG_GETARG_TEXT_PP(1),
								PG_GETARG_TIMESTAMPTZ(2)));
}

/* rollup_note(capture, zone, old, new) → boolean */
Datum
ecs_rollup_note_instants(PG_FUNCTION_ARGS)
{
	bool		first = false;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_BOOL(false);
	for (int i = 2; i < 4; i++)
		if (!PG_ARGISNULL(i))
			first |= note_instant(fcinfo->flinfo, PG_GETARG_INT32(0), PG_GETARG_TEXT_PP(1),
								  PG_GETARG_TIMESTAMPTZ(i));
	PG_RETURN_BOOL(first);
}

/* rollup_note(capture, day) → boolean */
Datum
ecs_rollup_note_day(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || DATE_NOT_FINITE(PG_GETARG_DATEADT(1)))
		PG_RETURN_BOOL(false);
	PG_RETURN_BOOL(note_day(PG_GETARG_INT32(0), PG_GETARG_DATEADT(1)));
}

/* rollup_note(capture, old_day, new_day) → boolean */
Datum
ecs_rollup_note_days(PG_FUNCTION_ARGS)
{
	bool		first = false;

	if (PG_ARGISNULL(0))
		PG_RETURN_BOOL(false);
	for (int i = 1; i < 3; i++)
		if (!PG_ARGISNULL(i) && !DATE_NOT_FINITE(PG_GETARG_DATEADT(i)))
			first |= note_day(PG_GETARG_INT32(0), PG_GETARG_DATEADT(i));
	PG_RETURN_BOOL(first);
}

/* rollup_trigger() → trigger */
Datum
ecs_rollup_trigger(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("rollup_trigger() can only be called as a trigger")));
	write_notes();
	return PointerGetDatum(NULL);
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
