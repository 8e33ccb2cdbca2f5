#!/usr/bin/env bash
# What all commands have in common: which places they take, nested indexes, media types, exit codes, what an end by a
# signal leaves. Runs against parb's own registry; needs crane, skopeo and umoci.
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
same() { [ "$1" = "$2" ] || { echo "$1 is not $2"; return 1; }; }
says() { # TEXT COMMAND…: it fails and says so
    local text=$1 out
    shift
    if out=$("$@" 2>&1); then echo "it did not fail"; return 1; fi
    grep -q -e "$text" <<<"$out" || { echo "$out"; return 1; }
}
ends() { # CODE COMMAND…
    local code=$1 got=0
    shift
    "$@" || got=$?
    same "$got" "$code"
}

mkdir "$work/tree"
head -c 100000 /dev/urandom > "$work/tree/file"
tar -C "$work/tree" -cf "$work/a.tar" file
for platform in amd64 arm64; do
    "$parb" append -f "$work/a.tar" -t "$registry/docker:$platform" >/dev/null 2>&1
    "$parb" mutate "$registry/docker:$platform" --set-platform "linux/$platform" -e "P=$platform" >/dev/null
done
# An image, and an index in an index; and an index with nothing but an index.
"$parb" index append -m "$registry/docker:amd64" -t "$registry/index:amd64" >/dev/null
"$parb" index append -m "$registry/docker:amd64" -m "$registry/docker:arm64" -t "$registry/index:both" >/dev/null
"$parb" index append --flatten=false -m "$registry/docker:arm64" -m "$registry/index:amd64" -t "$registry/nest:1" >/dev/null
"$parb" index append --flatten=false -m "$registry/index:both" -t "$registry/nest:0" >/dev/null
for tag in 0 1; do
    "$parb" copy "$registry/nest:$tag" "oci:$work/nest:$tag"
    "$parb" copy "$registry/nest:$tag" "oci-archive:$work/nest$tag.tar:$tag"
    for platform in amd64 arm64; do
        want=$(crane digest "$registry/docker:$platform")
        for place in "$registry/nest:$tag" "docker://$registry/nest:$tag" "oci:$work/nest:$tag" "oci-archive:$work/nest$tag.tar:$tag"; do
            check "digest of $platform in $place" same "$("$parb" digest --platform "linux/$platform" "$place" || true)" "$want"
        done
        check "$platform in nest:$tag is pulled" bash -c "'$parb' --platform linux/$platform pull --format oci '$registry/nest:$tag' '$work/pulled-$tag-$platform' && grep -q $want '$work/pulled-$tag-$platform/index.json'"
    done
    check "digest of nest:$tag" same "$("$parb" digest "oci:$work/nest:$tag")" "$(crane digest "$registry/nest:$tag")"
    check "what is there is told" says "but linux/arm64, linux/amd64\|but linux/amd64, linux/arm64" "$parb" digest --platform plan9/386 "$registry/nest:$tag"
done
check "as crane finds it" same "$(crane digest --platform linux/amd64 "$registry/nest:1")" "$("$parb" digest --platform linux/amd64 "$registry/nest:1")"

# All places are taken where they make sense, and nowhere for a repository of Docker Hub.
image=$registry/docker:amd64 digest=$(crane digest "$registry/docker:amd64")
"$parb" copy "$image" "oci:$work/lay:v1"
"$parb" copy "$image" "oci-archive:$work/oci.tar:v1"
"$parb" copy "$image" "docker-archive:$work/docker.tar:app/x:1"
"$parb" copy "$image" "legacy-archive:$work/legacy.tar:app/x:1"
for place in "oci:$work/lay" "oci:$work/lay:v1" "oci-archive:$work/oci.tar:v1"; do
    check "digest $place" same "$("$parb" digest "$place")" "$digest"
done
for place in "docker-archive:$work/docker.tar" "legacy-archive:$work/legacy.tar" "docker-daemon:x:1"; do
    check "no digest of $place" says "'parb copy' brings it" "$parb" digest "$place"
done
for place in "oci:$work/lay" "oci-archive:$work/oci.tar:v1" "docker-archive:$work/docker.tar" "legacy-archive:$work/legacy.tar:app/x:1"; do
    for format in tarball legacy oci oci-archive; do
        to="$work/of-${place%%:*}-$format"
        check "pull $place as $format" "$parb" pull --format "$format" "$place" "$to"
        check "what was pulled" bash -c "if [ -d '$to' ]; then '$parb' validate --remote 'oci:$to'; else '$parb' validate --tarball '$to'; fi"
    done
    check "fetch $place" "$parb" pull "$place" /dev/null
