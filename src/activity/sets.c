/*
 * sets.c
 *		Two activities side by side: set algebra and order.
 *
 * Both are read in stretches of equal weeks, so the cost is that of the bytes,
 * however many days they stand for.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "activity/activity.h"

typedef struct PairReader
{
	EcsWeekReader reader[2];
	EcsWeeks	weeks[2];		/* what is left; count 0: nothing */
} PairReader;

/* Some weeks, each with the same days in either value */
typedef struct PairWeeks
{
	int32		week;
	int32		count;
	uint8		days[2];
} PairWeeks;

static inline void
refill(PairReader *pair, int side)
{
	if (pair->weeks[side].count == 0 &&
		!ecs_next_weeks(&pair->reader[side], &pair->weeks[side]))
	{
		pair->weeks[side].week = PG_INT32_MAX / 2;	/* after every week */
		pair->weeks[side].count = 0;
	}
}

static void
read_pair(PairReader *pair, const struct varlena *a, const struct varlena *b)
{
	ecs_read_weeks(&pair->reader[0], a);
	ecs_read_weeks(&pair->reader[1], b);
	pair->weeks[0].count = pair->weeks[1].count = 0;
}

static bool
next_pair(PairReader *pair, PairWeeks *weeks)
{
	int			side;

	refill(pair, 0);
	refill(pair, 1);
	if (pair->weeks[0].count == 0 && pair->weeks[1].count == 0)
		return false;

	weeks->week = Min(pair->weeks[0].week, pair->weeks[1].week);
	weeks->count = PG_INT32_MAX;
	for (side = 0; side < 2; side++)
	{
		EcsWeeks   *left = &pair->weeks[side];

		weeks->days[side] = left->week == weeks->week ? left->days : 0;
		weeks->count = Min(weeks->count, left->week == weeks->week ? left->count : left->week - weeks->week);
	}
	for (side = 0; side < 2; side++)
	{
		EcsWeeks   *left = &pair->weeks[side];

		if (left->week == weeks->week)
		{
			left->week += weeks->count;
			left->count -= weeks->count;
		}
	}
	return true;
}

struct varlena *
ecs_combine(const struct varlena *a, const struct varlena *b, EcsSetOp op)
{
	PairReader	pair;
	PairWeeks	weeks;
	EcsWriter	writer;

	read_pair(&pair, a, b);
	ecs_write_begin(&writer);
	while (next_pair(&pair, &weeks))
	{
		uint8		left = weeks.days[0];
		uint8		right = weeks.days[1];

		CHECK_FOR_INTERRUPTS();
		ecs_write_weeks(&writer, weeks.week, weeks.count,
						op == ECS_UNION ? left | right : op == ECS_INTERSECT ? left & right : left & ~right);
	}
	return ecs_write_end(&writer);
}

bool
ecs_contains_all(const struct varlena *a, const struct varlena *b)
{
	PairReader	pair;
	PairWeeks	weeks;

	read_pair(&pair, a, b);
	while (next_pair(&pair, &weeks))
		if (weeks.days[1] & ~weeks.days[0])
			return false;
	return true;
}

bool
ecs_overlaps(const struct varlena *a, const struct varlena *b)
{
	PairReader	pair;
	PairWeeks	weeks;

	read_pair(&pair, a, b);
	while (next_pair(&pair, &weeks))
		if (weeks.days[0] & weeks.days[1])
			return true;
	return false;
}

/*
 * The order of the sequences of days: the first day that only one of them has
 * decides.  The one that has it is the lesser, unless the other ends before it.
 */
int
ecs_compare(const struct varlena *a, const struct varlena *b)
{
	PairReader	pair;
	PairWeeks	weeks;

	read_pair(&pair, a, b);
	while (next_pair(&pair, &weeks))
	{
		int			bit;
		int			other;
		bool		goes_on;

		if (weeks.days[0] == weeks.days[1])
			continue;
		bit = pg_rightmost_one_pos32(weeks.days[0] ^ weeks.days[1]);
		other = weeks.days[0] >> bit & 1;
		refill(&pair, other);
		goes_on = weeks.days[other] >> bit != 0 ||
			(weeks.count > 1 && weeks.days[other] != 0) ||
			pair.weeks[other].count > 0;
		return (other == 1) == goes_on ? -1 : 1;
	}
	return 0;
}
