#!/usr/bin/env bash
# Counts the instructions of small programs and compares them with recorded.txt.
#
# Time is noise on a shared machine; instructions are not. A change that executes more of them is
# seen here however busy the machine is (one that waits longer for memory is not). Valgrind knows
# no AVX-512, so what is counted is the AVX2 family, with one thread.
#
#     benches/instructions/check.sh            compares; exit code 1 if a program got slower
#     benches/instructions/check.sh --record   records anew, to be committed with the reason
#
# Needs valgrind, and takes about a minute after the build.
set -euo pipefail
cd "$(dirname "$0")/../.."
recorded=benches/instructions/recorded.txt
# More instructions than this, in percent, are a failure; as many fewer call for a new record.
tolerance=1

command -v valgrind > /dev/null || { echo "check.sh: valgrind is not installed" >&2; exit 2; }
cargo build --release --quiet -p bsq-benches --bin counted
counted="${CARGO_TARGET_DIR:-target}/release/counted"

count() {
    BSQ_CPU=avx2 valgrind --tool=callgrind --toggle-collect=counted_run \
        --callgrind-out-file=/dev/null "$counted" "$1" 2>&1 |
        sed -n 's/.*Collected : *\([0-9]*\).*/\1/p'
}

failed=0
fresh="$(mktemp)"
trap 'rm -f "$fresh"' EXIT
for program in encode decode train; do
    now="$(count "$program")"
    [ "${now:-0}" -gt 0 ] || { echo "check.sh: nothing was counted in $program" >&2; exit 2; }
    echo "$program $now" >> "$fresh"
    before="$(sed -n "s/^$program //p" "$recorded" 2> /dev/null || true)"
    if [ -z "$before" ]; then
        echo "$program: $now instructions, not recorded yet"
        continue
    fi
    change="$(awk "BEGIN { printf \"%+.2f\", 100 * ($now / $before - 1) }")"
    echo "$program: $now instructions, $change% of $before recorded"
    if awk "BEGIN { exit !($change > $tolerance) }"; then
        echo "  SLOWER"
        failed=1
    elif awk "BEGIN { exit !($change < -$tolerance) }"; then
        echo "  faster: record it with --record, so that it stays so"
    fi
done
if [ "${1:-}" = --record ]; then
    cp "$fresh" "$recorded"
    echo "recorded in $recorded"
    exit 0
fi
exit "$failed"
