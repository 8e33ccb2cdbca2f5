"""Times as the library takes them."""

from __future__ import annotations

import datetime
from typing import Optional, Union

from ._library import utf8, utf8_or_none

#: A time: in RFC 3339, or with a time zone.
Time = Union[str, datetime.datetime]


def time_text(time: Optional[Time]) -> Optional[bytes]:
    """RFC 3339; None stays None."""
    if isinstance(time, datetime.datetime):
        if time.tzinfo is None:
            raise ValueError("a time without a time zone")
        return utf8(time.isoformat().replace("+00:00", "Z"))
    return utf8_or_none(time)
