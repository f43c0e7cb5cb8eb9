/*
 * calendar.c
 *		Reporting calendar: local days of instants, and periods of days.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_enum.h"
#include "miscadmin.h"
#include "parser/scansup.h"
#include "utils/datetime.h"
#include "utils/inval.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/calendar.h"
#include "base/compat.h"

/* 1999-12-27, the Monday on or before day 0 of DateADT (a Saturday) */
#define MONDAY_BEFORE_EPOCH		(-5)

/* From March of year -4800 (4801 BC) on */
#define DAYS_BEFORE_EPOCH		(POSTGRES_EPOCH_JDATE + 32044)
#define MONTHS_BEFORE_YEAR_0	(4800 * 12 - 2)

#define DAYS_PER_400_YEARS		146097
#define DAYS_PER_4_YEARS		1461

/* Seconds between the epochs of pg_time_t (1970) and TimestampTz (2000) */
#define EPOCH_SHIFT_SECS \
	((pg_time_t) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY)

const char *const ecs_period_labels[ECS_PERIODS] = {"day", "week", "month", "quarter", "year"};

/* Division that rounds down, also for days before 2000 */
static inline int64
floor_div(int64 a, int64 b)
{
	return a / b - (a % b < 0);
}

static EcsPeriod
find_period(Oid value)
{
	HeapTuple	tuple = SearchSysCache1(ENUMOID, ObjectIdGetDatum(value));
	int			period;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid internal value for enum: %u", value)));
	for (period = 0; period < ECS_PERIODS; period++)
		if (strcmp(NameStr(((Form_pg_enum) GETSTRUCT(tuple))->enumlabel), ecs_period_labels[period]) == 0)
			break;
	ReleaseSysCache(tuple);
	if (period == ECS_PERIODS)
		elog(ERROR, "enum value %u is not a period", value);
	return (EcsPeriod) period;
}

/*
 * The value that was looked up last, until some enum changes: transition functions
 * ask for every row, and have no fn_extra to remember it in.
 */
static Oid	known_value = InvalidOid;
static EcsPeriod known_period;

static void
forget_value(Datum arg, int cacheid, uint32 hashvalue)
{
	(void) arg;
	(void) cacheid;
	(void) hashvalue;
	known_value = InvalidOid;
}

EcsPeriod
ecs_period_from_enum(Oid value)
{
	static bool registered = false;

	if (value == known_value)
		return known_period;
	if (!registered)
		CacheRegisterSyscacheCallback(ENUMOID, forget_value, (Datum) 0);
	registered = true;
	known_period = find_period(value);
	known_value = value;
	return known_period;
}

/*
 * Months and days are counted from March of year -4800, on which four centuries
 * begin: a leap day is then the last day of a year, and every fifth month begins 153
 * days after another.  This is j2date() and date2j() without what nobody asks for
 * here.
 */
static int32
month_index(DateADT day)
{
	uint64		since = (uint32) day + DAYS_BEFORE_EPOCH;
	uint32		century = (4 * since + 3) / DAYS_PER_400_YEARS;
	uint32		century_day = (4 * since + 3) % DAYS_PER_400_YEARS / 4;
	uint32		year = (4 * century_day + 3) / DAYS_PER_4_YEARS;
	uint32		year_day = (4 * century_day + 3) % DAYS_PER_4_YEARS / 4;

	return (century * 100 + year) * 12 + (5 * year_day + 2) / 153 - MONTHS_BEFORE_YEAR_0;
}

static DateADT
month_start(int32 index)
{
	uint32		since = (uint32) index + MONTHS_BEFORE_YEAR_0;
	uint32		year = since / 12;

	return year * 365 + year / 4 - year / 100 + year / 400 + (153 * (since % 12) + 2) / 5 - DAYS_BEFORE_EPOCH;
}

int32
ecs_period_index(EcsPeriod period, DateADT day)
{
	switch (period)
	{
		case ECS_DAY:
			return day;
		case ECS_WEEK:
			return (int32) floor_div((int64) day - MONDAY_BEFORE_EPOCH, 7);
		case ECS_MONTH:
			return month_index(day);
		case ECS_QUARTER:
			return (int32) floor_div(month_index(day), 3);
		default:
			return (int32) floor_div(month_index(day), 12);
	}
}

DateADT
ecs_period_start(EcsPeriod period, int32 index)
{
	switch (period)
	{
		case ECS_DAY:
			return index;
		case ECS_WEEK:
			return index * 7 + MONDAY_BEFORE_EPOCH;
		case ECS_MONTH:
			return month_start(index);
		case ECS_QUARTER:
			return month_start(index * 3);
		default:
			return month_start(index * 12);
	}
}

