/*
 * bgnbd.c
 *		The BG/NBD model of repeat buying: when customers buy, and when they leave.
 *
 * Fader, Hardie and Lee, "Counting Your Customers" the Easy Way, Marketing
 * Science 24 (2005).  While alive a customer buys at a rate lambda, and leaves
 * after any purchase with probability p; over the customers lambda is gamma
 * distributed (shape r, rate alpha) and p beta distributed (a, b).  What counts
 * of a customer is x, the number of repeat purchases; t_x, the time of the last
 * one; T, the time of observation: all counted from the first purchase.
 *
 * With B the beta function, a customer's likelihood is
 *
 *	 Gamma(r+x) alpha^r    B(a, b+x)                   [x > 0] a    / alpha + T   \ r+x
 *	 ------------------ . ----------- (alpha+T)^-(r+x) (1 + --------- | ----------- |     )
 *	       Gamma(r)         B(a, b)                         b + x - 1  \ alpha + t_x /
 *
 * whose last term is the odds of having left.  Given that a customer is alive,
 * his lambda is gamma (r+x, alpha+T) and his p beta (a, b+x): the future of a
 * known customer is that of a new one under these, times the chance of his being
 * alive.
 *
 * Expected purchases of a new customer.  The published form divides a difference
 * by a-1, which fails at a = 1 and loses digits near it and for short times.
 * Without leaving, the purchases in (0, t] are negative binomial; the k+1st is
 * made if none of the k before made the customer leave.  So
 *
 *	 E[X(t)] = sum over n of P(N = n) S(n),  S(n) = sum over k < n of B(a, b+k) / B(a, b)
 *
 * which is the same function, has positive terms only, and needs no gamma
 * function: P and S go from n to n+1 by a product.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "miscadmin.h"

#include "clv/clv.h"

#define MAX_TERMS	10000000

/* What of a customer's log-likelihood depends on the number of purchases only */
typedef struct FrequencyTerms
{
	double		value;
	double		r,
				a,
				b;
	double		rr,
				aa,
				bb;
} FrequencyTerms;

static FrequencyTerms
frequency_terms(double r, double a, double b, double x)
{
	FrequencyTerms terms = {0};

	if (x > 0)
	{
		terms.value = lgamma(r + x) - lgamma(r) + lgamma(b + x) - lgamma(b)
			- lgamma(a + b + x) + lgamma(a + b);
		terms.r = ecs_digamma(r + x) - ecs_digamma(r);
		terms.rr = ecs_trigamma(r + x) - ecs_trigamma(r);
		terms.a = ecs_digamma(a + b) - ecs_digamma(a + b + x);
		terms.aa = ecs_trigamma(a + b) - ecs_trigamma(a + b + x);
		terms.b = ecs_digamma(b + x) - ecs_digamma(b) + terms.a;
		terms.bb = ecs_trigamma(b + x) - ecs_trigamma(b) + terms.aa;
	}
	return terms;
}

/* log of the odds that a customer with x > 0 purchases has left */
static inline double
log_odds_left(const EcsBgnbd *m, double x, double t_x, double age)
{
	return log(m->a / (m->b + x - 1)) + (m->r + x) * log1p((age - t_x) / (m->alpha + t_x));
}

