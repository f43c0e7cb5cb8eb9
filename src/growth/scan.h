/*
 * scan.h
 *		Reading users and their days, as bits per user.
 */
#ifndef ECS_GROWTH_SCAN_H
#define ECS_GROWTH_SCAN_H

#include "growth/source.h"

/* Call a function with each user who was active before the window's end.  Inside SPI */
extern void ecs_source_scan(EcsSource *source, const EcsWindow *window, EcsUserFunction function, void *state);

#endif							/* ECS_GROWTH_SCAN_H */
