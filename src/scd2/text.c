/*
 * text.c
 *		Statements about a versioned table, written as templates.
 *
 * No name is looked up by search_path, and none is taken for a column of the
 * user's.  What stands in braces is replaced:
 *
 *	{table} {hub} {memory}			the relations, qualified
 *	{from} {to} {current}			the columns of the period,
 *	{stamp} {sequence} {created}	and others with a name of their own
 *	{=} {<} {*=} ...				OPERATOR(pg_catalog.=) ...
 *	{'at}							"scd2 at": a column that is ours
 *	{keys a} {values a} {row a}		"a.x, a.y": the key, in the order of the
 *									primary key; what events bring; all that
 *									can be written.  Without a: "x, y"
 *	{match a b}						that two rows have the same key; b may be $,
 *									for parameters
 *	{parameters}					"$1, $2": as many as the key has columns
 *	{same a b hf}					that their columns are the same, NULL being
 *									the same as NULL; h history, o overwrite, f
 *									fixed, v values, p valid_from
 *	{set a hf}						", x = a.x" of such columns
 *	{1} ... {9}						further arguments, as they are
 *
 * and in a template for a column:
 *
 *	{c} {n}							its name, and its number
 *	{base}							its type below domains, without length
 */
#include "postgres.h"

#include <ctype.h>

#include "access/tupdesc.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/relation.h"
#include "scd2/scd2.h"

#define MAX_WORDS	4
#define MAX_ARGS	9

static void
put_separator(StringInfo sql, const char *separator, bool *first)
{
	if (!*first)
		appendStringInfoString(sql, separator);
	*first = false;
}

static int
roles_of(const char *letters)
{
	int			roles = 0;

	for (; *letters; letters++)
		switch (*letters)
		{
			case 'h':
				roles |= ECS_SCD2_HISTORY;
				break;
			case 'o':
				roles |= ECS_SCD2_OVERWRITE;
				break;
			case 'f':
				roles |= ECS_SCD2_FIXED;
				break;
			case 'v':
				roles |= ECS_SCD2_VALUES;
				break;
			case 'p':
				roles |= ECS_SCD2_FROM;
				break;
			default:
				elog(ERROR, "unknown role \"%c\" in a template", *letters);
		}
	return roles;
}

static void
put_columns(StringInfo sql, const EcsScd2 *table, const char *prefix, int roles)
{
	bool		first = true;

	for (int i = 0; i < table->natts; i++)
		if (roles & table->columns[i].role)
		{
			put_separator(sql, ", ", &first);
			appendStringInfo(sql, "%s%s", prefix, table->columns[i].name);
		}
}

static void
put_keys(StringInfo sql, const EcsScd2 *table, const char *prefix)
{
	for (int i = 0; i < table->nkeys; i++)
		appendStringInfo(sql, "%s%s%s", i ? ", " : "", prefix, table->columns[table->keys[i] - 1].name);
}

static void
put_parameters(StringInfo sql, const EcsScd2 *table)
{
	for (int i = 0; i < table->nkeys; i++)
		appendStringInfo(sql, "%s$%d", i ? ", " : "", i + 1);
}

static void
put_match(StringInfo sql, const EcsScd2 *table, const char *a, const char *b)
{
	for (int i = 0; i < table->nkeys; i++)
	{
		const EcsScd2Column *column = &table->columns[table->keys[i] - 1];

		appendStringInfo(sql, "%s%s.%s %s ", i ? " AND " : "", a, column->name, column->equal);
		if (b[0] == '$')
			appendStringInfo(sql, "$%d", i + 1);
		else
			appendStringInfo(sql, "%s.%s", b, column->name);
	}
}

static void
put_set(StringInfo sql, const EcsScd2 *table, const char *a, int roles)
{
	for (int i = 0; i < table->natts; i++)
		if ((roles & table->columns[i].role) && table->columns[i].role != ECS_SCD2_KEY && !table->columns[i].always)
			appendStringInfo(sql, ", %s = %s.%s", table->columns[i].name, a, table->columns[i].name);
}

