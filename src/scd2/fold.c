/*
 * fold.c
 *		The history of a key, made anew from the events it came from.
 *
 * Events that are not simply the newest of their key, or inside one version,
 * are folded: the history of their keys is taken apart into events, the new
 * ones are added, of each moment the winner is kept (the greater sequence_by; a
 * row before a delete; the larger image), and the line of winners is cut into
 * versions again where a history column changes.  The difference to what is
 * stored is written; closed versions never change their valid_to, so rows are
 * matched by their key.
 *
 * The stages are tuplestores, each a table to the next: scd2_old, the versions
 * as they are; scd2_fold, the line of winners; scd2_target, the versions as
 * they should be; scd2_memory, the events without a trace.
 *
 * It writes closed versions, so it works as the table's owner, after a check of
 * the caller's rights on the whole table.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "scd2/engine.h"

/* The versions of the keys, with the true time of their event; {'del}: a gap follows */
static void
name_old_versions(EcsScd2Batch *batch, const char *rows)
{
	EcsScd2    *table = batch->table;
	char	   *at = ecs_scd2_sql(table, "t.{from}");

	if (table->remembered)
		at = ecs_scd2_sql(table,
						  "CASE WHEN pg_catalog.row_number() OVER k {=} 1 "
						  "THEN COALESCE((SELECT m.at FROM {memory} m WHERE {match m t} AND m.kind {=} 'first'), t.{from}) "
						  "ELSE t.{from} END");
	ecs_scd2_name_query(batch, "scd2_old",
						ecs_scd2_sql(table,
									 "SELECT {row t}, {1} AS {'at}, "
									 "t.{to} {<} 'infinity' AND (pg_catalog.lead(t.{from}) OVER k {=} t.{to}) IS NOT TRUE AS {'del} "
									 "FROM (SELECT DISTINCT {keys s} FROM {2} s) s JOIN {table} t ON {match t s} "
									 "WINDOW k AS (PARTITION BY {keys t} ORDER BY t.{to})", at, rows),
						table->owner);
}

/*
 * The values of new events: a column that they do not bring is that of the
 * version they fall into, or else of the one before, or the one after, or its
 * default.
 */
static char *
new_value(const EcsScd2Batch *batch, int i)
{
	EcsScd2    *table = batch->table;

	if (batch->given[i])
		return ecs_scd2_for_column(table, i, "s.{c}, ");
	if (table->columns[i].role == ECS_SCD2_SEQUENCE)
		return ecs_scd2_for_column(table, i, "NULL::{base}, ");
	if (table->columns[i].role == ECS_SCD2_STAMP)
		return ecs_scd2_for_column(table, i, "s.{'at}, ");
	return psprintf("%s%s%s", ecs_scd2_for_column(table, i, "CASE WHEN f.{from} IS NULL AND NOT s.{'del} THEN CAST("),
					ecs_scd2_column_default(batch->rel, i), ecs_scd2_for_column(table, i, " AS {base}) ELSE f.{c} END, "));
}

static char *
new_events(const EcsScd2Batch *batch, const char *rows)
{
	EcsScd2    *table = batch->table;
	bool		partial = false;
	StringInfoData values;

	initStringInfo(&values);
	for (int i = 0; i < table->natts; i++)
		if (ECS_SCD2_VALUES & table->columns[i].role)
		{
			appendStringInfoString(&values, new_value(batch, i));
			partial |= !batch->given[i];
		}
	return ecs_scd2_sql(table, "SELECT {1}s.{'at}, s.{'del}, true, NULL::pg_catalog.timestamptz FROM {2} s{3}", values.data, rows,
						!partial ? "" : ecs_scd2_sql(table,
													 " LEFT JOIN LATERAL (SELECT * FROM {table} o WHERE {match o s} ORDER BY o.{from} {<=} s.{'at} DESC, "
													 "CASE WHEN o.{from} {<=} s.{'at} THEN o.{from} END DESC NULLS LAST, o.{from} LIMIT 1) f ON true"));
}

