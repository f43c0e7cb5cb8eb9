/*
 * notes.c
 *		The days of sources that the current transaction touched.
 *
 * A set of (capture, day), in memory.  Before commit or prepare it goes to the
 * table rollup_log (log.c), so that an event and its note commit, abort, are
 * prepared and recover together.
 *
 * A note belongs to the subtransaction that made it.  Ids of subtransactions
 * grow, so what one and its children noted, whether these have ended or not, is
 * the end of the list: what has its id or a greater one.  If it aborts, that is
 * forgotten; if it commits, nothing is to be done.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "rollup/rollup.h"

PG_FUNCTION_INFO_V1(ecs_rollup_unwritten);

typedef struct NoteEntry
{
	EcsNote		note;
	char		status;			/* used by simplehash */
} NoteEntry;

#define SH_PREFIX notes
#define SH_ELEMENT_TYPE NoteEntry
#define SH_KEY_TYPE EcsNote
#define SH_KEY note
#define SH_HASH_KEY(tb, key) hash_combine(murmurhash32((uint32) (key).capture), murmurhash32((uint32) (key).day))
#define SH_EQUAL(tb, a, b) ((a).capture == (b).capture && (a).day == (b).day)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/*
 * The notes in the order in which they were made, and once they are too many to
 * be searched one by one, the set of them.
 */
#define SEARCHED_NOTES	16

typedef struct NoteSet
{
	EcsListedNote *list;
	int			count;
	int			room;			/* 0: no memory is held */
	notes_hash *set;
} NoteSet;

static NoteSet touched;

/* Changes whenever notes are forgotten, so that nobody trusts an old answer */
uint64		ecs_notes_generation = 1;

static void
forget_all(void)
{
	memset(&touched, 0, sizeof(touched));
	ecs_notes_generation++;
}

static void
at_xact(XactEvent event, void *arg)
{
	(void) arg;
	if (touched.room == 0)
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			if (touched.count > 0)
				ecs_log_write(touched.list, touched.count, event == XACT_EVENT_PRE_PREPARE);
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
	(void) parent;
	if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	while (touched.count > 0 && touched.list[touched.count - 1].subid >= subid)
	{
		touched.count--;
		if (touched.set != NULL)
			notes_delete(touched.set, touched.list[touched.count].note);
	}
	ecs_notes_generation++;
}

static void
register_callbacks(void)
{
	static bool registered = false;

	if (registered)
		return;
	RegisterXactCallback(at_xact, NULL);
	RegisterSubXactCallback(at_subxact, NULL);
	registered = true;
}

static bool
is_noted(const EcsNote *note)
{
	if (touched.set != NULL)
		return notes_lookup(touched.set, *note) != NULL;
	for (int i = 0; i < touched.count; i++)
	{
		if (touched.list[i].note.capture == note->capture && touched.list[i].note.day == note->day)
			return true;
	}
	return false;
}

/* Memory goes with TopTransactionContext */
static void
make_room(void)
{
	bool		found;

	if (touched.room == 0)
	{
		touched.list = MemoryContextAlloc(TopTransactionContext, SEARCHED_NOTES * sizeof(EcsListedNote));
		touched.room = SEARCHED_NOTES;
		return;
	}
	touched.list = repalloc_huge(touched.list, 2 * (Size) touched.room * sizeof(EcsListedNote));
	touched.room *= 2;
	if (touched.set != NULL)
		return;
	touched.set = notes_create(TopTransactionContext, touched.room, NULL);
	for (int i = 0; i < touched.count; i++)
		(void) notes_insert(touched.set, touched.list[i].note, &found);
}

void
ecs_notes_add(int32 capture, DateADT day)
{
	EcsNote		note = {capture, day};
	bool		found;

	register_callbacks();
	if (is_noted(&note))
		return;
	PreventCommandIfReadOnly("rollup_note()");
	/* room first: an error here must not leave a note that is not listed */
	if (touched.count == touched.room)
		make_room();
	if (touched.set != NULL)
		(void) notes_insert(touched.set, note, &found);
	touched.list[touched.count].note = note;
	touched.list[touched.count].subid = GetCurrentSubTransactionId();
	touched.count++;
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
