# Titles and list prices of the products of the real orders: their history built
# in the order of time, and again from the same events shuffled, is one table.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'ECS_DATA names no file of orders' unless $ENV{ECS_DATA} && -r $ENV{ECS_DATA};

my $node = PostgreSQL::Test::Cluster->new('retail');
$node->init;
$node->append_conf('postgresql.conf', "shared_buffers = 256MB\nmax_wal_size = 4GB\nautovacuum = off");
$node->start;
sub sql { return $node->safe_psql('postgres', "SET search_path = public, ecomsocial; $_[0]"); }

# As the demo's loader reads it: only paid lines name a product, and what known customers paid most often in a month
# is its list price.
sql(qq{
	CREATE EXTENSION ecomsocial;
	CREATE TABLE raw (line int GENERATED ALWAYS AS IDENTITY, invoice text, code text, title text, quantity int, at timestamp, price numeric,
		customer text, country text);
	COPY raw (invoice, code, title, quantity, at, price, customer, country) FROM PROGRAM 'gzip -dc $ENV{ECS_DATA}' (FORMAT csv, HEADER);
	CREATE TABLE line AS
	SELECT line, upper(code) AS sku, nullif(regexp_replace(btrim(title), '\\s+', ' ', 'g'), '') AS title,
		date_trunc('month', at) AT TIME ZONE 'Europe/London' AS month, at AT TIME ZONE 'Europe/London' AS at, price, customer <> '' AS known
	FROM raw WHERE price > 0 AND quantity > 0;
	-- a month's title and price; what it does not tell is as in the month before
	CREATE TABLE event AS
	WITH told AS (
		SELECT sku, month, t.title, p.price, count(t.title) OVER w AS titles, count(p.price) OVER w AS prices
		FROM (SELECT sku, month, mode() WITHIN GROUP (ORDER BY title) AS title FROM line WHERE title IS NOT NULL GROUP BY 1, 2) t
		FULL JOIN (SELECT sku, month, mode() WITHIN GROUP (ORDER BY price) AS price FROM line WHERE known GROUP BY 1, 2) p USING (sku, month)
		WINDOW w AS (PARTITION BY sku ORDER BY month)
	)
	SELECT sku, month AS valid_from, max(title) OVER (PARTITION BY sku, titles) AS title, max(price) OVER (PARTITION BY sku, prices) AS price
	FROM told;
});
cmp_ok(sql('SELECT count(DISTINCT sku) FROM event'), '>', 3000, 'the file tells of the products');

sub make
{
	my ($name, $options) = @_;
	sql("CREATE TABLE $name (sku text PRIMARY KEY, title text, price numeric" . ($options =~ /sequence/ ? ', line int' : '') . ');'
		. "SELECT scd2_enable('$name', '{sku}', out_of_order => true $options)");
}

# Whether two versioned tables are the same, and valid
sub same
{
	my ($a, $b, $what) = @_;
	my $rows = 'sku, title, price, valid_from, valid_to, is_current';
	is( sql("SELECT count(*) FROM ((SELECT $rows FROM $a EXCEPT ALL SELECT $rows FROM $b) UNION ALL (SELECT $rows FROM $b EXCEPT ALL SELECT $rows FROM $a)) d"),
		0, $what);
	is(sql("SELECT count(*) FROM scd2_validate('$b')"), 0, 'and it is valid');
}

# Month by month, all at once, and in shuffled batches
make($_, '') for qw(ordered at_once shuffled);
sql(q{
	SELECT scd2_merge('ordered', format('SELECT * FROM event WHERE valid_from = %L', m)) FROM (SELECT DISTINCT valid_from AS m FROM event ORDER BY 1) e;
	SELECT scd2_merge('at_once', 'SELECT * FROM event ORDER BY hashtext(sku || valid_from)');
	SELECT scd2_merge('shuffled', format('SELECT * FROM event WHERE abs(hashtext(sku || valid_from)) %% 9 = %s', n)) FROM generate_series(0, 8) n;
});
same('ordered', 'at_once', 'all events in one merge give the history of the months in order');
same('ordered', 'shuffled', 'and so do nine shuffled batches');
# the reference, without the extension: a version where title or price changes
is( sql(q{SELECT count(*) FROM (
		SELECT sku, title, price, valid_from FROM (
			SELECT *, lag(sku) OVER w AS before, lag(title) OVER w AS title_before, lag(price) OVER w AS price_before FROM event
			WINDOW w AS (PARTITION BY sku ORDER BY valid_from)) e
		WHERE before IS NULL OR (title, price) IS DISTINCT FROM (title_before, price_before)
		EXCEPT ALL SELECT sku, title, price, valid_from FROM ordered) d}),
	0, 'which plain SQL finds too');
