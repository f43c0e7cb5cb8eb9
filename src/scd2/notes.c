/*
 * notes.c
 *		Which current versions this transaction started.
 *
 * One transaction makes one version of a key, so it must know which current
 * versions it started itself.  xmin does not tell: an update in place of a
 * type 1 column sets it too.  So each start is noted as (hash of root and key)
 * -> valid_from; the version in hand is mine if its valid_from is the noted
 * one.  Notes of a subtransaction are undone when it aborts.
 *
 * An INSERT is noted before it is known whether the row goes in: ON CONFLICT
 * may find another, which begins at the same moment.  Such a note holds for a
 * row that has the xmin of this transaction too, and becomes an ordinary one
 * when that is seen or the INSERT is through.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "utils/datum.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "scd2/scd2.h"

typedef struct Note
{
	uint64		key;
	TimestampTz from;			/* NOTE_NONE: no longer mine */
	bool		tried;			/* by an INSERT that may not have come to pass */
	char		status;
} Note;

#define NOTE_NONE DT_NOEND

#define SH_PREFIX note
#define SH_ELEMENT_TYPE Note
#define SH_KEY_TYPE uint64
#define SH_KEY key
#define SH_HASH_KEY(tb, k) ((uint32) (k))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* What a note was before a subtransaction changed it */
typedef struct NoteUndo
{
	uint64		key;
	TimestampTz from;
	bool		tried;
	int			level;
} NoteUndo;

static note_hash * notes = NULL;	/* in TopTransactionContext, as is the
									 * next */
static NoteUndo *undo = NULL;
static int	undo_count = 0;
static int	undo_size = 0;
static bool tried_any = false;
static bool changed_inside = false;
static bool callbacks_registered = false;

static TimestampTz
noted_start(uint64 key)
{
	Note	   *note = notes ? note_lookup(notes, key) : NULL;

	return note && !note->tried ? note->from : NOTE_NONE;
}

static void
forget_notes(XactEvent event, void *arg)
{
	(void) arg;
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
	{
		notes = NULL;
		undo = NULL;
		undo_count = undo_size = 0;
		tried_any = changed_inside = false;
	}
}

static void
end_subtransaction(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	(void) id;
	(void) parent;
	(void) arg;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		while (undo_count > 0 && undo[undo_count - 1].level >= level)
		{
			NoteUndo   *last = &undo[--undo_count];
			Note	   *note = note_lookup(notes, last->key);

			note->from = last->from;
			note->tried = last->tried;
		}
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		for (int i = undo_count - 1; i >= 0 && undo[i].level >= level; i--)
			undo[i].level = level - 1;
}

static void
note_start(uint64 key, TimestampTz from, bool tried)
{
	int			level = GetCurrentTransactionNestLevel();
	Note	   *note;
	bool		found;

	if (!callbacks_registered)
	{
		RegisterXactCallback(forget_notes, NULL);
		RegisterSubXactCallback(end_subtransaction, NULL);
		callbacks_registered = true;
	}
	if (notes == NULL)
		notes = note_create(TopTransactionContext, 64, NULL);
	if (level > 1 && undo_count == undo_size)
	{
		int			size = Max(64, undo_size * 2);

		undo = undo ? repalloc_huge(undo, size * sizeof(NoteUndo))
			: MemoryContextAlloc(TopTransactionContext, size * sizeof(NoteUndo));
		undo_size = size;
	}
	note = note_insert(notes, key, &found);
	if (!found)
		note->from = NOTE_NONE;
	if (level > 1)
		undo[undo_count++] = (NoteUndo)
	{
		key, note->from, found && note->tried, level
	};
	note->from = from;
	note->tried = tried;
}

/* The name of a key among the notes, however it is spelled: collisions of 64 bits are not feared */
static uint64
key_hash(const EcsScd2 *table, const Datum *values)
{
	uint64		hash = table->root;

	for (int i = 0; i < table->nkeys; i++)
	{
		const EcsScd2Column *column = &table->columns[table->keys[i] - 1];
		Datum		value = values[table->keys[i] - 1];
		uint64		part;

		if (column->byval)
			part = hash_bytes_extended((unsigned char *) &value, sizeof(value), 0);
		else if (OidIsValid(column->hash_fn.fn_oid))
			part = DatumGetUInt64(FunctionCall2Coll(unconstify(FmgrInfo *, &column->hash_fn), column->collation, value, UInt64GetDatum(0)));
		else if (column->len == -1)
		{
			struct varlena *bytes = PG_DETOAST_DATUM_PACKED(value);

			part = hash_bytes_extended((unsigned char *) VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), 0);
		}
		else
			part = hash_bytes_extended((unsigned char *) DatumGetPointer(value),
									   (int) datumGetSize(value, false, column->len), 0);
		hash = hash_combine64(hash, part);
	}
	return hash;
}


TimestampTz
ecs_scd2_start_after(TimestampTz from)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();

	return now > from ? now : from + 1;
}

bool
ecs_scd2_is_mine(const EcsScd2 *table, const Datum *values, TimestampTz from)
{
	return notes != NULL && noted_start(key_hash(table, values)) == from;
}

void
ecs_scd2_settle(const EcsScd2 *table, const Datum *values, TimestampTz from, TransactionId xmin)
{
	uint64		key;
	Note	   *note;

	if (!tried_any)
		return;
	key = key_hash(table, values);
	note = note_lookup(notes, key);
	if (note && note->tried && note->from == from && TransactionIdIsCurrentTransactionId(xmin))
		note_start(key, from, false);
}

bool
ecs_scd2_has_started(void)
{
	return notes != NULL;
}

void
ecs_scd2_note_started(const EcsScd2 *table, const Datum *values, TimestampTz from)
{
	note_start(key_hash(table, values), from, false);
}

void
ecs_scd2_note_tried(const EcsScd2 *table, const Datum *values, TimestampTz from)
{
	uint64		key = key_hash(table, values);

	if (noted_start(key) == NOTE_NONE)
		note_start(key, from, true);
	tried_any = true;
}

void
ecs_scd2_note_ended(const EcsScd2 *table, const Datum *values)
{
	note_start(key_hash(table, values), NOTE_NONE, false);
}

void
ecs_scd2_note_changed_inside(void)
{
	changed_inside = true;
}

bool
ecs_scd2_changed_inside(void)
{
	return changed_inside;
}

TimestampTz
ecs_scd2_next_start(const EcsScd2 *table, const Datum *values, TimestampTz started)
{
	uint64		key = key_hash(table, values);

	if (noted_start(key) != started)
	{
		started = ecs_scd2_start_after(started);
		note_start(key, started, false);
	}
	return started;
}
