#!/bin/sh
# layers.sh - the includes of the tree against the design's table of layers, in TAP.
# Each rule has a control: a file that breaks it, which must be found and named by line.
set -u
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "${1:-$here/../..}" && pwd)
AWK=${AWK:-awk}
tmp=$(mktemp -d "${TMPDIR:-/tmp}/jobtab-layers-XXXXXX") || exit 99
trap 'rm -rf "$tmp"' EXIT
case_number=0

# check DIR: faults to stdout
check() (
    cd "$1" || exit 2
    find include src tests -name '*.[ch]' 2>/dev/null | sort >"$tmp/list"
    # shellcheck disable=SC2046 # no path of ours has a blank
    $AWK -v list="$tmp/list" -f "$here/layers.awk" "$tmp/list" $(grep -v '^tests/' "$tmp/list")
)

ok() {
    case_number=$((case_number + 1))
    echo "ok $case_number - $1"
}
not_ok() {
    case_number=$((case_number + 1))
    echo "not ok $case_number - $1"
    printf '%s\n' "$2" | sed 's/^/# /'
}

# caught NAME FILE INCLUDE: a tree whose FILE has INCLUDE in its third line is refused by
# exactly that line.
caught() {
    rm -rf "$tmp/tree"
    mkdir -p "$tmp/tree/include" "$tmp/tree/src/lib" "$tmp/tree/src/common" \
        "$tmp/tree/src/jobtabd/http" "$tmp/tree/src/jobtab" "$tmp/tree/src/validate" \
        "$tmp/tree/tests/unit"
    for file in include/jobtab.h src/lib/store.h src/lib/record.h src/lib/table.h src/lib/clock.h \
        src/common/units.h src/jobtabd/conf.h src/jobtabd/worker.h src/jobtab/command.h \
        src/validate/rules.h tests/unit/helper.h; do
        echo "/* $file */" >"$tmp/tree/$file"
    done
    printf '/* one */\n#include <stdio.h>\n#include %s\n' "$3" >"$tmp/tree/$2"
    found=$(check "$tmp/tree")
    case $found in
    "$2:3: "*) ok "control: $1" ;;
    *) not_ok "control: $1" "expected $2:3, found: $found" ;;
    esac
}

# passes NAME FILE INCLUDE: the same, but allowed.
passes() {
    caught "$@" >/dev/null
    case_number=$((case_number - 1))
    if [ -z "$found" ]; then ok "control: $1"; else not_ok "control: $1" "$found"; fi
}

echo "1..22"
found=$(check "$top")
if [ -z "$found" ] && [ "$(wc -l <"$tmp/list")" -gt 5 ]; then
    ok "includes keep to their layers"
else
    not_ok "includes keep to their layers" "$found"
fi

caught "jobtab.h takes C standard headers only" include/jobtab.h '<sys/types.h>'
passes "jobtab.h takes C standard headers" include/jobtab.h '<stdint.h>'
caught "jobtab.h takes nothing of the tree" include/jobtab.h '"units.h"'
caught "lmdb.h is the store's" src/lib/table.c '<lmdb.h>'
passes "the store has lmdb.h" src/lib/store.c '<lmdb.h>'
caught "tpl.h is the tests'" src/lib/record.c '<tpl.h>'
caught "h2o is the worker's" src/jobtabd/master.c '<h2o.h>'
caught "h2o is the worker's, by any of its headers" src/jobtab/main.c '<h2o/http1.h>'
passes "http has h2o" src/jobtabd/http/routes.c '<h2o.h>'
caught "the library knows no daemon" src/lib/table.c '"../jobtabd/conf.h"'
caught "the library looks downwards from the store" src/lib/store.c '"table.h"'
caught "the library looks downwards from its base" src/lib/state.c '"record.h"'
passes "the table has the store" src/lib/submit.c '"store.h"'
passes "the table has what is common" src/lib/submit.c '"units.h"'
caught "the store has nothing of the common" src/lib/store.c '"units.h"'
caught "the daemon has no back door" src/jobtabd/keeper.c '"../lib/store.h"'
caught "a worker has no back door" src/jobtabd/http/routes.c '"table.h"'
caught "the command line has no back door" src/jobtab/main.c '"../lib/clock.h"'
caught "the validation has no back door" src/validate/main.c '"record.h"'
caught "programs do not share but through common" src/validate/main.c '"../jobtab/command.h"'
caught "no program includes a test" src/jobtab/main.c '"../../tests/unit/helper.h"'
