/*
 * days.c
 *		The days of an activity: stretches, counts, the nearest one.
 *
 * Equal weeks are looked at together, so the cost is that of the bytes, however
 * many days they stand for.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "activity/activity.h"

/*
 * Runs of days
 */

void
ecs_read_runs(EcsRunReader *runs, const struct varlena *activity)
{
	ecs_read_weeks(&runs->reader, activity);
	runs->weeks.count = 0;
	runs->days = 0;
	runs->more = false;
}

/* The next stretch of days that lies within one week or in full weeks */
static bool
next_piece(EcsRunReader *runs, DateADT *first, DateADT *last)
{
	DateADT		start;
	int			bit;

	if (runs->days == 0)
	{
		if (runs->weeks.count > 1)
		{
			runs->weeks.week++;
			runs->weeks.count--;
		}
		else if (!ecs_next_weeks(&runs->reader, &runs->weeks))
		{
			runs->weeks.count = 0;
			return false;
		}
		runs->days = runs->weeks.days;
	}

	start = ecs_week_start(runs->weeks.week);
	if (runs->days == ECS_FULL_WEEK)
	{
		*first = start;
		*last = start + runs->weeks.count * 7 - 1;
		runs->weeks.count = 1;
		runs->days = 0;
		return true;
	}
	bit = pg_rightmost_one_pos32(runs->days);
	*first = start + bit;
	do
	{
		*last = start + bit;
		runs->days &= ~(1 << bit++);
	} while (runs->days & (1 << bit));
	return true;
}

bool
ecs_next_run(EcsRunReader *runs, DateADT *first, DateADT *last)
{
	DateADT		piece_first,
				piece_last;

	if (!runs->more && !next_piece(runs, &runs->first, &runs->last))
		return false;
	*first = runs->first;
	*last = runs->last;
	while ((runs->more = next_piece(runs, &piece_first, &piece_last)))
	{
		CHECK_FOR_INTERRUPTS();
		if (piece_first != *last + 1)
		{
			runs->first = piece_first;
			runs->last = piece_last;
			break;
		}
		*last = piece_last;
	}
	return true;
}

/*
 * Counting and looking up days
 */

/* The days of a week that lie in [from, until) */
static inline uint8
clip_week(int32 week, uint8 days, DateADT from, DateADT until)
{
	DateADT		start = ecs_week_start(week);

	if (from > start)
		days = from - start > 6 ? 0 : days & (ECS_FULL_WEEK << (from - start));
	if (until - start < 7)
		days = until <= start ? 0 : days & (ECS_FULL_WEEK >> (7 - (until - start)));
	return days;
}

int64
ecs_count_days(const struct varlena *activity, DateADT from, DateADT until)
{
	EcsWeekReader reader;
	EcsWeeks	weeks;
	int32		first_week,
				last_week;
	int64		count = 0;

	if (from >= until)
		return 0;
	first_week = ecs_week_of(from);
	last_week = ecs_week_of(until - 1);

	ecs_read_weeks(&reader, activity);
	while (ecs_next_weeks(&reader, &weeks))
	{
		int32		begin = Max(weeks.week, first_week);
		int32		end = Min(weeks.week + weeks.count - 1, last_week);

		if (weeks.week > last_week)
			break;
		if (begin > end)
			continue;
		count += (int64) (end - begin + 1) * pg_number_of_ones[weeks.days];
		if (begin == first_week)
			count -= pg_number_of_ones[weeks.days & ~clip_week(begin, weeks.days, from, ECS_MAX_DAY + 1)];
		if (end == last_week)
			count -= pg_number_of_ones[weeks.days & ~clip_week(end, weeks.days, ECS_MIN_DAY, until)];
	}
	return count;
}

bool
ecs_day_from(const struct varlena *activity, DateADT day, DateADT *found)
{
	EcsWeekReader reader;
	EcsWeeks	weeks;

	ecs_read_weeks(&reader, activity);
	while (ecs_next_weeks(&reader, &weeks))
		if (ecs_weeks_last_day(&weeks) >= day)
		{
			*found = ecs_weeks_day_from(&weeks, day);
			return true;
		}
	return false;
}

bool
ecs_day_before(const struct varlena *activity, DateADT day, DateADT *found)
{
	EcsWeekReader reader;
	EcsWeeks	weeks;
	bool		any = false;

	ecs_read_weeks(&reader, activity);
	while (ecs_next_weeks(&reader, &weeks) && ecs_weeks_first_day(&weeks) < day)
	{
		*found = ecs_weeks_day_before(&weeks, day);
		any = true;
	}
	return any;
}

bool
ecs_first_day(const struct varlena *activity, DateADT *day)
{
	return ecs_day_from(activity, ECS_MIN_DAY, day);
}

bool
ecs_last_day(const struct varlena *activity, DateADT *day)
{
	return ecs_day_before(activity, ECS_MAX_DAY + 1, day);
}
