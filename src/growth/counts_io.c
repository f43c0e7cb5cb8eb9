/*
 * counts_io.c
 *		Text and binary forms of type growth_counts.
 *
 * The text form is what workers of Citus send to the coordinator:
 *
 *		month 2024-01-05..2024-03-01 {2/2/0,2/1/1,1/0/1}
 *
 * the first and the last day, always in ISO form, and for each period the active
 * users, those first seen and those retained; "month {}" if there are none.  The
 * binary form holds the same numbers.  Both are checked for being the counts of
 * some set of users.
 */
#include "postgres.h"

#include <ctype.h>

#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"

#include "growth/counts.h"

PG_FUNCTION_INFO_V1(ecs_growth_counts_in);
PG_FUNCTION_INFO_V1(ecs_growth_counts_out);
PG_FUNCTION_INFO_V1(ecs_growth_counts_recv);
PG_FUNCTION_INFO_V1(ecs_growth_counts_send);

#define GETARG_COUNTS(n) ((EcsGrowthCounts *) PG_DETOAST_DATUM(PG_GETARG_DATUM(n)))

/*
 * Text
 */

pg_noreturn static void
report_syntax(const char *text, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("invalid input syntax for type %s: \"%s\"", "growth_counts", text),
			 errdetail("%s", detail),
			 errhint("Values of this type are made by growth_agg(), such as month 2024-01-05..2024-03-01 {2/2/0,2/1/1,1/0/1}.")));
}

static void
expect(const char *text, const char **p, const char *word)
{
	if (strncmp(*p, word, strlen(word)) != 0)
		report_syntax(text, psprintf("Expected \"%s\" at character %d.", word, (int) (*p - text) +1));
	*p += strlen(word);
}

static EcsPeriod
parse_period(const char *text, const char **p)
{
	int			length = strcspn(*p, " ");
	int			period;

	for (period = 0; period < ECS_PERIODS; period++)
		if (strlen(ecs_period_labels[period]) == (size_t) length && strncmp(*p, ecs_period_labels[period], length) == 0)
			break;
	if (period == ECS_PERIODS)
		report_syntax(text, "It does not begin with the name of a period.");
	*p += length;
	return period;
}

/* YYYY-MM-DD, perhaps with BC: a year of four digits comes first whatever DateStyle says */
static DateADT
parse_day(const char *text, const char **p)
{
	int			length = strspn(*p, "0123456789-");
	char	   *day;

	if (strspn(*p, "0123456789") < 4 || length > MAXDATELEN)
		report_syntax(text, "A date is not of the form YYYY-MM-DD.");
	if (strncmp(*p + length, " BC", 3) == 0)
		length += 3;
	day = pnstrdup(*p, length);
	*p += length;
	return DatumGetDateADT(DirectFunctionCall1(date_in, CStringGetDatum(day)));
}

static int64
parse_count(const char *text, const char **p)
{
	char	   *end;
	int64		count;

	errno = 0;
	count = strtoi64(*p, &end, 10);
	if (!isdigit((unsigned char) **p) || errno != 0)
		report_syntax(text, psprintf("There is no count at character %d.", (int) (*p - text) +1));
	*p = end;
	return count;
}

static EcsGrowthCounts *
parse_counts(const char *text)
{
	const char *p = text;
	EcsGrowthCounts *counts = ecs_make_counts(parse_period(text, &p));
	int			periods;
	int			i;

	expect(text, &p, " ");
	if (*p != '{')
	{
		DateADT		first = parse_day(text, &p);
		DateADT		last;

		expect(text, &p, "..");
		last = parse_day(text, &p);
		expect(text, &p, " ");
		if (first > last)
			report_syntax(text, "The last day is before the first.");
		counts = ecs_cover_days(counts, first, last);
	}
	expect(text, &p, "{");
	periods = ecs_count_periods(counts);
	for (i = 0; i < periods; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (i > 0)
			expect(text, &p, ",");
		counts->periods[i].active = parse_count(text, &p);
		expect(text, &p, "/");
		counts->periods[i].fresh = parse_count(text, &p);
		expect(text, &p, "/");
		counts->periods[i].retained = parse_count(text, &p);
	}
	expect(text, &p, "}");
	if (*p != '\0')
		report_syntax(text, "There is more after the closing brace.");
	return counts;
}

