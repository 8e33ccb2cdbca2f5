#!/usr/bin/env bash
# What others make of our images, and we of theirs: skopeo and crane read what the library pushed to Debian's registry,
# and the same change by crane and by parb gives the same digest.
# Needs PARB_TEST_ANON (tests/registries.sh), crane and skopeo.
set -euo pipefail
cd "$(dirname "$0")/.."
parb=${OUT:-$PWD/target/release}/parb
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

# Layers of several makes.
mkdir -p "$work/tree/etc" "$work/tree/usr/bin"
cp Cargo.toml README.md "$work/tree/etc/"
ln -s ../../etc/README.md "$work/tree/usr/bin/link"
ln "$work/tree/etc/Cargo.toml" "$work/tree/etc/hard"
printf 'x%.0s' $(seq 150) > "$work/tree/$(printf 'long%.0s' $(seq 40))"
tar -C "$work/tree" --format=pax -cf "$work/plain.tar" .
gzip -k "$work/plain.tar"
head -c 3000000 /dev/urandom > "$work/random"
tar -C "$work" -cf "$work/random.tar" random

# Ours, read by others.
"$parb" append -f "$work/plain.tar,$work/random.tar" -t "$registry/ours:docker" 2>/dev/null >/dev/null
"$parb" append --oci-empty-base -f "$work/plain.tar.gz" -f "$work/tree" -t "$registry/ours:oci" 2>/dev/null >/dev/null
"$parb" append -b "$registry/ours:oci" -f - -t "$registry/ours:stream" < "$work/random.tar" >/dev/null
for tag in docker oci stream; do
    "$parb" mutate "$registry/ours:$tag" --set-platform linux/amd64 -e PATH=/bin -e APP=1 -l 'a=<b>&c' --entrypoint /bin/sh,-c \
        -u 1000 -w /work --exposed-ports 80/tcp,443 -a note=text >/dev/null
    check "skopeo inspect $tag" skopeo inspect --tls-verify=false "docker://$registry/ours:$tag"
    check "skopeo copy $tag" skopeo --insecure-policy copy -q --src-tls-verify=false "docker://$registry/ours:$tag" "dir:$work/dir-$tag"
    check "crane validate $tag" crane validate --remote "$registry/ours:$tag"
    check "crane export $tag" bash -c "crane export $registry/ours:$tag - | tar t"
    check "digest $tag" same "$("$parb" digest "$registry/ours:$tag")" "$(crane digest "$registry/ours:$tag")"
    check "parb reads $tag whole" "$parb" pull "$registry/ours:$tag" /dev/null
done
check "the tree is the directory's" bash -c "diff <(crane export $registry/ours:oci - | tar t | sed 's,^\./,,; s,/\$,,' | grep -v '^\.\?\$' | sort -u) <(cd $work/tree && find . | sed 's,^\./,,' | grep -v '^\.\$' | sort)"

# Theirs, read by us.
crane append -f "$work/plain.tar" -t "$registry/theirs:crane" >/dev/null 2>&1
skopeo --insecure-policy copy -q --src-tls-verify=false --dest-tls-verify=false --dest-compress-format zstd "docker://$registry/theirs:crane" "docker://$registry/theirs:zstd" ||
    skopeo --insecure-policy copy -q --src-tls-verify=false --dest-tls-verify=false "docker://$registry/theirs:crane" "docker://$registry/theirs:zstd"
crane index append -m "$registry/theirs:crane" -m "$registry/ours:oci" -t "$registry/theirs:index" >/dev/null 2>&1
check "parb reads crane's" "$parb" pull "$registry/theirs:crane" /dev/null
check "parb reads skopeo's" "$parb" pull "$registry/theirs:zstd" /dev/null
check "parb reads an index" "$parb" --platform linux/amd64 pull "$registry/theirs:index" /dev/null
check "digest of an index" same "$("$parb" digest "$registry/theirs:index")" "$(crane digest "$registry/theirs:index")"

# The same change gives the same digest, wherever no layer is compressed anew.
mutations=(
    "-e A=1"
    "-l key=value -l other=<x>"
    "--entrypoint /bin/app,--flag -u nobody"
    "--cmd run,fast -w /srv"
    "--exposed-ports 80/tcp,53/udp -a org.example=yes"
    "--set-platform linux/arm64/v8 -e A=1,2 -e B=2 -e C=3x"
    "--append $work/plain.tar.gz -l layered=yes"
)
for base in ours:docker ours:oci ours:stream theirs:crane theirs:zstd; do
    for mutation in "${mutations[@]}"; do
        # shellcheck disable=SC2086
        a=$("$parb" mutate "$registry/$base" $mutation -t "$registry/mutated:parb") || a="parb failed"
        # shellcheck disable=SC2086
        b=$(crane mutate "$registry/$base" $mutation -t "$registry/mutated:crane" 2>/dev/null) || b="crane failed"
        check "mutate $base $mutation" same "$a" "$b"
    done
done
a=$("$parb" append -b "$registry/ours:oci" -f "$work/plain.tar.gz" -t "$registry/appended:parb")
b=$(crane append -b "$registry/ours:oci" -f "$work/plain.tar.gz" -t "$registry/appended:crane" 2>/dev/null)
check "append of a compressed layer" same "$a" "$b"

# Interrupted at any moment, a pull leaves the archive or nothing.
mkdir "$work/interrupted"
for after in 0.01 0.02 0.04 0.08 0.16; do
    timeout -s INT "$after" "$parb" pull "$registry/ours:oci" "$work/interrupted/x.tar" 2>/dev/null || true
    check "nothing half-written after $after s" same "$(find "$work/interrupted" -name '.*' -type f | wc -l)" 0
done
"$parb" pull "$registry/ours:oci" "$work/a:b.tar"
check "a colon in a path" "$parb" validate --tarball "$work/a:b.tar"
check "nothing to validate" bash -c "! $parb validate"
"$parb" mutate "$registry/ours:oci" --set-platform linux/arm64 -t "$registry/arm:1" >/dev/null
"$parb" index append -m "$registry/arm:1" -t "$registry/arm:index" >/dev/null
check "an index of another platform is rebased" "$parb" rebase "$registry/arm:index" --old-base "$registry/arm:index" \
    --new-base "$registry/arm:index" -t "$registry/arm:rebased"
for name in a a; do "$parb" pull --format oci --annotate-ref "$registry/ours:oci" "$work/named.oci"; done
check "a name stands for one image" bash -c "test \$(grep -o sha256: $work/named.oci/index.json | wc -l) = 1"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
