-- rows that only one of two queries gives; nothing where they are equal
CREATE FUNCTION public.difference(ours text, oracle text) RETURNS TABLE (side text, "row" text) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format($q$
        WITH a AS MATERIALIZED (%s), b AS MATERIALIZED (%s)
        SELECT s, r FROM (
            SELECT 'ours', x::text FROM (TABLE a EXCEPT ALL TABLE b) x
            UNION ALL SELECT 'oracle', x::text FROM (TABLE b EXCEPT ALL TABLE a) x
            UNION ALL SELECT 'no rows', '' WHERE NOT EXISTS (TABLE b)) d(s, r) ORDER BY s, r LIMIT 10 $q$, ours, oracle);
END $$;

-- how many rows a statement gives
CREATE FUNCTION public.rows_of(statement text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM (%s OFFSET 0) r', rtrim(statement, ';')) INTO n;
    RETURN n;
END $$;
