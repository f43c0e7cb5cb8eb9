/*
 * source.c
 *		Reading users and their days, from events or from kept activity.
 *
 * Either kind of source ends as the same bits per user, so that an analysis is
 * written once.  Events are read by one query, in whatever order, into a table of
 * users (usertable.c); a table with one activity per user needs no such table.
 *
 * The query runs as the caller, so privileges and row security are those of a
 * SELECT.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "activity/activity.h"
#include "base/query.h"
#include "base/relation.h"
#include "growth/masktable.h"
#include "growth/source.h"
#include "growth/userkey.h"
#include "growth/usertable.h"

/*
 * Columns
 */

static AttrNumber
find_column(Oid relation, const char *column)
{
	AttrNumber	number = get_attnum(relation, column);

	if (number == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist",
						column, get_rel_name(relation))));
	return number;
}

static void
open_day_column(EcsDayColumn *column, EcsSource *source, const char *name, Oid activity_type)
{
	AttrNumber	number = find_column(source->relation, name);

	column->name = quote_identifier(name);
	column->number = number;
	column->type = getBaseType(get_atttype(source->relation, number));
	if (column->type == DATEOID)
		column->kind = ECS_FROM_DATE;
	else if (column->type == TIMESTAMPOID)
		column->kind = ECS_FROM_TIMESTAMP;
	else if (column->type == TIMESTAMPTZOID)
		column->kind = ECS_FROM_TIMESTAMPTZ;
	else if (OidIsValid(activity_type) && column->type == activity_type)
		column->kind = ECS_FROM_ACTIVITY;
	else
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of relation \"%s\" is of type %s",
						name, get_rel_name(source->relation), format_type_be(column->type)),
				 errhint("It must be of type timestamptz, timestamp%s.",
						 OidIsValid(activity_type) ? ", date or activity" : " or date")));

	/*
	 * a timestamp is a local time already: its day is that of the same time
	 * in UTC
	 */
	if (column->kind == ECS_FROM_TIMESTAMP)
		ecs_zone_init(&column->zone, "UTC");
	else
		column->zone = source->zone;
}

void
ecs_source_open(EcsSource *source, Oid relation, const char *user_column, const char *time_column,
				const char *time_zone, EcsFirstSeen seen, const char *first_seen_column, Oid function)
{
	Oid			namespace = get_func_namespace(function);
	Oid			activity_type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
												CStringGetDatum("activity"), ObjectIdGetDatum(namespace));
	AttrNumber	number;
	int32		typmod;

	source->relkind = get_rel_relkind(relation);
	if (source->relkind == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relation)));
	if (strchr("rpvmf", source->relkind) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" cannot be read as a table", get_rel_name(relation)),
				 errhint("Name a table, a partitioned table, a foreign table or a view.")));
	source->relation = relation;
	source->relation_name = ecs_relation_name(relation);
	source->schema = quote_identifier(get_namespace_name(namespace));
	ecs_zone_init(&source->zone, time_zone);

	number = find_column(relation, user_column);
	source->user_name = quote_identifier(user_column);
	source->user_number = number;
	get_atttypetypmodcoll(relation, number, &source->user_type, &typmod, &source->user_collation);
	source->user_type = getBaseType(source->user_type);

	open_day_column(&source->time, source, time_column, activity_type);
	source->seen = seen;
	source->first_seen.name = NULL;
	if ((seen == ECS_SEEN_COLUMN) != (first_seen_column != NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("first_seen is 'column' if, and only if, first_seen_column is given")));
	if (first_seen_column != NULL)
		open_day_column(&source->first_seen, source, first_seen_column, InvalidOid);
}

/* The day of a value; false: it is infinite */
static inline bool
value_day(EcsDayColumn *column, Datum value, DateADT *day)
{
	if (column->kind == ECS_FROM_DATE)
	{
		*day = DatumGetDateADT(value);
		return !DATE_NOT_FINITE(*day);
	}
	if (TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(value)))
		return false;
	*day = ecs_local_day(&column->zone, DatumGetTimestampTz(value));
	return true;
}

/*
 * Bounds
 */

