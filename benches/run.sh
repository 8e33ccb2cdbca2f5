#!/usr/bin/env bash
# The workloads beside crane, regctl, skopeo and oras, those of them that are on PATH. Run by `make bench`, which has
# built the release; OUT is the directory of parb. See README.md here, or --help.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export OUT=${OUT:-$here/../target/release}
[ -x "$OUT/parb" ] || { echo "there is no $OUT/parb: make build" >&2; exit 1; }
command -v go >/dev/null && PATH=$PATH:$(go env GOPATH)/bin
command -v docker-registry >/dev/null || { echo "docker-registry is missing: apt-get install docker-registry" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

export MEASURE=$work/measure
"${CC:-cc}" -O2 -Wall -Wextra -o "$MEASURE" "$here/measure.c"
export TMPDIR=${TMPDIR:-/tmp} WORK=$work

# In a network of its own the loopback counter counts this benchmark and nothing else, whoever is busy beside it.
# There, too, skopeo's memory of what it once pushed is out of the way: it would mount instead of pushing.
alone=()
if [ "$(id -u)" = 0 ] && command -v ip >/dev/null && unshare -nm true 2>/dev/null; then
    mkdir -p /var/lib/containers
    alone=(unshare -nm bash -c 'ip link set lo up && mount -t tmpfs none /var/lib/containers && exec "$@"' -)
    export ALONE=1
fi
"${alone[@]}" python3 -B "$here/bench.py" "$@"
