/*
 * codec.c
 *		Writing values of type activity (see activity.h), and checking bytes from outside.
 */
#include "postgres.h"

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

struct varlena *
ecs_make_run(DateADT first, DateADT last)
{
	EcsWriter	writer;

	ecs_write_begin(&writer);
	if (first <= last)
		ecs_write_run(&writer, first, last);
	return ecs_write_end(&writer);
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
