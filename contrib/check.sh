#!/bin/sh
# check.sh - everything that a change must pass, from nothing: `sh contrib/check.sh`.
#
# Installs what the tests need and the machine lacks (apt-get, as root or with sudo), copies the
# tree to a place of its own, so that no build of yours is touched, builds it there in several
# ways and runs every test. The last line is `N passed, N failed, N skipped`; the exit is 0 only
# when none failed and at least one ran. A stage that fails shows the end of its log.
#
#   check.sh              all stages
#   check.sh STAGE...     only these (build is added when they need it); check.sh --list names them
#
# CHECK_KEEP=1 keeps the builds and logs, which are kept anyway when something failed.
set -u

packages="build-essential clang libclang-rt-dev autoconf automake libtool pkg-config
    liblmdb-dev libtpl-dev libh2o-evloop-dev libssl-dev zlib1g-dev libjansson-dev libconfuse-dev
    libcsv-dev libcurl4-openssl-dev libcmocka-dev libhiredis-dev libsqlite3-dev
    python3 python3-pytest python3-pytest-xdist valgrind lmdb-utils mandoc curl
    openssl procps strace xz-utils e2fsprogs util-linux mount sqlite3 redis-server jq
    gunicorn python3-fastapi python3-uvicorn python3-pip python3-setuptools python3-wheel"

# name | seconds at most | what is counted | beside: may run with another, alone: measures time | what it is
# In this order, two at once where both may. The long ones come before the short ones, which fill gaps.
stages() {
    cat <<'END'
build       | 600 | stage  | alone  | gcc, every warning an error
unit        | 300 | tap    | alone  | unit tests, layers, exported names
system      | 900 | pytest | alone  | whole-daemon tests
limit       | 300 | tap    | alone  | no memory, no descriptors, slow, broken and hostile clients
asan-build  | 600 | stage  | beside | clang with ASan and UBSan, every warning an error
fuzz        | 600 | tap    | beside | the parsers under libFuzzer, ASan and UBSan
asan-unit   | 300 | tap    | beside | unit tests under ASan and UBSan
asan-system | 900 | pytest | beside | whole-daemon tests under ASan and UBSan
valgrind    | 600 | tap    | beside | unit tests under valgrind
story       | 300 | pytest | beside | whole-daemon stories under valgrind
power       | 300 | tap    | beside | the power fails: what a disk may hold then, replayed; file systems cut off
kill        | 300 | tap    | beside | every process killed, at each point of its work and under load
disk        | 300 | tap    | beside | disks that fail and disks that are full
stop        | 300 | tap    | beside | processes stopped, pids used again, clocks stepped, boots changed
coverage    | 300 | stage  | beside | lines and branches of the library that its unit tests execute
counts      | 600 | tap    | beside | instructions of the hot paths against the stored figures
dist        | 600 | stage  | beside | the tarball builds, passes its unit tests, installs, uninstalls
install     | 180 | tap    | beside | installed to a prefix, used from there
man         | 60  | stage  | beside | manual pages
END
}

# ---------------------------------------------------------------- one stage, in a process of its own

make_jobs="-j$(nproc 2>/dev/null || echo 2)"

configure() { # folder, arguments...
    folder=$1
    shift
    mkdir -p "$CHECK_WORK/$folder" && cd "$CHECK_WORK/$folder" &&
        "$CHECK_WORK/src/configure" -q "$@"
}

build_all() { # variables of make
    make "$make_jobs" check-programs "$@"
}

pytest_in() { # folder, slowness, arguments...
    export JOBTAB_BUILDDIR="$CHECK_WORK/$1" JOBTAB_TEST_SLOW="$2" PYTHONDONTWRITEBYTECODE=1
    shift 2
    cd "$CHECK_WORK/src" || return 1
    # They mostly wait: three at once on two cores. Each has its own directory, port and table.
    at_once=
    if /usr/bin/python3 -c 'import xdist' 2>/dev/null; then at_once="-n 3"; fi
    # shellcheck disable=SC2086
    /usr/bin/python3 -m pytest -q -ra --tb=short -p no:cacheprovider --durations=5 $at_once \
        "$@" tests/system
}

