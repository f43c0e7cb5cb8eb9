
-- What refreshes of the social model do beyond summing up a day: the state of each
-- user, and what is computed from it.  Called by functions in the model's schema,
-- with one of the model's tables, so that names are looked up in the schema as it is
-- called now.  NULL in place of keys means all of them.

-- What a user is at the end of a period depends on his days until then.  From one refresh to the next it changes for users
-- whose days changed until the end of the later of the two last complete periods and, where they are not the same, for those
-- who were active in the earlier one or since: who was not is churned at the end of either.
CREATE FUNCTION social_refresh_churn(model regclass, users bigint[], changed_from date, over date) RETURNS bigint[]
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unit   ecomsocial.period;
    last   date;        -- first day of the last complete period
    before date;        -- that of the refresh before
    since  date;        -- users active from there on have to be looked at
    moved  bigint[];    -- users whose row changed
BEGIN
    PERFORM set_config('search_path', ecomsocial.model_path(model), true);
    IF over IS NULL THEN
        DELETE FROM user_churn_stats;
        DELETE FROM user_churn_period;
        RETURN NULL;
    END IF;
    FOREACH unit IN ARRAY '{day,month}'::ecomsocial.period[] LOOP
        last := ecomsocial.rollup_bucket(over, unit, -1);
        SELECT p.last_complete INTO before FROM user_churn_period p WHERE p.period = unit::text;
        since := CASE WHEN users IS NULL OR before IS NULL THEN '-infinity' WHEN before = last THEN 'infinity' ELSE least(before, last) END;

        WITH candidate AS MATERIALIZED (
            SELECT u.user_id FROM unnest(users) u(user_id) WHERE changed_from < ecomsocial.rollup_bucket(greatest(before, last), unit, 1)
            UNION
            SELECT a.user_id FROM user_activity a WHERE since < 'infinity' AND ecomsocial.activity_last(a.days) >= since
            UNION
            SELECT s.user_id FROM user_churn_stats s WHERE since = '-infinity' AND s.period = unit::text
        ), fresh AS MATERIALIZED (
            SELECT c.user_id, ecomsocial.activity_churn_stats(a.days, last, unit) AS stats
            FROM candidate c LEFT JOIN user_activity a ON a.user_id = c.user_id
        ), gone AS (
            DELETE FROM user_churn_stats s USING fresh f
            WHERE s.user_id = f.user_id AND s.period = unit::text AND (f.stats).last_active_date IS NULL
            RETURNING s.user_id
        ), kept AS (
            INSERT INTO user_churn_stats AS s
            SELECT f.user_id, (f.stats).last_active_date, (f.stats).churned_flag, (f.stats).churned_date, (f.stats).resurrected_flag, unit::text
            FROM fresh f WHERE (f.stats).last_active_date IS NOT NULL
            ON CONFLICT (user_id, period) DO UPDATE SET
                last_active_date = excluded.last_active_date, churned_flag = excluded.churned_flag,
                churned_date = excluded.churned_date, resurrected_flag = excluded.resurrected_flag
            WHERE s.* IS DISTINCT FROM excluded.*
            RETURNING s.user_id
        )
        SELECT array_agg(m.user_id) INTO moved FROM (SELECT g.user_id FROM gone g UNION ALL SELECT k.user_id FROM kept k) m;
        INSERT INTO user_churn_period VALUES (unit::text, last)
        ON CONFLICT (period) DO UPDATE SET last_complete = excluded.last_complete;
    END LOOP;
    RETURN moved;
END
$$;
COMMENT ON FUNCTION social_refresh_churn(regclass, bigint[], date, date)
    IS 'internal: brings user_churn_stats up to date where days of the given users changed (NULL: of any), the first of them changed_from, and days are over before a date, for the model that a table belongs to; returns the users whose row of the month changed';

-- Growth and rolling actives of a period depend on the days until its end: those before the first day that changed stay
-- as they are, but where they are or become incomplete.
CREATE FUNCTION social_refresh_growth(model regclass, changed_from date, first date, until date) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    zone constant text := (ecomsocial.model_of(model)).time_zone;
    redo date;      -- what lies before it stays; NULL: nothing does
