/*
 * growth.c
 *		Growth accounting, rolling actives, cohorts: set-returning functions over
 *		events or kept activity.
 *
 * Each function asks source.c for the days of each user as bits and counts with
 * them; only those that list users ever name one.  In a period t
 *
 *		new				active in t, first seen in t
 *		retained		active in t and in t - 1
 *		resurrected		active in t, not in t - 1, first seen before t
 *		churned			active in t - 1, not in t
 *		dormant			first seen before t, active in neither
 *
 * so active(t) = new + retained + resurrected, active(t - 1) = retained + churned,
 * and the last two of a row follow from counts of the others.  Days are integers
 * from the first step on: no change to or from daylight saving time is met after
 * an event's own day has been found.
 *
 * This module stands a floor above activity and reads its values.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "catalog/pg_enum.h"

#include "growth/source.h"

PG_FUNCTION_INFO_V1(ecs_growth_accounting);
PG_FUNCTION_INFO_V1(ecs_rolling_growth);
PG_FUNCTION_INFO_V1(ecs_churn_by_inactivity);
PG_FUNCTION_INFO_V1(ecs_rolling_active);
PG_FUNCTION_INFO_V1(ecs_stickiness);
PG_FUNCTION_INFO_V1(ecs_power_curve);
PG_FUNCTION_INFO_V1(ecs_retention_cohorts);
PG_FUNCTION_INFO_V1(ecs_documented_churn);
PG_FUNCTION_INFO_V1(ecs_churned_users);
PG_FUNCTION_INFO_V1(ecs_resurrected_users);
PG_FUNCTION_INFO_V1(ecs_inactive_users);

/* Days that a window may hold: a thousand years */
#define MAX_DAYS		366000
#define MAX_COHORTS		2000
#define MAX_WINDOW_DAYS	3660

/* Days that are days of timestamps too, with room for what is added to them */
#define LEAST_DAY		(-2400000)	/* 4572 BC */
#define GREATEST_DAY	(100000000) /* 275789 */

/*
 * Arguments
 */

static void
require_args(FunctionCallInfo fcinfo, int count)
{
	int			i;

	for (i = 0; i < count; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument %d must not be null", i + 1),
					 errhint("Only the first and last day, the column of first_seen and the witness may be null.")));
}

static EcsFirstSeen
first_seen_of(Oid value)
{
	static const char *const labels[] = {"history", "window", "column"};
	HeapTuple	tuple = SearchSysCache1(ENUMOID, ObjectIdGetDatum(value));
	int			i;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid internal value for enum: %u", value)));
	for (i = 0; i < (int) lengthof(labels); i++)
		if (strcmp(NameStr(((Form_pg_enum) GETSTRUCT(tuple))->enumlabel), labels[i]) == 0)
			break;
	ReleaseSysCache(tuple);
	if (i == (int) lengthof(labels))
		elog(ERROR, "enum value %u does not say who is new", value);
	return (EcsFirstSeen) i;
}

/* The relation, user and time column come first; seen_arg 0: the function has no first_seen */
static void
open_source(FunctionCallInfo fcinfo, EcsSource *source, int zone_arg, int seen_arg)
{
	bool		seen = seen_arg > 0;

	require_args(fcinfo, 3);
	if (PG_ARGISNULL(zone_arg) || (seen && PG_ARGISNULL(seen_arg)))
		require_args(fcinfo, Max(zone_arg, seen_arg) + 1);
	ecs_source_open(source, PG_GETARG_OID(0), NameStr(*PG_GETARG_NAME(1)), NameStr(*PG_GETARG_NAME(2)),
					text_to_cstring(PG_GETARG_TEXT_PP(zone_arg)),
					seen ? first_seen_of(PG_GETARG_OID(seen_arg)) : ECS_SEEN_HISTORY,
					seen && !PG_ARGISNULL(seen_arg + 1) ? NameStr(*PG_GETARG_NAME(seen_arg + 1)) : NULL,
					fcinfo->flinfo->fn_oid);
}

static void
check_bound(DateADT day)
{
	if (DATE_NOT_FINITE(day))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("the range of days must be finite"),
				 errhint("Leave out a day, or pass NULL, to begin or end with the events.")));
	if (day < LEAST_DAY || day > GREATEST_DAY)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("day is out of range for timestamps")));
}

/* The days that are asked about */
typedef struct Range
{
	DateADT		since;
	DateADT		until;			/* not included */
	DateADT		over;			/* days before it are over */
} Range;

/*
 * The range in two arguments, since and until; where they are null the events
 * decide.  False: there is nothing in it.  Inside SPI.
 */
