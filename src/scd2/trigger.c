/*
 * trigger.c
 *		Versions from plain DML on a versioned table.
 *
 * The current row of a key stays in place and takes the new values; the values
 * it had are copied beside it as a closed version.  A BEFORE ROW trigger gives
 * the row its period, AFTER STATEMENT triggers write the closed copies, from
 * the OLD transition table: what really was replaced, whatever other triggers,
 * ON CONFLICT or MERGE did meanwhile.
 *
 * One transaction makes one version of a key, so it must know which current
 * versions it started itself.  xmin does not tell: an update in place of a
 * type 1 column sets it too.  So each start is noted as (hash of root and key)
 * -> valid_from; the version in hand is mine if its valid_from is the noted
 * one.  Notes of a subtransaction are undone when it aborts.
 *
 * Locking: the row lock of the current version is the lock of its key.  Where a
 * key has none, the row of the hub is: a plain INSERT finds out afterwards, with
 * the hub row locked and in a later snapshot, where the last version ended.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "scd2/scd2.h"

PG_FUNCTION_INFO_V1(ecs_scd2_version_row);
PG_FUNCTION_INFO_V1(ecs_scd2_version_statement);

/*
 * Notes
 */
typedef struct Note
{
	uint64		key;
	TimestampTz from;			/* NOTE_NONE: no longer mine */
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
	int			level;
} NoteUndo;

static note_hash * notes = NULL;	/* in TopTransactionContext, as is the
									 * next */
static NoteUndo *undo = NULL;
static int	undo_count = 0;
static int	undo_size = 0;
static bool callbacks_registered = false;

static TimestampTz
noted_start(uint64 key)
{
	Note	   *note = notes ? note_lookup(notes, key) : NULL;

	return note ? note->from : NOTE_NONE;
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

			note_lookup(notes, last->key)->from = last->from;
		}
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		for (int i = undo_count - 1; i >= 0 && undo[i].level >= level; i--)
			undo[i].level = level - 1;
}

static void
note_start(uint64 key, TimestampTz from)
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
		key, note->from, level
	};
	note->from = from;
}

/* The name of a key among the notes: collisions of 64 bits are not feared */
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

/*
 * Running statements
 */
static EcsScd2Running running;

static int
trigger_depth(void)
{
	LOCAL_FCINFO(fcinfo, 0);

	InitFunctionCallInfoData(*fcinfo, NULL, 0, InvalidOid, NULL, NULL);
	return DatumGetInt32(pg_trigger_depth(fcinfo));
}

EcsScd2Mode
ecs_scd2_mode(const EcsScd2 *table)
{
	if (running.root != table->root || trigger_depth() != running.depth)
		return ECS_SCD2_PLAIN;
	return running.mode;
}

void
ecs_scd2_enter(EcsScd2Running *outer, const EcsScd2 *table, EcsScd2Mode mode)
{
	*outer = running;
	running = (EcsScd2Running)
	{
		table->root, mode, trigger_depth() + 1
	};
}

void
ecs_scd2_leave(const EcsScd2Running *outer)
{
	running = *outer;
}

