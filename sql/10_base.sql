-- Shared by several modules.

CREATE TYPE period AS ENUM ('day', 'week', 'month', 'quarter', 'year');
COMMENT ON TYPE period IS 'length of a reporting period; weeks are ISO weeks, which begin on Monday';

CREATE FUNCTION registry_check() RETURNS trigger
    AS 'MODULE_PATHNAME', 'ecs_registry_check'
    LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION registry_check()
    IS 'trigger of the registry tables: who enters a row, as the restore of a dump does, must own each relation that the row names';


CREATE FUNCTION is_distributed(rel regclass) RETURNS boolean
    AS 'MODULE_PATHNAME', 'ecs_is_distributed_rel' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION is_distributed(regclass) IS 'whether Citus manages a table, so that its triggers fire on other nodes';