done
check "an index of a layout is pulled for linux/amd64" "$parb" pull "oci:$work/nest:0" "$work/nest.tar"
check "and exported" bash -c "'$parb' export 'oci:$work/nest:0' - | tar t | grep -q file"
for command in "append -b oci:x -f $work/a.tar -t $registry/x:1" "append -f $work/a.tar -t oci:x" "flatten oci:x" \
    "mutate docker-daemon:x" "rebase oci-archive:x.tar" "index append -m oci:x -t $registry/x:1" "index filter oci:x --keep linux" \
    "push $work/docker.tar oci:x"; do
    # shellcheck disable=SC2086
    check "$command: a registry only" says "works in a registry only" "$parb" $command
    # shellcheck disable=SC2086
    check "$command: wrong usage" ends 2 "$parb" $command
done

# One family of media types throughout, for those who read no others.
mentions() { # TEXT DIRECTORY: a manifest or index of the layout does
    grep -rlI -e "$1" "$2" >/dev/null
}
for tag in docker:amd64 index:both; do
    lay=$work/conv-${tag%:*}
    "$parb" copy "$registry/$tag" "oci:$lay-kept:x"
    check "$tag as it is" mentions vnd.docker.distribution "$lay-kept"
    check "$tag in OCI's types" "$parb" copy --format oci "$registry/$tag" "oci:$lay:x"
    check "nothing of Docker is left" bash -c "! grep -rI -e 'vnd.docker.\(distribution\|image\)' '$lay'"
    check "it is whole" "$parb" validate --remote "oci:$lay:x"
    check "skopeo reads it" skopeo --insecure-policy copy -q "oci:$lay:x" "dir:$work/dir"
    check "$tag in OCI's types in an archive" "$parb" copy --media-types oci "$registry/$tag" "oci-archive:$lay.tar:x"
    check "skopeo reads the archive" skopeo --insecure-policy copy -q "oci-archive:$lay.tar:x" "dir:$work/dir2"
    check "$tag back in Docker's" "$parb" copy --format docker "oci:$lay:x" "$registry/back:1"
    check "nothing of OCI is left" bash -c "! crane manifest '$registry/back:1' | grep 'vnd.oci'"
    check "$tag pulled in OCI's types" "$parb" pull --format oci --media-types oci "$registry/$tag" "$lay-pulled"
    check "skopeo reads what was pulled" skopeo --insecure-policy copy -q "oci:$lay-pulled" "dir:$work/dir3"
done
check "there and back is the same" same "$("$parb" copy --format docker "oci:$work/conv-docker:x" "$registry/back:2" && crane digest "$registry/back:2")" "$digest"
check "umoci unpacks it" umoci unpack --rootless --image "$work/conv-docker:x" "$work/unpacked"
check "an archive of docker keeps no types" ends 2 "$parb" copy --format oci "$image" "docker-archive:$work/x.tar"
check "a pull of one neither" ends 2 "$parb" pull --media-types oci "$image" "$work/x.tar"

# Exit codes.
for wrong in validate "mutate $image -e =x" "mutate $image -l novalue" "digest" "pull UPPER/CASE $work/x" "copy oci: $image" \
    "--platform linux --platform windows digest $image" "registry serve --user nobody" "digest --full-ref oci:$work/lay" \
    "registry serve --fault x" "export UPPER/CASE -"; do
    # shellcheck disable=SC2086
    check "wrong usage: $wrong" ends 2 "$parb" $wrong
done
check "a failure" ends 1 "$parb" digest "$registry/not:there"

# Ended by a signal while it writes: its exit code tells which, and nothing is left; after a kill, a file that says whose
# it is.
head -c 300000000 /dev/zero > "$work/tree/zeros"
"$parb" append -f "$work/tree" -t "$registry/big:1" >/dev/null 2>&1
mkdir "$work/ended"
for signal in INT TERM KILL; do
    case $signal in INT) code=130 ;; TERM) code=143 ;; KILL) code=137 ;; esac
    got=0
    # A shell starts what is in the background with SIGINT ignored; a new session of python does not.
    python3 - "$signal" "$parb" export "$registry/big:1" "$work/ended/x.tar" <<'PY' || got=$?
import os, signal, subprocess, sys, time
directory = os.path.dirname(sys.argv[-1])
child = subprocess.Popen(sys.argv[2:], preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
while child.poll() is None and not os.listdir(directory):
    time.sleep(0.001)
child.send_signal(getattr(signal, "SIG" + sys.argv[1]))
code = child.wait()
sys.exit(code if code >= 0 else 128 - code)
PY
    check "the exit code of SIG$signal" same "$got" "$code"
    if [ "$signal" = KILL ]; then
        check "what is left is ours" bash -c "ls -A '$work/ended' | grep -v '^\.parb-' && exit 1 || test -n \"\$(ls -A '$work/ended')\""
    else
        check "nothing is left after SIG$signal" same "$(find "$work/ended" -type f)" ""
    fi
done

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
