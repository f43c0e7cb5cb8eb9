# A database with both models in it, and what can be said of it in one string:
# shared by the tests of what happens to databases.
package Ecomsocial;
use strict;
use warnings;

use Exporter 'import';
our @EXPORT = qw(populate more_events refresh fingerprint as_shop);

# An ordinary role "regress_shop" owns the database and everything in it.
sub populate
{
	my ($node, $database) = @_;

	$node->safe_psql('postgres', 'CREATE ROLE regress_shop LOGIN') unless $node->safe_psql('postgres', q{SELECT 1 FROM pg_roles WHERE rolname = 'regress_shop'});
	$node->safe_psql('postgres', "CREATE DATABASE $database OWNER regress_shop");
	as_shop($node, $database, q{
		CREATE EXTENSION ecomsocial;
		SELECT count(*) FROM ecomsocial.create_ecommerce();
		SELECT count(*) FROM ecomsocial.create_social();

		INSERT INTO ecommerce.product_category (product_category_id, category_name, parent_category_id)
			VALUES (1, 'all', NULL), (2, 'home', 1), (3, 'garden', 1), (4, 'lamps', 2);
		INSERT INTO ecommerce.product (product_id, product_title, product_brand, product_category_id, unit_price, sku, created_at, updated_at)
			SELECT p, 'product ' || p, 'brand ' || p % 3, 2 + p % 3, 1.25 * p, 'P' || p, '2024-01-01 00:00+00', '2024-01-01 00:00+00'
			FROM generate_series(1, 20) p;
		INSERT INTO ecommerce.customer (customer_id, first_name, last_name, email, country, updated_at)
			SELECT c, 'first ' || c, 'last ' || c, c || '@example.com', 'country ' || c % 4, '2024-01-01 00:00+00'
			FROM generate_series(1, 50) c;
		UPDATE ecommerce.customer SET country = 'elsewhere', updated_at = '2024-02-10 00:00+00'
			WHERE customer_id % 5 = 0 AND is_current;
		UPDATE ecommerce.product SET unit_price = unit_price + 1, updated_at = '2024-02-15 00:00+00'
			WHERE product_id % 2 = 0 AND is_current;

		INSERT INTO social."user" (user_id, status, name, email, created_at, updated_at)
			SELECT u, 'active', 'user ' || u, u || '@example.com', '2024-01-01 00:00+00', '2024-01-01 00:00+00'
			FROM generate_series(1, 60) u;
		INSERT INTO social.device (device_id, device_type, os)
			SELECT d, CASE d % 2 WHEN 0 THEN 'phone' ELSE 'desktop' END, 'os ' || d % 3 FROM generate_series(1, 10) d;
		INSERT INTO social.content (content_id, content_type, content_name, creator_id, created_at, updated_at)
			SELECT c, CASE c % 2 WHEN 0 THEN 'video' ELSE 'photo' END, 'content ' || c, 1 + c % 60, '2024-01-01 00:00+00', '2024-01-01 00:00+00'
			FROM generate_series(1, 30) c;
		INSERT INTO social.campaign (campaign_id, campaign_type, campaign_name, created_at, starttime, endtime)
			VALUES (1, 'brand', 'winter', '2024-01-01 00:00+00', '2024-01-01 00:00+00', '2024-03-01 00:00+00');
	});
	more_events($node, $database, '2024-01-01', 90);
	refresh($node, $database);
	return;
}

# Events of some days from a first one, the same whenever it is called with the same words
sub more_events
{
	my ($node, $database, $from, $days) = @_;

	as_shop($node, $database, qq{
		INSERT INTO ecommerce.order_line (order_id, order_time, customer_id, store_id, product_id, product_category_id,
				count, amt, discount, unit_price_at_purchase, tax_amt, shipping_amt, line_number)
			SELECT o.id, timestamptz '$from 00:00+00' + o.day * interval '1 day' + interval '7 minutes' * (o.id % 200),
				1 + o.id * 7 % 50, 1, 1 + (o.id + l) % 20, 2 + (o.id + l) % 3,
				1 + l, (1 + l) * 10, 1, 10, 2, 0, l
			FROM (SELECT (date '$from' - date '2000-01-01') * 100 + day * 100 + n AS id, day
				FROM generate_series(0, $days - 1) day, generate_series(1, 5) n) o, generate_series(1, 3) l;
		INSERT INTO ecommerce.inventory_event (event_type, event_time, store_id, product_id, quantity_change)
			SELECT CASE d % 2 WHEN 0 THEN 'receipt' ELSE 'sale' END, timestamptz '$from 12:00+00' + d * interval '1 day', 1, p,
				CASE d % 2 WHEN 0 THEN 10 ELSE -3 END
			FROM generate_series(0, $days - 1) d, generate_series(1, 20) p WHERE (d + p) % 4 = 0;
		INSERT INTO social.content_event (event_time, event_type, content_id, creator_id, viewer_id, device_id)
			SELECT timestamptz '$from 09:00+00' + d * interval '1 day' + u * interval '5 minutes',
				(ARRAY['view', 'like', 'comment', 'share'])[1 + (d + u) % 4], 1 + (d * u) % 30, 1 + (1 + (d * u) % 30) % 60, u, 1 + (d + u) % 10
			FROM generate_series(0, $days - 1) d, generate_series(1, 60) u WHERE (d * 31 + u * 17) % (2 + u % 9) = 0;
		INSERT INTO social.ad_event (event_time, event_type, campaign_id, user_id, device_id, revenue, cost)
			SELECT timestamptz '$from 10:00+00' + d * interval '1 day',
				(ARRAY['impression', 'click', 'conversion'])[1 + (d + u) % 3], 1, u, 1 + u % 10, (d + u) % 3, 0.01
			FROM generate_series(0, $days - 1) d, generate_series(1, 60, 7) u;
	});
	return;
}

sub refresh
{
	my ($node, $database) = @_;

	as_shop($node, $database, 'CALL ecomsocial.refresh_model($$ecommerce$$)');
	as_shop($node, $database, 'CALL ecomsocial.refresh_model($$social$$)');
	return;
}

sub as_shop
{
	my ($node, $database, $sql) = @_;

	return $node->safe_psql($database, $sql, extra_params => [ '-U', 'regress_shop' ]);
}

# Every table and view of both models, one line each: name, rows, and the sum of their contents
sub fingerprint
{
	my ($node, $database) = @_;
	my @relations = split /\n/, $node->safe_psql($database, q{
		SELECT c.oid::regclass FROM pg_class c
		WHERE c.relnamespace::regnamespace::text IN ('ecommerce', 'social') AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
		ORDER BY c.oid::regclass::text COLLATE "C"});

	return as_shop($node, $database, join "\n", map {
		"SELECT '$_', count(*), md5(string_agg(t::text, E'\\n' ORDER BY t::text COLLATE \"C\")) FROM $_ t;"
	} @relations);
}

1;
