#!/usr/bin/perl
#
# Usage: perl src/sketch/generate_codes.pl > src/sketch/code_lengths.h
#
# Computes the prefix codes of packed registers (prefix_code.h).  They are part of the
# stored format: a change of the output is a new version of it.
#
# With x elements per register, the update value j has been seen with probability
# 1 - exp(-x 2^-j), independently of the others.  For a number of values of x the
# distribution of registers follows, and from it the lengths of the best prefix
# code of at most LIMIT bits, by the package-merge algorithm (Larmore and
# Hirschberg, 1990).
use strict;
use warnings;

my $LIMIT = 11;
my $WINDOW = 64;                # symbols: 16 update values with their flags
my $RARE = 2**-14;              # what is rarer has no code of its own

# The chance of each symbol, where symbol 0 is the register 4 * base.  Below the
# base there may be update values, or, with base 0, none.
sub distribution
{
	my ($x, $base, $flags) = @_;
	my @chance = (0) x $WINDOW;

	$chance[0] = exp(-$x) if $base == 0;
	for my $u (($base == 0 ? 1 : $base) .. $base + $WINDOW / 4 - 1)
	{
		my $seen = exp(-$x * 2**-$u) * (1 - exp(-$x * 2**-$u));

		for my $value ($flags ? (0 .. 3) : (0))
		{
			my $chance = $seen;
			for my $below ($flags ? (1, 2) : ())
			{
				my $unseen = $u - $below < ($base == 0 ? 1 : -99) ? 1 : exp(-$x * 2**-($u - $below));
				$chance *= $value & (4 >> $below) ? 1 - $unseen : $unseen;
			}
			$chance[4 * ($u - $base) + $value] = $chance;
		}
	}
	return @chance;
}

# Code lengths, the last one being that of the escape; 0 where there is no code
sub code_lengths
{
	my @chance = map { $_ < $RARE ? 0 : $_ } @_;
	my $rest = 1;
	$rest -= $_ for @chance;
	push @chance, $rest > $RARE ? $rest : $RARE;

	my @single = sort { $a->[0] <=> $b->[0] || $a->[1] <=> $b->[1] }
	  map { [ $chance[$_], $_ ] } grep { $chance[$_] > 0 } 0 .. $#chance;
	my @list;
	for (1 .. $LIMIT)
	{
		my @pairs;
		for (my $i = 0; $i + 1 < @list; $i += 2)
		{
			my ($left, $right) = @list[ $i, $i + 1 ];
			push @pairs, [ $left->[0] + $right->[0], @$left[ 1 .. $#$left ], @$right[ 1 .. $#$right ] ];
		}
		@list = sort { $a->[0] <=> $b->[0] || $a->[1] <=> $b->[1] } @single, @pairs;
	}
	my @length = (0) x @chance;
	for my $package (@list[ 0 .. 2 * @single - 3 ])
	{
		$length[$_]++ for @$package[ 1 .. $#$package ];
	}
	return @length;
}

# From 32 elements per register on, that there is no update value below 1 does
# not show.
my @tables;
push @tables, [ 2**($_ / 2), 0, 1 ] for -7 .. 3;
push @tables, [ 2**($_ / 4), 0, 1 ] for 8 .. 19;
push @tables, [ 2**(5 + $_ / 4), 2, 1 ] for 0 .. 3;
push @tables, [ 2**$_, 0, 0 ] for -4 .. 3;
push @tables, [ 2**(4 + $_ / 2), 1, 0 ] for 0 .. 1;

print <<'HEAD';
/*
 * code_lengths.h
 *		Lengths of the prefix codes of packed registers, one line a code, the
 *		escape last.  Made by generate_codes.pl; part of the stored format.
 */
const EcsCodeLengths ecs_code_lengths[ECS_CODES] = {
HEAD
for my $table (@tables)
{
	my ($x, $base, $flags) = @$table;
	my @chance = distribution(@$table);
	my @length = code_lengths(@chance);
	if ($ENV{VERBOSE})
	{
		my ($entropy, $bits, $covered) = (0, 0, 0);
		for my $s (0 .. $#chance)
		{
			next if $chance[$s] == 0;
			$entropy -= $chance[$s] * log($chance[$s]) / log(2);
			$covered += $chance[$s];
			$bits += $chance[$s] * ($length[$s] || $length[-1] + 8);
		}
		$bits += (1 - $covered) * ($length[-1] + 8);
		printf STDERR "x %8.3f base %d flags %d entropy %.3f bits %.3f escape %d\n", $x, $base, $flags, $entropy, $bits, $length[-1];
	}
	printf "\t{%s, %.0f, {%s}},\n", $base == 0 ? 'false' : 'true', 4 * (log($x) / log(2) - $base), join(', ', @length);
}
print "};\n";
