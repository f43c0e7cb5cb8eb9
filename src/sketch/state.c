/*
 * state.c
 *		The working form of a sketch; see state.h.
 */
#include "sketch/state.h"

#include <string.h>

#include "sketch/narrow.h"

/* From this precision on narrow registers leave room for a log up to 2^precision bytes */
#define MIN_NARROW_PRECISION	11

/* What a log and a state's head take at most; a larger log hardly saves more */
#define MAX_LOG	2048

#define HEAD	(sizeof(EcsState) + sizeof(EcsRegisters))

static inline size_t
registers_size(EcsForm form, int precision)
{
	return form == ECS_NARROW ? ecs_narrow_bytes(precision) : (size_t) 1 << precision;
}

/* Where registers leave no room up to the next power of two, there is no log */
static inline size_t
log_size(EcsForm form, int precision)
{
	size_t		size = (size_t) 1 << precision;

	if (form == ECS_NARROW)
		return size - registers_size(form, precision) - HEAD;
	return size <= HEAD ? 0 : (size < MAX_LOG ? size : MAX_LOG) - HEAD;
}

size_t
ecs_state_size(EcsForm form, int precision, int log2_size)
{
	return form == ECS_TOKENS ? (size_t) 1 << log2_size :
		HEAD + registers_size(form, precision) + log_size(form, precision);
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

/* -------- registers -------- */

/* The register of a token and the update value for it */
static inline int
locate(uint32_t token, int precision, size_t *j)
{
	uint64_t	hash = ecs_hash_of_token(token);
	uint64_t	rest = (hash >> precision) | (UINT64_C(1) << (64 - precision));

	*j = hash & ((UINT64_C(1) << precision) - 1);
	return __builtin_ctzll(rest) + 1;
}

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

/* Zeros among the tokens are skipped, here and below */
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
			size_t		j;
			int			k = locate(token[i], precision, &j);

			registers[j] = update_register(registers[j], k) & known;
		}
}

/* False, and the tokens added in part, where one does not fit into narrow registers */
static bool
add_tokens_narrow(EcsState *state, const uint32_t *token, uint32_t count)
{
	uint8_t    *registers = ecs_state_registers(state)->reg;
	int			precision = state->precision;
	uint32_t	i;

	for (i = 0; i < count; i++)
		if (token[i] != 0)
		{
			size_t		j;
			int			k = locate(token[i], precision, &j);
			uint8_t		old = ecs_get_narrow(registers, j);

			if (k > ECS_NARROW_MAX_UPDATE)
				return false;
			ecs_change_narrow(registers, j, old, update_register(old, k));
		}
	return true;
}

static bool
fit_narrow(const uint32_t *token, uint32_t count, int precision)
{
	size_t		j;
	uint32_t	i;

	for (i = 0; i < count; i++)
		if (token[i] != 0 && locate(token[i], precision, &j) > ECS_NARROW_MAX_UPDATE)
			return false;
	return true;
}

static inline uint32_t *
token_log(const EcsState *state)
{
	return (uint32_t *) (ecs_state_registers((EcsState *) state)->reg +
						 registers_size((EcsForm) state->form, state->precision));
}

void
ecs_state_to_registers(EcsState *to, const EcsState *from)
{
	const EcsRegisters *registers = (const EcsRegisters *) from->data;
	size_t		j;

	ecs_state_init(to, ECS_REGISTERS, ECS_ULL, from->precision, 0);
	if (from->form == ECS_TOKENS)
	{
		add_tokens(to, from->data, number_of_slots(from->log2_size));
		return;
	}
	for (j = 0; j < (size_t) 1 << from->precision; j++)
		ecs_state_registers(to)->reg[j] = ecs_get_narrow(registers->reg, j);
	ecs_state_registers(to)->idle_bits = registers->idle_bits;
	add_tokens(to, token_log(from), registers->logged);
	add_tokens(to, registers->recent, from->count);
}

/* -------- growing -------- */

