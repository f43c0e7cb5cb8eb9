/*
 * narrow.h
 *		Registers of 7 bits: those that have seen no update value above 31, of
 *		which an element has one in 2^31.  So an eighth of the memory is saved
 *		while elements are added; see state.h.
 *
 * Register j is at bit 7 * j, the lowest bit first.  Access touches up to three
 * bytes behind the last one.
 */
#ifndef ECS_SKETCH_NARROW_H
#define ECS_SKETCH_NARROW_H

#include "sketch/bits.h"

#define ECS_NARROW_BITS			7
#define ECS_NARROW_MAX_UPDATE	31

static inline size_t
ecs_narrow_bytes(int precision)
{
	return (size_t) ECS_NARROW_BITS << precision >> 3;
}

static inline uint8_t
ecs_get_narrow(const uint8_t *registers, size_t j)
{
	size_t		bit = ECS_NARROW_BITS * j;

	return ecs_load_le32(registers + (bit >> 3)) >> (bit & 7) & ((1 << ECS_NARROW_BITS) - 1);
}

/* The register was "old", as ecs_get_narrow() tells, and becomes "reg" */
static inline void
ecs_change_narrow(uint8_t *registers, size_t j, uint8_t old, uint8_t reg)
{
	size_t		bit = ECS_NARROW_BITS * j;
	uint8_t    *at = registers + (bit >> 3);

	ecs_store_le32(at, ecs_load_le32(at) ^ (uint32_t) (old ^ reg) << (bit & 7));
}

#endif							/* ECS_SKETCH_NARROW_H */
