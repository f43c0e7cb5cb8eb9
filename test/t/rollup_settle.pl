# A transaction may rely on a row that is in rollup_log already (src/rollup/log.c).
# Held up in the middle of its commit, after it looked for that row, it must be
# waited for by a refresh that deletes the row.
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('settle');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', 'max_prepared_transactions = 5');
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION ecomsocial;
	CREATE TABLE event (at timestamptz, v int);
	SELECT ecomsocial.rollup_create('daily', '{event}', '{at}', 'SELECT count(*) AS n FROM event WHERE at >= $1 AND at < $2 HAVING count(*) > 0', key => '{}')});
$node->safe_psql('postgres', "CALL ecomsocial.rollup_refresh('daily')");

# Sessions that stay, since a backend relies on its own rows; that of the writer
# waits for a synchronous standby where one is asked for, the others do not.
my %session;
sub begin
{
	my ($name, $sql) = @_;
	$session{$name} //= do {
		my ($in, $out) = ('', '');
		local $ENV{PGOPTIONS} = $name eq 'writer' ? '' : '-c synchronous_commit=local';
		{ in => \$in, out => \$out, handle => IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres') ], '<', \$in, '>', \$out, '2>&1') };
	};
	${ $session{$name}{out} } = '';
	${ $session{$name}{in} } .= "$sql;\n\\echo end\n";
	$session{$name}{handle}->pump_nb;
}

sub finish
{
	my ($name) = @_;
	$session{$name}{handle}->pump until ${ $session{$name}{out} } =~ s/^end$//m;
	return ${ $session{$name}{out} } =~ s/\s+$//r;
}
sub run { begin(@_); return finish($_[0]); }

sub waits
{
	my ($query, $event) = @_;
	return $node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query ~ '$query' AND pid <> pg_backend_pid() AND wait_event ~ '$event')");
}
my $insert = "INSERT INTO event VALUES ('2024-01-01 12:00 UTC', 1)";
my $refresh = "CALL ecomsocial.rollup_refresh('daily')";
my $log = 'SELECT count(*) FROM ecomsocial.rollup_log';

run('writer', $insert) for 1 .. 20;
is(run('reader', $log), '1', 'twenty transactions need one row');
run('writer', "BEGIN; $insert; PREPARE TRANSACTION 'p'");
run('writer', "COMMIT PREPARED 'p'");
is(run('reader', $log), '2', 'one that is prepared brings its own');
run('writer', "BEGIN; $insert; ROLLBACK");
is(run('reader', 'SELECT sum(n) FROM daily_live'), '21', 'the live view knows them');

# in the middle of a commit
run('reader', "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
run('reader', 'SELECT pg_reload_conf()');
$node->poll_query_until('postgres', "SELECT current_setting('synchronous_standby_names') = 'nobody'");
begin('writer', $insert);
ok(waits('^INSERT', 'SyncRep'), 'a writer is held up while it commits');
is(run('reader', $log), '2', 'and wrote no row');
begin('refresher', $refresh);
ok(waits('^CALL', 'virtualxid'), 'a refresh waits for it');
is(run('reader', 'SELECT sum(n) FROM daily_live'), '21', 'a reader for neither');
run('reader', 'ALTER SYSTEM RESET synchronous_standby_names');
run('reader', 'SELECT pg_reload_conf()');
finish('writer');
finish('refresher');
is(run('reader', 'SELECT n FROM daily'), '22', 'the refresh has its event');
is(run('reader', $log), '0', 'and nothing waits');

# the row is gone: the next event brings one, and so does one whose row is about to go
run('writer', $insert);
is(run('reader', $log), '1', 'an event after a refresh writes a row');
run('refresher', 'BEGIN; DELETE FROM ecomsocial.rollup_log');
run('writer', $insert);
run('refresher', 'COMMIT');
is(run('reader', $log), '1', 'so does one whose row is being deleted');
run('refresher', $refresh);
is(run('reader', 'SELECT n FROM daily'), '24', 'none is missed');

# the log is emptied, or moves, under what a backend remembers
run('writer', $insert);
run('reader', 'VACUUM FULL ecomsocial.rollup_log');
run('writer', $insert);
run('refresher', $refresh);
run('reader', 'VACUUM ecomsocial.rollup_log');
run('writer', $insert);
run('refresher', $refresh);
is(run('reader', 'SELECT n FROM daily'), '27', 'wherever the log was moved');

$_->{handle}->finish for map { ${ $_->{in} } .= "\\q\n"; $_ } values %session;
$node->stop;
done_testing();