typedef struct Bounds
{
	EcsDayColumn *column;
	DateADT		first;
	DateADT		last;
	bool		found;
	bool		infinite;
} Bounds;

static void
ignore_start(TupleDesc desc, void *state)
{
	(void) desc;
	(void) state;
}

/*
 * The day of an instant or, where clocks went back over midnight within hours of
 * it, the day on the far side: not the first instant need have the first day.
 */
static bool
bound_day(EcsDayColumn *column, Datum value, int direction, DateADT *day)
{
	DateADT		beyond;

	if (!value_day(column, value, day))
		return false;
	if (column->kind == ECS_FROM_TIMESTAMPTZ)
	{
		beyond = ecs_local_day(&column->zone, DatumGetTimestampTz(value) - direction * 3 * USECS_PER_HOUR);
		if ((beyond - *day) * direction > 0)
			*day = beyond;
	}
	return true;
}

static void
take_bounds(TupleTableSlot *slot, void *state)
{
	Bounds	   *bounds = state;

	slot_getallattrs(slot);
	bounds->found = !slot->tts_isnull[0];
	if (bounds->found)
		bounds->infinite = !bound_day(bounds->column, slot->tts_values[0], -1, &bounds->first) ||
			!bound_day(bounds->column, slot->tts_values[1], 1, &bounds->last);
}

bool
ecs_source_bounds(EcsSource *source, DateADT *first, DateADT *last)
{
	EcsDayColumn days = source->time;
	Bounds		bounds = {.column = &days};
	EcsRowSink	sink = {ignore_start, take_bounds, &bounds};

	if (days.kind == ECS_FROM_ACTIVITY)
	{
		days.kind = ECS_FROM_DATE;
		ecs_for_each_row(psprintf("SELECT min(%s.activity_first(%s)), max(%s.activity_last(%s)) FROM %s",
								  source->schema, days.name, source->schema, days.name, source->relation_name),
						 NULL, &sink);
	}
	else
	{
		ecs_for_each_row(psprintf("SELECT min(%s), max(%s) FROM %s", days.name, days.name, source->relation_name),
						 NULL, &sink);
		if (bounds.infinite)
		{
			bounds.infinite = false;
			ecs_for_each_row(psprintf("SELECT min(%s), max(%s) FROM %s WHERE isfinite(%s)",
									  days.name, days.name, source->relation_name, days.name), NULL, &sink);
		}
	}
	*first = bounds.first;
	*last = bounds.last;
	return bounds.found;
}

/*
 * The scan
 */

typedef struct UserScan
{
	EcsSource  *source;
	const EcsWindow *window;
	EcsUserFunction function;
	void	   *state;

	EcsUserTable *users;		/* of events */
	EcsMaskTable *masks;		/* instead, where a word each suffices for key
								 * and bits */
	uint64	   *payload;		/* of the one user of a row, where activity is
								 * kept */
	int			words;
	int			user_place;		/* of the columns in the rows, from 0 on */
	int			time_place;
	int			seen_place;		/* -1: there is none */
	int			places;			/* of a row, as far as it is read */
	uint64		without_user;
	uint64		without_time;
} UserScan;

/* What is added to the bits of a user: the last word, or two, hold dates */
typedef struct Dates
{
	int32		first_seen;
	int32		last_before;
	int32		first_within;
	int32		unused;
} Dates;

/* Dates are kept with the sign flipped: 0 is none, and their order is that of uint32 */
#define FLIP_DAY(day)	((int32) ((uint32) (day) ^ (uint32) PG_INT32_MIN))

static void
add_date(int32 *kept, int32 date, bool earliest)
{
	if (*kept == 0 || (earliest ? (uint32) date < (uint32) *kept : (uint32) date > (uint32) *kept))
		*kept = date;
}

static inline void
set_bit(uint64 *bits, int bit)
{
	bits[bit / 64] |= UINT64CONST(1) << (bit % 64);
}