/*
 * Names such as CET are those of time zones with daylight saving time, but to
 * AT TIME ZONE they are abbreviations of a fixed offset.  Days in SQL and in C
 * would differ.
 */
static void
check_not_abbreviation(const char *name, pg_tz *tz)
{
	char	   *token = downcase_truncate_identifier(name, strlen(name), false);
	int			type;
	int			offset;
	long int	zone_offset;
	pg_tz	   *dynamic;

	ecs_decode_abbreviation(token, &type, &offset, &dynamic);
	if ((type == TZ || type == DTZ || type == DYNTZ) &&
		!(type != DYNTZ && pg_get_timezone_offset(tz, &zone_offset) && zone_offset == offset))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" is ambiguous", name),
				 errdetail("It is an abbreviation of a fixed offset too, which it means in AT TIME ZONE."),
				 errhint("Use a full name, such as 'Europe/Paris'.")));
	pfree(token);
}

void
ecs_zone_init(EcsZone *zone, const char *name)
{
	int			i;

	zone->tz = strlen(name) <= TZ_STRLEN_MAX ? pg_tzset(name) : NULL;
	if (zone->tz == NULL || !pg_tz_acceptable(zone->tz))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" not recognized", name),
				 errhint("Use a name from pg_timezone_names, such as 'Europe/London'.")));
	check_not_abbreviation(name, zone->tz);
	zone->between_midnights = false;
	zone->from = zone->to = 0;	/* an empty stretch: nothing found yet */
	for (i = 0; i < ECS_ZONE_CHUNKS; i++)
	{
		zone->offsets[i].from = 0;
		zone->offsets[i].last = -1;
	}
}

static inline pg_time_t
unix_seconds(TimestampTz instant)
{
	return floor_div(instant, USECS_PER_SEC) + EPOCH_SHIFT_SECS;
}

/* The first transition after a moment, or PG_INT64_MAX */
static pg_time_t
next_transition(EcsZone *zone, pg_time_t moment)
{
	long int	offset;
	int			isdst;
	pg_time_t	transition;
	int			found = pg_next_dst_boundary(&moment, &offset, &isdst,
											 &transition, &offset, &isdst, zone->tz);

	if (found < 0)
		elog(ERROR, "could not determine the offset of time zone \"%s\"",
			 pg_get_timezone_name(zone->tz));
	return found > 0 ? transition : PG_INT64_MAX;
}

/* The stretch around an instant, within its chunk, in which the offset is one */
static void
find_offset(EcsZone *zone, TimestampTz instant, EcsOffset *stretch)
{
	const TimestampTz chunk_mask = (INT64CONST(1) << ECS_ZONE_CHUNK_BITS) - 1;
	pg_time_t	moment = unix_seconds(instant);
	pg_time_t	transition;

	stretch->from = instant & ~chunk_mask;
	stretch->last = instant | chunk_mask;

	/*
	 * pg_next_dst_boundary() knows the offset too, but not in agreement for a
	 * zone's first years
	 */
	stretch->offset = pg_localtime(&moment, zone->tz)->tm_gmtoff * USECS_PER_SEC;

	transition = next_transition(zone, unix_seconds(stretch->from));
	while (transition <= moment)
	{
		stretch->from = (transition - EPOCH_SHIFT_SECS) * USECS_PER_SEC;
		transition = next_transition(zone, transition);
	}
	if (transition <= unix_seconds(stretch->last))
		stretch->last = (transition - EPOCH_SHIFT_SECS) * USECS_PER_SEC - 1;
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
	EcsOffset  *stretch = &zone->offsets[((uint64) instant >> ECS_ZONE_CHUNK_BITS) % ECS_ZONE_CHUNKS];
	TimestampTz midnight;

	if (instant < stretch->from || instant > stretch->last)
		find_offset(zone, instant, stretch);

	zone->day = (DateADT) floor_div(instant + stretch->offset, USECS_PER_DAY);
	midnight = (TimestampTz) zone->day * USECS_PER_DAY - stretch->offset;
	zone->from = Max(midnight, stretch->from);
	zone->to = Min(midnight + USECS_PER_DAY, stretch->last + 1);

	/* where clocks go back from after midnight, that was not the day's yet */
	if (zone->between_midnights && zone->to - zone->from < USECS_PER_DAY &&
		ecs_day_start(zone, zone->day) > instant)
		zone->day--;
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
