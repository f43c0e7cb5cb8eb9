# The recipes in other languages: each program of docs/recipes.md runs on the shop
# that the page makes, and prints what the page says.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# the blocks of the page: [language, text], in order
my @blocks = PostgreSQL::Test::Utils::slurp_file('docs/recipes.md') =~ /^```(\w+)\n(.*?)^```\n/msg;
my %program;
my $script = '';
while (my ($language, $text) = splice @blocks, 0, 2)
{
	$script .= $text if $language eq 'sql';
	$program{$language} = [ $text, $blocks[1] ] if $language =~ /^(python|javascript)$/ && $blocks[0] eq 'text';
}
is(join(' ', sort keys %program), 'javascript python', 'the page has a program in each language, with its output');

my $node = PostgreSQL::Test::Cluster->new('recipes');
$node->init;
$node->start;
$node->safe_psql('postgres', 'CREATE ROLE shop LOGIN; CREATE DATABASE shop OWNER shop');
IPC::Run::run([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-h', $node->host, '-p', $node->port, '-U', 'shop', '-d', 'shop' ],
	'<', \$script, '>', \my $made) or BAIL_OUT('the shop of the page cannot be made');

local @ENV{qw(PGHOST PGPORT PGUSER PGDATABASE)} = ($node->host, $node->port, 'shop', 'shop');
local $ENV{NODE_PATH} = join ':', grep { defined } $ENV{NODE_PATH}, '/usr/share/nodejs';
my @runtimes = (
	[ 'python', 'psycopg', [qw(/usr/bin/python3 -)], 'import psycopg' ],
	[ 'javascript', 'node-postgres', [qw(node -)], 'require("pg")' ]);
for (@runtimes)
{
	my ($language, $driver, $command, $probe) = @$_;
  SKIP:
	{
		my ($out, $err);
		skip "no $driver for $command->[0]", 1
		  unless eval { IPC::Run::run($command, '<', \$probe, '>', \$out, '2>', \$err) };
		IPC::Run::run($command, '<', \$program{$language}[0], '>', \$out, '2>', \$err);
		is($out, $program{$language}[1], "$driver reads what the page says") or diag $err;
	}
}

$node->stop;
done_testing();
