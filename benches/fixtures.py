"""The fixtures, made once from files that every machine with the toolchains has: real content, real ratios.

`append.tar` is a plain tar; `layer0.tar.gz` … `layer3.tar.gz` are one gzip member each, as Docker makes them;
`facts.json` has their sizes and digests. Made again only if `facts.json` is missing. `big` and `small` are OCI layouts
(the four layers; a hundred of 170 kB), `plain.tar` is what `docker save` writes of the four layers: plain tars. The
layers have files only, as some builders make them; `named0.gz` … name their directories, too, as Docker's layers do.
"""
import concurrent.futures
import gzip
import hashlib
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import zlib

MIB = 1 << 20
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
PIECE = 4 * MIB
# Larger ones would be most of a layer by themselves.
LARGEST_FILE = 48 * MIB
LAYERS = 4


def make(directory, append_mib, layer_mib):
    """The facts: {"append": {path, size, diff_id}, "layers": [{path, size, digest, diff_id, plain}…]}."""
    facts = os.path.join(directory, "facts.json")
    if not os.path.exists(facts):
        print(f"making fixtures in {directory}: a tar of {append_mib} MiB, {LAYERS} layers of {layer_mib} MiB", file=sys.stderr)
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        made = _make(directory, append_mib * MIB, layer_mib * MIB)
        with open(facts + ".tmp", "w") as f:
            json.dump(made, f, indent=1)
        os.rename(facts + ".tmp", facts)
    with open(facts) as f:
        made = json.load(f)
    media = os.path.join(directory, "media-2.json")
    if not os.path.exists(media):
        print("making layouts and an archive of them", file=sys.stderr)
        with open(media + ".tmp", "w") as f:
            json.dump(_media(directory, made["layers"]), f)
        os.rename(media + ".tmp", media)
    with open(media) as f:
        return dict(made, **json.load(f))


def _make(directory, append_size, layer_size):
    files = _files()
    tars = [os.path.join(directory, f"layer{i}.tar") for i in range(LAYERS)]
    append = os.path.join(directory, "append.tar")
    for path in tars:
        _tar(path, files, layer_size)
    _tar(append, files, append_size)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        layers = list(pool.map(_gzip, tars))
    for path in tars:
        os.unlink(path)
    return {"append": {"path": append, "size": os.path.getsize(append), "diff_id": _sha256(append)}, "layers": layers}


def _media(directory, layers):
    """{"big": layout, "small": layout, "plain": docker archive, "small layers": […], "named layers": […]}"""
    paths = {name: os.path.join(directory, name) for name in ("big", "small", "plain.tar")}
    with open(layers[0]["path"], "rb") as f:
        content = zlib.decompressobj(31).decompress(f.read(24 * MIB), 64 * MIB)
    little = [_little(os.path.join(directory, f"little{i}.gz"), content[i * 600_000:(i + 1) * 600_000], i) for i in range(100)]
    layout(paths["big"], layers)
    layout(paths["small"], little)
    _docker_archive(paths["plain.tar"], layers)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        named = list(pool.map(_named, [layer["path"] for layer in layers], range(LAYERS)))
    return {"big": paths["big"], "small": paths["small"], "plain": paths["plain.tar"], "small layers": little, "named layers": named}


def _named(layer, number):
    """The same layer, with an entry for each directory before the first file in it."""
    path = os.path.join(os.path.dirname(layer), f"named{number}.tar")
    there = set()
    with gzip.open(layer) as plain, tarfile.open(fileobj=plain, mode="r|") as old, tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as new:
        for entry in old:
            parts = entry.name.split("/")
            for directory in ("/".join(parts[:depth]) for depth in range(1, len(parts))):
                if directory not in there:
                    there.add(directory)
                    above = tarfile.TarInfo(directory)
                    above.type, above.mode = tarfile.DIRTYPE, 0o755
                    new.addfile(above)
            new.addfile(entry, old.extractfile(entry))
    made = _gzip(path)
    os.unlink(path)
    return made


def _little(path, content, i):
    """A layer of one file, about 170 kB compressed."""
    with open(path[:-3] + ".tar", "wb") as f, tarfile.open(fileobj=f, mode="w", format=tarfile.PAX_FORMAT) as tar:
        entry = tarfile.TarInfo(f"little/{i}")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    made = _gzip(path[:-3] + ".tar")
    os.unlink(path[:-3] + ".tar")
    os.rename(made["path"], path)
    return dict(made, path=path)


