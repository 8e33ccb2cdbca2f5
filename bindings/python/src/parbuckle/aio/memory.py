"""Stores in memory for asyncio."""

from __future__ import annotations

from typing import Optional, Union

from .._loop import run
from .._medium import Awaited
from .._wait import UNSET, Progress, Timeout, seconds
from ..image import ImageFacts
from ..index import IndexFacts
from ..memory import MemoryStoreFacts
from .image import AsyncImage
from .index import AsyncIndex


class AsyncMemoryStore(MemoryStoreFacts, Awaited):
    """A store of images and indexes in memory."""

    __slots__ = ()

    async def put(
        self,
        what: Union[ImageFacts, IndexFacts],
        name: Optional[str] = None,
        *,
        jobs: Optional[int] = None,
        foreign_layers: bool = False,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> None:
        """Takes in an image, or an index with all that is below it, under a name that another one may have had.

        Without a name it is found by its digest alone.
        """
        await run(self._put(what, name, jobs, foreign_layers), seconds(timeout, self._timeout), None, progress)

    async def image(
        self, name_or_digest: str, *, platform: Optional[str] = None, timeout: Timeout = UNSET
    ) -> AsyncImage:
        """The image with this name or digest; of an index, the one for the platform."""
        call = self._image(name_or_digest, platform)
        return AsyncImage(await run(call, seconds(timeout, self._timeout)), self._timeout)

    async def index(self, name_or_digest: str, *, timeout: Timeout = UNSET) -> AsyncIndex:
        """The index with this name or digest."""
        return AsyncIndex(await run(self._index(name_or_digest), seconds(timeout, self._timeout)), self._timeout)
