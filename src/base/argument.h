/*
 * argument.h
 *		Arguments of functions that are not strict.
 */
#ifndef ECS_ARGUMENT_H
#define ECS_ARGUMENT_H

#include "fmgr.h"
#include "nodes/pg_list.h"

#include "base/compat.h"

/* An error where an argument, which goes by this name, is null */
extern void ecs_require_argument(FunctionCallInfo fcinfo, int n, const char *name);

/* The elements of an argument of type name[], as a List of char *; none may be null */
extern List *ecs_argument_names(FunctionCallInfo fcinfo, int n, const char *name);

/* An element of an array argument was null */
pg_noreturn extern void ecs_report_null_element(const char *name);

#endif							/* ECS_ARGUMENT_H */