is( sql(q{SELECT count(*) FROM (SELECT price, lag(price) OVER (PARTITION BY sku ORDER BY valid_to) AS before FROM ordered) o WHERE price <> before}),
	sql(q{SELECT count(*) FROM (SELECT price, lag(price) OVER (PARTITION BY sku ORDER BY valid_from) AS before FROM event) e WHERE price <> before}),
	'no change of a list price is lost');

# Prices line by line: many lines of a product share their minute, and the line's number decides
make($_, ", sequence_by => 'line'") for qw(lines lines_shuffled);
sql(q{
	CREATE TABLE line_event AS SELECT sku, title, price, line, at AS valid_from FROM line WHERE sku LIKE '2272%';
	SELECT scd2_merge('lines', 'SELECT * FROM line_event ORDER BY line');
	SELECT scd2_merge('lines_shuffled', format('SELECT * FROM line_event WHERE line * 7919::bigint %% 5 = %s ORDER BY hashint4(line)', n)) FROM generate_series(0, 4) n;
});
cmp_ok(sql('SELECT count(*) FROM (SELECT FROM line_event GROUP BY sku, valid_from HAVING count(DISTINCT price) > 1) m'), '>', 0,
	'some prices of a product share their minute');
same('lines', 'lines_shuffled', 'the order of the file decides between them, whatever the order of arrival');

# The product tables of two e-commerce models, as the models lay them out; then with memory, so that batches may come in any order
sql(q{
	SELECT create_ecommerce('shop', 'Europe/London'), create_ecommerce('shuffle', 'Europe/London');
	CREATE TABLE product_event AS
	SELECT row_number() OVER (ORDER BY sku, valid_from) AS n, dense_rank() OVER (ORDER BY sku) AS product_id, sku, title AS product_title, price AS unit_price,
		min(valid_from) OVER (PARTITION BY sku) AS created_at, valid_from AS updated_at
	FROM event});
my $source = 'SELECT product_id, sku, product_title, unit_price, created_at, updated_at FROM product_event';
sub same_products
{
	my ($what) = @_;
	my $rows = 'product_id, sku, product_title, unit_price, created_at, updated_at, valid_from, valid_to, is_current';
	is( sql("SELECT count(*) FROM ((SELECT $rows FROM shop.product EXCEPT ALL SELECT $rows FROM shuffle.product)
		UNION ALL (SELECT $rows FROM shuffle.product EXCEPT ALL SELECT $rows FROM shop.product)) d"), 0, $what);
	is( sql(q{SELECT count(*) FROM (SELECT sku, product_title, unit_price, valid_from, valid_to FROM shuffle.product
		EXCEPT ALL SELECT sku, title, price, valid_from, valid_to FROM ordered) d}), 0, 'the history is that of the other tables');
	is(sql("SELECT count(*) FROM scd2_validate('shuffle.product')"), 0, 'and it is valid');
}
sql(qq{
	SELECT scd2_merge('shop.product', format('$source WHERE updated_at = %L', m)) FROM (SELECT DISTINCT updated_at AS m FROM product_event ORDER BY 1) e;
	SELECT scd2_merge('shuffle.product', '$source ORDER BY hashint8(n)')});
same_products('the products of the model: months in order, and one shuffled merge, are one table');
sql(qq{
	SELECT scd2_disable('shuffle.product');
	TRUNCATE shuffle.product;
	SELECT scd2_enable('shuffle.product', '{product_id}', overwrite => '{sku}', fixed => '{created_at}', updated_at => 'updated_at', created_at => 'created_at',
		hub => 'shuffle.product_hub', out_of_order => true);
	SELECT scd2_merge('shuffle.product', format('$source WHERE abs(hashint8(n)) %% 9 = %s', b)) FROM generate_series(0, 8) b});
same_products('and so are nine shuffled batches, with out_of_order');

done_testing();
