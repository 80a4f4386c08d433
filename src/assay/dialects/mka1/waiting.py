"""Answers that take as long as a response does: its JSON once it has ended, or its events as they come.

The client gives up on a connection that is silent for five seconds and sends the request again (M§1.8). So something is
sent every two: a space before the JSON, which parsers pass over, or a comment among the events. A request that is sent
again all the same is answered by waiting for the response that the first one made.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from uuid import UUID

import orjson
from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from assay.core.responses import events
from assay.core.responses.service import read_response
from assay.db.engine import SessionFactory
from assay.dialects.mka1.following import HEARTBEAT_SECONDS, MEDIA_TYPE
from assay.dialects.mka1.responses import render_response

JSON_WHEN_DONE = "application/x-assay-response"
EVENTS_WHEN_DONE = "application/x-assay-response-events"
"""Media types under which such an answer is remembered: its body then is the id of the response."""

_FIRST_LOOK_SECONDS = 0.02
_LONGEST_LOOK_SECONDS = 0.25


class WaitingResponse(Response):
    """Sends what a response has brought, when it has.

    Args:
        sessions: Makes sessions; none is held while waiting.
        response_id: A response that the caller has made.
        request: To see whether the client has left.
        kind: ``JSON_WHEN_DONE`` or ``EVENTS_WHEN_DONE``.
    """

    def __init__(self, sessions: SessionFactory, response_id: UUID, request: Request, *, kind: str) -> None:
        super().__init__(content=response_id.hex, media_type=kind)
        self._sessions = sessions
        self._response_id = response_id
        self._request = request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait and send."""
        streams = self.media_type == EVENTS_WHEN_DONE
        media_type = MEDIA_TYPE if streams else "application/json"
        headers = [(b"content-type", media_type.encode()), (b"cache-control", b"no-cache")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        is_gone = self._request.is_disconnected
        if streams:
            parts = follow_response(self._sessions, self._response_id, after=-1, is_gone=is_gone)
        else:
            parts = _await_json(self._sessions, self._response_id, is_gone)
        async for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def follow_response(
    sessions: SessionFactory, response_id: UUID, *, after: int, is_gone: Callable[[], Awaitable[bool]]
) -> AsyncGenerator[bytes]:
    """The frames of a response's events, until it has ended.

    Args:
        sessions: Makes sessions; none is held while there is nothing to send.
        response_id: A response that the caller may see.
        after: Number of the last event that the client has; -1 for none.
        is_gone: Whether the client has left.
    """
    pause, silent = _FIRST_LOOK_SECONDS, 0.0
    while True:
        async with sessions() as session:
            response = await read_response(session, response_id)
        snapshot = render_response(response)
        told = events.first_events(snapshot)
        for index, item in enumerate(response.output):
            told += events.item_events(item, index)
        if response.status.has_ended:
            told.append(events.last_event(snapshot))
        fresh = [event for event in events.number(told, 0) if event["sequence_number"] > after]
        for event in fresh:
            yield b"event: %s\ndata: %s\n\n" % (event["type"].encode(), orjson.dumps(event))
        if response.status.has_ended:
            return
        if fresh:
            after, silent, pause = fresh[-1]["sequence_number"], 0.0, _FIRST_LOOK_SECONDS
        if silent >= HEARTBEAT_SECONDS:
            yield b": waiting\n\n"
            silent = 0.0
        if await is_gone():
            return
        await asyncio.sleep(pause)
        silent += pause
        pause = min(pause * 1.5, _LONGEST_LOOK_SECONDS)


async def _await_json(
    sessions: SessionFactory, response_id: UUID, is_gone: Callable[[], Awaitable[bool]]
) -> AsyncGenerator[bytes]:
    pause, silent = _FIRST_LOOK_SECONDS, 0.0
    while True:
        async with sessions() as session:
            response = await read_response(session, response_id)
        if response.status.has_ended:
            yield orjson.dumps(render_response(response))
            return
        if silent >= HEARTBEAT_SECONDS:
            yield b" "
            silent = 0.0
        if await is_gone():
            return
        await asyncio.sleep(pause)
        silent += pause
        pause = min(pause * 1.5, _LONGEST_LOOK_SECONDS)
