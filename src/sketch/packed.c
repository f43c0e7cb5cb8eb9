/*
 * packed.c
 *		Registers at half their size, for storage.
 *
 * Given the number of elements per register, a register has 3.99 bits of
 * entropy, or fewer while the sketch is small.  It is written in a prefix code
 * of 4.03 to 4.05 bits, one of a fixed set: ECS_CODES codes for as many numbers
 * of elements per register (generate_codes.pl).  Twice the elements raise every
 * update value by one, so from 32 elements per register on four codes are enough,
 * with a base to add.
 *
 * byte 0			number of the code
 * byte 1			base: symbol s is the register s + 4 * base
 * 3 or 3 * 2 ...	lengths in bytes of the first three lanes, little-endian: 2
 *					bytes each, 3 above precision 16
 * then				four lanes, each with a quarter of the registers in order, as
 *					bits, the first one lowest, filled up to whole bytes
 *
 * The code is the one that takes the fewest bits, the first of equals.  A
 * register that has no symbol is an escape and 8 bits.
 *
 * Reading is what unions and estimates wait for.  A table of 2^11 entries gives up
 * to three registers at a step; a step depends on the one before, but those of
 * the four lanes do not depend on one another, so the processor overlaps them.
 * Tables are made at first use and stay: 8 kB a code, of which a rollup of
 * sketches of like size uses few.
 */
#include "sketch/packed.h"

#include <string.h>

#include "sketch/bits.h"
#include "sketch/code_lengths.h"

#define LANES			4
#define ESCAPE			ECS_CODE_WINDOW
#define ENTRIES			(1 << ECS_CODE_LIMIT)
#define ENTRY_SYMBOLS	3

#define ALWAYS_INLINE	inline __attribute__((always_inline))

/*
 * An entry of the decoding table holds up to three symbols in its low bytes,
 * their number in the top 4 bits and the length of their codes in the 4 bits
 * before.  Where an escape comes first it is 0.
 */
#define ENTRY_COUNT(entry)	((entry) >> 30)
#define ENTRY_BITS(entry)	((entry) >> 24 & 63)

typedef struct Code
{
	bool		ready;
	uint16_t	bits[ECS_CODE_WINDOW + 1];	/* first bit lowest */
	uint32_t	entry[ENTRIES];
} Code;

static Code codes[ECS_CODES];

/* -------- codes -------- */

static uint32_t
reverse_bits(uint32_t value, int count)
{
	uint32_t	reversed = 0;

	for (; count > 0; count--, value >>= 1)
		reversed = reversed << 1 | (value & 1);
	return reversed;
}

/*
 * Give out codes in the order of length and symbol.  first[] gets the symbol
 * that a bit string begins with.
 */
static void
assign_bits(Code *code, const uint8_t *length, uint8_t first[ENTRIES])
{
	uint32_t	next = 0;
	int			bits,
				sym;

	for (bits = 1; bits <= ECS_CODE_LIMIT; bits++, next <<= 1)
		for (sym = 0; sym <= ESCAPE; sym++)
		{
			uint32_t	string;

			if (length[sym] != bits)
				continue;
			code->bits[sym] = reverse_bits(next++, bits);
			for (string = code->bits[sym]; string < ENTRIES; string += UINT32_C(1) << bits)
				first[string] = sym;
		}
}

static const Code *
get_code(int number)
{
	Code	   *code = &codes[number];
	const uint8_t *length = code_lengths[number].length;
	uint8_t		first[ENTRIES];
	uint32_t	string;

	if (code->ready)
		return code;
	assign_bits(code, length, first);
	for (string = 0; string < ENTRIES; string++)
	{
		uint32_t	symbols = 0;
		int			count = 0;
		int			bits = 0;

		while (count < ENTRY_SYMBOLS)
		{
			int			sym = first[string >> bits];

			if (sym == ESCAPE || bits + length[sym] > ECS_CODE_LIMIT)
				break;
			symbols |= (uint32_t) sym << (8 * count++);
			bits += length[sym];
		}
		code->entry[string] = (uint32_t) count << 30 | (uint32_t) bits << 24 | symbols;
	}
	code->ready = true;
	return code;
}