/* A record of a dated window says the day, and the day first seen or 0 */
static void
apply_dates(uint64 *payload, const EcsRecord *record, void *arg)
{
	UserScan   *scan = arg;
	Dates	   *dates = (Dates *) (payload + scan->words);
	bool		before = record->bit == ECS_BIT_BEFORE;

	add_date(before ? &dates->last_before : &dates->first_within, record->values[0], !before);
	if (record->values[1] != 0)
		add_date(&dates->first_seen, record->values[1], true);
}

static void
emit_user(Datum key, const uint64 *payload, void *arg)
{
	UserScan   *scan = arg;
	EcsUser		user = {.key = key,.bits = payload};

	if (scan->window->dates)
	{
		const Dates *dates = (const Dates *) (payload + scan->words);

		user.first_seen = FLIP_DAY(dates->first_seen);
		user.last_before = FLIP_DAY(dates->last_before);
		user.first_within = FLIP_DAY(dates->first_within);
	}
	scan->function(&user, scan->state);
}

/* The day of an event and the bit it sets; false: it is none of those that are counted */
static inline bool
read_event(UserScan *scan, TupleTableSlot *slot, DateADT *day, int *bit)
{
	const EcsWindow *window = scan->window;

	slot_getsomeattrs(slot, scan->places);
	if (slot->tts_isnull[scan->user_place])
	{
		scan->without_user++;
		return false;
	}
	if (slot->tts_isnull[scan->time_place] ||
		!value_day(&scan->source->time, slot->tts_values[scan->time_place], day))
	{
		scan->without_time++;
		return false;
	}
	if (*day >= window->end || *day < window->since)
		return false;
	*bit = *day < window->begin ? ECS_BIT_BEFORE : ECS_SLOT + window->slot_of_day[*day - window->begin];
	return true;
}

static void
take_event(TupleTableSlot *slot, void *state)
{
	UserScan   *scan = state;
	EcsRecord	record;
	DateADT		day,
				seen;

	if (!read_event(scan, slot, &day, &record.bit))
		return;
	record.values[0] = FLIP_DAY(day);
	record.values[1] = 0;
	if (scan->seen_place >= 0 && !slot->tts_isnull[scan->seen_place] &&
		value_day(&scan->source->first_seen, slot->tts_values[scan->seen_place], &seen))
		record.values[1] = FLIP_DAY(seen);
	ecs_user_table_add(scan->users, slot->tts_values[scan->user_place], &record);
}

static void
take_event_mask(TupleTableSlot *slot, void *state)
{
	UserScan   *scan = state;
	DateADT		day;
	int			bit;

	if (read_event(scan, slot, &day, &bit))
		ecs_mask_table_add(scan->masks, slot->tts_values[scan->user_place],
						   UINT64CONST(1) << ECS_BIT_PRESENT | UINT64CONST(1) << bit);
}

/* Set the bits of a week's days */
static void
set_week_bits(UserScan *scan, int32 week, uint8 days)
{
	const EcsWindow *window = scan->window;
	DateADT		start = ecs_week_start(week);
	uint32		left = days;

	if (start >= window->begin && start + 6 < window->end)
	{
		int			slot = window->slot_of_day[start - window->begin];
		int			last_slot = window->slot_of_day[start + 6 - window->begin];
		int			bit = ECS_SLOT + slot;

		if (slot == last_slot)
		{
			set_bit(scan->payload, bit);
			return;
		}
		if (slot + 6 == last_slot)
		{
			scan->payload[bit / 64] |= (uint64) days << (bit % 64);
			if (bit % 64 > 57)
				scan->payload[bit / 64 + 1] |= (uint64) days >> (64 - bit % 64);
			return;
		}
	}
	/* a week in several slots, or at an end of the window */
	for (; left != 0; left &= left - 1)
	{
		DateADT		day = start + pg_rightmost_one_pos32(left);

		if (day < window->begin)
			set_bit(scan->payload, ECS_BIT_BEFORE);
		else if (day < window->end)
			set_bit(scan->payload, ECS_SLOT + window->slot_of_day[day - window->begin]);
	}
}

