-- Predictive customer lifetime value: BG/NBD and Gamma-Gamma.
\set VERBOSITY terse
SET search_path = ecomsocial, public;
SET jit = off;
\i test/bench/clv_simulate.sql

-- what a statement raises
CREATE FUNCTION raised(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'nothing';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' | ', sqlstate, sqlerrm, nullif(detail, ''), nullif(hint, ''));
END $$;

---------------------------------------------------------------------------
-- Published figures (Fader, Hardie and Lee 2005; the BTYD manual; note 025)
---------------------------------------------------------------------------

CREATE VIEW cdnow AS
	SELECT bgnbd_model(0.243, 4.414, 0.793, 2.426) AS purchases, gamma_gamma_model(6.25, 3.74, 15.44) AS spending;

SELECT bgnbd_expected_purchases(purchases, 2, 30.43, 38.86, 39)::numeric(9, 3) AS "1.226",
	bgnbd_probability(purchases, 0, 39)::numeric(9, 7) AS "0.5737864",
	bgnbd_probability(purchases, 10, 2)::numeric(15, 12) AS "1.07869e-07"
FROM cdnow;

-- published for unrounded parameters, of a fit of its own
SELECT t, published::numeric(9, 3), bgnbd_expected_new(bgnbd_model(0.24259, 4.41353, 0.79289, 2.42575), t)::numeric(9, 3) AS ours
FROM (VALUES (0.1429, 0.0078), (1, 0.0532), (3, 0.1506), (31.8571, 1.0405), (32, 1.0437), (78, 1.8576)) AS v(t, published);

SELECT n, published, bgnbd_probability(purchases, n, 30)::numeric(12, 10) AS ours
FROM cdnow, (VALUES (11, 0.0019995214), (12, 0.0015170236), (13, 0.0011633150), (14, 0.0009003148), (15, 0.0007023638),
	(16, 0.0005517902), (17, 0.0004361913), (18, 0.0003467171), (19, 0.0002769613), (20, 0.0002222260)) AS v(n, published);

-- the note's mean values have more digits
SELECT x, z, published,
	gamma_gamma_expected_value(gamma_gamma_model(6.24881, 3.74459, 15.44774), x, z)::numeric(9, 2) AS ours
FROM (VALUES (2, 22.35, 24.65), (1, 11.77, 18.91), (0, 0, 35.17), (7, 73.74, 71.46), (2, 25.55, 27.28)) AS v(x, z, published);

---------------------------------------------------------------------------
-- The predictions against the formulas as published
---------------------------------------------------------------------------

-- the series of Gauss, as it is defined
CREATE FUNCTION gauss(a float8, b float8, c float8, z float8) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
	term float8 := 1;
	sum float8 := 1;
BEGIN
	FOR n IN 0..20000 LOOP
		term := term * (a + n) * (b + n) / (c + n) * z / (n + 1);
		sum := sum + term;
		EXIT WHEN term < sum * 1e-17;
	END LOOP;
	RETURN sum;
END $$;

CREATE VIEW parameters AS
	SELECT r, alpha, a, b, bgnbd_model(r, alpha, a, b) AS model
	FROM unnest('{0.243, 30}'::float8[]) AS r, unnest('{0.5, 4.414, 300}'::float8[]) AS alpha,
		unnest('{0.1, 0.793, 1.5, 8}'::float8[]) AS a, unnest('{0.3, 2.426, 40}'::float8[]) AS b;

CREATE VIEW histories AS
	SELECT x, recency * age * (x > 0)::int AS t_x, age, t
	FROM unnest('{0, 1, 5, 40}'::bigint[]) AS x, unnest('{0.1, 0.9, 1}'::float8[]) AS recency,
		unnest('{3, 100}'::float8[]) AS age, unnest('{2, 150}'::float8[]) AS t;

CREATE VIEW formulas AS
	SELECT *, (x > 0)::int * a / (b + greatest(x, 1) - 1) * ((alpha + age) / (alpha + t_x)) ^ (r + x) AS odds_left,
		(a + b + x - 1) / (a - 1) * (1 - ((alpha + age) / (alpha + age + t)) ^ (r + x)
			* gauss(r + x, b + x, a + b + x - 1, t / (alpha + age + t))) AS if_alive
	FROM parameters, histories;

