/*
 * function.c
 *		SQL functions on sketches: union, estimates, comparison, description.
 */
#include "postgres.h"

#include <math.h>

#include "common/hashfn.h"
#include "common/int.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "sketch/function.h"
#include "sketch/value.h"

PG_FUNCTION_INFO_V1(ecs_sketch_empty);
PG_FUNCTION_INFO_V1(ecs_sketch_union);
PG_FUNCTION_INFO_V1(ecs_sketch_count);
PG_FUNCTION_INFO_V1(ecs_sketch_estimate_float8);
PG_FUNCTION_INFO_V1(ecs_sketch_error);
PG_FUNCTION_INFO_V1(ecs_sketch_bounds);
PG_FUNCTION_INFO_V1(ecs_sketch_overlap);
PG_FUNCTION_INFO_V1(ecs_sketch_info);
PG_FUNCTION_INFO_V1(ecs_sketch_cmp);
PG_FUNCTION_INFO_V1(ecs_sketch_eq);
PG_FUNCTION_INFO_V1(ecs_sketch_ne);
PG_FUNCTION_INFO_V1(ecs_sketch_lt);
PG_FUNCTION_INFO_V1(ecs_sketch_le);
PG_FUNCTION_INFO_V1(ecs_sketch_gt);
PG_FUNCTION_INFO_V1(ecs_sketch_ge);
PG_FUNCTION_INFO_V1(ecs_sketch_hash);
PG_FUNCTION_INFO_V1(ecs_sketch_hash_extended);

Datum
ecs_sketch_empty(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P(ecs_sketch_of_state(ecs_state_create(ECS_TOKENS, ecs_check_precision(PG_GETARG_INT32(0)), 0)));
}

Datum
ecs_sketch_union(PG_FUNCTION_ARGS)
{
	EcsScratch	scratch;
	EcsView		view;
	EcsState   *state;

	ecs_view_datum(PG_GETARG_DATUM(0), &view, &scratch);
	state = ecs_state_of_view(&view);
	ecs_view_datum(PG_GETARG_DATUM(1), &view, &scratch);
	PG_RETURN_BYTEA_P(ecs_sketch_of_state(ecs_state_merge(state, &view)));
}

/* -------- estimates -------- */

EcsEstimate
ecs_estimate_view(const EcsView *view)
{
	EcsEstimate estimate = ecs_sketch_estimate(view);

	if (isinf(estimate.count))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("estimate of the sketch is infinite"),
				 errdetail("All its registers are full, which no number of elements makes likely.")));
	return estimate;
}

int64
ecs_count_view(const EcsView *view)
{
	double		count = rint(ecs_estimate_view(view).count);

	if (!FLOAT8_FITS_IN_INT64(count))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("estimate of the sketch is out of range for type bigint"),
				 errhint("Use sketch_estimate().")));
	return (int64) count;
}

/*
 * Rounded to thousandths: the mathematical library decides the last bits, and
 * machines that differ in it should tell the same.
 */
static double
round_estimate(double estimate)
{
	return rint(estimate * 1000) / 1000;
}

static EcsEstimate
estimate_datum(Datum sketch)
{
	EcsScratch	scratch;
	EcsView		view;

	ecs_view_datum(sketch, &view, &scratch);
	return ecs_sketch_estimate(&view);
}

Datum
ecs_sketch_count(PG_FUNCTION_ARGS)
{
	EcsScratch	scratch;
	EcsView		view;

	ecs_view_datum(PG_GETARG_DATUM(0), &view, &scratch);
	PG_RETURN_INT64(ecs_count_view(&view));
}

Datum
ecs_sketch_estimate_float8(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(round_estimate(estimate_datum(PG_GETARG_DATUM(0)).count));
}

Datum
ecs_sketch_error(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(rint(estimate_datum(PG_GETARG_DATUM(0)).error * 1e6) / 1e6);
}

static Datum
return_two(FunctionCallInfo fcinfo, double first, double second)
{
	TupleDesc	desc;
	Datum		values[2];
	bool		nulls[2] = {false, false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = Float8GetDatum(round_estimate(first));
	values[1] = Float8GetDatum(round_estimate(second));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

Datum
ecs_sketch_bounds(PG_FUNCTION_ARGS)
{
	EcsScratch	scratch;
	EcsView		view;
	EcsEstimate estimate;
	double		sigmas = PG_GETARG_FLOAT8(1);

	if (!(sigmas >= 0 && sigmas <= 100))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("number of standard errors must be between 0 and 100")));
	ecs_view_datum(PG_GETARG_DATUM(0), &view, &scratch);
	estimate = ecs_estimate_view(&view);
	return return_two(fcinfo,
					  estimate.count * Max(1 - sigmas * estimate.error, 0),
					  estimate.count * (1 + sigmas * estimate.error));
}

/*
 * By inclusion and exclusion.  The error is that of three independent estimates;
 * theirs are correlated in our favour.
 */
