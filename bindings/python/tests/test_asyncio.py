"""The same for asyncio."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import io
import random
import resource
import sys
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import parbuckle
import pytest

from support import Site, descriptors, image_of, settles, tar_of, threads

T = TypeVar("T")
PROMPT = 2.0


def run(main: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(main)


def client_of(site: Site, **options: Any) -> parbuckle.AsyncClient:
    return parbuckle.AsyncClient(keychain=parbuckle.Keychain.anonymous(), **options)


def test_derive() -> None:
    async def main(site: Site) -> None:
        async with client_of(site) as client:
            name = site.name("a:1")
            await client.push(name, image_of())
            assert (await client.resolve(name)).digest == image_of().digest
            base = await client.pull(name)
            assert (await base.config()).platform == "linux/amd64"
            sink = client.repository(site.name("b"))
            tar = tar_of(500_000, 9)
            layers = await asyncio.gather(
                parbuckle.AsyncLayer.from_bytes(tar, sink=sink),
                parbuckle.AsyncLayer.from_fileobj(io.BytesIO(tar), sink=sink),
                parbuckle.AsyncLayer.from_bytes(tar),
            )
            assert len({layer.digest for layer in layers}) == 1
            assert await layers[2].diff_id() == "sha256:" + hashlib.sha256(tar).hexdigest()
            made = await base.edit().add_layer(layers[0]).env(A="1").build()
            told: list[tuple[int, int]] = []
            await client.push(site.name("b:1"), made, progress=lambda *now: told.append(now))
            assert told
            back = await client.pull(site.name("b:1"))
            await back.validate(jobs=4)
            assert back.digest == made.digest == back.blocking.digest
            assert back.blocking.config().env == {"A": "1"}

            layer = back.layers[1]
            stored = b"".join([piece async for piece in layer])
            assert "sha256:" + hashlib.sha256(stored).hexdigest() == layer.digest
            async with layer.open_uncompressed() as reader:
                head = await reader.read(512)
                assert 0 < len(head) <= 512
                assert head + await reader.read() == tar
                assert await reader.read(1) == b""
            with pytest.raises(ValueError):
                await reader.read(1)
            with pytest.raises(parbuckle.NotFoundError):
                await client.pull(site.name("b:2"))
            with pytest.raises(parbuckle.InvalidArgumentError):
                await client.pull("B")
        with pytest.raises(parbuckle.InvalidStateError):
            await client.pull(site.name("b:1"))

    with Site() as site:
        run(main(site))


def test_1000_pulls_in_flight() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20_000), hard))
    try:
        with Site([("GET", "/v2/a/manifests/*", 0, "delay=700")], idle=20) as site:
            image = image_of(1000)
            site.client.push(site.name("a:1"), image)
            run(many(site, image.digest))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def many(site: Site, digest: str) -> None:
    async with client_of(site, first_byte_timeout=60) as client:
        await client.pull(site.name("a:1"))
        before, most, flying = threads(), 0, 1000
        tasks = [asyncio.ensure_future(client.pull(site.name("a:1"))) for _ in range(flying)]
        while not all(task.done() for task in tasks):
            most = max(most, threads())
            await asyncio.sleep(0.05)
        assert {task.result().digest for task in tasks} == {digest}
        assert most <= before + 4, f"{before} threads before, {most} while {flying} pulls ran"  # those that compute


def test_a_cancelled_task_cancels_the_transfer() -> None:
    async def main(site: Site) -> None:
        async with client_of(site, idle_timeout=60, first_byte_timeout=60) as client:
            for work in (client.pull(site.name("a:1")), client.push(site.name("b:1"), image_of())):
                task = asyncio.ensure_future(work)
                await asyncio.sleep(0.3)
                began = time.monotonic()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert time.monotonic() - began < PROMPT
            deadline = time.monotonic() + PROMPT
            while any(r.get("running") for r in site.server.requests()):
                assert time.monotonic() < deadline, "the server still waits for a connection that nobody needs"
                await asyncio.sleep(0.05)
        assert time.monotonic() - began < 2 * PROMPT

    with Site([("*", "*", 0, "stall")]) as site:
        run(main(site))
        assert site.fired() >= 2


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout came with 3.11")
def test_timeouts_of_asyncio() -> None:
    async def main(site: Site) -> None:
        async with client_of(site, idle_timeout=60) as client:
            layer = (await client.pull(site.name("a:1"))).layers[0]
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    async for _ in layer:
                        pass
            with pytest.raises(parbuckle.TimedOutError):
                async with layer.open(timeout=0.3) as reader:
                    await reader.read()
            assert time.monotonic() - began < PROMPT + 0.6

    with Site([("GET", "/v2/a/blobs/*", 0, "stall")]) as site:
        site.client.push(site.name("a:1"), image_of(3_000_000))
        run(main(site))


def test_cancel_at_random_moments() -> None:
    gc.collect()
    before = threads(), descriptors()

    async def main(site: Site) -> int:
        rng, cancelled = random.Random(8), 0
        async with client_of(site) as client:
            for i in range(200):
                image = await client.pull(site.name("a:1"))
                works = (client.push(site.name(f"b{i}:1"), image_of(300_000)), image.layers[0].open().read())
                tasks = [asyncio.ensure_future(work) for work in works]
                await asyncio.sleep(rng.random() * 0.01)
                for task in tasks:
                    task.cancel()
                for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                    assert outcome is None or isinstance(outcome, (bytes, asyncio.CancelledError)), outcome
                    cancelled += isinstance(outcome, asyncio.CancelledError)
        return cancelled

    with Site(idle=20) as site:
        site.client.push(site.name("a:1"), image_of(3_000_000))
        assert run(main(site)) > 20
    del site
    gc.collect()
    assert settles(threads, before[0]) is None
    assert settles(descriptors, before[1]) is None


def test_a_cancelled_file_object_ends_its_thread() -> None:
    class Slow(io.RawIOBase):
        reads = 0

        def read(self, size: int = -1) -> bytes:
            Slow.reads += 1
            time.sleep(0.02)
            return bytes(512)

        def readinto(self, buffer: Any) -> int:
            buffer[:512] = self.read()
            return 512

    async def main() -> None:
        task = asyncio.ensure_future(parbuckle.AsyncLayer.from_fileobj(Slow()))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.3)
        reads = Slow.reads
        await asyncio.sleep(0.2)
        assert Slow.reads == reads

    run(main())


def test_what_a_file_raises_comes_out_as_itself() -> None:
    class Broken(io.RawIOBase):
        def readinto(self, buffer: Any) -> int:
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        run(parbuckle.AsyncLayer.from_fileobj(Broken()))


def test_loops_leave_nothing_behind() -> None:
    async def main(site: Site) -> None:
        async with client_of(site) as client, client_of(site) as other:
            await client.pull(site.name("a:1"))
            await other.pull(site.name("a:1"))

    async def careless(site: Site) -> None:
        await client_of(site).pull(site.name("a:1"))

    with Site() as site:
        site.client.push(site.name("a:1"), image_of())
        run(main(site))
        gc.collect()
        before = descriptors()
        for _ in range(20):
            run(main(site))
        assert settles(descriptors, before) is None
        for _ in range(20):
            run(careless(site))
        gc.collect()
        assert settles(descriptors, before) is None
