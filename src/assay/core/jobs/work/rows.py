"""Adding to the two columns of a job that others write too: ``result`` and ``logs``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final, cast

from assay.core.jobs.models import JobRow
from assay.core.jobs.work.target import as_object

MAX_LOGS: Final = 500
_MAX_CHARACTERS: Final = 2_000


def add_to_result(job: JobRow, more: Mapping[str, Any]) -> None:
    """Set keys of ``result`` and leave the others; a list that a client keeps there is not ours to change."""
    stored: Any = job.result
    if stored is None or isinstance(stored, dict):
        job.result = {**as_object(stored), **more}


def add_log(job: JobRow, level: str, message: str) -> None:
    """Add a line, in the form in which clients write theirs (O§2.1)."""
    stored: Any = job.logs
    lines = cast("list[Any]", stored) if isinstance(stored, list) else []
    line = {"ts": round(time.time(), 3), "level": level, "msg": message[:_MAX_CHARACTERS]}
    job.logs = [*lines, line][-MAX_LOGS:]
