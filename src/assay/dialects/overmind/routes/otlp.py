"""OTLP/HTTP exports of traces, as protobuf (O§2.7); every span becomes an event like those of other APIs."""

from __future__ import annotations

from dataclasses import replace

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from assay.core.capture.decoding import inflate
from assay.core.capture.errors import UnsupportedEncodingError
from assay.core.capture.otlp.spans import read_protobuf
from assay.core.capture.service import capture
from assay.core.capture.types import Arrival
from assay.core.projects.types import Scope
from assay.dialects.edge.statuses import STATUS_OF_KIND
from assay.dialects.overmind.route import PREFIX, JobWriter, OvermindRoute, Resource, Session
from assay.dialects.overmind.spans import ForeignSpanError, to_events
from assay.dialects.overmind.wire.spans import Ingested
from assay.kit.clock import utc_now
from assay.kit.errors import DomainError, InvalidError, LimitError
from assay.metrics import observe_capture

PROTOBUF = "application/x-protobuf"
MAX_EXPORT_BYTES = 25 * 1024 * 1024
"""As sent, and decompressed."""

exports = Resource(tag="traces")


class ExportFormError(InvalidError):
    """An export that is no protobuf."""

    code = "unsupported_media_type"

    def __init__(self, media: str) -> None:
        super().__init__(f'Exports of the type "{media[:100]}" are not read here. Send {PROTOBUF}, gzip or not.')


class ExportRoute(OvermindRoute):
    """Bodies that are no JSON, and faults in the one form that exporters log."""

    def check_body(self, body: bytes) -> None:
        """Protobuf is checked where it is read."""

    def max_body_bytes(self, state: object) -> int:
        """Longest body that is read."""
        return MAX_EXPORT_BYTES

    def render_error(self, error: DomainError) -> Response:
        """``error`` for what is wrong with the export."""
        if isinstance(error, ExportFormError | UnsupportedEncodingError):
            return JSONResponse({"error": error.message}, 415)
        if isinstance(error, InvalidError | LimitError | ForeignSpanError):
            return JSONResponse({"error": error.message}, STATUS_OF_KIND[error.kind])
        return super().render_error(error)


async def export_traces(request: Request, session: Session, principal: JobWriter) -> Ingested:
    """Keep spans; one that is there already stays as it is."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != PROTOBUF:
        raise ExportFormError(media)
    encoding = request.headers.get("content-encoding", "")
    spans = read_protobuf(inflate(await request.body(), encoding, limit=MAX_EXPORT_BYTES))
    if not spans:
        return Ingested(spans_ingested=0, spans_post_processed=0)
    events = await to_events(session, principal, spans)
    # Whoever may write jobs may report what they did.
    sender = replace(principal, scopes=principal.scopes | {Scope.EVENT_CAPTURE})
    captured = await capture(session, sender, events, Arrival(received_at=utc_now()))
    observe_capture(captured)
    return Ingested(spans_ingested=captured.accepted, spans_post_processed=len(captured.stored))


for _path, _name in (("/v1/traces", "traces_export"), ("/otlp/v1/traces", "traces_export_alias")):
    exports.router.add_api_route(
        f"{PREFIX}{_path}",
        export_traces,
        methods=["POST"],
        name=_name,
        response_model=Ingested,
        route_class_override=ExportRoute,
        openapi_extra={
            "requestBody": {
                "content": {PROTOBUF: {"schema": {"type": "string", "format": "binary"}}},
                "required": True,
            }
        },
    )
