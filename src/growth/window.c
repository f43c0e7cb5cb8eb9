/*
 * window.c
 *		Days as slots: one each, by periods, or all in one.
 */
#include "postgres.h"

#include "growth/growth.h"

/* A window of days that are not in slots yet */
static void
init_window(EcsWindow *window, DateADT begin, DateADT end)
{
	if (end - begin > ECS_MAX_DAYS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("range of %d days is too long", end - begin),
				 errdetail("At most %d days can be looked at.", ECS_MAX_DAYS),
				 errhint("Pass since and until; one event with a wrong time may lie far from the others.")));
	window->begin = begin;
	window->end = end;
	window->slots = 0;
	window->slot_of_day = palloc(Max(end - begin, 1) * sizeof(int32));
	window->dates = false;
	window->since = ECS_NO_DAY;
}

void
ecs_init_day_window(EcsWindow *window, DateADT begin, DateADT end)
{
	init_window(window, begin, end);
	for (; begin < end; begin++)
		window->slot_of_day[begin - window->begin] = window->slots++;
}

void
ecs_init_period_window(EcsWindow *window, EcsPeriod period, int32 first, int32 last, DateADT end)
{
	DateADT		day = ecs_period_start(period, first);

	init_window(window, day, Min(end, ecs_period_start(period, last + 1)));
	for (; first <= last; first++, window->slots++)
		for (; day < Min(ecs_period_start(period, first + 1), window->end); day++)
			window->slot_of_day[day - window->begin] = window->slots;
}

void
ecs_init_single_window(EcsWindow *window, DateADT begin, DateADT end)
{
	init_window(window, begin, end);
	memset(window->slot_of_day, 0, (end - begin) * sizeof(int32));
	window->slots = 1;
	window->dates = true;
}

void
ecs_look_for_first(EcsWindow *window, const EcsSource *source)
{
	if (source->seen == ECS_SEEN_WINDOW)
		window->since = window->begin;
	window->dates |= source->seen == ECS_SEEN_COLUMN;
}
