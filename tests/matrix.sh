#!/usr/bin/env bash
# Every medium to every medium: registry, docker archive, legacy archive, OCI layout, OCI archive, dockerd, podman and
# memory. An image and, where the medium can hold one, an index of five platforms. Digests survive wherever the bytes are kept,
# the config's digest survives everywhere, and skopeo and podman read what came out.
# Needs PARB_TEST_ANON (tests/registries.sh), PARB_TEST_DOCKERD and PARB_TEST_PODMAN (tests/daemons.sh), crane and skopeo.
# Memory lasts no longer than a process: from it and to it goes tests/through_memory.py, by the Python binding.
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
through_memory() {
    PARB_LIBRARY=$(dirname "$parb")/libparbuckle.so PYTHONPATH=bindings/python/src PYTHONDONTWRITEBYTECODE=1 \
        python3 tests/through_memory.py "$@"
}
same() { [ "$1" = "$2" ] || { echo "$1 is not $2"; return 1; }; }

# Where an image of this name lies in a medium.
place() { # MEDIUM NAME
    case $1 in
        registry) echo "$registry/matrix/$2:v1" ;;
        dockerd) echo "docker-daemon:$PARB_TEST_DOCKERD,matrix/$2:v1" ;;
        podman) echo "docker-daemon:$PARB_TEST_PODMAN,matrix/$2:v1" ;;
        oci) echo "oci:$work/$2.oci:matrix/$2:v1" ;;
        *) echo "$1:$work/$2.$1:matrix/$2:v1" ;;
    esac
}
config_of() { crane manifest "$1" | python3 -c 'import json,sys; print(json.load(sys.stdin)["config"]["digest"])'; }
diff_ids_of() { crane config "$1" | python3 -c 'import json,sys; print(json.load(sys.stdin)["rootfs"]["diff_ids"])'; }

media="registry docker-archive legacy-archive oci oci-archive dockerd podman"
exact=" registry oci oci-archive " # these keep the bytes of a manifest

# An image by crane in OCI's types, since skopeo finds no others in a layout, and one in Docker's.
mkdir -p "$work/tree/etc" "$work/tree/bin"
cp Cargo.toml README.md "$work/tree/etc/"
ln -s ../etc/README.md "$work/tree/bin/link"
ln "$work/tree/etc/Cargo.toml" "$work/tree/etc/hard"
tar -C "$work/tree" -cf "$work/tree.tar" .
head -c 300000 /dev/urandom > "$work/random" && tar -C "$work" -czf "$work/random.tar.gz" random
crane append -f "$work/tree.tar" -f "$work/random.tar.gz" -t "$registry/matrix/docker:v1" >/dev/null 2>&1
crane append --oci-empty-base -f "$work/tree.tar" -f "$work/random.tar.gz" -t "$registry/matrix/seed:v1" >/dev/null 2>&1
crane mutate "$registry/matrix/seed:v1" -t "$registry/matrix/seed:v1" --set-platform linux/amd64 --cmd /bin/true --label a=b >/dev/null
digest=$(crane digest "$registry/matrix/seed:v1") config=$(config_of "$registry/matrix/seed:v1")
diff_ids=$(diff_ids_of "$registry/matrix/seed:v1")

# What came there is the image: seen after a copy into a registry.
arrived() { # FROM TO NAME WHAT
    local back=$registry/matrix/back-$3:v1
    check "$2 to registry ($4)" "$parb" copy "$(place "$2" "$3")" "$back"
    check "$4: config" same "$(config_of "$back" 2>&1)" "$config"
    check "$4: diff ids" same "$(diff_ids_of "$back" 2>&1)" "$diff_ids"
    check "$4: valid" "$parb" validate --remote "$back"
    if [[ $exact == *" $1 "* && $exact == *" $2 "* ]]; then
        check "$4: digest" same "$(crane digest "$back" 2>&1)" "$digest"
    fi
}
for from in $media; do
    seed=$(place "$from" "seed-$from")
    check "registry to $from" "$parb" copy "$registry/matrix/seed:v1" "$seed"
    for to in $media; do
        name=$from-$to
        check "$from to $to" "$parb" copy "$seed" "$(place "$to" "$name")"
        arrived "$from" "$to" "$name" "$from to $to"
        name=$from-memory-$to
        check "$from to memory to $to" through_memory "$seed" "$(place "$to" "$name")"
        arrived "$from" "$to" "$name" "$from to memory to $to"
    done
