"""Errors (M§7 R1)."""

from __future__ import annotations

from typing import Any

from assay.dialects.mka1.wire.base import ResponseModel


class WireFault(ResponseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: None
    details: dict[str, Any] | None


class WireError(ResponseModel):
    """The body of every error."""

    error: WireFault
