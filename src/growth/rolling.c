/*
 * rolling.c
 *		rolling_growth, churn_by_inactivity: windows of days that end on each day.
 *
 * Somebody is active at day t if he was on one of the days (t - N, t].  So each
 * active day makes N days of it, and a user's are a few stretches: their ends are
 * all that is counted, and the sums from day to day are the answers.
 */
#include "postgres.h"

#include "growth/growth.h"

PG_FUNCTION_INFO_V1(ecs_rolling_growth);
PG_FUNCTION_INFO_V1(ecs_churn_by_inactivity);

typedef struct Rolling
{
	EcsGrowth	growth;
	int			window_days;
	int			step_days;
	int		   *begins;			/* of the stretches of slots in which one user
								 * counts as active */
	int		   *ends;
} Rolling;

/* Find the stretches of a user; returns how many */
static int
find_stretches(Rolling *rolling, const EcsUser *user)
{
	const EcsWindow *window = &rolling->growth.window;
	EcsSlotReader reader;
	int			count = 0;
	int			slot;

	ecs_read_slots(&reader, user, window);
	while ((slot = ecs_next_slot(&reader)) >= 0)
	{
		if (count == 0 || slot > rolling->ends[count - 1])
			rolling->begins[count++] = slot;
		rolling->ends[count - 1] = Min(slot + rolling->window_days, window->slots);
	}
	return count;
}

static void
count_rolling_user(const EcsUser *user, void *state)
{
	Rolling    *rolling = state;
	EcsGrowth  *growth = &rolling->growth;
	int			slots = growth->window.slots;
	int			step = rolling->step_days;
	int		   *begins = rolling->begins;
	int		   *ends = rolling->ends;
	bool		signed_up;
	int			first = ecs_count_first(growth, user, &signed_up);
	int			count = find_stretches(rolling, user);
	int			now;
	int			then = 0;

	if (count > 0 && first >= 0)
	{
		ecs_count_stretch(growth->fresh, slots, begins[0], first + step, user->users);
		if (signed_up)
			ecs_count_stretch(growth->signed_up, slots, begins[0], first + step, user->users);
	}
	for (now = 0; now < count; now++)
		ecs_count_stretch(growth->active, slots, begins[now], ends[now], user->users);

	/*
	 * who is active now and was "step" days ago: the stretches against
	 * themselves, later
	 */
	for (now = 0; now < count && then < count;)
	{
		int			begin = Max(begins[now], begins[then] + step);
		int			end = Min(ends[now], ends[then] + step);

		ecs_count_stretch(growth->retained, slots, begin, end, user->users);
		if (ends[now] < ends[then] + step)
			now++;
		else
			then++;
	}
}

/* What is common to the functions of rolling windows; returns the slot of range->since */
static int
scan_rolling(EcsGrowth *growth, EcsSource *source, const EcsRange *range, int window_days, int step_days)
{
	int			before = source->seen == ECS_SEEN_WINDOW ? 0 : window_days + step_days - 1;
	Rolling		rolling = {.window_days = window_days,.step_days = step_days};
	EcsWindow  *window = &rolling.growth.window;

	ecs_init_day_window(window, range->since - before, range->until);
	ecs_look_for_first(window, source);
	ecs_init_growth(&rolling.growth, source);
	rolling.begins = palloc(window->slots * sizeof(int));
	rolling.ends = palloc(window->slots * sizeof(int));
	ecs_source_scan(source, window, count_rolling_user, &rolling);
	*growth = rolling.growth;
	ecs_add_up(growth->active, growth->window.slots);
	ecs_add_up(growth->fresh, growth->window.slots);
	ecs_add_up(growth->signed_up, growth->window.slots);
	ecs_add_up(growth->retained, growth->window.slots);
	return before;
}

/* rolling_growth(source, user, time, window_days, since, until, zone, step_days, first_seen_by, column) */
Datum
ecs_rolling_growth(PG_FUNCTION_ARGS)
{
	EcsSource	source;
	EcsRange	range;
	EcsGrowth	growth;
	int			window_days,
				step_days;

	ecs_require_args(fcinfo, 4);
	window_days = PG_GETARG_INT32(3);
	step_days = PG_ARGISNULL(7) ? window_days : PG_GETARG_INT32(7);
	ecs_check_days(window_days, "window_days");
	ecs_check_days(step_days, "step_days");
	if (step_days > window_days)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("step_days must not be more than window_days"),
				 errhint("Pass 1 to compare with the day before, or nothing to compare with the window before.")));
	ecs_open_source(fcinfo, &source, 6, 8);
	ecs_begin_result(fcinfo);
	if (ecs_get_range(fcinfo, &source, 4, &range))
	{
		int			since = scan_rolling(&growth, &source, &range, window_days, step_days);
		EcsGrowthReader reader;
		EcsClasses	classes;

		ecs_read_growth(&reader, &growth, step_days);
		while (ecs_next_classes(&reader, &classes))
		{
			DateADT		day = growth.window.begin + reader.slot;

			if (reader.slot >= since)
				ecs_put_classes(fcinfo, day, classes, day < range.over);
		}
	}
	return ecs_end_result(fcinfo);
}

/* churn_by_inactivity(source, user, time, inactive_days, since, until, zone, first_seen_by, column) */
Datum
ecs_churn_by_inactivity(PG_FUNCTION_ARGS)
{
	EcsSource	source;
	EcsRange	range;
	EcsGrowth	growth;

	ecs_require_args(fcinfo, 4);
	ecs_check_days(PG_GETARG_INT32(3), "inactive_days");
	ecs_open_source(fcinfo, &source, 6, 7);
	ecs_begin_result(fcinfo);
	if (ecs_get_range(fcinfo, &source, 4, &range))
	{
		int			since = scan_rolling(&growth, &source, &range, PG_GETARG_INT32(3), 1);
		EcsGrowthReader reader;
		EcsClasses	c;

		ecs_read_growth(&reader, &growth, 1);
		while (ecs_next_classes(&reader, &c))
		{
			DateADT		day = growth.window.begin + reader.slot;
			bool		complete = day < range.over;
			Datum		values[9];
			bool		nulls[9] = {false};

			if (reader.slot < since)
				continue;
			values[0] = DateADTGetDatum(day);
			values[1] = Int64GetDatum(c.active);
			values[2] = Int64GetDatum(c.fresh);
			values[3] = Int64GetDatum(c.first_seen);
			values[4] = Int64GetDatum(c.resurrected);
			values[5] = Int64GetDatum(c.churned);
			values[6] = Int64GetDatum(c.churned + c.dormant);
			values[7] = ecs_ratio(c.churned, c.previous, &nulls[7]);
			values[8] = BoolGetDatum(complete);
			if (!complete)
				nulls[5] = nulls[7] = true;
			ecs_put_row(fcinfo, values, nulls);
		}
	}
	return ecs_end_result(fcinfo);
}
