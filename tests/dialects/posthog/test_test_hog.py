"""Trying Hog programs on recent traffic: the tables P§4.2 and P§4.3, and their lines of the checklist P§4.4."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from tests.dialects.posthog.conftest import Caller, Connect
from tests.support.tenants import Tenants

PATH = "/evaluations/test_hog"
KEYS = {
    "sample_id",
    "sample_type",
    "event_uuid",
    "trace_id",
    "input_preview",
    "output_preview",
    "result",
    "score",
    "categories",
    "reasoning",
    "error",
}


@dataclass(frozen=True, slots=True)
class Traffic:
    """Events under a word of their own, so that tests do not see each other's."""

    caller: Caller
    token: str
    word: str

    async def send(
        self,
        *,
        at: timedelta = timedelta(0),
        event: str = "$ai_generation",
        more: Mapping[str, Any] | None = None,
        **properties: Any,
    ) -> str:
        """Capture one event; gives its uuid."""
        uuid = str(uuid4())
        body = {
            "uuid": uuid,
            "event": event,
            "distinct_id": "ann",
            "timestamp": (datetime.now(UTC) + at).isoformat(),
            "properties": {"word": self.word, **properties, **(more or {})},
        }
        sent = await self.caller.http.post("/batch/", json={"api_key": self.token, "batch": [body]})
        assert sent.status_code == 200, sent.text
        return uuid

    async def test(self, source: str, **more: Any) -> dict[str, Any]:
        """Try a program on these events."""
        body = {"source": source, "conditions": [self.condition()], **more}
        # A program may take its whole ten seconds.
        response = await self.caller.send("POST", PATH, body, timeout=30)
        assert response.status_code == 200, response.text
        return response.json()

    async def row(self, source: str, **more: Any) -> dict[str, Any]:
        """What it says of the only sample."""
        [row] = (await self.test(source, **more))["results"]
        return row

    def condition(self, **more: Any) -> dict[str, Any]:
        return {"id": "c", "properties": [{"key": "word", "value": self.word}], **more}


@pytest.fixture
def traffic(caller: Caller, tenants: Tenants) -> Traffic:
    return Traffic(caller, tenants.capture_token, uuid4().hex)


async def test_one_row_for_each_event_newest_first(traffic: Traffic) -> None:
    old = await traffic.send(
        at=timedelta(minutes=-3), more={"$ai_input": "one", "$ai_output": "1", "$ai_trace_id": "t"}
    )
    new = await traffic.send(more={"$ai_input": "two", "$ai_output_choices": [{"role": "assistant", "content": "2"}]})
    await traffic.send(event="$ai_span")
    await traffic.send(at=timedelta(days=-8))

    answer = await traffic.test("print('seen', output) return length(input) = 3")

    assert set(answer) == {"results"}
    rows = answer["results"]
    assert all(set(row) == KEYS for row in rows)
    assert [row["event_uuid"] for row in rows] == [row["sample_id"] for row in rows] == [new, old]
    assert [(row["input_preview"], row["output_preview"]) for row in rows] == [("two", "assistant: 2"), ("one", "1")]
    assert [row["trace_id"] for row in rows] == [None, "t"]
    first = {"sample_type": "generation", "result": True, "score": None, "categories": None, "error": None}
    assert {name: rows[1][name] for name in first} == first
    assert rows[1]["reasoning"] == "seen 1"


async def test_previews_are_short(traffic: Traffic) -> None:
    await traffic.send(more={"$ai_input": "x" * 500, "$ai_output": "y"})

    row = await traffic.row("return true")

    assert (row["input_preview"], row["reasoning"]) == ("x" * 200, "")


async def test_sample_count_and_conditions(traffic: Traffic) -> None:
    ids = [await traffic.send(n=n, more={"$ai_input": str(n)}) for n in range(4)]

    async def sampled(**more: Any) -> set[str]:
        return {row["event_uuid"] for row in (await traffic.test("return true", **more))["results"]}

    assert len(await sampled(sample_count=3)) == 3
    assert await sampled(conditions=[traffic.condition(rollout_percentage=0)]) == set(ids)
    either = [
        {"properties": [{"key": "word", "value": traffic.word}, {"key": "n", "value": number}]} for number in (0, 3)
    ]
    assert await sampled(conditions=either) == {ids[0], ids[3]}


