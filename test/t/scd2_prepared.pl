# Versions made in prepared transactions: committed and rolled back, with a
# crash between, and others who write the same keys meanwhile.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('prepared');
$node->init;
$node->append_conf('postgresql.conf', 'max_prepared_transactions = 5');
$node->start;
sub sql { return $node->safe_psql('postgres', "SET search_path = public, ecomsocial; $_[0]"); }

sql(q{
	CREATE EXTENSION ecomsocial;
	CREATE TABLE dim (k int PRIMARY KEY, a text);
	SELECT scd2_enable('dim', '{k}');
	CREATE TABLE kept (k int PRIMARY KEY, a text);
	SELECT scd2_enable('kept', '{k}', out_of_order => true);
	INSERT INTO dim (k, a) SELECT k, 'a' FROM generate_series(1, 8) k;
	SELECT scd2_upsert('kept', '{"k": 1, "a": "a"}', '2024-01-01');
	SELECT scd2_upsert('kept', '{"k": 1, "a": "a"}', '2024-03-01');
});
my $before = sql('TABLE dim ORDER BY k, valid_to');

# the same work, on other keys, in two transactions
sub work
{
	my ($from, $name) = @_;
	my ($two, $three, $new) = ($from + 1, $from + 2, $from + 100);
	sql(qq{
		BEGIN;
		UPDATE dim_current SET a = 'b' WHERE k = $from;
		SAVEPOINT s;
		UPDATE dim_current SET a = 'never' WHERE k = $from;
		ROLLBACK TO s;
		UPDATE dim_current SET a = 'c' WHERE k = $from;
		DELETE FROM dim_current WHERE k = $two;
		SELECT scd2_upsert('dim', '{"k": $three, "a": "b"}'), scd2_upsert('dim', '{"k": $new, "a": "b"}');
		SELECT scd2_upsert('kept', '{"k": 1, "a": "$name"}', timestamptz '2024-02-01' + $from * interval '1 day');
		PREPARE TRANSACTION '$name'});
}
work(1, 'first');
is(sql('TABLE dim ORDER BY k, valid_to'), $before, 'nothing is seen before the commit');

# what a prepared transaction noted is forgotten in its session, which goes on
sql(q{
	BEGIN; UPDATE dim_current SET a = 'x' WHERE k = 8; PREPARE TRANSACTION 'x'; COMMIT PREPARED 'x';
	BEGIN; UPDATE dim_current SET a = 'y' WHERE k = 8; COMMIT});
is(sql(q{SELECT string_agg(a, ' ' ORDER BY valid_to) FROM dim WHERE k = 8}), 'a x y', 'a version for each transaction');

# its keys are locked until then, whether they have a current version or not
my @waits = (
	q{UPDATE dim_current SET a = 'z' WHERE k = 1},
	q{INSERT INTO dim (k, a) VALUES (2, 'z')},
	q{SELECT ecomsocial.scd2_upsert('dim', '{"k": 3, "a": "z"}')},
	q{SELECT ecomsocial.scd2_upsert('dim', '{"k": 101, "a": "z"}')},
	q{SELECT ecomsocial.scd2_upsert('kept', '{"k": 1, "a": "z"}', '2024-02-20')},
	q{SELECT ecomsocial.scd2_merge('dim', 'SELECT 9 AS k')});
for my $statement (@waits)
{
	my ($ret, $out, $err) = $node->psql('postgres', "SET lock_timeout = '200ms'; $statement");
	like($err, qr/lock timeout/, "waits: $statement");
}

$node->stop('immediate');
$node->start;
is(sql('SELECT count(*) FROM pg_prepared_xacts'), 1, 'it outlives a crash');
sql(q{COMMIT PREPARED 'first'});
work(4, 'second');
$node->stop('immediate');
$node->start;
sql(q{ROLLBACK PREPARED 'second'});

is(sql(q{SELECT string_agg(k || a || CASE WHEN is_current THEN '' ELSE '.' END, ' ' ORDER BY k, valid_to) FROM dim}),
	'1a. 1c 2a. 3a. 3b 4a 5a 6a 7a 8a. 8x. 8y 101b', 'the first is there, the second is not');
is(sql(q{SELECT string_agg(a || to_char(valid_from, ' MM-DD'), ', ' ORDER BY valid_to) FROM kept}),
	'a 01-01, first 02-02, a 03-01', 'and what was remembered is');
is(sql(q{SELECT * FROM scd2_validate('dim') UNION ALL SELECT * FROM scd2_validate('kept')}), '', 'all is valid');
sql(q{SELECT scd2_upsert('dim', jsonb_build_object('k', k, 'a', 'd')) FROM generate_series(1, 8) k});
is(sql(q{SELECT count(*) FROM dim_current WHERE a = 'd'}), 8, 'and can be written');

done_testing();