static void
take_activity(TupleTableSlot *slot, void *state)
{
	UserScan   *scan = state;
	const EcsWindow *window = scan->window;
	int32		first_week = ecs_week_of(window->begin);
	int32		last_week = ecs_week_of(window->end - 1);
	Dates	   *dates = (Dates *) (scan->payload + scan->words);
	struct varlena *activity;
	EcsWeekReader reader;
	EcsWeeks	weeks;
	DateADT		day;

	slot_getsomeattrs(slot, scan->places);
	if (slot->tts_isnull[scan->user_place])
	{
		scan->without_user++;
		return;
	}
	if (slot->tts_isnull[scan->time_place])
	{
		scan->without_time++;
		return;
	}
	activity = PG_DETOAST_DATUM_PACKED(slot->tts_values[scan->time_place]);
	memset(scan->payload, 0, scan->words * sizeof(uint64));

	ecs_read_weeks(&reader, activity);
	while (ecs_next_weeks(&reader, &weeks) && weeks.week <= last_week)
	{
		int32		week = Max(weeks.week, first_week);
		int32		end = Min(weeks.week + weeks.count - 1, last_week);

		if (weeks.week < first_week)
			set_bit(scan->payload, ECS_BIT_BEFORE);
		for (; week <= end; week++)
			set_week_bits(scan, week, weeks.days);
	}
	if (window->since >= window->begin)
		scan->payload[0] &= ~(UINT64CONST(1) << ECS_BIT_BEFORE);

	if (window->dates)
	{
		memset(dates, 0, sizeof(Dates));
		if (window->since < window->begin && ecs_day_before(activity, window->begin, &day))
			dates->last_before = FLIP_DAY(day);
		if (ecs_day_from(activity, window->begin, &day) && day < window->end)
			dates->first_within = FLIP_DAY(day);
		if (scan->seen_place >= 0 && !slot->tts_isnull[scan->seen_place] &&
			value_day(&scan->source->first_seen, slot->tts_values[scan->seen_place], &day))
			dates->first_seen = FLIP_DAY(day);
	}

	/* somebody first active after the window is nobody yet */
	for (day = 0; day < scan->words; day++)
		if (scan->payload[day] != 0)
		{
			emit_user(slot->tts_values[scan->user_place], scan->payload, scan);
			break;
		}
}

/* How the query is best written */
typedef struct QueryShape
{
	bool		condition;		/* compare the time in SQL */
	bool		whole_rows;		/* read rows as they are stored */
} QueryShape;

/* Whether some index has the time as its first column */
static bool
has_time_index(const EcsSource *source)
{
	Relation	relation = table_open(source->relation, AccessShareLock);
	ListCell   *cell;
	bool		found = false;

	foreach(cell, RelationGetIndexList(relation))
	{
		HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(cell)));

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for index %u", lfirst_oid(cell));
		found |= ((Form_pg_index) GETSTRUCT(tuple))->indkey.values[0] == source->time.number;
		ReleaseSysCache(tuple);
	}
	table_close(relation, NoLock);
	return found;
}

/*
 * Comparing the time in SQL is done for every row that is read, and so costs a
 * tenth of the scan where no index and no partition can spare the server rows.
 * Where it does not pay, whole rows may.
 */
static QueryShape
choose_shape(EcsSource *source)
{
	QueryShape	shape = {true, false};
	AttrNumber	columns[] = {source->user_number, source->time.number, source->first_seen.number};

	if (source->relkind != RELKIND_RELATION && source->relkind != RELKIND_MATVIEW)
		return shape;
	shape.condition = source->time.kind != ECS_FROM_ACTIVITY && has_time_index(source);
	shape.whole_rows = !shape.condition &&
		ecs_whole_rows_pay(source->relation, columns, source->first_seen.name != NULL ? 3 : 2);
	return shape;
}

/* A moment as a value of the time column that is a day before any of the day's */
static ParamListInfo
window_params(EcsSource *source, const EcsWindow *window)
{
	ParamListInfo params = makeParamList(2);
	int			i;

	for (i = 0; i < 2; i++)
	{
		ParamExternData *param = &params->params[i];

		/*
		 * a zone's day may begin twice, so leave a day on either side to the
		 * scan
		 */
		DateADT		day = i == 0 ? Max(window->since, ECS_MIN_DAY + 1) - 1 : window->end + 1;

		param->ptype = source->time.type;
		param->pflags = PARAM_FLAG_CONST;
		param->isnull = false;
		if (source->time.kind == ECS_FROM_DATE)
			param->value = DateADTGetDatum(day);
		else if (source->time.kind == ECS_FROM_TIMESTAMP)
			param->value = TimestampGetDatum((Timestamp) day * USECS_PER_DAY);
		else
			param->value = TimestampTzGetDatum(ecs_day_start(&source->zone, day));
	}
	return params;
}

