/*
 * growth.h
 *		What the set-returning functions over users and their days share.
 *
 *		arguments.c		arguments, the range of days, rows of results
 *		window.c		days as slots
 *		classes.c		from counts to new, retained, resurrected, churned, dormant
 *		accounting.c	growth_accounting, documented_churn
 *		rolling.c		rolling_growth, churn_by_inactivity
 *		engagement.c	rolling_active, stickiness, power_curve
 *		cohorts.c		retention_cohorts
 *		lists.c			churned_users, resurrected_users, inactive_users
 *		source.c		a table of users and days: its columns, its first and last day
 *		scan.c			reading it, by events.c or kept.c, as bits per user
 *		events.c		days of users from events
 *		kept.c			days of users from one activity each
 *		usertable.c		the users of a stream of events
 *		userslots.c		where it keeps them
 *		masktable.c		the same where a word suffices for a user's bits
 *		counts.c		counts of users per period as a value, which add up
 *		counts_io.c		its text and binary forms
 *		aggregate.c		growth_agg, growth_union_agg, growth_rows
 *
 * Days are integers from the first step on: no change to or from daylight saving
 * time is met after an event's own day has been found.
 *
 * This module stands a floor above activity and reads its values.
 */
#ifndef ECS_GROWTH_H
#define ECS_GROWTH_H

#include "fmgr.h"
#include "port/pg_bitutils.h"

#include "growth/scan.h"

/*
 * Arguments
 */

/* Errors where one of the first arguments is null */
extern void ecs_require_args(FunctionCallInfo fcinfo, int count);

/* The relation, user and time column come first; seen_arg 0: the function has no first_seen_by */
extern void ecs_open_source(FunctionCallInfo fcinfo, EcsSource *source, int zone_arg, int seen_arg);

/* Errors where a day is infinite or not one of timestamps; a number of days is not that of a window */
extern void ecs_check_bound(DateADT day);
extern void ecs_check_days(int days, const char *name);

/* The days that are asked about */
typedef struct EcsRange
{
	DateADT		since;
	DateADT		until;			/* not included */
	DateADT		over;			/* days before it are over */
} EcsRange;

/*
 * The range in two arguments, since and until; where they are null the events
 * decide.  False: there is nothing in it.  Inside SPI.
 */
extern bool ecs_get_range(FunctionCallInfo fcinfo, EcsSource *source, int since_arg, EcsRange *range);

/* The same where the days of the first and of the last event are known */
extern bool ecs_make_range(FunctionCallInfo fcinfo, EcsZone *zone, DateADT first, DateADT last, int since_arg,
						   EcsRange *range);

/*
 * Results
 */

extern void ecs_begin_result(FunctionCallInfo fcinfo);
extern void ecs_put_row(FunctionCallInfo fcinfo, Datum *values, bool *nulls);
extern Datum ecs_end_result(FunctionCallInfo fcinfo);

/* float8, or NULL where there is nothing to divide by */
extern Datum ecs_ratio(int64 part, int64 whole, bool *isnull);

/*
 * Windows
 */

/* Days that a window may hold: a thousand years */
#define ECS_MAX_DAYS	366000

/* Each day a slot */
extern void ecs_init_day_window(EcsWindow *window, DateADT begin, DateADT end);

/* Each of the periods first..last a slot; the last may be cut short by "end" */
extern void ecs_init_period_window(EcsWindow *window, EcsPeriod period, int32 first, int32 last, DateADT end);

/* All days one slot */
extern void ecs_init_single_window(EcsWindow *window, DateADT begin, DateADT end);

/* Take notice of where the first day of a user is looked for */
extern void ecs_look_for_first(EcsWindow *window, const EcsSource *source);

/* The slot of the day in a user's column of first_seen: -1 before the window, slots after it or nowhere */
static inline int
ecs_column_slot(const EcsUser *user, const EcsWindow *window, const EcsSource *source)
{
	if (source->seen != ECS_SEEN_COLUMN || user->first_seen == ECS_NO_DAY || user->first_seen >= window->end)
		return window->slots;
	return user->first_seen < window->begin ? -1 : window->slot_of_day[user->first_seen - window->begin];
}

