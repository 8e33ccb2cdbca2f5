#!/usr/bin/env bash
# Makes the expected outputs of tests/it/golden_mutate.rs again, with crane (0.22.1 made those that are committed).
# Needs crane and curl in PATH. mutate/*/{config.json,manifest.json,flags} are the inputs; what crane makes of them
# goes to mutate/*/crane/, what it makes of nothing to append/*/.
set -euo pipefail
cd "$(dirname "$0")"

address=127.0.0.1:${PORT:-5399}
crane registry serve --address "$address" >/dev/null 2>&1 &
server=$!
trap 'kill $server' EXIT
until curl -fs "http://$address/v2/" >/dev/null; do sleep 0.1; done

put_blob() { # repository, file
	local digest
	digest=sha256:$(sha256sum "$2" | cut -d' ' -f1)
	curl -fsS -X POST --data-binary "@$2" -H 'Content-Type: application/octet-stream' \
		"http://$address/v2/$1/blobs/uploads/?digest=$digest"
}
get() { # repository:tag, folder
	mkdir -p "$2"
	crane manifest "$address/$1" >"$2/manifest.json"
	crane config "$address/$1" >"$2/config.json"
}

scratch=$(mktemp)
for folder in mutate/*/; do
	name=$(basename "$folder")
	for i in 0 1 2 3; do
		printf 'layer %d\n' $i >"$scratch"
		put_blob "$name" "$scratch"
	done
	put_blob "$name" "$folder/config.json"
	type=$(grep -oE 'application/vnd.(oci.image|docker.distribution).manifest.v[12]\+json' "$folder/manifest.json" | head -1 || true)
	curl -fsS -X PUT --data-binary "@$folder/manifest.json" \
		-H "Content-Type: ${type:-application/vnd.oci.image.manifest.v1+json}" "http://$address/v2/$name/manifests/in"
	mapfile -t flags <"$folder/flags"
	crane mutate "$address/$name:in" "${flags[@]}" -t "$address/$name:out" >/dev/null
	get "$name:out" "$folder/crane"
done
rm "$scratch"

crane append -f layer.tar.gz -t "$address/append:docker" >/dev/null
crane append -f layer.tar.gz --oci-empty-base -t "$address/append:oci" >/dev/null
get append:docker append/docker
get append:oci append/oci
