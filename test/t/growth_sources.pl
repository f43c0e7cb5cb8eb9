# Growth functions of whatever can be read as a table: foreign tables, partitions and
# children that are foreign, views of every kind, temporary tables, generated columns,
# domains.  Each answers as a plain table with the same rows; rights are those of a SELECT.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

chomp(my $sharedir = `$ENV{PG_CONFIG} --sharedir`);
plan skip_all => 'postgres_fdw is not installed' unless -f "$sharedir/extension/postgres_fdw.control";

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "log_statement = 'all'");
$node->start;
$node->safe_psql('postgres', 'CREATE ROLE regress_reader LOGIN; CREATE ROLE regress_far LOGIN; CREATE DATABASE far');

# the far side: two thousand events of sixty users, some without user or time, and the
# activity of each; a table that shows regress_far users below 20 only
$node->safe_psql('far', q{
	CREATE EXTENSION ecomsocial;
	SET search_path = public, ecomsocial;
	CREATE TABLE ev AS
	SELECT i AS id, nullif(1 + (hashint4(i) & 63), 64)::bigint AS user_id,
		   CASE WHEN i % 500 > 0 THEN timestamptz '2023-11-01 03:00Z' + (hashint4(i * 7) & 8388607) * interval '2 seconds' END AS event_time,
		   date '2023-10-01' + (hashint4(i) & 63) AS signup
	FROM generate_series(1, 2000) i;
	CREATE TABLE kept AS
	SELECT user_id, activity_agg((event_time AT TIME ZONE 'America/New_York')::date) AS days, min(signup) AS signup FROM ev WHERE user_id IS NOT NULL GROUP BY 1;
	CREATE TABLE guarded AS TABLE ev;
	ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
	CREATE POLICY few ON guarded TO regress_far USING (user_id < 20);
	GRANT SELECT ON guarded TO regress_far;
	CREATE VIEW slow AS SELECT id, user_id, event_time, signup FROM ev, LATERAL (SELECT pg_sleep(0.05) WHERE id > 0) s;
});

my $host = $node->host;
my $port = $node->port;
$node->safe_psql('postgres', qq{
	CREATE EXTENSION ecomsocial;
	CREATE EXTENSION postgres_fdw;
	CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'far', extensions 'ecomsocial');
	CREATE USER MAPPING FOR CURRENT_USER SERVER far;
	CREATE USER MAPPING FOR regress_reader SERVER far OPTIONS (user 'regress_far', password_required 'false');
	IMPORT FOREIGN SCHEMA public FROM SERVER far INTO public;
	GRANT SELECT ON guarded TO regress_reader;
	GRANT SELECT (user_id) ON ev TO regress_reader;
	CREATE TABLE plain AS TABLE ev;
	CREATE TABLE plain_kept AS TABLE kept;
});

# One line for each function, an answer in a word
my $zone = 'America/New_York';
sub answers
{
	my ($relation, $user, $time, $seen, $type) = @_;
	my $of = "'$relation', '$user', '$time'";
	my $days = "since => '2023-11-20', until => '2024-05-03', time_zone => '$zone'";
	my $first = defined $seen ? ", first_seen_by => 'column', first_seen_column => '$seen'" : '';
	my $sql = join(' UNION ALL ',
		map { "SELECT '$_->[0]', md5(string_agg(f::text, ' ' ORDER BY f::text)) FROM $_->[0]($of, $_->[1]) f" }
		['growth_accounting', "'month', $days$first"], ['growth_accounting', "'day', $days"], ['growth_accounting', "'week', time_zone => '$zone'"],
		['rolling_growth', "7, $days$first"], ['churn_by_inactivity', "14, $days"], ['rolling_active', "28, $days"],
		['stickiness', "'month', $days"], ['power_curve', "28, time_zone => '$zone'"], ['retention_cohorts', "'month', $days$first"],
		['documented_churn', "time_zone => '$zone'"], ['churned_users', "'month', '2024-02-01', NULL::$type, '$zone'"],
		['resurrected_users', "'week', '2024-02-05', NULL::$type, '$zone'"], ['inactive_users', "30, '2024-03-01', NULL::$type, '$zone'"]);
	return ask($sql);
}

sub ask
{
	my ($sql, %options) = @_;
	my ($rc, $stdout, $stderr) =
	  $node->psql('postgres', "SET client_min_messages = warning; SET search_path = public, ecomsocial; $sql", on_error_stop => 1, %options);
	return $rc == 0 ? $stdout : $stderr;
}