static bool
get_range(FunctionCallInfo fcinfo, EcsSource *source, int since_arg, Range *range)
{
	bool		from_events = PG_ARGISNULL(since_arg) || PG_ARGISNULL(since_arg + 1);
	DateADT		first,
				last;

	if (!PG_ARGISNULL(since_arg))
		check_bound(PG_GETARG_DATEADT(since_arg));
	if (!PG_ARGISNULL(since_arg + 1))
		check_bound(PG_GETARG_DATEADT(since_arg + 1));
	if (from_events && !ecs_source_bounds(source, &first, &last))
		return false;
	range->since = PG_ARGISNULL(since_arg) ? first : PG_GETARG_DATEADT(since_arg);
	range->until = PG_ARGISNULL(since_arg + 1) ? last + 1 : PG_GETARG_DATEADT(since_arg + 1);
	check_bound(range->since);
	check_bound(range->until);
	if (range->since > range->until && !from_events)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the range of days is reversed"),
				 errhint("Pass the first day as since, and the day after the last one as until.")));
	range->over = Min(range->until, ecs_local_day(&source->zone, GetCurrentTransactionStartTimestamp()));
	return range->since < range->until;
}

/*
 * Windows
 */

/* A window of days that are not in slots yet */
static void
init_window(EcsWindow *window, DateADT begin, DateADT end)
{
	if (end - begin > MAX_DAYS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("range of %d days is too long", end - begin),
				 errdetail("At most %d days can be looked at.", MAX_DAYS),
				 errhint("Pass since and until; one event with a wrong time may lie far from the others.")));
	window->begin = begin;
	window->end = end;
	window->slots = 0;
	window->slot_of_day = palloc(Max(end - begin, 1) * sizeof(int32));
	window->dates = false;
	window->since = ECS_NO_DAY;
}

/* Each day a slot */
static void
init_day_window(EcsWindow *window, DateADT begin, DateADT end)
{
	init_window(window, begin, end);
	for (; begin < end; begin++)
		window->slot_of_day[begin - window->begin] = window->slots++;
}

/* Each of the periods first..last a slot; the last may be cut short by "end" */
static void
init_period_window(EcsWindow *window, EcsPeriod period, int32 first, int32 last, DateADT end)
{
	DateADT		day = ecs_period_start(period, first);

	init_window(window, day, Min(end, ecs_period_start(period, last + 1)));
	for (; first <= last; first++, window->slots++)
		for (; day < Min(ecs_period_start(period, first + 1), window->end); day++)
			window->slot_of_day[day - window->begin] = window->slots;
}

/* All days one slot */
static void
init_single_window(EcsWindow *window, DateADT begin, DateADT end)
{
	init_window(window, begin, end);
	memset(window->slot_of_day, 0, (end - begin) * sizeof(int32));
	window->slots = 1;
	window->dates = true;
}

/* Take notice of where the first day of a user is looked for */
static void
look_for_first(EcsWindow *window, const EcsSource *source)
{
	if (source->seen == ECS_SEEN_WINDOW)
		window->since = window->begin;
	window->dates |= source->seen == ECS_SEEN_COLUMN;
}

/* The slot in which a user was first seen, -1 if before the window */
static int
first_slot(const EcsUser *user, const EcsWindow *window, const EcsSource *source)
{
	int			word = 0;
	int			first = -1;

	if (!ECS_HAS_BIT(user->bits, ECS_BIT_BEFORE))
	{
		uint64		bits = user->bits[0] & ~(UINT64CONST(1) << ECS_BIT_PRESENT);

		while (bits == 0)
			bits = user->bits[++word];
		first = word * 64 + pg_rightmost_one_pos64(bits) - ECS_SLOT;
	}
	if (source->seen == ECS_SEEN_COLUMN && user->first_seen != ECS_NO_DAY)
	{
		if (user->first_seen < window->begin)
			first = -1;
		else if (user->first_seen < window->end)
			first = Min(first, window->slot_of_day[user->first_seen - window->begin]);
	}
	return first;
}

/* Loop over the slots in which a user was active */
typedef struct SlotReader
{
	const uint64 *bits;
	int			words;
	int			word;
	uint64		left;
} SlotReader;

static inline void
read_slots(SlotReader *reader, const EcsUser *user, const EcsWindow *window)
{
	reader->bits = user->bits;
	reader->words = ECS_WORDS(window);
	reader->word = 0;
	reader->left = user->bits[0] >> ECS_SLOT << ECS_SLOT;
}

/* The next slot, or -1 */
static inline int
next_slot(SlotReader *reader)
{
	int			bit;

	while (reader->left == 0)
	{
		if (++reader->word == reader->words)
			return -1;
		reader->left = reader->bits[reader->word];
	}
	bit = pg_rightmost_one_pos64(reader->left);
	reader->left &= reader->left - 1;
	return reader->word * 64 + bit - ECS_SLOT;
}

