"""Images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Optional, TypeVar, Union

from ._callbacks import HasBlob, OpenBlob
from ._handle import Handle, Value, bytes_of, finish, handles, map_of, octets, taking
from ._library import check, lib, natural, text, utf8, utf8_or_none
from ._options import Options
from ._times import Time, time_text
from ._wait import UNSET, Call, CancelToken, Progress, Timeout, calling, run, seconds
from .config import Config
from .files import Files, name_bytes, take_files
from .layer import Layer, LayerFacts, Sink, stored
from .parts import Part, blobs_of
from .reference import Descriptor, descriptor_of
from .report import Report, take_report
from .stream import LayerReader, opened

if TYPE_CHECKING:
    from .builder import ImageBuilder
    from .cache import CacheFacts

I = TypeVar("I", bound="ImageFacts")


class ImageFacts(Value):
    """What an image's manifest says."""

    __slots__ = ("_layer_handles",)
    _kind: ClassVar[str] = "image"

    def __init__(self, handle: Handle, timeout: Optional[float] = None) -> None:
        super().__init__(handle, timeout)
        self._layer_handles: Optional[list[Handle]] = None

    @classmethod
    def empty(cls: type[I], *, format: Optional[str] = None) -> I:
        """An image of no layers, with the media types of "oci" or "docker"."""
        handle = Handle("image")
        check(lib.parb_image_empty(Options().format(format), handle.out))
        return cls(handle)

    @classmethod
    def from_parts(
        cls: type[I],
        manifest: Any,
        config: Optional[Any] = None,
        open_blob: Optional[OpenBlob] = None,
        *,
        parts: Iterable[Part] = (),
        has_blob: Optional[HasBlob] = None,
    ) -> I:
        """An image from its manifest; config and layers are given, or opened when they are read.

        config: its bytes; None: it is among the parts, or opened.
        open_blob: given a descriptor, opens that blob: gives bytes, or a binary file object that stands at the blob's
        first byte and is closed after use. It runs on threads of the library, many at once, and must not call what
        waits in parbuckle. What it raises comes out of the call that wanted the bytes; FileNotFoundError and KeyError mean
        that there is no such blob. All bytes are verified.
        parts: blobs, and whole layers, images and indexes, that are looked into first.
        has_blob: given a descriptor, tells whether there is such a blob, where only that is of interest; None: unknown.
        """
        handle, document = Handle("image"), octets(manifest)
        blobs = blobs_of([*([] if config is None else [config]), *parts], open_blob, has_blob)
        check(lib.parb_image_from_parts(document, len(document), blobs, None, handle.out))
        return cls(handle)

    @property
    def descriptor(self) -> Descriptor:
        """Media type, digest and size of the manifest."""
        return descriptor_of(lib.parb_image_descriptor(self._handle))

    @property
    def digest(self) -> str:
        """The digest of the manifest."""
        return text(lib.parb_image_digest(self._handle)) or ""

    @property
    def media_type(self) -> str:
        """The media type of the manifest."""
        return text(lib.parb_image_media_type(self._handle)) or ""

    @property
    def manifest(self) -> bytes:
        """The manifest's exact bytes."""
        return bytes_of(lib.parb_image_manifest, self._handle)

    @property
    def artifact_type(self) -> str:
        """What kind of artifact it is: what its manifest says, else the media type of its config."""
        return text(lib.parb_image_artifact_type(self._handle)) or ""

    @property
    def size(self) -> int:
        """Bytes of manifest, config and layers together."""
        return int(lib.parb_image_size(self._handle))

    @property
    def annotations(self) -> dict[str, str]:
        """The manifest's annotations."""
        return map_of(lib.parb_image_annotations(self._handle))

    def __repr__(self) -> str:
        return f"<parbuckle.{type(self).__name__} {self.digest}>"

    def cached(self: I, cache: CacheFacts) -> I:
        """The same image, its config and layers read through a cache."""
        handle = Handle("image")
        check(lib.parb_image_cached(self._handle, cache._handle, handle.out))
        return type(self)(handle, self._timeout)

    def _layers(self) -> list[Handle]:
        if self._layer_handles is None:
            count = lib.parb_image_layer_count(self._handle)
            self._layer_handles = [self._layer(i) for i in range(count)]
        return self._layer_handles

    def _layer(self, i: int) -> Handle:
        handle = Handle("layer")
        check(lib.parb_image_layer_at(self._handle, i, handle.out))
        return handle

    def _config(self) -> Call[Handle]:
        return calling(lib.parb_image_config_start, self._handle, None, take=taking("config"))

    def _validate(self, jobs: Optional[int]) -> Call[None]:
        return calling(lib.parb_image_validate_start, self._handle, Options().jobs(jobs), take=finish)

    def _examine(self, jobs: Optional[int], fast: bool) -> Call[Report]:
        options = Options().jobs(jobs).fast(fast)
        return calling(lib.parb_image_examine_start, self._handle, options, take=take_report)

    def _compare(self, other: ImageFacts, files: bool) -> Call[Report]:
        start, options = lib.parb_image_compare_start, Options().files(files)
        return calling(start, self._handle, other._handle, options, take=take_report)

    def _recompress(self, options: Options) -> Call[Handle]:
        return calling(lib.parb_image_recompress_start, self._handle, options, take=taking("image"))

    def _with_time(self, time: Time, options: Options) -> Call[Handle]:
        start = lib.parb_image_with_time_start
        return calling(start, self._handle, time_text(time), options, take=taking("image"))

    def _canonical(self, options: Options) -> Call[Handle]:
        return calling(lib.parb_image_canonical_start, self._handle, options, take=taking("image"))

    def _rebase(self, old_base: ImageFacts, new_base: ImageFacts, name: Optional[str]) -> Call[Handle]:
        start, bases = lib.parb_image_rebase_start, (old_base._handle, new_base._handle)
        return calling(start, self._handle, *bases, utf8_or_none(name), None, take=taking("image"))

    def _convert(self, format: str) -> Call[Handle]:
        return calling(lib.parb_image_convert_start, self._handle, utf8(format), None, take=taking("image"))

    def _filesystem(self) -> Call[Handle]:
        return calling(lib.parb_image_filesystem_start, self._handle, None, take=taking("reader"))

    def _flatten(self, options: Options) -> Call[Handle]:
        return calling(lib.parb_image_flatten_start, self._handle, options, take=taking("image"))

    def _files(self) -> Call[Files]:
        return calling(lib.parb_image_files_start, self._handle, None, take=take_files)

    def _open_file(self, path: str) -> Call[Handle]:
        start = lib.parb_image_open_file_start
        return calling(start, self._handle, name_bytes(path), None, take=taking("reader"))

    def _edit_file(self, path: str, data: Any, options: Options) -> Call[Handle]:
        start, content = lib.parb_image_edit_file_start, octets(data)
        return calling(start, self._handle, utf8(path), content, len(content), options, take=taking("image"))

    def _remove_file(self, path: str, options: Options) -> Call[Handle]:
        start = lib.parb_image_remove_file_start
        return calling(start, self._handle, utf8(path), options, take=taking("image"))


