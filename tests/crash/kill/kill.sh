#!/bin/sh
# kill.sh - writers killed and stopped at each point of their work: kill.sh BUILDDIR short|long.
#
# In memory (/dev/shm), where a round takes milliseconds, and some on the disk of TMPDIR. Exit 0 when
# all held, 77 when this machine lets nobody trace.
set -u
programs=$1/tests/crash/kill form=$2

disk=${TMPDIR:-/tmp}
folder=$(mktemp -d /dev/shm/jobtab-crash-XXXXXX 2>/dev/null) ||
    folder=$(mktemp -d "$disk/jobtab-crash-XXXXXX") || exit 1
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
# A wake-up that goes to one who dies is missed by those who have it from nobody else: few writers, and
# a lock that is held for long, as on a disk.
if [ "$form" = long ]; then
    sweep "$folder" -n 3000 calls returns leads open steps posts
    sweep "$folder" -n 200 stops
    sweep "$folder" -n 1000 -p 12 calls returns leads steps posts
    sweep "$disk" -n 200 calls returns leads open steps posts stops
    for _ in 1 2 3 4 5; do sweep "$disk" -p 3 returns; done
else
    sweep "$folder" -n 80 calls returns leads open steps posts
    sweep "$folder" -n 10 stops
    sweep "$disk" -p 3 returns
fi

if JOBTAB_MUTANT=no-batch-check "$programs/sweep-mutant" -d "$folder" -n 1000 posts >"$folder/control"; then
    echo "not ok - the judge notices what is done twice"
    failed=1
else
    grep '^# ' "$folder/control" | head -n 1
    echo "ok - the judge notices what is done twice"
fi
if [ $failed -eq 0 ]; then
    rm -rf "$folder"
else
    echo "# the tables are kept in $folder"
fi
exit $failed
