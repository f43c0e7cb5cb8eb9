# The demo: the loader of the real file against the file itself, and the generated models.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('demo');
$node->init;
$node->append_conf('postgresql.conf', "shared_buffers = 256MB\nmax_wal_size = 4GB\nautovacuum = off");
$node->start;
$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;
$ENV{PGUSER} = getpwuid($<);
$ENV{PGDATABASE} = 'postgres';
my $file = delete $ENV{ECS_DATA};

# The whole demo on generated data
my ($out, $err);
{
	local $ENV{SCALE} = '0.1';
	local $ENV{ECS_TMP} = $ENV{ECS_TMP} // PostgreSQL::Test::Utils::tempdir;
	local $ENV{ECS_PAGE} = "$PostgreSQL::Test::Utils::tmp_check/demo.html";
	IPC::Run::run(['demo/run'], '>', \$out, '2>', \$err);
}
is($?, 0, 'the demo succeeds without a file');
my $make_err;
{
	local $ENV{DATA} = '/nowhere/orders.csv.gz';
	local %ENV = %ENV;
	delete $ENV{ECS_TMP};
	IPC::Run::run([ 'make', '-o', 'setup', 'demo' ], '>', \my $none, '2>', \$make_err);
}
like($make_err, qr{DATA=/nowhere/orders\.csv\.gz cannot be read}, 'make demo takes the file from its environment');
is($err, '', 'and complains of nothing');
like($out, qr/of the shop, SYNTHETIC/, 'what is generated is called synthetic');
like($out, qr/^Done in/m, 'and comes to its end');
my $page = PostgreSQL::Test::Utils::slurp_file("$PostgreSQL::Test::Utils::tmp_check/demo.html");
is(scalar(() = $page =~ m{<figure}g), 13, 'a page shows all its charts and tables');
is(scalar(() = $page =~ m{<dt>}g), 12, 'and a dozen figures in large');
is(scalar(() = $page =~ m{<svg}g), scalar(() = $page =~ m{<summary>figures</summary>}g), 'each picture has its figures beside it');
unlike($page, qr{no data|(?:src|href)=}, 'each has data, and none needs the network');

# The page of a shop that has sold nothing, and of one that has sold one thing
my $one = q{INSERT INTO ecommerce.order_line (order_id, order_time, customer_id, product_id, count, amt, unit_price_at_purchase) VALUES (1, '2024-02-29 12:00Z', 7, 1, 2, 20, 10);
	INSERT INTO social.content_event (event_time, event_type, viewer_id) VALUES ('2024-02-29 12:00Z', 'view', 1)};
$node->safe_psql('postgres', 'CREATE DATABASE little');
$node->safe_psql('little', 'CREATE EXTENSION ecomsocial; SELECT * FROM ecomsocial.create_ecommerce(foreign_keys => false); SELECT * FROM ecomsocial.create_social(foreign_keys => false)');
for my $case ([ 'nothing', '', 0 ], [ 'one order', $one, 5 ])
{
	my ($what, $events, $charts) = @$case;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/little.html";
	$node->safe_psql('little', $_) for grep { $_ } $events, q{CALL ecomsocial.refresh_model('ecommerce')}, q{CALL ecomsocial.refresh_model('social')};
	system_or_bail('psql', '-Xq', '-d', 'little', '-v', 'ON_ERROR_STOP=1', '-v', 'shop=a little one', '-v', "page=$file", '-f', 'demo/page.sql');
	$page = PostgreSQL::Test::Utils::slurp_file($file);
	is(scalar(() = $page =~ m{<figure}g), 13, "the page of $what shows all its charts and tables");
	is(scalar(() = $page =~ m{<svg}g), $charts, 'with pictures of what there is');
}
sub sql { return $node->safe_psql('demo', "SET search_path = ecommerce, ecomsocial; SET timezone = 'UTC'; $_[0]"); }

is(sql('SELECT count(*) FROM rollup_status() WHERE pending > 0 OR everything_pending OR last_error IS NOT NULL'), 0, 'every rollup is up to date');
is(sql('SELECT count(*) FROM order_line_as_sold WHERE product_title IS NULL OR customer_id IS NOT NULL AND country IS NULL'),
	0, 'every generated line finds the versions of its time');
