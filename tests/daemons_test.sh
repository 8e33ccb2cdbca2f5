#!/usr/bin/env bash
# tests/daemons_test.sh [plain|asan|valgrind] [MEBIBYTES]: the C test of daemons against dockerd and podman's service,
# which it starts and stops (tests/daemons.sh says what is missing).
# The library and parb are in $OUT. MEBIBYTES is the size of the large layer: 1024, or 64 where memory is not measured.
set -euo pipefail
cd "$(dirname "$0")/.."
mode=${1:-plain}
: "${OUT:?the directory of libparbuckle.so and parb}"
export LD_LIBRARY_PATH=$OUT${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
unset DOCKER_HOST DOCKER_API_VERSION DOCKER_TLS_VERIFY DOCKER_CERT_PATH DOCKER_CONFIG
work=$(mktemp -d)
server=
cleanup() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    tests/daemons.sh stop "$work/d" || true
    rm -rf "$work"
}
trap cleanup EXIT

flags=(-std=gnu11 -g -O1 -Wall -Wextra -Wpedantic -Wno-clobbered -Werror -Iinclude)
under=() mebibytes=64
case $mode in
plain) mebibytes=1024 ;;
asan)
    flags+=(-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
    export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 PARB_MEMORY_UNCHECKED=1
    ;;
valgrind)
    under=(valgrind -q --fair-sched=yes --leak-check=full --show-leak-kinds=definite,possible
        --errors-for-leak-kinds=definite,possible --error-exitcode=9)
    export PARB_MEMORY_UNCHECKED=1
    mebibytes=16
    ;;
*)
    echo "usage: tests/daemons_test.sh [plain|asan|valgrind] [MEBIBYTES]" >&2
    exit 2
    ;;
esac
mebibytes=${2:-$mebibytes}

exports=$(tests/daemons.sh start "$work/d")
eval "$exports"
"$OUT/parb" registry serve --disk "$work/registry" --url-file "$work/url" 2>"$work/server.log" &
server=$!
for _ in $(seq 100); do [ -s "$work/url" ] || sleep 0.1; done
registry=$(sed 's|.*//||' "$work/url")

${CC:-gcc} "${flags[@]}" tests/c/daemon.c -o "$work/daemon" -L"$OUT" -lparbuckle -pthread
failed=()
for host in "$PARB_TEST_DOCKERD" "$PARB_TEST_PODMAN"; do
    echo "-- $mode daemon $host"
    "${under[@]}" "$work/daemon" "$host" "$registry" "$mebibytes" || failed+=("$host ($?)")
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "FAILED: ${failed[*]}"
    tail -n 5 "$work/d"/*.log
    exit 1
fi
echo "daemons: all passed ($mode)"
