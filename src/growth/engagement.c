/*
 * engagement.c
 *		rolling_active, stickiness, power_curve: how often users come.
 */
#include "postgres.h"

#include "growth/growth.h"

PG_FUNCTION_INFO_V1(ecs_rolling_active);
PG_FUNCTION_INFO_V1(ecs_stickiness);
PG_FUNCTION_INFO_V1(ecs_power_curve);

typedef struct Trailing
{
	EcsWindow	window;
	int			window_days;
	int64	   *daily;			/* active users, by day */
	int64	   *active;			/* in the days that end on it */
} Trailing;

static void
count_trailing_user(const EcsUser *user, void *state)
{
	Trailing   *trailing = state;
	EcsSlotReader reader;
	int			slots = trailing->window.slots;
	int			begin = -1;
	int			end = -1;
	int			slot;

	ecs_read_slots(&reader, user, &trailing->window);
	while ((slot = ecs_next_slot(&reader)) >= 0)
	{
		trailing->daily[slot] += user->users;
		if (slot > end)
		{
			if (begin >= 0)
				ecs_count_stretch(trailing->active, slots, begin, end, user->users);
			begin = slot;
		}
		end = slot + trailing->window_days;
	}
	if (begin >= 0)
		ecs_count_stretch(trailing->active, slots, begin, end, user->users);
}

/* rolling_active(source, user, time, window_days, since, until, zone) */
Datum
ecs_rolling_active(PG_FUNCTION_ARGS)
{
	EcsSource	source;
	EcsRange	range;
	Trailing	trailing;
	EcsWindow  *window = &trailing.window;

	ecs_require_args(fcinfo, 4);
	trailing.window_days = PG_GETARG_INT32(3);
	ecs_check_days(trailing.window_days, "window_days");
	ecs_open_source(fcinfo, &source, 6, 0);
	ecs_begin_result(fcinfo);
	if (ecs_get_range(fcinfo, &source, 4, &range))
	{
		int			slot;

		ecs_init_day_window(window, range.since - trailing.window_days + 1, range.until);
		window->since = window->begin;
		trailing.daily = palloc0(window->slots * sizeof(int64));
		trailing.active = palloc0((window->slots + 1) * sizeof(int64));
		ecs_source_scan(&source, window, count_trailing_user, &trailing);
		ecs_add_up(trailing.active, window->slots);

		for (slot = trailing.window_days - 1; slot < window->slots; slot++)
		{
			DateADT		day = window->begin + slot;
			Datum		values[5];
			bool		nulls[5] = {false};

			values[0] = DateADTGetDatum(day);
			values[1] = Int64GetDatum(trailing.daily[slot]);
			values[2] = Int64GetDatum(trailing.active[slot]);
			values[3] = ecs_ratio(trailing.daily[slot], trailing.active[slot], &nulls[3]);
			values[4] = BoolGetDatum(day < range.over);
			ecs_put_row(fcinfo, values, nulls);
		}
	}
	return ecs_end_result(fcinfo);
}

typedef struct Engagement
{
	EcsWindow	window;
	int32	   *period_of_day;
	int64	   *users;			/* by period */
	int64	   *days;			/* sum of the active days of its users */
} Engagement;

static void
count_engaged_user(const EcsUser *user, void *state)
{
	Engagement *engagement = state;
	EcsSlotReader reader;
	int			last = -1;
	int			slot;

	ecs_read_slots(&reader, user, &engagement->window);
	while ((slot = ecs_next_slot(&reader)) >= 0)
	{
		int			period = engagement->period_of_day[slot];

		engagement->days[period] += user->users;
		engagement->users[period] += period != last ? user->users : 0;
		last = period;
	}
}

/* stickiness(source, user, time, period, since, until, zone) */
Datum
ecs_stickiness(PG_FUNCTION_ARGS)
{
	EcsSource	source;
	EcsPeriod	period;
	EcsRange	range;
	Engagement	engagement;
	EcsWindow  *window = &engagement.window;

	ecs_require_args(fcinfo, 4);
	period = ecs_period_from_enum(PG_GETARG_OID(3));
	ecs_open_source(fcinfo, &source, 6, 0);
	ecs_begin_result(fcinfo);
	if (ecs_get_range(fcinfo, &source, 4, &range))
	{
		int32		first = ecs_period_index(period, range.since);
		EcsWindow	periods;
		int			i;

		ecs_init_period_window(&periods, period, first, ecs_period_index(period, range.until - 1), range.until);
		ecs_init_day_window(window, periods.begin, periods.end);
		window->since = window->begin;
		engagement.period_of_day = periods.slot_of_day;
		engagement.users = palloc0(periods.slots * sizeof(int64));
		engagement.days = palloc0(periods.slots * sizeof(int64));
		ecs_source_scan(&source, window, count_engaged_user, &engagement);

		for (i = 0; i < periods.slots; i++)
		{
			DateADT		start = ecs_period_start(period, first + i);
			DateADT		end = ecs_period_start(period, first + i + 1);
			int			days = Min(end, range.until) - start;
			Datum		values[6];
			bool		nulls[6] = {false};

			values[0] = DateADTGetDatum(start);
			values[1] = Int64GetDatum(engagement.users[i]);
			values[2] = Int64GetDatum(engagement.days[i]);
			values[3] = Float8GetDatum((double) engagement.days[i] / days);
			values[4] = ecs_ratio(engagement.days[i], engagement.users[i] * days, &nulls[4]);
			values[5] = BoolGetDatum(end <= range.over);
			ecs_put_row(fcinfo, values, nulls);
		}
	}
	return ecs_end_result(fcinfo);
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
	curve->users[days] += user->users;
	curve->all += days > 0 ? user->users : 0;
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

	ecs_require_args(fcinfo, 4);
	days = PG_GETARG_INT32(3);
	ecs_check_days(days, "days");
	ecs_open_source(fcinfo, &source, 5, 0);
	ecs_begin_result(fcinfo);
	if (!PG_ARGISNULL(4))
		as_of = PG_GETARG_DATEADT(4);
	else if (!ecs_source_bounds(&source, &first, &as_of))
		return ecs_end_result(fcinfo);
	ecs_check_bound(as_of);

	ecs_init_day_window(&curve.window, as_of - days + 1, as_of + 1);
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
			values[3] = ecs_ratio(curve.users[i], curve.all, &nulls[3]);
			ecs_put_row(fcinfo, values, nulls);
			at_least -= curve.users[i];
		}
	}
	return ecs_end_result(fcinfo);
}
