#!/bin/sh
# quickstart.sh - from a bare Debian machine to a finished price validation:
#
#   sh contrib/quickstart.sh           installs what is missing, builds, runs one job, stops
#   sh contrib/quickstart.sh --serve   the same, and the daemon stays until Ctrl-C
#
# Builds in ./build-quickstart and keeps its table in ./var/table; nothing else is touched but,
# with apt-get, the packages it names. A second run uses both again.
set -u

packages="build-essential autoconf automake libtool pkg-config liblmdb-dev libh2o-evloop-dev
    libssl-dev zlib1g-dev libjansson-dev libconfuse-dev libcsv-dev libcurl4-openssl-dev curl jq"

serve=
case ${1-} in
"") ;;
--serve) serve=yes ;;
*)
    echo "usage: sh contrib/quickstart.sh [--serve]" >&2
    exit 2
    ;;
esac

die() {
    echo "quickstart.sh: $1" >&2
    exit 1
}

top=$(cd "$(dirname "$0")/.." && pwd) || die "cannot enter the tree"
build=$top/build-quickstart
var=$top/var
log=$build/quickstart.log
daemon=
ticker=

# step TEXT COMMAND...: run it with its output in the log and, on a terminal, the seconds it takes
step() {
    text=$1
    shift
    start=$(date +%s)
    "$@" >>"$log" 2>&1 </dev/null &
    ticker=$!
    if [ -t 1 ]; then
        while kill -0 "$ticker" 2>/dev/null; do
            printf '\r%s ... %d s ' "$text" $(($(date +%s) - start))
            sleep 0.3
        done
        printf '\r\033[K'
    fi
    wait "$ticker"
    code=$?
    ticker=
    [ $code -eq 0 ] && echo "$text: $(($(date +%s) - start)) s"
    return $code
}

failed() { # what
    tail -n 30 "$log" | cut -c 1-200 | sed 's/^/    | /'
    die "$1 failed; all of it is in $log"
}

leave() {
    code=$?
    trap - EXIT INT TERM HUP
    [ -z "$ticker" ] || kill "$ticker" 2>/dev/null
    if [ -n "$daemon" ] && kill "$daemon" 2>/dev/null; then
        wait "$daemon"
        echo "jobtabd is stopped; its table is in $var/table"
    fi
    # What sudo made belongs to who called it, so that the next run may do without.
    if [ -n "${SUDO_UID-}" ] && [ -n "${SUDO_GID-}" ] && [ "$(id -u)" -eq 0 ]; then
        chown -R "$SUDO_UID:$SUDO_GID" "$build" "$var" 2>/dev/null
    fi
    exit "$code"
}
trap leave EXIT
trap 'exit 130' INT TERM HUP

for folder in "$build" "$var"; do
    mkdir -p "$folder" 2>/dev/null && [ -w "$folder" ] ||
        die "cannot write in $folder; an earlier run by root may have made it: sudo rm -rf $folder"
done
exec 9>"$var/quickstart.lock" || die "cannot write $var/quickstart.lock"
flock -n 9 || die "another quickstart is using $var (its --serve?); stop it first"
: >"$log" || die "cannot write $log"

# ---------------------------------------------------------------- packages

install() {
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive timeout 600 apt-get -o DPkg::Lock::Timeout=120 \
        -y -q --no-install-recommends install $missing
}
install_with_update() {
    # The list of packages may be old or, in a fresh container, not there.
    install || { $as_root timeout 300 apt-get -q update && install; }
}

if command -v apt-get >/dev/null 2>&1 && command -v dpkg-query >/dev/null 2>&1; then
    missing=
    for package in $packages; do
        dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q ' installed$' ||
            missing="$missing $package"
    done
    if [ -n "$missing" ]; then
        as_root=
        if [ "$(id -u)" -ne 0 ]; then
            command -v sudo >/dev/null 2>&1 ||
                die "packages are missing, and I am not root: apt-get install$missing"
            as_root=sudo
            sudo -v || die "packages are missing, and sudo refuses: apt-get install$missing"
        fi
        echo "installing:$missing"
        step "packages" install_with_update || failed "apt-get"
    fi
else
    echo "no apt-get here: going on with what the machine has"
fi

# ---------------------------------------------------------------- build

files() {
    if git -c safe.directory='*' -C "$top" rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git -c safe.directory='*' -C "$top" ls-files -co --exclude-standard
    else
        (cd "$top" && find configure.ac Makefile.am include src tests contrib conf -type f &&
            ls README.md NEWS NOTICE COPYING)
    fi
}

# The tree is copied, so that a build of yours in it is neither used nor touched. Files keep their
# times: a second run compiles only what changed.
compile() {
    mkdir -p "$build/src" "$build/out" &&
        (cd "$top" && files | while IFS= read -r file; do
            if [ -f "$file" ]; then printf '%s\n' "$file"; fi
        done | tar -cf - --no-recursion -T - | tar -xf - --no-same-owner -C "$build/src") &&
        cd "$build/src" && mkdir -p m4 || return 1
    if [ ! -f configure ] || [ -n "$(find configure.ac Makefile.am src tests -newer configure \
        \( -name configure.ac -o -name Makefile.am -o -name local.mk \))" ]; then
        autoreconf -fi || return 1
    fi
    cd "$build/out" || return 1
    [ config.status -nt ../src/configure ] || ../src/configure -q --disable-shared || return 1
    make "-j$(nproc 2>/dev/null || echo 2)" all
}
compile_anew() {
    rm -rf "$build/src" "$build/out"
    compile
}
[ -d "$build/out" ] && again=yes || again=
step "build" compile || {
    [ -n "$again" ] && step "build from the beginning" compile_anew
} || failed "the build"

