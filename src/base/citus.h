/*
 * citus.h
 *		What has to be known of tables that Citus manages.
 */
#ifndef ECS_CITUS_H
#define ECS_CITUS_H

/*
 * Whether Citus manages a table: its rows are in shards, tables of their own and
 * mostly on other nodes.  A trigger fires there, out of sight of the registry of
 * this node.
 */
extern bool ecs_is_distributed(Oid relid);

#endif							/* ECS_CITUS_H */
