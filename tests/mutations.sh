#!/usr/bin/env bash
# The changes that crane has a verb for: the same change by crane and by parb gives the same digest, wherever no layer
# is compressed anew. Runs against parb's own registry; needs crane.
set -euo pipefail
cd "$(dirname "$0")/.."
parb=${OUT:-$PWD/target/release}/parb
work=$(mktemp -d)
"$parb" registry serve --url-file "$work/url" >/dev/null 2>"$work/server.log" &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 100); do [ -s "$work/url" ] || sleep 0.1; done
registry=$(sed 's|.*//||' "$work/url")
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
fails() { ! "$@"; }
# Both run the same verb on the same things; TAG in its arguments is where the outcome goes.
same() { # NAME VERB…
    local name=$1
    shift
    local ours=("${@//TAG/$registry/made:parb}") theirs=("${@//TAG/$registry/made:crane}")
    check "$name: parb" "$parb" "${ours[@]}"
    check "$name: crane" crane "${theirs[@]}"
    check "$name" diff <(crane manifest "$registry/made:parb") <(crane manifest "$registry/made:crane")
}
quiet() { "$@" >/dev/null 2>&1; }

for x in a b c d; do
    mkdir -p "$work/$x"
    echo "$x" > "$work/$x/$x"
    tar --mtime=@5 -C "$work/$x" -cf "$work/$x.tar" .
    gzip -nk "$work/$x.tar"
done
for family in docker oci; do
    empty=()
    [ "$family" = docker ] || empty=(--oci-empty-base)
    for base in a c; do
        quiet crane append "${empty[@]}" -f "$work/$base.tar.gz" -t "$registry/$family:$base"
        quiet crane mutate "$registry/$family:$base" --set-platform linux/amd64 -t "$registry/$family:$base"
    done
    quiet crane append -b "$registry/$family:a" -f "$work/b.tar.gz" --set-base-image-annotations -t "$registry/$family:app"
    quiet crane mutate "$registry/$family:app" -e A=1 --entrypoint /x -l l=1 -t "$registry/$family:app"
    quiet crane append -b "$registry/$family:app" -f "$work/d.tar.gz" -t "$registry/$family:app2"
    quiet crane append -b "$registry/$family:a" -f "$work/b.tar.gz" -t "$registry/$family:bare"
    quiet crane mutate "$registry/$family:app2" --set-platform linux/arm64/v8 -a note=text -t "$registry/$family:arm"
done

# Docker images only: crane gives every image Docker's types, and leaves an OCI image's layers as they are.
same "rebase" rebase "$registry/docker:bare" --old_base "$registry/docker:a" --new_base "$registry/docker:c" -t TAG
digest=$(crane digest "$registry/docker:c")
same "rebase to a digest" rebase "$registry/docker:bare" --old_base "$registry/docker:a" --new_base "$registry/docker@$digest" -t TAG
same "rebase to another family" rebase "$registry/docker:bare" --old_base "$registry/docker:a" --new_base "$registry/docker:app2" -t TAG
check "rebase by its annotations" bash -c "'$parb' rebase '$registry/docker:app' --new-base '$registry/docker:c' -t '$registry/made:annotated' && crane validate --remote '$registry/made:annotated'"
check "rebase of OCI is OCI" bash -c "'$parb' rebase '$registry/oci:bare' --old-base '$registry/oci:a' --new-base '$registry/docker:c' -t '$registry/made:oci' && ! crane manifest '$registry/made:oci' | grep -q vnd.docker && crane validate --remote '$registry/made:oci'"
check "rebase of something else" fails "$parb" rebase "$registry/docker:bare" --old-base "$registry/docker:c" --new-base "$registry/docker:a" -t "$registry/made:x"

for family in docker oci; do
    same "index append, $family" index append -m "$registry/$family:app" -m "$registry/$family:arm" -m "$registry/$family:bare" -t TAG
    quiet crane index append -m "$registry/$family:app" -m "$registry/$family:arm" -t "$registry/index:$family"
