"""Events in parts (P§6.1)."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.dialects.posthog.conftest import Caller, Connect
from tests.support.tenants import Tenants

from assay.core.capture.errors import UndecodableError
from assay.dialects.posthog.capture.multipart import MAX_PARTS, read_event, split
from assay.dialects.posthog.capture.route import AI_BYTES

BOUNDARY = "b0undary"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
EVENT: dict[str, Any] = {"event": "$ai_generation", "distinct_id": "ann", "properties": {"a": 1, "b": 1}}


def form(*parts: tuple[str, str, bytes]) -> bytes:
    """A form of (name, content type, content)."""
    found = b""
    for name, content_type, content in parts:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\nContent-Type: {content_type}\r\n\r\n'
        found += head.encode() + content + b"\r\n"
    return found + f"--{BOUNDARY}--\r\n".encode()


def part(name: str, value: Any) -> tuple[str, str, bytes]:
    return name, "application/json", json.dumps(value).encode()


async def test_an_event_in_parts(connect: Connect, caller: Caller, tenants: Tenants) -> None:
    uuid = str(uuid4())
    body = form(
        part("event", EVENT | {"uuid": uuid}),
        part("event.properties", {"b": 2}),
        part("event.properties.$ai_input", [{"role": "user", "content": "Hi"}]),
        ("event.properties.$ai_output", "text/plain; charset=utf-8", "é".encode()),
        ("event.properties.image", "image/png", b"\x89PNG"),
    )
    headers = {"Content-Type": FORM, "Authorization": f"Bearer {tenants.capture_token}", "Content-Encoding": "gzip"}

    answer = await connect(None).http.post("/i/v0/ai", content=gzip.compress(body), headers=headers)

    assert answer.status_code == 200, answer.text
    accepted = answer.json()["accepted_parts"]
    assert accepted[-1] == {
        "name": "event.properties.image",
        "length": 4,
        "content-type": "image/png",
        "content-encoding": None,
    }
    assert (await caller.ok("GET", f"/events/{uuid}"))["properties"] == {
        "a": 1,
        "b": 2,
        "$ai_input": [{"role": "user", "content": "Hi"}],
        "$ai_output": "é",
        "image": f"data:image/png;base64,{base64.b64encode(bytes([0x89]) + b'PNG').decode()}",
    }


def test_a_part_may_be_compressed_by_itself() -> None:
    parts = split(form(("event", "application/json", gzip.compress(json.dumps(EVENT).encode()))), FORM)
    assert read_event(parts, limit=1000).properties == EVENT["properties"]


@pytest.mark.parametrize(
    ("headers", "content", "status", "says"),
    [
        ({"Authorization": ""}, form(part("event", EVENT)), 401, "token"),
        ({"Authorization": "Bearer phc_unknown"}, form(part("event", EVENT)), 401, "token"),
        ({"Content-Type": "application/json"}, b"{}", 400, "multipart/form-data"),
        ({"Content-Type": "multipart/form-data"}, b"", 400, "boundary"),
        ({}, b"", 400, "cut off"),
        ({}, b"nonsense", 400, "damaged"),
        ({}, form(part("event", EVENT))[:-10], 400, "cut off"),
        ({}, form(), 400, "first part"),
        ({}, form(part("event.properties", {})), 400, "first part"),
        ({}, form(part("event", [])), 400, "JSON object"),
        ({}, form(("event", "application/json", b"{")), 400, "JSON"),
        ({}, form(part("event", EVENT), part("other", 1)), 400, "'other'"),
        ({}, form(part("event", EVENT), part("event.properties.a", 1), part("event.properties.a", 1)), 400, "twice"),
        ({}, form(part("event", EVENT | {"event": ""})), 400, "no name"),
        ({}, form(*[part("event", EVENT)] * (MAX_PARTS + 1)), 400, "parts"),
        ({}, form(part("event", EVENT | {"properties": {"x": "y" * 9_000_000}})), 413, "larger"),
        ({}, form(("event", "application/json", gzip.compress(b" " * (AI_BYTES + 1)))), 413, "decompressed"),
    ],
)
async def test_what_is_refused(
    connect: Connect, tenants: Tenants, headers: dict[str, str], content: bytes, status: int, says: str
) -> None:
    sent = {"Content-Type": FORM, "Authorization": f"Bearer {tenants.capture_token}"} | headers

    answer = await connect(None).http.post("/i/v0/ai/", content=content, headers=sent)

    assert answer.status_code == status, answer.text
    assert says in answer.json()["detail"]


@given(st.binary(max_size=300), st.integers(0, 300))
def test_any_bytes_are_an_event_or_refused(noise: bytes, place: int) -> None:
    good = form(part("event", EVENT), part("event.properties.a", 1))
    for body in (noise, good[:place] + noise + good[place:]):
        try:
            read_event(split(body, FORM), limit=10_000)
        except UndecodableError:
            continue
