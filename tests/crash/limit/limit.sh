#!/bin/sh
# limit.sh - what runs out: memory, descriptors, patience. limit.sh BUILDDIR short|long. Prints TAP.
#
# The library's memory and malformed HTTP beside the rest, which waits most of its time. Exit 0 when all held, 77
# where allocations cannot be refused (a sanitizer's are its own).
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd) form=$2
programs=$build/tests/crash/limit

folder=$(mktemp -d /dev/shm/jobtab-limit-XXXXXX 2>/dev/null) ||
    folder=$(mktemp -d "${TMPDIR:-/tmp}/jobtab-limit-XXXXXX") || exit 1
beside=
stop() { # who is interrupted leaves nothing
    [ -z "$beside" ] || kill "$beside" 2>/dev/null
    rm -rf "$folder"
}
trap 'stop; exit 1' INT TERM HUP

if [ "$form" = long ]; then
    rounds=20000 cases=50000
else
    rounds=600 cases=3000
fi
seed=
[ -z "${JOBTAB_SEED-}" ] || seed="-s $JOBTAB_SEED"

# control MUTANT CALL...: a library that is faulty on purpose, which the sweep must notice.
control() {
    name=$1
    shift
    if JOBTAB_MUTANT=$name "$programs/memory-mutant" -d "$folder" -r 1500 "$@" >"$folder/control-$name"; then
        echo "not ok - the sweep notices $name"
        return 1
    fi
    grep '^# [^s]' "$folder/control-$name" | head -n 1 | cut -c 1-300
    echo "ok - the sweep notices $name"
}

library() {
    code=0
    # shellcheck disable=SC2086
    "$programs/memory" -d "$folder" -r $rounds $seed || code=1
    for call in claim list stat; do control no-sticking $call || code=1; done
    control late-withdrawal shared || code=1
    /usr/bin/python3 "$here/../../fuzz/fuzz_http.py" "$build" cases $cases >"$folder/http" 2>&1 || code=1
    sed 's/^PASS: /ok - /; s/^FAIL: /not ok - /; t; s/^/# /' "$folder/http"
    return $code
}

"$programs/memory" -d "$folder" get >/dev/null
if [ $? -eq 77 ]; then
    stop
    exit 77
fi
library >"$folder/library" 2>&1 &
beside=$!

failed=0
if /usr/bin/python3 -c 'import pytest' 2>/dev/null; then
    JOBTAB_TAP=1 JOBTAB_CRASH=$form JOBTAB_BUILDDIR=$build PYTHONDONTWRITEBYTECODE=1 \
        /usr/bin/python3 -m pytest -q -s -p no:cacheprovider "$here" || failed=1
else
    echo "ok - the daemon at its limits # SKIP no pytest (apt-get install python3-pytest)"
fi
wait $beside || failed=1
cat "$folder/library"
stop
exit $failed