uint64
ecs_scd2_run(EcsScd2 *table, SPIPlanPtr plan, Datum *values, const char *nulls,
			 EcsScd2Mode mode, Oid role, Snapshot snapshot)
{
	Oid			user;
	int			context;
	volatile int rc = 0;
	EcsScd2Running outer;

	GetUserIdAndSecContext(&user, &context);
	ecs_scd2_enter(&outer, table, mode);
	PG_TRY();
	{
		if (OidIsValid(role))
			SetUserIdAndSecContext(role, context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
		rc = SPI_execute_snapshot(plan, values, nulls, snapshot, InvalidSnapshot, false, true, 0);
	}
	PG_FINALLY();
	{
		ecs_scd2_leave(&outer);
		SetUserIdAndSecContext(user, context);
	}
	PG_END_TRY();
	if (rc < 0)
		elog(ERROR, "SPI_execute_snapshot returned %s", SPI_result_code_string(rc));
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

SPIPlanPtr
ecs_scd2_plan(EcsScd2 *table, EcsScd2Plan which, const char *sql, int nargs, Oid *types)
{
	SPIPlanPtr	plan = SPI_prepare(sql, nargs, types);

	if (plan == NULL)
		elog(ERROR, "SPI_prepare returned %s", SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);
	table->plans[which] = plan;
	return plan;
}

/*
 * The row trigger
 */
static char *
describe_key(const EcsScd2 *table, const Datum *values)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoChar(&text, '(');
	ecs_scd2_put_keys(&text, table, "");
	appendStringInfoString(&text, ")=(");
	for (int i = 0; i < table->nkeys; i++)
	{
		Oid			output;
		bool		varlena;

		getTypeOutputInfo(table->columns[table->keys[i] - 1].type, &output, &varlena);
		appendStringInfo(&text, "%s%s", i ? ", " : "",
						 OidOutputFunctionCall(output, values[table->keys[i] - 1]));
	}
	appendStringInfoChar(&text, ')');
	return text.data;
}

static void
reject_closed(const EcsScd2 *table, Relation rel, const Datum *values)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("cannot write a closed version of table \"%s\"", RelationGetRelationName(rel)),
			 errdetail("Key %s, version that ended at %s.", describe_key(table, values),
					   timestamptz_to_str(DatumGetTimestampTz(values[table->to - 1]))),
			 errhint("Write the current version (through the view of the current rows), give a late change to ecomsocial.scd2_upsert, "
					 "or as the table's owner SET LOCAL ecomsocial.versioning = off for a repair.")));
}

/* The moment at which a version that follows one begun at "from" may start, now or just after */
static TimestampTz
start_after(TimestampTz from)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();

	return now > from ? now : from + 1;
}

TimestampTz
ecs_scd2_next_start(const EcsScd2 *table, const Datum *values, TimestampTz started)
{
	uint64		key = key_hash(table, values);

	if (noted_start(key) != started)
	{
		started = start_after(started);
		note_start(key, started);
	}
	return started;
}

/* Whether this transaction started any version */
bool
ecs_scd2_has_started(void)
{
	return notes != NULL;
}

void
ecs_scd2_note_started(const EcsScd2 *table, const Datum *values, TimestampTz started)
{
	note_start(key_hash(table, values), started);
}

static void
check_not_future(const EcsScd2 *table, Relation rel, const Datum *values, TimestampTz from)
{
	if (from > GetCurrentTimestamp())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("effective time %s of table \"%s\" lies in the future",
						timestamptz_to_str(from), RelationGetRelationName(rel)),
				 errdetail("Key %s.", describe_key(table, values))));
}

static void
set_column(Datum *values, bool *nulls, AttrNumber attnum, Datum value)
{
	values[attnum - 1] = value;
	nulls[attnum - 1] = false;
}

/* A new row is current; it begins now unless it says otherwise */
static void
version_insert(const EcsScd2 *table, Relation rel, Datum *values, bool *nulls)
{
	TimestampTz from = GetCurrentTransactionStartTimestamp();

	if (!nulls[table->to - 1] && !TIMESTAMP_IS_NOEND(DatumGetTimestampTz(values[table->to - 1])))
		reject_closed(table, rel, values);
	if (!nulls[table->from - 1])
	{
		from = DatumGetTimestampTz(values[table->from - 1]);
		check_not_future(table, rel, values, from);
	}
	else if (table->created && !nulls[table->created - 1])
		from = Min(from, DatumGetTimestampTz(values[table->created - 1]));
	else if (table->open_start)
		from = DT_NOBEGIN;
	set_column(values, nulls, table->from, TimestampTzGetDatum(from));
	set_column(values, nulls, table->to, TimestampTzGetDatum(DT_NOEND));
	set_column(values, nulls, table->current, BoolGetDatum(true));
}

