/*
 * codec.c
 *		The stored form of a sketch: header, tokens, raw registers.
 *
 * Tokens are stored in ascending order.  Of n tokens the bits from the hash lie
 * 2^26/n apart on average, so their differences are Rice coded with the
 * parameter 25 - floor(log2 n); the zero bits that follow are as many zero bits
 * and a one.  That takes 2.7 bytes a token for 250 of them.
 */
#include "sketch/codec.h"

#include <string.h>

#include "sketch/bits.h"
#include "sketch/estimate.h"
#include "sketch/packed.h"

const char *
ecs_sketch_read_header(const uint8_t *bytes, size_t len, EcsView *view)
{
	EcsLayout	layout;

	if (len < ECS_SKETCH_HEADER)
		return "It is shorter than a header of 2 bytes.";
	if (bytes[0] >> 4 != ECS_SKETCH_VERSION)
		return "Its version is not 1, the only one that is known here.";
	layout = ecs_sketch_layout(bytes);
	if (layout > ECS_LAYOUT_PACKED)
		return "Its layout is none of tokens (0), raw (1) and packed (2).";
	if (bytes[1] >> 5 > ECS_HLL)
		return "Its flavour is neither UltraLogLog (0) nor HyperLogLog (1).";
	if (len < ecs_sketch_contents(bytes))
		return "It ends before its registers.";

	memset(view, 0, sizeof(EcsView));
	view->form = layout == ECS_LAYOUT_TOKENS ? ECS_TOKENS : ECS_REGISTERS;
	view->flavour = (EcsFlavour) (bytes[1] >> 5);
	view->precision = bytes[1] & 31;
	if (view->precision < ECS_SKETCH_MIN_PRECISION || view->precision > ECS_SKETCH_MAX_PRECISION)
		return "Its precision is not between 4 and 18.";
	if (view->form == ECS_TOKENS && view->flavour != ECS_ULL)
		return "It has tokens, but its flavour is not UltraLogLog (0).";
	return NULL;
}

/* Moves "at" behind the number */
static const char *
read_token_count(const uint8_t **at, const uint8_t *end, int precision, uint32_t *count)
{
	int			shift;

	*count = 0;
	if (*at == end)
		return NULL;
	for (shift = 0;; shift += 7)
	{
		if (*at == end || shift > 7)
			return "The number of its tokens is damaged.";
		*count |= (uint32_t) (**at & 127) << shift;
		if (*(*at)++ < 128)
			break;
	}
	if (*count == 0 || *count > ecs_token_limit(precision))
		return "The number of its tokens is not possible at its precision.";
	return NULL;
}

const char *
ecs_sketch_read_count(const uint8_t *bytes, size_t len, float *count)
{
	EcsView		view;
	const char *problem = ecs_sketch_read_header(bytes, len, &view);
	const uint8_t *at = bytes + ECS_SKETCH_HEADER;
	uint32_t	word;

	if (problem != NULL)
		return problem;
	if (view.form == ECS_TOKENS)
	{
		problem = read_token_count(&at, bytes + len, view.precision, &word);
		*count = ecs_estimate_tokens(word).count;
		return problem;
	}
	word = ecs_load_le32(at);
	memcpy(count, &word, sizeof(word));
	return *count >= 0 ? NULL : "Its estimate is no number of elements.";
}

/* The parameter of the Rice code of "count" tokens */
static inline int
rice_bits(uint32_t count)
{
	return ECS_TOKEN_BITS - 1 - (31 - __builtin_clz(count));
}

static const char *
decode_tokens(const uint8_t *bytes, size_t len, uint32_t *tokens, EcsView *view)
{
	EcsBitReader reader = {bytes, bytes + len, 0, 0};
	uint32_t	count;
	const char *problem = read_token_count(&reader.at, reader.end, view->precision, &count);
	uint32_t	previous = 0;
	uint32_t	hash = 0;
	uint32_t	i;
	int			rice;

	view->token = tokens;
	if (problem != NULL || count == 0)
		return problem;
	rice = rice_bits(count);
	for (i = 0; i < count; i++)
	{
		uint32_t	quotient,
					remainder,
					zeros;

		if (!ecs_get_unary(&reader, &quotient) ||
			!ecs_get_bits(&reader, rice, &remainder) ||
			!ecs_get_unary(&reader, &zeros))
			return "It ends within its tokens.";
		if (quotient > UINT32_C(1) << (ECS_TOKEN_BITS - rice) || zeros > ECS_TOKEN_MAX_ZEROS)
			return "A token is out of range.";
		hash += (quotient << rice) + remainder;
		if (hash >= UINT32_C(1) << ECS_TOKEN_BITS)
			return "A token is out of range.";
		tokens[i] = (hash << (32 - ECS_TOKEN_BITS) | zeros) + 1;
		if (tokens[i] <= previous)
			return "Its tokens are not in ascending order.";
		previous = tokens[i];
	}
	if (!ecs_at_end(&reader))
		return "It does not end after its tokens.";
	view->tokens = count;
	return NULL;
}

