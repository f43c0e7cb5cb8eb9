/*
 * sketch_accuracy.c
 *		The table of test/bench/sketch_accuracy.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "sketch/estimate.h"
#include "sketch/hash.h"

#define SIZES		11
#define PRECISIONS	(ECS_SKETCH_MAX_PRECISION - ECS_SKETCH_MIN_PRECISION + 1)
#define COLUMNS		5			/* precisions side by side */

static const int sizes[SIZES] = {10, 100, 300, 1000, 2000, 5000, 10000, 30000, 100000, 300000, 1000000};

typedef struct Cell
{
	double		sum;			/* of relative errors */
	double		squares;
	double		worst_exact;	/* greatest absolute error while tokens */
	double		claimed;		/* sum of the errors that the sketch tells itself */
} Cell;

static Cell cells[SIZES][PRECISIONS];

static EcsState *
create(EcsForm form, int precision)
{
	EcsState   *state = malloc(ecs_state_size(form, precision, 0) + ECS_EMPTY_STATE_SIZE);

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
	EcsView		view;
	EcsEstimate estimate;
	double		error;

	ecs_state_settle(state);
	ecs_state_view(state, &view);
	estimate = ecs_sketch_estimate(&view);
	error = rint(estimate.count) / size - 1;
	cell->sum += error;
	cell->squares += error * error;
	cell->claimed += estimate.error;
	if (state->form == ECS_TOKENS && fabs(error * size) > cell->worst_exact)
		cell->worst_exact = fabs(error * size);
}

static void
run_trial(int64_t trial)
{
	int			p,
				n = 0;
	int64_t		i;

	for (p = 0; p < PRECISIONS; p++)
	{
		EcsState   *state = create(ECS_TOKENS, ECS_SKETCH_MIN_PRECISION + p);

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
	double		exact;
} Worst;

static void
print_cell(const Cell *cell, int p, int trials, Worst *worst)
{
	double		bias = cell->sum / trials;
	double		rmse = sqrt(cell->squares / trials);
	double		ratio = rmse * sqrt(ldexp(1, ECS_SKETCH_MIN_PRECISION + p)) / 0.76086;

	printf("  %+7.3f %5.3f %5.3f", 100 * bias, ratio, cell->claimed > 0 ? rmse * trials / cell->claimed : 0);
	worst->rmse = fmax(worst->rmse, ratio);
	worst->bias = fmax(worst->bias, fabs(bias) - 2 * rmse / sqrt(trials));
	worst->exact = fmax(worst->exact, cell->worst_exact);
}

static void
print_block(int first, int trials, Worst *worst)
{
	int			n,
				p;

	printf("\n%9s", "n");
	for (p = first; p < first + COLUMNS; p++)
		printf("      precision %2d    ", ECS_SKETCH_MIN_PRECISION + p);
	putchar('\n');
	for (n = 0; n < SIZES; n++)
	{
		printf("%9d", sizes[n]);
		for (p = first; p < first + COLUMNS; p++)
			print_cell(&cells[n][p], p, trials, &worst[p]);
		putchar('\n');
	}
}

int
main(int argc, char **argv)
{
	int			trials = argc > 1 ? atoi(argv[1]) : 2000;
	Worst		worst[PRECISIONS] = {0};
	int			missed = 0;
	int			trial,
				p;

	for (trial = 0; trial < trials; trial++)
		run_trial(trial);

	printf("%d trials: bias in %%, RMSE as a multiple of 0.76086/sqrt(m), and of the error that the sketch tells\n", trials);
	for (p = 0; p < PRECISIONS; p += COLUMNS)
		print_block(p, trials, worst);
	printf("\nprecision   greatest RMSE / theory   bias beyond chance, %%   error while tokens\n");
	for (p = 0; p < PRECISIONS; p++)
	{
		printf("%9d %24.3f %24.3f %20.0f\n", ECS_SKETCH_MIN_PRECISION + p, worst[p].rmse, 100 * fmax(worst[p].bias, 0), worst[p].exact);
		missed += worst[p].rmse > 1.05 || worst[p].bias > 0.001 || worst[p].exact > 1;
	}
	printf("bars missed at %d precisions\n", missed);
	return missed > 0;
}
