/*
 * codec.h
 *		The stored form of a sketch.  Free of PostgreSQL.
 *
 * byte 0		version (high 4 bits), layout of the rest (low 4 bits)
 * byte 1		flavour (high 3 bits), precision (low 5 bits)
 *
 * layout 0		tokens: their number as LEB128, then bits (codec.c)
 * layout 1		registers, a byte each
 * layout 2		packed registers (packed.c)
 *
 * The version stands for the hash as well: 1 means MurmurHash3_x64_128 with
 * seed 0, first word.  A sketch without elements is the two bytes of layout 0.
 *
 * The stored form is canonical: what a sketch holds decides every byte of it.
 * Input may come in any layout and is written anew.
 */
#ifndef ECS_SKETCH_CODEC_H
#define ECS_SKETCH_CODEC_H

#include "sketch/state.h"

#define ECS_SKETCH_VERSION		1
#define ECS_SKETCH_HEADER		2

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
 * outside is read or written.  Both return NULL, or a sentence that says what
 * is wrong.
 */
extern const char *ecs_sketch_read_header(const uint8_t *bytes, size_t len, EcsView *view);
extern const char *ecs_sketch_decode(const uint8_t *bytes, size_t len, uint32_t *scratch, EcsView *view);

/* What decoding need not look at to be safe, but elements can not have made */
extern const char *ecs_view_check(const EcsView *view);

/*
 * Write the stored form, at most ecs_encode_bound() bytes, and return its
 * length.  "sorted" is room for view->tokens tokens.
 */
extern size_t ecs_encode_bound(const EcsView *view);
extern size_t ecs_sketch_encode(const EcsView *view, uint32_t *sorted, uint8_t *out);

#endif							/* ECS_SKETCH_CODEC_H */
