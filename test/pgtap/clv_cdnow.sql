-- The published fits of the CDNOW sample (Fader, Hardie and Lee 2005; Fader and
-- Hardie, note 025): 2,357 customers, whose file comes with several packages but
-- under no clear licence, so that it is not here.  Set ECS_CDNOW to the path of
-- a CSV file with the columns id, x, t_x, T, mean value, and a header.
\set cdnow ''
\getenv cdnow ECS_CDNOW
SELECT :'cdnow' <> '' AS have_cdnow \gset

\if :have_cdnow
SELECT plan(11);
\set rows `cat "$ECS_CDNOW"`
CREATE TEMPORARY TABLE cdnow AS
	SELECT f[1]::bigint AS id, f[2]::bigint AS x, f[3]::float8 AS t_x, f[4]::float8 AS age, f[5]::float8 AS z
	FROM string_to_table(:'rows', E'\n') WITH ORDINALITY AS l(line, n), string_to_array(trim(line, E'\r '), ',') AS f
	WHERE n > 1 AND line <> '';
CREATE TEMPORARY TABLE models AS
	SELECT ecomsocial.bgnbd_fit_agg(x, t_x, age) AS purchases, ecomsocial.gamma_gamma_fit_agg(x, z) AS spending FROM cdnow;

SELECT is(count(*), 2357::bigint, 'the 1/10 sample') FROM cdnow;
SELECT is(round(m.r::numeric, 3) || ' ' || round(m.alpha::numeric, 3) || ' ' || round(m.a::numeric, 3) || ' ' || round(m.b::numeric, 3),
	'0.243 4.414 0.793 2.426', 'BG/NBD: r alpha a b') FROM models, LATERAL (SELECT (purchases).*) AS m;
SELECT is(round((purchases).log_likelihood::numeric, 1), -9582.4, 'BG/NBD: log-likelihood') FROM models;
SELECT ok((purchases).converged AND (purchases).customers = 2357, 'BG/NBD: converged') FROM models;
-- p, q, v as published cut, not rounded, the third digit
SELECT is(trunc(m.p::numeric + 0.005, 2) || ' ' || trunc(m.q::numeric, 2) || ' ' || trunc(m.v::numeric, 2),
	'6.25 3.74 15.44', 'Gamma-Gamma: p q v') FROM models, LATERAL (SELECT (spending).*) AS m;
SELECT is(round((spending).log_likelihood::numeric, 1), -4055.9, 'Gamma-Gamma: log-likelihood') FROM models;
SELECT ok((spending).converged AND (spending).customers = 946, 'Gamma-Gamma: converged, on repeat buyers alone') FROM models;
SELECT is(round(ecomsocial.bgnbd_expected_purchases(purchases, x, t_x, age, 39)::numeric, 3), 1.226, 'purchases expected of customer 1 in 39 weeks')
	FROM models, cdnow WHERE id = 1;
SELECT ok(bool_and(abs(ecomsocial.bgnbd_expected_new(purchases, t) - published) < 0.0005), 'purchases expected of a new customer')
	FROM models, (VALUES (0.1429, 0.0078), (1, 0.0532), (3, 0.1506), (31.8571, 1.0405), (32, 1.0437), (78, 1.8576)) AS v(t, published);
SELECT ok(bool_and(abs(ecomsocial.gamma_gamma_expected_value(spending, x, z) - published) < 0.01), 'values expected of the first ten')
	FROM models, cdnow, unnest('{24.65, 18.91, 35.17, 35.17, 35.17, 71.46, 18.91, 35.17, 27.28, 35.17}'::float8[]) WITH ORDINALITY AS p(published, n)
	WHERE id = n;
SELECT ok(bool_and(ecomsocial.bgnbd_probability_alive(purchases, x, t_x, age) = 1) FILTER (WHERE x = 0)
	AND max(ecomsocial.bgnbd_probability_alive(purchases, x, t_x, age)) FILTER (WHERE x > 0) < 1, 'alive: for certain only who never came back')
	FROM models, cdnow;
\else
SELECT plan(1);
SELECT skip('ECS_CDNOW is not set to the CDNOW sample', 1);
\endif
SELECT * FROM finish();
