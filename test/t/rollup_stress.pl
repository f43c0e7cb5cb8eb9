# Nothing is missed: eight writers and two refreshers at once, a crash in the
# middle, then one last refresh must give, row for row, what the raw events say.
#
# Writers insert, insert late, move events to other days and partitions, delete,
# roll back, use savepoints, hold transactions open and prepare them.  Partitions
# come, go, are changed while they are away, and are emptied.  Refreshes are
# cancelled wherever they are.  The days around the change to summer time are met,
# in tables partitioned by day, by month and not at all.
#
# ECS_STRESS_SECONDS sets how long it runs; test/bench/rollup_stress takes two minutes.
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $seconds = $ENV{ECS_STRESS_SECONDS} || 10;

my $node = PostgreSQL::Test::Cluster->new('stress');
$node->init;
$node->append_conf('postgresql.conf', "max_prepared_transactions = 20\nautovacuum_naptime = 1s\nlog_min_messages = fatal");
$node->start;

$node->safe_psql('postgres', q{
	CREATE EXTENSION ecomsocial;
	CREATE SCHEMA shop;
	SET search_path = shop, ecomsocial;
	CREATE SEQUENCE ids;
	CREATE TABLE by_day (id bigint DEFAULT nextval('shop.ids'), at timestamptz NOT NULL, v int) PARTITION BY RANGE (at);
	CREATE TABLE by_month (LIKE by_day INCLUDING DEFAULTS) PARTITION BY RANGE (at);
	CREATE TABLE whole (LIKE by_day INCLUDING DEFAULTS);
	SELECT partitions_ahead('by_day', 'day', 15, 'Europe/London', '2024-03-25 UTC');
	SELECT partitions_ahead('by_month', 'month', 3, 'UTC', '2024-03-01 UTC');
	CREATE TABLE by_day_rest PARTITION OF by_day DEFAULT;
	CREATE INDEX ON by_day (id); CREATE INDEX ON by_month (id); CREATE INDEX ON whole (id);
	CREATE INDEX ON by_day (at); CREATE INDEX ON by_month (at); CREATE INDEX ON whole (at);

	SELECT rollup_create('day_' || t, ARRAY[t::regclass], '{at}', format('SELECT count(*) AS n, sum(v) AS v FROM %I WHERE at >= $1 AND at < $2 HAVING count(*) > 0', t),
		time_zone => 'Europe/London', key => '{}') FROM unnest('{by_day,by_month,whole}'::text[]) t;
	SELECT rollup_create('month_' || t, ARRAY['day_' || t]::regclass[], '{bucket}', format('SELECT sum(n)::bigint AS n, sum(v)::bigint AS v FROM %I WHERE bucket >= $1 AND bucket < $2 HAVING sum(n) > 0', 'day_' || t),
		'month', 'Europe/London', key => '{}') FROM unnest('{by_day,by_month,whole}'::text[]) t;
	SELECT rollup_create('week_all', '{by_day,by_month,whole}', '{at,at,at}', 'SELECT count(*) AS n, sum(v) AS v FROM (
		SELECT at, v FROM by_day UNION ALL SELECT at, v FROM by_month UNION ALL SELECT at, v FROM whole) e WHERE at >= $1 AND at < $2 HAVING count(*) > 0',
		'week', 'Asia/Tokyo', key => '{}');

	CREATE FUNCTION count_again(days date[]) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN	-- right only if it is told of every day
		DELETE FROM shop.handled WHERE days IS NULL OR day = ANY (days);
		INSERT INTO shop.handled SELECT (at AT TIME ZONE 'Europe/London')::date, count(*) FROM shop.whole
			WHERE days IS NULL OR (at AT TIME ZONE 'Europe/London')::date = ANY (days) GROUP BY 1;
	END $$;
	CREATE TABLE handled (day date PRIMARY KEY, n bigint);
	SELECT rollup_create('handled', '{whole}', '{at}', on_refresh => 'count_again', time_zone => 'Europe/London');

	-- row for row, from the raw events
	CREATE FUNCTION wrong() RETURNS TABLE (rollup text, differences bigint) LANGUAGE plpgsql AS $$
	DECLARE
		q record;
	BEGIN
		FOR q IN
			SELECT 'day_' || t AS name, format('SELECT (at AT TIME ZONE ''Europe/London'')::date, count(*), sum(v) FROM shop.%I GROUP BY 1', t) AS raw
			FROM unnest('{by_day,by_month,whole}'::text[]) t
			UNION ALL SELECT 'month_' || t, format('SELECT date_trunc(''month'', at AT TIME ZONE ''Europe/London'')::date, count(*), sum(v) FROM shop.%I GROUP BY 1', t)
			FROM unnest('{by_day,by_month,whole}'::text[]) t
			UNION ALL VALUES ('week_all', 'SELECT date_trunc(''week'', at AT TIME ZONE ''Asia/Tokyo'')::date, count(*), sum(v)
				FROM (TABLE shop.by_day UNION ALL TABLE shop.by_month UNION ALL TABLE shop.whole) e GROUP BY 1'),
				('handled', 'SELECT (at AT TIME ZONE ''Europe/London'')::date, count(*) FROM shop.whole GROUP BY 1')
		LOOP
			EXECUTE format('SELECT count(*) FROM ((TABLE shop.%1$I EXCEPT ALL (%2$s)) UNION ALL ((%2$s) EXCEPT ALL TABLE shop.%1$I)) d', q.name, q.raw) INTO differences;
			rollup := q.name;
			IF differences > 0 THEN RETURN NEXT; END IF;
		END LOOP;
	END $$;
});

