#!/bin/sh
# kill.sh - processes killed (and writers stopped) at each point of their work: kill.sh BUILDDIR short|long.
#
# The library's callers in memory (/dev/shm), where a round takes milliseconds, and some on the disk of
# TMPDIR; then the daemon's processes. Exit 0 when all held, 77 when this machine lets nobody trace.
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=$1 form=$2
programs=$build/tests/crash/kill

disk=${TMPDIR:-/tmp}
folder=$(mktemp -d /dev/shm/jobtab-crash-XXXXXX 2>/dev/null) ||
    folder=$(mktemp -d "$disk/jobtab-crash-XXXXXX") || exit 1
trap 'rm -rf "$folder"; exit 1' INT TERM HUP
failed=0

# Tests of the whole daemon: TAP, and what they have to say as comments.
daemon_tests() {
    JOBTAB_BUILDDIR=$build JOBTAB_CRASH=$form JOBTAB_TAP=1 PYTHONDONTWRITEBYTECODE=1 \
        /usr/bin/python3 -m pytest -q -s -p no:cacheprovider "$here/$1" >"$folder/said"
    [ $? -eq 0 ] || failed=1
    sed '/^\(not \)\?ok - /!s/^\.*/# /; /^# *$/d' "$folder/said"
}

run() {
    program=$1
    shift
    "$programs/$program" -d "$@"
    code=$?
    if [ $code -eq 77 ]; then
        echo "# nobody may be traced here"
        rm -rf "$folder"
        exit 77
    fi
    [ $code -eq 0 ] || failed=1
}

# Each deliberate fault is noticed, and as what it is: NAME PROGRAM PATTERN PART [OPTION...]
control() {
    name=$1 program=$2 pattern=$3 part=$4
    shift 4
    caught=0 tries=1
    [ "$form" = long ] && tries=20
    for try in $(seq $tries); do
        mkdir "$folder/control"
        JOBTAB_MUTANT=$name "$programs/$program-mutant" -d "$folder/control" "$@" $part \
            >"$folder/said" && break
        grep -qE "$pattern" "$folder/said" || break
        rm -rf "$folder/control"
        caught=$try
    done
    rm -rf "$folder/control"
    grep '^# ' "$folder/said" | head -n 1
    verdict=ok
    [ $caught -eq $tries ] || verdict='not ok' failed=1
    echo "$verdict - with $name it is noticed, $caught of $tries times"
}

# A wake-up that goes to one who dies is missed by those who have it from nobody else: few writers, and
# a lock that is held for long, as on a disk.
if [ "$form" = long ]; then
    run sweep "$folder" -a calls returns leads
    run sweep "$disk" -a calls returns leads
    run sweep "$folder" -n 3000 calls returns leads open steps posts
    run sweep "$folder" -n 200 stops
    run sweep "$folder" -n 1000 -p 12 calls returns leads steps posts
    run sweep "$disk" -n 200 calls returns leads open steps posts stops
    for _ in 1 2 3 4 5; do run sweep "$disk" -p 3 returns; done
    run openers "$folder"
    run openers "$disk"
else
    run sweep "$folder" calls open
    run sweep "$folder" -a -e 12 returns leads
    run sweep "$folder" -n 15 steps posts
    run sweep "$folder" -n 4 stops
    run sweep "$disk" -p 3 -e 6 returns
    run openers "$folder"
fi
# What was answered and never done is missed by whoever asks for the job next, whatever he asks.
control early-answer sweep \
    'not what was written|deleted and is read|not there|no job to claim|did not grow|another answer' leads
control no-batch-check sweep 'another answer|is there twice|not each exactly once' posts -n 1000
control no-fencing sweep 'late report: another answer' calls
control no-index sweep 'cannot become running|verify' calls
control early-bell sweep 'the bell rang' calls
control no-open-lock openers 'cannot open' old

if /usr/bin/python3 -c 'import pytest' 2>/dev/null; then
    daemon_tests test_kill_runner.py
    daemon_tests test_kill_daemon.py
else
    echo "ok - the daemon's processes are killed # SKIP there is no pytest"
fi
if [ $failed -eq 0 ]; then
    rm -rf "$folder"
else
    echo "# the tables are kept in $folder"
fi
exit $failed