done

# What came out, read by others.
copy() { skopeo --insecure-policy copy -q --src-tls-verify=false --dest-tls-verify=false "$@"; }
of_skopeo() { skopeo inspect --config "$@" | python3 -c 'import json,sys; print(json.load(sys.stdin)["rootfs"]["diff_ids"])'; }
theirs() { # MEDIUM NAME: the same place in skopeo's words
    case $1 in
        registry) echo "docker://$registry/matrix/$2:v1" ;;
        oci) echo "oci:$work/$2.oci:matrix/$2:v1" ;;
        oci-archive) echo "oci-archive:$work/$2.oci-archive:matrix/$2:v1" ;;
        *) echo "docker-archive:$work/$2.$1:matrix/$2:v1" ;;
    esac
}
for from in $media; do
    for to in registry docker-archive legacy-archive oci oci-archive; do
        at=$(theirs "$to" "$from-$to")
        case $to in
            registry) check "skopeo reads $from to $to" same "$(of_skopeo --tls-verify=false "$at" 2>&1)" "$diff_ids" ;;
            *) check "skopeo reads $from to $to" same "$(of_skopeo "$at" 2>&1)" "$diff_ids" ;;
        esac
    done
done
podman="podman --root $work/podman/root --runroot $work/podman/run --storage-driver vfs"
for medium in docker-archive legacy-archive oci-archive; do
    check "podman loads a $medium" $podman load -q -i "$work/registry-$medium.$medium"
done
check "podman has the image" $podman image exists localhost/matrix/registry-docker-archive:v1
check "a docker archive for crane" "$parb" copy "$registry/matrix/docker:v1" "docker-archive:$work/docker.tar:matrix/docker:v1"
check "crane reads a docker archive" crane push "$work/docker.tar" "$registry/matrix/crane:v1"
check "crane: digest of a docker archive" same "$(crane digest "$registry/matrix/crane:v1" 2>&1)" "$(crane digest "$registry/matrix/docker:v1")"
check "parb: digest of a docker archive" "$parb" copy "docker-archive:$work/docker.tar" "$registry/matrix/ours:v1"
check "parb: digest of a docker archive" same "$(crane digest "$registry/matrix/ours:v1" 2>&1)" "$(crane digest "$registry/matrix/docker:v1")"
check "crane reads a layout" crane push "$work/registry-oci.oci" "$registry/matrix/crane:v2"
check "crane: digest of a layout" same "$(crane digest "$registry/matrix/crane:v2" 2>&1)" "$digest"
check "a layout for umoci" "$parb" copy "$registry/matrix/seed:v1" "oci:$work/plainly.oci:v1"
check "umoci reads a layout" umoci stat --json --image "$work/plainly.oci:v1"

