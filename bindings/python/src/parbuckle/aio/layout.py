"""Layouts for asyncio."""

from __future__ import annotations

from typing import Optional, Union

from .._loop import run
from .._medium import Awaited
from .._wait import UNSET, Progress, Timeout, seconds
from ..image import ImageFacts
from ..index import IndexFacts
from ..layer import Path
from ..layout import LayoutFacts
from ..matcher import Matcher
from ..reference import Descriptor
from ..report import Report
from .image import AsyncImage
from .index import AsyncIndex


class AsyncLayout(LayoutFacts, Awaited):
    """An OCI image layout, in which several processes may work: `async with await AsyncLayout.open(path) as layout`."""

    __slots__ = ()

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        durable: bool = False,
        timeout: Timeout = UNSET,
    ) -> AsyncLayout:
        """Opens a layout that is there. `durable`: each change to it is to survive a power cut."""
        limit = seconds(timeout, None)
        return cls(await run(cls._open(path), limit), limit, durable)

    @classmethod
    async def create(
        cls,
        path: Path,
        *,
        durable: bool = False,
        timeout: Timeout = UNSET,
    ) -> AsyncLayout:
        """Opens a layout, or makes one without entries where there is none, with the directories above it."""
        limit = seconds(timeout, None)
        return cls(await run(cls._create(path, durable), limit), limit, durable)

    async def index(self, *, timeout: Timeout = UNSET) -> AsyncIndex:
        """index.json as it is now: its entries, and the images and indexes they name."""
        return AsyncIndex(await run(self._index(), seconds(timeout, self._timeout)), self._timeout)

    async def image(
        self,
        which: Optional[str] = None,
        *,
        platform: Optional[str] = None,
        timeout: Timeout = UNSET,
    ) -> AsyncImage:
        """An image by name, digest or platform; None: the only one there is.

        Where an index is meant, it is the index's image for `platform` (linux/amd64 without it).
        """
        call = self._image(which, platform)
        return AsyncImage(await run(call, seconds(timeout, self._timeout)), self._timeout)

    async def child(self, which: Optional[str] = None, *, timeout: Timeout = UNSET) -> AsyncIndex:
        """A nested index by name or digest; None: the only one there is."""
        return AsyncIndex(await run(self._child(which), seconds(timeout, self._timeout)), self._timeout)

    async def add(
        self,
        what: Union[ImageFacts, IndexFacts],
        name: Optional[str] = None,
        *,
        jobs: Optional[int] = None,
        foreign_layers: bool = False,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> Descriptor:
        """Puts an image, or an index and everything below it, into the layout, and gives its entry.

        Several entries may have one name; of the same digest and name there is one.
        """
        call = self._put(what, name, False, jobs, foreign_layers)
        return await run(call, seconds(timeout, self._timeout), None, progress)

    async def replace(
        self,
        what: Union[ImageFacts, IndexFacts],
        name: Optional[str] = None,
        *,
        jobs: Optional[int] = None,
        foreign_layers: bool = False,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> Descriptor:
        """As `add`, in the place of the entries with this name or, without one, with this digest."""
        call = self._put(what, name, True, jobs, foreign_layers)
        return await run(call, seconds(timeout, self._timeout), None, progress)

    async def remove(self, matcher: Matcher, *, timeout: Timeout = UNSET) -> list[str]:
        """Takes entries out of index.json, and gives their digests. Their blobs stay until `gc`."""
        return await run(self._remove(matcher), seconds(timeout, self._timeout))

    async def annotate(
        self,
        matcher: Matcher,
        key: str,
        value: Optional[str],
        *,
        timeout: Timeout = UNSET,
    ) -> None:
        """Sets an annotation of entries of index.json; None removes it."""
        await run(self._annotate(matcher, key, value), seconds(timeout, self._timeout))

    async def gc(self, *, timeout: Timeout = UNSET) -> list[str]:
        """Removes the blobs that nothing in index.json leads to; gives their digests, and paths of other remains."""
        return await run(self._gc(), seconds(timeout, self._timeout))

    async def fsck(
        self,
        *,
        jobs: Optional[int] = None,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> Report:
        """Reads every file of the layout and reports what is wrong. Garbage is no damage."""
        return await run(self._fsck(jobs), seconds(timeout, self._timeout), None, progress)
