# A page of documentation as a script.  Its ```sql blocks run in one session; a
# ```text block right behind one is its output, line for line.
package Page;
use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(examples run_page);

# the examples of a page: [line, sql, expected output or undef]
sub examples
{
	my ($page) = @_;
	my (@examples, $open, $text, $at, $follows);

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
			push @examples, [ $at, $text, undef ] if $open eq 'sql';
			$examples[-1][2] = $text if $open eq 'text' && $follows;
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
	return @examples;
}

sub trimmed
{
	my ($text) = @_;
	$text =~ s/[ \t]+$//mg;
	$text =~ s/\s+\z/\n/;
	return $text;
}

# Run a page in a database, as a role if one is named: none of its examples fails, and each
# prints what the page says.  A page that does not create the extension finds it there, and its schema on the search_path.
sub run_page
{
	my ($page, $node, $database, $role) = @_;
	my @examples = examples($page);
	my $file = "$PostgreSQL::Test::Utils::tmp_check/$database.sql";
	my ($out, $err);

	my $script = "\\set VERBOSITY terse\n";
	$script .= "CREATE EXTENSION ecomsocial;\nSET search_path = public, ecomsocial;\n" unless $examples[0][1] =~ /CREATE EXTENSION/;
	$script .= "\\echo === $_\n$examples[$_][1]\n" for 0 .. $#examples;
	PostgreSQL::Test::Utils::append_to_file($file, $script);
	IPC::Run::run(
		[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', ($role ? ('-U', $role) : ()), '-h', $node->host, '-p', $node->port, '-d', $database, '-f', $file ],
		'>', \$out, '2>', \$err);

	my %output = $out =~ /^=== (\d+)\n(.*?)(?=^=== \d+\n|\z)/msg;
	unlike($err, qr/ERROR|FATAL|PANIC/, "$page: no example fails") or diag $err;
	for my $i (0 .. $#examples)
	{
		my ($line, undef, $expected) = @{ $examples[$i] };
		ok(exists $output{$i}, "$page:$line was reached") or last;
		is(trimmed($output{$i}), trimmed($expected), "$page:$line prints what the page says") if defined $expected;
	}
	return;
}

1;
