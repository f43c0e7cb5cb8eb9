/*
 * maximise.c
 *		Maximum likelihood over a few positive parameters.
 *
 * Newton's method in the logarithms of the parameters, so that they stay
 * positive and their units do not matter.  Where the log-likelihood is not
 * concave, or a step does not raise it, the Hessian is shifted towards a short
 * step uphill (Levenberg 1944, Marquardt 1963).  With the second derivatives at
 * hand ten or twenty passes over the data suffice, where methods that only
 * compare values need hundreds.
 *
 * Convergence is judged in units of log-likelihood: half the Newton decrement is
 * what there is left to gain.  That is not enough, because a likelihood that
 * rises for ever towards a limit (nobody ever leaves, everybody buys at one rate)
 * flattens out as well.  So a fit has converged only if the data also determine
 * each parameter: the variance of its logarithm, by the inverse of the Hessian,
 * must be within reason.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"

#include "clv/clv.h"

#define MAX_ITERATIONS		100
#define ENOUGH_GAIN			1e-10	/* of log-likelihood: nothing left to gain */
#define LONGEST_STEP		2.0 /* of a logarithm */
#define FARTHEST			18.0	/* a logarithm beyond has run away */
#define WORST_VARIANCE		100.0	/* of a logarithm: a factor of e^10 */
#define FIRST_SHIFT			1e-3
#define LAST_SHIFT			1e10

typedef double Matrix[ECS_MAX_PARAMETERS][ECS_MAX_PARAMETERS];

/* The negated log-likelihood and its derivatives by the logarithms */
static void
evaluate(EcsLogLikelihood log_likelihood, const EcsClvCell *cells, int count,
		 int n, const double *logs, EcsDerivatives *at)
{
	double		p[ECS_MAX_PARAMETERS] = {0};

	for (int i = 0; i < n; i++)
		p[i] = exp(logs[i]);
	memset(at, 0, sizeof(*at));
	log_likelihood(p, cells, count, at);

	at->value = -at->value;
	for (int i = 0; i < n; i++)
	{
		at->first[i] *= -p[i];
		for (int j = i; j < n; j++)
			at->second[i][j] *= -p[i] * p[j];
		at->second[i][i] += at->first[i];
		for (int j = 0; j < i; j++)
			at->second[i][j] = at->second[j][i];
	}
}

/* Cholesky factor of (m + shift I); false if that is not positive definite */
static bool
factorise(int n, const Matrix m, double shift, Matrix factor)
{
	for (int i = 0; i < n; i++)
		for (int j = 0; j <= i; j++)
		{
			double		sum = m[i][j] + (i == j ? shift : 0.0);

			for (int k = 0; k < j; k++)
				sum -= factor[i][k] * factor[j][k];
			if (i != j)
				factor[i][j] = sum / factor[j][j];
			else if (sum > 0 && isfinite(sum))
				factor[i][i] = sqrt(sum);
			else
				return false;
		}
	return true;
}

/* Solve factor factor' x = y */
static void
solve(int n, const Matrix factor, const double *y, double *x)
{
	for (int i = 0; i < n; i++)
	{
		x[i] = y[i];
		for (int k = 0; k < i; k++)
			x[i] -= factor[i][k] * x[k];
		x[i] /= factor[i][i];
	}
	for (int i = n - 1; i >= 0; i--)
	{
		for (int k = i + 1; k < n; k++)
			x[i] -= factor[k][i] * x[k];
		x[i] /= factor[i][i];
	}
}

/* Whether the data determine every parameter, given the factor of the Hessian */
static bool
is_determined(int n, const Matrix factor)
{
	for (int i = 0; i < n; i++)
	{
		double		unit[ECS_MAX_PARAMETERS] = {0};
		double		column[ECS_MAX_PARAMETERS];

		unit[i] = 1;
		solve(n, factor, unit, column);
		if (!(column[i] <= WORST_VARIANCE))
			return false;
	}
	return true;
}

