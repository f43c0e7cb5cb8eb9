/*
 * events.h
 *		Days of users from events.
 */
#ifndef ECS_GROWTH_EVENTS_H
#define ECS_GROWTH_EVENTS_H

#include "nodes/params.h"

#include "growth/reader.h"

/* Read all rows of a query, and tell each user when they have been read */
extern void ecs_scan_events(EcsScan *scan, const char *query, ParamListInfo params);

#endif							/* ECS_GROWTH_EVENTS_H */
