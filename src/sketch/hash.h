/*
 * hash.h
 *		The hash of a sketch's elements: MurmurHash3_x64_128 with seed 0, of
 *		which the first 64 bits are used.
 *
 * The hash is part of the stored format, so it must give the same bits on every
 * server, version and machine; PostgreSQL's own hash functions do not promise
 * that.  This one is also the hash of postgresql-hll, so that both see the same
 * registers for the same values.
 *
 * Integers of every width are hashed as 8 bytes, little-endian; other values as
 * the bytes that element.c makes of them.
 *
 * Source: MurmurHash3 by Austin Appleby, in the public domain.
 */
#ifndef ECS_SKETCH_HASH_H
#define ECS_SKETCH_HASH_H

#include <stddef.h>
#include <stdint.h>

#define ECS_MURMUR_C1	UINT64_C(0x87c37b91114253d5)
#define ECS_MURMUR_C2	UINT64_C(0x4cf5ad432745937f)

static inline uint64_t
ecs_murmur_rotate(uint64_t x, int bits)
{
	return (x << bits) | (x >> (64 - bits));
}

static inline uint64_t
ecs_murmur_mix(uint64_t k)
{
	k ^= k >> 33;
	k *= UINT64_C(0xff51afd7ed558ccd);
	k ^= k >> 33;
	k *= UINT64_C(0xc4ceb9fe1a85ec53);
	k ^= k >> 33;
	return k;
}

static inline uint64_t
ecs_murmur_finish(uint64_t h1, uint64_t h2, size_t len)
{
	h1 ^= len;
	h2 ^= len;
	h1 += h2;
	h2 += h1;
	return ecs_murmur_mix(h1) + ecs_murmur_mix(h2);
}

/* The hash of the 8 bytes, little-endian, of an integer */
static inline uint64_t
ecs_hash_int64(int64_t value)
{
	return ecs_murmur_finish(ecs_murmur_rotate((uint64_t) value * ECS_MURMUR_C1, 31) * ECS_MURMUR_C2, 0, 8);
}

/* The hash of any bytes */
extern uint64_t ecs_hash_bytes(const void *bytes, size_t len);

#endif							/* ECS_SKETCH_HASH_H */
