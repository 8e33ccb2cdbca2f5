#!/usr/bin/env bash
# Layers with a table of contents, against the libraries of the container engines (tests/estargz): what parb writes is
# eStargz to them, file by file and digest by digest; what they write as eStargz and zstd:chunked is read by us in
# parts; and skopeo and crane take it all for what they know.
# Needs PARB_TEST_ANON (tests/registries.sh), crane, skopeo and go.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${OUT:-$PWD/target/release}
parb=$out/parb
registry=$PARB_TEST_ANON
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
check() { # NAME COMMAND…
    local name=$1
    shift
    if "$@" >"$work/out" 2>&1; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        echo "FAILED: $name"
        sed 's/^/    /' "$work/out" | tail -n 20
    fi
}
same() { [ "$1" = "$2" ] || { echo "$1 is not $2"; return 1; }; }
(cd tests/estargz && CGO_ENABLED=0 go build -o "$work/estargz" .)
${CC:-gcc} -std=gnu11 -O1 -Iinclude tests/c/estargz.c -o "$work/read" -L"$out" -lparbuckle -pthread

# Everything that a layer may have.
tree=$work/tree
mkdir -p "$tree/etc" "$tree/usr/bin" "$tree/empty" "$tree/var/$(printf 'long%.0s' $(seq 40))"
cp Cargo.toml README.md Cargo.lock "$tree/etc/"
: > "$tree/etc/nothing"
ln -s ../../etc/README.md "$tree/usr/bin/link"
ln "$tree/etc/Cargo.toml" "$tree/usr/bin/hard"
mkfifo "$tree/pipe"
cp README.md "$tree/var/$(printf 'long%.0s' $(seq 40))/$(printf 'n%.0s' $(seq 120))"
head -c 9000001 /dev/urandom > "$tree/usr/random"
head -c $((4 << 20)) /dev/urandom > "$tree/usr/exact"
head -c $((8 << 20)) /dev/zero > "$tree/usr/zeros"
(cat "$tree/usr/exact"; head -c 3000000 /dev/zero; cat "$tree/usr/random") > "$tree/usr/holes"
chmod 4755 "$tree/etc/README.md"
tar -C "$tree" --sort=name --owner=root:0 --group=wheel:10 --format=pax --xattrs --pax-option='SCHILY.xattr.user.note:=yes' -cf "$work/plain.tar" .
tar -C "$tree" --sort=name --owner=1000 --group=1000 --numeric-owner --format=gnu --mtime=@0 -cf "$work/gnu.tar" etc usr var
gzip -k "$work/gnu.tar"
tar -cf "$work/none.tar" -T /dev/null