static void
version_update(const EcsScd2 *table, Relation rel, const Datum *old_values, const bool *old_nulls,
			   Datum *values, bool *nulls)
{
	TimestampTz old_from = DatumGetTimestampTz(old_values[table->from - 1]);
	TimestampTz from = old_from;
	bool		changed = false;
	uint64		key;

	if (!TIMESTAMP_IS_NOEND(DatumGetTimestampTz(old_values[table->to - 1])))
		reject_closed(table, rel, old_values);
	if (nulls[table->to - 1] || nulls[table->current - 1] ||
		!TIMESTAMP_IS_NOEND(DatumGetTimestampTz(values[table->to - 1])) || !DatumGetBool(values[table->current - 1]))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot end a version of table \"%s\" by an update", RelationGetRelationName(rel)),
				 errdetail("Key %s.", describe_key(table, old_values)),
				 errhint("DELETE the current row, or call ecomsocial.scd2_close.")));

	for (int i = 0; i < table->natts; i++)
	{
		const EcsScd2Column *column = &table->columns[i];

		if (column->role == ECS_SCD2_FIXED)
		{
			values[i] = old_values[i];
			nulls[i] = old_nulls[i];
		}
		else if ((column->role == ECS_SCD2_HISTORY && !changed) || column->role == ECS_SCD2_KEY)
		{
			if (ecs_scd2_same(column, old_values[i], old_nulls[i], values[i], nulls[i]))
				continue;
			changed = true;
			if (column->role == ECS_SCD2_KEY)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot change column \"%s\" of the key of versioned table \"%s\"",
								column->raw, RelationGetRelationName(rel)),
						 errdetail("Key %s.", describe_key(table, old_values)),
						 errhint("DELETE the row, and INSERT it with the new key.")));
		}
	}

	key = changed ? key_hash(table, old_values) : 0;
	if (changed && noted_start(key) != old_from)
	{
		TimestampTz given = nulls[table->from - 1] ? old_from : DatumGetTimestampTz(values[table->from - 1]);

		if (given < old_from)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("effective time %s is before the current version of table \"%s\"",
							timestamptz_to_str(given), RelationGetRelationName(rel)),
					 errdetail("Key %s.", describe_key(table, old_values)),
					 errhint("Give a late change to ecomsocial.scd2_upsert.")));
		if (given > old_from)
			check_not_future(table, rel, values, given);
		from = given > old_from ? given : start_after(old_from);
		note_start(key, from);
	}
	set_column(values, nulls, table->from, TimestampTzGetDatum(from));
}

/* Names the tuple's values; the arrays hold natts entries */
static void
deform(const EcsScd2 *table, Relation rel, HeapTuple tuple, Datum **values, bool **nulls)
{
	*values = palloc(table->natts * sizeof(Datum));
	*nulls = palloc(table->natts * sizeof(bool));
	heap_deform_tuple(tuple, RelationGetDescr(rel), *values, *nulls);
}

Datum
ecs_scd2_version_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Relation	rel;
	HeapTuple	result;
	EcsScd2    *table;
	Datum	   *values,
			   *old_values;
	bool	   *nulls,
			   *old_nulls;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigger->tg_event) || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function scd2_version_row() must be called as a BEFORE ROW trigger")));
	rel = trigger->tg_relation;
	result = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple;
	table = ecs_scd2_require(rel);
	if (ecs_scd2_mode(table) != ECS_SCD2_PLAIN || !ecs_scd2_versioning(rel))
		return PointerGetDatum(result);
	if (!table->guarded)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("partition \"%s\" lacks the triggers of versioned table %s", RelationGetRelationName(rel), table->name),
				 errhint("Call ecomsocial.scd2_refresh for the table after a partition was added.")));

	deform(table, rel, result, &values, &nulls);
	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		version_insert(table, rel, values, nulls);
	else if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
	{
		deform(table, rel, trigger->tg_trigtuple, &old_values, &old_nulls);
		version_update(table, rel, old_values, old_nulls, values, nulls);
	}
	else
	{
		if (!TIMESTAMP_IS_NOEND(DatumGetTimestampTz(values[table->to - 1])))
			reject_closed(table, rel, values);
		return PointerGetDatum(result);
	}
	return PointerGetDatum(heap_form_tuple(RelationGetDescr(rel), values, nulls));
}

