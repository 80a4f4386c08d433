"""The whole way: the vendor's client captures a call of a model, and what evaluations say of it can be read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from openai import OpenAI as PlainOpenAI
from posthog import Posthog
from posthog.ai.openai import OpenAI
from prometheus_client.parser import text_string_to_metric_families
from tests.dialects.posthog.conftest import Caller, Connect
from tests.support.live import LiveServer
from tests.support.model_server import default_reply
from tests.support.waiting import eventually

from assay.core.projects.service import create_organization
from assay.core.projects.types import Credentials
from assay.db.session import transaction

ALL: list[dict[str, Any]] = [{"id": "all", "rollout_percentage": 100, "properties": []}]
NONE: list[dict[str, Any]] = [{"id": "none", "rollout_percentage": 0, "properties": []}]
GENERATION = "$ai_generation"


@dataclass(frozen=True, slots=True)
class Project:
    """A project of the test's own: evaluations see all of a project's events."""

    caller: Caller
    token: str
    live: LiveServer

    async def hog(self, source: str = "return true", **changes: Any) -> dict[str, Any]:
        body: dict[str, Any] = {
            "name": "hog",
            "evaluation_type": "hog",
            "evaluation_config": {"source": source},
            "output_type": "boolean",
            "conditions": ALL,
            "enabled": True,
            **changes,
        }
        return await self.caller.ok("POST", "/evaluations/", body)

    async def send(self, **changes: Any) -> str:
        event_id = str(uuid4())
        properties = {"$ai_trace_id": "t", "$ai_input": "hello", "$ai_output_choices": "good day"}
        event: dict[str, Any] = {
            "uuid": event_id,
            "event": GENERATION,
            "distinct_id": "ann",
            "properties": properties,
            **changes,
        }
        sent = await self.caller.http.post("/batch/", json={"api_key": self.token, "batch": [event]})
        assert sent.status_code == 200, sent.text
        return event["uuid"]

    async def results(self, evaluation: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
        async def check() -> list[dict[str, Any]]:
            page = await self.caller.ok("GET", "/events/?event=$ai_evaluation&limit=1000")
            found = [row for row in page["results"] if row["properties"]["$ai_evaluation_id"] == evaluation["id"]]
            assert len(found) == count, found
            return found

        return await eventually(check, timeout=20) if count else await check()

    async def entries(self, evaluation: Mapping[str, Any], **query: Any) -> list[dict[str, Any]]:
        found = await self.caller.ok("GET", "/evaluation_ledger", params={"evaluation_id": evaluation["id"], **query})
        return found["results"]

    async def run(self, evaluation: Mapping[str, Any], event_id: str, timestamp: str) -> dict[str, Any]:
        body = {"evaluation_id": evaluation["id"], "target_event_id": event_id, "timestamp": timestamp}
        response = await self.caller.send("POST", "/evaluation_runs/", body)
        assert response.status_code == 202, response.text
        return response.json()

    async def timestamp(self, event_id: str) -> str:
        return (await self.caller.ok("GET", f"/events/{event_id}/"))["timestamp"]


@pytest.fixture
async def project(live: LiveServer, connect: Connect) -> Project:
    async def make() -> Credentials:
        async with transaction(live.runtime.sessions) as session:
            return await create_organization(session, name="Own")

    made = await asyncio.to_thread(live.call, make())
    return Project(connect(made.api_key), made.capture_token, live)


def judge_reply(prompt: str, body: Mapping[str, Any]) -> str:
    """The model server is the application's model, and the judge."""
    if "impartial evaluator" in json.dumps(body):
        return json.dumps({"reasoning": "kind", "verdict": True})
    return default_reply(prompt, body)


