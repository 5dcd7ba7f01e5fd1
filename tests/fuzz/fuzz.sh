#!/bin/sh
# fuzz.sh - every parser of bytes that are not ours, under libFuzzer with ASan and UBSan.
#
#   fuzz.sh SRCDIR BUILDDIR short|long [TARGET...]
#
# Each target starts from its corpus in tests/fuzz/corpus, as many at once as there are processors.
# `short` makes the executions that the table says, `long` a hundred times as many, each within four
# hours; who sets FUZZ_SECONDS instead is content with what is done by then. The controls, a decoder
# known to be unsound and one that leaks, must be caught, or nothing that the others say counts. A
# finding's input is kept in BUILDDIR/fuzz. The target `http` is
# fuzz_http.py, on the jobtabd in BUILDDIR; without clang it is the only one.
set -u

# target | executions of the short form, in thousands | longest input
#        | sources besides fuzz_TARGET.c, from src/ | libraries
# The slow ones first, so that they do not end alone.
targets() {
    cat <<'END'
conf        | 1000 | 1024 | jobtabd/conf.c jobtabd/conf_rows.c jobtabd/conf_check.c jobtabd/conf_print.c jobtabd/conf_syntax.c jobtabd/listen.c jobtabd/tls.c common/units.c | -lconfuse -lssl -lcrypto
csv         | 1000 | 1024 | validate/reader.c validate/scan.c validate/fault.c | -lcsv -lm
report_line | 1000 | 1280 | jobtabd/report_line.c jobtabd/text.c |
record      | 1000 | 1024 | lib/record.c lib/record_lists.c lib/record_image.c lib/error.c | -ltpl
body        | 1000 | 4096 | jobtabd/http/body.c common/json_scan.c common/units.c | -ljansson -lm
json        | 1000 | 4096 | common/json_scan.c | -ljansson
cursor      | 1000 | 1024 | jobtabd/http/page.c jobtabd/http/query.c lib/id.c lib/state.c lib/error.c lib/clock.c |
import      | 100  | 2048 | jobtab/base64.c jobtab/mapping.c jobtab/moved.c jobtab/making_fields.c jobtab/making_parts.c jobtab/row.c jobtab/when.c lib/json.c lib/id.c lib/clock.c lib/state.c lib/error.c common/json_scan.c common/units.c | -ljansson -lm
output      | 100  | 4096 | jobtabd/ending.c jobtabd/text.c lib/json.c lib/id.c lib/clock.c lib/state.c lib/error.c common/json_scan.c | -ljansson
params      | 100  | 4096 | validate/params.c validate/fault.c common/units.c | -ljansson -lm
parcel      | 100  | 4096 | lib/parcel.c lib/queue.c lib/turn.c lib/futex.c lib/clock.c lib/id.c lib/error.c |
head        | 100  | 4096 | jobtabd/http/guard.c jobtabd/http/etag.c jobtabd/http/query.c jobtabd/http/route.c |
units       | 100  | 64   | common/units.c |
id          | 100  | 64   | lib/id.c lib/error.c lib/clock.c |
control     | 100  | 256  | |
control_leak | 100 | 256  | |
END
}

if [ "$1" = --one ]; then
    one=$2
    shift 2
else
    one=
fi
srcdir=$1 builddir=$2 form=$3
shift 3
case $form in
short) times=1 http_seconds=6 ;;
long) times=100 http_seconds=600 ;;
*) echo "usage: fuzz.sh SRCDIR BUILDDIR short|long [TARGET...]" >&2; exit 2 ;;
esac
: "${FUZZ_CC:=clang}"
seconds=${FUZZ_SECONDS:-14400}
out=$builddir/fuzz
mkdir -p "$out"

# ---------------------------------------------------------------- one target, in a process of its own

flags="-std=gnu11 -g -O2 -fno-omit-frame-pointer -D_GNU_SOURCE -DH2O_USE_LIBUV=0
    -fsanitize=fuzzer,address,undefined,float-cast-overflow -fno-sanitize-recover=all
    -Werror=implicit-function-declaration
    -I$builddir -I$srcdir/include -I$srcdir/src/common -I$srcdir/src/jobtabd -I$srcdir/src/lib
    -I$srcdir/src/jobtabd/http -I$srcdir/src/jobtab -I$srcdir/src/validate -I$srcdir/tests/fuzz"
# Hardly a stack of an allocation (of one frame, LSan would let the leak go), and a quarantine that
# fits the processor's cache and still holds what many executions freed: a third faster. A finding is
# run once more with whole stacks.
export ASAN_OPTIONS=abort_on_error=0:detect_leaks=1:malloc_context_size=2:quarantine_size_mb=1
export UBSAN_OPTIONS=print_stacktrace=1

