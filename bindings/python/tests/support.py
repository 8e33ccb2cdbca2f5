"""What several tests need."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import random
import tarfile
import time
from collections.abc import Iterable
from typing import Any, Optional

import parbuckle

Fault = tuple[str, str, int, str]


def tar_of(size: int, seed: int = 1, name: str = "file") -> bytes:
    """A tar with one file of so many random bytes, which don't compress."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size = size
        tar.addfile(info, io.BytesIO(random.Random(seed).randbytes(size)))
    return out.getvalue()


def image_of(size: int = 100_000, seed: int = 1) -> parbuckle.Image:
    """An image from scratch with one layer."""
    layer = parbuckle.Layer.from_bytes(tar_of(size, seed), compression="none")
    return parbuckle.ImageBuilder().add_layer(layer).platform("linux/amd64").build()


class Site:
    """A registry that fails as it is told, and a client with short patience."""

    def __init__(self, faults: Iterable[Fault] = (), *, idle: float = 0.3, attempts: int = 5, **server: Any) -> None:
        self.server = parbuckle.Server(faults=faults, **server)
        users = server.get("users") or {}
        keychain = parbuckle.Keychain.anonymous()
        for user, password in users.items():
            keychain = parbuckle.Keychain.basic(self.server.host, user, password)
        self.client = parbuckle.Client(
            keychain=keychain,
            first_byte_timeout=idle,
            idle_timeout=idle,
            attempts=attempts,
            first_delay=0.02,
            timeout=30,
        )

    def name(self, name: str) -> str:
        return f"{self.server.host}/{name}"

    def fired(self) -> int:
        """How many requests were spoiled."""
        return sum("fault" in request for request in self.server.requests())

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *exception: object) -> None:
        self.client.close()
        self.server.stop()


class Sum(io.RawIOBase):
    """A file that only hashes what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self._sum, self.size = hashlib.sha256(), 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._sum.update(data)
        self.size += len(data)
        return len(data)

    def digest(self) -> str:
        return f"sha256:{self._sum.hexdigest()}"


class Tar(io.RawIOBase):
    """A tar with one file of `size` bytes, made while it is read: half of each MiB is random, half is zero."""

    def __init__(self, size: int) -> None:
        super().__init__()
        info = tarfile.TarInfo("big")
        info.size = size
        half = (1 << 20) // 2
        block = random.Random(7).randbytes(half) + bytes(half)
        self._parts = itertools.chain([info.tobuf()], itertools.repeat(block, size >> 20), [bytes(1024)])
        self._part, self._sum = memoryview(b""), hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._part:
            self._part = memoryview(next(self._parts, b""))
        n = min(len(self._part), len(buffer))
        buffer[:n] = self._part[:n]
        self._sum.update(self._part[:n])
        self._part = self._part[n:]
        return n

    def digest(self) -> str:
        return f"sha256:{self._sum.hexdigest()}"


def threads() -> int:
    return len(os.listdir("/proc/self/task"))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def settles(what: Any, most: int, within: float = 3.0) -> Optional[int]:
    """None once `what()` is no more than `most`; else what it was to the end."""
    deadline = time.monotonic() + within
    while (found := what()) > most:
        if time.monotonic() > deadline:
            return int(found)
        time.sleep(0.05)
    return None
