#!/usr/bin/env bash
# The main job, from five languages: pull an image, put a layer on it, change its config, push it.
# Run by `make demo`, which has built the library; needs only the toolchains (cargo, cc, c++, go, python3).
set -euo pipefail
cd "$(dirname "$0")/.."
OUT=${OUT:-$PWD/target/release}
export LD_LIBRARY_PATH=$OUT${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} PKG_CONFIG_PATH=$OUT/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
work=$(mktemp -d)
server=
finish() {
    [ -z "$server" ] || { kill "$server" 2>/dev/null && wait "$server" 2>/dev/null; } || true
    rm -rf "$work"
}
trap finish EXIT
say() { printf '\n== %s\n' "$*"; }

say "the examples are built: C, C++, Go (Rust's came with the library, Python needs none)"
make -s -C examples BUILD="$work/bin"
(cd examples/go && go build -o "$work/bin/derive-go" .)
export PARB_LIBRARY=$OUT/libparbuckle.so PYTHONPATH=$PWD/bindings/python/src PYTHONDONTWRITEBYTECODE=1

say "a registry of our own comes up, with its store on disk"
"$OUT/parb" registry serve --address 127.0.0.1:0 --disk "$work/store" --url-file "$work/url" --log "$work/log" 2>"$work/serve" &
server=$!
for _ in $(seq 100); do [ -s "$work/url" ] && break; sleep 0.05; done
url=$(cat "$work/url"); registry=${url#http://}
echo "$url"

say "two base images are made from files that are here: a small one, and one of three layers"
goroot=$(go env GOROOT)
toolchain=$(rustc --print sysroot)
gcc_files=$(dirname "$(dirname "$(dirname "$(cc -print-libgcc-file-name)")")")
base() { # NAME DIR…: an image with a layer of each directory
    local name=$1 layers=(); shift
    for dir; do layers+=(-f "$dir"); done
    "$OUT/parb" append --oci-empty-base "${layers[@]}" -t "$registry/base:$name" 2>/dev/null >/dev/null
    "$OUT/parb" mutate --set-platform linux/amd64 --label org.example.base="$name" "$registry/base:$name"
}
base small "$goroot/lib"
base big "$toolchain/bin" "$goroot/src" "$gcc_files"
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 --mode=u=rwX,go=rX -cf "$work/app.tar" --transform 's,^,app/,' LICENSE examples/demo.sh

for size in small big; do
    say "each language changes base:$size"
    for language in c c++ go python rust; do
        case $language in
            c) run=("$work/bin/derive-c") ;;
            c++) run=("$work/bin/derive-cpp") ;;
            go) run=("$work/bin/derive-go") ;;
            python) run=(python3 examples/python/derive.py) ;;
            rust) run=("$OUT/examples/derive") ;;
        esac
        "${run[@]}" "$registry/base:$size" "$registry/$size/${language/c++/cpp}:1" "$work/app.tar" | tee -a "$work/$size"
    done
    digests=$(sed -nE 's/^(c|c\+\+|go|python|rust) (sha256:[0-9a-f]{64})$/\2/p' "$work/$size")
    [ "$(wc -l <<<"$digests")" = 5 ] && [ "$(sort -u <<<"$digests" | wc -l)" = 1 ] || { echo "the digests differ" >&2; exit 1; }
    for image in c cpp go python rust; do
        pushed=$("$OUT/parb" digest "$registry/$size/$image:1")
        [ "$pushed" = "$(head -n 1 <<<"$digests")" ] || { echo "the registry has another $image:1" >&2; exit 1; }
    done
    echo "all five pushed the same digest"
done

say "what the registry saw"
for agent in example-c example-c++ example-go example-python example-rust; do
    lines=$(grep -F "\"user_agent\":\"$agent parbuckle/" "$work/log") || { echo "nothing from $agent" >&2; exit 1; }
    pulls=$(grep -c '"method":"GET","path":"/v2/base/manifests/' <<<"$lines") || true
    pushes=$(grep -E '"method":"PUT","path":"/v2/(small|big)/[a-z]*/manifests/1"' <<<"$lines" | grep -c '"status":201') || true
    printf '%-16s %3d requests, %d pulls, %d pushes\n' "$agent" "$(wc -l <<<"$lines")" "$pulls" "$pushes"
    [ "$pulls" -ge 2 ] && [ "$pushes" -ge 2 ] || { echo "$agent did not pull and push both images" >&2; exit 1; }
done

say "the same in one C program, which runs the registry itself"
"$work/bin/inprocess-c"
