"""Shares of suites (M§2.2)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from assay.dialects.mka1.wire.base import RequestModel, ResponseModel, UnixSeconds


class CreateShare(RequestModel):
    """Body of ``POST …/shares``."""

    org_id: Annotated[str, Field(min_length=1, max_length=255)]


class WireShare(ResponseModel):
    """A grant; ``org_id`` is who may read, ``granted_by`` the user who shared."""

    id: str
    object: Literal["eval.suite.share"]
    suite_id: str
    org_id: str
    granted_by: str
    created_at: UnixSeconds


class WireShareList(ResponseModel):
    """All grants of a suite."""

    object: Literal["list"]
    data: list[WireShare]


class WireShareDeleted(ResponseModel):
    """Answer to a withdrawal; ``id`` is the grant's."""

    id: str
    object: Literal["eval.suite.share.deleted"]
    deleted: bool