/* -------- writing -------- */

typedef struct Choice
{
	int			code;
	int			base;
	size_t		bits;
} Choice;

/* The registers that occur, with their numbers */
typedef struct Occurrence
{
	uint8_t		reg;
	uint32_t	count;
} Occurrence;

static void
try_code(Choice *best, int number, int base, const Occurrence *occurring, int n)
{
	const uint8_t *length = code_lengths[number].length;
	size_t		bits = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		uint8_t		sym = occurring[i].reg - 4 * base;
		int			own = sym < ECS_CODE_WINDOW ? length[sym] : 0;

		bits += occurring[i].count * (own > 0 ? own : length[ESCAPE] + 8);
	}
	if (bits < best->bits)
	{
		best->code = number;
		best->base = base;
		best->bits = bits;
	}
}

static int
collect_occurring(const EcsHistogram *histogram, Occurrence occurring[256])
{
	int			n = 0;
	int			r;

	for (r = 0; r < 256; r++)
		if (histogram->count[r] > 0)
		{
			occurring[n].reg = r;
			occurring[n++].count = histogram->count[r];
		}
	return n;
}

/* The commonest update value, the lowest of equally common ones */
static int
commonest_value(const EcsHistogram *histogram)
{
	uint32_t	most = 0;
	int			commonest = 0;
	int			u;

	for (u = 0; u < 64; u++)
	{
		const uint32_t *with_flags = histogram->count + 4 * u;
		uint32_t	count = with_flags[0] + with_flags[1] + with_flags[2] + with_flags[3];

		if (count > most)
		{
			most = count;
			commonest = u;
		}
	}
	return commonest;
}

/*
 * Try every code.  One that floats is tried with the bases that set it below
 * the commonest update value as far as its own commonest can stand from where it
 * begins.
 */
static Choice
choose_code(const EcsHistogram *histogram, EcsFlavour flavour)
{
	int			first = flavour == ECS_HLL ? ECS_ULL_CODES : 0;
	int			end = flavour == ECS_HLL ? ECS_CODES : ECS_ULL_CODES;
	Occurrence	occurring[256];
	int			n = collect_occurring(histogram, occurring);
	int			common = commonest_value(histogram);
	Choice		best = {0, 0, SIZE_MAX};
	int			number,
				base;

	for (number = first; number < end; number++)
	{
		if (!code_lengths[number].floats)
			try_code(&best, number, 0, occurring, n);
		else
			for (base = common > 5 ? common - 5 : 0; base <= common - 2; base++)
				try_code(&best, number, base, occurring, n);
	}
	return best;
}

/* How many bytes the length of a lane takes */
static inline int
length_bytes(int precision)
{
	return precision > 16 ? 3 : 2;
}

/* What is written for a register */
typedef struct Written
{
	uint32_t	string;
	int			bits;
} Written;

static void
spell_registers(const Choice *choice, Written written[256])
{
	const uint8_t *length = code_lengths[choice->code].length;
	const Code *code = get_code(choice->code);
	int			r;

	for (r = 0; r < 256; r++)
	{
		uint8_t		sym = r - 4 * choice->base;

		if (sym < ECS_CODE_WINDOW && length[sym] > 0)
		{
			written[r].string = code->bits[sym];
			written[r].bits = length[sym];
		}
		else
		{
			written[r].string = code->bits[ESCAPE] | (uint32_t) r << length[ESCAPE];
			written[r].bits = length[ESCAPE] + 8;
		}
	}
}

static uint8_t *
write_lane(const Written written[256], const uint8_t *registers, size_t count, uint8_t *out)
{
	EcsBitWriter writer = {out, 0, 0};
	size_t		j;

	for (j = 0; j < count; j += 2)
	{
		Written		a = written[registers[j]];
		Written		b = written[registers[j + 1]];

		ecs_put_bits(&writer, a.string | (uint64_t) b.string << a.bits, a.bits + b.bits);
	}
	return ecs_end_bits(&writer);
}

