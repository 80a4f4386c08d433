"""What may be named in a dataset of the hub, so that nothing outside its repository can be.

The library ``datasets`` takes web addresses, chained file systems (``zip://…::https://…``) and paths of the machine
wherever it takes the path of a file. Here a path stays within the repository.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, cast

MAX_PATH_LENGTH = 1024

_REPOSITORY = re.compile(r"(?:[A-Za-z0-9][\w.-]{0,95}/)?[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_REVISION = re.compile(r"[\w.][\w./+-]{0,254}", re.ASCII)


def repository_fault(path: str) -> str | None:
    """Why a text cannot name a repository (``owner/name``, or ``name`` for the oldest ones); None if it can."""
    if not _REPOSITORY.fullmatch(path) or ".." in path:
        return "must have the form owner/name"
    return None


def revision_fault(revision: str) -> str | None:
    """Why a text cannot name a branch, tag or commit; None if it can."""
    if not _REVISION.fullmatch(revision) or ".." in revision or "//" in revision:
        return "must be a branch, tag or commit"
    return None


def pattern_fault(pattern: str) -> str | None:
    """Why a text cannot name files of a repository; None if it can."""
    parts = PurePosixPath(pattern).parts
    if (
        not parts
        or len(pattern) > MAX_PATH_LENGTH
        or not pattern.isprintable()
        or pattern.startswith(("/", "~"))
        or "\\" in pattern
        or ":" in pattern
        or ".." in parts
    ):
        return "must be a path or pattern within the repository"
    return None


def data_file_patterns(data_files: Any) -> list[str]:
    """All patterns of a manifest's ``data_files``: of a text, of a list, or of an object of split to either."""
    if data_files is None:
        return []
    if isinstance(data_files, str):
        return [data_files]
    if isinstance(data_files, Mapping):
        values = cast("Mapping[str, Any]", data_files).values()
        return [pattern for value in values for pattern in data_file_patterns(value)]
    return list(cast("Sequence[str]", data_files))