done
same "index append to Docker's" index append --docker-empty-base -m "$registry/docker:app" -m "$registry/oci:arm" -t TAG
same "index append of an index" index append -m "$registry/index:docker" -m "$registry/oci:app" -t TAG
same "index append of an index as such" index append --flatten=false -m "$registry/index:docker" -m "$registry/oci:app" -t TAG
same "index append to an index" index append "$registry/index:oci" -m "$registry/docker:arm" -t TAG
for platform in linux/amd64 linux/arm64 linux/arm64/v8 linux; do
    same "index filter $platform" index filter "$registry/index:oci" --platform "$platform" -t TAG
done
# A set of platforms is what its names say; which image runs on a higher variant is a question for who picks one.
variants=()
for platform in linux/amd64 linux/amd64/v3 linux/arm/v5 linux/arm/v6 linux/arm/v7 linux/arm64/v8 windows/amd64:10.0.1; do
    tag=$registry/docker:variant-${platform//[\/:]/-}
    quiet crane mutate "$registry/docker:app" --set-platform "$platform" -t "$tag"
    variants+=(-m "$tag")
done
quiet crane index append "${variants[@]}" -t "$registry/index:variants"
for platform in linux/amd64 linux/amd64/v3 linux/arm linux/arm/v6 linux/arm/v7 linux/arm64 linux/arm64/v8 \
    windows windows/amd64:10.0.1; do
    same "index filter of variants $platform" index filter "$registry/index:variants" --platform "$platform" -t TAG
    check "index filter --keep $platform" "$parb" index filter "$registry/index:variants" --keep "$platform" -t "$registry/made:keep"
    check "kept $platform" diff <(crane manifest "$registry/made:keep") <(crane manifest "$registry/made:crane")
done
same "index filter of two" index filter "$registry/index:variants" --platform linux/arm/v7 --platform linux/amd64/v3 -t TAG
check "a lower variant is another platform" bash -c "'$parb' index filter '$registry/index:variants' --keep linux/arm64/v9 -t '$registry/made:none' && crane manifest '$registry/made:none' | grep -q '\"manifests\":\[\]'"
check "index filter to nothing" bash -c "'$parb' index filter '$registry/index:oci' --platform plan9/386 -t '$registry/made:none' && crane manifest '$registry/made:none' | grep -q '\"manifests\":\[\]'"
check "index rebase" bash -c "
    '$parb' index append -m '$registry/docker:a' -t '$registry/bases:old' && '$parb' index append -m '$registry/docker:c' -t '$registry/bases:new' &&
    '$parb' index append -m '$registry/docker:bare' -t '$registry/apps:1' &&
    '$parb' rebase '$registry/apps:1' --old-base '$registry/bases:old' --new-base '$registry/bases:new' -t '$registry/apps:2' &&
    crane validate --remote '$registry/apps:2'"

# Windows: the same tree as crane's, whose hard links miss their target.
mkdir -p "$work/w/dir"
echo x > "$work/w/dir/file"
ln -s file "$work/w/dir/link"
tar --mtime=@5 -C "$work/w" -cf "$work/w.tar" dir
quiet crane mutate "$registry/docker:a" --set-platform windows/amd64:10.0.17763 -t "$registry/docker:windows"
quiet "$parb" append -b "$registry/docker:windows" -f "$work/w.tar" -t "$registry/made:wparb"
quiet crane append -b "$registry/docker:windows" -f "$work/w.tar" -t "$registry/made:wcrane"
tree() { crane export "$registry/made:$1" - | tar tv --warning=no-unknown-keyword 2>/dev/null | sed 's,/$,,' | sort; }
check "append to Windows" diff <(tree wparb) <(tree wcrane)
check "append to Windows is sound" crane validate --remote "$registry/made:wparb"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