/*
 * The statement trigger
 */
#define WRITABLE (~ECS_SCD2_MASK(ECS_SCD2_SKIP))

static void
rewind_store(Tuplestorestate *store)
{
	tuplestore_select_read_pointer(store, tuplestore_alloc_read_pointer(store, EXEC_FLAG_REWIND));
	tuplestore_rescan(store);
}

/*
 * The rows of OLD that end, with their end.  The two transition tables of an
 * update are filled pair by pair.  What I started myself leaves no copy.
 */
static Tuplestorestate *
collect_closed(EcsScd2 *table, TriggerData *trigger, EcsScd2Mode mode, bool *mine_changed, Tuplestorestate *unchanged)
{
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	Tuplestorestate *closed = tuplestore_begin_heap(false, false, work_mem);
	TupleTableSlot *old = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	TupleTableSlot *new = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	bool		update = trigger->tg_newtable != NULL;

	rewind_store(trigger->tg_oldtable);
	if (update)
		rewind_store(trigger->tg_newtable);
	while (tuplestore_gettupleslot(trigger->tg_oldtable, true, false, old))
	{
		TimestampTz from,
					to;

		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(old);
		from = DatumGetTimestampTz(old->tts_values[table->from - 1]);
		if (update)
		{
			bool		isnull;

			if (!tuplestore_gettupleslot(trigger->tg_newtable, true, false, new))
				elog(ERROR, "transition tables of \"%s\" differ in length", RelationGetRelationName(trigger->tg_relation));
			to = DatumGetTimestampTz(slot_getattr(new, table->from, &isnull));
			if (to == from)
			{
				if (mode == ECS_SCD2_PLAIN && noted_start(key_hash(table, old->tts_values)) == from)
					*mine_changed = true;
				else if (unchanged && mode == ECS_SCD2_PLAIN)
					tuplestore_puttupleslot(unchanged, old);
				continue;
			}
		}
		else
		{
			uint64		key = key_hash(table, old->tts_values);

			if (noted_start(key) == from)
			{
				note_start(key, NOTE_NONE);
				continue;
			}
			to = start_after(from);
		}
		old->tts_values[table->to - 1] = TimestampTzGetDatum(to);
		old->tts_values[table->current - 1] = BoolGetDatum(false);
		tuplestore_putvalues(closed, desc, old->tts_values, old->tts_isnull);
	}
	ExecDropSingleTupleTableSlot(old);
	ExecDropSingleTupleTableSlot(new);
	return closed;
}

static void
insert_closed(EcsScd2 *table, Relation rel, Tuplestorestate *closed)
{
	TupleDesc	desc = RelationGetDescr(rel);

	if (tuplestore_tuple_count(closed) == 0 || ecs_scd2_copy_directly(table, rel, closed))
		return;
	ecs_scd2_name_store("scd2_closed", desc, closed);
	if (table->plans[ECS_SCD2_COPY] == NULL)
	{
		StringInfoData sql;

		initStringInfo(&sql);
		appendStringInfo(&sql, "INSERT INTO %s (", table->name);
		ecs_scd2_put_columns(&sql, table, "", WRITABLE);
		appendStringInfoString(&sql, ") OVERRIDING SYSTEM VALUE SELECT ");
		ecs_scd2_put_columns(&sql, table, "", WRITABLE);
		appendStringInfoString(&sql, " FROM scd2_closed");
		ecs_scd2_plan(table, ECS_SCD2_COPY, sql.data, 0, NULL);
	}
	ecs_scd2_run(table, table->plans[ECS_SCD2_COPY], NULL, NULL, ECS_SCD2_COPYING, table->owner, InvalidSnapshot);
}

/*
 * Remember events that left no trace (kind 'row'), and the true time of events
 * whose version was made to begin earlier (kind 'first').
 */
