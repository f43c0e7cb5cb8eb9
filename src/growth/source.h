/*
 * source.h
 *		Where users and their days come from: a table of events, or one with an
 *		activity per user.
 */
#ifndef ECS_GROWTH_SOURCE_H
#define ECS_GROWTH_SOURCE_H

#include "access/attnum.h"
#include "base/calendar.h"

/* in the order of the SQL enum "first_seen_source" */
typedef enum EcsFirstSeen
{
	ECS_SEEN_HISTORY,			/* the first day in the source */
	ECS_SEEN_WINDOW,			/* the first day that is asked for */
	ECS_SEEN_COLUMN				/* a day in a column of its own, such as
								 * sign-up */
} EcsFirstSeen;

/* How a column becomes a day */
typedef enum EcsDayKind
{
	ECS_FROM_DATE,
	ECS_FROM_TIMESTAMP,			/* of the reporting time zone */
	ECS_FROM_TIMESTAMPTZ,
	ECS_FROM_ACTIVITY			/* not one day, but all of a user's */
} EcsDayKind;

typedef struct EcsDayColumn
{
	const char *name;			/* quoted; NULL: there is none */
	AttrNumber	number;
	Oid			type;
	EcsDayKind	kind;
	EcsZone		zone;
} EcsDayColumn;

typedef struct EcsSource
{
	Oid			relation;
	char		relkind;
	const char *relation_name;	/* qualified and quoted */
	const char *schema;			/* of the extension, quoted */
	const char *user_name;		/* quoted */
	AttrNumber	user_number;
	Oid			user_type;		/* without domains */
	Oid			user_collation;
	EcsDayColumn time;
	EcsDayColumn first_seen;
	EcsFirstSeen seen;
	EcsZone		zone;			/* reporting zone */
} EcsSource;

/*
 * Days of a user as bits.  A window is the days [begin, end), in as many slots as
 * it is divided into; bit ECS_SLOT + i of a user says that he was active in slot i.
 */
typedef struct EcsWindow
{
	DateADT		begin;
	DateADT		end;
	int			slots;
	int32	   *slot_of_day;	/* of begin + i */
	bool		dates;			/* whether the dates of EcsUser are wanted */
	DateADT		since;			/* events of earlier days are ignored;
								 * ECS_NO_DAY: none is */
} EcsWindow;

#define ECS_BIT_PRESENT		0	/* always set */
#define ECS_BIT_BEFORE		1	/* active before the window */
#define ECS_SLOT			2
#define ECS_NO_DAY			PG_INT32_MIN

typedef struct EcsUser
{
	Datum		key;
	const uint64 *bits;
	DateADT		first_seen;		/* from the column, ECS_NO_DAY where that is
								 * NULL */
	DateADT		last_before;	/* last day before the window */
	DateADT		first_within;	/* first day in the window */
} EcsUser;

#define ECS_WORDS(window)	(((window)->slots + ECS_SLOT + 63) / 64)
#define ECS_HAS_BIT(bits, bit) (((bits)[(bit) / 64] >> ((bit) % 64) & 1) != 0)

typedef void (*EcsUserFunction) (const EcsUser *user, void *state);

/* Errors where the columns are not what they must be */
extern void ecs_source_open(EcsSource *source, Oid relation, const char *user_column, const char *time_column,
							const char *time_zone, EcsFirstSeen seen, const char *first_seen_column,
							Oid function);

/* The days of the first and of the last event; false: there is none.  Inside SPI */
extern bool ecs_source_bounds(EcsSource *source, DateADT *first, DateADT *last);

/* Call a function once for each user who was active before the window's end.  Inside SPI */
extern void ecs_source_scan(EcsSource *source, const EcsWindow *window, EcsUserFunction function, void *state);

#endif							/* ECS_GROWTH_SOURCE_H */
