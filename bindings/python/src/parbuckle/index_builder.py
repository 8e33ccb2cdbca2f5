"""Makes indexes out of images and indexes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Optional, TypeVar, Union

from ._handle import Handle, strings_from, taking
from ._library import lib, utf8, utf8_or_none
from ._options import Options
from ._wait import UNSET, Call, CancelToken, Progress, Timeout, Unset, calling, run, seconds
from .builder import lent_descriptor
from .image import ImageFacts
from .index import Index, IndexFacts
from .matcher import Matcher, meant

B = TypeVar("B", bound="IndexBuilderBase")


class IndexBuilderBase:
    """Notes changes to an index. Each method gives the builder back; the first mistake is reported by `build`."""

    __slots__ = ("_handle", "_timeout")

    def __init__(self, base: Optional[IndexFacts] = None) -> None:
        """Without a base: an index from scratch."""
        self._handle = Handle("index_builder", lib.parb_index_builder_new(base._handle if base is not None else None))
        self._timeout = base._timeout if base is not None else None

    def add(
        self: B,
        what: Union[ImageFacts, IndexFacts],
        *,
        platform: Union[str, None, Unset] = UNSET,
        annotations: Optional[Mapping[str, Optional[str]]] = None,
        urls: Optional[Sequence[str]] = None,
        artifact_type: Union[str, None, Unset] = UNSET,
    ) -> B:
        """Adds an image, or an index as one entry.

        The entry says what the image's config says it runs on, what annotations its manifest has, and what kind of
        artifact it is; the keywords say otherwise. None: nothing is said; as an annotation's value: it is removed.
        """
        if isinstance(what, ImageFacts):
            lib.parb_index_builder_add_image(self._handle, what._handle)
        else:
            lib.parb_index_builder_add_index(self._handle, what._handle)
        if not isinstance(platform, Unset):
            lib.parb_index_builder_set_entry_platform(self._handle, utf8_or_none(platform))
        for key, value in (annotations or {}).items():
            lib.parb_index_builder_set_entry_annotation(self._handle, utf8(key), utf8_or_none(value))
        if urls is not None:
            lib.parb_index_builder_set_entry_urls(self._handle, strings_from(urls))
        if not isinstance(artifact_type, Unset):
            lib.parb_index_builder_set_entry_artifact_type(self._handle, utf8_or_none(artifact_type))
        return self

    def add_children(self: B, index: IndexFacts) -> B:
        """Adds every entry of an index, each as it stands there."""
        lib.parb_index_builder_add_children(self._handle, index._handle)
        return self

    def remove(self: B, matcher: Matcher) -> B:
        """Takes away the entries that are meant."""
        lib.parb_index_builder_remove(self._handle, meant(matcher))
        return self

    def keep(self: B, matcher: Matcher) -> B:
        """Takes away all but the entries that are meant."""
        lib.parb_index_builder_keep(self._handle, meant(matcher))
        return self

    def annotate(self: B, matcher: Matcher, key: str, value: Optional[str]) -> B:
        """Sets an annotation of the entries that are meant; None removes it."""
        lib.parb_index_builder_annotate(self._handle, meant(matcher), utf8(key), utf8_or_none(value))
        return self

    def flatten(self: B) -> B:
        """Puts the entries of nested indexes in the place of these indexes, however deep."""
        lib.parb_index_builder_flatten(self._handle)
        return self

    def annotation(self: B, key: str, value: Optional[str]) -> B:
        """Sets an annotation of the index; None removes it."""
        lib.parb_index_builder_set_annotation(self._handle, utf8(key), utf8_or_none(value))
        return self

    def subject(self: B, subject: Union[ImageFacts, IndexFacts, None]) -> B:
        """Sets the manifest that the index refers to; None removes it."""
        lent = None if subject is None else lent_descriptor(subject)
        lib.parb_index_builder_set_subject(self._handle, lent)
        return self

    def artifact_type(self: B, artifact_type: Optional[str]) -> B:
        """Says what kind of artifact the index is; None removes that."""
        lib.parb_index_builder_set_artifact_type(self._handle, utf8_or_none(artifact_type))
        return self

    def format(self: B, format: str) -> B:
        """Makes it an OCI index ("oci") or a Docker manifest list ("docker"). Its entries stay as they are."""
        lib.parb_index_builder_set_format(self._handle, utf8(format))
        return self

    def _build(self, format: Optional[str]) -> Call[Handle]:
        options = Options().format(format)
        return calling(lib.parb_index_builder_build_start, self._handle, options, take=taking("index"))


class IndexBuilder(IndexBuilderBase):
    """Notes changes to an index: `IndexBuilder().add(image).add(other).build()`. One thread at a time.

    Each method gives the builder back; the first mistake is reported by `build`. Changes are made in their order.
    """

    __slots__ = ()

    def build(
        self,
        *,
        format: Optional[str] = None,
        timeout: Timeout = UNSET,
        cancel: Optional[CancelToken] = None,
        progress: Optional[Progress] = None,
    ) -> Index:
        """Makes the index; the builder can go on and build again. Moves no image; fetches the configs of added ones.

        `format`, "oci" or "docker", is for indexes from scratch.
        """
        handle = run(self._build(format), seconds(timeout, self._timeout), cancel, progress)
        return Index(handle, self._timeout)
