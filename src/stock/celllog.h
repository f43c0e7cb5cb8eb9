/*
 * celllog.h
 *		A log of the cells of many keys, in pieces of one size.
 *
 * A piece holds cells of one key, in as many integers as an entry of the table of
 * keys has room for.  It is appended with the number of its key; in the end the
 * pieces are put in the order of the keys, without moving them.
 */
#ifndef ECS_CELLLOG_H
#define ECS_CELLLOG_H

#include "utils/palloc.h"

/* Memory of a number of pieces, a power of 2 */
typedef struct EcsLogBlock
{
	int64	   *pieces;
	uint32	   *ids;			/* of the key of each */
} EcsLogBlock;

typedef struct EcsCellLog
{
	MemoryContext context;
	uint32		size;			/* of a piece, in integers */
	uint32		used;			/* pieces */
	int			shift;			/* how many a block holds */
	uint32		nblocks;		/* that the array has room for */
	EcsLogBlock *blocks;
} EcsCellLog;

/* What a piece takes beyond its integers: its key, and its place in the order of the keys */
#define ECS_LOG_MEMORY	(2 * sizeof(uint32))

/* Everything is allocated in the context, which the caller empties; a block should take no more than a limit */
extern void ecs_log_init(EcsCellLog *log, uint32 size, Size limit, MemoryContext context);

extern void ecs_log_add_block(EcsCellLog *log);

/*
 * The numbers of the pieces by the keys in their order; for each key by its
 * number, where its pieces end is stored into "ends".
 */
extern uint32 *ecs_log_sort(const EcsCellLog *log, const uint32 *order, uint32 nkeys, uint32 *ends);

static inline int64 *
ecs_log_piece(const EcsCellLog *log, uint32 i)
{
	Size		in_block = i & (((uint32) 1 << log->shift) - 1);

	return log->blocks[i >> log->shift].pieces + in_block * log->size;
}

static inline void
ecs_log_append(EcsCellLog *log, uint32 id, const int64 *piece)
{
	uint32		i = log->used;
	uint32		in_block = i & (((uint32) 1 << log->shift) - 1);

	if (unlikely(in_block == 0))
		ecs_log_add_block(log);
	log->blocks[i >> log->shift].ids[in_block] = id;
	memcpy(ecs_log_piece(log, i), piece, log->size * sizeof(int64));
	log->used++;
}

#endif							/* ECS_CELLLOG_H */