my $events = 0;
my %script = (
	insert => q{INSERT INTO :table (at, v) VALUES (timestamptz '2024-04-09 00:00 UTC' + random() * interval '20 hours', :client_id);},
	late => q{INSERT INTO :table (at, v) SELECT timestamptz '2024-03-25 UTC' + random() * interval '20 days', i FROM generate_series(1, 3) i;},
	move => q{UPDATE :table SET at = timestamptz '2024-03-25 UTC' + random() * interval '20 days', v = v + 1 WHERE id = :some;},
	delete => q{DELETE FROM :table WHERE id = :some;},
	undo => qq{BEGIN;\nINSERT INTO :table (at, v) VALUES (timestamptz '2024-03-31 00:30 UTC', 1);\nROLLBACK;},
	savepoints => qq{BEGIN;\nINSERT INTO :table (at, v) VALUES (timestamptz '2024-03-31 01:00 UTC', 1);\nSAVEPOINT a;\n}
	  . qq{UPDATE :table SET at = timestamptz '2024-04-01 12:00 UTC' WHERE id = :some;\nSAVEPOINT b;\nINSERT INTO :table (at, v) VALUES (timestamptz '2024-03-26 12:00 UTC', 7);\n}
	  . qq{ROLLBACK TO a;\nINSERT INTO :table (at, v) VALUES (timestamptz '2024-03-26 23:30 UTC', 9);\nRELEASE a;\nCOMMIT;},
	long => qq{BEGIN ISOLATION LEVEL REPEATABLE READ;\nINSERT INTO :table (at, v) VALUES (timestamptz '2024-03-30 23:59:59.999999 UTC', 2);\n\\sleep 300 ms\n}
	  . qq{INSERT INTO :table (at, v) VALUES (timestamptz '2024-03-31 23:00 UTC', 2);\n\\sleep 100 ms\nCOMMIT;},
	prepared => qq{BEGIN;\nINSERT INTO :table (at, v) VALUES (timestamptz '2024-04-02 12:00 UTC' + random() * interval '3 days', 5);\nPREPARE TRANSACTION 'p_:client_id';\n}
	  . qq{\\sleep 200 ms\nCOMMIT PREPARED 'p_:client_id';});
my $dir = PostgreSQL::Test::Utils::tempdir();
my @writer;
for my $table (qw(by_day by_month whole))
{
	for my $name (sort keys %script)
	{
		(my $sql = $script{$name}) =~ s/:table/shop.$table/g;
		PostgreSQL::Test::Utils::append_to_file("$dir/$table.$name", "\\set some random(1, 3000)\n$sql\n");
		push @writer, '-f', "$dir/$table.$name\@" . ($name =~ /insert|late|move|delete/ ? 6 : 1);
	}
}
PostgreSQL::Test::Utils::append_to_file("$dir/refresh", "CALL ecomsocial.refresh_model('shop');\n");
# a month that no writer needs; a day that is changed while it is away
my $attach = "ALTER TABLE shop.by_month ATTACH PARTITION shop.by_month_p20240601 FOR VALUES FROM ('2024-06-01 UTC') TO ('2024-07-01 UTC');";
PostgreSQL::Test::Utils::append_to_file("$dir/leaves", qq{
	ALTER TABLE shop.by_month DETACH PARTITION shop.by_month_p20240601;
	\\sleep 100 ms
	INSERT INTO shop.by_month_p20240601 (at, v) SELECT timestamptz '2024-06-01 UTC' + random() * interval '29 days', 11 FROM generate_series(1, 20);
	DELETE FROM shop.by_month_p20240601 WHERE id % 3 = 0;
	$attach
	\\sleep 200 ms
	TRUNCATE shop.by_month_p20240601;
	INSERT INTO shop.by_month (at, v) VALUES ('2024-06-15 12:00 UTC', 12);
	BEGIN;
	ALTER TABLE shop.by_day DETACH PARTITION shop.by_day_p20240404;
	DELETE FROM shop.by_day_p20240404 WHERE id % 5 = 0;
	ALTER TABLE shop.by_day ATTACH PARTITION shop.by_day_p20240404 FOR VALUES FROM ('2024-04-04 Europe/London') TO ('2024-04-05 Europe/London');
	COMMIT;
	\\sleep 200 ms
});
# moves notes to what is pending, and leaves it there
PostgreSQL::Test::Utils::append_to_file("$dir/move", "CALL ecomsocial.refresh_model('shop', '2000-01-01');\n");

