"""The same names for asyncio, awaited: cancelling the task cancels the transfer."""

from __future__ import annotations

import asyncio
import functools
from typing import Any, Optional, TypeVar

from ._handle import Handle
from ._loop import LoopQueue, loop_queue, run, wait_for
from ._wait import SLICE_MS, UNSET, CancelToken, Progress, Timeout, seconds
from .builder import BuilderBase
from .client import ClientBase
from .config import Config
from .errors import TimedOutError
from .image import Image, ImageFacts
from .index import Index, IndexFacts
from .layer import Layer, LayerFacts, NewLayer, Path, Sink
from .reference import AnyReference, Descriptor
from .stream import Pieces, closed

T = TypeVar("T")


class AsyncReader:
    """A layer's bytes, verified: the end comes only if every byte was right. What `AsyncLayer.open` gives.

    Opened when it is entered or first read. `async for` gives pieces of whatever size they come.
    """

    def __init__(self, layer: LayerFacts, uncompressed: bool, timeout: Optional[float], progress: Optional[Progress]):
        self._layer, self._uncompressed, self._timeout, self._progress = layer, uncompressed, timeout, progress
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
            reader = await run(self._layer._open(self._uncompressed), self._timeout)
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
                self._progress(pieces.position, 0 if self._uncompressed else self._layer.size)
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

    async def diff_id(self, *, timeout: Timeout = UNSET) -> str:
        """The digest of the uncompressed tar: from the image's config, else by reading the layer."""
        return await run(self._diff_id(), seconds(timeout, self._timeout))

    def open(self, *, timeout: Timeout = UNSET, progress: Optional[Progress] = None) -> AsyncReader:
        """A reader of the layer's bytes as they are stored. `timeout` is for opening it, and for each read."""
        return AsyncReader(self, False, seconds(timeout, self._timeout), progress)

    def open_uncompressed(self, *, timeout: Timeout = UNSET, progress: Optional[Progress] = None) -> AsyncReader:
        """A reader of the layer's tar. `progress` is told 0 as its total, which is not known."""
        return AsyncReader(self, True, seconds(timeout, self._timeout), progress)

    def __aiter__(self) -> AsyncReader:
        return self.open()

    @property
    def blocking(self) -> Layer:
        """The same layer with calls that block."""
        return Layer(self._handle, self._timeout)


class AsyncImage(ImageFacts):
    """An image, as `parbuckle.Image`."""

    __slots__ = ()

    @property
    def layers(self) -> tuple[AsyncLayer, ...]:
        """The layers, base first. Nothing is read yet."""
        return tuple(AsyncLayer(handle, self._timeout) for handle in self._layers())

    async def config(self, *, timeout: Timeout = UNSET, progress: Optional[Progress] = None) -> Config:
        """The config: fetched the first time, from memory afterwards."""
        return Config._of(await run(self._config(), seconds(timeout, self._timeout), None, progress))

    async def validate(
        self, *, jobs: Optional[int] = None, timeout: Timeout = UNSET, progress: Optional[Progress] = None
    ) -> None:
        """Reads every blob to its end and checks sizes, digests and diff ids."""
        await run(self._validate(jobs), seconds(timeout, self._timeout), None, progress)

    def edit(self) -> AsyncImageBuilder:
        """A builder of an image like this one."""
        return AsyncImageBuilder(self)

    @property
    def blocking(self) -> Image:
        """The same image with calls that block."""
        return Image(self._handle, self._timeout)


class AsyncIndex(IndexFacts):
    """An index, as `parbuckle.Index`."""

    __slots__ = ()

    async def image(
        self, digest_or_platform: str, *, timeout: Timeout = UNSET, progress: Optional[Progress] = None
    ) -> AsyncImage:
        """The image with this digest, or the best one for this platform."""
        call, limit = self._image(digest_or_platform), seconds(timeout, self._timeout)
        return AsyncImage(await run(call, limit, None, progress), self._timeout)

    async def child(
        self, digest: str, *, timeout: Timeout = UNSET, progress: Optional[Progress] = None
    ) -> AsyncIndex:
        """The nested index with this digest."""
        call, limit = self._child(digest), seconds(timeout, self._timeout)
        return AsyncIndex(await run(call, limit, None, progress), self._timeout)

    @property
    def blocking(self) -> Index:
        """The same index with calls that block."""
        return Index(self._handle, self._timeout)


class AsyncImageBuilder(BuilderBase):
    """Notes changes to an image, as `parbuckle.ImageBuilder`."""

    __slots__ = ()

    async def build(
        self, *, format: Optional[str] = None, timeout: Timeout = UNSET, progress: Optional[Progress] = None
    ) -> AsyncImage:
        """Makes the image; the builder can go on and build again. Moves no layer; fetches the base's config."""
        call, limit = self._build(format), seconds(timeout, self._timeout)
        return AsyncImage(await run(call, limit, None, progress), self._timeout)


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
