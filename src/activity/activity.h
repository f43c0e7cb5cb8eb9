/*
 * activity.h
 *		The type "activity": an exact set of dates in a few dozen bytes.
 *
 * A value is a sequence of ISO weeks, each a pattern of seven bits, written as a
 * stream of bytes:
 *
 *		byte 0		version, 1; the empty set ends here
 *		bytes 1-4	first week that has a day, int32, little-endian;
 *					week 0 begins on Monday 1999-12-27
 *		0ddddddd	a week: bit 0 is Monday; never 0
 *		10nnnnnn	n empty weeks
 *		11nnnnnn	the last week once more, n times
 *
 * Counts of 64 or more take several bytes of their kind, the least significant
 * six bits first.  Nothing is written in two ways: a gap stands between two
 * weeks, a week equal to the one directly before it is always a repetition, and
 * the last digit of a count is not 0.  So equal sets are equal bytes.
 *
 * Somebody active on every day of five years, or on every working day, takes at
 * most 10 bytes, three days in five years at most 12, and no year more than 58.  For example {2024-01-01,2024-01-03..2024-01-31}:
 *
 *		01 e5 04 00 00		first week 1253, which begins on 2024-01-01
 *		7d 7f c2 07			Monday, Wednesday..Sunday; a full week and two
 *							more of it; Monday..Wednesday
 */
#ifndef ECS_ACTIVITY_H
#define ECS_ACTIVITY_H

#include "fmgr.h"
#include "port/pg_bitutils.h"
#include "utils/date.h"

#include "base/compat.h"

#define ECS_ACTIVITY_VERSION	1
#define ECS_ACTIVITY_HEADER		5

/* The day on which week 0 begins */
#define ECS_WEEK_ZERO			(-5)
#define ECS_FULL_WEEK			0x7F

#define ECS_MIN_DAY				(DATETIME_MIN_JULIAN - POSTGRES_EPOCH_JDATE)
#define ECS_MAX_DAY				(DATE_END_JULIAN - POSTGRES_EPOCH_JDATE - 1)

static inline int32
ecs_week_of(DateADT day)
{
	int64		shifted = (int64) day - ECS_WEEK_ZERO;

	return (int32) (shifted / 7 - (shifted % 7 < 0));
}

static inline DateADT
ecs_week_start(int32 week)
{
	return week * 7 + ECS_WEEK_ZERO;
}

/* Equal weeks, one after the other */
typedef struct EcsWeeks
{
	int32		week;			/* the first of them */
	int32		count;
	uint8		days;
} EcsWeeks;

/* A walk over the weeks of a value */
typedef struct EcsWeekReader
{
	const uint8 *next;
	const uint8 *end;
	int32		week;
} EcsWeekReader;

static inline void
ecs_read_weeks(EcsWeekReader *reader, const struct varlena *activity)
{
	const uint8 *bytes = (const uint8 *) VARDATA_ANY(activity);

	reader->week = 0;
	reader->next = bytes + ECS_ACTIVITY_HEADER;
	reader->end = bytes + VARSIZE_ANY_EXHDR(activity);
	if (reader->next < reader->end)
		reader->week = (int32) ((uint32) bytes[1] | (uint32) bytes[2] << 8 |
								(uint32) bytes[3] << 16 | (uint32) bytes[4] << 24);
	else
		reader->next = reader->end;
}

static inline bool
ecs_next_weeks(EcsWeekReader *reader, EcsWeeks *weeks)
{
	const uint8 *next = reader->next;
	const uint8 *end = reader->end;
	int32		week = reader->week;
	uint8		byte;
	int			shift;

	if (next == end)
		return false;
	byte = *next++;
	for (shift = 0; byte >= 0x80 && next < end; shift += 6)
	{
		week += (int32) (byte & 0x3F) << shift;
		byte = *next++;
	}

	weeks->days = byte & ECS_FULL_WEEK;
	weeks->week = week;
	weeks->count = 1;
	for (shift = 0; next < end && *next >= 0xC0; shift += 6)
		weeks->count += (int32) (*next++ & 0x3F) << shift;
	reader->week = week + weeks->count;
	reader->next = next;
	return true;
}

static inline DateADT
ecs_weeks_first_day(const EcsWeeks *weeks)
{
	return ecs_week_start(weeks->week) + pg_rightmost_one_pos32(weeks->days);
}

