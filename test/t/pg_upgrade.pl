# pg_upgrade from an older server: ECS_OLD_PG_CONFIG names its pg_config.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Ecomsocial;

my $old_pg_config = $ENV{ECS_OLD_PG_CONFIG};
plan skip_all => 'ECS_OLD_PG_CONFIG names no older server' unless $old_pg_config;

sub pg_config
{
	my ($pg_config, $what) = @_;
	chomp(my $answer = `$pg_config --$what`);
	return $answer;
}

# The extension for the older server, built and staged beside
my $build = PostgreSQL::Test::Utils::tempdir;
system_or_bail('sh', '-c', "cp -R Makefile ecomsocial.control sql src '$build' && "
	. "make -C '$build' clean all install PG_CONFIG='$old_pg_config' DESTDIR='$build/stage' with_llvm=no >'$build/log' 2>&1 || { cat '$build/log'; exit 1; }");

my $old_bindir = pg_config($old_pg_config, 'bindir');
my $new_bindir = pg_config($ENV{PG_CONFIG}, 'bindir');
(my $old_prefix = $old_bindir) =~ s{/bin$}{};

my $old = PostgreSQL::Test::Cluster->new('old', install_path => $old_prefix);
{
	local $ENV{TEMP_CONFIG};
	delete $ENV{TEMP_CONFIG};
	$old->init(extra => [ '--no-locale', '-E', 'UTF8' ]);
}
$old->append_conf('postgresql.conf', "extension_destdir = '$build/stage'");
$old->append_conf('postgresql.conf', "dynamic_library_path = '$build/stage" . pg_config($old_pg_config, 'pkglibdir') . ":\$libdir'");
$old->start;
populate($old, 'origin');
my $before = fingerprint($old, 'origin');
$old->stop;

my $new = PostgreSQL::Test::Cluster->new('new');
$new->init(extra => [ '--no-locale', '-E', 'UTF8' ]);
chdir $build;
command_ok(
	[
		'pg_upgrade', '--no-sync',
		'-d', $old->data_dir, '-D', $new->data_dir, '-b', $old_bindir, '-B', $new_bindir,
		'-s', $new->host, '-p', $old->port, '-P', $new->port
	],
	'pg_upgrade from ' . pg_config($old_pg_config, 'version'));
$new->start;
is(fingerprint($new, 'origin'), $before, 'every table and report is the same');
more_events($new, 'origin', '2024-03-31', 3);
refresh($new, 'origin');
isnt(fingerprint($new, 'origin'), $before, 'and the rollups go on');

$new->stop;
done_testing();
