/*
 * clv.h
 *		Predictive customer lifetime value: what its files share.
 */
#ifndef ECS_CLV_H
#define ECS_CLV_H

#include "access/htup.h"
#include "fmgr.h"
#include "utils/array.h"

/*
 * A cell: customers with the same history, who count alike in a likelihood.
 * BG/NBD keeps (frequency, recency, age), Gamma-Gamma (frequency, mean value, 0).
 */
typedef struct EcsClvCell
{
	double		frequency;
	double		value;			/* recency, or mean value of a purchase */
	double		age;
	double		customers;
} EcsClvCell;

/* cells.c: the transition state of both fits */
extern ArrayType *ecs_clv_state(FunctionCallInfo fcinfo, int arg);
extern ArrayType *ecs_clv_add(ArrayType *state, const EcsClvCell *cell);
extern EcsClvCell *ecs_clv_sorted(ArrayType *state, int *count);

/* maximise.c: maximum likelihood over positive parameters */
#define ECS_MAX_PARAMETERS	4

/* A log-likelihood with its derivatives; only the upper triangle of the second */
typedef struct EcsDerivatives
{
	double		value;
	double		first[ECS_MAX_PARAMETERS];
	double		second[ECS_MAX_PARAMETERS][ECS_MAX_PARAMETERS];
} EcsDerivatives;

/* Adds the cells' log-likelihood to "sum", which begins at zero */
typedef void (*EcsLogLikelihood) (const double *parameters, const EcsClvCell *cells, int count,
								  EcsDerivatives *sum);

typedef struct EcsClvFit
{
	int			nparameters;
	double		parameters[ECS_MAX_PARAMETERS]; /* in: where to begin */
	double		log_likelihood;
	bool		converged;
	int			iterations;
} EcsClvFit;

extern void ecs_maximise(EcsLogLikelihood log_likelihood, const EcsClvCell *cells, int count,
						 EcsClvFit *fit);
extern double ecs_digamma(double x);
extern double ecs_trigamma(double x);

/*
 * model.c: the composite types of the fitted models, which hold the parameters,
 * log_likelihood, customers, converged, iterations in this order.
 */
extern Datum ecs_clv_model_form(FunctionCallInfo fcinfo, const EcsClvFit *fit,
								const EcsClvCell *cells, int count);
extern void ecs_clv_model_deform(HeapTupleHeader model, int nparameters, double *parameters);

/* bgnbd.c */
typedef struct EcsBgnbd
{
	double		r;
	double		alpha;
	double		a;
	double		b;
} EcsBgnbd;

extern EcsBgnbd ecs_bgnbd_model(HeapTupleHeader model);
extern void ecs_bgnbd_check(double frequency, double recency, double age);
extern double ecs_bgnbd_alive(const EcsBgnbd *model, double frequency, double recency, double age);
extern EcsBgnbd ecs_bgnbd_posterior(const EcsBgnbd *model, double frequency, double age);
extern double ecs_bgnbd_purchases(const EcsBgnbd *model, double time);
extern void ecs_clv_check_time(const char *name, double time);

/* gamma_gamma.c */
typedef struct EcsGammaGamma
{
	double		p;
	double		q;
	double		v;
} EcsGammaGamma;

extern EcsGammaGamma ecs_gamma_gamma_model(HeapTupleHeader model);
extern void ecs_gamma_gamma_check(double frequency, double mean_value);
extern bool ecs_gamma_gamma_value(const EcsGammaGamma *model, double frequency, double mean_value,
								  double *value);

#endif							/* ECS_CLV_H */
