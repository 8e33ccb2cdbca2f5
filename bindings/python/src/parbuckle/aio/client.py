"""Clients for asyncio."""

from __future__ import annotations

import asyncio
from typing import Any, Optional

from .._loop import LoopQueue, loop_queue, run
from .._wait import SLICE_MS, UNSET, Progress, Timeout, seconds
from ..client import ClientBase
from ..errors import TimedOutError
from ..image import ImageFacts
from ..index import IndexFacts
from ..layer import LayerFacts
from ..reference import AnyReference, Descriptor
from .image import AsyncImage
from .index import AsyncIndex


class AsyncClient(ClientBase):
    """Talks to registries from an event loop: `async with AsyncClient() as client: …`. Made as `parbuckle.Client`.

    Every call takes `timeout` (seconds) and `progress` (called with the bytes moved and the bytes known).
    """

    __slots__ = ("_loop", "_queue")

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._queue: Optional[LoopQueue] = None
        self._loop: Optional[asyncio.AbstractEventLoop] = None

    async def resolve(
        self,
        reference: AnyReference,
        *,
        platform: Optional[str] = None,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> Descriptor:
        """What a reference names; with `platform`, the image for it in an index."""
        return await run(self._resolve(reference, platform), seconds(timeout, self.timeout), None, progress)

    async def pull(
        self,
        reference: AnyReference,
        *,
        platform: Optional[str] = None,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> AsyncImage:
        """The image that a reference names; of an index, the one for `platform` (linux/amd64)."""
        call, limit = self._pull(reference, platform), seconds(timeout, self.timeout)
        return AsyncImage(await run(call, limit, None, progress), self.timeout)

    async def pull_index(
        self, reference: AnyReference, *, timeout: Timeout = UNSET, progress: Optional[Progress] = None
    ) -> AsyncIndex:
        """The index that a reference names."""
        call, limit = self._pull_index(reference), seconds(timeout, self.timeout)
        return AsyncIndex(await run(call, limit, None, progress), self.timeout)

    async def push(
        self,
        reference: AnyReference,
        image: ImageFacts,
        *,
        jobs: Optional[int] = None,
        mount_from: Optional[AnyReference] = None,
        foreign_layers: bool = False,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> None:
        """Puts an image where the reference says: the blobs that the repository lacks, the manifest, the tag."""
        call = self._push(reference, image, ImageFacts, jobs, mount_from, foreign_layers)
        await run(call, seconds(timeout, self.timeout), None, progress)

    async def push_index(
        self,
        reference: AnyReference,
        index: IndexFacts,
        *,
        jobs: Optional[int] = None,
        mount_from: Optional[AnyReference] = None,
        foreign_layers: bool = False,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> None:
        """Puts an index, and everything below it, where the reference says."""
        call = self._push(reference, index, IndexFacts, jobs, mount_from, foreign_layers)
        await run(call, seconds(timeout, self.timeout), None, progress)

    async def push_layer(
        self,
        repository: AnyReference,
        layer: LayerFacts,
        *,
        mount_from: Optional[AnyReference] = None,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> None:
        """Makes sure that a layer's blob is in a repository."""
        call = self._push(repository, layer, LayerFacts, None, mount_from)
        await run(call, seconds(timeout, self.timeout), None, progress)

    async def close(self, *, timeout: Optional[float] = 10.0) -> None:
        """Ends everything that runs on the client, and waits until it is gone."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        try:
            while not self._end(0):
                if deadline is not None and loop.time() >= deadline:
                    raise TimedOutError("the client's calls are ending still", code="TIMED_OUT")
                await asyncio.sleep(SLICE_MS / 10_000)
        finally:
            self._leave()

    async def __aenter__(self) -> AsyncClient:
        if self._queue is None:
            self._loop, self._queue = asyncio.get_running_loop(), loop_queue()
            self._queue.clients += 1
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    def _leave(self) -> None:
        queue, loop, self._queue = self._queue, self._loop, None
        if queue and loop:
            queue.leave(loop)
