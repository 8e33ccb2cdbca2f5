"""Parts: what images, indexes and layers are put together from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Optional, Union

from ._callbacks import HasBlob, OpenBlob, open_blobs_with
from ._handle import Handle, Value, octets
from ._library import lib

#: Bytes of a config, manifest or other blob; a layer; an image or an index, with all that belongs to it.
Part = Union[bytes, bytearray, memoryview, Value]


def blobs_of(parts: Iterable[Part], open_blob: Optional[OpenBlob], has_blob: Optional[HasBlob]) -> Handle:
    """Blobs for the library: what is there, and who is asked for the rest."""
    if isinstance(parts, (bytes, bytearray, memoryview, Value)):
        raise TypeError("parts: several are wanted, not one")
    handle = Handle("blobs", lib.parb_blobs_new())
    for part in parts:
        _add(handle, part)
    if open_blob is not None:
        open_blobs_with(handle, open_blob, has_blob)
    elif has_blob is not None:
        raise TypeError("has_blob without open_blob")
    return handle


def _add(blobs: Handle, part: Any) -> None:
    if isinstance(part, Value):
        add = {
            "image": lib.parb_blobs_add_image,
            "index": lib.parb_blobs_add_index,
            "layer": lib.parb_blobs_add_layer,
        }
        add[part._kind](blobs, part._handle)
    else:
        data = octets(part)
        lib.parb_blobs_add_bytes(blobs, data, len(data))
