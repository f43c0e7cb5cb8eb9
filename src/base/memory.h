/*
 * memory.h
 *		Large allocations that are visited at random.
 */
#ifndef ECS_MEMORY_H
#define ECS_MEMORY_H

#include "utils/memutils.h"

#include "base/compat.h"

/*
 * Any number of bytes, to be freed by pfree.  Pages of 2 MB, where the system has
 * them for those who ask, spare most of the misses of the address cache and most
 * page faults.
 */
static inline void *
ecs_alloc_large(MemoryContext context, Size size)
{
	char	   *memory = MemoryContextAllocHuge(context, size);

	if (size >= ECS_HUGE_PAGE)
		ecs_advise_huge_pages(memory, memory + size);
	return memory;
}

#endif							/* ECS_MEMORY_H */
