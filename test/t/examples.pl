# Every example of the README and of the guides runs, in the order in which a
# reader meets them, and prints what the page says it prints: each page in a
# fresh database, as an ordinary role that owns it.  (docs/citus.md: citus.pl)
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Page;

my $node = PostgreSQL::Test::Cluster->new('examples');
$node->init;
$node->start;
$node->safe_psql('postgres', 'CREATE ROLE regress_shop LOGIN');

my @pages = grep { $_ ne 'docs/citus.md' && examples($_) } ('README.md', glob('docs/*.md'));
ok(scalar(@pages), 'there are pages with examples');
for my $page (@pages)
{
	(my $database = $page) =~ s/\W/_/g;
	$node->safe_psql('postgres', "CREATE DATABASE \"$database\" OWNER regress_shop");
	run_page($page, $node, $database, 'regress_shop');
}

$node->stop;
done_testing();
