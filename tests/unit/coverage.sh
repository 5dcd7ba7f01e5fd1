#!/bin/sh
# coverage.sh - `make coverage': what the library's tests execute of src/lib, lines and branches.
#
# Runs the given test programs (of a build with --enable-coverage; their children count, see
# flush.c), prints a line for each source file and one for all, and fails when a test fails or when
# less is covered than must be. What no test can reach says so in its own line of the source:
#
#     default: /* unreachable: REASON */
#
# Such lines and the branches in them are left out, and counted.
#
# usage: coverage.sh TOP TEST...    (in the build directory)
set -u
top=$1
shift
AWK=${AWK:-awk}
GCOV=${GCOV:-gcov}
tmp=$(mktemp -d "${TMPDIR:-/tmp}/jobtab-coverage-XXXXXX") || exit 99
trap 'rm -rf "$tmp"' EXIT

# What damage at random finds, each page in its turn has found.
export JOBTAB_DAMAGES="${JOBTAB_DAMAGES:-50}"
find src/lib -name '*.gcda' -exec rm -f {} +
# Four at once: they wait more than they work.
printf '%s\n' "$@" | xargs -P 4 -I{} sh -c '
    ./{} >"$1/$(basename {}).out" 2>&1 || echo {} >>"$1/failed"' sh "$tmp"
if [ -s "$tmp/failed" ]; then
    while read -r test; do
        echo "coverage: $test failed:"
        tail -n 20 "$tmp/$(basename "$test").out"
    done <"$tmp/failed"
    exit 1
fi

# What damage at random finds, each page in its turn has found.
export JOBTAB_DAMAGES="${JOBTAB_DAMAGES:-50}"
find src/lib -name '*.gcda' >"$tmp/counted"
if ! [ -s "$tmp/counted" ]; then
    echo 'coverage: nothing was counted: ./configure --enable-coverage, then this'
    exit 1
fi
LC_ALL=C xargs "$GCOV" -b -c -t <"$tmp/counted" 2>/dev/null |
    $AWK -v top="$top/" -f "$top/tests/unit/coverage.awk"
