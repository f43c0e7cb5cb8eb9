/*
 * counts.c
 *		Counts of users per period as a value, which add up.
 */
#include "postgres.h"

#include "common/int.h"
#include "miscadmin.h"

#include "activity/activity.h"
#include "growth/counts.h"
#include "growth/growth.h"

static Size
size_of_counts(int periods)
{
	return offsetof(EcsGrowthCounts, periods) + periods * sizeof(EcsPeriodCounts);
}

static EcsGrowthCounts *
alloc_counts(EcsPeriod period, int periods)
{
	Size		size = size_of_counts(periods);
	EcsGrowthCounts *counts = palloc0(size);

	SET_VARSIZE(counts, size);
	counts->version = ECS_COUNTS_VERSION;
	counts->period = period;
	return counts;
}

EcsGrowthCounts *
ecs_make_counts(EcsPeriod period)
{
	return alloc_counts(period, 0);
}

int
ecs_count_periods(const EcsGrowthCounts *counts)
{
	return (VARSIZE(counts) - offsetof(EcsGrowthCounts, periods)) / sizeof(EcsPeriodCounts);
}

int32
ecs_first_period(const EcsGrowthCounts *counts)
{
	return ecs_period_index(counts->period, counts->first_day);
}

static void
check_days(DateADT first, DateADT last)
{
	ecs_check_bound(first);
	ecs_check_bound(last);
	if (last - first >= ECS_MAX_DAYS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("range of %d days is too long", last - first + 1),
				 errdetail("At most %d days can be counted.", ECS_MAX_DAYS),
				 errhint("One activity with a wrong day may lie far from the others: see activity_first() and activity_last().")));
}

EcsGrowthCounts *
ecs_cover_days(EcsGrowthCounts *counts, DateADT first, DateADT last)
{
	int			old_periods = ecs_count_periods(counts);
	int			missing = 0;	/* before the first period */
	int			periods;
	EcsGrowthCounts *result = counts;

	if (old_periods > 0)
	{
		first = Min(first, counts->first_day);
		last = Max(last, counts->last_day);
		if (first == counts->first_day && last == counts->last_day)
			return counts;
		missing = ecs_first_period(counts) - ecs_period_index(counts->period, first);
	}
	check_days(first, last);
	periods = ecs_period_index(counts->period, last) - ecs_period_index(counts->period, first) + 1;
	if (periods > old_periods)
	{
		result = alloc_counts(counts->period, periods);
		result->users = counts->users;
		memcpy(result->periods + missing, counts->periods, old_periods * sizeof(EcsPeriodCounts));
	}
	result->first_day = first;
	result->last_day = last;
	return result;
}

EcsGrowthCounts *
ecs_add_user(EcsGrowthCounts *counts, const struct varlena *activity)
{
	int32		base = counts->users > 0 ? ecs_first_period(counts) : 0;
	int32		index = 0;		/* of the last period that the user was active
								 * in */
	DateADT		end = PG_INT32_MIN; /* of that period */
	EcsWeekReader reader;
	EcsWeeks	weeks;

	ecs_read_weeks(&reader, activity);
	while (ecs_next_weeks(&reader, &weeks))
	{
		DateADT		first = ecs_weeks_first_day(&weeks);
		DateADT		last = ecs_weeks_last_day(&weeks);

		if (counts->users == 0 || first < counts->first_day || last > counts->last_day)
		{
			counts = ecs_cover_days(counts, first, last);
			base = ecs_first_period(counts);
		}
		while (last >= end)
		{
			int32		previous = index++;
			bool		is_first = end == PG_INT32_MIN;
			DateADT		day = ecs_weeks_day_from(&weeks, end);
			EcsPeriodCounts *count;

			CHECK_FOR_INTERRUPTS();
			/* it is the next period, more often than not */
			if (!is_first)
				end = ecs_period_start(counts->period, index + 1);
			if (day >= end)
			{
				index = ecs_period_index(counts->period, day);
				end = ecs_period_start(counts->period, index + 1);
			}
			count = &counts->periods[index - base];
			count->active++;
			count->fresh += is_first;
			count->retained += !is_first && index == previous + 1;
			counts->users += is_first;
		}
	}
	return counts;
}

EcsGrowthCounts *
ecs_add_counts(EcsGrowthCounts *counts, const EcsGrowthCounts *other)
{
	EcsPeriodCounts *to;
	int			periods = ecs_count_periods(other);
	int			i;

	if (counts->period != other->period)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("counts per %s and per %s do not add up",
						ecs_period_labels[counts->period], ecs_period_labels[other->period]),
				 errhint("Name the same period for all of them.")));
	if (periods == 0)
		return counts;
	counts = ecs_cover_days(counts, other->first_day, other->last_day);
	if (pg_add_s64_overflow(counts->users, other->users, &counts->users))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("count of users out of range")));
	to = counts->periods + (ecs_first_period(other) - ecs_first_period(counts));
	for (i = 0; i < periods; i++)
	{
		to[i].active += other->periods[i].active;
		to[i].fresh += other->periods[i].fresh;
		to[i].retained += other->periods[i].retained;
	}
	return counts;
}

const char *
ecs_check_counts(EcsGrowthCounts *counts)
{
	int			periods = ecs_count_periods(counts);
	int64		previous = 0;	/* active in the period before */
	int			i;

	counts->users = 0;
	for (i = 0; i < periods; i++)
	{
		EcsPeriodCounts c = counts->periods[i];

		if (c.active < 0 || c.fresh < 0 || c.retained < 0)
			return "A count is negative.";
		if (c.retained > previous)
			return "More users are retained than were active in the period before.";
		if (c.fresh > c.active - c.retained)
			return "More users are first seen or retained than are active.";
		if (pg_add_s64_overflow(counts->users, c.fresh, &counts->users))
			return "There are too many users.";
		/* who came back was there before, but not in the period before */
		if (c.active - c.retained > counts->users - previous)
			return "More users are active than were seen until then.";
		previous = c.active;
		if (c.active == 0 && (i == 0 || i == periods - 1))
			return "Nobody is active in the first or in the last period.";
	}
	return NULL;
}
