#!/bin/sh
# crash.sh - the kill sweep and its control: crash.sh FOLDER-OF-PROGRAMS short|long. Prints TAP.
#
# In memory (/dev/shm), where a round takes milliseconds, and in the long form on the disk of TMPDIR as
# well. Exit 0 when all held, 77 when this machine lets nobody trace.
set -u
programs=$1 form=$2

folder=$(mktemp -d /dev/shm/jobtab-crash-XXXXXX 2>/dev/null) ||
    folder=$(mktemp -d "${TMPDIR:-/tmp}/jobtab-crash-XXXXXX") || exit 1
trap 'rm -rf "$folder"; exit 1' INT TERM HUP

sweep() {
    "$programs/sweep" -d "$@"
    code=$?
    if [ $code -eq 77 ]; then
        echo "# nobody may be traced here"
        rm -rf "$folder"
        exit 77
    fi
    [ $code -eq 0 ] || failed=1
}

failed=0
if [ "$form" = long ]; then
    sweep "$folder" -n 3000 calls open steps posts
    sweep "$folder" -n 200 stops
    sweep "$folder" -n 1000 -p 12 calls steps posts
    sweep "${TMPDIR:-/tmp}" -n 200 calls open steps posts stops
else
    sweep "$folder" -n 100 calls open steps posts
    sweep "$folder" -n 10 stops
fi

if "$programs/sweep-no-batch-check" -d "$folder" -n 1000 posts >"$folder/control"; then
    echo "not ok 6 - the judge notices what is done twice"
    failed=1
else
    grep '^# ' "$folder/control" | head -n 1
    echo "ok 6 - the judge notices what is done twice"
fi
if [ $failed -eq 0 ]; then
    rm -rf "$folder"
else
    echo "# the tables are kept in $folder"
fi
exit $failed
