#!/bin/sh
# stop.sh - processes that are stopped where others need them, pids that are used again, clocks that are
# stepped, another boot: stop.sh BUILDDIR short|long. Exit 77 where pytest is not there.
set -u
here=$(cd "$(dirname "$0")" && pwd)
/usr/bin/python3 -c 'import pytest' 2>/dev/null || exit 77
export JOBTAB_BUILDDIR="$1" JOBTAB_CRASH="$2" JOBTAB_TAP=1 PYTHONDONTWRITEBYTECODE=1
pytest='/usr/bin/python3 -m pytest -q -p no:cacheprovider'

failed=0
$pytest --ignore "$here/test_pid.py" "$here" || failed=1
# The kernel hands out pids one after the other; in a namespace of our own nobody takes the next one before us.
if unshare -p -f --mount-proc true 2>/dev/null; then
    JOBTAB_PIDS=own unshare -p -f --kill-child --mount-proc $pytest "$here/test_pid.py" || failed=1
else
    echo "ok - pids that are used again # SKIP no pid namespace can be made here"
fi
exit $failed