static uint8_t *
encode_tokens(const uint32_t *tokens, uint32_t count, uint8_t *out)
{
	EcsBitWriter writer = {out, 0, 0};
	uint32_t	previous = 0;
	uint32_t	left;
	uint32_t	i;
	int			rice;

	if (count == 0)
		return out;
	for (left = count; left >= 128; left >>= 7)
		*writer.at++ = 128 | (left & 127);
	*writer.at++ = left;

	rice = rice_bits(count);
	for (i = 0; i < count; i++)
	{
		uint32_t	hash = (tokens[i] - 1) >> (32 - ECS_TOKEN_BITS);
		uint32_t	gap = hash - previous;

		ecs_put_unary(&writer, gap >> rice);
		ecs_put_bits(&writer, gap & ((UINT32_C(1) << rice) - 1), rice);
		ecs_put_unary(&writer, (tokens[i] - 1) & 63);
		previous = hash;
	}
	return ecs_end_bits(&writer);
}

const char *
ecs_sketch_decode(const uint8_t *bytes, size_t len, uint32_t *scratch, EcsView *view)
{
	const char *problem = ecs_sketch_read_header(bytes, len, view);
	EcsLayout	layout;

	if (problem != NULL)
		return problem;
	layout = ecs_sketch_layout(bytes);
	len -= ecs_sketch_contents(bytes);
	bytes += ecs_sketch_contents(bytes);
	switch (layout)
	{
		case ECS_LAYOUT_TOKENS:
			return decode_tokens(bytes, len, scratch, view);
		case ECS_LAYOUT_RAW:
			view->registers = bytes;
			return len == (size_t) 1 << view->precision ? NULL : "Its length is not that of its registers.";
		default:
			view->registers = (uint8_t *) scratch;
			return ecs_unpack_registers(bytes, len, view->precision, (uint8_t *) scratch);
	}
}

/* A register that has seen u - 1 or u - 2 below 1, or more than the hash has bits, is none */
const char *
ecs_view_check(const EcsView *view)
{
	size_t		j;

	for (j = 0; view->form == ECS_REGISTERS && j < (size_t) 1 << view->precision; j++)
	{
		int			u = view->registers[j] >> 2;
		int			flags = view->registers[j] & 3;

		if (u > 65 - view->precision ||
			(flags != 0 && view->flavour == ECS_HLL) ||
			(flags != 0 && u < 2) || ((flags & 1) != 0 && u < 3))
			return "A register has a value that no element gives it.";
	}
	return NULL;
}

/* A token takes at most 25 + 1 + 39 bits, and all quotients together 2 a token */
size_t
ecs_encode_bound(const EcsView *view)
{
	return ECS_SKETCH_HEADER + ECS_SKETCH_ESTIMATE + ECS_SCRATCH_SLACK +
		(view->form == ECS_TOKENS ? (size_t) view->tokens * 9 : (size_t) 1 << view->precision);
}

static EcsLayout
encode_registers(const EcsView *view, uint8_t **out)
{
	EcsHistogram histogram;
	float		estimate;
	uint32_t	word;
	uint8_t    *end;

	ecs_count_registers(view, &histogram);
	estimate = ecs_estimate_registers(view, &histogram).count;
	memcpy(&word, &estimate, sizeof(word));
	ecs_store_le32(*out, word);
	*out += ECS_SKETCH_ESTIMATE;

	end = ecs_pack_registers(view, &histogram, *out);
	if (end != NULL)
	{
		*out = end;
		return ECS_LAYOUT_PACKED;
	}
	memcpy(*out, view->registers, (size_t) 1 << view->precision);
	*out += (size_t) 1 << view->precision;
	return ECS_LAYOUT_RAW;
}

size_t
ecs_sketch_encode(const EcsView *view, uint32_t *sorted, uint8_t *out)
{
	EcsLayout	layout = ECS_LAYOUT_TOKENS;
	uint8_t    *end = out + ECS_SKETCH_HEADER;

	if (view->form == ECS_REGISTERS)
		layout = encode_registers(view, &end);
	else
		end = encode_tokens(sorted, ecs_collect_tokens(sorted, view), end);
	out[0] = ECS_SKETCH_VERSION << 4 | layout;
	out[1] = view->flavour << 5 | view->precision;
	return end - out;
}
