"""Caches for asyncio."""

from __future__ import annotations

from typing import Optional

from .._loop import run
from .._medium import Awaited
from .._wait import UNSET, Progress, Timeout, seconds
from ..cache import CacheFacts
from ..layer import Path
from ..report import Report


class AsyncCache(CacheFacts, Awaited):
    """A cache of blobs in a directory, which any number of processes may use at once.

    `image.cached(cache)` reads an image through it. Every blob is checked before it is given; a wrong one is removed
    and read from its origin.
    """

    __slots__ = ()

    @classmethod
    async def open(
        cls, path: Path, max_bytes: int, *, uncompressed: bool = False, timeout: Timeout = UNSET
    ) -> AsyncCache:
        """Opens the cache in a directory, or makes it, for its owner alone.

        max_bytes: what is kept at most; what has not been used for longest goes.
        uncompressed: keeps layers decompressed, too, so that they are decompressed once.
        """
        limit = seconds(timeout, None)
        return cls(await run(cls._open(path, max_bytes, uncompressed), limit), limit)

    async def clear(self, *, timeout: Timeout = UNSET) -> None:
        """Removes everything. What is being read can be read to its end."""
        await run(self._clear(), seconds(timeout, self._timeout))

    async def remove(self, digest: str, *, timeout: Timeout = UNSET) -> None:
        """Removes one blob. Raises NotFoundError where it was not there."""
        await run(self._remove(digest), seconds(timeout, self._timeout))

    async def verify(
        self,
        *,
        jobs: Optional[int] = None,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> Report:
        """Reads everything and reports what is not as it should be. Changes nothing."""
        return await run(self._verify(jobs), seconds(timeout, self._timeout), None, progress)
