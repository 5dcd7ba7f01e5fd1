#!/bin/sh
# install.sh PREFIX - what `make install` put under PREFIX is complete and works from there, in
# TAP: the files, the daemon, the command line, and a stranger's program (the manual's example).
set -u
prefix=${1:?usage: install.sh PREFIX}
CC=${CC:-cc}
export PKG_CONFIG_PATH="$prefix/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
tmp=$(mktemp -d "${TMPDIR:-/tmp}/jobtab-install-XXXXXX") || exit 99
daemon=
leave() {
    [ -z "$daemon" ] || kill "$daemon" 2>/dev/null
    rm -rf "$tmp"
}
trap leave EXIT
trap 'exit 130' INT TERM HUP

number=0 faults=0
# tap NAME COMMAND...: one case; what it prints is shown when it fails
tap() {
    name=$1
    shift
    number=$((number + 1))
    if "$@" >"$tmp/out" 2>&1; then
        echo "ok $number - $name"
    else
        echo "not ok $number - $name"
        tail -n 30 "$tmp/out" | sed 's/^/# /'
        faults=$((faults + 1))
    fi
}

all_files_are_there() {
    code=0
    for file in sbin/jobtabd bin/jobtab bin/jobtab-validate include/jobtab.h \
        lib/libjobtab.so lib/pkgconfig/jobtab.pc share/man/man1/jobtab.1 \
        share/man/man1/jobtab-validate.1 share/man/man3/jobtab.3 \
        share/man/man5/jobtabd.conf.5 share/man/man8/jobtabd.8; do
        [ -s "$prefix/$file" ] || { echo "$file is missing"; code=1; }
    done
    headers=$(find "$prefix/include" -type f | wc -l)
    [ "$headers" -eq 1 ] || { echo "$headers headers are installed; one is public"; code=1; }
    return $code
}

header_stands_alone() {
    echo '#include <jobtab.h>' >"$tmp/alone.c"
    # shellcheck disable=SC2046
    $CC -std=c11 -pedantic -Wall -Wextra -Werror $(pkg-config --cflags jobtab) -c \
        -o "$tmp/alone.o" "$tmp/alone.c"
}

# The first example of jobtab(3) is a program: it submits a job and follows it to its end.
manual_example_builds() {
    awk '/^\.Sh EXAMPLES/ { on = 1 } on && /^\.Ed/ { exit } on && /^#include/ { code = 1 }
        code { gsub(/\\e/, "\\"); print }' "$prefix/share/man/man3/jobtab.3" >"$tmp/example.c"
    grep -q main "$tmp/example.c" || { echo "jobtab(3) has no example"; return 1; }
    # shellcheck disable=SC2046
    $CC -Wall -Wextra -Werror -o "$tmp/example" "$tmp/example.c" \
        $(pkg-config --cflags --libs jobtab) -Wl,-rpath,"$prefix/lib" || return 1
    ldd "$tmp/example"
    ldd "$tmp/example" | grep -q "$prefix/lib/libjobtab.so"
}
# "static": into the program from libjobtab.a, where the build made one.
static_library_links() {
    # shellcheck disable=SC2046
    $CC -o "$tmp/static" "$tmp/example.c" $(pkg-config --cflags jobtab) "$prefix/lib/libjobtab.a" \
        $(pkg-config --libs --static jobtab | tr ' ' '\n' | grep -v '^-ljobtab$') || return 1
    ! ldd "$tmp/static" | grep libjobtab
}

installed_configuration_is_sound() {
    (cd / && "$prefix/sbin/jobtabd" -t) && "$prefix/sbin/jobtabd" -T >"$tmp/printed" &&
        grep "\"$prefix/share/jobtab/prices\"" "$tmp/printed"
}
daemon_starts() {
    mkdir -p "$tmp/run/var" "$tmp/run/prices" || return 1
    printf 'symbol,time,price\nA,2026-01-02T00:00:00Z,10\nA,2026-01-03T00:00:00Z,11\n' \
        >"$tmp/run/prices/one.csv"
    cat >"$tmp/run/jobtabd.conf" <<END
worker_processes = 1
pid_file = "$tmp/run/jobtabd.pid"
error_log = "$tmp/run/error.log"
default_kind = "demo"
listen "unix:$tmp/run/socket" { }
table "$tmp/run/var/table" { map_size = 64m }
kind "demo" {
    command = {"/bin/sh", "-c", "echo 'progress 50 half way' >&3; echo '{\\"answer\\": 42}'"}
}
kind "validate" {
    command = {"$prefix/bin/jobtab-validate"}
    table = true
    children = 1
    input_root = "$tmp/run/prices"
}
END
    "$prefix/sbin/jobtabd" -t -c "$tmp/run/jobtabd.conf" || return 1
    (cd "$tmp/run" && exec "$prefix/sbin/jobtabd" -c jobtabd.conf) >"$tmp/run/out" 2>&1 &
    daemon=$!
    tries=0
    until curl -fs --unix-socket "$tmp/run/socket" http://localhost/readyz; do
        tries=$((tries + 1))
        if [ $tries -ge 150 ] || ! kill -0 $daemon; then
            cat "$tmp/run/out" "$tmp/run/error.log"
            return 1
        fi
        sleep 0.1
    done
}

example_follows_a_job() {
    (cd "$tmp/run" && timeout 30 "$tmp/example")
}
validation_runs() {
    timeout 30 "$prefix/bin/jobtab" -d "$tmp/run/var/table" submit validate -w || return 1
    "$prefix/bin/jobtab" -d "$tmp/run/var/table" -o json list -s completed -k validate \
        >"$tmp/list" && grep '"validate"' "$tmp/list"
}
daemon_stops() {
    [ -n "$daemon" ] && kill -TERM "$daemon" || return 1
    wait "$daemon"
    code=$?
    daemon=
    [ $code -eq 0 ] || { echo "exit code $code"; cat "$tmp/run/error.log"; return 1; }
    # Nothing of it is left: whoever runs from the prefix would be.
    for link in /proc/[0-9]*/exe; do
        case $(readlink "$link") in
        "$prefix"/*) echo "${link%/exe} still runs"; return 1 ;;
        esac
    done
    "$prefix/bin/jobtab" -d "$tmp/run/var/table" verify
}

echo "1..9"
tap "all files are there" all_files_are_there
tap "the header stands alone" header_stands_alone
tap "the manual's example builds with pkg-config" manual_example_builds
if [ -e "$prefix/lib/libjobtab.a" ]; then
    tap "the static library links" static_library_links
else
    number=$((number + 1))
    echo "ok $number - the static library links # SKIP not built"
fi
tap "the installed configuration is sound" installed_configuration_is_sound
tap "the daemon starts from the prefix" daemon_starts
tap "the manual's example follows a job to its end" example_follows_a_job
tap "a validation runs from the prefix" validation_runs
tap "the daemon stops and the table is sound" daemon_stops
exit $((faults > 0))
