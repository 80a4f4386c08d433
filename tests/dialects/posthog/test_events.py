"""Reading events and traces through the dialect."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from tests.dialects.posthog.conftest import Caller, Connect
from tests.support.tenants import Tenants

TIMES = [f"2026-01-0{day}T09:30:00Z" for day in (1, 2, 3, 3, 3)]


@pytest.fixture
async def sent(connect: Connect, tenants: Tenants) -> list[dict[str, Any]]:
    """Five events of one person, three of them at one time, oldest first."""
    person, trace = f"p-{uuid4().hex}", uuid4().hex
    events: list[dict[str, Any]] = [
        {
            "event": "$ai_generation" if number % 2 else "$ai_span",
            "distinct_id": person,
            "uuid": str(uuid4()),
            "timestamp": moment,
            "properties": {
                "n": number,
                "$ai_trace_id": trace,
                "$ai_session_id": f"s-{trace}",
                "$ai_span_id": str(number),
            },
        }
        for number, moment in enumerate(TIMES)
    ]
    answer = await connect(None).http.post("/batch/", json={"api_key": tenants.capture_token, "batch": events})
    assert answer.json() == {"status": "Ok"}
    return events


def numbers(page: dict[str, Any]) -> list[int]:
    return [row["properties"]["n"] for row in page["results"]]


async def test_an_event_has_five_fields(caller: Caller, sent: list[dict[str, Any]]) -> None:
    found = await caller.ok("GET", f"/events/{sent[1]['uuid'].upper()}/")
    assert found == {
        "id": sent[1]["uuid"],
        "event": "$ai_generation",
        "distinct_id": sent[1]["distinct_id"],
        "timestamp": "2026-01-02T09:30:00.000000Z",
        "properties": sent[1]["properties"],
    }
    assert list(found["properties"]) == list(sent[1]["properties"])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [4, 3, 2, 1, 0]),
        ({"event": "$ai_generation"}, [3, 1]),
        ({"after": "2026-01-02T09:30:00Z"}, [4, 3, 2]),
        ({"before": "2026-01-02"}, [0]),
        ({"after": "2026-01-01T09:30:00Z", "before": "2026-01-03T09:30:00+00:00"}, [1]),
        ({"properties": '[{"key": "n", "value": 3, "operator": "lt"}]'}, [2, 1, 0]),
        ({"properties": '[{"key": "n", "value": ["1", 2]}, {"key": "n", "value": 1, "operator": "is_not"}]'}, [2]),
        ({"properties": '{"type": "AND", "values": [{"type": "AND", "values": [{"key": "n", "value": 0}]}]}'}, [0]),
        ({"properties": '[{"key": "plan", "operator": "is_set", "type": "person"}]'}, []),
        ({"properties": "[]"}, [4, 3, 2, 1, 0]),
        ({"limit": "nonsense"}, [4, 3, 2, 1, 0]),
        ({"event": "😀"}, []),
    ],
)
async def test_filters(caller: Caller, sent: list[dict[str, Any]], query: dict[str, str], expected: list[int]) -> None:
    page = await caller.ok("GET", "/events/", params={"distinct_id": sent[0]["distinct_id"], **query})
    assert (numbers(page), page["next"]) == (expected, None)


async def test_filters_by_trace_and_session(caller: Caller, sent: list[dict[str, Any]]) -> None:
    properties = sent[0]["properties"]
    for name in ("trace_id", "session_id"):
        page = await caller.ok("GET", "/events/", params={name: properties[f"$ai_{name}"]})
        assert numbers(page) == [4, 3, 2, 1, 0]


@pytest.mark.parametrize("prefix", ["/api/environments/@current", "/api/projects/@current"])
async def test_pages_follow_each_other(caller: Caller, sent: list[dict[str, Any]], prefix: str) -> None:
    url = f"{prefix}/events?limit=2&distinct_id={sent[0]['distinct_id']}"
    seen: list[int] = []
    while url:
        page = (await caller.http.get(url)).json()
        seen += numbers(page)
        url = page["next"]
    assert seen == [4, 3, 2, 1, 0]


@pytest.mark.parametrize(
    ("query", "attr"),
    [
        ({"after": "yesterday"}, "after"),
        ({"before": "2026-13-01"}, "before"),
        ({"properties": "{"}, "properties"),
        ({"properties": "1"}, "properties"),
        ({"properties": "[1]"}, "properties"),
        ({"properties": '[{"value": 1}]'}, "properties"),
        ({"properties": '[{"key": "a", "type": "cohort"}]'}, "properties"),
        ({"properties": '[{"key": "a", "operator": "odd"}]'}, "properties"),
        ({"properties": '{"type": "OR", "values": []}'}, "properties"),
        ({"properties": '{"values": ' * 8 + "[]" + "}" * 8}, "properties"),
        ({"properties": "[" * 2000 + "]" * 2000}, "properties"),
        ({"properties": json.dumps([{"key": "a"}] * 51)}, "properties"),
        ({"cursor": "odd"}, "cursor"),
        ({"cursor": "MjAyNi0wMS0wMXwx"}, "cursor"),
        ({"event": "a\0"}, None),
    ],
)
async def test_queries_that_are_refused(caller: Caller, query: dict[str, str], attr: str | None) -> None:
    error = await caller.refused(400, "GET", "/events/", params=query)
    assert attr is None or error["attr"] == attr


@pytest.mark.parametrize(
    "path", ["/events/nothing", "/events/6a387366-9252-426c-bedd-6cbade667e08/", "/llm_analytics/traces/nothing/"]
)
async def test_what_is_not_there(caller: Caller, path: str) -> None:
    assert (await caller.refused(404, "GET", path))["code"] == "not_found"


async def test_other_projects_see_nothing(stranger: Caller, sent: list[dict[str, Any]]) -> None:
    trace = sent[0]["properties"]["$ai_trace_id"]
    for query in ({"distinct_id": sent[0]["distinct_id"]}, {"trace_id": trace}):
        assert (await stranger.ok("GET", "/events/", params=query))["results"] == []
    await stranger.refused(404, "GET", f"/events/{sent[0]['uuid']}/")
    await stranger.refused(404, "GET", f"/llm_analytics/traces/{trace}/")


async def test_a_trace_is_a_tree_with_sums(connect: Connect, caller: Caller, tenants: Tenants) -> None:
    trace = f"t-{uuid4().hex}"
    calls = [
        {"$ai_span_id": "call", "$ai_parent_id": "step", "$ai_input_tokens": 3, "$ai_total_cost_usd": 0.5},
        {"$ai_span_id": "again", "$ai_parent_id": "step", "$ai_input_tokens": 4, "$ai_output_tokens": None},
    ]
    events = [
        ("$ai_trace", {"$ai_span_name": "root", "$ai_session_id": "s"}),
        ("$ai_span", {"$ai_span_id": "step", "$ai_parent_id": trace}),
        *(("$ai_generation", call) for call in calls),
        ("$ai_span", {"$ai_span_id": "lost", "$ai_parent_id": "gone"}),
    ]
    batch = [
        {"event": name, "distinct_id": "ann", "properties": {"$ai_trace_id": trace, **properties}}
        for name, properties in events
    ]
    sent = await connect(None).http.post("/batch/", json={"api_key": tenants.capture_token, "batch": batch})
    assert sent.json() == {"status": "Ok"}

    found = await caller.ok("GET", f"/llm_analytics/traces/{trace}/")

    def drawn(node: dict[str, Any]) -> Any:
        return node["properties"].get("$ai_span_id", node["event"]), [drawn(child) for child in node["children"]]

    assert [drawn(node) for node in found["tree"]] == [
        ("$ai_trace", [("step", [("call", []), ("again", [])])]),
        ("lost", []),
    ]
    assert (found["id"], found["session_id"], found["distinct_id"]) == (trace, "s", "ann")
    assert (found["event_count"], found["is_truncated"]) == (5, False)
    assert (found["input_tokens"], found["output_tokens"], found["total_cost_usd"]) == (7, None, 0.5)
