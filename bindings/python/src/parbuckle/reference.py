"""References and descriptors: what images and blobs are called."""

from __future__ import annotations

from ctypes import c_void_p
from dataclasses import dataclass, field
from typing import Any, Optional, Union

from ._handle import Handle, map_of, taking
from ._library import check, lib, text, utf8


class Reference:
    """`[registry/]repository[:tag][@digest]`, parsed, with the defaults filled in. Immutable.

    Raises InvalidArgumentError for what is none.
    """

    __slots__ = ("_handle",)
    _handle: Handle

    def __init__(self, reference: str) -> None:
        self._handle = Handle("ref")
        check(lib.parb_ref_parse(utf8(reference), None, self._handle.out))

    @property
    def registry(self) -> str:
        """The registry's host, and its port if one was given."""
        return text(lib.parb_ref_registry(self._handle)) or ""

    @property
    def repository(self) -> str:
        """The repository within the registry, such as "library/ubuntu"."""
        return text(lib.parb_ref_repository(self._handle)) or ""

    @property
    def tag(self) -> Optional[str]:
        """The tag; None where only a digest was given."""
        return text(lib.parb_ref_tag(self._handle))

    @property
    def digest(self) -> Optional[str]:
        """The digest; None where none was given."""
        return text(lib.parb_ref_digest(self._handle))

    def with_tag(self, tag: str) -> Reference:
        """The same repository under another tag, without a digest."""
        handle = Handle("ref")
        check(lib.parb_ref_with_tag(self._handle, utf8(tag), handle.out))
        return self._of(handle)

    def with_digest(self, digest: str) -> Reference:
        """The same repository with a digest, without a tag."""
        handle = Handle("ref")
        check(lib.parb_ref_with_digest(self._handle, utf8(digest), handle.out))
        return self._of(handle)

    @classmethod
    def _of(cls, handle: Handle) -> Reference:
        made = cls.__new__(cls)
        made._handle = handle
        return made

    def __str__(self) -> str:
        return text(lib.parb_ref_text(self._handle)) or ""

    def __repr__(self) -> str:
        return f"Reference({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, Reference) else NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))

    def __reduce__(self) -> tuple[type[Reference], tuple[str]]:
        return Reference, (str(self),)


#: What calls take: a reference, or its text.
AnyReference = Union[str, Reference]


def reference(value: AnyReference) -> Reference:
    """The reference that is meant."""
    return value if isinstance(value, Reference) else Reference(value)


@dataclass(frozen=True)
class Descriptor:
    """Media type, digest and size of content, with what is said about it."""

    media_type: str
    digest: str
    size: int
    #: What it runs on, such as "linux/arm64/v8".
    platform: Optional[str] = None
    artifact_type: Optional[str] = None
    annotations: dict[str, str] = field(default_factory=dict, hash=False)


def take_descriptor(op: c_void_p) -> Descriptor:
    """How a descriptor is taken out of an operation."""
    return descriptor_of(taking("descriptor")(op))


def descriptor_of(lent: Any) -> Descriptor:
    """A copy of a descriptor that the library lends."""
    return Descriptor(
        text(lib.parb_descriptor_media_type(lent)) or "",
        text(lib.parb_descriptor_digest(lent)) or "",
        lib.parb_descriptor_size(lent),
        text(lib.parb_descriptor_platform(lent)),
        text(lib.parb_descriptor_artifact_type(lent)),
        map_of(lib.parb_descriptor_annotations(lent)),
    )
