/*
 * cells.c
 *		The transition state of the fits: customers counted by their history.
 *
 * A likelihood looks only at a customer's few figures, so equal customers are
 * kept once, with a count: ages in whole days make a million customers some ten
 * thousand cells.
 *
 * The state is a plain float8[], as that of the server's own float8_accum: it
 * passes between parallel workers and, as text, between nodes.  Its first
 * element is the number of cells in use; four elements for each cell follow,
 * then room for more.  New cells go to the end.  When the room is used up the
 * cells are sorted and equal ones merged, and where that leaves the state more
 * than half full, it doubles.  So a row costs the logarithm of the number of
 * cells, and order and plan do not show: what the final function sees is sorted.
 *
 * A state is only ever written in place up to its capacity, which its VARSIZE
 * covers.  One that grows is a new array in the caller's context: nodeAgg copies
 * it into its own and frees the old one.
 */
#include "postgres.h"

#include <float.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/float.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "clv/clv.h"

#define FIRST_CAPACITY		16
#define ELEMENTS_PER_CELL	((int) (sizeof(EcsClvCell) / sizeof(float8)))
#define STATE_SIZE(cells)	(ARR_OVERHEAD_NONULLS(1) + sizeof(float8) + (Size) (cells) * sizeof(EcsClvCell))
#define MAX_CAPACITY		((int) ((MaxAllocSize - STATE_SIZE(0)) / sizeof(EcsClvCell)))

/* up to here a count in a double is exact */
#define MAX_CUSTOMERS		((double) (INT64CONST(1) << DBL_MANT_DIG))

#define STATE_USED(state)	(*(float8 *) ARR_DATA_PTR(state))
#define STATE_CELLS(state)	((EcsClvCell *) (ARR_DATA_PTR(state) + sizeof(float8)))

static inline int
compare_cells(const EcsClvCell *a, const EcsClvCell *b)
{
	if (a->frequency != b->frequency)
		return float8_cmp_internal(a->frequency, b->frequency);
	if (a->value != b->value)
		return float8_cmp_internal(a->value, b->value);
	return float8_cmp_internal(a->age, b->age);
}

#define ST_SORT sort_cells
#define ST_ELEMENT_TYPE EcsClvCell
#define ST_COMPARE(a, b) compare_cells(a, b)
#define ST_CHECK_FOR_INTERRUPTS
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* The number of cells that a state has room for */
static inline int
state_capacity(ArrayType *state)
{
	return ARR_NDIM(state) == 0 ? 0 : (ARR_DIMS(state)[0] - 1) / ELEMENTS_PER_CELL;
}

static inline int
state_used(ArrayType *state)
{
	return ARR_NDIM(state) == 0 ? 0 : (int) STATE_USED(state);
}

/*
 * Fetch a state.  Anybody may name our functions in an aggregate of his own, so
 * its shape is verified; the empty array is the empty state.
 */
ArrayType *
ecs_clv_state(FunctionCallInfo fcinfo, int arg)
{
	ArrayType  *state;

	if (!AggCheckCallContext(fcinfo, NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("function called outside an aggregate"),
				 errhint("Call bgnbd_fit_agg or gamma_gamma_fit_agg.")));
	state = PG_GETARG_ARRAYTYPE_P(arg);
	if (ARR_ELEMTYPE(state) != FLOAT8OID || ARR_HASNULL(state) || ARR_NDIM(state) > 1 ||
		(ARR_NDIM(state) == 1 &&
		 (ARR_DIMS(state)[0] % ELEMENTS_PER_CELL != 1 ||
		  !(STATE_USED(state) >= 0 && STATE_USED(state) <= state_capacity(state) &&
			STATE_USED(state) == (int) STATE_USED(state)))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid state of a fit")));
	return state;
}

static ArrayType *
new_state(int capacity)
{
	ArrayType  *state = palloc0(STATE_SIZE(capacity));

	SET_VARSIZE(state, STATE_SIZE(capacity));
	state->ndim = 1;
	state->elemtype = FLOAT8OID;
	ARR_DIMS(state)[0] = 1 + capacity * ELEMENTS_PER_CELL;
	ARR_LBOUND(state)[0] = 1;
	return state;
}

/* Sort cells and merge equal ones; returns how many are left */
static int
compact_cells(EcsClvCell *cells, int used)
{
	int			kept = 0;

	sort_cells(cells, used);
	for (int i = 1; i < used; i++)
	{
		if (compare_cells(&cells[kept], &cells[i]) == 0)
			cells[kept].customers += cells[i].customers;
		else
			cells[++kept] = cells[i];
	}
	return Min(used, kept + 1);
}

/* A state with room for one more cell, by merging or by growing */
static ArrayType *
make_room(ArrayType *state)
{
	int			capacity = state_capacity(state);
	int			used = state_used(state);
	ArrayType  *larger;

	if (used < capacity)
		return state;
	if (capacity > 0)
	{
		used = compact_cells(STATE_CELLS(state), used);
		STATE_USED(state) = used;
		if (used <= capacity / 2)
			return state;
		if (capacity >= MAX_CAPACITY)
		{
			if (used < capacity)
				return state;
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("too many distinct customer histories to fit"),
					 errdetail("A fit takes at most %d of them.", MAX_CAPACITY),
					 errhint("Round recency and age to whole days, or mean values to whole units of money.")));
		}
	}
	larger = new_state(Min(Max(capacity * 2, FIRST_CAPACITY), MAX_CAPACITY));
	if (used > 0)
		memcpy(STATE_CELLS(larger), STATE_CELLS(state), used * sizeof(EcsClvCell));
	STATE_USED(larger) = used;
	return larger;
}

ArrayType *
ecs_clv_add(ArrayType *state, const EcsClvCell *cell)
{
	EcsClvCell *added;

	state = make_room(state);
	added = &STATE_CELLS(state)[state_used(state)];
	*added = *cell;
	/* make -0 and 0 the same bits */
	added->value += 0.0;
	added->age += 0.0;
	STATE_USED(state)++;
	return state;
}

/* The distinct cells in order, as a copy: a final function leaves the state as it is */
EcsClvCell *
ecs_clv_sorted(ArrayType *state, int *count)
{
	int			used = state_used(state);
	EcsClvCell *cells = palloc(Max(used, 1) * sizeof(EcsClvCell));

	if (used > 0)
		memcpy(cells, STATE_CELLS(state), used * sizeof(EcsClvCell));
	*count = compact_cells(cells, used);
	for (int i = 0; i < *count; i++)
		if (!(cells[i].customers >= 1 && cells[i].customers <= MAX_CUSTOMERS))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid state of a fit")));
	return cells;
}

PG_FUNCTION_INFO_V1(ecs_clv_combine);
Datum
ecs_clv_combine(PG_FUNCTION_ARGS)
{
	ArrayType  *state = ecs_clv_state(fcinfo, 0);
	ArrayType  *other = ecs_clv_state(fcinfo, 1);

	if (state_used(state) == 0)
		PG_RETURN_ARRAYTYPE_P(other);
	for (int i = 0; i < state_used(other); i++)
	{
		CHECK_FOR_INTERRUPTS();
		state = ecs_clv_add(state, &STATE_CELLS(other)[i]);
	}
	PG_RETURN_ARRAYTYPE_P(state);
}