is( sql(q{SELECT (SELECT count(*) FROM order_line) - (SELECT count(*) FROM order_line_as_sold)}),
	0, 'and finds only one');
is( sql(q{SELECT bool_and(n > 0) FROM (
			SELECT count(*) FROM order_line WHERE count < 0 UNION ALL
			SELECT count(*) FROM product WHERE NOT is_current UNION ALL
			SELECT count(*) FROM customer WHERE NOT is_current UNION ALL
			SELECT count(*) FROM order_line WHERE customer_id IS NULL UNION ALL
			SELECT count(*) FROM order_line l JOIN campaign c USING (campaign_id) WHERE order_time >= campaign_end_time UNION ALL
			SELECT count(*) FROM (SELECT order_time < lag(order_time) OVER (ORDER BY line_item_id) AS late FROM order_line) o WHERE late UNION ALL
			SELECT count(*) FROM social.user_churn_stats WHERE churned_flag UNION ALL
			SELECT sum(resurrected) FROM social.user_growth WHERE period = 'month') f (n)}),
	't', 'there are returns, price changes, moves, guests, sales outside of campaigns, late lines, churn and return');

# The same rows again, by another session in another zone
my $digest = q{SELECT md5(string_agg(t::text, ' ' ORDER BY t::text COLLATE "C")) FROM %s t};
my @tables = qw(ecommerce.order_line ecommerce.inventory_event social.content_event social.ad_event);
my @first = map { sql(sprintf $digest, $_) } @tables;
$node->safe_psql('postgres', 'CREATE DATABASE again; ALTER DATABASE again SET timezone = "Asia/Tokyo"');
$node->safe_psql('again', 'CREATE EXTENSION ecomsocial; SELECT * FROM ecomsocial.create_ecommerce(); SELECT * FROM ecomsocial.create_social()');
for my $model (qw(ecommerce social))
{
	system_or_bail('psql', '-Xq', '-o', File::Spec->devnull, '-d', 'again', '-v', 'ON_ERROR_STOP=1', '-v', 'scale=0.1',
		'-c', "SET search_path = $model, ecomsocial", '-f', "demo/generate_$model.sql");
}
my @second = map { $node->safe_psql('again', "SET timezone = 'UTC'; " . sprintf $digest, $_) } @tables;
is_deeply(\@second, \@first, 'a scale gives the same rows everywhere');

