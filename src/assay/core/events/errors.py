"""What can go wrong with reading events."""

from __future__ import annotations

from uuid import UUID

from assay.kit.errors import NotFoundError


class EventNotFoundError(NotFoundError):
    """The caller has no such event."""

    code = "event_not_found"

    def __init__(self, uuid: UUID | str) -> None:
        super().__init__(f"Event {uuid} not found.")


class TraceNotFoundError(NotFoundError):
    """No event of the caller carries this trace id."""

    code = "trace_not_found"

    def __init__(self, trace_id: str) -> None:
        super().__init__(f"Trace {trace_id[:200]} not found.")
