-- Predictive customer lifetime value: BG/NBD and Gamma-Gamma.

CREATE TYPE bgnbd_model AS (
	r float8, alpha float8, a float8, b float8,
	log_likelihood float8, customers bigint, converged boolean, iterations integer);
COMMENT ON TYPE bgnbd_model IS 'fitted BG/NBD model of repeat buying: purchase rates are gamma distributed (r, alpha, in units of time), chances to leave after a purchase beta distributed (a, b)';

CREATE TYPE gamma_gamma_model AS (
	p float8, q float8, v float8,
	log_likelihood float8, customers bigint, converged boolean, iterations integer);
COMMENT ON TYPE gamma_gamma_model IS 'fitted Gamma-Gamma model of spending: p shape of a customer''s purchases, q and v (in units of money) shape and rate of how customers differ';

CREATE FUNCTION bgnbd_model(r float8, alpha float8, a float8, b float8) RETURNS bgnbd_model
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN ROW(r, alpha, a, b, NULL, NULL, NULL, NULL)::bgnbd_model;
COMMENT ON FUNCTION bgnbd_model IS 'a BG/NBD model of known parameters, such as published ones';

CREATE FUNCTION gamma_gamma_model(p float8, q float8, v float8) RETURNS gamma_gamma_model
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN ROW(p, q, v, NULL, NULL, NULL, NULL)::gamma_gamma_model;
COMMENT ON FUNCTION gamma_gamma_model IS 'a Gamma-Gamma model of known parameters, such as published ones';

-- The fits

CREATE FUNCTION clv_cells_combine(state float8[], other float8[]) RETURNS float8[]
	AS 'MODULE_PATHNAME', 'ecs_clv_combine'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION clv_cells_combine IS 'part of the aggregates bgnbd_fit_agg and gamma_gamma_fit_agg: two states as one';

CREATE FUNCTION bgnbd_fit_trans(state float8[], frequency bigint, recency float8, age float8) RETURNS float8[]
	AS 'MODULE_PATHNAME', 'ecs_bgnbd_fit_trans'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bgnbd_fit_trans IS 'part of the aggregate bgnbd_fit_agg: adds a customer';

CREATE FUNCTION bgnbd_fit_final(state float8[]) RETURNS bgnbd_model
	AS 'MODULE_PATHNAME', 'ecs_bgnbd_fit_final'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION bgnbd_fit_final IS 'part of the aggregate bgnbd_fit_agg: the fit itself';

CREATE AGGREGATE bgnbd_fit_agg(frequency bigint, recency float8, age float8) (
	SFUNC = bgnbd_fit_trans, STYPE = float8[], SSPACE = 16384, INITCOND = '{}',
	FINALFUNC = bgnbd_fit_final, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = clv_cells_combine, PARALLEL = SAFE);
COMMENT ON AGGREGATE bgnbd_fit_agg(bigint, float8, float8) IS 'fits a BG/NBD model by maximum likelihood to one row per customer: number of repeat purchases, time from the first purchase to the last, time from the first purchase to the end of observation';

CREATE FUNCTION gamma_gamma_fit_trans(state float8[], frequency bigint, mean_value float8) RETURNS float8[]
	AS 'MODULE_PATHNAME', 'ecs_gamma_gamma_fit_trans'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION gamma_gamma_fit_trans IS 'part of the aggregate gamma_gamma_fit_agg: adds a customer';

CREATE FUNCTION gamma_gamma_fit_final(state float8[]) RETURNS gamma_gamma_model
	AS 'MODULE_PATHNAME', 'ecs_gamma_gamma_fit_final'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION gamma_gamma_fit_final IS 'part of the aggregate gamma_gamma_fit_agg: the fit itself';

CREATE AGGREGATE gamma_gamma_fit_agg(frequency bigint, mean_value float8) (
	SFUNC = gamma_gamma_fit_trans, STYPE = float8[], SSPACE = 16384, INITCOND = '{}',
	FINALFUNC = gamma_gamma_fit_final, FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = clv_cells_combine, PARALLEL = SAFE);
COMMENT ON AGGREGATE gamma_gamma_fit_agg(bigint, float8) IS 'fits a Gamma-Gamma model by maximum likelihood to one row per customer: number of repeat purchases and their mean value; customers without any are passed over';

-- The predictions

CREATE FUNCTION bgnbd_probability_alive(model bgnbd_model, frequency bigint, recency float8, age float8) RETURNS float8
	AS 'MODULE_PATHNAME', 'ecs_bgnbd_probability_alive'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION bgnbd_probability_alive IS 'probability that a customer with this history has not left for good';

CREATE FUNCTION bgnbd_expected_purchases(model bgnbd_model, frequency bigint, recency float8, age float8, horizon float8) RETURNS float8
	AS 'MODULE_PATHNAME', 'ecs_bgnbd_expected_purchases'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION bgnbd_expected_purchases IS 'purchases to expect of a customer with this history within the horizon, in the unit of the ages';

CREATE FUNCTION bgnbd_expected_new(model bgnbd_model, horizon float8) RETURNS float8
	AS 'MODULE_PATHNAME', 'ecs_bgnbd_expected_new'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION bgnbd_expected_new IS 'repeat purchases to expect of a new customer within the horizon after the first purchase, in the unit of the ages';

CREATE FUNCTION bgnbd_probability(model bgnbd_model, purchases integer, horizon float8) RETURNS float8
	AS 'MODULE_PATHNAME', 'ecs_bgnbd_probability'
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50;
COMMENT ON FUNCTION bgnbd_probability IS 'probability that a new customer makes exactly so many repeat purchases within the horizon, in the unit of the ages';

CREATE FUNCTION gamma_gamma_expected_value(model gamma_gamma_model, frequency bigint, mean_value float8) RETURNS float8
	AS 'MODULE_PATHNAME', 'ecs_gamma_gamma_expected_value'
	LANGUAGE C IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION gamma_gamma_expected_value IS 'expected value of a customer''s next purchase, in the money of the mean values; mean_value may be NULL where frequency is 0; NULL where there is no finite expectation';

CREATE FUNCTION clv_expected(
	purchases bgnbd_model, spending gamma_gamma_model,
	frequency bigint, recency float8, age float8, mean_value float8,
	horizon float8, margin float8 DEFAULT 1, discount_rate float8 DEFAULT 0) RETURNS float8
	AS 'MODULE_PATHNAME', 'ecs_clv_expected'
	LANGUAGE C IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION clv_expected IS 'expected value of a customer within the horizon: margin * value of a purchase * purchases, discounted at a rate per unit of time of the ages; mean_value may be NULL where frequency is 0; NULL where there is no finite expectation';
