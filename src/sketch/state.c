/*
 * state.c
 *		The working form of a sketch; see state.h.
 */
#include "sketch/state.h"

#include <string.h>

/* What a log and a state's head take at most; a larger log hardly saves more */
#define MAX_LOG	2048

/* Where registers leave no room up to the next power of two, there is no log */
static inline size_t
log_size(int precision)
{
	size_t		size = (size_t) 1 << precision;
	size_t		head = sizeof(EcsState) + sizeof(EcsRegisters);

	return size <= head ? 0 : (size < MAX_LOG ? size : MAX_LOG) - head;
}

size_t
ecs_state_size(EcsForm form, int precision, int log2_size)
{
	return form == ECS_TOKENS ? (size_t) 1 << log2_size :
		sizeof(EcsState) + sizeof(EcsRegisters) + ((size_t) 1 << precision) + log_size(precision);
}

/* -------- tokens -------- */

static inline uint32_t
number_of_slots(int log2_size)
{
	return ((UINT32_C(1) << log2_size) - sizeof(EcsState)) / sizeof(uint32_t);
}

static inline uint32_t
max_tokens(int log2_size)
{
	return number_of_slots(log2_size) * 3 / 4;
}

int
ecs_log2_size(uint32_t tokens)
{
	int			log2_size = ECS_MIN_LOG2_SIZE;

	while (max_tokens(log2_size) < tokens)
		log2_size++;
	return log2_size;
}

void
ecs_state_init(EcsState *state, EcsForm form, EcsFlavour flavour, int precision, int log2_size)
{
	state->precision = precision;
	state->flavour = flavour;
	state->form = form;
	state->log2_size = form == ECS_TOKENS ? log2_size : 0;
	state->count = 0;
	memset(state->data, 0, ecs_state_size(form, precision, log2_size) - sizeof(EcsState));
}

bool
ecs_state_add_to_table(EcsState *state, uint32_t token)
{
	uint32_t	slots = number_of_slots(state->log2_size);
	uint32_t	slot = (uint64_t) (token - 1) * slots >> 32;

	while (state->data[slot] != 0)
	{
		if (state->data[slot] == token)
			return true;
		if (++slot == slots)
			slot = 0;
	}
	if (state->count >= max_tokens(state->log2_size) ||
		state->count >= ecs_token_limit(state->precision))
		return false;
	state->data[slot] = token;
	state->count++;
	return true;
}

size_t
ecs_state_grown_size(const EcsState *state)
{
	if (state->count >= ecs_token_limit(state->precision))
		return ecs_state_size(ECS_REGISTERS, state->precision, 0);
	return ecs_state_size(ECS_TOKENS, state->precision, state->log2_size + 1);
}

void
ecs_state_grow(EcsState *to, const EcsState *from)
{
	uint32_t	slots = number_of_slots(from->log2_size);
	uint32_t	slot;

	if (from->count >= ecs_token_limit(from->precision))
	{
		ecs_state_to_registers(to, from);
		return;
	}
	ecs_state_init(to, ECS_TOKENS, ECS_ULL, from->precision, from->log2_size + 1);
	for (slot = 0; slot < slots; slot++)
		if (from->data[slot] != 0)
			(void) ecs_state_add_to_table(to, from->data[slot]);
}

/* -------- registers -------- */

/*
 * The register after update value k, without branches: what k is to a register is
 * anybody's guess.  The smaller of the two values moves its bits, its own first,
 * down to those of the larger one.
 */
static inline uint8_t
update_register(uint8_t reg, int k)
{
	uint32_t	value = k << 2;
	uint32_t	high = reg > value ? reg : value;
	uint32_t	low = reg > value ? value : reg;
	uint64_t	bits = (low & 3) | (low != 0 ? 4 : 0);

	return high | (bits >> ((high >> 2) - (low >> 2)) & 3);
}

/* Zeros among the tokens are skipped */
static void
add_tokens(EcsState *state, const uint32_t *token, uint32_t count)
{
	uint8_t    *registers = ecs_state_registers(state)->reg;
	int			precision = state->precision;
	uint8_t		known = state->flavour == ECS_HLL ? 255 & ~3 : 255;
	uint32_t	i;

	for (i = 0; i < count; i++)
		if (token[i] != 0)
		{
			uint64_t	hash = ecs_hash_of_token(token[i]);
			uint8_t    *reg = registers + (hash & ((UINT64_C(1) << precision) - 1));
			uint64_t	rest = (hash >> precision) | (UINT64_C(1) << (64 - precision));

			*reg = update_register(*reg, __builtin_ctzll(rest) + 1) & known;
		}
}

