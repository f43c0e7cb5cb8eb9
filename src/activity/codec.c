/*
 * codec.c
 *		Reading, writing and combining values of type activity (see activity.h).
 *
 * Everything here works on runs of equal weeks, never on single days, so its
 * cost is that of the bytes, however many days they stand for.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/date.h"

#include "activity/activity.h"

#define FIRST_CAPACITY	32

/* More than the digits of any count: 306 million weeks is all there are */
#define MAX_DIGITS		5

void
ecs_check_day(DateADT day)
{
	if (DATE_NOT_FINITE(day))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("an activity cannot hold an infinite date"),
				 errhint("Leave out infinite dates, for example with WHERE isfinite(day).")));
}

/*
 * Writing
 */

void
ecs_write_begin(EcsWriter *writer)
{
	writer->capacity = FIRST_CAPACITY;
	writer->value = palloc(writer->capacity);
	writer->size = VARHDRSZ + 1;
	*(uint8 *) VARDATA(writer->value) = ECS_ACTIVITY_VERSION;
	writer->open.count = 0;
	writer->partial.count = 0;
}

static inline void
write_byte(EcsWriter *writer, uint8 byte)
{
	if (writer->size == writer->capacity)
	{
		writer->capacity *= 2;
		writer->value = repalloc(writer->value, writer->capacity);
	}
	((uint8 *) writer->value)[writer->size++] = byte;
}

static inline void
write_count(EcsWriter *writer, uint8 kind, uint32 count)
{
	for (; count > 0; count >>= 6)
		write_byte(writer, kind | (count & 0x3F));
}

static void
write_open(EcsWriter *writer)
{
	write_byte(writer, writer->open.days);
	write_count(writer, 0xC0, writer->open.count - 1);
}

/* Add weeks that no later call changes */
static void
append_weeks(EcsWriter *writer, const EcsWeeks *weeks)
{
	int32		end = writer->open.week + writer->open.count;

	if (writer->open.count == 0)
	{
		int			shift;

		for (shift = 0; shift < 32; shift += 8)
			write_byte(writer, (uint32) weeks->week >> shift & 0xFF);
	}
	else if (weeks->week == end && weeks->days == writer->open.days)
	{
		writer->open.count += weeks->count;
		return;
	}
	else
	{
		write_open(writer);
		write_count(writer, 0x80, weeks->week - end);
	}
	writer->open = *weeks;
}

static void
append_partial(EcsWriter *writer)
{
	if (writer->partial.count > 0)
		append_weeks(writer, &writer->partial);
	writer->partial.count = 0;
}

/*
 * Add days to weeks that are not before any earlier one.  A single week may be
 * named several times in a row.
 */
void
ecs_write_weeks(EcsWriter *writer, int32 week, int32 count, uint8 days)
{
	EcsWeeks	weeks = {week, count, days};

	if (days == 0)
		return;
	if (count == 1 && writer->partial.count > 0 && writer->partial.week == week)
	{
		writer->partial.days |= days;
		return;
	}
	append_partial(writer);
	if (count == 1)
		writer->partial = weeks;
	else
		append_weeks(writer, &weeks);
}

/* Add the days first..last, all of them after every earlier one */
void
ecs_write_run(EcsWriter *writer, DateADT first, DateADT last)
{
	int32		week = ecs_week_of(first);
	int32		last_week = ecs_week_of(last);
	uint8		from = (ECS_FULL_WEEK << (first - ecs_week_start(week))) & ECS_FULL_WEEK;
	uint8		to = ECS_FULL_WEEK >> (6 - (last - ecs_week_start(last_week)));

	if (week == last_week)
	{
		ecs_write_weeks(writer, week, 1, from & to);
		return;
	}
	ecs_write_weeks(writer, week, 1, from);
	if (last_week - week > 1)
		ecs_write_weeks(writer, week + 1, last_week - week - 1, ECS_FULL_WEEK);
	ecs_write_weeks(writer, last_week, 1, to);
}

struct varlena *
ecs_write_end(EcsWriter *writer)
{
	append_partial(writer);
	if (writer->open.count > 0)
		write_open(writer);
	SET_VARSIZE(writer->value, writer->size);
	return writer->value;
}