SELECT count(*),
	bool_and(abs(bgnbd_probability_alive(model, x, t_x, age) * (1 + odds_left) - 1) < 1e-12) AS alive,
	bool_and(abs(bgnbd_expected_purchases(model, x, t_x, age, t) * (1 + odds_left) / if_alive - 1) < 1e-9) AS expected
FROM formulas WHERE a + b + x > 1;

-- nobody is known to have left who never came back
SELECT bool_and(bgnbd_probability_alive(model, 0, 0, age) = 1) AS alive FROM parameters, histories;

-- the probabilities of all numbers of purchases sum to 1, and their mean is the expectation
SELECT count(*), bool_and(abs(sum - 1) < 1e-9) AS sum, bool_and(abs(mean / bgnbd_expected_new(model, t) - 1) < 1e-7) AS mean
FROM (SELECT model, t, sum(p), sum(n * p) AS mean
	FROM parameters, unnest('{0.1, 2}'::float8[]) AS t, generate_series(0, 500) AS n, bgnbd_probability(model, n, t) AS p
	WHERE alpha >= 4 GROUP BY 1, 2) AS s;

-- the beginning, the end, and the value at a = 1, where the published form divides by zero
SELECT bgnbd_expected_new(m, 0) AS none,
	(bgnbd_expected_new(m, 1e-9) / 1e-9 * 10)::numeric(20, 8) AS rate_is_r_over_alpha,
	bgnbd_expected_new(bgnbd_model(50, 1, 3, 4), 1000)::numeric(9, 6) AS "all: (a+b-1)/(a-1)"
FROM bgnbd_model(2, 10, 1.5, 4) AS m;
SELECT (bgnbd_expected_new(bgnbd_model(2, 10, 1, 4), t) / mean - 1)::numeric(9, 7) AS error
FROM unnest('{1, 20, 900}'::float8[]) AS t,
	LATERAL (SELECT avg(bgnbd_expected_new(bgnbd_model(2, 10, a, 4), t)) FROM unnest('{0.999, 1.001}'::float8[]) AS a) AS m(mean);
SELECT bgnbd_probability(m, 0, 0) AS at_once, bgnbd_probability(m, 3, 0) AS too_many FROM bgnbd_model(2, 10, 1.5, 4) AS m;

-- large figures neither overflow nor hang
SELECT bgnbd_expected_purchases(m, 100000, 364.9, 365, 365)::numeric(20) AS heavy_buyer,
	bgnbd_expected_new(bgnbd_model(1000, 1, 0.5, 2), 900)::numeric(20, 3) AS busy_crowd,
	bgnbd_probability(bgnbd_model(1000, 1, 0.5, 2), 5, 900)::numeric(20, 6) AS few_of_a_busy_crowd,
	bgnbd_probability_alive(m, 1000000000000, 1, 365) AS long_silent,
	raised('SELECT bgnbd_expected_new(bgnbd_model(1, 1e-300, 1, 1), 1e300)') AS absurd
FROM bgnbd_model(0.2, 4, 0.001, 2) AS m;

---------------------------------------------------------------------------
-- The fits on simulated customers
---------------------------------------------------------------------------

CREATE TABLE shops (shop int, twice_r int, alpha float8, twice_a int, twice_b int, longest float8);
INSERT INTO shops VALUES (1, 1, 10, 2, 6, 100), (2, 4, 20, 1, 3, 300);
CREATE TABLE customers AS
	SELECT shop, i, x, t_x, age, mean_value(i, x, 6, 8, 15) AS z
	FROM shops, generate_series(1, 10000) AS i, observed(i, longest) AS age, buyer(i, twice_r, alpha, twice_a, twice_b, age);
CREATE TABLE fits AS
	SELECT shop, bgnbd_fit_agg(x, t_x, age) AS purchases, gamma_gamma_fit_agg(x, z) AS spending
	FROM customers GROUP BY shop;

-- the parameters come back, within sampling error
SELECT shop, (purchases).r::numeric(9, 2), twice_r / 2.0 AS true_r, (purchases).alpha::numeric(9, 1), alpha AS true_alpha,
	(purchases).a::numeric(9, 2), twice_a / 2.0 AS true_a, (purchases).b::numeric(9, 2), twice_b / 2.0 AS true_b,
	(purchases).customers, (purchases).converged, (purchases).iterations < 15 AS quick
