-- Order independence: with complete rows and out_of_order, the same events in
-- any order give the history that a plain reference gives.
SET client_min_messages = warning;
SET search_path = public, ecomsocial;

-- 240 keys with up to 12 events: few values, so that no-ops and returns are
-- common; few moments, so that some events meet; every sixth is a delete.
CREATE TABLE event AS
SELECT n, k, at, CASE WHEN NOT del THEN a END AS a, CASE WHEN NOT del THEN b END AS b, seq, del, timestamptz '2024-01-01' + (k % 17 - 3) * interval '1 hour' AS born
FROM (
	SELECT n, h[1] % 240 AS k, timestamptz '2024-01-01' + (h[2] % 20) * interval '1 hour' AS at,
		chr(65 + (h[3] % 3)::int) AS a, nullif(h[4] % 3, 0) AS b, h[5] % 3 AS seq, h[6] % 6 = 0 AS del
	FROM generate_series(1, 1900) n,
		LATERAL (SELECT array_agg(abs(hashint8extended(n, s)) ORDER BY s) AS h FROM generate_series(1, 6) s) h
) e
-- and forty keys of one story: equal events, one of them where the key was born, and another between
UNION ALL SELECT 2000 + k * 4 + i, k, timestamptz '2024-01-01' + i * interval '1 hour', CASE i WHEN 1 THEN 'B' ELSE 'A' END, 1, 0, false, '2024-01-01'
FROM generate_series(240, 279) k, generate_series(0, 3) i;

-- The reference: of each moment the event of the largest sequence, a row before
-- a delete, the largest image in the order of columns; then every change of the state begins a version.  The first
-- version of a key begins no later than the key was born, where that is known.
CREATE FUNCTION reference(sequenced boolean, dated boolean DEFAULT false) RETURNS TABLE (k bigint, a text, b bigint, valid_from timestamptz, valid_to timestamptz) LANGUAGE sql AS $$
	WITH winner AS (
		SELECT DISTINCT ON (k, at) * FROM event
		ORDER BY k, at, CASE WHEN sequenced THEN seq END DESC, del, ROW(b, a) USING *>
	), line AS (
		SELECT *, lag(at) OVER w AS before, lag(a) OVER w AS before_a, lag(b) OVER w AS before_b, lag(del) OVER w AS before_del
		FROM winner WINDOW w AS (PARTITION BY k ORDER BY at)
	), boundary AS (
		SELECT *, lead(at, 1, 'infinity') OVER (PARTITION BY k ORDER BY at) AS until FROM line
		WHERE CASE WHEN before IS NULL THEN NOT del WHEN del THEN NOT before_del
			ELSE before_del OR (a, b) IS DISTINCT FROM (before_a, before_b) END
	)
	SELECT k, a, b, CASE WHEN dated AND at = min(at) OVER (PARTITION BY k) THEN least(at, born) ELSE at END, until FROM boundary WHERE NOT del
$$;
SELECT count(*) AS versions, count(*) FILTER (WHERE valid_to = 'infinity') AS current FROM reference(true);

CREATE TABLE plain (b bigint, k bigint, seq bigint, a text, PRIMARY KEY (k));
CREATE TABLE sequenced (LIKE plain INCLUDING ALL);
CREATE TABLE dated (LIKE plain INCLUDING ALL, born timestamptz);
SELECT scd2_enable('plain', '{k}', overwrite => '{seq}', out_of_order => true);
SELECT scd2_enable('sequenced', '{k}', sequence_by => 'seq', out_of_order => true);
SELECT scd2_enable('dated', '{k}', overwrite => '{seq}', fixed => '{born}', created_at => 'born', out_of_order => true);

CREATE FUNCTION differences(rel regclass, keys int DEFAULT 280) RETURNS TABLE (side text, k bigint, a text, b bigint, valid_from timestamptz, valid_to timestamptz) LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format($f$
		WITH x AS (SELECT k, a, b, valid_from, valid_to FROM %s), r AS (SELECT * FROM reference(%L, %L) WHERE k < %s)
		SELECT 'stored', x.* FROM (SELECT * FROM x EXCEPT ALL SELECT * FROM r) x
		UNION ALL SELECT 'expected', x.* FROM (SELECT * FROM r EXCEPT ALL SELECT * FROM x) x
		ORDER BY 2, 5, 1$f$, rel, rel = 'sequenced'::regclass, rel = 'dated'::regclass, keys);
END $$;

-- one by one, in an order that "salt" chooses, some of the keys
CREATE FUNCTION apply_single(rel regclass, salt int, keys int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE e event;
BEGIN
	EXECUTE format('TRUNCATE %s', rel);
	FOR e IN SELECT * FROM event v WHERE k < keys ORDER BY CASE salt WHEN 0 THEN 0 ELSE hashint8extended(v.n, salt) END, v.at, v.n LOOP
		IF e.del THEN
			-- a delete with a sequence comes by merge only
			PERFORM scd2_merge(rel, format('SELECT %s::bigint AS k, %s::bigint AS seq', e.k, e.seq), delete_when => 'true', effective_at => e.at);
		ELSE
			PERFORM scd2_upsert(rel, to_jsonb(e) - '{n,at,del}'::text[] - CASE WHEN rel = 'dated'::regclass THEN '' ELSE 'born' END, e.at);
		END IF;
	END LOOP;
END $$;

CREATE FUNCTION apply_batches(rel regclass, salt int, batches int, OUT rows bigint, OUT differences bigint) LANGUAGE plpgsql AS $$
DECLARE
	i int;
	c scd2_counts;
BEGIN
	rows := 0;
	EXECUTE format('TRUNCATE %s', rel);
	FOR i IN 0 .. batches - 1 LOOP
		c := scd2_merge(rel, format('SELECT k, a, b, seq, %s at AS valid_from, del FROM event WHERE abs(hashint8extended(n, %s)) %% %s = %s',
			CASE WHEN rel = 'dated'::regclass THEN 'born,' END, salt, batches, i),
			delete_when => 'del');
		rows := rows + c.inserted + c.changed + c.overwritten + c.unchanged + c.closed + c.reopened + c.late + c.ignored;
	END LOOP;
	SELECT count(*) INTO differences FROM differences(rel) d;
END $$;

SELECT apply_single('plain', 0, 40);
SELECT * FROM differences('plain', 40);
SELECT apply_single('plain', 1, 40);
SELECT * FROM differences('plain', 40);
SELECT apply_single('sequenced', 0, 40);
SELECT * FROM differences('sequenced', 40);
SELECT apply_single('sequenced', 2, 40);
SELECT * FROM differences('sequenced', 40);
SELECT apply_single('dated', 3, 40);
SELECT * FROM differences('dated', 40);

SELECT batches, b.* FROM unnest('{1,2,3,7,20}'::int[]) batches, apply_batches('plain', batches, batches) b;
SELECT batches, b.* FROM unnest('{1,2,3,7,20}'::int[]) batches, apply_batches('sequenced', batches, batches) b;
SELECT batches, b.* FROM unnest('{1,2,3,7,20}'::int[]) batches, apply_batches('dated', batches, batches) b;