static void
report_left_out(const UserScan *scan)
{
	if (scan->without_user > 0 || scan->without_time > 0)
		ereport(NOTICE,
				(errmsg("rows of \"%s\" left out: %llu without a user, %llu without a finite time",
						get_rel_name(scan->source->relation),
						(unsigned long long) scan->without_user, (unsigned long long) scan->without_time)));
}

/* Begin a query's text with the columns that are read, and note their places in its rows */
static void
choose_columns(UserScan *scan, bool whole_rows, StringInfo query)
{
	const EcsSource *source = scan->source;
	bool		seen = source->first_seen.name != NULL;

	scan->user_place = whole_rows ? source->user_number - 1 : 0;
	scan->time_place = whole_rows ? source->time.number - 1 : 1;
	scan->seen_place = !seen ? -1 : whole_rows ? source->first_seen.number - 1 : 2;
	scan->places = Max(Max(scan->user_place, scan->time_place), scan->seen_place) + 1;

	if (whole_rows)
		appendStringInfo(query, "SELECT * FROM %s", source->relation_name);
	else
		appendStringInfo(query, "SELECT %s, %s%s%s FROM %s", source->user_name, source->time.name,
						 seen ? ", " : "", seen ? source->first_seen.name : "", source->relation_name);
}

/* One row per user: he is complete when his row is read */
static void
scan_activity(UserScan *scan, const char *query)
{
	EcsRowSink	sink = {ignore_start, take_activity, scan};

	scan->payload = palloc0(scan->words * sizeof(uint64) + sizeof(Dates));
	ecs_for_each_row(query, NULL, &sink);
}

static void
scan_into_masks(UserScan *scan, const char *query, ParamListInfo params)
{
	EcsRowSink	sink = {ignore_start, take_event_mask, scan};

	scan->masks = ecs_mask_table_create(emit_user, scan);
	ecs_for_each_row(query, params, &sink);
	ecs_mask_table_finish(scan->masks);
}

static void
scan_into_users(UserScan *scan, const char *query, ParamListInfo params)
{
	bool		dates = scan->window->dates;
	EcsRowSink	sink = {ignore_start, take_event, scan};
	EcsUserTableMethods methods = {
		.payload_size = scan->words * sizeof(uint64) + (dates ? sizeof(Dates) : 0),
		.apply = dates ? apply_dates : NULL,
		.emit = emit_user,
		.arg = scan
	};

	scan->users = ecs_user_table_create(scan->source->user_type, scan->source->user_collation, &methods);
	ecs_for_each_row(query, params, &sink);
	ecs_user_table_finish(scan->users);
}

void
ecs_source_scan(EcsSource *source, const EcsWindow *window, EcsUserFunction function, void *state)
{
	QueryShape	shape = choose_shape(source);
	UserScan	scan = {
		.source = source,.window = window,.function = function,.state = state,.words = ECS_WORDS(window)
	};
	StringInfoData query;

	initStringInfo(&query);
	choose_columns(&scan, shape.whole_rows, &query);
	if (source->time.kind == ECS_FROM_ACTIVITY)
		scan_activity(&scan, query.data);
	else
	{
		if (shape.condition)
			appendStringInfo(&query, window->since == ECS_NO_DAY ? " WHERE %s < $2" : " WHERE %s < $2 AND %s >= $1",
							 source->time.name, source->time.name);
		if (scan.words == 1 && !window->dates && ecs_type_is_word(source->user_type))
			scan_into_masks(&scan, query.data, window_params(source, window));
		else
			scan_into_users(&scan, query.data, window_params(source, window));
	}
	report_left_out(&scan);
}
