/*
 * scd2.h
 *		Versioned tables: what is known of one, statements about it, and what
 *		this session does to it.
 *
 * The files of this module, each using only those before it:
 *
 *	table.c				what the registry says of a table, kept
 *	text.c				statements, written as templates
 *	notes.c				the versions that this transaction started
 *	run.c				statements in a mode that the triggers know
 *	direct.c			reading and writing at the level of the executor
 *	row_trigger.c		plain DML: the period of a row
 *	closed.c			plain DML: the copies of what a statement replaced
 *	statement_trigger.c	plain DML: the whole of what follows a statement
 *	event.c				one event, and the version it makes	(engine.h)
 *	batch.c				events in stores, sorted by class
 *	classify.c			what events are to their keys
 *	replace.c			versions that events replace
 *	newcomers.c			events of keys without a current version
 *	fold.c				the history of a key, made anew from its events
 *	apply.c				what a batch of events does
 *	merge.c				scd2_merge: the source
 *	upsert.c			scd2_upsert, scd2_close: one event
 *	register.c			the registry's rows
 *	settings.c			settings
 */
#ifndef ECS_SCD2_H
#define ECS_SCD2_H

#include "access/skey.h"
#include "executor/spi.h"
#include "nodes/execnodes.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

/* Columns of the registry */
enum
{
	ECS_SCD2_REG_REL = 1,
	ECS_SCD2_REG_HUB,
	ECS_SCD2_REG_REMEMBERED,
	ECS_SCD2_REG_KEYS,
	ECS_SCD2_REG_HISTORY,
	ECS_SCD2_REG_OVERWRITE,
	ECS_SCD2_REG_FIXED,
	ECS_SCD2_REG_FROM,
	ECS_SCD2_REG_TO,
	ECS_SCD2_REG_CURRENT,
	ECS_SCD2_REG_STAMP,
	ECS_SCD2_REG_SEQUENCE,
	ECS_SCD2_REG_CREATED,
	ECS_SCD2_REG_OPEN_START,
	ECS_SCD2_REG_COLUMNS = ECS_SCD2_REG_OPEN_START
};

/* What a column is for: bits, so that several make a set */
typedef enum EcsScd2Role
{
	ECS_SCD2_SKIP = 0,			/* dropped or generated */
	ECS_SCD2_KEY = 1 << 0,
	ECS_SCD2_HISTORY = 1 << 1,	/* type 2: a change makes a version */
	ECS_SCD2_OVERWRITE = 1 << 2,	/* type 1: updated in place */
	ECS_SCD2_FIXED = 1 << 3,	/* type 0: keeps its first value */
	ECS_SCD2_STAMP = 1 << 4,	/* updated_at: never compared */
	ECS_SCD2_SEQUENCE = 1 << 5, /* orders events of one moment */
	ECS_SCD2_FROM = 1 << 6,
	ECS_SCD2_TO = 1 << 7,
	ECS_SCD2_CURRENT = 1 << 8
} EcsScd2Role;

/* Roles of the columns whose values events bring, and of those that can be written */
#define ECS_SCD2_VALUES		(ECS_SCD2_KEY | ECS_SCD2_HISTORY | ECS_SCD2_OVERWRITE | ECS_SCD2_FIXED | \
							 ECS_SCD2_STAMP | ECS_SCD2_SEQUENCE)
#define ECS_SCD2_ROW		(ECS_SCD2_VALUES | ECS_SCD2_FROM | ECS_SCD2_TO | ECS_SCD2_CURRENT)

typedef struct EcsScd2Column
{
	EcsScd2Role role;
	const char *raw;			/* its name, and quoted */
	const char *name;
	Oid			type;
	int32		typmod;
	Oid			collation;
	int16		len;
	bool		byval;
	bool		always;			/* GENERATED ALWAYS AS IDENTITY: no update may
								 * name it */
	const char *equal;			/* OPERATOR(schema.=), NULL where the type has
								 * none */
	FmgrInfo	equal_fn;
	FmgrInfo	hash_fn;		/* of types passed by reference, if there is
								 * one */
} EcsScd2Column;

