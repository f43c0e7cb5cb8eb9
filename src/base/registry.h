/*
 * registry.h
 *		Who owns what the registry tables name.
 */
#ifndef ECS_REGISTRY_H
#define ECS_REGISTRY_H

/* The owner of a relation; 42P01 where it is gone */
extern Oid	ecs_relation_owner(Oid relid);

#endif							/* ECS_REGISTRY_H */