uint8_t *
ecs_pack_registers(const EcsView *view, const EcsHistogram *histogram, uint8_t *out)
{
	size_t		m = (size_t) 1 << view->precision;
	Choice		choice = choose_code(histogram, view->flavour);
	Written		written[256];
	uint8_t    *lengths = out + 2;
	uint8_t    *end = lengths + (LANES - 1) * length_bytes(view->precision);
	int			lane,
				i;

	if ((end - out) + choice.bits / 8 + LANES >= m)
		return NULL;

	out[0] = choice.code;
	out[1] = choice.base;
	spell_registers(&choice, written);
	for (lane = 0; lane < LANES; lane++)
	{
		uint8_t    *start = end;

		end = write_lane(written, view->registers + lane * (m / LANES), m / LANES, start);
		for (i = 0; lane < LANES - 1 && i < length_bytes(view->precision); i++)
			*lengths++ = (end - start) >> (8 * i);
	}
	return end;
}

/* -------- reading -------- */

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
	const Code *code;
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
	uint32_t	entry = packed->code->entry[bits & (ENTRIES - 1)];

	if (entry != 0)
	{
		*lane->out++ = entry & 255;
		lane->position += packed->length[entry & 255];
		return;
	}
	*lane->out++ = (bits >> packed->length[ESCAPE]) - 4 * packed->base;
	lane->position += packed->length[ESCAPE] + 8;
}

/* One step: as many registers as an entry gives */
static inline uint32_t
read_step(const uint32_t *table, uint64_t *bits, uint8_t **out)
{
	uint32_t	entry = table[*bits & (ENTRIES - 1)];

	/* more than there are, overwritten by the next */
	ecs_store_le32(*out, entry);
	*out += ENTRY_COUNT(entry);
	*bits >>= ENTRY_BITS(entry);
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
safe_runs_of_all(const Packed *packed, const Lane lanes[LANES])
{
	size_t		runs = SIZE_MAX;
	int			i;

	for (i = 0; i < LANES; i++)
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
		uint32_t	entry = packed->code->entry[load_bits(packed, lane->position) & (ENTRIES - 1)];

		if (entry == 0 || lane->out_end - lane->out < 4)
			read_register(packed, lane);
		else
		{
			ecs_store_le32(lane->out, entry);
			lane->out += ENTRY_COUNT(entry);
			lane->position += ENTRY_BITS(entry);
		}
	}
}

static void
add_base(uint8_t *registers, size_t m, int base)
{
	size_t		start;
	int			i;

	for (start = 0; start < m; start += 1 << ECS_SKETCH_MIN_PRECISION)
		for (i = 0; i < 1 << ECS_SKETCH_MIN_PRECISION; i++)
			registers[start + i] += 4 * base;
}

const char *
ecs_unpack_registers(const uint8_t *bytes, size_t len, int precision, uint8_t *registers)
{
	size_t		m = (size_t) 1 << precision;
	size_t		start = 2 + (LANES - 1) * length_bytes(precision);
	size_t		ends[LANES];	/* of the lanes, in bytes */
	Lane		lanes[LANES];
	Packed		packed = {bytes, len, NULL, NULL, 0};
	size_t		runs;
	int			lane,
				i;

	if (len < start || bytes[0] >= ECS_CODES || bytes[1] > 63)
		return "Its packed registers begin with no known code.";
	packed.code = get_code(bytes[0]);
	packed.length = code_lengths[bytes[0]].length;
	packed.base = bytes[1];

	for (lane = 0, bytes += 2; lane < LANES; lane++)
	{
		size_t		length = 0;

		for (i = 0; lane < LANES - 1 && i < length_bytes(precision); i++)
			length |= (size_t) *bytes++ << (8 * i);
		if (length > len - start)
			return "Its packed registers are shorter than they say.";
		ends[lane] = lane < LANES - 1 ? start + length : len;
		lanes[lane].position = start * 8;
		lanes[lane].out = registers + lane * (m / LANES);
		lanes[lane].out_end = lanes[lane].out + m / LANES;
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
	for (lane = 0; lane < LANES; lane++)
	{
		read_rest(&packed, &lanes[lane]);
		if ((lanes[lane].position + 7) / 8 != ends[lane])
			return "Its packed registers do not end where they say.";
	}
	if (packed.base > 0)
		add_base(registers, m, packed.base);
	return NULL;
}
