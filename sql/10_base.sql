-- Shared by several modules.

CREATE TYPE period AS ENUM ('day', 'week', 'month', 'quarter', 'year');
COMMENT ON TYPE period IS 'length of a reporting period; weeks are ISO weeks, which begin on Monday';

