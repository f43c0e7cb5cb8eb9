/*
 * compat.h
 *		Every difference between PostgreSQL 15, 16, 17 and 18 that we meet.
 *
 * Code elsewhere is written for the newest server; this header makes the older
 * ones look like it.  No other file tests PG_VERSION_NUM.
 */
#ifndef ECS_COMPAT_H
#define ECS_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "ecomsocial needs PostgreSQL 15 or later"
#endif

/* 18 lets a module tell its name and version */
#if PG_VERSION_NUM < 180000
#define PG_MODULE_MAGIC_EXT(...) PG_MODULE_MAGIC
#endif

#endif							/* ECS_COMPAT_H */
