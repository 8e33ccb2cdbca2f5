"""What is in layers and in the file systems of images."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import byref, c_size_t, c_uint32, c_void_p, string_at
from dataclasses import dataclass, field
from typing import Optional, Union, overload

from ._handle import Handle, strings_of, taking
from ._library import lib, utf8


@dataclass(frozen=True)
class File:
    """One entry. Names that are not UTF-8 have their odd bytes as surrogates, as Python's own file names do."""

    #: Relative to the root, which is ".".
    path: str
    #: "f" a regular file, "d" a directory, "l" a symbolic link, "h" a hard link, "c" and "b" a character and a block
    #: device, "p" a named pipe; in layers also "w" a whiteout of that path, "o" one of all in that directory, "?" else.
    kind: str
    #: Permission bits, set-id bits and the sticky bit.
    mode: int
    #: Bytes of content; 0 for all but files and hard links.
    size: int
    #: The owner's number.
    uid: int
    #: The group's number.
    gid: int
    #: When it was changed, in nanoseconds since 1970.
    mtime_ns: int
    #: Where a link leads: a symbolic one as it says, a hard one by the path of the file.
    link: str
    #: The numbers of a device, major and minor.
    device: tuple[int, int]
    #: The layer of the image that it comes from, base first.
    layer: int
    #: The extended attributes.
    xattrs: dict[str, bytes] = field(default_factory=dict, hash=False)

    @property
    def mtime(self) -> float:
        """When it was changed, in seconds since 1970."""
        return self.mtime_ns / 1_000_000_000

    def __str__(self) -> str:
        return self.path


class Files(Sequence[File]):
    """A sequence of entries, each made when it is looked at. Immutable."""

    __slots__ = ("_handle",)

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def __len__(self) -> int:
        return int(lib.parb_files_count(self._handle))

    @overload
    def __getitem__(self, i: int) -> File: ...
    @overload
    def __getitem__(self, i: slice) -> Sequence[File]: ...
    def __getitem__(self, i: Union[int, slice]) -> Union[File, Sequence[File]]:
        count = len(self)
        if isinstance(i, slice):
            return [self._at(at) for at in range(*i.indices(count))]
        at = i + count if i < 0 else i
        if not 0 <= at < count:
            raise IndexError(f"file {i} of {count}")
        return self._at(at)

    def _at(self, i: int) -> File:
        files, minor = self._handle, c_uint32()
        major = lib.parb_files_device_at(files, i, byref(minor))
        return File(
            path=_name(lib.parb_files_path_at(files, i)),
            kind=lib.parb_files_kind_at(files, i).decode("ascii"),
            mode=lib.parb_files_mode_at(files, i),
            size=lib.parb_files_size_at(files, i),
            uid=lib.parb_files_uid_at(files, i),
            gid=lib.parb_files_gid_at(files, i),
            mtime_ns=lib.parb_files_mtime_at(files, i) * 1_000_000_000 + lib.parb_files_mtime_ns_at(files, i),
            link=_name(lib.parb_files_link_at(files, i)),
            device=(major, minor.value),
            layer=lib.parb_files_layer_at(files, i),
            xattrs={name: self._xattr(i, name) for name in strings_of(lib.parb_files_xattr_names_at(files, i)) or []},
        )

    def _xattr(self, i: int, name: str) -> bytes:
        length = c_size_t()
        value = lib.parb_files_xattr_at(self._handle, i, utf8(name), byref(length))
        return string_at(value, length.value) if value and length.value else b""

    def __repr__(self) -> str:
        return f"<parbuckle.Files: {len(self)}>"


def take_files(op: c_void_p) -> Files:
    """How a list of files is taken out of an operation."""
    return Files(taking("files")(op))


def name_bytes(name: str) -> bytes:
    """The name of a file for the library; the opposite of how names are read."""
    if "\0" in name:
        raise ValueError("embedded null character")
    return name.encode("utf-8", "surrogateescape")


def _name(lent: Optional[bytes]) -> str:
    return (lent or b"").decode("utf-8", "surrogateescape")
