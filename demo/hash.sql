-- What the generators are made of: numbers in [0, 1) that depend on their arguments alone, so that a scale gives
-- the same rows on every machine, in every order.
CREATE FUNCTION pg_temp.u(key bigint, what bigint) RETURNS float8
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (hashint8extended(key, what) & 9007199254740991)::float8 / 9007199254740992;
-- the same with two keys
CREATE FUNCTION pg_temp.u(key bigint, key2 bigint, what bigint) RETURNS float8
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (hashint8extended(key, hashint8extended(key2, what)) & 9007199254740991)::float8 / 9007199254740992;
-- waiting times: mean 1, heavy on the right
CREATE FUNCTION pg_temp.wait(u float8) RETURNS float8
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN -ln(1 - u);
-- an element of a list
CREATE FUNCTION pg_temp.pick(list text[], u float8) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN list[1 + floor(u * cardinality(list))::integer];
