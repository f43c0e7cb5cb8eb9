/*
 * result.h
 *		The rows that a ledger returns, in the caller's row type.
 *
 * The row type decides how many columns the key has: what is left of
 *
 *		key columns, day, change, balance [, counted]		of stock_ledger()
 *		day, key columns, quantity							of stock_snapshots()
 */
#ifndef ECS_RESULT_H
#define ECS_RESULT_H

#include "fmgr.h"
#include "access/htup.h"
#include "access/tupdesc.h"

#include "stock/ledger.h"

#define ECS_RESULT_COLUMNS	(ECS_KEY_COLUMNS + 4)

typedef struct EcsResult
{
	TupleDesc	desc;
	bool		is_numeric;		/* so are the quantities of the rows */

	/* the live columns: all, and those of one meaning; -1 where there is none */
	int			ncolumns;
	int			attributes[ECS_RESULT_COLUMNS];
	Oid			types[ECS_RESULT_COLUMNS];
	int			nkeys;
	int			key;
	int			day;
	int			change;
	int			balance;
	int			counted;

	/*
	 * a tuple that is filled in for each row, or NULL, and where its columns
	 * are
	 */
	HeapTupleHeader tuple;
	Datum		tuple_datum;
	char	   *fields[ECS_RESULT_COLUMNS];
	int			widths[ECS_RESULT_COLUMNS];
} EcsResult;

/* Learns the shape from the call; errors where it will not do */
extern void ecs_result_init(EcsResult *result, FunctionCallInfo fcinfo, bool snapshots);

/* Is told the type of the quantities, and errors where the columns cannot hold them */
extern void ecs_result_set_numeric(EcsResult *result, bool is_numeric);

/* A row as a composite value, which may be the same one with other contents each time */
extern Datum ecs_result_row(EcsResult *result, const EcsLedgerRow *row);

/* Types that a quantity can have */
extern bool ecs_is_quantity(Oid type);

#endif							/* ECS_RESULT_H */
