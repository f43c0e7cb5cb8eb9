/*
 * status.c
 *		What one user is in a period: new, retained, resurrected, churned, dormant.
 *
 * The words of growth accounting, for one user at a time and without reading a
 * table, so that a distributed table can be asked with GROUP BY.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_enum.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "activity/activity.h"
#include "base/calendar.h"

PG_FUNCTION_INFO_V1(ecs_activity_status);
PG_FUNCTION_INFO_V1(ecs_activity_statuses);
PG_FUNCTION_INFO_V1(ecs_activity_churn_stats);

/* in the order of the SQL enum "growth_status" */
typedef enum Status
{
	NEVER,
	NEW,
	RETAINED,
	RESURRECTED,
	CHURNED,
	DORMANT
} Status;

static const char *const status_labels[] = {"never", "new", "retained", "resurrected", "churned", "dormant"};

/* What a call looks up in the catalog once */
typedef struct StatusCache
{
	Oid			status_oids[lengthof(status_labels)];	/* of the enum's values */
} StatusCache;

static StatusCache *
get_cache(FunctionCallInfo fcinfo)
{
	if (fcinfo->flinfo->fn_extra == NULL)
		fcinfo->flinfo->fn_extra = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(StatusCache));
	return fcinfo->flinfo->fn_extra;
}

static Datum
status_datum(StatusCache *cache, Oid enum_type, Status status)
{
	if (!OidIsValid(cache->status_oids[status]))
	{
		Oid			oid = GetSysCacheOid2(ENUMTYPOIDNAME, Anum_pg_enum_oid, ObjectIdGetDatum(enum_type),
										  CStringGetDatum(status_labels[status]));

		if (!OidIsValid(oid))
			elog(ERROR, "enum has no value \"%s\"", status_labels[status]);
		cache->status_oids[status] = oid;
	}
	return ObjectIdGetDatum(cache->status_oids[status]);
}

/* The status of somebody active now or not, in the period before or not, before that or not */
static inline Status
classify(bool now, bool previous, bool earlier)
{
	if (now)
		return previous ? RETAINED : earlier ? RESURRECTED : NEW;
	return previous ? CHURNED : earlier ? DORMANT : NEVER;
}

static Status
status_in(const struct varlena *activity, EcsPeriod period, int32 index)
{
	DateADT		first;
	DateADT		previous_start = ecs_period_start(period, index - 1);
	DateADT		start = ecs_period_start(period, index);

	if (!ecs_first_day(activity, &first))
		return NEVER;
	return classify(ecs_count_days(activity, start, ecs_period_start(period, index + 1)) > 0,
					ecs_count_days(activity, previous_start, start) > 0,
					first < previous_start);
}

/* The period that a day lies in */
static int32
index_of_arg(EcsPeriod period, DateADT day)
{
	ecs_check_day(day);
	if (day < -POSTGRES_EPOCH_JDATE + 366 || day > ECS_MAX_DAY - 366)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("date out of range for a period")));
	return ecs_period_index(period, day);
}

Datum
ecs_activity_status(PG_FUNCTION_ARGS)
{
	StatusCache *cache = get_cache(fcinfo);
	EcsPeriod	period = ecs_period_from_enum(PG_GETARG_OID(2));
	Status		status = status_in(PG_GETARG_ACTIVITY(0), period, index_of_arg(period, PG_GETARG_DATEADT(1)));

	return status_datum(cache, get_func_rettype(fcinfo->flinfo->fn_oid), status);
}

/* A walk over periods and, beside it, over the runs of a user */
typedef struct StatusCall
{
	StatusCache cache;
	EcsPeriod	period;
	int32		index;			/* the next period, and the one to stop at */
	int32		end;
	EcsRunReader runs;
	bool		more;			/* whether "first" and "last" hold a run */
	DateADT		first;
	DateADT		last;
	bool		previous;		/* active in the period before, or before that */
	bool		earlier;
} StatusCall;

