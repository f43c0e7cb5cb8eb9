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

#include "sketch/estimate.h"
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

static void
check_finite(double count)
{
	if (isinf(count))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("estimate of the sketch is infinite"),
				 errdetail("All its registers are full, which no number of elements makes likely.")));
}

static EcsEstimate
estimate_view(const EcsView *view)
{
	EcsEstimate estimate = ecs_sketch_estimate(view);

	check_finite(estimate.count);
	return estimate;
}

int64
ecs_whole_count(double count)
{
	check_finite(count);
	count = rint(count);
	if (!FLOAT8_FITS_IN_INT64(count))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("estimate of the sketch is out of range for type bigint"),
				 errhint("Use sketch_estimate().")));
	return (int64) count;
}

static double
round_to_thousandths(double count)
{
	return rint(count * 1000) / 1000;
}

Datum
ecs_sketch_count(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(ecs_whole_count(ecs_count_datum(PG_GETARG_DATUM(0))));
}

Datum
ecs_sketch_estimate_float8(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(round_to_thousandths(ecs_count_datum(PG_GETARG_DATUM(0))));
}

Datum
ecs_sketch_error(PG_FUNCTION_ARGS)
{
	EcsScratch	scratch;
	EcsView		view;

	ecs_view_datum(PG_GETARG_DATUM(0), &view, &scratch);
	PG_RETURN_FLOAT8(rint(ecs_sketch_estimate(&view).error * 1e6) / 1e6);
}

static Datum
return_two(FunctionCallInfo fcinfo, double first, double second)
{
	TupleDesc	desc;
	Datum		values[2];
	bool		nulls[2] = {false, false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = Float8GetDatum(round_to_thousandths(first));
	values[1] = Float8GetDatum(round_to_thousandths(second));
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
	estimate = estimate_view(&view);
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
	of_a = estimate_view(&view);
	ecs_view_state(b, &view);
	of_b = estimate_view(&view);
	a = ecs_state_merge(a, &view);
	ecs_view_state(a, &view);
	of_both = estimate_view(&view);

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

/*
 * -------- comparison --------
 *
 * The order is that of the header and then of the contents, by bytes.  What is
 * between, the estimate, follows from them.
 */

/* How many bytes stand before the contents; of a damaged sketch that ends there, all */
static size_t
length_before_contents(const uint8 *bytes, size_t len)
{
	return len < ECS_SKETCH_HEADER ? len : Min(len, ecs_sketch_contents(bytes));
}

static int
compare_bytes(const uint8 *a, size_t len_a, const uint8 *b, size_t len_b)
{
	int			order = memcmp(a, b, Min(len_a, len_b));

	return order != 0 ? order : (len_a > len_b) - (len_a < len_b);
}

static int
compare_sketches(FunctionCallInfo fcinfo)
{
	bytea	   *sketch_a = PG_GETARG_BYTEA_PP(0);
	bytea	   *sketch_b = PG_GETARG_BYTEA_PP(1);
	const uint8 *a = (uint8 *) VARDATA_ANY(sketch_a);
	const uint8 *b = (uint8 *) VARDATA_ANY(sketch_b);
	size_t		len_a = VARSIZE_ANY_EXHDR(sketch_a);
	size_t		len_b = VARSIZE_ANY_EXHDR(sketch_b);
	size_t		skip_a = length_before_contents(a, len_a);
	size_t		skip_b = length_before_contents(b, len_b);
	int			order = compare_bytes(a, Min(len_a, ECS_SKETCH_HEADER), b, Min(len_b, ECS_SKETCH_HEADER));

	if (order == 0)
		order = compare_bytes(a + skip_a, len_a - skip_a, b + skip_b, len_b - skip_b);
	PG_FREE_IF_COPY(sketch_a, 0);
	PG_FREE_IF_COPY(sketch_b, 1);
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

/* Of the contents: sketches that differ in the header alone are empty */
static uint64
hash_sketch(bytea *sketch, uint64 seed)
{
	const uint8 *bytes = (uint8 *) VARDATA_ANY(sketch);
	size_t		len = VARSIZE_ANY_EXHDR(sketch);
	size_t		skip = length_before_contents(bytes, len);

	return DatumGetUInt64(hash_any_extended(bytes + skip, len - skip, seed));
}

Datum
ecs_sketch_hash(PG_FUNCTION_ARGS)
{
	bytea	   *sketch = PG_GETARG_BYTEA_PP(0);
	uint64		hash = hash_sketch(sketch, 0);

	PG_FREE_IF_COPY(sketch, 0);
	PG_RETURN_INT32((int32) hash);
}

Datum
ecs_sketch_hash_extended(PG_FUNCTION_ARGS)
{
	bytea	   *sketch = PG_GETARG_BYTEA_PP(0);
	uint64		hash = hash_sketch(sketch, PG_GETARG_INT64(1));

	PG_FREE_IF_COPY(sketch, 0);
	PG_RETURN_INT64((int64) hash);
}
