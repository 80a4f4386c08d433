"""What came back from a model for one sample, as columns of the sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from assay.gateway.types import Attempt
from assay.kit.clock import utc_now
from assay.kit.errors import DomainError


@dataclass(frozen=True, slots=True)
class Answer:
    """A model's answer to one sample, or why there is none."""

    text: str | None
    """None when the call failed; ``values["error"]`` says why."""
    values: dict[str, Any]
    """Columns of the sample that the call filled, JSON-ready."""


def describe_timing(attempts: Sequence[Attempt]) -> dict[str, Any]:
    """Columns that say when a model was asked."""
    if not attempts:
        return {"started_at": utc_now()}
    last = attempts[-1]
    phases = {"generation": {"started_at": last.started_at, "finished_at": _end(last)}}
    timing: dict[str, Any] = {"started_at": attempts[0].started_at, "phase_timings": phases}
    if len(attempts) > 1:
        timing["attempts"] = [_attempt(attempt) for attempt in attempts]
    return timing


def _end(attempt: Attempt) -> Any:
    return attempt.started_at + timedelta(seconds=attempt.seconds)


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "started_at": attempt.started_at,
        "seconds": round(attempt.seconds, 6),
        "status": attempt.status,
        "error": attempt.error,
    }


def describe_failure(error: DomainError, attempts: Sequence[Attempt]) -> dict[str, Any]:
    """Columns of a sample whose call failed."""
    return {
        "error": {"code": error.code, "message": error.message, "attempts": len(attempts), **error.data},
        "started_at": attempts[0].started_at if attempts else utc_now(),
        "attempts": [_attempt(attempt) for attempt in attempts],
    }