toc() { crane manifest "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["layers"][-1]["annotations"][sys.argv[1]])' "$2"; }
layer() { crane blob "${1%:*}@$(crane manifest "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["layers"][-1]["digest"])')"; }

# Ours, read by others.
for name in plain gnu none; do
    for level in "" :9; do
        "$parb" append --compression "estargz$level" -f "$work/$name.tar" -t "$registry/lazy/ours:$name" >/dev/null 2>&1
        layer "$registry/lazy/ours:$name" > "$work/blob"
        check "eStargz of $name$level" "$work/estargz" check "$work/blob" "$work/$name.tar" "$(toc "$registry/lazy/ours:$name" containerd.io/snapshot/stargz/toc.digest)"
        check "gzip of $name$level" gzip -t "$work/blob"
        check "size of $name$level" same "$(gzip -dc "$work/blob" | wc -c)" "$(toc "$registry/lazy/ours:$name" io.containers.estargz.uncompressed-size)"
        check "crane validate $name$level" crane validate --remote "$registry/lazy/ours:$name"
        check "skopeo copy $name$level" skopeo --insecure-policy copy -q --src-tls-verify=false --dest-tls-verify=false "docker://$registry/lazy/ours:$name" "docker://$registry/lazy/copied:$name"
        check "copied as it is $name$level" same "$(crane digest "$registry/lazy/copied:$name")" "$(crane digest "$registry/lazy/ours:$name")"
    done
done
gzip -dc "$work/blob" | tar t > "$work/list"
check "landmark first, table last" same "$(tr '\n' ' ' < "$work/list")" ".no.prefetch.landmark stargz.index.json "
layer "$registry/lazy/ours:plain" | tar xz -C "$(mkdir -p "$work/back" && echo "$work/back")"
rm "$work/back/.no.prefetch.landmark" "$work/back/stargz.index.json"
check "the tree" diff -r --no-dereference --exclude=pipe "$tree" "$work/back"
GGCR_EXPERIMENT_ESTARGZ=1 "$parb" append -f "$work/gnu.tar.gz" -t "$registry/lazy/ours:environment" >/dev/null 2>&1
"$parb" append --compression estargz -f "$work/gnu.tar" -t "$registry/lazy/ours:gnu" >/dev/null 2>&1
check "asked for by the environment" same "$(crane digest "$registry/lazy/ours:environment")" "$(crane digest "$registry/lazy/ours:gnu")"
layer "$registry/lazy/ours:gnu" > "$work/blob"
for how in "" "--compression estargz:9" "--compression gzip"; do
    # shellcheck disable=SC2086
    "$parb" append $how -f "$work/blob" -t "$registry/lazy/ours:kept" >/dev/null 2>&1
    check "kept as it is $how" cmp "$work/blob" <(layer "$registry/lazy/ours:kept")
done

# Theirs, read by us: file by file, and as a whole.
for kind in estargz chunked; do
    for name in plain gnu; do
        "$work/estargz" layout "$kind" "$work/$name.tar" "$work/$kind-$name"
        skopeo --insecure-policy copy -q --dest-tls-verify=false "oci:$work/$kind-$name" "docker://$registry/lazy/theirs:$kind-$name"
        for file in etc/README.md etc/Cargo.lock etc/nothing usr/random usr/exact usr/zeros usr/holes usr/bin/hard; do
            check "$file of $kind $name" bash -c "set -o pipefail; '$work/read' read '$registry/lazy/theirs:$kind-$name' $file | cmp - '$tree/$file'"
        done
        check "no link" bash -c "! '$work/read' read '$registry/lazy/theirs:$kind-$name' usr/bin/link"
        check "whole $kind $name" "$parb" pull "$registry/lazy/theirs:$kind-$name" /dev/null
        "$parb" mutate "$registry/lazy/theirs:$kind-$name" -e A=1 -t "$registry/lazy/theirs:changed" >/dev/null
        check "still lazy $kind $name" bash -c "set -o pipefail; '$work/read' read '$registry/lazy/theirs:changed' usr/exact | cmp - '$tree/usr/exact'"
    done
done
# What skopeo makes of a layer itself, under the annotations of its version. (Skopeo 1.9 leaves out what fills a tar up
# after its end, and so makes another diff id of one that is filled up.)
tar -C "$tree" --sort=name --owner=7 --group=8 --numeric-owner --format=gnu -b 1 -cf "$work/short.tar" etc usr var
"$parb" append --compression gzip -f "$work/short.tar" -t "$registry/lazy/gzip:1" >/dev/null 2>&1
skopeo --insecure-policy copy -q --src-tls-verify=false --dest-compress-format zstd:chunked "docker://$registry/lazy/gzip:1" "oci:$work/skopeo"
skopeo --insecure-policy copy -q --dest-tls-verify=false "oci:$work/skopeo" "docker://$registry/lazy/theirs:skopeo"
for file in etc/README.md etc/nothing usr/random usr/holes usr/bin/hard; do
    check "$file of skopeo" bash -c "set -o pipefail; '$work/read' read '$registry/lazy/theirs:skopeo' $file | cmp - '$tree/$file'"
done
check "skopeo's says so" bash -c "crane manifest '$registry/lazy/theirs:skopeo' | grep -q 'containers.zstd-chunked.manifest-checksum'"
for name in theirs:skopeo theirs:chunked-plain theirs:chunked-gnu theirs:estargz-plain theirs:estargz-gnu ours:plain; do
    check "the table of $name is that of its layer" "$parb" validate --remote "$registry/lazy/$name"
done
for name in plain gnu; do
    check "ours by ourselves, $name" bash -c "set -o pipefail; '$work/read' read '$registry/lazy/ours:$name' usr/holes | cmp - '$tree/usr/holes'"
done

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