static EcsForm
grown_form(const EcsState *state)
{
	if (state->form == ECS_NARROW)
		return ECS_REGISTERS;
	if (state->count < ecs_token_limit(state->precision))
		return ECS_TOKENS;
	return state->precision >= MIN_NARROW_PRECISION &&
		fit_narrow(state->data, number_of_slots(state->log2_size), state->precision) ? ECS_NARROW : ECS_REGISTERS;
}

size_t
ecs_state_grown_size(const EcsState *state)
{
	return ecs_state_size(grown_form(state), state->precision, state->log2_size + 1);
}

void
ecs_state_grow(EcsState *to, const EcsState *from)
{
	uint32_t	slots = number_of_slots(from->log2_size);
	EcsForm		form = grown_form(from);
	uint32_t	slot;

	if (form == ECS_REGISTERS)
	{
		ecs_state_to_registers(to, from);
		return;
	}
	ecs_state_init(to, form, ECS_ULL, from->precision, from->log2_size + 1);
	if (form == ECS_NARROW)
		(void) add_tokens_narrow(to, from->data, slots);
	else
		for (slot = 0; slot < slots; slot++)
			if (from->data[slot] != 0)
				(void) ecs_state_add_to_table(to, from->data[slot]);
}

/* -------- tokens that wait -------- */

bool
ecs_state_is_settled(const EcsState *state)
{
	const EcsRegisters *registers = (const EcsRegisters *) state->data;

	return state->form == ECS_TOKENS ||
		(state->form == ECS_REGISTERS && state->count == 0 && registers->logged == 0);
}

/*
 * Whether all registers are this large.  Leaves off at the first one that is in the
 * way, and goes on there the next time: those before it will not become smaller.
 */
static bool
all_reach(EcsState *state, uint8_t enough)
{
	EcsRegisters *registers = ecs_state_registers(state);
	size_t		m = (size_t) 1 << state->precision;
	size_t		j = registers->reached;

	if (state->form == ECS_NARROW)
		while (j < m && ecs_get_narrow(registers->reg, j) >= enough)
			j++;
	else
		while (j < m && registers->reg[j] >= enough)
			j++;
	registers->reached = j & (m - 1);
	return j == m;
}

/*
 * An update value below u - 2 leaves a register as it is.  So when all registers
 * are at u or above, a token whose hash has a one among the lowest u - 3 bits after
 * the register's number is idle.  This makes it one bit more where it can.
 */
static void
extend_idle_bits(EcsState *state)
{
	EcsRegisters *registers = ecs_state_registers(state);
	uint32_t	first = UINT32_C(1) << (32 - ECS_TOKEN_BITS) << state->precision;
	uint32_t	bits = registers->idle_bits | registers->idle_bits << 1 | first;
	uint8_t		enough = (__builtin_popcount(bits) + 3) << 2;

	/* a token has no more */
	if (bits != registers->idle_bits && all_reach(state, enough))
		registers->idle_bits = bits;
}

static bool
add_waiting(EcsState *state, const uint32_t *token, uint32_t count)
{
	if (state->form == ECS_NARROW)
		return add_tokens_narrow(state, token, count);
	add_tokens(state, token, count);
	return true;
}

/* False, and all left waiting, where narrow registers do not take them */
static bool
settle(EcsState *state)
{
	EcsRegisters *registers = ecs_state_registers(state);

	if (!add_waiting(state, token_log(state), registers->logged) ||
		!add_waiting(state, registers->recent, state->count))
		return false;
	registers->logged = 0;
	state->count = 0;
	return true;
}

void
ecs_state_settle(EcsState *state)
{
	if (!ecs_state_is_settled(state))
		(void) settle(state);
}

bool
ecs_state_log_recent(EcsState *state)
{
	EcsRegisters *registers = ecs_state_registers(state);

	size_t		room = log_size((EcsForm) state->form, state->precision) / sizeof(uint32_t);

	if ((size_t) registers->logged + ECS_RECENT <= room)
	{
		memcpy(token_log(state) + registers->logged, registers->recent, sizeof(registers->recent));
		registers->logged += ECS_RECENT;
		state->count = 0;
		return true;
	}
	if (!settle(state))
		return false;
	extend_idle_bits(state);
	return true;
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
