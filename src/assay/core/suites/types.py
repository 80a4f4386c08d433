"""Suites and their versions, as the rest of Assay sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class SuiteAccess(StrEnum):
    """How the caller comes to see a suite."""

    OWNER = "owner"
    SHARED = "shared"


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite; version numbers count from 1."""

    id: UUID
    organization_id: UUID
    project_id: UUID
    name: str
    description: str | None
    access: SuiteAccess
    active_version: int
    latest_version: int
    metadata: Mapping[str, str]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class SuiteVersion:
    """One version; never changes. ``manifest`` is what was sent."""

    id: UUID
    suite_id: UUID
    version: int
    manifest: Mapping[str, Any]
    dataset_file_ids: tuple[str, ...]
    metadata: Mapping[str, str]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewSuite:
    """What a caller gives to make a suite with its first version."""

    name: str
    manifest: Any
    description: str | None = None
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class DeletedSuite:
    """What a deletion took along."""

    id: UUID
    deleted_runs: int
