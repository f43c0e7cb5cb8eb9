/*
 * merge.c
 *		Union and reduction of registers; see state.h.
 */
#include "sketch/state.h"

/*
 * The register that has seen what either has seen: the larger one, and the
 * smaller one's bits for u - 1 and u - 2 (its own u first) moved down by the
 * difference.  Masks in place of branches let compilers make vector code of it.
 */
static inline uint8_t
merge_register(uint8_t a, uint8_t b)
{
	uint8_t		high = a > b ? a : b;
	uint8_t		low = a > b ? b : a;
	uint8_t		distance = (high >> 2) - (low >> 2);
	uint8_t		flags = low & 3;
	uint8_t		by0 = distance == 0 ? 255 : 0;
	uint8_t		by1 = distance == 1 ? 255 : 0;
	uint8_t		by2 = distance == 2 ? 255 : 0;
	uint8_t		any = low != 0 ? 255 : 0;

	return high | (any & ((by0 & flags) | (by1 & (2 | (flags >> 1))) | (by2 & 1)));
}

static void
merge_blocks(uint8_t *restrict into, const uint8_t *restrict from, size_t m)
{
	size_t		start;
	int			i;

	for (start = 0; start < m; start += ECS_BLOCK)
		for (i = 0; i < ECS_BLOCK; i++)
			into[start + i] = merge_register(into[start + i], from[start + i]);
}

/* The same where the flags are unknown */
static void
merge_blocks_hll(uint8_t *restrict into, const uint8_t *restrict from, size_t m)
{
	size_t		start;
	int			i;

	for (start = 0; start < m; start += ECS_BLOCK)
		for (i = 0; i < ECS_BLOCK; i++)
		{
			uint8_t		a = into[start + i];
			uint8_t		b = from[start + i] & ~3;

			into[start + i] = a > b ? a : b;
		}
}

/*
 * What a register of a finer sketch tells a coarser one.  Register j of 2^p goes
 * to register j mod 2^q.  The bits of j above those are the lowest that the
 * update value of the coarser sketch looks at: if one is set it decides, else
 * the update values are p - q more.
 */
static inline uint8_t
reduce_register(uint8_t reg, uint32_t upper, int bits)
{
	if (reg == 0)
		return 0;
	return upper == 0 ? reg + (bits << 2) : (__builtin_ctz(upper) + 1) << 2;
}

/*
 * Reduction runs in place when both are the same registers: register j is read
 * before any later one is, and written at or below it.
 */
static void
merge_reduced(uint8_t *into, int into_precision, const uint8_t *from, int from_precision)
{
	size_t		m = (size_t) 1 << into_precision;
	size_t		j;

	for (j = into == from ? m : 0; j < (size_t) 1 << from_precision; j++)
	{
		uint8_t    *reg = into + (j & (m - 1));

		*reg = merge_register(*reg, reduce_register(from[j], j >> into_precision, from_precision - into_precision));
	}
}

/* The first 2^q registers keep their place; what they tell changes */
static void
reduce_in_place(uint8_t *registers, int precision, int to_precision)
{
	size_t		j;

	for (j = 0; j < (size_t) 1 << to_precision; j++)
		registers[j] = reduce_register(registers[j], 0, precision - to_precision);
	merge_reduced(registers, to_precision, registers, precision);
}

static void
clear_flags(uint8_t *registers, size_t m)
{
	size_t		j;

	for (j = 0; j < m; j++)
		registers[j] &= ~3;
}

bool
ecs_state_fit(EcsState *state, int precision, EcsFlavour flavour, EcsForm form)
{
	bool		finer;

	if (state->form == ECS_TOKENS)
	{
		if (precision < state->precision)
			state->precision = precision;
		return form == ECS_TOKENS && state->count <= ecs_token_limit(state->precision);
	}
	if (state->form == ECS_NARROW)
		return form == ECS_TOKENS && precision >= state->precision;
	finer = precision < state->precision;
	if (finer)
	{
		ecs_state_settle(state);
		ecs_state_registers(state)->idle_bits = 0;
		ecs_state_registers(state)->reached = 0;
		reduce_in_place(ecs_state_registers(state)->reg, state->precision, precision);
		state->precision = precision;
	}
	if (state->flavour == ECS_HLL ? finer : flavour == ECS_HLL)
	{
		clear_flags(ecs_state_registers(state)->reg, (size_t) 1 << state->precision);
		state->flavour = ECS_HLL;
	}
	return true;
}

void
ecs_state_merge_registers(EcsState *state, const EcsView *view)
{
	uint8_t    *registers = ecs_state_registers(state)->reg;
	size_t		m = (size_t) 1 << state->precision;

	if (view->precision > state->precision)
	{
		merge_reduced(registers, state->precision, view->registers, view->precision);
		if (state->flavour == ECS_HLL)
			clear_flags(registers, m);
	}
	else if (state->flavour == ECS_HLL)
		merge_blocks_hll(registers, view->registers, m);
	else
		merge_blocks(registers, view->registers, m);
}
