#!/bin/sh
# fuzz.sh - every parser of bytes that are not ours, under libFuzzer with ASan and UBSan.
#
#   fuzz.sh SRCDIR BUILDDIR short|long [TARGET...]
#
# Each target starts from its corpus in tests/fuzz/corpus. `short` stops a target at 100,000 inputs
# or 6 seconds, `long` runs each for ten minutes. The control, a decoder known to be unsound, must be
# caught, or nothing that the others say counts. A finding's input is kept in BUILDDIR/fuzz. The target
# `http` is fuzz_http.py, on the jobtabd in BUILDDIR; without clang it is the only one.
set -u

srcdir=$1 builddir=$2 form=$3
shift 3
wanted=" $* "
case $form in
short) bounds="-runs=100000 -max_total_time=6" http_seconds=6 ;;
long) bounds="-max_total_time=600" http_seconds=600 ;;
*) echo "usage: fuzz.sh SRCDIR BUILDDIR short|long [TARGET...]" >&2; exit 2 ;;
esac
# target | longest input | sources besides fuzz_TARGET.c, from src/ | libraries
targets() {
    cat <<'END'
control     | 256  | |
id          | 64   | lib/id.c lib/error.c lib/clock.c |
record      | 1024 | lib/record.c lib/error.c | -ltpl
parcel      | 4096 | lib/parcel.c lib/queue.c lib/turn.c lib/futex.c lib/clock.c lib/id.c lib/error.c |
report_line | 4096 | jobtabd/report_line.c jobtabd/text.c |
json        | 4096 | common/json_scan.c | -ljansson
body        | 4096 | jobtabd/http/body.c common/json_scan.c common/units.c | -ljansson -lm
head        | 4096 | jobtabd/http/guard.c jobtabd/http/etag.c jobtabd/http/query.c jobtabd/http/route.c |
csv         | 4096 | validate/reader.c validate/scan.c validate/fault.c | -lcsv -lm
conf        | 4096 | jobtabd/conf.c jobtabd/conf_rows.c jobtabd/conf_check.c jobtabd/conf_print.c jobtabd/conf_syntax.c jobtabd/listen.c jobtabd/tls.c common/units.c | -lconfuse -lssl -lcrypto
params      | 4096 | validate/params.c validate/fault.c common/units.c | -ljansson -lm
output      | 4096 | jobtabd/ending.c jobtabd/text.c lib/json.c lib/id.c lib/clock.c lib/state.c lib/error.c common/json_scan.c | -ljansson
units       | 64   | common/units.c |
END
}

out=$builddir/fuzz
mkdir -p "$out"
flags="-std=gnu11 -g -O1 -fno-omit-frame-pointer -D_GNU_SOURCE -DH2O_USE_LIBUV=0
    -fsanitize=fuzzer,address,undefined,float-cast-overflow -fno-sanitize-recover=all
    -I$builddir -I$srcdir/include -I$srcdir/src/common -I$srcdir/src/lib -I$srcdir/src/jobtabd
    -I$srcdir/src/jobtabd/http -I$srcdir/src/validate -I$srcdir/tests/fuzz"
export ASAN_OPTIONS=abort_on_error=0:detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1

build() { # target, sources, libraries
    sources=
    for one in $2; do sources="$sources $srcdir/src/$one"; done
    # shellcheck disable=SC2086
    $FUZZ_CC $flags -o "$out/$1" "$srcdir/tests/fuzz/fuzz_$1.c" $sources $3 >"$out/$1.build" 2>&1 ||
        { echo "FAIL: fuzz $1 does not compile:"; cat "$out/$1.build"; return 1; }
}

run() { # target, longest input; what `long` learns stays in $out/TARGET.new for the next time
    [ "$form" = long ] || rm -rf "$out/$1.new"
    mkdir -p "$out/$1.new"
    dict=
    [ -f "$srcdir/tests/fuzz/$1.dict" ] && dict=-dict=$srcdir/tests/fuzz/$1.dict
    corpus=
    [ -d "$srcdir/tests/fuzz/corpus/$1" ] && corpus=$srcdir/tests/fuzz/corpus/$1
    # shellcheck disable=SC2086
    "$out/$1" $bounds -max_len="$2" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 $dict \
        -artifact_prefix="$out/$1-" "$out/$1.new" $corpus >"$out/$1.out" 2>&1
}

inputs() { sed -n 's/^stat::number_of_executed_units: *//p' "$out/$1.out"; }

passed=0 failed=0
: "${FUZZ_CC:=clang}"
if echo 'int LLVMFuzzerTestOneInput(const char *d, long n); int
        LLVMFuzzerTestOneInput(const char *d, long n) { return d && n ? 0 : 0; }' |
    $FUZZ_CC -fsanitize=fuzzer,address,undefined -x c - -o /dev/null 2>/dev/null; then
    targets >"$out/targets"
else
    echo "SKIP: fuzz: $FUZZ_CC with -fsanitize=fuzzer is missing: apt-get install clang"
    : >"$out/targets"
fi
while IFS='|' read -r name longest sources libraries; do
    name=$(echo $name)
    case "$wanted" in "  " | *" $name "*) ;; *) continue ;; esac
    if ! build "$name" "$sources" "$libraries"; then
        failed=$((failed + 1))
        continue
    fi
    run "$name" "$(echo $longest)"
    code=$?
    if [ "${name#control}" != "$name" ]; then # must be caught
        if [ $code -ne 0 ] && grep -q 'ERROR: AddressSanitizer\|runtime error:' "$out/$name.out"; then
            echo "PASS: fuzz $name: caught, as it must be"
            rm -f "$out/$name"-*
            passed=$((passed + 1))
        else
            echo "FAIL: fuzz $name: an unsound decoder was not caught, see $out/$name.out"
            failed=$((failed + 1))
        fi
    elif [ $code -eq 0 ]; then
        echo "PASS: fuzz $name: $(inputs "$name") inputs"
        passed=$((passed + 1))
    else
        echo "FAIL: fuzz $name, input in $out/$name-*:"
        grep -m 12 'does not hold\|ERROR:\|runtime error:\|^    #[0-9]' "$out/$name.out"
        failed=$((failed + 1))
    fi
done <"$out/targets"

case "$wanted" in
"  " | *" http "*)
    python3 "$srcdir/tests/fuzz/fuzz_http.py" "$builddir" $http_seconds >"$out/http.out" 2>&1
    code=$?
    cat "$out/http.out"
    p=$(grep -c '^PASS: ' "$out/http.out") f=$(grep -c '^FAIL: ' "$out/http.out")
    [ $code -eq 0 ] || [ "$f" -gt 0 ] || { echo "FAIL: fuzz http: exit $code"; f=1; }
    passed=$((passed + p)) failed=$((failed + f))
    ;;
esac
echo "fuzz: $passed passed, $failed failed"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