/* The values of a delete: NULLs for the columns that are no key, but the sequence it is remembered with */
static char *
delete_values(const EcsScd2 *table, const char *a, const char *sequence)
{
	StringInfoData values;

	initStringInfo(&values);
	for (int i = 0; i < table->natts; i++)
		if (table->columns[i].role == ECS_SCD2_KEY)
			appendStringInfo(&values, "%s.%s, ", a, table->columns[i].name);
		else if (table->columns[i].role == ECS_SCD2_SEQUENCE && sequence)
			appendStringInfo(&values, "%s, ", sequence);
		else if (ECS_SCD2_VALUES & table->columns[i].role)
			appendStringInfoString(&values, ecs_scd2_for_column(table, i, "NULL::{base}, "));
	return values.data;
}

/* What is remembered: rows with the values of the version they fell into, and deletes */
static char *
remembered_events(const EcsScd2 *table, const char *rows)
{
	StringInfoData values;

	initStringInfo(&values);
	for (int i = 0; i < table->natts; i++)
		if (table->columns[i].role == ECS_SCD2_SEQUENCE)
			appendStringInfoString(&values, "m.sequence, ");
		else if (table->columns[i].role == ECS_SCD2_STAMP)
			appendStringInfoString(&values, "m.at, ");
		else if (ECS_SCD2_VALUES & table->columns[i].role)
			appendStringInfo(&values, "o.%s, ", table->columns[i].name);
	return ecs_scd2_sql(table,
						" UNION ALL SELECT {1}m.at, false, false, NULL FROM {memory} m "
						"JOIN scd2_old o ON {match m o} AND m.at {>=} o.{from} AND m.at {<} o.{to} WHERE m.kind {=} 'row'"
						" UNION ALL SELECT {2}m.at, true, false, NULL FROM {memory} m "
						"WHERE m.kind {=} 'delete' AND EXISTS (SELECT FROM {3} s WHERE {match m s})",
						values.data, delete_values(table, "m", "m.sequence"), rows);
}

/* All events of the keys: values, time, delete, whether new, valid_from of the version they stand for */
static char *
all_events(const EcsScd2Batch *batch, const char *rows)
{
	EcsScd2    *table = batch->table;

	return ecs_scd2_sql(table,
						"{1} UNION ALL SELECT {values o}, o.{'at}, false, false, o.{from} FROM scd2_old o"
						" UNION ALL SELECT {2}o.{to}, true, false, NULL FROM scd2_old o WHERE o.{'del}{3}",
						new_events(batch, rows), delete_values(table, "o", NULL),
						table->remembered ? remembered_events(table, rows) : "");
}

/* "ROW(a, b) USING >, " that orders by images, the larger first; nothing where no column has the role */
static char *
image_order(const EcsScd2 *table, int role)
{
	char	   *columns = ecs_scd2_each(table, role, NULL, ", ", "e.{c}");

	return columns[0] ? ecs_scd2_sql(table, "ROW({1}) USING {*>}, ", columns) : "";
}

/* That the history columns are those of the event before, "scd2 p" and a number */
static char *
same_as_before(const EcsScd2 *table)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "true");
	for (int i = 0; i < table->natts; i++)
		if (table->columns[i].role == ECS_SCD2_HISTORY)
			appendStringInfo(&sql, " AND %s", ecs_scd2_equal(&table->columns[i], ecs_scd2_for_column(table, i, "e.{c}"),
															 ecs_scd2_for_column(table, i, "e.\"scd2 p{n}\"")));
	return sql.data;
}

