/*
 * request.h
 *		What rollup_create() was asked for, and whether it can be had.
 */
#ifndef ECS_ROLLUP_REQUEST_H
#define ECS_ROLLUP_REQUEST_H

#include "nodes/pg_list.h"

typedef struct EcsRequest
{
	char	   *schema;
	char	   *table;
	char	   *name;			/* both, quoted */
	Oid			existing;		/* the table where there is one already */
	List	   *sources;		/* of Oid */
	List	   *columns;		/* of char *, as long */
	Oid			time_type;		/* of all of them: date or timestamptz */
	const char *query;			/* one SELECT, without its semicolon; or NULL */
	List	   *outputs;		/* its TargetEntries */
	char		parallel;		/* what it may be a part of: as proparallel */
	char	   *handler;
	Oid			bucket;			/* a value of the enum */
	char	   *zone;
	char	   *bucket_column;
	List	   *key;			/* of char *, besides the bucket */
	bool		has_key;
	bool		nullable_key;
} EcsRequest;

/*
 * request.c: errors where the request cannot be had.  The sources come first:
 * they say of which type the query's parameters are.
 */
extern void ecs_check_source(EcsRequest *request, Oid source, const char *column);
extern void ecs_check_query(EcsRequest *request, const char *sql);
extern void ecs_check_target(const EcsRequest *request);

/* objects.c: what it is made of; function is the qualified name of the query's */
extern void ecs_create_table(const EcsRequest *request);
extern void ecs_create_query_function(const EcsRequest *request, const char *function);
extern void ecs_create_live_view(const EcsRequest *request, const char *function);

#endif							/* ECS_ROLLUP_REQUEST_H */
