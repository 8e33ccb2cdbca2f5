"""What the library calls back: streams and blobs of the host, on threads of the library.

A callback is known to the library by a number; what it stands for is looked up here. Whatever a callback raises
travels through the library and is raised, as it is, by the call that wanted the bytes.
"""

from __future__ import annotations

import atexit
import io
import itertools
import os
import threading
import time
from ctypes import c_uint8
from dataclasses import dataclass
from typing import Any, Callable, Optional

from . import _table
from ._handle import Handle
from ._library import carried, lib
from .errors import Error
from .reference import Descriptor, descriptor_of

#: Opens a blob: bytes, or a binary file object that the library closes when it has read enough of it.
OpenBlob = Callable[[Descriptor], Any]
#: Tells whether there is a blob; None: open it to find out.
HasBlob = Callable[[Descriptor], Optional[bool]]

#: So much is read at once from a file that can't read into a buffer.
_PIECE = 256 << 10
#: How long the end of the process waits at most until no more callbacks come, and how long none must have come.
_AT_EXIT, _QUIET = 1.0, 0.05


@dataclass(frozen=True)
class _Stream:
    file: Any
    start: Optional[int]
    owned: bool


@dataclass(frozen=True)
class _Blobs:
    open: OpenBlob
    has: Optional[HasBlob]


_numbers = itertools.count(1)
_known: dict[int, Any] = {}
_running: set[int] = set()
_parked: set[int] = set()
_latest = 0
_ended = False


def source_of(fileobj: Any) -> Handle:
    """A stream for the library out of a binary file object, from where it stands. It stays open, and the caller's."""
    return Handle("source", _source(fileobj, False))


def open_blobs_with(blobs: Handle, open: OpenBlob, has: Optional[HasBlob]) -> None:
    """Has a parb_blobs ask these functions."""
    number = _keep(_Blobs(open, has))
    lib.parb_blobs_set_open(blobs, _open, _has if has else _table.parb_exists_cb(), number, _forget)


def _source(file: Any, owned: bool) -> Optional[int]:
    seekable = getattr(file, "seekable", None)
    start = file.tell() if seekable and seekable() else None
    number = _keep(_Stream(file, start, owned))
    rewind = _table.parb_rewind_cb() if start is None else _rewind
    address: Optional[int] = lib.parb_source_new(_read, rewind, number, _forget)
    return address


def _keep(what: Any) -> int:
    number = next(_numbers)
    _known[number] = what
    return number


def _called(user: int, work: Callable[[], None]) -> Optional[int]:
    """The answer to a callback: none, or an error for what the work raised."""
    global _latest
    number = _latest = next(_numbers)
    _running.add(number)
    try:
        if not _ended:
            work()
        return None
    except BaseException as e:
        carried[number] = e
        return _error(e, number)
    finally:
        _running.discard(number)
        if _ended:
            _park(user)


def _park(user: int) -> None:
    """Keeps a thread of the library for ever: the interpreter goes, and nothing may come back to it."""
    _parked.add(user)
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def _error(e: BaseException, number: int) -> Optional[int]:
    code = "CALLBACK"
    if isinstance(e, Error):
        code = e.code
    elif isinstance(e, (FileNotFoundError, KeyError)):
        code = "NOT_FOUND"
    message = f"{type(e).__name__}: {e}".replace("\0", " ").encode("utf-8", "replace")
    made: Optional[int] = lib.parb_error_new(
        _table.CODES.get(code, _table.CODES["CALLBACK"]), message, number, _arrived
    )
    return made


def _on_read(user: int, buf: int, cap: int, out_n: Any) -> Optional[int]:
    def work() -> None:
        out_n[0] = _fill(_known[user].file, (c_uint8 * cap).from_address(buf), cap)

    return _called(user, work)


def _on_rewind(user: int) -> Optional[int]:
    def work() -> None:
        stream = _known[user]
        stream.file.seek(stream.start)

    return _called(user, work)


def _on_open(user: int, blob: int, offset: int, out: Any) -> Optional[int]:
    def work() -> None:
        opened = _known[user].open(descriptor_of(blob))
        file = opened if hasattr(opened, "read") else io.BytesIO(opened)
        _skip(file, offset)
        out[0] = _source(file, True)

    return _called(user, work)


def _on_has(user: int, blob: int, out_exists: Any) -> Optional[int]:
    def work() -> None:
        found = _known[user].has(descriptor_of(blob))
        out_exists[0] = -1 if found is None else int(bool(found))

    return _called(user, work)


def _on_forget(user: int) -> None:
    what = _known.pop(user, None)
    if isinstance(what, _Stream) and what.owned and hasattr(what.file, "close"):
        try:
            what.file.close()
        except Exception:
            pass  # all that was wanted of it was read


def _on_arrived(user: int) -> None:
    carried.pop(user, None)


# What the library is given; alive as long as the module is.
_read = _table.parb_read_cb(_on_read)
_rewind = _table.parb_rewind_cb(_on_rewind)
_open = _table.parb_open_cb(_on_open)
_has = _table.parb_exists_cb(_on_has)
_forget = _table.parb_destroy_cb(_on_forget)
_arrived = _table.parb_destroy_cb(_on_arrived)


def _fill(file: Any, buffer: Any, cap: int) -> int:
    """Reads some bytes into a buffer; 0 at the end."""
    if hasattr(file, "readinto"):
        return int(some(file.readinto(memoryview(buffer).cast("B"))))
    piece = binary(some(file.read(min(cap, _PIECE))))
    memoryview(buffer).cast("B")[: len(piece)] = piece
    return len(piece)


def _skip(file: Any, offset: int) -> None:
    seekable = getattr(file, "seekable", None)
    if seekable and seekable():
        file.seek(offset, os.SEEK_CUR)
        return
    while offset:
        piece = some(file.read(min(offset, _PIECE)))
        if not piece:
            raise EOFError(f"the blob ends {offset} bytes before where it is to be read from")
        offset -= len(piece)


def some(read: Any) -> Any:
    """What a file's `read` or `readinto` gave, unless it gave None."""
    if read is None:
        raise BlockingIOError("the file has nothing to read now; non-blocking files can't be read from")
    return read


def binary(piece: Any) -> Any:
    """What a file's `read` gave, unless it is text."""
    if isinstance(piece, str):
        raise TypeError("the file is to be opened in binary mode")
    return piece


def _end() -> None:
    """Waits until each thread that reads from the host is parked.

    A callback that comes when the interpreter is being taken down would end its thread in the library's midst, and the
    process with it.
    """
    global _ended
    _ended = True
    quiet = began = time.monotonic()
    while _known and time.monotonic() < min(quiet + _QUIET, began + _AT_EXIT):
        seen = _latest
        time.sleep(0.005)
        reading = any(isinstance(what, _Stream) and n not in _parked for n, what in list(_known.items()))
        if reading or _running or _latest != seen:
            quiet = time.monotonic()


def _forget_parent() -> None:
    """In a forked child no thread of the library reads on."""
    _running.clear()
    _parked.update(_known)


atexit.register(_end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)
