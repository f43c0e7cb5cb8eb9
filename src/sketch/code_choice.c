/*
 * code_choice.c
 *		Which prefix code writes registers in the fewest bits.
 *
 * With x elements per register the median of the update values is log2 x + 1/2
 * to 3/2; codes made for numbers far from that are not tried.
 *
 * The choice is by whole numbers alone, so that every machine makes the same.
 */
#include "sketch/prefix_code.h"

#include <stdlib.h>

/* How far from the middle, in quarters of a doubling: twice what it takes without chance */
#define REACH	4

/* The registers that occur, with their numbers */
typedef struct Occurrence
{
	uint8_t		reg;
	uint32_t	count;
} Occurrence;

static void
try_code(EcsCodeChoice *best, int number, int base, const Occurrence *occurring, int n)
{
	const uint8_t *length = ecs_code_lengths[number].length;
	size_t		bits = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		uint8_t		sym = occurring[i].reg - 4 * base;
		int			own = sym < ECS_CODE_SYMBOLS ? length[sym] : 0;

		bits += occurring[i].count * (own > 0 ? own : length[ECS_ESCAPE] + ECS_ESCAPED_BITS);
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

/* The least update value that half of the registers do not exceed */
static int
median_value(const Occurrence *occurring, int n)
{
	int64_t		balance = 0;	/* of registers up to here, and beyond */
	int			i;

	for (i = 0; i < n; i++)
		balance -= occurring[i].count;
	for (i = 0;; i++)
	{
		balance += 2 * (int64_t) occurring[i].count;
		if (balance >= 0)
			return occurring[i].reg >> 2;
	}
}

static bool
is_near(int exponent, int median)
{
	int			distance = exponent - 4 * (median - 1);

	/* where most registers are 0, the median does not tell how many */
	return distance <= REACH && (distance >= -REACH || median == 0);
}

/* The first of equals */
EcsCodeChoice
ecs_choose_code(const EcsHistogram *histogram, EcsFlavour flavour)
{
	int			first = flavour == ECS_HLL ? ECS_ULL_CODES : 0;
	int			end = flavour == ECS_HLL ? ECS_CODES : ECS_ULL_CODES;
	Occurrence	occurring[256];
	int			n = collect_occurring(histogram, occurring);
	int			median = median_value(occurring, n);
	EcsCodeChoice best = {0, 0, SIZE_MAX};
	int			number,
				base;

	for (number = first; number < end; number++)
	{
		const EcsCodeLengths *code = &ecs_code_lengths[number];

		for (base = 0; base <= (code->floats ? median : 0); base++)
			if (is_near(code->exponent + 4 * base, median))
				try_code(&best, number, base, occurring, n);
	}
	return best;
}
