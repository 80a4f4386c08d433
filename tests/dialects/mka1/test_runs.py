"""Runs (M§2.1 rows 14 to 21 and 26, M§2.4, M§2.5, M§2.7, M§2.11, M§5.1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import orjson
import pytest
from tests.dialects.mka1.conftest import Connect
from tests.support.live import LiveServer
from tests.support.mka1 import Answer, Client, make_suite, questions
from tests.support.tenants import Tenants
from tests.support.waiting import eventually

RUNS = "/api/v1/llm/evals/runs"
MODEL = "openai/m"

STRICT_GRADER = {
    "type": "python",
    "source": "def grade(sample, item):\n"
    "    if sample['output_text'] == 'bad':\n"
    "        raise ValueError('cannot grade bad')\n"
    "    return 1.0 if sample['output_text'] == item['answer'] else 0.0\n",
}


def fresh_questions(count: int) -> list[dict[str, Any]]:
    """Rows whose prompts nobody has asked before, so that no answer comes from the cache."""
    return [{**row, "question": f"{uuid4().hex} {row['question']}"} for row in questions(count)]


@pytest.fixture
def hanging(live: LiveServer) -> Iterator[None]:
    """The provider never answers during the test."""
    live.models.behaviour.hang = True
    yield
    live.models.behaviour.hang = False


async def test_a_run_from_queued_to_completed(client: Client) -> None:
    suite = await make_suite(client)

    queued = await client.call(
        "evals.create_run",
        suite_id=suite.id,
        models=[MODEL],
        generation={"temperature": 0, "max_output_tokens": 512},
        metadata={"purpose": "mvp"},
    )
    created = client.last.json
    run = await client.finished(queued.id)
    done = client.last.json

    assert created == {
        **created,
        "id": queued.id,
        "object": "eval.run",
        "suite_id": suite.id,
        "suite_version": 1,
        "org_id": suite.org_id,
        "team_id": suite.team_id,
        "status": "queued",
        "models": [MODEL],
        "task_ids": None,
        "judge_model": None,
        "embedding_model": None,
        "generation": {"temperature": 0, "max_output_tokens": 512},
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
        "metrics": None,
        "error": None,
        "artifact_file_ids": [],
        "metadata": {"purpose": "mvp"},
        "agent_name": None,
        "agent_version": None,
        "agent_effort": None,
        "cost_usd": None,
        "tokens": {"input": None, "output": None, "cached": None, "reasoning": None},
        "started_at": None,
        "completed_at": None,
        "cancelled_at": None,
        "failed_at": None,
    }
    assert created["suite_version_id"].startswith("eval_sver_")
    changed = {key for key in done if done[key] != created[key]}
    assert changed == {
        "status",
        "request_counts",
        "metrics",
        "artifact_file_ids",
        "tokens",
        "started_at",
        "completed_at",
    }
    assert run.status == "completed"
    assert done["request_counts"] == {"total": 3, "completed": 3, "failed": 0}
    assert done["created_at"] <= done["started_at"] <= done["completed_at"]


async def test_metrics_have_the_documented_shape(client: Client, completed: Any) -> None:
    metrics = (await client.raw("GET", f"{RUNS}/{completed.id}")).json["metrics"]

    assert completed.cost_usd is None  # no price is configured, so it is unknown rather than 0
    assert metrics["overall"]["exact_match"] == 1
    assert metrics["by_model"] == {MODEL: metrics["overall"]}
    task = metrics["by_task"]["qa"]
    assert task["metrics"] == metrics["overall"]
    assert task["counts"] == {"total": 3, "completed": 3, "failed": 0, "scored": 3}
    assert set(task["tokens"]) == {"input", "output", "cached", "reasoning", "estimated"}
    assert task["by_model"][MODEL]["metrics"] == metrics["overall"]


async def test_the_documented_list_field_for_field(client: Client) -> None:
    """The list of runs as the published documentation shows it."""
    suite = await make_suite(client)
    run = await client.call(
        "evals.create_run",
        suite_id=suite.id,
        models=[MODEL],
        generation={"temperature": 0, "max_output_tokens": 512},
        metadata={"purpose": "mvp"},
    )
    run_id = run.id

    await client.call("evals.list_runs", limit=1, suite_id=suite.id)

    page = client.last.json
    assert set(page) == {"object", "data", "first_id", "last_id", "has_more"}
    assert (page["object"], page["first_id"], page["last_id"], page["has_more"]) == ("list", run_id, run_id, False)
    shown = page["data"][0]
    assert set(shown) >= {
        "id", "object", "suite_id", "suite_version", "suite_version_id", "status", "models", "task_ids",
        "judge_model", "embedding_model", "generation", "request_counts", "metrics", "error", "artifact_file_ids",
        "metadata", "created_at", "started_at", "completed_at", "cancelled_at", "failed_at",
    }  # fmt: skip
    assert shown["generation"] == {"temperature": 0, "max_output_tokens": 512}
    assert set(shown["request_counts"]) == {"total", "completed", "failed"}
    await client.finished(run_id)


async def test_generation_is_kept_as_sent(client: Client) -> None:
    """Aliases, unknown provider switches and nested nulls come back as they went in (R16)."""
    generation = {
        "max_gen_toks": 16,
        "until": ["\n\n"],
        "stop": "END",
        "do_sample": False,
        "extra_body": {"nested": {"null": None, "list": [1, None]}},
        "seed": 7,
    }
    suite = await make_suite(client)
    body = {"suite_id": suite.id, "models": [MODEL], "generation": generation}

    answer = await client.raw("POST", RUNS, json=body)

    if answer.status == 400:  # `seed` is no documented field: it may be refused, but not dropped
        assert "seed" in answer.json["error"]["message"]
        del generation["seed"]
        answer = await client.raw("POST", RUNS, json=body)
    assert answer.status == 200
    assert answer.json["generation"] == generation


async def test_concurrency_knobs(client: Client) -> None:
    suite = await make_suite(client)
    knobs = ("concurrency", "generation_concurrency", "grader_concurrency")

    for knob in knobs:
        run = await client.call("evals.create_run", suite_id=suite.id, models=[MODEL], **{knob: 1024})
        assert run.status == "queued"
        for value in (0, 1025):
            error = await client.refused(400, "evals.create_run", suite_id=suite.id, models=[MODEL], **{knob: value})
            assert error["param"] == knob


async def test_first_rows_of_some_tasks(client: Client) -> None:
    suite = await make_suite(client, questions(5))

    run = await client.call(
        "evals.create_run",
        suite_id=suite.id,
        models=[MODEL, "openai/n"],
        task_ids=["qa"],
        max_samples_per_task=2,
        max_workflow_sample_activities=1,
    )
    run = await client.finished(run.id)

    assert run.task_ids == ["qa"]
    assert run.request_counts.total == 4
    samples = (await client.call("evals.list_samples", run_id=run.id)).data
    assert [(s.model, s.sample_index) for s in samples] == [(MODEL, 0), (MODEL, 1), ("openai/n", 0), ("openai/n", 1)]


async def test_the_active_version_unless_another_is_named(client: Client) -> None:
    suite = await make_suite(client)
    manifest = (await client.call("evals.get_suite_version", suite_id=suite.id, version=1)).manifest
    body = {"manifest": manifest.model_dump(by_alias=True, exclude_unset=True)}
    await client.raw("POST", f"/api/v1/llm/evals/suites/{suite.id}/versions", json=body)

    newest = await client.call("evals.create_run", suite_id=suite.id, models=[MODEL])
    named = await client.call("evals.create_run", suite_id=suite.id, models=[MODEL], suite_version=1)

    assert (newest.suite_version, named.suite_version) == (2, 1)
    assert newest.suite_version_id != named.suite_version_id
    listed = await client.call("evals.list_runs", suite_id=suite.id, suite_version=1)
    assert [run.id for run in listed.data] == [named.id]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"models": []}, "models"),
        ({"models": ["openai/m"] * 2}, "models"),
        ({"models": [f"openai/{n}" for n in range(21)]}, "models"),
        ({"models": ["nobody/knows"]}, None),
        ({"models": ["auto"]}, None),
        ({"models": "openai/m"}, "models"),
        ({"models": [1]}, "models[0]"),
        ({"models": [""]}, "models[0]"),
        ({"suite_version": 0}, "suite_version"),
        ({"suite_version": "one"}, "suite_version"),
        ({"task_ids": ["unknown"]}, "task_ids"),
        ({"task_ids": []}, "task_ids"),
        ({"max_samples_per_task": 0}, "max_samples_per_task"),
        ({"max_samples_per_task": 10**30}, "max_samples_per_task"),
        ({"max_workflow_sample_activities": 0}, "max_workflow_sample_activities"),
        ({"metadata": {"k": None}}, "metadata.k"),
        ({"metadata": {"k" * 65: "v"}}, "metadata"),
        ({"generation": {"temperature": "hot"}}, None),
        ({"generation": {"temperature": 3}}, None),
        ({"generation": {"top_p": -1}}, None),
        ({"generation": []}, "generation"),
        ({"judge_model": "nobody/knows"}, None),
        ({"embedding_model": ""}, "embedding_model"),
        ({"surprise": 1}, "surprise"),
    ],
)
async def test_create_refuses(prober: Client, fields: dict[str, Any], param: str | None) -> None:
    suite = await make_suite(prober)

    answer = await prober.raw("POST", RUNS, json={"suite_id": suite.id, "models": [MODEL], **fields})

    assert answer.status == 400, answer.content
    assert param is None or answer.json["error"]["param"] == param
    assert (await prober.call("evals.list_runs", suite_id=suite.id)).data == []


async def test_create_without_a_suite(client: Client, outsider: Client) -> None:
    suite = await make_suite(client)
    await client.refused(404, "evals.create_run", suite_id="eval_suite_" + "0" * 32, models=[MODEL])
    await client.refused(404, "evals.create_run", suite_id="x", models=[MODEL])
    await client.refused(404, "evals.create_run", suite_id=suite.id, models=[MODEL], suite_version=9)
    await outsider.refused(404, "evals.create_run", suite_id=suite.id, models=[MODEL])


async def test_list_by_cursor_and_filter(client: Client) -> None:
    suite = await make_suite(client)
    made = [
        (await client.call("evals.create_run", suite_id=suite.id, models=[MODEL], max_samples_per_task=n + 1)).id
        for n in range(3)
    ]

    first = await client.call("evals.list_runs", suite_id=suite.id, limit=2)
    newer = await client.call("evals.create_run", suite_id=suite.id, models=[MODEL])
    rest = await client.call("evals.list_runs", suite_id=suite.id, limit=2, after=first.last_id)

    assert [run.id for run in first.data] == made[:0:-1]
    assert first.has_more
    assert [run.id for run in rest.data] == made[:1]
    assert not rest.has_more
    for run_id in [*made, newer.id]:
        await client.finished(run_id)
    assert len((await client.call("evals.list_runs", suite_id=suite.id, status="completed")).data) == 4
    assert (await client.call("evals.list_runs", suite_id=suite.id, status="queued")).data == []
    assert len((await client.call("evals.list_runs", suite_id=suite.id, owned_only=True)).data) == 4
    assert (await client.call("evals.list_runs", suite_id="eval_suite_" + "0" * 32)).data == []
    assert (await client.call("evals.list_runs", suite_id="nonsense")).data == []
    assert (await client.call("evals.list_runs", suite_id="eval_suite_" + "g" * 32)).data == []


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("suite_version=1", "suite_version"),
        ("status=running", "status"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("after=eval_run_00000000000000000000000000000000", "after"),
        ("after=x", "after"),
        ("suite_version=0", "suite_version"),
    ],
)
async def test_list_refuses_bad_queries(prober: Client, query: str, param: str) -> None:
    answer = await prober.raw("GET", f"{RUNS}?{query}")

    assert answer.status == 400
    assert answer.json["error"]["param"] == param


OPERATIONS = (
    "get_run",
    "delete_run",
    "cancel_run",
    "rerun_failed_samples",
    "retry_failed_run",
    "get_run_overview",
    "get_artifacts",
    "list_samples",
)


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_not_found(client: Client, operation: str) -> None:
    for run_id in ("eval_run_" + "0" * 32, "eval_run_zz", "eval_suite_" + "0" * 32, "%00"):
        error = await client.refused(404, f"evals.{operation}", run_id=run_id)
        assert error["param"] == "run_id"


async def test_others_runs_do_not_exist(client: Client, outsider: Client, completed: Any) -> None:
    run = completed

    for operation in OPERATIONS:
        await outsider.refused(404, f"evals.{operation}", run_id=run.id)
    for file_id in run.artifact_file_ids:
        await outsider.refused(404, "files.content", file_id=file_id)
    assert run.id not in [found.id for found in (await outsider.call("evals.list_runs", limit=100)).data]
    assert (await outsider.call("evals.list_runs", suite_id=run.suite_id)).data == []


async def test_wrong_states_of_a_completed_run(client: Client, completed: Any) -> None:
    run = completed

    for operation in ("cancel_run", "retry_failed_run", "rerun_failed_samples"):
        error = await client.refused(409, f"evals.{operation}", run_id=run.id)
        assert error["details"]["status"] == "completed"
    assert (await client.call("evals.get_run", run_id=run.id)).status == "completed"


@pytest.mark.usefixtures("hanging")
async def test_cancel_and_retry(client: Client, live: LiveServer) -> None:
    suite = await make_suite(client, fresh_questions(3))
    run = await client.call("evals.create_run", suite_id=suite.id, models=[MODEL])
    await eventually(lambda: _has_status(client, run.id, "in_progress"))
    early = await client.refused(409, "evals.rerun_failed_samples", run_id=run.id)
    early_retry = await client.refused(409, "evals.retry_failed_run", run_id=run.id)

    cancelling = await client.call("evals.cancel_run", run_id=run.id)
    again = await client.call("evals.cancel_run", run_id=run.id)
    cancelled = await client.finished(run.id, timeout_seconds=5)
    after = await client.call("evals.cancel_run", run_id=run.id)

    assert early["details"]["status"] == early_retry["details"]["status"] == "in_progress"
    assert cancelling.status == "cancelling"
    assert again.status in {"cancelling", "cancelled"}
    assert (cancelled.status, after.status) == ("cancelled", "cancelled")
    assert cancelled.cancelled_at is not None
    assert cancelled.completed_at is None
    samples = (await client.call("evals.list_samples", run_id=run.id)).data
    assert {sample.status for sample in samples} == {"queued"}
    await client.refused(409, "evals.rerun_failed_samples", run_id=run.id)

    live.models.behaviour.hang = False
    retried = await client.call("evals.retry_failed_run", run_id=run.id)
    done = await client.finished(run.id)

    assert (retried.id, retried.status, retried.cancelled_at) == (run.id, "queued", None)
    assert (done.status, done.created_at, done.started_at) == ("completed", run.created_at, cancelled.started_at)
    assert [sample.id for sample in (await client.call("evals.list_samples", run_id=run.id)).data] == [
        sample.id for sample in samples
    ]


async def _has_status(client: Client, run_id: str, status: str) -> bool:
    return (await client.call("evals.get_run", run_id=run_id)).status == status


@pytest.mark.usefixtures("hanging")
async def test_delete_stops_a_running_run(client: Client, live: LiveServer) -> None:
    suite = await make_suite(client, fresh_questions(1))
    run = await client.call("evals.create_run", suite_id=suite.id, models=[MODEL])
    await eventually(lambda: _has_status(client, run.id, "in_progress"))

    await client.call("evals.delete_run", run_id=run.id)

    assert client.last.json == {"id": run.id, "object": "eval.run.deleted", "deleted": True}
    for operation in OPERATIONS:
        await client.refused(404, f"evals.{operation}", run_id=run.id)
    assert (await client.call("evals.list_runs", suite_id=suite.id)).data == []


async def test_rerun_of_failed_samples(client: Client, live: LiveServer) -> None:
    rows = fresh_questions(3)
    broken = rows[1]["question"]
    suite = await make_suite(client, rows, grader=STRICT_GRADER)
    usual = live.models.behaviour.reply
    live.models.behaviour.reply = lambda prompt, body: "bad" if broken in prompt else usual(prompt, body)
    generation = {"use_cache": False}
    try:
        run = await client.call("evals.create_run", suite_id=suite.id, models=[MODEL], generation=generation)
        first = await client.finished(run.id)
    finally:
        live.models.behaviour.reply = usual
    before = (await client.call("evals.list_samples", run_id=run.id)).data
    overview = await client.call("evals.get_run_overview", run_id=run.id, metric="score")

    queued = await client.call("evals.rerun_failed_samples", run_id=run.id)
    second = await client.finished(run.id)
    after = (await client.call("evals.list_samples", run_id=run.id)).data
    final = await client.call("evals.get_run_overview", run_id=run.id, metric="score")

    assert (first.status, first.request_counts.completed, first.request_counts.failed) == ("completed", 2, 1)
    assert [sample.status for sample in before] == ["completed", "failed", "completed"]
    assert "cannot grade bad" in str(before[1].error)
    assert (overview.trials.failed, overview.trials.errored, overview.trials.retried) == (1, 1, 0)
    assert (queued.id, queued.status, queued.completed_at, queued.error) == (run.id, "queued", None, None)
    assert (queued.created_at, queued.started_at) == (first.created_at, first.started_at)
    assert (second.status, second.request_counts.completed, second.request_counts.failed) == ("completed", 3, 0)
    assert [sample.id for sample in after] == [sample.id for sample in before]
    assert (after[0], after[2]) == (before[0], before[2])
    assert (final.avg_reward, final.trials.retried, final.trials.total) == (1.0, 1, 3)


async def test_overview(client: Client, completed: Any) -> None:
    run = completed

    await client.call("evals.get_run_overview", run_id=run.id)
    default = client.last.json
    await client.call("evals.get_run_overview", run_id=run.id, metric="exact_match")
    named = client.last.json

    assert default == {
        "object": "eval.run.overview",
        "run_id": run.id,
        "suite_id": run.suite_id,
        "status": "completed",
        "agent_name": None,
        "agent_version": None,
        "agent_effort": None,
        "models": [MODEL],
        "metric": "reward",
        "avg_reward": None,
        "trials": {"total": 3, "completed": 3, "failed": 0, "errored": 0, "retried": 0},
        "cost_usd": None,
        "tokens": default["tokens"],
    }
    assert (named["metric"], named["avg_reward"]) == ("exact_match", 1)


@pytest.mark.parametrize("metric", ["", "m" * 129, "%00"])
async def test_overview_refuses_bad_metrics(prober: Client, metric: str, completed: Any) -> None:
    run = completed

    answer = await prober.raw("GET", f"{RUNS}/{run.id}/overview?metric={metric}")

    assert (answer.status, answer.json["error"]["param"]) == (400, "metric")


async def test_artifacts(client: Client, completed: Any) -> None:
    run = completed

    await client.call("evals.get_artifacts", run_id=run.id)
    found = client.last.json

    assert found == {
        "object": "eval.artifacts",
        "run_id": run.id,
        "result_file_id": run.artifact_file_ids[0],
        "samples_file_id": run.artifact_file_ids[1],
        "artifact_file_ids": run.artifact_file_ids,
    }
    results = orjson.loads(await _content(client, found["result_file_id"], "results.json"))
    assert results["metrics"] == (await client.raw("GET", f"{RUNS}/{run.id}")).json["metrics"]
    samples = await _content(client, found["samples_file_id"], "samples.jsonl")
    assert [orjson.loads(line)["sample_index"] for line in samples.splitlines()] == [0, 1, 2]


async def _content(client: Client, file_id: str, name: str) -> bytes:
    file = await client.call("files.get", file_id=file_id)
    assert (file.filename, file.purpose) == (name, "evals")
    await client.call("files.content", file_id=file_id)
    return client.last.content


@pytest.mark.usefixtures("hanging")
async def test_artifacts_before_the_end(client: Client) -> None:
    suite = await make_suite(client, fresh_questions(1))
    run = await client.call("evals.create_run", suite_id=suite.id, models=[MODEL])

    await client.call("evals.get_artifacts", run_id=run.id)

    found = client.last.json
    assert (found["result_file_id"], found["samples_file_id"], found["artifact_file_ids"]) == (None, None, [])
    await client.call("evals.delete_run", run_id=run.id)


async def test_scopes(connect: Connect, tenants: Tenants, client: Client, completed: Any) -> None:
    run = completed
    reader, nobody, unknown = connect(tenants.read_only), connect(tenants.no_scopes), connect(None)

    assert (await reader.call("evals.get_run", run_id=run.id)).id == run.id
    for operation in ("delete_run", "cancel_run", "rerun_failed_samples", "retry_failed_run"):
        await reader.refused(403, f"evals.{operation}", run_id=run.id)
    await reader.refused(403, "evals.create_run", suite_id=run.suite_id, models=[MODEL])
    for operation in OPERATIONS:
        await nobody.refused(403, f"evals.{operation}", run_id=run.id)
        await unknown.refused(401, f"evals.{operation}", run_id=run.id)


def _timestamps(answer: Answer) -> list[Any]:
    return [value for key, value in answer.json.items() if key.endswith("_at") and value is not None]


async def test_timestamps_are_whole_seconds(client: Client, completed: Any) -> None:
    run = completed

    assert all(type(value) is int for value in _timestamps(await client.raw("GET", f"{RUNS}/{run.id}")))
