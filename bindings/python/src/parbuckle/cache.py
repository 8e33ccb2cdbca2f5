"""Caches: blobs that were read before, in a directory."""

from __future__ import annotations

import json
from typing import Any, Optional

from ._handle import Handle, buf_of, finish, taking
from ._library import check, lib, local_path, natural, utf8
from ._medium import Blocking, Medium
from ._options import Options
from ._wait import UNSET, Call, CancelToken, Progress, Timeout, calling, run, seconds
from .layer import Path, Sink, sink_of
from .report import Report, take_report


class CacheFacts(Medium):
    """A cache, whoever waits for its calls."""

    __slots__ = ()

    @property
    def size(self) -> int:
        """How many bytes are kept."""
        return int(lib.parb_cache_size(self._handle))

    @property
    def sink(self) -> Sink:
        """The cache as a sink for new layers. They can be read for as long as they live, evicted or not."""
        return sink_of(lib.parb_sink_cache, self._handle, self._timeout)

    @property
    def stats(self) -> dict[str, Any]:
        """What it has done since it was opened: "hits", "misses", "corrupt", "stored", "evicted", "failed"."""
        buf = Handle("buf")
        check(lib.parb_cache_stats(self._handle, buf.out))
        found: dict[str, Any] = json.loads(buf_of(buf))
        return found

    @staticmethod
    def _open(path: Path, max_bytes: int, uncompressed: bool) -> Call[Handle]:
        start, options = lib.parb_cache_open_start, Options().uncompressed(uncompressed)
        return calling(start, local_path(path), natural("max_bytes", max_bytes), options, take=taking("cache"))

    def _clear(self) -> Call[None]:
        return calling(lib.parb_cache_clear_start, self._handle, None, take=finish)

    def _remove(self, digest: str) -> Call[None]:
        return calling(lib.parb_cache_remove_start, self._handle, utf8(digest), None, take=finish)

    def _verify(self, jobs: Optional[int]) -> Call[Report]:
        return calling(lib.parb_cache_verify_start, self._handle, Options().jobs(jobs), take=take_report)


class Cache(CacheFacts, Blocking):
    """A cache of blobs in a directory, which any number of processes may use at once.

    `image.cached(cache)` reads an image through it. Every blob is checked before it is given; a wrong one is removed
    and read from its origin.
    """

    __slots__ = ()

    def __init__(
        self,
        path: Path,
        max_bytes: int,
        *,
        uncompressed: bool = False,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
    ) -> None:
        """Opens the cache in a directory, or makes it, for its owner alone.

        max_bytes: what is kept at most; what has not been used for longest goes.
        uncompressed: keeps layers decompressed, too, so that they are decompressed once.
        """
        limit = seconds(timeout, None)
        super().__init__(run(self._open(path, max_bytes, uncompressed), limit, cancel), limit)

    def clear(self, *, timeout: Timeout = UNSET, cancel: Optional[CancelToken] = None) -> None:
        """Removes everything. What is being read can be read to its end."""
        run(self._clear(), seconds(timeout, self._timeout), cancel)

    def remove(self, digest: str, *, timeout: Timeout = UNSET, cancel: Optional[CancelToken] = None) -> None:
        """Removes one blob. Raises NotFoundError where it was not there."""
        run(self._remove(digest), seconds(timeout, self._timeout), cancel)

    def verify(
        self,
        *,
        jobs: Optional[int] = None,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Report:
        """Reads everything and reports what is not as it should be. Changes nothing."""
        return run(self._verify(jobs), seconds(timeout, self._timeout), cancel, progress)
