/*
 * request.c
 *		What a rollup may be made of: sources, query, and a table that is there.
 *
 * Everything is checked as the caller.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/citus.h"
#include "base/compat.h"
#include "rollup/request.h"
#include "rollup/rollup.h"

/* A source must not read, directly or through other rollups, the target */
static void
check_no_cycle(const EcsRequest *request, Oid source)
{
	Oid			types[] = {OIDOID, OIDOID};
	Datum		values[] = {ObjectIdGetDatum(source), ObjectIdGetDatum(request->existing)};

	if (OidIsValid(request->existing) &&
		ecs_registry_sql("WITH RECURSIVE reads(relid) AS (SELECT $1 UNION SELECT c.source::oid FROM reads "
						 "JOIN ecomsocial.rollups r ON r.target = reads.relid "
						 "JOIN ecomsocial.rollup_capture c ON c.capture = ANY (r.captures)) "
						 "SELECT FROM reads WHERE relid = $2", 2, types, values, NULL) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("rollup %s would read itself through %s", request->name, ecs_relation_name(source))));
}

/* A table and its partitions keep their rows in a crash */
void
ecs_check_permanent(Oid relid)
{
	ListCell   *cell;

	foreach(cell, find_all_inheritors(relid, NoLock, NULL))
	{
		if (get_rel_persistence(lfirst_oid(cell)) != RELPERSISTENCE_PERMANENT)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("%s is temporary or unlogged", ecs_relation_name(lfirst_oid(cell))),
					 errdetail("Its rows vanish in a crash or with their session, and no refresh would know."),
					 errhint("Use an ordinary table, or make it one by ALTER TABLE ... SET LOGGED.")));
	}
}

/* A source is a table of the caller's whose changes triggers can see */
void
ecs_check_source(EcsRequest *request, Oid source, const char *column)
{
	char	   *name = ecs_relation_name(source);
	AttrNumber	attnum;
	Oid			type;

	if (get_rel_relkind(source) != RELKIND_RELATION && get_rel_relkind(source) != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s is not a table", name),
				 errdetail("Changes of a source are captured by triggers, which only tables have.")));
	if (!object_ownercheck(RelationRelationId, source, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, name);
	if (ecs_is_distributed(source))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s is managed by Citus", name),
				 errdetail("Its triggers would note changes on the nodes that hold its shards, where no refresh sees them."),
				 errhint("Keep an aggregate table with INSERT ... SELECT ... ON CONFLICT; docs/citus.md has examples.")));
	if (source == request->existing)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("rollup %s cannot be its own source", name)));
	check_no_cycle(request, source);

	if (get_rel_relkind(source) == RELKIND_RELATION && find_inheritance_children(source, NoLock) != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s has inheritance children", name),
				 errdetail("Triggers are not inherited by them."),
				 errhint("Use declarative partitioning.")));
	ecs_check_permanent(source);

	attnum = get_attnum(source, column);
	if (attnum == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation %s does not exist", column, name)));
	type = get_atttype(source, attnum);
	if (type != DATEOID && type != TIMESTAMPTZOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of relation %s is of type %s", column, name, format_type_be(type)),
				 errdetail("A time column is of type timestamp with time zone or date.")));
	if (OidIsValid(request->time_type) && request->time_type != type)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("the time columns of the sources are of different types"),
				 errdetail("The query has one pair of parameters for all of them.")));
	request->time_type = type;
}

/* Collect which parameters a query uses: context is bool used[2] */
static bool
find_params(Node *node, void *context)
{
	bool	   *used = context;

	if (node == NULL)
		return false;
	if (IsA(node, Param))
	{
		const Param *param = (Param *) node;

		if (param->paramkind == PARAM_EXTERN)
			used[param->paramid - 1] = true;
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, find_params, context, 0);
	return expression_tree_walker(node, find_params, context);
}

/* The query is one SELECT whose answer for a range depends on the tables alone */
void
ecs_check_query(EcsRequest *request, const char *sql)
{
	List	   *statements = raw_parser(sql, RAW_PARSE_DEFAULT);
	RawStmt    *raw;
	Query	   *query;
	Oid			types[2] = {request->time_type, request->time_type};
	bool		used[2] = {false, false};
	ListCell   *cell;

	if (list_length(statements) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("the query of a rollup must be one statement")));
	raw = linitial_node(RawStmt, statements);
	request->query = raw->stmt_len > 0 ? pnstrdup(sql + raw->stmt_location, raw->stmt_len) : sql + raw->stmt_location;
	query = parse_analyze_fixedparams(raw, sql, types, 2, NULL);

	if (query->commandType != CMD_SELECT || query->hasModifyingCTE || query->rowMarks != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("the query of a rollup must be a SELECT that changes and locks nothing")));
	if (contain_volatile_functions((Node *) query))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("the query of a rollup must not use volatile functions"),
				 errdetail("A bucket computed again must come out the same.")));
	request->parallel = max_parallel_hazard(query);
	(void) find_params((Node *) query, used);
	if (!used[0] || !used[1])
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the query of a rollup must use $1 and $2"),
				 errdetail("A bucket holds the rows with time >= $1 and time < $2; both are of type %s.",
						   format_type_be(request->time_type))));

	foreach(cell, query->targetList)
	{
		TargetEntry *entry = lfirst(cell);
		ListCell   *other;

		if (entry->resjunk)
			continue;
		if (strcmp(entry->resname, "?column?") == 0 || strcmp(entry->resname, request->bucket_column) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_COLUMN_DEFINITION),
					 errmsg("column %d of the query needs a name of its own", entry->resno),
					 errdetail("It becomes a column of the rollup beside \"%s\", which is added.", request->bucket_column),
					 errhint("Name it by AS.")));
		foreach(other, request->outputs)
		{
			if (strcmp(((TargetEntry *) lfirst(other))->resname, entry->resname) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("two columns of the query are named \"%s\"", entry->resname)));
		}
		request->outputs = lappend(request->outputs, entry);
	}
	if (request->outputs == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_COLUMN_DEFINITION),
				 errmsg("the query of a rollup must return columns")));
}

static void
check_target_column(const EcsRequest *request, const char *column, Oid type)
{
	AttrNumber	attnum = get_attnum(request->existing, column);

	if (attnum == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation %s does not exist", column, request->name),
				 errdetail("The rollup writes column \"%s\" and those of its query.", request->bucket_column)));
	if (get_atttype(request->existing, attnum) != type)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of relation %s is of type %s, the rollup gives %s",
						column, request->name,
						format_type_be(get_atttype(request->existing, attnum)), format_type_be(type))));
}

/* A table that is there already must take what the rollup writes */
void
ecs_check_target(const EcsRequest *request)
{
	ListCell   *cell;

	if (get_rel_relkind(request->existing) != RELKIND_RELATION &&
		get_rel_relkind(request->existing) != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s is not a table", request->name)));
	if (!object_ownercheck(RelationRelationId, request->existing, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, request->name);
	ecs_check_permanent(request->existing);
	if (request->query == NULL)
		return;
	check_target_column(request, request->bucket_column, DATEOID);
	foreach(cell, request->outputs)
		check_target_column(request, ((TargetEntry *) lfirst(cell))->resname,
							exprType((Node *) ((TargetEntry *) lfirst(cell))->expr));
}
