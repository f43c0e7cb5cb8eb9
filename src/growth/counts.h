/*
 * counts.h
 *		The type "growth_counts": growth accounting of a set of users, as counts.
 *
 * Three counts for each period from the one of the first active day of anybody to
 * that of the last: users active in it, users first seen in it, and users active in
 * it and in the one before.  The other classes follow from these (growth.h), and
 * all three are sums over users, so that the counts of two sets of users without a
 * user in common are added period by period.
 *
 * Nothing is stored in two ways: which periods there are follows from the days,
 * and no field is undefined.  So equal values are equal bytes.  There is no slack
 * either, VARSIZE is what is used, and the value is also the state of its
 * aggregates: counts are added in place, and where periods are missing a larger
 * value is made in the current context and returned, and the executor copies it
 * and frees the old one.
 */
#ifndef ECS_GROWTH_COUNTS_H
#define ECS_GROWTH_COUNTS_H

#include "base/calendar.h"
#include "base/compat.h"

#define ECS_COUNTS_VERSION	1

typedef struct EcsPeriodCounts
{
	int64		active;
	int64		fresh;			/* of these, active for the first time */
	int64		retained;		/* of these, active in the period before */
} EcsPeriodCounts;

typedef struct EcsGrowthCounts
{
	int32		vl_len_;
	uint16		version;
	uint16		period;			/* EcsPeriod */
	DateADT		first_day;		/* of anybody; 0 where nobody was active */
	DateADT		last_day;
	int64		users;			/* active at any time; no count is larger */
	EcsPeriodCounts periods[FLEXIBLE_ARRAY_MEMBER];
} EcsGrowthCounts;

/* Of nobody */
extern EcsGrowthCounts *ecs_make_counts(EcsPeriod period);

/* How many periods there are, and the index of the first */
extern int	ecs_count_periods(const EcsGrowthCounts *counts);
extern int32 ecs_first_period(const EcsGrowthCounts *counts);

/* All of these return "counts", changed, or a larger value in its place */

/* With room, and with zeros where periods are new, for days up to the last */
extern EcsGrowthCounts *ecs_cover_days(EcsGrowthCounts *counts, DateADT first, DateADT last);

/* One more user */
extern EcsGrowthCounts *ecs_add_user(EcsGrowthCounts *counts, const struct varlena *activity);

/* The users of another value, none of them in both; errors where its periods are of another length */
extern EcsGrowthCounts *ecs_add_counts(EcsGrowthCounts *counts, const EcsGrowthCounts *other);

/* NULL, or what no set of users can have; sets "users" */
extern const char *ecs_check_counts(EcsGrowthCounts *counts);

#endif							/* ECS_GROWTH_COUNTS_H */
