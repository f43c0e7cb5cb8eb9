/*
 * hll_format.c
 *		The storage format of postgresql-hll; see hll_format.h.
 */
#include "sketch/hll_format.h"

#include <string.h>

#include "sketch/state.h"

#define VERSION		1

const char *
ecs_hll_read_header(const uint8_t *bytes, size_t len, EcsHllHeader *header)
{
	if (len < ECS_HLL_HEADER)
		return "It is shorter than a header of 3 bytes.";
	if (bytes[0] >> 4 != VERSION)
		return "Its version is not 1, the only one that is known here.";
	header->type = (EcsHllType) (bytes[0] & 15);
	header->regwidth = (bytes[1] >> 5) + 1;
	header->log2m = bytes[1] & 31;
	header->sparse_enabled = (bytes[2] & 64) != 0;
	header->threshold_code = bytes[2] & 63;

	if (header->type == ECS_HLL_UNDEFINED || header->type > ECS_HLL_FULL)
		return "Its type is none of EMPTY (1), EXPLICIT (2), SPARSE (3) and FULL (4).";
	if (header->regwidth > ECS_HLL_MAX_REGWIDTH)
		return "Its regwidth is not between 1 and 7.";
	if (header->log2m < ECS_SKETCH_MIN_PRECISION || header->log2m > ECS_SKETCH_MAX_PRECISION)
		return "Its log2m, which becomes the precision, is not between 4 and 18.";
	if (header->type == ECS_HLL_EMPTY && len != ECS_HLL_HEADER)
		return "It is EMPTY, but longer than a header of 3 bytes.";
	if (header->type == ECS_HLL_EXPLICIT && (len - ECS_HLL_HEADER) % 8 != 0)
		return "It is EXPLICIT, but its hashes are not of 8 bytes each.";
	return NULL;
}

/* "count" bits, first bit highest; past the end there are zeros */
static uint32_t
get_bits(const uint8_t *bytes, size_t len, size_t position, int count)
{
	uint64_t	word = 0;
	size_t		start = position >> 3;
	int			i;

	for (i = 0; i < 5; i++)
		word = word << 8 | (start + i < len ? bytes[start + i] : 0);
	return (uint32_t) (word >> (40 - (position & 7) - count)) & ((UINT32_C(1) << count) - 1);
}

/* Into zeroed bytes */
static void
put_bits(uint8_t *bytes, size_t position, int count, uint32_t value)
{
	uint64_t	word = (uint64_t) value << (40 - (position & 7) - count);
	int			i;

	for (i = 0; i < 5; i++)
		bytes[(position >> 3) + i] |= (uint8_t) (word >> (32 - 8 * i));
}

const char *
ecs_hll_read_registers(const uint8_t *bytes, size_t len, const EcsHllHeader *header, uint8_t *registers)
{
	size_t		m = (size_t) 1 << header->log2m;
	int			chunk = header->regwidth + (header->type == ECS_HLL_SPARSE ? header->log2m : 0);
	size_t		chunks = header->type == ECS_HLL_SPARSE ? len * 8 / chunk : m;
	size_t		i;

	if ((chunks * chunk + 7) / 8 != len)
		return header->type == ECS_HLL_SPARSE ?
			"It is SPARSE, but does not end after a register." :
			"It is FULL, but its length is not that of its registers.";

	memset(registers, 0, m);
	for (i = 0; i < chunks; i++)
	{
		uint32_t	bits = get_bits(bytes, len, i * chunk, chunk);
		uint32_t	value = bits & ((UINT32_C(1) << header->regwidth) - 1);
		uint8_t    *reg = registers + (header->type == ECS_HLL_SPARSE ? bits >> header->regwidth : i);

		if (value > (uint32_t) (65 - header->log2m))
			return "A register has a value that no element gives it.";
		if (value > *reg >> 2)
			*reg = value << 2;
	}
	return NULL;
}

uint64_t
ecs_hll_explicit_hash(const uint8_t *bytes, size_t i)
{
	uint64_t	hash = 0;
	int			b;

	for (b = 0; b < 8; b++)
		hash = hash << 8 | bytes[i * 8 + b];
	return hash;
}

/* put_bits() touches four bytes more than it writes */
size_t
ecs_hll_bound(const EcsHllHeader *header)
{
	return ECS_HLL_HEADER + (((size_t) header->regwidth << header->log2m) + 7) / 8 + 4;
}

size_t
ecs_hll_write(const uint8_t *registers, const EcsHllHeader *header, uint8_t *out)
{
	size_t		m = (size_t) 1 << header->log2m;
	uint32_t	most = (UINT32_C(1) << header->regwidth) - 1;
	size_t		filled = 0;
	size_t		position = 0;
	EcsHllType	type;
	size_t		i;

	memset(out, 0, ecs_hll_bound(header));
	for (i = 0; i < m; i++)
		filled += registers[i] != 0;
	if (filled == 0)
		type = ECS_HLL_EMPTY;
	else if (header->sparse_enabled && filled * (header->log2m + header->regwidth) < m * header->regwidth)
		type = ECS_HLL_SPARSE;
	else
		type = ECS_HLL_FULL;

	out[0] = VERSION << 4 | type;
	out[1] = (header->regwidth - 1) << 5 | header->log2m;
	out[2] = header->sparse_enabled << 6 | header->threshold_code;
	for (i = 0; i < m && type != ECS_HLL_EMPTY; i++)
	{
		uint32_t	value = registers[i] >> 2 < (int) most ? registers[i] >> 2 : most;

		if (type == ECS_HLL_SPARSE)
		{
			if (value == 0)
				continue;
			put_bits(out + ECS_HLL_HEADER, position, header->log2m, i);
			position += header->log2m;
		}
		put_bits(out + ECS_HLL_HEADER, position, header->regwidth, value);
		position += header->regwidth;
	}
	return ECS_HLL_HEADER + (position + 7) / 8;
}