static inline DateADT
ecs_weeks_last_day(const EcsWeeks *weeks)
{
	return ecs_week_start(weeks->week + weeks->count - 1) + pg_leftmost_one_pos32(weeks->days);
}

/* The first day not before one that is not after the last */
static inline DateADT
ecs_weeks_day_from(const EcsWeeks *weeks, DateADT day)
{
	EcsWeeks	rest = *weeks;

	if (day > ecs_week_start(weeks->week))
	{
		rest.week = ecs_week_of(day);
		rest.days &= ECS_FULL_WEEK << (day - ecs_week_start(rest.week));
		if (rest.days == 0)
		{
			rest.week++;
			rest.days = weeks->days;
		}
	}
	return ecs_weeks_first_day(&rest);
}

/* The last day before one that is after the first */
static inline DateADT
ecs_weeks_day_before(const EcsWeeks *weeks, DateADT day)
{
	EcsWeeks	rest = *weeks;

	if (day <= ecs_weeks_last_day(weeks))
	{
		rest.count = ecs_week_of(day - 1) - weeks->week + 1;
		rest.days &= ECS_FULL_WEEK >> (6 - (day - 1 - ecs_week_start(ecs_week_of(day - 1))));
		if (rest.days == 0)
		{
			rest.count--;
			rest.days = weeks->days;
		}
	}
	return ecs_weeks_last_day(&rest);
}

/* A walk over the stretches of consecutive days of a value */
typedef struct EcsRunReader
{
	EcsWeekReader reader;
	EcsWeeks	weeks;			/* what is left of them */
	uint8		days;			/* what is left of the first week of "weeks" */
	bool		more;			/* whether "first" and "last" hold a run */
	DateADT		first;
	DateADT		last;
} EcsRunReader;

extern void ecs_read_runs(EcsRunReader *runs, const struct varlena *activity);
extern bool ecs_next_run(EcsRunReader *runs, DateADT *first, DateADT *last);

/* Builds a value from weeks in ascending order */
typedef struct EcsWriter
{
	struct varlena *value;
	Size		size;			/* bytes used, with the varlena header */
	Size		capacity;
	EcsWeeks	open;			/* not written yet; count 0: none */
	EcsWeeks	partial;		/* a week that days are still added to */
} EcsWriter;

extern void ecs_write_begin(EcsWriter *writer);
extern void ecs_write_weeks(EcsWriter *writer, int32 week, int32 count, uint8 days);
extern void ecs_write_run(EcsWriter *writer, DateADT first, DateADT last);
extern struct varlena *ecs_write_end(EcsWriter *writer);

/* The days from the first to the last, or none where that is before the first */
extern struct varlena *ecs_make_run(DateADT first, DateADT last);

/* The text form of a value */
extern struct varlena *ecs_parse_activity(const char *text);
extern char *ecs_format_activity(const struct varlena *activity);

/* NULL, or what is wrong with the bytes of a value that came from outside */
extern const char *ecs_activity_problem(const uint8 *bytes, Size size);

/* Errors where a date is infinite */
extern void ecs_check_day(DateADT day);

/* Set algebra: which days of two weeks belong to the result */
typedef enum EcsSetOp
{
	ECS_UNION,
	ECS_INTERSECT,
	ECS_EXCEPT
} EcsSetOp;

extern struct varlena *ecs_combine(const struct varlena *a, const struct varlena *b, EcsSetOp op);
extern bool ecs_contains_all(const struct varlena *a, const struct varlena *b);
extern bool ecs_overlaps(const struct varlena *a, const struct varlena *b);
extern int	ecs_compare(const struct varlena *a, const struct varlena *b);

/* The number of days in [from, until) */
extern int64 ecs_count_days(const struct varlena *activity, DateADT from, DateADT until);

/* The first or the last day; false: the set is empty */
extern bool ecs_first_day(const struct varlena *activity, DateADT *day);
extern bool ecs_last_day(const struct varlena *activity, DateADT *day);

/* The greatest day before, or the least one not before, a day; false: none */
extern bool ecs_day_before(const struct varlena *activity, DateADT day, DateADT *found);
extern bool ecs_day_from(const struct varlena *activity, DateADT day, DateADT *found);

#define PG_GETARG_ACTIVITY(n)	PG_GETARG_VARLENA_PP(n)

#endif							/* ECS_ACTIVITY_H */
