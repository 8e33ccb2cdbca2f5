"""Layers as files: read piece by piece, written piece by piece."""

from __future__ import annotations

import ctypes
import io
import time
from ctypes import c_char, c_char_p, c_uint8, c_void_p
from typing import TYPE_CHECKING, Any, Callable, Optional

from ._handle import Handle, buf_of, taking
from ._library import check, lib
from ._wait import SLICE_MS, UNSET, Call, CancelToken, Context, Progress, Timeout, run, seconds, wait_for
from .errors import InvalidStateError, TimedOutError

if TYPE_CHECKING:
    from .layer import Layer

#: So many bytes are written at once. The library takes in such a piece as a whole or not at all, which is what lets a
#: write be interrupted and go on.
PIECE = 256 << 10


class Pieces:
    """The pieces of a reader, one after the other; it is not said who waits for them."""

    __slots__ = ("_ctx", "_failure", "_op", "_reader", "_timeout", "position")

    def __init__(self, reader: Handle, timeout: Optional[float], cancel: Optional[CancelToken]) -> None:
        # References are dropped rather than freed: a thread that is in a call with them keeps them alive.
        self._reader: Optional[Handle] = reader
        self._op: Optional[Handle] = None
        self._ctx, self._timeout = Context(None, cancel), timeout
        self._failure: Optional[BaseException] = None
        #: How many bytes came so far.
        self.position = 0

    def start(self) -> Handle:
        """The operation that brings the next piece. One whose wait was interrupted goes on, so no byte is lost."""
        if self._failure:
            raise self._failure
        if self._reader is None:
            raise closed()
        op = self._op
        if op is None:
            op = Handle("op")
            self._ctx.limit(self._timeout)
            check(lib.parb_reader_next_start(self._reader, None, self._ctx, op.out))
            self._op = op
        return op

    def take(self) -> bytes:
        """The piece, when the operation is done; empty at the end. After a failure there is no end, only that failure."""
        op, buf = self._op, Handle("buf")
        if op is None:
            raise closed()
        try:
            check(lib.parb_op_take_buf(op, buf.out))
        except Exception as e:  # the library's, or a callback's
            self._failure = e
            raise
        self._op = None
        piece = buf_of(buf)
        self.position += len(piece)
        return piece

    def close(self) -> None:
        """What was not read yet is not fetched."""
        self._ctx.cancel()
        self._op = self._reader = None


def opened(
    call: Call[Handle],
    size: int,
    timeout: Optional[float],
    cancel: Optional[CancelToken],
    progress: Optional[Progress],
) -> LayerReader:
    """The stream that a call gives; 0: its size is not known."""
    return LayerReader(Pieces(run(call, timeout, cancel), timeout, cancel), size, progress)


