/*
 * module.c
 *		The shared library as the server sees it: magic block and _PG_init().
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/guc.h"

#include "base/compat.h"
#include "scd2/scd2.h"

PG_MODULE_MAGIC_EXT(
					.name = "ecomsocial",
					.version = ECS_VERSION
);

void		_PG_init(void);

void
_PG_init(void)
{
	ecs_scd2_init();
	MarkGUCPrefixReserved("ecomsocial");
}
