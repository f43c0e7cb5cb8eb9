-- The period enum is declared in the order that C code relies on.
SELECT enum_range(NULL::ecomsocial.period);

-- Periods of days: at both ends of the calendar, around every turn of a month in eight
-- centuries and on random days, the first day and the last are of the same period by
-- extract(), and the days before and after them are not.
WITH day AS (
	SELECT '4713-01-02 BC'::date + i AS day FROM generate_series(0, 1500) i
	UNION ALL SELECT '5874896-12-31'::date - i FROM generate_series(0, 1500) i
	UNION ALL SELECT (m - i * interval '1 day')::date FROM generate_series('1601-01-01'::timestamp, '2405-01-01', '1 month') m, generate_series(0, 1) i
	UNION ALL SELECT '4713-01-02 BC'::date + ((hashint4(i)::bigint + 2147483648) % 2147000000)::integer FROM generate_series(1, 20000) i),
bounds AS (
	SELECT day, period, ecomsocial.rollup_bucket(day, period) AS first, ecomsocial.rollup_bucket(day, period, 1) - 1 AS last
	FROM day, unnest('{month,quarter,year}'::ecomsocial.period[]) period)
SELECT period, count(*),
	   count(*) FILTER (WHERE day NOT BETWEEN first AND last
						   OR extract(year FROM first) <> extract(year FROM day) OR extract(year FROM last) <> extract(year FROM day)) AS wrong_year,
	   count(*) FILTER (WHERE period = 'month' AND (extract(month FROM first) <> extract(month FROM day) OR extract(month FROM last) <> extract(month FROM day))
						   OR period = 'quarter' AND (extract(quarter FROM first) <> extract(quarter FROM day) OR extract(quarter FROM last) <> extract(quarter FROM day))) AS other_period,
	   count(*) FILTER (WHERE extract(day FROM first) <> 1 OR extract(day FROM last + 1) <> 1
						   OR period = 'quarter' AND extract(month FROM first) NOT IN (1, 4, 7, 10) OR period = 'year' AND extract(doy FROM first) <> 1) AS not_whole
FROM bounds GROUP BY period ORDER BY period;
