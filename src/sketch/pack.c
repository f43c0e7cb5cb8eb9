/*
 * pack.c
 *		Writing packed registers; see packed.h.
 */
#include "sketch/packed.h"

#include "sketch/bits.h"
#include "sketch/prefix_code.h"

/* What is written for a register */
typedef struct Written
{
	uint32_t	string;
	int			bits;
} Written;

static void
spell_registers(const EcsCodeChoice *choice, Written written[256])
{
	const uint8_t *length = ecs_code_lengths[choice->code].length;
	const EcsCode *code = ecs_get_code(choice->code);
	int			r;

	for (r = 0; r < 256; r++)
	{
		uint8_t		sym = r - 4 * choice->base;

		if (sym < ECS_CODE_SYMBOLS && length[sym] > 0)
		{
			written[r].string = code->bits[sym];
			written[r].bits = length[sym];
		}
		else
		{
			written[r].string = code->bits[ECS_ESCAPE] | (uint32_t) r << length[ECS_ESCAPE];
			written[r].bits = length[ECS_ESCAPE] + ECS_ESCAPED_BITS;
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
	EcsCodeChoice choice = ecs_choose_code(histogram, view->flavour);
	Written		written[256];
	uint8_t    *lengths = out + 2;
	uint8_t    *end = lengths + (ECS_LANES - 1) * ecs_lane_length_bytes(view->precision);
	int			lane,
				i;

	if ((end - out) + choice.bits / 8 + ECS_LANES >= m)
		return NULL;

	out[0] = choice.code;
	out[1] = choice.base;
	spell_registers(&choice, written);
	for (lane = 0; lane < ECS_LANES; lane++)
	{
		uint8_t    *start = end;

		end = write_lane(written, view->registers + lane * (m / ECS_LANES), m / ECS_LANES, start);
		for (i = 0; lane < ECS_LANES - 1 && i < ecs_lane_length_bytes(view->precision); i++)
			*lengths++ = (end - start) >> (8 * i);
	}
	return end;
}
