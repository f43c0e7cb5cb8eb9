/*
 * log.c
 *		The notes of a transaction become rows of rollup_log, if none is there yet.
 *
 * rollup_log has no index, no trigger and no rights for anybody, and needs none:
 * a row is written by heap_insert() just before its transaction commits.
 *
 * A row says "somebody touched this day since the last refresh".  While one is
 * there, the next transaction that touches the day need not say it again: the
 * row is committed, and is not deleted before a refresh comes.  So a backend
 * remembers where its last rows went and, if one is still there, leaves it at
 * that: a thousand small transactions between two refreshes write one row.
 *
 * Exactness then rests on an order.  The transaction that relies on a row
 *
 *		takes a weak lock on the table rollup_gate, and keeps it until it has ended;
 *		sees that the row is not deleted, not even by somebody at work;
 *		commits.
 *
 * A refresh that moves notes to what is pending (refresh.c, move_notes())
 *
 *		deletes the rows it sees;
 *		waits for whoever holds that lock now (ecs_log_settle());
 *		marks the buckets of the rollups that it sees then;
 *		commits, and computes with a later snapshot.
 *
 * Who looked before the deletion is waited for, so that its events are computed;
 * who looks after it finds the row deleted and writes its own.  A rollup that is
 * made in between is either seen by the marks or computed for the first time when
 * all of that is visible.  The lock is held for the length of a commit, so the
 * wait is short; nobody queues behind it, as the refresh does not ask for the
 * lock, and writers never wait.  rollup_gate holds nothing and has no other use.
 * A transaction that is prepared writes its rows, always, and keeps no lock.
 *
 * The look at a row needs no lock on rollup_log: opening a table would cost more
 * than all the rest.  A pin keeps the page from being dropped or tidied up.  If
 * VACUUM FULL has moved the rows elsewhere, either its invalidation is read when
 * the gate's lock is taken, or it ends later, and so does the deletion of a row
 * in the new file, which then waits for us.
 *
 * After a crash the order of the WAL is the order of commits: if the relying
 * transaction is there, so is the row.  For a reader's snapshot, an event is
 * there only with its row, or with the pending bucket that it became.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "rollup/rollup.h"

/* Where the row of a note went; a hint that is checked before use */
typedef struct LoggedNote
{
	EcsNote		note;
	RelFileLocator file;
	ItemPointerData tid;
	Buffer		buffer;			/* invalid: none is known */
} LoggedNote;

#define LOGGED_NOTES	16		/* a power of 2 */

static LoggedNote logged[LOGGED_NOTES];

/* Looked up once; invalid: not looked up */
static Oid	log_relid = InvalidOid;
static Oid	gate_relid = InvalidOid;

static void
at_invalidation(Datum arg, Oid relid)
{
	(void) arg;
	if (OidIsValid(relid) && relid != gate_relid && relid != log_relid)
		return;
	gate_relid = log_relid = InvalidOid;
	memset(logged, 0, sizeof(logged));
}

/* Copies, since taking a lock may process invalidations */
static bool
find_tables(Oid *log, Oid *gate)
{
	static bool registered = false;

	if (!registered)
		CacheRegisterRelcacheCallback(at_invalidation, (Datum) 0);
	registered = true;
	if (!OidIsValid(log_relid))
	{
		gate_relid = ecs_extension_table("rollup_gate");
		log_relid = ecs_extension_table("rollup_log");
	}
	*log = log_relid;
	*gate = gate_relid;
	return OidIsValid(*log) && OidIsValid(*gate);
}

static LoggedNote *
slot_of(const EcsNote *note)
{
	return &logged[hash_combine(note->capture, murmurhash32((uint32) note->day)) & (LOGGED_NOTES - 1)];
}

static bool
same_note(const EcsNote *a, const EcsNote *b)
{
	return a->capture == b->capture && a->day == b->day;
}

/* Does a page hold, at that place, a committed row of this note that nobody is deleting? */
static bool
page_has_row(Buffer buffer, const LoggedNote *hint)
{
	Page		page = BufferGetPage(buffer);
	OffsetNumber offset = ItemPointerGetOffsetNumber(&hint->tid);
	ItemId		item;
	HeapTupleData tuple;
	SnapshotData dirty;

	if (offset > PageGetMaxOffsetNumber(page))
		return false;
	item = PageGetItemId(page, offset);
	if (!ItemIdIsNormal(item))
		return false;
	tuple.t_data = (HeapTupleHeader) PageGetItem(page, item);
	tuple.t_len = ItemIdGetLength(item);
	tuple.t_tableOid = log_relid;
	tuple.t_self = hint->tid;
	InitDirtySnapshot(dirty);
	/* a row of two columns that are not null is laid out as an EcsNote */
	return HeapTupleSatisfiesVisibility(&tuple, &dirty, buffer) &&
		!TransactionIdIsValid(dirty.xmin) && !TransactionIdIsValid(dirty.xmax) &&
		same_note((EcsNote *) GETSTRUCT(&tuple), &hint->note);
}

static bool
is_logged(const EcsNote *note)
{
	const LoggedNote *hint = slot_of(note);
	bool		found;

	if (!BufferIsValid(hint->buffer) || !same_note(&hint->note, note) ||
		!ReadRecentBuffer(hint->file, MAIN_FORKNUM, ItemPointerGetBlockNumber(&hint->tid), hint->buffer))
		return false;
	LockBuffer(hint->buffer, BUFFER_LOCK_SHARE);
	found = page_has_row(hint->buffer, hint);
	UnlockReleaseBuffer(hint->buffer);
	return found;
}

static void
insert_row(Relation log, const EcsNote *note)
{
	Datum		values[2] = {Int32GetDatum(note->capture), DateADTGetDatum(note->day)};
	bool		nulls[2] = {false, false};
	HeapTuple	tuple = heap_form_tuple(RelationGetDescr(log), values, nulls);
	LoggedNote *hint = slot_of(note);

	heap_insert(log, tuple, GetCurrentCommandId(true), 0, NULL);
	hint->note = *note;
	hint->file = log->rd_locator;
	hint->tid = tuple->t_self;
	hint->buffer = ReadBuffer(log, ItemPointerGetBlockNumber(&hint->tid));
	ReleaseBuffer(hint->buffer);
	heap_freetuple(tuple);
}

/* Called before commit or prepare */
void
ecs_log_write(const EcsListedNote *notes, int count, bool preparing)
{
	Relation	log = NULL;
	Oid			log_oid;
	Oid			gate_oid;

	if (!find_tables(&log_oid, &gate_oid))
		return;					/* this transaction dropped the extension */
	if (!preparing)
		LockRelationOid(gate_oid, RowExclusiveLock);	/* until the end */
	for (int i = 0; i < count; i++)
	{
		if (!preparing && is_logged(&notes[i].note))
			continue;
		if (log == NULL)
			log = table_open(log_oid, RowExclusiveLock);
		insert_row(log, &notes[i].note);
	}
	if (log != NULL)
		table_close(log, NoLock);
}

/* After a deletion of rows: wait for the transactions that may have relied on them */
void
ecs_log_settle(void)
{
	LOCKTAG		tag;
	Oid			log_oid;
	Oid			gate_oid;

	if (!find_tables(&log_oid, &gate_oid))
		elog(ERROR, "the tables of the registry are gone");
	SET_LOCKTAG_RELATION(tag, MyDatabaseId, gate_oid);
	WaitForLockers(tag, ShareLock, false);
}