async def test_a_wrapped_call_is_judged(project: Project, provider_url: str, live: LiveServer) -> None:
    caller = project.caller
    key = {"provider": "openai", "name": "own", "api_key": f"sk-{uuid4().hex}", "base_url": provider_url}
    made = await caller.ok("POST", "/llm_analytics/provider_keys", key)
    judge = await project.hog(
        name="judge",
        evaluation_type="llm_judge",
        evaluation_config={"prompt": "Is it kind?"},
        model_configuration={"provider": "openai", "model": "mock", "provider_key_id": made["id"]},
    )
    program = await project.hog("print(output); return null", output_config={"allows_na": True})
    feeling = await project.hog(
        evaluation_type="sentiment", evaluation_config={}, output_type="sentiment", name="feeling"
    )
    left_out = await project.hog(conditions=NONE)
    live.models.behaviour.reply = judge_reply

    def work() -> None:
        posthog = Posthog(project.token, host=live.url, sync_mode=True, max_retries=0)
        try:
            client = OpenAI(api_key="sk-x", base_url=live.models.url, posthog_client=posthog)
            assert isinstance(client, PlainOpenAI)
            client.chat.completions.create(
                model="mock",
                messages=[{"role": "user", "content": "I hate this broken thing. answer=hi"}],
                posthog_distinct_id="ann",
            )
        finally:
            posthog.shutdown()

    try:
        await asyncio.to_thread(work)
        [judged] = await project.results(judge, 1)
        [checked] = await project.results(program, 1)
        [felt] = await project.results(feeling, 1)
    finally:
        live.models.behaviour.reply = default_reply
    assert judged["properties"]["$ai_evaluation_result"] is True
    assert judged["properties"]["$ai_evaluation_reasoning"] == "kind"
    assert judged["properties"]["$ai_evaluation_key_type"] == "byok"
    assert checked["properties"]["$ai_evaluation_applicable"] is False
    assert '"hi"' in checked["properties"]["$ai_evaluation_reasoning"]
    assert felt["properties"]["$ai_sentiment_label"] == "negative"
    assert felt["properties"]["$ai_sentiment_message_count"] == 1
    [entry] = await project.entries(left_out)
    assert (entry["state"], entry["outcome"], entry["reason"]) == ("done", "sampled_out", None)
    assert entry["target_id"] == judged["properties"]["$ai_target_id"]
    assert await project.results(left_out, 0) == []
    summary = await caller.ok("GET", f"/evaluations/{judge['id']}/summary")
    assert summary["counts"] == [{"state": "done", "outcome": "scored", "reason": None, "count": 1}]
    assert summary["breaker"] == {"state": "closed", "failures": 0, "open_until": None}
    assert (summary["oldest_due_seconds"], summary["next_due_at"]) == (None, None)
    assert summary["median_seconds"] > 0
    budget = await caller.ok("GET", f"/evaluations/{judge['id']}/budget")
    assert budget["calls_today"] == 1


async def test_a_run_by_hand_asks_nobody_twice(project: Project) -> None:
    evaluation = await project.hog("print(now()); return true")
    event_id = await project.send()
    [live_result] = await project.results(evaluation, 1)
    run = await project.run(evaluation, event_id, await project.timestamp(event_id))

    assert run["status"] == "started"
    assert run["evaluation"] == {"id": evaluation["id"], "name": "hog"}
    assert run["target_event_id"] == event_id
    assert run["workflow_id"].startswith(f"llma-hog-eval-{evaluation['id']}-{event_id}-manual-")
    results = await project.results(evaluation, 2)
    reasons = {row["properties"]["$ai_evaluation_reasoning"] for row in results}
    assert reasons == {live_result["properties"]["$ai_evaluation_reasoning"]}
    assert {row["properties"]["$ai_evaluation_trigger"] for row in results} == {"live"}
    assert len(await project.entries(evaluation)) == 1


async def test_a_run_by_hand_judges_what_was_left_out(project: Project) -> None:
    evaluation = await project.hog(conditions=NONE, enabled=False)
    event_id = await project.send()
    await project.run(evaluation, event_id, await project.timestamp(event_id))

    await project.results(evaluation, 1)
    [entry] = await project.entries(evaluation)
    assert (entry["outcome"], entry["trigger"], entry["target_id"]) == ("scored", "manual", event_id)


REFUSALS: list[tuple[str, dict[str, Any], int, str, str | None]] = [
    ("no event", {"target_event_id": None}, 400, "null", "target_event_id"),
    ("bad event", {"target_event_id": "x"}, 400, "invalid", "target_event_id"),
    ("bad time", {"timestamp": "soon"}, 400, "invalid", "timestamp"),
    ("unknown evaluation", {"evaluation_id": str(uuid4())}, 404, "not_found", None),
    ("unknown event", {"target_event_id": str(uuid4())}, 404, "not_found", None),
    ("another day", {"timestamp": "2020-01-01T00:00:00Z"}, 404, "not_found", None),
    ("another name", {"event": "$ai_span"}, 404, "not_found", None),
    ("another person", {"distinct_id": "bob"}, 404, "not_found", None),
]