def config(layers):
    return json.dumps({
        "architecture": "amd64",
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {"Env": ["PATH=/usr/bin:/bin"], "Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": [layer["diff_id"] for layer in layers]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "bench"} for _ in layers],
    }).encode()


def manifest(layers):
    raw = config(layers)
    return json.dumps({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": digest(raw), "size": len(raw)},
        "layers": [{"mediaType": LAYER, "digest": l["digest"], "size": l["size"]} for l in layers],
    }).encode()


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def layout(path, layers):
    """An OCI layout with the image of these layers, named v1; the layers are links to the fixtures."""
    shutil.rmtree(path, ignore_errors=True)
    blobs = os.path.join(path, "blobs", "sha256")
    os.makedirs(blobs)
    for layer in layers:
        os.link(layer["path"], os.path.join(blobs, layer["digest"][7:]))
    document = manifest(layers)
    for raw in (config(layers), document):
        with open(os.path.join(blobs, digest(raw)[7:]), "wb") as f:
            f.write(raw)
    entry = {"mediaType": MANIFEST, "digest": digest(document), "size": len(document),
             "annotations": {"org.opencontainers.image.ref.name": "v1"}}
    with open(os.path.join(path, "index.json"), "w") as f:
        json.dump({"schemaVersion": 2, "manifests": [entry]}, f)
    with open(os.path.join(path, "oci-layout"), "w") as f:
        json.dump({"imageLayoutVersion": "1.0.0"}, f)


def _docker_archive(path, layers):
    raw = config(layers)
    names = [layer["diff_id"][7:] + "/layer.tar" for layer in layers]
    listing = [{"Config": digest(raw)[7:] + ".json", "RepoTags": ["bench/plain:v1"], "Layers": names}]
    with tarfile.open(path, "w") as tar:
        def add(name, size, file):
            entry = tarfile.TarInfo(name)
            entry.size = size
            tar.addfile(entry, file)
        add(listing[0]["Config"], len(raw), io.BytesIO(raw))
        for name, layer in zip(names, layers):
            with gzip.open(layer["path"]) as f:
                add(name, layer["plain"], f)
        text = json.dumps(listing).encode()
        add("manifest.json", len(text), io.BytesIO(text))


def _roots():
    asked = (["go", "env", "GOROOT"], ["rustc", "--print", "sysroot"], ["cc", "-print-libgcc-file-name"])
    for command in asked:
        if shutil.which(command[0]):
            said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd="/").stdout.strip()
            yield os.path.dirname(said) if said.endswith(".a") else said
    yield from ("/usr/lib", "/usr/share", "/usr/bin")


def _files():
    """Pairs of a file and its name in the tar: every regular file below the roots, shuffled by directory, always the
    same on one machine; and then all of them again below another directory, where there are too few."""
    groups = []
    for root in _roots():
        for directory, below, names in os.walk(root):
            below.sort()
            paths = [os.path.join(directory, name) for name in sorted(names)]
            paths = [p for p in paths if os.path.isfile(p) and not os.path.islink(p) and os.access(p, os.R_OK)]
            paths = [p for p in paths if os.path.getsize(p) <= LARGEST_FILE]
            if paths:
                groups.append(paths)
    if not groups:
        sys.exit("no files to make fixtures of")
    random.Random(1).shuffle(groups)
    turn = 0
    while True:
        for path in (path for group in groups for path in group):
            yield path, f"turn{turn}{path}"
        turn += 1


def _tar(path, files, size):
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        while tar.offset < size:
            source, name = next(files)
            with open(source, "rb") as f:
                entry = tarfile.TarInfo(name)
                stat = os.fstat(f.fileno())
                entry.size, entry.mode, entry.mtime = stat.st_size, stat.st_mode & 0o777, 0
                if tar.offset + entry.size <= size + 4 * MIB:
                    tar.addfile(entry, f)


def _gzip(path):
    deflate = zlib.compressobj(6, zlib.DEFLATED, 31)
    plain, packed, size = hashlib.sha256(), hashlib.sha256(), 0
    with open(path, "rb") as f, open(path + ".gz", "wb") as out:
        while True:
            piece = f.read(PIECE)
            plain.update(piece)
            made = deflate.compress(piece) if piece else deflate.flush()
            packed.update(made)
            size += len(made)
            out.write(made)
            if not piece:
                break
    digest, diff_id = ("sha256:" + h.hexdigest() for h in (packed, plain))
    return {"path": path + ".gz", "size": size, "digest": digest, "diff_id": diff_id, "plain": os.path.getsize(path)}


def _sha256(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while piece := f.read(PIECE):
            h.update(piece)
    return "sha256:" + h.hexdigest()
