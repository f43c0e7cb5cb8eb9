/*
 * calendar.h
 *		Reporting calendar: local days of instants, and periods of days.
 *
 * Everything downstream of these functions works on integers: a day is a
 * DateADT (days since 2000-01-01) and a period is an index that grows by one
 * from each period to the next.  So a change to or from daylight saving time
 * is met exactly once, where an instant becomes a day.
 */
#ifndef ECS_CALENDAR_H
#define ECS_CALENDAR_H

#include "datatype/timestamp.h"
#include "pgtime.h"
#include "utils/date.h"

/* in the order of the SQL enum "period" */
typedef enum EcsPeriod
{
	ECS_DAY,
	ECS_WEEK,					/* ISO: begins on Monday */
	ECS_MONTH,
	ECS_QUARTER,
	ECS_YEAR
} EcsPeriod;

#define ECS_PERIODS		(ECS_YEAR + 1)

extern const char *const ecs_period_labels[ECS_PERIODS];

/* The C value of a value of the SQL enum "period" */
extern EcsPeriod ecs_period_from_enum(Oid value);

/* The index of the period that the finite date lies in, and a period's first day */
extern int32 ecs_period_index(EcsPeriod period, DateADT day);
extern DateADT ecs_period_start(EcsPeriod period, int32 index);

/*
 * A reporting time zone, with what was found out about it.
 *
 * "from", "to" and "day" are the stretch of time around the last instant asked
 * for in which the local day does not change.  Events come roughly in order of
 * time, so that most are answered by the comparison in ecs_local_day().  Where
 * they do not, the offset from UTC is remembered for chunks of 2^41 microseconds
 * (25 days), so that no more than a division is left.
 */
#define ECS_ZONE_CHUNK_BITS		41
#define ECS_ZONE_CHUNKS			64

typedef struct EcsOffset
{
	TimestampTz from;			/* from .. last, both included */
	TimestampTz last;
	int64		offset;			/* microseconds to add for local time */
} EcsOffset;

typedef struct EcsZone
{
	pg_tz	   *tz;
	bool		between_midnights;	/* see below; the caller may set it */
	TimestampTz from;			/* the stretch is [from, to) */
	TimestampTz to;
	DateADT		day;
	EcsOffset	offsets[ECS_ZONE_CHUNKS];	/* by the low bits of the chunk's
											 * number */
} EcsZone;

/* Errors 22023 where there is no such time zone, or SQL understands another */
extern void ecs_zone_init(EcsZone *zone, const char *name);

extern DateADT ecs_zone_find_day(EcsZone *zone, TimestampTz instant);

/*
 * The same as (instant AT TIME ZONE zone)::date, for a finite instant; or where
 * between_midnights is set, the day between whose starts it lies.  These differ
 * where clocks were set back from shortly after midnight: the minutes before
 * carry the date of a day that then has not begun, so that dates do not follow
 * each other as instants do.
 */
static inline DateADT
ecs_local_day(EcsZone *zone, TimestampTz instant)
{
	if (likely(instant >= zone->from && instant < zone->to))
		return zone->day;
	return ecs_zone_find_day(zone, instant);
}

/* The first instant of a local day: day::timestamp AT TIME ZONE zone */
extern TimestampTz ecs_day_start(EcsZone *zone, DateADT day);

#endif							/* ECS_CALENDAR_H */
