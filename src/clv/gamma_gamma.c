/*
 * gamma_gamma.c
 *		The Gamma-Gamma model of spending: how much a purchase is worth.
 *
 * Fader and Hardie, "The Gamma-Gamma Model of Monetary Value", note 025 (2013).
 * A customer's purchases are gamma distributed (shape p, rate nu) around a mean
 * of his own, and nu over the customers is gamma distributed (shape q, rate v),
 * apart from how often he buys.  The mean z of x purchases has the density
 *
 *	 Gamma(px+q)     v^q  z^(px-1)  x^(px)
 *	 -------------------- . ----------------------
 *	 Gamma(px) Gamma(q)       (v + x z)^(px+q)
 *
 * and the expected value of another is p (v + x z) / (px + q - 1), a mean of the
 * customer's own z and everybody's pv / (q-1), weighted by what is known of him.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"

#include "clv/clv.h"

/* What of a customer's log-likelihood depends on the number of purchases only */
typedef struct FrequencyTerms
{
	double		value;
	double		p,
				q;
	double		pp,
				pq,
				qq;
} FrequencyTerms;

static FrequencyTerms
frequency_terms(double p, double q, double x)
{
	double		psi = ecs_digamma(p * x + q);
	double		psi1 = ecs_trigamma(p * x + q);
	FrequencyTerms terms;

	terms.value = lgamma(p * x + q) - lgamma(p * x) - lgamma(q);
	terms.p = x * (psi - ecs_digamma(p * x));
	terms.q = psi - ecs_digamma(q);
	terms.pp = x * x * (psi1 - ecs_trigamma(p * x));
	terms.pq = x * psi1;
	terms.qq = psi1 - ecs_trigamma(q);
	return terms;
}

static void
log_likelihood(const double *parameters, const EcsClvCell *cells, int count, EcsDerivatives *sum)
{
	double		p = parameters[0],
				q = parameters[1],
				v = parameters[2];
	FrequencyTerms f = {0};

	for (int i = 0; i < count; i++)
	{
		double		x = cells[i].frequency;
		double		z = cells[i].value;
		double		n = cells[i].customers;
		double		shape = p * x + q;
		double		by_sum = 1 / (v + x * z);
		double		log_spent = -log1p(v / (x * z));	/* log(xz / (v + xz)) */
		double		log_v = -log1p(x * z / v);	/* log(v / (v + xz)) */

		CHECK_FOR_INTERRUPTS();
		if (i == 0 || x != cells[i - 1].frequency)
			f = frequency_terms(p, q, x);

		sum->value += n * (f.value + p * x * log_spent + q * log_v - log(z));
		sum->first[0] += n * (f.p + x * log_spent);
		sum->first[1] += n * (f.q + log_v);
		sum->first[2] += n * (q / v - shape * by_sum);
		sum->second[0][0] += n * f.pp;
		sum->second[0][1] += n * f.pq;
		sum->second[0][2] -= n * x * by_sum;
		sum->second[1][1] += n * f.qq;
		sum->second[1][2] += n * (1 / v - by_sum);
		sum->second[2][2] += n * (shape * by_sum * by_sum - q / (v * v));
	}
}

/* Fit the cells, whose values are rescaled to a mean of about 1, as is v */
static EcsClvFit
fit_cells(EcsClvCell *cells, int count)
{
	EcsClvFit	fit = {.nparameters = 3};
	double		customers = 0;
	double		mean = 0;

	for (int i = 0; i < count; i++)
	{
		customers += cells[i].customers;
		mean += (cells[i].value - mean) * (cells[i].customers / customers);
	}
	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		cells[i].value /= mean;
	}

	/* a mean pv / (q-1) of 1 */
	fit.parameters[0] = 2;
	fit.parameters[1] = 3;
	fit.parameters[2] = 1;
	ecs_maximise(log_likelihood, cells, count, &fit);

	fit.parameters[2] *= mean;
	fit.log_likelihood -= customers * log(mean);
	return fit;
}

EcsGammaGamma
ecs_gamma_gamma_model(HeapTupleHeader model)
{
	double		parameters[3];
	EcsGammaGamma result;

	ecs_clv_model_deform(model, 3, parameters);
	result.p = parameters[0];
	result.q = parameters[1];
	result.v = parameters[2];
	return result;
}

void
ecs_gamma_gamma_check(double frequency, double mean_value)
{
	const char *problem = NULL;

	if (!(frequency >= 0))
		problem = "frequency must not be negative";
	else if (frequency > 0 && (!(mean_value > 0) || isinf(mean_value)))
		problem = "mean value must be positive and finite where frequency is not 0";
	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s", problem),
				 errdetail("Frequency is %.0f, mean value %g.", frequency, mean_value),
				 errhint("Leave out customers whose returns outweigh their purchases.")));
}

/* Expected value of a customer's next purchase; false where it has no finite mean */
bool
ecs_gamma_gamma_value(const EcsGammaGamma *model, double frequency, double mean_value,
					  double *value)
{
	double		weight = model->p * frequency + model->q - 1;

	if (weight <= 0)
		return false;
	*value = model->p / weight * model->v;
	if (frequency > 0)
		*value += model->p * frequency / weight * mean_value;
	return isfinite(*value);
}

PG_FUNCTION_INFO_V1(ecs_gamma_gamma_fit_trans);
Datum
ecs_gamma_gamma_fit_trans(PG_FUNCTION_ARGS)
{
	ArrayType  *state = ecs_clv_state(fcinfo, 0);
	EcsClvCell	cell = {
		.frequency = (double) PG_GETARG_INT64(1),
		.value = PG_GETARG_FLOAT8(2),
		.customers = 1
	};

	ecs_gamma_gamma_check(cell.frequency, cell.value);
	if (cell.frequency == 0)
		PG_RETURN_ARRAYTYPE_P(state);
	PG_RETURN_ARRAYTYPE_P(ecs_clv_add(state, &cell));
}

PG_FUNCTION_INFO_V1(ecs_gamma_gamma_fit_final);
Datum
ecs_gamma_gamma_fit_final(PG_FUNCTION_ARGS)
{
	int			count;
	EcsClvCell *cells = ecs_clv_sorted(ecs_clv_state(fcinfo, 0), &count);
	EcsClvFit	fit;

	if (count == 0)
		PG_RETURN_NULL();
	for (int i = 0; i < count; i++)
		ecs_gamma_gamma_check(cells[i].frequency, cells[i].value);
	fit = fit_cells(cells, count);
	PG_RETURN_DATUM(ecs_clv_model_form(fcinfo, &fit, cells, count));
}

PG_FUNCTION_INFO_V1(ecs_gamma_gamma_expected_value);
Datum
ecs_gamma_gamma_expected_value(PG_FUNCTION_ARGS)
{
	EcsGammaGamma model;
	double		frequency;
	double		mean_value;
	double		value;

	/* the mean value of no purchases is NULL, and does not matter */
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || (PG_ARGISNULL(2) && PG_GETARG_INT64(1) != 0))
		PG_RETURN_NULL();
	model = ecs_gamma_gamma_model(PG_GETARG_HEAPTUPLEHEADER(0));
	frequency = (double) PG_GETARG_INT64(1);
	mean_value = PG_ARGISNULL(2) ? 0 : PG_GETARG_FLOAT8(2);

	ecs_gamma_gamma_check(frequency, mean_value);
	if (!ecs_gamma_gamma_value(&model, frequency, mean_value, &value))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(value);
}
