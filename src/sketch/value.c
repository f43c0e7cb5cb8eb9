/*
 * value.c
 *		Sketches as PostgreSQL values; see value.h.
 */
#include "postgres.h"

#include "sketch/value.h"

/* The stored form was checked when it came in, so a failure here means damaged storage */
static void
check_stored(const char *problem)
{
	if (unlikely(problem != NULL))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("stored sketch is damaged"),
				 errdetail_internal("%s", problem)));
}

void
ecs_view_datum(Datum sketch, EcsView *view, EcsScratch *scratch)
{
	struct varlena *value = PG_DETOAST_DATUM_PACKED(sketch);
	const uint8 *bytes = (const uint8 *) VARDATA_ANY(value);
	size_t		len = VARSIZE_ANY_EXHDR(value);
	const char *problem = ecs_sketch_read_header(bytes, len, view);
	uint32	   *room = scratch->word;

	if (problem == NULL)
	{
		if (view->precision > ECS_STACK_PRECISION && ecs_sketch_layout(bytes) != ECS_LAYOUT_RAW)
			room = palloc(ecs_scratch_size(view->precision));
		problem = ecs_sketch_decode(bytes, len, room, view);
	}
	check_stored(problem);
}

float
ecs_count_datum(Datum sketch)
{
	struct varlena *value = (struct varlena *) DatumGetPointer(sketch);
	float		count;

	if (VARATT_IS_EXTERNAL(value) || VARATT_IS_COMPRESSED(value))
		value = pg_detoast_datum_slice(value, 0, ECS_SKETCH_COUNT_BYTES);
	check_stored(ecs_sketch_read_count((const uint8 *) VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), &count));
	return count;
}

bytea *
ecs_sketch_of_view(const EcsView *view)
{
	bytea	   *result = palloc(VARHDRSZ + ecs_encode_bound(view));
	uint32	   *sorted = palloc(sizeof(uint32) * view->tokens);

	SET_VARSIZE(result, VARHDRSZ + ecs_sketch_encode(view, sorted, (uint8 *) VARDATA(result)));
	pfree(sorted);
	return result;
}

static EcsState *
allocate_state(size_t size)
{
	EcsState   *state = palloc(size);

	SET_VARSIZE(state, size);
	return state;
}

/* A copy in which nothing waits and no register is narrow */
static EcsState *
settled_copy(const EcsState *state)
{
	EcsState   *copy;

	if (state->form == ECS_NARROW)
	{
		copy = allocate_state(ecs_state_size(ECS_REGISTERS, state->precision, 0));
		ecs_state_to_registers(copy, state);
		return copy;
	}
	copy = memcpy(palloc(VARSIZE(state)), state, VARSIZE(state));
	ecs_state_settle(copy);
	return copy;
}

void
ecs_view_state(const EcsState *state, EcsView *view)
{
	ecs_state_view(ecs_state_is_settled(state) ? state : settled_copy(state), view);
}

bytea *
ecs_sketch_of_state(const EcsState *state)
{
	EcsView		view;

	ecs_view_state(state, &view);
	return ecs_sketch_of_view(&view);
}

bytea *
ecs_sketch_of_bytes(const void *bytes, size_t len, int sqlstate)
{
	EcsView		view;
	const char *problem = ecs_sketch_read_header(bytes, len, &view);

	if (problem == NULL)
		problem = ecs_sketch_decode(bytes, len, palloc(ecs_scratch_size(view.precision)), &view);
	if (problem == NULL)
		problem = ecs_view_check(&view);
	if (problem != NULL)
		ereport(ERROR,
				(errcode(sqlstate),
				 errmsg("invalid sketch"),
				 errdetail_internal("%s", problem)));
	return ecs_sketch_of_view(&view);
}

EcsState *
ecs_state_create(EcsForm form, int precision, uint32 tokens)
{
	int			log2_size = ecs_log2_size(tokens);
	EcsState   *state = allocate_state(ecs_state_size(form, precision, log2_size));

	ecs_state_init(state, form, ECS_ULL, precision, log2_size);
	return state;
}

EcsState *
ecs_state_of_view(const EcsView *view)
{
	return ecs_state_merge(ecs_state_create(view->form, view->precision, view->tokens), view);
}

static EcsState *
grow(EcsState *state)
{
	EcsState   *larger = allocate_state(ecs_state_grown_size(state));

	ecs_state_grow(larger, state);
	return larger;
}

EcsState *
ecs_state_enlarge(EcsState *state, uint32 token)
{
	state = grow(state);
	(void) ecs_state_add(state, token);
	return state;
}

static EcsState *
fit(EcsState *state, int precision, EcsFlavour flavour, EcsForm form)
{
	EcsState   *registers;

	if (ecs_state_fit(state, precision, flavour, form))
		return state;
	registers = allocate_state(ecs_state_size(ECS_REGISTERS, state->precision, 0));
	ecs_state_to_registers(registers, state);
	(void) ecs_state_fit(registers, precision, flavour, form);
	return registers;
}

EcsState *
ecs_state_reduce(EcsState *state, int precision)
{
	return fit(state, precision, ECS_ULL, ECS_TOKENS);
}

EcsState *
ecs_state_merge(EcsState *state, const EcsView *view)
{
	uint32		i;

	state = fit(state, view->precision, view->flavour, view->form);
	if (view->form == ECS_REGISTERS)
	{
		ecs_state_merge_registers(state, view);
		return state;
	}
	for (i = 0; i < view->tokens; i++)
		if (view->token[i] != 0)
			state = ecs_state_with(state, view->token[i]);
	return state;
}

int
ecs_check_precision(int precision)
{
	if (precision < ECS_SKETCH_MIN_PRECISION || precision > ECS_SKETCH_MAX_PRECISION)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("precision of a sketch must be between %d and %d, not %d",
						ECS_SKETCH_MIN_PRECISION, ECS_SKETCH_MAX_PRECISION, precision)));
	return precision;
}