static void
log_likelihood(const double *parameters, const EcsClvCell *cells, int count, EcsDerivatives *sum)
{
	double		r = parameters[0],
				alpha = parameters[1],
				a = parameters[2],
				b = parameters[3];
	FrequencyTerms f = {0};

	for (int i = 0; i < count; i++)
	{
		double		x = cells[i].frequency;
		double		n = cells[i].customers;
		double		log_age = log1p(cells[i].age / alpha);
		double		by_age = 1 / (alpha + cells[i].age);

		CHECK_FOR_INTERRUPTS();
		if (i == 0 || x != cells[i - 1].frequency)
			f = frequency_terms(r, a, b, x);

		sum->value += n * (f.value - x * log(alpha) - (r + x) * log_age);
		sum->first[0] += n * (f.r - log_age);
		sum->first[1] += n * (r / alpha - (r + x) * by_age);
		sum->first[2] += n * f.a;
		sum->first[3] += n * f.b;
		sum->second[0][0] += n * f.rr;
		sum->second[0][1] += n * (1 / alpha - by_age);
		sum->second[1][1] += n * ((r + x) * by_age * by_age - r / (alpha * alpha));
		sum->second[2][2] += n * f.aa;
		sum->second[2][3] += n * f.aa;
		sum->second[3][3] += n * f.bb;

		if (x > 0)
		{
			/* log(1 + e^odds), by the chain rule over the derivatives of odds */
			double		by_recency = 1 / (alpha + cells[i].value);
			double		by_b = 1 / (b + x - 1);
			double		log_ratio = log1p((cells[i].age - cells[i].value) * by_recency);
			double		odds = log(a * by_b) + (r + x) * log_ratio;
			double		e = exp(-fabs(odds));
			double		left = (odds > 0 ? 1 : e) / (1 + e);
			double		d[4] = {log_ratio, (r + x) * (by_age - by_recency), 1 / a, -by_b};

			sum->value += n * (Max(odds, 0) + log1p(e));
			for (int j = 0; j < 4; j++)
			{
				sum->first[j] += n * left * d[j];
				for (int k = j; k < 4; k++)
					sum->second[j][k] += n * left * (1 - left) * d[j] * d[k];
			}
			sum->second[0][1] += n * left * (by_age - by_recency);
			sum->second[1][1] += n * left * (r + x) * (by_recency * by_recency - by_age * by_age);
			sum->second[2][2] -= n * left / (a * a);
			sum->second[3][3] += n * left * by_b * by_b;
		}
	}
}

/*
 * Fit the cells, which are rescaled: the largest age becomes 1.  Time t in
 * another unit t/s has alpha/s, and each of the purchases a density s times as
 * high.
 */
static EcsClvFit
fit_cells(EcsClvCell *cells, int count)
{
	EcsClvFit	fit = {.nparameters = 4};
	double		oldest = 0;
	double		customers = 0;
	double		purchases = 0;

	for (int i = 0; i < count; i++)
	{
		oldest = Max(oldest, cells[i].age);
		customers += cells[i].customers;
		purchases += cells[i].customers * cells[i].frequency;
	}
	for (int i = 0; i < count && oldest > 0; i++)
	{
		CHECK_FOR_INTERRUPTS();
		cells[i].value /= oldest;
		cells[i].age /= oldest;
	}

	/* about the mean rate, with one customer in three leaving at a purchase */
	fit.parameters[0] = 1;
	fit.parameters[1] = purchases > 0 ? Min(Max(customers / purchases, 1e-3), 1e3) : 1;
	fit.parameters[2] = 1;
	fit.parameters[3] = 2;
	ecs_maximise(log_likelihood, cells, count, &fit);

	if (oldest > 0)
	{
		fit.parameters[1] *= oldest;
		fit.log_likelihood -= purchases * log(oldest);
	}
	return fit;
}

EcsBgnbd
ecs_bgnbd_model(HeapTupleHeader model)
{
	double		p[4];
	EcsBgnbd	result;

	ecs_clv_model_deform(model, 4, p);
	result.r = p[0];
	result.alpha = p[1];
	result.a = p[2];
	result.b = p[3];
	return result;
}

/* A length of time that is asked about */
void
ecs_clv_check_time(const char *name, double time)
{
	if (!(time >= 0) || isinf(time))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be finite and not negative", name),
				 errdetail("It is %g.", time),
				 errhint("Give it in the unit of time of the ages.")));
}

