/*
 * reader.h
 *		What the readers of either kind of source share.
 */
#ifndef ECS_GROWTH_READER_H
#define ECS_GROWTH_READER_H

#include "executor/tuptable.h"

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
	int			places;			/* of a row, as far as it is read */

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

/* Whether a row tells when a user was active; if not it is counted */
static inline bool
ecs_row_counts(EcsScan *scan, TupleTableSlot *slot)
{
	slot_getsomeattrs(slot, scan->places);
	if (slot->tts_isnull[scan->user_place])
	{
		scan->without_user++;
		return false;
	}
	if (slot->tts_isnull[scan->time_place])
	{
		scan->without_time++;
		return false;
	}
	return true;
}

/* The day in a row's column of first_seen, or ECS_NO_DAY */
static inline DateADT
ecs_row_first_seen(EcsScan *scan, TupleTableSlot *slot)
{
	DateADT		day;

	if (scan->seen_place >= 0 && !slot->tts_isnull[scan->seen_place] &&
		ecs_column_day(&scan->source->first_seen, slot->tts_values[scan->seen_place], &day))
		return day;
	return ECS_NO_DAY;
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