FROM fits JOIN shops USING (shop) ORDER BY shop;
SELECT shop, (spending).p::numeric(9, 1) AS "6", (spending).q::numeric(9, 1) AS "4", (spending).v::numeric(9, 0) AS "15",
	(spending).customers = (SELECT count(*) FROM customers c WHERE c.shop = fits.shop AND x > 0) AS customers,
	(spending).converged, (spending).iterations < 15 AS quick
FROM fits ORDER BY shop;

-- BG/NBD's likelihood as it reads, gamma functions of whole steps as products
CREATE FUNCTION likelihood(x bigint, t_x float8, age float8, r float8, alpha float8, a float8, b float8) RETURNS float8 LANGUAGE sql AS $$
	SELECT ln(coalesce((SELECT exp(sum(ln(r + k))) FROM generate_series(0, x - 1) AS k), 1) * alpha ^ r
		* (stayed * (alpha + age) ^ -(r + x) + CASE WHEN x > 0 THEN stayed * a / (b + x - 1) * (alpha + t_x) ^ -(r + x) ELSE 0 END))
	FROM (SELECT coalesce(exp(sum(ln(b + k) - ln(a + b + k))), 1) FROM generate_series(0, x - 1) AS k) AS s(stayed) $$;

-- ln gamma(x) by Stirling's series
CREATE FUNCTION ln_gamma(x float8) RETURNS float8 LANGUAGE sql AS $$
	SELECT (y - 0.5) * ln(y) - y + ln(2 * pi()) / 2 + 1 / (12 * y) - 1 / (360 * y ^ 3) + 1 / (1260 * y ^ 5) - 1 / (1680 * y ^ 7)
		- (SELECT sum(ln(x + k)) FROM generate_series(0, 14) AS k)
	FROM (SELECT x + 15) AS s(y) $$;

CREATE FUNCTION likelihood(x bigint, z float8, p float8, q float8, v float8) RETURNS float8 LANGUAGE sql AS $$
	SELECT ln_gamma(p * x + q) - ln_gamma(p * x) - ln_gamma(q) + q * ln(v) + (p * x - 1) * ln(z) + p * x * ln(x)
		- (p * x + q) * ln(v + x * z) $$;

-- the log-likelihood is right, no neighbour's is higher, and neither is the truth's
CREATE TABLE thousand AS SELECT * FROM customers WHERE i <= 1000;
CREATE VIEW neighbours AS
	SELECT j, s, array_agg(CASE WHEN i = j THEN 1 + s ELSE 1 END ORDER BY i) AS by
	FROM generate_series(1, 4) AS i, generate_series(1, 4) AS j, unnest('{-0.001, 0.001}'::float8[]) AS s GROUP BY j, s;

WITH m AS MATERIALIZED (SELECT shop, (bgnbd_fit_agg(x, t_x, age)).* FROM thousand GROUP BY shop)
SELECT shop, abs(here - log_likelihood) < 1e-8 AS likelihood, true_one < here AS truth, highest < here AS neighbours
FROM m,
	LATERAL (SELECT sum(likelihood(x, t_x, c.age, m.r, m.alpha, m.a, m.b)), sum(likelihood(x, t_x, c.age, twice_r / 2.0, t.alpha, twice_a / 2.0, twice_b / 2.0))
		FROM thousand c JOIN shops t USING (shop) WHERE shop = m.shop) AS h(here, true_one),
	LATERAL (SELECT max(there) FROM (SELECT sum(likelihood(x, t_x, c.age, m.r * by[1], m.alpha * by[2], m.a * by[3], m.b * by[4]))
		FROM thousand c, neighbours WHERE shop = m.shop GROUP BY by) AS n(there)) AS n(highest)
ORDER BY shop;

WITH m AS MATERIALIZED (SELECT shop, (gamma_gamma_fit_agg(x, z)).* FROM thousand GROUP BY shop)
SELECT shop, abs(here - log_likelihood) < 1e-8 AS likelihood, true_one < here AS truth, highest < here AS neighbours
FROM m,
	LATERAL (SELECT sum(likelihood(x, z, p, q, v)), sum(likelihood(x, z, 6, 4, 15)) FROM thousand WHERE shop = m.shop AND x > 0) AS h(here, true_one),
	LATERAL (SELECT max(there) FROM (SELECT sum(likelihood(x, z, p * by[1], q * by[2], v * by[3]))
		FROM thousand, neighbours WHERE shop = m.shop AND x > 0 AND j < 4 GROUP BY by) AS n(there)) AS n(highest)
