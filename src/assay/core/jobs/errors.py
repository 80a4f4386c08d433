"""What can be wrong with jobs."""

from __future__ import annotations

from assay.kit.errors import InvalidError, NotFoundError


class JobNotFoundError(NotFoundError):
    """The caller has no such job."""

    code = "job_not_found"

    def __init__(self) -> None:
        super().__init__("Job not found.")


class IterationNotFoundError(NotFoundError):
    """The caller has no such job iteration."""

    code = "job_iteration_not_found"

    def __init__(self) -> None:
        super().__init__("Job iteration not found.")


class ProjectMismatchError(InvalidError):
    """The body names a project that is not the caller's, or not the agent's."""

    code = "project_mismatch"

    def __init__(self, reference: object) -> None:
        super().__init__(f'Invalid pk "{reference}" - object does not exist.', param="project_id")


class TraceNotFoundError(NotFoundError):
    """The caller has no such trace or span record."""

    code = "trace_not_found"

    def __init__(self) -> None:
        super().__init__("Trace not found.")
