# The reports of the shop on real orders: each against the oracle of the generated
# ones, in plain SQL over order lines and stock events, to the last digit.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $file = delete $ENV{ECS_DATA};
plan skip_all => 'no online_retail.csv.gz: name it with DATA=' unless $file;

my $node = PostgreSQL::Test::Cluster->new('retail');
$node->init;
$node->append_conf('postgresql.conf', "shared_buffers = 256MB\nmax_wal_size = 4GB\nautovacuum = off\nwork_mem = '64MB'");
$node->start;
$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;
$ENV{PGUSER} = getpwuid($<);
$ENV{PGDATABASE} = 'postgres';

my $path = 'SET search_path = ecommerce, ecomsocial, public; SET client_min_messages = warning;';
sub sql { return $node->safe_psql('postgres', "$path $_[0]"); }
sub run_file { system_or_bail('psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-o', File::Spec->devnull, '-c', $path, '-f', $_[0]); return; }

sql(q{CREATE EXTENSION ecomsocial;
	SELECT * FROM ecomsocial.create_ecommerce(time_zone => 'Europe/London', foreign_keys => false, snapshots => 'week')});
my ($out, $err);
IPC::Run::run(['zcat', $file], '|', ['psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-c', $path, '-f', 'demo/load_online_retail.sql'],
	'>', \$out, '2>', \$err) or BAIL_OUT("the file is not loaded: $err");

# The file tells of no campaign: some of its orders are attributed to made-up ones, which overlap, end in a night and not at all.
sql(q{INSERT INTO campaign (campaign_id, campaign_name, campaign_start_time, campaign_end_time) VALUES
		(1, 'SYNTHETIC spring', '2011-03-01 09:00 Europe/London', '2011-04-15 23:30 Europe/London'),
		(2, 'SYNTHETIC summer', '2011-04-01 00:00 Europe/London', '2011-09-01 00:00 Europe/London'),
		(3, 'SYNTHETIC open', '2011-10-01 00:00 Europe/London', NULL);
	UPDATE order_line SET campaign_id = 1 + order_id % 3
	WHERE order_id % 7 = 0 AND line_number % 4 < 3 AND order_time >= '2011-03-01'});
sql('VACUUM ANALYZE');
sql(q{CALL refresh_model('ecommerce')});
run_file('test/oracle/difference.sql');
run_file('test/oracle/ecommerce.sql');

my @reports = split /\n/, sql('SELECT report FROM comparison');
is(scalar(@reports), 21, 'as many comparisons as with generated orders');
sub compare
{
	my ($when, @which) = @_;
	for my $report (@which)
	{
		is(sql("SELECT d.* FROM comparison c, difference(c.ours, c.oracle) d WHERE report = '$report'"), '', "$report$when");
	}
	return;
}
compare('', @reports);

# What is known of the file
is(sql(q{SELECT sum(net_sales) + sum(shipping) FROM daily_sales_by_category WHERE parent_category_id IS NULL}), '9747747.934', 'the days of all roots add up to the file');
is(sql(q{SELECT count(*) FROM daily_sales_by_category WHERE category_id = 1}), '374', 'every day from the first to the last is told');
is(sql(q{SELECT count(*) FROM customer_purchase_history WHERE orders = 0}), sql(q{SELECT count(*) FROM (
		SELECT customer_id FROM bought WHERE customer_id IS NOT NULL GROUP BY 1 HAVING NOT bool_or(is_order)) c}), 'customers of returns alone have no order');

# A refund that comes late, a corrected line, a cancelled order: refreshed by days
sql(q{INSERT INTO order_line (order_id, order_time, customer_id, product_id, product_category_id, count, amt, unit_price_at_purchase, line_number)
		SELECT order_id, order_time + interval '9 days', customer_id, product_id, product_category_id, -1, -unit_price_at_purchase, unit_price_at_purchase, 1000
		FROM order_line WHERE count > 0 AND amt > 0 AND line_number = 1 AND order_id % 211 = 0;
	UPDATE order_line SET amt = amt + 0.001 WHERE order_id % 503 = 0;
	DELETE FROM order_line WHERE order_id % 401 = 0;
	CALL refresh_model('ecommerce');
	CALL refresh_oracle()});
compare(', after late changes', qw(daily_sales_by_category customer_purchase_history customer_orders lifetime_value_by_cohort() campaign_effectiveness));

# Predicted values: most of 4,300 customers of a gift shop come back
is( sql(q{SELECT (purchases).converged AND (spending).converged AND (purchases).customers > 4000
		FROM (SELECT bgnbd_fit_agg(frequency, recency, age) AS purchases, gamma_gamma_fit_agg(frequency, mean_value) FILTER (WHERE mean_value > 0) AS spending
			FROM purchase_summary('2011-12-10')) m}),
	't', 'the models of repeat buying and spending converge on the real customers');

$node->stop;
done_testing();
