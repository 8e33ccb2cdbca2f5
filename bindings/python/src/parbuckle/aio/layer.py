"""Layers for asyncio."""

from __future__ import annotations

import asyncio
import functools
from typing import Any, Optional

from .._handle import Handle
from .._loop import run, wait_for
from .._wait import UNSET, Call, CancelToken, Progress, Timeout, seconds
from ..files import Files
from ..layer import Layer, LayerFacts, NewLayer, Path, Sink, stored
from ..layer_builder import LayerBuilderBase
from ..report import Report
from ..stream import Pieces, closed


class AsyncReader:
    """A layer's bytes, verified: the end comes only if every byte was right. What `AsyncLayer.open` gives.

    Opened when it is entered or first read. `async for` gives pieces of whatever size they come.
    """

    def __init__(self, call: Call[Handle], size: int, timeout: Optional[float], progress: Optional[Progress]):
        self._call, self._size, self._timeout, self._progress = call, size, timeout, progress
        self._pieces: Optional[Pieces] = None
        self._piece, self._at, self._ended, self._closed = b"", 0, False, False

    async def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, at least one; none at the end. Without a size: all that is left."""
        if size < 0:
            return b"".join([piece async for piece in self])
        if not await self._fill() or not size:
            return b""
        start, self._at = self._at, min(self._at + size, len(self._piece))
        return self._piece[start : self._at]

    def close(self) -> None:
        """Ends the transfer. It never waits."""
        self._closed = True
        if self._pieces:
            self._pieces.close()

    def __aiter__(self) -> AsyncReader:
        return self

    async def __anext__(self) -> bytes:
        if not await self._fill():
            raise StopAsyncIteration
        start, self._at = self._at, len(self._piece)
        return self._piece[start:]

    async def __aenter__(self) -> AsyncReader:
        if self._closed:
            raise closed()
        await self._opened()
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.close()

    async def _opened(self) -> Pieces:
        if self._pieces is None:
            reader = await run(self._call, self._timeout)
            self._pieces = Pieces(reader, self._timeout, None)
        return self._pieces

    async def _fill(self) -> bool:
        if self._closed:
            raise closed()
        if self._at == len(self._piece) and not self._ended:
            pieces = await self._opened()
            await wait_for(pieces.start())
            self._piece, self._at = pieces.take(), 0
            self._ended = not self._piece
            if self._progress:
                self._progress(pieces.position, self._size)
        return not self._ended


class AsyncLayer(LayerFacts):
    """A layer, as `parbuckle.Layer`. `async for piece in layer` gives its bytes as they are stored."""

    __slots__ = ()

    @classmethod
    async def from_file(
        cls,
        path: Path,
        *,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> AsyncLayer:
        """A layer from a tar file, plain or compressed; its bytes tell which, not its name."""
        new = NewLayer(sink, compression, level, timeout)
        return cls(await run(new.from_file(path), new.timeout, None, progress), new.timeout)

    @classmethod
    async def from_dir(
        cls,
        path: Path,
        *,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> AsyncLayer:
        """A layer from a directory's content: the same content is the same layer."""
        new = NewLayer(sink, compression, level, timeout)
        return cls(await run(new.from_dir(path), new.timeout, None, progress), new.timeout)

    @classmethod
    async def from_bytes(
        cls,
        tar: Any,
        *,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> AsyncLayer:
        """A layer from a tar in memory: bytes, or anything with a buffer."""
        new = NewLayer(sink, compression, level, timeout)
        return cls(await run(new.from_bytes(tar), new.timeout, None, progress), new.timeout)

    @classmethod
    async def from_fileobj(
        cls,
        fileobj: Any,
        *,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> AsyncLayer:
        """A layer from a binary file object, which is read on a thread of the loop's executor; so is `progress` called."""
        cancel, loop = CancelToken(), asyncio.get_running_loop()
        make = functools.partial(
            Layer.from_fileobj,
            fileobj,
            sink=sink,
            compression=compression,
            level=level,
            timeout=timeout,
            cancel=cancel,
            progress=progress,
        )
        try:
            layer = await loop.run_in_executor(None, make)
        finally:
            cancel.cancel()  # the thread, if it still works, ends with its next piece
        return cls(layer._handle, layer._timeout)

    @classmethod
    async def random(
        cls,
        size: int,
        seed: int = 0,
        *,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> AsyncLayer:
        """A layer with one file of so many random bytes, the same for the same seed; plain unless told otherwise."""
        new = NewLayer(sink, compression, level, timeout)
        return cls(await run(new.random(size, seed), new.timeout, None, progress), new.timeout)

    async def diff_id(self, *, timeout: Timeout = UNSET) -> str:
        """The digest of the uncompressed tar: from the image's config, else by reading the layer."""
        return await run(self._diff_id(), seconds(timeout, self._timeout))

    async def uncompressed_size(self, *, timeout: Timeout = UNSET) -> int:
        """Bytes of the uncompressed tar: as its maker knew, else by reading the layer."""
        return await run(self._uncompressed_size(), seconds(timeout, self._timeout))

    async def validate(self, *, timeout: Timeout = UNSET, progress: Optional[Progress] = None) -> None:
        """Reads the layer to its end and checks digest, size, diff id, media type and tar."""
        await run(self._validate(), seconds(timeout, self._timeout), None, progress)

    async def compare(
        self,
        other: LayerFacts,
        *,
        files: bool = False,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> Report:
        """Every difference from another layer, with `files` file by file. Findings have the field as subject."""
        return await run(self._compare(other, files), seconds(timeout, self._timeout), None, progress)

    async def for_windows(
        self,
        *,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> AsyncLayer:
        """The layer in the form that Windows images want: everything below Files/, beside an empty Hives/."""
        call = self._for_windows(stored(sink, compression, level))
        return AsyncLayer(await run(call, seconds(timeout, self._timeout), None, progress), self._timeout)

    async def toc(self, *, timeout: Timeout = UNSET) -> list[dict[str, Any]]:
        """The table of contents of an eStargz or zstd:chunked layer, in the tar's order.

        Each entry has "path", "type" ("dir", "reg", "symlink" …), "size", "mode", "uid", "gid" and more where there is
        something to say. Raises NotFoundError where the layer has none (`has_toc`).
        """
        return await run(self._toc(), seconds(timeout, self._timeout))

    def open(self, *, timeout: Timeout = UNSET, progress: Optional[Progress] = None) -> AsyncReader:
        """A reader of the layer's bytes as they are stored. `timeout` is for opening it, and for each read."""
        return AsyncReader(self._open(False), self.size, seconds(timeout, self._timeout), progress)

    def open_uncompressed(self, *, timeout: Timeout = UNSET, progress: Optional[Progress] = None) -> AsyncReader:
        """A reader of the layer's tar. `progress` is told 0 as its total, which is not known."""
        return AsyncReader(self._open(True), 0, seconds(timeout, self._timeout), progress)

    async def files(self, *, timeout: Timeout = UNSET, progress: Optional[Progress] = None) -> Files:
        """The layer's own entries in their order, whiteouts among them."""
        return await run(self._files(), seconds(timeout, self._timeout), None, progress)

    def open_file(self, path: str, *, timeout: Timeout = UNSET, progress: Optional[Progress] = None) -> AsyncReader:
        """A reader of one file of the layer. With a table of contents only what is needed is fetched."""
        return AsyncReader(self._open_file(path), 0, seconds(timeout, self._timeout), progress)

    async def read_file(self, path: str, *, timeout: Timeout = UNSET) -> bytes:
        """The content of one file of the layer."""
        async with self.open_file(path, timeout=timeout) as reader:
            return await reader.read()

    def __aiter__(self) -> AsyncReader:
        return self.open()

    @property
    def blocking(self) -> Layer:
        """The same layer with calls that block."""
        return Layer(self._handle, self._timeout)


class AsyncLayerBuilder(LayerBuilderBase):
    """Puts a small layer together, entry by entry. Parent directories are not added by themselves.

    The methods that add give the builder back; the first mistake is reported by `build`.
    """

    __slots__ = ()

    async def build(
        self,
        *,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        timeout: Timeout = UNSET,
        progress: Optional[Progress] = None,
    ) -> AsyncLayer:
        """Makes the layer, with its entries in the order they were added."""
        new = NewLayer(sink, compression, level, timeout)
        return AsyncLayer(await run(new.build(self._handle), new.timeout, None, progress), new.timeout)
