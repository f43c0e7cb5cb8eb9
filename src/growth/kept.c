/*
 * kept.c
 *		Days of users from a table with one activity per user.
 *
 * A user is complete when his row is read, so there is no table of users.  His
 * activity is read week by week and no day is looked at alone: where each day has a
 * slot, a week is shifted to its place; elsewhere it lies in one slot or two, which
 * are found once for every week of the window.
 */
#include "postgres.h"

#include "activity/activity.h"
#include "base/query.h"
#include "growth/kept.h"

/* The days of a week that set a bit, and others of it that set another */
typedef struct WeekParts
{
	uint8		days[2];
	int32		bits[2];
	uint64		word[2];		/* the same bits, where one word has them all */
} WeekParts;

typedef struct KeptScan
{
	EcsScan    *scan;
	uint64	   *bits;			/* of the user of a row */
	int32		first_week;		/* of the window */
	int32		last_week;
	WeekParts  *parts;			/* of each of its weeks, and of one before and
								 * one after them; NULL: each day has a slot */
} KeptScan;

/* The same for all weeks before the window, and for all after it */
static inline const WeekParts *
parts_of_week(const KeptScan *kept, int32 week)
{
	int32		before = kept->first_week - 1;

	return &kept->parts[Max(Min(week, kept->last_week + 1), before) - before];
}

/* Periods are no shorter than weeks and the window begins with one, so there are at most two parts */
static void
divide_week(const EcsWindow *window, int32 week, WeekParts *parts)
{
	DateADT		start = ecs_week_start(week);
	int			part = -1;
	int			i;

	memset(parts, 0, sizeof(WeekParts));
	for (i = 0; i < 7 && start + i < window->end; i++)
	{
		int			bit = ecs_day_bit(window, start + i);

		if (part < 0 || parts->bits[part] != bit)
		{
			parts->bits[++part] = bit;
			Assert(part < 2);
			parts->word[part] = UINT64CONST(1) << (bit % 64);
		}
		parts->days[part] |= 1 << i;
	}
}

static void
divide_weeks(KeptScan *kept)
{
	int			weeks = kept->last_week - kept->first_week + 3;
	int			i;

	kept->parts = palloc(weeks * sizeof(WeekParts));
	for (i = 0; i < weeks; i++)
		divide_week(kept->scan->window, kept->first_week - 1 + i, &kept->parts[i]);
}

/*
 * Bits in one word
 */

static inline uint64
week_word(const KeptScan *kept, int32 week, uint8 days)
{
	const WeekParts *parts = parts_of_week(kept, week);

	/* without a branch, which nobody could predict */
	return (parts->word[0] & -(uint64) ((parts->days[0] & days) != 0)) |
		(parts->word[1] & -(uint64) ((parts->days[1] & days) != 0));
}

static uint64
weeks_word(const KeptScan *kept, int32 week, int32 end, uint8 days)
{
	uint64		word = 0;

	end = Min(end, kept->last_week + 1);
	for (week = Max(week, kept->first_week - 1); week < end; week++)
		word |= week_word(kept, week, days);
	return word;
}

static uint64
read_word(const KeptScan *kept, const struct varlena *activity)
{
	EcsWeekReader reader;
	EcsWeeks	weeks;
	uint64		word = 0;

	ecs_read_weeks(&reader, activity);
	while (ecs_next_weeks(&reader, &weeks) && weeks.week <= kept->last_week)
	{
		word |= week_word(kept, weeks.week, weeks.days);
		if (weeks.count > 1)
			word |= weeks_word(kept, weeks.week + 1, weeks.week + weeks.count, weeks.days);
	}
	return word;
}

/*
 * Bits in any number of words
 */

static void
add_parts(uint64 *bits, const WeekParts *parts, uint8 days)
{
	int			part;

	for (part = 0; part < 2; part++)
		if (parts->days[part] & days)
			ecs_set_bit(bits, parts->bits[part]);
}

