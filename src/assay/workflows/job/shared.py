"""Names and messages of the ``job`` workflow: ids only, never contents."""

from __future__ import annotations

from dataclasses import dataclass

WORKFLOW = "job"
RUN = "job.run"
FAIL = "job.fail"
CANCEL = "job.cancel"


@dataclass(frozen=True)
class JobInput:
    """Which execution of which job."""

    job_id: str
    execution: int


@dataclass(frozen=True)
class JobFailure:
    """An execution that met a fault of ours, and what to say of it; holds no data."""

    job_id: str
    execution: int
    message: str