Datum
ecs_sketch_overlap(PG_FUNCTION_ARGS)
{
	EcsScratch	scratch;
	EcsView		view;
	EcsState   *a;
	EcsState   *b;
	EcsEstimate of_a,
				of_b,
				of_both;
	double		overlap;

	ecs_view_datum(PG_GETARG_DATUM(0), &view, &scratch);
	a = ecs_state_of_view(&view);
	ecs_view_datum(PG_GETARG_DATUM(1), &view, &scratch);

	/* all three at the precision that both can have */
	b = ecs_state_reduce(ecs_state_of_view(&view), a->precision);
	a = ecs_state_reduce(a, b->precision);
	ecs_view_state(a, &view);
	of_a = ecs_estimate_view(&view);
	ecs_view_state(b, &view);
	of_b = ecs_estimate_view(&view);
	a = ecs_state_merge(a, &view);
	ecs_view_state(a, &view);
	of_both = ecs_estimate_view(&view);

	overlap = of_a.count + of_b.count - of_both.count;
	overlap = Max(Min(overlap, Min(of_a.count, of_b.count)), 0);
	return return_two(fcinfo, overlap,
					  sqrt(pow(of_a.count * of_a.error, 2) + pow(of_b.count * of_b.error, 2) +
						   pow(of_both.count * of_both.error, 2)));
}

Datum
ecs_sketch_info(PG_FUNCTION_ARGS)
{
	static const char *const layouts[] = {"tokens", "raw", "packed"};
	bytea	   *sketch = PG_GETARG_BYTEA_PP(0);
	EcsScratch	scratch;
	EcsView		view;
	EcsEstimate estimate;
	StringInfoData json;

	ecs_view_datum(PointerGetDatum(sketch), &view, &scratch);
	estimate = ecs_sketch_estimate(&view);

	initStringInfo(&json);
	appendStringInfo(&json, "{\"version\": %d, \"hash\": \"murmur3_x64_128 seed 0\", \"flavour\": \"%s\", \"precision\": %d, ",
					 ECS_SKETCH_VERSION, view.flavour == ECS_HLL ? "hll" : "ull", view.precision);
	appendStringInfo(&json, "\"layout\": \"%s\", \"bytes\": %zu, ",
					 layouts[ecs_sketch_layout((uint8 *) VARDATA_ANY(sketch))], VARSIZE_ANY_EXHDR(sketch));
	if (view.form == ECS_TOKENS)
		appendStringInfo(&json, "\"tokens\": %u, \"token_limit\": %u, ", view.tokens, ecs_token_limit(view.precision));
	else
		appendStringInfo(&json, "\"registers\": %u, ", 1U << view.precision);
	if (isinf(estimate.count))
		appendStringInfoString(&json, "\"estimate\": null, \"error\": null}");
	else
		appendStringInfo(&json, "\"estimate\": %.3f, \"error\": %.6f}", estimate.count, estimate.error);
	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data)));
}

/* -------- comparison: equal sketches are equal bytes, and the order is that of bytes -------- */

static int
compare_sketches(FunctionCallInfo fcinfo)
{
	bytea	   *a = PG_GETARG_BYTEA_PP(0);
	bytea	   *b = PG_GETARG_BYTEA_PP(1);
	size_t		len_a = VARSIZE_ANY_EXHDR(a);
	size_t		len_b = VARSIZE_ANY_EXHDR(b);
	int			order = memcmp(VARDATA_ANY(a), VARDATA_ANY(b), Min(len_a, len_b));

	if (order == 0)
		order = (len_a > len_b) - (len_a < len_b);
	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	return order;
}

Datum
ecs_sketch_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(compare_sketches(fcinfo));
}

Datum
ecs_sketch_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_sketches(fcinfo) == 0);
}

Datum
ecs_sketch_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_sketches(fcinfo) != 0);
}

Datum
ecs_sketch_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_sketches(fcinfo) < 0);
}

Datum
ecs_sketch_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_sketches(fcinfo) <= 0);
}

Datum
ecs_sketch_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_sketches(fcinfo) > 0);
}

Datum
ecs_sketch_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_sketches(fcinfo) >= 0);
}

Datum
ecs_sketch_hash(PG_FUNCTION_ARGS)
{
	bytea	   *sketch = PG_GETARG_BYTEA_PP(0);
	Datum		hash = hash_any((unsigned char *) VARDATA_ANY(sketch), VARSIZE_ANY_EXHDR(sketch));

	PG_FREE_IF_COPY(sketch, 0);
	return hash;
}

Datum
ecs_sketch_hash_extended(PG_FUNCTION_ARGS)
{
	bytea	   *sketch = PG_GETARG_BYTEA_PP(0);
	Datum		hash = hash_any_extended((unsigned char *) VARDATA_ANY(sketch), VARSIZE_ANY_EXHDR(sketch),
										 PG_GETARG_INT64(1));

	PG_FREE_IF_COPY(sketch, 0);
	return hash;
}
