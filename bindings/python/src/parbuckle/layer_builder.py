"""Makes small layers, entry by entry."""

from __future__ import annotations

from typing import Any, Optional, TypeVar

from ._handle import Handle, octets
from ._library import lib, local_path, utf8
from ._wait import UNSET, CancelToken, Progress, Timeout, run
from .layer import Layer, NewLayer, Path, Sink

B = TypeVar("B", bound="LayerBuilderBase")


class LayerBuilderBase:
    """Notes the entries of a layer. Parent directories are not added by themselves."""

    __slots__ = ("_handle",)

    def __init__(self) -> None:
        self._handle = Handle("layer_builder", lib.parb_layer_builder_new())

    def add_bytes(self: B, path: str, data: Any, *, mode: int = 0o644) -> B:
        """Adds a file with this content. The path is relative, without ".."."""
        content = octets(data)
        lib.parb_layer_builder_add_bytes(self._handle, utf8(path), mode, content, len(content))
        return self

    def add_path(self: B, local: Path, path: str) -> B:
        """Adds a local file, directory (with all that is in it) or symbolic link, read by `build`."""
        lib.parb_layer_builder_add_path(self._handle, local_path(local), utf8(path))
        return self

    def add_symlink(self: B, path: str, target: str) -> B:
        """Adds a symbolic link."""
        lib.parb_layer_builder_add_symlink(self._handle, utf8(path), utf8(target))
        return self

    def remove(self: B, path: str) -> B:
        """Removes what the layers below have under this name (a whiteout)."""
        lib.parb_layer_builder_remove(self._handle, utf8(path))
        return self


class LayerBuilder(LayerBuilderBase):
    """Puts a small layer together, entry by entry. Parent directories are not added by themselves.

    The methods that add give the builder back; the first mistake is reported by `build`.
    """

    __slots__ = ()

    def build(
        self,
        *,
        sink: Optional[Sink] = None,
        compression: Optional[str] = None,
        level: int = 0,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Layer:
        """Makes the layer, with its entries in the order they were added."""
        new = NewLayer(sink, compression, level, timeout)
        return Layer(run(new.build(self._handle), new.timeout, cancel, progress), new.timeout)
