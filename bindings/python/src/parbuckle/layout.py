"""OCI image layouts: images and indexes in a directory."""

from __future__ import annotations

import os
from typing import Optional, Union

from ._handle import Handle, finish, take_strings, taking
from ._library import lib, local_path, utf8, utf8_or_none
from ._medium import Blocking, Medium
from ._options import Options
from ._wait import UNSET, Call, CancelToken, Progress, Timeout, calling, run, seconds
from .image import Image, ImageFacts
from .index import Index, IndexFacts
from .layer import Path, Sink, sink_of
from .matcher import Matcher, meant
from .reference import Descriptor, take_descriptor
from .report import Report, take_report


class LayoutFacts(Medium):
    """A layout, whoever waits for its calls."""

    __slots__ = ("durable",)

    def __init__(self, handle: Handle, timeout: Optional[float] = None, durable: bool = False) -> None:
        super().__init__(handle, timeout)
        #: Whether each change is flushed before its call is done, so that it survives a power cut.
        self.durable = durable

    @property
    def path(self) -> str:
        """The directory, as it was given."""
        return os.fsdecode(lib.parb_layout_path(self._handle) or b"")

    @property
    def sink(self) -> Sink:
        """The layout as a sink for new layers: garbage until an image with them is added, and kept while they live."""
        return sink_of(lib.parb_sink_layout, self._handle, self._timeout)

    def __repr__(self) -> str:
        return f"<parbuckle.{type(self).__name__}{' ' + self.path if self._held else ' (closed)'}>"

    @staticmethod
    def _open(path: Path) -> Call[Handle]:
        return calling(lib.parb_layout_open_start, local_path(path), None, take=taking("layout"))

    @staticmethod
    def _create(path: Path, durable: bool) -> Call[Handle]:
        options = Options().durable(durable)
        return calling(lib.parb_layout_create_start, local_path(path), options, take=taking("layout"))

    def _index(self) -> Call[Handle]:
        return calling(lib.parb_layout_index_start, self._handle, None, take=taking("index"))

    def _image(self, which: Optional[str], platform: Optional[str]) -> Call[Handle]:
        start, options = lib.parb_layout_image_start, Options().platform(platform)
        return calling(start, self._handle, utf8_or_none(which), options, take=taking("image"))

    def _child(self, which: Optional[str]) -> Call[Handle]:
        return calling(lib.parb_layout_child_start, self._handle, utf8_or_none(which), None, take=taking("index"))

    def _put(
        self,
        what: Union[ImageFacts, IndexFacts],
        name: Optional[str],
        replace: bool,
        jobs: Optional[int],
        foreign_layers: bool,
    ) -> Call[Descriptor]:
        if isinstance(what, ImageFacts):
            start = lib.parb_layout_replace_image_start if replace else lib.parb_layout_add_image_start
        elif isinstance(what, IndexFacts):
            start = lib.parb_layout_replace_index_start if replace else lib.parb_layout_add_index_start
        else:
            raise TypeError(f"an image or an index is wanted, not {type(what).__name__}")
        options = Options().push(jobs, None, foreign_layers).durable(self.durable)
        return calling(start, self._handle, what._handle, utf8_or_none(name), options, take=take_descriptor)

    def _remove(self, matcher: Matcher) -> Call[list[str]]:
        start, options = lib.parb_layout_remove_start, Options().durable(self.durable)
        return calling(start, self._handle, meant(matcher), options, take=take_strings)

    def _annotate(self, matcher: Matcher, key: str, value: Optional[str]) -> Call[None]:
        start, options = lib.parb_layout_annotate_start, Options().durable(self.durable)
        return calling(start, self._handle, meant(matcher), utf8(key), utf8_or_none(value), options, take=finish)

    def _gc(self) -> Call[list[str]]:
        return calling(lib.parb_layout_gc_start, self._handle, None, take=take_strings)

    def _fsck(self, jobs: Optional[int]) -> Call[Report]:
        return calling(lib.parb_layout_fsck_start, self._handle, Options().jobs(jobs), take=take_report)


class Layout(LayoutFacts, Blocking):
    """An OCI image layout: `with Layout.open(path) as layout: …`. Several processes may work in one at once."""

    __slots__ = ()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        durable: bool = False,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
    ) -> Layout:
        """Opens a layout that is there. `durable`: each change to it is to survive a power cut."""
        limit = seconds(timeout, None)
        return cls(run(cls._open(path), limit, cancel), limit, durable)

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        durable: bool = False,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
    ) -> Layout:
        """Opens a layout, or makes one without entries where there is none, with the directories above it."""
        limit = seconds(timeout, None)
        return cls(run(cls._create(path, durable), limit, cancel), limit, durable)

    def index(self, *, timeout: Timeout = UNSET, cancel: Optional[CancelToken] = None) -> Index:
        """index.json as it is now: its entries, and the images and indexes they name."""
        return Index(run(self._index(), seconds(timeout, self._timeout), cancel), self._timeout)

    def image(
        self,
        which: Optional[str] = None,
        *,
        platform: Optional[str] = None,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
    ) -> Image:
        """An image by name, digest or platform; None: the only one there is.

        Where an index is meant, it is the index's image for `platform` (linux/amd64 without it).
        """
        call = self._image(which, platform)
        return Image(run(call, seconds(timeout, self._timeout), cancel), self._timeout)

    def child(
        self, which: Optional[str] = None, *, timeout: Timeout = UNSET, cancel: Optional[CancelToken] = None
    ) -> Index:
        """A nested index by name or digest; None: the only one there is."""
        return Index(run(self._child(which), seconds(timeout, self._timeout), cancel), self._timeout)

    def add(
        self,
        what: Union[ImageFacts, IndexFacts],
        name: Optional[str] = None,
        *,
        jobs: Optional[int] = None,
        foreign_layers: bool = False,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Descriptor:
        """Puts an image, or an index and everything below it, into the layout, and gives its entry.

        Several entries may have one name; of the same digest and name there is one.
        """
        call = self._put(what, name, False, jobs, foreign_layers)
        return run(call, seconds(timeout, self._timeout), cancel, progress)

    def replace(
        self,
        what: Union[ImageFacts, IndexFacts],
        name: Optional[str] = None,
        *,
        jobs: Optional[int] = None,
        foreign_layers: bool = False,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Descriptor:
        """As `add`, in the place of the entries with this name or, without one, with this digest."""
        call = self._put(what, name, True, jobs, foreign_layers)
        return run(call, seconds(timeout, self._timeout), cancel, progress)

    def remove(self, matcher: Matcher, *, timeout: Timeout = UNSET, cancel: Optional[CancelToken] = None) -> list[str]:
        """Takes entries out of index.json, and gives their digests. Their blobs stay until `gc`."""
        return run(self._remove(matcher), seconds(timeout, self._timeout), cancel)

    def annotate(
        self,
        matcher: Matcher,
        key: str,
        value: Optional[str],
        *,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
    ) -> None:
        """Sets an annotation of entries of index.json; None removes it."""
        run(self._annotate(matcher, key, value), seconds(timeout, self._timeout), cancel)

    def gc(self, *, timeout: Timeout = UNSET, cancel: Optional[CancelToken] = None) -> list[str]:
        """Removes the blobs that nothing in index.json leads to; gives their digests, and paths of other remains."""
        return run(self._gc(), seconds(timeout, self._timeout), cancel)

    def fsck(
        self,
        *,
        jobs: Optional[int] = None,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Report:
        """Reads every file of the layout and reports what is wrong. Garbage is no damage."""
        return run(self._fsck(jobs), seconds(timeout, self._timeout), cancel, progress)
