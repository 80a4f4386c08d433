"""Capture: events by all the paths that the vendor's clients know (P§6.1 to P§6.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from assay.core.capture.errors import all_refused
from assay.core.capture.types import Captured, RawEvent, Refusal
from assay.core.capture.validation import read_time
from assay.core.runs.writable import encode
from assay.dialects.posthog.capture.decoding import FORM_TYPE, decode_json
from assay.dialects.posthog.capture.envelopes import Envelope, SdkInfo, SentEvent, read_v0, read_v1
from assay.dialects.posthog.capture.errors import MissingTokenError
from assay.dialects.posthog.capture.multipart import Part, read_event, split
from assay.dialects.posthog.capture.route import (
    AI_BYTES,
    BATCH_BYTES,
    SINGLE_BYTES,
    CaptureRoute,
    Handler,
    add,
    bearer_or_empty,
    keep,
    off_loop,
    outer_tokens,
    read_body,
    render_fault,
)
from assay.kit.errors import DomainError

MAX_SHOWN = 100
"""Refused events that an answer names."""

_SDK_HEADER = "posthog-sdk-info"

router = APIRouter(tags=["capture"], route_class=CaptureRoute)


def _v0(limit: int, *, default_name: str | None = None) -> Handler:
    async def capture_events(request: Request) -> Response:
        """Keep events: one, a list, or a batch, in any of the forms that clients send."""
        value = await _read_value(request, limit)
        envelope = read_v0(value, outer_tokens=outer_tokens(request), default_name=default_name)
        return JSONResponse(_v0_answer(await keep(request, envelope)))

    return capture_events


async def capture_v1(request: Request) -> Response:
    """Keep a batch, and tell of each event what became of it."""
    try:
        events, captured = await _capture_v1(request)
    except DomainError as error:
        return render_fault(error, as_json=True)
    refused = {refusal.index: refusal for refusal in captured.refused}
    results = {
        event.uuid: _v1_result(refused.get(index)) for index, event in enumerate(events) if isinstance(event.uuid, str)
    }
    return Response(encode({"results": results}), media_type="application/json")


async def _capture_v1(request: Request) -> tuple[Sequence[SentEvent], Captured]:
    token = bearer_or_empty(request)
    if not token:
        raise MissingTokenError
    events = read_v1(await _read_value(request, AI_BYTES), sdk=SdkInfo.parse(request.headers.get(_SDK_HEADER, "")))
    sent_at = read_time(request.headers.get("posthog-request-timestamp"))
    return events, await keep(request, Envelope(token, events, sent_at), is_strict=True)


async def capture_parts(request: Request) -> Response:
    """Keep one event that is sent in parts."""
    try:
        token = bearer_or_empty(request)
        if not token:
            raise MissingTokenError
        body, content_type = await read_body(request, limit=AI_BYTES), request.headers.get("content-type", "")
        parts, event = await off_loop(len(body), lambda: _read_parts(body, content_type))
        captured = await keep(request, Envelope(token, [event], None))
        if captured.refused:
            raise all_refused(captured.refused)
    except DomainError as error:
        return render_fault(error, as_json=True)
    return JSONResponse({"accepted_parts": [part.describe() for part in parts]})


def _read_parts(body: bytes, content_type: str) -> tuple[list[Part], RawEvent]:
    parts = split(body, content_type)
    return parts, read_event(parts, limit=AI_BYTES)


def _v1_result(refusal: Refusal | None) -> dict[str, str]:
    return {"result": "ok"} if refusal is None else {"result": "drop", "details": refusal.reason}


def _v0_answer(captured: Captured) -> dict[str, Any]:
    """What the vendor answers, and which events were not kept, for whoever looks."""
    if not captured.accepted:
        raise all_refused(captured.refused)
    if not captured.refused:
        return {"status": "Ok"}
    shown = [
        {"index": refusal.index, "uuid": refusal.uuid, "code": refusal.fault.value, "detail": refusal.reason}
        for refusal in captured.refused[:MAX_SHOWN]
    ]
    return {"status": "Ok", "refused_count": len(captured.refused), "refused": shown}


async def _read_value(request: Request, limit: int) -> Any:
    if request.method == "GET":
        body, content_type = request.url.query.encode(), FORM_TYPE
    else:
        body, content_type = await read_body(request, limit=limit), request.headers.get("content-type", "")
    return await off_loop(len(body), lambda: decode_json(body, content_type=content_type, limit=limit))


for path in ("/capture", "/e", "/track", "/i/v0/e"):
    add(router, path, _v0(SINGLE_BYTES), methods=("POST", "GET"))
add(router, "/engage", _v0(SINGLE_BYTES, default_name="$identify"), methods=("POST", "GET"))
add(router, "/batch", _v0(BATCH_BYTES), methods=("POST", "GET"))
add(router, "/i/v0/ai/batch", _v0(AI_BYTES))
add(router, "/i/v1/analytics/events", capture_v1)
add(router, "/i/v0/ai", capture_parts)
