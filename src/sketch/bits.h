/*
 * bits.h
 *		Streams of bits, the lowest bit of a byte first.
 */
#ifndef ECS_SKETCH_BITS_H
#define ECS_SKETCH_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Little-endian words at any address; compilers make one load or store of each */
static inline uint64_t
ecs_load_le64(const uint8_t *at)
{
	uint64_t	word;

	memcpy(&word, at, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	word = __builtin_bswap64(word);
#endif
	return word;
}

static inline uint32_t
ecs_load_le32(const uint8_t *at)
{
	uint32_t	word;

	memcpy(&word, at, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	word = __builtin_bswap32(word);
#endif
	return word;
}

static inline void
ecs_store_le32(uint8_t *at, uint32_t word)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	word = __builtin_bswap32(word);
#endif
	memcpy(at, &word, sizeof(word));
}

static inline void
ecs_store_le64(uint8_t *at, uint64_t word)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	word = __builtin_bswap64(word);
#endif
	memcpy(at, &word, sizeof(word));
}

/* A writer may touch the 8 bytes from "at" on, whatever it writes */
typedef struct EcsBitWriter
{
	uint8_t    *at;
	uint64_t	buffer;
	int			bits;			/* in the buffer, fewer than 8 between calls */
} EcsBitWriter;

/* Append the low "count" bits of value, at most 56, the others being 0 */
static inline void
ecs_put_bits(EcsBitWriter *writer, uint64_t value, int count)
{
	writer->buffer |= value << writer->bits;
	writer->bits += count;
	ecs_store_le64(writer->at, writer->buffer);
	writer->at += writer->bits >> 3;
	writer->buffer >>= writer->bits & ~7;
	writer->bits &= 7;
}

/* Append "zeros" zero bits and a one */
static inline void
ecs_put_unary(EcsBitWriter *writer, uint32_t zeros)
{
	for (; zeros > 48; zeros -= 48)
		ecs_put_bits(writer, 0, 48);
	ecs_put_bits(writer, UINT64_C(1) << zeros, zeros + 1);
}

/* Fill the last byte up with zeros; the place after it */
static inline uint8_t *
ecs_end_bits(EcsBitWriter *writer)
{
	if (writer->bits > 0)
		*writer->at++ = (uint8_t) writer->buffer;
	writer->buffer = 0;
	writer->bits = 0;
	return writer->at;
}

typedef struct EcsBitReader
{
	const uint8_t *at;
	const uint8_t *end;
	uint64_t	buffer;			/* zero above "bits" */
	int			bits;
} EcsBitReader;

/* Have at least 32 bits in the buffer, or all that are left */
static inline void
ecs_fill_bits(EcsBitReader *reader)
{
	if (reader->bits >= 32)
		return;
	if (reader->end - reader->at >= 8)
	{
		reader->buffer |= (ecs_load_le64(reader->at) & UINT32_MAX) << reader->bits;
		reader->at += 4;
		reader->bits += 32;
		return;
	}
	for (; reader->at < reader->end && reader->bits < 32; reader->bits += 8)
		reader->buffer |= (uint64_t) *reader->at++ << reader->bits;
}

/* The next "count" bits, at most 32.  False at the end of the stream. */
static inline bool
ecs_get_bits(EcsBitReader *reader, int count, uint32_t *value)
{
	ecs_fill_bits(reader);
	if (reader->bits < count)
		return false;
	*value = (uint32_t) (reader->buffer & ((UINT64_C(1) << count) - 1));
	reader->buffer >>= count;
	reader->bits -= count;
	return true;
}

/* The number of zero bits before the next one, which is read too */
static inline bool
ecs_get_unary(EcsBitReader *reader, uint32_t *zeros)
{
	int			found;

	*zeros = 0;
	for (ecs_fill_bits(reader); reader->buffer == 0; ecs_fill_bits(reader))
	{
		if (reader->bits == 0)
			return false;
		*zeros += reader->bits;
		reader->bits = 0;
	}
	found = __builtin_ctzll(reader->buffer);
	*zeros += found;
	reader->buffer = found == 63 ? 0 : reader->buffer >> (found + 1);
	reader->bits -= found + 1;
	return true;
}

/* True when nothing is left but the zeros that fill up the last byte */
static inline bool
ecs_at_end(const EcsBitReader *reader)
{
	return reader->at == reader->end && reader->bits < 8 && reader->buffer == 0;
}

#endif							/* ECS_SKETCH_BITS_H */
