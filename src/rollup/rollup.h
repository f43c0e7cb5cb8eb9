/*
 * rollup.h
 *		What the files of the module share.
 */
#ifndef ECS_ROLLUP_H
#define ECS_ROLLUP_H

#include "fmgr.h"
#include "nodes/pg_list.h"
#include "utils/date.h"

#include "base/calendar.h"
#include "base/relation.h"

/* A row of the registry */
typedef struct EcsRollup
{
	Oid			target;
	Oid			owner;			/* of the target: its query runs as this role */
	char	   *name;			/* the target's qualified name, for messages
								 * and SQL */
	char	   *zone;
	char	   *period;			/* label of the enum */
	EcsPeriod	unit;
	char	   *bucket_column;	/* NULL with a handler */
	char	   *function;		/* the query, as a function in the target's
								 * schema; or NULL */
	char	   *handler;		/* or this function is called with the buckets */
	bool		had_error;
	DateADT		frozen;			/* buckets before it stay as they are */
	List	   *captures;		/* of EcsCapture */
} EcsRollup;

/* A source seen through one time column in one time zone */
typedef struct EcsCapture
{
	int32		id;
	Oid			source;
	char	   *column;
	char	   *zone;			/* empty where the column is a date */
} EcsCapture;

/* A day of a source that the current transaction touched, and who in it */
typedef struct EcsNote
{
	int32		capture;
	DateADT		day;
} EcsNote;

typedef struct EcsListedNote
{
	EcsNote		note;
	SubTransactionId subid;
} EcsListedNote;

/* notes.c: the set of them */
extern uint64 ecs_notes_generation;
extern void ecs_notes_add(int32 capture, DateADT day);

/* log.c: notes that are committed */
extern void ecs_log_write(const EcsListedNote *notes, int count, bool preparing);
extern void ecs_log_settle(void);

/* registry.c: who acts, and statements on the registry.  All need an SPI connection. */
typedef struct EcsIdentity
{
	Oid			user;
	int			security;
	int			guc_level;
} EcsIdentity;

extern Oid	ecs_registry_relid(void);
extern void ecs_become_registry(EcsIdentity *saved);
extern void ecs_become_owner(EcsIdentity *saved, Oid owner, const char *zone);
extern void ecs_return(const EcsIdentity *saved);
extern uint64 ecs_registry_sql(const char *sql, int nargs, Oid *types, Datum *values, const char *nulls);
extern void ecs_run_sql(const char *sql);
extern char *ecs_spi_text(int row, int column);
extern int64 ecs_spi_int(int row, int column, bool *isnull);

/* column.c: the time column of a capture follows a rename; an error where it is gone */
extern void ecs_capture_follow(EcsCapture *capture);
extern void ecs_capture_check(const EcsCapture *capture);

/* load.c: the registry as C sees it */
extern EcsRollup *ecs_rollup_load(Oid target, bool missing_ok);
extern EcsCapture *ecs_capture_load(int32 id);
extern void ecs_check_rollup_owner(const EcsRollup *rollup);

/* request.c */
extern void ecs_check_permanent(Oid relid);

/* capture.c: the triggers of a source */
#define ECS_TRIGGER_PREFIX	"ecomsocial_rollup_"	/* ..._CAPTURE_EVENT */
#define ECS_TRIGGER_COUNT	3

extern int32 ecs_capture_make(Oid source, const char *column, const char *zone);
extern void ecs_capture_heal(const EcsCapture *capture);
extern void ecs_capture_drop_unused(const EcsCapture *capture);
extern void ecs_forget_dropped(void);

/* leaf.c: the leaves as they are now are known */
extern void ecs_leaves_record(const EcsCapture *capture);

/* leaves.c: what triggers cannot see, found by comparing the catalog */
typedef enum EcsLeaves
{
	ECS_LEAVES_SAME,
	ECS_LEAVES_DIFFER,
	ECS_LEAVES_BLIND			/* some have no eyes: triggers to be put back */
} EcsLeaves;

extern EcsLeaves ecs_leaves_compare(const EcsCapture *capture, Oid *blind);
extern void ecs_leaves_mark_changes(const EcsCapture *capture);

/* bounds.c */
extern void ecs_leaf_days(const EcsCapture *capture, Oid leaf, DateADT *from, DateADT *until);

/* compute.c: what the owner defined, run as the owner */
extern void ecs_compute_bucket(const EcsRollup *rollup, DateADT bucket);
extern void ecs_call_handler(const EcsRollup *rollup, Datum buckets, bool everything);

/* mark.c: buckets to be computed */
extern void ecs_mark_buckets(const EcsRollup *rollup, const EcsCapture *only, DateADT from, DateADT until, bool existing);
extern void ecs_mark_everything(Oid target);

/* bucket.c: instants, days, buckets */
extern void ecs_instant_day(EcsZone *zone, TimestampTz instant, DateADT *day, TimestampTz *from, TimestampTz *until);

#endif							/* ECS_ROLLUP_H */