/*
 * Results
 */

static Datum
ratio(int64 part, int64 whole, bool *isnull)
{
	*isnull = whole == 0;
	return whole == 0 ? (Datum) 0 : Float8GetDatum((double) part / (double) whole);
}

static void
put_row(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	CHECK_FOR_INTERRUPTS();
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static void
begin_result(FunctionCallInfo fcinfo)
{
	InitMaterializedSRF(fcinfo, 0);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

static Datum
end_result(FunctionCallInfo fcinfo)
{
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	fcinfo->isnull = true;
	return (Datum) 0;
}

/*
 * Growth accounting
 *
 * Counts per slot.  "seen" counts the users first seen in a slot, from the
 * place before the first slot on; the others are of the slot itself.
 */
typedef struct Growth
{
	const EcsSource *source;
	EcsWindow	window;
	int64	   *active;
	int64	   *fresh;			/* active, first seen in it (or within the
								 * step) */
	int64	   *retained;
	int64	   *seen;

	/*
	 * of rolling windows, whose counts are differences from slot to slot
	 * until added up
	 */
	int			window_days;
	int			step_days;
	int		   *begins;			/* of the stretches of slots in which one user
								 * counts as active */
	int		   *ends;
} Growth;

static void
init_growth(Growth *growth, const EcsSource *source)
{
	Size		size = (growth->window.slots + 1) * sizeof(int64);

	growth->source = source;
	growth->active = palloc0(size);
	growth->fresh = palloc0(size);
	growth->retained = palloc0(size);
	growth->seen = palloc0(size);
}

static void
count_user(const EcsUser *user, void *state)
{
	Growth	   *growth = state;
	SlotReader	reader;
	int			previous = -2;
	int			first = first_slot(user, &growth->window, growth->source);
	int			slot;

	growth->seen[first + 1]++;
	if (first >= 0 && ECS_HAS_BIT(user->bits, ECS_SLOT + first))
		growth->fresh[first]++;
	read_slots(&reader, user, &growth->window);
	while ((slot = next_slot(&reader)) >= 0)
	{
		growth->active[slot]++;
		growth->retained[slot] += previous == slot - 1;
		previous = slot;
	}
}

/* The classes of one slot, compared with the one "step" slots earlier */
typedef struct Classes
{
	int64		active;
	int64		previous;		/* active then */
	int64		fresh;
	int64		retained;
	int64		resurrected;
	int64		churned;
	int64		dormant;
} Classes;

static Classes
classes_of(const Growth *growth, int slot, int step, int64 known)
{
	Classes		c;

	c.active = growth->active[slot];
	c.previous = slot >= step ? growth->active[slot - step] : 0;
	c.fresh = growth->fresh[slot];
	c.retained = growth->retained[slot];
	c.resurrected = c.active - c.fresh - c.retained;
	c.churned = c.previous - c.retained;
	c.dormant = known - c.active - c.churned;
	return c;
}

/* A row; what is not over yet has lost nobody for good */
static void
put_classes(FunctionCallInfo fcinfo, DateADT start, Classes c, bool complete)
{
	Datum		values[11];
	bool		nulls[11] = {false};

	values[0] = DateADTGetDatum(start);
	values[1] = Int64GetDatum(c.active);
	values[2] = Int64GetDatum(c.fresh);
	values[3] = Int64GetDatum(c.retained);
	values[4] = Int64GetDatum(c.resurrected);
	values[5] = Int64GetDatum(c.churned);
	values[6] = Int64GetDatum(c.dormant);
	values[7] = ratio(c.churned, c.previous, &nulls[7]);
	values[8] = ratio(c.retained, c.previous, &nulls[8]);
	values[9] = ratio(c.fresh + c.resurrected, c.churned, &nulls[9]);
	values[10] = BoolGetDatum(complete);
	if (!complete)
		nulls[5] = nulls[7] = nulls[8] = nulls[9] = true;
	put_row(fcinfo, values, nulls);
}

/* growth_accounting(source, user, time, period, since, until, zone, first_seen, column) */
Datum
ecs_growth_accounting(PG_FUNCTION_ARGS)
{
	EcsSource	source;
	EcsPeriod	period;
	Range		range;
	Growth		growth;

	require_args(fcinfo, 4);
	period = ecs_period_from_enum(PG_GETARG_OID(3));
	open_source(fcinfo, &source, 6, 7);
	begin_result(fcinfo);
	if (get_range(fcinfo, &source, 4, &range))
	{
		/*
		 * the period before tells who was retained, unless nothing before
		 * counts
		 */
		int			before = source.seen == ECS_SEEN_WINDOW ? 0 : 1;
		int32		first = ecs_period_index(period, range.since) - before;
		int64		known;
		int			slot;

		init_period_window(&growth.window, period, first, ecs_period_index(period, range.until - 1), range.until);
		look_for_first(&growth.window, &source);
		init_growth(&growth, &source);
		ecs_source_scan(&source, &growth.window, count_user, &growth);

		known = growth.seen[0] + (before ? growth.seen[1] : 0);
		for (slot = before; slot < growth.window.slots; slot++)
		{
			known += growth.seen[slot + 1];
			put_classes(fcinfo, ecs_period_start(period, first + slot),
						classes_of(&growth, slot, 1, known),
						ecs_period_start(period, first + slot + 1) <= range.over);
		}
	}
	return end_result(fcinfo);
}

/*
 * Rolling windows
 *
 * Somebody is active at day t if he was on one of the days (t - N, t].  So each
 * active day makes N days of it, and a user's are a few stretches: their ends are
 * all that is counted, and the sums from day to day are the answers.
 */

/* Find the stretches of a user; returns how many */
static int
find_stretches(Growth *growth, const EcsUser *user)
{
	SlotReader	reader;
	int			count = 0;
	int			slot;

	read_slots(&reader, user, &growth->window);
	while ((slot = next_slot(&reader)) >= 0)
	{
		if (count == 0 || slot > growth->ends[count - 1])
			growth->begins[count++] = slot;
		growth->ends[count - 1] = Min(slot + growth->window_days, growth->window.slots);
	}
	return count;
}

/* Count the slots [begin, end), as far as there are any */
static inline void
count_stretch(int64 *counts, int slots, int begin, int end)
{
	end = Min(end, slots);
	if (begin < end)
	{
		counts[begin]++;
		counts[end]--;
	}
}

static void
count_rolling_user(const EcsUser *user, void *state)
{
	Growth	   *growth = state;
	int			slots = growth->window.slots;
	int			step = growth->step_days;
	int			first = first_slot(user, &growth->window, growth->source);
	int			count = find_stretches(growth, user);
	int			now = 0;
	int			then = 0;

	growth->seen[first + 1]++;
	if (count > 0 && first >= 0)
		count_stretch(growth->fresh, slots, growth->begins[0], first + step);
	for (now = 0; now < count; now++)
		count_stretch(growth->active, slots, growth->begins[now], growth->ends[now]);

	/*
	 * who is active now and was "step" days ago: the stretches against
	 * themselves, later
	 */
	for (now = 0; now < count && then < count;)
	{
		int			begin = Max(growth->begins[now], growth->begins[then] + step);
		int			end = Min(growth->ends[now], growth->ends[then] + step);

		count_stretch(growth->retained, slots, begin, end);
		if (growth->ends[now] < growth->ends[then] + step)
			now++;
		else
			then++;
	}
}

static void
add_up(int64 *counts, int slots)
{
	int			slot;

	for (slot = 1; slot < slots; slot++)
		counts[slot] += counts[slot - 1];
}

static void
check_days(int days, const char *name)
{
	if (days < 1 || days > MAX_WINDOW_DAYS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be between 1 and %d, not %d", name, MAX_WINDOW_DAYS, days)));
}

/* What is common to the functions of rolling windows; returns the slot of range->since */
static int
scan_rolling(Growth *growth, EcsSource *source, const Range *range, int window_days, int step_days)
{
	int			before = source->seen == ECS_SEEN_WINDOW ? 0 : window_days + step_days - 1;

	init_day_window(&growth->window, range->since - before, range->until);
	look_for_first(&growth->window, source);
	init_growth(growth, source);
	growth->window_days = window_days;
	growth->step_days = step_days;
	growth->begins = palloc(growth->window.slots * sizeof(int));
	growth->ends = palloc(growth->window.slots * sizeof(int));
	ecs_source_scan(source, &growth->window, count_rolling_user, growth);
	add_up(growth->active, growth->window.slots);
	add_up(growth->fresh, growth->window.slots);
	add_up(growth->retained, growth->window.slots);
	return before;
}

/* rolling_growth(source, user, time, window_days, since, until, zone, step_days, first_seen, column) */
Datum
ecs_rolling_growth(PG_FUNCTION_ARGS)
{
	EcsSource	source;
	Range		range;
	Growth		growth;
	int			window_days,
				step_days;

	require_args(fcinfo, 4);
	window_days = PG_GETARG_INT32(3);
	step_days = PG_ARGISNULL(7) ? window_days : PG_GETARG_INT32(7);
	check_days(window_days, "window_days");
	check_days(step_days, "step_days");
	if (step_days > window_days)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("step_days must not be more than window_days"),
				 errhint("Pass 1 to compare with the day before, or nothing to compare with the window before.")));
	open_source(fcinfo, &source, 6, 8);
	begin_result(fcinfo);
	if (get_range(fcinfo, &source, 4, &range))
	{
		int			since = scan_rolling(&growth, &source, &range, window_days, step_days);
		int64		known = growth.seen[0];
		int			slot;

		for (slot = 0; slot < growth.window.slots; slot++)
		{
			known += growth.seen[slot + 1];
			if (slot >= since)
				put_classes(fcinfo, growth.window.begin + slot,
							classes_of(&growth, slot, step_days, known),
							growth.window.begin + slot < range.over);
		}
	}
	return end_result(fcinfo);
}

/* churn_by_inactivity(source, user, time, inactive_days, since, until, zone, first_seen, column) */
Datum
ecs_churn_by_inactivity(PG_FUNCTION_ARGS)
{
	EcsSource	source;
	Range		range;
	Growth		growth;

	require_args(fcinfo, 4);
	check_days(PG_GETARG_INT32(3), "inactive_days");
	open_source(fcinfo, &source, 6, 7);
	begin_result(fcinfo);
	if (get_range(fcinfo, &source, 4, &range))
	{
		int			since = scan_rolling(&growth, &source, &range, PG_GETARG_INT32(3), 1);
		int64		known = growth.seen[0];
		int			slot;

		for (slot = 0; slot < growth.window.slots; slot++)
		{
			Classes		c;
			Datum		values[8];
			bool		nulls[8] = {false};

			known += growth.seen[slot + 1];
			if (slot < since)
				continue;
			c = classes_of(&growth, slot, 1, known);
			values[0] = DateADTGetDatum(growth.window.begin + slot);
			values[1] = Int64GetDatum(c.active);
			values[2] = Int64GetDatum(c.fresh);
			values[3] = Int64GetDatum(c.resurrected);
			values[4] = Int64GetDatum(c.churned);
			values[5] = Int64GetDatum(c.churned + c.dormant);
			values[6] = ratio(c.churned, c.previous, &nulls[6]);
			values[7] = BoolGetDatum(growth.window.begin + slot < range.over);
			if (!DatumGetBool(values[7]))
				nulls[4] = nulls[6] = true;
			put_row(fcinfo, values, nulls);
		}
	}
	return end_result(fcinfo);
}

/*
 * Engagement
 */

typedef struct Engagement
{
	Growth		growth;			/* the days; "active" is of the trailing
								 * window */
	int64	   *daily;			/* active users per slot */
	int32	   *slot_of_slot;	/* the period that a day's slot lies in */
	int64	   *period_users;
	int64	   *period_days;	/* sum of the active days of its users */
} Engagement;

static void
count_trailing_user(const EcsUser *user, void *state)
{
	Engagement *engagement = state;
	Growth	   *growth = &engagement->growth;
	SlotReader	reader;
	int			slots = growth->window.slots;
	int			begin = -1;
	int			end = -1;
	int			slot;

	read_slots(&reader, user, &growth->window);
	while ((slot = next_slot(&reader)) >= 0)
	{
		engagement->daily[slot]++;
		if (slot > end)
		{
			if (begin >= 0)
				count_stretch(growth->active, slots, begin, end);
			begin = slot;
		}
		end = slot + growth->window_days;
	}
	if (begin >= 0)
		count_stretch(growth->active, slots, begin, end);
}

/* rolling_active(source, user, time, window_days, since, until, zone) */
Datum
ecs_rolling_active(PG_FUNCTION_ARGS)
{
	EcsSource	source;
	Range		range;
	Engagement	engagement;
	Growth	   *growth = &engagement.growth;

	require_args(fcinfo, 4);
	growth->window_days = PG_GETARG_INT32(3);
	check_days(growth->window_days, "window_days");
	open_source(fcinfo, &source, 6, 0);
	begin_result(fcinfo);
	if (get_range(fcinfo, &source, 4, &range))
	{
		int			slot;

		init_day_window(&growth->window, range.since - growth->window_days + 1, range.until);
		growth->window.since = growth->window.begin;
		init_growth(growth, &source);
		engagement.daily = palloc0(growth->window.slots * sizeof(int64));
		ecs_source_scan(&source, &growth->window, count_trailing_user, &engagement);
		add_up(growth->active, growth->window.slots);

		for (slot = growth->window_days - 1; slot < growth->window.slots; slot++)
		{
			DateADT		day = growth->window.begin + slot;
			Datum		values[5];
			bool		nulls[5] = {false};

			values[0] = DateADTGetDatum(day);
			values[1] = Int64GetDatum(engagement.daily[slot]);
			values[2] = Int64GetDatum(growth->active[slot]);
			values[3] = ratio(engagement.daily[slot], growth->active[slot], &nulls[3]);
			values[4] = BoolGetDatum(day < range.over);
			put_row(fcinfo, values, nulls);
		}
	}
	return end_result(fcinfo);
}

static void
count_engaged_user(const EcsUser *user, void *state)
{
	Engagement *engagement = state;
	SlotReader	reader;
	int			last = -1;
	int			slot;

	read_slots(&reader, user, &engagement->growth.window);
	while ((slot = next_slot(&reader)) >= 0)
	{
		int			period = engagement->slot_of_slot[slot];

		engagement->period_days[period]++;
		engagement->period_users[period] += period != last;
		last = period;
	}
}

/* stickiness(source, user, time, period, since, until, zone) */
Datum
ecs_stickiness(PG_FUNCTION_ARGS)
{
	EcsSource	source;
	EcsPeriod	period;
	Range		range;
	Engagement	engagement;
	EcsWindow  *window = &engagement.growth.window;

	require_args(fcinfo, 4);
	period = ecs_period_from_enum(PG_GETARG_OID(3));
	open_source(fcinfo, &source, 6, 0);
	begin_result(fcinfo);
	if (get_range(fcinfo, &source, 4, &range))
	{
		int32		first = ecs_period_index(period, range.since);
		EcsWindow	periods;
		int			i;

		init_period_window(&periods, period, first, ecs_period_index(period, range.until - 1), range.until);
		init_day_window(window, periods.begin, periods.end);
		window->since = window->begin;
		engagement.slot_of_slot = periods.slot_of_day;
		engagement.period_users = palloc0(periods.slots * sizeof(int64));
		engagement.period_days = palloc0(periods.slots * sizeof(int64));
		ecs_source_scan(&source, window, count_engaged_user, &engagement);

		for (i = 0; i < periods.slots; i++)
		{
			DateADT		start = ecs_period_start(period, first + i);
			DateADT		end = ecs_period_start(period, first + i + 1);
			int			days = Min(end, range.until) - start;
			Datum		values[6];
			bool		nulls[6] = {false};

			values[0] = DateADTGetDatum(start);
			values[1] = Int64GetDatum(engagement.period_users[i]);
			values[2] = Int64GetDatum(engagement.period_days[i]);
			values[3] = Float8GetDatum((double) engagement.period_days[i] / days);
			values[4] = ratio(engagement.period_days[i], engagement.period_users[i] * days, &nulls[4]);
			values[5] = BoolGetDatum(end <= range.over);
			put_row(fcinfo, values, nulls);
		}
	}
	return end_result(fcinfo);
}

typedef struct PowerCurve
{
	EcsWindow	window;
	int64	   *users;			/* by active days */
	int64		all;
} PowerCurve;

static void
count_active_days(const EcsUser *user, void *state)
{
	PowerCurve *curve = state;
	int			words = ECS_WORDS(&curve->window);
	int			days = pg_popcount64(user->bits[0] >> ECS_SLOT);
	int			word;

	for (word = 1; word < words; word++)
		days += pg_popcount64(user->bits[word]);
	curve->users[days]++;
	curve->all += days > 0;
}

/* power_curve(source, user, time, days, as_of, zone) */
Datum
ecs_power_curve(PG_FUNCTION_ARGS)
{
	EcsSource	source;
	PowerCurve	curve = {.all = 0};
	DateADT		first,
				as_of;
	int			days;

	require_args(fcinfo, 4);
	days = PG_GETARG_INT32(3);
	check_days(days, "days");
	open_source(fcinfo, &source, 5, 0);
	begin_result(fcinfo);
	if (!PG_ARGISNULL(4))
		as_of = PG_GETARG_DATEADT(4);
	else if (!ecs_source_bounds(&source, &first, &as_of))
		return end_result(fcinfo);
	check_bound(as_of);

	init_day_window(&curve.window, as_of - days + 1, as_of + 1);
	curve.window.since = curve.window.begin;
	curve.users = palloc0((days + 1) * sizeof(int64));
	ecs_source_scan(&source, &curve.window, count_active_days, &curve);
	{
		int64		at_least = curve.all;
		int			i;

		for (i = 1; i <= days; i++)
		{
			Datum		values[4];
			bool		nulls[4] = {false};

			values[0] = Int32GetDatum(i);
			values[1] = Int64GetDatum(curve.users[i]);
			values[2] = Int64GetDatum(at_least);
			values[3] = ratio(curve.users[i], curve.all, &nulls[3]);
			put_row(fcinfo, values, nulls);
			at_least -= curve.users[i];
		}
	}
	return end_result(fcinfo);
}

/*
 * Retention
 */

typedef struct Cohorts
{
	const EcsSource *source;
	EcsWindow	window;
	bool		recurring;
	int64	   *users;			/* by cohort */
	int64	   *retained;		/* by cohort and period */
	int		   *slots;			/* of one user */
} Cohorts;

static void
count_cohort_user(const EcsUser *user, void *state)
{
	Cohorts    *cohorts = state;
	int			slots = cohorts->window.slots;
	int			first;
	int			count = 0;
	int			i,
				j;
	SlotReader	reader;

	read_slots(&reader, user, &cohorts->window);
	while ((cohorts->slots[count] = next_slot(&reader)) >= 0)
		count++;

	if (cohorts->recurring)
	{
		for (i = 0; i < count; i++)
		{
			cohorts->users[cohorts->slots[i]]++;
			for (j = i; j < count; j++)
				cohorts->retained[cohorts->slots[i] * slots + cohorts->slots[j]]++;
		}
		return;
	}
	first = first_slot(user, &cohorts->window, cohorts->source);
	if (first < 0)
		return;
	cohorts->users[first]++;
	for (i = 0; i < count; i++)
		cohorts->retained[first * slots + cohorts->slots[i]]++;
}

/* retention_cohorts(source, user, time, period, since, until, zone, first_seen, column, recurring) */
Datum
ecs_retention_cohorts(PG_FUNCTION_ARGS)
{
	EcsSource	source;
	EcsPeriod	period;
	Range		range;
	Cohorts		cohorts;

	require_args(fcinfo, 4);
	if (PG_ARGISNULL(9))
		require_args(fcinfo, 10);
	period = ecs_period_from_enum(PG_GETARG_OID(3));
	open_source(fcinfo, &source, 6, 7);
	begin_result(fcinfo);
	if (get_range(fcinfo, &source, 4, &range))
	{
		int32		first = ecs_period_index(period, range.since);
		int			slots,
					cohort,
					slot;

		init_period_window(&cohorts.window, period, first, ecs_period_index(period, range.until - 1), range.until);
		slots = cohorts.window.slots;
		if (slots > MAX_COHORTS)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("%d cohorts are too many", slots),
					 errdetail("At most %d periods can be compared with each other.", MAX_COHORTS),
					 errhint("Choose a longer period, or pass since and until.")));
		cohorts.source = &source;
		cohorts.recurring = PG_GETARG_BOOL(9);
		look_for_first(&cohorts.window, &source);
		if (cohorts.recurring)
			cohorts.window.since = cohorts.window.begin;
		cohorts.users = palloc0(slots * sizeof(int64));
		cohorts.retained = palloc0((Size) slots * slots * sizeof(int64));
		cohorts.slots = palloc((slots + 1) * sizeof(int));
		ecs_source_scan(&source, &cohorts.window, count_cohort_user, &cohorts);

		for (cohort = 0; cohort < slots; cohort++)
			for (slot = cohort; slot < slots; slot++)
			{
				Datum		values[6];
				bool		nulls[6] = {false};
				int64		retained = cohorts.retained[cohort * slots + slot];

				values[0] = DateADTGetDatum(ecs_period_start(period, first + cohort));
				values[1] = Int32GetDatum(slot - cohort);
				values[2] = Int64GetDatum(cohorts.users[cohort]);
				values[3] = Int64GetDatum(retained);
				values[4] = ratio(retained, cohorts.users[cohort], &nulls[4]);
				values[5] = BoolGetDatum(ecs_period_start(period, first + slot + 1) <= range.over);
				put_row(fcinfo, values, nulls);
			}
	}
	return end_result(fcinfo);
}

