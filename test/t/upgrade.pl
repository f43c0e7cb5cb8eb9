# Every released version, upgraded, is what a fresh installation is.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my @frozen = map { m{ecomsocial--(\d[\d.]*)\.sql$} ? $1 : () } glob('sql/upgrade/ecomsocial--*.sql');
plan skip_all => 'no version is released yet' unless @frozen;

# What the extension holds: each member by name, functions with their definition, the rest with their comment
my $inventory = q{
	SELECT pg_describe_object(d.classid, d.objid, 0),
		CASE WHEN d.classid = 'pg_proc'::regclass AND p.prokind <> 'a' THEN pg_get_functiondef(d.objid) END,
		obj_description(d.objid, (SELECT relname FROM pg_class WHERE oid = d.classid))
	FROM pg_depend d
	LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
	  AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'ecomsocial')
	ORDER BY 1};

my $node = PostgreSQL::Test::Cluster->new('upgrade');
$node->init;
$node->start;

$node->safe_psql('postgres', 'CREATE EXTENSION ecomsocial');
my $fresh = $node->safe_psql('postgres', $inventory);

for my $version (@frozen)
{
	(my $database = "from_$version") =~ s/\W/_/g;
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, "CREATE EXTENSION ecomsocial VERSION '$version'");
	$node->safe_psql($database, 'ALTER EXTENSION ecomsocial UPDATE');
	is($node->safe_psql($database, $inventory), $fresh, "$version upgrades to what a fresh installation has");
}

$node->stop;
done_testing();