async def test_nothing_to_try_it_on(traffic: Traffic) -> None:
    answer = await traffic.test("return true")

    assert answer["results"] == []
    assert "7 days" in answer["message"]


RETURNS: list[tuple[str, bool, Any, str]] = [
    ("return true", False, True, ""),
    ("return false", False, False, ""),
    ("return null", True, None, ""),
    ("let x := 1", True, None, ""),
    ("return true", True, True, ""),
    ("return null", False, None, "Must return boolean, got NoneType: None"),
    ("let x := 1", False, None, "Must return boolean, got NoneType"),
    ("return 1", False, None, "Must return boolean, got int: 1"),
    ("return 0", True, None, "Must return boolean or null, got int: 0"),
    ("return 'true'", False, None, "got str: 'true'"),
    ("return 1.5", False, None, "got float"),
    ("return [true]", False, None, "got list"),
    ("return {'a': 1}", False, None, "got dict"),
    ("return (1, 2)", False, None, "got tuple"),
    ("print('said') return 5", False, None, "Must return boolean"),
    ("return nothing", False, None, "Runtime error:"),
    ("print('said') throw Error('no')", False, None, "Runtime error:"),
    ("return properties.missing > 5", False, False, ""),
    ("while (true) {}", False, None, "timed out"),
    ("let s := 'x' while (true) { s := s || s }", False, None, "Memory limit"),
]


@pytest.mark.parametrize(("source", "allows_na", "result", "error"), RETURNS)
async def test_what_is_returned(traffic: Traffic, source: str, allows_na: bool, result: Any, error: str) -> None:
    await traffic.send(more={"$ai_input": "hello", "$ai_output": "world"})

    row = await traffic.row(source, allows_na=allows_na)

    assert row["result"] is result
    assert (row["error"] is None) is (error == "")
    assert error in (row["error"] or "")
    wrong_type = error.startswith("Must") and "print" in source
    assert row["reasoning"] == ("said" if wrong_type else "")


async def test_a_sample_that_fails_leaves_the_others_alone(traffic: Traffic) -> None:
    await traffic.send(n=1)
    await traffic.send(n="no number")

    rows = (await traffic.test("return properties.n + 1 > 1"))["results"]

    assert [row["result"] for row in rows] == [None, True]
    assert [row["error"] is None for row in rows] == [False, True]


OPTIONS = [{"key": "a", "label": "A"}, {"key": "b", "label": "B"}]


@pytest.mark.parametrize(
    ("source", "output", "config", "score", "categories", "error"),
    [
        ("return 0", "numeric", {}, 0, None, None),
        ("return 2.5", "numeric", {"min": 0, "max": 5}, 2.5, None, None),
        ("return 6", "numeric", {"max": 5}, None, None, "above the maximum"),
        ("return true", "numeric", {}, None, None, "number"),
        ("return null", "numeric", {"allows_na": True}, None, None, None),
        ("return 'a'", "categorical", {"options": OPTIONS}, None, ["a"], None),
        ("return ['b']", "categorical", {"options": OPTIONS}, None, ["b"], None),
        ("return 'c'", "categorical", {"options": OPTIONS}, None, None, "Unknown category"),
        ("return []", "categorical", {"options": OPTIONS, "selection_mode": "multiple"}, None, [], None),
    ],
)
async def test_numbers_and_categories(
    traffic: Traffic, source: str, output: str, config: Any, score: Any, categories: Any, error: str | None
) -> None:
    await traffic.send()

    row = await traffic.row(source, output_type=output, output_config=config)

    assert (row["result"], row["score"], row["categories"]) == (None, score, categories)
    assert (row["error"] is None) is (error is None)
    assert (error or "") in (row["error"] or "")


async def test_the_outputs_own_word_on_not_applicable_wins(traffic: Traffic) -> None:
    await traffic.send()

    row = await traffic.row("return null", allows_na=True, output_config={"allows_na": False})

    assert row["error"] is not None


