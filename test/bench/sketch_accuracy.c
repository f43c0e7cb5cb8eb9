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
#define PRECISIONS	5

static const int sizes[SIZES] = {10, 100, 300, 1000, 2000, 5000, 10000, 30000, 100000, 300000, 1000000};
static const int precisions[PRECISIONS] = {8, 10, 11, 12, 14};

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

	ecs_state_init(state, form, ECS_ULL, precision, ECS_MIN_LOG2_SLOTS);
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
		EcsState   *state = create(ECS_TOKENS, precisions[p]);

		for (i = 1, n = 0; n < SIZES; i++)
		{
			state = add(state, ecs_token_of_hash(ecs_hash_int64(trial << 32 | i)));
			if (i == sizes[n])
				note(&cells[n++][p], state, (int) i);
		}
		free(state);
	}
}

int
main(int argc, char **argv)
{
	int			trials = argc > 1 ? atoi(argv[1]) : 2000;
	double		worst_rmse = 0,
				worst_bias = 0,
				worst_exact = 0;
	int			trial,
				n,
				p;

	for (trial = 0; trial < trials; trial++)
		run_trial(trial);

	printf("%d trials: bias in %%, RMSE as a multiple of 0.76086/sqrt(m), and of the error that the sketch tells\n%9s", trials, "n");
	for (p = 0; p < PRECISIONS; p++)
		printf("      precision %2d    ", precisions[p]);
	putchar('\n');
	for (n = 0; n < SIZES; n++)
	{
		printf("%9d", sizes[n]);
		for (p = 0; p < PRECISIONS; p++)
		{
			Cell	   *cell = &cells[n][p];
			double		bias = cell->sum / trials;
			double		rmse = sqrt(cell->squares / trials);
			double		ratio = rmse * sqrt(ldexp(1, precisions[p])) / 0.76086;

			/* what the number of trials cannot tell from 0 is no bias */
			double		excess = fabs(bias) - 2 * rmse / sqrt(trials);

			printf("  %+7.3f %5.3f %5.3f", 100 * bias, ratio, cell->claimed > 0 ? rmse * trials / cell->claimed : 0);
			worst_rmse = fmax(worst_rmse, ratio);
			worst_bias = fmax(worst_bias, excess);
			worst_exact = fmax(worst_exact, cell->worst_exact);
		}
		putchar('\n');
	}
	printf("greatest RMSE %.3f of theory, bias beyond chance %.3f %%, error while tokens %.0f\n",
		   worst_rmse, 100 * worst_bias, worst_exact);
	return worst_rmse > 1.05 || worst_bias > 0.001 || worst_exact > 1;
}
