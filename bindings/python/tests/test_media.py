"""Layouts, archives, caches and stores in memory: what goes in comes out."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import parbuckle
import pytest
from parbuckle import Archive, Cache, Image, Index, IndexBuilder, Layer, Layout, Matcher, MemoryStore
from parbuckle.archive import Images

from support import Site, Sum, descriptors, image_of, settles, tar_of

FORMATS = ("docker", "oci", "legacy")


def index_of(*platforms: str) -> Index:
    """An index of one small image for each platform."""
    builder = IndexBuilder()
    for seed, platform in enumerate(platforms):
        builder.add(image_of(2000, seed).edit().platform(platform).build())
    return builder.build()


def stored(image: Image) -> list[bytes]:
    """What an image consists of."""
    return [image.manifest, image.config().json, *(b"".join(layer) for layer in image.layers)]


def test_layout(tmp_path: Path) -> None:
    image, index = image_of(50_000), index_of("linux/amd64", "linux/arm64")
    with Layout.create(tmp_path / "new" / "layout", durable=True) as layout:
        assert layout.path == str(tmp_path / "new" / "layout") and layout.durable
        entry = layout.add(image, "one")
        assert entry.digest == image.digest and entry.platform == "linux/amd64"
        layout.add(index, "many", jobs=2)
    with pytest.raises(parbuckle.InvalidStateError, match="closed"):
        layout.index()
    with Layout.open(tmp_path / "new" / "layout") as layout:
        assert [d.digest for d in layout.index()] == [image.digest, index.digest]
        assert stored(layout.image("one")) == stored(image)
        assert layout.image("many", platform="linux/arm64").config().platform == "linux/arm64"
        assert layout.image(index[0].digest).digest == index[0].digest
        assert layout.child("many").manifest == index.manifest
        assert not layout.fsck() and layout.gc() == []

        other = image_of(60_000, 2)
        layout.replace(other, "one")
        layout.annotate(Matcher(name="one"), "org.example.a", "b")
        assert layout.image("one").digest == other.digest
        assert layout.index().find(Matcher(annotations={"org.example.a": "b"})) == [other.digest]
        assert layout.remove(Matcher(name="many")) == [index.digest]
        gone = layout.gc()
        assert image.layers[0].digest in gone and index.digest in gone and other.digest not in gone
        with pytest.raises(parbuckle.NotFoundError):
            layout.image("many")
        with pytest.raises(TypeError):
            layout.remove(None)  # type: ignore[arg-type]

        blob = tmp_path / "new" / "layout" / "blobs" / other.layers[0].digest.replace(":", "/")
        blob.chmod(0o644)
        blob.write_bytes(b"x" * other.layers[0].size)
        report = layout.fsck(jobs=2)
        assert [f.code for f in report] == ["DIGEST_MISMATCH"] and other.layers[0].digest in report[0].subject
    with pytest.raises(parbuckle.NotFoundError):
        Layout.open(tmp_path / "none")


def test_layout_as_sink(tmp_path: Path) -> None:
    with Layout.create(os.fsencode(tmp_path)) as layout:
        layer = Layer.from_bytes(tar_of(10_000), sink=layout.sink, compression="zstd")
        assert (tmp_path / "blobs" / layer.digest.replace(":", "/")).stat().st_size == layer.size
        layout.add(parbuckle.ImageBuilder().add_layer(layer).build())
        layout.image().validate()


def test_image_outlives_its_layout(tmp_path: Path) -> None:
    with Layout.create(tmp_path) as layout:
        layout.add(image_of())
        image = layout.image()
    assert stored(image) == stored(image_of())


@pytest.mark.parametrize("format", FORMATS)
def test_archive(tmp_path: Path, format: str) -> None:
    one, two = image_of(30_000), image_of(40_000, 2)
    path = tmp_path / "archive.tar"
    told: list[tuple[int, int]] = []
    names = {"app:1": one, "app:2": two}
    Archive.write(path, names, format=format, jobs=2, progress=lambda *now: told.append(now))
    assert told
    with Archive.open(path) as archive:
        # The legacy form has a manifest.json, too, for readers that know no other.
        assert archive.kind == ("oci" if format == "oci" else "docker") and len(archive.refs) == 2
        back = archive.image("app:2")
        assert back.config().json == two.config().json
        if format == "oci":
            assert stored(back) == stored(two) and archive.index().find(Matcher()) == [one.digest, two.digest]
        else:
            with pytest.raises(parbuckle.UnsupportedError):
                archive.index()
        with pytest.raises(parbuckle.InvalidArgumentError):
            archive.image()
        with pytest.raises(parbuckle.NotFoundError):
            archive.image("app:3")
        if format == "docker":
            with MemoryStore() as store:
                anew = archive.image("app:1", format="oci", compression="zstd", sink=store.sink)
                assert anew.media_type.startswith("application/vnd.oci") and "zstd" in anew.layers[0].media_type
    back.validate()  # holds the file


def test_archive_of_an_index(tmp_path: Path) -> None:
    index = index_of("linux/amd64", "linux/arm64")
    Archive.write(tmp_path / "plain.tar", index)
    Archive.write(str(tmp_path / "named.tar"), {"many": index})
    with Archive.open(tmp_path / "plain.tar") as archive:
        assert archive.index().find(Matcher()) == [index.digest]
        assert archive.index(index.digest).manifest == index.manifest
    with Archive.open(str(tmp_path / "named.tar")) as archive:
        assert archive.refs == ["many"] and archive.index("many").digest == index.digest
        assert archive.image("many", platform="linux/arm64").digest == index[1].digest
    one = image_of()
    named: dict[str, Image | Index] = {"many": index, "one": one}
    cases: tuple[tuple[str, Images], ...] = (("a.tar", named), ("b.tar", [one, index]))
    for to, what in cases:
        Archive.write(tmp_path / to, what)
        with Archive.open(tmp_path / to) as archive:
            assert archive.refs == (["one", "many"] if to == "a.tar" else [])
            assert archive.index().find(Matcher()) == [one.digest, index.digest]
            archive.image(one.digest).validate()
            archive.index(index.digest).validate()
    memory = io.BytesIO()
    Archive.write(memory, named)
    assert memory.getvalue() == (tmp_path / "a.tar").read_bytes()
    with pytest.raises(parbuckle.UnsupportedError):
        Archive.write(tmp_path / "not.tar", index, format="docker")
    assert not (tmp_path / "not.tar").exists()


class Odd(io.RawIOBase):
    """A stream without a descriptor that gives and takes little at once."""

    def __init__(self, data: bytes = b"") -> None:
        super().__init__()
        self.data, self.at = bytearray(data), 0

    def read(self, size: int = -1, /) -> bytes:
        piece = bytes(self.data[self.at : self.at + min(size, 1000)])
        self.at += len(piece)
        return piece

    def write(self, data: Any, /) -> int:
        self.data += data[:5000]
        return min(len(data), 5000)


class OnlyRead:
    """The least that a source needs."""

    def __init__(self, data: bytes) -> None:
        self.inner = io.BytesIO(data)

    def read(self, size: int) -> bytes:
        return self.inner.read(min(size, 999))


def test_archive_of_file_objects(tmp_path: Path) -> None:
    image = image_of(300_000)
    path = tmp_path / "archive.tar"
    Archive.write(path, image)
    whole = path.read_bytes()
    memory, odd, zipped = io.BytesIO(), Odd(), io.BytesIO()
    Archive.write(memory, [image])
    Archive.write(odd, image)
    with gzip.GzipFile(fileobj=zipped, mode="wb", compresslevel=1) as file:
        Archive.write(file, image)
    with open(tmp_path / "second.tar", "wb") as file:
        file.write(b"")
        Archive.write(file, image)
    with tempfile.TemporaryFile() as temporary:
        Archive.write(temporary.fileno(), image)
        temporary.seek(0)
        assert temporary.read() == whole
    assert memory.getvalue() == whole == bytes(odd.data) == (tmp_path / "second.tar").read_bytes()
    assert gzip.decompress(zipped.getvalue()) == whole

    memory.seek(0)
    with open(path, "rb") as plain, open(path, "rb", buffering=0) as raw:
        skipped = open(tmp_path / "behind", "wb+")
        skipped.write(b"12345" + whole)
        skipped.seek(5)
        sources: list[Any] = [plain, raw, memory, io.BytesIO(zipped.getvalue()), OnlyRead(whole), skipped]
        sources.append(gzip.GzipFile(fileobj=io.BytesIO(zipped.getvalue())))
        for source in sources:
            with Archive.open(source) as archive:
                assert archive.image().config().json == image.config().json
        with Archive.open(plain.fileno()) as archive:
            assert archive.kind == "docker"
        skipped.close()


def test_archive_through_a_pipe() -> None:
    image = image_of(300_000)
    read_end, write_end = os.pipe()

    def write() -> None:
        with open(write_end, "wb") as file:
            Archive.write(file, image, format="oci")

    thread = threading.Thread(target=write)
    thread.start()
    with open(read_end, "rb") as file, Archive.open(file) as archive:
        assert archive.image().digest == image.digest
    thread.join()


def test_archive_of_a_failing_file() -> None:
    class Failing(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def writable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            raise ZeroDivisionError("no reading")

        def write(self, data: Any) -> int:
            raise ZeroDivisionError("no writing")

    before = descriptors()
    with pytest.raises(ZeroDivisionError, match="no reading"):
        Archive.open(Failing())
    with pytest.raises(ZeroDivisionError, match="no writing"):
        Archive.write(Failing(), image_of(500_000))
    with pytest.raises(TypeError, match="binary"):
        Archive.open(io.StringIO("text"))
    with pytest.raises(parbuckle.MalformedError):
        Archive.open(io.BytesIO(b"no archive" * 1000))
    with pytest.raises(TypeError):
        Archive.write(io.BytesIO(), [image_of(), 1])  # type: ignore[list-item]
    assert settles(descriptors, before + 2) is None


def test_cancelled_write(tmp_path: Path) -> None:
    """A cancelled or late call leaves nothing half-written, wherever it writes to."""
    with Site([("GET", "/v2/a/blobs/*", 0, "stall")], idle=20) as site:
        site.client.push(site.name("a:1"), image_of())
        image = site.client.pull(site.name("a:1"))
        cancel = parbuckle.CancelToken()
        threading.Timer(0.2, cancel.cancel).start()
        began = time.monotonic()
        with pytest.raises(parbuckle.CancelledError):
            Archive.write(tmp_path / "a.tar", image, cancel=cancel)
        with pytest.raises(parbuckle.TimedOutError):
            Archive.write(io.BytesIO(), image, timeout=0.2)
        with Layout.create(tmp_path / "layout") as layout, MemoryStore() as store:
            with pytest.raises(parbuckle.TimedOutError):
                layout.add(image, timeout=0.2)
            assert len(layout.index()) == 0
            with pytest.raises(parbuckle.CancelledError):
                store.put(image, "x", cancel=cancel)
            assert store.names == []
        assert time.monotonic() - began < 5
    assert os.listdir(tmp_path) == ["layout"]


def test_cache(tmp_path: Path) -> None:
    with Site() as site, Cache(tmp_path / "cache", 10_000_000) as cache:
        name = site.name("a:1")
        site.client.push(name, image_of())
        for _ in range(2):
            image = site.client.pull(name).cached(cache)
            assert stored(image) == stored(image_of())
        fetched = [r for r in site.server.requests() if r["method"] == "GET" and "/blobs/" in r["path"]]
        assert len(fetched) == 2, "config and layer, once each"
        assert cache.stats["hits"] >= 2 and cache.size >= image.layers[0].size
        assert not cache.verify(jobs=2)
        assert b"".join(site.client.pull(name).layers[0].cached(cache)) == stored(image)[2]
        cache.remove(image.layers[0].digest)
        with pytest.raises(parbuckle.NotFoundError):
            cache.remove(image.layers[0].digest)
        cache.clear()
        assert cache.size == 0
        layer = Layer.from_bytes(tar_of(1000), sink=cache.sink)
        assert cache.size >= layer.size
        index = index_of("linux/amd64")
        site.client.push_index(site.name("i:1"), index)
        found = site.client.pull_index(site.name("i:1")).cached(cache)
        assert [i.config().platform for i in found.images()] == ["linux/amd64"]
    with pytest.raises(parbuckle.InvalidStateError):
        cache.stats
    with pytest.raises(ValueError):
        Cache(tmp_path / "cache", -1)


def test_cache_keeps_layers_uncompressed(tmp_path: Path) -> None:
    tar = tar_of(100_000)
    with Cache(tmp_path, 10_000_000, uncompressed=True) as cache:
        layer = Layer.from_bytes(tar, compression="gzip").cached(cache)
        for _ in range(2):
            with layer.open_uncompressed() as stream:
                assert stream.read() == tar
        assert cache.size >= len(tar)


def test_memory_store() -> None:
    image, index = image_of(20_000), index_of("linux/amd64", "linux/s390x")
    with MemoryStore(1_000_000) as store:
        store.put(image, "one")
        store.put(index, "many")
        store.put(image_of(10, 7))
        assert store.names == ["many", "one"] and store.size > 20_000
        assert stored(store.image("one")) == stored(image)
        assert [d.platform for d in store.index("many")] == ["linux/amd64", "linux/s390x"]
        with pytest.raises(parbuckle.LimitExceededError):
            store.put(image_of(1_000_000))
        kept = store.index("many").image("linux/s390x")
        assert store.image("many", platform="linux/s390x").digest == kept.digest
        store.remove("one")
        with pytest.raises(parbuckle.NotFoundError):
            store.image("one")
        with pytest.raises(parbuckle.InvalidArgumentError):
            store.image("many")
        layer = Layer.from_bytes(tar_of(1000), sink=store.sink)
    assert kept.config().platform == "linux/s390x" and len(b"".join(layer)) == layer.size


def test_from_medium_to_medium(tmp_path: Path) -> None:
    """Registry, layout, archive, store: the digest stays."""
    image = image_of(70_000)
    with Site() as site, Layout.create(tmp_path / "layout") as layout, MemoryStore() as store:
        site.client.push(site.name("a:1"), image)
        layout.add(site.client.pull(site.name("a:1")), "a")
        Archive.write(tmp_path / "a.tar", {"a": layout.image("a")}, format="oci")
        with Archive.open(tmp_path / "a.tar") as archive:
            store.put(archive.image(), "a")
        site.client.push(site.name("b:1"), store.image("a"))
        back = site.client.pull(site.name("b:1"))
        back.validate()
        assert back.digest == image.digest


def test_example(tmp_path: Path) -> None:
    """examples/python/shelf.py, twice, with something else under the name in between."""
    program = Path(__file__).parents[3] / "examples" / "python" / "shelf.py"
    with Site() as site:
        name = site.name("a:1")
        said = []
        for seed in (1, 2):
            site.client.push(name, image_of(1000, seed))
            run = subprocess.run([sys.executable, program, tmp_path, name], capture_output=True, text=True, timeout=60)
            assert run.returncode == 0, run.stderr
            said.append(run.stdout)
    assert f"{name}: 2 files" in said[0] and "removed sha256:" not in said[0]
    assert "file" in said[1] and "removed " in said[1]
    with Archive.open(tmp_path / "images.tar") as archive:
        assert archive.image(name).config().json == image_of(1000, 2).config().json


def test_exports_of_a_tar(tmp_path: Path) -> None:
    """An archive is a tar that others read."""
    Archive.write(tmp_path / "a.tar", {"example.org/app:1": image_of()})
    with tarfile.open(tmp_path / "a.tar") as tar:
        file = tar.extractfile("manifest.json")
        assert file and json.load(file)[0]["RepoTags"] == ["example.org/app:1"]
    sum = Sum()
    Archive.write(sum, {"example.org/app:1": image_of()})
    assert sum.size == (tmp_path / "a.tar").stat().st_size