ORDER BY shop;

-- another unit of time or money changes alpha and v, and the density, alone
SELECT bool_and(abs(d.r / w.r - 1) < 1e-9 AND abs(d.a / w.a - 1) < 1e-9 AND abs(d.b / w.b - 1) < 1e-9) AS same,
	bool_and(abs(d.alpha / w.alpha / 7 - 1) < 1e-9) AS sevenfold,
	bool_and(abs(d.log_likelihood + purchases * ln(7) - w.log_likelihood) < 1e-6) AS density
FROM (SELECT shop, sum(x) AS purchases, bgnbd_fit_agg(x, t_x, age) AS days, bgnbd_fit_agg(x, t_x / 7, age / 7) AS weeks FROM customers GROUP BY shop) AS f,
	LATERAL (SELECT (days).*) AS d, LATERAL (SELECT (weeks).*) AS w;
SELECT bool_and(abs(m.p / n.p - 1) < 1e-9 AND abs(m.q / n.q - 1) < 1e-9) AS same, bool_and(abs(n.v / m.v / 1e12 - 1) < 1e-9) AS scaled,
	bool_and(abs(n.log_likelihood + m.customers * ln(1e12) - m.log_likelihood) < 1e-6) AS density
FROM (SELECT shop, gamma_gamma_fit_agg(x, z) AS one, gamma_gamma_fit_agg(x, z * 1e12) AS other FROM customers GROUP BY shop) AS f,
	LATERAL (SELECT (one).*) AS m, LATERAL (SELECT (other).*) AS n;

-- the documented way from purchases to values: two purchases of a day count once
CREATE TABLE purchases AS
	SELECT i AS customer_id, date '2026-07-31' - age::int + (t_x * k / greatest(x, 1))::int AS day,
		round((gamma_draw(12, i, 30000 + 40 * k) * 15 / gamma_draw(8, i, 4000))::numeric, 2) AS amount
	FROM customers, generate_series(0, x) AS k WHERE shop = 1 AND i <= 2000;
CREATE TABLE customer_summary AS
SELECT customer_id, count(*) - 1 AS frequency, max(day) - min(day) AS recency, date '2026-07-31' - min(day) AS age,
       avg(amount) FILTER (WHERE day > first_day) AS mean_value
FROM (SELECT customer_id, day, sum(amount) AS amount, min(day) OVER (PARTITION BY customer_id) AS first_day
      FROM purchases GROUP BY customer_id, day) AS p
GROUP BY customer_id;
SELECT bool_and(frequency = (SELECT count(DISTINCT day) - 1 FROM purchases p WHERE p.customer_id = s.customer_id)) AS frequency,
	bool_and((mean_value IS NULL) = (frequency = 0)) AS mean_value, min(frequency), max(frequency) FROM customer_summary AS s;
CREATE TABLE clv_models AS
SELECT ecomsocial.bgnbd_fit_agg(frequency, recency, age) AS purchases,
       ecomsocial.gamma_gamma_fit_agg(frequency, mean_value) FILTER (WHERE mean_value > 0) AS spending
FROM customer_summary;
SELECT count(*), bool_and(alive BETWEEN 0 AND 1) AS alive, bool_and(value_1_year > 0 AND value_1_year < 10000) AS valued
FROM (SELECT customer_id,
       ecomsocial.bgnbd_probability_alive(purchases, frequency, recency, age) AS alive,
       ecomsocial.bgnbd_expected_purchases(purchases, frequency, recency, age, 90) AS purchases_90_days,
       ecomsocial.clv_expected(purchases, spending, frequency, recency, age, mean_value, 365, margin => 0.3,
                               discount_rate => 1.10 ^ (1.0 / 365) - 1) AS value_1_year
	FROM customer_summary, clv_models
	WHERE (purchases).converged AND (spending).converged AND (frequency = 0 OR mean_value > 0)
	ORDER BY value_1_year DESC NULLS LAST) AS s;

-- what is expected comes about: fit the first 60 % of the time, count the purchases of the rest
WITH events AS MATERIALIZED (
	SELECT i, (buyer(i, 1, 10, 2, 6, 60)).*, (buyer(i, 1, 10, 2, 6, 100)).x AS later FROM generate_series(1, 10000) AS i),
