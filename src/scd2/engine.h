/*
 * engine.h
 *		Events, and what they do to a versioned table: behind scd2_merge,
 *		scd2_upsert and scd2_close.
 */
#ifndef ECS_SCD2_ENGINE_H
#define ECS_SCD2_ENGINE_H

#include "scd2/scd2.h"
#include "utils/jsonb.h"

/* In the order of the SQL enum "scd2_action" */
typedef enum EcsScd2Action
{
	ECS_SCD2_INSERTED,
	ECS_SCD2_CHANGED,
	ECS_SCD2_OVERWRITTEN,
	ECS_SCD2_UNCHANGED,
	ECS_SCD2_CLOSED,
	ECS_SCD2_REOPENED,
	ECS_SCD2_LATE,
	ECS_SCD2_IGNORED,
	ECS_SCD2_ACTIONS
} EcsScd2Action;

/*
 * Events for one table.  "given" tells which columns they bring.
 */
typedef struct EcsScd2Batch
{
	EcsScd2    *table;
	Relation	rel;
	bool	   *given;			/* by attribute number - 1 */
	bool		timed;			/* the events bring their time */
	bool		unknown;		/* the keys were never seen, whatever the hub
								 * says by now */
	uint64		counts[ECS_SCD2_ACTIONS];
	List	   *sorters;		/* whose stores are to be ended */
} EcsScd2Batch;

/* What is to be done with an event: the classes of the sorters */
enum
{
	ECS_CLASS_CHANGED = 'c',
	ECS_CLASS_OVERWRITTEN = 'o',
	ECS_CLASS_UNCHANGED = 'u',
	ECS_CLASS_REPEATED = 'e',	/* the same event again */
	ECS_CLASS_NEW = 'n',		/* its key has no current version */
	ECS_CLASS_INNER = 'l',		/* older than the current version */
	ECS_CLASS_DELETE = 'd',
	ECS_CLASS_IGNORED = 'i',
	ECS_CLASS_REST = 'r'		/* to be folded */
};

/*
 * batch.c
 *
 * The caller's rights are checked, and the table is locked.  The end comes
 * within the SPI connection, where there was one.
 */
extern void ecs_scd2_begin(EcsScd2Batch *batch, Oid relid, LOCKMODE lock, AclMode needed);
extern void ecs_scd2_end(EcsScd2Batch *batch);

/* An effective time is finite and not in the future */
extern void ecs_scd2_check_time(Relation rel, TimestampTz at);

/*
 * Rows of events in tuplestores, one for each class.  All have one shape: the
 * class, of type "char"; the columns with values of their own; {'at}, the
 * effective time; {'del}, whether the event is a delete; perhaps more.
 */
typedef struct EcsScd2Sorter
{
	TupleDesc	desc;
	Tuplestorestate *stores[128];
	uint64		counts[128];
	MemoryContext context;
	EcsScd2Batch *check;		/* events to be checked as they come in */
} EcsScd2Sorter;

/* "class, values, at, del" from a row a; without a class, a NULL */
extern char *ecs_scd2_event_columns(const EcsScd2 *table, const char *class, const char *a);
extern TupleDesc ecs_scd2_event_desc(const EcsScd2 *table);

/* A sorter whose stores end with the batch: they may have files */
extern EcsScd2Sorter *ecs_scd2_make_sorter(EcsScd2Batch *batch);

/* Runs a query with a new snapshot, as a role (or InvalidOid), into stores by class */
extern void ecs_scd2_sort_query(EcsScd2Sorter *sorter, const char *sql, Oid role);
extern void ecs_scd2_sort_row(EcsScd2Sorter *sorter, int class, TupleTableSlot *slot);

/* Names the rows of a class for later statements; a query whose rows are one class */
extern void ecs_scd2_name_class(EcsScd2Sorter *sorter, int class, const char *name);
extern uint64 ecs_scd2_name_query(EcsScd2Batch *batch, const char *name, const char *sql, Oid role);

/*
 * Hub rows of keys before their versions, which may refer to the hub
 * themselves, as nodes of a tree do.
 */
extern void ecs_scd2_make_hub_rows(EcsScd2 *table, const char *rows);

/* Remembers events that change no history, where the table does so */
extern void ecs_scd2_remember_class(EcsScd2Batch *batch, EcsScd2Sorter *sorter, int class, const char *name);

/*
 * event.c
 */
typedef struct EcsScd2Event
{
	Datum	   *values;			/* by attribute number - 1 */
	bool	   *nulls;
	TimestampTz at;
	bool		timed;			/* the row brought that */
	bool		del;
} EcsScd2Event;

extern void ecs_scd2_make_event(EcsScd2Event *event, const EcsScd2Batch *batch);
extern void ecs_scd2_read_json(EcsScd2Event *event, EcsScd2Batch *batch, Jsonb *row);
extern void ecs_scd2_read_record(EcsScd2Event *event, EcsScd2Batch *batch, HeapTupleHeader row);

/* From a row of a sorter, and into a slot of that shape */
extern void ecs_scd2_read_row(EcsScd2Event *event, const EcsScd2 *table, TupleTableSlot *row);
extern void ecs_scd2_write_row(const EcsScd2Event *event, const EcsScd2 *table, TupleTableSlot *row);

/* What the event does to the version in the slot: CHANGED, OVERWRITTEN or UNCHANGED */
extern EcsScd2Action ecs_scd2_compare(const EcsScd2Batch *batch, const EcsScd2Event *event, TupleTableSlot *version);

/* The version that it makes of the one in "old", beginning at "from" */
extern void ecs_scd2_form_version(const EcsScd2Batch *batch, const EcsScd2Event *event, EcsScd2Action action, TimestampTz from,
								  TupleTableSlot *old, TupleTableSlot *new);

/*
 * classify.c
 *
 * The events named "scd2_source", in classes; the last column is the place of
 * the current version of their key.
 */
extern EcsScd2Sorter *ecs_scd2_classify(EcsScd2Batch *batch);

/*
 * replace.c
 *
 * Update the current versions of a class of events: false where statements must
 * do it.  Split older versions: what is left, in the classes UNCHANGED and REST.
 */
extern bool ecs_scd2_replace_current(EcsScd2Batch *batch, EcsScd2Sorter *events, int class, EcsScd2Action action);
extern EcsScd2Sorter *ecs_scd2_split_inner(EcsScd2Batch *batch, EcsScd2Sorter *events);

/*
 * newcomers.c
 *
 * Of the class NEW: which keys were never seen (NEW) and which have a past
 * (REST).  Inserts those; but with a time of their own, keys that come back need
 * their history, and stay.
 */
extern EcsScd2Sorter *ecs_scd2_find_past(EcsScd2Batch *batch, EcsScd2Sorter *events);
extern void ecs_scd2_insert_new(EcsScd2Batch *batch, EcsScd2Sorter *known);

/*
 * fold.c
 *
 * Makes the histories of the keys anew, with these events.  The caller holds
 * the locks of the keys.
 */
extern void ecs_scd2_fold(EcsScd2Batch *batch, const char *rows);

/*
 * apply.c
 *
 * Applies the events named "scd2_source".  The caller holds the lock of their
 * keys.  "whole": current keys that are not among them are closed at
 * "effective" (infinity: now).
 */
extern void ecs_scd2_apply(EcsScd2Batch *batch, bool whole, TimestampTz effective);

#endif							/* ECS_SCD2_ENGINE_H */