void
ecs_bgnbd_check(double frequency, double recency, double age)
{
	const char *problem = NULL;

	if (!(frequency >= 0))
		problem = "frequency must not be negative";
	else if (!isfinite(recency) || !isfinite(age))
		problem = "recency and age must be finite";
	else if (recency < 0 || age < 0)
		problem = "recency and age must not be negative";
	else if (recency > age)
		problem = "recency must not be greater than age";
	else if (frequency == 0 && recency != 0)
		problem = "recency must be 0 where frequency is 0";
	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s", problem),
				 errdetail("Frequency is %.0f, recency %g, age %g.", frequency, recency, age),
				 errhint("Frequency is the number of repeat purchases, recency the time from the first purchase to the last, age from the first purchase to the end of observation.")));
}

double
ecs_bgnbd_alive(const EcsBgnbd *model, double frequency, double recency, double age)
{
	return frequency == 0 ? 1 : 1 / (1 + exp(log_odds_left(model, frequency, recency, age)));
}

/* The model of a customer's future, given that he is alive */
EcsBgnbd
ecs_bgnbd_posterior(const EcsBgnbd *model, double frequency, double age)
{
	EcsBgnbd	future = *model;

	future.r += frequency;
	future.alpha += age;
	future.b += frequency;
	return future;
}

/*
 * Expected purchases of a new customer by the series in the head comment.  The
 * probabilities are summed without their common factor (alpha/(alpha+t))^r, which
 * underflows, and scaled down when they grow large: their own sum is the measure.
 * It ends when the terms left, bounded by a geometric series, change no digit.
 */
double
ecs_bgnbd_purchases(const EcsBgnbd *model, double time)
{
	double		w = time / (model->alpha + time);
	double		weight = 1;		/* of P(N = n) */
	double		total = 1;		/* of the weights */
	double		result = 0;
	double		survival = 1;	/* B(a, b+n) / B(a, b) */
	double		made = 0;		/* S(n) */

	if (w == 0)
		return 0;
	for (int n = 1; n < MAX_TERMS; n++)
	{
		made += survival;
		survival *= (model->b + n - 1) / (model->a + model->b + n - 1);
		weight *= w * (model->r + n - 1) / n;
		total += weight;
		result += weight * made;
		if (n % 4 == 0)
		{
			double		ratio = w * Max(1, (model->r + n) / (n + 1));
			double		rest = 1 / (1 - ratio);

			if (ratio < 1 && weight * ratio * rest * (made + rest) <= DBL_EPSILON / 2 * result)
				return result / total;
		}
		if (total > 1e200)
		{
			weight *= 1e-200;
			total *= 1e-200;
			result *= 1e-200;
		}
		if (n % 65536 == 0)
			CHECK_FOR_INTERRUPTS();
	}
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("too many purchases are possible in %g units of time", time),
			 errdetail("The distribution of purchases is summed up to %d.", MAX_TERMS),
			 errhint("Ask about a shorter time; it is counted in the unit of the ages that the model was fitted to.")));
}

/*
 * Probability of exactly x purchases of a new customer: x are made and none of
 * them was the last, or x or more would be and the x-th was the last.
 */
static double
purchases_probability(const EcsBgnbd *model, int x, double time)
{
	double		log_w = log(time / (model->alpha + time));
	double		log_mass = -model->r * log1p(time / model->alpha);	/* of P(N = n) */
	double		fewer = 0;		/* P(N < n) */
	double		survival = 1;	/* B(a, b+n) / B(a, b) */
	double		earlier = 1;	/* the same of n-1 */

	for (int n = 1; n <= x; n++)
	{
		fewer += exp(log_mass);
		log_mass += log_w + log((model->r + n - 1) / n);
		earlier = survival;
		survival *= (model->b + n - 1) / (model->a + model->b + n - 1);
		if (n % 65536 == 0)
			CHECK_FOR_INTERRUPTS();
	}
	return survival * exp(log_mass) + (earlier - survival) * Max(0, 1 - fewer);
}

