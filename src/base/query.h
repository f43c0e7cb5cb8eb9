/*
 * query.h
 *		Run a query once and hand each of its rows to a function.
 */
#ifndef ECS_QUERY_H
#define ECS_QUERY_H

#include "access/attnum.h"
#include "access/htup_details.h"
#include "access/tupmacs.h"
#include "executor/tuptable.h"
#include "nodes/params.h"

#include "base/compat.h"

/*
 * What becomes of the rows.  "start", if not NULL, is told their shape before the
 * first one; "row" is called in a memory context that is emptied before the next row, so
 * whatever it keeps it allocates in a context of its own.
 */
typedef struct EcsRowSink
{
	void		(*start) (TupleDesc desc, void *state);
	void		(*row) (TupleTableSlot *slot, void *state);
	void	   *state;
} EcsRowSink;

/*
 * Runs inside an SPI connection of the caller's.  The rows never pass through
 * a tuplestore or an SPI_tuptable, so memory does not grow with their number,
 * and no cursor stands between the scan and the function (which costs 1.6 to
 * 2.0 times as much).  Returns the number of rows.
 */
extern uint64 ecs_for_each_row(const char *query, ParamListInfo params, const EcsRowSink *sink);

/*
 * Whether a query for some columns of all rows of a relation had better be
 * SELECT *: the executor then hands on rows as they are stored and forms no
 * others, which spares a tenth of the scan.
 */
extern bool ecs_whole_rows_pay(Oid relation, const AttrNumber *columns, int ncolumns);

/*
 * slot_getattr() of a column from 0 on, for rows of which few are wanted: of a stored
 * row without nulls, before a column of variable length, no other column is looked at.
 */
static inline Datum
ecs_row_value(TupleTableSlot *slot, int place, bool *isnull)
{
	if (TTS_IS_BUFFERTUPLE(slot))
	{
		HeapTupleHeader row = ((HeapTupleTableSlot *) slot)->tuple->t_data;
		EcsColumn	column = TupleDescCompactAttr(slot->tts_tupleDescriptor, place);

		if (!(row->t_infomask & HEAP_HASNULL) && column->attcacheoff >= 0 && place < HeapTupleHeaderGetNatts(row))
		{
			*isnull = false;
			return fetchatt(column, (char *) row + row->t_hoff + column->attcacheoff);
		}
	}
	return slot_getattr(slot, place + 1, isnull);
}

#endif							/* ECS_QUERY_H */
