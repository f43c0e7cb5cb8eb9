/*
 * codec.h
 *		The stored form of a sketch.  Free of PostgreSQL.
 *
 * byte 0		version (high 4 bits), layout of the rest (low 4 bits)
 * byte 1		flavour (high 3 bits), precision (low 5 bits)
 *
 * layout 0		tokens: their number as LEB128, then bits (codec.c)
 * layout 1		estimate, then registers, a byte each
 * layout 2		estimate, then packed registers (packed.h)
 *
 * The version stands for the hash as well: 1 means MurmurHash3_x64_128 with
 * seed 0, first word.  A sketch without elements is the two bytes of layout 0.
 *
 * The estimate, an IEEE single in 4 bytes, little-endian, is the number of
 * elements that the registers tell.  It is computed when they are packed and at
 * hand; so whoever only counts, as most readers do, need not unpack them, nor
 * fetch them from where PostgreSQL moved them out of the row.
 *
 * The stored form is canonical: what a sketch holds decides every byte of it.
 * Input may come in any layout and is written anew, its estimate not looked at.
 * Machines whose mathematical libraries differ may disagree on the last bit of an
 * estimate, so comparisons leave it out.
 */
#ifndef ECS_SKETCH_CODEC_H
#define ECS_SKETCH_CODEC_H

#include "sketch/state.h"

#define ECS_SKETCH_VERSION		1
#define ECS_SKETCH_HEADER		2
#define ECS_SKETCH_ESTIMATE		4	/* bytes, in sketches of registers */

/* The bytes that tell the number of elements: 2 and an estimate, or 2 and a LEB128 of at most 2 */
#define ECS_SKETCH_COUNT_BYTES	(ECS_SKETCH_HEADER + ECS_SKETCH_ESTIMATE)

typedef enum EcsLayout
{
	ECS_LAYOUT_TOKENS,
	ECS_LAYOUT_RAW,
	ECS_LAYOUT_PACKED
} EcsLayout;

static inline EcsLayout
ecs_sketch_layout(const uint8_t *bytes)
{
	return (EcsLayout) (bytes[0] & 15);
}

/* Where the tokens or the registers begin, in bytes whose header can be read */
static inline size_t
ecs_sketch_contents(const uint8_t *bytes)
{
	return ecs_sketch_layout(bytes) == ECS_LAYOUT_TOKENS ? ECS_SKETCH_HEADER : ECS_SKETCH_HEADER + ECS_SKETCH_ESTIMATE;
}

/* Decoding needs this much room, aligned for uint32_t */
#define ECS_SCRATCH_SLACK		16

static inline size_t
ecs_scratch_size(int precision)
{
	return ((size_t) 1 << precision) + ECS_SCRATCH_SLACK;
}

/*
 * Read the header into all fields of "view" but the contents, or decode all.
 * The view points into "bytes" or "scratch".  Whatever the bytes are, nothing
 * outside is read or written.  These return NULL, or a sentence that says what
 * is wrong.
 */
extern const char *ecs_sketch_read_header(const uint8_t *bytes, size_t len, EcsView *view);
extern const char *ecs_sketch_decode(const uint8_t *bytes, size_t len, uint32_t *scratch, EcsView *view);

/*
 * The estimated number of elements, for which the first ECS_SKETCH_COUNT_BYTES of a
 * sketch that was encoded here are enough.
 */
extern const char *ecs_sketch_read_count(const uint8_t *bytes, size_t len, float *count);

/* What decoding need not look at to be safe, but elements can not have made */
extern const char *ecs_view_check(const EcsView *view);

/*
 * Write the stored form, at most ecs_encode_bound() bytes, and return its
 * length.  "sorted" is room for view->tokens tokens.
 */
extern size_t ecs_encode_bound(const EcsView *view);
extern size_t ecs_sketch_encode(const EcsView *view, uint32_t *sorted, uint8_t *out);

#endif							/* ECS_SKETCH_CODEC_H */
