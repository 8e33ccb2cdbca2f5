"""Finds and loads the library; turns its errors into exceptions."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import sys
from pathlib import Path
from typing import Any, Optional

from . import _table
from .errors import BY_CODE, Error, IoError

_NAME = "libparbuckle.dylib" if sys.platform == "darwin" else "libparbuckle.so"


def _find() -> str:
    """$PARB_LIBRARY, else the one that came with the package, else the system's."""
    named = os.environ.get("PARB_LIBRARY")
    if named:
        return named
    bundled = Path(__file__).with_name("_lib") / _NAME
    if bundled.is_file():
        return str(bundled)
    return ctypes.util.find_library("parbuckle") or _NAME


def _load() -> ctypes.CDLL:
    path = _find()
    try:
        library = ctypes.CDLL(path)
    except OSError as e:
        raise ImportError(f"no parbuckle library (set PARB_LIBRARY to its path): {e}") from e
    major, minor, patch = (int(part) for part in _table.VERSION.split("."))
    try:
        library.parb_version_number.restype = ctypes.c_uint32
        found = library.parb_version_number()
        if found < major << 24 | minor << 16 | patch << 8:
            version = f"{found >> 24}.{found >> 16 & 255}.{found >> 8 & 255}"
            raise ImportError(f"{path} is parbuckle {version}; {_table.VERSION} or later is needed")
        return _table.bind(library)
    except AttributeError as e:
        raise ImportError(f"{path} is not parbuckle {_table.VERSION}: {e}") from e


lib = _load()


#: Exceptions that callbacks raised, on their way through the library, by the number that it carries for them.
carried: dict[int, BaseException] = {}


def check(error: Optional[int]) -> None:
    """Raises the error that a function returned; none: nothing. What a callback raised comes out as it is."""
    if error:
        try:
            # Out of the list, or its traceback would keep alive for ever what keeps the error alive. Whoever else gets
            # a copy of the error is told in words.
            raised = carried.pop(lib.parb_error_user(error), None)
            raise _exception(error) if raised is None else raised
        finally:
            lib.parb_error_free(error)


def _exception(error: int) -> Error:
    code = text(lib.parb_error_code_name(lib.parb_error_code(error))) or "INTERNAL"
    retry_after = lib.parb_error_retry_after_ms(error)
    made = BY_CODE.get(code, Error)(
        text(lib.parb_error_message(error)) or "",
        code=code,
        subject=text(lib.parb_error_subject(error)),
        http_status=lib.parb_error_http_status(error) or None,
        registry_code=text(lib.parb_error_registry_code(error)),
        retry_after=retry_after / 1000 if retry_after >= 0 else None,
        os_code=lib.parb_error_os_code(error) or None,
    )
    if isinstance(made, IoError):
        made.errno = made.os_code
    cause = lib.parb_error_cause(error)
    if cause:
        made.__cause__ = _exception(cause)
    return made


def text(lent: Optional[bytes]) -> Optional[str]:
    """Text from the library."""
    return None if lent is None else lent.decode("utf-8", "replace")


def utf8(value: str) -> bytes:
    """Text for the library. A NUL in it would cut it short there."""
    if not isinstance(value, str):
        raise TypeError(f"a str is wanted, not {type(value).__name__}")
    if "\0" in value:
        raise ValueError("embedded null character")
    return value.encode()


def utf8_or_none(value: Optional[str]) -> Optional[bytes]:
    """As `utf8`, where None means something."""
    return None if value is None else utf8(value)


def natural(name: str, value: int, bits: int = 64) -> int:
    """A number for the library, which has no sign. ctypes would take whatever bits there are."""
    if not 0 <= value < 1 << bits:
        raise ValueError(f"{name}: {value}")
    return value


def local_path(value: Any) -> bytes:
    """A path for the library: str, bytes or os.PathLike."""
    path = os.fsencode(value)
    if b"\0" in path:
        raise ValueError("embedded null byte")
    return path
