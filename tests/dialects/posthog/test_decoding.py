"""Any body, of whatever bytes: it is read, or refused with a reason, and a good event in it is never lost."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote_plus

from hypothesis import given
from hypothesis import strategies as st

from assay.core.capture.decoding import inflate
from assay.core.capture.types import Arrival, RawEvent
from assay.core.capture.validation import EventFaultError, check_event
from assay.dialects.posthog.capture.decoding import decode_json
from assay.dialects.posthog.capture.envelopes import SdkInfo, SentEvent, read_v0, read_v1
from assay.kit.clock import utc_now
from assay.kit.errors import DomainError
from assay.kit.json import dumps

LIMIT = 100_000
TYPES = ["application/json", "application/x-www-form-urlencoded", ""]
GOOD = {"event": "good", "distinct_id": "ann", "uuid": "0190aaaa-bbbb-7ccc-8ddd-eeeeffff0001", "properties": {"n": 1}}

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\ud800\0")
_JSON = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_FIELDS = ["event", "distinct_id", "uuid", "timestamp", "properties", "$set", "$set_once", "options", "session_id"]
_EVENTS = _JSON | st.dictionaries(st.sampled_from(_FIELDS), _JSON, max_size=9)

_WRAPPINGS: list[Callable[[bytes], bytes]] = [
    lambda text: text,
    gzip.compress,
    base64.b64encode,
    lambda text: base64.b64encode(gzip.compress(text)),
    lambda text: b"data=" + quote_plus(text).encode(),
    lambda text: b"data=" + quote_plus(base64.b64encode(text)).encode() + b"&compression=base64",
]


def keepable(value: Any) -> list[dict[str, Any]]:
    """The properties of the events of a body that would be kept."""
    kept: list[dict[str, Any]] = []
    for raw in read_v0(value, outer_tokens=["phc_x"]).events:
        if isinstance(raw, RawEvent):
            try:
                event = check_event(raw, Arrival(received_at=utc_now()))
            except EventFaultError:
                continue
            # What is kept can be written: no NUL, no half of a character, nothing without a number.
            assert "\\u0000" not in dumps(event.properties)
            assert "\0" not in event.event + event.distinct_id + (event.event + event.distinct_id).encode().decode()
            kept.append(dict(event.properties))
    return kept


@given(st.lists(_EVENTS, max_size=4), st.lists(_EVENTS, max_size=4), st.sampled_from(_WRAPPINGS))
def test_good_events_are_never_lost(before: list[Any], after: list[Any], wrap: Callable[[bytes], bytes]) -> None:
    text = json.dumps({"api_key": "phc_x", "batch": [*before, GOOD, *after]}).encode()

    value = decode_json(inflate(wrap(text), "", limit=LIMIT), content_type="application/json", limit=LIMIT)

    try:
        assert {"n": 1} in keepable(value)
    except DomainError as error:
        # Somebody put a second project's token into an event, which no request may hold.
        assert error.code == "mixed_tokens"  # noqa: PT017 - the other outcome is as good


@given(st.binary(max_size=300), st.sampled_from(TYPES), st.sampled_from(["", "gzip", "deflate", "br", "odd"]))
def test_any_bytes_are_read_or_refused(body: bytes, content_type: str, encoding: str) -> None:
    for wrap in (*_WRAPPINGS, zlib.compress):
        for sent in (body, wrap(body), wrap(body)[:-1]):
            try:
                keepable(decode_json(inflate(sent, encoding, limit=LIMIT), content_type=content_type, limit=LIMIT))
            except DomainError:
                continue


@given(_JSON | st.fixed_dictionaries({"batch": st.lists(_EVENTS, max_size=4)}))
def test_any_json_is_read_or_refused(value: Any) -> None:
    for read in (_read_v0, _read_v1):
        try:
            for raw in read(value):
                if isinstance(raw, RawEvent):
                    check_event(raw, Arrival(received_at=utc_now(), is_strict=True))
        except (DomainError, EventFaultError):
            continue


def _read_v0(value: Any) -> Sequence[SentEvent]:
    return read_v0(value, outer_tokens=["phc_x"]).events


def _read_v1(value: Any) -> Sequence[SentEvent]:
    return read_v1(value, sdk=SdkInfo("a", "1"))
