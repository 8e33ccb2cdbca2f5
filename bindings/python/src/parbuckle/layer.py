"""Layers: made once, read as often as wanted."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from ctypes import byref, c_char_p, c_uint64, c_void_p
from typing import TYPE_CHECKING, Any, ClassVar, Optional, TypeVar, Union

from ._callbacks import HasBlob, OpenBlob, binary, some
from ._handle import Handle, Value, finish, octets, take_json, taking
from ._library import check, lib, local_path, natural, text, utf8, utf8_or_none
from ._options import Options
from ._wait import UNSET, Call, CancelToken, Progress, Timeout, calling, run, seconds
from .files import Files, take_files
from .parts import Part, blobs_of
from .reference import Descriptor, descriptor_of
from .report import Report, take_report
from .stream import PIECE, LayerReader, LayerWriter, opened

if TYPE_CHECKING:
    from .cache import CacheFacts

L = TypeVar("L", bound="LayerFacts")

#: A local path.
Path = Union[str, bytes, "os.PathLike[Any]"]


class Sink:
    """Where the bytes of new layers go: a repository (`Client.repository`), a layout, a cache, a store (their `sink`).

    Layers are written there while they are compressed, and an image that has them, put there later, finds them.
    """

    __slots__ = ("_handle", "_timeout")

    def __init__(self, handle: Handle, timeout: Optional[float]) -> None:
        self._handle, self._timeout = handle, timeout


def sink_of(function: Any, medium: Handle, timeout: Optional[float]) -> Sink:
    """A place as a sink."""
    handle = Handle("sink")
    check(function(medium, handle.out))
    return Sink(handle, timeout)


def stored(sink: Optional[Sink], compression: Optional[str], level: int) -> Options:
    """How new layers are stored."""
    return Options().layer(sink._handle if sink else None, compression, level)


class LayerFacts(Value):
    """What is known of a layer without reading it."""

    __slots__ = ()
    _kind: ClassVar[str] = "layer"

    @classmethod
    def from_parts(
        cls: type[L],
        descriptor: Descriptor,
        open_blob: Optional[OpenBlob] = None,
        *,
        parts: Iterable[Part] = (),
        has_blob: Optional[HasBlob] = None,
        diff_id: Optional[str] = None,
        uncompressed_size: Optional[int] = None,
    ) -> L:
        """A layer whose bytes are among the parts, or opened by `open_blob` when they are read.

        See `Image.from_parts` for the functions. `diff_id`, `uncompressed_size`: digest and size of the tar, where they
        are known; else they are found out by reading it, when they are asked for.
        """
        handle, blobs = Handle("layer"), blobs_of(parts, open_blob, has_blob)
        names = utf8(descriptor.media_type), utf8(descriptor.digest)
        size = -1 if uncompressed_size is None else uncompressed_size
        known = descriptor.size, utf8_or_none(diff_id), size
        check(lib.parb_layer_from_parts(*names, *known, blobs, None, handle.out))
        return cls(handle)

    @classmethod
    def fixed(cls: type[L], data: Any, media_type: str) -> L:
        """A layer of these very bytes, whatever they are."""
        handle, content = Handle("layer"), octets(data)
        check(lib.parb_layer_fixed(content, len(content), utf8(media_type), None, handle.out))
        return cls(handle)

    @property
    def descriptor(self) -> Descriptor:
        """Media type, digest and size of the layer's blob."""
        return descriptor_of(lib.parb_layer_descriptor(self._handle))

    @property
    def digest(self) -> str:
        """The digest of the layer's blob."""
        return text(lib.parb_descriptor_digest(lib.parb_layer_descriptor(self._handle))) or ""

    @property
    def size(self) -> int:
        """The size of the layer's blob in bytes."""
        return int(lib.parb_descriptor_size(lib.parb_layer_descriptor(self._handle)))

    @property
    def media_type(self) -> str:
        """The media type of the layer's blob."""
        return text(lib.parb_descriptor_media_type(lib.parb_layer_descriptor(self._handle))) or ""

    def __repr__(self) -> str:
        return f"<parbuckle.{type(self).__name__} {self.digest} {self.size}>"

    @property
    def has_toc(self) -> bool:
        """Whether the descriptor tells of a table of contents: then single files are read without the rest."""
        return bool(lib.parb_layer_has_toc(self._handle))

    def cached(self: L, cache: CacheFacts) -> L:
        """The same layer, read through a cache."""
        handle = Handle("layer")
        check(lib.parb_layer_cached(self._handle, cache._handle, handle.out))
        return type(self)(handle, self._timeout)

    def _diff_id(self) -> Call[str]:
        def take(op: c_void_p) -> str:
            finish(op)
            found = c_char_p()
            check(lib.parb_layer_diff_id(self._handle, None, None, byref(found)))  # from memory now
            return text(found.value) or ""

        return calling(lib.parb_layer_diff_id_start, self._handle, None, take=take)

    def _uncompressed_size(self) -> Call[int]:
        def take(op: c_void_p) -> int:
            finish(op)
            found = c_uint64()
            check(lib.parb_layer_uncompressed_size(self._handle, None, None, byref(found)))  # from memory now
            return found.value

        return calling(lib.parb_layer_uncompressed_size_start, self._handle, None, take=take)

    def _toc(self) -> Call[list[dict[str, Any]]]:
        return calling(lib.parb_layer_toc_json_start, self._handle, None, take=take_json)

    def _files(self) -> Call[Files]:
        return calling(lib.parb_layer_files_start, self._handle, None, take=take_files)

    def _open_file(self, path: str) -> Call[Handle]:
        return calling(lib.parb_layer_open_file_start, self._handle, utf8(path), None, take=taking("reader"))

    def _validate(self) -> Call[None]:
        return calling(lib.parb_layer_validate_start, self._handle, None, take=finish)

    def _compare(self, other: LayerFacts, files: bool) -> Call[Report]:
        start, options = lib.parb_layer_compare_start, Options().files(files)
        return calling(start, self._handle, other._handle, options, take=take_report)

    def _for_windows(self, options: Options) -> Call[Handle]:
        return calling(lib.parb_layer_for_windows_start, self._handle, options, take=taking("layer"))

    def _open(self, uncompressed: bool) -> Call[Handle]:
        start = lib.parb_layer_open_uncompressed_start if uncompressed else lib.parb_layer_open_start
        return Call(lambda ctx, op: start(self._handle, None, ctx, op), taking("reader"))


