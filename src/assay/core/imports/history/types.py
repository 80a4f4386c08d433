"""A historical import: what is asked and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

DEFAULT_REPOSITORY = "meetkai/lm-eval-harness-result"
DEFAULT_REVISION = "main"
DEFAULT_SUITE_NAME = "Historical lm-eval harness results"
DEFAULT_LIMIT_FILES = 50
"""Of a listing; files that are named are all read."""


@dataclass(frozen=True, slots=True)
class HistoryRequest:
    """What to import, and where to."""

    repository: str = DEFAULT_REPOSITORY
    revision: str = DEFAULT_REVISION
    path_prefix: str | None = None
    files: Sequence[str] | None = None
    """Which samples files; None is every one below the prefix."""
    suite_id: UUID | None = None
    """None makes a new suite."""
    suite_name: str = DEFAULT_SUITE_NAME
    suite_description: str | None = None
    create_missing_tasks: bool = True
    dry_run: bool = False
    limit_files: int | None = None
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class HistoryResult:
    """What was imported, or, in a dry run, would have been."""

    repository: str
    revision: str
    suite_id: UUID
    suite_version: int
    created_suite: bool
    created_suite_version: bool
    dry_run: bool
    discovered_files: int
    imported_runs: int
    skipped_runs: int
    """Files that were imported before, or whose task the suite lacks."""
    imported_samples: int
