"""Values made of parts, of functions of the host, of nothing and at random; what is wrong with them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import textwrap
import threading
from typing import Any, Optional

import parbuckle
import pytest
from parbuckle import Descriptor, Image, Index, IndexBuilder, Layer, LayerBuilder, _library

from support import image_of


class Host:
    """Blobs by digest, as the host has them."""

    def __init__(self, *images: Image) -> None:
        self.blobs: dict[str, bytes] = {}
        self.opened: list[str] = []
        for image in images:
            self.blobs[image.digest] = image.manifest
            self.blobs[config_digest(image)] = image.config().json
            for layer in image.layers:
                self.blobs[layer.digest] = b"".join(layer)

    def open(self, blob: Descriptor) -> Any:
        self.opened.append(blob.digest)
        return self.blobs[blob.digest]


def config_digest(image: Image) -> str:
    digest: str = json.loads(image.manifest)["config"]["digest"]
    return digest


def test_image_of_parts() -> None:
    image = image_of(300_000)
    host = Host(image)
    made = Image.from_parts(image.manifest, image.config().json, host.open)
    assert made.digest == image.digest and host.opened == []
    made.validate()
    assert host.opened == [image.layers[0].digest]
    assert Image.from_parts(image.manifest, open_blob=host.open).config().json == image.config().json
    whole = Image.from_parts(image.manifest, image.config().json, parts=image.layers)
    assert b"".join(whole.layers[0]) == host.blobs[image.layers[0].digest]
    assert Image.from_parts(image.manifest, parts=[image]).config().json == image.config().json
    with pytest.raises(parbuckle.NotFoundError) as caught:
        Image.from_parts(image.manifest, image.config().json)
    assert caught.value.subject == image.layers[0].digest
    with pytest.raises(parbuckle.MalformedError):
        Image.from_parts(b"[]", b"")
    with pytest.raises(TypeError):
        Image.from_parts(image.manifest, parts=image)  # type: ignore[arg-type]


class Closes(io.BytesIO):
    """Counts how many of them are open."""

    lock = threading.Lock()
    count = 0

    def __init__(self, data: bytes, seeks: bool) -> None:
        super().__init__(data)
        self.seeks = seeks
        with Closes.lock:
            Closes.count += 1

    def seekable(self) -> bool:
        return self.seeks

    def close(self) -> None:
        if not self.closed:
            with Closes.lock:
                Closes.count -= 1
        super().close()


@pytest.mark.parametrize("seeks", [True, False])
def test_blobs_as_files(seeks: bool) -> None:
    image = image_of(3_000_000)
    host = Host(image)
    made = Image.from_parts(image.manifest, None, lambda blob: Closes(host.open(blob), seeks))
    made.validate()
    with made.layers[0].open() as stream:
        assert stream.read() == host.blobs[image.layers[0].digest]
    del stream, made
    assert Closes.count == 0


def test_blobs_are_verified() -> None:
    image = image_of(10_000)
    host = Host(image)
    host.blobs[image.layers[0].digest] = b"x" * image.layers[0].size
    made = Image.from_parts(image.manifest, image.config().json, host.open)
    with pytest.raises(parbuckle.DigestMismatchError):
        made.validate()
    report = made.examine(jobs=2)
    assert [(f.code, f.subject) for f in report] == [("DIGEST_MISMATCH", image.layers[0].digest)]
    assert not image.examine() and not image.examine(fast=True)


def test_exceptions_of_the_host() -> None:
    class Mine(Exception):
        pass

    error = Mine("not today\0")

    def fails(blob: Descriptor) -> bytes:
        raise error

    image = image_of()
    made = Image.from_parts(image.manifest, None, fails)
    for call in (made.config, made.validate, made.layers[0].open().read):
        with pytest.raises(Mine) as caught:
            call()
        assert caught.value is error
    with pytest.raises(KeyError):
        Image.from_parts(image.manifest, None, Host().open).config()
    with pytest.raises(TypeError):
        Image.from_parts(image.manifest, None, lambda blob: 7).config()

    class Breaks(io.BytesIO):
        def readinto(self, buffer: Any) -> int:
            raise error

    broken = Image.from_parts(image.manifest, None, lambda blob: Breaks(b"x"))
    with pytest.raises(Mine):
        b"".join(broken.layers[0])
    reader = broken.layers[0].open()
    for _ in range(2):
        with pytest.raises(Mine):
            reader.read()
    made.examine()  # what it could not read is in the report
    del caught, reader, broken, made
    assert not _library.carried, "exceptions that nobody waits for any more are kept"


def test_library_errors_of_the_host() -> None:
    def fails(blob: Descriptor) -> bytes:
        raise parbuckle.DeniedError("no", code="DENIED")

    with pytest.raises(parbuckle.DeniedError):
        Image.from_parts(image_of().manifest, None, fails).config()


def test_whether_there_is_a_blob() -> None:
    image = image_of()
    host = Host(image)
    asked: list[str] = []

    def has(blob: Descriptor) -> Optional[bool]:
        asked.append(blob.digest)
        return False if blob.digest == image.layers[0].digest else None

    made = Image.from_parts(image.manifest, image.config().json, host.open, has_blob=has)
    assert [f.code for f in made.examine(fast=True)] == ["NOT_FOUND"] and image.layers[0].digest in asked
    with pytest.raises(TypeError):
        Image.from_parts(image.manifest, has_blob=has)


def test_indexes_and_layers_of_parts() -> None:
    image = image_of()
    host = Host(image)
    index = IndexBuilder().add(image).build()
    made = Index.from_parts(index.manifest, host.open)
    assert made.digest == index.digest
    made.validate(jobs=2)
    assert not Index.from_parts(index.manifest, parts=[image]).examine()
    size = image.layers[0].uncompressed_size()
    layer = Layer.from_parts(image.layers[0].descriptor, host.open, uncompressed_size=size)
    assert layer.digest == image.layers[0].digest and layer.uncompressed_size() == size
    with pytest.raises(parbuckle.DigestMismatchError):
        Layer.from_parts(image.layers[0].descriptor, host.open, uncompressed_size=7).validate()
    assert b"".join(layer) == host.blobs[layer.digest]
    layer.validate()
    config = image.config()
    anew = Image.from_config(config, image.layers)
    assert anew.config().json == config.json and anew.layers[0].digest == layer.digest
    assert Image.from_config(config.json, [layer], format="docker").media_type.endswith("manifest.v2+json")
    with pytest.raises(parbuckle.MalformedError):
        Image.from_config(config, [])


def test_nothing() -> None:
    assert len(Image.empty().layers) == 0 and "docker" in Image.empty(format="docker").media_type
    assert len(Index.empty()) == 0 and "docker" in Index.empty(format="docker").media_type
    with pytest.raises(parbuckle.InvalidArgumentError):
        Image.empty(format="other")
    assert list(Index.empty().images()) == []


def test_random_content() -> None:
    assert Layer.random(1000, 7).digest == Layer.random(1000, 7).digest != Layer.random(1000, 8).digest
    image = Image.random(2, 500, 3, format="docker", compression="gzip")
    assert image.digest == Image.random(2, 500, 3, format="docker", compression="gzip").digest
    assert len(image.layers) == 2 and "docker" in image.media_type
    index = Index.random(3, 1, 100, 5)
    assert len(index) == 3 and index.digest == Index.random(3, 1, 100, 5).digest
    index.validate()
    with pytest.raises(ValueError):
        Layer.random(-1)
    with pytest.raises(parbuckle.InvalidArgumentError):
        Image.random(1001, 1)
    cancel = parbuckle.CancelToken()
    cancel.cancel()
    with pytest.raises(parbuckle.CancelledError):
        Image.random(1, 100, cancel=cancel)


def test_findings() -> None:
    twice = LayerBuilder().add_bytes("a", b"1").add_bytes("a", b"2").build()
    report = parbuckle.ImageBuilder().add_layer(twice).platform("linux/amd64").build().examine()
    assert len(report) == 1 and report[0].subject == twice.digest and "twice" in report[0].message


def test_exit_while_the_library_reads() -> None:
    """The interpreter goes while callbacks run and streams are open; nothing crashes."""
    program = textwrap.dedent("""
        import sys, threading, time
        import parbuckle
        started = threading.Event()

        class Slow:
            def read(self, size):
                started.set()
                time.sleep(0.3 if how == "slow" else 0)
                return bytes(size)

        how = sys.argv[1]
        layer = parbuckle.Layer.from_parts(
            parbuckle.Descriptor("application/octet-stream", "sha256:" + "0" * 64, 1 << 30), lambda blob: Slow()
        )
        threading.Thread(target=lambda: layer.open().read(), daemon=True).start()
        started.wait()
        if how == "fast":
            time.sleep(0.2)
        print("over")
        """)
    for how in ("slow", "fast", "slow", "fast"):
        done = subprocess.run([sys.executable, "-c", program, how], capture_output=True, text=True, timeout=30)
        assert (done.returncode, done.stdout) == (0, "over\n"), done.stderr
