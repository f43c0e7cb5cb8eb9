/*
 * classes.c
 *		From counts of users per slot to new, retained, resurrected, churned, dormant.
 */
#include "postgres.h"

#include "growth/growth.h"

void
ecs_init_growth(EcsGrowth *growth, const EcsSource *source)
{
	Size		size = (growth->window.slots + 1) * sizeof(int64);

	growth->source = source;
	growth->active = palloc0(size);
	growth->fresh = palloc0(size);
	growth->signed_up = palloc0(size);
	growth->retained = palloc0(size);
	growth->seen = palloc0(size);
	growth->known = 0;
	growth->older = 0;
}

int
ecs_count_first(EcsGrowth *growth, const EcsUser *user, bool *signed_up)
{
	int			active = ecs_first_active_slot(user);
	int			column = ecs_column_slot(user, &growth->window, growth->source);
	int			first = Min(active, column);

	if (active < 0)
		growth->older += user->users;
	if (first < 0)
		growth->known += user->users;
	else
		growth->seen[first] += user->users;
	*signed_up = column == first;
	return first;
}

void
ecs_read_growth(EcsGrowthReader *reader, const EcsGrowth *growth, int step)
{
	reader->growth = growth;
	reader->step = step;
	reader->slot = -1;
	reader->known = growth->known;
	if (growth->older > 0)
		reader->first_active = -1;
	else
		for (reader->first_active = 0; reader->first_active < growth->window.slots; reader->first_active++)
			if (growth->active[reader->first_active] > 0)
				break;
}

bool
ecs_next_classes(EcsGrowthReader *reader, EcsClasses *c)
{
	const EcsGrowth *growth = reader->growth;
	int			slot = ++reader->slot;
	int			before = slot - reader->step;

	if (slot == growth->window.slots)
		return false;
	reader->known += growth->seen[slot];
	c->active = growth->active[slot];
	c->previous = before >= 0 ? growth->active[before] : 0;
	c->fresh = growth->fresh[slot];
	c->first_seen = 0;
	if (before < reader->first_active)
	{
		/* nothing was there to compare with */
		c->fresh = growth->signed_up[slot];
		c->first_seen = growth->fresh[slot] - growth->signed_up[slot];
	}
	c->retained = growth->retained[slot];
	c->resurrected = c->active - growth->fresh[slot] - c->retained;
	c->churned = c->previous - c->retained;
	c->dormant = reader->known - c->active - c->churned;
	return true;
}

/* What is not over yet has lost nobody for good */
void
ecs_put_classes(FunctionCallInfo fcinfo, DateADT start, EcsClasses c, bool complete)
{
	Datum		values[12];
	bool		nulls[12] = {false};

	values[0] = DateADTGetDatum(start);
	values[1] = Int64GetDatum(c.active);
	values[2] = Int64GetDatum(c.fresh);
	values[3] = Int64GetDatum(c.first_seen);
	values[4] = Int64GetDatum(c.retained);
	values[5] = Int64GetDatum(c.resurrected);
	values[6] = Int64GetDatum(c.churned);
	values[7] = Int64GetDatum(c.dormant);
	values[8] = ecs_ratio(c.churned, c.previous, &nulls[8]);
	values[9] = ecs_ratio(c.retained, c.previous, &nulls[9]);
	values[10] = ecs_ratio(c.fresh + c.resurrected, c.churned, &nulls[10]);
	values[11] = BoolGetDatum(complete);
	if (!complete)
		nulls[6] = nulls[8] = nulls[9] = nulls[10] = true;
	ecs_put_row(fcinfo, values, nulls);
}

void
ecs_put_periods(FunctionCallInfo fcinfo, const EcsGrowth *growth, EcsPeriod period, int32 first, int begin, DateADT over)
{
	EcsGrowthReader reader;
	EcsClasses	classes;

	ecs_read_growth(&reader, growth, 1);
	while (ecs_next_classes(&reader, &classes))
		if (reader.slot >= begin)
			ecs_put_classes(fcinfo, ecs_period_start(period, first + reader.slot), classes,
							ecs_period_start(period, first + reader.slot + 1) <= over);
}
