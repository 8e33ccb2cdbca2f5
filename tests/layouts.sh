#!/usr/bin/env bash
# OCI image layouts, ours and those of others: skopeo, crane, umoci and regctl read what the library wrote, the library
# reads what they wrote, and all of them write into one layout in turn.
# Needs $OUT (libparbuckle.so and parb), crane, skopeo and umoci.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${OUT:=$PWD/target/release}"
export LD_LIBRARY_PATH=$OUT${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
work=$(mktemp -d)
server=
cleanup() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    chmod -R u+rwx "$work" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
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

# The C test of layouts is a tool, too.
gcc -std=gnu11 -O1 -Iinclude tests/c/layout.c -o "$work/tool" -L"$OUT" -lparbuckle -pthread
tool=$work/tool
"$OUT/parb" registry serve --url-file "$work/url" 2>"$work/server.log" &
server=$!
for _ in $(seq 100); do [ -s "$work/url" ] || sleep 0.1; done
registry=$(sed 's|.*//||' "$work/url")
skopeo() { command skopeo --insecure-policy "$@"; }
here=(--src-tls-verify=false --dest-tls-verify=false)
whole() { # LAYOUT NAME…: what we make of it
    local layout=$1 name
    shift
    for name in "$@"; do check "we read $layout $name" "$tool" check "$work/$layout" "$name"; done
    check "fsck of $layout" "$tool" fsck "$work/$layout"
}

# What everybody copies: an image with real files, one for another platform, an index of both.
mkdir -p "$work/tree/etc" "$work/tree/bin"
cp Cargo.toml "$work/tree/etc/"
ln -s ../etc/Cargo.toml "$work/tree/bin/link"
tar -C "$work/tree" -czf "$work/layer.tar.gz" .
head -c 3000000 /dev/urandom >"$work/random"
tar -C "$work" -cf "$work/random.tar" random
crane append --oci-empty-base -f "$work/layer.tar.gz" -f "$work/random.tar" -t "$registry/app:amd" >/dev/null 2>&1
crane mutate "$registry/app:amd" --set-platform linux/amd64 -t "$registry/app:amd" >/dev/null 2>&1
crane mutate "$registry/app:amd" --set-platform linux/arm64 -e ARM=1 -t "$registry/app:arm" >/dev/null 2>&1
crane index append -m "$registry/app:amd" -m "$registry/app:arm" -t "$registry/app:multi" >/dev/null 2>&1
amd=$(crane digest "$registry/app:amd") arm=$(crane digest "$registry/app:arm") multi=$(crane digest "$registry/app:multi")

# Ours, read by others.
check "pull an image" same "$("$tool" pull "$registry/app:amd" "$work/ours" one)" "$amd"
check "pull another one" same "$("$tool" pull "$registry/app:arm" "$work/ours" two)" "$arm"
check "make one" "$tool" add "$work/ours" made 7
check "pull an index" same "$("$tool" pull "$registry/app:multi" "$work/index" multi)" "$multi"
check "pull a single image" same "$("$tool" pull "$registry/app:amd" "$work/single" "")" "$amd"
whole ours one two made
whole index multi linux/arm64
whole single ""
for name in one made; do
    check "skopeo inspect $name" skopeo inspect "oci:$work/ours:$name"
    check "skopeo copy $name" skopeo copy -q "oci:$work/ours:$name" "dir:$work/dir-$name"
    check "umoci stat $name" umoci stat --image "$work/ours:$name"
    check "umoci unpack $name" umoci unpack --rootless --image "$work/ours:$name" "$work/bundle-$name"
done
check "umoci's tree is ours" diff -r --no-dereference "$work/tree/etc" "$work/bundle-one/rootfs/etc"
check "skopeo's digest" same "$(skopeo inspect --format '{{.Digest}}' "oci:$work/ours:one")" "$amd"
check "umoci ls" same "$(umoci ls --layout "$work/ours" | sort | tr '\n' ' ')" "made one two "
check "skopeo reads the only image" skopeo copy -q "oci:$work/single" "dir:$work/dir-single"
check "skopeo reads the index" skopeo copy -q --all "oci:$work/index:multi" "dir:$work/dir-index"
check "crane push of the only image" crane push "$work/single" "$registry/crane:single"
check "its digest" same "$(crane digest "$registry/crane:single")" "$amd"
check "crane push of all entries" crane push --index "$work/ours" "$registry/crane:all"
check "crane push of the index" crane push "$work/index" "$registry/crane:multi" --index
check "crane validates it" crane validate --remote "$registry/crane:single"
check "we push an image" "$tool" push "$work/ours" two "$registry/we:two"
check "its digest again" same "$(crane digest "$registry/we:two")" "$arm"
check "we push the index" "$tool" push "$work/index" multi "$registry/we:multi"
check "the index's digest" same "$(crane digest "$registry/we:multi")" "$multi"
if command -v regctl >/dev/null; then
    check "regctl reads one" regctl manifest get "ocidir://$work/ours:one"
    check "regctl reads the index" regctl image copy "ocidir://$work/index:multi" "ocidir://$work/regctl-copy:multi"
    check "and we its copy" same "$("$tool" digest "$work/regctl-copy" multi linux/arm64)" "$arm"
fi

# Theirs, read by us.
skopeo copy -q "${here[@]}" "docker://$registry/app:amd" "oci:$work/skopeo:a"
skopeo copy -q "${here[@]}" --dest-compress-format zstd --dest-force-compress-format "docker://$registry/app:arm" "oci:$work/skopeo:zstd" 2>/dev/null ||
    skopeo copy -q "${here[@]}" "docker://$registry/app:arm" "oci:$work/skopeo:zstd"
skopeo copy -q "${here[@]}" --all "docker://$registry/app:multi" "oci:$work/skopeo:multi"
whole skopeo a zstd multi
check "skopeo's image keeps its digest" same "$("$tool" digest "$work/skopeo" a)" "$amd"
check "skopeo's index by platform" same "$("$tool" digest "$work/skopeo" multi linux/arm64)" "$arm"
crane pull --format=oci "$registry/app:amd" "$work/crane" >/dev/null 2>&1
whole crane "" "$amd"
check "crane's only image" same "$("$tool" digest "$work/crane" "")" "$amd"
crane pull --format=oci --annotate-ref "$registry/app:multi" "$work/crane-index" >/dev/null 2>&1
whole crane-index "" "linux/arm64"
check "crane's index by platform" same "$("$tool" digest "$work/crane-index" linux/arm64)" "$arm"
umoci init --layout "$work/umoci"
umoci new --image "$work/umoci:base"
umoci unpack --rootless --image "$work/umoci:base" "$work/bundle"
cp -r "$work/tree/." "$work/bundle/rootfs/"
umoci repack --image "$work/umoci:new" "$work/bundle" >/dev/null 2>&1
umoci config --image "$work/umoci:new" --config.env A=1
whole umoci base new
check "we push umoci's" "$tool" push "$work/umoci" new "$registry/we:umoci"
check "crane validates umoci's" crane validate --remote "$registry/we:umoci"

# All of them in one layout, in turn.
check "we add to umoci's" "$tool" add "$work/umoci" ours 9
check "we add to skopeo's" "$tool" copy "$work/umoci" new "$work/skopeo" umoci
check "skopeo adds to ours" skopeo copy -q "oci:$work/skopeo:a" "oci:$work/ours:skopeo"
check "umoci tags in ours" umoci tag --image "$work/ours:one" again
check "umoci collects in ours" umoci gc --layout "$work/ours"
check "crane pulls into ours" crane pull --format=oci "$registry/app:multi" "$work/ours"
whole ours one two made skopeo again "$multi"
whole umoci base new ours
whole skopeo a zstd multi umoci
check "umoci removes from ours" umoci rm --image "$work/ours:made"
check "we collect after umoci" bash -c "[ \"\$('$tool' gc '$work/ours')\" -ge 3 ]"
whole ours one two skopeo again "$multi"
check "we collect in umoci's" "$tool" gc "$work/umoci"
whole umoci base new ours
check "umoci still reads it" umoci unpack --rootless --image "$work/umoci:ours" "$work/bundle-last"

# Nothing is read or written past a link (skopeo follows it).
cp -a "$work/single" "$work/hostile"
blob=$work/hostile/blobs/sha256/${amd#sha256:}
mv "$blob" "$work/outside"
ln -s "$work/outside" "$blob"
check "a linked blob is refused" bash -c "! '$tool' push '$work/hostile' '' '$registry/we:hostile'"
check "and nothing was pushed" bash -c "! crane digest '$registry/we:hostile' 2>/dev/null"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