# What others wrote, read by us.
check "skopeo writes a docker archive" copy "docker://$registry/matrix/seed:v1" "docker-archive:$work/skopeo.tar:matrix/skopeo:v1"
check "skopeo writes an OCI archive" copy "docker://$registry/matrix/seed:v1" "oci-archive:$work/skopeo.oci.tar:v1"
check "skopeo writes a layout" copy "docker://$registry/matrix/seed:v1" "oci:$work/skopeo.oci:v1"
check "crane writes an archive" crane pull "$registry/matrix/seed:v1" "$work/crane.tar"
check "crane writes a legacy archive" crane pull --format=legacy "$registry/matrix/seed:v1" "$work/crane.legacy.tar"
check "crane writes a layout" crane pull --format=oci "$registry/matrix/seed:v1" "$work/crane.oci"
check "umoci writes a layout" bash -c "umoci init --layout $work/umoci.oci && umoci new --image $work/umoci.oci:v1"
check "podman saves an archive" $podman save -q -o "$work/podman.tar" localhost/matrix/registry-docker-archive:v1
check "podman saves an OCI archive" $podman save -q --format oci-archive -o "$work/podman.oci.tar" localhost/matrix/registry-docker-archive:v1
gzip -k "$work/skopeo.tar" "$work/skopeo.oci.tar"
for place in "docker-archive:$work/skopeo.tar" "docker-archive:$work/skopeo.tar.gz" "oci-archive:$work/skopeo.oci.tar" "oci-archive:$work/skopeo.oci.tar.gz" \
    "oci:$work/skopeo.oci:v1" "docker-archive:$work/crane.tar" "docker-archive:$work/crane.legacy.tar" "oci:$work/crane.oci" \
    "docker-archive:$work/podman.tar" "oci-archive:$work/podman.oci.tar"; do
    check "parb reads $(basename "$place")" "$parb" copy "$place" "$registry/matrix/theirs:v1"
    check "parb reads $(basename "$place"): diff ids" same "$(diff_ids_of "$registry/matrix/theirs:v1" 2>&1)" "$diff_ids"
    check "parb reads $(basename "$place"): valid" crane validate --remote "$registry/matrix/theirs:v1"
done
check "parb reads umoci's" "$parb" copy "oci:$work/umoci.oci:v1" "$registry/matrix/umoci:v1"

# An index of five platforms, one of them in an index of its own.
platforms="linux/amd64 linux/arm64 linux/arm/v7 linux/s390x windows/amd64"
for platform in $platforms; do
    "$parb" mutate "$registry/matrix/seed:v1" --set-platform "$platform" -t "$registry/matrix/one:${platform//\//-}" >/dev/null
done
crane index append $(printf -- "-m $registry/matrix/one:%s " linux-amd64 linux-arm64 linux-arm-v7 linux-s390x) -t "$registry/matrix/four:v1" >/dev/null 2>&1
crane index append --flatten=false "$registry/matrix/four:v1" -m "$registry/matrix/one:windows-amd64" -t "$registry/matrix/index:v1" >/dev/null 2>&1
index=$(crane digest "$registry/matrix/index:v1")
for from in registry oci oci-archive; do
    seed=$(place "$from" "index-$from")
    check "index: registry to $from" "$parb" copy "$registry/matrix/index:v1" "$seed"
    for to in registry oci oci-archive; do
        name=index-$from-$to
        check "index: $from to $to" "$parb" copy "$seed" "$(place "$to" "$name")"
        check "index: $to to registry (from $from)" "$parb" copy "$(place "$to" "$name")" "$registry/matrix/back-$name:v1"
        check "index: $from to $to: digest" same "$(crane digest "$registry/matrix/back-$name:v1" 2>&1)" "$index"
        check "index: $from to $to: valid" "$parb" validate --remote "$registry/matrix/back-$name:v1"
        check "index: $from to memory to $to" through_memory --index "$seed" "$(place "$to" "$name-memory")"
        check "index: $to to registry (from $from by memory)" "$parb" copy "$(place "$to" "$name-memory")" "$registry/matrix/back-$name-memory:v1"
        check "index: $from to memory to $to: digest" same "$(crane digest "$registry/matrix/back-$name-memory:v1" 2>&1)" "$index"
    done
done
for to in docker-archive dockerd; do
    check "one platform of an index to $to" "$parb" --platform linux/arm64 copy "$registry/matrix/index:v1" "$(place "$to" "arm-$to")"
done
check "an index does not fit into a docker archive" bash -c "! $parb copy $registry/matrix/index:v1 docker-archive:$work/no.tar && test ! -e $work/no.tar"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