char *
ecs_scd2_equal(const EcsScd2Column *column, const char *a, const char *b)
{
	if (column->equal)
		return psprintf("((%s %s %s) IS TRUE OR %s IS NULL AND %s IS NULL)", a, column->equal, b, a, b);
	return psprintf("ROW(%s)::pg_catalog.record OPERATOR(pg_catalog.*=) ROW(%s)::pg_catalog.record", a, b);
}

char *
ecs_scd2_same_given(const EcsScd2 *table, const bool *given, const char *a, const char *b, int roles)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "(true");
	for (int i = 0; i < table->natts; i++)
	{
		const EcsScd2Column *column = &table->columns[i];

		if ((roles & column->role) && (given == NULL || given[i]))
			appendStringInfo(&sql, " AND %s", ecs_scd2_equal(column, psprintf("%s.%s", a, column->name), psprintf("%s.%s", b, column->name)));
	}
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

static char *
type_name(Oid type, int32 typmod)
{
	return format_type_extended(type, typmod, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
}

/* A cast cuts strings in silence, where the function that it calls can tell an assignment */
char *
ecs_scd2_assigned(const EcsScd2Column *column, const char *value)
{
	EcsScd2Length length;
	char	   *sql;

	if (!ecs_scd2_find_length(column, &length))
		return psprintf("CAST(%s AS %s)", value, type_name(column->type, column->typmod));
	sql = psprintf("CAST(%s AS %s)", value, type_name(length.type, -1));
	if (!OidIsValid(length.function))
		return sql;				/* an array: the statement that writes it
								 * assigns */
	sql = psprintf("%s(%s, %d, false)",
				   quote_qualified_identifier(get_namespace_name(get_func_namespace(length.function)), get_func_name(length.function)),
				   sql, length.typmod);
	return length.type == column->type ? sql : psprintf("CAST(%s AS %s)", sql, type_name(column->type, -1));
}

static const char *
column_name(const EcsScd2 *table, AttrNumber attnum)
{
	return table->columns[attnum - 1].name;
}

/* The text of a word that stands alone, NULL if it is none of those */
static const char *
simple_word(const EcsScd2 *table, int i, const char *word)
{
	const EcsScd2Column *column = i >= 0 ? &table->columns[i] : NULL;

	if (strchr("=<>*", word[0]))
		return psprintf("OPERATOR(pg_catalog.%s)", word);
	if (word[0] == '\'')
		return psprintf("\"scd2 %s\"", word + 1);
	if (strcmp(word, "table") == 0)
		return table->name;
	if (strcmp(word, "hub") == 0)
		return table->hub_name;
	if (strcmp(word, "memory") == 0)
		return table->remembered_name;
	if (strcmp(word, "from") == 0)
		return column_name(table, table->from);
	if (strcmp(word, "to") == 0)
		return column_name(table, table->to);
	if (strcmp(word, "current") == 0)
		return column_name(table, table->current);
	if (strcmp(word, "stamp") == 0)
		return column_name(table, table->stamp);
	if (strcmp(word, "sequence") == 0)
		return column_name(table, table->sequence);
	if (strcmp(word, "created") == 0)
		return column_name(table, table->created);
	if (column && strcmp(word, "c") == 0)
		return column->name;
	if (column && strcmp(word, "n") == 0)
		return psprintf("%d", i);
	if (column && strcmp(word, "base") == 0)
		return type_name(getBaseType(column->type), -1);
	return NULL;
}

/* What a placeholder of several words stands for */
static void
put_phrase(StringInfo sql, const EcsScd2 *table, char **words, int count)
{
	const char *prefix = count > 1 ? psprintf("%s.", words[1]) : "";

	if (strcmp(words[0], "keys") == 0)
		put_keys(sql, table, prefix);
	else if (strcmp(words[0], "parameters") == 0)
		put_parameters(sql, table);
	else if (strcmp(words[0], "values") == 0)
		put_columns(sql, table, prefix, ECS_SCD2_VALUES);
	else if (strcmp(words[0], "row") == 0)
		put_columns(sql, table, prefix, ECS_SCD2_ROW);
	else if (strcmp(words[0], "match") == 0 && count == 3)
		put_match(sql, table, words[1], words[2]);
	else if (strcmp(words[0], "same") == 0 && count == 4)
		appendStringInfoString(sql, ecs_scd2_same_given(table, NULL, words[1], words[2], roles_of(words[3])));
	else if (strcmp(words[0], "set") == 0 && count == 3)
		put_set(sql, table, words[1], roles_of(words[2]));
	else
		elog(ERROR, "unknown placeholder \"%s\" in a template", words[0]);
}

/* Append a template; i: the column it is about, or -1 */
static void
put_template(StringInfo sql, const EcsScd2 *table, int i, const char *template, const char *const *args)
{
	for (const char *p = template; *p; p++)
	{
		const char *end;
		const char *text;
		char	   *words[MAX_WORDS] = {""};
		int			count = 0;

		if (*p != '{')
		{
			appendStringInfoChar(sql, *p);
			continue;
		}
		end = strchr(p, '}');
		if (end == NULL)
			elog(ERROR, "placeholder without end in a template");
		for (char *word = strtok(pnstrdup(p + 1, end - p - 1), " "); word && count < MAX_WORDS; word = strtok(NULL, " "))
			words[count++] = word;
		p = end;
		if (args && isdigit((unsigned char) words[0][0]))
			appendStringInfoString(sql, args[words[0][0] - '1']);
		else if (count == 1 && (text = simple_word(table, i, words[0])) !=NULL)
			appendStringInfoString(sql, text);
		else
			put_phrase(sql, table, words, count);
	}
}

char *
ecs_scd2_sql(const EcsScd2 *table, const char *template,...)
{
	const char *args[MAX_ARGS];
	int			count = 0;
	StringInfoData sql;
	va_list		list;

	/* as many as the largest number among the placeholders */
	for (const char *p = strchr(template, '{'); p; p = strchr(p + 1, '{'))
		if (isdigit((unsigned char) p[1]))
			count = Max(count, p[1] - '0');
	va_start(list, template);
	for (int i = 0; i < count; i++)
		args[i] = va_arg(list, const char *);
	va_end(list);

	initStringInfo(&sql);
	put_template(&sql, table, -1, template, args);
	return sql.data;
}

char *
ecs_scd2_for_column(const EcsScd2 *table, int i, const char *template)
{
	StringInfoData sql;

	initStringInfo(&sql);
	put_template(&sql, table, i, template, NULL);
	return sql.data;
}

char *
ecs_scd2_each(const EcsScd2 *table, int roles, const bool *given, const char *separator, const char *template)
{
	StringInfoData sql;
	bool		first = true;

	initStringInfo(&sql);
	for (int i = 0; i < table->natts; i++)
		if ((roles & table->columns[i].role) && (given == NULL || given[i]))
		{
			put_separator(&sql, separator, &first);
			put_template(&sql, table, i, template, NULL);
		}
	return sql.data;
}

char *
ecs_scd2_column_default(Relation rel, int i)
{
	TupleDesc	desc = RelationGetDescr(rel);
	TupleConstr *constr = desc->constr;

	if (TupleDescAttr(desc, i)->attidentity)
		return psprintf("pg_catalog.nextval(pg_catalog.pg_get_serial_sequence(%s, %s)::pg_catalog.regclass)",
						quote_literal_cstr(ecs_relation_name(RelationGetRelid(rel))),
						quote_literal_cstr(NameStr(TupleDescAttr(desc, i)->attname)));
	for (int d = 0; constr && d < constr->num_defval; d++)
		if (constr->defval[d].adnum == i + 1)
			return TextDatumGetCString(DirectFunctionCall2(pg_get_expr, CStringGetTextDatum(constr->defval[d].adbin),
														   ObjectIdGetDatum(RelationGetRelid(rel))));
	return "NULL";
}