/* Statements that are planned once for a table: see run.c */
typedef enum EcsScd2Plan
{
	ECS_SCD2_COPY,
	ECS_SCD2_HUB,
	ECS_SCD2_LOCK,
	ECS_SCD2_ADJUST,
	ECS_SCD2_JOIN,
	ECS_SCD2_OVERLAP,
	ECS_SCD2_REMEMBER_ROWS,
	ECS_SCD2_REMEMBER_FIRST,
	ECS_SCD2_CURRENT_ROW,
	ECS_SCD2_HUB_ROW,
	ECS_SCD2_LOCK_KEY,
	ECS_SCD2_PLANS
} EcsScd2Plan;

/*
 * A versioned table, or one of its partitions.  Attribute numbers and types are
 * those of "relid"; statements always name the root.
 */
typedef struct EcsScd2
{
	Oid			relid;
	Oid			root;
	Oid			owner;
	Oid			hub;
	Oid			hub_owner;
	Oid			remembered;		/* InvalidOid: events without a trace are
								 * forgotten */
	bool		valid;			/* no invalidation has come since it was read */
	bool		guarded;		/* has the statement triggers */
	bool		open_start;
	bool		nested;			/* has columns of composite types */
	bool		statements;		/* has columns that only a statement can
								 * assign to */
	int			natts;
	EcsScd2Column *columns;		/* by attribute number - 1 */
	int			nkeys;
	AttrNumber *keys;			/* in the order of the primary key */
	AttrNumber	from;
	AttrNumber	to;
	AttrNumber	current;
	AttrNumber	stamp;			/* 0 where there is none, as the next two */
	AttrNumber	sequence;
	AttrNumber	created;
	const char *name;			/* root, hub and memory, qualified and quoted */
	const char *hub_name;
	const char *remembered_name;
	MemoryContext context;
	FmgrInfo   *populate;		/* jsonb_populate_record(), and its first
								 * argument */
	Datum		no_values;
	SPIPlanPtr	plans[ECS_SCD2_PLANS];
} EcsScd2;

/* settings.c */
extern void ecs_scd2_init(void);

/* Whether triggers make versions for the current user: ecomsocial.versioning */
extern bool ecs_scd2_versioning(Relation rel);

/*
 * table.c
 *
 * Made of a row of the registry, in a context of its own.
 */
extern EcsScd2 *ecs_scd2_build(Relation rel, Oid root, HeapTuple tuple, TupleDesc regdesc);

/* An error where statement triggers of ours are missing or disabled */
extern void ecs_scd2_require_guard(const EcsScd2 *table, Relation rel);

extern int	ecs_scd2_column_by_name(const EcsScd2 *table, const char *name);

/*
 * Types of limited length, such as varchar(10), have a function that fits a value
 * to it, and tells an assignment, for which too long is an error, from a cast.
 */
typedef struct EcsScd2Length
{
	Oid			type;			/* below domains */
	int32		typmod;
	Oid			function;		/* InvalidOid: that of the elements of an
								 * array */
} EcsScd2Length;

extern bool ecs_scd2_find_length(const EcsScd2Column *column, EcsScd2Length *length);

/* Equality of two values of a column, NULL equals NULL */
extern bool ecs_scd2_same(const EcsScd2Column *column, Datum a, bool a_null, Datum b, bool b_null);

/* "(a, b)=(1, 2)", from values by attribute number - 1, or from a tuple that begins with the key columns */
extern char *ecs_scd2_describe_key(const EcsScd2 *table, const Datum *values);
extern char *ecs_scd2_describe_tuple(const EcsScd2 *table, HeapTuple tuple, TupleDesc desc);

/*
 * cache.c
 */
extern Oid	ecs_scd2_registry(void);

