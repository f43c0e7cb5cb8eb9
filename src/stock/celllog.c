/*
 * celllog.c
 *		A log of the cells of many keys, in pieces of one size.
 *
 * The order of the pieces is found by counting (D. E. Knuth, The Art of Computer
 * Programming, volume 3, section 5.2, algorithm D).
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/memory.h"
#include "stock/celllog.h"

#define LEAST_SHIFT		4
#define MOST_SHIFT		18
#define FIRST_BLOCKS	16		/* that the array has room for */

/* How early the processor is asked for what is reached at random */
#define PIECES_AHEAD	16

void
ecs_log_init(EcsCellLog *log, uint32 size, Size limit, MemoryContext context)
{
	log->context = context;
	log->size = size;
	log->used = 0;
	log->shift = LEAST_SHIFT;
	while (log->shift < MOST_SHIFT && ((size * sizeof(int64)) << (log->shift + 1)) <= limit)
		log->shift++;
	log->nblocks = FIRST_BLOCKS;
	log->blocks = MemoryContextAlloc(context, FIRST_BLOCKS * sizeof(EcsLogBlock));
}

/* For the piece that is appended next */
void
ecs_log_add_block(EcsCellLog *log)
{
	uint32		i = log->used >> log->shift;
	Size		pieces = (Size) 1 << log->shift;
	EcsLogBlock *block;

	if (i == log->nblocks)
	{
		log->nblocks *= 2;
		log->blocks = repalloc_huge(log->blocks, log->nblocks * sizeof(EcsLogBlock));
	}
	block = &log->blocks[i];
	block->pieces = ecs_alloc_large(log->context, pieces * (log->size * sizeof(int64) + sizeof(uint32)));
	block->ids = (uint32 *) (block->pieces + pieces * log->size);
}

static inline uint32
key_of_piece(const EcsCellLog *log, uint32 i)
{
	return log->blocks[i >> log->shift].ids[i & (((uint32) 1 << log->shift) - 1)];
}

/* Count the pieces of each key, by its number */
static void
count_pieces(const EcsCellLog *log, uint32 *counts)
{
	for (uint32 i = 0; i < log->used; i++)
	{
		if (i + PIECES_AHEAD < log->used)
			ecs_prefetch_write(&counts[key_of_piece(log, i + PIECES_AHEAD) - 1]);
		counts[key_of_piece(log, i) - 1]++;
	}
}

/* Make of the counts where the pieces of each key begin, in the order of the keys */
static void
sum_counts(uint32 *counts, const uint32 *order, uint32 nkeys)
{
	uint32		start = 0;

	for (uint32 i = 0; i < nkeys; i++)
	{
		uint32		count = counts[order[i] - 1];

		if (i + PIECES_AHEAD < nkeys)
			ecs_prefetch_write(&counts[order[i + PIECES_AHEAD] - 1]);
		counts[order[i] - 1] = start;
		start += count;
	}
}

uint32 *
ecs_log_sort(const EcsCellLog *log, const uint32 *order, uint32 nkeys, uint32 *ends)
{
	uint32	   *sorted = ecs_alloc_large(log->context, (Size) Max(log->used, 1) * sizeof(uint32));

	memset(ends, 0, nkeys * sizeof(uint32));
	count_pieces(log, ends);
	CHECK_FOR_INTERRUPTS();
	sum_counts(ends, order, nkeys);
	for (uint32 i = 0; i < log->used; i++)
	{
		if (i + 2 * PIECES_AHEAD < log->used)
			ecs_prefetch_write(&ends[key_of_piece(log, i + 2 * PIECES_AHEAD) - 1]);
		if (i + PIECES_AHEAD < log->used)
			ecs_prefetch_write(&sorted[ends[key_of_piece(log, i + PIECES_AHEAD) - 1]]);
		sorted[ends[key_of_piece(log, i) - 1]++] = i;
	}
	return sorted;
}
