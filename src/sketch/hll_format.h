/*
 * hll_format.h
 *		The storage format of postgresql-hll, version 1.  Free of PostgreSQL.
 *
 * byte 0		version, 1 (high 4 bits), type (low 4 bits)
 * byte 1		regwidth - 1 (high 3 bits), log2m (low 5 bits)
 * byte 2		sparse enabled (bit 6), code of the explicit threshold (low 6 bits)
 *
 * EMPTY		no more
 * EXPLICIT		the 64-bit hashes, big-endian, in ascending order as signed numbers
 * SPARSE		the registers that are not 0, each as log2m bits of its number and
 *				regwidth bits of its value, first bit highest
 * FULL			every register, regwidth bits each, first bit highest
 *
 * The hash and the meaning of its bits are those of a sketch (hash.h), so a
 * register here is the u of a register there, cut to regwidth bits.
 *
 * Source: "HLL Storage Specification v1.0.0", aggregateknowledge.
 */
#ifndef ECS_SKETCH_HLL_FORMAT_H
#define ECS_SKETCH_HLL_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum EcsHllType
{
	ECS_HLL_UNDEFINED,
	ECS_HLL_EMPTY,
	ECS_HLL_EXPLICIT,
	ECS_HLL_SPARSE,
	ECS_HLL_FULL
} EcsHllType;

typedef struct EcsHllHeader
{
	EcsHllType	type;
	int			log2m;
	int			regwidth;
	int			threshold_code;
	bool		sparse_enabled;
} EcsHllHeader;

#define ECS_HLL_HEADER			3
#define ECS_HLL_MAX_REGWIDTH	7

/* Both return NULL, or a sentence that says what is wrong */
extern const char *ecs_hll_read_header(const uint8_t *bytes, size_t len, EcsHllHeader *header);

/* Of SPARSE and FULL, after the header: 2^log2m registers of a sketch */
extern const char *ecs_hll_read_registers(const uint8_t *bytes, size_t len, const EcsHllHeader *header,
										  uint8_t *registers);

/* The hash of place "i" among those of EXPLICIT */
extern uint64_t ecs_hll_explicit_hash(const uint8_t *bytes, size_t i);

/*
 * Write the registers of a sketch as EMPTY, SPARSE or FULL, whichever
 * postgresql-hll would write; header->type is not looked at.  Returns the
 * length, at most ecs_hll_bound().
 */
extern size_t ecs_hll_bound(const EcsHllHeader *header);
extern size_t ecs_hll_write(const uint8_t *registers, const EcsHllHeader *header, uint8_t *out);

#endif							/* ECS_SKETCH_HLL_FORMAT_H */
