# What a database goes through: dump and restore, the extension dropped and
# created again, restart, crash, a replica.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Ecomsocial;

my $node = PostgreSQL::Test::Cluster->new('life');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', 'max_prepared_transactions = 4');
$node->start;
populate($node, 'origin');
more_events($node, 'origin', '2024-04-20', 1);	# some of it not yet refreshed
my $before = fingerprint($node, 'origin');
unlike($before, qr/\b(order_line|content_event)\|0\|/, 'there is something to keep');

# Dump and restore, as the role that owns the database
my $dump = PostgreSQL::Test::Utils::tempdir;
$ENV{LC_MESSAGES} = 'C';
for my $format ('plain', 'custom')
{
	my @to = ('-U', 'regress_shop', '-h', $node->host, '-p', $node->port);
	$node->safe_psql('postgres', "CREATE DATABASE from_$format OWNER regress_shop");
	command_ok([ 'pg_dump', @to, '-d', 'origin', '-F', substr($format, 0, 1), '-f', "$dump/$format" ], "$format dump by the owner");
	command_ok(
		$format eq 'plain'
		? [ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', @to, '-d', 'from_plain', '-f', "$dump/plain" ]
		: [ 'pg_restore', '--exit-on-error', @to, '-d', 'from_custom', "$dump/custom" ],
		"$format restore by the owner");
	is(fingerprint($node, "from_$format"), $before, "restored from $format: every table and report is the same");
	is($node->safe_psql("from_$format", 'SELECT count(*) FROM ecomsocial.rollup_status()'),
		$node->safe_psql('origin', 'SELECT count(*) FROM ecomsocial.rollup_status()'),
		"restored from $format: every rollup is known");

	# and it goes on living: new events reach the rollups on both sides alike
	more_events($node, "from_$format", '2024-03-31', 3);
	refresh($node, "from_$format");
}
more_events($node, 'origin', '2024-03-31', 3);
refresh($node, 'origin');
my $later = fingerprint($node, 'origin');
isnt($later, $before, 'new events change the reports');
is(fingerprint($node, 'from_plain'), $later, 'a restored database goes on like the original');

# Restart, and a crash in the middle of a refresh
$node->restart;
is(fingerprint($node, 'origin'), $later, 'the same after a restart');

more_events($node, 'origin', '2024-04-03', 40);
more_events($node, 'from_plain', '2024-04-03', 40);
my $holder = $node->background_psql('origin');
$holder->query_until(qr/held/, "BEGIN; LOCK TABLE ecommerce.sales_monthly IN SHARE MODE;\n\\echo held\n");
my $refresher = $node->background_psql('origin', on_error_stop => 0);
$refresher->query_until(qr/started/, "\\echo started\nCALL ecomsocial.refresh_model('ecommerce');\n");
ok($node->poll_query_until('origin', q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'CALL %' AND wait_event_type = 'Lock')}),
	'a refresh stands before its second rollup');
$node->stop('immediate');
eval { $_->quit } for $holder, $refresher;
$node->start;
is( $node->safe_psql('origin', q{
		SELECT string_agg((pending > 0)::text, ' ' ORDER BY target::text) FROM ecomsocial.rollup_status()
		WHERE target IN ('ecommerce.sales_daily'::regclass, 'ecommerce.sales_monthly'::regclass)}),
	'false true', 'the crash left what was committed, and what was not still waits');
refresh($node, 'origin');
refresh($node, 'from_plain');
is(fingerprint($node, 'origin'), fingerprint($node, 'from_plain'), 'a refresh that a crash cut off is completed by the next');

# A replica answers the reports
$node->backup('base');
my $replica = PostgreSQL::Test::Cluster->new('replica');
$replica->init_from_backup($node, 'base', has_streaming => 1);
$replica->start;
more_events($node, 'origin', '2024-05-13', 2);
refresh($node, 'origin');
$node->wait_for_catchup($replica, 'replay', $node->lsn('flush'));
is(fingerprint($replica, 'origin'), fingerprint($node, 'origin'), 'a streaming replica answers every report alike');
$replica->stop;

# The extension goes and comes again: what people wrote stays, what was derived is made anew
my $facts = q{SELECT 'order_line', count(*), md5(string_agg(t::text, E'\n' ORDER BY t::text)) FROM ecommerce.order_line t
	UNION ALL SELECT 'customer', count(*), md5(string_agg(t::text, E'\n' ORDER BY t::text)) FROM ecommerce.customer t
	UNION ALL SELECT 'content_event', count(*), md5(string_agg(t::text, E'\n' ORDER BY t::text)) FROM social.content_event t};
my $kept = $node->safe_psql('origin', $facts);
my $reports = fingerprint($node, 'origin');
as_shop($node, 'origin', 'DROP EXTENSION ecomsocial CASCADE');
is($node->safe_psql('origin', $facts), $kept, 'DROP EXTENSION CASCADE leaves events and dimensions untouched');
as_shop($node, 'origin', q{
	CREATE EXTENSION ecomsocial;
	SELECT count(*) FROM ecomsocial.adopt_ecommerce();
	SELECT count(*) FROM ecomsocial.adopt_social();
	DROP SCHEMA ecommerce_before, social_before CASCADE;
});
refresh($node, 'origin');
my $anew = fingerprint($node, 'origin');
s/^ecommerce\.(?:category|cohort)_change\|.*\n//mg for $reports, $anew;	# their notes begin anew
is($anew, $reports, 'what was derived is made anew by one call for each model');

$node->stop;
done_testing();
