# Every example of the README and of the guides runs, in the order in which a
# reader meets them, and prints what the page says it prints.
#
# A page is a script: its ```sql blocks run in one session of a fresh database,
# as an ordinary role that owns it.  A ```text block right behind one is its
# output, line for line.  A page that does not create the extension finds it
# there, and its schema on the search_path.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('examples');
$node->init;
$node->start;
$node->safe_psql('postgres', 'CREATE ROLE shop LOGIN');

# the blocks of a page: [line, sql, expected output or undef]
sub blocks
{
	my ($page) = @_;
	my (@blocks, $open, $text, $at, $follows);

	open(my $in, '<', $page) or die "$page: $!";
	while (my $line = <$in>)
	{
		if (defined $open)
		{
			if ($line !~ /^```/)
			{
				$text .= $line;
				next;
			}
			push @blocks, [ $at, $text, undef ] if $open eq 'sql';
			$blocks[-1][2] = $text if $open eq 'text' && $follows;
			$follows = $open eq 'sql';
			undef $open;
		}
		elsif ($line =~ /^```(\w*)/)
		{
			($open, $text, $at) = ($1, '', $.);
		}
		elsif ($line =~ /\S/)
		{
			$follows = 0;
		}
	}
	return @blocks;
}

sub trimmed
{
	my ($text) = @_;
	$text =~ s/[ \t]+$//mg;
	$text =~ s/\s+\z/\n/;
	return $text;
}

my @pages = grep { scalar blocks($_) } ('README.md', glob('docs/*.md'));
ok(scalar(@pages), 'there are pages with examples');

for my $page (@pages)
{
	(my $database = $page) =~ s/\W/_/g;
	$node->safe_psql('postgres', "CREATE DATABASE \"$database\" OWNER shop");

	my $n = 0;
	my $script = "\\set VERBOSITY terse\n";
	my @blocks = blocks($page);
	$script .= "CREATE EXTENSION ecomsocial;\nSET search_path = public, ecomsocial;\n" unless $blocks[0][1] =~ /CREATE EXTENSION/;
	$script .= "\\echo === $_\n$blocks[$_][1]\n" for 0 .. $#blocks;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/$database.sql";
	PostgreSQL::Test::Utils::append_to_file($file, $script);

	my ($out, $err);
	IPC::Run::run(
		[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-U', 'shop', '-h', $node->host, '-p', $node->port, '-d', $database, '-f', $file ],
		'>', \$out, '2>', \$err);
	my %output = $out =~ /^=== (\d+)\n(.*?)(?=^=== \d+\n|\z)/msg;
	unlike($err, qr/ERROR|FATAL|PANIC/, "$page: no example fails") or diag $err;
	for my $i (0 .. $#blocks)
	{
		my ($line, undef, $expected) = @{ $blocks[$i] };
		ok(exists $output{$i}, "$page:$line was reached") or last;
		is(trimmed($output{$i}), trimmed($expected), "$page:$line prints what the page says") if defined $expected;
	}
}

$node->stop;
done_testing();