my $want = answers('plain', 'user_id', 'event_time', 'signup', 'bigint');
like($want, qr/\A(\w+\|[0-9a-f]{32}\n?){13}\z/, 'thirteen answers');

ask(q{
	CREATE VIEW seen AS SELECT user_id AS "the User", event_time AS "the Time", signup AS "Since" FROM plain;
	CREATE VIEW barrier WITH (security_barrier) AS SELECT user_id, event_time, signup FROM ev;
	CREATE VIEW invoker WITH (security_invoker) AS SELECT user_id, event_time, signup FROM ev;
	CREATE VIEW acts AS SELECT user_id, event_time, signup FROM plain WHERE id % 2 = 0 UNION ALL SELECT user_id, event_time, signup FROM ev WHERE id % 2 = 1;
	CREATE MATERIALIZED VIEW stored AS SELECT signup, event_time, user_id FROM ev;
	CREATE TABLE parted (id integer, user_id bigint, event_time timestamptz, signup date) PARTITION BY LIST ((id % 3));
	CREATE TABLE parted_0 PARTITION OF parted FOR VALUES IN (0);
	INSERT INTO parted SELECT * FROM plain WHERE id % 3 = 0;
	CREATE TABLE parent (user_id bigint, event_time timestamptz);
	CREATE TABLE generated (id integer, at timestamp, utc text DEFAULT 'UTC', signup date,
							day date GENERATED ALWAYS AS ((at - interval '5 hours')::date) STORED, name text GENERATED ALWAYS AS ('u' || id) STORED);
	CREATE DOMAIN member AS bigint CHECK (VALUE > 0);
	CREATE DOMAIN moment AS timestamptz;
	CREATE DOMAIN active_days AS activity;
	CREATE TABLE of_domains AS SELECT user_id::member AS user_id, event_time::moment AS event_time, signup FROM plain;
	CREATE TABLE kept_domains AS SELECT user_id::member AS user_id, days::active_days AS days, signup FROM plain_kept;
});
$node->safe_psql('far', q{
	CREATE TABLE far_1 AS SELECT * FROM ev WHERE id % 3 = 1;
	CREATE TABLE far_2 AS SELECT * FROM ev WHERE id % 3 = 2;
	CREATE TABLE far_child AS SELECT user_id, event_time FROM ev WHERE id % 5 > 0;
});
ask(q{
	CREATE FOREIGN TABLE parted_1 PARTITION OF parted FOR VALUES IN (1) SERVER far OPTIONS (table_name 'far_1');
	CREATE FOREIGN TABLE parted_2 PARTITION OF parted FOR VALUES IN (2) SERVER far OPTIONS (table_name 'far_2', async_capable 'true');
	INSERT INTO parent SELECT user_id, event_time FROM plain WHERE id % 5 = 0;
	CREATE FOREIGN TABLE child (user_id bigint, event_time timestamptz) INHERITS (parent) SERVER far OPTIONS (table_name 'far_child');
});

for my $case (
	[ 'a foreign table', 'ev' ], [ 'a foreign table of activity', 'kept', 'user_id', 'days' ], [ 'a table of activity', 'plain_kept', 'user_id', 'days' ],
	[ 'a view with other names', 'seen', 'the User', 'the Time', 'Since' ], [ 'a security barrier view of it', 'barrier' ], [ 'a security invoker view', 'invoker' ],
	[ 'a view of near and far rows', 'acts' ], [ 'a materialized view', 'stored' ], [ 'partitions, two of them foreign', 'parted' ],
	[ 'domains', 'of_domains' ], [ 'a domain over activity', 'kept_domains', 'user_id', 'days' ])
{
	my ($name, $relation, $user, $time, $seen) = @$case;
	is(answers($relation, $user // 'user_id', $time // 'event_time', $seen // 'signup', 'bigint'), $want, $name);
}
is(answers('parent', 'user_id', 'event_time', undef, 'bigint'), answers('plain', 'user_id', 'event_time', undef, 'bigint'), 'a foreign child');
is(ask(q{CREATE TEMP TABLE own AS TABLE plain; SELECT md5(string_agg(g::text, ' ')) FROM growth_accounting('own', 'user_id', 'event_time') g}),
	ask(q{SELECT md5(string_agg(g::text, ' ')) FROM growth_accounting('plain', 'user_id', 'event_time') g}), 'a temporary table');
ask(q{INSERT INTO generated (id, at, signup) SELECT user_id, event_time AT TIME ZONE 'UTC', signup FROM plain WHERE user_id IS NOT NULL AND event_time IS NOT NULL;
	  CREATE VIEW by_hand AS SELECT 'u' || user_id AS name, ((event_time AT TIME ZONE 'UTC') - interval '5 hours')::date AS day, signup FROM plain WHERE user_id IS NOT NULL;});
is(answers('generated', 'name', 'day', 'signup', 'text'), answers('by_hand', 'name', 'day', 'signup', 'text'), 'generated columns');

# what goes over the line: two columns, and rows of the window alone
sub remote_sql
{
	my ($sql) = @_;
	my $before = -s $node->logfile;
	my $answer = ask($sql);
	return "$answer " . join ' ', slurp_file($node->logfile, $before) =~ /DECLARE c\d+ CURSOR FOR\s+(SELECT .*)/g;
}
like(remote_sql(q{SELECT count(*) FROM growth_accounting('ev', 'user_id', 'event_time', 'month', '2024-01-01', '2024-02-01', first_seen_by => 'window')}),
	qr/\A1 SELECT user_id, event_time FROM public\.ev WHERE \(\(event_time < [^)]*\)\) AND \(\(event_time >= [^)]*\)\)\s*\z/, 'the window is compared on the other side');
