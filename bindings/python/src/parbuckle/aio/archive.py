"""Archives for asyncio."""

from __future__ import annotations

import asyncio
import os
from typing import Any, Optional

from .._loop import run
from .._medium import Awaited
from .._wait import UNSET, CancelToken, Progress, Timeout, seconds
from ..archive import ArchiveFacts, Images, NewArchive, to_write, write_through
from ..layer import Sink, stored
from .image import AsyncImage
from .index import AsyncIndex


class AsyncArchive(ArchiveFacts, Awaited):
    """An archive of images that is open to be read: `async with await AsyncArchive.open(path) as archive: …`."""

    __slots__ = ()

    @classmethod
    async def open(
        cls,
        path_or_fileobj: Any,
        *,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> AsyncArchive:
        """Opens an archive: a path ("-": standard input), a file descriptor, or a binary file object.

        A file is read in place, and is not to change as long as the archive is open. Pipes, other file objects and
        archives that are compressed as a whole are read to their end, into a file without a name in $TMPDIR; a file
        object is read on a thread of the library, and what it raises comes out here.
        """
        limit = seconds(timeout, None)
        return cls(await run(cls._open(path_or_fileobj), limit, None, progress), limit)

    @staticmethod
    async def write(
        path_or_fileobj: Any,
        images: Images,
        *,
        format: Optional[str] = None,
        jobs: Optional[int] = None,
        foreign_layers: bool = False,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> None:
        """Writes a new archive: to a path ("-": standard output), a file descriptor, or a binary file object.

        images: one, or several, without names; or a mapping from names to images. An index, alone or as the one value
        of a mapping, is written with all that it names.
        format: "docker" (the default), "oci" (the only one for indexes), or "legacy", that of docker save before 1.10.
        jobs: how many blobs are read at once; for a path only.
        A file at a path comes about beside it and takes its place when it is whole. A file object without a descriptor
        is written to on a thread of the loop's executor; so is `progress` called.
        """
        limit, new = seconds(timeout, None), NewArchive(images, format, jobs, foreign_layers)
        if isinstance(path_or_fileobj, (str, bytes, os.PathLike)):
            return await run(new.write(path_or_fileobj), limit, None, progress)
        fd = to_write(path_or_fileobj)
        if fd is not None:
            return await run(new.write_fd(fd), limit, None, progress)
        cancel, loop = CancelToken(), asyncio.get_running_loop()
        try:
            await loop.run_in_executor(None, write_through, new, path_or_fileobj, limit, cancel, progress)
        finally:
            cancel.cancel()  # the thread, if it still works, ends with its next piece

    async def image(
        self,
        name: Optional[str] = None,
        *,
        platform: Optional[str] = None,
        format: Optional[str] = None,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> AsyncImage:
        """An image by name or digest; None: the only one.

        Layers stay as they are, plain ones too, unless a sink or a compression is given. `format`: whose media types
        the manifest carries where the archive has none, "docker" without it.
        """
        call = self._image(name, stored(sink, compression, level).platform(platform).format(format))
        return AsyncImage(await run(call, seconds(timeout, self._timeout), None, progress), self._timeout)

    async def index(self, name: Optional[str] = None, *, timeout: Timeout = UNSET) -> AsyncIndex:
        """An index of an OCI archive by name or digest; None: index.json, which names all that is in the archive."""
        return AsyncIndex(await run(self._index(name), seconds(timeout, self._timeout)), self._timeout)
