"""Files (M§3.6)."""

from __future__ import annotations

from typing import Literal

from assay.dialects.mka1.wire.base import ResponseModel, UnixSeconds


class WireFile(ResponseModel):
    """A file."""

    id: str
    object: Literal["file"]
    bytes: int
    created_at: UnixSeconds
    filename: str
    purpose: str
    expires_at: UnixSeconds | None
    status: Literal["processed"]
    status_details: None
    sha256: str


class WireFileDeleted(ResponseModel):
    """Answer to a deletion."""

    id: str
    object: Literal["file"]
    deleted: bool
