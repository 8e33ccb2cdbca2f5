"""How a call is awaited: one completion queue for each event loop, no thread, no callback from a foreign thread."""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import weakref
from ctypes import c_void_p
from typing import Any, Callable, Optional, TypeVar

from ._library import check, lib
from ._wait import SLICE_MS, Call, CancelToken, Context, Progress, Queue, Watch

T = TypeVar("T")


class LoopQueue:
    """The queue of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._queue, self._tags = Queue(), itertools.count(1)
        self._waiting: dict[int, asyncio.Future[None]] = {}
        #: How many clients are open on the loop.
        self.clients = 0
        loop.add_reader(self._queue.fd, self._drain)

    def _drain(self) -> None:
        while tags := self._queue.take(0):
            for tag in tags:
                future = self._waiting.pop(tag, None)  # None: its task was cancelled
                if future and not future.done():
                    future.set_result(None)

    async def wait_for(self, op: Any, each_slice: Optional[Callable[[], None]] = None) -> None:
        """Until an operation is done, good or bad."""
        tag, future = next(self._tags), asyncio.get_running_loop().create_future()
        self._waiting[tag] = future
        try:
            self._queue.add(op, tag)
            while each_slice and not future.done():
                await asyncio.wait((future,), timeout=SLICE_MS / 1000)
                each_slice()
            await future
        finally:
            self._waiting.pop(tag, None)

    def leave(self, loop: asyncio.AbstractEventLoop) -> None:
        """A client of the loop was closed. The last one takes the queue with it, unless something waits still."""
        self.clients -= 1
        if self.clients <= 0 and not self._waiting:
            _queues.pop(loop, None)
            loop.remove_reader(self._queue.fd)
            self._queue.free()


# A queue goes with its loop, which has the only other reference to it.
_queues: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopQueue] = weakref.WeakKeyDictionary()


def loop_queue() -> LoopQueue:
    """The queue of the running loop."""
    loop = asyncio.get_running_loop()
    found = _queues.get(loop)
    if found is None:
        found = _queues[loop] = LoopQueue(loop)
    return found


async def wait_for(op: Any, each_slice: Optional[Callable[[], None]] = None) -> None:
    """Until an operation is done, good or bad."""
    await loop_queue().wait_for(op, each_slice)


async def run(
    call: Call[T],
    timeout: Optional[float] = None,
    cancel: Optional[CancelToken] = None,
    progress: Optional[Progress] = None,
) -> T:
    """The outcome of the call. Whatever exception ends the wait, a cancelled task above all, cancels the call."""
    ctx, op = Context(timeout, cancel), c_void_p()
    try:
        check(call.start(ctx, ctypes.byref(op)))
        watch = Watch(ctx, progress)
        await wait_for(op, watch.look if progress else None)
        outcome = call.take(op)
        watch.look()
        return outcome
    finally:
        lib.parb_op_free(op)  # cancels what still runs, and does not wait for it
        ctx.free()
