"""Capture by every path and form (P§6.1 to P§6.4), and what is said of bodies that are wrong."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import httpx
import pytest
from tests.dialects.posthog.conftest import Caller, Connect
from tests.support.live import LiveServer
from tests.support.tenants import Tenants

from assay.dialects.posthog.capture.route import AI_BYTES, BATCH_BYTES, SINGLE_BYTES

V0_PATHS = ["/batch", "/capture", "/e", "/track", "/i/v0/e", "/engage", "/i/v0/ai/batch"]
V1_PATH = "/i/v1/analytics/events"


@pytest.fixture
def web(connect: Connect) -> httpx.AsyncClient:
    """A client without any key."""
    return connect(None).http


def event(**values: Any) -> dict[str, Any]:
    """An event of a person of its own."""
    person = f"p-{uuid4().hex}"
    return {"event": "$ai_generation", "distinct_id": person, "uuid": str(uuid4()), "properties": {"n": 1}} | values


async def find(caller: Caller, sent: Mapping[str, Any]) -> dict[str, Any]:
    """The stored form of an event."""
    return await caller.ok("GET", f"/events/{sent['uuid']}/")


@dataclass(frozen=True, slots=True)
class Form:
    """One way to write the same JSON."""

    id: str
    content: bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    query: str = ""


def _forms(value: Any) -> list[Form]:
    text = json.dumps(value).encode()
    encoded = base64.b64encode(text)
    urlsafe = base64.urlsafe_b64encode(text).rstrip(b"=")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    return [
        Form("JSON", text),
        Form("JSON after spaces", b" \n" + text),
        Form("gzip", gzip.compress(text), {"Content-Encoding": "gzip"}),
        Form("gzip that only the query names", gzip.compress(text), query="?compression=gzip-js"),
        Form("gzip that nothing names", gzip.compress(text), {"Content-Type": "text/plain"}),
        Form("two members of gzip", gzip.compress(text[:20]) + gzip.compress(text[20:])),
        Form("gzip twice", gzip.compress(gzip.compress(text)), {"Content-Encoding": "gzip"}),
        Form("said to be gzip", text, {"Content-Encoding": "gzip"}),
        Form("deflate", zlib.compress(text), {"Content-Encoding": "deflate"}),
        Form("base64", encoded, query="?compression=base64"),
        Form("base64 for URLs", urlsafe),
        Form("gzip in base64", base64.b64encode(gzip.compress(text))),
        Form("form with JSON", urlencode({"data": text}).encode(), form),
        Form("form with base64", urlencode({"data": encoded, "compression": "base64"}).encode(), form),
        Form("form with plus signs", b"data=" + encoded, form),
        Form("form without its type", b"data=" + urlencode({"": text}).encode()[1:]),
        Form("form in gzip", gzip.compress(urlencode({"data": text}).encode()), form | {"Content-Encoding": "gzip"}),
    ]


@pytest.mark.parametrize("number", range(len(_forms({}))), ids=[form.id for form in _forms({})])
async def test_forms_of_a_body(web: httpx.AsyncClient, caller: Caller, tenants: Tenants, number: int) -> None:
    sent = event(properties={"text": "é~?>", "list": [1.0, None]})
    form = _forms({"api_key": tenants.capture_token, "batch": [sent]})[number]

    answer = await web.post(f"/batch/{form.query}", content=form.content, headers=dict(form.headers))

    assert (answer.status_code, answer.json()) == (200, {"status": "Ok"}), answer.text
    found = await find(caller, sent)
    assert (found["distinct_id"], found["properties"]) == (sent["distinct_id"], sent["properties"])


@pytest.mark.parametrize("path", [variant for path in V0_PATHS for variant in (path, f"{path}/")])
async def test_paths_take_single_events_lists_and_batches(
    web: httpx.AsyncClient, caller: Caller, tenants: Tenants, path: str
) -> None:
    token = tenants.capture_token
    single, in_list, in_batch = event(), event(), event()
    bodies: list[Any] = [
        single | {"token": token},
        [in_list | {"api_key": token}, event(properties={"token": token})],
        {"token": token, "batch": [in_batch]},
    ]
    for body in bodies:
        answer = await web.post(path, json=body)
        assert (answer.status_code, answer.json()) == (200, {"status": "Ok"}), answer.text
    for sent in (single, in_list, in_batch):
        assert (await find(caller, sent))["event"] == "$ai_generation"


async def test_other_places_of_the_token(web: httpx.AsyncClient, caller: Caller, tenants: Tenants) -> None:
    in_query, in_header, in_url = event(), event(), event()
    bearer = {"Authorization": f"Bearer {tenants.capture_token}"}
    answers = [
        await web.post(f"/e/?token={tenants.capture_token}", json=in_query),
        await web.post("/e/", json=in_header, headers=bearer),
        await web.get(
            "/e/",
            params={"data": base64.b64encode(json.dumps(in_url).encode()).decode(), "token": tenants.capture_token},
        ),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    for sent in (in_query, in_header, in_url):
        assert (await find(caller, sent))["distinct_id"] == sent["distinct_id"]


async def test_the_clock_of_the_client_is_corrected(web: httpx.AsyncClient, caller: Caller, tenants: Tenants) -> None:
    clock = datetime.now(UTC) - timedelta(hours=3)
    late, right = event(timestamp=clock.isoformat()), event(timestamp=clock.isoformat())
    right["properties"] = {"$ignore_sent_at": True}

    body = {"api_key": tenants.capture_token, "batch": [late, right], "sent_at": clock.isoformat()}
    assert (await web.post("/batch/", json=body)).status_code == 200

    corrected = datetime.fromisoformat((await find(caller, late))["timestamp"])
    assert abs(corrected - datetime.now(UTC)) < timedelta(minutes=5)
    assert datetime.fromisoformat((await find(caller, right))["timestamp"]) == clock


async def test_a_bad_event_costs_no_good_one(web: httpx.AsyncClient, caller: Caller, tenants: Tenants) -> None:
    good = [event(), event(), event(distinct_id=7)]
    bad: list[Any] = [None, "x", event(event=""), event(distinct_id=None), event(properties=[1])]
    batch = [bad[0], good[0], *bad[1:], *good[1:], good[0]]

    answer = await web.post("/batch/", json={"api_key": tenants.capture_token, "batch": batch})

    assert answer.status_code == 200, answer.text
    assert answer.json()["refused_count"] == 5
    assert [(refused["index"], refused["code"]) for refused in answer.json()["refused"]] == [
        (0, "not_an_object"),
        (2, "not_an_object"),
        (3, "invalid_event_name"),
        (4, "invalid_distinct_id"),
        (5, "invalid_properties"),
    ]
    for sent in good:
        assert (await find(caller, sent))["properties"] == {"n": 1}
    for sent in bad[2:]:
        await caller.refused(404, "GET", f"/events/{sent['uuid']}")


async def test_what_careless_writers_send(web: httpx.AsyncClient, caller: Caller, tenants: Tenants) -> None:
    odd, plain = event(), event()
    odd["properties"] = {"nan": float("nan"), "half": "\ud800", "nul": "a\0b", "huge": 10**30, "bytes": "RAW"}
    text = json.dumps({"api_key": tenants.capture_token, "batch": [odd, plain]}).encode().replace(b"RAW", b"\xff")

    assert (await web.post("/batch/", content=text)).json() == {"status": "Ok"}

    assert (await find(caller, odd))["properties"] == {
        "nan": None,
        "half": "\ufffd",
        "nul": "a\ufffdb",
        "huge": 1e30,
        "bytes": "\ufffd",
    }
    assert (await find(caller, plain))["properties"] == {"n": 1}


async def test_sending_twice_keeps_once(web: httpx.AsyncClient, caller: Caller, tenants: Tenants) -> None:
    sent = event()
    for properties in ({"n": 1}, {"n": 2}):
        body = {"api_key": tenants.capture_token, "batch": [sent | {"properties": properties}]}
        assert (await web.post("/batch/", json=body)).json() == {"status": "Ok"}
    page = await caller.ok("GET", f"/events/?distinct_id={sent['distinct_id']}")
    assert [row["properties"] for row in page["results"]] == [{"n": 1}]


async def test_the_same_uuid_in_two_projects(
    web: httpx.AsyncClient, caller: Caller, connect: Connect, tenants: Tenants
) -> None:
    sent = event()
    for token, n in ((tenants.capture_token, 1), (tenants.other_capture_token, 2)):
        body = {"api_key": token, "batch": [sent | {"properties": {"n": n}}]}
        assert (await web.post("/batch/", json=body)).status_code == 200
    assert (await find(caller, sent))["properties"] == {"n": 1}
    assert (await find(connect(tenants.other_organization), sent))["properties"] == {"n": 2}


@dataclass(frozen=True, slots=True)
class Wrong:
    """A request that is refused as a whole."""

    id: str
    content: bytes
    status: int
    says: str
    path: str = "/batch/"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


_GOOD = json.dumps({"api_key": "TOKEN", "batch": [{"event": "a", "distinct_id": "b"}]}).encode()
_NONE_GOOD = json.dumps({"api_key": "TOKEN", "batch": [{"event": "a"}, 1]}).encode()
_TWO_TOKENS = json.dumps({"api_key": "TOKEN", "batch": [{"token": "phc_other", "event": "a"}]}).encode()
_TOO_LARGE = json.dumps(
    {"api_key": "TOKEN", "event": "a", "distinct_id": "b", "properties": {"x": "y" * 9_000_000}}
).encode()
_GZIP = {"Content-Encoding": "gzip"}
WRONG = [
    Wrong("empty", b"", 400, "empty"),
    Wrong("no JSON", b"{", 400, "valid JSON"),
    Wrong("cut off", _GOOD[:-5], 400, "valid JSON"),
    Wrong("neither", b"\x00\x01", 400, "neither JSON"),
    Wrong("number", b"MTI=", 400, "neither JSON"),
    Wrong("text", b'"x"', 400, "JSON object"),
    Wrong("form without data", b"a=1", 400, "`data`", headers={"Content-Type": "application/x-www-form-urlencoded"}),
    Wrong("nesting", b"[" * 100_000, 400, "nest"),
    Wrong("cut off gzip", gzip.compress(_GOOD)[:-9], 400, "cut off", headers=_GZIP),
    Wrong("damaged gzip", gzip.compress(_GOOD)[:-8] + b"\0" * 8, 400, "damaged", headers=_GZIP),
    Wrong("brotli", _GOOD, 415, "`br`", headers={"Content-Encoding": "br"}),
    Wrong("empty batch", b'{"api_key": "TOKEN", "batch": []}', 400, "no events"),
    Wrong("batch of another type", b'{"api_key": "TOKEN", "batch": {}}', 400, "`batch`"),
    Wrong("no token", b'{"batch": [{"event": "a", "distinct_id": "b"}]}', 401, "No project token"),
    Wrong("unknown token", _GOOD.replace(b"TOKEN", b"phc_unknown"), 401, "No project has this token"),
    Wrong("odd token", _GOOD.replace(b"TOKEN", b"\\u0000\\ud800"), 401, "No project has this token"),
    Wrong("long token", _GOOD.replace(b"TOKEN", b"x" * 10_000), 401, "No project has this token"),
    Wrong("two tokens", _TWO_TOKENS, 401, "several project tokens"),
    Wrong("not one good event", _NONE_GOOD, 400, "event 0: the event has no `distinct_id`"),
    Wrong("one event too large", _TOO_LARGE, 413, "larger than 8388608 bytes"),
    Wrong("body too large", b" " * (BATCH_BYTES + 1), 413, f"larger than {BATCH_BYTES} bytes"),
    Wrong("single too large", b" " * (SINGLE_BYTES + 1), 413, f"larger than {SINGLE_BYTES} bytes", path="/e/"),
    Wrong("AI too large", b" " * (AI_BYTES + 1), 413, f"larger than {AI_BYTES} bytes", path="/i/v0/ai/batch/"),
    Wrong("bomb", gzip.compress(b" " * 500_000_000, 1), 413, "decompressed", headers=_GZIP),
    Wrong("bomb in a bomb", gzip.compress(gzip.compress(b" " * 500_000_000, 1), 1), 413, "decompressed", headers=_GZIP),
    Wrong("too many", _GOOD[:-2] + b',{"event": "a"}' * 20_000 + b"]}", 413, "20001 events"),
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
@pytest.mark.parametrize("accept", ["*/*", "application/json"])
async def test_requests_that_are_refused(web: httpx.AsyncClient, tenants: Tenants, wrong: Wrong, accept: str) -> None:
    content = wrong.content.replace(b"TOKEN", tenants.capture_token.encode())

    answer = await web.post(wrong.path, content=content, headers={"Accept": accept, **wrong.headers}, timeout=30)

    assert answer.status_code == wrong.status, answer.text
    assert wrong.says in (answer.json()["detail"] if accept.endswith("json") else answer.text)


async def test_an_api_key_is_no_capture_token(web: httpx.AsyncClient, tenants: Tenants) -> None:
    answer = await web.post("/batch/", json={"api_key": tenants.all_scopes, "batch": [event()]})
    assert (answer.status_code, "capture token" in answer.text) == (401, True)


async def test_a_capture_token_reads_nothing(connect: Connect, tenants: Tenants) -> None:
    await connect(tenants.capture_token).refused(401, "GET", "/events/")


async def test_any_page_of_the_web_may_send(web: httpx.AsyncClient, tenants: Tenants) -> None:
    origin = {"Origin": "https://shop.example", "Access-Control-Request-Headers": "x-custom"}
    before = await web.options("/e/", headers=origin)
    answers = [before, await web.post("/e/", json=event(), headers=origin)]

    assert [answer.status_code for answer in answers] == [204, 401]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        assert answer.headers["access-control-allow-headers"] == "x-custom"


async def test_v1_tells_of_each_event(web: httpx.AsyncClient, caller: Caller, tenants: Tenants) -> None:
    now = datetime.now(UTC)
    options = {"process_person_profile": False, "disable_skew_correction": True, "product_tour_id": "t", "new": [1]}
    good = event(timestamp=now.isoformat(), options=options, session_id="s", window_id="w", properties={"$lib": "x"})
    bad = {
        "timestamp": event(timestamp="yesterday"),
        "`process_person_profile`": event(options={"process_person_profile": "no"}),
        "'disable_skew_correction'": event(options={"disable_skew_correction": 1}),
        "`options`": event(options=[]),
        "no name": event(event=None),
    }
    headers = {
        "Authorization": f"Bearer {tenants.capture_token}",
        "PostHog-Sdk-Info": "posthog-python/7.0.0",
        "PostHog-Request-Timestamp": (now - timedelta(hours=1)).isoformat(),
    }
    body = {"created_at": now.isoformat(), "batch": [good, *bad.values(), {"event": "a"}, None]}

    answer = await web.post(V1_PATH, json=body, headers=headers)

    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert results.pop(good["uuid"]) == {"result": "ok"}
    assert set(results) == {sent["uuid"] for sent in bad.values()}
    for word, sent in bad.items():
        assert results[sent["uuid"]]["result"] == "drop"
        assert word.strip("`'") in results[sent["uuid"]]["details"]
    found = await find(caller, good)
    assert found["properties"] == {
        "$lib": "x",
        "$lib_version": "7.0.0",
        "$process_person_profile": False,
        "$ignore_sent_at": True,
        "$product_tour_id": "t",
        "$session_id": "s",
        "$window_id": "w",
    }
    assert datetime.fromisoformat(found["timestamp"]) == now


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({}, {"batch": []}, 401),
        ({"Authorization": "Bearer phc_unknown"}, {"batch": [{"event": "a", "distinct_id": "b"}]}, 401),
        ({"Authorization": "Bearer TOKEN"}, {"batch": []}, 400),
        ({"Authorization": "Bearer TOKEN"}, {"batch": 1}, 400),
        ({"Authorization": "Bearer TOKEN"}, [], 400),
        ({"Authorization": "Bearer TOKEN", "Content-Encoding": "zstd"}, {}, 415),
    ],
)
async def test_v1_requests_that_are_refused(
    web: httpx.AsyncClient, tenants: Tenants, headers: dict[str, str], body: Any, status: int
) -> None:
    headers = {name: text.replace("TOKEN", tenants.capture_token) for name, text in headers.items()}
    answer = await web.post(V1_PATH, json=body, headers=headers)
    assert (answer.status_code, bool(answer.json()["detail"])) == (status, True)


async def test_v1_without_a_good_event(web: httpx.AsyncClient, tenants: Tenants) -> None:
    sent = event(event="")
    headers = {"Authorization": f"Bearer {tenants.capture_token}"}
    answer = await web.post(V1_PATH, json={"batch": [sent]}, headers=headers)
    assert (answer.status_code, answer.json()["results"][sent["uuid"]]["result"]) == (200, "drop")


async def test_there_are_no_flags(web: httpx.AsyncClient, connect: Connect, live: LiveServer, tenants: Tenants) -> None:
    body = {"token": tenants.capture_token, "distinct_id": "ann"}
    flags = (await web.post("/flags/?v=2", json=body)).json()
    assert flags | {"requestId": ""} == {
        "flags": {},
        "errorsWhileComputingFlags": False,
        "requestId": "",
        "quotaLimited": [],
    }
    decided = (await web.post("/decide?v=3", json=body)).json()
    assert decided == {"featureFlags": {}, "featureFlagPayloads": {}, "errorsWhileComputingFlags": False}
    assert (await web.post("/flags/", json=body | {"token": "phc_unknown"})).status_code == 401
    definitions = "/api/feature_flag/local_evaluation/?token=x"
    assert (await web.get(definitions)).status_code == 401
    assert (await connect(tenants.no_scopes).http.get(definitions)).status_code == 403
    assert (await connect(tenants.read_only).http.get(definitions)).json()["flags"] == []
