/*
 * model.c
 *		The composite types of the fitted models.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/typcache.h"

#include "clv/clv.h"

/* what follows the parameters in a model */
#define LOG_LIKELIHOOD(n)	(n)
#define CUSTOMERS(n)		((n) + 1)
#define CONVERGED(n)		((n) + 2)
#define ITERATIONS(n)		((n) + 3)
#define MODEL_ATTRIBUTES(n)	((n) + 4)

/* A fit as a value of the composite type that the function returns */
Datum
ecs_clv_model_form(FunctionCallInfo fcinfo, const EcsClvFit *fit, const EcsClvCell *cells, int count)
{
	int			n = fit->nparameters;
	double		customers = 0;
	Datum		values[MODEL_ATTRIBUTES(ECS_MAX_PARAMETERS)];
	bool		nulls[MODEL_ATTRIBUTES(ECS_MAX_PARAMETERS)] = {0};
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE ||
		desc->natts != MODEL_ATTRIBUTES(n))
		elog(ERROR, "a model has %d attributes", MODEL_ATTRIBUTES(n));
	desc = BlessTupleDesc(desc);

	for (int i = 0; i < count; i++)
		customers += cells[i].customers;
	for (int i = 0; i < n; i++)
		values[i] = Float8GetDatum(fit->parameters[i]);
	values[LOG_LIKELIHOOD(n)] = Float8GetDatum(fit->log_likelihood);
	nulls[LOG_LIKELIHOOD(n)] = !isfinite(fit->log_likelihood);
	values[CUSTOMERS(n)] = Int64GetDatum((int64) customers);
	values[CONVERGED(n)] = BoolGetDatum(fit->converged);
	values[ITERATIONS(n)] = Int32GetDatum(fit->iterations);
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

/* The parameters of a model that may be used: one that did not converge is an error */
void
ecs_clv_model_deform(HeapTupleHeader model, int nparameters, double *parameters)
{
	TupleDesc	desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(model),
											  HeapTupleHeaderGetTypMod(model));
	HeapTupleData tuple = {
		.t_len = HeapTupleHeaderGetDatumLength(model),
		.t_data = model
	};
	Datum		values[MODEL_ATTRIBUTES(ECS_MAX_PARAMETERS)];
	bool		nulls[MODEL_ATTRIBUTES(ECS_MAX_PARAMETERS)];

	if (desc->natts != MODEL_ATTRIBUTES(nparameters))
		elog(ERROR, "a model has %d attributes", MODEL_ATTRIBUTES(nparameters));
	heap_deform_tuple(&tuple, desc, values, nulls);

	if (!nulls[CONVERGED(nparameters)] && !DatumGetBool(values[CONVERGED(nparameters)]))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the fit of this %s did not converge", format_type_be(desc->tdtypeid)),
				 errdetail("Its parameters are not a maximum of the likelihood."),
				 errhint("Fit more customers, or a longer time. Test \"converged\" before using a model.")));
	for (int i = 0; i < nparameters; i++)
	{
		parameters[i] = nulls[i] ? NAN : DatumGetFloat8(values[i]);
		if (!(parameters[i] > 0) || isinf(parameters[i]))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("parameter \"%s\" of a %s must be positive and finite",
							NameStr(TupleDescAttr(desc, i)->attname),
							format_type_be(desc->tdtypeid)),
					 errhint("Use a model as fitted, or one of known parameters.")));
	}
	ReleaseTupleDesc(desc);
}