BEGIN
    PERFORM set_config('search_path', ecomsocial.model_path(model), true);
    IF changed_from IS NOT NULL AND first IS NOT NULL AND EXISTS (SELECT FROM growth) THEN
        SELECT least(changed_from, until - 1, min(period_start)) INTO redo FROM growth WHERE NOT complete;
    END IF;

    WITH fresh AS (
        SELECT p.period, g.period_start, g.active, g.new, g.first_seen, g.retained, g.resurrected, g.churned, g.dormant, g.complete
        FROM unnest('{day,week,month}'::ecomsocial.period[]) p(period)
        CROSS JOIN LATERAL ecomsocial.growth_accounting('user_activity', 'user_id', 'days', p.period,
            greatest(first, ecomsocial.rollup_bucket(redo, p.period)), until, zone) g
    ), gone AS (
        DELETE FROM growth g
        WHERE (redo IS NULL OR g.period_start >= ecomsocial.rollup_bucket(redo, g.period))
          AND NOT EXISTS (SELECT FROM fresh f WHERE f.period = g.period AND f.period_start = g.period_start)
    )
    INSERT INTO growth AS g SELECT * FROM fresh
    ON CONFLICT (period, period_start) DO UPDATE SET
        active = excluded.active, new = excluded.new, first_seen = excluded.first_seen, retained = excluded.retained,
        resurrected = excluded.resurrected, churned = excluded.churned, dormant = excluded.dormant, complete = excluded.complete
    WHERE g.* IS DISTINCT FROM excluded.*;

    WITH fresh AS (
        SELECT w.day, w.dau, w.active_in_window AS wau, m.active_in_window AS mau
        FROM ecomsocial.rolling_active('user_activity', 'user_id', 'days', 7, greatest(first, redo), until, zone) w
        JOIN ecomsocial.rolling_active('user_activity', 'user_id', 'days', 28, greatest(first, redo), until, zone) m USING (day)
    ), gone AS (
        DELETE FROM active_rolling a WHERE (redo IS NULL OR a.day >= redo) AND NOT EXISTS (SELECT FROM fresh f WHERE f.day = a.day)
    )
    INSERT INTO active_rolling AS a SELECT * FROM fresh
    ON CONFLICT (day) DO UPDATE SET dau = excluded.dau, wau = excluded.wau, mau = excluded.mau
    WHERE a.* IS DISTINCT FROM excluded.*;
END
$$;
COMMENT ON FUNCTION social_refresh_growth(regclass, date, date, date)
    IS 'internal: brings growth and active_rolling up to date with user_activity, whose days changed from changed_from on (NULL: all) and reach from first to before until, for the model that a table belongs to';

CREATE FUNCTION social_refresh_statistics(model regclass, users bigint[], changed_from date) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    zone  constant text := (ecomsocial.model_of(model)).time_zone;
    first date;     -- active day
    until date;     -- day after the last one
    moved bigint[]; -- users whose churn of the month changed
    month date;     -- the last complete one
BEGIN
    PERFORM set_config('search_path', ecomsocial.model_path(model), true);
    SELECT min(ecomsocial.activity_first(days)), max(ecomsocial.activity_last(days)) + 1 INTO first, until FROM user_activity;
    PERFORM ecomsocial.social_refresh_growth(model, changed_from, first, until);

    WITH fresh AS (
        SELECT d.day, d.signups, sum(d.signups) OVER (ORDER BY d.day)::bigint AS registered
        FROM (SELECT ecomsocial.rollup_day(created_at, zone) AS day, count(*) AS signups
              FROM "user" WHERE is_current AND isfinite(created_at) GROUP BY 1) d
    ), gone AS (
        DELETE FROM signup_daily s WHERE NOT EXISTS (SELECT FROM fresh f WHERE f.day = s.day)
    )
    INSERT INTO signup_daily AS s SELECT * FROM fresh
    ON CONFLICT (day) DO UPDATE SET signups = excluded.signups, registered = excluded.registered
    WHERE s.* IS DISTINCT FROM excluded.*;

    moved := ecomsocial.social_refresh_churn(model, users, changed_from, least(until, ecomsocial.rollup_day(now(), zone)));
    SELECT last_complete INTO month FROM user_churn_period WHERE period = 'month';

    -- Type 1: the current version takes them in place.  Those who signed up after their first act are looked for too.
    UPDATE "user" u SET last_active_date = f.last_active_date, churned_date = f.churned_date
    FROM (SELECT c.user_id, ecomsocial.activity_last(a.days) AS last_active_date,
                 (ecomsocial.activity_churn_stats(a.days, month, 'month')).churned_date
          FROM (SELECT unnest(users || moved) AS user_id
                UNION
                SELECT k.user_id FROM "user" k JOIN user_activity a ON a.user_id = k.user_id
                WHERE k.is_current AND k.last_active_date IS NULL
                UNION
                SELECT k.user_id FROM "user" k WHERE users IS NULL AND k.is_current) c
          LEFT JOIN user_activity a ON a.user_id = c.user_id) f
    WHERE u.user_id = f.user_id AND u.is_current
      AND (u.last_active_date, u.churned_date) IS DISTINCT FROM (f.last_active_date, f.churned_date);
