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

typedef struct EventScan
{
	EcsScan    *scan;
	EcsUserTable *users;
	EcsMaskTable *masks;		/* instead */
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

/* The day of an event and its bit; false: it is none of those that are counted */
static inline bool
read_event(EcsScan *scan, TupleTableSlot *slot, DateADT *day, int *bit)
{
	if (!ecs_row_counts(scan, slot))
		return false;
	if (!ecs_column_day(&scan->source->time, slot->tts_values[scan->time_place], day))
	{
		scan->without_time++;
		return false;
	}
	if (*day >= scan->window->end || *day < scan->window->since)
		return false;
	*bit = ecs_day_bit(scan->window, *day);
	return true;
}

static void
take_event(TupleTableSlot *slot, void *state)
{
	EventScan  *events = state;
	EcsScan    *scan = events->scan;
	EcsRecord	record;

	if (!read_event(scan, slot, &record.values[0], &record.bit))
		return;
	record.values[1] = ecs_row_first_seen(scan, slot);
	ecs_user_table_add(events->users, slot->tts_values[scan->user_place], &record);
}

static void
take_event_mask(TupleTableSlot *slot, void *state)
{
	EventScan  *events = state;
	EcsScan    *scan = events->scan;
	DateADT		day;
	int			bit;

	if (read_event(scan, slot, &day, &bit))
		ecs_mask_table_add(events->masks, slot->tts_values[scan->user_place],
						   UINT64CONST(1) << ECS_BIT_PRESENT | UINT64CONST(1) << bit);
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
