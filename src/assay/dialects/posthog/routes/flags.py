"""Feature flags, of which there are none (P§6.4): the vendor's clients ask for them before they send events."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from assay.core.projects.types import Scope
from assay.db.session import transaction
from assay.dialects.edge.access import bearer_token
from assay.dialects.edge.state import state_of
from assay.dialects.posthog.capture.decoding import decode_json
from assay.dialects.posthog.capture.envelopes import read_v0
from assay.dialects.posthog.capture.route import SINGLE_BYTES, CaptureRoute, add, check_token, outer_tokens, read_body

router = APIRouter(tags=["flags"], route_class=CaptureRoute)


async def evaluate_flags(request: Request) -> Response:
    """No flags, for a project that is known."""
    await _check_token(request)
    answer: dict[str, Any] = {
        "flags": {},
        "errorsWhileComputingFlags": False,
        "requestId": str(uuid4()),
        # Clients raise when this names feature flags.
        "quotaLimited": [],
    }
    return JSONResponse(answer)


async def decide(request: Request) -> Response:
    """The same in the older form."""
    await _check_token(request)
    return JSONResponse({"featureFlags": {}, "featureFlagPayloads": {}, "errorsWhileComputingFlags": False})


async def list_definitions(request: Request) -> Response:
    """No definitions to evaluate locally. Asked for with a personal key."""
    token = bearer_token(request, advice="Authentication credentials were not provided.")
    async with transaction(state_of(request).sessions) as session:
        principal = await state_of(request).authenticator.authenticate(session, token)
    principal.require(Scope.ANALYTICS_READ)
    return JSONResponse({"flags": [], "group_type_mapping": {}, "cohorts": {}})


async def _check_token(request: Request) -> None:
    body = await read_body(request, limit=SINGLE_BYTES)
    content_type = request.headers.get("content-type", "")
    value = decode_json(body, content_type=content_type, limit=SINGLE_BYTES)
    await check_token(request, read_v0(value, outer_tokens=outer_tokens(request)).token)


add(router, "/flags", evaluate_flags)
add(router, "/decide", decide)
for path in ("/api/feature_flag/local_evaluation", "/flags/definitions"):
    add(router, path, list_definitions, methods=("GET",))
