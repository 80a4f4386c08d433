"""Datasets of the hub, as the rest of Assay sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MAIN = "main"


@dataclass(frozen=True, slots=True, kw_only=True)
class HubPart:
    """The part of a dataset that a task reads."""

    path: str
    """``owner/name``, as checked by ``names.repository_fault``."""
    name: str | None = None
    """The configuration; None where there is only one."""
    split: str | None = None
    """None where there is only one."""
    revision: str | None = None
    data_files: Any = None
    """As in a manifest, every pattern checked."""

    @property
    def source(self) -> str:
        """The repository at a revision: what a commit is found for."""
        return f"{self.path}@{self.revision or MAIN}"

    @property
    def label(self) -> str:
        """The part in words: what a digest of files is kept for."""
        files = "" if self.data_files is None else str(self.data_files)[:200]
        chosen = [self.name and f"config {self.name}", self.split and f"split {self.split}", files]
        return ", ".join([self.path if self.revision is None else self.source, *filter(None, chosen)])


@dataclass(frozen=True, slots=True, kw_only=True)
class HubAccess:
    """Where datasets are, and how much may be taken from there."""

    url: str = "https://huggingface.co"
    folder: Path | None = None
    """Read instead of the hub: repositories are its subfolders ``owner/name`` or ``owner/name@revision``."""
    token: str | None = field(default=None, repr=False)
    max_bytes: int = 5 * 1024**3
    """Of the files of one part."""
    timeout_seconds: float = 3600.0
    """For one part, from the first request to the last row."""