stage() {
    case $1 in
    build)
        (cd "$CHECK_WORK/src" && mkdir -p m4 && autoreconf -fi) &&
            configure gcc CC=gcc --enable-werror --prefix="$CHECK_WORK/prefix" && build_all
        ;;
    unit) cd "$CHECK_WORK/gcc" && make "$make_jobs" -k check CHECK_SYSTEM=no ;;
    system) pytest_in gcc 1 ;;
    asan-build)
        # without the programs of the crash tests, which run on the other build
        configure asan CC=clang --enable-sanitizers --enable-werror --disable-shared &&
            build_all crash_helpers=
        ;;
    asan-unit)
        cd "$CHECK_WORK/asan" && make "$make_jobs" -k check CHECK_SYSTEM=no TESTS="\$(check_PROGRAMS)"
        ;;
    asan-system) pytest_in asan 5 ;;
    valgrind)
        # but test_damage, whose thousand damaged tables are the sanitizers' part
        cd "$CHECK_WORK/gcc" && JOBTAB_TEST_SLOW=20 make "$make_jobs" -k check CHECK_SYSTEM=no \
            TESTS="\$(filter-out tests/unit/test_damage,\$(check_PROGRAMS))" \
            LOG_COMPILER="valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite --suppressions=$CHECK_WORK/src/tests/unit/valgrind.supp"
        ;;
    story)
        # Leaks are the sanitizers' part: roles leave with _exit and free nothing at their end.
        export JOBTAB_TEST_WRAPPER="valgrind -q --trace-children=yes --trace-children-skip=/bin/*,/usr/bin/* --error-exitcode=99 --log-file={reports}/valgrind.%p"
        pytest_in gcc 20 -k "$CHECK_STORY"
        ;;
    counts) # not by `make counts`, which would hide the exit code that means skipped
        cd "$CHECK_WORK/gcc" && make "$make_jobs" tests/bench/counts &&
            python3 "$CHECK_WORK/src/tests/bench/counts.py" check --build .
        ;;
    man)
        cd "$CHECK_WORK/src" || return 1
        pages=$(find src -name '*.[1-8]')
        for page in src/lib/jobtab.3 src/jobtabd/jobtabd.8 src/jobtabd/jobtabd.conf.5 \
            src/jobtab/jobtab.1 src/validate/jobtab-validate.1; do
            [ -s "$page" ] || { echo "$page is missing"; return 1; }
        done
        # shellcheck disable=SC2086
        mandoc -T lint -W warning $pages
        ;;
    power | kill | disk | limit | stop)
        cd "$CHECK_WORK/gcc" && sh "$CHECK_WORK/src/tests/crash/crash.sh" . short "$1"
        ;;
    coverage)
        configure cover --enable-coverage --disable-shared && make "$make_jobs" coverage
        ;;
    fuzz) cd "$CHECK_WORK/gcc" && make fuzz ;;
    install)
        cd "$CHECK_WORK/gcc" && make install >"$CHECK_WORK/install.log" 2>&1 ||
            { cat "$CHECK_WORK/install.log"; return 1; }
        sh "$CHECK_WORK/src/tests/tree/install.sh" "$CHECK_WORK/prefix"
        ;;
    dist)
        cd "$CHECK_WORK/gcc" && make "$make_jobs" distcheck \
            AM_DISTCHECK_CONFIGURE_FLAGS=--disable-static CHECK_SYSTEM=no
        ;;
    *) echo "there is no stage $1" && return 2 ;;
    esac
}

if [ "${1-}" = --stage ]; then
    stage "$2"
    exit
fi
if [ "${1-}" = --list ]; then
    stages | awk -F'|' '{ print $1 $5 }'
    exit
fi

# ---------------------------------------------------------------- counting

passed=0 failed=0 skipped=0
began=$(date +%s)

finish() {
    seconds=$(($(date +%s) - began))
    [ "$failed" -eq 0 ] || echo "logs: $logs"
    echo "$seconds s in all"
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
    exit
}

die() { # one line: what is wrong
    echo "check.sh: $1"
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
}

# tally KIND LOG: cases as "passed failed skipped"
tally() {
    case $1 in
    tap) awk '/^(PASS|XFAIL): / || /^ok / { p++ } /^(FAIL|XPASS|ERROR): / || /^not ok / { f++ }
            /^SKIP: / { s++ } END { print p + 0, f + 0, s + 0 }' "$2" ;;
    pytest) awk '/(passed|failed|error|errors|skipped)[, ].* in [0-9.]+s/ || / (passed|failed|errors?|skipped) in / {
                p = f = s = 0
                for (i = 2; i <= NF; i++) {
                    if ($i ~ /^passed/) p += $(i - 1)
                    if ($i ~ /^(failed|error)/) f += $(i - 1)
                    if ($i ~ /^(skipped|xfailed)/) s += $(i - 1)
                }
            } END { print p + 0, f + 0, s + 0 }' "$2" ;;
    stage) echo "0 0 0" ;;
    esac
}

# ---------------------------------------------------------------- the machine

top=$(cd "$(dirname "$0")/.." && pwd) || die "cannot enter the tree"
wanted="$*"
for name in $wanted; do
    stages | grep -q "^$name " || die "there is no stage $name; check.sh --list names them"
