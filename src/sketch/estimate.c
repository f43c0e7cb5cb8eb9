/*
 * estimate.c
 *		The maximum-likelihood estimate of the number of distinct elements.
 *
 * Registers.  Let x be the number of elements per register, and let the update
 * value j of a register arrive as a Poisson process of rate 2^-j (the largest
 * one, which gathers the rest, has the rate of the one before).  What registers
 * tell is which update values were seen and which were not, so that
 *
 *		ln L(x) = -x alpha + sum over j of beta_j ln(1 - exp(-x 2^-j))
 *
 * where alpha sums the rates of what was not seen, and beta_j counts what was.
 * L has one maximum.  Newton's iteration for the zero of its derivative starts
 * below it, at a bound from Jensen's inequality, and rises monotonically.  The
 * second derivative gives the standard error.
 * (O. Ertl, "UltraLogLog", PVLDB 17(7), 2024, section 3.)
 *
 * That maximum lies too high by c/m of itself on average, which is taken off.  The
 * general formula for the bias of such a maximum (D. R. Cox and E. J. Snell, "A
 * General Definition of Residuals", JRSS B 30(2), 1968) gives
 *
 *		c(x) = (1/2 + w) sum y^3 e^(-w y)/(e^y - 1) / (sum y^2 e^(-w y)/(e^y - 1))^2
 *
 * over all levels y = x 2^-j, where e^(-w y) is the chance that a register tells of
 * level j at all: that nothing above the flags' reach was seen.  From a few elements
 * per register on c is Ertl's constant, 0.481 or 1.010 for HyperLogLog; with fewer it
 * fades, to 1/4 and 1/2.
 *
 * Only one exponential is computed: with t_j = exp(x 2^-j) - 1, the level above
 * is t_(j-1) = t_j (t_j + 2).
 *
 * Tokens.  Two elements have one token with probability 2^-26/3, so of n
 * elements n (n - 1)/2 times that many are lost.
 */
#include "sketch/estimate.h"

#include <math.h>
#include <string.h>

#define MAX_LEVEL	64

/* 2^-d where registers have d flags (UltraLogLog, HyperLogLog) */
static const double tail_rate[] = {0.25, 1};

typedef struct Likelihood
{
	double		alpha;
	double		beta[MAX_LEVEL + 1];
	int			first;			/* beta is 0 outside of first .. last */
	int			last;
} Likelihood;

/* Both sums go by register value, so the order of registers does not matter */
static void
sum_up(const EcsView *view, const EcsHistogram *histogram, Likelihood *sums)
{
	int			max_level = 64 - view->precision;
	double		rate = 1;
	int			u;

	memset(sums, 0, sizeof(Likelihood));
	sums->alpha = histogram->count[0];
	for (u = 1; u < 64; u++)
	{
		const uint32_t *with_flags = histogram->count + 4 * u;
		uint32_t	n = with_flags[0] + with_flags[1] + with_flags[2] + with_flags[3];

		rate /= 2;
		if (n == 0)
			continue;
		if (u <= max_level)
			sums->alpha += n * rate;
		sums->beta[u < max_level ? u : max_level] += n;
		if (view->flavour == ECS_HLL)
			continue;
		if (u >= 2)
		{
			sums->alpha += (with_flags[0] + with_flags[1]) * rate * 2;
			sums->beta[u - 1] += with_flags[2] + with_flags[3];
		}
		if (u >= 3)
		{
			sums->alpha += (with_flags[0] + with_flags[2]) * rate * 4;
			sums->beta[u - 2] += with_flags[1] + with_flags[3];
		}
	}
	sums->first = 1;
	while (sums->first < max_level && sums->beta[sums->first] == 0)
		sums->first++;
	sums->last = max_level;
	while (sums->last > sums->first && sums->beta[sums->last] == 0)
		sums->last--;
}

/* f = d ln L/dx + alpha, and -df/dx */
static void
derivatives(const Likelihood *sums, double x, double *f, double *slope)
{
	double		rate = ldexp(1.0, -sums->last);
	double		t = expm1(x * rate);
	int			j;

	*f = *slope = 0;

	/* a level far below x/m has surely been seen, and tells nothing */
	for (j = sums->last; j >= sums->first && t < 1e100; j--)
	{
		double		per_t = rate / t;
		double		term = sums->beta[j] * per_t;

		*f += term;
		*slope += term * per_t * (1 + t);
		t *= t + 2;
		rate *= 2;
	}
}

/* Where Newton's iteration starts; 0 where nothing was seen */
static double
lower_bound(const Likelihood *sums)
{
	double		rate = ldexp(1.0, -sums->last);
	double		count = 0;
	double		weight = 0;
	int			j;

	for (j = sums->last; j >= sums->first; j--, rate *= 2)
	{
		count += sums->beta[j];
		weight += sums->beta[j] * rate;
	}
	return count == 0 ? 0 : log1p(weight / sums->alpha) * count / weight;
}

/*
 * c of the bias.  From a level on at which y is small, there is no more to add than
 * y, since as much is left as that level has.
 */
static double
bias(double x, double w)
{
	int			first = x < 1 ? 10 : 11 + ilogb(x);
	double		y = ldexp(x, -first);
	double		t = expm1(y);
	double		told = exp(-w * y);
	double		squares = y;
	double		cubes = y * y / 3;
	int			j;

	for (j = first; j > 0 && t < 1e100; j--)
	{
		double		term = y * y * told / t;

		squares += term;
		cubes += y * term;
		y *= 2;
		t *= t + 2;
		told *= told;
	}
	return (0.5 + w) * cubes / (squares * squares);
}

EcsEstimate
ecs_estimate_registers(const EcsView *view, const EcsHistogram *histogram)
{
	EcsEstimate estimate = {0, 0};
	Likelihood	sums;
	double		m = ldexp(1.0, view->precision);
	double		x;
	double		f;
	double		slope;
	double		step;

	sum_up(view, histogram, &sums);
	if (sums.alpha == 0)
	{
		estimate.count = INFINITY;
		estimate.error = INFINITY;
		return estimate;
	}
	x = lower_bound(&sums);
	if (x == 0)
		return estimate;
	do
	{
		derivatives(&sums, x, &f, &slope);
		step = (f - sums.alpha) / slope;
		x += step;
	} while (step > x * 1e-5);	/* then its square is left */

	/* the curvature is that of a Poisson number, which itself varies by 1/n */
	estimate.count = (float) (x * (m - bias(x, tail_rate[view->flavour])));
	estimate.error = sqrt(fmax(1 / (x * x * slope) - 1 / (m * x), 0));
	return estimate;
}

EcsEstimate
ecs_estimate_tokens(uint32_t tokens)
{
	double		pairs_per_loss = 6 * ldexp(1.0, ECS_TOKEN_BITS);
	double		n = tokens;
	EcsEstimate estimate;

	estimate.count = (float) (n + n * (n - 1) / pairs_per_loss);
	estimate.error = n < 2 ? 0 : 1 / sqrt(pairs_per_loss);
	return estimate;
}

EcsEstimate
ecs_sketch_estimate(const EcsView *view)
{
	EcsHistogram histogram;
	uint32_t	tokens = 0;
	uint32_t	i;

	if (view->form == ECS_REGISTERS)
	{
		ecs_count_registers(view, &histogram);
		return ecs_estimate_registers(view, &histogram);
	}
	for (i = 0; i < view->tokens; i++)
		tokens += view->token[i] != 0;
	return ecs_estimate_tokens(tokens);
}
