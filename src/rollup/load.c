/*
 * load.c
 *		Rollups and captures, from their rows in the registry.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"

#include "rollup/rollup.h"

EcsCapture *
ecs_capture_load(int32 id)
{
	EcsCapture *capture;
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(id)};

	if (ecs_registry_sql("SELECT source::oid, time_column::text, time_zone FROM ecomsocial.rollup_capture WHERE capture = $1",
						 1, types, values, NULL) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rollup capture %d is not registered", id)));
	capture = palloc(sizeof(EcsCapture));
	capture->id = id;
	capture->source = (Oid) ecs_spi_int(0, 1, NULL);
	capture->column = ecs_spi_text(0, 2);
	capture->zone = ecs_spi_text(0, 3);
	SPI_freetuptable(SPI_tuptable);
	ecs_capture_follow(capture);
	return capture;
}

/* The registered rollup, in the current memory context */
EcsRollup *
ecs_rollup_load(Oid target, bool missing_ok)
{
	EcsRollup  *rollup;
	Oid			types[] = {REGCLASSOID};
	Datum		values[] = {ObjectIdGetDatum(target)};
	bool		isnull;
	ArrayType  *captures;

	if (ecs_registry_sql("SELECT r.time_zone, r.bucket::text, r.bucket_column::text, r.query_function::text, r.on_refresh, "
						 "coalesce(r.frozen_before, '-infinity'), r.last_error IS NOT NULL, r.captures, r.bucket "
						 "FROM ecomsocial.rollups r JOIN pg_class c ON c.oid = r.target WHERE r.target = $1",
						 1, types, values, NULL) == 0)
	{
		if (missing_ok)
			return NULL;
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("relation %s is not a rollup", ecs_relation_name(target)),
				 errhint("ecomsocial.rollup_status() lists the rollups, ecomsocial.rollup_create() makes one.")));
	}
	rollup = palloc0(sizeof(EcsRollup));
	rollup->target = target;
	rollup->owner = ecs_relation_owner(target);
	rollup->name = ecs_relation_name(target);
	rollup->zone = ecs_spi_text(0, 1);
	rollup->period = ecs_spi_text(0, 2);
	rollup->bucket_column = ecs_spi_text(0, 3);
	rollup->function = ecs_spi_text(0, 4);
	rollup->handler = ecs_spi_text(0, 5);
	rollup->frozen = (DateADT) ecs_spi_int(0, 6, NULL);
	rollup->had_error = ecs_spi_int(0, 7, NULL) != 0;
	rollup->unit = ecs_period_from_enum(DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 9, &isnull)));
	captures = DatumGetArrayTypePCopy(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 8, &isnull));
	SPI_freetuptable(SPI_tuptable);
	for (int i = 0; i < ArrayGetNItems(ARR_NDIM(captures), ARR_DIMS(captures)); i++)
		rollup->captures = lappend(rollup->captures, ecs_capture_load(((int32 *) ARR_DATA_PTR(captures))[i]));
	return rollup;
}

void
ecs_check_rollup_owner(const EcsRollup *rollup)
{
	if (!has_privs_of_role(GetUserId(), rollup->owner))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, rollup->name);
}