Datum
ecs_growth_counts_in(PG_FUNCTION_ARGS)
{
	const char *text = PG_GETARG_CSTRING(0);
	EcsGrowthCounts *counts = parse_counts(text);
	const char *problem = ecs_check_counts(counts);

	if (problem != NULL)
		report_syntax(text, problem);
	PG_RETURN_POINTER(counts);
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

Datum
ecs_growth_counts_out(PG_FUNCTION_ARGS)
{
	EcsGrowthCounts *counts = GETARG_COUNTS(0);
	int			periods = ecs_count_periods(counts);
	StringInfoData text;
	int			i;

	initStringInfo(&text);
	appendStringInfo(&text, "%s ", ecs_period_labels[counts->period]);
	if (periods > 0)
	{
		append_day(&text, counts->first_day);
		appendStringInfoString(&text, "..");
		append_day(&text, counts->last_day);
		appendStringInfoChar(&text, ' ');
	}
	appendStringInfoChar(&text, '{');
	for (i = 0; i < periods; i++)
		appendStringInfo(&text, "%s%lld/%lld/%lld", i > 0 ? "," : "", (long long) counts->periods[i].active,
						 (long long) counts->periods[i].fresh, (long long) counts->periods[i].retained);
	appendStringInfoChar(&text, '}');
	PG_RETURN_CSTRING(text.data);
}

/*
 * Binary: version, period, number of periods; with any, the first and the last day
 * and three counts for each
 */

pg_noreturn static void
report_binary(const char *problem)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
			 errmsg("invalid binary value of type %s", "growth_counts"),
			 errdetail("%s", problem)));
}

Datum
ecs_growth_counts_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int			version = pq_getmsgbyte(buf);
	int			period = pq_getmsgbyte(buf);
	int32		periods = pq_getmsgint(buf, 4);
	EcsGrowthCounts *counts;
	const char *problem;
	int			i;

	if (version != ECS_COUNTS_VERSION)
		report_binary("It is of another version.");
	if (period >= ECS_PERIODS)
		report_binary("There is no such period.");
	counts = ecs_make_counts(period);
	if (periods != 0)
	{
		DateADT		first = pq_getmsgint(buf, 4);
		DateADT		last = pq_getmsgint(buf, 4);

		if (first > last)
			report_binary("The last day is before the first.");
		counts = ecs_cover_days(counts, first, last);
	}
	if (ecs_count_periods(counts) != periods)
		report_binary("The number of periods is not that of the days.");
	for (i = 0; i < periods; i++)
	{
		counts->periods[i].active = pq_getmsgint64(buf);
		counts->periods[i].fresh = pq_getmsgint64(buf);
		counts->periods[i].retained = pq_getmsgint64(buf);
	}
	problem = ecs_check_counts(counts);
	if (problem != NULL)
		report_binary(problem);
	PG_RETURN_POINTER(counts);
}

Datum
ecs_growth_counts_send(PG_FUNCTION_ARGS)
{
	EcsGrowthCounts *counts = GETARG_COUNTS(0);
	int			periods = ecs_count_periods(counts);
	StringInfoData buf;
	int			i;

	pq_begintypsend(&buf);
	pq_sendbyte(&buf, counts->version);
	pq_sendbyte(&buf, counts->period);
	pq_sendint32(&buf, periods);
	if (periods > 0)
	{
		pq_sendint32(&buf, counts->first_day);
		pq_sendint32(&buf, counts->last_day);
	}
	for (i = 0; i < periods; i++)
	{
		pq_sendint64(&buf, counts->periods[i].active);
		pq_sendint64(&buf, counts->periods[i].fresh);
		pq_sendint64(&buf, counts->periods[i].retained);
	}
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}