class NewLayer:
    """How a new layer is made: its calls, for whoever waits for them."""

    __slots__ = ("_options", "timeout")

    def __init__(self, sink: Optional[Sink], compression: Optional[str], level: int, timeout: Timeout) -> None:
        self._options = stored(sink, compression, level)
        self.timeout = seconds(timeout, sink._timeout if sink else None)

    def from_file(self, path: Path) -> Call[Handle]:
        """See `Layer.from_file`."""
        name = local_path(path)
        return self._call(lambda ctx, op: lib.parb_layer_from_file_start(name, self._options, ctx, op))

    def from_dir(self, path: Path) -> Call[Handle]:
        """See `Layer.from_dir`."""
        name = local_path(path)
        return self._call(lambda ctx, op: lib.parb_layer_from_dir_start(name, self._options, ctx, op))

    def from_bytes(self, tar: Any) -> Call[Handle]:
        """See `Layer.from_bytes`."""
        data = octets(tar)
        return self._call(lambda ctx, op: lib.parb_layer_from_bytes_start(data, len(data), self._options, ctx, op))

    def random(self, size: int, seed: int) -> Call[Handle]:
        """See `Layer.random`."""
        numbers = natural("size", size), natural("seed", seed)
        return self._call(lambda ctx, op: lib.parb_layer_random_start(*numbers, self._options, ctx, op))

    def build(self, builder: Handle) -> Call[Handle]:
        """See `LayerBuilder.build`."""
        return self._call(lambda ctx, op: lib.parb_layer_builder_build_start(builder, self._options, ctx, op))

    def writer(self) -> Call[Handle]:
        """See `Layer.writer`."""
        start = lib.parb_layer_writer_new_start
        return Call(lambda ctx, op: start(self._options, ctx, op), taking("layer_writer"))

    @staticmethod
    def _call(start: Any) -> Call[Handle]:
        return Call(start, taking("layer"))


