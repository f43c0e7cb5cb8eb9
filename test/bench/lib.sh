# Sourced by the benchmarks: cases timed in turn in one session, so that a
# stretch in which the machine is slow is slow for all of them.
#
#   bench_setup SQL            run once, untimed
#   bench_case NAME SQL [BASE] a case; its ratio is told to the case BASE, or to the first
#   bench_run [ROUNDS [FIRST]] A B C A B C ...; prints each case's median and ratio; FIRST 1: nothing is run to warm up
#   bench_reset SQL            run before every timed statement, untimed
#
# A benchmark is run by:  test/tools/temp-server test/bench/NAME
set -euo pipefail

bench_names=()
bench_sql=()
bench_base=()
bench_before=

bench_setup() { psql -XqAt -v ON_ERROR_STOP=1 -c "$1" >/dev/null; }
bench_reset() { bench_before=$1; }
bench_case() {
	bench_names+=("$1")
	bench_sql+=("$2")
	bench_base+=("${3:-${bench_names[0]}}")
}

bench_run() {
	local rounds=${1:-5} first=${2:-0} round i
	{
		echo '\set ON_ERROR_STOP on'
		for round in $(seq "$first" "$rounds"); do	# round 0 warms up
			for i in "${!bench_names[@]}"; do
				echo '\o /dev/null'
				[ -z "$bench_before" ] || echo "$bench_before;"
				echo '\timing on'
				echo "${bench_sql[$i]};"
				echo '\timing off'
				echo '\o'
				echo "\\echo @ $round $i"
			done
		done
	} | psql -XqAt | awk -v names="$(printf '%s\n' "${bench_names[@]}")" -v bases="$(printf '%s\n' "${bench_base[@]}")" '
		/^Time:/ { ms += $2 }
		/^@/ { if ($2 > 0) times[$3, ++n[$3]] = ms; ms = 0 }
		END {
			count = split(names, name, "\n"); split(bases, base, "\n")
			for (i = 0; i < count; i++) {
				for (a = 1; a <= n[i]; a++)
					for (b = a + 1; b <= n[i]; b++)
						if (times[i, b] < times[i, a]) { t = times[i, a]; times[i, a] = times[i, b]; times[i, b] = t }
				median[name[i + 1]] = times[i, int((n[i] + 1) / 2)]
			}
			printf "%-44s %12s %12s %12s %8s\n", "case", "min ms", "median ms", "max ms", "ratio"
			for (i = 0; i < count; i++)
				printf "%-44s %12.1f %12.1f %12.1f %8.2f  of %s\n", name[i + 1], times[i, 1], median[name[i + 1]], times[i, n[i]],
					median[name[i + 1]] / median[base[i + 1]], base[i + 1]
		}'
	bench_names=(); bench_sql=(); bench_base=(); bench_before=
}