# Run writers and refreshers for so many seconds; returns the programs and their output
sub run_for
{
	my ($duration) = @_;
	my @bench = ('pgbench', '-n', '-M', 'simple', '-h', $node->host, '-p', $node->port, '-T', $duration, '--max-tries=100');
	my @running;
	for my $arguments ([ '-c', 8, '-j', 1, @writer ], [ '-c', 3, '-j', 1, '-f', "$dir/refresh\@3", '-f', "$dir/move\@1" ], [ '-c', 1, '-f', "$dir/leaves" ])
	{
		my $output = '';
		push @running, { output => \$output, handle => IPC::Run::start([ @bench, @$arguments, 'postgres' ], '>', \$output, '2>&1') };
	}
	my $end = time + $duration;
	push @running, { output => \'', handle => IPC::Run::start(sub {
		while (time < $end)
		{
			$ENV{PGOPTIONS} = '-c statement_timeout=' . (5 + int rand 400);
			system('psql', '-Xq', '-d', $node->connstr('postgres'), '-c', "CALL ecomsocial.refresh_model('shop')");
		}
	}, '>', '/dev/null', '2>&1') };
	return @running;
}

# Wait for them; nothing but what the crash explains may have gone wrong
sub finish
{
	my ($crashed, @running) = @_;
	for my $program (@running)
	{
		IPC::Run::finish($program->{handle});
		my $output = ${ $program->{output} };
		$output =~ /actually processed: (\d+)/ and $events += $1;
		next if $crashed;
		unlike($output, qr/ERROR|aborted in command/, 'no client failed') or diag $output;
	}
}

my @running = run_for($seconds);
sleep($seconds * 0.5);
$node->stop('immediate');
finish(1, @running);
$node->start;
$node->safe_psql('postgres', "COMMIT PREPARED '$_'") for split /\n/, $node->safe_psql('postgres', 'SELECT gid FROM pg_prepared_xacts');
$node->psql('postgres', $attach);	# if it was away when the server crashed
finish(0, run_for($seconds * 0.5));

cmp_ok($node->safe_psql('postgres', 'SELECT (SELECT count(*) FROM shop.by_day) + (SELECT count(*) FROM shop.by_month) + (SELECT count(*) FROM shop.whole)'),
	'>', 100, 'events are left');
note("$events transactions, " . $node->safe_psql('postgres', "SELECT string_agg(format('%s: %s', relname, n_tup_ins), ', ') FROM pg_stat_user_tables WHERE relname ~ '^(rollup_|day_|by_day\$|whole)'"));
$node->safe_psql('postgres', "CALL ecomsocial.refresh_model('shop')");
is($node->safe_psql('postgres', 'SELECT * FROM shop.wrong()'), '', 'every rollup is what the raw events say');
is($node->safe_psql('postgres', 'SELECT sum(pending) || $$ $$ || count(last_error) FROM ecomsocial.rollup_status()'), '0 0', 'nothing waits, nothing failed');

# the oracle can fail
$node->safe_psql('postgres', "SET session_replication_role = replica; ALTER TABLE shop.whole DISABLE TRIGGER ALL; INSERT INTO shop.whole (at, v) VALUES ('2024-04-01 UTC', 1)");
is($node->safe_psql('postgres', 'SELECT count(*) FROM shop.wrong()'), '4', 'an event that is missing shows in each of its rollups');

$node->stop;
done_testing();
