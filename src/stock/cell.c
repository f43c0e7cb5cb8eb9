/*
 * cell.c
 *		What moved at a moment: the unit that a ledger keeps, sorts and adds up.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "stock/cell.h"

/* Up to this length cells are put in order by insertion */
#define INSERTION_LENGTH	48

/* Knows sorted input, as qsort() does; but one key may have all the cells there are */
#define ST_SORT sort_cells
#define ST_ELEMENT_TYPE EcsCell
#define ST_COMPARE(a, b) (((a)->at > (b)->at) - ((a)->at < (b)->at))
#define ST_CHECK_FOR_INTERRUPTS
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

void
ecs_cells_sort(EcsCell *cells, Size n)
{
	if (n > INSERTION_LENGTH)
	{
		sort_cells(cells, n);
		return;
	}
	for (Size i = 1; i < n; i++)
	{
		EcsCell		cell = cells[i];
		Size		to = i;

		while (to > 0 && cells[to - 1].at > cell.at)
		{
			cells[to] = cells[to - 1];
			to--;
		}
		cells[to] = cell;
	}
}

void
ecs_report_stock_overflow(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("stock balance out of range"),
			 errdetail("A sum of quantities leaves the range of type bigint."),
			 errhint("Cast the quantity to numeric.")));
}

int64
ecs_apply_numeric_cell(int64 level, EcsCell cell, bool again)
{
	Datum		quantity = (Datum) cell.quantity;

	if (!(cell.at & ECS_AT_COUNTED))
		return (int64) DirectFunctionCall2(numeric_add, (Datum) level, quantity);
	if (again)
		quantity = DirectFunctionCall2(numeric_larger, (Datum) level, quantity);
	return (int64) NumericGetDatum(DatumGetNumericCopy(quantity));
}