build() { # target, sources, libraries
    sources=
    for file in $2; do sources="$sources $srcdir/src/$file"; done
    # shellcheck disable=SC2086
    $FUZZ_CC $flags -o "$out/$1" "$srcdir/tests/fuzz/fuzz_$1.c" $sources $3 >"$out/$1.build" 2>&1 ||
        { echo "FAIL: fuzz $1 does not compile:"; cat "$out/$1.build"; return 1; }
}

run() { # target, executions, longest input; what `long` learns stays in $out/TARGET.new for the next time
    [ "$form" = long ] || rm -rf "$out/$1.new"
    mkdir -p "$out/$1.new"
    dict=
    [ -f "$srcdir/tests/fuzz/$1.dict" ] && dict=-dict=$srcdir/tests/fuzz/$1.dict
    corpus=
    [ -d "$srcdir/tests/fuzz/corpus/$1" ] && corpus=$srcdir/tests/fuzz/corpus/$1
    # shellcheck disable=SC2086
    "$out/$1" -runs="$2" -max_total_time="$seconds" -max_len="$3" -timeout=10 \
        -rss_limit_mb=2048 -print_final_stats=1 $dict \
        -artifact_prefix="$out/$1-" "$out/$1.new" $corpus >"$out/$1.out" 2>&1
}

again() { # target; its finding once more, with all that ASan has to say
    input=$(sed -n 's/.*Test unit written to //p' "$out/$1.out" | tail -n 1)
    [ -z "$input" ] || ASAN_OPTIONS=detect_leaks=1 "$out/$1" -timeout=10 -rss_limit_mb=2048 \
        "$input" >"$out/$1.again" 2>&1
}

executions() { sed -n 's/^stat::number_of_executed_units: *//p' "$out/$1.out"; }

fuzz() { # target
    IFS='|' read -r _ thousands longest sources libraries <<END
$(targets | grep "^$1 ")
END
    build "$1" "$sources" "$libraries" || return
    wanted=$((thousands * 1000 * times))
    run "$1" $wanted "$(echo $longest)"
    code=$? done=$(executions "$1")
    case $1 in
    control) caught='ERROR: AddressSanitizer' ;;
    control_leak) caught='ERROR: LeakSanitizer' ;;
    *) caught= ;;
    esac
    if [ -n "$caught" ]; then # must be
        if [ $code -ne 0 ] && grep -q "$caught" "$out/$1.out"; then
            echo "PASS: fuzz $1: caught, as it must be"
            rm -f "$out/$1"-*
        else
            echo "FAIL: fuzz $1: what is unsound in it was not caught, see $out/$1.out"
        fi
    elif [ $code -eq 0 ] && [ "${done:-0}" -ge $wanted ]; then
        echo "PASS: fuzz $1: $done executions"
    elif [ $code -eq 0 ]; then
        verdict=FAIL
        [ -z "${FUZZ_SECONDS:-}" ] || verdict=PASS
        echo "$verdict: fuzz $1: ${done:-0} of $wanted executions within $seconds s"
    else
        echo "FAIL: fuzz $1, input in $out/$1-*, see $out/$1.again:"
        again "$1"
        grep -m 12 'does not hold\|ERROR:\|runtime error:\|^    #[0-9]' "$out/$1.out"
    fi
}

if [ -n "$one" ]; then
    fuzz "$one" >"$out/$one.result"
    cat "$out/$one.result"
    exit
fi

# ---------------------------------------------------------------- all of them

[ $# -gt 0 ] || set -- $(targets | cut -d ' ' -f 1) http
libfuzzer=
if echo 'int LLVMFuzzerTestOneInput(const char *d, long n); int
        LLVMFuzzerTestOneInput(const char *d, long n) { return d && n ? 0 : 0; }' |
    $FUZZ_CC -fsanitize=fuzzer,address,undefined -x c - -o /dev/null 2>/dev/null; then
    libfuzzer=yes
else
    echo "SKIP: fuzz: $FUZZ_CC with -fsanitize=fuzzer is missing: apt-get install clang"
fi
rm -f "$out"/*.result
for target; do
    [ "$target" = http ] || [ -z "$libfuzzer" ] || echo "$target"
done | xargs -r -P "$(nproc 2>/dev/null || echo 2)" -I '{}' \
    sh "$0" --one '{}' "$srcdir" "$builddir" "$form"

case " $* " in
*" http "*)
    python3 "$srcdir/tests/fuzz/fuzz_http.py" "$builddir" $http_seconds >"$out/http.result" 2>&1
    code=$?
    [ $code -eq 0 ] || grep -q '^FAIL: ' "$out/http.result" ||
        echo "FAIL: fuzz http: exit $code" >>"$out/http.result"
    cat "$out/http.result"
    ;;
esac
passed=$(cat "$out"/*.result | grep -c '^PASS: ') failed=$(cat "$out"/*.result | grep -c '^FAIL: ')
echo "fuzz: $passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
