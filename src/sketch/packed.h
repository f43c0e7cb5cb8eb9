/*
 * packed.h
 *		Registers at half their size, for storage.  Free of PostgreSQL.
 */
#ifndef ECS_SKETCH_PACKED_H
#define ECS_SKETCH_PACKED_H

#include "sketch/state.h"

/*
 * Write packed registers and return the place after them; NULL where they would
 * not be shorter than the registers themselves.  There must be room for 16 bytes
 * more than there are registers.
 */
extern uint8_t *ecs_pack_registers(const EcsView *view, const EcsHistogram *histogram, uint8_t *out);

/* Returns NULL, or a sentence that says what is wrong */
extern const char *ecs_unpack_registers(const uint8_t *bytes, size_t len, int precision, uint8_t *registers);

#endif							/* ECS_SKETCH_PACKED_H */