async def test_runs_that_are_refused(project: Project) -> None:
    evaluation = await project.hog(enabled=False)
    event_id = await project.send()
    good = {
        "evaluation_id": evaluation["id"],
        "target_event_id": event_id,
        "timestamp": await project.timestamp(event_id),
    }
    for name, changes, status, code, attr in REFUSALS:
        response = await project.caller.send("POST", "/evaluation_runs", {**good, **changes})
        error = response.json()
        assert (response.status_code, error["code"], error["attr"]) == (status, code, attr), name
        assert error["error"] == ({attr: [error["detail"]]} if status == 400 else error["detail"]), name
    missing = await project.caller.send("POST", "/evaluation_runs", {})
    assert (missing.json()["code"], missing.json()["attr"]) == ("required", "evaluation_id")
    trace = await project.hog(target="trace", enabled=False)
    response = await project.caller.send("POST", "/evaluation_runs", {**good, "evaluation_id": trace["id"]})
    assert (response.status_code, response.json()["code"]) == (400, "evaluation_target_mismatch")
    assert "trace" in response.json()["detail"]


async def test_a_backfill_judges_what_nobody_judged(project: Project) -> None:
    early = [await project.send() for _ in range(3)]
    evaluation = await project.hog()
    late = await project.send()
    await project.results(evaluation, 1)
    path = f"/evaluations/{evaluation['id']}/backfills"
    made = await project.caller.ok("POST", path, {"after": "2020-01-01T00:00:00Z"})
    assert (made["status"], made["enrolled"], made["limit"]) == ("queued", 0, 10_000)

    async def completed() -> dict[str, Any]:
        found = await project.caller.ok("GET", f"{path}/{made['id']}")
        assert found["status"] == "completed", found
        return found

    found = await eventually(completed, timeout=20)
    assert (found["examined"], found["enrolled"], found["existing"]) == (4, 3, 1)
    assert found["counts"] == [{"state": "done", "outcome": "scored", "reason": None, "count": 3}]
    results = await project.results(evaluation, 4)
    by_event = {row["properties"]["$ai_target_id"]: row["properties"] for row in results}
    assert set(by_event) == {*early, late}
    assert by_event[late]["$ai_evaluation_trigger"] == "live"
    assert {by_event[one]["$ai_evaluation_trigger"] for one in early} == {"backfill"}
    assert {by_event[one]["$ai_evaluation_backfill_id"] for one in early} == {made["id"]}
    assert {entry["target_id"] for entry in await project.entries(evaluation, trigger="backfill")} == {*early}
    listed = await project.caller.ok("GET", path)
    assert [one["id"] for one in listed["results"]] == [made["id"]]
    response = await project.caller.send("POST", f"{path}/{made['id']}/cancel", {})
    assert response.json()["status"] == "completed"


async def test_filters_can_be_expressions(project: Project) -> None:
    expression = "properties.$ai_latency > 5 and person.properties.plan in ('pro', 'team')"
    conditions = [{"id": "slow", "rollout_percentage": 100, "properties": [{"type": "hogql", "key": expression}]}]
    evaluation = await project.hog(conditions=conditions)
    assert evaluation["conditions"][0]["properties"][0]["key"] == expression
    slow, quick = {"$ai_latency": 6.5, "$set": {"plan": "pro"}}, {"$ai_latency": 1, "$set": {"plan": "pro"}}
    wanted = await project.send(properties=slow)
    left = [await project.send(properties=quick), await project.send(distinct_id="bob", properties={"$ai_latency": 9})]
    await project.results(evaluation, 1)
    assert [entry["target_id"] for entry in await project.entries(evaluation)] == [wanted]

    scope = {
        "after": "2020-01-01T00:00:00Z",
        "apply_conditions": False,
        "properties": [{"type": "hogql", "key": "distinct_id = 'bob' or (properties.$ai_latency = 1)"}],
    }
    await project.caller.ok("POST", f"/evaluations/{evaluation['id']}/backfills", scope)
    await project.results(evaluation, 3)
    assert {entry["target_id"] for entry in await project.entries(evaluation, trigger="backfill")} == {*left}


async def test_prometheus_counts_events_and_outcomes(project: Project) -> None:
    async def counted(name: str, **labels: str) -> float:
        found = text_string_to_metric_families((await project.caller.http.get("/metrics")).text)
        samples = [sample for family in found for sample in family.samples if sample.name == name]
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())

    async def all_counted() -> list[float]:
        captured = [
            await counted("assay_captured_events_total", outcome=outcome) for outcome in ("stored", "known", "refused")
        ]
        return [*captured, await counted("assay_online_outcomes_total", kind="hog", outcome="failed")]

    evaluation = await project.hog("return 1")
    before = await all_counted()
    event_id = await project.send()

    async def failed() -> bool:
        [entry] = await project.entries(evaluation)
        return entry["outcome"] == "failed"

    await eventually(failed, timeout=20)
    await project.send(uuid=event_id)
    bad: dict[str, Any] = {"api_key": project.token, "batch": [{"event": "", "distinct_id": "ann", "properties": {}}]}
    await project.caller.http.post("/batch/", json=bad)

    async def counted_once() -> bool:
        after = await all_counted()
        return [later - earlier for later, earlier in zip(after, before, strict=True)] == [1, 1, 1, 1]

    # An outcome is counted after it is on record.
    await eventually(counted_once, timeout=20)