m AS MATERIALIZED (SELECT bgnbd_fit_agg(x, t_x, 60) AS m FROM events)
SELECT least(x, 5) AS purchases, count(*), abs(sum(later - x) / sum(bgnbd_expected_purchases(m, x, t_x, 60, 40)) - 1) < 0.1 AS as_expected
FROM events, m GROUP BY 1 ORDER BY 1;

---------------------------------------------------------------------------
-- One answer whatever the plan
---------------------------------------------------------------------------

CREATE VIEW one_fit AS SELECT bgnbd_fit_agg(x, t_x, age) AS purchases, gamma_gamma_fit_agg(x, z) AS spending FROM customers;
SET max_parallel_workers_per_gather = 0;
CREATE TABLE answers AS SELECT 'serial' AS plan, * FROM one_fit;
INSERT INTO answers SELECT 'backwards', bgnbd_fit_agg(x, t_x, age ORDER BY i DESC), gamma_gamma_fit_agg(x, z ORDER BY i DESC) FROM customers;
INSERT INTO answers SELECT 'shuffled', bgnbd_fit_agg(x, t_x, age ORDER BY hashint8(i)), gamma_gamma_fit_agg(x, z ORDER BY hashint8(i)) FROM customers;
INSERT INTO answers SELECT 'sorted', bgnbd_fit_agg(x, t_x, age ORDER BY x, t_x), gamma_gamma_fit_agg(x, z ORDER BY x, z) FROM customers;
SET max_parallel_workers_per_gather = 3;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
EXPLAIN (COSTS OFF) SELECT * FROM one_fit;
-- an INSERT would not be parallel
CREATE TABLE parallel_answer AS SELECT * FROM one_fit;
INSERT INTO answers SELECT 'parallel', * FROM parallel_answer;
RESET max_parallel_workers_per_gather;

-- partial states that travel as text, as between the nodes of Citus
CREATE AGGREGATE bgnbd_state(bigint, float8, float8) (SFUNC = bgnbd_fit_trans, STYPE = float8[], INITCOND = '{}');
CREATE AGGREGATE bgnbd_of_states(float8[]) (SFUNC = clv_cells_combine, STYPE = float8[], INITCOND = '{}', FINALFUNC = bgnbd_fit_final);
CREATE AGGREGATE gamma_gamma_state(bigint, float8) (SFUNC = gamma_gamma_fit_trans, STYPE = float8[], INITCOND = '{}');
CREATE AGGREGATE gamma_gamma_of_states(float8[]) (SFUNC = clv_cells_combine, STYPE = float8[], INITCOND = '{}', FINALFUNC = gamma_gamma_fit_final);
INSERT INTO answers SELECT 'nodes', bgnbd_of_states(purchases::text::float8[]), gamma_gamma_of_states(spending::text::float8[])
	FROM (SELECT bgnbd_state(x, t_x, age) AS purchases, gamma_gamma_state(x, z) AS spending
		FROM customers GROUP BY hashint8(i) % 7) AS s;
SELECT plan, purchases = (SELECT purchases FROM answers WHERE plan = 'serial') AS purchases,
	spending = (SELECT spending FROM answers WHERE plan = 'serial') AS spending
FROM answers ORDER BY plan COLLATE "C";

-- many states that grow side by side, stored ones too
SELECT count(*), bool_and(f.purchases = a.purchases) AS same
FROM (SELECT i % 40 AS k, bgnbd_fit_agg(x, t_x, age) AS purchases FROM customers GROUP BY 1) AS f
JOIN LATERAL (SELECT bgnbd_fit_agg(x, t_x, age) AS purchases FROM customers WHERE i % 40 = k) AS a ON true;
CREATE TABLE stored AS SELECT i % 40 AS k, bgnbd_state(x, t_x, age) AS state FROM customers GROUP BY 1;
SELECT bgnbd_of_states(state) = (SELECT purchases FROM answers WHERE plan = 'serial') AS same FROM stored;

-- equal histories are kept once: the state does not grow with the customers
SELECT count(*), cardinality(bgnbd_state(least(x, 3), round(t_x / 100), 5)) < 400 AS small FROM customers WHERE t_x < 300;
-- a weight of three is three customers; -0 is 0
SELECT abs((SELECT (bgnbd_fit_agg(x, t_x, age)).log_likelihood FROM thousand, generate_series(1, 3)) -
	(SELECT 3 * (bgnbd_fit_agg(x, t_x, age)).log_likelihood FROM thousand)) < 1e-6 AS thrice;
