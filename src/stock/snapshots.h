/*
 * snapshots.h
 *		The balance of every key on each of some days.
 */
#ifndef ECS_SNAPSHOTS_H
#define ECS_SNAPSHOTS_H

#include "stock/ledger.h"

typedef struct EcsSnapshots EcsSnapshots;

/*
 * Reads a finished ledger for the balances on some days (sorted, distinct), of
 * each key from its first line on: the days one after the other while the
 * ledger fits in memory, the keys one after the other where it does not.  Each
 * row is told by its day, key and balance.
 */
extern EcsSnapshots *ecs_snapshots_create(EcsLedger *ledger, const DateADT *days, int ndays);
extern bool ecs_snapshots_next(EcsSnapshots *snapshots, EcsLedgerRow *row);

#endif							/* ECS_SNAPSHOTS_H */
