"""The use case of capture: keep what is good of a request, say what is not."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.capture.errors import NoEventsError, TooManyEventsError
from assay.core.capture.types import MAX_EVENTS, Arrival, Captured, RawEvent, Refusal, Unreadable
from assay.core.capture.validation import EventFaultError, check_event
from assay.core.events.service import store_events
from assay.core.events.types import NewEvent
from assay.core.online.enrolment import enrol
from assay.core.projects.types import Principal, Scope
from assay.core.runs.writable import repair_text


async def capture(
    session: AsyncSession, principal: Principal, events: Sequence[RawEvent | Unreadable], arrival: Arrival
) -> Captured:
    """Keep the events of one request, in the caller's transaction.

    Each is checked by itself: a bad one never costs a good one. What was kept before, by its uuid, is left alone.

    Args:
        session: A session inside a transaction.
        principal: The sender.
        events: As the client wrote them.
        arrival: What they have in common.

    Raises:
        MissingScopeError: The sender may not send events.
        NoEventsError, TooManyEventsError: There are none, or too many.
    """
    principal.require(Scope.EVENT_CAPTURE)
    if not events:
        raise NoEventsError
    if len(events) > MAX_EVENTS:
        raise TooManyEventsError(len(events))
    good, refused = _sort(events, arrival)
    stored = await store_events(session, principal.project_id, good)
    await enrol(session, principal.project_id, stored)
    return Captured(accepted=len(good), stored=stored, refused=refused)


def _sort(events: Sequence[RawEvent | Unreadable], arrival: Arrival) -> tuple[list[NewEvent], list[Refusal]]:
    good: list[NewEvent] = []
    refused: list[Refusal] = []
    for index, raw in enumerate(events):
        uuid = repair_text(raw.uuid[:64]) if isinstance(raw.uuid, str) else None
        if isinstance(raw, Unreadable):
            refused.append(Refusal(index, uuid, raw.fault, raw.reason))
            continue
        try:
            good.append(check_event(raw, arrival))
        except EventFaultError as error:
            refused.append(Refusal(index, uuid, error.fault, error.reason))
    return good, refused
