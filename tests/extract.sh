#!/usr/bin/env bash
# tests/extract.sh [CASE…]: what umoci and podman make of the layer stacks in tests/extract, entry by entry against the
# tree that each case says (and that `cargo test --test it extract` holds the library to). Needs root, umoci, podman.
# Where a tool differs, its line in the case says why: "# umoci differs: …", "# podman differs: …".
set -euo pipefail
cd "$(dirname "$0")/.."
work=${TMPDIR:-/var/tmp}/parb-extract.$$ # podman wants a path in lower case
mkdir "$work"
trap 'rm -rf "$work"' EXIT
python3 - "$work" "$@" <<'PY'
import gzip, hashlib, io, json, os, re, stat, subprocess, sys, tarfile, urllib.parse

work, only = sys.argv[1], sys.argv[2:]
decoded = urllib.parse.unquote_to_bytes


def item(line):
    words = line.split()
    kind, name = words[0], decoded(words[1])
    it = {"kind": kind, "name": name, "value": b"", "mode": {"d": 0o755, "l": 0o777}.get(kind, 0o644), "uid": 0, "gid": 0, "x": {}}
    for word in words[2:]:
        m = re.match(r"(mode|uid|gid|size|x:[^=]*)=(.*)$", word)
        if not m:
            it["value"] = decoded(word)
        elif m[1] == "mode":
            it["mode"] = int(m[2], 8)
        elif m[1] == "size":
            it["value"] = b"x" * int(m[2])
        elif m[1].startswith("x:"):
            it["x"][m[1][2:]] = decoded(m[2])
        else:
            it[m[1]] = int(m[2])
    return it


def case(path):
    layers, tree, error, notes, target = [], [], None, {}, None
    for line in open(path):
        line = line.strip()
        if m := re.match(r"# (umoci|podman) differs: (.*)", line):
            notes[m[1]] = m[2]
        if not line or line.startswith("#"):
            continue
        if line == "layer":
            layers.append(target := [])
        elif line == "tree":
            target = tree
        elif line.startswith("error "):
            error = line
        else:
            target.append(item(line))
    return layers, tree, error, notes


def record(key, value):
    rest = len(key) + len(value) + 3
    n = rest + 1
    while n != rest + len(str(n)):
        n = rest + len(str(n))
    return b"%d %s=%s\n" % (n, key, value)


def tar_of(items):
    out = b""
    types = {"f": b"0", "h": b"1", "l": b"2", "c": b"3", "b": b"4", "d": b"5", "p": b"6"}
    def block(data):
        return data + b"\0" * (-len(data) % 512)
    def header(name, flag, size, link=b"", mode=0o644, uid=0, gid=0, dev=(0, 0)):
        h = bytearray(512)
        h[0:100] = name[:100].ljust(100, b"\0")
        for at, n, v in ((100, 8, mode), (108, 8, uid), (116, 8, gid), (124, 12, size), (136, 12, 1700000000), (329, 8, dev[0]), (337, 8, dev[1])):
            h[at:at + n] = b"%0*o\0" % (n - 1, v)
        h[148:156] = b" " * 8
        h[156:157] = flag
        h[157:257] = link[:100].ljust(100, b"\0")
        h[257:265] = b"ustar\x0000"
        h[148:156] = b"%06o\0 " % sum(h)
        return bytes(h)
    for it in items:
        records = b""
        link = it["value"] if it["kind"] in "lh" else b""
        if len(it["name"]) > 100:
            records += record(b"path", it["name"])
        if len(link) > 100:
            records += record(b"linkpath", link)
        for k, v in sorted(it["x"].items()):
            records += record(b"SCHILY.xattr." + k.encode(), v)
        if records:
            out += header(b"x", b"x", len(records)) + block(records)
        data = it["value"] if it["kind"] == "f" or it["kind"].isupper() else b""
        dev = tuple(map(int, it["value"].split(b","))) if it["kind"] in "cb" else (0, 0)
        out += header(it["name"], types.get(it["kind"], it["kind"].encode()), len(data), link, it["mode"], it["uid"], it["gid"], dev) + block(data)
    return out + b"\0" * 1024


def layout(path, layers):
    os.makedirs(path + "/blobs/sha256")
    open(path + "/oci-layout", "w").write('{"imageLayoutVersion":"1.0.0"}')
    def put(data, kind):
        digest = hashlib.sha256(data).hexdigest()
        open(f"{path}/blobs/sha256/{digest}", "wb").write(data)
        return {"mediaType": kind, "digest": "sha256:" + digest, "size": len(data)}
    oci = "application/vnd.oci.image."
    tars = [tar_of(layer) for layer in layers]
    entries = [put(gzip.compress(tar, mtime=i), oci + "layer.v1.tar+gzip") for i, tar in enumerate(tars)]
    diff_ids = ["sha256:" + hashlib.sha256(tar).hexdigest() for tar in tars]
    config = {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/none"]}, "rootfs": {"type": "layers", "diff_ids": diff_ids},
              "history": [{"created_by": str(i)} for i in range(len(tars))]}
    manifest = {"schemaVersion": 2, "mediaType": oci + "manifest.v1+json", "config": put(json.dumps(config).encode(), oci + "config.v1+json"), "layers": entries}
    manifest = put(json.dumps(manifest).encode(), oci + "manifest.v1+json")
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "case"}
    json.dump({"schemaVersion": 2, "manifests": [manifest]}, open(path + "/index.json", "w"))


