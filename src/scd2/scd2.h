/*
 * scd2.h
 *		Versioned tables: what the files of this module know of one another.
 *
 * table.c finds out what the registry says of a table and keeps it; trigger.c
 * makes versions of plain DML; write.c is the engine of the functions.
 */
#ifndef ECS_SCD2_H
#define ECS_SCD2_H

#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "utils/relcache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

typedef enum EcsScd2Role
{
	ECS_SCD2_SKIP,				/* dropped or generated */
	ECS_SCD2_KEY,
	ECS_SCD2_HISTORY,			/* type 2: a change makes a version */
	ECS_SCD2_OVERWRITE,			/* type 1: updated in place */
	ECS_SCD2_FIXED,				/* type 0: keeps its first value */
	ECS_SCD2_STAMP,				/* updated_at: never compared */
	ECS_SCD2_SEQUENCE,			/* orders events of one moment */
	ECS_SCD2_FROM,
	ECS_SCD2_TO,
	ECS_SCD2_CURRENT
} EcsScd2Role;

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
} EcsScd2Column;

/* Statements that are planned once for a table */
typedef enum EcsScd2Plan
{
	ECS_SCD2_COPY,				/* insert closed versions */
	ECS_SCD2_HUB,				/* insert hub rows of new keys */
	ECS_SCD2_LOCK,				/* lock hub rows of known keys */
	ECS_SCD2_ADJUST,			/* begin a reopened key where its last version
								 * ended */
	ECS_SCD2_JOIN,				/* join neighbours that came to be equal */
	ECS_SCD2_OVERLAP,			/* find what a repeatable read snapshot cannot
								 * see */
	ECS_SCD2_REMEMBER,			/* events without a trace */
	ECS_SCD2_CURRENT_ROW,		/* of one key: lock its current version, */
	ECS_SCD2_HUB_ROW,			/* make its hub row, */
	ECS_SCD2_LOCK_KEY,			/* lock its hub row */
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
	int			natts;
	EcsScd2Column *columns;		/* by attribute number - 1 */
	int			nkeys;
	AttrNumber *keys;
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
	FmgrInfo   *populate;		/* jsonb_populate_record() */
	SPIPlanPtr	plans[ECS_SCD2_PLANS];
} EcsScd2;

extern void ecs_scd2_init(void);

/*
 * What is known of a table, NULL if it is not versioned.  Stays where it is
 * until the transaction ends, also if the table is altered meanwhile.
 */
extern EcsScd2 *ecs_scd2_find(Relation rel);
extern EcsScd2 *ecs_scd2_require(Relation rel);

/* Whether triggers make versions for the current user: ecomsocial.versioning */
extern bool ecs_scd2_versioning(Relation rel);

/* Equality of two values of a column, NULL equals NULL */
extern bool ecs_scd2_same(const EcsScd2Column *column, Datum a, bool a_null, Datum b, bool b_null);

extern int	ecs_scd2_column_by_name(const EcsScd2 *table, const char *name);
extern char *ecs_scd2_qualified_name(Oid relid);
extern char *ecs_scd2_describe_tuple(const EcsScd2 *table, HeapTuple tuple, TupleDesc desc);
extern void ecs_scd2_check_time(Relation rel, TimestampTz at);

/* Pieces of statements */
#define ECS_SCD2_MASK(role) (1 << (role))
extern void ecs_scd2_put_columns(StringInfo sql, const EcsScd2 *table, const char *prefix, int roles);
extern void ecs_scd2_put_keys(StringInfo sql, const EcsScd2 *table, const char *prefix);
extern void ecs_scd2_put_key_match(StringInfo sql, const EcsScd2 *table, const char *a, const char *b);
extern void ecs_scd2_put_same(StringInfo sql, const EcsScd2 *table, const char *a, const char *b, int roles);

/*
 * How the triggers of one table look at the statement that runs.  Plain DML is
 * versioned; closed copies pass; a write of the engine brings its own
 * valid_from, and what it replaces is copied; the rows of an apply are final.
 */
typedef enum EcsScd2Mode
{
	ECS_SCD2_PLAIN,
	ECS_SCD2_COPYING,
	ECS_SCD2_WRITING,
	ECS_SCD2_APPLYING
} EcsScd2Mode;

extern EcsScd2Mode ecs_scd2_mode(const EcsScd2 *table);

typedef struct EcsScd2Running
{
	Oid			root;
	EcsScd2Mode mode;
	int			depth;			/* of triggers, that the mode is for */
} EcsScd2Running;

/* What writes between the two is in a mode; leave also on error */
extern void ecs_scd2_enter(EcsScd2Running *outer, const EcsScd2 *table, EcsScd2Mode mode);
extern void ecs_scd2_leave(const EcsScd2Running *outer);

/*
 * Where a version that follows one begun at "started" begins now: there too, if
 * this transaction started that one.  The start is noted.
 */
extern TimestampTz ecs_scd2_next_start(const EcsScd2 *table, const Datum *values, TimestampTz started);
extern bool ecs_scd2_has_started(void);
extern void ecs_scd2_note_started(const EcsScd2 *table, const Datum *values, TimestampTz started);

/* Insert closed versions as the table's owner; false, and nothing is done, where that needs a statement */
extern bool ecs_scd2_copy_directly(EcsScd2 *table, Relation rel, Tuplestorestate *closed);

/* Names a tuplestore for the statements of the current SPI connection */
extern void ecs_scd2_name_store(const char *name, TupleDesc desc, Tuplestorestate *store);

extern SPIPlanPtr ecs_scd2_plan(EcsScd2 *table, EcsScd2Plan which, const char *sql, int nargs, Oid *types);

/* Runs a plan in a mode, as a role (InvalidOid: the current one); returns the rows processed */
extern uint64 ecs_scd2_run(EcsScd2 *table, SPIPlanPtr plan, Datum *values, const char *nulls,
						   EcsScd2Mode mode, Oid role, Snapshot snapshot);

#endif							/* ECS_SCD2_H */
