#!/usr/bin/env bash
# Archives, and what others make of them: crane, skopeo and podman read what the library wrote, the library reads what
# they wrote, and digests survive wherever the bytes are kept. Needs the library in $OUT, crane, skopeo, podman (as
# root) and a C compiler; podman is left out where it does not run.
set -euo pipefail
cd "$(dirname "$0")/.."
OUT=${OUT:-$PWD/target/release}
work=$(mktemp -d)
export LD_LIBRARY_PATH=$OUT${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
"$OUT/parb" registry serve --url-file "$work/url" >/dev/null 2>&1 &
server=$!
trap 'kill $server 2>/dev/null || true; rm -rf "$work"' EXIT
[ -e "$OUT/libparbuckle.so.0" ] || ln -s "$OUT/libparbuckle.so" "$work/libparbuckle.so.0"
LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$work
for _ in $(seq 100); do [ -s "$work/url" ] || sleep 0.1; done
r=$(sed 's|.*//||' "$work/url")
${CC:-gcc} -std=gnu11 -O1 -Wall -Wextra -Werror -Iinclude tests/c/convert.c -o "$work/convert" -L"$OUT" -lparbuckle
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
convert() { "$work/convert" "$@"; }
skope() { skopeo --insecure-policy "$@"; }
pod() { podman --root "$work/pod" --runroot "$work/podrun" --storage-driver vfs "$@"; }
children() { crane manifest "$1" | grep -o 'sha256:[0-9a-f]*'; }
diff_ids() { crane config "$1" | grep -o '"diff_ids":[^]]*'; }
# What an image is by its config: all that is left where layers are packed otherwise.
id() { crane config "$1" | sha256sum | cut -d' ' -f1; }

# Images of several makes.
mkdir -p "$work/tree/etc"
cp Cargo.toml README.md "$work/tree/etc/"
head -c 300000 /dev/urandom > "$work/tree/random"
ln -s etc/README.md "$work/tree/link"
tar -C "$work/tree" -cf "$work/one.tar" .
tar -C "$work/tree/etc" -cf "$work/two.tar" Cargo.toml
crane append -f "$work/one.tar" -t "$r/i:base" >/dev/null 2>&1
crane append -b "$r/i:base" -f "$work/two.tar" -t "$r/i:two" >/dev/null 2>&1
crane mutate "$r/i:two" --set-platform linux/amd64 -e A=1 -l 'x=<y>' --cmd /bin/true -t "$r/i:docker" >/dev/null 2>&1
crane append --oci-empty-base -f "$work/one.tar" -t "$r/i:ocibase" >/dev/null 2>&1
crane mutate "$r/i:ocibase" --set-platform linux/arm64 -a note=x --append "$work/two.tar" -t "$r/i:oci" >/dev/null 2>&1
crane mutate "$r/i:oci" --set-platform linux/amd64 -t "$r/i:oci2" >/dev/null 2>&1
crane index append -m "$r/i:oci" -m "$r/i:oci2" -t "$r/i:index" >/dev/null 2>&1

# Ours, read by others.
for tag in docker oci; do
    from=registry:$r/i:$tag platform=linux/amd64
    [ $tag = docker ] || platform=linux/arm64
    arch=${platform#*/}
    digest=$(crane digest "$r/i:$tag")
    convert -p $platform "$from" "docker:$work/d.tar@$r/i:$tag" >/dev/null
    crane pull --platform $platform "$r/i:$tag" "$work/c.tar"
    check "$tag: the bytes of crane pull" cmp "$work/d.tar" "$work/c.tar"
    convert -p $platform "$from" "docker:-@$r/i:$tag" | tail -n +2 | cat > "$work/piped.tar"
    check "$tag: down a pipe" cmp "$work/piped.tar" "$work/c.tar"
    check "$tag: crane validate" crane validate --tarball "$work/d.tar"
    check "$tag: crane push" crane push "$work/d.tar" "$r/crane:$tag"
    [ $tag != docker ] || check "$tag: crane digest" same "$(crane digest --tarball "$work/d.tar")" "$digest"
    check "$tag: skopeo docker-archive" skope --override-arch $arch copy -q "docker-archive:$work/d.tar" "dir:$work/dir"
    convert -p $platform "$from" "oci:$work/o.tar@some-name" >/dev/null
    if [ $tag = oci ]; then # skopeo finds no manifests of Docker's types in a layout
        check "$tag: skopeo oci-archive" skope --override-arch $arch copy -q --dest-tls-verify=false "oci-archive:$work/o.tar:some-name" "docker://$r/skopeo:$tag"
        check "$tag: and the digest is the same" same "$(crane digest "$r/skopeo:$tag")" "$digest"
    fi
    rm -rf "$work/layout" && mkdir "$work/layout" && tar -C "$work/layout" -xf "$work/o.tar"
    check "$tag: crane push of the layout" crane push "$work/layout" "$r/crane:$tag-layout"
    check "$tag: and the digest is the same" same "$(crane digest "$r/crane:$tag-layout")" "$digest"
    convert -p $platform "$from" "legacy:$work/l.tar@$r/i:$tag" >/dev/null
    crane pull --platform $platform --format=legacy "$r/i:$tag" "$work/cl.tar"
    check "$tag: legacy as crane writes it" cmp "$work/l.tar" "$work/cl.tar"
    check "$tag: crane validate legacy" crane validate --tarball "$work/l.tar"
    check "$tag: skopeo docker-archive of legacy" skope --override-arch $arch copy -q "docker-archive:$work/l.tar" "dir:$work/dir"
done
convert -i "registry:$r/i:index" "oci:$work/index.tar@all" >/dev/null
mkdir "$work/index" && tar -C "$work/index" -xf "$work/index.tar"
check "crane push of an index" crane push --index "$work/index" "$r/crane:index"
check "index: skopeo copies all" skope copy -q --all --dest-tls-verify=false "oci-archive:$work/index.tar:all" "docker://$r/skopeo:index"
# skopeo writes indexes anew, so that their own digest is another.
check "index: and names the same images" same "$(children "$r/skopeo:index")" "$(children "$r/i:index")"
check "index: back from the archive" convert -i "archive:$work/index.tar@all" "registry:$r/back:index"
check "index: and the digest is the same" same "$(crane digest "$r/back:index")" "$(crane digest "$r/i:index")"
check "index: one of its images" same "$(convert -p linux/amd64 "archive:$work/index.tar@all" nothing:)" "$(crane digest --platform linux/amd64 "$r/i:index")"

# Theirs, read by us: the image is the same wherever the bytes are.
for tag in docker oci; do
    platform=linux/amd64
    [ $tag = docker ] || platform=linux/arm64
    crane pull --platform $platform "$r/i:$tag" "$work/c.tar"
    [ $tag != docker ] || check "$tag: crane's archive" same "$(convert "archive:$work/c.tar" nothing:)" "$(crane digest "$r/i:$tag")"
    check "$tag: as crane reads it" same "$(convert "archive:$work/c.tar" nothing:)" "$(crane digest --tarball "$work/c.tar")"
    crane pull --platform $platform --format=legacy "$r/i:$tag" "$work/c.tar"
    check "$tag: crane's legacy archive" convert "archive:$work/c.tar" "registry:$r/back:$tag"
    check "$tag: is the same image" same "$(id "$r/back:$tag")" "$(id "$r/i:$tag")"
    rm -rf "$work/layout"
    crane pull --platform $platform --format=oci "$r/i:$tag" "$work/layout"
    tar -C "$work/layout" -cf "$work/c.tar" .
    check "$tag: crane's layout in a tar" same "$(convert "archive:$work/c.tar" nothing:)" "$(crane digest "$r/i:$tag")"
    for pack in cat gzip zstd; do
        $pack < "$work/c.tar" > "$work/packed"
        check "$tag: the same with $pack" same "$(convert "archive:$work/packed" nothing:)" "$(crane digest "$r/i:$tag")"
        check "$tag: and by a pipe" same "$(cat "$work/packed" | convert archive:- nothing:)" "$(crane digest "$r/i:$tag")"
    done
    rm -f "$work/s.tar" "$work/so.tar"
    arch=${platform#*/}
    skope --override-arch $arch copy -q --src-tls-verify=false "docker://$r/i:$tag" "docker-archive:$work/s.tar:x/y:z"
    check "$tag: skopeo's docker archive" convert "archive:$work/s.tar@x/y:z" "registry:$r/back:$tag"
    check "$tag: is the same image" same "$(id "$r/back:$tag")" "$(id "$r/i:$tag")"
    check "$tag: compressed into the registry" convert -s "$r/packed" "archive:$work/s.tar" "registry:$r/packed:$tag"
    check "$tag: is the same image" same "$(id "$r/packed:$tag")" "$(id "$r/i:$tag")"
    check "$tag: and valid" crane validate --remote "$r/packed:$tag"
    skope --override-arch $arch copy -q --src-tls-verify=false "docker://$r/i:$tag" "oci-archive:$work/so.tar:name"
    check "$tag: skopeo's OCI archive" convert -p $platform "archive:$work/so.tar@name" "registry:$r/back:$tag"
    check "$tag: has the same layers" same "$(diff_ids "$r/back:$tag")" "$(diff_ids "$r/i:$tag")" # it converts configs
done
skope copy -q --all --src-tls-verify=false "docker://$r/i:index" "oci-archive:$work/si.tar:name"
check "skopeo's archive of an index" convert -i "archive:$work/si.tar@name" "registry:$r/back:skopeo"
check "index: and names the same images" same "$(children "$r/back:skopeo")" "$(children "$r/i:index")"
crane pull --platform linux/amd64 "$r/i:docker" "$r/i:two" "$work/several.tar"
check "one of several by name" same "$(convert "archive:$work/several.tar@$r/i:two" nothing:)" "$(crane digest "$r/i:two")"
check "one of several by digest" same "$(convert "archive:$work/several.tar@$(crane digest "$r/i:two")" nothing:)" "$(crane digest "$r/i:two")"
check "several, and none named" bash -c "! $work/convert archive:$work/several.tar nothing:"

# podman, both ways.
if pod info >/dev/null 2>&1; then
    for format in docker oci legacy; do
        convert "registry:$r/i:docker" "$format:$work/p.tar@localhost/p:$format" >/dev/null
        check "podman load $format" pod load -i "$work/p.tar"
        check "podman has it" pod image exists "localhost/p:$format"
        check "podman: the same image" same "$(pod image inspect --format '{{.Id}}' "localhost/p:$format" | sed 's/sha256://')" "$(id "$r/i:docker")"
    done
    for format in docker-archive oci-archive; do
        rm -f "$work/p.tar"
        pod save -q --format $format -o "$work/p.tar" localhost/p:docker >/dev/null
        check "podman save $format" convert "archive:$work/p.tar@localhost/p:docker" "registry:$r/pod:$format"
        check "podman $format: valid" convert "registry:$r/pod:$format" nothing:
        check "podman $format: skopeo reads it" skope copy -q --src-tls-verify=false "docker://$r/pod:$format" "dir:$work/dir"
        check "podman $format: has the same layers" same "$(diff_ids "$r/pod:$format")" "$(diff_ids "$r/i:docker")"
    done
    rm -f "$work/p.tar"
    pod save -q -m -o "$work/p.tar" localhost/p:docker localhost/p:oci >/dev/null
    check "podman save of several names" convert "archive:$work/p.tar@localhost/p:oci" nothing:
else
    echo "podman does not run here: left out"
fi

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
