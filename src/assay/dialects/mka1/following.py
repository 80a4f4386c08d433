"""A run's events as a stream (M§3.4, R38): all from the start, then new ones, until the terminal event closes it.

The client gives up on a stream that is silent for five seconds, so a comment is sent every two. A client that comes
back with ``Last-Event-ID`` goes on after that event. There is no ``[DONE]``, which the SDK could not decode.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from uuid import UUID

import orjson

from assay.core.agents.progress import TERMINAL_EVENTS
from assay.core.agents.runs import read_events
from assay.core.agents.types import RunEvent
from assay.db.engine import SessionFactory

MEDIA_TYPE = "text/event-stream"
HEARTBEAT_SECONDS = 2.0
POLL_SECONDS = 0.2
PAGE = 500

_TERMINAL = frozenset(TERMINAL_EVENTS.values())
_HEARTBEAT = b": waiting\n\n"


async def follow_run(
    sessions: SessionFactory, run_id: UUID, *, after: int, is_gone: Callable[[], Awaitable[bool]]
) -> AsyncGenerator[bytes]:
    """The frames of a run's events.

    Args:
        sessions: Makes sessions; none is held while there is nothing to send.
        run_id: A run that the caller may see.
        after: Number of the last event that the client has; -1 for none.
        is_gone: Whether the client has left.
    """
    silent = 0.0
    while True:
        async with sessions() as session:
            events = await read_events(session, run_id=run_id, after=after, limit=PAGE)
        for event in events:
            yield to_frame(event)
            if event.type in _TERMINAL:
                return
            after, silent = event.sequence, 0.0
        if len(events) == PAGE:
            continue
        if silent >= HEARTBEAT_SECONDS:
            yield _HEARTBEAT
            silent = 0.0
        if await is_gone():
            return
        await asyncio.sleep(POLL_SECONDS)
        silent += POLL_SECONDS


def to_frame(event: RunEvent) -> bytes:
    """One event on the wire."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.sequence, event.type.encode(), orjson.dumps(event.data))