/* The values of a line's versions: of fixed columns the first ones, of overwritten ones on a current version the last */
static char *
cut_values(const EcsScd2 *table)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < table->natts; i++)
	{
		EcsScd2Role role = table->columns[i].role;

		if (role == ECS_SCD2_FIXED)
			appendStringInfoString(&sql, ecs_scd2_for_column(table, i, "e.\"scd2 f{n}\" AS {c}, "));
		else if (role == ECS_SCD2_OVERWRITE)
			appendStringInfoString(&sql, ecs_scd2_for_column(table, i, "CASE WHEN e.{'next} IS NULL THEN e.\"scd2 l{n}\" ELSE e.{c} END AS {c}, "));
		else if (ECS_SCD2_VALUES & role)
			appendStringInfoString(&sql, ecs_scd2_for_column(table, i, "e.{c}, "));
	}
	return sql.data;
}

/*
 * The winners of each key and moment, in line.  {'bound}: the state changes
 * here; {'next}: where it changes again; {'nth}: of the boundaries of the key;
 * {'before}: whether the event before was a delete; {'last}: the last event known
 * before.  Fixed columns are those of the first known event; a current version
 * takes the overwrite columns of the last one.
 */
static void
name_fold(EcsScd2Batch *batch, const char *rows)
{
	EcsScd2    *table = batch->table;
	char	   *keys = ecs_scd2_sql(table, "{keys e}");
	char	   *placed,
			   *line,
			   *cut;

	placed = ecs_scd2_sql(table,
						  "WITH event ({values}, {'at}, {'del}, {'new}, {'stored}) AS ({1}), "
						  "placed AS (SELECT e.*, pg_catalog.row_number() OVER (PARTITION BY {2}, e.{'at} "
						  "ORDER BY {3}e.{'del}, {4}{5}e.{'new}) AS {'place} FROM event e), ",
						  all_events(batch, rows), keys,
						  table->sequence ? ecs_scd2_sql(table, "e.{sequence} DESC NULLS LAST, ") : "",
						  image_order(table, ECS_SCD2_HISTORY), image_order(table, ECS_SCD2_OVERWRITE));
	line = ecs_scd2_sql(table,
						"line AS (SELECT e.*, pg_catalog.lag(e.{'del}) OVER k AS {'before}, "
						"pg_catalog.max(CASE WHEN NOT e.{'new} THEN e.{'at} END) OVER (PARTITION BY {1}) AS {'last}{2} "
						"FROM placed e WHERE e.{'place} {=} 1 WINDOW k AS (PARTITION BY {1} ORDER BY e.{'at})), "
						"state AS (SELECT e.*, CASE WHEN e.{'before} IS NULL THEN NOT e.{'del} WHEN e.{'del} THEN NOT e.{'before} "
						"ELSE e.{'before} OR NOT ({3}) END AS {'bound} FROM line e), ",
						keys, ecs_scd2_each(table, ECS_SCD2_HISTORY, NULL, "", ", pg_catalog.lag(e.{c}) OVER k AS \"scd2 p{n}\""),
						same_as_before(table));
	cut = ecs_scd2_sql(table,
					   "cut AS (SELECT e.*{2}, pg_catalog.lead(e.{'at}) OVER b AS {'next}, pg_catalog.row_number() OVER b AS {'nth} "
					   "FROM state e WINDOW b AS (PARTITION BY {1}, e.{'bound} ORDER BY e.{'at}), "
					   "f AS (PARTITION BY {1} ORDER BY e.{'del}, e.{'new}, e.{'at}), "
					   "l AS (PARTITION BY {1} ORDER BY e.{'at} ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)) ",
					   keys,
					   psprintf("%s%s",
								ecs_scd2_each(table, ECS_SCD2_FIXED, NULL, "", ", pg_catalog.first_value(e.{c}) OVER f AS \"scd2 f{n}\""),
								ecs_scd2_each(table, ECS_SCD2_OVERWRITE, NULL, "", ", pg_catalog.last_value(e.{c}) OVER l AS \"scd2 l{n}\"")));
	ecs_scd2_name_query(batch, "scd2_fold",
						ecs_scd2_sql(table,
									 "{1}{2}{3}SELECT {4}e.{'at}, e.{'del}, e.{'new}, e.{'bound}, e.{'next}, e.{'nth}, e.{'before}, e.{'last}, e.{'stored} "
									 "FROM cut e",
									 placed, line, cut, cut_values(table)),
						table->owner);
}