/* documented_churn(source, user, time, since, until, zone) */
Datum
ecs_documented_churn(PG_FUNCTION_ARGS)
{
	EcsSource	source;
	Range		range;
	Growth		growth;

	open_source(fcinfo, &source, 5, 0);
	begin_result(fcinfo);
	if (get_range(fcinfo, &source, 3, &range))
	{
		int32		first = ecs_period_index(ECS_MONTH, range.since);
		int			slot;

		init_period_window(&growth.window, ECS_MONTH, first, ecs_period_index(ECS_MONTH, range.until - 1), range.until);
		growth.window.since = growth.window.begin;
		init_growth(&growth, &source);
		ecs_source_scan(&source, &growth.window, count_user, &growth);
		for (slot = 0; slot < growth.window.slots; slot++)
		{
			int64		active = growth.active[slot];
			bool		next_is_over = slot + 1 < growth.window.slots &&
				ecs_period_start(ECS_MONTH, first + slot + 2) <= range.over;
			Datum		values[2];
			bool		nulls[2] = {false, active == 0 || !next_is_over};

			values[0] = DateADTGetDatum(ecs_period_start(ECS_MONTH, first + slot));
			values[1] = nulls[1] ? (Datum) 0 :
				Float8GetDatum(100.0 * (active - growth.retained[slot + 1]) / active);
			put_row(fcinfo, values, nulls);
		}
	}
	return end_result(fcinfo);
}

