/*
 * sketch.c
 *		libFuzzer harness of the sketch's codec, estimator and hll import.
 *		Run by test/tools/fuzz-sketch.
 *
 * The first byte chooses what the rest is: an hll, or two sketches, the first of
 * which has the length that the next two bytes tell.  What can be read must have
 * a canonical form that reads back as itself, an estimate that is a number, and
 * a union that commutes.
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sketch/codec.h"
#include "sketch/estimate.h"
#include "sketch/hash.h"
#include "sketch/hll_format.h"

typedef struct Sketch
{
	uint8_t    *bytes;
	size_t		len;
} Sketch;

static void *
allocate(size_t size)
{
	void	   *memory = malloc(size);

	assert(memory != NULL);
	return memory;
}

/* A copy without a byte to spare, so that every over-read is seen */
static Sketch
copy_bytes(const uint8_t *bytes, size_t len)
{
	Sketch		copy = {allocate(len > 0 ? len : 1), len};

	if (len > 0)
		memcpy(copy.bytes, bytes, len);
	return copy;
}

static Sketch
encode(const EcsView *view)
{
	uint8_t    *room = allocate(ecs_encode_bound(view));
	uint32_t   *sorted = allocate(sizeof(uint32_t) * (view->tokens + 1));
	Sketch		sketch = copy_bytes(room, ecs_sketch_encode(view, sorted, room));

	free(room);
	free(sorted);
	return sketch;
}

static EcsState *
add_to_state(EcsState *state, uint32_t token)
{
	while (!ecs_state_add(state, token))
	{
		EcsState   *larger = allocate(ecs_state_grown_size(state));

		ecs_state_grow(larger, state);
		free(state);
		state = larger;
	}
	return state;
}

static EcsState *
to_registers(EcsState *state)
{
	EcsState   *registers = allocate(ecs_state_size(ECS_REGISTERS, state->precision, 0));

	ecs_state_to_registers(registers, state);
	free(state);
	return registers;
}

/* With nothing that waits, and no narrow registers */
static EcsState *
settle(EcsState *state)
{
	if (state->form == ECS_NARROW)
		return to_registers(state);
	ecs_state_settle(state);
	return state;
}

static EcsState *
merge(EcsState *state, const EcsView *view)
{
	uint32_t	i;

	if (!ecs_state_fit(state, view->precision, view->flavour, view->form))
	{
		state = to_registers(state);
		assert(ecs_state_fit(state, view->precision, view->flavour, view->form));
	}
	if (view->form == ECS_REGISTERS)
		ecs_state_merge_registers(state, view);
	else
		for (i = 0; i < view->tokens; i++)
			if (view->token[i] != 0)
				state = add_to_state(state, view->token[i]);
	return state;
}

/* The working form, NULL unless the bytes are a sketch */
static EcsState *
read_state(const Sketch *sketch)
{
	EcsState   *state = NULL;
	EcsView		view;
	uint32_t   *scratch;
	float		stored;

	if (ecs_sketch_read_header(sketch->bytes, sketch->len, &view) != NULL)
		return NULL;
	scratch = allocate(ecs_scratch_size(view.precision));
	if (ecs_sketch_read_count(sketch->bytes, sketch->len, &stored) == NULL)
		assert(stored >= 0);
	if (ecs_sketch_decode(sketch->bytes, sketch->len, scratch, &view) == NULL)
	{
		double		count;

		/* estimates must stand what the check refuses: storage may be damaged */
		count = ecs_sketch_estimate(&view).count;
		assert(!isnan(count));
		if (ecs_view_check(&view) == NULL)
		{
			int			log2_size = ecs_log2_size(view.tokens);

			state = allocate(ecs_state_size(view.form, view.precision, log2_size));
			ecs_state_init(state, view.form, ECS_ULL, view.precision, log2_size);
			state = merge(state, &view);
		}
	}
	free(scratch);
	return state;
}

/* The first bytes of what is written tell the estimate of what was written */
static Sketch
write_state(const EcsState *state)
{
	EcsView		view;
	Sketch		sketch;
	Sketch		head;
	float		stored;

	ecs_state_view(state, &view);
	sketch = encode(&view);
	head = copy_bytes(sketch.bytes, sketch.len < ECS_SKETCH_COUNT_BYTES ? sketch.len : ECS_SKETCH_COUNT_BYTES);
	assert(ecs_sketch_read_count(head.bytes, head.len, &stored) == NULL);
	assert(stored == ecs_sketch_estimate(&view).count);
	free(head.bytes);
	return sketch;
}