PG_FUNCTION_INFO_V1(ecs_bgnbd_fit_trans);
Datum
ecs_bgnbd_fit_trans(PG_FUNCTION_ARGS)
{
	ArrayType  *state = ecs_clv_state(fcinfo, 0);
	EcsClvCell	cell = {
		.frequency = (double) PG_GETARG_INT64(1),
		.value = PG_GETARG_FLOAT8(2),
		.age = PG_GETARG_FLOAT8(3),
		.customers = 1
	};

	ecs_bgnbd_check(cell.frequency, cell.value, cell.age);
	PG_RETURN_ARRAYTYPE_P(ecs_clv_add(state, &cell));
}

PG_FUNCTION_INFO_V1(ecs_bgnbd_fit_final);
Datum
ecs_bgnbd_fit_final(PG_FUNCTION_ARGS)
{
	int			count;
	EcsClvCell *cells = ecs_clv_sorted(ecs_clv_state(fcinfo, 0), &count);
	EcsClvFit	fit;

	if (count == 0)
		PG_RETURN_NULL();
	for (int i = 0; i < count; i++)
		ecs_bgnbd_check(cells[i].frequency, cells[i].value, cells[i].age);
	fit = fit_cells(cells, count);
	PG_RETURN_DATUM(ecs_clv_model_form(fcinfo, &fit, cells, count));
}

PG_FUNCTION_INFO_V1(ecs_bgnbd_probability_alive);
Datum
ecs_bgnbd_probability_alive(PG_FUNCTION_ARGS)
{
	EcsBgnbd	model = ecs_bgnbd_model(PG_GETARG_HEAPTUPLEHEADER(0));
	double		frequency = (double) PG_GETARG_INT64(1);
	double		recency = PG_GETARG_FLOAT8(2);
	double		age = PG_GETARG_FLOAT8(3);

	ecs_bgnbd_check(frequency, recency, age);
	PG_RETURN_FLOAT8(ecs_bgnbd_alive(&model, frequency, recency, age));
}

PG_FUNCTION_INFO_V1(ecs_bgnbd_expected_purchases);
Datum
ecs_bgnbd_expected_purchases(PG_FUNCTION_ARGS)
{
	EcsBgnbd	model = ecs_bgnbd_model(PG_GETARG_HEAPTUPLEHEADER(0));
	double		frequency = (double) PG_GETARG_INT64(1);
	double		recency = PG_GETARG_FLOAT8(2);
	double		age = PG_GETARG_FLOAT8(3);
	double		horizon = PG_GETARG_FLOAT8(4);
	EcsBgnbd	future;

	ecs_bgnbd_check(frequency, recency, age);
	ecs_clv_check_time("horizon", horizon);
	future = ecs_bgnbd_posterior(&model, frequency, age);
	PG_RETURN_FLOAT8(ecs_bgnbd_alive(&model, frequency, recency, age) *
					 ecs_bgnbd_purchases(&future, horizon));
}

PG_FUNCTION_INFO_V1(ecs_bgnbd_expected_new);
Datum
ecs_bgnbd_expected_new(PG_FUNCTION_ARGS)
{
	EcsBgnbd	model = ecs_bgnbd_model(PG_GETARG_HEAPTUPLEHEADER(0));
	double		horizon = PG_GETARG_FLOAT8(1);

	ecs_clv_check_time("horizon", horizon);
	PG_RETURN_FLOAT8(ecs_bgnbd_purchases(&model, horizon));
}

PG_FUNCTION_INFO_V1(ecs_bgnbd_probability);
Datum
ecs_bgnbd_probability(PG_FUNCTION_ARGS)
{
	EcsBgnbd	model = ecs_bgnbd_model(PG_GETARG_HEAPTUPLEHEADER(0));
	int32		purchases = PG_GETARG_INT32(1);
	double		horizon = PG_GETARG_FLOAT8(2);

	ecs_clv_check_time("horizon", horizon);
	if (purchases < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("purchases must not be negative"),
				 errdetail("It is %d.", purchases)));
	PG_RETURN_FLOAT8(purchases_probability(&model, purchases, horizon));
}
