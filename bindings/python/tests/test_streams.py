"""Layers as file objects."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import threading
import time
from typing import Any, Callable

import parbuckle
import pytest

from support import Site, Sum, Tar, image_of, settles, tar_of, threads

MIB = 1 << 20


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_100_mib_there_and_back(compression: str) -> None:
    with Site(idle=20) as site:
        source = Tar(100 * MIB)
        told: list[int] = []
        layer = parbuckle.Layer.from_fileobj(
            source,
            sink=site.client.repository(site.name("a")),
            compression=compression,
            progress=lambda done, total: told.append(done),
        )
        assert layer.diff_id() == source.digest()
        assert told == sorted(told) and told[-1] > 100 * MIB
        stats = site.client.stats
        assert stats["compress_in"] == (told[-1] if compression == "gzip" else 0)
        assert stats["uploaded"] >= layer.size, "it went into the repository on the way"
        site.client.push(site.name("a:1"), parbuckle.ImageBuilder().add_layer(layer).build())
        back, into = site.client.pull(site.name("a:1")).layers[0], Sum()
        with back.open_uncompressed() as stream:
            shutil.copyfileobj(stream, into)
        assert into.digest() == source.digest() and into.size == told[-1]


def test_reading_in_every_manner() -> None:
    layer = parbuckle.Layer.from_bytes(tar_of(700_000), compression="none")
    whole = tar_of(700_000)
    assert b"".join(layer) == whole
    with layer.open() as stream:
        assert stream.read(0) == b""
        first = stream.read(1)
        buffer = bytearray(10_000)
        n = stream.readinto(buffer)
        rest = stream.read()
        assert first + bytes(buffer[:n]) + rest == whole
        assert stream.read(1) == stream.read() == b"" and stream.readinto(buffer) == 0
    with layer.open() as stream, io.BufferedReader(stream) as buffered:
        assert buffered.read(512) == whole[:512] and buffered.read() == whole[512:]
    with layer.open() as stream:
        assert stream.readline() == whole[: whole.index(b"\n") + 1]


def test_writing_of_every_kind() -> None:
    whole = tar_of(700_000)
    with parbuckle.Layer.writer(compression="none") as writer:
        at = 0
        kinds: list[Callable[[bytes], Any]] = [bytes, bytearray, memoryview, lambda b: memoryview(bytearray(b)), lambda b: memoryview(b)[::1]]
        for i, size in enumerate([0, 1, 511, 300_000, 100_000, 10**9]):
            piece = whole[at : at + size]
            assert writer.write(kinds[i % len(kinds)](piece)) == len(piece)
            at += len(piece)
        assert writer.tell() == len(whole)
        assert writer.finish().diff_id() == "sha256:" + hashlib.sha256(whole).hexdigest()
    with parbuckle.Layer.writer() as writer, pytest.raises(TypeError):
        writer.write("text")


class Broken(io.RawIOBase):
    def __init__(self, good: bytes, error: BaseException) -> None:
        super().__init__()
        self._good, self._error = io.BytesIO(good), error

    def readinto(self, buffer: Any) -> int:
        n = self._good.readinto(buffer)
        if not n:
            raise self._error
        return n


def test_what_a_file_raises_comes_out_as_itself() -> None:
    mine = ValueError("mine")
    with Site() as site:
        sink = site.client.repository(site.name("a"))
        for good in (b"", tar_of(2_000_000)[:-5000]):
            for into in (sink, None):
                with pytest.raises(ValueError) as caught:
                    parbuckle.Layer.from_fileobj(Broken(good, mine), sink=into)
                assert caught.value is mine
        with pytest.raises(TypeError):
            parbuckle.Layer.from_fileobj(io.StringIO("text"))
        read_end, write_end = os.pipe()
        os.set_blocking(read_end, False)
        with open(read_end, "rb", buffering=0) as pipe, pytest.raises(BlockingIOError):
            parbuckle.Layer.from_fileobj(pipe)
        os.close(write_end)


def test_what_is_no_tar() -> None:
    with pytest.raises(parbuckle.MalformedError):
        parbuckle.Layer.from_fileobj(io.BytesIO(b"no tar at all" * 1000))
    with parbuckle.Layer.writer() as writer:
        with pytest.raises(parbuckle.MalformedError):
            for _ in range(100):
                writer.write(b"no tar at all" * 50_000)
        with pytest.raises(parbuckle.InvalidStateError):
            writer.finish()


def test_a_slow_reader_and_a_slow_writer() -> None:
    """Slices of waiting pass while the other side is slow, and nothing is lost by them."""
    whole = tar_of(4_000_000)
    with Site([("PATCH", "/v2/a/*", 1, "delay=700")], idle=10) as site:
        with parbuckle.Layer.writer(sink=site.client.repository(site.name("a")), compression="none") as writer:
            writer.write(whole)
            layer = writer.finish()
        assert site.fired() == 1 and layer.diff_id() == "sha256:" + hashlib.sha256(whole).hexdigest()
    with Site([("GET", "/v2/a/blobs/*", 0, "delay=350")], idle=10) as site:
        site.client.push(site.name("a:1"), image_of())
        layer = site.client.pull(site.name("a:1")).layers[0]
        with layer.open() as stream:
            assert len(stream.read()) == layer.size
        assert site.fired() >= 1


def test_timeout_of_a_stream() -> None:
    with Site([("GET", "/v2/a/blobs/*", 0, "stall")], idle=20) as site:
        site.client.push(site.name("a:1"), image_of(3_000_000))
        layer = site.client.pull(site.name("a:1")).layers[0]
        with layer.open(timeout=0.4) as stream, pytest.raises(TimeoutError):
            began = time.monotonic()
            stream.read()
        assert 0.3 < time.monotonic() - began < 2


def test_closing_from_another_thread_ends_a_read() -> None:
    with Site([("GET", "/v2/a/blobs/*", 0, "stall")], idle=20) as site:
        site.client.push(site.name("a:1"), image_of(3_000_000))
        stream = site.client.pull(site.name("a:1")).layers[0].open()
        timer = threading.Timer(0.3, stream.close)
        timer.start()
        began = time.monotonic()
        with pytest.raises((parbuckle.CancelledError, ValueError)):
            stream.read()
        assert time.monotonic() - began < 2
        timer.join()


def test_many_streams_from_many_threads() -> None:
    with Site(idle=20) as site:
        image = image_of(2_000_000)
        site.client.push(site.name("a:1"), image)
        layer = site.client.pull(site.name("a:1")).layers[0]
        outcomes: list[str] = []

        def read() -> None:
            with layer.open() as stream:
                outcomes.append("sha256:" + hashlib.sha256(stream.read()).hexdigest())

        before = threads()
        readers = [threading.Thread(target=read) for _ in range(20)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        assert outcomes == [layer.digest] * 20
        assert settles(threads, before + 4) is None
