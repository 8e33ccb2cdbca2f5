"""Matchers: which entries of an index are meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Optional, Union

from ._handle import Handle
from ._library import lib, utf8, utf8_or_none

#: One text, or several of which one must fit.
OneOf = Union[str, Iterable[str]]


class Matcher:
    """Chooses entries of an index: of each kind of condition one must hold, of several kinds all. Immutable.

    Without any condition every entry is meant.
    """

    __slots__ = ("_handle",)

    def __init__(
        self,
        *,
        digest: OneOf = (),
        platform: OneOf = (),
        media_type: OneOf = (),
        artifact_type: OneOf = (),
        annotations: Optional[Mapping[str, Optional[str]]] = None,
        name: Optional[str] = None,
    ) -> None:
        """A mistake in a condition is reported by the call that is given the matcher.

        platform: os/architecture[/variant][:os.version]: this and no other, but for a version that may go on after a
            dot; what it leaves out does not matter.
        annotations: all of which must be there; None as value: whatever it is.
        name: as a layout has it, in its annotation org.opencontainers.image.ref.name or io.containerd.image.name.
        """
        self._handle = Handle("matcher", lib.parb_matcher_new())
        for add, texts in (
            (lib.parb_matcher_add_digest, digest),
            (lib.parb_matcher_add_platform, platform),
            (lib.parb_matcher_add_media_type, media_type),
            (lib.parb_matcher_add_artifact_type, artifact_type),
        ):
            for text in [texts] if isinstance(texts, str) else texts:
                add(self._handle, utf8(text))
        for key, value in (annotations or {}).items():
            lib.parb_matcher_add_annotation(self._handle, utf8(key), utf8_or_none(value))
        if name is not None:
            lib.parb_matcher_set_name(self._handle, utf8(name))


def meant(matcher: Any) -> Handle:
    """The matcher for a call that has effects, where none at all is no short form of "everything"."""
    if not isinstance(matcher, Matcher):
        raise TypeError(f"a Matcher is wanted, not {type(matcher).__name__}; Matcher() means every entry")
    return matcher._handle
