"""How a call blocks: started, then waited for in short slices, so that Ctrl-C and progress come through."""

from __future__ import annotations

import ctypes
import itertools
import os
import threading
from ctypes import c_size_t, c_uint64, c_void_p
from dataclasses import dataclass
from enum import Enum
from typing import Any, Callable, Generic, Optional, TypeVar, Union

from ._handle import Handle
from ._library import check, lib

T = TypeVar("T")

#: Told how many bytes a call has moved, and how many it knows that it will. Runs on the thread that waits.
Progress = Callable[[int, int], object]

#: While C runs, Python sees no signal: so it comes back this often.
SLICE_MS = 100
_TAGS_AT_ONCE = 64
_LONGEST_MS = 1 << 62


class Unset(Enum):
    """The type of `UNSET`."""

    UNSET = "the client's"


#: What is left as it is: of a timeout, that the client was made with one.
UNSET = Unset.UNSET

#: Seconds; None: no limit but those of the client for connections and answers; UNSET: the client's `timeout`.
Timeout = Union[float, None, Unset]


def seconds(timeout: Timeout, default: Optional[float]) -> Optional[float]:
    """The timeout that holds."""
    return default if isinstance(timeout, Unset) else timeout


class CancelToken:
    """Cancels the calls it was given to, from any thread, at once. They raise CancelledError."""

    __slots__ = ("_ctx",)

    def __init__(self) -> None:
        self._ctx = Handle("ctx", lib.parb_ctx_new(None))

    def cancel(self) -> None:
        """Ends the calls that have the token, those that run and those to come."""
        lib.parb_ctx_cancel(self._ctx)

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return bool(lib.parb_ctx_is_cancelled(self._ctx))


class Context(Handle):
    """What bounds one call."""

    __slots__ = ()

    def __init__(self, timeout: Optional[float] = None, cancel: Optional[CancelToken] = None) -> None:
        super().__init__("ctx", lib.parb_ctx_new(cancel._ctx if cancel else None))
        self.limit(timeout)

    def limit(self, timeout: Optional[float]) -> None:
        """Ends the calls to come after so many seconds from now; None: leaves the limit as it is."""
        if timeout is not None:
            lib.parb_ctx_set_timeout_ms(self, int(min(max(timeout * 1000, 0), _LONGEST_MS)))

    def cancel(self) -> None:
        """Ends the calls under this context."""
        lib.parb_ctx_cancel(self)

    def progress(self) -> tuple[int, int]:
        """Bytes moved, bytes known."""
        done, total = c_uint64(), c_uint64()
        lib.parb_ctx_progress(self, ctypes.byref(done), ctypes.byref(total))
        return done.value, total.value


@dataclass(frozen=True)
class Call(Generic[T]):
    """A call of the library that can be started, and what becomes of its outcome."""

    #: Given a ctx and the place for the op.
    start: Callable[[Context, Any], Any]
    #: Given the op when it is done.
    take: Callable[[c_void_p], T]


def calling(start: Any, *arguments: Any, take: Callable[[c_void_p], T]) -> Call[T]:
    """The call that a function whose name ends in _start makes, given what stands before its ctx."""
    return Call(lambda ctx, op: start(*arguments, ctx, op), take)


def run(
    call: Call[T],
    timeout: Optional[float] = None,
    cancel: Optional[CancelToken] = None,
    progress: Optional[Progress] = None,
) -> T:
    """Blocks until the call is done. Whatever exception ends the wait cancels the call."""
    ctx, op = Context(timeout, cancel), c_void_p()
    try:
        check(call.start(ctx, ctypes.byref(op)))
        watch = Watch(ctx, progress)
        wait_for(op, watch.look)
        outcome = call.take(op)
        watch.look()
        return outcome
    finally:
        lib.parb_op_free(op)  # cancels what still runs, and does not wait for it
        ctx.free()


class Watch:
    """Tells of progress when there is some."""

    __slots__ = ("_ctx", "_told", "_progress")

    def __init__(self, ctx: Context, progress: Optional[Progress]) -> None:
        self._ctx, self._progress, self._told = ctx, progress, (0, 0)

    def look(self) -> None:
        """To be called now and then."""
        if self._progress:
            now = self._ctx.progress()
            if now != self._told:
                self._told = now
                self._progress(*now)


def wait_for(op: Any, each_slice: Callable[[], None] = lambda: None) -> None:
    """Blocks until an operation is done, good or bad."""
    _queue().wait_for(op, each_slice)


class Queue:
    """A completion queue."""

    __slots__ = ("_handle",)

    def __init__(self) -> None:
        self._handle = Handle("queue")
        check(lib.parb_queue_new(self._handle.out))

    @property
    def fd(self) -> int:
        """Readable while there are tags to take."""
        return int(lib.parb_queue_fd(self._handle))

    def add(self, op: Any, tag: int) -> None:
        """Has the queue give the tag when the operation is done. 0 is no tag."""
        check(lib.parb_queue_add(self._handle, op, tag))

    def take(self, timeout_ms: int) -> list[int]:
        """The tags there are, waiting so long for the first."""
        tags, n = (c_void_p * _TAGS_AT_ONCE)(), c_size_t()
        check(lib.parb_queue_take(self._handle, timeout_ms, tags, _TAGS_AT_ONCE, ctypes.byref(n)))
        return tags[: n.value]  # type: ignore[return-value]  # the array gives ints

    def free(self) -> None:
        """Closes its descriptor."""
        self._handle.free()


class _ThreadQueue:
    """The queue of one thread's blocking calls. They nest: a progress callback may make calls of its own."""

    __slots__ = ("_done", "_queue", "_tags", "_waiting")

    def __init__(self) -> None:
        self._queue, self._tags = Queue(), itertools.count(1)
        self._waiting: set[int] = set()
        self._done: set[int] = set()

    def wait_for(self, op: Any, each_slice: Callable[[], None]) -> None:
        tag = next(self._tags)
        self._waiting.add(tag)
        try:
            self._queue.add(op, tag)
            while tag not in self._done:
                taken = self._queue.take(SLICE_MS)
                # Tags of waits that were given up are dropped; those of outer waits are kept for them.
                self._done.update(self._waiting.intersection(taken))
                if not taken and lib.parb_op_is_done(op):
                    break  # an inner wait took the tag and was interrupted before it could keep it
                each_slice()
        finally:
            self._waiting.discard(tag)
            self._done.discard(tag)


class _Local(threading.local):
    queue: Optional[_ThreadQueue] = None


_local = _Local()


def _queue() -> _ThreadQueue:
    if _local.queue is None:
        _local.queue = _ThreadQueue()
    return _local.queue


def _forget_parent() -> None:
    global _local
    _local = _Local()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)