static int
equal(const Sketch *a, const Sketch *b)
{
	return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

/* The canonical form, empty unless the bytes are a sketch */
static Sketch
normalize(const Sketch *sketch)
{
	EcsState   *state = read_state(sketch);
	Sketch		canonical = {NULL, 0};

	if (state != NULL)
	{
		state = settle(state);
		canonical = write_state(state);
	}
	free(state);
	return canonical;
}

static Sketch
unite(const Sketch *a, const Sketch *b)
{
	EcsState   *state = read_state(a);
	EcsState   *other = read_state(b);
	EcsView		view;
	Sketch		result;

	other = settle(other);
	ecs_state_view(other, &view);
	state = settle(merge(state, &view));
	result = write_state(state);
	free(state);
	free(other);
	return result;
}

static void
try_sketches(const uint8_t *data, size_t size)
{
	size_t		first = size >= 2 ? (data[0] | data[1] << 8) % (size - 1) : 0;
	Sketch		part[2] = {copy_bytes(data + (size >= 2 ? 2 : 0), first), {NULL, 0}};
	Sketch		canonical[2];
	int			i;

	part[1] = copy_bytes(data + (size >= 2 ? 2 : 0) + first, size >= 2 ? size - 2 - first : size);
	for (i = 0; i < 2; i++)
	{
		canonical[i] = normalize(&part[i]);
		if (canonical[i].bytes != NULL)
		{
			Sketch		again = normalize(&canonical[i]);

			assert(equal(&canonical[i], &again));
			free(again.bytes);
		}
	}
	if (canonical[0].bytes != NULL && canonical[1].bytes != NULL)
	{
		Sketch		ab = unite(&part[0], &part[1]);
		Sketch		ba = unite(&canonical[1], &canonical[0]);
		Sketch		aba = unite(&ab, &part[0]);

		assert(equal(&ab, &ba) && equal(&ab, &aba));
		free(ab.bytes);
		free(ba.bytes);
		free(aba.bytes);
	}
	for (i = 0; i < 2; i++)
	{
		free(part[i].bytes);
		free(canonical[i].bytes);
	}
}

static void
try_hll(const uint8_t *data, size_t size)
{
	Sketch		hll = copy_bytes(data, size);
	EcsHllHeader header;
	uint8_t    *registers;

	if (ecs_hll_read_header(hll.bytes, hll.len, &header) == NULL)
	{
		size_t		m = (size_t) 1 << header.log2m;

		registers = allocate(m);
		if (header.type >= ECS_HLL_SPARSE &&
			ecs_hll_read_registers(hll.bytes + ECS_HLL_HEADER, hll.len - ECS_HLL_HEADER, &header, registers) == NULL)
		{
			EcsView		view = {.precision = header.log2m, .flavour = ECS_HLL, .form = ECS_REGISTERS, .registers = registers};
			uint8_t    *room = allocate(ecs_hll_bound(&header));
			uint8_t    *again = allocate(m);
			size_t		len = ecs_hll_write(registers, &header, room);

			assert(ecs_view_check(&view) == NULL && !isnan(ecs_sketch_estimate(&view).count));
			assert(ecs_hll_read_header(room, len, &header) == NULL);
			if (header.type == ECS_HLL_EMPTY)
				memset(again, 0, m);
			else
				assert(ecs_hll_read_registers(room + ECS_HLL_HEADER, len - ECS_HLL_HEADER, &header, again) == NULL);
			assert(memcmp(registers, again, m) == 0);
			free(room);
			free(again);
		}
		free(registers);
	}
	free(hll.bytes);
}

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 0 && (data[0] & 1) == 0)
		try_sketches(data + 1, size - 1);
	else if (size > 0)
		try_hll(data + 1, size - 1);
	return 0;
}

#ifdef SEEDS
#include <stdio.h>

/* Sketches of every form and both flavours to begin with */
int
main(int argc, char **argv)
{
	static const int sizes[] = {0, 1, 10, 100, 1000, 20000, 1000000};
	int			p;
	size_t		n;
	int			hll;

	for (p = ECS_SKETCH_MIN_PRECISION; argc == 2 && p <= 12; p += 2)
		for (n = 0; n < sizeof(sizes) / sizeof(sizes[0]); n++)
			for (hll = 0; hll < 2; hll++)
			{
				EcsState   *state = allocate(ecs_state_size(ECS_TOKENS, p, ECS_MIN_LOG2_SIZE));
				EcsHllHeader header = {ECS_HLL_FULL, p, 5, 63, n % 2};
				Sketch		sketch;
				uint8_t    *out = allocate(ecs_hll_bound(&header));
				size_t		len;
				char		name[1024];
				FILE	   *file;
				int			i;

				ecs_state_init(state, ECS_TOKENS, ECS_ULL, p, ECS_MIN_LOG2_SIZE);
				for (i = 0; i < sizes[n]; i++)
					state = add_to_state(state, ecs_token_of_hash(ecs_hash_int64(i)));
				if (hll && !ecs_state_fit(state, p, ECS_HLL, ECS_REGISTERS))
				{
					state = to_registers(state);
					ecs_state_fit(state, p, ECS_HLL, ECS_REGISTERS);
				}
				state = settle(state);
				sketch = write_state(state);
				snprintf(name, sizeof(name), "%s/sketch_%d_%zu_%d", argv[1], p, n, hll);
				file = fopen(name, "wb");
				assert(file != NULL);
				fprintf(file, "%c%c%c", 0, (int) (sketch.len & 255), (int) (sketch.len >> 8));
				fwrite(sketch.bytes, 1, sketch.len, file);
				fwrite(sketch.bytes, 1, sketch.len, file);
				fclose(file);
				if (hll)
				{
					snprintf(name, sizeof(name), "%s/hll_%d_%zu", argv[1], p, n);
					file = fopen(name, "wb");
					assert(file != NULL);
					len = ecs_hll_write(ecs_state_registers(state)->reg, &header, out);
					fprintf(file, "%c", 1);
					fwrite(out, 1, len, file);
					fclose(file);
				}
				free(sketch.bytes);
				free(state);
				free(out);
			}
	return 0;
}
#endif
