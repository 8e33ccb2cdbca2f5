"""Images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from ._handle import Handle, bytes_of, finish, map_of, taking
from ._library import check, lib, text
from ._options import Options
from ._wait import UNSET, Call, CancelToken, Progress, Timeout, run, seconds
from .config import Config
from .layer import Layer
from .reference import Descriptor, descriptor_of

if TYPE_CHECKING:
    from .builder import ImageBuilder


class ImageFacts:
    """What an image's manifest says."""

    __slots__ = ("_handle", "_layer_handles", "_timeout")

    def __init__(self, handle: Handle, timeout: Optional[float] = None) -> None:
        self._handle, self._timeout = handle, timeout
        self._layer_handles: Optional[list[Handle]] = None

    @property
    def descriptor(self) -> Descriptor:
        """Media type, digest and size of the manifest."""
        return descriptor_of(lib.parb_image_descriptor(self._handle))

    @property
    def digest(self) -> str:
        """The digest of the manifest."""
        return text(lib.parb_image_digest(self._handle)) or ""

    @property
    def media_type(self) -> str:
        """The media type of the manifest."""
        return text(lib.parb_image_media_type(self._handle)) or ""

    @property
    def manifest(self) -> bytes:
        """The manifest's exact bytes."""
        return bytes_of(lib.parb_image_manifest, self._handle)

    @property
    def annotations(self) -> dict[str, str]:
        """The manifest's annotations."""
        return map_of(lib.parb_image_annotations(self._handle))

    def __repr__(self) -> str:
        return f"<parbuckle.{type(self).__name__} {self.digest}>"

    def _layers(self) -> list[Handle]:
        if self._layer_handles is None:
            count = lib.parb_image_layer_count(self._handle)
            self._layer_handles = [self._layer(i) for i in range(count)]
        return self._layer_handles

    def _layer(self, i: int) -> Handle:
        handle = Handle("layer")
        check(lib.parb_image_layer_at(self._handle, i, handle.out))
        return handle

    def _config(self) -> Call[Handle]:
        return Call(lambda ctx, op: lib.parb_image_config_start(self._handle, None, ctx, op), taking("config"))

    def _validate(self, jobs: Optional[int]) -> Call[None]:
        options = Options().jobs(jobs)
        return Call(lambda ctx, op: lib.parb_image_validate_start(self._handle, options, ctx, op), finish)


class Image(ImageFacts):
    """An image: immutable, shared between threads. Keeps alive what its blobs are read from."""

    __slots__ = ()

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, base first. Nothing is read yet."""
        return tuple(Layer(handle, self._timeout) for handle in self._layers())

    def config(
        self,
        *,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Config:
        """The config: fetched the first time, from memory afterwards."""
        return Config._of(run(self._config(), seconds(timeout, self._timeout), cancel, progress))

    def validate(
        self,
        *,
        jobs: Optional[int] = None,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> None:
        """Reads every blob to its end and checks sizes, digests and diff ids."""
        run(self._validate(jobs), seconds(timeout, self._timeout), cancel, progress)

    def edit(self) -> ImageBuilder:
        """A builder of an image like this one."""
        from .builder import ImageBuilder

        return ImageBuilder(self)