def on_disk(root):
    """What is below a directory, as a case writes it."""
    items, first = [], {}
    def add(path, name):
        st = os.lstat(path)
        kind = {stat.S_IFREG: "f", stat.S_IFDIR: "d", stat.S_IFLNK: "l", stat.S_IFCHR: "c", stat.S_IFBLK: "b", stat.S_IFIFO: "p"}[stat.S_IFMT(st.st_mode)]
        it = {"kind": kind, "name": name, "value": b"", "mode": stat.S_IMODE(st.st_mode), "uid": st.st_uid, "gid": st.st_gid, "x": {}}
        if kind != "d" and st.st_nlink > 1:
            if (st.st_dev, st.st_ino) in first:
                items.append({**it, "kind": "h", "value": first[st.st_dev, st.st_ino], "mode": 0o644, "uid": 0, "gid": 0})
                return
            first[st.st_dev, st.st_ino] = name
        if kind == "f":
            it["value"] = open(path, "rb").read()
        elif kind == "l":
            it["value"] = os.readlink(path)
        elif kind in "cb":
            it["value"] = b"%d,%d" % (os.major(st.st_rdev), os.minor(st.st_rdev))
        for x in os.listxattr(path, follow_symlinks=False):
            if x.startswith("user.") and not x.startswith("user.overlay") and x != "user.rootlesscontainers":
                it["x"][x] = os.getxattr(path, x, follow_symlinks=False)
        items.append(it)
    names = []
    for d, subs, files in os.walk(root.encode()):
        names += [os.path.join(d, n) for n in subs + files]
    for path in sorted(names, key=lambda p: p[len(root) + 1:]):
        add(path, path[len(root) + 1:])
    return items


def lines(items, all_modes=True):
    out = []
    for i in sorted(items, key=lambda i: i["name"]):
        if i["name"] == b".":
            continue
        out.append("%s %r %r %o %d:%d %r" % (i["kind"], i["name"], i["value"] if len(i["value"]) < 100 else hashlib.sha256(i["value"]).hexdigest(), i["mode"], i["uid"], i["gid"], sorted(i["x"].items())))
    return out


def run(*args):
    return subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")


def umoci(name, path):
    bundle = f"{work}/{name}.bundle"
    done = run("umoci", "unpack", "--image", path + ":case", bundle)
    return (on_disk(bundle + "/rootfs"), None) if done.returncode == 0 else (None, done.stdout.strip().splitlines()[-1:])


store = ["podman", "--storage-driver", "vfs", "--root", work + "/store", "--runroot", work + "/run"]


def podman(name, path):
    done = run(*store, "pull", "-q", f"oci:{path}:case")
    if done.returncode:
        return None, done.stdout.strip().splitlines()[-1:]
    image = done.stdout.split()[-1]
    mounted = run(*store, "image", "mount", image)
    if mounted.returncode:
        return None, mounted.stdout.strip().splitlines()[-1:]
    found = on_disk(mounted.stdout.strip())
    run(*store, "image", "umount", image)
    run(*store, "rmi", "-f", image)
    return found, None


wrong, same, told = 0, 0, 0
for path in sorted(os.listdir("tests/extract")):
    name = path.removesuffix(".case")
    if only and name not in only:
        continue
    layers, tree, error, notes = case("tests/extract/" + path)
    if not layers:
        continue
    here = f"{work}/{name}"
    layout(here, layers)
    for tool in (umoci, podman):
        found, failed = tool(name, here)
        if error:
            ok, why = found is None, "it is accepted: " + " ".join(lines(found or []))
        elif found is None:
            ok, why = False, f"it fails: {failed}"
        else:
            want, got = lines(tree), lines(found)
            ok, why = want == got, "\n      wanted " + "\n      wanted ".join(l for l in want if l not in got) + "\n      got    " + "\n      got    ".join(l for l in got if l not in want)
        note = notes.get(tool.__name__)
        if ok and note:
            print(f"{name}: {tool.__name__} no longer differs ({note})")
            wrong += 1
        elif ok:
            same += 1
        elif note:
            told += 1
        else:
            print(f"{name}: {tool.__name__}: {why}")
            wrong += 1
print(f"{same} the same, {told} different as their cases say, {wrong} wrong")
sys.exit(wrong > 0)
PY
