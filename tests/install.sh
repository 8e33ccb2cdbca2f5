#!/usr/bin/env bash
# `make install` below a folder of its own, and programs that find it there: by pkg-config and by CMake, shared and static,
# from C and from C++. Needs the release build that `make build` made.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# What is installed moves as a whole: the prefix is what the files think, DESTDIR is where they are put.
make -s install CARGO=true PREFIX="$work/prefix" >/dev/null
make -s install CARGO=true PREFIX=/usr DESTDIR="$work/staged" >/dev/null
ls "$work/staged/usr/lib/libparbuckle.so.0" "$work/staged/usr/include/parbuckle/image.hpp" "$work/staged/usr/bin/parb" >/dev/null
prefix=$work/prefix
unset LD_LIBRARY_PATH
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
passed=0
ok() { passed=$((passed + 1)); echo "ok     $1"; }

flags="$(pkg-config --cflags parbuckle)"
# shellcheck disable=SC2086,SC2046
{
    cc $flags examples/c/inprocess.c -o "$work/c-shared" $(pkg-config --libs parbuckle) -Wl,-rpath,"$prefix/lib"
    "$work/c-shared" >/dev/null && ok "C by pkg-config, shared"
    cc $flags examples/c/inprocess.c -o "$work/c-static" "$prefix/lib/libparbuckle.a" $(pkg-config --static --libs-only-l parbuckle | sed 's/-lparbuckle//')
    ! ldd "$work/c-static" | grep -q parbuckle
    "$work/c-static" >/dev/null && ok "C by pkg-config, static"
    c++ -std=c++17 $flags -fsyntax-only examples/cpp/*.cpp && ok "C++ by pkg-config"
}
mkdir "$work/cmake"
cat > "$work/cmake/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.16)
project(consumer C CXX)
find_package(parbuckle 0.1 REQUIRED CONFIG)
add_executable(shared $PWD/examples/c/inprocess.c)
target_link_libraries(shared parbuckle::parbuckle)
add_executable(static $PWD/examples/c/inprocess.c)
target_link_libraries(static parbuckle::parbuckle_static)
add_executable(cpp $PWD/examples/cpp/derive.cpp)
set_property(TARGET cpp PROPERTY CXX_STANDARD 17)
target_link_libraries(cpp parbuckle::parbuckle)
CMAKE
cmake -S "$work/cmake" -B "$work/cmake/build" -DCMAKE_PREFIX_PATH="$prefix" >/dev/null
cmake --build "$work/cmake/build" >/dev/null
for kind in shared static; do "$work/cmake/build/$kind" >/dev/null && ok "C by CMake, $kind"; done
[ -x "$work/cmake/build/cpp" ] && ok "C++ by CMake"
"$prefix/bin/parb" --version >/dev/null && ok "parb"
make -s uninstall PREFIX="$prefix" >/dev/null
[ -z "$(find "$prefix" -type f)" ] && ok "uninstall leaves no file"
echo "$passed passed, 0 failed"
