"""OTLP/HTTP trace exports (P§6.1, and the paths of the standard), answered in the encoding in which they were sent."""

from __future__ import annotations

import orjson
from fastapi import APIRouter, Request, Response
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from assay.core.capture.otlp.events import event_of
from assay.core.capture.otlp.spans import read_json, read_protobuf
from assay.core.capture.types import Captured
from assay.dialects.posthog.capture.envelopes import Envelope
from assay.dialects.posthog.capture.errors import MissingTokenError, UnsupportedMediaTypeError
from assay.dialects.posthog.capture.route import (
    AI_BYTES,
    CaptureRoute,
    add,
    check_token,
    fault_headers,
    fault_status,
    keep,
    off_loop,
    outer_tokens,
    read_body,
)
from assay.kit.errors import DomainError

PROTOBUF = "application/x-protobuf"
JSON = "application/json"

router = APIRouter(tags=["capture"], route_class=CaptureRoute)


async def export_traces(request: Request) -> Response:
    """Keep each span as the event it becomes."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        captured = await _export(request, media_type)
    except DomainError as error:
        return _render_fault(error, media_type)
    return _render_success(captured, media_type)


async def _export(request: Request, media_type: str) -> Captured | None:
    """What became of the spans; None for an export without any, which is as good as any other."""
    token = next(filter(None, reversed(outer_tokens(request))), None)
    if token is None:
        raise MissingTokenError
    body = await read_body(request, limit=AI_BYTES)
    readers = {PROTOBUF: read_protobuf, JSON: read_json}
    if (reader := readers.get(media_type)) is None:
        raise UnsupportedMediaTypeError(media_type, sorted(readers))
    events = await off_loop(len(body), lambda: [event_of(span) for span in reader(body)])
    if not events:
        await check_token(request, token)
        return None
    return await keep(request, Envelope(token, events, None))


def _render_success(captured: Captured | None, media_type: str) -> Response:
    refused = captured.refused if captured is not None else ()
    count, message = len(refused), refused[0].reason if refused else ""
    if media_type == JSON:
        # 64-bit integers are texts in protobuf's JSON.
        partial = {"partialSuccess": {"rejectedSpans": str(count), "errorMessage": message}} if refused else {}
        return Response(orjson.dumps(partial), media_type=JSON)
    answer = ExportTraceServiceResponse()
    if refused:
        answer.partial_success.CopyFrom(ExportTracePartialSuccess(rejected_spans=count, error_message=message))
    return Response(answer.SerializeToString(), media_type=PROTOBUF)


def _render_fault(error: DomainError, media_type: str) -> Response:
    """A ``google.rpc.Status``."""
    status, headers = fault_status(error), fault_headers(error)
    if media_type != PROTOBUF:
        content = orjson.dumps({"code": _GRPC_CODES.get(status, 3), "message": error.message})
        return Response(content, status, headers, media_type=JSON)
    # A Status has its code and its message under the same numbers and wire types as a partial success its two fields.
    same = ExportTracePartialSuccess(rejected_spans=_GRPC_CODES.get(status, 3), error_message=error.message)
    return Response(same.SerializeToString(), status, headers, media_type=PROTOBUF)


_GRPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 413: 8, 415: 3, 503: 14}

for path in ("/v1/traces", "/i/v0/ai/otel", "/i/v0/ai/otel/v1/traces", "/i/v1/traces"):
    add(router, path, export_traces)
