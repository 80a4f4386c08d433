"""From JSON to events and the project that they are of: the bodies of v0 and v1 (P§6.2, P§6.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from assay.core.capture.errors import UndecodableError
from assay.core.capture.types import Fault, RawEvent, Unreadable
from assay.core.capture.validation import read_time
from assay.dialects.posthog.capture.errors import MissingTokenError, MixedTokensError

SentEvent = RawEvent | Unreadable


@dataclass(frozen=True, slots=True)
class Envelope:
    """Events with what was said of all of them."""

    token: str
    events: Sequence[SentEvent]
    sent_at: datetime | None


@dataclass(frozen=True, slots=True)
class SdkInfo:
    """The client, from the header ``PostHog-Sdk-Info``: ``posthog-python/7.0.0``."""

    name: str
    version: str

    @classmethod
    def parse(cls, header: str) -> SdkInfo | None:
        """None for a header that is empty or of another form."""
        name, _, version = header.partition("/")
        return cls(name.strip()[:64], version.strip()[:64]) if name.strip() else None


_NO_OBJECT = Unreadable(fault=Fault.NOT_AN_OBJECT, reason="the event is not a JSON object")
_OPTION_TYPES: Mapping[str, tuple[type, str]] = {
    "cookieless_mode": (bool, "$cookieless_mode"),
    "disable_skew_correction": (bool, "$ignore_sent_at"),
    "process_person_profile": (bool, "$process_person_profile"),
    "product_tour_id": (str, "$product_tour_id"),
}


def read_v0(value: Any, *, outer_tokens: Iterable[str] = (), default_name: str | None = None) -> Envelope:
    """A single event, a list of events, or an object with a ``batch``.

    Args:
        value: The body.
        outer_tokens: From the query and the header, which count when the body has none.
        default_name: Name of events that have none.

    Raises:
        UndecodableError: It is nothing of these.
        MissingTokenError, MixedTokensError: There is not exactly one token.
    """
    whole = _mapping(value)
    if isinstance(value, list):
        items = cast("list[Any]", value)
    elif whole is None:
        raise UndecodableError("The body must be a JSON object or a list.")
    elif "batch" in whole:
        items = _batch(whole)
    else:
        items = [whole]
    tokens = [*_tokens(whole), *(token for item in items for token in _event_tokens(item))]
    sent_at = None if whole is None else read_time(whole.get("sent_at") or whole.get("sentAt"))
    return Envelope(
        _single(tokens or [token for token in outer_tokens if token][:1]),
        [_v0_event(item, default_name) for item in items],
        sent_at,
    )


def read_v1(value: Any, *, sdk: SdkInfo | None) -> Sequence[SentEvent]:
    """The events of a v1 body, whose token and clock are in headers.

    Raises:
        UndecodableError: It has no list of events.
    """
    whole = _mapping(value)
    if whole is None:
        raise UndecodableError("The body must be a JSON object with `batch`, a list of events.")
    return [_v1_event(item, sdk) for item in _batch(whole)]


def _v0_event(item: Any, default_name: str | None) -> SentEvent:
    fields = _mapping(item)
    if fields is None:
        return _NO_OBJECT
    properties = _mapping(fields.get("properties")) or {}
    distinct_id = next(
        (
            found
            for found in (fields.get("distinct_id"), fields.get("$distinct_id"), properties.get("distinct_id"))
            if found is not None
        ),
        None,
    )
    return RawEvent(
        event=fields.get("event", default_name),
        distinct_id=distinct_id,
        uuid=fields.get("uuid"),
        timestamp=fields.get("timestamp"),
        properties=fields.get("properties"),
        set=fields.get("$set"),
        set_once=fields.get("$set_once"),
        is_clock_right=bool(properties.get("$ignore_sent_at")),
    )


def _v1_event(item: Any, sdk: SdkInfo | None) -> SentEvent:
    fields = _mapping(item)
    if fields is None:
        return _NO_OBJECT
    options = _mapping({} if fields.get("options") is None else fields["options"])
    if options is None:
        return _bad_option(fields, "`options` must be an object")
    extra: dict[str, Any] = {}
    for name, option in options.items():
        kind, property_name = _OPTION_TYPES.get(name, (object, ""))
        if not isinstance(option, kind):
            return _bad_option(fields, f"the option {name[:64]!a} must be a {'text' if kind is str else 'boolean'}")
        if property_name:
            extra[property_name] = option
    extra |= {f"${name}": fields[name] for name in ("session_id", "window_id") if isinstance(fields.get(name), str)}
    if sdk is not None:
        extra |= {"$lib": sdk.name, "$lib_version": sdk.version}
    return RawEvent(
        event=fields.get("event"),
        distinct_id=fields.get("distinct_id"),
        uuid=fields.get("uuid"),
        timestamp=fields.get("timestamp"),
        properties=fields.get("properties"),
        is_clock_right=extra.get("$ignore_sent_at") is True,
        extra=extra,
    )


def _bad_option(fields: Mapping[str, Any], reason: str) -> Unreadable:
    return Unreadable(fault=Fault.OPTIONS, reason=reason, uuid=fields.get("uuid"))


def _batch(whole: Mapping[str, Any]) -> list[Any]:
    batch = whole.get("batch")
    if not isinstance(batch, list):
        raise UndecodableError("`batch` must be a list of events.")
    return cast("list[Any]", batch)


def _tokens(fields: Mapping[str, Any] | None) -> list[str]:
    found = [(fields or {}).get(name) for name in ("api_key", "token")]
    return [token for token in found if isinstance(token, str) and token]


def _event_tokens(item: Any) -> list[str]:
    fields = _mapping(item)
    if fields is None:
        return []
    inner = (_mapping(fields.get("properties")) or {}).get("token")
    return [*_tokens(fields), *([inner] if isinstance(inner, str) and inner.startswith("phc_") else [])]


def _single(tokens: Sequence[str]) -> str:
    different = {token.strip() for token in tokens} - {""}
    if not different:
        raise MissingTokenError
    if len(different) > 1:
        raise MixedTokensError
    return different.pop()


def _mapping(value: Any) -> Mapping[str, Any] | None:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else None
