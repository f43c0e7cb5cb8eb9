# A million and a half users under a work_mem that holds a hundred thousand: the answer is
# that of plain SQL, memory stays within work_mem * hash_mem_multiplier, and a cancel is
# heeded at once, in the scan and after it, while temporary files are read.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', 'max_parallel_workers_per_gather = 0');
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION ecomsocial;
	CREATE TABLE visit AS
	SELECT i::bigint AS user_id, 'u' || i AS name, date '2023-01-01' + (hashint8(i) & 255) AS day FROM generate_series(1, 1500000) i;
	ALTER DATABASE postgres SET search_path = public, ecomsocial});

my $limits = q{SET work_mem = '4MB'; SET hash_mem_multiplier = 2;};
my $limit = 4096 * 2;

# the greatest extent of the session's memory so far, shared memory included, in kB
my $peak = q{SELECT substring(pg_read_file('/proc/self/status', 0, 10000, true) FROM 'VmPeak:\s*(\d+)')};

my %want = map {
	$_ => $node->safe_psql('postgres', qq{
		SELECT count(*), sum(n) FROM (
			SELECT date_trunc('$_', generate_series) AS start FROM generate_series(timestamp '2023-01-01', '2023-09-13', '1 day') GROUP BY 1) p
		JOIN (SELECT date_trunc('$_', day::timestamp) AS start, count(DISTINCT user_id) AS n FROM visit GROUP BY 1) v USING (start)})
} qw(month day);

for my $case ([ 'bits in a word', 'user_id', 'month' ], [ 'bits in several', 'user_id', 'day' ], [ 'text', 'name', 'month' ])
{
	my ($name, $user, $period) = @$case;
	my ($before, $answer, $after) =
	  split /\n/, $node->safe_psql('postgres', "$limits $peak; SELECT count(*), sum(active) FROM growth_accounting('visit', '$user', 'day', '$period'); $peak");
	is($answer, $want{$period}, "$name: the answer");
  SKIP:
	{
		skip 'memory is read from /proc', 1 unless $before;
		# beside the table: buffers of 32 files, the query, allocation in blocks
		cmp_ok($after - $before, '<', $limit + 4096, "$name: memory");
	}
}

# Without the SQL statement in its context, a cancel came when the scan was over
my %seen;
for (my $timeout = 100; $timeout < 100_000 && keys %seen < 2; $timeout *= 1.5)
{
	my $begin = time();
	my ($rc, $stdout, $stderr) = $node->psql('postgres', sprintf
		q{SET work_mem = '64kB'; SET hash_mem_multiplier = 1; SET statement_timeout = %d; SELECT count(*) FROM growth_accounting('visit', 'name', 'day', 'month', '2023-01-01', '2024-01-01')},
		$timeout);
	last if $rc == 0;
	$seen{$stderr =~ /SQL statement/ ? 'scan' : 'files'} = time() - $begin - $timeout / 1000;
}
is(join(' ', sort keys %seen), 'files scan', 'cancelled in the scan and in the reading of files');
cmp_ok($seen{$_} // 99, '<', 1, "within a second: $_") for qw(scan files);

# Rows of an answer, of which there are two million: a tenth of their time must do
sub cohorts_of_nobody
{
	my ($timeout) = @_;
	my $begin = time();
	my (undef, undef, $stderr) = $node->psql('postgres', qq{
		CREATE TEMP TABLE nobody (u integer, d date); SET work_mem = '64kB'; SET statement_timeout = $timeout;
		SELECT count(*) FROM retention_cohorts('nobody', 'u', 'd', 'day', '2020-01-01', '2025-06-01')});
	return (time() - $begin, $stderr);
}
my ($whole) = cohorts_of_nobody(0);
my ($cancelled, $stderr) = cohorts_of_nobody(int($whole * 100));
like($stderr, qr/canceling statement due to statement timeout/, 'cancelled in the output');
cmp_ok($cancelled, '<', $whole / 2, 'long before its end');

done_testing();
