"""Suites and versions (M§2.2, M§2.3)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from assay.dialects.mka1.wire.base import RequestModel, ResponseModel, UnixSeconds


class CreateSuite(RequestModel):
    """Body of ``POST /suites``."""

    name: Annotated[str, Field(min_length=1, max_length=255)]
    manifest: dict[str, Any]
    description: Annotated[str | None, Field(max_length=10_000)] = None
    metadata: dict[str, str] | None = None


class CreateVersion(RequestModel):
    """Body of ``POST /suites/{suite_id}/versions``."""

    manifest: dict[str, Any]
    metadata: dict[str, str] | None = None
    make_active: bool = True


class WireSuite(ResponseModel):
    """A suite."""

    id: str
    object: Literal["eval.suite"]
    name: str
    description: str | None
    org_id: str
    team_id: str
    access: Literal["owner", "shared"]
    active_version: int
    latest_version: int
    metadata: dict[str, str]
    created_at: UnixSeconds
    updated_at: UnixSeconds


class WireVersion(ResponseModel):
    """A version, its manifest as it was sent."""

    id: str
    object: Literal["eval.suite.version"]
    suite_id: str
    version: int
    manifest: dict[str, Any]
    dataset_file_ids: list[str]
    metadata: dict[str, str]
    created_at: UnixSeconds


class WireSuiteDeleted(ResponseModel):
    """Answer to a deletion."""

    id: str
    object: Literal["eval.suite.deleted"]
    deleted: bool
    deleted_runs: int
