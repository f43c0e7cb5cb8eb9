/*
 * lists.c
 *		churned_users, resurrected_users, inactive_users: the window is one slot, and
 * dates say what was before it.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "growth/growth.h"

PG_FUNCTION_INFO_V1(ecs_churned_users);
PG_FUNCTION_INFO_V1(ecs_resurrected_users);
PG_FUNCTION_INFO_V1(ecs_inactive_users);

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

	ecs_put_row(list->fcinfo, values, nulls);
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

	ecs_require_args(fcinfo, 5);
	ecs_check_bound(PG_GETARG_DATEADT(4));
	list.period = ecs_period_from_enum(PG_GETARG_OID(3));
	list.index = ecs_period_index(list.period, PG_GETARG_DATEADT(4));
	ecs_open_source(fcinfo, &source, 6, 0);
	check_witness(fcinfo, &source, 5);
	ecs_begin_result(fcinfo);
	ecs_init_single_window(&window, ecs_period_start(list.period, list.index),
						   ecs_period_start(list.period, list.index + 1));
	if (!all_history)
		window.since = ecs_period_start(list.period, list.index - 1);
	ecs_source_scan(&source, &window, function, &list);
	return ecs_end_result(fcinfo);
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

	ecs_require_args(fcinfo, 5);
	ecs_check_days(PG_GETARG_INT32(3), "inactive_days");
	as_of = PG_GETARG_DATEADT(4);
	ecs_check_bound(as_of);
	ecs_open_source(fcinfo, &source, 6, 0);
	check_witness(fcinfo, &source, 5);
	ecs_begin_result(fcinfo);
	ecs_init_single_window(&window, as_of - PG_GETARG_INT32(3) + 1, as_of + 1);
	ecs_source_scan(&source, &window, list_inactive, &list);
	return ecs_end_result(fcinfo);
}