static void
remember(EcsScd2 *table, TupleDesc desc, Tuplestorestate *events, const char *kind)
{
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(kind)};

	if (tuplestore_tuple_count(events) == 0)
		return;
	ecs_scd2_name_store("scd2_events", desc, events);
	if (table->plans[ECS_SCD2_REMEMBER] == NULL)
	{
		StringInfoData sql;

		initStringInfo(&sql);
		appendStringInfo(&sql, "INSERT INTO %s (", table->remembered_name);
		ecs_scd2_put_keys(&sql, table, "");
		appendStringInfoString(&sql, ", at, kind) SELECT ");
		ecs_scd2_put_keys(&sql, table, "");
		appendStringInfo(&sql, ", pg_catalog.now(), $1 FROM scd2_events WHERE %s OPERATOR(pg_catalog.<) pg_catalog.now() ON CONFLICT DO NOTHING",
						 table->columns[table->from - 1].name);
		ecs_scd2_plan(table, ECS_SCD2_REMEMBER, sql.data, 1, types);
	}
	ecs_scd2_run(table, table->plans[ECS_SCD2_REMEMBER], values, NULL, ECS_SCD2_PLAIN, table->owner, InvalidSnapshot);
}

/* Note the starts that a statement of ours returned: key columns, valid_from */
static void
renote_returned(EcsScd2 *table)
{
	Datum	   *values = palloc(table->natts * sizeof(Datum));

	for (uint64 row = 0; row < SPI_processed; row++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[row];
		bool		isnull;

		for (int i = 0; i < table->nkeys; i++)
			values[table->keys[i] - 1] = heap_getattr(tuple, i + 1, SPI_tuptable->tupdesc, &isnull);
		note_start(key_hash(table, values),
				   DatumGetTimestampTz(heap_getattr(tuple, table->nkeys + 1, SPI_tuptable->tupdesc, &isnull)));
	}
}

/*
 * Where a version that I started has the same history columns as the one that
 * ends at its start, the two are one: the row goes back to the earlier start.
 */
static void
join_equal(EcsScd2 *table)
{
	if (table->plans[ECS_SCD2_JOIN] == NULL)
	{
		const char *from = table->columns[table->from - 1].name;
		const char *to = table->columns[table->to - 1].name;
		StringInfoData sql;

		initStringInfo(&sql);
		appendStringInfo(&sql, "WITH gone AS (DELETE FROM %s c USING scd2_new n, %s t WHERE ", table->name, table->name);
		ecs_scd2_put_key_match(&sql, table, "t.", "n.");
		appendStringInfo(&sql, " AND t.%s OPERATOR(pg_catalog.=) 'infinity' AND ", to);
		ecs_scd2_put_key_match(&sql, table, "c.", "n.");
		appendStringInfo(&sql, " AND c.%s OPERATOR(pg_catalog.=) t.%s AND ", to, from);
		ecs_scd2_put_same(&sql, table, "c.", "t.", ECS_SCD2_MASK(ECS_SCD2_HISTORY));
		appendStringInfoString(&sql, " RETURNING ");
		ecs_scd2_put_keys(&sql, table, "c.");
		appendStringInfo(&sql, ", c.%s) UPDATE %s t SET %s = gone.%s FROM gone WHERE ", from, table->name, from, from);
		ecs_scd2_put_key_match(&sql, table, "t.", "gone.");
		appendStringInfo(&sql, " AND t.%s OPERATOR(pg_catalog.=) 'infinity' RETURNING ", to);
		ecs_scd2_put_keys(&sql, table, "t.");
		appendStringInfoString(&sql, ", 'infinity'::pg_catalog.timestamptz");
		ecs_scd2_plan(table, ECS_SCD2_JOIN, sql.data, 0, NULL);
	}
	/* the rows go on a version of another transaction: no longer mine */
	ecs_scd2_run(table, table->plans[ECS_SCD2_JOIN], NULL, NULL, ECS_SCD2_APPLYING, table->owner, InvalidSnapshot);
	renote_returned(table);
}

/*
 * Keys that had versions before: they begin where the last one ended, at the
 * earliest.  The hub rows are locked first, so that no late change and no close
 * of these keys is on its way; what they left is read by a later statement.
 */
