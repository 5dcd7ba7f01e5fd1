#!/bin/sh
# disk.sh - disks that fail and disks that are full: disk.sh BUILDDIR short|long.
#
# The sweep works in memory (/dev/shm), where a round takes milliseconds, and in the long form on the disk
# of TMPDIR, too. Whole daemons on disks of their own are pytest's.
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=$1 form=$2
programs=$build/tests/crash/disk

disk=${TMPDIR:-/tmp}
folder=$(mktemp -d /dev/shm/jobtab-crash-XXXXXX 2>/dev/null) ||
    folder=$(mktemp -d "$disk/jobtab-crash-XXXXXX") || exit 1
trap 'rm -rf "$folder"; exit 1' INT TERM HUP

failed=0
sweep() {
    "$programs/sweep" ${JOBTAB_SEED:+-s "$JOBTAB_SEED"} "$@" || failed=1
}

# Whole daemons wait more than they work: meanwhile the others go on.
daemons() {
    JOBTAB_BUILDDIR=$build JOBTAB_CRASH=$form JOBTAB_TAP=1 PYTHONDONTWRITEBYTECODE=1 \
        /usr/bin/python3 -m pytest -q -s -p no:cacheprovider "$here/$1.py" >"$folder/$1" 2>&1 &
}
# After wait: TAP, and all that was said when something failed.
daemons_told() {
    grep -E '^(ok|not ok) ' "$folder/$1"
    [ "$2" -eq 0 ] && return
    sed 's/^/# /' "$folder/$1"
    failed=1
}
if /usr/bin/python3 -c 'import pytest' 2>/dev/null; then
    daemons test_full
    full=$!
    daemons test_errors
    errors=$!
else
    full=
    echo "ok - whole daemons on such disks # SKIP no pytest (apt-get install python3-pytest)"
fi

if [ "$form" = long ]; then
    sweep -d "$folder" -w 5000
    sweep -d "$disk" -w 200
else
    sweep -d "$folder" -w 25
fi

# At every step that commits, or the judge has missed one.
mkdir "$folder/control"
missed=
for step in submit report "finish with much" cancel delete; do
    JOBTAB_MUTANT=ignore-error "$programs/sweep-mutant" -d "$folder/control" "$step" \
        >"$folder/told" && missed="$missed '$step'"
    rm -rf "$folder"/control/*
done
grep '^# [a-z ]*: ' "$folder/told" | head -n 1
if [ -z "$missed" ]; then
    echo "ok - the judge notices a failed commit that is acknowledged"
else
    echo "not ok - the judge notices a failed commit that is acknowledged, but not at$missed"
    failed=1
fi

if [ -n "$full" ]; then
    wait "$full"
    daemons_told test_full $?
    wait "$errors"
    daemons_told test_errors $?
fi

if [ $failed -eq 0 ]; then
    rm -rf "$folder"
else
    echo "# the tables are kept in $folder"
fi
exit $failed
