/*
 * calendar.c
 *		Reporting calendar: local days of instants, and periods of days.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_enum.h"
#include "miscadmin.h"
#include "utils/datetime.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/calendar.h"

/* 1999-12-27, the Monday on or before day 0 of DateADT (a Saturday) */
#define MONDAY_BEFORE_EPOCH		(-5)

/* Seconds between the epochs of pg_time_t (1970) and TimestampTz (2000) */
#define EPOCH_SHIFT_SECS \
	((pg_time_t) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY)

static const char *const period_labels[] = {"day", "week", "month", "quarter", "year"};

/* Division that rounds down, also for days before 2000 */
static inline int64
floor_div(int64 a, int64 b)
{
	return a / b - (a % b < 0);
}

EcsPeriod
ecs_period_from_enum(Oid value)
{
	HeapTuple	tuple = SearchSysCache1(ENUMOID, ObjectIdGetDatum(value));
	int			period;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid internal value for enum: %u", value)));
	for (period = 0; period < (int) lengthof(period_labels); period++)
		if (strcmp(NameStr(((Form_pg_enum) GETSTRUCT(tuple))->enumlabel), period_labels[period]) == 0)
			break;
	ReleaseSysCache(tuple);
	if (period == (int) lengthof(period_labels))
		elog(ERROR, "enum value %u is not a period", value);
	return (EcsPeriod) period;
}

int32
ecs_period_index(EcsPeriod period, DateADT day)
{
	int			year,
				month,
				mday;

	if (period == ECS_DAY)
		return day;
	if (period == ECS_WEEK)
		return (int32) floor_div((int64) day - MONDAY_BEFORE_EPOCH, 7);

	j2date(day + POSTGRES_EPOCH_JDATE, &year, &month, &mday);
	switch (period)
	{
		case ECS_MONTH:
			return year * 12 + month - 1;
		case ECS_QUARTER:
			return year * 4 + (month - 1) / 3;
		default:
			return year;
	}
}

DateADT
ecs_period_start(EcsPeriod period, int32 index)
{
	int			months;

	switch (period)
	{
		case ECS_DAY:
			return index;
		case ECS_WEEK:
			return index * 7 + MONDAY_BEFORE_EPOCH;
		case ECS_MONTH:
			months = index;
			break;
		case ECS_QUARTER:
			months = index * 3;
			break;
		default:
			months = index * 12;
	}
	return date2j((int) floor_div(months, 12), (int) (months - floor_div(months, 12) * 12) + 1, 1)
		- POSTGRES_EPOCH_JDATE;
}

void
ecs_zone_init(EcsZone *zone, const char *name)
{
	zone->tz = strlen(name) <= TZ_STRLEN_MAX ? pg_tzset(name) : NULL;
	if (zone->tz == NULL || !pg_tz_acceptable(zone->tz))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" not recognized", name),
				 errhint("Use a name from pg_timezone_names, such as 'Europe/London'.")));
	zone->from = zone->to = 0;	/* an empty stretch: nothing found yet */
}

/* The offset from UTC at an instant, and the transition that ends it, if any */
static bool
offset_until(EcsZone *zone, pg_time_t instant, long int *offset, pg_time_t *until)
{
	int			isdst;
	long int	next_offset;
	int			found = pg_next_dst_boundary(&instant, offset, &isdst,
											 until, &next_offset, &isdst, zone->tz);

	if (found < 0)
		elog(ERROR, "could not determine the offset of time zone \"%s\"",
			 pg_get_timezone_name(zone->tz));
	return found > 0;
}

/*
 * Find the local day of an instant and the stretch around it with that day.
 *
 * The stretch is the local day under the offset in force at the instant, cut at
 * the transitions inside: where clocks go back over midnight a day is met
 * twice, and then each part is a stretch of its own.
 */
DateADT
ecs_zone_find_day(EcsZone *zone, TimestampTz instant)
{
	pg_time_t	secs = floor_div(instant, USECS_PER_SEC) + EPOCH_SHIFT_SECS;
	pg_time_t	from,
				to,
				transition;
	long int	offset,
				earlier_offset;

	if (!offset_until(zone, secs, &offset, &transition))
		transition = PG_INT64_MAX;
	zone->day = (DateADT) floor_div(secs - EPOCH_SHIFT_SECS + offset, SECS_PER_DAY);
	from = (pg_time_t) zone->day * SECS_PER_DAY + EPOCH_SHIFT_SECS - offset;
	to = Min(from + SECS_PER_DAY, transition);

	while (offset_until(zone, from, &earlier_offset, &transition) && transition <= secs)
		from = transition;

	zone->from = (from - EPOCH_SHIFT_SECS) * USECS_PER_SEC;
	zone->to = (to - EPOCH_SHIFT_SECS) * USECS_PER_SEC;
	return zone->day;
}

TimestampTz
ecs_day_start(EcsZone *zone, DateADT day)
{
	struct pg_tm tm = {0};

	j2date(day + POSTGRES_EPOCH_JDATE, &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
	return (TimestampTz) day * USECS_PER_DAY
		+ (TimestampTz) DetermineTimeZoneOffset(&tm, zone->tz) * USECS_PER_SEC;
}
