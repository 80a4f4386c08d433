"""Jobs that the server itself carries out, from the request that makes them to the report (O§3), over HTTP alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.dialects.overmind.conftest import Caller
from tests.support.live import LiveServer
from tests.support.waiting import eventually

PATIENCE = 40
CANCEL_SECONDS = 5
HELD = "a question nobody answers"
MODEL = "openai/any"
ENDED = ("completed", "failed", "cancelled")


@pytest.fixture
async def held(live: LiveServer) -> AsyncIterator[None]:
    """The provider does not answer questions that say so."""
    live.models.behaviour.hanging = HELD
    yield
    live.models.behaviour.hanging = None


async def until(caller: Caller, job: dict[str, Any], *statuses: str) -> dict[str, Any]:
    """The job once it has one of the statuses."""

    async def check() -> dict[str, Any]:
        found = await caller.ok("GET", f"/jobs/{job['id']}/")
        assert found["status"] in (statuses or ENDED), found
        return found

    return await eventually(check, timeout=PATIENCE)


async def agent_with(caller: Caller, points: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """An agent with a prompt and an active dataset."""
    agent = await caller.agent(model=MODEL, analyzer_model=MODEL, **fields)
    await caller.ok("POST", "/prompts/", {"agent": agent["id"], "system_prompt": "Answer."})
    if points:
        await caller.ok("POST", "/datasets/", {"agent": agent["id"], "datapoints": points})
    return agent


def in_flight(live: LiveServer, count: int) -> Any:
    """A check of how many requests the provider has not answered."""
    return lambda: live.models.stats.in_flight >= count


@pytest.mark.usefixtures("held")
async def test_f_cancel_during_a_server_run_job(caller: Caller, live: LiveServer) -> None:
    questions = [{"input": f"q{n} answer={n}"} for n in range(10)] + [{"input": f"{HELD} {n}"} for n in range(20)]
    agent = await agent_with(caller, questions)
    before = live.models.stats.in_flight
    job = await caller.ok("POST", "/jobs/", {"job_type": "inference", "agent": agent["id"]})
    assert (job["status"], job["celery_task_id"]) == ("pending", f"job/{job['id']}/1")
    await eventually(in_flight(live, before + 10), timeout=PATIENCE)
    assert (await caller.ok("GET", f"/jobs/{job['id']}/"))["status"] == "running"

    cancelled = await caller.ok("PATCH", f"/jobs/{job['id']}/", {"status": "cancelled"})

    assert cancelled["status"] == "cancelled"
    assert cancelled["result"]["cancelled_by_user"] is True
    handle = live.runtime.temporal.get_workflow_handle(job["celery_task_id"])

    def let_go() -> bool:
        return live.call(handle.describe()).close_time is not None

    await eventually(let_go, timeout=CANCEL_SECONDS)
    asked = live.models.stats.requests
    late = await caller.ok("PATCH", f"/jobs/{job['id']}/", {"status": "running"})
    assert late["status"] == "cancelled", "a late report does not bring it back"

    live.models.behaviour.hanging = None
    again = await caller.ok("PATCH", f"/jobs/{job['id']}/", {"status": "pending"})
    assert (again["status"], again["celery_task_id"]) == ("pending", f"job/{job['id']}/2")
    done = await until(caller, job)
    assert (done["status"], done["result"]["succeeded"]) == ("completed", 30)
    assert "cancelled_by_user" not in done["result"]
    assert live.models.stats.requests - asked == 20, "what was answered before is not asked again"


@pytest.mark.usefixtures("held")
async def test_deleting_a_running_job_stops_it(caller: Caller, live: LiveServer) -> None:
    agent = await agent_with(caller, [{"input": f"{HELD} {n}"} for n in range(3)])
    before = live.models.stats.in_flight
    job = await caller.ok("POST", "/jobs/", {"job_type": "inference", "agent": agent["id"]})
    await eventually(in_flight(live, before + 3), timeout=PATIENCE)

    await caller.ok("DELETE", f"/jobs/{job['id']}/")

    await caller.refused(404, "GET", f"/jobs/{job['id']}/")
    handle = live.runtime.temporal.get_workflow_handle(job["celery_task_id"])
    await eventually(lambda: live.call(handle.describe()).close_time is not None, timeout=CANCEL_SECONDS)


async def test_a_bare_job_fails_for_want_of_a_target(caller: Caller) -> None:
    made = await caller.ok("POST", "/jobs/", {})

    failed = await until(caller, made)

    assert (failed["status"], failed["result"]["error_code"]) == ("failed", "no_target")
    assert failed["result"]["error"] in failed["report_markdown"]


async def test_outputs_from_elsewhere_are_set_up_and_scored(caller: Caller) -> None:
    agent = await agent_with(caller, [])
    rows: list[dict[str, Any]] = [
        {"input": "1 + 1", "output": "2", "expected_output": "2"},
        {"input": "1 + 2", "output": "4", "expected_output": "3"},
    ]
    body = {"job_type": "uploaded_outputs_setup", "agent": agent["id"], "result": {"parameters": {"rows": rows}}}

    made = await until(caller, await caller.ok("POST", "/jobs/", body))
    assert made["status"] == "completed", made["result"]
    dataset = made["result"]["dataset"]
    assert (await caller.ok("GET", f"/agents/{agent['id']}/"))["active_dataset"] == dataset
    scored = await until(caller, await caller.ok("POST", "/jobs/", {"job_type": "judge_scoring", "agent": agent["id"]}))

    assert (scored["status"], scored["baseline_score"], scored["best_score"]) == ("completed", 50.0, None)
    assert [(row["iteration_name"], row["avg_score"]) for row in scored["iterations"]] == [("baseline", 50.0)]
    points = await caller.ok("GET", f"/datasets/{dataset}/datapoints/")
    assert [(row["output"], row["correctness"]) for row in points["results"]] == [("2", 1.0), ("4", 0.0)]


async def test_production_traces_are_judged(caller: Caller, live: LiveServer) -> None:
    agent = await agent_with(caller, [], evaluation_criteria={"correctness": ["It is right."]})
    for number in range(3):
        record = {"agent": agent["id"], "trace_id": f"t{number}", "input_data": {"q": number}, "output_data": "answer"}
        await caller.ok("POST", "/traces/", record)
    body = {"job_type": "judge_scoring", "agent": agent["id"], "data_source": "traces"}
    reply = live.models.behaviour.reply
    live.models.behaviour.reply = lambda prompt, request: '{"reasoning": "r", "score": 0.75}'
    try:
        done = await until(caller, await caller.ok("POST", "/jobs/", body))
    finally:
        live.models.behaviour.reply = reply

    assert (done["status"], done["result"].get("spans_evaluated")) == ("completed", 3), done["result"]
    assert done["baseline_score"] == 75.0
    traces = await caller.ok("GET", "/traces/", params={"agent": agent["id"]})
    assert [row["score"] for row in traces["results"]] == [75.0] * 3


async def test_a_backtest_of_two_models(caller: Caller) -> None:
    points = [{"input": f"q{n} answer={n}", "expected_output": str(n)} for n in range(12)]
    agent = await agent_with(caller, points)
    body = {
        "job_type": "model_backtesting",
        "agent": agent["id"],
        "result": {"parameters": {"models": ["openai/other"]}},
    }

    done = await until(caller, await caller.ok("POST", "/jobs/", body))

    assert done["status"] == "completed", done["result"]
    assert done["result"]["parameters"] == {"models": ["openai/other"]}
    assert done["result"]["recommendations"]["verdict"] == "current_is_best"
    assert (done["baseline_score"], done["improvement"]) == (100.0, 0.0)
    assert set(done["backtest_results"]) == {MODEL, "openai/other", "baseline", "recommendations"}
