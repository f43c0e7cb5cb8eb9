/*
 * spill.c
 *		Records that wait in temporary files, divided by hash.
 *
 * As in the executor's hash aggregation: a table that has become full keeps the
 * keys it has, and records of other keys go to ECS_SPILL_FILES files by hash.
 * When the stream has ended, each file is read as the stream was, with other bits
 * of the hash choosing among files of its own.  Every pass disposes of as many
 * keys as fit, so this ends whatever the hash function is like.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/compat.h"
#include "growth/hash.h"
#include "growth/spill.h"

typedef struct Partition
{
	BufFile    *file;
	int			depth;			/* of the records in it */
} Partition;

void
ecs_spill_init(EcsSpill *spill, MemoryContext context)
{
	memset(spill, 0, sizeof(EcsSpill));
	spill->context = context;
}

BufFile *
ecs_spill_file(EcsSpill *spill, uint64 hash)
{
	/* bits of the hash that no other depth and no table goes by */
	int			part = ecs_mix(hash + spill->depth + 1) >> (64 - ECS_SPILL_BITS);

	if (spill->files[part] == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(spill->context);

		spill->files[part] = BufFileCreateTemp(false);
		MemoryContextSwitchTo(old);
	}
	return spill->files[part];
}

/* The files that were written become partitions to be read */
static void
close_files(EcsSpill *spill)
{
	MemoryContext old = MemoryContextSwitchTo(spill->context);
	int			part;

	for (part = 0; part < ECS_SPILL_FILES; part++)
	{
		Partition  *partition;

		if (spill->files[part] == NULL)
			continue;
		partition = palloc(sizeof(Partition));
		partition->file = spill->files[part];
		partition->depth = spill->depth + 1;
		spill->pending = lappend(spill->pending, partition);
		spill->files[part] = NULL;
	}
	MemoryContextSwitchTo(old);
}

BufFile *
ecs_spill_next(EcsSpill *spill)
{
	Partition  *partition;
	BufFile    *file;

	close_files(spill);
	if (spill->pending == NIL)
		return NULL;

	/* the last first, so that few files are open */
	partition = llast(spill->pending);
	spill->pending = list_delete_last(spill->pending);
	spill->depth = partition->depth;
	file = partition->file;
	pfree(partition);
	if (BufFileSeek(file, 0, 0, SEEK_SET) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not rewind temporary file")));
	return file;
}

bool
ecs_spill_read(BufFile *file, void *record, Size size)
{
	Size		got = BufFileRead(file, record, size);

	if (got != 0 && got != size)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read from temporary file: unexpected end of file")));
	return got != 0;
}