async def test_traces(traffic: Traffic) -> None:
    trace = uuid4().hex
    first = {"$ai_trace_id": trace, "$ai_input": "question", "$ai_output": "let me see"}
    await traffic.send(at=timedelta(seconds=-9), more=first)
    await traffic.send(at=timedelta(seconds=-5), event="$ai_span", more={"$ai_trace_id": trace})
    await traffic.send(more={"$ai_trace_id": trace, "$ai_input": "again", "$ai_output": "answer"})
    await traffic.send()

    row = await traffic.row("print(trace.id) return trace.event_count = 3", target="trace")

    assert (row["sample_id"], row["sample_type"], row["trace_id"], row["event_uuid"]) == (trace, "trace", trace, None)
    assert (row["input_preview"], row["output_preview"]) == ("question", "answer")
    assert (row["result"], row["reasoning"]) == (True, trace)


async def test_sessions_are_over_when_they_have_been_quiet(traffic: Traffic) -> None:
    over, running = uuid4().hex, uuid4().hex
    await traffic.send(at=timedelta(hours=-2), more={"$ai_session_id": over})
    await traffic.send(at=timedelta(hours=-2), more={"$ai_session_id": running})
    await traffic.send(more={"$ai_session_id": running})

    row = await traffic.row("return target.type = 'session'", target="session")
    assert (row["sample_id"], row["event_uuid"], row["result"]) == (over, None, True)
    both = await traffic.test("return true", target="session", target_config={"window_seconds": 600})
    assert {found["sample_id"] for found in both["results"]} == {over, running}
    none = await traffic.test("return true", target="session", target_config={"quiet_period_seconds": 86400})
    assert none["results"] == []
    assert "24 hours" in none["message"]
    assert "traces" in (await traffic.test("return true", target="trace"))["message"]


REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({}, "source"),
    ({"source": ""}, "source"),
    ({"source": "return true", "sample_count": 0}, "sample_count"),
    ({"source": "return true", "sample_count": 11}, "sample_count"),
    ({"source": "return true", "sample_count": "many"}, "sample_count"),
    ({"source": "return true", "conditions": {}}, "conditions"),
    ({"source": "return true", "conditions": ["x"]}, "conditions__0"),
    ({"source": "return true", "output_type": "sentiment"}, "output_type"),
    ({"source": "return true", "output_config": []}, "output_config"),
    ({"source": "return true", "output_type": "numeric", "output_config": {"min": 2, "max": 1}}, "output_config"),
    ({"source": "return true", "target": "person"}, "target"),
    ({"source": "return true", "target": "trace", "target_config": {"window_seconds": 1}}, "target_config"),
]


@pytest.mark.parametrize(("body", "field"), REFUSALS)
async def test_refusals(caller: Caller, body: dict[str, Any], field: str) -> None:
    error = await refused(caller, body)

    assert (error["attr"], error["type"]) == (field, "validation_error")
    assert error["error"] == {field: [error["detail"]]}


async def test_what_does_not_compile(caller: Caller) -> None:
    error = await refused(caller, {"source": "let a := 1\nreturn (a"})

    assert error["attr"] == "source"
    assert error["error"] == error["detail"]
    assert "Compilation error" in error["error"]
    assert "line 2" in error["error"]


async def refused(caller: Caller, body: dict[str, Any]) -> dict[str, Any]:
    response = await caller.send("POST", f"{PATH}/", body)
    assert response.status_code == 400, response.text
    error = response.json()
    assert set(error) == {"type", "code", "detail", "attr", "error"}
    return error


async def test_reading_is_enough(connect: Connect, tenants: Tenants, traffic: Traffic) -> None:
    await traffic.send()
    body = {"source": "return true", "conditions": [traffic.condition()]}

    assert (await connect(tenants.read_only).send("POST", PATH, body)).json()["results"] != []
    elsewhere = await connect(tenants.other_project).send("POST", PATH, body)
    assert elsewhere.json()["results"] == []
