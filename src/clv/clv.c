/*
 * clv.c
 *		Expected customer lifetime value: purchases times their value, discounted.
 *
 * With E(s) the purchases expected up to time s and delta the log of 1 + rate,
 * those of a horizon h are worth, in purchases made today,
 *
 *	 integral from 0 to h of e^(-delta s) dE(s)
 *		= e^(-delta h) E(h) + delta * integral from 0 to h of e^(-delta s) E(s) ds
 *
 * The last integrand is smooth and the integral small against the rest, so that
 * quadrature on few points gives all the digits there are.
 */
#include "postgres.h"

#include <math.h>

#include "clv/clv.h"

#define MOST_PANELS		256
#define WORTHLESS		40.0	/* e^-40 of a purchase's value */
#define TOLERANCE		1e-5	/* of three points: 1e-9 or so of seven */

/*
 * Integral from 0 to h of e^(-delta s) E(s) ds over some panels, by the rule of
 * Kronrod on seven points; "difference" is to the rule of Gauss on three of them,
 * whose relative error is about the root of the other's.
 */
static double
integrate(const EcsBgnbd *future, double h, double delta, int panels, double *difference)
{
	static const struct
	{
		double		node,
					kronrod,
					gauss;
	}			points[] = {
		{-0.96049126870802028, 0.10465622602646727, 0},
		{-0.77459666924148338, 0.26848808986833344, 5.0 / 9},
		{-0.43424374934680256, 0.40139741477596222, 0},
		{0, 0.45091653865847414, 8.0 / 9},
		{0.43424374934680256, 0.40139741477596222, 0},
		{0.77459666924148338, 0.26848808986833344, 5.0 / 9},
		{0.96049126870802028, 0.10465622602646727, 0},
	};
	double		half = h / panels / 2;
	double		sum = 0;

	*difference = 0;
	for (int i = 0; i < panels; i++)
		for (int j = 0; j < (int) lengthof(points); j++)
		{
			double		s = half * (2 * i + 1 + points[j].node);
			double		y = half * exp(-delta * s) * ecs_bgnbd_purchases(future, s);

			sum += y * points[j].kronrod;
			*difference += y * (points[j].kronrod - points[j].gauss);
		}
	return sum;
}

/* Purchases up to the horizon, each worth (1 + rate)^-s of one made now */
static double
discounted_purchases(const EcsBgnbd *future, double horizon, double rate)
{
	double		delta = log1p(rate);
	double		h = delta * horizon > WORTHLESS ? WORTHLESS / delta : horizon;
	double		at_end = exp(-delta * h) * ecs_bgnbd_purchases(future, h);
	double		result = at_end;

	for (int panels = 1; delta > 0 && panels <= MOST_PANELS; panels *= 2)
	{
		double		difference;

		result = at_end + delta * integrate(future, h, delta, panels, &difference);
		if (delta * fabs(difference) <= TOLERANCE * result)
			break;
	}
	return result;
}

PG_FUNCTION_INFO_V1(ecs_clv_expected);
Datum
ecs_clv_expected(PG_FUNCTION_ARGS)
{
	EcsBgnbd	model;
	EcsBgnbd	future;
	EcsGammaGamma spending;
	double		frequency,
				recency,
				age,
				mean_value,
				horizon,
				margin,
				rate,
				value;

	/* the mean value of no purchases is NULL, and does not matter */
	for (int i = 0; i < PG_NARGS(); i++)
		if (PG_ARGISNULL(i) && (i != 5 || PG_GETARG_INT64(2) != 0))
			PG_RETURN_NULL();
	model = ecs_bgnbd_model(PG_GETARG_HEAPTUPLEHEADER(0));
	spending = ecs_gamma_gamma_model(PG_GETARG_HEAPTUPLEHEADER(1));
	frequency = (double) PG_GETARG_INT64(2);
	recency = PG_GETARG_FLOAT8(3);
	age = PG_GETARG_FLOAT8(4);
	mean_value = PG_ARGISNULL(5) ? 0 : PG_GETARG_FLOAT8(5);
	horizon = PG_GETARG_FLOAT8(6);
	margin = PG_GETARG_FLOAT8(7);
	rate = PG_GETARG_FLOAT8(8);

	ecs_bgnbd_check(frequency, recency, age);
	ecs_gamma_gamma_check(frequency, mean_value);
	ecs_clv_check_time("horizon", horizon);
	if (!isfinite(margin))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("margin must be finite"),
				 errdetail("It is %g.", margin)));
	if (!(rate >= 0) || isinf(rate))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("discount rate must be finite and not negative"),
				 errdetail("It is %g.", rate),
				 errhint("Give it per unit of time: (1 + 0.10)^(1.0/365) - 1 for 10 %% a year and ages in days.")));

	if (!ecs_gamma_gamma_value(&spending, frequency, mean_value, &value))
		PG_RETURN_NULL();
	future = ecs_bgnbd_posterior(&model, frequency, age);
	PG_RETURN_FLOAT8(margin * value *
					 ecs_bgnbd_alive(&model, frequency, recency, age) *
					 discounted_purchases(&future, horizon, rate));
}