/*
 * What is known of a table, NULL if it is not versioned.  Stays where it is
 * until the transaction ends, also if the table is altered meanwhile.
 */
extern EcsScd2 *ecs_scd2_find(Relation rel);
extern EcsScd2 *ecs_scd2_require(Relation rel);

/*
 * text.c: the language of the templates is told there
 */
extern char *ecs_scd2_sql(const EcsScd2 *table, const char *template,...);

/* A template for a column; for each column with one of the roles that is given (NULL: all are) */
extern char *ecs_scd2_for_column(const EcsScd2 *table, int i, const char *template);
extern char *ecs_scd2_each(const EcsScd2 *table, int roles, const bool *given, const char *separator, const char *template);

/* A value, given as an expression, as it is when it is assigned to the column */
extern char *ecs_scd2_assigned(const EcsScd2Column *column, const char *value);

/* That two expressions, or the columns of two rows that are given, are the same, NULL being the same as NULL */
extern char *ecs_scd2_equal(const EcsScd2Column *column, const char *a, const char *b);
extern char *ecs_scd2_same_given(const EcsScd2 *table, const bool *given, const char *a, const char *b, int roles);

/* The default of a column, as an expression */
extern char *ecs_scd2_column_default(Relation rel, int i);

/*
 * notes.c
 */

/* The moment at which a version that follows one begun at "from" may start: now or just after */
extern TimestampTz ecs_scd2_start_after(TimestampTz from);

/* Whether this transaction started the version of the key that begins at "from"; any version at all */
extern bool ecs_scd2_is_mine(const EcsScd2 *table, const Datum *values, TimestampTz from);
extern bool ecs_scd2_has_started(void);
extern void ecs_scd2_note_started(const EcsScd2 *table, const Datum *values, TimestampTz from);
extern void ecs_scd2_note_ended(const EcsScd2 *table, const Datum *values);

/*
 * An INSERT that may meet another row.  Triggers on the row run before it is
 * known to be through: when they come upon a row that begins there, its xmin
 * tells whether it is the one.
 */
extern void ecs_scd2_note_tried(const EcsScd2 *table, const Datum *values, TimestampTz from);
extern void ecs_scd2_settle(const EcsScd2 *table, const Datum *values, TimestampTz from, TransactionId xmin);

/*
 * A trigger changed a version that this transaction started, so perhaps one
 * that a statement further up is still to close the predecessor of.
 */
extern void ecs_scd2_note_changed_inside(void);
extern bool ecs_scd2_changed_inside(void);

/*
 * Where a version that follows one begun at "started" begins now: there too, if
 * this transaction started that one.  The start is noted.
 */
extern TimestampTz ecs_scd2_next_start(const EcsScd2 *table, const Datum *values, TimestampTz started);

/*
 * run.c
 *
 * How the triggers of one table look at the statement that runs.  Plain DML is
 * versioned, also where the engine inserts keys that were never seen; closed
 * copies pass; a write of the engine brings its own valid_from, and what it
 * replaces is copied; the rows of an apply are final.
 */
typedef enum EcsScd2Mode
{
	ECS_SCD2_PLAIN,
	ECS_SCD2_UNSEEN,
	ECS_SCD2_COPYING,
	ECS_SCD2_WRITING,
	ECS_SCD2_APPLYING
} EcsScd2Mode;

extern EcsScd2Mode ecs_scd2_mode(const EcsScd2 *table);

/* How deep we are in triggers, as pg_trigger_depth() */
extern int	ecs_scd2_trigger_depth(void);

/* Calls a function in a mode, as a role (InvalidOid: the current one); both end with it, also by an error */
extern void ecs_scd2_do(const EcsScd2 *table, EcsScd2Mode mode, Oid role, void (*action) (void *), void *arg);

/* Runs a statement that is planned once, keys being values by attribute number - 1; returns the rows processed */
extern uint64 ecs_scd2_run(EcsScd2 *table, EcsScd2Plan which, const Datum *keys);

