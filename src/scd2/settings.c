/*
 * settings.c
 *		The settings ecomsocial.versioning and ecomsocial.as_of.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "scd2/scd2.h"

PG_FUNCTION_INFO_V1(ecs_scd2_as_of);

static bool versioning = true;
static char *as_of_text = NULL;
static TimestampTz as_of_moment = DT_NOEND; /* infinity: not set */

bool
ecs_scd2_versioning(Relation rel)
{
	if (versioning)
		return true;
	if (!has_privs_of_role(GetUserId(), rel->rd_rel->relowner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of table \"%s\" to write without versioning", RelationGetRelationName(rel)),
				 errhint("Set ecomsocial.versioning to on.")));
	return false;
}

/* The moment that a text names; false, with the message told, where it names none */
static bool
parse_moment(const char *text, TimestampTz *moment)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile bool parsed = true;

	PG_TRY();
	{
		*moment = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(text),
														  ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		GUC_check_errdetail("%s.", error->message);
		parsed = false;
	}
	PG_END_TRY();
	return parsed;
}

/*
 * The text is replaced by one that names the same moment in every zone: a
 * parallel worker is given this setting before that of the zone.
 */
static bool
check_as_of(char **newval, void **extra, GucSource source)
{
	TimestampTz *moment;

	(void) source;
	moment = guc_malloc(LOG, sizeof(TimestampTz));
	if (moment == NULL)
		return false;
	*moment = DT_NOEND;
	if (*newval && **newval)
	{
		const char *text;
		char	   *copy;

		if (!parse_moment(*newval, moment))
		{
			guc_free(moment);
			return false;
		}
		text = timestamptz_to_str(*moment);

		copy = guc_malloc(LOG, strlen(text) + 1);
		if (copy == NULL)
			return false;
		strcpy(copy, text);
		guc_free(*newval);
		*newval = copy;
	}
	*extra = moment;
	return true;
}

static void
assign_as_of(const char *newval, void *extra)
{
	(void) newval;
	as_of_moment = *(TimestampTz *) extra;
}

Datum
ecs_scd2_as_of(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	PG_RETURN_TIMESTAMPTZ(as_of_moment == DT_NOEND ? GetCurrentTransactionStartTimestamp() : as_of_moment);
}

void
ecs_scd2_init(void)
{
	DefineCustomBoolVariable("ecomsocial.versioning",
							 "Whether writes of versioned tables make versions.",
							 "Off lets the owner of a table repair or restore its history.",
							 &versioning, true, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("ecomsocial.as_of",
							   "The moment that the views NAME_as_of show.",
							   "Empty: the start of the transaction.",
							   &as_of_text, "", PGC_USERSET, 0, check_as_of, assign_as_of, NULL);
}
