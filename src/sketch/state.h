/*
 * state.h
 *		The working form of a sketch: a set of hash tokens that turns into
 *		UltraLogLog registers when it grows.  Free of PostgreSQL, so that it can
 *		be fuzzed and tested alone.
 *
 * A sketch of precision p sees an element as a 64-bit hash h.  Its low p bits
 * choose one of m = 2^p registers; the update value is k = 1 + the number of
 * trailing zero bits of the rest, at most 65 - p, so that k comes with
 * probability 2^-k.  A register is a byte
 *
 *		7             2  1    0
 *		[ u, largest k | u-1 | u-2 ]
 *
 * whose two low bits tell whether the update values u - 1 and u - 2 were seen
 * too; u = 0 means that nothing was.  (O. Ertl, "UltraLogLog: A Practical and
 * More Space-Efficient Alternative to HyperLogLog for Approximate Distinct
 * Counting", PVLDB 17(7), 2024.)  A sketch imported from a HyperLogLog has the
 * flavour ECS_HLL: only u is known and the two low bits are clear.
 *
 * Up to ecs_token_limit(p) elements are kept as tokens of 32 bits: the low 26
 * bits of the hash, and how many zero bits follow them (0 to 38).  That is all
 * that registers of any precision up to 18 need to know, so registers made from
 * tokens later are the registers that the elements would have made themselves.
 *
 * What a sketch holds is a function of the set of its tokens, its precision and
 * its flavour alone.  Adding, merging and reducing commute, so every order and
 * every plan comes to the same bits.
 */
#ifndef ECS_SKETCH_STATE_H
#define ECS_SKETCH_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ECS_SKETCH_MIN_PRECISION		4
#define ECS_SKETCH_MAX_PRECISION		18
#define ECS_SKETCH_DEFAULT_PRECISION	11

/* Loops over registers go by blocks of a fixed length, which compilers turn into vector code */
#define ECS_BLOCK	(1 << ECS_SKETCH_MIN_PRECISION)

typedef enum EcsFlavour
{
	ECS_ULL,					/* UltraLogLog */
	ECS_HLL						/* the two low bits are not known */
} EcsFlavour;

typedef enum EcsForm
{
	ECS_TOKENS,
	ECS_REGISTERS,
	ECS_NARROW					/* registers of 7 bits, in states only */
} EcsForm;

/*
 * A token is ((low 26 bits of the hash) << 6 | zero bits that follow) + 1, so
 * that 0 can mean "none".
 */
#define ECS_TOKEN_BITS			26
#define ECS_TOKEN_MAX_ZEROS		(64 - ECS_TOKEN_BITS)

/*
 * The working form is flat, since it is also the transition state of the
 * aggregates: the first field is a varlena header, always of the whole
 * allocation.
 *
 * Tokens are in a hash table, at most three quarters full.  A token's place among
 * them is its home, and collisions go to the next slot.  So the tokens stand almost
 * in order, and sorting them costs one pass.  (Elements chosen to collide make it
 * quadratic, which the limit on their number bounds.)  The state's size is a power
 * of two, to which PostgreSQL rounds memory up, so the slots are a few less.
 */
typedef struct EcsState
{
	int32_t		vl_len_;		/* varlena header, for the caller to set */
	uint8_t		precision;
	uint8_t		flavour;		/* EcsFlavour; ECS_ULL when tokens */
	uint8_t		form;			/* EcsForm */
	uint8_t		log2_size;		/* of a state of tokens */
	uint32_t	count;			/* of tokens in the table, or of recent ones */
	uint32_t	data[];			/* the table, or EcsRegisters */
} EcsState;

/*
 * Where rows go to thousands of groups in turn, the memory of each has left the
 * processor's nearer caches when its next row comes.  So a new token is put down
 * beside the header, in the same cache line.  When no more fit, they move to a log
 * behind the registers, and when that is full all are added to the registers, which
 * so are fetched once for many tokens.  The log is memory that would be lost
 * otherwise: it fills what remains up to a power of two, or to 2 kB.  Registers are
 * complete only when no token waits.
 *
 * From precision 11 on elements go to registers of 7 bits (narrow.h) first, which
 * with head and log take 2^precision bytes, half of what they would.  That is not
 * for the memory alone: thousands of states are as many places, and the fewer
 * pages they are on, the fewer of their addresses the processor has to look up
 * anew.  Merging, reading, and the update value in 2^31 that such a register cannot
 * hold make registers of bytes of them.
 */
#define ECS_RECENT		11

typedef struct EcsRegisters
{
	uint32_t	logged:14;		/* number of tokens in the log */
	uint32_t	reached:18;		/* registers before it allow an idle bit more */
	uint32_t	idle_bits;		/* tokens with one of these bits change no
								 * register */
	uint32_t	recent[ECS_RECENT];
	uint8_t		reg[];			/* 2^precision registers, and the log */
} EcsRegisters;

