"""What layouts, archives, caches, stores and daemons have in common: they are held until they are closed."""

from __future__ import annotations

from typing import Optional, TypeVar

from ._handle import Handle
from .errors import InvalidStateError

M = TypeVar("M", bound="Medium")


class Medium:
    """Where images are kept. Shared between threads."""

    __slots__ = ("_held", "_timeout")

    def __init__(self, handle: Handle, timeout: Optional[float] = None) -> None:
        self._held: Optional[Handle] = handle
        self._timeout = timeout

    def close(self) -> None:
        """Lets go of it, without waiting. Images, indexes and layers that came out of it stay good."""
        self._held = None  # dropped rather than freed: a thread that is in a call with it keeps it alive

    @property
    def _handle(self) -> Handle:
        if self._held is None:
            raise InvalidStateError(f"the {type(self).__name__} was closed", code="INVALID_STATE")
        return self._held


class Blocking(Medium):
    """For `with`."""

    __slots__ = ()

    def __enter__(self: M) -> M:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class Awaited(Medium):
    """For `async with`."""

    __slots__ = ()

    async def __aenter__(self: M) -> M:
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.close()
