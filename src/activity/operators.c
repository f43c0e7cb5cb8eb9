/*
 * operators.c
 *		Operators of type activity: set algebra, containment, comparison.
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "activity/activity.h"

PG_FUNCTION_INFO_V1(ecs_activity_add);
PG_FUNCTION_INFO_V1(ecs_activity_remove);
PG_FUNCTION_INFO_V1(ecs_activity_union);
PG_FUNCTION_INFO_V1(ecs_activity_intersect);
PG_FUNCTION_INFO_V1(ecs_activity_except);
PG_FUNCTION_INFO_V1(ecs_activity_contains);
PG_FUNCTION_INFO_V1(ecs_activity_within);
PG_FUNCTION_INFO_V1(ecs_activity_contains_all);
PG_FUNCTION_INFO_V1(ecs_activity_contained);
PG_FUNCTION_INFO_V1(ecs_activity_overlaps);
PG_FUNCTION_INFO_V1(ecs_activity_eq);
PG_FUNCTION_INFO_V1(ecs_activity_ne);
PG_FUNCTION_INFO_V1(ecs_activity_lt);
PG_FUNCTION_INFO_V1(ecs_activity_le);
PG_FUNCTION_INFO_V1(ecs_activity_gt);
PG_FUNCTION_INFO_V1(ecs_activity_ge);
PG_FUNCTION_INFO_V1(ecs_activity_cmp);
PG_FUNCTION_INFO_V1(ecs_activity_hash);
PG_FUNCTION_INFO_V1(ecs_activity_hash_extended);

/*
 * Set algebra
 */

static struct varlena *
one_day(DateADT day)
{
	ecs_check_day(day);
	return ecs_make_run(day, day);
}

Datum
ecs_activity_add(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(ecs_combine(PG_GETARG_ACTIVITY(0), one_day(PG_GETARG_DATEADT(1)), ECS_UNION));
}

Datum
ecs_activity_remove(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(ecs_combine(PG_GETARG_ACTIVITY(0), one_day(PG_GETARG_DATEADT(1)), ECS_EXCEPT));
}

Datum
ecs_activity_union(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(ecs_combine(PG_GETARG_ACTIVITY(0), PG_GETARG_ACTIVITY(1), ECS_UNION));
}

Datum
ecs_activity_intersect(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(ecs_combine(PG_GETARG_ACTIVITY(0), PG_GETARG_ACTIVITY(1), ECS_INTERSECT));
}

Datum
ecs_activity_except(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(ecs_combine(PG_GETARG_ACTIVITY(0), PG_GETARG_ACTIVITY(1), ECS_EXCEPT));
}

/* An infinite date is in no activity, which is an answer and not an error */
static bool
has_day(const struct varlena *activity, DateADT day)
{
	return !DATE_NOT_FINITE(day) && ecs_count_days(activity, day, day + 1) > 0;
}

Datum
ecs_activity_contains(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(has_day(PG_GETARG_ACTIVITY(0), PG_GETARG_DATEADT(1)));
}

Datum
ecs_activity_within(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(has_day(PG_GETARG_ACTIVITY(1), PG_GETARG_DATEADT(0)));
}

Datum
ecs_activity_contains_all(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(ecs_contains_all(PG_GETARG_ACTIVITY(0), PG_GETARG_ACTIVITY(1)));
}

Datum
ecs_activity_contained(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(ecs_contains_all(PG_GETARG_ACTIVITY(1), PG_GETARG_ACTIVITY(0)));
}

Datum
ecs_activity_overlaps(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(ecs_overlaps(PG_GETARG_ACTIVITY(0), PG_GETARG_ACTIVITY(1)));
}

/*
 * Comparison: by the sequences of days; equal sets are equal bytes
 */

static bool
equal_bytes(const struct varlena *a, const struct varlena *b)
{
	return VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
		memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)) == 0;
}

Datum
ecs_activity_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(equal_bytes(PG_GETARG_ACTIVITY(0), PG_GETARG_ACTIVITY(1)));
}

Datum
ecs_activity_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(!equal_bytes(PG_GETARG_ACTIVITY(0), PG_GETARG_ACTIVITY(1)));
}

Datum
ecs_activity_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(ecs_compare(PG_GETARG_ACTIVITY(0), PG_GETARG_ACTIVITY(1)) < 0);
}

Datum
ecs_activity_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(ecs_compare(PG_GETARG_ACTIVITY(0), PG_GETARG_ACTIVITY(1)) <= 0);
}

Datum
ecs_activity_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(ecs_compare(PG_GETARG_ACTIVITY(0), PG_GETARG_ACTIVITY(1)) > 0);
}

Datum
ecs_activity_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(ecs_compare(PG_GETARG_ACTIVITY(0), PG_GETARG_ACTIVITY(1)) >= 0);
}

Datum
ecs_activity_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(ecs_compare(PG_GETARG_ACTIVITY(0), PG_GETARG_ACTIVITY(1)));
}

Datum
ecs_activity_hash(PG_FUNCTION_ARGS)
{
	struct varlena *activity = PG_GETARG_ACTIVITY(0);

	return hash_any((const unsigned char *) VARDATA_ANY(activity), VARSIZE_ANY_EXHDR(activity));
}

Datum
ecs_activity_hash_extended(PG_FUNCTION_ARGS)
{
	struct varlena *activity = PG_GETARG_ACTIVITY(0);

	return hash_any_extended((const unsigned char *) VARDATA_ANY(activity),
							 VARSIZE_ANY_EXHDR(activity), PG_GETARG_INT64(1));
}
