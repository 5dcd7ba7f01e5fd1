#!/bin/sh
# stop.sh - processes that are stopped where others need them, pids that are used again, clocks that are
# stepped, another boot: stop.sh BUILDDIR short|long. Exit 77 where pytest is not there.
#
# The three files of tests wait most of their time, so they run side by side.
set -u
here=$(cd "$(dirname "$0")" && pwd)
/usr/bin/python3 -c 'import pytest' 2>/dev/null || exit 77
export JOBTAB_BUILDDIR="$1" JOBTAB_CRASH="$2" JOBTAB_TAP=1 PYTHONDONTWRITEBYTECODE=1
folder=$(mktemp -d "${TMPDIR:-/tmp}/jobtab-crash-XXXXXX") || exit 1
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM HUP

tests() {
    name=$1
    shift
    "$@" /usr/bin/python3 -m pytest -q -s -p no:cacheprovider "$here/test_$name.py" >"$folder/$name" 2>&1
}

# The kernel hands out pids one after the other; in a namespace of our own nobody takes the next one before
# us. The shell is the namespace's init: it reaps whom a killed master leaves.
pids() {
    if unshare -p -f --mount-proc true 2>/dev/null; then
        JOBTAB_PIDS=own tests pid unshare -p -f --kill-child --mount-proc \
            /bin/sh -c '"$@"; exit $?' sh
    else
        echo "ok - pids that are used again # SKIP no pid namespace can be made here" >"$folder/pid"
    fi
}

tests stop env &
stop=$!
tests clock env &
clock=$!
pids &
pid=$!
failed=0
wait $pid || failed=1
cat "$folder/pid"
wait $clock || failed=1
cat "$folder/clock"
wait $stop || failed=1
cat "$folder/stop"
exit $failed
