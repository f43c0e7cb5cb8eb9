/*
 * hll.c
 *		Import from and export to postgresql-hll.
 *
 * What is EXPLICIT becomes a sketch like any other, since its hashes are known.
 * SPARSE and FULL become registers of the flavour ECS_HLL: the best estimate
 * from them is better than hll's own, if not as good as from a sketch that was
 * built here, and their union with one is of their flavour.
 */
#include "postgres.h"

#include "port/pg_bitutils.h"

#include "sketch/hll_format.h"
#include "sketch/value.h"

PG_FUNCTION_INFO_V1(ecs_sketch_from_hll);
PG_FUNCTION_INFO_V1(ecs_sketch_to_hll);

/* Raise what reading an hll found wrong, if anything */
static void
check_hll(const char *problem)
{
	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid hll"),
				 errdetail_internal("%s", problem)));
}

static bytea *
import_hll(const uint8 *bytes, size_t len)
{
	EcsHllHeader header;
	EcsState   *state;
	size_t		i;

	check_hll(ecs_hll_read_header(bytes, len, &header));
	bytes += ECS_HLL_HEADER;
	len -= ECS_HLL_HEADER;

	if (header.type == ECS_HLL_EMPTY || header.type == ECS_HLL_EXPLICIT)
	{
		state = ecs_state_create(ECS_TOKENS, header.log2m, 0);
		for (i = 0; i < len / 8; i++)
			state = ecs_state_with(state, ecs_token_of_hash(ecs_hll_explicit_hash(bytes, i)));
		return ecs_sketch_of_state(state);
	}
	state = ecs_state_create(ECS_REGISTERS, header.log2m, 0);
	state->flavour = ECS_HLL;
	check_hll(ecs_hll_read_registers(bytes, len, &header, ecs_state_registers(state)->reg));
	return ecs_sketch_of_state(state);
}

/* 0 for never, 63 for -1 (left to hll), k + 1 for 2^k */
static int
threshold_code(int32 threshold)
{
	if (threshold == -1)
		return 63;
	if (threshold == 0)
		return 0;
	if (threshold < 0 || (threshold & (threshold - 1)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("expthresh must be -1, 0 or a power of two, not %d", threshold)));
	return pg_leftmost_one_pos32(threshold) + 1;
}

static bytea *
export_hll(const EcsView *view, const EcsHllHeader *header)
{
	EcsState   *registers = ecs_state_merge(ecs_state_create(ECS_REGISTERS, view->precision, 0), view);
	bytea	   *result = palloc(VARHDRSZ + ecs_hll_bound(header));

	ecs_state_settle(registers);
	SET_VARSIZE(result, VARHDRSZ + ecs_hll_write(ecs_state_registers(registers)->reg, header, (uint8 *) VARDATA(result)));
	return result;
}

Datum
ecs_sketch_from_hll(PG_FUNCTION_ARGS)
{
	bytea	   *hll = PG_GETARG_BYTEA_PP(0);

	PG_RETURN_BYTEA_P(import_hll((const uint8 *) VARDATA_ANY(hll), VARSIZE_ANY_EXHDR(hll)));
}

Datum
ecs_sketch_to_hll(PG_FUNCTION_ARGS)
{
	EcsScratch	scratch;
	EcsView		view;
	EcsHllHeader header;
	int32		regwidth = PG_GETARG_INT32(1);

	if (regwidth < 1 || regwidth > ECS_HLL_MAX_REGWIDTH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("regwidth must be between 1 and %d, not %d", ECS_HLL_MAX_REGWIDTH, regwidth)));
	ecs_view_datum(PG_GETARG_DATUM(0), &view, &scratch);
	header.log2m = view.precision;
	header.regwidth = regwidth;
	header.threshold_code = threshold_code(PG_GETARG_INT32(2));
	header.sparse_enabled = PG_GETARG_BOOL(3);
	PG_RETURN_BYTEA_P(export_hll(&view, &header));
}