done
# `build` makes what most others use.
case " $wanted " in
"  " | *" build "*) ;;
*) wanted="build $wanted" ;;
esac
case " $wanted " in
*" asan-unit "* | *" asan-system "*) wanted="$wanted asan-build" ;;
esac

logs=$(mktemp -d "${TMPDIR:-/tmp}/jobtab-check-XXXXXX") || die "no temporary directory can be made"

install_missing() {
    missing=
    for package in $packages; do
        dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q ' installed$' ||
            missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -eq 0 ]; then
        as_root=
    elif command -v sudo >/dev/null 2>&1 && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        as_root=sudo
    else
        die "these packages are missing and I may not install them: apt-get install$missing"
    fi
    echo "installing:$missing"
    # shellcheck disable=SC2086
    get() {
        $as_root env DEBIAN_FRONTEND=noninteractive timeout 600 apt-get -o DPkg::Lock::Timeout=120 \
            -y -q --no-install-recommends install $missing >>"$logs/apt.log" 2>&1 </dev/null
    }
    # The list of packages may be old or, in a fresh container, not there.
    get || { $as_root timeout 300 apt-get -q update >>"$logs/apt.log" 2>&1 </dev/null; get; } ||
        die "apt-get cannot install$missing: $(grep '^E:' "$logs/apt.log" | tail -n 1)"
}

if command -v apt-get >/dev/null 2>&1 && command -v dpkg-query >/dev/null 2>&1; then
    install_missing
else
    echo "no apt-get here: going on with what the machine has"
fi
for tool in timeout make autoreconf libtoolize pkg-config; do
    command -v $tool >/dev/null 2>&1 || die "$tool is missing"
done

# A place of our own: ./build-check, made anew; elsewhere when the tree cannot be written to, or
# when another check.sh has it.
work=$top/build-check
if mkdir -p "$work" 2>/dev/null && : 2>/dev/null >"$work/.lock" && exec 9>"$work/.lock" &&
    flock -n 9 && find "$work" -mindepth 1 -maxdepth 1 ! -name .lock -exec chmod -R u+w {} + \
    -exec rm -rf {} + 2>/dev/null; then
    :
else
    work=$(mktemp -d "${TMPDIR:-/tmp}/jobtab-build-XXXXXX") || die "no directory to build in"
fi
mkdir "$work/src" || die "cannot write in $work"
# The logs go with the builds: what clears /tmp meanwhile does not take them.
mkdir "$work/logs" && find "$logs" -type f -exec mv {} "$work/logs" \; && rmdir "$logs" &&
    logs=$work/logs

# The tree as it is now, uncommitted changes too, without anything built in it.
files() {
    if git -c safe.directory='*' -C "$top" rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git -c safe.directory='*' -C "$top" ls-files -co --exclude-standard
    else
        (cd "$top" && find . -type f ! -path './build*' ! -path './var/*' ! -path './.git/*' \
            ! -path './autom4te.cache/*' ! -name '*.o' ! -name '*.lo' ! -name '*.la' \
            ! -path '*/.libs/*' ! -path '*/.deps/*' ! -name config.status ! -name config.h \
            ! -name Makefile ! -name libtool ! -name stamp-h1)
    fi
}
(cd "$top" && files | while IFS= read -r file; do
    if [ -f "$file" ]; then printf '%s\n' "$file"; fi
done | tar -cf - --no-recursion -T - | tar -xf - --no-same-owner -C "$work/src") ||
    die "cannot copy the tree to $work/src"
chmod -R u+w "$work/src"
self=$work/src/contrib/check.sh

# What tests write goes to a short path of our own, away from a user's /tmp litter.
tmp=$(mktemp -d /tmp/jt-XXXXXX) || die "no temporary directory can be made"
export CHECK_WORK="$work" TMPDIR="$tmp"
export CHECK_STORY="${CHECK_STORY-valgrind or story}"
unset MAKEFLAGS MFLAGS MAKELEVEL CFLAGS LDFLAGS CPPFLAGS DESTDIR CONFIG_SITE 2>/dev/null

stop() {
    for name in $running; do kill "$(pid_of "$name")" 2>/dev/null; done
    rm -rf "$tmp"
    echo
    failed=$((failed + 1))
    echo "interrupted"
    finish
}
trap stop INT TERM HUP

# ---------------------------------------------------------------- the run

running= # names of stages; $logs/NAME.pid and .start tell the rest
broken=" " # stages that failed: those that build on them are skipped
ended=" "

row_of() { # name, number of the column
    stages | awk -F'|' -v name="$1" -v column="$2" \
        '{ gsub(/^ +| +$/, "", $1) } $1 == name { gsub(/^ +| +$/, "", $column); print $column }'
}
pid_of() { cat "$logs/$1.pid"; }

