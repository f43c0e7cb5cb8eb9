-- Stock: running balances of signed movements.

CREATE FUNCTION stock_ledger(witness anyelement, query text, time_zone text DEFAULT 'UTC')
RETURNS SETOF anyelement
LANGUAGE c STABLE PARALLEL UNSAFE ROWS 100000
AS 'MODULE_PATHNAME', 'ecs_stock_ledger';
COMMENT ON FUNCTION stock_ledger(anyelement, text, text) IS
'change and balance per key and day, from a query that returns (key columns, time, quantity [, is a stocktake]); rows are of the type of the witness: (key columns, day, change, balance [, counted])';

CREATE FUNCTION stock_ledger(witness anyelement, events regclass, key name[], time_column name, quantity name,
							 type_column name DEFAULT NULL, stocktake text DEFAULT 'stocktake', time_zone text DEFAULT 'UTC')
RETURNS SETOF anyelement
LANGUAGE c STABLE PARALLEL UNSAFE ROWS 100000
AS 'MODULE_PATHNAME', 'ecs_stock_ledger_table';
COMMENT ON FUNCTION stock_ledger(anyelement, regclass, name[], name, name, name, text, text) IS
'change and balance per key and day, from the movements in a table; where type_column has the value stocktake, the quantity is the level at that moment; rows are of the type of the witness: (key columns, day, change, balance [, counted])';

CREATE FUNCTION stock_snapshots(witness anyelement, query text, days date[], time_zone text DEFAULT 'UTC')
RETURNS SETOF anyelement
LANGUAGE c STABLE PARALLEL UNSAFE ROWS 100000
AS 'MODULE_PATHNAME', 'ecs_stock_snapshots';
COMMENT ON FUNCTION stock_snapshots(anyelement, text, date[], text) IS
'the balance of every key at the end of each of the days, from the day of its first movement on, from a query as for stock_ledger; rows are of the type of the witness: (day, key columns, quantity)';
