"""Stores in memory."""

from __future__ import annotations

from typing import Optional, Union

from ._handle import Handle, finish, strings_of, taking
from ._library import check, lib, natural, utf8, utf8_or_none
from ._medium import Blocking, Medium
from ._options import Options
from ._wait import UNSET, Call, CancelToken, Progress, Timeout, calling, run, seconds
from .image import Image, ImageFacts
from .index import Index, IndexFacts
from .layer import Sink, sink_of

#: So many bytes a store takes where nothing else is said.
_MAX_BYTES = 1 << 30


class MemoryStoreFacts(Medium):
    """A store, whoever waits for its calls."""

    __slots__ = ()

    def __init__(self, max_bytes: int = _MAX_BYTES, *, timeout: Optional[float] = None) -> None:
        """An empty store.

        max_bytes: of manifests and blobs, at most; 1 GiB where nothing is said.
        timeout: seconds for each call that is not given its own.
        """
        handle = Handle("memory")
        check(lib.parb_memory_new(natural("max_bytes", max_bytes), handle.out))
        super().__init__(handle, timeout)

    @property
    def size(self) -> int:
        """How many bytes are in it."""
        return int(lib.parb_memory_size(self._handle))

    @property
    def sink(self) -> Sink:
        """The store as a sink for new layers."""
        return sink_of(lib.parb_sink_memory, self._handle, self._timeout)

    @property
    def names(self) -> list[str]:
        """Every name, sorted."""
        found = Handle("strings")
        check(lib.parb_memory_names(self._handle, found.out))
        return strings_of(found) or []

    def remove(self, name_or_digest: str) -> None:
        """Takes a name away, or an image or index by its digest with all its names.

        What can't be reached from a name, from what was put in without one, or from a value that was had, is gone.
        Raises NotFoundError, or InvalidStateError for what is a part of something else only.
        """
        check(lib.parb_memory_remove(self._handle, utf8(name_or_digest)))

    def _put(
        self, what: Union[ImageFacts, IndexFacts], name: Optional[str], jobs: Optional[int], foreign_layers: bool
    ) -> Call[None]:
        if isinstance(what, ImageFacts):
            start = lib.parb_memory_put_image_start
        elif isinstance(what, IndexFacts):
            start = lib.parb_memory_put_index_start
        else:
            raise TypeError(f"an image or an index is wanted, not {type(what).__name__}")
        options = Options().push(jobs, None, foreign_layers)
        return calling(start, self._handle, utf8_or_none(name), what._handle, options, take=finish)

    def _image(self, name_or_digest: str, platform: Optional[str]) -> Call[Handle]:
        start, options = lib.parb_memory_image_start, Options().platform(platform)
        return calling(start, self._handle, utf8(name_or_digest), options, take=taking("image"))

    def _index(self, name_or_digest: str) -> Call[Handle]:
        return calling(lib.parb_memory_index_start, self._handle, utf8(name_or_digest), None, take=taking("index"))


class MemoryStore(MemoryStoreFacts, Blocking):
    """A store of images and indexes in memory."""

    __slots__ = ()

    def put(
        self,
        what: Union[ImageFacts, IndexFacts],
        name: Optional[str] = None,
        *,
        jobs: Optional[int] = None,
        foreign_layers: bool = False,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> None:
        """Takes in an image, or an index with all that is below it, under a name that another one may have had.

        Without a name it is found by its digest alone, and stays until it is removed by it.
        """
        run(self._put(what, name, jobs, foreign_layers), seconds(timeout, self._timeout), cancel, progress)

    def image(
        self,
        name_or_digest: str,
        *,
        platform: Optional[str] = None,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
    ) -> Image:
        """The image with this name or digest; of an index, the one for the platform."""
        call = self._image(name_or_digest, platform)
        return Image(run(call, seconds(timeout, self._timeout), cancel), self._timeout)

    def index(self, name_or_digest: str, *, timeout: Timeout = UNSET, cancel: Optional[CancelToken] = None) -> Index:
        """The index with this name or digest."""
        return Index(run(self._index(name_or_digest), seconds(timeout, self._timeout), cancel), self._timeout)