/* Runs any other, with the snapshot given or the usual one */
extern uint64 ecs_scd2_run_once(EcsScd2 *table, const char *sql, EcsScd2Mode mode, Oid role, Snapshot snapshot);

/* Names a tuplestore for the statements of the current SPI connection */
extern void ecs_scd2_name_store(const char *name, TupleDesc desc, Tuplestorestate *store);

/*
 * direct.c
 */
#define ECS_SCD2_WAITING		256
#define ECS_SCD2_WAITING_SIZE	65536

typedef struct EcsScd2Direct
{
	EcsScd2    *table;
	Relation	rel;
	EState	   *estate;
	ResultRelInfo *target;
	EPQState	epq;
	/* rows that are to be inserted together, and their bytes */
	TupleTableSlot *waiting[ECS_SCD2_WAITING];
	int			nwaiting;
	Size		waiting_size;
} EcsScd2Direct;

/* Whether nothing stands in the way of writing so */
extern bool ecs_scd2_can_write_directly(const EcsScd2 *table, Relation rel);

/*
 * Calls a function that updates and inserts, in the mode of the engine, as a
 * role (InvalidOid: the current one).  "given": the columns that it updates.
 */
extern void ecs_scd2_write_directly(EcsScd2 *table, Relation rel, const bool *given, Oid role,
									void (*write) (EcsScd2Direct *direct, void *arg), void *arg);
extern void ecs_scd2_direct_update(EcsScd2Direct *direct, TupleTableSlot *old, TupleTableSlot *new);
extern void ecs_scd2_direct_insert(EcsScd2Direct *direct, TupleTableSlot *slot);

/* The row is copied, and is in the table when the function above is through */
extern void ecs_scd2_direct_insert_later(EcsScd2Direct *direct, TupleTableSlot *row);

/* Finds the current version of a key and locks it, waiting for others */
extern bool ecs_scd2_lock_current(EcsScd2 *table, Relation rel, const Datum *keys, TupleTableSlot *slot);

/* Lookups by key and time in a primary key (key…, time) */
typedef struct EcsScd2Lookup
{
	EcsScd2    *table;
	Relation	rel;
	Relation	index;
	struct IndexScanDescData *scan;
	ScanKeyData keys[INDEX_MAX_KEYS];
} EcsScd2Lookup;

extern void ecs_scd2_begin_lookup(EcsScd2Lookup *lookup, EcsScd2 *table, Relation rel, StrategyNumber strategy, Snapshot snapshot);
extern void ecs_scd2_end_lookup(EcsScd2Lookup *lookup);

/* Begins anew with a key; then gets its rows in the order of time */
extern void ecs_scd2_look_up(EcsScd2Lookup *lookup, const Datum *keys, TimestampTz at);
extern bool ecs_scd2_get_next(EcsScd2Lookup *lookup, TupleTableSlot *slot);

/* The version in "old", ended at "to" */
extern void ecs_scd2_form_closed(const EcsScd2 *table, TimestampTz to, TupleTableSlot *old, TupleTableSlot *closed);

/*
 * closed.c
 *
 * Writes the closed copies of what a statement replaced; keeps rows that make
 * none in "unchanged", if that is not NULL; tells whether a version that this
 * transaction started took other values.
 */
struct TriggerData;
extern bool ecs_scd2_close_replaced(EcsScd2 *table, struct TriggerData *trigger, EcsScd2Mode mode, Tuplestorestate *unchanged);

/* Begins to read a transition table anew */
extern void ecs_scd2_rewind(Tuplestorestate *store);

static inline void
ecs_scd2_put_value(TupleTableSlot *slot, AttrNumber attnum, Datum value)
{
	slot->tts_values[attnum - 1] = value;
	slot->tts_isnull[attnum - 1] = false;
}

#endif							/* ECS_SCD2_H */