BACKFILLS: list[tuple[dict[str, Any], str, str]] = [
    ({}, "after", "required"),
    ({"after": "x"}, "after", "invalid"),
    ({"after": "2026-01-02T00:00:00Z", "before": "2026-01-01T00:00:00Z"}, "after", "invalid"),
    ({"after": "2020-01-01T00:00:00Z", "limit": 0}, "limit", "min_value"),
    ({"after": "2020-01-01T00:00:00Z", "properties": {}}, "properties", "not_a_list"),
    ({"after": "2020-01-01T00:00:00Z", "properties": [1]}, "properties", "invalid"),
    ({"after": "2020-01-01T00:00:00Z", "properties": [{"key": "x", "type": "cohort"}]}, "properties", "invalid"),
]


async def test_backfills_that_are_refused(project: Project) -> None:
    evaluation = await project.hog(enabled=False)
    for body, attr, code in BACKFILLS:
        error = await project.caller.refused(400, "POST", f"/evaluations/{evaluation['id']}/backfills", body)
        assert (error["attr"], error["code"]) == (attr, code), body


async def test_lists_page_and_filter(project: Project) -> None:
    evaluation = await project.hog(conditions=NONE)
    for _ in range(5):
        await project.send()
    first = await project.caller.ok("GET", f"/evaluation_ledger/?evaluation_id={evaluation['id']}&limit=2")
    seen = first["results"]
    page = first
    while page["next"]:
        page = await project.caller.ok("GET", page["next"].partition("@current")[2])
        seen += page["results"]
    assert len({row["id"] for row in seen}) == len(seen) == 5
    assert len(await project.entries(evaluation, outcome="sampled_out", state="done")) == 5
    assert await project.entries(evaluation, outcome="scored") == []
    assert await project.entries(evaluation, before="2020-01-01") == []
    [one] = (await project.caller.ok("GET", f"/evaluation_ledger?target_id={seen[0]['target_id']}"))["results"]
    assert one == seen[0]
    await project.caller.refused(400, "GET", "/evaluation_ledger")
    await project.caller.refused(400, "GET", "/evaluation_ledger?evaluation_id=x")
    await project.caller.refused(400, "GET", f"/evaluation_ledger?evaluation_id={evaluation['id']}&outcome=x")


async def test_the_ledger_of_others_is_not_seen(project: Project, stranger: Caller) -> None:
    evaluation = await project.hog()
    event_id = await project.send()
    await project.results(evaluation, 1)
    for query in (f"evaluation_id={evaluation['id']}", f"target_id={event_id}"):
        assert (await stranger.ok("GET", f"/evaluation_ledger?{query}"))["results"] == []
    body = {"evaluation_id": evaluation["id"], "target_event_id": event_id, "timestamp": "2026-01-01T00:00:00Z"}
    response = await stranger.send("POST", "/evaluation_runs", body)
    assert response.status_code == 404
    assert evaluation["id"] in response.json()["error"]


async def test_budgets_are_set_and_read(project: Project) -> None:
    evaluation = await project.hog(enabled=False)
    path = f"/evaluations/{evaluation['id']}/budget"
    nothing = {"max_usd_per_day": None, "max_calls_per_day": None, "usd_today": 0.0, "calls_today": 0}
    assert await project.caller.ok("GET", path) == {"evaluation_id": evaluation["id"], **nothing}
    limits = {"max_usd_per_day": 1.5, "max_calls_per_day": 10}
    assert await project.caller.ok("PUT", path, limits) == {"evaluation_id": evaluation["id"], **nothing, **limits}
    assert (await project.caller.ok("PUT", path, {"max_calls_per_day": 5}))["max_usd_per_day"] is None
    await project.caller.ok("PUT", "/evaluation_budget", limits)
    assert await project.caller.ok("GET", "/evaluation_budget/") == {"evaluation_id": None, **nothing, **limits}
    for bad in ({"max_usd_per_day": -1}, {"max_calls_per_day": 1.5}, {"max_usd_per_day": "NaN"}):
        await project.caller.refused(400, "PUT", path, bad)
