/*
 * kept.h
 *		Days of users from a table with one activity per user.
 */
#ifndef ECS_GROWTH_KEPT_H
#define ECS_GROWTH_KEPT_H

#include "growth/reader.h"

/* Read all rows of a query, and tell the user of each */
extern void ecs_scan_kept(EcsScan *scan, const char *query);

#endif							/* ECS_GROWTH_KEPT_H */