# ---------------------------------------------------------------- the daemon

listening() { # port: somebody has it, whatever the address
    hex=$(printf ':%04X' "$1")
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
        awk -v port="$hex" '$4 == "0A" && substr($2, length($2) - 4) == port { n++ } END { exit !n }'
}

start_daemon() {
    conf=$var/jobtabd.conf
    cat >"$conf" <<END
worker_processes = auto
runner_processes = 1
pid_file = "$var/jobtabd.pid"
error_log = "$var/error.log"
default_kind = "validate"

listen "127.0.0.1:$port" { }
table "$var/table" { }
kind "validate" {
    command = {"$build/out/jobtab-validate"}
    table = true
    children = 2
    input_root = "$top/conf/prices"
}
END
    : >"$var/error.log"
    "$build/out/jobtabd" -c "$conf" >>"$log" 2>&1 </dev/null 9>&- &
    daemon=$!
    tries=0
    until curl -fs -o "$var/ready" "$url/readyz" 2>/dev/null; do
        tries=$((tries + 1))
        if ! kill -0 "$daemon" 2>/dev/null || [ $tries -ge 100 ]; then
            kill "$daemon" 2>/dev/null
            wait "$daemon"
            daemon=
            return 1
        fi
        sleep 0.1
    done
    rm -f "$var/ready"
}

port=8080
while :; do
    while listening $port; do port=$((port + 1)); done
    url=http://127.0.0.1:$port
    start_daemon && break
    # Between our look and the daemon's bind another may have taken the port.
    grep -qi 'in use' "$var/error.log" "$log" && [ $port -lt 8180 ] && port=$((port + 1)) && continue
    cat "$var/error.log" >>"$log"
    failed "the start of jobtabd"
done
echo "jobtabd: $url, process $daemon, table $var/table"
echo

# ---------------------------------------------------------------- one job

echo "\$ curl -s -H 'Content-Type: application/json' -d '{\"kind\": \"validate\"}' $url/run"
answer=$(curl -sS -H 'Content-Type: application/json' -d '{"kind": "validate"}' "$url/run") ||
    failed "POST /run"
id=$(printf '%s' "$answer" | jq -r '.job_id // empty')
[ -n "$id" ] || die "POST /run answered: $answer"
printf '%s' "$answer" | jq -c '{job_id, kind, status, progress}'
echo
echo "\$ curl -s $url/status/$id     (again and again)"

shown=
deadline=$(($(date +%s) + 120))
while :; do
    job=$(curl -sS "$url/status/$id") || failed "GET /status"
    line=$(printf '%s' "$job" | jq -r '"\(.progress)|\(.status)|\(.message // "")"')
    percent=${line%%|*}
    rest=${line#*|}
    bar=$(printf '%*s' $((percent / 4)) '' | tr ' ' '#')
    text=$(printf "  [%-25s] %3d %%  %-9s  %s" "$bar" "$percent" "${rest%%|*}" "${rest#*|}")
    if [ "$text" != "$shown" ]; then
        if [ -t 1 ]; then printf '\r\033[K%s' "$text"; else echo "$text"; fi
        shown=$text
    fi
    [ "$(printf '%s' "$job" | jq .done)" = true ] && break
    [ "$(date +%s)" -lt $deadline ] || die "the job did not end within 120 s: $job"
    sleep 0.05
done
[ -t 1 ] && echo
echo

status=$(printf '%s' "$job" | jq -r .status)
if [ "$status" != completed ]; then
    printf '%s' "$job" | jq '{status, reason, error}'
    die "the job ended as $status"
fi
printf '%s' "$job" | jq -r '.result |
    "verdict: \(.verdict). \(.rows) rows of \(.symbols) symbols from \(.sources) sources, " +
    "\(.violations) violations",
    (.by_rule // {} | to_entries | map(select(.value > 0)) | sort_by(-.value)[] |
        "  \(.value | tostring | (" " * (6 - length)) + .)  \(.key)"),
    (if (.examples // [] | length) > 0 then "the first of them:" else empty end),
    (.examples // [] | .[:5][] | "  \(.file):\(.line): \(.text)")'
[ "$(printf '%s' "$job" | jq -r .result.verdict)" = failed ] &&
    echo "(The sample prices have faults on purpose; finding them is what a completed job does.)"

cat <<END

Go on:
  ./conf/prices                               put a CSV of yours here, run this again
  build-quickstart/out/jobtab -d var/table list
  build-quickstart/out/jobtab -d var/table stat
  mdb_stat -a var/table                       the same counts, by LMDB's own tool (lmdb-utils)
  README.md, and man -l src/jobtabd/jobtabd.8
END

if [ -n "$serve" ]; then
    cat <<END

jobtabd serves $url until Ctrl-C. In another terminal:
  curl -s -H 'Content-Type: application/json' -d '{}' $url/run
  curl -s $url/status/$id
  curl -s '$url/jobs?limit=5'
  build-quickstart/out/jobtab -u $url submit -w
END
    wait "$daemon"
    code=$?
    daemon=
    exit $code
fi
