"""Layouts, archives, caches, stores and changes for asyncio."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import parbuckle
import pytest
from parbuckle import (
    AsyncArchive,
    AsyncCache,
    AsyncImage,
    AsyncIndex,
    AsyncIndexBuilder,
    AsyncLayer,
    AsyncLayerBuilder,
    AsyncLayout,
    AsyncMemoryStore,
    Descriptor,
    Matcher,
)

from support import Site


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main)


def test_media(tmp_path: Path) -> None:
    async def main() -> None:
        image = await AsyncImage.random(2, 20_000, 1)
        index = await AsyncIndexBuilder().add(image).add(await AsyncImage.random(1, 100, 2)).build()
        async with await AsyncLayout.create(tmp_path / "layout") as layout:
            entries = await asyncio.gather(layout.add(image, "one"), layout.add(index, "many"))
            assert [entry.digest for entry in entries] == [image.digest, index.digest]
            await layout.annotate(Matcher(name="one"), "a", "b")
            await layout.replace(image, "two")
            assert (await layout.image("one")).digest == image.digest
            assert len(await layout.index()) == 3 and (await layout.child("many")).digest == index.digest
            assert await layout.remove(Matcher(name="two")) == [image.digest]
            assert await layout.gc() == [] and not await layout.fsck()
        with pytest.raises(parbuckle.InvalidStateError):
            await layout.index()
        async with await AsyncLayout.open(tmp_path / "layout") as layout:
            image = await layout.image("one")

        memory, path = io.BytesIO(), tmp_path / "a.tar"
        await AsyncArchive.write(path, {"app:1": image})
        await AsyncArchive.write(memory, {"app:1": image})
        assert memory.getvalue() == path.read_bytes()
        memory.seek(0)
        async with await AsyncArchive.open(path) as archive, await AsyncArchive.open(memory) as other:
            assert archive.refs == other.refs and archive.kind == "docker"
            assert (await (await other.image()).config()).json == (await image.config()).json

        async with AsyncMemoryStore() as store, await AsyncCache.open(tmp_path / "cache", 1 << 20) as cache:
            await store.put(index, "many")
            await store.put(image, "one")
            back = (await store.image("one")).cached(cache)
            await back.validate()
            assert cache.size > 40_000 and not await cache.verify()
            assert [found.digest async for found in (await store.index("many")).images()] == [d.digest for d in index]
            await cache.remove(back.layers[0].digest)
            await cache.clear()
            assert cache.size == 0
            with pytest.raises(parbuckle.NotFoundError):
                await store.index("none")

    run(main())


def test_changes() -> None:
    async def main() -> None:
        builder = AsyncLayerBuilder().add_bytes("etc/one", b"1")
        indexed, layer = await asyncio.gather(builder.build(compression="estargz"), builder.build())
        assert indexed.has_toc and await indexed.read_file("etc/one") == b"1" and len(await indexed.toc()) >= 1
        assert await layer.uncompressed_size() > 512 and [f.path for f in await layer.files()] == ["etc/one"]
        base = await AsyncImage.empty().edit().platform("linux/amd64").add_layer(layer).build()
        image = await (await base.edit_file("etc/two", b"2")).remove_file("etc/one")
        assert [file.path for file in await image.files() if file.kind == "f"] == ["etc/two"]
        assert await image.read_file("etc/two") == b"2"
        async with image.filesystem() as stream:
            assert b"etc/two" in await stream.read()
        flat, zstd = await asyncio.gather(image.flatten(), image.recompress(compression="zstd"))
        assert len(flat.layers) == 1 and zstd.layers[0].media_type.endswith("+zstd")
        assert await image.compare(zstd) and not await image.compare(image) and not await image.examine()
        assert (await image.canonical()).digest == (
            await (await image.with_time("2020-01-01T00:00:00Z")).canonical()
        ).digest
        assert (await image.convert("docker")).media_type.startswith("application/vnd.docker")
        assert (await image.rebase(base, base)).digest == image.digest
        index = await AsyncIndexBuilder().add(image).build()
        await index.validate()
        nested = await AsyncIndexBuilder().add(index).build()
        assert await nested.size() > await index.size() and not await nested.examine()
        assert [child.digest async for child in nested.children()] == [index.digest]
        assert (await nested.edit().flatten().build())[0].digest == image.digest
        assert len((await (await index.flatten()).image("linux/amd64")).layers) == 1
        assert (await index.convert("docker")).blocking.media_type.endswith("list.v2+json")
        assert (await AsyncIndex.random(1, 1, 10, 4)).digest == (await AsyncIndex.random(1, 1, 10, 4)).digest

    run(main())


def test_parts() -> None:
    class Mine(Exception):
        pass

    def fails(blob: Descriptor) -> bytes:
        raise Mine(blob.digest)

    async def main() -> None:
        layer = await AsyncLayer.random(1000, 1)
        image = await AsyncImage.empty().edit().platform("linux/amd64").add_layer(layer).build()
        broken = AsyncImage.from_parts(image.manifest, (await image.config()).json, fails)
        with pytest.raises(Mine, match=layer.digest):
            await broken.validate()
        with pytest.raises(Mine):
            async with broken.layers[0].open() as stream:
                await stream.read()
        stored = b"".join([piece async for piece in layer])
        made = AsyncImage.from_parts(image.manifest, (await image.config()).json, lambda blob: stored)
        await made.validate()
        assert (await AsyncImage.from_config(await image.config(), made.layers)).layers[0].digest == layer.digest

    run(main())


def test_cancelled_tasks(tmp_path: Path) -> None:
    async def main(site: Site) -> None:
        async with parbuckle.AsyncClient(idle_timeout=60, first_byte_timeout=60) as client:
            await client.push(site.name("a:1"), await AsyncImage.random(1, 100_000))
            image = await client.pull(site.name("a:1"))
            async with await AsyncLayout.create(tmp_path / "layout") as layout, AsyncMemoryStore() as store:
                for work in (
                    layout.add(image),
                    store.put(image),
                    AsyncArchive.write(tmp_path / "a.tar", image),
                    AsyncArchive.write(io.BytesIO(), image),
                    image.flatten(),
                ):
                    task = asyncio.ensure_future(work)
                    await asyncio.sleep(0.1)
                    began = time.monotonic()
                    task.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await task
                    assert time.monotonic() - began < 2
                assert len(await layout.index()) == 0
        assert [path.name for path in tmp_path.iterdir()] == ["layout"]

    with Site([("GET", "/v2/a/blobs/*", 0, "stall")], idle=60) as site:
        run(main(site))