SELECT cardinality(bgnbd_state(0, z, 5)) = cardinality(bgnbd_state(0, 0, 5)) AS zero, bgnbd_state(0, z, 5) = bgnbd_state(0, -z, 5) AS bits
FROM unnest('{0, -0}'::float8[]) AS z, generate_series(1, 20);

-- final functions leave the state as it is: a running fit is the fit of the rows so far
SELECT count(*), bool_and(running = (SELECT bgnbd_fit_agg(x, t_x, age) FROM thousand WHERE shop = 1 AND i <= f.i)) AS same
FROM (SELECT i, bgnbd_fit_agg(x, t_x, age) OVER (ORDER BY i) AS running FROM thousand WHERE shop = 1 AND i <= 300) AS f WHERE i % 50 = 0;

-- NULLs are passed over, and nothing has no fit
SELECT bgnbd_fit_agg(x, t_x, age) = (SELECT bgnbd_fit_agg(x, t_x, age) FROM thousand) AS same
FROM (SELECT x, t_x, age FROM thousand UNION ALL VALUES (NULL, 1, 2), (1, NULL, 2), (1, 1, NULL)) AS s;
SELECT bgnbd_fit_agg(x, t_x, age) IS NULL AS purchases, gamma_gamma_fit_agg(x, z) IS NULL AS spending FROM thousand WHERE i < 0;
SELECT bgnbd_fit_agg(x, t_x, NULL) IS NULL AS purchases, gamma_gamma_fit_agg(x, NULL) IS NULL AS spending FROM thousand;
SELECT gamma_gamma_fit_agg(0, z) IS NULL AS nobody_came_back FROM unnest('{0, 5, -1, NaN}'::float8[]) AS z;

---------------------------------------------------------------------------
-- Fits that cannot converge say so
---------------------------------------------------------------------------

CREATE TABLE degenerate AS
	SELECT 'one customer' AS what, bgnbd_fit_agg(3, 20, 30) AS m
	UNION ALL SELECT 'one who never came back', bgnbd_fit_agg(0, 0, 30)
	UNION ALL SELECT 'nobody came back', bgnbd_fit_agg(0, 0, i) FROM generate_series(1, 100) AS i
	UNION ALL SELECT 'no time', bgnbd_fit_agg(0, 0, 0) FROM generate_series(1, 100)
	UNION ALL SELECT 'no time, yet purchases', bgnbd_fit_agg(i % 3, 0, 0) FROM generate_series(1, 100) AS i
	UNION ALL SELECT 'nobody ever leaves', bgnbd_fit_agg(i, 100, 100) FROM generate_series(1, 100) AS i
	UNION ALL SELECT 'all buy alike', bgnbd_fit_agg(5, 50, 60) FROM generate_series(1, 100) AS i
	UNION ALL SELECT 'tiny and huge ages', bgnbd_fit_agg(i % 5, 0, 10 ^ (i * 6 - 300)) FROM generate_series(1, 100) AS i
	UNION ALL SELECT 'huge frequencies', bgnbd_fit_agg(9223372036854775807 / i, 1, 2) FROM generate_series(1, 9) AS i;
SELECT what, (m).customers, (m).converged, (m).iterations <= 100 AS ended FROM degenerate ORDER BY what;
SELECT m AS "one Gamma-Gamma customer", (s).converged FROM (SELECT gamma_gamma_fit_agg(2, 5)) AS f(s), LATERAL (SELECT (s).customers) AS l(m)
UNION ALL SELECT (s).customers, (s).converged FROM (SELECT gamma_gamma_fit_agg(i % 4 + 1, 10) FROM generate_series(1, 100) AS i) AS f(s)
UNION ALL SELECT (s).customers, (s).converged FROM (SELECT gamma_gamma_fit_agg(2, 10 ^ (i * 6 - 300)) FROM generate_series(1, 100) AS i) AS f(s)
ORDER BY 1;

SELECT raised(format('SELECT %s FROM degenerate WHERE what = ''nobody ever leaves''', call)) AS refused
FROM unnest('{"bgnbd_probability_alive(m, 1, 2, 3)", "bgnbd_expected_purchases(m, 1, 2, 3, 4)", "bgnbd_expected_new(m, 4)", "bgnbd_probability(m, 1, 4)",
	"clv_expected(m, gamma_gamma_model(6, 4, 15), 1, 2, 3, 10, 4)"}'::text[]) AS call;