need_of() {
    case $1 in
    build) ;;
    asan-unit | asan-system) echo asan-build ;;
    *) echo build ;;
    esac
}

start() { # name
    date +%s >"$logs/$1.start"
    timeout -k 10 "$(row_of "$1" 2)" sh "$self" --stage "$1" >"$logs/$1.log" 2>&1 </dev/null 9>&- &
    echo $! >"$logs/$1.pid"
    running="$running $1"
}

skip() { # name, what it needs
    skipped=$((skipped + 1))
    broken="$broken$1 "
    ended="$ended$1 "
    printf 'skipped         %-12s %s: %s failed\n' "$1" "$(row_of "$1" 5)" "$2"
}

report() { # name, exit code
    name=$1 code=$2 log=$logs/$1.log kind=$(row_of "$1" 3)
    seconds=$(($(date +%s) - $(cat "$logs/$name.start")))
    read -r p f s <<END
$(tally "$kind" "$log")
END
    text=
    case $kind in
    stage) if [ "$code" -eq 0 ]; then p=1; elif [ "$code" -eq 77 ]; then s=1; else f=1; fi ;;
    *)
        if [ "$code" -eq 77 ] && [ $((p + f + s)) -eq 0 ]; then
            s=1
        elif [ "$code" -ne 0 ] && [ "$f" -eq 0 ]; then
            f=1
        elif [ $((p + f + s)) -eq 0 ]; then
            f=1 text=" no test ran"
        fi
        ;;
    esac
    [ "$code" -eq 124 ] && text="$text it did not end within $(row_of "$name" 2) s"
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    verdict=ok
    [ "$s" -gt 0 ] && [ "$p" -eq 0 ] && verdict=skipped
    [ "$f" -gt 0 ] && verdict=FAILED
    counts=
    [ "$kind" = stage ] || counts=" ($p passed, $f failed, $s skipped)"
    printf '%-7s %4d s  %-12s %s%s%s\n' "$verdict" "$seconds" "$name" "$(row_of "$name" 5)" \
        "$counts" "$text"
    case $verdict in
    FAILED)
        broken="$broken$name "
        echo "        the end of $log:"
        grep -E '^(FAIL|ERROR|FAILED)|^not ok|: (fatal )?error: ' "$log" | head -n 20 | cut -c 1-200 |
            sed 's/^/        > /'
        tail -n 40 "$log" | cut -c 1-200 | sed 's/^/        | /'
        ;;
    skipped) grep -iE 'skip' "$log" | tail -n 3 | cut -c 1-200 | sed 's/^/        | /' ;;
    esac
}

# Report those that have ended.
collect() {
    before=$running running=
    for name in $before; do
        if kill -0 "$(pid_of "$name")" 2>/dev/null; then
            running="$running $name"
            continue
        fi
        wait "$(pid_of "$name")"
        code=$?
        ended="$ended$name "
        [ ! -t 1 ] || printf '\r\033[K'
        report "$name" "$code"
    done
}

# May it run now? Who measures time has the machine to itself.
may_start() { # name
    need=$(need_of "$1")
    case $ended in *" $need "*) ;; *) [ -z "$need" ] || return 1 ;; esac
    set -- "$1" $running
    case $# in
    1) return 0 ;;
    2) [ "$(row_of "$1" 4)" = beside ] && [ "$(row_of "$2" 4)" = beside ] ;;
    *) return 1 ;;
    esac
}

begin_what_may() {
    left=
    for name in $waiting; do
        need=$(need_of "$name")
        case $broken in *" ${need:-none} "*) skip "$name" "$need"; continue ;; esac
        if may_start "$name"; then start "$name"; else left="$left $name"; fi
    done
    waiting=$left
}

waiting=
for name in $(stages | cut -d ' ' -f 1); do
    case " $wanted " in
    "  " | *" $name "*) waiting="$waiting $name" ;;
    esac
done
begin_what_may
while [ -n "$running$waiting" ]; do
    [ ! -t 1 ] || printf '\r\033[K        %4d s %s ' $(($(date +%s) - began)) "$running"
    sleep 0.3
    collect
    begin_what_may
done
[ ! -t 1 ] || printf '\r\033[K'

rm -rf "$tmp"
if [ "$failed" -eq 0 ] && [ -z "${CHECK_KEEP-}" ]; then
    chmod -R u+w "$work"
    if [ "$work" = "$top/build-check" ]; then
        find "$work" -mindepth 1 -maxdepth 1 ! -name .lock -exec rm -rf {} +
    else
        rm -rf "$work"
    fi
    rm -rf "$logs"
else
    echo "builds: $work"
fi
finish
