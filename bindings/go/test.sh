#!/usr/bin/env bash
# Tests of the Go binding, and builds its example. Wants the library: OUT (its directory), LD_LIBRARY_PATH,
# PKG_CONFIG_PATH. The error scenarios run where PARB_TEST_ANON, _BASIC and _TOKEN are set (tests/registries.sh).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
root=$(cd ../.. && pwd)
if [ -n "${OUT:-}" ]; then
    export LD_LIBRARY_PATH=$OUT${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    export PKG_CONFIG_PATH=$OUT/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
fi
for dir in . "$root/examples/go" "$root/tests/tokenservice"; do
    (
        cd "$dir"
        unformatted=$(gofmt -l .)
        [ -z "$unformatted" ] || { echo "gofmt: $unformatted" >&2; exit 1; }
        go vet ./...
    )
done
# -count=1: what is tested lies outside of what Go's cache looks at.
go test -race -count=1 ./...

# The example, from end to end, against a registry of the parb command.
[ -n "${OUT:-}" ] && [ -x "$OUT/parb" ] || exit 0
work=$(mktemp -d)
server=
finish() {
    [ -z "$server" ] || { kill "$server" && wait "$server"; } 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT
(cd "$root/examples/go" && go build -o "$work/derive" .)
"$OUT/parb" registry serve --address 127.0.0.1:0 --url-file "$work/url" 2>"$work/log" &
server=$!
for ((i = 0; i < 100; i++)); do [ -s "$work/url" ] && break; sleep 0.05; done
registry=$(sed 's,^http://,,' "$work/url")
tar -C "$root" -cf "$work/layer.tar" LICENSE
"$OUT/parb" append --oci-empty-base -f "$work/layer.tar" -t "$registry/base:1" >/dev/null
"$work/derive" "$registry/base:1" "$registry/app:1" "$work/layer.tar" | tee "$work/out"
[ "$(tail -n 1 "$work/out")" = "go $("$OUT/parb" digest "$registry/app:1")" ]
