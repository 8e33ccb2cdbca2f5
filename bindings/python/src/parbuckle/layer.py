"""Layers: made once, read as often as wanted."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from typing import Any, Optional, Union

from ._handle import Handle, finish, taking
from ._library import check, lib, local_path, text, utf8
from ._options import Options
from ._wait import UNSET, Call, CancelToken, Progress, Timeout, run, seconds
from .reference import Descriptor, descriptor_of
from .stream import PIECE, LayerReader, LayerWriter, Pieces

#: A local path.
Path = Union[str, bytes, "os.PathLike[Any]"]


class Sink:
    """Where the bytes of new layers go: a repository. What `Client.repository` gives.

    Layers are uploaded while they are compressed, and a push of an image that has them finds them there.
    """

    __slots__ = ("_handle", "_timeout")

    def __init__(self, handle: Handle, timeout: Optional[float]) -> None:
        self._handle, self._timeout = handle, timeout


class LayerFacts:
    """What is known of a layer without reading it."""

    __slots__ = ("_handle", "_timeout")

    def __init__(self, handle: Handle, timeout: Optional[float] = None) -> None:
        self._handle, self._timeout = handle, timeout

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

    def _diff_id(self) -> Call[str]:
        def take(op: ctypes.c_void_p) -> str:
            finish(op)
            found = ctypes.c_char_p()
            check(lib.parb_layer_diff_id(self._handle, None, None, ctypes.byref(found)))  # from memory now
            return text(found.value) or ""

        return Call(lambda ctx, op: lib.parb_layer_diff_id_start(self._handle, None, ctx, op), take)

    def _open(self, uncompressed: bool) -> Call[Handle]:
        start = lib.parb_layer_open_uncompressed_start if uncompressed else lib.parb_layer_open_start
        return Call(lambda ctx, op: start(self._handle, None, ctx, op), taking("reader"))


class NewLayer:
    """How a new layer is made: its calls, for whoever waits for them."""

    __slots__ = ("_options", "timeout")

    def __init__(self, sink: Optional[Sink], compression: Optional[str], level: int, timeout: Timeout) -> None:
        self._options = Options().layer(sink._handle if sink else None, compression, level)
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
        view = memoryview(tar).cast("B")
        data = (ctypes.c_uint8 * view.nbytes).from_buffer_copy(view)
        return self._call(lambda ctx, op: lib.parb_layer_from_bytes_start(data, len(data), self._options, ctx, op))

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
    `compression` ("gzip", "zstd" or "none"; without it a plain tar becomes gzip, and a compressed one stays as it is)
    and its `level` (0: the default).
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

    def diff_id(self, *, timeout: Timeout = UNSET, cancel: Optional[CancelToken] = None) -> str:
        """The digest of the uncompressed tar: from the image's config, else by reading the layer."""
        return run(self._diff_id(), seconds(timeout, self._timeout), cancel)

    def open(
        self,
        *,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> LayerReader:
        """Opens the layer's bytes as they are stored. `timeout` is for opening it, and for each read."""
        return self._reader(False, self.size, timeout, cancel, progress)

    def open_uncompressed(
        self,
        *,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> LayerReader:
        """Opens the layer's tar. `progress` is told 0 as its total, which is not known."""
        return self._reader(True, 0, timeout, cancel, progress)

    def __iter__(self) -> Iterator[bytes]:
        """The layer's bytes as they are stored, in pieces of whatever size they come."""
        with self.open() as stream:
            while piece := stream.read(PIECE):
                yield piece

    def _reader(
        self,
        uncompressed: bool,
        size: int,
        timeout: Timeout,
        cancel: Optional[CancelToken],
        progress: Optional[Progress],
    ) -> LayerReader:
        limit = seconds(timeout, self._timeout)
        return LayerReader(Pieces(run(self._open(uncompressed), limit, cancel), limit, cancel), size, progress)


class LayerBuilder:
    """Puts a small layer together, entry by entry. Parent directories are not added by themselves.

    The methods that add give the builder back; the first mistake is reported by `build`.
    """

    __slots__ = ("_handle",)

    def __init__(self) -> None:
        self._handle = Handle("layer_builder", lib.parb_layer_builder_new())

    def add_bytes(self, path: str, data: bytes, *, mode: int = 0o644) -> LayerBuilder:
        """Adds a file with this content. The path is relative, without ".."."""
        content = (ctypes.c_uint8 * len(data)).from_buffer_copy(data)
        lib.parb_layer_builder_add_bytes(self._handle, utf8(path), mode, content, len(data))
        return self

    def add_path(self, local: Path, path: str) -> LayerBuilder:
        """Adds a local file, directory (with all that is in it) or symbolic link, read by `build`."""
        lib.parb_layer_builder_add_path(self._handle, local_path(local), utf8(path))
        return self

    def add_symlink(self, path: str, target: str) -> LayerBuilder:
        """Adds a symbolic link."""
        lib.parb_layer_builder_add_symlink(self._handle, utf8(path), utf8(target))
        return self

    def remove(self, path: str) -> LayerBuilder:
        """Removes what the layers below have under this name (a whiteout)."""
        lib.parb_layer_builder_remove(self._handle, utf8(path))
        return self

    def build(
        self,
        *,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Layer:
        """Makes the layer, with its entries in the order they were added."""
        new = NewLayer(sink, compression, level, timeout)
        return Layer(run(new.build(self._handle), new.timeout, cancel, progress), new.timeout)


def _pieces_of(fileobj: Any) -> Iterator[Any]:
    """What is left of a file, in pieces that are good until the next one is asked for."""
    if hasattr(fileobj, "readinto"):
        buffer = bytearray(PIECE)
        view = memoryview(buffer)
        while n := _some(fileobj.readinto(buffer)):
            yield view[:n]
    else:
        while piece := _some(fileobj.read(PIECE)):
            if isinstance(piece, str):
                raise TypeError("the file is to be opened in binary mode")
            yield piece


def _some(read: Any) -> Any:
    if read is None:
        raise BlockingIOError("the file has nothing to read now; non-blocking files can't be read from")
    return read
