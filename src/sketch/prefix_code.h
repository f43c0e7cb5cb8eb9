/*
 * prefix_code.h
 *		The prefix codes of packed registers.  Free of PostgreSQL.
 *
 * They are ECS_CODES fixed ones, each made for a number of elements per register
 * (generate_codes.pl); their lengths are part of the stored format.  A symbol is a
 * register less four times a base, so that the code for one number of elements is
 * good for twice, four times ... as many too: that raises every update value by
 * one.  Codes for fewer than 32 elements per register notice that there is no
 * update value below 1, and have the base 0 only.
 */
#ifndef ECS_SKETCH_PREFIX_CODE_H
#define ECS_SKETCH_PREFIX_CODE_H

#include "sketch/state.h"

#define ECS_CODE_LIMIT		11	/* longest code, in bits */
#define ECS_CODE_SYMBOLS	64	/* 16 update values with their flags */
#define ECS_ESCAPE			ECS_CODE_SYMBOLS
#define ECS_ESCAPED_BITS	8	/* that follow an escape */

#define ECS_CODES			37
#define ECS_ULL_CODES		27	/* those of UltraLogLog registers come first */

typedef struct EcsCodeLengths
{
	bool		floats;			/* fits any base, not 0 only */
	int8_t		exponent;		/* made for 2^(exponent/4 + base) elements per
								 * register */
	uint8_t		length[ECS_CODE_SYMBOLS + 1];	/* in bits, the escape's last;
												 * 0 where there is no code */
} EcsCodeLengths;

extern const EcsCodeLengths ecs_code_lengths[ECS_CODES];

/*
 * An entry of the decoding table tells what a string of bits begins with: up to
 * three symbols in its low bytes, the bits that they take and their number above.
 * Where an escape comes first it is 0.
 */
#define ECS_CODE_ENTRIES		(1 << ECS_CODE_LIMIT)
#define ECS_ENTRY_SYMBOLS		3
#define ECS_ENTRY_BITS(entry)	((entry) >> 24 & 63)
#define ECS_ENTRY_COUNT(entry)	((entry) >> 30)

typedef struct EcsCode
{
	bool		ready;
	uint16_t	bits[ECS_CODE_SYMBOLS + 1]; /* first bit lowest */
	uint32_t	entry[ECS_CODE_ENTRIES];
} EcsCode;

/*
 * Tables are made at first use and stay: 8 kB a code, of which a rollup of
 * sketches of like size uses few.
 */
extern const EcsCode *ecs_get_code(int number);

typedef struct EcsCodeChoice
{
	int			code;
	int			base;
	size_t		bits;			/* of all registers */
} EcsCodeChoice;

/* The code to write registers in (code_choice.c) */
extern EcsCodeChoice ecs_choose_code(const EcsHistogram *histogram, EcsFlavour flavour);

#endif							/* ECS_SKETCH_PREFIX_CODE_H */
