"""Row ids: UUIDv7, made in Python before the insert (RFC 9562 §5.7).

They sort by creation time, so an index on them grows at its right edge only.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """A fresh UUIDv7; ids made by one process increase strictly."""
    return uuid7()


def id_at(moment: datetime) -> UUID:
    """A fresh UUIDv7 that sorts among the ids of another time, for a row whose making lies there."""
    microseconds = round(moment.timestamp() * 1_000_000)
    seconds, rest = divmod(microseconds, 1_000_000)
    return uuid7(seconds, rest * 1000)
