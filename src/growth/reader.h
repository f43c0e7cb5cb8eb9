/*
 * reader.h
 *		What the readers of either kind of source share.
 */
#ifndef ECS_GROWTH_READER_H
#define ECS_GROWTH_READER_H

#include "base/query.h"
#include "growth/source.h"

/*
 * Many users are alike: of a year in months there are few patterns.  Where there are no
 * more than so many slots, users are counted by their bits, and told once for each.
 */
#define ECS_FEW_SLOTS	14

typedef struct EcsScan
{
	EcsSource  *source;
	const EcsWindow *window;
	EcsUserFunction function;
	void	   *state;
	int			words;			/* of a user's bits */
	int64	   *alike;			/* users by their bits but ECS_BIT_PRESENT;
								 * NULL: each is told by himself */

	int			user_place;		/* of the columns in the rows, from 0 on */
	int			time_place;
	int			seen_place;		/* -1: there is none */

	uint64		without_user;
	uint64		without_time;
} EcsScan;

static inline void
ecs_tell_user(EcsScan *scan, const EcsUser *user)
{
	if (scan->alike != NULL)
		scan->alike[user->bits[0] >> 1]++;
	else
		scan->function(user, scan->state);
}

/* The user of a row, and what tells when he was active; false: it lacks one of them, which is counted */
static inline bool
ecs_read_row(EcsScan *scan, TupleTableSlot *slot, Datum *user, Datum *time)
{
	bool		no_user,
				no_time;

	*user = ecs_row_value(slot, scan->user_place, &no_user);
	*time = ecs_row_value(slot, scan->time_place, &no_time);
	if (likely(!no_user && !no_time))
		return true;
	if (no_user)
		scan->without_user++;
	else
		scan->without_time++;
	return false;
}

/* The day in a row's column of first_seen, or ECS_NO_DAY */
static inline DateADT
ecs_row_first_seen(EcsScan *scan, TupleTableSlot *slot)
{
	DateADT		day;
	bool		isnull = true;
	Datum		seen = scan->seen_place < 0 ? (Datum) 0 : ecs_row_value(slot, scan->seen_place, &isnull);

	return !isnull && ecs_column_day(&scan->source->first_seen, seen, &day) ? day : ECS_NO_DAY;
}

/* The bit of a day before the window's end */
static inline int
ecs_day_bit(const EcsWindow *window, DateADT day)
{
	return day < window->begin ? ECS_BIT_BEFORE : ECS_SLOT + window->slot_of_day[day - window->begin];
}

static inline void
ecs_set_bit(uint64 *bits, int bit)
{
	bits[bit / 64] |= UINT64CONST(1) << (bit % 64);
}

#endif							/* ECS_GROWTH_READER_H */
