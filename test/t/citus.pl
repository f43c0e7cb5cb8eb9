# On Citus: a coordinator and two workers.  What docs/citus.md says holds, the
# workers aggregate and say what one machine says, and what cannot work is
# refused.  Skipped where Citus is not installed.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Page;

chomp(my $sharedir = `$ENV{PG_CONFIG} --sharedir`);
plan skip_all => 'Citus is not installed' unless -f "$sharedir/extension/citus.control";

my @nodes = map { PostgreSQL::Test::Cluster->new($_) } qw(coordinator worker1 worker2);
for my $node (@nodes)
{
	$node->init;
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'citus'");
	$node->append_conf('postgresql.conf', "max_prepared_transactions = 20");
	$node->append_conf('postgresql.conf', "max_connections = 100");
	# nodes find each other by host name
	$node->append_conf('postgresql.conf', "listen_addresses = 'localhost'");
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION citus');
}
my ($coordinator, @workers) = @nodes;
$coordinator->safe_psql('postgres', "SELECT citus_set_coordinator_host('localhost', @{[ $coordinator->port ]})");
$coordinator->safe_psql('postgres', "SELECT citus_add_node('localhost', @{[ $_->port ]})") for @workers;
$coordinator->safe_psql('postgres', 'ALTER DATABASE postgres SET citus.shard_count = 8');

run_page('docs/citus.md', $coordinator, 'postgres');

# the same on the workers as on one machine
my $settings = "SET search_path = public, ecomsocial; SET citus.coordinator_aggregation_strategy = 'disabled';";
$coordinator->safe_psql('postgres', "$settings CREATE TABLE alone AS TABLE event");
for my $select (
	'device_type, sketch_agg(user_id), sketch_agg(user_id, 14), approx_count_distinct(event_time)',
	'device_type, activity_agg((event_time AT TIME ZONE $$UTC$$)::date)')
{
	my $query = "$settings SELECT md5(string_agg(t::text, ' ' ORDER BY device_type)) FROM (SELECT $select FROM %s GROUP BY device_type OFFSET 0) t";
	is( $coordinator->safe_psql('postgres', sprintf($query, 'event')),
		$coordinator->safe_psql('postgres', sprintf($query, 'alone')),
		"on the workers as alone: $select");
}
like($coordinator->safe_psql('postgres', "$settings EXPLAIN (VERBOSE, COSTS OFF) SELECT sketch_agg(user_id) FROM event"),
	qr/Task Count: 8.*worker_partial_agg/s, 'partial aggregates run on the shards');
like($coordinator->safe_psql('postgres', "$settings EXPLAIN (VERBOSE, COSTS OFF) SELECT growth_agg(days, 'month') FROM user_activity WHERE user_id % 3 = 1"),
	qr/Task Count: 8.*worker_partial_agg.*growth_agg/s, 'growth is counted on the shards');
$coordinator->safe_psql('postgres', "$settings CREATE TABLE kept_alone AS TABLE user_activity");
is( $coordinator->safe_psql('postgres', "$settings SELECT growth_agg(days, 'day') FROM user_activity"),
	$coordinator->safe_psql('postgres', "$settings SELECT growth_agg(days, 'day') FROM kept_alone"),
	'growth on the workers as alone');

# what rests on triggers is refused, also where Citus would let the triggers be
for my $call (
	q{rollup_create('per_device', '{event}', '{event_time}', 'SELECT device_type, count(*) FROM event WHERE event_time >= $1 AND event_time < $2 GROUP BY 1')},
	q{scd2_enable('user_activity', '{user_id}')})
{
	my ($code, $out, $err) = $coordinator->psql('postgres', "$settings SET citus.enable_unsafe_triggers = on; \\set VERBOSITY verbose\nSELECT $call");
	like($err, qr/0A000: \S+ is managed by Citus/, "refused: $call");
}

$_->stop for @nodes;
done_testing();