/* An event before the first version must not bring another value of a fixed column */
static void
check_fixed(const EcsScd2Batch *batch, const char *rows)
{
	EcsScd2    *table = batch->table;
	char	   *sql;

	if (ecs_scd2_each(table, ECS_SCD2_FIXED, batch->given, "", "{c}")[0] == '\0')
		return;
	sql = ecs_scd2_sql(table,
					   "SELECT {keys s} FROM {1} s JOIN scd2_old o ON {match s o} WHERE NOT s.{'del} AND s.{'at} {<} o.{'at} "
					   "AND NOT EXISTS (SELECT FROM scd2_old p WHERE {match p o} AND p.{'at} {<} o.{'at}) AND NOT {2} LIMIT 1",
					   rows, ecs_scd2_same_given(table, batch->given, "s", "o", ECS_SCD2_FIXED));
	if (SPI_execute(sql, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not check fixed columns");
	if (SPI_processed > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a row for table \"%s\" is older than the first version and differs in a fixed column",
						RelationGetRelationName(batch->rel)),
				 errdetail("Key %s.", ecs_scd2_describe_tuple(table, SPI_tuptable->vals[0], SPI_tuptable->tupdesc)),
				 errhint("Fixed columns keep their first value: leave the column out, or correct the history with ecomsocial.versioning = off.")));
}

/* What became of the new events, in the order of the actions; then how many won, and how many there were */
static void
count_fold(EcsScd2Batch *batch, const char *rows)
{
	const char *sql = ecs_scd2_sql(batch->table,
								   "SELECT "
								   "pg_catalog.count(*) FILTER (WHERE {'bound} AND NOT {'del} AND NOT {'late} AND {'nth} {=} 1), "
								   "pg_catalog.count(*) FILTER (WHERE {'bound} AND NOT {'del} AND NOT {'late} AND {'nth} {>} 1 AND NOT {'before}), "
								   "0::pg_catalog.int8, "
								   "pg_catalog.count(*) FILTER (WHERE NOT {'bound} AND NOT {'del}), "
								   "pg_catalog.count(*) FILTER (WHERE {'bound} AND {'del} AND NOT {'late}), "
								   "pg_catalog.count(*) FILTER (WHERE {'bound} AND NOT {'del} AND NOT {'late} AND {'nth} {>} 1 AND {'before}), "
								   "pg_catalog.count(*) FILTER (WHERE {'bound} AND {'late}), "
								   "pg_catalog.count(*) FILTER (WHERE NOT {'bound} AND {'del}), "
								   "pg_catalog.count(*), (SELECT pg_catalog.count(*) FROM {1}) "
								   "FROM (SELECT *, COALESCE({'at} {<} {'last}, false) AS {'late} FROM scd2_fold WHERE {'new}) f", rows);
	int64		n[ECS_SCD2_ACTIONS + 2];
	bool		isnull;

	if (SPI_execute(sql, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not count the events of a fold");
	for (int i = 0; i < (int) lengthof(n); i++)
		n[i] = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, i + 1, &isnull));
	for (int i = 0; i < ECS_SCD2_ACTIONS; i++)
		batch->counts[i] += n[i];
	/* events that lost to another of the same moment */
	batch->counts[ECS_SCD2_IGNORED] += n[ECS_SCD2_ACTIONS + 1] - n[ECS_SCD2_ACTIONS];
}

/* What the history of the keys should be */
static void
name_target(EcsScd2Batch *batch)
{
	EcsScd2    *table = batch->table;
	const char *first = table->created ? "LEAST(f.{created}, f.{'at})" : table->open_start ? "'-infinity'" : "f.{'at}";

	ecs_scd2_name_query(batch, "scd2_target",
						ecs_scd2_sql(table,
									 "SELECT {values f}, CASE WHEN f.{'nth} {>} 1 THEN f.{'at} ELSE COALESCE(f.{'stored}, {1}) END AS {from}, "
									 "COALESCE(f.{'next}, 'infinity') AS {to}, f.{'next} IS NULL AS {current}, f.{'at}, f.{'nth} "
									 "FROM scd2_fold f WHERE f.{'bound} AND NOT f.{'del}", ecs_scd2_sql(table, first)),
						InvalidOid);
}

