/*
 * hash.c
 *		MurmurHash3_x64_128 of byte strings; see hash.h.
 */
#include "sketch/hash.h"

/* Up to 8 bytes as a little-endian number, whatever the machine */
static inline uint64_t
read_le(const uint8_t *bytes, size_t len)
{
	uint64_t	word = 0;
	size_t		i;

	for (i = 0; i < len; i++)
		word |= (uint64_t) bytes[i] << (8 * i);
	return word;
}

static inline uint64_t
scramble1(uint64_t k)
{
	return ecs_murmur_rotate(k * ECS_MURMUR_C1, 31) * ECS_MURMUR_C2;
}

static inline uint64_t
scramble2(uint64_t k)
{
	return ecs_murmur_rotate(k * ECS_MURMUR_C2, 33) * ECS_MURMUR_C1;
}

uint64_t
ecs_hash_bytes(const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	size_t		left = len;
	uint64_t	h1 = 0;
	uint64_t	h2 = 0;

	for (; left >= 16; at += 16, left -= 16)
	{
		h1 ^= scramble1(read_le(at, 8));
		h1 = (ecs_murmur_rotate(h1, 27) + h2) * 5 + 0x52dce729;
		h2 ^= scramble2(read_le(at + 8, 8));
		h2 = (ecs_murmur_rotate(h2, 31) + h1) * 5 + 0x38495ab5;
	}
	if (left > 8)
		h2 ^= scramble2(read_le(at + 8, left - 8));
	h1 ^= scramble1(read_le(at, left < 8 ? left : 8));	/* scramble1(0) is 0 */
	return ecs_murmur_finish(h1, h2, len);
}
