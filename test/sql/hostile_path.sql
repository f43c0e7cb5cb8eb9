-- No function of ours depends on the search_path of who calls it: here every
-- operator between two ordinary types, and every function that a body is likely
-- to call, stands in a schema before pg_catalog, and raises an error.
SELECT current_database() AS suite \gset
CREATE DATABASE hostile_path;
\c hostile_path
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA hostile;

DO $$
DECLARE
    f record;
    n int := 0;
BEGIN
    FOR f IN
        SELECT o.oprname AS name, format_type(o.oprleft, NULL) AS l, format_type(o.oprright, NULL) AS r, format_type(o.oprresult, NULL) AS result
        FROM pg_operator o
        WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprkind = 'b' AND o.oprcode <> 0
          AND NOT EXISTS (SELECT FROM pg_type t WHERE t.oid IN (o.oprleft, o.oprright, o.oprresult) AND t.typtype = 'p')
        ORDER BY o.oid
    LOOP
        n := n + 1;
        EXECUTE format('CREATE FUNCTION hostile.trap_%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS %L',
                       n, f.l, f.r, f.result, format('BEGIN RAISE EXCEPTION USING MESSAGE = %L; END', format('trapped: %s %s %s', f.l, f.name, f.r)));
        EXECUTE format('CREATE OPERATOR hostile.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = hostile.trap_%s)', f.name, f.l, f.r, n);
    END LOOP;
    FOR f IN
        SELECT p.proname AS name, pg_get_function_identity_arguments(p.oid) AS args, format_type(p.prorettype, NULL) AS result
        FROM pg_proc p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND NOT p.proretset AND p.provariadic = 0
          AND p.proargmodes IS NULL
          AND NOT EXISTS (SELECT FROM pg_type t WHERE t.oid = ANY (p.proargtypes::oid[] || p.prorettype) AND t.typtype = 'p')
          AND (p.proname ~ '^(abs|ceil|date|date_part|date_trunc|extract|floor|format|has_.*_privilege|isfinite|jsonb_.*|length|lower|md5|mod|now'
                            '|obj_description|pg_get_.*|pg_.*_is_visible|quote_.*|round|set_config|current_setting|substr.*|timezone|to_char|to_reg.*|upper|format_type|col_description)$')
        ORDER BY p.oid
    LOOP
        n := n + 1;
        EXECUTE format('CREATE FUNCTION hostile.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L',
                       f.name, f.args, f.result, format('BEGIN RAISE EXCEPTION USING MESSAGE = %L; END', format('trapped: %s(%s)', f.name, f.args)));
    END LOOP;
    -- as many as there are to be had, so that the trap is known to be set
    RAISE WARNING '%', CASE WHEN n > 900 THEN 'the trap is set' ELSE format('only %s traps', n) END;
END
$$;

SET search_path = hostile, pg_catalog;
SELECT 1 = 1;
SELECT now() IS NULL;

CREATE EXTENSION ecomsocial;
SELECT count(*) FROM ecomsocial.create_ecommerce(partition_by => 'month');
SELECT count(*) FROM ecomsocial.create_social(partition_by => 'day');
\c :suite
DROP DATABASE hostile_path;
