/*
 * relation.h
 *		A relation, known by its OID.
 */
#ifndef ECS_RELATION_H
#define ECS_RELATION_H

/* The extension's schema, fixed in its control file, and a table in it; InvalidOid where it is gone */
#define ECS_SCHEMA	"ecomsocial"

extern Oid	ecs_extension_table(const char *name);

/* Its owner; 42P01 where it is gone */
extern Oid	ecs_relation_owner(Oid relid);

/* Its name with its schema, quoted for SQL; the OID where it is gone, as regclass prints it */
extern char *ecs_relation_name(Oid relid);

#endif							/* ECS_RELATION_H */