/*
 * Checking
 */

/* Read a count that begins at *next; false: it is not written as we would */
static bool
check_count(const uint8 **next, const uint8 *end, int64 *count)
{
	uint8		kind = **next & 0xC0;
	int			digit;

	*count = 0;
	for (digit = 0; *next < end && (**next & 0xC0) == kind; digit++)
	{
		if (digit == MAX_DIGITS)
			return false;
		*count += (int64) (**next & 0x3F) << (6 * digit);
		(*next)++;
	}
	return ((*next)[-1] & 0x3F) != 0;
}

const char *
ecs_activity_problem(const uint8 *bytes, Size size)
{
	const uint8 *next = bytes + ECS_ACTIVITY_HEADER;
	const uint8 *end = bytes + size;
	int64		week;
	uint8		days = 0;		/* of the week directly before, 0 after a gap */

	if (size == 0)
		return "It is empty.";
	if (bytes[0] != ECS_ACTIVITY_VERSION)
		return "Its version is not 1.";
	if (size == 1)
		return NULL;
	if (size <= ECS_ACTIVITY_HEADER)
		return "It ends within its first week.";

	week = (int32) ((uint32) bytes[1] | (uint32) bytes[2] << 8 |
					(uint32) bytes[3] << 16 | (uint32) bytes[4] << 24);
	if (week < ecs_week_of(ECS_MIN_DAY))
		return "It holds a day that no date can be.";
	if (*next >= 0x80 || end[-1] >> 6 == 2)
		return "It begins or ends with a gap or a repetition.";

	while (next < end)
	{
		int64		count = 1;

		switch (*next >> 6)
		{
			case 2:
				if (!check_count(&next, end, &count))
					return "A count is not in its shortest form.";
				if (*next >= 0x80)
					return "A gap is not followed by a week.";
				days = 0;
				break;
			case 3:
				if (!check_count(&next, end, &count))
					return "A count is not in its shortest form.";
				break;
			default:
				if (*next == 0)
					return "A week has no day.";
				if (*next == days)
					return "A repetition is not written as one.";
				days = *next++;
		}
		week += count;
		/* once a loop, so that it cannot overflow */
		if (week - 1 > ecs_week_of(ECS_MAX_DAY))
			return "It holds a day that no date can be.";
	}
	/* the greatest date is not the end of its week */
	if (week - 1 == ecs_week_of(ECS_MAX_DAY) &&
		ecs_week_start(week - 1) + pg_leftmost_one_pos32(days) > ECS_MAX_DAY)
		return "It holds a day that no date can be.";
	return NULL;
}

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
 * Two values side by side
 */

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
	int32		wanted = ecs_week_of(day);

	ecs_read_weeks(&reader, activity);
	while (ecs_next_weeks(&reader, &weeks))
	{
		int32		week = Max(weeks.week, wanted);
		int32		end = weeks.week + weeks.count;
		uint8		days;

		if (week >= end)
			continue;
		days = clip_week(week, weeks.days, day, ECS_MAX_DAY + 1);
		if (days == 0 && ++week < end)
			days = weeks.days;
		if (days != 0)
		{
			*found = ecs_week_start(week) + pg_rightmost_one_pos32(days);
			return true;
		}
	}
	return false;
}

bool
ecs_day_before(const struct varlena *activity, DateADT day, DateADT *found)
{
	EcsWeekReader reader;
	EcsWeeks	weeks;
	int32		wanted = ecs_week_of(day);
	bool		any = false;

	ecs_read_weeks(&reader, activity);
	while (ecs_next_weeks(&reader, &weeks) && weeks.week <= wanted)
	{
		int32		week = Min(weeks.week + weeks.count - 1, wanted);
		uint8		days = clip_week(week, weeks.days, ECS_MIN_DAY, day);

		if (days == 0 && --week >= weeks.week)
			days = weeks.days;
		if (days != 0)
		{
			*found = ecs_week_start(week) + pg_leftmost_one_pos32(days);
			any = true;
		}
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
