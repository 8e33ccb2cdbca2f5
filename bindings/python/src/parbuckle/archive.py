"""Archives: what docker save writes in all its forms, and OCI layouts in a tar."""

from __future__ import annotations

import ctypes
import io
import os
from collections.abc import Iterable, Mapping
from ctypes import c_void_p
from typing import Any, Optional, Union

from ._callbacks import source_of
from ._handle import Handle, finish, handles, strings_from, strings_of, taking
from ._library import check, lib, local_path, text, utf8_or_none
from ._medium import Blocking, Medium
from ._options import Options
from ._wait import UNSET, Call, CancelToken, Context, Progress, Timeout, Watch, calling, run, seconds, wait_for
from .image import Image, ImageFacts
from .index import Index, IndexFacts
from .layer import Path, Sink, stored
from .stream import PIECE

#: An image or an index, or several of them: by name, or without.
Images = Union[
    ImageFacts, IndexFacts, Mapping[str, Union[ImageFacts, IndexFacts]], Iterable[Union[ImageFacts, IndexFacts]]
]


class ArchiveFacts(Medium):
    """An archive, whoever waits for its calls."""

    __slots__ = ()

    @property
    def kind(self) -> str:
        """Its form: "docker" (with a manifest.json, as docker save writes it since 1.10), "oci" or "legacy"."""
        return text(lib.parb_archive_kind(self._handle)) or ""

    @property
    def refs(self) -> list[str]:
        """The names of the images, in the archive's order: what its maker wrote, for which nobody vouches."""
        return strings_of(lib.parb_archive_refs(self._handle)) or []

    @staticmethod
    def _open(path_or_fileobj: Any) -> Call[Handle]:
        start: Any
        what: Any
        if isinstance(path_or_fileobj, (str, bytes, os.PathLike)):
            start, what = lib.parb_archive_open_start, local_path(path_or_fileobj)
        elif (fd := _to_read(path_or_fileobj)) is not None:
            start, what = lib.parb_archive_open_fd_start, fd
        else:
            start, what = lib.parb_archive_open_source_start, source_of(path_or_fileobj)
        return calling(start, what, None, take=taking("archive"))

    def _image(self, name: Optional[str], options: Options) -> Call[Handle]:
        return calling(lib.parb_archive_image_start, self._handle, utf8_or_none(name), options, take=taking("image"))

    def _index(self, name: Optional[str]) -> Call[Handle]:
        return calling(lib.parb_archive_index_start, self._handle, utf8_or_none(name), None, take=taking("index"))