class LayerReader(io.RawIOBase):
    """Bytes, verified: the end comes only if every byte was right. What `Layer.open` and its like give.

    Not seekable, so tarfile wants mode "r|". Close it, or use it in `with`: that ends the transfer.
    """

    _pieces: Optional[Pieces] = None

    def __init__(self, pieces: Pieces, size: int, progress: Optional[Progress]) -> None:
        super().__init__()
        self._pieces, self._size, self._progress = pieces, size, progress
        self._piece, self._at, self._ended = b"", 0, False

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fills part of `buffer`; 0 is the end."""
        into = memoryview(buffer).cast("B")
        if not self._fill() or not into.nbytes:
            return 0
        n = min(into.nbytes, len(self._piece) - self._at)
        into[:n] = memoryview(self._piece)[self._at : self._at + n]
        self._at += n
        return n

    def read(self, size: Optional[int] = -1, /) -> bytes:
        """Up to `size` bytes, at least one; none at the end. Without a size: all that is left."""
        if size is None or size < 0:
            return self.readall()
        if not self._fill() or not size:
            return b""
        start, self._at = self._at, min(self._at + size, len(self._piece))
        return self._piece[start : self._at]  # the very object where it is the whole piece

    def readall(self) -> bytes:
        """All that is left."""
        pieces = []
        while self._fill():
            pieces.append(self._piece[self._at :])
            self._at = len(self._piece)
        return b"".join(pieces)

    def tell(self) -> int:
        """How many bytes were read."""
        if self.closed or self._pieces is None:
            raise closed()
        return self._pieces.position - len(self._piece) + self._at

    def close(self) -> None:
        """Ends the transfer."""
        if self._pieces and not self.closed:
            self._pieces.close()
        super().close()

    def _fill(self) -> bool:
        """Whether there are bytes, after waiting for them."""
        if self.closed or self._pieces is None:
            raise closed()
        if self._at == len(self._piece) and not self._ended:
            wait_for(self._pieces.start())
            self._piece, self._at = self._pieces.take(), 0
            self._ended = not self._piece
            if self._progress:
                self._progress(self._pieces.position, self._size)
        return not self._ended


class LayerWriter(io.RawIOBase):
    """A file to write a layer's tar to, plain or compressed. What `Layer.writer` gives.

    `finish` gives the layer. Closed before that, it leaves nothing behind. After any exception from `write` it can
    only be closed.
    """

    _writer: Optional[Handle] = None

    def __init__(
        self, writer: Handle, made: Callable[[Handle], Layer], timeout: Optional[float], cancel: Optional[CancelToken]
    ) -> None:
        super().__init__()
        self._made, self._timeout, self._cancel = made, timeout, cancel
        self._writer, self._broken, self._position = writer, False, 0

    def writable(self) -> bool:
        """True."""
        return True

    def write(self, data: Any) -> int:
        """Takes in all of `data`, waiting while the compressor or the sink are behind."""
        writer, view = self._usable(), memoryview(data).cast("B")
        address, keep = _address(data, view)
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        self._broken = True
        for at in range(0, view.nbytes, PIECE):
            piece = (c_uint8 * min(PIECE, view.nbytes - at)).from_address(address + at)
            self._write(writer, piece, deadline)
        del keep  # alive until here
        self._broken = False
        self._position += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        """How many bytes were written."""
        return self._position

    def finish(self, *, timeout: Timeout = UNSET) -> Layer:
        """Ends the tar, waits until the layer is in its sink, and gives it."""
        writer = self._usable()
        self._broken = True
        call = Call(lambda ctx, op: lib.parb_layer_writer_finish_start(writer, None, ctx, op), taking("layer"))
        layer = self._made(run(call, seconds(timeout, self._timeout), self._cancel))
        self.close()
        return layer

    def close(self) -> None:
        """Drops what was written, unless `finish` came before."""
        self._writer = None
        super().close()

    def _usable(self) -> Handle:
        if self.closed or self._writer is None:
            raise closed()
        if self._broken:
            raise InvalidStateError("the layer writer failed before", code="INVALID_STATE")
        return self._writer

    def _write(self, writer: Handle, piece: Any, deadline: Optional[float]) -> None:
        """One piece, tried again after each slice in which there was no room for it."""
        ctx, late = Context(None, self._cancel), None
        try:
            while True:
                left = SLICE_MS / 1000 if deadline is None else deadline - time.monotonic()
                ctx.limit(min(left, SLICE_MS / 1000))
                try:
                    return check(lib.parb_layer_writer_write(writer, piece, len(piece), ctx))
                except TimedOutError as e:
                    if deadline is not None and time.monotonic() >= deadline:
                        raise
                    late = e
                except InvalidStateError:
                    if late:
                        raise late from None  # it was not the slice that had ended, but the sink
                    raise
        finally:
            ctx.free()


def closed() -> ValueError:
    """As Python's own files have it."""
    return ValueError("I/O operation on closed file")


def _address(data: Any, view: memoryview) -> tuple[int, object]:
    """Where the bytes are, and what keeps them there. Copied only where ctypes can't look."""
    if not view.nbytes:
        return 0, None
    if not view.readonly and view.contiguous:
        held = (c_char * view.nbytes).from_buffer(view)
        return ctypes.addressof(held), held
    fixed = data if isinstance(data, bytes) else bytes(view)
    return ctypes.cast(c_char_p(fixed), c_void_p).value or 0, fixed
