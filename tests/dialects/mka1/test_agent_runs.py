"""Runs of coding agents: imported whole and streamed (M§2.12)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.dialects.mka1.conftest import Connect
from tests.support.agents import imported, make_tasks, trial
from tests.support.mka1 import Client, make_suite
from tests.support.tenants import Tenants

PATH = "/api/v1/llm/evals/imports/agent-run"


async def test_import_stores_what_was_sent(client: Client) -> None:
    suite = await make_tasks(client, "a", "b")
    error = {"type": "AgentTimeoutError", "message": "900 s"}
    timings = {"agent_execution": {"started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:01:30Z"}}

    run = await imported(
        client,
        suite.id,
        agent_version="1.2",
        agent_effort="xhigh",
        created_at=1_767_225_600,
        metadata={"job": "7"},
        trials=[
            trial(
                "a",
                prompt="Fix it.",
                target="green",
                output_text="1 passed",
                scores={"reward": 1, "resolved": 1},
                cost_usd=0.25,
                input_tokens=1000,
                output_tokens=50,
                cached_tokens=900,
                reasoning_tokens=20,
                phase_timings=timings,
            ),
            trial("a", scores={"reward": 0}, error=error, cost_usd=0.5),
            trial("b", status="failed", error={"type": "NoContainer"}),
        ],
    )

    assert (run.status, run.models, run.task_ids) == ("completed", ["m"], None)
    assert (run.agent_name, run.agent_version, run.agent_effort) == ("omp", "1.2", "xhigh")
    assert run.created_at == run.started_at == 1_767_225_600
    assert run.request_counts.model_dump() == {"total": 3, "completed": 2, "failed": 1}
    assert run.cost_usd == 0.75
    assert run.tokens.model_dump() == {"input": 1000, "output": 50, "cached": 900, "reasoning": 20}
    assert run.metrics["overall"] == {"resolved": 1, "reward": 0.5}
    assert run.metrics["by_task"]["a"]["counts"] == {"total": 2, "completed": 2, "failed": 0, "scored": 2}
    assert run.metrics["by_task"]["a"]["by_model"]["m"]["metrics"]["reward"] == 0.5
    assert run.artifact_file_ids == []
    samples = (await client.call("evals.list_samples", run_id=run.id)).data
    assert [(s.task_id, s.sample_index, s.status) for s in samples] == [
        ("a", 0, "completed"),
        ("a", 1, "completed"),
        ("b", 2, "failed"),
    ]
    assert (samples[0].prompt, samples[0].target, samples[0].output_text) == ("Fix it.", "green", "1 passed")
    assert samples[0].scores == {"reward": 1, "resolved": 1}
    assert samples[0].phase_timings == timings
    assert (samples[1].error, samples[1].scores) == (error, {"reward": 0})
    overview = await client.call("evals.get_run_overview", run_id=run.id)
    assert overview.trials.model_dump() == {"total": 3, "completed": 2, "failed": 1, "errored": 2, "retried": 0}
    assert (overview.agent_name, overview.agent_version, overview.agent_effort) == ("omp", "1.2", "xhigh")
    assert (overview.avg_reward, overview.cost_usd) == (0.5, 0.75)


async def test_a_partial_import_names_its_tasks(client: Client) -> None:
    suite = await make_tasks(client, "a", "b", "c")

    run = await imported(client, suite.id, trials=[trial("c"), trial("a")])

    assert run.task_ids == ["a", "c"]
    assert set(run.metrics["by_task"]) == {"a", "c"}


async def test_the_stated_cost_wins_over_the_sum(client: Client) -> None:
    suite = await make_tasks(client, "a")

    run = await imported(client, suite.id, cost_usd=3, trials=[trial("a", cost_usd=1)])

    assert run.cost_usd == 3


async def test_text_without_token_figures_is_measured(client: Client) -> None:
    suite = await make_tasks(client, "a")

    run = await imported(
        client, suite.id, trials=[trial("a", prompt="hello world", output_text="hello"), trial("a", output_tokens=3)]
    )

    first, second = (await client.call("evals.list_samples", run_id=run.id)).data
    assert (first.input_tokens, first.output_tokens, first.tokens_estimated) == (2, 1, True)
    assert (second.input_tokens, second.output_tokens, second.tokens_estimated) == (None, 3, False)


async def test_lists_place_a_backfilled_run_where_it_belongs(client: Client) -> None:
    suite = await make_tasks(client, "a")
    newer = await imported(client, suite.id, trials=[trial("a")])

    older = await imported(client, suite.id, trials=[trial("a")], created_at=1_600_000_000)

    listed = await client.call("evals.list_runs", suite_id=suite.id)
    assert [run.id for run in listed.data] == [newer.id, older.id]


async def test_streaming(client: Client) -> None:
    suite = await make_tasks(client, "a", "b")
    run = await imported(client, suite.id, finalize=False, expected_trials=4)
    assert (run.status, run.request_counts.total, run.cost_usd) == ("in_progress", 4, None)

    first = [trial("a", 0, scores={"reward": 0}, cost_usd=1), trial("a", 1, scores={"reward": 1})]
    run = await client.call("evals.append_agent_trials", run_id=run.id, trials=first)
    assert (run.status, run.task_ids) == ("in_progress", ["a"])
    assert run.request_counts.model_dump() == {"total": 4, "completed": 2, "failed": 0}
    before = {s.sample_index: s.id for s in (await client.call("evals.list_samples", run_id=run.id)).data}

    second = [trial("a", 0, scores={"reward": 1}, cost_usd=2), trial("b", 0, status="failed")]
    run = await client.call("evals.append_agent_trials", run_id=run.id, trials=second)
    assert run.request_counts.model_dump() == {"total": 4, "completed": 2, "failed": 1}
    assert (run.cost_usd, run.task_ids, run.metrics["overall"]["reward"]) == (2, None, 1)
    after = {s.sample_index: s.id for s in (await client.call("evals.list_samples", run_id=run.id, task_id="a")).data}
    assert after == before

    run = await client.call("evals.append_agent_trials", run_id=run.id, finalize=True)
    assert run.status == "completed"
    assert run.completed_at is not None
    error = await client.refused(409, "evals.append_agent_trials", run_id=run.id, trials=second)
    assert error["details"]["status"] == "completed"


async def test_parallel_appends_lose_nothing(client: Client) -> None:
    suite = await make_tasks(client, "a")
    run = await imported(client, suite.id, finalize=False)

    answers = await asyncio.gather(
        *(
            client.raw(
                "POST",
                f"/api/v1/llm/evals/runs/{run.id}/trials",
                json={"trials": [trial("a", index, cost_usd=1, scores={"reward": index % 2}) for index in (n, n + 1)]},
            )
            for n in range(8)
        )
    )

    assert {answer.status for answer in answers} == {200}
    run = await client.call("evals.get_run", run_id=run.id)
    assert run.request_counts.model_dump() == {"total": 9, "completed": 9, "failed": 0}
    assert (run.cost_usd, run.metrics["by_task"]["a"]["counts"]["total"]) == (9, 9)


async def test_a_cancelled_stream_takes_no_more(client: Client) -> None:
    suite = await make_tasks(client, "a")
    run = await imported(client, suite.id, finalize=False)

    assert (await client.call("evals.cancel_run", run_id=run.id)).status == "cancelled"

    await client.refused(409, "evals.append_agent_trials", run_id=run.id, trials=[trial("a", 0)])
    await client.refused(409, "evals.retry_failed_run", run_id=run.id)


async def test_nothing_of_an_import_is_run_again(client: Client) -> None:
    suite = await make_tasks(client, "a")
    run = await imported(client, suite.id, trials=[trial("a", status="failed")])

    await client.refused(409, "evals.rerun_failed_samples", run_id=run.id)


async def test_runs_of_our_own_take_no_trials(client: Client) -> None:
    suite = await make_suite(client)
    run = await client.call("evals.create_run", suite_id=suite.id, models=["openai/m"])

    await client.refused(409, "evals.append_agent_trials", run_id=run.id, trials=[trial("qa", 0)])


async def test_a_key_names_one_import(client: Client, connect: Connect, tenants: Tenants) -> None:
    suite, other = await make_tasks(client, "a"), await make_tasks(client, "a")
    body: dict[str, Any] = {"idempotency_key": "job-1", "trials": [trial("a", scores={"reward": 1})]}
    first = await imported(client, suite.id, **body)

    again = await imported(client, suite.id, **body)
    assert again.id == first.id
    assert "warning" not in client.last.headers

    colleague = connect(tenants.same_project)
    changed = await imported(colleague, suite.id, **body, agent_effort="low")
    assert (changed.id, changed.agent_effort) == (first.id, None)
    assert "idempotency_key" in colleague.last.headers["warning"]

    assert (await imported(client, other.id, **body)).id != first.id
    await client.call("evals.delete_run", run_id=first.id)
    assert (await imported(client, suite.id, **body)).id != first.id


async def test_parallel_imports_with_a_key_make_one_run(client: Client) -> None:
    suite = await make_tasks(client, "a")
    body = {"suite_id": suite.id, "agent_name": "omp", "model": "m", "idempotency_key": "k"}

    answers = await asyncio.gather(
        *(client.raw("POST", PATH, json={**body, "metadata": {"n": str(n)}}) for n in range(6))
    )

    assert len({answer.json["id"] for answer in answers}) == 1
    assert sum("warning" in answer.headers for answer in answers) == 5


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"trials": [trial("nope")]}, "trials[0].task_id"),
        ({"trials": [trial("a", 1), trial("a", 1)]}, "trials[1].sample_index"),
        ({"trials": [trial("a", -1)]}, "trials[0].sample_index"),
        ({"trials": [trial("a", status="queued")]}, "trials[0].status"),
        ({"trials": [trial("a", scores={"reward": "high"})]}, "trials[0].scores.reward"),
        ({"trials": [trial("a", scores={"": 1})]}, "trials[0].scores"),
        ({"trials": [trial("a", input_tokens=2**31)]}, "trials[0].input_tokens"),
        ({"trials": [trial("a", cost_usd=-1)]}, "trials[0].cost_usd"),
        ({"trials": [trial("a", surprise=1)]}, "trials[0].surprise"),
        ({"agent_name": ""}, "agent_name"),
        ({"agent_name": None}, "agent_name"),
        ({"model": ""}, "model"),
        ({"suite_version": 0}, "suite_version"),
        ({"expected_trials": -1}, "expected_trials"),
        ({"created_at": 0}, "created_at"),
        ({"created_at": 2**33}, "created_at"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"metadata": {"k": "v" * 513}}, "metadata"),
    ],
)
async def test_import_refuses(client: Client, fields: dict[str, Any], param: str) -> None:
    suite = await make_tasks(client, "a")

    answer = await client.raw("POST", PATH, json={"suite_id": suite.id, "agent_name": "omp", "model": "m", **fields})

    assert answer.status == 400, answer.content
    assert answer.json["error"]["param"] == param


async def test_append_needs_an_index(client: Client) -> None:
    suite = await make_tasks(client, "a")
    run = await imported(client, suite.id, finalize=False)

    answer = await client.raw("POST", f"/api/v1/llm/evals/runs/{run.id}/trials", json={"trials": [{"task_id": "a"}]})

    assert (answer.status, answer.json["error"]["param"]) == (400, "trials[0].sample_index")
    error = await client.refused(400, "evals.append_agent_trials", run_id=run.id, trials=[trial("b", 0)])
    assert error["param"] == "trials[0].task_id"


async def test_bodies_are_bounded(client: Client) -> None:
    suite = await make_tasks(client, "a")
    body = {"suite_id": suite.id, "agent_name": "omp", "model": "m", "trials": [trial("a", output_text="x" * 2**21)]}

    assert (await client.raw("POST", PATH, json=body)).status == 200
    body["trials"] = [trial("a", output_text="x" * 21 * 2**20)]
    assert (await client.raw("POST", PATH, json=body)).status == 413


async def test_others_can_neither_import_nor_append(
    client: Client, outsider: Client, connect: Connect, tenants: Tenants
) -> None:
    suite = await make_tasks(client, "a")
    run = await imported(client, suite.id, finalize=False)
    body = {"suite_id": suite.id, "agent_name": "omp", "model": "m"}

    await outsider.refused(404, "evals.import_agent_run", **body)
    await outsider.refused(404, "evals.append_agent_trials", run_id=run.id)
    await client.refused(404, "evals.import_agent_run", **{**body, "suite_version": 2})
    reader = connect(tenants.read_only)
    await reader.refused(403, "evals.import_agent_run", **body)
    await reader.refused(403, "evals.append_agent_trials", run_id=run.id)
