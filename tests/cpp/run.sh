#!/usr/bin/env bash
# tests/cpp/run.sh [plain|asan|valgrind]: compiles parbuckle.hpp in every way it promises, and runs the C++ tests.
set -euo pipefail
cd "$(dirname "$0")/../.."
mode=${1:-plain}
: "${OUT:?the directory of libparbuckle.so}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LD_LIBRARY_PATH=$OUT${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
unset TMPDIR
warnings=(-Wall -Wextra -Wpedantic -Wshadow -Werror)
flags=(-std=c++17 -g -O1 "${warnings[@]}" -Iinclude)
under=()
case $mode in
plain)
    printf '#include <parbuckle.hpp>\n#include <parbuckle.hpp>\nint f() { return 0; }\n' >"$work/a.cpp"
    printf '#include <parbuckle.hpp>\nint f();\nint main() { return f() + !parbuckle::is_new_enough(); }\n' >"$work/b.cpp"
    for compiler in g++ clang++; do
        command -v $compiler >/dev/null || continue
        for standard in 17 20 2b; do
            for rtti in -frtti -fno-rtti; do
                # Alone, included twice, from two files linked together.
                $compiler -std=c++$standard $rtti "${warnings[@]}" -Iinclude "$work/a.cpp" "$work/b.cpp" -o "$work/header" \
                    -L"$OUT" -lparbuckle -pthread
                "$work/header"
                $compiler -std=c++$standard $rtti "${warnings[@]}" -Iinclude -fsyntax-only tests/cpp/binding.cpp
                echo "ok     $compiler -std=c++$standard $rtti"
            done
        done
        $compiler -std=c++2b -fno-rtti "${warnings[@]}" -Iinclude -fsyntax-only tests/cpp/{media,changes}.cpp
        for header in include/parbuckle/*.hpp; do # each by itself
            printf '#include <%s>\n' "${header#include/}" | $compiler -std=c++17 "${warnings[@]}" -Iinclude -fsyntax-only -x c++ -
        done
    done
    ;;
asan)
    flags+=(-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
    export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
    ;;
valgrind)
    under=(valgrind -q --fair-sched=yes --leak-check=full --show-leak-kinds=definite,possible
        --errors-for-leak-kinds=definite,possible --error-exitcode=9)
    export PARB_UNDER_VALGRIND=1
    ;;
*)
    echo "usage: tests/cpp/run.sh [plain|asan|valgrind]" >&2
    exit 2
    ;;
esac

failed=()
run() { # NAME ARGUMENT…
    local name=$1
    shift
    echo "-- $mode $name $*"
    ${CXX:-g++} "${flags[@]}" "tests/cpp/$name.cpp" -o "$work/$name" -L"$OUT" -lparbuckle -pthread
    [ "$mode" != asan ] || grep -q __asan_init "$work/$name"
    "${under[@]}" "$work/$name" "$@" || failed+=("$name ($?)")
}

run binding
run media
run changes
if [ -n "${PARB_TEST_ANON:-}" ] && [ -f tests/scenarios/errors.tsv ]; then
    run scenarios tests/scenarios/errors.tsv
else
    echo "-- scenarios left out: no registries (tests/registries.sh) or no tests/scenarios/errors.tsv"
fi
if [ ${#failed[@]} -gt 0 ]; then
    echo "FAILED: ${failed[*]}"
    exit 1
fi
echo "all C++ tests passed ($mode)"
