/*
 * io.c
 *		The types sketch and sketch_state: text and binary form, type modifier,
 *		casts.
 *
 * The text form is the stored form in hexadecimal digits after \x, as that of a
 * bytea.  That of a sketch_state is the one of the sketch it would become: it is
 * compact and says its version, which matters to Citus, where transition states
 * travel as text.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "libpq/pqformat.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "sketch/value.h"

PG_FUNCTION_INFO_V1(ecs_sketch_in);
PG_FUNCTION_INFO_V1(ecs_sketch_out);
PG_FUNCTION_INFO_V1(ecs_sketch_recv);
PG_FUNCTION_INFO_V1(ecs_sketch_send);
PG_FUNCTION_INFO_V1(ecs_sketch_typmod_in);
PG_FUNCTION_INFO_V1(ecs_sketch_typmod_out);
PG_FUNCTION_INFO_V1(ecs_sketch_from_bytea);
PG_FUNCTION_INFO_V1(ecs_sketch_to_bytea);
PG_FUNCTION_INFO_V1(ecs_sketch_reduce);
PG_FUNCTION_INFO_V1(ecs_sketch_state_in);
PG_FUNCTION_INFO_V1(ecs_sketch_state_out);
PG_FUNCTION_INFO_V1(ecs_sketch_state_recv);
PG_FUNCTION_INFO_V1(ecs_sketch_state_send);

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bytea *
parse_text(const char *text)
{
	size_t		digits = strlen(text);
	uint8	   *bytes = palloc(digits / 2 + 1);
	size_t		i;

	for (i = 2; i + 1 < digits; i += 2)
	{
		int			high = hex_digit(text[i]);
		int			low = hex_digit(text[i + 1]);

		if (high < 0 || low < 0)
			break;
		bytes[i / 2 - 1] = high << 4 | low;
	}
	if (digits < 2 || text[0] != '\\' || text[1] != 'x' || i != digits)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid sketch"),
				 errdetail("The text form of a sketch is \\x and an even number of hexadecimal digits."),
				 errhint("Make sketches with sketch_agg() or sketch_empty().")));
	return ecs_sketch_of_bytes(bytes, digits / 2 - 1, ERRCODE_INVALID_TEXT_REPRESENTATION);
}

static bytea *
receive(StringInfo buffer)
{
	int			len = buffer->len - buffer->cursor;

	return ecs_sketch_of_bytes(pq_getmsgbytes(buffer, len), len, ERRCODE_INVALID_BINARY_REPRESENTATION);
}

static char *
hex_of(const bytea *sketch)
{
	size_t		len = VARSIZE_ANY_EXHDR(sketch);
	char	   *result = palloc(2 * len + 3);
	char	   *end = result + 2;

	memcpy(result, "\\x", 2);
	end += hex_encode(VARDATA_ANY(sketch), len, end);
	*end = '\0';
	return result;
}

/*
 * A column of a precision holds sketches of that precision: finer ones are reduced
 * to it.  The modifier need not come from sketch_typmod_in(): who likes can call
 * these functions with any.
 */
static bytea *
apply_precision(bytea *sketch, int32 precision)
{
	EcsScratch	scratch;
	EcsView		view;

	if (precision < 0)
		return sketch;
	(void) ecs_check_precision(precision);
	ecs_view_datum(PointerGetDatum(sketch), &view, &scratch);
	if (view.precision == precision)
		return sketch;
	if (view.precision < precision)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("sketch of precision %d cannot be made one of precision %d", view.precision, precision),
				 errdetail("A sketch can be made coarser, not finer."),
				 errhint("Build the sketch with precision %d, or declare a precision of %d or none.",
						 precision, view.precision)));
	return ecs_sketch_of_state(ecs_state_reduce(ecs_state_of_view(&view), precision));
}

Datum
ecs_sketch_in(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P(apply_precision(parse_text(PG_GETARG_CSTRING(0)), PG_GETARG_INT32(2)));
}

Datum
ecs_sketch_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(hex_of(PG_GETARG_BYTEA_PP(0)));
}

Datum
ecs_sketch_recv(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P(apply_precision(receive((StringInfo) PG_GETARG_POINTER(0)), PG_GETARG_INT32(2)));
}

Datum
ecs_sketch_send(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P(PG_GETARG_BYTEA_P_COPY(0));
}

Datum
ecs_sketch_from_bytea(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);

	PG_RETURN_BYTEA_P(ecs_sketch_of_bytes(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes),
										  ERRCODE_INVALID_BINARY_REPRESENTATION));
}

Datum
ecs_sketch_to_bytea(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P(PG_GETARG_BYTEA_P_COPY(0));
}

Datum
ecs_sketch_typmod_in(PG_FUNCTION_ARGS)
{
	int			count;
	int32	   *modifiers = ArrayGetIntegerTypmods(PG_GETARG_ARRAYTYPE_P(0), &count);

	if (count != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("type sketch takes one modifier, its precision")));
	PG_RETURN_INT32(ecs_check_precision(modifiers[0]));
}

Datum
ecs_sketch_typmod_out(PG_FUNCTION_ARGS)
{
	int32		precision = PG_GETARG_INT32(0);

	PG_RETURN_CSTRING(precision < 0 ? pstrdup("") : psprintf("(%d)", precision));
}

/* sketch_reduce(sketch, precision), and with a third argument the cast that applies a type modifier */
Datum
ecs_sketch_reduce(PG_FUNCTION_ARGS)
{
	int32		precision = PG_GETARG_INT32(1);

	if (PG_NARGS() == 2)
		(void) ecs_check_precision(precision);
	PG_RETURN_BYTEA_P(apply_precision(PG_GETARG_BYTEA_PP(0), precision));
}

static EcsState *
state_of_sketch(bytea *sketch)
{
	EcsScratch	scratch;
	EcsView		view;

	ecs_view_datum(PointerGetDatum(sketch), &view, &scratch);
	return ecs_state_of_view(&view);
}

static bytea *
sketch_of_state_datum(Datum state)
{
	return ecs_sketch_of_state((EcsState *) PG_DETOAST_DATUM(state));
}

Datum
ecs_sketch_state_in(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(state_of_sketch(parse_text(PG_GETARG_CSTRING(0))));
}

Datum
ecs_sketch_state_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(hex_of(sketch_of_state_datum(PG_GETARG_DATUM(0))));
}

Datum
ecs_sketch_state_recv(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(state_of_sketch(receive((StringInfo) PG_GETARG_POINTER(0))));
}

Datum
ecs_sketch_state_send(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P(sketch_of_state_datum(PG_GETARG_DATUM(0)));
}