SELECT raised('SELECT gamma_gamma_expected_value(gamma_gamma_fit_agg(2, 5), 1, 2)') AS refused;

-- whoever wants those parameters all the same says so
SELECT bgnbd_probability_alive(bgnbd_model((m).r, (m).alpha, (m).a, (m).b), 1, 100, 100)::numeric(9, 3) AS alive
FROM degenerate WHERE what = 'nobody ever leaves';

---------------------------------------------------------------------------
-- Value
---------------------------------------------------------------------------

-- the mean of no purchases may be NULL; no expectation where the mean is infinite
SELECT gamma_gamma_expected_value(m, 0, NULL) = 6 * 15 / 3.0 AS everybody, gamma_gamma_expected_value(m, 0, -5) = 30 AS ignored,
	gamma_gamma_expected_value(m, 2, NULL) IS NULL AS unknown, gamma_gamma_expected_value(m, NULL, 5) IS NULL AS frequency,
	gamma_gamma_expected_value(NULL, 1, 5) IS NULL AS model,
	gamma_gamma_expected_value(gamma_gamma_model(2, 1, 15), 0, NULL) IS NULL AS heavy_tail,
	gamma_gamma_expected_value(gamma_gamma_model(2, 1, 15), 1, 10) AS "25"
FROM gamma_gamma_model(6, 4, 15) AS m;

-- clv = margin * value * purchases; discounting against a sum over small steps
CREATE VIEW valued AS
	SELECT purchases, spending, x, t_x, age, CASE WHEN x > 0 THEN 20.0 END AS z, horizon FROM cdnow, (VALUES (0, 0, 38.86), (2, 30.43, 38.86), (20, 3, 39), (7, 70, 70)) AS v(x, t_x, age), unnest('{4, 52, 520}'::float8[]) AS horizon;
SELECT bool_and(abs(clv_expected(purchases, spending, x, t_x, age, z, horizon, 0.3)
	/ (0.3 * gamma_gamma_expected_value(spending, x, z) * bgnbd_expected_purchases(purchases, x, t_x, age, horizon)) - 1) < 1e-12) AS product
FROM valued;
SELECT horizon, rate, max(abs(clv_expected(purchases, spending, x, t_x, age, z, horizon, 1, rate) / (steps * gamma_gamma_expected_value(spending, x, z)) - 1)) < 5e-6 AS same
FROM valued, unnest('{0.0001, 0.01, 0.3}'::float8[]) AS rate,
	LATERAL (SELECT sum((bgnbd_expected_purchases(purchases, x, t_x, age, horizon * (s + 1) / 5000) - bgnbd_expected_purchases(purchases, x, t_x, age, horizon * s / 5000))
		* (1 + rate) ^ (-horizon * (s + 0.5) / 5000) * (1 + (horizon / 5000 * ln(1 + rate)) ^ 2 / 24)) FROM generate_series(0, 4999) AS s) AS d(steps)
GROUP BY 1, 2 ORDER BY 1, 2;
SELECT clv_expected(purchases, spending, 1, 2, 3, 4, 0, 1, 0.1) AS no_time, clv_expected(purchases, spending, 1, 2, 3, 4, 5, 0) AS no_margin,
	clv_expected(purchases, spending, 0, 0, 3, NULL, 5) > 0 AS new_customer, clv_expected(purchases, spending, 1, 2, 3, NULL, 5) IS NULL AS unknown,
	clv_expected(purchases, spending, NULL, 2, 3, 4, 5) IS NULL AS frequency, clv_expected(purchases, NULL, 1, 2, 3, 4, 5) IS NULL AS model,
	clv_expected(purchases, spending, 1, 2, 3, 4, 5, discount_rate => 0.1) < clv_expected(purchases, spending, 1, 2, 3, 4, 5) AS discounted
FROM cdnow;

---------------------------------------------------------------------------
-- Errors
---------------------------------------------------------------------------

