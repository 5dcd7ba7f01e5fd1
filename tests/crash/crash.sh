#!/bin/sh
# crash.sh - what a crash may not take: crash.sh BUILDDIR short|long [PART...]. Prints TAP.
#
# A part is a folder here, with PART.sh that takes BUILDDIR and short|long, prints TAP and exits 0 when all
# held, 77 when this machine lets nobody do it. `short` is what contrib/check.sh runs; `long` is the same
# code with other counts. JOBTAB_SEED replays a run: every part prints its own.
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd) form=$2
shift 2
[ $# -gt 0 ] || set -- disk kill limit power stop

failed=0
for part; do
    echo "# $part, $form"
    sh "$here/$part/$part.sh" "$build" "$form"
    code=$?
    case $code in
    0) ;;
    77) echo "ok - $part # SKIP this machine does not allow it" ;;
    *) failed=1 ;;
    esac
done
exit $failed