/* The step downhill from "at" with the shifted Hessian, none longer than allowed */
static void
find_step(int n, const EcsDerivatives *at, double *shift, double *step)
{
	double		scale = 0;
	double		longest = 0;
	Matrix		factor;

	for (int i = 0; i < n; i++)
		scale = Max(scale, fabs(at->second[i][i]));
	while (!factorise(n, at->second, *shift * scale, factor) && *shift < LAST_SHIFT)
		*shift = Max(*shift * 10, FIRST_SHIFT);
	if (*shift >= LAST_SHIFT)
		return;
	solve(n, factor, at->first, step);
	for (int i = 0; i < n; i++)
		longest = Max(longest, fabs(step[i]));
	for (int i = 0; i < n; i++)
		step[i] *= longest > LONGEST_STEP ? -LONGEST_STEP / longest : -1.0;
}

/* Maximise from fit->parameters; the parameters reached are told in any case */
void
ecs_maximise(EcsLogLikelihood log_likelihood, const EcsClvCell *cells, int count, EcsClvFit *fit)
{
	int			n = fit->nparameters;
	double		logs[ECS_MAX_PARAMETERS];
	double		shift = 0;
	bool		running = true;
	EcsDerivatives here;

	for (int i = 0; i < n; i++)
		logs[i] = log(fit->parameters[i]);
	evaluate(log_likelihood, cells, count, n, logs, &here);
	fit->converged = false;

	for (fit->iterations = 1; running && fit->iterations < MAX_ITERATIONS; fit->iterations++)
	{
		double		step[ECS_MAX_PARAMETERS];
		double		there_logs[ECS_MAX_PARAMETERS];
		Matrix		factor;
		EcsDerivatives there;

		CHECK_FOR_INTERRUPTS();
		if (factorise(n, here.second, 0, factor))
		{
			double		gain = 0;

			solve(n, factor, here.first, step);
			for (int i = 0; i < n; i++)
				gain += here.first[i] * step[i] / 2;
			if (gain < ENOUGH_GAIN)
			{
				for (int i = 0; i < n; i++)
					logs[i] -= step[i];
				fit->converged = is_determined(n, factor);
				break;
			}
		}

		find_step(n, &here, &shift, step);
		if (shift >= LAST_SHIFT)
			break;
		for (int i = 0; i < n; i++)
			there_logs[i] = logs[i] + step[i];
		evaluate(log_likelihood, cells, count, n, there_logs, &there);

		/* what rounding hides counts as no worse */
		if (there.value <= here.value + 1e-12 * fabs(here.value))
		{
			here = there;
			memcpy(logs, there_logs, sizeof(logs));
			shift = shift > 1e-6 ? shift / 10 : 0;
			for (int i = 0; i < n; i++)
				running &= fabs(logs[i]) < FARTHEST;
		}
		else
			shift = Max(shift * 10, FIRST_SHIFT);
	}

	for (int i = 0; i < n; i++)
		fit->parameters[i] = exp(logs[i]);
	fit->log_likelihood = -here.value;
}

/*
 * The first two derivatives of lgamma(x) for x > 0: up to 10 by the recurrence,
 * from there by the asymptotic series (Abramowitz and Stegun, 6.3.18 and 6.4.12).
 */
double
ecs_digamma(double x)
{
	double		result = 0;
	double		z;

	for (; x < 10; x++)
		result -= 1 / x;
	z = 1 / (x * x);
	return result + log(x) - 0.5 / x -
		z * (1.0 / 12 - z * (1.0 / 120 - z * (1.0 / 252 - z * (1.0 / 240 -
															   z * (1.0 / 132 - z * (691.0 / 32760 - z / 12))))));
}

double
ecs_trigamma(double x)
{
	double		result = 0;
	double		z;

	for (; x < 10; x++)
		result += 1 / (x * x);
	z = 1 / (x * x);
	return result + 1 / x + z / 2 +
		z / x * (1.0 / 6 - z * (1.0 / 30 - z * (1.0 / 42 - z * (1.0 / 30 -
																z * (5.0 / 66 - z * (691.0 / 2730 - z * 7 / 6))))));
}
