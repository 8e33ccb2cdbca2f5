"""Indexes: images by platform."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ctypes import byref, c_uint64, c_void_p
from typing import TYPE_CHECKING, Any, ClassVar, Optional, TypeVar, Union, overload

from ._callbacks import HasBlob, OpenBlob
from ._handle import Handle, Value, bytes_of, finish, map_of, octets, strings_of, taking
from ._library import check, lib, natural, utf8, utf8_or_none
from ._options import Options
from ._wait import UNSET, Call, CancelToken, Progress, Timeout, calling, run, seconds
from .image import Image
from .layer import Sink, stored
from .matcher import Matcher, meant
from .parts import Part, blobs_of
from .reference import Descriptor, descriptor_of
from .report import Report, take_report

if TYPE_CHECKING:
    from .cache import CacheFacts
    from .index_builder import IndexBuilder

X = TypeVar("X", bound="IndexFacts")

_IMAGES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)


class IndexFacts(Value, Sequence[Descriptor]):
    """What an index says: a sequence of descriptors."""

    __slots__ = ()
    _kind: ClassVar[str] = "index"

    @classmethod
    def empty(cls: type[X], *, format: Optional[str] = None) -> X:
        """An index of nothing, with the media type of "oci" or "docker"."""
        handle = Handle("index")
        check(lib.parb_index_empty(Options().format(format), handle.out))
        return cls(handle)

    @classmethod
    def from_parts(
        cls: type[X],
        document: Any,
        open_blob: Optional[OpenBlob] = None,
        *,
        parts: Iterable[Part] = (),
        has_blob: Optional[HasBlob] = None,
    ) -> X:
        """An index from its document; what it names is among the parts, or opened when it is read.

        See `Image.from_parts` for the functions.
        """
        handle, json = Handle("index"), octets(document)
        blobs = blobs_of(parts, open_blob, has_blob)
        check(lib.parb_index_from_parts(json, len(json), blobs, None, handle.out))
        return cls(handle)

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

    @property
    def platforms(self) -> list[str]:
        """The platforms that its entries name, each once."""
        found = Handle("strings")
        check(lib.parb_index_platforms(self._handle, found.out))
        return strings_of(found) or []

    def find(self, matcher: Matcher) -> list[str]:
        """The digests of the entries that are meant, in their order. Nested indexes are not looked into."""
        found = Handle("strings")
        check(lib.parb_index_find(self._handle, meant(matcher), found.out))
        return strings_of(found) or []

    def cached(self: X, cache: CacheFacts) -> X:
        """The same index; all that is below it is read through a cache."""
        handle = Handle("index")
        check(lib.parb_index_cached(self._handle, cache._handle, handle.out))
        return type(self)(handle, self._timeout)

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
        return calling(lib.parb_index_image_start, self._handle, utf8(digest_or_platform), None, take=taking("image"))

    def _child(self, digest: str) -> Call[Handle]:
        return calling(lib.parb_index_child_start, self._handle, utf8(digest), None, take=taking("index"))

    def _images(self, matcher: Optional[Matcher]) -> list[str]:
        return self._named(matcher, _IMAGES)

    def _children(self, matcher: Optional[Matcher]) -> list[str]:
        return self._named(matcher, _INDEXES)

    def _named(self, matcher: Optional[Matcher], media_types: tuple[str, ...]) -> list[str]:
        named = self.find(matcher or Matcher())
        kind = set(self.find(Matcher(media_type=media_types)))
        return [digest for digest in named if digest in kind]

    def _size(self) -> Call[int]:
        def take(op: c_void_p) -> int:
            finish(op)
            found = c_uint64()
            check(lib.parb_index_size(self._handle, None, None, byref(found)))  # from memory now
            return found.value

        return calling(lib.parb_index_size_start, self._handle, None, take=take)

    def _validate(self, jobs: Optional[int]) -> Call[None]:
        return calling(lib.parb_index_validate_start, self._handle, Options().jobs(jobs), take=finish)

    def _examine(self, jobs: Optional[int], fast: bool) -> Call[Report]:
        options = Options().jobs(jobs).fast(fast)
        return calling(lib.parb_index_examine_start, self._handle, options, take=take_report)

    def _compare(self, other: IndexFacts, files: bool) -> Call[Report]:
        start, options = lib.parb_index_compare_start, Options().files(files)
        return calling(start, self._handle, other._handle, options, take=take_report)

    def _rebase(self, old_base: IndexFacts, new_base: IndexFacts, name: Optional[str]) -> Call[Handle]:
        start, bases = lib.parb_index_rebase_start, (old_base._handle, new_base._handle)
        return calling(start, self._handle, *bases, utf8_or_none(name), None, take=taking("index"))

    def _convert(self, format: str) -> Call[Handle]:
        return calling(lib.parb_index_convert_start, self._handle, utf8(format), None, take=taking("index"))

    def _flatten(self, options: Options) -> Call[Handle]:
        return calling(lib.parb_index_flatten_start, self._handle, options, take=taking("index"))

    @staticmethod
    def _random(images: int, layers: int, layer_size: int, seed: int, options: Options) -> Call[Handle]:
        counts = natural("images", images, 32), natural("layers", layers, 32)
        numbers = natural("layer_size", layer_size), natural("seed", seed)
        return calling(lib.parb_index_random_start, *counts, *numbers, options, take=taking("index"))


class Index(IndexFacts):
    """An index: images by platform, or other indexes. Immutable, shared between threads."""

    __slots__ = ()

    @classmethod
    def random(
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
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Index:
        """An index of so many random images, the same for the same seed."""
        options, limit = stored(sink, compression, level).format(format), seconds(timeout, None)
        call = cls._random(images, layers, layer_size, seed, options)
        return cls(run(call, limit, cancel, progress), limit)

    def images(
        self,
        matcher: Optional[Matcher] = None,
        *,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
    ) -> Iterator[Image]:
        """The images that the index itself names, or those of them that are meant, each read when it is its turn."""
        for digest in self._images(matcher):
            yield self.image(digest, timeout=timeout, cancel=cancel)

    def children(
        self,
        matcher: Optional[Matcher] = None,
        *,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
    ) -> Iterator[Index]:
        """The nested indexes, or those of them that are meant, each read when it is its turn."""
        for digest in self._children(matcher):
            yield self.child(digest, timeout=timeout, cancel=cancel)

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

    def size(
        self, *, timeout: Timeout = UNSET, cancel: Optional[CancelToken] = None, progress: Optional[Progress] = None
    ) -> int:
        """Bytes of the index and of everything below it, each manifest and blob counted once."""
        return run(self._size(), seconds(timeout, self._timeout), cancel, progress)

    def validate(
        self,
        *,
        jobs: Optional[int] = None,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> None:
        """Reads everything below the index; raises the first thing that `examine` would report."""
        run(self._validate(jobs), seconds(timeout, self._timeout), cancel, progress)

    def examine(
        self,
        *,
        jobs: Optional[int] = None,
        fast: bool = False,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Report:
        """Everything that is wrong with the index and what is below it, and whether its entries say what images are.

        `fast`: reads no layers, and looks only whether they are there.
        """
        return run(self._examine(jobs, fast), seconds(timeout, self._timeout), cancel, progress)

    def compare(
        self,
        other: IndexFacts,
        *,
        files: bool = False,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Report:
        """Every difference from another index, and between their images of the same platform or place."""
        return run(self._compare(other, files), seconds(timeout, self._timeout), cancel, progress)

    def rebase(
        self,
        old_base: IndexFacts,
        new_base: IndexFacts,
        *,
        name: Optional[str] = None,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Index:
        """The index with every image on another base; attestations of images that changed are left out."""
        call = self._rebase(old_base, new_base, name)
        return Index(run(call, seconds(timeout, self._timeout), cancel, progress), self._timeout)

    def convert(
        self,
        format: str,
        *,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Index:
        """The index, and all that is below it, in the media types of "docker" or "oci"."""
        return Index(run(self._convert(format), seconds(timeout, self._timeout), cancel, progress), self._timeout)

    def flatten(
        self,
        *,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Index:
        """The index with every image flattened, as `Image.flatten` does; attestations are left out."""
        call = self._flatten(stored(sink, compression, level))
        return Index(run(call, seconds(timeout, self._timeout), cancel, progress), self._timeout)

    def edit(self) -> IndexBuilder:
        """A builder of an index like this one."""
        from .index_builder import IndexBuilder

        return IndexBuilder(self)
