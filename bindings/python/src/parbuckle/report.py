"""Reports: what an examination or a comparison found."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Union, overload

from ._handle import Handle, taking
from ._library import lib, text


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be, or not the same."""

    #: The kind, as errors have it, such as "DIGEST_MISMATCH".
    code: str
    #: What it concerns: a digest, a path, a field.
    subject: str
    #: What is wrong there, for people.
    message: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.message}" if self.subject else self.message


class Report(Sequence[Finding]):
    """A sequence of findings; empty, and so false, where all is well. Immutable."""

    __slots__ = ("_handle",)

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    @property
    def json(self) -> str:
        """The findings as a JSON list of objects with "code", "subject" and "message"."""
        return text(lib.parb_report_json(self._handle)) or "[]"

    def __len__(self) -> int:
        return int(lib.parb_report_count(self._handle))

    @overload
    def __getitem__(self, i: int) -> Finding: ...
    @overload
    def __getitem__(self, i: slice) -> Sequence[Finding]: ...
    def __getitem__(self, i: Union[int, slice]) -> Union[Finding, Sequence[Finding]]:
        count = len(self)
        if isinstance(i, slice):
            return [self._at(at) for at in range(*i.indices(count))]
        at = i + count if i < 0 else i
        if not 0 <= at < count:
            raise IndexError(f"finding {i} of {count}")
        return self._at(at)

    def _at(self, i: int) -> Finding:
        return Finding(
            text(lib.parb_error_code_name(lib.parb_report_code_at(self._handle, i))) or "",
            text(lib.parb_report_subject_at(self._handle, i)) or "",
            text(lib.parb_report_message_at(self._handle, i)) or "",
        )

    def __str__(self) -> str:
        return "\n".join(map(str, self))

    def __repr__(self) -> str:
        return f"<parbuckle.Report of {len(self)} findings>"


def take_report(op: ctypes.c_void_p) -> Report:
    """How a report is taken out of an operation."""
    return Report(taking("report")(op))