class NewImage:
    """How an image is made of nothing: its calls, for whoever waits for them."""

    @staticmethod
    def from_config(config: Union[Config, bytes], layers: Iterable[LayerFacts], format: Optional[str]) -> Call[Handle]:
        """See `Image.from_config`."""
        json = octets(config.json if isinstance(config, Config) else config)
        start, options, held = lib.parb_image_from_config_start, Options().format(format), tuple(layers)
        return Call(lambda ctx, op: start(json, len(json), handles(held), len(held), options, ctx, op), taking("image"))

    @staticmethod
    def random(layers: int, layer_size: int, seed: int, options: Options) -> Call[Handle]:
        """See `Image.random`."""
        numbers = natural("layers", layers, 32), natural("layer_size", layer_size), natural("seed", seed)
        return calling(lib.parb_image_random_start, *numbers, options, take=taking("image"))


class Image(ImageFacts):
    """An image: immutable, shared between threads. Keeps alive what its blobs are read from."""

    __slots__ = ()

    @classmethod
    def from_config(
        cls,
        config: Union[Config, bytes],
        layers: Iterable[LayerFacts],
        *,
        format: Optional[str] = None,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Image:
        """An image from its config, which stays byte for byte, and its layers; the manifest is made for them."""
        limit = seconds(timeout, None)
        return cls(run(NewImage.from_config(config, layers, format), limit, cancel, progress), limit)

    @classmethod
    def random(
        cls,
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
    ) -> Image:
        """An image of so many random layers, the same for the same seed, for linux/amd64."""
        options, limit = stored(sink, compression, level).format(format), seconds(timeout, None)
        return cls(run(NewImage.random(layers, layer_size, seed, options), limit, cancel, progress), limit)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, base first. Nothing is read yet."""
        return tuple(Layer(handle, self._timeout) for handle in self._layers())

    def config(
        self,
        *,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Config:
        """The config: fetched the first time, from memory afterwards."""
        return Config._of(run(self._config(), seconds(timeout, self._timeout), cancel, progress))

    def validate(
        self,
        *,
        jobs: Optional[int] = None,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> None:
        """Reads every blob to its end and checks all that `examine` does; raises the first thing that is wrong."""
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
        """Everything that is wrong with the image: digests, sizes, diff ids, media types, what parts say of each other.

        `fast`: reads only the config, and looks whether the layers are there.
        """
        return run(self._examine(jobs, fast), seconds(timeout, self._timeout), cancel, progress)

    def compare(
        self,
        other: ImageFacts,
        *,
        files: bool = False,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Report:
        """Every difference from another image, with `files` file by file. Findings have the field as subject."""
        return run(self._compare(other, files), seconds(timeout, self._timeout), cancel, progress)

    def recompress(
        self,
        *,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        jobs: Optional[int] = None,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Image:
        """The image with every layer compressed so, or its plain layers as gzip. Config and diff ids stay."""
        call = self._recompress(stored(sink, compression, level).jobs(jobs))
        return Image(run(call, seconds(timeout, self._timeout), cancel, progress), self._timeout)

    def with_time(
        self,
        time: Time,
        *,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        jobs: Optional[int] = None,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Image:
        """The image with one time everywhere: in every entry of every layer, in the config and in its history."""
        call = self._with_time(time, stored(sink, compression, level).jobs(jobs))
        return Image(run(call, seconds(timeout, self._timeout), cancel, progress), self._timeout)

    def canonical(
        self,
        *,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        jobs: Optional[int] = None,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Image:
        """The image without what depends on when and where it was built: the zero time, and nothing of the builder."""
        call = self._canonical(stored(sink, compression, level).jobs(jobs))
        return Image(run(call, seconds(timeout, self._timeout), cancel, progress), self._timeout)

    def rebase(
        self,
        old_base: ImageFacts,
        new_base: ImageFacts,
        *,
        name: Optional[str] = None,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Image:
        """The image on another base. `old_base` must be its lowest layers; `name`: of the new base, for annotations."""
        call = self._rebase(old_base, new_base, name)
        return Image(run(call, seconds(timeout, self._timeout), cancel, progress), self._timeout)

    def convert(
        self,
        format: str,
        *,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Image:
        """The image in the media types of "docker" or "oci". No blob changes."""
        return Image(run(self._convert(format), seconds(timeout, self._timeout), cancel, progress), self._timeout)

    def filesystem(
        self, *, timeout: Timeout = UNSET, cancel: Optional[CancelToken] = None, progress: Optional[Progress] = None
    ) -> LayerReader:
        """Opens the image's file system as one tar: what a container made of it sees.

        A file for tarfile's mode "r|". `timeout` is for opening it, and for each read; `progress` is told 0 as its
        total, which is not known.
        """
        return opened(self._filesystem(), 0, seconds(timeout, self._timeout), cancel, progress)

    def files(
        self, *, timeout: Timeout = UNSET, cancel: Optional[CancelToken] = None, progress: Optional[Progress] = None
    ) -> Files:
        """Every path of the image's file system: a directory before what is in it, sorted by name, with its layer."""
        return run(self._files(), seconds(timeout, self._timeout), cancel, progress)

    def open_file(
        self,
        path: str,
        *,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> LayerReader:
        """Opens one file of the image's file system; symbolic links are followed within the image."""
        return opened(self._open_file(path), 0, seconds(timeout, self._timeout), cancel, progress)

    def read_file(self, path: str, *, timeout: Timeout = UNSET, cancel: Optional[CancelToken] = None) -> bytes:
        """The content of one file of the image's file system."""
        with self.open_file(path, timeout=timeout, cancel=cancel) as stream:
            return stream.read()

    def flatten(
        self,
        *,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Image:
        """The image with one layer in place of all, and one line of history."""
        call = self._flatten(stored(sink, compression, level))
        return Image(run(call, seconds(timeout, self._timeout), cancel, progress), self._timeout)

    def edit_file(
        self,
        path: str,
        data: Any,
        *,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Image:
        """The image with another content of one file, which is a layer on top. Mode and owner of the old file stay."""
        call = self._edit_file(path, data, stored(sink, compression, level))
        return Image(run(call, seconds(timeout, self._timeout), cancel, progress), self._timeout)

    def remove_file(
        self,
        path: str,
        *,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Image:
        """The image without a file, or a directory with all that is in it, by a layer on top that hides it."""
        call = self._remove_file(path, stored(sink, compression, level))
        return Image(run(call, seconds(timeout, self._timeout), cancel, progress), self._timeout)

    def edit(self) -> ImageBuilder:
        """A builder of an image like this one."""
        from .builder import ImageBuilder

        return ImageBuilder(self)