SELECT args, raised(format('SELECT bgnbd_fit_agg(%s)', args)) AS raised
FROM unnest('{"-1, 0, 5", "1, -1, 5", "1, 6, 5", "0, 1, 5", "1, ''NaN'', 5", "1, 1, ''NaN''", "1, 1, ''infinity''", "1, ''-infinity'', 5", "0, 0, -5"}'::text[]) AS args;
SELECT args, raised(format('SELECT gamma_gamma_fit_agg(%s)', args)) AS raised
FROM unnest('{"-1, 5", "1, 0", "1, -5", "1, ''NaN''", "1, ''infinity''"}'::text[]) AS args;
SELECT call, raised('SELECT ' || call) AS raised
FROM unnest(ARRAY[
	'bgnbd_probability_alive(bgnbd_model(1, 1, 1, 1), 1, 6, 5)',
	'bgnbd_expected_purchases(bgnbd_model(1, 1, 1, 1), -1, 0, 5, 1)',
	'bgnbd_expected_purchases(bgnbd_model(1, 1, 1, 1), 1, 2, 5, -1)',
	'bgnbd_expected_new(bgnbd_model(1, 1, 1, 1), ''NaN'')',
	'bgnbd_expected_new(bgnbd_model(1, 1, 1, 1), ''infinity'')',
	'bgnbd_probability(bgnbd_model(1, 1, 1, 1), -1, 5)',
	'bgnbd_expected_new(bgnbd_model(0, 1, 1, 1), 1)',
	'bgnbd_expected_new(bgnbd_model(1, -1, 1, 1), 1)',
	'bgnbd_expected_new(bgnbd_model(1, 1, ''NaN'', 1), 1)',
	'bgnbd_expected_new(bgnbd_model(1, 1, 1, ''infinity''), 1)',
	'bgnbd_expected_new(ROW(1, 1, NULL, 1, NULL, NULL, NULL, NULL)::bgnbd_model, 1)',
	'gamma_gamma_expected_value(gamma_gamma_model(1, 0, 1), 1, 1)',
	'gamma_gamma_expected_value(gamma_gamma_model(1, 2, 3), 1, 0)',
	'gamma_gamma_expected_value(gamma_gamma_model(1, 2, 3), -1, 5)',
	'clv_expected(bgnbd_model(1, 1, 1, 1), gamma_gamma_model(1, 2, 3), 1, 6, 5, 10, 5)',
	'clv_expected(bgnbd_model(1, 1, 1, 1), gamma_gamma_model(1, 2, 3), 1, 2, 5, -10, 5)',
	'clv_expected(bgnbd_model(1, 1, 1, 1), gamma_gamma_model(1, 2, 3), 1, 2, 5, 10, -5)',
	'clv_expected(bgnbd_model(1, 1, 1, 1), gamma_gamma_model(1, 2, 3), 1, 2, 5, 10, 5, ''NaN'')',
	'clv_expected(bgnbd_model(1, 1, 1, 1), gamma_gamma_model(1, 2, 3), 1, 2, 5, 10, 5, 1, -0.1)',
	'bgnbd_fit_trans(''{}'', 1, 2, 3)',
	'bgnbd_fit_final(''{}'')',
	'gamma_gamma_fit_trans(''{}'', 1, 2)',
	'gamma_gamma_fit_final(''{}'')',
	'clv_cells_combine(''{}'', ''{}'')']) AS call;

-- states made by hand
SELECT state, raised(format('SELECT bgnbd_of_states(%L)', state)) AS bgnbd, raised(format('SELECT gamma_gamma_of_states(%L)', state)) AS gamma_gamma
FROM unnest(ARRAY['{1}', '{0}', '{-1}', '{NaN}', '{1,1,2,3}', '{2,1,2,3,1}', '{1,NULL,2,3,1}', '{{1,2},{3,4}}', '{1,1,2,3,0}', '{1,1,2,3,1e300}',
	'{1,1,2,3,NaN}', '{1,NaN,2,3,1}', '{1,1,NaN,3,1}', '{1,1,3,2,1}', '{1,-1,0,3,1}', '{0.5,1,2,3,1}', '{1,1,2,3,1}']) AS state;
CREATE AGGREGATE bgnbd_from_garbage(bigint, float8, float8) (SFUNC = bgnbd_fit_trans, STYPE = float8[], INITCOND = '{5,1,1,1,1}', FINALFUNC = bgnbd_fit_final);
SELECT raised('SELECT bgnbd_from_garbage(1, 2, 3)') AS raised;

RESET search_path;