like(remote_sql(q{SELECT count(*) FROM rolling_active('parted', 'user_id', 'event_time', 7, '2024-01-01', '2024-02-01')}),
	qr/^(?=.* public\.far_1 WHERE [^;]*event_time >=)(?=.* public\.far_2 WHERE [^;]*event_time >=)/, 'also of partitions');
like(remote_sql(q{SELECT count(*) FROM growth_accounting('kept', 'user_id', 'days')}), qr/SELECT min\(ecomsocial\.activity_first\(days\)\), max.*SELECT user_id, days FROM public\.kept/,
	'bounds of activity are found there');
my $aggregate = "SELECT growth_agg(days, 'month') FROM";
like(ask("EXPLAIN (VERBOSE, COSTS OFF) $aggregate kept"), qr/Remote SQL: SELECT ecomsocial\.growth_agg/, 'an aggregate counts there');
is(ask("$aggregate kept"), ask("$aggregate plain_kept"), 'and says the same');

# a bare scan is done without the executor's nodes, unless somebody looks at their work
my $logged = -s $node->logfile;
ask(q{LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on; SET auto_explain.log_analyze = on;
	  SELECT count(*) FROM growth_accounting('plain', 'user_id', 'event_time', 'month', '2024-01-01', '2024-02-01')});
like(slurp_file($node->logfile, $logged), qr/Seq Scan on plain .*rows=2000/, 'whoever measures a scan sees its rows');

# rights: of the foreign table here, of the mapping there, of the view's owner or caller
sub as_reader { return ask("SET ROLE regress_reader; $_[0]", extra_params => [ '-v', 'VERBOSITY=sqlstate' ]); }
my $total = 'SELECT count(*) > 0, sum(new + first_seen) FROM growth_accounting';
is(as_reader(qq{$total('guarded', 'user_id', 'event_time')}), 't|19', 'row security of the mapped role holds on the other side');
is(ask(qq{$total('guarded', 'user_id', 'event_time')}), 't|63', 'and not for its owner');
like(as_reader(qq{$total('ev', 'user_id', 'event_time')}), qr/42501/, 'no right to one of the columns');
like(as_reader(qq{$total('kept', 'user_id', 'days')}), qr/42501/, 'no right to the table');
ask(q{GRANT SELECT ON barrier, invoker, kept TO regress_reader});
is(as_reader(qq{$total('barrier', 'user_id', 'event_time')}), 't|63', q{a view reads as its owner});
like(as_reader(qq{$total('invoker', 'user_id', 'event_time')}), qr/42501/, 'one that says so as its caller');
like(as_reader(qq{$total('kept', 'user_id', 'days')}), qr/42501/, 'the other side has the last word');
ask(q{DROP USER MAPPING FOR regress_reader SERVER far});
like(as_reader(qq{$total('guarded', 'user_id', 'event_time')}), qr/42704/, 'no mapping');

# a cancel reaches over the line
my $begin = time();
like(ask(qq{SET statement_timeout = '200ms'; $total('slow', 'user_id', 'event_time', since => '2023-01-01', until => '2025-01-01')}),
	qr/canceling statement due to statement timeout/, 'cancelled while the other side works');
cmp_ok(time() - $begin, '<', 2, 'at once');

done_testing();
