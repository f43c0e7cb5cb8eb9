/*
 * element.c
 *		The functions that add one SQL value to a sketch, as a transition of the
 *		aggregates and as sketch_add().
 *
 * Equal values of one type are one element, whatever they look like: numeric 1.0
 * and 1.00, inet 10.0.0.1 and 10.0.0.1/32.  Integers of every width, and numerics
 * without a fraction that fit a bigint, are one element when they are equal
 * numbers.  Dates and timestamps are hashed as the integers they are stored as.
 * Text is hashed as its bytes, so a collation that calls different strings equal
 * makes no difference.
 */
#include "postgres.h"

#include <sys/socket.h>

#include "utils/builtins.h"
#include "utils/inet.h"
#include "utils/numeric.h"
#include "utils/uuid.h"

#include "sketch/aggregate.h"
#include "sketch/hash.h"

static inline uint64
element_int2(Datum value)
{
	return ecs_hash_int64(DatumGetInt16(value));
}

static inline uint64
element_int4(Datum value)
{
	return ecs_hash_int64(DatumGetInt32(value));
}

static inline uint64
element_int8(Datum value)
{
	return ecs_hash_int64(DatumGetInt64(value));
}

static inline uint64
element_varlena(Datum value)
{
	struct varlena *bytes = PG_DETOAST_DATUM_PACKED(value);

	return ecs_hash_bytes(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
}

static inline uint64
element_uuid(Datum value)
{
	return ecs_hash_bytes(DatumGetUUIDP(value)->data, UUID_LEN);
}

/* As a bigint where it is one, else as its shortest decimal digits */
static uint64
element_numeric(Datum value)
{
	char	   *digits = numeric_normalize(DatumGetNumeric(value));
	char	   *end;
	long long	integer;

	errno = 0;
	integer = strtoll(digits, &end, 10);
	if (errno == 0 && *end == '\0' && end > digits)
		return ecs_hash_int64(integer);
	return ecs_hash_bytes(digits, strlen(digits));
}

/* As 4 or 6, the length of the prefix, and the address */
static uint64
element_inet(Datum value)
{
	inet	   *address = DatumGetInetPP(value);
	uint8		bytes[2 + 16];

	bytes[0] = ip_family(address) == PGSQL_AF_INET ? 4 : 6;
	bytes[1] = ip_bits(address);
	memcpy(bytes + 2, ip_addr(address), ip_addrsize(address));
	return ecs_hash_bytes(bytes, 2 + ip_addrsize(address));
}

/*
 * The state to add an element to: with the smallest precision that any row
 * asked for, so that the order of rows does not matter.  Rows without a value
 * count as rows: a group of them has an empty sketch.
 */
static inline EcsState *
state_for_element(FunctionCallInfo fcinfo)
{
	EcsState   *state = ecs_transition_state(fcinfo);
	int			precision = ECS_SKETCH_DEFAULT_PRECISION;

	if (likely(PG_NARGS() == 2 && state != NULL))
		return state;
	if (PG_NARGS() > 2)
	{
		if (PG_ARGISNULL(2))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("precision of a sketch must not be null")));
		precision = ecs_check_precision(PG_GETARG_INT32(2));
	}
	if (state == NULL)
		return ecs_state_create(ECS_TOKENS, precision, 0);
	return precision < state->precision ? ecs_state_reduce(state, precision) : state;
}

static Datum
add_to_sketch(Datum sketch, uint32 token)
{
	EcsScratch	scratch;
	EcsView		view;

	ecs_view_datum(sketch, &view, &scratch);
	PG_RETURN_BYTEA_P(ecs_sketch_of_state(ecs_state_with(ecs_state_of_view(&view), token)));
}

/* Both functions of a type; the last line is there for the semicolon that follows */
#define ELEMENT_FUNCTIONS(type) \
PG_FUNCTION_INFO_V1(ecs_sketch_transition_##type); \
PG_FUNCTION_INFO_V1(ecs_sketch_add_##type); \
\
Datum \
ecs_sketch_transition_##type(PG_FUNCTION_ARGS) \
{ \
	EcsState   *state = state_for_element(fcinfo); \
\
	if (!PG_ARGISNULL(1)) \
		state = ecs_state_with(state, ecs_token_of_hash(element_##type(PG_GETARG_DATUM(1)))); \
	PG_RETURN_POINTER(state); \
} \
\
Datum \
ecs_sketch_add_##type(PG_FUNCTION_ARGS) \
{ \
	return add_to_sketch(PG_GETARG_DATUM(0), ecs_token_of_hash(element_##type(PG_GETARG_DATUM(1)))); \
} \
extern Datum ecs_sketch_add_##type(PG_FUNCTION_ARGS)

ELEMENT_FUNCTIONS(int2);
ELEMENT_FUNCTIONS(int4);
ELEMENT_FUNCTIONS(int8);
ELEMENT_FUNCTIONS(varlena);
ELEMENT_FUNCTIONS(uuid);
ELEMENT_FUNCTIONS(numeric);
ELEMENT_FUNCTIONS(inet);
