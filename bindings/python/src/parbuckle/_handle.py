"""Pointers of the library, and who frees them."""

from __future__ import annotations

import ctypes
import json
import weakref
from collections.abc import Sequence
from ctypes import c_void_p
from typing import Any, Callable, ClassVar, Optional

from ._library import check, lib, text, utf8


class Handle:
    """Owns a pointer, from before it is made, so that an exception at any moment leaks nothing."""

    __slots__ = ("__weakref__", "_end", "p")

    def __init__(self, kind: str, address: Optional[int] = None) -> None:
        self.p = c_void_p(address)
        self._end = weakref.finalize(self, _free, getattr(lib, f"parb_{kind}_free"), self.p)
        self._end.atexit = False  # a daemon thread may be in a call with it still; the process takes it along

    def free(self) -> None:
        """Frees the pointer now; the library answers further uses with an error."""
        self._end()
        self.p = c_void_p()

    @property
    def _as_parameter_(self) -> c_void_p:
        # ctypes takes the handle itself as an argument, and so keeps it alive during the call.
        return self.p

    @property
    def out(self) -> Any:
        """Where a function of the library writes the pointer."""
        return ctypes.byref(self.p)


class Value:
    """What is immutable, shared between threads, and had from somewhere: an image, an index, a layer."""

    __slots__ = ("_handle", "_timeout")
    _kind: ClassVar[str]

    def __init__(self, handle: Handle, timeout: Optional[float] = None) -> None:
        self._handle, self._timeout = handle, timeout


def _free(free: Callable[[int], None], p: c_void_p) -> None:
    address, p.value = p.value, None
    if address:
        free(address)


def taking(kind: str) -> Callable[[c_void_p], Handle]:
    """How a handle of this kind is taken out of an operation."""
    function = getattr(lib, f"parb_op_take_{kind}")

    def take(op: c_void_p) -> Handle:
        handle = Handle(kind)
        check(function(op, handle.out))
        return handle

    return take


def finish(op: c_void_p) -> None:
    """How an operation without a result is ended."""
    check(lib.parb_op_finish(op))


def take_bytes(op: c_void_p) -> bytes:
    """How bytes are taken out of an operation."""
    return buf_of(taking("buf")(op))


def take_json(op: c_void_p) -> Any:
    """The same for a JSON text, read."""
    return json.loads(take_bytes(op))


def take_strings(op: c_void_p) -> list[str]:
    """How a list is taken out of an operation."""
    return strings_of(taking("strings")(op)) or []


def strings_of(lent: Any) -> Optional[list[str]]:
    """A copy of a list that the library lends."""
    if not lent:
        return None
    return [text(lib.parb_strings_at(lent, i)) or "" for i in range(lib.parb_strings_count(lent))]


def map_of(lent: Any) -> dict[str, str]:
    """A copy of a map that the library lends."""
    count = lib.parb_map_count(lent) if lent else 0
    keys = (lib.parb_map_key_at(lent, i) for i in range(count))
    values = (lib.parb_map_value_at(lent, i) for i in range(count))
    return {text(key) or "": text(value) or "" for key, value in zip(keys, values)}


def bytes_of(function: Any, handle: Handle) -> bytes:
    """A copy of the bytes that a getter with a length lends."""
    length = ctypes.c_size_t()
    return _copy(function(handle, ctypes.byref(length)), length.value)


def buf_of(buf: Handle) -> bytes:
    """A copy of a buf's bytes."""
    return _copy(lib.parb_buf_data(buf), lib.parb_buf_len(buf))


def strings_from(items: Sequence[str]) -> Handle:
    """A list for the library."""
    if isinstance(items, (str, bytes)):
        raise TypeError("a sequence of str is wanted, not one str")
    handle = Handle("strings", lib.parb_strings_new(None, 0))
    for item in items:
        lib.parb_strings_add(handle, utf8(item))
    return handle


def octets(data: Any) -> Any:
    """A copy of bytes, or of anything with a buffer, for the library."""
    view = memoryview(data).cast("B")
    return (ctypes.c_uint8 * view.nbytes).from_buffer_copy(view)


def handles(values: Sequence[Value]) -> Any:
    """Several values in a row."""
    return (c_void_p * len(values))(*(value._handle.p for value in values))


def _copy(data: Any, length: int) -> bytes:
    return ctypes.string_at(data, length) if data and length else b""
