/*
 * hash.h
 *		Hashing keys that are words.
 */
#ifndef ECS_GROWTH_HASH_H
#define ECS_GROWTH_HASH_H

/* The finalizer of MurmurHash3 */
static inline uint64
ecs_mix(uint64 x)
{
	x ^= x >> 33;
	x *= UINT64CONST(0xff51afd7ed558ccd);
	x ^= x >> 33;
	x *= UINT64CONST(0xc4ceb9fe1a85ec53);
	x ^= x >> 33;
	return x;
}

/* The place of a hash among "capacity" ones, at most 2^32; in the order of the hashes' low halves */
static inline uint64
ecs_home(uint64 hash, uint64 capacity)
{
	return (uint64) (uint32) hash * capacity >> 32;
}

#endif							/* ECS_GROWTH_HASH_H */
