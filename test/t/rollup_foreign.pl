# A partition that is a foreign table is written elsewhere too, where no trigger
# tells: every refresh computes what it may hold, and says so.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

chomp(my $sharedir = `$ENV{PG_CONFIG} --sharedir`);
plan skip_all => 'postgres_fdw is not installed' unless -f "$sharedir/extension/postgres_fdw.control";

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
my ($host, $port) = ($node->host, $node->port);
$node->safe_psql('postgres', 'CREATE DATABASE far');
$node->safe_psql('far', 'CREATE TABLE february (at timestamptz, v int)');
$node->safe_psql('postgres', qq{
	CREATE EXTENSION ecomsocial;
	CREATE EXTENSION postgres_fdw;
	CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'far');
	CREATE USER MAPPING FOR CURRENT_USER SERVER far;
	CREATE TABLE event (at timestamptz, v int) PARTITION BY RANGE (at);
	CREATE TABLE january PARTITION OF event FOR VALUES FROM ('2024-01-01 UTC') TO ('2024-02-01 UTC');
	CREATE FOREIGN TABLE february PARTITION OF event FOR VALUES FROM ('2024-02-01 UTC') TO ('2024-03-01 UTC') SERVER far;
	SELECT ecomsocial.rollup_create('daily', '{event}', '{at}', 'SELECT count(*) AS n FROM event WHERE at >= \$1 AND at < \$2 HAVING count(*) > 0', key => '{}');
});

# Refresh, and return the table and what was said
sub refreshed
{
	my ($status, undef, $said) = $node->psql('postgres', "CALL ecomsocial.rollup_refresh('daily')");
	is($status, 0, 'a refresh');
	like($said, qr/WARNING:  changes of public\.february may go unseen/, 'which warns');
	return $node->safe_psql('postgres', q{SELECT string_agg(format('%s %s', bucket, n), ', ' ORDER BY bucket) FROM daily});
}

$node->safe_psql('postgres', q{INSERT INTO event VALUES ('2024-01-05 12:00 UTC', 1), ('2024-02-05 12:00 UTC', 1)});
is(refreshed(), '2024-01-05 1, 2024-02-05 1', 'rows of both are counted');
$node->safe_psql('far', q{INSERT INTO february VALUES ('2024-02-06 12:00 UTC', 1); DELETE FROM february WHERE at < '2024-02-06'});
is(refreshed(), '2024-01-05 1, 2024-02-06 1', 'and what was written on the other side');

$node->stop;
done_testing();