/*
 * The contents of a sketch of any form, to read only.  Tokens are an array in
 * which zeros are to be skipped.
 */
typedef struct EcsView
{
	int			precision;
	EcsFlavour	flavour;
	EcsForm		form;
	uint32_t	tokens;			/* length of the array */
	const uint32_t *token;
	const uint8_t *registers;	/* 2^precision of them */
} EcsView;

static inline EcsRegisters *
ecs_state_registers(EcsState *state)
{
	return (EcsRegisters *) state->data;
}

/*
 * The number of tokens that become registers when one more arrives.  At 2.7
 * bytes a token (see codec.c) such a sketch is still a third smaller than full
 * registers are, and its hash table is no larger than the registers.
 *
 * Two elements have one token with probability 2^-26/3.  Of the most tokens there
 * are, it happens to two pairs in one set of 1,200.
 */
#define ECS_MAX_TOKENS	4096

static inline uint32_t
ecs_token_limit(int precision)
{
	uint32_t	eighth = UINT32_C(1) << (precision - 3);

	return eighth < ECS_MAX_TOKENS ? eighth : ECS_MAX_TOKENS;
}

/* The smallest state: an empty table of tokens */
#define ECS_MIN_LOG2_SIZE		5
#define ECS_EMPTY_STATE_SIZE	((size_t) 1 << ECS_MIN_LOG2_SIZE)

extern size_t ecs_state_size(EcsForm form, int precision, int log2_size);

/* The size of a state for so many tokens */
extern int	ecs_log2_size(uint32_t tokens);

/* Lay out an empty sketch in ecs_state_size() bytes */
extern void ecs_state_init(EcsState *state, EcsForm form, EcsFlavour flavour, int precision, int log2_size);

/*
 * Add a token.  False when the table of tokens is full, or narrow registers cannot
 * hold it: then the state is to be grown first.
 */
static inline bool ecs_state_add(EcsState *state, uint32_t token);
extern bool ecs_state_add_to_table(EcsState *state, uint32_t token);
extern bool ecs_state_log_recent(EcsState *state);

/* The size of the next larger state, and the move into it */
extern size_t ecs_state_grown_size(const EcsState *state);
extern void ecs_state_grow(EcsState *to, const EcsState *from);

/*
 * Merging (merge.c).  Before "view" is merged into a state, this one must have
 * the smaller of the precisions, the more general form and the poorer flavour of
 * the two.  That happens in place, or false is returned: then the state is to be
 * moved into registers (of the precision it now has) first.
 */
extern bool ecs_state_fit(EcsState *state, int precision, EcsFlavour flavour, EcsForm form);
extern void ecs_state_to_registers(EcsState *to, const EcsState *from);

/* Merge registers into a state of registers that was fitted to them */
extern void ecs_state_merge_registers(EcsState *state, const EcsView *view);

/*
 * Add what waits to the registers; to be done before anybody looks at them.  Narrow
 * ones are settled by ecs_state_to_registers().
 */
extern void ecs_state_settle(EcsState *state);
extern bool ecs_state_is_settled(const EcsState *state);

/* See into a settled state */
extern void ecs_state_view(const EcsState *state, EcsView *view);

/* How many registers of a view have each value */
typedef struct EcsHistogram
{
	uint32_t	count[256];
} EcsHistogram;

extern void ecs_count_registers(const EcsView *view, EcsHistogram *histogram);

/* The tokens of a view in ascending order, without zeros; returns their number */
extern uint32_t ecs_collect_tokens(uint32_t *sorted, const EcsView *view);

/* A hash that leads to the registers of the token's own, at any precision */
static inline uint64_t
ecs_hash_of_token(uint32_t token)
{
	uint64_t	lowest_one = UINT64_C(1) << (ECS_TOKEN_BITS - 1) << ((token - 1) & 63);

	return (token - 1) >> (32 - ECS_TOKEN_BITS) | lowest_one << 1;
}

/* -------- adding one element, inline because it is done for every row -------- */

static inline uint32_t
ecs_token_of_hash(uint64_t hash)
{
	uint64_t	rest = (hash >> ECS_TOKEN_BITS) | (UINT64_C(1) << ECS_TOKEN_MAX_ZEROS);

	return ((uint32_t) (hash << (32 - ECS_TOKEN_BITS)) | (uint32_t) __builtin_ctzll(rest)) + 1;
}

static inline bool
ecs_state_add(EcsState *state, uint32_t token)
{
	EcsRegisters *registers = ecs_state_registers(state);

	if (state->form == ECS_TOKENS)
		return ecs_state_add_to_table(state, token);

	/* no branch on what a hash tells: nothing could foresee it */
	registers->recent[state->count] = token;
	state->count += (token & registers->idle_bits) == 0;
	if (state->count == ECS_RECENT)
		return ecs_state_log_recent(state);
	return true;
}

#endif							/* ECS_SKETCH_STATE_H */
