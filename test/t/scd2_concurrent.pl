# Eight sessions at once apply the events of scd2_order, each to whatever key
# comes: no error, and the history that the reference gives.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('concurrent');
$node->init;
$node->append_conf('postgresql.conf', 'autovacuum_naptime = 1s');
$node->start;

# the events, the reference and the table, as the regression test makes them
$node->safe_psql('postgres', 'CREATE EXTENSION ecomsocial');
open(my $in, '<', 'test/sql/scd2_order.sql') or die "test/sql/scd2_order.sql: $!";
my $setup = do { local $/; <$in> };
$setup =~ s/^SELECT apply_single.*//ms;
$node->safe_psql('postgres', $setup);

$node->safe_psql('postgres', q{
	CREATE SEQUENCE next_event;
	CREATE TABLE shuffled AS SELECT row_number() OVER (ORDER BY hashint8extended(n, 5)) AS place, e.* FROM event e;
	CREATE UNIQUE INDEX ON shuffled (place);
	CREATE FUNCTION apply_next() RETURNS void LANGUAGE plpgsql AS $$
	DECLARE
		e shuffled;
		mine bigint := nextval('next_event');
	BEGIN
		SELECT * INTO e FROM shuffled WHERE place = mine;
		IF e.del THEN
			PERFORM ecomsocial.scd2_close('plain', jsonb_build_object('k', e.k), e.at);
		ELSIF FOUND THEN
			PERFORM ecomsocial.scd2_upsert('plain', jsonb_build_object('k', e.k, 'a', e.a, 'b', e.b, 'seq', e.seq), e.at);
		END IF;
	END $$;
	-- few keys, so that sessions meet
	DELETE FROM event WHERE k >= 40;
	DELETE FROM shuffled;
	UPDATE event SET k = k % 12;
	INSERT INTO shuffled SELECT row_number() OVER (ORDER BY hashint8extended(n, 5)), e.* FROM event e;
});
my $events = $node->safe_psql('postgres', 'SELECT count(*) FROM event');
my $script = PostgreSQL::Test::Utils::tempdir . '/apply.sql';
PostgreSQL::Test::Utils::append_to_file($script, "SELECT apply_next();\n");
$node->command_ok([ 'pgbench', '-n', '-c', '8', '-j', '2', '-t', int($events / 8) + 1, '-f', $script, $node->connstr('postgres') ],
	"$events events by eight sessions");
is($node->safe_psql('postgres', q{SELECT * FROM differences('plain')}), '', 'the history is that of the reference');
is($node->safe_psql('postgres', q{SELECT * FROM ecomsocial.scd2_validate('plain')}), '', 'and valid');
is($node->safe_psql('postgres', q{
	CREATE EXTENSION amcheck;
	SELECT bt_index_check(indexrelid, true) FROM pg_index WHERE indrelid IN ('plain'::regclass, 'plain_hub'::regclass, 'plain_events'::regclass)}), "\n\n", 'indexes and heaps agree');

# merges and upserts of tables without memory: no error, one current version a key
$node->safe_psql('postgres', q{
	CREATE TABLE mixed (k int PRIMARY KEY, a text);
	SELECT ecomsocial.scd2_enable('mixed', '{k}');
});
my $mixed = PostgreSQL::Test::Utils::tempdir . '/mixed.sql';
PostgreSQL::Test::Utils::append_to_file($mixed, q{\set k random(1, 20)
\set r random(1, 10)
\if :r = 1
SELECT ecomsocial.scd2_merge('mixed', 'SELECT k, ''m'' || :k AS a FROM generate_series(1, 20) k');
\elif :r = 2
SELECT ecomsocial.scd2_close('mixed', jsonb_build_object('k', :k));
\elif :r = 3
SELECT ecomsocial.scd2_upsert('mixed', jsonb_build_object('k', :k, 'a', 'late'), now() - interval '2 ms' * :k);
\elif :r = 4
UPDATE mixed_current SET a = 'u' || :r WHERE k = :k;
\else
SELECT ecomsocial.scd2_upsert('mixed', jsonb_build_object('k', :k, 'a', (:r)::text));
\endif
});
$node->command_ok([ 'pgbench', '-n', '-c', '8', '-j', '2', '-t', '150', '-f', $mixed, $node->connstr('postgres') ], 'merges, upserts, closes and updates at once');
is($node->safe_psql('postgres', q{SELECT problem, count(*) FROM ecomsocial.scd2_validate('mixed') GROUP BY 1}), '', 'leave a valid history');

done_testing();