class Archive(ArchiveFacts, Blocking):
    """An archive of images that is open to be read: `with Archive.open(path) as archive: …`."""

    __slots__ = ()

    @classmethod
    def open(
        cls,
        path_or_fileobj: Any,
        *,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Archive:
        """Opens an archive: a path ("-": standard input), a file descriptor, or a binary file object.

        A file is read in place, and is not to change as long as the archive is open. Pipes, other file objects and
        archives that are compressed as a whole are read to their end, into a file without a name in $TMPDIR; a file
        object is read on a thread of the library, and what it raises comes out here.
        """
        limit = seconds(timeout, None)
        return cls(run(cls._open(path_or_fileobj), limit, cancel, progress), limit)

    @staticmethod
    def write(
        path_or_fileobj: Any,
        images: Images,
        *,
        format: Optional[str] = None,
        jobs: Optional[int] = None,
        foreign_layers: bool = False,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> None:
        """Writes a new archive: to a path ("-": standard output), a file descriptor, or a binary file object.

        images: one image or index, or several, without names; or a mapping from names to them. An index is written
            with all that it names; where there are images, too, they come first.
        format: "docker" (the default where there are images only), "oci" (the only one for indexes, and the default
            where there are some), or "legacy", that of docker save before 1.10.
        jobs: how many blobs are read at once; for a path only.
        A file at a path comes about beside it and takes its place when it is whole.
        """
        limit, new = seconds(timeout, None), NewArchive(images, format, jobs, foreign_layers)
        if isinstance(path_or_fileobj, (str, bytes, os.PathLike)):
            return run(new.write(path_or_fileobj), limit, cancel, progress)
        fd = to_write(path_or_fileobj)
        if fd is not None:
            return run(new.write_fd(fd), limit, cancel, progress)
        return write_through(new, path_or_fileobj, limit, cancel, progress)

    def image(
        self,
        name: Optional[str] = None,
        *,
        platform: Optional[str] = None,
        format: Optional[str] = None,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Image:
        """An image by name or digest; None: the only one.

        Layers stay as they are, plain ones too, unless a sink or a compression is given. `format`: whose media types
        the manifest carries where the archive has none, "docker" without it.
        """
        call = self._image(name, stored(sink, compression, level).platform(platform).format(format))
        return Image(run(call, seconds(timeout, self._timeout), cancel, progress), self._timeout)

    def index(
        self, name: Optional[str] = None, *, timeout: Timeout = UNSET, cancel: Optional[CancelToken] = None
    ) -> Index:
        """An index of an OCI archive by name or digest; None: index.json, which names all that is in the archive."""
        return Index(run(self._index(name), seconds(timeout, self._timeout), cancel), self._timeout)


class NewArchive:
    """What is to be written: its calls, for whoever waits for them."""

    __slots__ = ("_images", "_indexes", "_options", "_refs")

    def __init__(self, images: Images, format: Optional[str], jobs: Optional[int], foreign_layers: bool) -> None:
        named: Iterable[tuple[str, Any]]
        if isinstance(images, (ImageFacts, IndexFacts)):
            named = (("", images),)
        elif isinstance(images, Mapping):
            named = tuple(images.items())
        else:
            named = tuple(("", value) for value in images)
        for _, value in named:
            if not isinstance(value, (ImageFacts, IndexFacts)):
                raise TypeError(f"an image or an index is wanted, not {type(value).__name__}")
        of_images = [(name, value) for name, value in named if isinstance(value, ImageFacts)]
        of_indexes = [(name, value) for name, value in named if isinstance(value, IndexFacts)]
        self._images = tuple(value for _, value in of_images)
        self._indexes = tuple(value for _, value in of_indexes)
        names = tuple(name for name, _ in of_images + of_indexes)
        self._refs: Optional[Handle] = strings_from(names) if isinstance(images, Mapping) else None
        form = "oci" if self._indexes and format is None else format
        self._options = Options().push(jobs, None, foreign_layers).archive_format(form)

    def write(self, path: Path) -> Call[None]:
        """To a path."""
        return self._call(lib.parb_archive_write_all_start, local_path(path))

    def write_fd(self, fd: int) -> Call[None]:
        """To a file descriptor."""
        return self._call(lib.parb_archive_write_all_fd_start, fd)

    def _call(self, start: Any, to: Any) -> Call[None]:
        def begin(ctx: Context, op: Any) -> Any:
            images, indexes = handles(self._images), handles(self._indexes)
            counted = (images, len(self._images), indexes, len(self._indexes))
            return start(to, *counted, self._refs, self._options, ctx, op)

        return Call(begin, finish)


def write_through(
    new: NewArchive,
    fileobj: Any,
    timeout: Optional[float],
    cancel: Optional[CancelToken],
    progress: Optional[Progress],
) -> None:
    """To a file object that has no descriptor: the library writes into a pipe, and this thread empties it."""
    read_end, write_end = os.pipe()
    with open(read_end, "rb", buffering=0) as pipe:
        ctx, op = Context(timeout, cancel), c_void_p()
        try:
            try:
                check(new.write_fd(write_end).start(ctx, ctypes.byref(op)))
            finally:
                os.close(write_end)  # the library has its own
            watch = Watch(ctx, progress)
            while piece := pipe.read(PIECE):
                _write_all(fileobj, piece)
                watch.look()
            wait_for(op, watch.look)
            finish(op)
        finally:
            lib.parb_op_free(op)
            ctx.free()


def _write_all(fileobj: Any, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        n = fileobj.write(left)
        if n is None and isinstance(fileobj, io.RawIOBase):
            raise BlockingIOError("the file takes nothing now; non-blocking files can't be written to")
        left = left[len(left) if n is None else n :]


def _to_read(fileobj: Any) -> Optional[int]:
    """The descriptor of a plain file that stands at its start, so that it can be read in place."""
    if isinstance(fileobj, int):
        return fileobj
    raw = getattr(fileobj, "raw", fileobj)
    plain = isinstance(raw, io.FileIO) and fileobj.seekable() and fileobj.tell() == 0
    return int(raw.fileno()) if plain else None


def to_write(fileobj: Any) -> Optional[int]:
    """The descriptor of a plain file or pipe, after what was written to it so far."""
    if isinstance(fileobj, int):
        return fileobj
    raw = getattr(fileobj, "raw", fileobj)
    if not isinstance(raw, io.FileIO):
        return None
    fileobj.flush()
    return raw.fileno()
