# A restored database misses nothing: neither what waited when it was dumped nor
# partitions that came or went unseen before the dump.  Logical replication is
# captured on the subscriber.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('restore');
$node->init(allows_streaming => 'logical');
$node->start;

my $tables = q{
	CREATE SCHEMA shop;
	CREATE TABLE shop.event (id bigint, at timestamptz, v int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
	CREATE TABLE shop.event_1 PARTITION OF shop.event FOR VALUES FROM ('2024-01-01 UTC') TO ('2024-01-02 UTC');
	CREATE TABLE shop.event_2 PARTITION OF shop.event FOR VALUES FROM ('2024-01-02 UTC') TO ('2024-01-03 UTC');
	CREATE TABLE shop.event_3 PARTITION OF shop.event FOR VALUES FROM ('2024-01-03 UTC') TO ('2024-01-04 UTC');
};
my $rollups = q{
	CREATE EXTENSION ecomsocial;
	SET search_path = shop;
	SELECT ecomsocial.rollup_create('daily', '{event}', '{at}', 'SELECT v AS "V", count(*) AS n FROM event WHERE at >= $1 AND at < $2 GROUP BY v', key => '{V}', time_zone => 'Europe/London');
	SELECT ecomsocial.rollup_create('monthly', '{daily}', '{bucket}', 'SELECT sum(n)::bigint AS n FROM daily WHERE bucket >= $1 AND bucket < $2 HAVING sum(n) > 0', 'month', key => '{}');
};
my $wrong = q{
	WITH daily AS (SELECT (at AT TIME ZONE 'Europe/London')::date AS bucket, v, count(*) AS n FROM shop.event GROUP BY 1, 2),
		monthly AS (SELECT date_trunc('month', bucket)::date, sum(n)::bigint FROM daily GROUP BY 1)
	SELECT (SELECT count(*) FROM ((TABLE daily EXCEPT TABLE shop.daily) UNION ALL (TABLE shop.daily EXCEPT TABLE daily)) d)
		+ (SELECT count(*) FROM ((TABLE monthly EXCEPT TABLE shop.monthly) UNION ALL (TABLE shop.monthly EXCEPT TABLE monthly)) d)};
my $refresh = "CALL ecomsocial.refresh_model('shop')";

$node->safe_psql('postgres', $tables . $rollups);
$node->safe_psql('postgres', "INSERT INTO shop.event SELECT i, '2024-01-01 UTC'::timestamptz + i * interval '1 hour', i % 3 FROM generate_series(0, 71) i");
$node->safe_psql('postgres', $refresh);
is($node->safe_psql('postgres', $wrong), '0', 'right before the dump');

# unseen: an event, a partition that went, one that was emptied
$node->safe_psql('postgres', q{
	INSERT INTO shop.event VALUES (100, '2024-01-01 12:30 UTC', 1);
	ALTER TABLE shop.event DETACH PARTITION shop.event_2;
	TRUNCATE shop.event_3;
	DROP TABLE shop.event_2});
cmp_ok($node->safe_psql('postgres', $wrong), '>', 0, 'the oracle sees what waits');

my $dump = $PostgreSQL::Test::Utils::tmp_check . '/shop.dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('postgres') ], 'dump');
for my $jobs (1, 2)
{
	my $database = "restored_$jobs";
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->command_ok([ 'pg_restore', '--exit-on-error', '-j', $jobs, '-d', $node->connstr($database), $dump ], "restore with $jobs jobs");
	is($node->safe_psql($database, "SELECT string_agg(DISTINCT tgenabled::text, '') || ' ' || count(*) FROM pg_trigger WHERE tgname ~ '^ecomsocial_rollup'"), 'A 12', 'all triggers are there, and ALWAYS');
	is($node->safe_psql($database, 'SELECT bool_and(everything_pending) FROM ecomsocial.rollup_status()'), 't', 'the rollups say that they wait');
	is($node->safe_psql($database, q{SELECT sum(n) FROM shop.daily_live WHERE bucket = '2024-01-01'}), '25', 'the live view knows the event that waited');
	$node->safe_psql($database, "INSERT INTO shop.event VALUES (101, '2024-01-03 12:30 UTC', 1)");
	$node->safe_psql($database, $refresh);
	is($node->safe_psql($database, $wrong), '0', 'right after the first refresh');
	$node->safe_psql($database, "DELETE FROM shop.event WHERE id = 101; CREATE TABLE shop.event_2 PARTITION OF shop.event FOR VALUES FROM ('2024-01-02 UTC') TO ('2024-01-03 UTC'); INSERT INTO shop.event VALUES (102, '2024-01-02 12:30 UTC', 1)");
	$node->safe_psql($database, $refresh);
	is($node->safe_psql($database, $wrong), '0', 'and after the next');
	is($node->safe_psql($database, 'SELECT count(*) FROM ecomsocial.rollup_status() WHERE everything_pending OR pending > 0 OR last_error IS NOT NULL'), '0', 'nothing waits');
}

# data alone, with triggers disabled
$node->safe_psql('restored_1', 'TRUNCATE shop.event');
$node->safe_psql('restored_1', $refresh);
$node->command_ok([ 'pg_restore', '--data-only', '--disable-triggers', '-n', 'shop', '-t', 'event_1', '-d', $node->connstr('restored_1'), $dump ], 'restore the data of one partition');
my ($status, $out, $err) = $node->psql('restored_1', $refresh);
is($status, 0, 'a refresh after that');
is($node->safe_psql('restored_1', $wrong), '0', 'is right, since it finds the triggers changed');
like($err, qr/were missing or not enabled always/, 'and warns');
is($node->safe_psql('restored_1', "SELECT string_agg(DISTINCT tgenabled::text, '') FROM pg_trigger WHERE tgname ~ '^ecomsocial_rollup'"), 'A', 'and puts them back');
$node->safe_psql('restored_1', 'DROP TRIGGER ecomsocial_rollup_1_update ON shop.event');
$node->safe_psql('restored_1', "UPDATE shop.event SET v = 9");
$node->safe_psql('restored_1', $refresh);
is($node->safe_psql('restored_1', $wrong), '0', 'a trigger that was dropped is found missing');

# logical replication: the subscriber has rollups of its own
$node->safe_psql('postgres', 'CREATE DATABASE subscriber');
$node->safe_psql('subscriber', $tables . $rollups);
$node->safe_psql('subscriber', $refresh);
$node->safe_psql('postgres', "CREATE PUBLICATION rolled FOR TABLE shop.event WITH (publish_via_partition_root = true)");
$node->safe_psql('postgres', "SELECT pg_create_logical_replication_slot('rolled', 'pgoutput')");
$node->safe_psql('subscriber', 'CREATE SUBSCRIPTION rolled CONNECTION $$' . $node->connstr('postgres') . '$$ PUBLICATION rolled WITH (create_slot = false, slot_name = rolled)');
$node->wait_for_subscription_sync($node, 'rolled', 'subscriber') if $node->can('wait_for_subscription_sync');
$node->safe_psql('subscriber', $refresh);
$node->safe_psql('postgres', q{
	INSERT INTO shop.event VALUES (200, '2024-01-01 20:30 UTC', 5), (201, '2024-01-03 20:30 UTC', 5);
	UPDATE shop.event SET at = '2024-01-03 01:00 UTC' WHERE id = 100;
	DELETE FROM shop.event WHERE id = 1});
$node->wait_for_catchup('rolled');
is($node->safe_psql('subscriber', q{SELECT string_agg(DISTINCT day::text, ' ') FROM ecomsocial.rollup_log}), '2024-01-01 2024-01-03', 'the apply worker notes');
$node->safe_psql('subscriber', $refresh);
is($node->safe_psql('subscriber', $wrong), '0', 'and the subscriber is right');
cmp_ok($node->safe_psql('subscriber', 'SELECT count(*) FROM shop.event'), '>', 20, 'with rows');
$node->safe_psql('subscriber', 'DROP SUBSCRIPTION rolled');

$node->stop;
done_testing();
