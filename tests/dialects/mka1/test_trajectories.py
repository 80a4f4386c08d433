"""Trajectories of agents' trials (M§2.7)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.dialects.mka1.conftest import Connect
from tests.support.agents import imported, make_tasks, trial
from tests.support.mka1 import Client
from tests.support.tenants import Tenants

STEPS: list[Any] = [
    {"step_id": 1, "source": "agent", "reasoning_content": "Look.", "tool_calls": [{"function_name": "ls"}]},
    {"observation": {"results": [{"source_call_id": "c1", "content": "a.py"}]}, "extra": [None, 1.5, {"é": []}]},
]


def path_of(run: Any, index: int = 0, query: str = "") -> str:
    return f"/api/v1/llm/evals/runs/{run.id}/samples/{index}/trajectory{query}"


async def test_a_trajectory_comes_back_as_it_was_sent(client: Client) -> None:
    suite = await make_tasks(client, "a")
    run = await imported(client, suite.id, trials=[trial("a")])
    logs = {"trial.log": "ok\n", "exception.txt": ""}
    upload = {"run_id": run.id, "sample_index": 0}
    size = sum(len(json.dumps(part, ensure_ascii=False, separators=(",", ":")).encode()) for part in (STEPS, logs))

    stored = await client.call("evals.upload_sample_trajectory", **upload, steps=STEPS, logs=logs)

    assert (stored.task_id, stored.model, stored.step_count, stored.size_bytes) == ("a", "m", 2, size)
    found = await client.call("evals.get_sample_trajectory", **upload)
    assert (found.steps, found.logs, found.schema_version) == (STEPS, logs, "ATIF-v1.7")
    assert (found.run_id, found.sample_index, found.step_count, found.size_bytes) == (run.id, 0, 2, size)


async def test_sending_again_replaces(client: Client) -> None:
    suite = await make_tasks(client, "a")
    run = await imported(client, suite.id, trials=[trial("a")])
    upload = {"run_id": run.id, "sample_index": 0}
    await client.call("evals.upload_sample_trajectory", **upload, steps=STEPS, logs={"trial.log": "x"})

    await client.call("evals.upload_sample_trajectory", **upload, steps=[], schema_version="ATIF-v2")

    found = await client.call("evals.get_sample_trajectory", **upload)
    assert (found.steps, found.logs, found.schema_version) == ([], None, "ATIF-v2")


async def test_steps_are_never_looked_into(client: Client) -> None:
    """Control characters of terminals, large integers and deep nesting are the agent's business."""
    suite = await make_tasks(client, "a")
    run = await imported(client, suite.id, trials=[trial("a")])
    deep: Any = []
    for _ in range(200):
        deep = [deep]
    steps = [{"content": "\x00\x1b[0m", "seed": 2**80, "deep": deep}, "text", 1, None]

    answer = await client.raw("PUT", path_of(run), json={"steps": steps, "logs": {"trial.log": "\x00"}})

    assert answer.status == 200, answer.content
    found = json.loads((await client.raw("GET", path_of(run))).content)
    assert (found["steps"], found["logs"]) == (steps, {"trial.log": "\x00"})


async def test_an_index_in_several_tasks_is_never_guessed(client: Client) -> None:
    suite = await make_tasks(client, "a", "b")
    run = await imported(client, suite.id, trials=[trial("a", 0), trial("b", 0), trial("b", 1)])
    upload = {"run_id": run.id, "sample_index": 0}

    error = await client.refused(400, "evals.upload_sample_trajectory", **upload, steps=[])
    assert error["param"] == "task_id"
    await client.refused(400, "evals.get_sample_trajectory", **upload)
    await client.call("evals.upload_sample_trajectory", **upload, steps=[1], task_id="b", model="m")
    await client.call("evals.upload_sample_trajectory", run_id=run.id, sample_index=1, steps=[1, 2])

    assert (await client.call("evals.get_sample_trajectory", **upload, task_id="b")).steps == [1]
    await client.refused(404, "evals.get_sample_trajectory", **upload, task_id="a")


@pytest.mark.parametrize(
    "place", [{"sample_index": 7}, {"sample_index": 0, "task_id": "b"}, {"sample_index": 0, "model": "other"}]
)
async def test_no_such_sample(client: Client, place: dict[str, Any]) -> None:
    suite = await make_tasks(client, "a", "b")
    run = await imported(client, suite.id, trials=[trial("a")])

    await client.refused(404, "evals.get_sample_trajectory", run_id=run.id, **place)
    await client.refused(404, "evals.upload_sample_trajectory", run_id=run.id, steps=[], **place)


async def test_a_replaced_trial_keeps_its_trajectory(client: Client) -> None:
    suite = await make_tasks(client, "a")
    run = await imported(client, suite.id, finalize=False, trials=[trial("a", 0)])
    upload = {"run_id": run.id, "sample_index": 0}
    await client.refused(404, "evals.get_sample_trajectory", **upload)
    await client.call("evals.upload_sample_trajectory", **upload, steps=STEPS)

    await client.call("evals.append_agent_trials", run_id=run.id, trials=[trial("a", 0, scores={"reward": 1})])

    assert (await client.call("evals.get_sample_trajectory", **upload)).steps == STEPS


async def test_the_bounds_of_size(client: Client) -> None:
    suite = await make_tasks(client, "a")
    run = await imported(client, suite.id, trials=[trial("a")])
    room = 16 * 2**20 - len('[""]')

    largest = await client.raw("PUT", path_of(run), json={"steps": ["x" * room]})
    assert (largest.status, largest.json["size_bytes"]) == (200, 16 * 2**20)
    assert (await client.raw("PUT", path_of(run), json={"steps": ["x" * (room + 1)]})).status == 413
    assert (await client.raw("PUT", path_of(run), json={"steps": ["x" * (21 * 2**20)]})).status == 413
    logs = {"trial.log": "x" * 100}
    assert (await client.raw("PUT", path_of(run), json={"steps": ["x" * room], "logs": logs})).status == 413


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "steps"),
        ({"steps": {}}, "steps"),
        ({"steps": [], "logs": {"a": 1}}, "logs.a"),
        ({"steps": [], "x": 1}, "x"),
    ],
)
async def test_upload_refuses(client: Client, body: dict[str, Any], param: str) -> None:
    suite = await make_tasks(client, "a")
    run = await imported(client, suite.id, trials=[trial("a")])

    answer = await client.raw("PUT", path_of(run), json=body)

    assert (answer.status, answer.json["error"]["param"]) == (400, param)


async def test_who_may(client: Client, outsider: Client, connect: Connect, tenants: Tenants) -> None:
    suite = await make_tasks(client, "a")
    run = await imported(client, suite.id, trials=[trial("a")])
    upload = {"run_id": run.id, "sample_index": 0}
    await client.call("evals.upload_sample_trajectory", **upload, steps=[])

    await outsider.refused(404, "evals.get_sample_trajectory", **upload)
    await outsider.refused(404, "evals.upload_sample_trajectory", **upload, steps=[])
    reader = connect(tenants.read_only)
    assert (await reader.call("evals.get_sample_trajectory", **upload)).steps == []
    await reader.refused(403, "evals.upload_sample_trajectory", **upload, steps=[])
