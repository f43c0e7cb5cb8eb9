/*
 * sketch_accuracy.c
 *		The table of test/bench/sketch_accuracy.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "sketch/estimate.h"
#include "sketch/hash.h"

#define SIZES		12
#define COLUMNS		5			/* precisions side by side */

static const int sizes[SIZES] = {10, 30, 100, 300, 1000, 2000, 4000, 10000, 30000, 100000, 300000, 1000000};

typedef struct Cell
{
	double		sum;			/* of relative errors */
	double		squares;
	int			inexact;		/* trials off by more than 1 while tokens */
	double		claimed;		/* sum of the errors that the sketch tells itself */
} Cell;

static Cell cells[SIZES][ECS_SKETCH_MAX_PRECISION + 1];

static EcsState *
create(EcsForm form, int precision)
{
	EcsState   *state = malloc(ECS_EMPTY_STATE_SIZE);

	ecs_state_init(state, form, ECS_ULL, precision, ECS_MIN_LOG2_SIZE);
	return state;
}

static EcsState *
add(EcsState *state, uint32_t token)
{
	while (!ecs_state_add(state, token))
	{
		EcsState   *larger = malloc(ecs_state_grown_size(state));

		ecs_state_grow(larger, state);
		free(state);
		state = larger;
	}
	return state;
}

static void
note(Cell *cell, EcsState *state, int size)
{
	EcsState   *wide = state->form == ECS_NARROW ? malloc(ecs_state_size(ECS_REGISTERS, state->precision, 0)) : NULL;
	EcsView		view;
	EcsEstimate estimate;
	double		error;

	if (wide != NULL)
		ecs_state_to_registers(wide, state);
	else
		ecs_state_settle(state);
	ecs_state_view(wide != NULL ? wide : state, &view);
	estimate = ecs_sketch_estimate(&view);
	free(wide);
	error = estimate.count / size - 1;
	cell->sum += error;
	cell->squares += error * error;
	cell->claimed += estimate.error;
	cell->inexact += state->form == ECS_TOKENS && fabs(rint(estimate.count) - size) > 1;
}

static void
run_trial(int64_t trial, int first, int last)
{
	int			p,
				n = 0;
	int64_t		i;

	for (p = first; p <= last; p++)
	{
		EcsState   *state = create(ECS_TOKENS, p);

		for (i = 1, n = 0; n < SIZES; i++)
		{
			state = add(state, ecs_token_of_hash(ecs_hash_int64(trial << 32 | i)));
			if (i == sizes[n])
				note(&cells[n++][p], state, (int) i);
		}
		free(state);
	}
}

/* One precision's greatest departures from the theory, over all sizes */
typedef struct Worst
{
	double		rmse;			/* as a multiple of the theory's */
	double		bias;			/* beyond what the number of trials cannot tell from 0 */
	double		inexact;		/* share of trials off by more than 1 while tokens */
} Worst;

static void
print_cell(const Cell *cell, int p, int trials, Worst *worst)
{
	double		bias = cell->sum / trials;
	double		rmse = sqrt(cell->squares / trials);
	double		ratio = rmse * sqrt(ldexp(1, p)) / 0.76086;

	printf("  %+7.3f %5.3f %5.3f", 100 * bias, ratio, cell->claimed > 0 ? rmse * trials / cell->claimed : 0);
	worst->rmse = fmax(worst->rmse, ratio);
	worst->bias = fmax(worst->bias, fabs(bias) - 2 * rmse / sqrt(trials));
	worst->inexact = fmax(worst->inexact, (double) cell->inexact / trials);
}

static void
print_block(int first, int last, int trials, Worst *worst)
{
	int			n,
				p;

	printf("\n%9s", "n");
	for (p = first; p <= last; p++)
		printf("      precision %2d    ", p);
	putchar('\n');
	for (n = 0; n < SIZES; n++)
	{
		printf("%9d", sizes[n]);
		for (p = first; p <= last; p++)
			print_cell(&cells[n][p], p, trials, &worst[p]);
		putchar('\n');
	}
}

int
main(int argc, char **argv)
{
	int			trials = argc > 1 ? atoi(argv[1]) : 2000;
	int			first = argc > 2 ? atoi(argv[2]) : ECS_SKETCH_MIN_PRECISION;
	int			last = argc > 3 ? atoi(argv[3]) : ECS_SKETCH_MAX_PRECISION;
	Worst		worst[ECS_SKETCH_MAX_PRECISION + 1] = {0};
	int			missed = 0;
	int			trial,
				p;

	if (trials < 1 || first < ECS_SKETCH_MIN_PRECISION || last > ECS_SKETCH_MAX_PRECISION)
		return 2;
	for (trial = 0; trial < trials; trial++)
		run_trial(trial, first, last);

	printf("%d trials: bias in %%, RMSE as a multiple of 0.76086/sqrt(m), and of the error that the sketch tells\n", trials);
	for (p = first; p <= last; p += COLUMNS)
		print_block(p, p + COLUMNS - 1 < last ? p + COLUMNS - 1 : last, trials, worst);
	printf("\nprecision   greatest RMSE / theory   bias beyond chance, %%   off by more than 1 while tokens, %%\n");
	for (p = first; p <= last; p++)
	{
		printf("%9d %24.3f %24.3f %35.3f\n", p, worst[p].rmse, 100 * fmax(worst[p].bias, 0), 100 * worst[p].inexact);
		missed += worst[p].rmse > 1.05 || worst[p].bias > 0.001 || worst[p].inexact > 0.001;
	}
	printf("bars missed at %d precisions\n", missed);
	return missed > 0;
}