SKIP:
{
	skip 'no online_retail.csv.gz: name it with DATA=', 10 unless $file;

	$node->safe_psql('postgres', 'CREATE DATABASE retail; ALTER DATABASE retail SET search_path = ecommerce, ecomsocial');
	$node->safe_psql('retail', q{
		SET search_path = public;
		CREATE EXTENSION ecomsocial;
		SELECT * FROM ecomsocial.create_ecommerce(time_zone => 'Europe/London', foreign_keys => false)});
	my $done = IPC::Run::run(['zcat', $file], '|', ['psql', '-Xq', '-d', 'retail', '-v', 'ON_ERROR_STOP=1', '-f', 'demo/load_online_retail.sql'],
		'>', \$out, '2>', \$err);
	ok($done, 'the file is loaded') or diag($err);
	my $retail = sub { return $node->safe_psql('retail', $_[0]) };

	# The file once more, in Perl, with money in thousandths
	open(my $csv, '-|', 'zcat', $file) or die "zcat: $!";
	<$csv>;
	my (@lines, %paid, %has_goods, %customers);
	while (<$csv>)
	{
		s/\R$//;
		my ($invoice, $code, $title, $units, $month, $price, $customer) =
		  /^(\w+),([^,]+),(.*),(-?\d+),(\d+-\d+)-[^,]*,(-?[\d.]+),([\d.]*),[^,]*$/ or die "line $.: $_";
		$title =~ s/^"(.*)"$/$1/;
		$title =~ s/""/"/g;
		$title = join ' ', split ' ', $title;
		$code = uc $code;
		$price = sprintf '%.0f', $price * 1000;
		my $shipping = $code =~ /^(POST|DOT|C2)$/;
		$paid{"$code\t$title"} = 1 if $price > 0 && $units > 0;
		$has_goods{$invoice} = 1 unless $shipping;
		$customers{$customer} = 1 if $customer ne '';
		push @lines, [ $invoice, $code, $title, $units, $month, $price, $customer, $shipping ];
	}
	close $csv;
	my (%months, %products);
	for (@lines)
	{
		my ($invoice, $code, $title, $units, $month, $price, $customer, $shipping) = @$_;
		my $kind =
			$shipping ? ($has_goods{$invoice} ? 'shipping' : 'service')
		  : $code =~ /^(D|M|S|B|AMAZONFEE|BANK CHARGES|CRUK|PADS|GIFT.*)$/ ? 'service'
		  : !$price && $customer eq '' && $invoice !~ /^C/ && ($units < 0 || !$paid{"$code\t$title"}) ? 'stock'
		  :                                                                                             'product';
		my $sum = $months{$month}{$kind} //= [ 0, 0, 0 ];
		$sum->[0]++;
		$sum->[1] += $units;
		$sum->[2] += $units * $price;
		$products{$code} = 1 if $kind ne 'shipping';
	}
	my $figures = sub {
		my ($kind, @which) = @_;
		return join "\n", map { join '|', $_, @{ $months{$_}{$kind} // [ 0, 0, 0 ] }[@which] } sort keys %months;
	};
	my $by_month = q{
		SELECT to_char(m, 'YYYY-MM'), %s FROM generate_series(timestamp '2010-12-01', '2011-12-01', '1 month') m
		LEFT JOIN %s ON date_trunc('month', %s AT TIME ZONE 'Europe/London') = m %s GROUP BY m ORDER BY m};
	my $figures_of = 'count(l), coalesce(sum(count), 0), coalesce(sum(amt) * 1000, 0)::bigint';
	is($retail->(sprintf $by_month, $figures_of, 'order_line l', 'order_time', 'AND product_category_id NOT IN (2, 3)'),
		$figures->('product', 0 .. 2), 'lines, units and money of products are those of the file, month by month');
	is($retail->(sprintf $by_month, $figures_of, 'order_line l', 'order_time', 'AND product_category_id IN (2, 3)'),
		$figures->('service', 0 .. 2), 'and of services');
	is($retail->(sprintf $by_month, '(sum(shipping_amt) * 1000)::bigint', 'order_line l', 'order_time', ''),
		$figures->('shipping', 2), 'and the money of shipping');
	is( $retail->(
			sprintf $by_month, 'count(e), coalesce(sum(quantity_change), 0)',
			'inventory_event e', 'event_time', q{AND event_type IN ('write_off', 'adjustment')}),
		$figures->('stock', 0, 1), 'and lines and units of stock corrections');
	is($retail->('SELECT (sum(amt) + sum(shipping_amt))::numeric(20,3) FROM order_line'), '9747747.934', 'together they are the file, to the cent');

	is($retail->('SELECT (SELECT count(*) FROM customer_current), (SELECT count(*) FROM product_current)'),
		join('|', scalar keys %customers, scalar keys %products), 'customers and products are those of the file');
	is( $retail->(
			q{SELECT count(*) FILTER (WHERE unit_price <> before), count(*) FILTER (WHERE product_title ~* '^\W*(check|damage|found|lost|$)')
			FROM (SELECT *, lag(unit_price) OVER (PARTITION BY product_id ORDER BY valid_from) AS before FROM product) p}),
		'1995|0', 'list prices change 1,995 times, and no note is a title');
	is( $retail->(
			q{SELECT count(*) - (SELECT count(*) FROM order_line), count(*) FILTER (WHERE sku IS NULL OR customer_id IS NOT NULL AND country IS NULL)
			FROM order_line_as_sold}),
		'0|0', 'every line finds the versions of its time, once');
	is( $retail->(
			q{SELECT min(balance) FROM (
				SELECT sum(quantity_change) OVER (PARTITION BY product_id ORDER BY event_time) AS balance FROM inventory_event) e}),
		'0', 'with the assumed opening stock none is ever short');
}

$node->stop;
done_testing();
