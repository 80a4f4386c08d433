"""A run that a model judged, and its calibration, made over HTTP."""

from __future__ import annotations

from typing import Any

from tests.support.mka1 import Client, jsonl, upload

EVALS = "/api/v1/llm/evals"
JUDGE = {"type": "judge", "criteria": "Is it right?", "models": ["openai/judge"], "repeats": 1}


async def judged_run(client: Client, verdicts: list[bool] | None = None, **grader: Any) -> str:
    """The id of a completed run whose judge gives these verdicts, one for each row.

    The model server says what its prompt asks for, also as the judge: the row is in both prompts.
    """
    wanted = [True, False] if verdicts is None else verdicts
    rows = [
        {"question": f'{number} answer={{"verdict":{str(verdict).lower()}}}'} for number, verdict in enumerate(wanted)
    ]
    file = await upload(client, jsonl(*rows))
    task = {"id": "t", "type": "llm_judge", "dataset": {"file_id": file.id}, "grader": {**JUDGE, **grader}}
    suite = await posted(client, "/suites", {"name": "judged", "manifest": {"tasks": [task]}})
    run = await posted(client, "/runs", {"suite_id": suite["id"], "models": ["openai/m"]})
    await client.finished(run["id"])
    return run["id"]


async def samples_of(client: Client, run_id: str) -> list[dict[str, Any]]:
    """The run's samples."""
    return await got(client, f"/runs/{run_id}/samples", field="data")


async def calibrate(client: Client, run_id: str, labels: list[bool] | None = None) -> dict[str, Any]:
    """A calibration of the run's judge, by labels of its first samples, with the id of one of them as ``label_id``."""
    samples = await samples_of(client, run_id)
    wanted = [True, False] if labels is None else labels
    body = [
        {"subject": {"kind": "sample", "id": sample["id"]}, "metric": "score", "value": value}
        for sample, value in zip(samples, wanted, strict=False)
    ]
    await posted(client, "/labels", {"labels": body})
    made = await posted(client, "/calibrations", {"judge_version": samples[0]["judge"]["judge_version"]})
    [label] = await got(client, f"/labels?subject_id={samples[0]['id']}", field="data")
    return {**made, "label_id": label["id"]}


async def posted(client: Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The answer to a POST that succeeds."""
    answer = await client.raw("POST", EVALS + path, json=body)
    assert answer.status == 200, answer.content
    return answer.json


async def got(client: Client, path: str, *, field: str | None = None) -> Any:
    """The answer to a GET that succeeds, or one field of it."""
    answer = await client.raw("GET", EVALS + path)
    assert answer.status == 200, answer.content
    return answer.json if field is None else answer.json[field]
