# Sketches on their way between servers: binary COPY, dump and restore, logical
# replication, postgres_fdw.
use strict;
use warnings;

use Cwd qw(abs_path);

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('sketch');
$node->init(allows_streaming => 'logical');
$node->start;
my $dir = abs_path(PostgreSQL::Test::Utils::tempdir());

$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('postgres', q{
	CREATE EXTENSION ecomsocial;
	CREATE TABLE daily (day int PRIMARY KEY, users ecomsocial.sketch(12), anyhow ecomsocial.sketch);
	INSERT INTO daily
	SELECT n, ecomsocial.sketch_agg(i, 12), ecomsocial.sketch_agg(i, 4 + n % 10)
	FROM unnest(ARRAY[1, 3, 100, 513, 20000]) n, generate_series(1, n) i GROUP BY n;
	INSERT INTO daily VALUES (0, ecomsocial.sketch_empty(12), NULL),
		(-1, NULL, ecomsocial.sketch_from_hll(ecomsocial.sketch_to_hll((SELECT users FROM daily WHERE day = 513), 5)));
});
my $all = 'SELECT * FROM daily ORDER BY day';
my $daily = $node->safe_psql('postgres', $all);

# binary COPY is recv and send
$node->safe_psql('postgres', "COPY daily TO '$dir/daily.bin' (FORMAT binary)");
$node->safe_psql('postgres', "CREATE TABLE copied (LIKE daily); COPY copied FROM '$dir/daily.bin' (FORMAT binary)");
is($node->safe_psql('postgres', 'SELECT * FROM copied ORDER BY day'), $daily, 'binary COPY');

my $file = slurp_file("$dir/daily.bin");
my $place = index($file, pack('C2', 0x10, 12));
ok($place > 0, 'an empty sketch of precision 12 in the file');
for my $damage ([ 0x20, 'version' ], [ 0x13, 'layout' ])
{
	my ($byte, $what) = @$damage;
	substr($file, $place, 1) = chr $byte;
	open my $out, '>:raw', "$dir/damaged.bin" or die $!;
	print $out $file;
	close $out;
	my ($code, undef, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\nCOPY copied FROM '$dir/damaged.bin' (FORMAT binary)");
	like($stderr, qr/22P03: invalid sketch\nDETAIL:  Its $what/, "binary COPY of an unknown $what");
}

# a state travels as text and as binary, as between the nodes of Citus
$node->safe_psql('postgres', q{
	CREATE TABLE state AS SELECT day, anyhow::text::ecomsocial.sketch_state AS s FROM daily WHERE anyhow IS NOT NULL;
	CREATE TABLE state_copy (LIKE state)});
$node->safe_psql('postgres', "COPY state TO '$dir/state.bin' (FORMAT binary); COPY state_copy FROM '$dir/state.bin' (FORMAT binary)");
is($node->safe_psql('postgres', 'SELECT count(*) FROM state_copy JOIN daily USING (day) WHERE s::text = anyhow::text'), '6', 'binary COPY of states');

# dump and restore
$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/daily.dump", $node->connstr('postgres') ], 'pg_dump');
$node->command_ok([ 'pg_restore', '-d', $node->connstr('other'), "$dir/daily.dump" ], 'pg_restore');
is($node->safe_psql('other', $all), $daily, 'dump and restore');

# postgres_fdw: the aggregates are computed on the other side
$node->safe_psql('postgres', sprintf q{
	CREATE EXTENSION postgres_fdw;
	CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '%s', port '%s', dbname 'other', extensions 'ecomsocial');
	CREATE USER MAPPING FOR CURRENT_USER SERVER other;
	CREATE FOREIGN TABLE remote (day int, users ecomsocial.sketch(12), anyhow ecomsocial.sketch) SERVER other OPTIONS (table_name 'daily')},
	$node->host, $node->port);
for my $aggregate ('sketch_agg(day, 12)', 'approx_count_distinct(day)', 'sketch_union_agg(users)')
{
	my $query = "SELECT ecomsocial.$aggregate FROM remote";
	(my $call = $aggregate) =~ s/\(.*//;
	like($node->safe_psql('postgres', "EXPLAIN (VERBOSE, COSTS OFF) $query"), qr/Remote SQL: SELECT ecomsocial\.$call/, "postgres_fdw ships $call");
	is($node->safe_psql('postgres', $query), $node->safe_psql('postgres', $query =~ s/remote/daily/r), "$call computed remotely");
}

# logical replication
$node->safe_psql('other', 'TRUNCATE daily');
$node->safe_psql('postgres', 'CREATE PUBLICATION p FOR TABLE daily');
$node->safe_psql('postgres', q{SELECT pg_create_logical_replication_slot('s', 'pgoutput')});
$node->safe_psql('other', sprintf q{CREATE SUBSCRIPTION s CONNECTION '%s' PUBLICATION p WITH (create_slot = false, slot_name = 's', binary = true)},
	$node->connstr('postgres') =~ s/'/''/gr);
$node->wait_for_subscription_sync($node, 's', 'other') if $node->can('wait_for_subscription_sync');
$node->safe_psql('postgres', q{UPDATE daily SET users = ecomsocial.sketch_union(users, (SELECT users FROM daily WHERE day = 20000)) WHERE day = 0});
$node->wait_for_catchup('s');
is($node->safe_psql('other', $all), $node->safe_psql('postgres', $all), 'logical replication, binary');
$node->safe_psql('other', 'DROP SUBSCRIPTION s');

$node->stop;
done_testing();
