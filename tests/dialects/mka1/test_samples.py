"""Samples (M§2.6): every filter, the order, the pages, and what is kept back."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from tests.dialects.mka1.conftest import Connect
from tests.support.live import LiveServer
from tests.support.mka1 import Client, Mode, jsonl, upload
from tests.support.tenants import Tenants

RUNS = "/api/v1/llm/evals/runs"
MODELS = ["openai/first", "openai/second"]
BLOB = "data:image/png;base64," + "A" * 400
GRADER = {
    "type": "python",
    "source": "def grade(sample, item):\n"
    "    if item['answer'] == 'fail':\n"
    "        raise ValueError('refused by the grader')\n"
    "    return {'points': item['points']}\n",
}


@pytest.fixture(scope="module")
async def run(live: LiveServer, tenants: Tenants) -> Any:
    """Two tasks of four rows, two models; each row its points, the last one failing, with a thought in each answer."""
    rows = [
        {
            "question": f"{uuid4().hex} answer=<think>because</think>{answer}",
            "answer": answer,
            "points": points,
            "image": {"url": BLOB, "list": [BLOB, "plain"]},
        }
        for points, answer in enumerate(("a", "b", "c", "fail"))
    ]
    async with Client(live.url, tenants.all_scopes, mode=Mode.ASYNC) as client:
        file = await upload(client, jsonl(*rows))
        tasks = [
            {"id": name, "type": "custom", "dataset": {"file_id": file.id}, "grader": GRADER,
             "prompt_template": "{{question}}", "target_template": "{{answer}}"}
            for name in ("zeta", "alpha")
        ]  # fmt: skip
        suite = await client.call("evals.create_suite", name="samples", manifest={"tasks": tasks})
        run = await client.call("evals.create_run", suite_id=suite.id, models=MODELS)
        return await client.finished(run.id)


def places(page: Any) -> list[tuple[str, str, int]]:
    """Task, model and index of each sample."""
    return [(sample.task_id, sample.model, sample.sample_index) for sample in page.data]


ALL = [(task, model, index) for task in ("zeta", "alpha") for model in MODELS for index in range(4)]


async def test_the_order_is_task_model_index(client: Client, run: Any) -> None:
    page = await client.call("evals.list_samples", run_id=run.id)

    assert places(page) == ALL
    assert (page.first_id, page.last_id, page.has_more) == (page.data[0].id, page.data[-1].id, False)
    assert run.request_counts.model_dump() == {"total": 16, "completed": 12, "failed": 4}


async def test_pages_join_without_a_seam(client: Client, run: Any) -> None:
    seen: list[tuple[str, str, int]] = []
    after: dict[str, str] = {}
    while True:
        page = await client.call("evals.list_samples", run_id=run.id, limit=5, **after)
        seen += places(page)
        if not page.has_more:
            break
        after = {"after": page.last_id}

    assert seen == ALL


async def test_a_completed_sample(client: Client, run: Any) -> None:
    await client.call("evals.list_samples", run_id=run.id, limit=1)
    sample = client.last.json["data"][0]

    assert sample["id"].startswith("eval_sample_")
    assert sample == {
        **sample,
        "object": "eval.sample",
        "run_id": run.id,
        "task_id": "zeta",
        "model": "openai/first",
        "sample_index": 0,
        "status": "completed",
        "target": "a",
        "output_text": "a",
        "reasoning": None,
        "scores": {"points": 0},
        "judge": None,
        "error": None,
        "cost_usd": None,
        "tokens_estimated": False,
    }
    assert sample["prompt"] == sample["dataset_row"]["question"]
    assert set(sample["phase_timings"]["generation"]) == {"started_at", "finished_at"}


async def test_a_failed_sample(client: Client, run: Any) -> None:
    page = await client.call("evals.list_samples", run_id=run.id, status="failed")

    assert [index for _, _, index in places(page)] == [3] * 4
    for sample in client.last.json["data"]:
        assert sample["scores"] == {}
        assert "refused by the grader" in sample["error"]["message"]
        assert sample["output_text"] == "fail"


async def test_inline_blobs_are_redacted(client: Client, run: Any) -> None:
    await client.call("evals.list_samples", run_id=run.id, limit=1)
    image = client.last.json["data"][0]["dataset_row"]["image"]

    assert "AAAA" not in str(image)
    assert image["url"].startswith("data:image/png;base64,")
    assert image["list"][1] == "plain"
    assert "AAAA" not in str(client.last.json)


async def test_the_row_can_be_left_out(client: Client, run: Any) -> None:
    page = await client.call("evals.list_samples", run_id=run.id, include_dataset_row=False)

    assert {sample.dataset_row for sample in page.data} == {None}


async def test_reasoning_only_when_asked_for(client: Client, run: Any) -> None:
    without = await client.call("evals.list_samples", run_id=run.id)
    with_it = await client.call("evals.list_samples", run_id=run.id, include_reasoning=True)

    assert {sample.reasoning for sample in without.data} == {None}
    assert {sample.reasoning for sample in with_it.data} == {"because"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"task_id": "alpha"}, ALL[8:]),
        ({"model": "openai/second"}, [place for place in ALL if place[1] == "openai/second"]),
        ({"task_id": "zeta", "model": "openai/second", "sample_index": "2"}, [("zeta", "openai/second", 2)]),
        ({"sample_index": "1,3", "task_id": "zeta", "model": "openai/first"}, [ALL[1], ALL[3]]),
        ({"sample_index": " 1 , 1 ", "task_id": "zeta", "model": "openai/first"}, [ALL[1]]),
        ({"sample_index": "999999999"}, []),
        ({"task_id": "unknown"}, []),
        ({"model": "unknown"}, []),
        ({"status": "completed", "task_id": "zeta", "model": "openai/first"}, ALL[:3]),
        ({"status": "queued"}, []),
        ({"status": "running"}, []),
        ({"score_metric": "points", "score_min": 1, "score_max": 2, "task_id": "zeta"}, [*ALL[1:3], *ALL[5:7]]),
        ({"score_metric": "points", "score_min": 1.5}, [place for place in ALL if place[2] == 2]),
        ({"score_metric": "points", "score_max": 0}, [place for place in ALL if place[2] == 0]),
        ({"score_metric": "points", "task_id": "zeta", "model": "openai/first"}, ALL[:3]),
        ({"score_metric": "unknown"}, []),
    ],
)  # fmt: skip
async def test_filters(client: Client, run: Any, query: dict[str, Any], expected: list[tuple[str, str, int]]) -> None:
    page = await client.call("evals.list_samples", run_id=run.id, **query)

    assert places(page) == expected


async def test_filters_and_pages_together(client: Client, run: Any) -> None:
    first = await client.call("evals.list_samples", run_id=run.id, status="failed", limit=3)
    second = await client.call("evals.list_samples", run_id=run.id, status="failed", limit=3, after=first.last_id)

    assert (first.has_more, second.has_more) == (True, False)
    assert places(first) + places(second) == [place for place in ALL if place[2] == 3]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("score_min=0", "score_metric"),
        ("score_max=0", "score_metric"),
        ("score_metric=a&score_min=nan", "score_min"),
        ("score_metric=a&score_max=inf", "score_max"),
        ("score_metric=a&score_min=text", "score_min"),
        ("score_metric=%00", "score_metric"),
        ("score_metric=", "score_metric"),
        ("sample_index=", "sample_index"),
        ("sample_index=-1", "sample_index"),
        ("sample_index=1,,2", "sample_index"),
        ("sample_index=one", "sample_index"),
        ("sample_index=%D9%A1%C2%B2", "sample_index"),
        ("sample_index=9999999999", "sample_index"),
        ("sample_index=" + ",".join(["1"] * 501), "sample_index"),
        ("status=cancelled", "status"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("after=eval_sample_00000000000000000000000000000000", "after"),
        ("after=x", "after"),
        ("include_reasoning=perhaps", "include_reasoning"),
        ("task_id=%00", "task_id"),
    ],
)
async def test_refuses_bad_queries(prober: Client, run: Any, query: str, param: str) -> None:
    answer = await prober.raw("GET", f"{RUNS}/{run.id}/samples?{query}")

    assert answer.status == 400, answer.content
    assert answer.json["error"]["param"] == param


async def test_a_cursor_of_another_run(client: Client, run: Any, completed: Any) -> None:
    other = (await client.call("evals.list_samples", run_id=completed.id)).data[0].id

    await client.refused(400, "evals.list_samples", run_id=run.id, after=other)


async def test_scopes(connect: Connect, tenants: Tenants, run: Any) -> None:
    await connect(tenants.read_only).call("evals.list_samples", run_id=run.id, limit=1)
    await connect(tenants.no_scopes).refused(403, "evals.list_samples", run_id=run.id)
    await connect(None).refused(401, "evals.list_samples", run_id=run.id)