/*
 * Lists of users: the window is one slot, and dates say what was before it
 */

typedef struct UserList
{
	FunctionCallInfo fcinfo;
	EcsPeriod	period;
	int32		index;			/* of the window */
} UserList;

static void
put_user(UserList *list, const EcsUser *user, DateADT date, DateADT other_date)
{
	Datum		values[] = {user->key, DateADTGetDatum(date), DateADTGetDatum(other_date)};
	bool		nulls[] = {false, false, false};

	put_row(list->fcinfo, values, nulls);
}

static void
list_churned(const EcsUser *user, void *state)
{
	UserList   *list = state;

	if (user->last_before != ECS_NO_DAY && user->first_within == ECS_NO_DAY &&
		ecs_period_index(list->period, user->last_before) == list->index - 1)
		put_user(list, user, user->last_before, ECS_NO_DAY);
}

static void
list_resurrected(const EcsUser *user, void *state)
{
	UserList   *list = state;

	if (user->last_before != ECS_NO_DAY && user->first_within != ECS_NO_DAY &&
		ecs_period_index(list->period, user->last_before) < list->index - 1)
		put_user(list, user, user->last_before, user->first_within);
}

static void
list_inactive(const EcsUser *user, void *state)
{
	UserList   *list = state;

	if (user->last_before != ECS_NO_DAY && user->first_within == ECS_NO_DAY)
		put_user(list, user, user->last_before, ECS_NO_DAY);
}

