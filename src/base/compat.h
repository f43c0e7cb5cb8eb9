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

/* 16 took the macros of variable-length values out of postgres.h */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 18 writes this before a function's return type */
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

/* 18 lets a module tell its name and version */
#if PG_VERSION_NUM < 180000
#define PG_MODULE_MAGIC_EXT(...) PG_MODULE_MAGIC
#endif

/* No server has this one */
#if defined(__GNUC__) || defined(__clang__)
#define ecs_prefetch(address)	__builtin_prefetch(address)
#define ecs_prefetch_write(address)	__builtin_prefetch(address, 1)
#else
#define ecs_prefetch(address)	((void) (address))
#define ecs_prefetch_write(address)	((void) (address))
#endif

/*
 * Large tables that are hit at random: with pages of 2 MB most of the cost of
 * translating addresses goes.  Systems other than Linux have no such advice.
 */
#ifdef __linux__
#include <sys/mman.h>
#endif
#ifdef MADV_HUGEPAGE
#define ECS_HUGE_PAGE			(2 * 1024 * 1024)
#define ecs_advise_huge_pages(from, until) \
	((void) madvise((void *) TYPEALIGN(ECS_HUGE_PAGE, from), \
					TYPEALIGN_DOWN(ECS_HUGE_PAGE, until) - TYPEALIGN(ECS_HUGE_PAGE, from), MADV_HUGEPAGE))
#else
#define ECS_HUGE_PAGE			PG_INT32_MAX
#define ecs_advise_huge_pages(from, until) ((void) (from), (void) (until))
#endif

/* Before 16 a short read of a temporary file was the caller's to notice */
#if PG_VERSION_NUM < 160000
#define BufFileReadExact(file, ptr, size) \
	do { \
		if (BufFileRead(file, ptr, size) != (size)) \
			ereport(ERROR, \
					(errcode_for_file_access(), \
					 errmsg("could not read from temporary file: unexpected end of file"))); \
	} while (0)
#endif

/* 18 asks whether a deferrable primary key will do */
#if PG_VERSION_NUM < 180000
#include "utils/relcache.h"
#define RelationGetPrimaryKeyIndex(relation, deferrable_ok) RelationGetPrimaryKeyIndex(relation)
#endif

/* 16 reports errors of time zone abbreviations otherwise; needs utils/datetime.h */
#if PG_VERSION_NUM >= 160000
#define ecs_decode_abbreviation(token, type, offset, tz) \
	do { \
		DateTimeErrorExtra extra_; \
		(void) DecodeTimezoneAbbrev(0, token, type, offset, tz, &extra_); \
	} while (0)
#else
#define ecs_decode_abbreviation(token, type, offset, tz) \
	(*(type) = DecodeTimezoneAbbrev(0, token, offset, tz))
#endif

/* 16 keeps values of settings in a memory context */
#if PG_VERSION_NUM < 160000
#define guc_malloc(elevel, size) malloc(size)
#define guc_free(pointer) free(pointer)
#endif

/* 16 renamed what says where a relation's files are */
#if PG_VERSION_NUM < 160000
#define rd_locator rd_node
#define RelFileLocator RelFileNode
#endif

/* 16 has one check of ownership for objects of every kind */
#if PG_VERSION_NUM < 160000
#define object_ownercheck(classid, objectid, roleid) \
	((classid) == ProcedureRelationId ? pg_proc_ownercheck(objectid, roleid) : pg_class_ownercheck(objectid, roleid))
#endif

/* 16 split the rights from the range table, 18 added two arguments; needs executor/executor.h */
#if PG_VERSION_NUM >= 180000
#define ecs_index_beginscan(rel, index, snapshot, nkeys) index_beginscan(rel, index, snapshot, NULL, nkeys, 0)
#define ecs_init_range_table(estate, rte, perminfos) ExecInitRangeTable(estate, list_make1(rte), perminfos, bms_make_singleton(1))
#else
#define ecs_index_beginscan(rel, index, snapshot, nkeys) index_beginscan(rel, index, snapshot, nkeys, 0)
#define ecs_init_range_table(estate, rte, perminfos) ExecInitRangeTable(estate, list_make1(rte), perminfos)
#endif
/* 16 tells whether only summarizing indexes need the row */
#if PG_VERSION_NUM >= 160000
#define ecs_insert_index_tuples(target, slot, estate) ExecInsertIndexTuples(target, slot, estate, false, false, NULL, NIL, false)
#else
#define ecs_insert_index_tuples(target, slot, estate) ExecInsertIndexTuples(target, slot, estate, false, false, NULL, NIL)
#endif

#if PG_VERSION_NUM < 160000
#undef ecs_init_range_table
#define ecs_init_range_table(estate, rte, perminfos) ((void) (perminfos), ExecInitRangeTable(estate, list_make1(rte)))
#define RTEPermissionInfo RangeTblEntry
#define addRTEPermissionInfo(perminfos, rte) ((void) (perminfos), (rte))
#define ecs_eval_plan_qual_init(epq, estate) EvalPlanQualInit(epq, estate, NULL, NIL, -1)
#else
#define ecs_eval_plan_qual_init(epq, estate) EvalPlanQualInit(epq, estate, NULL, NIL, -1, NIL)
#endif

/* 18 keeps beside the columns of a row what is needed to read them; needs access/tupdesc.h */
#if PG_VERSION_NUM >= 180000
typedef struct CompactAttribute *EcsColumn;
#else
typedef struct FormData_pg_attribute *EcsColumn;
#define TupleDescCompactAttr(desc, i)	TupleDescAttr(desc, i)
#endif

/* Until 18 the executor was told whether a query is run once; needs executor/executor.h */
#if PG_VERSION_NUM >= 180000
#define ecs_executor_run(desc)	ExecutorRun(desc, ForwardScanDirection, 0)
#else
#define ecs_executor_run(desc)	ExecutorRun(desc, ForwardScanDirection, 0, true)
#endif

#endif							/* ECS_COMPAT_H */