END
$$;
COMMENT ON FUNCTION social_refresh_statistics(regclass, bigint[], date)
    IS 'internal: brings growth, active_rolling, signup_daily, user_churn_stats and two columns of "user" up to date with user_activity, given the users whose days changed (NULL: all) and the first such day, for the model that a table belongs to; rows that did not change are not written';

CREATE FUNCTION social_refresh_activity(model regclass, days date[]) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    settings constant ecomsocial.model := ecomsocial.model_of(model);
    zone     constant text := settings.time_zone;
    sources  constant text[] := ecomsocial.social_sources(settings.options ->> 'active');
    touched  constant ecomsocial.activity := ecomsocial.activity(social_refresh_activity.days);
    changed  bigint[];
BEGIN
    PERFORM set_config('search_path', ecomsocial.model_path(model), true);
    IF touched IS NULL THEN
        WITH fresh AS MATERIALIZED (
            SELECT a.user_id, ecomsocial.activity_agg(ecomsocial.rollup_day(a.event_time, zone)) AS days
            FROM user_act a
            WHERE a.user_id IS NOT NULL AND a.source = ANY (sources)
            GROUP BY a.user_id
        ), gone AS (
            DELETE FROM user_activity u WHERE NOT EXISTS (SELECT FROM fresh f WHERE f.user_id = u.user_id)
        )
        INSERT INTO user_activity AS u SELECT * FROM fresh
        ON CONFLICT (user_id) DO UPDATE SET days = excluded.days WHERE u.days OPERATOR(ecomsocial.<>) excluded.days;
    ELSE
        WITH fresh AS MATERIALIZED (
            SELECT a.user_id, ecomsocial.activity_agg(t.day) AS days
            FROM unnest(social_refresh_activity.days) t(day)
            JOIN user_act a ON a.event_time >= t.day::timestamp AT TIME ZONE zone AND a.event_time < (t.day + 1)::timestamp AT TIME ZONE zone
            WHERE a.user_id IS NOT NULL AND a.source = ANY (sources)
            GROUP BY a.user_id
        ), lost AS MATERIALIZED (
            SELECT u.user_id, u.days OPERATOR(ecomsocial.-) touched AS days
            FROM user_activity u
            WHERE u.days OPERATOR(ecomsocial.&&) touched AND NOT EXISTS (SELECT FROM fresh f WHERE f.user_id = u.user_id)
        ), gone AS (
            DELETE FROM user_activity u USING lost l WHERE u.user_id = l.user_id AND ecomsocial.activity_count(l.days) = 0
            RETURNING u.user_id
        ), shrunk AS (
            UPDATE user_activity u SET days = l.days FROM lost l WHERE u.user_id = l.user_id AND ecomsocial.activity_count(l.days) > 0
            RETURNING u.user_id
        ), kept AS (
            INSERT INTO user_activity AS u SELECT * FROM fresh
            ON CONFLICT (user_id) DO UPDATE SET days = (u.days OPERATOR(ecomsocial.-) touched) OPERATOR(ecomsocial.||) excluded.days
            WHERE u.days OPERATOR(ecomsocial.<>) ((u.days OPERATOR(ecomsocial.-) touched) OPERATOR(ecomsocial.||) excluded.days)
            RETURNING u.user_id
        )
        SELECT coalesce(array_agg(c.user_id), '{}') INTO changed
        FROM (SELECT g.user_id FROM gone g UNION ALL SELECT h.user_id FROM shrunk h UNION ALL SELECT k.user_id FROM kept k) c;
    END IF;
    PERFORM ecomsocial.social_refresh_statistics(model, changed, ecomsocial.activity_first(touched));
END
$$;
COMMENT ON FUNCTION social_refresh_activity(regclass, date[])
    IS 'internal: replaces the given days (NULL: all) in user_activity by what the events say, then everything that is computed from it, for the model that a table belongs to';