static bool
active_before(StatusCall *state, DateADT end, DateADT start)
{
	while (state->more && state->last < start)
		state->more = ecs_next_run(&state->runs, &state->first, &state->last);
	return state->more && state->first < end;
}

static StatusCall *
begin_statuses(FunctionCallInfo fcinfo)
{
	StatusCall *state = palloc0(sizeof(StatusCall));
	struct varlena *activity = (struct varlena *) PG_DETOAST_DATUM_COPY(PG_GETARG_DATUM(0));
	EcsPeriod	period = ecs_period_from_enum(PG_GETARG_OID(1));
	DateADT		since = PG_GETARG_DATEADT(2);
	DateADT		until = PG_GETARG_DATEADT(3);
	DateADT		first,
				previous_start;

	state->period = period;
	state->index = index_of_arg(period, since);
	ecs_check_day(until);
	state->end = until > since ? index_of_arg(period, until - 1) + 1 : state->index;

	ecs_read_runs(&state->runs, activity);
	state->more = ecs_next_run(&state->runs, &state->first, &state->last);
	if (!ecs_first_day(activity, &first))
		state->end = state->index;
	else
	{
		/* before the first day there is nothing to say */
		state->index = Max(state->index, Min(ecs_period_index(period, first), state->end));
		previous_start = ecs_period_start(period, state->index - 1);
		state->earlier = first < previous_start;
		state->previous = active_before(state, ecs_period_start(period, state->index), previous_start);
	}
	return state;
}

Datum
ecs_activity_statuses(PG_FUNCTION_ARGS)
{
	FuncCallContext *call;
	StatusCall *state;
	DateADT		start;
	bool		now;
	Datum		values[2];
	bool		nulls[2] = {false, false};

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext old;

		call = SRF_FIRSTCALL_INIT();
		old = MemoryContextSwitchTo(call->multi_call_memory_ctx);
		call->user_fctx = begin_statuses(fcinfo);
		if (get_call_result_type(fcinfo, NULL, &call->tuple_desc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "return type must be a row type");
		MemoryContextSwitchTo(old);
	}
	call = SRF_PERCALL_SETUP();
	state = call->user_fctx;
	if (state->index >= state->end)
		SRF_RETURN_DONE(call);

	start = ecs_period_start(state->period, state->index);
	now = active_before(state, ecs_period_start(state->period, state->index + 1), start);
	values[0] = DateADTGetDatum(start);
	values[1] = status_datum(&state->cache, TupleDescAttr(call->tuple_desc, 1)->atttypid,
							 classify(now, state->previous, state->earlier));
	state->earlier |= state->previous;
	state->previous = now;
	state->index++;
	SRF_RETURN_NEXT(call, HeapTupleGetDatum(heap_form_tuple(call->tuple_desc, values, nulls)));
}

/*
 * The row of user_churn_stats: the state at the end of the period that a day
 * lies in.  NULL where the user was never active until then.
 */
Datum
ecs_activity_churn_stats(PG_FUNCTION_ARGS)
{
	struct varlena *activity = PG_GETARG_ACTIVITY(0);
	EcsPeriod	period = ecs_period_from_enum(PG_GETARG_OID(2));
	int32		index = index_of_arg(period, PG_GETARG_DATEADT(1));
	TupleDesc	desc;
	DateADT		last;
	int32		last_index;
	Datum		values[4];
	bool		nulls[4] = {false, false, false, false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (!ecs_day_before(activity, ecs_period_start(period, index + 1), &last))
		PG_RETURN_NULL();

	last_index = ecs_period_index(period, last);
	nulls[2] = last_index == index;
	values[0] = DateADTGetDatum(last);
	values[1] = BoolGetDatum(last_index < index);
	values[2] = DateADTGetDatum(ecs_period_start(period, last_index + 1));
	values[3] = BoolGetDatum(status_in(activity, period, index) == RESURRECTED);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}
