/*
 * events.c
 *		Days of users from events, in whatever order.
 *
 * Each event becomes a bit of its user, in a table of users (usertable.c).  Where a
 * word suffices for the key and another for the bits there is a faster one
 * (masktable.c).
 *
 * Where dates are wanted they follow the bits, as unsigned numbers in their order
 * so that 0, which is what memory begins with, is none.
 */
#include "postgres.h"

#include "base/query.h"
#include "growth/events.h"
#include "growth/masktable.h"
#include "growth/userkey.h"
#include "growth/usertable.h"

/* Values of the time column that all have the same bit */
typedef struct Stretch
{
	int64		from;			/* from .. to, "to" not included */
	int64		to;
	uint64		mask;			/* 0: these events are not counted */
} Stretch;

typedef struct EventScan
{
	EcsScan    *scan;
	EcsUserTable *users;
	EcsMaskTable *masks;		/* instead */
	Stretch		stretch;		/* around the last time that was looked up */
} EventScan;

typedef struct Dates
{
	uint32		first_seen;
	uint32		last_before;
	uint32		first_within;
	uint32		unused;
} Dates;

#define DATE_NUMBER(day)	((uint32) (day) ^ (uint32) ECS_NO_DAY)
#define NUMBER_DATE(number)	((DateADT) ((number) ^ (uint32) ECS_NO_DAY))

static void
add_earliest(uint32 *kept, uint32 number)
{
	if (*kept == 0 || (number != 0 && number < *kept))
		*kept = number;
}

/* A record of a dated window holds the day, and the day first seen */
static void
apply_dates(uint64 *payload, const EcsRecord *record, void *arg)
{
	EventScan  *events = arg;
	Dates	   *dates = (Dates *) (payload + events->scan->words);

	if (record->bit == ECS_BIT_BEFORE)
		dates->last_before = Max(dates->last_before, DATE_NUMBER(record->values[0]));
	else
		add_earliest(&dates->first_within, DATE_NUMBER(record->values[0]));
	add_earliest(&dates->first_seen, DATE_NUMBER(record->values[1]));
}

static void
emit_user(Datum key, const uint64 *payload, void *arg)
{
	EventScan  *events = arg;
	EcsScan    *scan = events->scan;
	EcsUser		user = {.bits = payload,.users = 1,.key = key};

	if (scan->window->dates)
	{
		const Dates *dates = (const Dates *) (payload + scan->words);

		user.first_seen = NUMBER_DATE(dates->first_seen);
		user.last_before = NUMBER_DATE(dates->last_before);
		user.first_within = NUMBER_DATE(dates->first_within);
	}
	ecs_tell_user(scan, &user);
}

/* The day of a time; false: it is infinite, which is counted */
static inline bool
find_day(EcsScan *scan, Datum time, DateADT *day)
{
	bool		finite = ecs_column_day(&scan->source->time, time, day);

	scan->without_time += !finite;
	return finite;
}

static inline bool
is_asked_for(const EcsWindow *window, DateADT day)
{
	return day < window->end && day >= window->since;
}

static void
take_event(TupleTableSlot *slot, void *state)
{
	EventScan  *events = state;
	EcsScan    *scan = events->scan;
	EcsRecord	record;
	Datum		user,
				time;
	DateADT		day;

	if (!ecs_read_row(scan, slot, &user, &time) || !find_day(scan, time, &day) || !is_asked_for(scan->window, day))
		return;
	record.bit = ecs_day_bit(scan->window, day);
	record.values[0] = day;
	record.values[1] = ecs_row_first_seen(scan, slot);
	ecs_user_table_add(events->users, user, &record);
}

/* The times of the same day as one or, where clocks were set on it, of the same part of it */
static void
find_stretch(EventScan *events, Datum time)
{
	EcsScan    *scan = events->scan;
	EcsDayColumn *column = &scan->source->time;
	Stretch    *stretch = &events->stretch;
	DateADT		day;

	memset(stretch, 0, sizeof(Stretch));
	if (!find_day(scan, time, &day))
		return;
	stretch->from = column->kind == ECS_FROM_DATE ? (int64) time : column->zone.from;
	stretch->to = column->kind == ECS_FROM_DATE ? (int64) time + 1 : column->zone.to;
	if (is_asked_for(scan->window, day))
		stretch->mask = UINT64CONST(1) << ECS_BIT_PRESENT | UINT64CONST(1) << ecs_day_bit(scan->window, day);
}

static void
take_event_mask(TupleTableSlot *slot, void *state)
{
	EventScan  *events = state;
	Datum		user,
				time;

	if (!ecs_read_row(events->scan, slot, &user, &time))
		return;
	if (unlikely((int64) time < events->stretch.from || (int64) time >= events->stretch.to))
		find_stretch(events, time);
	if (events->stretch.mask != 0)
		ecs_mask_table_add(events->masks, user, events->stretch.mask);
}

static void
scan_into_masks(EventScan *events, const char *query, ParamListInfo params)
{
	EcsRowSink	sink = {NULL, take_event_mask, events};

	events->masks = ecs_mask_table_create(emit_user, events);
	ecs_for_each_row(query, params, &sink);
	ecs_mask_table_finish(events->masks);
}

static void
scan_into_users(EventScan *events, const char *query, ParamListInfo params)
{
	EcsScan    *scan = events->scan;
	bool		dates = scan->window->dates;
	EcsRowSink	sink = {NULL, take_event, events};
	EcsUserTableMethods methods = {
		.payload_size = scan->words * sizeof(uint64) + (dates ? sizeof(Dates) : 0),
		.apply = dates ? apply_dates : NULL,
		.emit = emit_user,
		.arg = events
	};

	events->users = ecs_user_table_create(scan->source->user_type, scan->source->user_collation, &methods);
	ecs_for_each_row(query, params, &sink);
	ecs_user_table_finish(events->users);
}

void
ecs_scan_events(EcsScan *scan, const char *query, ParamListInfo params)
{
	EventScan	events = {.scan = scan};

	if (scan->words == 1 && !scan->window->dates && ecs_type_is_word(scan->source->user_type))
		scan_into_masks(&events, query, params);
	else
		scan_into_users(&events, query, params);
}
