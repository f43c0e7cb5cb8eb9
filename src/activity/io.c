/*
 * io.c
 *		Text and binary forms of type activity, and its casts from and to date[].
 *
 * The text form lists stretches of days, {2024-01-01,2024-01-03..2024-01-31},
 * always in ISO form whatever DateStyle says, so that it is immutable.  Input may
 * name days in any order and more than once; output is ascending.  The binary
 * form is the stored one, and is checked byte by byte.
 */
#include "postgres.h"

#include <ctype.h>

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/memutils.h"

#include "activity/activity.h"

PG_FUNCTION_INFO_V1(ecs_activity_in);
PG_FUNCTION_INFO_V1(ecs_activity_out);
PG_FUNCTION_INFO_V1(ecs_activity_recv);
PG_FUNCTION_INFO_V1(ecs_activity_send);
PG_FUNCTION_INFO_V1(ecs_activity_from_dates);
PG_FUNCTION_INFO_V1(ecs_activity_to_dates);

typedef struct DayRun
{
	DateADT		first;
	DateADT		last;
} DayRun;

static int
compare_runs(const void *a, const void *b)
{
	DateADT		left = ((const DayRun *) a)->first;
	DateADT		right = ((const DayRun *) b)->first;

	return (left > right) - (left < right);
}

/* A value of runs in any order, which are sorted here */
static struct varlena *
write_runs(DayRun *runs, int count)
{
	EcsWriter	writer;
	int			i;

	qsort(runs, count, sizeof(DayRun), compare_runs);
	ecs_write_begin(&writer);
	for (i = 0; i < count;)
	{
		DayRun		run = runs[i++];

		for (; i < count && runs[i].first <= run.last; i++)
			run.last = Max(run.last, runs[i].last);
		ecs_write_run(&writer, run.first, run.last);
	}
	return ecs_write_end(&writer);
}

pg_noreturn static void
report_syntax(const char *text, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("invalid input syntax for type %s: \"%s\"", "activity", text),
			 errdetail("%s", detail),
			 errhint("Write days and stretches of days, such as {2024-01-01,2024-01-03..2024-01-31}.")));
}

static const char *
skip_spaces(const char *p)
{
	while (isspace((unsigned char) *p))
		p++;
	return p;
}

/* An unsigned number of min_digits to max_digits digits; false: it is none */
static bool
parse_number(const char **p, int min_digits, int max_digits, int *number)
{
	int			digits;

	*number = 0;
	for (digits = 0; isdigit((unsigned char) **p) && digits < max_digits; digits++)
		*number = *number * 10 + *(*p)++ - '0';
	return digits >= min_digits && !isdigit((unsigned char) **p);
}

/* YYYY-MM-DD, with BC after it for years before 1 */
static DateADT
parse_day(const char *text, const char **p)
{
	int			year,
				month,
				mday;
	int64		day;

	*p = skip_spaces(*p);
	if (pg_strncasecmp(*p, "infinity", 8) == 0 || pg_strncasecmp(*p, "-infinity", 9) == 0)
		ecs_check_day(DATEVAL_NOEND);
	if (!parse_number(p, 4, 7, &year) || *(*p)++ != '-' ||
		!parse_number(p, 2, 2, &month) || *(*p)++ != '-' ||
		!parse_number(p, 2, 2, &mday))
		report_syntax(text, "A date is not of the form YYYY-MM-DD.");
	*p = skip_spaces(*p);
	if (pg_strncasecmp(*p, "BC", 2) == 0)
	{
		*p = skip_spaces(*p + 2);
		year = year == 0 ? PG_INT32_MAX : 1 - year;
	}
	else if (year == 0)
		year = PG_INT32_MAX;	/* there is no year 0 */

	if (year == PG_INT32_MAX || month < 1 || month > 12 || mday < 1 || mday > day_tab[isleap(year)][month - 1])
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
				 errmsg("date out of range in activity: \"%s\"", text),
				 errdetail("There is no such day in the calendar.")));
	day = IS_VALID_JULIAN(year, month, mday) ? (int64) date2j(year, month, mday) - POSTGRES_EPOCH_JDATE : PG_INT64_MIN;
	if (!IS_VALID_DATE(day))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("date out of range in activity: \"%s\"", text),
				 errdetail("Dates go from 4714-11-24 BC to 5874897-12-31.")));
	return (DateADT) day;
}

