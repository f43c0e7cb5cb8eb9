/*
 * cell.h
 *		What moved at a moment: the unit that a ledger keeps, sorts and adds up.
 */
#ifndef ECS_CELL_H
#define ECS_CELL_H

#include "common/int.h"
#include "datatype/timestamp.h"
#include "utils/date.h"
#include "utils/numeric.h"

#include "base/compat.h"

/*
 * When a movement took place, as one integer that sorts as the moments do: the
 * local day, then the instant within it, then whether it is a count, since a
 * count includes what happened at the same instant.  The instant is told from
 * midnight UTC of the date of the local day, shifted so that it is never
 * negative in any time zone, in 38 bits; a ledger without counts leaves it
 * out, so that all movements of a day are equal.
 */
#define ECS_AT_DAY_SHIFT	39
#define ECS_AT_COUNTED		INT64CONST(1)
#define ECS_AT_ZONE_SHIFT	(16 * USECS_PER_HOUR)
#define ECS_AT_MAX_DAY		((1 << (63 - ECS_AT_DAY_SHIFT)) - 1)
#define ECS_AT_DAY(at)		((DateADT) ((at) >> ECS_AT_DAY_SHIFT))

/* A quantity is an int64, or in a ledger of numerics the address of one */
typedef struct EcsCell
{
	int64		at;
	int64		quantity;
} EcsCell;

#define EcsNumber(quantity)	DatumGetNumeric((Datum) (quantity))

/*
 * Where the moments are days and the quantities small, a cell is kept in one
 * integer: the room of the instant holds the quantity, less the least one.
 */
#define ECS_NARROW_MASK		((INT64CONST(1) << ECS_AT_DAY_SHIFT) - 1)
#define ECS_NARROW_LEAST	(-(INT64CONST(1) << (ECS_AT_DAY_SHIFT - 1)))

static inline bool
ecs_is_narrow(EcsCell cell)
{
	return (cell.at & ECS_NARROW_MASK) == 0 &&
		(uint64) cell.quantity - (uint64) ECS_NARROW_LEAST <= (uint64) ECS_NARROW_MASK;
}

static inline int64
ecs_narrow(EcsCell cell)
{
	return cell.at + (cell.quantity - ECS_NARROW_LEAST);
}

static inline EcsCell
ecs_widen(int64 narrow)
{
	EcsCell		cell = {narrow & ~ECS_NARROW_MASK, (narrow & ECS_NARROW_MASK) + ECS_NARROW_LEAST};

	return cell;
}

/* In order of time */
extern void ecs_cells_sort(EcsCell *cells, Size n);

/*
 * The level after a cell; "again" where a count at the same instant set the
 * level before.  Of several counts at one instant the largest is taken, so that
 * their order does not matter.  The result of the second function lives in the
 * current memory context.
 */
pg_noreturn extern void ecs_report_stock_overflow(void);
extern int64 ecs_apply_numeric_cell(int64 level, EcsCell cell, bool again);

static inline int64
ecs_apply_cell(int64 level, EcsCell cell, bool again)
{
	if (cell.at & ECS_AT_COUNTED)
		return again ? Max(level, cell.quantity) : cell.quantity;
	if (unlikely(pg_add_s64_overflow(level, cell.quantity, &level)))
		ecs_report_stock_overflow();
	return level;
}

#endif							/* ECS_CELL_H */