static void
adjust_reopened(EcsScd2 *table)
{
	const char *from = table->columns[table->from - 1].name;
	const char *to = table->columns[table->to - 1].name;
	StringInfoData sql;

	initStringInfo(&sql);
	if (table->plans[ECS_SCD2_LOCK] == NULL)
	{
		appendStringInfo(&sql, "SELECT 1 FROM %s h, scd2_new n WHERE ", table->hub_name);
		ecs_scd2_put_key_match(&sql, table, "h.", "n.");
		appendStringInfoString(&sql, " ORDER BY ");
		ecs_scd2_put_keys(&sql, table, "h.");
		appendStringInfoString(&sql, " FOR NO KEY UPDATE OF h");
		ecs_scd2_plan(table, ECS_SCD2_LOCK, sql.data, 0, NULL);
	}
	if (table->plans[ECS_SCD2_ADJUST] == NULL)
	{
		resetStringInfo(&sql);
		appendStringInfo(&sql, "UPDATE %s t SET %s = CASE WHEN t.%s OPERATOR(pg_catalog.<) c.%s "
						 "THEN GREATEST(pg_catalog.now(), c.%s) ELSE t.%s END",
						 table->name, from, from, to, to, from);
		for (int i = 0; i < table->natts; i++)
			if (table->columns[i].role == ECS_SCD2_FIXED)
				appendStringInfo(&sql, ", %s = c.%s", table->columns[i].name, table->columns[i].name);
		appendStringInfo(&sql, " FROM scd2_new n CROSS JOIN LATERAL (SELECT * FROM %s l WHERE ", table->name);
		ecs_scd2_put_key_match(&sql, table, "l.", "n.");
		appendStringInfo(&sql, " AND l.%s OPERATOR(pg_catalog.<) 'infinity' ORDER BY l.%s DESC LIMIT 1) c WHERE ", to, to);
		ecs_scd2_put_key_match(&sql, table, "t.", "n.");
		appendStringInfo(&sql, " AND t.%s OPERATOR(pg_catalog.=) 'infinity' AND (t.%s OPERATOR(pg_catalog.<) c.%s OR NOT ", to, from, to);
		ecs_scd2_put_same(&sql, table, "t.", "c.", ECS_SCD2_MASK(ECS_SCD2_FIXED));
		appendStringInfoString(&sql, ") RETURNING ");
		ecs_scd2_put_keys(&sql, table, "t.");
		appendStringInfo(&sql, ", t.%s", from);
		ecs_scd2_plan(table, ECS_SCD2_ADJUST, sql.data, 0, NULL);
	}
	if (IsolationUsesXactSnapshot() && table->plans[ECS_SCD2_OVERLAP] == NULL)
	{
		resetStringInfo(&sql);
		appendStringInfo(&sql, "SELECT 1 FROM scd2_new n, %s t, %s c WHERE ", table->name, table->name);
		ecs_scd2_put_key_match(&sql, table, "t.", "n.");
		appendStringInfo(&sql, " AND t.%s OPERATOR(pg_catalog.=) 'infinity' AND ", to);
		ecs_scd2_put_key_match(&sql, table, "c.", "n.");
		appendStringInfo(&sql, " AND c.%s OPERATOR(pg_catalog.<) 'infinity' AND c.%s OPERATOR(pg_catalog.>) t.%s LIMIT 1", to, to, from);
		ecs_scd2_plan(table, ECS_SCD2_OVERLAP, sql.data, 0, NULL);
	}

	ecs_scd2_run(table, table->plans[ECS_SCD2_LOCK], NULL, NULL, ECS_SCD2_PLAIN, table->hub_owner, InvalidSnapshot);
	ecs_scd2_run(table, table->plans[ECS_SCD2_ADJUST], NULL, NULL, ECS_SCD2_APPLYING, table->owner, InvalidSnapshot);
	renote_returned(table);
	if (IsolationUsesXactSnapshot() &&
		ecs_scd2_run(table, table->plans[ECS_SCD2_OVERLAP], NULL, NULL, ECS_SCD2_PLAIN, table->owner, GetLatestSnapshot()) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent update"),
				 errdetail("A version of a key of table %s was closed meanwhile.", table->name)));
	join_equal(table);
}

