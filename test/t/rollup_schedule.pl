# Rollups with pg_partman, which makes and drops the partitions, and pg_cron,
# which calls the refresh; each where its Debian package is installed.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('schedule');
$node->init;
$node->start;
my $available = $node->safe_psql('postgres', 'SELECT name FROM pg_available_extensions');
my ($cron, $partman) = map { $available =~ /^$_$/m } qw(pg_cron pg_partman);
plan skip_all => 'neither pg_cron nor pg_partman is installed (Debian: postgresql-NN-cron, postgresql-NN-partman)' unless $cron || $partman;

if ($cron)
{
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_cron'\ncron.database_name = 'postgres'\ncron.use_background_workers = on\nmax_worker_processes = 20");
	$node->restart;
}

$node->safe_psql('postgres', q{
	CREATE EXTENSION ecomsocial;
	CREATE SCHEMA shop;
	CREATE TABLE shop.event (id bigint, at timestamptz NOT NULL) PARTITION BY RANGE (at);
	CREATE TABLE shop.plain (at timestamptz);
	SELECT ecomsocial.rollup_create('shop.daily', '{shop.event}', '{at}', 'SELECT count(*) AS n FROM shop.event WHERE at >= $1 AND at < $2 HAVING count(*) > 0', key => '{}');
	SELECT ecomsocial.rollup_create('shop.plain_daily', '{shop.plain}', '{at}', 'SELECT count(*) AS n FROM shop.plain WHERE at >= $1 AND at < $2 HAVING count(*) > 0', key => '{}');
	ALTER DATABASE postgres SET timezone = 'UTC'});

# the job is due in a minute at most; the rest happens meanwhile
if ($cron)
{
	$node->safe_psql('postgres', 'CREATE EXTENSION pg_cron');
	$node->safe_psql('postgres', q{SELECT cron.schedule('refresh', '* * * * *', $$CALL ecomsocial.refresh_model('shop')$$)});
	$node->safe_psql('postgres', "INSERT INTO shop.plain SELECT timestamptz '2024-01-01 UTC' + i * interval '1 day' FROM generate_series(1, 5) i");
}

SKIP:
{
	skip 'pg_partman is not installed (Debian: postgresql-NN-partman)', 5 unless $partman;
	my $refresh = "CALL ecomsocial.rollup_refresh('shop.daily')";
	my $wrong = q{SELECT count(*) FROM ((TABLE shop.daily EXCEPT SELECT (at AT TIME ZONE 'UTC')::date, count(*) FROM shop.event GROUP BY 1)
		UNION ALL (SELECT (at AT TIME ZONE 'UTC')::date, count(*) FROM shop.event GROUP BY 1 EXCEPT TABLE shop.daily)) d};

	$node->safe_psql('postgres', q{
		CREATE SCHEMA partman; CREATE EXTENSION pg_partman SCHEMA partman;
		SELECT partman.create_parent('shop.event', 'at', 'native', 'daily', p_premake := 2, p_start_partition := (current_date - 9)::text);
		INSERT INTO shop.event SELECT i, current_date - 9 + i * interval '6 hours' FROM generate_series(0, 35) i});
	$node->safe_psql('postgres', $refresh);
	is($node->safe_psql('postgres', "SELECT ($wrong), count(*) FROM shop.daily"), '0|9', 'partitions that pg_partman made are captured');
	$node->safe_psql('postgres', "SELECT partman.run_maintenance('shop.event')");
	is($node->safe_psql('postgres', 'SELECT pending FROM ecomsocial.rollup_status() WHERE target = $$shop.daily$$::regclass'), '0', 'empty partitions to come touch nothing');

	# without an option, rows go with their events
	$node->safe_psql('postgres', q{
		UPDATE partman.part_config SET retention = '7 days', retention_keep_table = false WHERE parent_table = 'shop.event';
		SELECT partman.run_maintenance('shop.event')});
	$node->safe_psql('postgres', $refresh);
	is($node->safe_psql('postgres', "SELECT ($wrong), count(*) = (SELECT count(DISTINCT at::date) FROM shop.event), count(*) < 9 FROM shop.daily"), '0|t|t', 'dropped partitions take their buckets along');

	# frozen, they stay
	my $kept = $node->safe_psql('postgres', 'SELECT count(*) FROM shop.daily');
	$node->safe_psql('postgres', q{
		SELECT ecomsocial.rollup_retain('shop.daily', current_date - 2);
		UPDATE partman.part_config SET retention = '3 days' WHERE parent_table = 'shop.event';
		SELECT partman.run_maintenance('shop.event')});
	$node->safe_psql('postgres', $refresh);
	is($node->safe_psql('postgres', 'SELECT count(*) FROM shop.daily'), $kept, 'frozen buckets outlive their events');
	cmp_ok($node->safe_psql('postgres', 'SELECT count(DISTINCT at::date) FROM shop.event'), '<', $kept, 'which are gone');
}

SKIP:
{
	skip 'pg_cron is not installed (Debian: postgresql-NN-cron)', 3 unless $cron;
	ok($node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM cron.job_run_details WHERE status IN ('succeeded', 'failed'))"), 'pg_cron ran the job');
	is($node->safe_psql('postgres', 'SELECT status FROM cron.job_run_details WHERE end_time IS NOT NULL ORDER BY runid LIMIT 1'), 'succeeded', 'and it succeeded');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM shop.plain_daily'), '5', 'and refreshed');
}

$node->stop;
done_testing();