/* Set the bits of a week's days, the first of which has the slot "place" */
static void
add_days(uint64 *bits, int place, int slots, uint32 days)
{
	int			bit;

	if (place < 0)
	{
		if (days & ((1 << -place) - 1))
			ecs_set_bit(bits, ECS_BIT_BEFORE);
		days >>= -place;
		place = 0;
	}
	if (slots - place < 7)
		days &= (1 << (slots - place)) - 1;
	bit = ECS_SLOT + place;
	bits[bit / 64] |= (uint64) days << (bit % 64);
	if (bit % 64 > 57)
		bits[bit / 64 + 1] |= (uint64) days >> (64 - bit % 64);
}

static void
read_words(KeptScan *kept, const struct varlena *activity)
{
	const EcsWindow *window = kept->scan->window;
	EcsWeekReader reader;
	EcsWeeks	weeks;

	memset(kept->bits, 0, kept->scan->words * sizeof(uint64));
	ecs_read_weeks(&reader, activity);
	while (ecs_next_weeks(&reader, &weeks) && weeks.week <= kept->last_week)
	{
		int32		week = Max(weeks.week, kept->first_week);
		int32		end = Min(weeks.week + weeks.count, kept->last_week + 1);

		if (weeks.week < kept->first_week)
			ecs_set_bit(kept->bits, ECS_BIT_BEFORE);
		for (; week < end; week++)
			if (kept->parts != NULL)
				add_parts(kept->bits, parts_of_week(kept, week), weeks.days);
			else
				add_days(kept->bits, ecs_week_start(week) - window->begin, window->slots, weeks.days);
	}
}

/* Read a user's bits; false: he was never active before the window's end */
static bool
read_bits(KeptScan *kept, const struct varlena *activity)
{
	const EcsWindow *window = kept->scan->window;
	uint64		any = 0;
	int			word;

	if (kept->parts != NULL && kept->scan->words == 1)
		kept->bits[0] = read_word(kept, activity);
	else
		read_words(kept, activity);
	if (window->since >= window->begin)
		kept->bits[0] &= ~(UINT64CONST(1) << ECS_BIT_BEFORE);
	for (word = 0; word < kept->scan->words; word++)
		any |= kept->bits[word];
	return any != 0;
}

static void
read_dates(const EcsWindow *window, const struct varlena *activity, EcsUser *user)
{
	if (window->since >= window->begin || !ecs_day_before(activity, window->begin, &user->last_before))
		user->last_before = ECS_NO_DAY;
	if (!ecs_day_from(activity, window->begin, &user->first_within) || user->first_within >= window->end)
		user->first_within = ECS_NO_DAY;
}

static void
take_user(TupleTableSlot *slot, void *state)
{
	KeptScan   *kept = state;
	EcsScan    *scan = kept->scan;
	struct varlena *activity;
	Datum		days;
	EcsUser		user = {.bits = kept->bits,.users = 1};

	if (!ecs_read_row(scan, slot, &user.key, &days))
		return;
	activity = PG_DETOAST_DATUM_PACKED(days);
	if (!read_bits(kept, activity))
		return;
	if (scan->window->dates)
	{
		read_dates(scan->window, activity, &user);
		user.first_seen = ecs_row_first_seen(scan, slot);
	}
	ecs_tell_user(scan, &user);
}

void
ecs_scan_kept(EcsScan *scan, const char *query)
{
	const EcsWindow *window = scan->window;
	KeptScan	kept = {
		.scan = scan,
		.bits = palloc((scan->words + 1) * sizeof(uint64)),
		.first_week = ecs_week_of(window->begin),
		.last_week = ecs_week_of(window->end - 1)
	};
	EcsRowSink	sink = {NULL, take_user, &kept};

	if (window->slots < window->end - window->begin)
		divide_weeks(&kept);
	ecs_for_each_row(query, NULL, &sink);
}
