"""Row ids: UUIDv7, made in Python before the insert (RFC 9562 §5.7).

They sort by creation time, so an index on them grows at its right edge only.
"""

from __future__ import annotations

from uuid import UUID

from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """A fresh UUIDv7; ids made by one process increase strictly."""
    return uuid7()