static void
write_target(EcsScd2 *table)
{
	static const char *const statements[] = {
		"DELETE FROM {table} t USING scd2_old o WHERE {match t o} AND t.{to} {=} o.{to} "
		"AND NOT EXISTS (SELECT FROM scd2_target n WHERE {match n o} AND n.{to} {=} o.{to})",
		"UPDATE {table} t SET {from} = n.{from}{set n v} FROM scd2_target n JOIN scd2_old o ON {match n o} AND n.{to} {=} o.{to} "
		"WHERE {match t n} AND t.{to} {=} n.{to} AND NOT {same n o vp}",
		"INSERT INTO {table} ({row}) OVERRIDING SYSTEM VALUE SELECT {row n} FROM scd2_target n "
		"WHERE NOT EXISTS (SELECT FROM scd2_old o WHERE {match n o} AND n.{to} {=} o.{to})"
	};

	ecs_scd2_make_hub_rows(table, "scd2_target");
	for (int i = 0; i < (int) lengthof(statements); i++)
		ecs_scd2_run_once(table, ecs_scd2_sql(table, statements[i]), ECS_SCD2_APPLYING, table->owner, InvalidSnapshot);
}

/* What left no trace in the history; the sequence of a delete leaves none */
static void
write_memory(EcsScd2Batch *batch)
{
	EcsScd2    *table = batch->table;
	const char *sequence = table->sequence ? "{1}.{sequence}" : "NULL::pg_catalog.int8";
	char	   *memory = ecs_scd2_sql(table,
									  "SELECT {keys f}, f.{'at} AS at, CASE WHEN f.{'del} THEN 'delete' ELSE 'row' END AS kind, {1} AS sequence "
									  "FROM scd2_fold f WHERE NOT f.{'bound}{2} "
									  "UNION ALL SELECT {keys n}, n.{'at}, 'first', {3} FROM scd2_target n WHERE n.{'nth} {=} 1 AND n.{from} {<} n.{'at}",
									  ecs_scd2_sql(table, sequence, "f"),
									  table->sequence ? ecs_scd2_sql(table, " OR f.{'del}") : "",
									  ecs_scd2_sql(table, sequence, "n"));

	ecs_scd2_name_query(batch, "scd2_memory", memory, InvalidOid);
	ecs_scd2_run_once(table, ecs_scd2_sql(table,
										  "DELETE FROM {memory} m USING (SELECT DISTINCT {keys f} FROM scd2_fold f) f WHERE {match m f} "
										  "AND NOT EXISTS (SELECT FROM scd2_memory n WHERE {match m n} AND m.at {=} n.at)"),
					  ECS_SCD2_PLAIN, table->owner, InvalidSnapshot);
	ecs_scd2_run_once(table, ecs_scd2_sql(table,
										  "INSERT INTO {memory} AS m ({keys}, at, kind, sequence) SELECT * FROM scd2_memory "
										  "ON CONFLICT ({keys}, at) DO UPDATE SET kind = EXCLUDED.kind, sequence = EXCLUDED.sequence "
										  "WHERE ROW(m.kind, m.sequence)::pg_catalog.record {*<>} ROW(EXCLUDED.kind, EXCLUDED.sequence)::pg_catalog.record"),
					  ECS_SCD2_PLAIN, table->owner, InvalidSnapshot);
}

void
ecs_scd2_fold(EcsScd2Batch *batch, const char *rows)
{
	name_old_versions(batch, rows);
	check_fixed(batch, rows);
	name_fold(batch, rows);
	count_fold(batch, rows);
	name_target(batch);
	write_target(batch->table);
	if (batch->table->remembered)
		write_memory(batch);
}
