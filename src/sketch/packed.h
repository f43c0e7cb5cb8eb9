/*
 * packed.h
 *		Registers at half their size, for storage.  Free of PostgreSQL.
 *
 * Given the number of elements per register, a register has 3.99 bits of
 * entropy, or fewer while the sketch is small.  It is written in a prefix code
 * of 4.03 to 4.1 bits, one of a fixed set (prefix_code.h).
 *
 * byte 0			number of the code
 * byte 1			base: symbol s is the register s + 4 * base
 * 3 or 3 * 2 ...	lengths in bytes of the first three lanes, little-endian: 2
 *					bytes each, 3 above precision 16
 * then				four lanes, each with a quarter of the registers in order, as
 *					bits, the first one lowest, filled up to whole bytes
 *
 * A register that has no symbol is an escape and 8 bits.
 */
#ifndef ECS_SKETCH_PACKED_H
#define ECS_SKETCH_PACKED_H

#include "sketch/state.h"

#define ECS_LANES		4

/* How many bytes the length of a lane takes */
static inline int
ecs_lane_length_bytes(int precision)
{
	return precision > 16 ? 3 : 2;
}

/*
 * Write packed registers and return the place after them; NULL where they would
 * not be shorter than the registers themselves.  There must be room for 16 bytes
 * more than there are registers.  (pack.c)
 */
extern uint8_t *ecs_pack_registers(const EcsView *view, const EcsHistogram *histogram, uint8_t *out);

/* Returns NULL, or a sentence that says what is wrong (unpack.c) */
extern const char *ecs_unpack_registers(const uint8_t *bytes, size_t len, int precision, uint8_t *registers);

#endif							/* ECS_SKETCH_PACKED_H */