/* The slot of the first active day, -1 if before the window */
static inline int
ecs_first_active_slot(const EcsUser *user)
{
	int			word = 0;
	uint64		bits = user->bits[0] & ~(UINT64CONST(1) << ECS_BIT_PRESENT);

	if (ECS_HAS_BIT(user->bits, ECS_BIT_BEFORE))
		return -1;
	while (bits == 0)
		bits = user->bits[++word];
	return word * 64 + pg_rightmost_one_pos64(bits) - ECS_SLOT;
}

/* Loop over the slots in which a user was active */
typedef struct EcsSlotReader
{
	const uint64 *bits;
	int			words;
	int			word;
	uint64		left;
} EcsSlotReader;

static inline void
ecs_read_slots(EcsSlotReader *reader, const EcsUser *user, const EcsWindow *window)
{
	reader->bits = user->bits;
	reader->words = ECS_WORDS(window);
	reader->word = 0;
	reader->left = user->bits[0] >> ECS_SLOT << ECS_SLOT;
}

/* The next slot, or -1 */
static inline int
ecs_next_slot(EcsSlotReader *reader)
{
	int			bit;

	while (reader->left == 0)
	{
		if (++reader->word == reader->words)
			return -1;
		reader->left = reader->bits[reader->word];
	}
	bit = pg_rightmost_one_pos64(reader->left);
	reader->left &= reader->left - 1;
	return reader->word * 64 + bit - ECS_SLOT;
}

/*
 * Stretches of slots are counted by their ends: differences from slot to slot
 * until they are added up.
 */
static inline void
ecs_count_stretch(int64 *counts, int slots, int begin, int end, int64 users)
{
	end = Min(end, slots);
	if (begin < end)
	{
		counts[begin] += users;
		counts[end] -= users;
	}
}

static inline void
ecs_add_up(int64 *counts, int slots)
{
	int			slot;

	for (slot = 1; slot < slots; slot++)
		counts[slot] += counts[slot - 1];
}

/*
 * Growth: counts of users, per slot
 *
 * In a period t
 *
 *		new				active in t, first seen in t
 *		retained		active in t and in t - 1
 *		resurrected		active in t, not in t - 1, first seen before t
 *		churned			active in t - 1, not in t
 *		dormant			first seen before t, active in neither
 *
 * so active(t) = new + retained + resurrected, active(t - 1) = retained + churned,
 * and the last two of a row follow from counts of the others.  In the first period
 * of a source nobody knows who was there before: who is active in it is neither
 * new nor resurrected but "first_seen", unless a column tells that he is new.
 */
typedef struct EcsGrowth
{
	const EcsSource *source;
	EcsWindow	window;
	int64	   *active;
	int64	   *fresh;			/* of these, first seen in the slot (or within
								 * the step) */
	int64	   *signed_up;		/* of these, because a column says so */
	int64	   *retained;
	int64	   *seen;			/* first seen in the slot, active or not */
	int64		known;			/* users first seen before the window */
	int64		older;			/* users active before the window */
} EcsGrowth;

extern void ecs_init_growth(EcsGrowth *growth, const EcsSource *source);

/* Count when users were first seen; returns the slot, -1 if before the window */
extern int	ecs_count_first(EcsGrowth *growth, const EcsUser *user, bool *signed_up);

/* The classes of one slot, compared with the one "step" slots earlier */
typedef struct EcsClasses
{
	int64		active;
	int64		previous;		/* active then */
	int64		fresh;
	int64		first_seen;
	int64		retained;
	int64		resurrected;
	int64		churned;
	int64		dormant;
} EcsClasses;

/* Reads one slot after the other, from the first on */
typedef struct EcsGrowthReader
{
	const EcsGrowth *growth;
	int			step;
	int			slot;			/* the last one read */
	int			first_active;	/* slot; -1: before the window, or none yet */
	int64		known;
} EcsGrowthReader;

extern void ecs_read_growth(EcsGrowthReader *reader, const EcsGrowth *growth, int step);
extern bool ecs_next_classes(EcsGrowthReader *reader, EcsClasses *classes);

/* A row of growth_accounting */
extern void ecs_put_classes(FunctionCallInfo fcinfo, DateADT start, EcsClasses classes, bool complete);

/* The rows of slots that are periods, from "first" on, without those before the slot "begin" */
extern void ecs_put_periods(FunctionCallInfo fcinfo, const EcsGrowth *growth, EcsPeriod period, int32 first,
							int begin, DateADT over);

#endif							/* ECS_GROWTH_H */
