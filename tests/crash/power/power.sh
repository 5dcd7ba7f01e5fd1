#!/bin/sh
# power.sh - the power fails under a table: power.sh BUILDDIR short|long.
#
# First what a disk may hold, replayed in memory (/dev/shm) from recordings of clients at work; then a file
# system that is cut off under load, which is skipped where nobody may mount one. Exit 0 when all held.
set -u
here=$(cd "$(dirname "$0")" && pwd)
programs=$1/tests/crash/power form=$2

folder=$(mktemp -d /dev/shm/jobtab-power-XXXXXX 2>/dev/null) ||
    folder=$(mktemp -d "${TMPDIR:-/tmp}/jobtab-power-XXXXXX") || exit 1
cut=
trap 'rm -rf "$folder" $cut; exit 1' INT TERM HUP

if [ "$form" = long ]; then
    recordings=250 images=5000000 tries=30
else
    recordings=5 images=100000 tries=2
fi
workers=$(nproc)
[ "$workers" -le 16 ] || workers=16
seed=${JOBTAB_SEED:-$(date +%s)}
failed=0

"$programs/power" -d "$folder" -r $recordings -n $images -j "$workers" -s "$seed" || failed=1

# A fault in those that were recorded, or a recorder that misses a call, is found, each time.
control() {
    words=$1
    shift
    n=0
    while [ $n -lt $tries ]; do
        n=$((n + 1))
        "$@" -d "$folder" -n 8000 -j "$workers" -s $((seed + n)) >"$folder/control"
        if [ $? -ne 1 ] || ! grep '^# .*; all is kept in' "$folder/control" >"$folder/words"; then
            echo "not ok - $words: try $n, seed $((seed + n))"
            failed=1
            return
        fi
        rm -rf "$folder"/jobtab-power-*
    done
    head -c 300 "$folder/words" | sed 's/; all is kept.*//'
    echo "ok - $words, $tries times of $tries"
}
if [ $failed -eq 0 ]; then
    for fault in no-sync early-answer no-index; do
        control "the fault $fault is found" "$programs/power-mutant" -m $fault
    done
    for call in pwrite writev fsync; do
        control "a recorder that does not see $call is found" "$programs/power" -b $call
    done
fi

if [ $failed -eq 0 ]; then
    rm -rf "$folder"
else
    echo "# the tables are kept in $folder"
fi

cut=$(mktemp "${TMPDIR:-/tmp}/jobtab-power-XXXXXX") || exit 1
if /usr/bin/python3 -c 'import pytest' 2>/dev/null; then
    JOBTAB_BUILDDIR=$1 JOBTAB_CRASH=$form JOBTAB_TAP=1 PYTHONDONTWRITEBYTECODE=1 \
        /usr/bin/python3 -m pytest -q -s -x -p no:cacheprovider "$here/test_cut.py" >"$cut" 2>&1
    code=$?
    sed -n 's/^\.*seed /# seed /; /^\(ok\|not ok\|#\)/p' "$cut"
    if [ $code -ne 0 ]; then
        sed 's/^/# /' "$cut"
        failed=1
    fi
else
    echo "ok - the file system is cut off # SKIP no pytest (apt-get install python3-pytest)"
fi
rm -f "$cut"
exit $failed