/* Every key has its hub row; keys that had one already may have been closed before */
static void
after_insert(EcsScd2 *table, TriggerData *trigger, EcsScd2Mode mode)
{
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	int64		count = tuplestore_tuple_count(trigger->tg_newtable);
	uint64		inserted;

	if (count == 0)
		return;
	ecs_scd2_name_store("scd2_new", desc, trigger->tg_newtable);
	if (table->plans[ECS_SCD2_HUB] == NULL)
	{
		StringInfoData sql;

		initStringInfo(&sql);
		appendStringInfo(&sql, "INSERT INTO %s (", table->hub_name);
		ecs_scd2_put_keys(&sql, table, "");
		appendStringInfoString(&sql, ") SELECT ");
		ecs_scd2_put_keys(&sql, table, "");
		appendStringInfoString(&sql, " FROM scd2_new ORDER BY ");
		ecs_scd2_put_keys(&sql, table, "");
		appendStringInfoString(&sql, " ON CONFLICT DO NOTHING");
		ecs_scd2_plan(table, ECS_SCD2_HUB, sql.data, 0, NULL);
	}
	inserted = ecs_scd2_run(table, table->plans[ECS_SCD2_HUB], NULL, NULL, ECS_SCD2_PLAIN, table->hub_owner, InvalidSnapshot);

	if (mode == ECS_SCD2_PLAIN)
	{
		TupleTableSlot *slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);

		rewind_store(trigger->tg_newtable);
		while (tuplestore_gettupleslot(trigger->tg_newtable, true, false, slot))
		{
			CHECK_FOR_INTERRUPTS();
			slot_getallattrs(slot);
			note_start(key_hash(table, slot->tts_values), DatumGetTimestampTz(slot->tts_values[table->from - 1]));
		}
		ExecDropSingleTupleTableSlot(slot);
		if (table->remembered && (table->open_start || table->created))
			remember(table, desc, trigger->tg_newtable, "first");
		if (inserted < (uint64) count)
			adjust_reopened(table);
	}
}

static void
after_replace(EcsScd2 *table, TriggerData *trigger, EcsScd2Mode mode)
{
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	bool		mine_changed = false;
	Tuplestorestate *unchanged = table->remembered ? tuplestore_begin_heap(false, false, work_mem) : NULL;
	Tuplestorestate *closed = collect_closed(table, trigger, mode, &mine_changed, unchanged);

	insert_closed(table, trigger->tg_relation, closed);
	tuplestore_end(closed);
	if (unchanged)
	{
		remember(table, desc, unchanged, "row");
		tuplestore_end(unchanged);
	}
	if (mine_changed)
	{
		ecs_scd2_name_store("scd2_new", desc, trigger->tg_newtable);
		join_equal(table);
	}
}

Datum
ecs_scd2_version_statement(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	EcsScd2    *table;
	EcsScd2Mode mode;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event) || !TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function scd2_version_statement() must be called as an AFTER STATEMENT trigger")));
	table = ecs_scd2_require(trigger->tg_relation);
	mode = ecs_scd2_mode(table);
	if (mode == ECS_SCD2_COPYING || (mode == ECS_SCD2_PLAIN && !ecs_scd2_versioning(trigger->tg_relation)))
		return PointerGetDatum(NULL);

	SPI_connect();
	if (TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
	{
		if (table->remembered)
			ecs_scd2_run(table, SPI_prepare(psprintf("DELETE FROM %s", table->remembered_name), 0, NULL),
						 NULL, NULL, ECS_SCD2_PLAIN, table->owner, InvalidSnapshot);
	}
	else if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		after_insert(table, trigger, mode);
	else if (mode != ECS_SCD2_APPLYING && tuplestore_tuple_count(trigger->tg_oldtable) > 0)
		after_replace(table, trigger, mode);
	SPI_finish();
	return PointerGetDatum(NULL);
}
