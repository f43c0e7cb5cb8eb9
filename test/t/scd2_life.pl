# A versioned table through a dump and a restore, and through logical replication.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('publisher');
$node->init(allows_streaming => 'logical');
$node->start;

$node->safe_psql('postgres', q{
	CREATE EXTENSION ecomsocial;
	CREATE SCHEMA shop;
	CREATE TABLE shop.customer (id bigint PRIMARY KEY, name text, age int);
	SELECT ecomsocial.scd2_enable('shop.customer', '{id}', overwrite => '{age}', out_of_order => true);
	CREATE TABLE shop.fact (id bigint REFERENCES shop.customer_hub);
	INSERT INTO shop.customer (id, name) SELECT i, 'a' FROM generate_series(1, 20) i;
	UPDATE shop.customer_current SET name = 'b' WHERE id <= 10;
	DELETE FROM shop.customer_current WHERE id = 5;
	INSERT INTO shop.fact SELECT generate_series(1, 20);
	CREATE TABLE shop.dropped (id bigint PRIMARY KEY);
	SELECT ecomsocial.scd2_enable('shop.dropped', '{id}');
	DROP TABLE shop.dropped CASCADE;
});
my $rows = q{SELECT id, name, age, valid_from, valid_to, is_current FROM shop.customer ORDER BY id, valid_to};
my $expected = $node->safe_psql('postgres', $rows);

# dump and restore: rows, registration, triggers, views, functions
my $dump = PostgreSQL::Test::Utils::tempdir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, '-d', $node->connstr('postgres') ], 'dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $dump, '-d', $node->connstr('restored') ], 'restore');
is($node->safe_psql('restored', $rows), $expected, 'the restored rows are the same');
is($node->safe_psql('restored', q{SELECT rel, hub, remembered FROM ecomsocial.scd2_table}),
	'shop.customer|shop.customer_hub|shop.customer_events', 'the registration is restored, that of a dropped table is not');
is($node->safe_psql('restored', q{SELECT count(*) FROM ecomsocial.scd2_validate('shop.customer')}), '0', 'the restored table is valid');
$node->safe_psql('restored', q{
	UPDATE shop.customer_current SET name = 'c' WHERE id = 1;
	SELECT ecomsocial.scd2_upsert('shop.customer', '{"id": 21, "name": "a"}', '2024-01-01');
	SELECT ecomsocial.scd2_upsert('shop.customer', '{"id": 21, "name": "z"}', '2023-01-01');
});
is($node->safe_psql('restored', q{SELECT string_agg(name, ' ' ORDER BY id, valid_to) FROM shop.customer WHERE id IN (1, 21)}),
	'a b c z a', 'the restored table makes versions');
is($node->safe_psql('restored', q{SELECT name FROM shop.customer_as_of('2023-06-01', 21)}), 'z', 'the restored function finds one');

# data only, into a table that makes versions
$node->command_ok([ 'pg_dump', '--data-only', '-t', 'shop.customer', '-f', $dump, '-d', $node->connstr('postgres') ], 'data-only dump');
$node->safe_psql('restored', 'TRUNCATE shop.customer');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-c', 'SET ecomsocial.versioning = off', '-f', $dump, '-d', $node->connstr('restored') ],
	'data-only restore with versioning off');
is($node->safe_psql('restored', $rows), $expected, 'and its rows are the same');

# logical replication: versions arrive as they are, none is made twice
my $subscriber = PostgreSQL::Test::Cluster->new('subscriber');
$subscriber->init;
$subscriber->start;
$subscriber->safe_psql('postgres', q{
	CREATE EXTENSION ecomsocial;
	CREATE SCHEMA shop;
	CREATE TABLE shop.customer (id bigint PRIMARY KEY, name text, age int);
	SELECT ecomsocial.scd2_enable('shop.customer', '{id}', overwrite => '{age}');
});
$node->safe_psql('postgres', 'CREATE PUBLICATION p FOR TABLE shop.customer, shop.customer_hub');
my $connection = $node->connstr . ' dbname=postgres';
$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION s CONNECTION '$connection' PUBLICATION p");
$subscriber->wait_for_subscription_sync($node, 's');
$node->safe_psql('postgres', q{
	UPDATE shop.customer_current SET name = 'c';
	SELECT ecomsocial.scd2_upsert('shop.customer', '{"id": 3, "name": "late"}', '2024-01-01');
	SELECT ecomsocial.scd2_merge('shop.customer', 'SELECT 30 AS id, ''new'' AS name');
	DELETE FROM shop.customer_current WHERE id = 7;
});
$node->wait_for_catchup('s');
is($subscriber->safe_psql('postgres', $rows), $node->safe_psql('postgres', $rows), 'the replicated rows are the same');
is($subscriber->safe_psql('postgres', q{SELECT count(*) FROM ecomsocial.scd2_validate('shop.customer')}), '0', 'and valid');

done_testing();