void
ecs_state_to_registers(EcsState *to, const EcsState *from)
{
	ecs_state_init(to, ECS_REGISTERS, ECS_ULL, from->precision, 0);
	add_tokens(to, from->data, number_of_slots(from->log2_size));
}

static inline uint32_t *
token_log(EcsState *state)
{
	return (uint32_t *) (ecs_state_registers(state)->reg + ((size_t) 1 << state->precision));
}

bool
ecs_state_is_settled(const EcsState *state)
{
	const EcsRegisters *registers = (const EcsRegisters *) state->data;

	return state->form == ECS_TOKENS || (state->count == 0 && registers->logged == 0);
}

/*
 * An update value below u - 2 leaves a register as it is.  So when all registers
 * are at u or above, a token whose hash has a one among the lowest u - 3 bits after
 * the register's number is idle.  This makes it one bit more where it can, and
 * leaves off at the first register that is in the way.
 */
static void
extend_idle_bits(EcsState *state)
{
	EcsRegisters *registers = ecs_state_registers(state);
	uint32_t	first = UINT32_C(1) << (32 - ECS_TOKEN_BITS) << state->precision;
	uint32_t	bits = registers->idle_bits | registers->idle_bits << 1 | first;
	uint8_t		enough = (__builtin_popcount(bits) + 3) << 2;
	size_t		start;
	int			i;

	if (bits == registers->idle_bits)
		return;					/* a token has no more */
	for (start = 0; start < (size_t) 1 << state->precision; start += ECS_BLOCK)
	{
		uint8_t		least = 255;

		for (i = 0; i < ECS_BLOCK; i++)
			least = registers->reg[start + i] < least ? registers->reg[start + i] : least;
		if (least < enough)
			return;
	}
	registers->idle_bits = bits;
}

void
ecs_state_settle(EcsState *state)
{
	EcsRegisters *registers = ecs_state_registers(state);

	if (ecs_state_is_settled(state))
		return;
	add_tokens(state, token_log(state), registers->logged);
	add_tokens(state, registers->recent, state->count);
	registers->logged = 0;
	state->count = 0;
}

void
ecs_state_log_recent(EcsState *state)
{
	EcsRegisters *registers = ecs_state_registers(state);

	if (registers->logged + ECS_RECENT <= log_size(state->precision) / sizeof(uint32_t))
	{
		memcpy(token_log(state) + registers->logged, registers->recent, sizeof(registers->recent));
		registers->logged += ECS_RECENT;
		state->count = 0;
		return;
	}
	ecs_state_settle(state);
	extend_idle_bits(state);
}

void
ecs_state_view(const EcsState *state, EcsView *view)
{
	view->precision = state->precision;
	view->flavour = (EcsFlavour) state->flavour;
	view->form = (EcsForm) state->form;
	view->tokens = state->form == ECS_TOKENS ? number_of_slots(state->log2_size) : 0;
	view->token = state->data;
	view->registers = ((const EcsRegisters *) state->data)->reg;
}

/* Four tables, so that equal neighbours do not wait for one another */
void
ecs_count_registers(const EcsView *view, EcsHistogram *histogram)
{
	uint32_t	part[4][256];
	size_t		j;
	int			r;

	memset(part, 0, sizeof(part));
	for (j = 0; j < (size_t) 1 << view->precision; j += 4)
	{
		part[0][view->registers[j]]++;
		part[1][view->registers[j + 1]]++;
		part[2][view->registers[j + 2]]++;
		part[3][view->registers[j + 3]]++;
	}
	for (r = 0; r < 256; r++)
		histogram->count[r] = part[0][r] + part[1][r] + part[2][r] + part[3][r];
}

/* Insertion sort: the tokens of a state stand almost in order, those of a stored sketch in order */
uint32_t
ecs_collect_tokens(uint32_t *sorted, const EcsView *view)
{
	uint32_t	count = 0;
	uint32_t	i;

	for (i = 0; i < view->tokens; i++)
	{
		uint32_t	token = view->token[i];
		uint32_t	at = count;

		if (token == 0)
			continue;
		for (; at > 0 && sorted[at - 1] > token; at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = token;
		count++;
	}
	return count;
}