class Layer(LayerFacts):
    """A layer: complete, immutable, shared between threads.

    The functions that make one take `sink`, where its bytes go (without it: a file without a name in $TMPDIR),
    `compression` ("gzip", "zstd", "none", or "estargz", which is gzip with a table of contents; without it a plain tar
    becomes gzip, and a compressed one stays as it is) and its `level` (0: the default).
    """

    __slots__ = ()

    @classmethod
    def from_file(
        cls,
        path: Path,
        *,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Layer:
        """A layer from a tar file, plain or compressed; its bytes tell which, not its name."""
        new = NewLayer(sink, compression, level, timeout)
        return cls(run(new.from_file(path), new.timeout, cancel, progress), new.timeout)

    @classmethod
    def from_dir(
        cls,
        path: Path,
        *,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Layer:
        """A layer from a directory's content: the same content is the same layer."""
        new = NewLayer(sink, compression, level, timeout)
        return cls(run(new.from_dir(path), new.timeout, cancel, progress), new.timeout)

    @classmethod
    def from_bytes(
        cls,
        tar: Any,
        *,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Layer:
        """A layer from a tar in memory: bytes, or anything with a buffer."""
        new = NewLayer(sink, compression, level, timeout)
        return cls(run(new.from_bytes(tar), new.timeout, cancel, progress), new.timeout)

    @classmethod
    def from_fileobj(
        cls,
        fileobj: Any,
        *,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Layer:
        """A layer from a binary file object, read to its end piece by piece. What its `read` raises comes out as it is.

        `timeout` is for each step: opening, taking in a piece, ending. `progress` is told the bytes of the tar and 0.
        """
        writer = cls.writer(sink=sink, compression=compression, level=level, timeout=timeout, cancel=cancel)
        with writer:
            for piece in _pieces_of(fileobj):
                writer.write(piece)
                if progress:
                    progress(writer.tell(), 0)
            return writer.finish()

    @classmethod
    def writer(
        cls,
        *,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
    ) -> LayerWriter:
        """A file to write a tar to, for tarfile's mode "w|"; its `finish` gives the layer."""
        new = NewLayer(sink, compression, level, timeout)
        handle = run(new.writer(), new.timeout, cancel)
        return LayerWriter(handle, lambda layer: cls(layer, new.timeout), new.timeout, cancel)

    @classmethod
    def random(
        cls,
        size: int,
        seed: int = 0,
        *,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Layer:
        """A layer with one file of so many random bytes, the same for the same seed; plain unless told otherwise."""
        new = NewLayer(sink, compression, level, timeout)
        return cls(run(new.random(size, seed), new.timeout, cancel, progress), new.timeout)

    def diff_id(self, *, timeout: Timeout = UNSET, cancel: Optional[CancelToken] = None) -> str:
        """The digest of the uncompressed tar: from the image's config, else by reading the layer."""
        return run(self._diff_id(), seconds(timeout, self._timeout), cancel)

    def uncompressed_size(self, *, timeout: Timeout = UNSET, cancel: Optional[CancelToken] = None) -> int:
        """Bytes of the uncompressed tar: as its maker knew, else by reading the layer."""
        return run(self._uncompressed_size(), seconds(timeout, self._timeout), cancel)

    def validate(
        self, *, timeout: Timeout = UNSET, cancel: Optional[CancelToken] = None, progress: Optional[Progress] = None
    ) -> None:
        """Reads the layer to its end and checks digest, size, diff id, media type and tar."""
        run(self._validate(), seconds(timeout, self._timeout), cancel, progress)

    def compare(
        self,
        other: LayerFacts,
        *,
        files: bool = False,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Report:
        """Every difference from another layer, with `files` file by file. Findings have the field as subject."""
        return run(self._compare(other, files), seconds(timeout, self._timeout), cancel, progress)

    def for_windows(
        self,
        *,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Layer:
        """The layer in the form that Windows images want: everything below Files/, beside an empty Hives/."""
        call = self._for_windows(stored(sink, compression, level))
        return Layer(run(call, seconds(timeout, self._timeout), cancel, progress), self._timeout)

    def toc(self, *, timeout: Timeout = UNSET, cancel: Optional[CancelToken] = None) -> list[dict[str, Any]]:
        """The table of contents of an eStargz or zstd:chunked layer, in the tar's order.

        Each entry has "path", "type" ("dir", "reg", "symlink" …), "size", "mode", "uid", "gid" and more where there is
        something to say. Raises NotFoundError where the layer has none (`has_toc`).
        """
        return run(self._toc(), seconds(timeout, self._timeout), cancel)

    def files(
        self, *, timeout: Timeout = UNSET, cancel: Optional[CancelToken] = None, progress: Optional[Progress] = None
    ) -> Files:
        """The layer's own entries in their order, whiteouts among them."""
        return run(self._files(), seconds(timeout, self._timeout), cancel, progress)

    def open_file(
        self,
        path: str,
        *,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> LayerReader:
        """Opens one file of the layer. With a table of contents only what is needed is fetched; every byte is verified.

        Hard links are followed; other layers play no part.
        """
        return opened(self._open_file(path), 0, seconds(timeout, self._timeout), cancel, progress)

    def read_file(self, path: str, *, timeout: Timeout = UNSET, cancel: Optional[CancelToken] = None) -> bytes:
        """The content of one file of the layer."""
        with self.open_file(path, timeout=timeout, cancel=cancel) as stream:
            return stream.read()

    def open(
        self,
        *,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> LayerReader:
        """Opens the layer's bytes as they are stored. `timeout` is for opening it, and for each read."""
        return opened(self._open(False), self.size, seconds(timeout, self._timeout), cancel, progress)

    def open_uncompressed(
        self,
        *,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> LayerReader:
        """Opens the layer's tar. `progress` is told 0 as its total, which is not known."""
        return opened(self._open(True), 0, seconds(timeout, self._timeout), cancel, progress)

    def __iter__(self) -> Iterator[bytes]:
        """The layer's bytes as they are stored, in pieces of whatever size they come."""
        with self.open() as stream:
            while piece := stream.read(PIECE):
                yield piece


def _pieces_of(fileobj: Any) -> Iterator[Any]:
    """What is left of a file, in pieces that are good until the next one is asked for."""
    if hasattr(fileobj, "readinto"):
        buffer = bytearray(PIECE)
        view = memoryview(buffer)
        while n := some(fileobj.readinto(buffer)):
            yield view[:n]
    else:
        while piece := some(fileobj.read(PIECE)):
            yield binary(piece)
