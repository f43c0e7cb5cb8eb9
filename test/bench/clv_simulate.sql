-- Simulated buyers, for the tests and the benchmark of clv: functions in schema
-- public that draw by hashing, so that the same customer buys the same anywhere.

-- a number in (0, 1): the k-th draw of customer i
CREATE FUNCTION share(i bigint, k bigint) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN ((hashint8extended(i, k) >> 11 & ((1::bigint << 52) - 1)) + 0.5) / 2.0 ^ 52;

-- gamma distributed of shape halves/2 and rate 1: a sum of exponentials and, for an
-- odd half, half the square of a normal
CREATE FUNCTION gamma_draw(halves int, i bigint, k bigint) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN (SELECT sum(-ln(share(i, k + 2 * j)) * CASE WHEN 2 * j <= halves THEN 1 ELSE cos(2 * pi() * share(i, k + 2 * j + 1)) ^ 2 END)
			FROM generate_series(1, (halves + 1) / 2) AS j);

-- how long customer i is observed: between a third of the time and all of it
CREATE FUNCTION observed(i bigint, longest float8) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN longest * (1 + 2 * share(i, 500)) / 3;

-- frequency and recency of customer i by the story of BG/NBD
CREATE FUNCTION buyer(i bigint, twice_r int, alpha float8, twice_a int, twice_b int, age float8, OUT x bigint, OUT t_x float8)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
	rate float8 := gamma_draw(twice_r, i, 1000) / alpha;
	stays float8 := gamma_draw(twice_b, i, 2000);
	leaves float8 := gamma_draw(twice_a, i, 3000);
	t float8 := 0;
BEGIN
	x := 0;
	t_x := 0;
	LOOP
		t := t - ln(share(i, 10000 + x)) / rate;
		EXIT WHEN t > age;
		x := x + 1;
		t_x := t;
		EXIT WHEN share(i, 5000000 + x) * (leaves + stays) < leaves;
	END LOOP;
END $$;

-- mean value of x purchases of customer i by the story of Gamma-Gamma
CREATE FUNCTION mean_value(i bigint, x bigint, p int, twice_q int, v float8) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN gamma_draw((2 * p * x)::int, i, 20000) * v / gamma_draw(twice_q, i, 4000) / nullif(x, 0);
