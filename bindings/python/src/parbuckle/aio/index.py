"""Indexes for asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Optional

from .._loop import run
from .._wait import UNSET, Progress, Timeout, seconds
from ..index import Index, IndexFacts
from ..index_builder import IndexBuilderBase
from ..layer import Sink, stored
from ..matcher import Matcher
from ..report import Report
from .image import AsyncImage


class AsyncIndex(IndexFacts):
    """An index: images by platform, or other indexes. Immutable, shared between threads."""

    __slots__ = ()

    @classmethod
    async def random(
        cls,
        images: int,
        layers: int,
        layer_size: int,
        seed: int = 0,
        *,
        format: Optional[str] = None,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> AsyncIndex:
        """An index of so many random images, the same for the same seed."""
        options, limit = stored(sink, compression, level).format(format), seconds(timeout, None)
        call = cls._random(images, layers, layer_size, seed, options)
        return cls(await run(call, limit, None, progress), limit)

    async def images(
        self,
        matcher: Optional[Matcher] = None,
        *,
        timeout: Timeout = UNSET,
    ) -> AsyncIterator[AsyncImage]:
        """The images that the index itself names, or those of them that are meant, each read when it is its turn."""
        for digest in self._images(matcher):
            yield await self.image(digest, timeout=timeout)

    async def children(
        self,
        matcher: Optional[Matcher] = None,
        *,
        timeout: Timeout = UNSET,
    ) -> AsyncIterator[AsyncIndex]:
        """The nested indexes, or those of them that are meant, each read when it is its turn."""
        for digest in self._children(matcher):
            yield await self.child(digest, timeout=timeout)

    async def image(
        self,
        digest_or_platform: str,
        *,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> AsyncImage:
        """The image with this digest, or the best one for this platform."""
        handle = await run(self._image(digest_or_platform), seconds(timeout, self._timeout), None, progress)
        return AsyncImage(handle, self._timeout)

    async def child(
        self,
        digest: str,
        *,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> AsyncIndex:
        """The nested index with this digest."""
        handle = await run(self._child(digest), seconds(timeout, self._timeout), None, progress)
        return AsyncIndex(handle, self._timeout)

    async def size(self, *, timeout: Timeout = UNSET, progress: Optional[Progress] = None) -> int:
        """Bytes of the index and of everything below it, each manifest and blob counted once."""
        return await run(self._size(), seconds(timeout, self._timeout), None, progress)

    async def validate(
        self,
        *,
        jobs: Optional[int] = None,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> None:
        """Reads everything below the index; raises the first thing that `examine` would report."""
        await run(self._validate(jobs), seconds(timeout, self._timeout), None, progress)

    async def examine(
        self,
        *,
        jobs: Optional[int] = None,
        fast: bool = False,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> Report:
        """Everything that is wrong with the index and what is below it, and whether its entries say what images are.

        `fast`: reads no layers, and looks only whether they are there.
        """
        return await run(self._examine(jobs, fast), seconds(timeout, self._timeout), None, progress)

    async def compare(
        self,
        other: IndexFacts,
        *,
        files: bool = False,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> Report:
        """Every difference from another index, and between their images of the same platform or place."""
        return await run(self._compare(other, files), seconds(timeout, self._timeout), None, progress)

    async def rebase(
        self,
        old_base: IndexFacts,
        new_base: IndexFacts,
        *,
        name: Optional[str] = None,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> AsyncIndex:
        """The index with every image on another base; attestations of images that changed are left out."""
        call = self._rebase(old_base, new_base, name)
        return AsyncIndex(await run(call, seconds(timeout, self._timeout), None, progress), self._timeout)

    async def convert(
        self,
        format: str,
        *,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> AsyncIndex:
        """The index, and all that is below it, in the media types of "docker" or "oci"."""
        return AsyncIndex(
            await run(self._convert(format), seconds(timeout, self._timeout), None, progress), self._timeout
        )

    async def flatten(
        self,
        *,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> AsyncIndex:
        """The index with every image flattened, as `AsyncImage.flatten` does; attestations are left out."""
        call = self._flatten(stored(sink, compression, level))
        return AsyncIndex(await run(call, seconds(timeout, self._timeout), None, progress), self._timeout)

    def edit(self) -> AsyncIndexBuilder:
        """A builder of an index like this one."""
        return AsyncIndexBuilder(self)

    @property
    def blocking(self) -> Index:
        """The same index with calls that block."""
        return Index(self._handle, self._timeout)


class AsyncIndexBuilder(IndexBuilderBase):
    """Notes changes to an index: `IndexBuilder().add(image).add(other).build()`. One thread at a time.

    Each method gives the builder back; the first mistake is reported by `build`. Changes are made in their order.
    """

    __slots__ = ()

    async def build(
        self,
        *,
        format: Optional[str] = None,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> AsyncIndex:
        """Makes the index; the builder can go on and build again. Moves no image; fetches the configs of added ones.

        `format`, "oci" or "docker", is for indexes from scratch.
        """
        handle = await run(self._build(format), seconds(timeout, self._timeout), None, progress)
        return AsyncIndex(handle, self._timeout)
