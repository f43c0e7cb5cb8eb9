# The reports of both models on real data, each against the oracle of the generated
# ones, in plain SQL over raw tables, to the last digit: the orders of a shop, and
# its buyers as the users of a network, who come, stay away and come back as people do.
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

my $path = 'SET search_path = ecommerce, social, ecomsocial, public; SET client_min_messages = warning;';
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
is(scalar(@reports), 22, 'as many comparisons as with generated orders');
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

# The network: a line bought is a view of the product by the customer, a line given back a click on an advertisement.  Devices are made up;
# products change their type in the middle of the year.
sql(q{DROP TABLE comparison; DROP PROCEDURE refresh_oracle;
	SELECT * FROM ecomsocial.create_social(time_zone => 'America/New_York', foreign_keys => false);
	INSERT INTO device SELECT i, (ARRAY['phone', 'tablet', 'desktop', NULL])[1 + i % 4], (ARRAY['ios', 'android', NULL])[1 + i % 3] FROM generate_series(1, 30) i;
	INSERT INTO "user" (user_id, created_at) SELECT customer_id, min(order_time) - customer_id % 5 * interval '9 days' FROM order_line WHERE customer_id IS NOT NULL GROUP BY 1;
	SET ecomsocial.versioning = off;
	INSERT INTO content (content_id, content_type, valid_from, valid_to, is_current)
	SELECT p.product_id, v.type, v.valid_from, v.valid_to, v.valid_to = 'infinity'
	FROM (SELECT DISTINCT product_id FROM order_line) p,
		(VALUES ('product', timestamptz '-infinity', timestamptz '2011-06-01'), ('gift', '2011-06-01', 'infinity')) v(type, valid_from, valid_to);
	RESET ecomsocial.versioning;
	INSERT INTO social.campaign (campaign_id, campaign_name, starttime) VALUES (1, 'SYNTHETIC', '2010-12-01');
	INSERT INTO content_event (event_time, event_type, content_id, viewer_id, device_id)
	SELECT order_time, (ARRAY['view', 'view', 'view', 'like', 'comment', 'share', 'view', 'post', 'login'])[1 + line_item_id % 9], product_id, customer_id, nullif((order_id + line_item_id / 50) % 31, 0)
	FROM order_line WHERE count > 0;
	INSERT INTO ad_event (event_time, event_type, campaign_id, user_id, device_id, revenue, cost)
	SELECT order_time, (ARRAY['impression', 'click', 'conversion'])[1 + line_item_id % 3], nullif(order_id % 3, 2), customer_id, 1 + order_id % 30, -amt, 0.01 * count * count
	FROM order_line WHERE count < 0});
$path = 'SET search_path = social, ecomsocial, public; SET client_min_messages = warning;';
sql('VACUUM ANALYZE');
sql(q{CALL refresh_model('social')});
run_file('test/oracle/social.sql');
@reports = split /\n/, sql('SELECT report FROM comparison');
is(scalar(@reports), 20, 'as many comparisons as with a generated network');
compare(' of real buyers', @reports);
is( sql(q{SELECT report, abs(estimate - exact) FROM estimate WHERE abs(coalesce(estimate, 0) - exact) > 5 * coalesce(error, 0.02) * exact}),
	'', 'no estimate is further off than five times its error');

$node->stop;
done_testing();
