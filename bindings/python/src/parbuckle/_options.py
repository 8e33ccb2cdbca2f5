"""What calls are told beside their arguments."""

from __future__ import annotations

from typing import Optional

from ._handle import Handle
from ._library import lib, natural, utf8
from .reference import Reference


class Options:
    """A parb_options in the making. What is not set stays the library's default."""

    __slots__ = ("_handle",)

    def __init__(self) -> None:
        self._handle: Optional[Handle] = None

    @property
    def _as_parameter_(self) -> object:
        return self._handle._as_parameter_ if self._handle else None  # None where nothing is set

    def _made(self) -> object:
        if self._handle is None:
            self._handle = Handle("options", lib.parb_options_new())
        return self._handle

    def platform(self, platform: Optional[str]) -> Options:
        """Which image of an index."""
        if platform is not None:
            lib.parb_options_set_platform(self._made(), utf8(platform))
        return self

    def jobs(self, jobs: Optional[int]) -> Options:
        """How many blobs at once."""
        if jobs is not None:
            lib.parb_options_set_jobs(self._made(), natural("jobs", jobs, 32))
        return self

    def layer(self, sink: Optional[Handle], compression: Optional[str], level: int) -> Options:
        """How a new layer is stored."""
        if sink is not None:
            lib.parb_options_set_sink(self._made(), sink)
        if compression is not None:
            lib.parb_options_set_compression(self._made(), utf8(compression), level)
        elif level:
            raise ValueError("a level without a compression")
        return self

    def durable(self, durable: bool) -> Options:
        """Whether a change is to survive a power cut."""
        if durable:
            lib.parb_options_set_durable(self._made())
        return self

    def uncompressed(self, uncompressed: bool) -> Options:
        """Whether a cache keeps layers decompressed, too."""
        if uncompressed:
            lib.parb_options_set_uncompressed(self._made())
        return self

    def fast(self, fast: bool) -> Options:
        """Whether an examination reads no layers."""
        if fast:
            lib.parb_options_set_fast(self._made())
        return self

    def files(self, files: bool) -> Options:
        """Whether layers that differ are compared file by file."""
        if files:
            lib.parb_options_set_files(self._made())
        return self

    def archive_format(self, format: Optional[str]) -> Options:
        """The form of an archive."""
        if format is not None:
            lib.parb_options_set_archive_format(self._made(), utf8(format))
        return self

    def format(self, format: Optional[str]) -> Options:
        """Whose media types."""
        if format is not None:
            lib.parb_options_set_format(self._made(), utf8(format))
        return self

    def push(self, jobs: Optional[int], mount_from: Optional[Reference], foreign_layers: bool) -> Options:
        """How an image is pushed."""
        self.jobs(jobs)
        if mount_from is not None:
            lib.parb_options_set_mount_from(self._made(), mount_from._handle)
        if foreign_layers:
            lib.parb_options_set_foreign_layers(self._made())
        return self
