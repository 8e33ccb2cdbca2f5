#!/usr/bin/env bash
# tests/c/run.sh [plain|asan|valgrind] [TEST…]: builds the C tests against the library in $OUT and runs them.
# With PARB_TEST_ANON and so on (tests/registries.sh) the scenarios run, too.
set -euo pipefail
cd "$(dirname "$0")/../.."
mode=${1:-plain}
shift || true
: "${OUT:?the directory of libparbuckle.so and parb}"
work=$(mktemp -d)
server=
cleanup() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
export LD_LIBRARY_PATH=$OUT${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
unset TMPDIR

flags=(-std=gnu11 -g -O1 -Wall -Wextra -Wpedantic -Wno-clobbered -Werror -Iinclude)
under=()
moments=1000 late=2 clients=1000 mebibytes=1024
case $mode in
plain) ;;
asan)
    flags+=(-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
    export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1
    moments=300 clients=200 mebibytes=64
    ;;
valgrind)
    under=(valgrind -q --fair-sched=yes --child-silent-after-fork=yes --leak-check=full
        --show-leak-kinds=definite,possible --errors-for-leak-kinds=definite,possible --error-exitcode=9)
    export PARB_UNDER_VALGRIND=1
    moments=200 late=20 clients=50 mebibytes=16
    ;;
*)
    echo "usage: tests/c/run.sh [plain|asan|valgrind] [TEST…]" >&2
    exit 2
    ;;
esac

failed=()
wanted=" $* "
run() { # NAME ARGUMENT…
    local name=$1
    shift
    [ "$wanted" = "  " ] || [[ $wanted == *" $name "* ]] || return 0
    echo "-- $mode $name $*"
    local link=(-L"$OUT" -lparbuckle)
    [ "$name" = dlopen ] && link=(-ldl)
    ${CC:-gcc} "${flags[@]}" "tests/c/$name.c" -o "$work/$name" "${link[@]}" -pthread
    # A checker that is not there finds nothing.
    [ "$mode" != asan ] || grep -q __asan_init "$work/$name"
    "${under[@]}" "$work/$name" "$@" || failed+=("$name ($?)")
}

run values
run source
run layout
run estargz
# The sanitizer's and valgrind's own memory count as the program's: only the plain run is held to the limit.
PARB_MEMORY_UNCHECKED=${mode#plain} run mutate "$((mebibytes / 8))"
run async
run parts
if [ "$mode" = valgrind ]; then run faults few; else run faults; fi
run filesystem
run cancel "$moments" "$late"
run process "$clients"
run jobs
# The sanitizer's and valgrind's own memory count as the program's: only the plain run is held to the limit.
PARB_MEMORY_UNCHECKED=${mode#plain} run archive "$mebibytes"
run dlopen "$OUT/libparbuckle.so"

if [ "$wanted" = "  " ] || [[ $wanted == *" stream "* ]]; then
    "$OUT/parb" registry serve --disk "$work/registry" --url-file "$work/url" 2>"$work/server.log" &
    server=$!
    for _ in $(seq 100); do [ -s "$work/url" ] || sleep 0.1; done
    PARB_MEMORY_UNCHECKED=${mode#plain} run stream "$(sed 's|.*//||' "$work/url")" "$mebibytes"
fi
if [ -n "${PARB_TEST_ANON:-}" ] && [ -f tests/scenarios/errors.tsv ]; then
    run scenarios tests/scenarios/errors.tsv
else
    echo "-- scenarios left out: no registries (tests/registries.sh) or no tests/scenarios/errors.tsv"
fi

if [ ${#failed[@]} -gt 0 ]; then
    echo "FAILED: ${failed[*]}"
    exit 1
fi
echo "all C tests passed ($mode)"
