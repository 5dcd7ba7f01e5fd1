#!/bin/sh
# exports.sh - the shared library exports jobtab_* and nothing else, in TAP.
# Runs in the build directory. A control library exports one name more, which must be found.
set -u
NM=${NM:-nm}
CC=${CC:-cc}
tmp=$(mktemp -d "${TMPDIR:-/tmp}/jobtab-exports-XXXXXX") || exit 99
trap 'rm -rf "$tmp"' EXIT

if [ ! -e .libs/libjobtab.so ]; then
    echo "1..0 # SKIP no shared library in this build"
    exit 0
fi

exported() {
    $NM -D --defined-only "$1" | awk 'NF == 3 { print $3 }' | sed 's/@.*//'
}
others() {
    # Not ours: what coverage and sanitizers put into every object.
    exported "$1" | grep -v -e '^jobtab_' -e '^__gcov' -e '^__llvm' -e '^__asan' -e '^__ubsan'
}

echo "1..3"
found=$(others .libs/libjobtab.so)
if [ -z "$found" ]; then
    echo "ok 1 - the library exports jobtab_ names only"
else
    echo "not ok 1 - the library exports jobtab_ names only"
    echo "$found" | sed 's/^/# /'
fi

# Every function of the header, by the text of its prototype.
missing=
for name in $(sed -n 's/^[a-z].*[ *]\(jobtab_[a-z_]*\)(.*/\1/p' "${top_srcdir:-.}/include/jobtab.h" |
    grep -v '_fn$' | sort -u); do
    exported .libs/libjobtab.so | grep -qx "$name" || missing="$missing $name"
done
if [ -z "$missing" ]; then
    echo "ok 2 - the library exports all that its header declares"
else
    echo "not ok 2 - the library exports all that its header declares"
    echo "# missing:$missing"
fi

printf 'int jobtab_fine(void){return 0;}\nint table_leaks(void){return 0;}\n' >"$tmp/leak.c"
if $CC -shared -fPIC -o "$tmp/leak.so" "$tmp/leak.c" 2>"$tmp/err" &&
    [ "$(others "$tmp/leak.so")" = table_leaks ]; then
    echo "ok 3 - control: a leaked name is found"
else
    echo "not ok 3 - control: a leaked name is found"
    sed 's/^/# /' "$tmp/err"
fi
