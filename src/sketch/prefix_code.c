/*
 * prefix_code.c
 *		The prefix codes of packed registers; see prefix_code.h.
 */
#include "sketch/prefix_code.h"

#include "sketch/code_lengths.h"

static EcsCode codes[ECS_CODES];

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
assign_bits(EcsCode *code, const uint8_t *length, uint8_t first[ECS_CODE_ENTRIES])
{
	uint32_t	next = 0;
	int			bits,
				sym;

	for (bits = 1; bits <= ECS_CODE_LIMIT; bits++, next <<= 1)
		for (sym = 0; sym <= ECS_ESCAPE; sym++)
		{
			uint32_t	string;

			if (length[sym] != bits)
				continue;
			code->bits[sym] = reverse_bits(next++, bits);
			for (string = code->bits[sym]; string < ECS_CODE_ENTRIES; string += UINT32_C(1) << bits)
				first[string] = sym;
		}
}

const EcsCode *
ecs_get_code(int number)
{
	EcsCode    *code = &codes[number];
	const uint8_t *length = ecs_code_lengths[number].length;
	uint8_t		first[ECS_CODE_ENTRIES];
	uint32_t	string;

	if (code->ready)
		return code;
	assign_bits(code, length, first);
	for (string = 0; string < ECS_CODE_ENTRIES; string++)
	{
		uint32_t	symbols = 0;
		int			count = 0;
		int			bits = 0;

		while (count < ECS_ENTRY_SYMBOLS)
		{
			int			sym = first[string >> bits];

			if (sym == ECS_ESCAPE || bits + length[sym] > ECS_CODE_LIMIT)
				break;
			symbols |= (uint32_t) sym << (8 * count++);
			bits += length[sym];
		}
		code->entry[string] = (uint32_t) count << 30 | (uint32_t) bits << 24 | symbols;
	}
	code->ready = true;
	return code;
}
