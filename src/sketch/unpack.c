/*
 * unpack.c
 *		Reading packed registers; see packed.h.
 *
 * This is what unions wait for.  A table of 2^11 entries gives up to three
 * registers at a step; a step depends on the one before, but those of the four
 * lanes do not depend on one another, so the processor overlaps them.
 */
#include "sketch/packed.h"

#include "sketch/bits.h"
#include "sketch/prefix_code.h"

#define ALWAYS_INLINE	inline __attribute__((always_inline))

/* What a run of steps in one lane takes and gives at most */
#define RUN_BITS		64
#define RUN_REGISTERS	16

typedef struct Lane
{
	size_t		position;		/* in bits, of all the packed bytes */
	uint8_t    *out;
	uint8_t    *out_end;
} Lane;

typedef struct Packed
{
	const uint8_t *bytes;
	size_t		len;
	const EcsCode *code;
	const uint8_t *length;
	int			base;
} Packed;

/* At least 57 bits from a position on, zeros after the end; there are 8 bytes at least */
static inline uint64_t
load_bits(const Packed *packed, size_t position)
{
	size_t		start = position >> 3;
	size_t		last = packed->len - 8;

	if (start <= last)
		return ecs_load_le64(packed->bytes + start) >> (position & 7);
	if (position - last * 8 < 64)
		return ecs_load_le64(packed->bytes + last) >> (position - last * 8);
	return 0;
}

/* One register, which may be an escape */
static void
read_register(const Packed *packed, Lane *lane)
{
	uint64_t	bits = load_bits(packed, lane->position);
	uint32_t	entry = packed->code->entry[bits & (ECS_CODE_ENTRIES - 1)];

	if (entry != 0)
	{
		*lane->out++ = entry & 255;
		lane->position += packed->length[entry & 255];
		return;
	}
	*lane->out++ = (bits >> packed->length[ECS_ESCAPE]) - 4 * packed->base;
	lane->position += packed->length[ECS_ESCAPE] + ECS_ESCAPED_BITS;
}

/* One step: as many registers as an entry gives */
static inline uint32_t
read_step(const uint32_t *table, uint64_t *bits, uint8_t **out)
{
	uint32_t	entry = table[*bits & (ECS_CODE_ENTRIES - 1)];

	/* more than there are, overwritten by the next */
	ecs_store_le32(*out, entry);
	*out += ECS_ENTRY_COUNT(entry);
	*bits >>= ECS_ENTRY_BITS(entry);
	return entry;
}

/*
 * A run of five steps without a look at any end: the caller has made sure of
 * RUN_BITS and RUN_REGISTERS.  They take 55 bits at most; a one at the top, moved
 * down with the others, tells how many.  (An escape stops it: it gives no register
 * in the remaining steps, and is read after them.)
 *
 * Left to themselves compilers call it, and then the lanes overlap less.
 */
static ALWAYS_INLINE void
read_run(const Packed *packed, Lane *lane)
{
	const uint32_t *table = packed->code->entry;
	uint64_t	bits = ecs_load_le64(packed->bytes + (lane->position >> 3)) >> (lane->position & 7);
	uint8_t    *out = lane->out;	/* stores of bytes may alias the lane */
	uint32_t	entry;

	bits |= UINT64_C(1) << 63;
	(void) read_step(table, &bits, &out);
	(void) read_step(table, &bits, &out);
	(void) read_step(table, &bits, &out);
	(void) read_step(table, &bits, &out);
	entry = read_step(table, &bits, &out);
	lane->position += __builtin_clzll(bits);
	lane->out = out;
	if (entry == 0)
		read_register(packed, lane);
}

/* How many runs a lane has room for, in its registers and in the bytes */
static inline size_t
safe_runs(const Packed *packed, const Lane *lane)
{
	size_t		by_registers = (lane->out_end - lane->out) / RUN_REGISTERS;
	size_t		end = packed->len * 8;
	size_t		by_bits = end > lane->position + RUN_BITS ? (end - lane->position - RUN_BITS) / RUN_BITS : 0;

	return by_registers < by_bits ? by_registers : by_bits;
}

static size_t
safe_runs_of_all(const Packed *packed, const Lane lanes[ECS_LANES])
{
	size_t		runs = SIZE_MAX;
	int			i;

	for (i = 0; i < ECS_LANES; i++)
		if (safe_runs(packed, &lanes[i]) < runs)
			runs = safe_runs(packed, &lanes[i]);
	return runs;
}

static void
read_rest(const Packed *packed, Lane *lane)
{
	while (safe_runs(packed, lane) > 0)
		read_run(packed, lane);
	while (lane->out < lane->out_end)
	{
		uint32_t	entry = packed->code->entry[load_bits(packed, lane->position) & (ECS_CODE_ENTRIES - 1)];

		if (entry == 0 || lane->out_end - lane->out < 4)
			read_register(packed, lane);
		else
		{
			ecs_store_le32(lane->out, entry);
			lane->out += ECS_ENTRY_COUNT(entry);
			lane->position += ECS_ENTRY_BITS(entry);
		}
	}
}

static void
add_base(uint8_t *registers, size_t m, int base)
{
	size_t		start;
	int			i;

	for (start = 0; start < m; start += ECS_BLOCK)
		for (i = 0; i < ECS_BLOCK; i++)
			registers[start + i] += 4 * base;
}

const char *
ecs_unpack_registers(const uint8_t *bytes, size_t len, int precision, uint8_t *registers)
{
	size_t		m = (size_t) 1 << precision;
	size_t		start = 2 + (ECS_LANES - 1) * ecs_lane_length_bytes(precision);
	size_t		ends[ECS_LANES];	/* of the lanes, in bytes */
	Lane		lanes[ECS_LANES];
	Packed		packed = {bytes, len, NULL, NULL, 0};
	size_t		runs;
	int			lane,
				i;

	if (len < start || bytes[0] >= ECS_CODES || bytes[1] > 63)
		return "Its packed registers begin with no known code.";
	packed.code = ecs_get_code(bytes[0]);
	packed.length = ecs_code_lengths[bytes[0]].length;
	packed.base = bytes[1];

	for (lane = 0, bytes += 2; lane < ECS_LANES; lane++)
	{
		size_t		length = 0;

		for (i = 0; lane < ECS_LANES - 1 && i < ecs_lane_length_bytes(precision); i++)
			length |= (size_t) *bytes++ << (8 * i);
		if (length > len - start)
			return "Its packed registers are shorter than they say.";
		ends[lane] = lane < ECS_LANES - 1 ? start + length : len;
		lanes[lane].position = start * 8;
		lanes[lane].out = registers + lane * (m / ECS_LANES);
		lanes[lane].out_end = lanes[lane].out + m / ECS_LANES;
		start = ends[lane];
	}

	while ((runs = safe_runs_of_all(&packed, lanes)) > 0)
		for (; runs > 0; runs--)
		{
			read_run(&packed, &lanes[0]);
			read_run(&packed, &lanes[1]);
			read_run(&packed, &lanes[2]);
			read_run(&packed, &lanes[3]);
		}
	for (lane = 0; lane < ECS_LANES; lane++)
	{
		read_rest(&packed, &lanes[lane]);
		if ((lanes[lane].position + 7) / 8 != ends[lane])
			return "Its packed registers do not end where they say.";
	}
	if (packed.base > 0)
		add_base(registers, m, packed.base);
	return NULL;
}
