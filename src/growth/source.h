/*
 * source.h
 *		Where users and their days come from: a table of events, or one with an
 *		activity per user.
 */
#ifndef ECS_GROWTH_SOURCE_H
#define ECS_GROWTH_SOURCE_H

#include "access/attnum.h"
#include "utils/timestamp.h"

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

/* The day of a value of a column; false: it is infinite */
static inline bool
ecs_column_day(EcsDayColumn *column, Datum value, DateADT *day)
{
	if (column->kind == ECS_FROM_DATE)
	{
		*day = DatumGetDateADT(value);
		return !DATE_NOT_FINITE(*day);
	}
	if (TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(value)))
		return false;
	*day = ecs_local_day(&column->zone, DatumGetTimestampTz(value));
	return true;
}

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
	bool		dates;			/* whether key and dates of EcsUser are wanted */
	DateADT		since;			/* events of earlier days are ignored;
								 * ECS_NO_DAY: none is */
} EcsWindow;

#define ECS_BIT_PRESENT		0	/* says nothing; set in what a table of users
								 * holds */
#define ECS_BIT_BEFORE		1	/* active before the window */
#define ECS_SLOT			2
#define ECS_NO_DAY			PG_INT32_MIN

/* A user or, where there are few slots and bits are all that is told, all users with the same */
typedef struct EcsUser
{
	const uint64 *bits;
	int64		users;			/* 1, or how many */

	/* only where dates are wanted */
	Datum		key;
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

#endif							/* ECS_GROWTH_SOURCE_H */
