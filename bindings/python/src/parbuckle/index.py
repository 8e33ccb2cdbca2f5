"""Indexes: images by platform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional, Union, overload

from ._handle import Handle, bytes_of, map_of, taking
from ._library import lib, utf8
from ._wait import UNSET, Call, CancelToken, Progress, Timeout, run, seconds
from .image import Image
from .reference import Descriptor, descriptor_of


class IndexFacts(Sequence[Descriptor]):
    """What an index says: a sequence of descriptors."""

    __slots__ = ("_handle", "_timeout")

    def __init__(self, handle: Handle, timeout: Optional[float] = None) -> None:
        self._handle, self._timeout = handle, timeout

    @property
    def descriptor(self) -> Descriptor:
        """Media type, digest and size of the index."""
        return descriptor_of(lib.parb_index_descriptor(self._handle))

    @property
    def digest(self) -> str:
        """The digest of the index."""
        return self.descriptor.digest

    @property
    def media_type(self) -> str:
        """The media type of the index."""
        return self.descriptor.media_type

    @property
    def manifest(self) -> bytes:
        """The exact bytes."""
        return bytes_of(lib.parb_index_manifest, self._handle)

    @property
    def annotations(self) -> dict[str, str]:
        """The annotations."""
        return map_of(lib.parb_index_annotations(self._handle))

    def __len__(self) -> int:
        return int(lib.parb_index_count(self._handle))

    @overload
    def __getitem__(self, i: int) -> Descriptor: ...
    @overload
    def __getitem__(self, i: slice) -> Sequence[Descriptor]: ...
    def __getitem__(self, i: Union[int, slice]) -> Union[Descriptor, Sequence[Descriptor]]:
        if isinstance(i, slice):
            return [self[at] for at in range(*i.indices(len(self)))]
        at = i + len(self) if i < 0 else i
        if not 0 <= at < len(self):
            raise IndexError(f"manifest {i} of an index with {len(self)}")
        return descriptor_of(lib.parb_index_at(self._handle, at))

    def __repr__(self) -> str:
        return f"<parbuckle.{type(self).__name__} {self.digest}>"

    def _image(self, digest_or_platform: str) -> Call[Handle]:
        name = utf8(digest_or_platform)
        return Call(lambda ctx, op: lib.parb_index_image_start(self._handle, name, None, ctx, op), taking("image"))

    def _child(self, digest: str) -> Call[Handle]:
        name = utf8(digest)
        return Call(lambda ctx, op: lib.parb_index_child_start(self._handle, name, None, ctx, op), taking("index"))


class Index(IndexFacts):
    """An index: images by platform, or other indexes. Immutable, shared between threads."""

    __slots__ = ()

    def image(
        self,
        digest_or_platform: str,
        *,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Image:
        """The image with this digest, or the best one for this platform."""
        handle = run(self._image(digest_or_platform), seconds(timeout, self._timeout), cancel, progress)
        return Image(handle, self._timeout)

    def child(
        self,
        digest: str,
        *,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Index:
        """The nested index with this digest."""
        handle = run(self._child(digest), seconds(timeout, self._timeout), cancel, progress)
        return Index(handle, self._timeout)
