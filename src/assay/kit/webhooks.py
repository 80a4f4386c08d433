"""Signing webhooks and checking signatures (Standard Webhooks 1.0, contract M§7 R33).

    webhook-id           evt_…          the event; the same at every attempt, so a receiver can drop repeats
    webhook-timestamp    1770000000     when this attempt was made, in seconds
    webhook-signature    v1,<base64>    HMAC-SHA256 of "<id>.<timestamp>.<body>"; several may stand side by side
    X-Webhook-Signature  sha256=<hex>   HMAC-SHA256 of the body alone, for receivers that know only this form

Only the standard library is needed, so a receiver can import ``verify_webhook`` without the rest of Assay.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

from assay.kit.errors import InvalidError

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
BODY_SIGNATURE_HEADER = "X-Webhook-Signature"

DEFAULT_TOLERANCE_SECONDS = 300.0
"""How far the receiver's clock and the attempt may be apart; the value that Standard Webhooks' own libraries use."""

_PREFIX = "whsec_"
_SHORTEST_ENCODED_KEY = 24
_VERSION = "v1"


class WebhookVerificationError(InvalidError):
    """The request was not signed with this secret, or too long ago. Answer 400 and do nothing else with it."""

    code = "webhook_verification"


def key_bytes(secret: str) -> bytes:
    """The HMAC key that a secret stands for (R33).

    ``whsec_`` and strict base64 (RFC 4648 §4, padded) of at least 24 bytes gives the decoded bytes; any other text
    gives its UTF-8 form, prefix and all.
    """
    if secret.startswith(_PREFIX):
        try:
            decoded = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            return secret.encode()
        if len(decoded) >= _SHORTEST_ENCODED_KEY:
            return decoded
    return secret.encode()


def webhook_headers(event_id: str, body: bytes, *, secret: str | None, timestamp: int) -> dict[str, str]:
    """The headers of one attempt.

    Args:
        event_id: What the receiver tells repeats by.
        body: Exactly the bytes that are sent.
        secret: None leaves the request unsigned.
        timestamp: When the attempt is made, in Unix seconds.
    """
    headers = {ID_HEADER: event_id, TIMESTAMP_HEADER: str(timestamp)}
    if secret is None:
        return headers
    key = key_bytes(secret)
    headers[SIGNATURE_HEADER] = f"{_VERSION},{_signature(key, event_id, str(timestamp), body)}"
    headers[BODY_SIGNATURE_HEADER] = f"sha256={hmac.new(key, body, hashlib.sha256).hexdigest()}"
    return headers


def verify_webhook(
    body: bytes | str,
    headers: Mapping[str, str],
    *,
    secret: str,
    tolerance_seconds: float = DEFAULT_TOLERANCE_SECONDS,
    now: float | None = None,
) -> dict[str, Any]:
    """Check a received webhook and return its event.

    A request may arrive more than once: remember the ``id`` of the events you have handled.

    Args:
        body: The request's body exactly as it came, before any JSON parser.
        headers: The request's headers, names in any case.
        secret: The secret that was set with the webhook's URL.
        tolerance_seconds: Largest distance between the attempt's time and now, either way.
        now: Unix seconds; the clock's time if None.

    Returns:
        The parsed event: ``id``, ``type``, ``created_at``, ``data``.

    Raises:
        WebhookVerificationError: A header is missing, the time is off, no signature matches, or the body is no object.
    """
    content = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    lowered = {name.lower(): value for name, value in headers.items()}
    event_id, timestamp = _required(lowered, ID_HEADER), _required(lowered, TIMESTAMP_HEADER)
    signatures = _required(lowered, SIGNATURE_HEADER)
    _check_time(timestamp, time.time() if now is None else now, tolerance_seconds)
    _check_signature(signatures, _signature(key_bytes(secret), event_id, timestamp, content))
    return _parse(content)


def _signature(key: bytes, event_id: str, timestamp: str, body: bytes) -> str:
    signed = f"{event_id}.{timestamp}.".encode("utf-8", "surrogatepass") + body
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def _required(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name)
    if not value:
        raise WebhookVerificationError(f"The header `{name}` is missing.", param=name)
    return value


def _check_time(timestamp: str, now: float, tolerance_seconds: float) -> None:
    if not (timestamp.isascii() and timestamp.isdecimal()) or len(timestamp) > 15:
        raise WebhookVerificationError(f"`{TIMESTAMP_HEADER}` is not a Unix time in seconds.", param=TIMESTAMP_HEADER)
    if abs(now - int(timestamp)) > tolerance_seconds:
        raise WebhookVerificationError(
            f"The request was signed more than {tolerance_seconds:g} s away from this clock's time. If it is not a "
            "replay, correct the clock.",
            param=TIMESTAMP_HEADER,
        )


def _check_signature(header: str, expected: str) -> None:
    # The texts are compared, not what they decode to: base64 has several spellings of the same bytes.
    wanted = f"{_VERSION},{expected}".encode()
    given = [part.encode("utf-8", "surrogatepass") for part in header.split(" ")]
    # Every one is compared, so that the time taken does not tell which matched.
    if not any([hmac.compare_digest(part, wanted) for part in given]):
        raise WebhookVerificationError(
            "No signature matches. Check the secret, and that the body is the raw bytes of the request.",
            param=SIGNATURE_HEADER,
        )


def _parse(content: bytes) -> dict[str, Any]:
    try:
        event = json.loads(content)
    except ValueError as fault:
        raise WebhookVerificationError("The signed body is not JSON.", param="body") from fault
    if not isinstance(event, dict):
        raise WebhookVerificationError("The signed body is not a JSON object.", param="body")
    return event  # pyright: ignore[reportUnknownVariableType] - keys of JSON objects are strings
