/*
 * leaf.h
 *		A leaf of a source: a table that holds its rows.
 */
#ifndef ECS_ROLLUP_LEAF_H
#define ECS_ROLLUP_LEAF_H

#include "rollup/rollup.h"

typedef struct EcsLeaf
{
	Oid			relid;
	Oid			file;			/* relfilenode: another one after TRUNCATE */
	int64		triggers;		/* fingerprint */
	bool		blind;			/* a trigger is missing or not ALWAYS */
	const char *hidden;			/* why triggers cannot help, or NULL */
	DateADT		from;			/* the bounds allow the days [from, until) */
	DateADT		until;
} EcsLeaf;

extern EcsLeaf *ecs_leaves_present(const EcsCapture *capture, int *count);
extern EcsLeaf *ecs_leaves_recorded(const EcsCapture *capture, int *count);
extern void ecs_leaf_record(const EcsCapture *capture, Oid relid, const EcsLeaf *now);

#endif							/* ECS_ROLLUP_LEAF_H */
