/*
 * function.h
 *		What several files of SQL functions on sketches need.
 */
#ifndef ECS_SKETCH_FUNCTION_H
#define ECS_SKETCH_FUNCTION_H

/* An estimate as a whole number; errors 22003 where it is infinite or does not fit */
extern int64 ecs_whole_count(double count);

#endif							/* ECS_SKETCH_FUNCTION_H */
