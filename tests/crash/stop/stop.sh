#!/bin/sh
# stop.sh - processes that are stopped where others need them, pids that are used again, clocks that are
# stepped, another boot: stop.sh BUILDDIR short|long. Exit 77 where pytest is not there.
set -u
here=$(cd "$(dirname "$0")" && pwd)
/usr/bin/python3 -c 'import pytest' 2>/dev/null || exit 77
JOBTAB_BUILDDIR=$1 JOBTAB_CRASH=$2 JOBTAB_TAP=1 PYTHONDONTWRITEBYTECODE=1 \
    exec /usr/bin/python3 -m pytest -q -p no:cacheprovider "$here"
