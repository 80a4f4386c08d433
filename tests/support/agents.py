"""Suites and trials of coding agents, for tests of imports and boards."""

from __future__ import annotations

from typing import Any

from tests.support.mka1 import Client, jsonl, qa_task, questions, upload


async def make_tasks(client: Client, *task_ids: str) -> Any:
    """A suite with tasks of these ids."""
    file = await upload(client, jsonl(*questions(2)))
    tasks = [qa_task(file.id, id=task_id) for task_id in task_ids]
    return await client.call("evals.create_suite", name="agents", manifest={"tasks": tasks})


def trial(task_id: str, index: int | None = None, **fields: Any) -> dict[str, Any]:
    """A trial of a task."""
    placed = {} if index is None else {"sample_index": index}
    return {"task_id": task_id, **placed, **fields}


async def imported(client: Client, suite_id: str, **fields: Any) -> Any:
    """A run of an agent."""
    body = {"agent_name": "omp", "model": "m", **fields}
    return await client.call("evals.import_agent_run", suite_id=suite_id, **body)
