/*
 * ledger.h
 *		Running balances of signed movements, per key and day.
 *
 * A ledger is filled with movements in any order by ecs_ledger_add(), closed by
 * ecs_ledger_finish(), and then read once, in the order of key and day.
 * ledger.c describes the method, run.c what happens beyond work_mem.
 */
#ifndef ECS_LEDGER_H
#define ECS_LEDGER_H

#include "lib/binaryheap.h"
#include "storage/buffile.h"
#include "utils/date.h"
#include "utils/sortsupport.h"
#include "utils/typcache.h"

#define ECS_LEDGER_KEYS		4

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

#define CellNumeric(quantity)	DatumGetNumeric((Datum) (quantity))

/* Where a key's state is kept; its values follow */
typedef struct EcsKey
{
	EcsCell		open;			/* the cell that is still added to */
	uint32		cells;			/* how many there are, the open one included */
	uint32		nulls;			/* a bit for each column that is NULL */
	Datum		values[FLEXIBLE_ARRAY_MEMBER];
} EcsKey;

/* A slot of the hash table; id counts keys from 1, and 0 is an empty slot */
typedef struct EcsKeySlot
{
	uint32		hash;
	uint32		id;
} EcsKeySlot;

/* A piece of the log of closed cells: ids[], then cells[] */
typedef struct EcsLogChunk
{
	struct EcsLogChunk *next;
	uint32		used;
	uint32	   *ids;
	EcsCell    *cells;
} EcsLogChunk;

/* A movement on its way into the table, while the processor fetches its key */
typedef struct EcsPending
{
	Datum		values[ECS_LEDGER_KEYS];
	EcsCell		cell;
	uint32		hash;
} EcsPending;

#define ECS_PENDING			32	/* a power of 2 */

/* One column of the key */
typedef struct EcsKeyColumn
{
	Oid			type;
	Oid			collation;
	int16		typlen;
	bool		typbyval;
	TypeCacheEntry *cache;
	SortSupportData sort;
} EcsKeyColumn;

/* A sorted run of cells in a temporary file, being read back */
typedef struct EcsRun
{
	BufFile    *file;
	MemoryContext context;		/* of the values below, or NULL when they need
								 * none */
	uint64		groups;			/* that follow */
	uint32		left;			/* cells of this group that follow */
	uint32		nulls;
	Datum		values[ECS_LEDGER_KEYS];
	EcsCell		cell;
} EcsRun;

typedef struct EcsLedger
{
	/* what it is */
	int			nkeys;
	bool		plain;			/* all key columns are equal and sort as
								 * integers do */
	bool numeric;
	bool		timed;			/* cells are moments, not days */
	EcsKeyColumn columns[ECS_LEDGER_KEYS];
	MemoryContext context;		/* for what lives as long as the ledger */

	/* the table of keys and the log, emptied when a run is written */
	MemoryContext run_context;
	EcsKeySlot *slots;
	uint32		mask;
	char	   *keys;
	void	   *keys_memory;	/* where they were allocated */
	Size		stride;
	uint32		used_keys;
	uint32		max_keys;
	EcsLogChunk *first_chunk;
	EcsLogChunk *last_chunk;
	uint32		chunk_cells;
	uint64		cells;
	Size		memory;			/* taken, with what sorting will take */
	Size		limit;
	EcsPending	pending[ECS_PENDING];
	uint64		npending;

	/*
	 * sorted: the ids of the keys, where the cells of each end (by id), the
	 * cells
	 */
	uint32	   *order;
	uint64	   *ends;
	EcsCell    *sorted;

	/* runs, where memory did not suffice */
	EcsRun	   *runs;
	int			nruns;
	int			max_runs;
	binaryheap *heap;
	bool		top_is_taken;	/* the first run in the heap gave the last
								 * cell */
	MemoryContext merge_context;	/* of the key being read */

	/* reading */
	uint32		at_key;			/* index into order */
	uint64		at_cell;		/* the next cell in sorted */
	uint64		end_of_key;
	bool		has_next;
	bool		next_is_new_key;
	EcsCell		next;
	const Datum *next_values;
	uint32		next_nulls;
	Datum		merged_values[ECS_LEDGER_KEYS];
	uint32		merged_nulls;
	bool		has_merged_key;
	int64		balance;

	/* dense reading, see ecs_ledger_dense() */
	struct EcsDense *dense;
} EcsLedger;

/* One line: what became of a key on a day */
typedef struct EcsLedgerRow
{
	const Datum *values;		/* of the key, valid until the next row */
	uint32		nulls;
	DateADT		day;
	bool		counted;		/* a count set the balance on this day */
	bool		new_key;		/* the first line of its key */
	int64		change;			/* a numeric's address lives in the current
								 * context */
	int64		balance;
} EcsLedgerRow;

/*
 * Makes an empty ledger in the current memory context for keys of the given
 * types; "timed" where there are counts.
 */
extern EcsLedger *ecs_ledger_create(int nkeys, const Oid *types, const Oid *collations,
									bool numeric, bool timed, Size limit);

/* Adds a movement; nulls has a bit for each key column that is NULL */
extern void ecs_ledger_add(EcsLedger *ledger, const Datum *values, uint32 nulls,
						   int64 at, Datum quantity);

extern void ecs_ledger_finish(EcsLedger *ledger);
extern bool ecs_ledger_next(EcsLedger *ledger, EcsLedgerRow *row);

/*
 * Instead of the lines, the balance of every key on each of some days (sorted,
 * distinct), from its first line on: the days one after the other while the
 * ledger fits in memory, the keys one after the other where it does not.  Each
 * row is told by its day, key and balance.
 */
extern void ecs_ledger_dense(EcsLedger *ledger, const DateADT *days, int ndays);
extern bool ecs_ledger_dense_next(EcsLedger *ledger, EcsLedgerRow *row);

/* Closes temporary files; memory goes with its context */
extern void ecs_ledger_end(EcsLedger *ledger);

/* Within the ledger: ledger.c */
extern void ecs_ledger_sort(EcsLedger *ledger);
extern void ecs_ledger_sort_cells(EcsCell *cells, Size n);
extern void ecs_ledger_reset_run(EcsLedger *ledger);
extern int	ecs_ledger_compare_keys(EcsLedger *ledger, const Datum *a, uint32 a_nulls,
									const Datum *b, uint32 b_nulls);

/* and run.c */
extern void ecs_ledger_write_run(EcsLedger *ledger);
extern void ecs_ledger_start_merge(EcsLedger *ledger);
extern bool ecs_ledger_merge_cell(EcsLedger *ledger);
extern void ecs_ledger_keep_merged_key(EcsLedger *ledger);

static inline EcsKey *
ecs_ledger_key(const EcsLedger *ledger, uint32 id)
{
	return (EcsKey *) (ledger->keys + (Size) (id - 1) * ledger->stride);
}

#endif							/* ECS_LEDGER_H */
