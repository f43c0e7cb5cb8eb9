/*
 * bucket.c
 *		Which day an instant belongs to, and which bucket a day.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "rollup/rollup.h"

PG_FUNCTION_INFO_V1(ecs_rollup_day);
PG_FUNCTION_INFO_V1(ecs_rollup_bucket);

/* What rollup_day() remembers from row to row */
typedef struct DayCache
{
	text	   *name;			/* of the zone */
	EcsZone		zone;
	DateADT		day;
	TimestampTz from;			/* the day is [from, until) */
	TimestampTz until;
} DayCache;

/*
 * The day of an instant and its stretch [from, until).
 *
 * A bucket's query reads from one local midnight to the next, so this, and not
 * the date on the local clock, says which bucket an event belongs to.  The two
 * differ where clocks went back from shortly after midnight (St. John's until
 * 2011, at 00:01): a few minutes then carry the date of the coming day.
 */
void
ecs_instant_day(EcsZone *zone, TimestampTz instant, DateADT *day, TimestampTz *from, TimestampTz *until)
{
	DateADT		d = ecs_local_day(zone, instant);

	while ((*from = ecs_day_start(zone, d)) > instant)
		d--;
	while ((*until = ecs_day_start(zone, d + 1)) <= instant)
	{
		*from = *until;
		d++;
	}
	*day = d;
}

/* rollup_day(at timestamptz, zone text) → date */
Datum
ecs_rollup_day(PG_FUNCTION_ARGS)
{
	TimestampTz instant = PG_GETARG_TIMESTAMPTZ(0);
	text	   *name = PG_GETARG_TEXT_PP(1);
	DayCache   *cache = fcinfo->flinfo->fn_extra;

	if (TIMESTAMP_IS_NOBEGIN(instant))
		PG_RETURN_DATEADT(DATEVAL_NOBEGIN);
	if (TIMESTAMP_IS_NOEND(instant))
		PG_RETURN_DATEADT(DATEVAL_NOEND);
	if (cache == NULL)
		cache = fcinfo->flinfo->fn_extra = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(DayCache));
	if (cache->name == NULL ||
		VARSIZE_ANY_EXHDR(cache->name) != VARSIZE_ANY_EXHDR(name) ||
		memcmp(VARDATA_ANY(cache->name), VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name)) != 0)
	{
		MemoryContext old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);

		ecs_zone_init(&cache->zone, text_to_cstring(name));
		cache->name = (text *) PG_DETOAST_DATUM_COPY(PointerGetDatum(name));
		cache->from = cache->until = 0;
		MemoryContextSwitchTo(old);
	}
	if (instant < cache->from || instant >= cache->until)
		ecs_instant_day(&cache->zone, instant, &cache->day, &cache->from, &cache->until);
	PG_RETURN_DATEADT(cache->day);
}

/* rollup_bucket(day, period, shift) → date */
Datum
ecs_rollup_bucket(PG_FUNCTION_ARGS)
{
	DateADT		day = PG_GETARG_DATEADT(0);
	EcsPeriod	period = ecs_period_from_enum(PG_GETARG_OID(1));
	int32		shift = PG_GETARG_INT32(2);

	if (DATE_NOT_FINITE(day))
		PG_RETURN_DATEADT(day);
	if (shift < -1 || shift > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a bucket is shifted by -1, 0 or 1")));
	PG_RETURN_DATEADT(ecs_period_start(period, ecs_period_index(period, day) + shift));
}