/* The users come back as the type of the witness, which must be theirs */
static void
check_witness(FunctionCallInfo fcinfo, const EcsSource *source, int arg)
{
	Oid			type = getBaseType(get_fn_expr_argtype(fcinfo->flinfo, arg));

	if (type != source->user_type)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("witness is of type %s, but users are of type %s",
						format_type_be(type), format_type_be(source->user_type)),
				 errhint("Pass NULL::%s as witness.", format_type_be(source->user_type))));
}

static Datum
list_of_period(FunctionCallInfo fcinfo, EcsUserFunction function, bool all_history)
{
	EcsSource	source;
	EcsWindow	window;
	UserList	list = {.fcinfo = fcinfo};

	require_args(fcinfo, 5);
	check_bound(PG_GETARG_DATEADT(4));
	list.period = ecs_period_from_enum(PG_GETARG_OID(3));
	list.index = ecs_period_index(list.period, PG_GETARG_DATEADT(4));
	open_source(fcinfo, &source, 6, 0);
	check_witness(fcinfo, &source, 5);
	begin_result(fcinfo);
	init_single_window(&window, ecs_period_start(list.period, list.index),
					   ecs_period_start(list.period, list.index + 1));
	if (!all_history)
		window.since = ecs_period_start(list.period, list.index - 1);
	ecs_source_scan(&source, &window, function, &list);
	return end_result(fcinfo);
}

/* churned_users(source, user, time, period, period_start, witness, zone) */
Datum
ecs_churned_users(PG_FUNCTION_ARGS)
{
	return list_of_period(fcinfo, list_churned, false);
}

/* resurrected_users(source, user, time, period, period_start, witness, zone) */
Datum
ecs_resurrected_users(PG_FUNCTION_ARGS)
{
	return list_of_period(fcinfo, list_resurrected, true);
}

/* inactive_users(source, user, time, inactive_days, as_of, witness, zone) */
Datum
ecs_inactive_users(PG_FUNCTION_ARGS)
{
	EcsSource	source;
	EcsWindow	window;
	UserList	list = {.fcinfo = fcinfo};
	DateADT		as_of;

	require_args(fcinfo, 5);
	check_days(PG_GETARG_INT32(3), "inactive_days");
	as_of = PG_GETARG_DATEADT(4);
	check_bound(as_of);
	open_source(fcinfo, &source, 6, 0);
	check_witness(fcinfo, &source, 5);
	begin_result(fcinfo);
	init_single_window(&window, as_of - PG_GETARG_INT32(3) + 1, as_of + 1);
	ecs_source_scan(&source, &window, list_inactive, &list);
	return end_result(fcinfo);
}
