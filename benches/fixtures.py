"""The fixtures, made once from files that every machine with the toolchains has: real content, real ratios.

`append.tar` is a plain tar; `layer0.tar.gz` … `layer3.tar.gz` are one gzip member each, as Docker makes them;
`facts.json` has their sizes and digests. Made again only if `facts.json` is missing.
"""
import concurrent.futures
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import zlib

MIB = 1 << 20
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
        return json.load(f)


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
