"""Where a caller's key is found (P§1.2): in the header, and as older clients send it, in the query or the body."""

from __future__ import annotations

from typing import Any, cast

from fastapi import Request
from starlette.types import Message

from assay.dialects.edge.access import bearer_token
from assay.dialects.edge.bodies import BodyError, bounded, check_length, parse_json
from assay.dialects.edge.route import MUTATING
from assay.kit.errors import UnauthenticatedError

PARAMETER = "personal_api_key"

_ADVICE = "Authentication credentials were not provided."


def find_key(request: Request) -> str:
    """The key of a request that ``with_key_of_body`` has seen.

    Raises:
        UnauthenticatedError: There is none.
    """
    if "authorization" in request.headers:
        return bearer_token(request, advice=_ADVICE)
    key: str = request.query_params.get(PARAMETER) or getattr(request.state, PARAMETER, "")
    if not key.strip():
        raise UnauthenticatedError(_ADVICE)
    return key.strip()


async def with_key_of_body(request: Request, *, limit: int) -> Request:
    """The same request, of which a key in the body is known; its body is only read where no other place can hold a key.

    Args:
        request: With its body unread.
        limit: Longest body that is read.

    Raises:
        BodyTooLargeError: The body is longer.
    """
    elsewhere = "authorization" in request.headers or PARAMETER in request.query_params
    if elsewhere or request.method not in MUTATING:
        return request
    check_length(request, limit)
    content = await Request(request.scope, bounded(request.receive, limit)).body()
    request.state.personal_api_key = _key_in(content)
    return _replayed(request, content)


def _key_in(content: bytes) -> str:
    try:
        value: Any = parse_json(content)
    except BodyError:
        return ""
    key = cast("dict[str, Any]", value).get(PARAMETER) if isinstance(value, dict) else None
    return key if isinstance(key, str) else ""


def _replayed(request: Request, content: bytes) -> Request:
    """A request whose body is read again from memory; what the connection says after it, it says still."""
    pending: list[Message] = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive() -> Message:
        return pending.pop() if pending else await request.receive()

    return Request(request.scope, receive)
