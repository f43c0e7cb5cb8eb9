/*
 * spill.h
 *		Records that wait in temporary files, divided by hash.
 */
#ifndef ECS_SPILL_H
#define ECS_SPILL_H

#include "nodes/pg_list.h"
#include "storage/buffile.h"

#define ECS_SPILL_BITS	5
#define ECS_SPILL_FILES	(1 << ECS_SPILL_BITS)

typedef struct EcsSpill
{
	MemoryContext context;
	int			depth;			/* how often what comes in now was written */
	BufFile    *files[ECS_SPILL_FILES]; /* being written; NULL: none yet */
	List	   *pending;		/* of partitions to be read */
} EcsSpill;

extern void ecs_spill_init(EcsSpill *spill, MemoryContext context);

/* The file to write the record of a key to, by the key's hash */
extern BufFile *ecs_spill_file(EcsSpill *spill, uint64 hash);

/*
 * A file to read next and to close, or NULL when there is none.  Whatever is
 * written from then on is a part of it.
 */
extern BufFile *ecs_spill_next(EcsSpill *spill);

/* Whether there was another record, of so many bytes; what follows its first part is BufFileReadExact's */
extern bool ecs_spill_read(BufFile *file, void *record, Size size);

#endif							/* ECS_SPILL_H */