struct varlena *
ecs_parse_activity(const char *text)
{
	const char *p = skip_spaces(text);
	int			capacity = 16;
	int			count = 0;
	DayRun	   *runs = palloc(capacity * sizeof(DayRun));

	if (*p++ != '{')
		report_syntax(text, "It does not begin with a brace.");
	p = skip_spaces(p);
	while (*p != '}')
	{
		DayRun		run;

		CHECK_FOR_INTERRUPTS();
		run.first = run.last = parse_day(text, &p);
		if (strncmp(p, "..", 2) == 0)
		{
			p += 2;
			run.last = parse_day(text, &p);
		}
		if (run.first > run.last)
			report_syntax(text, "A stretch ends before it begins.");
		if (count == capacity)
		{
			capacity *= 2;
			runs = repalloc_huge(runs, capacity * sizeof(DayRun));
		}
		runs[count++] = run;
		if (*p == ',')
			p++;
		else if (*p != '}')
			report_syntax(text, "Expected a comma or the closing brace.");
		else
			break;
		if (*skip_spaces(p) == '}')
			report_syntax(text, "A date is missing after a comma.");
	}
	if (*skip_spaces(p + 1) != '\0')
		report_syntax(text, "There is more after the closing brace.");
	return write_runs(runs, count);
}

static void
append_day(StringInfo text, DateADT day)
{
	struct pg_tm tm = {0};
	char		buffer[MAXDATELEN + 1];

	j2date(day + POSTGRES_EPOCH_JDATE, &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
	EncodeDateOnly(&tm, USE_ISO_DATES, buffer);
	appendStringInfoString(text, buffer);
}

char *
ecs_format_activity(const struct varlena *activity)
{
	StringInfoData text;
	EcsRunReader runs;
	DateADT		first,
				last;

	initStringInfo(&text);
	appendStringInfoChar(&text, '{');
	ecs_read_runs(&runs, activity);
	while (ecs_next_run(&runs, &first, &last))
	{
		if (text.len > 1)
			appendStringInfoChar(&text, ',');
		append_day(&text, first);
		if (last > first)
		{
			appendStringInfoString(&text, last == first + 1 ? "," : "..");
			append_day(&text, last);
		}
	}
	appendStringInfoChar(&text, '}');
	return text.data;
}

Datum
ecs_activity_in(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(ecs_parse_activity(PG_GETARG_CSTRING(0)));
}

Datum
ecs_activity_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(ecs_format_activity(PG_GETARG_ACTIVITY(0)));
}

Datum
ecs_activity_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int			size = buf->len - buf->cursor;
	const char *bytes = pq_getmsgbytes(buf, size);
	const char *problem = ecs_activity_problem((const uint8 *) bytes, size);

	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid binary value of type %s", "activity"),
				 errdetail("%s", problem)));
	PG_RETURN_BYTEA_P(cstring_to_text_with_len(bytes, size));
}

Datum
ecs_activity_send(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P(PG_DETOAST_DATUM_COPY(PG_GETARG_DATUM(0)));
}

Datum
ecs_activity_from_dates(PG_FUNCTION_ARGS)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
	int			count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	const DateADT *days = (const DateADT *) ARR_DATA_PTR(array);
	DayRun	   *runs;
	int			i;

	if (array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("an activity cannot hold a null date"),
				 errhint("Use array_remove(dates, NULL).")));
	runs = palloc_extended(Max(count, 1) * sizeof(DayRun), MCXT_ALLOC_HUGE);
	for (i = 0; i < count; i++)
	{
		ecs_check_day(days[i]);
		runs[i].first = runs[i].last = days[i];
	}
	PG_RETURN_POINTER(write_runs(runs, count));
}

Datum
ecs_activity_to_dates(PG_FUNCTION_ARGS)
{
	struct varlena *activity = PG_GETARG_ACTIVITY(0);
	int64		count = ecs_count_days(activity, ECS_MIN_DAY, ECS_MAX_DAY + 1);
	ArrayType  *array;
	EcsRunReader runs;
	DateADT    *day;
	DateADT		first,
				last;
	Size		size = ARR_OVERHEAD_NONULLS(1) + count * sizeof(DateADT);

	if (count == 0)
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(DATEOID));
	if (count > (int64) MaxArraySize || !AllocSizeIsValid(size))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("activity of %lld days does not fit into an array", (long long) count),
				 errhint("Use activity_runs(), which returns stretches of days.")));

	array = palloc(size);
	SET_VARSIZE(array, size);
	array->ndim = 1;
	array->dataoffset = 0;
	array->elemtype = DATEOID;
	ARR_DIMS(array)[0] = (int) count;
	ARR_LBOUND(array)[0] = 1;
	day = (DateADT *) ARR_DATA_PTR(array);
	ecs_read_runs(&runs, activity);
	while (ecs_next_run(&runs, &first, &last))
		for (; first <= last; first++)
			*day++ = first;
	PG_RETURN_ARRAYTYPE_P(array);
}
