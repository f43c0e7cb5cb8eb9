/*
 * source.h
 *		The movements that a query returns.
 *
 * Its columns are the key, the time, the quantity, and optionally whether the
 * quantity is that of a stocktake.
 */
#ifndef ECS_SOURCE_H
#define ECS_SOURCE_H

#include "base/calendar.h"
#include "stock/result.h"

/* The key, time, quantity, stocktake */
#define ECS_SOURCE_COLUMNS	(ECS_KEY_COLUMNS + 3)

typedef struct EcsSource
{
	const char *query;
	int			ncolumns;		/* 0: all that the query returns, in turn */
	int			places[ECS_SOURCE_COLUMNS]; /* where its rows have them */
	const char *stocktake;		/* the value that tells one, or NULL: the
								 * column itself does */
} EcsSource;

/* The parts of a relation; type_column may be NULL */
extern EcsSource ecs_source_of_relation(Oid relation, List *columns, const char *type_column, const char *stocktake);

/*
 * Runs the query, and returns the ledger of its movements, whose days are those
 * of the zone; both live in the current memory context.  Errors where the
 * query's columns do not fit those of the result, which is told whether
 * quantities are numeric.
 */
extern EcsLedger *ecs_source_read(EcsSource *source, EcsZone *zone, EcsResult *result);

#endif							/* ECS_SOURCE_H */
