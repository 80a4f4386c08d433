"""A function with an HTTP endpoint: one request for each call, guarded and bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from yarl import URL

from assay.core.tools.types import MAX_RESULT_BYTES, HttpEndpoint, Tool, ToolFault, ToolOutcome
from assay.kit import json
from assay.outbound.client import GuardedClient, OutboundLimits, OutboundResponse
from assay.outbound.errors import (
    AddressRefusedError,
    ConnectionFailedError,
    NameNotFoundError,
    OutboundError,
    OutboundTimeoutError,
    RequestTooLargeError,
    UrlRefusedError,
)

_PAUSE_SECONDS = 0.5
_SHOWN_CHARACTERS = 2000
_RETRYABLE_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
_FAULTS: Mapping[type[OutboundError], ToolFault] = {
    UrlRefusedError: ToolFault.REFUSED,
    AddressRefusedError: ToolFault.REFUSED,
    NameNotFoundError: ToolFault.UNREACHABLE,
    ConnectionFailedError: ToolFault.UNREACHABLE,
    OutboundTimeoutError: ToolFault.TIMEOUT,
    RequestTooLargeError: ToolFault.ARGUMENTS,
}
_RETRYABLE = frozenset({ToolFault.UNREACHABLE, ToolFault.TIMEOUT})


async def call_endpoint(
    guard: GuardedClient, tool: Tool, endpoint: HttpEndpoint, arguments: Mapping[str, Any], *, key: str
) -> ToolOutcome:
    """Make the request of a call.

    Args:
        guard: Sends it.
        tool: The tool, which knows whether a call may be repeated.
        endpoint: Where to.
        arguments: What the model gave.
        key: ``Idempotency-Key``, the same for every attempt of this call.
    """
    attempts = 1 + (endpoint.retries if tool.repeatable else 0)
    outcome = await _attempt(guard, endpoint, arguments, key)
    for number in range(1, attempts):
        if not _may_heal(outcome):
            break
        await asyncio.sleep(_PAUSE_SECONDS * 2 ** (number - 1))
        outcome = await _attempt(guard, endpoint, arguments, key)
    return outcome.result


class _Attempt:
    """An outcome, and whether another attempt might do better."""

    __slots__ = ("result", "status")

    def __init__(self, result: ToolOutcome, status: int | None = None) -> None:
        self.result = result
        self.status = status


def _may_heal(attempt: _Attempt) -> bool:
    return attempt.result.fault in _RETRYABLE or attempt.status in _RETRYABLE_STATUSES


async def _attempt(guard: GuardedClient, endpoint: HttpEndpoint, arguments: Mapping[str, Any], key: str) -> _Attempt:
    url, body = _request(endpoint, arguments)
    headers = {"Accept": "application/json, text/*", **endpoint.headers, "Idempotency-Key": key}
    if body:
        headers["Content-Type"] = "application/json"
    limits = OutboundLimits(
        timeout_seconds=endpoint.timeout_seconds,
        max_request_bytes=MAX_RESULT_BYTES,
        max_response_bytes=MAX_RESULT_BYTES,
    )
    try:
        response = await guard.request(endpoint.method, url, headers=headers, body=body, limits=limits)
    except OutboundError as fault:
        kind = _FAULTS.get(type(fault), ToolFault.UNREACHABLE)
        return _Attempt(ToolOutcome.failed(kind, fault.message))
    return _Attempt(_read(response), response.status)


def _request(endpoint: HttpEndpoint, arguments: Mapping[str, Any]) -> tuple[str, bytes]:
    if endpoint.method in {"GET", "DELETE"}:
        query = {name: value if isinstance(value, str) else json.dumps(value) for name, value in arguments.items()}
        return str(URL(endpoint.url).update_query(query)), b""
    return endpoint.url, json.dumps(dict(arguments)).encode()


def _read(response: OutboundResponse) -> ToolOutcome:
    text = response.body.decode("utf-8", "replace").replace("\0", "�")
    if not 200 <= response.status < 300:
        message = f"The endpoint answered {response.status}: {text[:_SHOWN_CHARACTERS]}"
        return ToolOutcome.failed(ToolFault.STATUS, message.rstrip(": "))
    if not response.complete:
        if len(response.body) >= MAX_RESULT_BYTES:
            return ToolOutcome.failed(ToolFault.TOO_LARGE, f"The answer is longer than {MAX_RESULT_BYTES:,} bytes.")
        return ToolOutcome.failed(ToolFault.UNREACHABLE, "The answer broke off.")
    media_type = next((v for k, v in response.headers.items() if k.lower() == "content-type"), "")
    if "json" in media_type.lower():
        try:
            json.loads(response.body)
        except ValueError as fault:
            return ToolOutcome.failed(ToolFault.NOT_JSON, f"The answer says that it is JSON and is not: {fault}")
    return ToolOutcome(text)
