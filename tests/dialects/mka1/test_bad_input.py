"""Input that is broken on purpose: a clear refusal, or a failed run or sample that names the place. Nothing hangs."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from tests.support.live import LiveServer
from tests.support.mka1 import Client, Mode, check_envelope, jsonl, qa_task, questions, upload
from tests.support.tenants import Tenants

SUITES = "/api/v1/llm/evals/suites"
RUNS = "/api/v1/llm/evals/runs"
MODEL = "openai/m"
JSON = {"Content-Type": "application/json"}
GOOD = orjson.dumps({"question": "q answer=a", "answer": "a"})


@pytest.fixture
async def client(live: LiveServer, tenants: Tenants) -> Any:
    """One half of the SDK is enough: the faults are in what is sent."""
    async with Client(live.url, tenants.all_scopes, mode=Mode.ASYNC) as client:
        yield client


async def run_on(client: Client, content: bytes, *, name: str = "data.jsonl", **task_fields: Any) -> Any:
    """The finished run of a task on this content."""
    file = await upload(client, content, name=name)
    manifest = {"tasks": [qa_task(file.id, **task_fields)]}
    suite = await client.call("evals.create_suite", name="s", manifest=manifest)
    run = await client.call("evals.create_run", suite_id=suite.id, models=[MODEL])
    return await client.finished(run.id, timeout_seconds=15)


DATASETS = [
    pytest.param("a.jsonl", GOOD + b'\n{"question": "q2", "ans', "line 2", id="truncated JSONL"),
    pytest.param("a.jsonl", GOOD + b"\n\n[1]\n", "line 3", id="row that is no object"),
    pytest.param("a.jsonl", GOOD + b'\n{"question": "\xff\xfe", "answer": ""}\n', "line 2", id="invalid UTF-8"),
    pytest.param("a.jsonl", GOOD + b'\n{"question": "a\\u0000b", "answer": ""}\n', "line 2", id="NUL escaped"),
    pytest.param("a.jsonl", GOOD + b'\n{"question": "a\x00b", "answer": ""}\n', "line 2", id="NUL raw"),
    pytest.param("a.jsonl", GOOD + b'\n{"question": NaN, "answer": ""}\n', "line 2", id="NaN"),
    pytest.param("a.jsonl", GOOD + b"\n" + b'{"a":' * 200 + b"1" + b"}" * 200, "line 2", id="deep"),
    pytest.param("a.jsonl", b"", "no rows", id="no rows"),
    pytest.param("a.jsonl", b"\n\n  \n", "no rows", id="blank lines"),
    pytest.param("a.csv", b"question,answer\n", "no rows", id="CSV with a header alone"),
    pytest.param("a.csv", b"question,answer\nq,a,extra\n", "line 2", id="CSV with too many cells"),
    pytest.param("a.csv", b'question,answer\n"q,a\n', "line 2", id="CSV with an open quote"),
    pytest.param("a.csv", b"question,answer\nq\xff,a\n", "line 2", id="CSV that is not UTF-8"),
]


@pytest.mark.parametrize(("name", "content", "named"), DATASETS)
async def test_a_broken_dataset_fails_the_run_and_names_the_line(
    client: Client, name: str, content: bytes, named: str
) -> None:
    run = await run_on(client, content, name=name)
    raw = client.last.json

    assert run.status == "failed"
    assert raw["failed_at"] is not None
    assert raw["metrics"] is None
    assert named in raw["error"]["message"]
    assert "qa" in raw["error"]["message"]
    assert (await client.call("evals.list_samples", run_id=run.id)).data == []
    retried = await client.call("evals.retry_failed_run", run_id=run.id)
    assert (retried.status, retried.failed_at, retried.error) == ("queued", None, None)
    again = await client.finished(run.id)
    assert again.status == "failed"


async def test_a_line_of_ten_megabytes(client: Client) -> None:
    run = await run_on(client, GOOD + b'\n{"question": "' + b"x" * 10_000_000 + b'", "answer": ""}\n')

    assert run.status == "failed"
    assert "line 2" in client.last.json["error"]["message"]


@pytest.mark.parametrize("field", ["prompt_template", "target_template"])
async def test_a_missing_column_is_named_with_its_row(client: Client, field: str) -> None:
    rows = jsonl({"question": "q answer=a", "answer": "a", "extra": 1}, {"question": "q", "answer": "a"})
    templates = {"prompt_template": "{{question}}", "target_template": "{{answer}}", field: "{{extra}}"}

    run = await run_on(client, rows, **templates)

    message = client.last.json["error"]["message"]
    assert run.status == "failed"
    assert "extra" in message
    assert "row 2" in message


async def test_a_catastrophic_regex_fails_its_samples_in_time(client: Client) -> None:
    rows = jsonl({"question": "answer=" + "a" * 60 + "!", "answer": "x"}, {"question": "answer=aaab", "answer": "aaab"})

    run = await run_on(client, rows, output_extraction={"type": "regex", "pattern": "^(a|a|aa)+b$", "group": 0})
    samples = (await client.call("evals.list_samples", run_id=run.id)).data

    assert run.status == "completed"
    assert samples[1].extracted_output == "aaab"
    assert samples[0].status == "failed" or samples[0].extracted_output is None


@pytest.mark.parametrize(
    ("task_fields", "param"),
    [
        ({"output_extraction": {"type": "regex", "pattern": "("}}, "tasks[0].output_extraction.pattern"),
        ({"output_extraction": {"type": "regex", "pattern": "a", "flags": "z"}}, "tasks[0].output_extraction.flags"),
        ({"output_extraction": {"type": "unknown"}}, "tasks[0].output_extraction"),
        ({"prompt_template": "{{unclosed"}, "tasks[0].prompt_template"),
        ({"id": "white space"}, "tasks[0].id"),
        ({"type": "unknown"}, "tasks[0].type"),
        ({"dataset": {"file_id": "file_" + "0" * 32}}, "tasks[0].dataset.file_id"),
        ({"dataset": {"file_id": 5}}, "tasks[0].dataset.file_id"),
        ({"dataset": None}, "tasks[0].dataset"),
        ({"num_fewshot": 1, "fewshot": {"count": 2}}, "tasks[0]"),
        ({"surprise": 1}, "tasks[0].surprise"),
        ({"grader": {"type": "python", "source": "def grade(:\n"}}, "tasks[0].grader.source"),
        ({"grader": {"type": "python"}}, "tasks[0].grader"),
    ],
)
async def test_a_broken_manifest_names_its_path(client: Client, task_fields: dict[str, Any], param: str) -> None:
    file = await upload(client, jsonl(*questions(1)))
    manifest = {"tasks": [qa_task(file.id) | task_fields]}

    answer = await client.raw("POST", SUITES, json={"name": "s", "manifest": manifest})

    assert answer.status == 400
    assert (check_envelope(answer)["param"] or "").startswith(param)


async def test_a_grader_from_a_file(client: Client) -> None:
    file = await upload(client, b"def grade(sample, item):\n    return 0.25\n", name="grader.py")

    run = await run_on(client, jsonl(*questions(1)), grader={"type": "python", "file_id": file.id})

    assert run.status == "completed"
    assert client.last.json["metrics"]["overall"] == {"score": 0.25}


@pytest.mark.parametrize(
    ("content", "purpose"),
    [(b"def grade(\xff", "evals"), (b"def grade(sample, item): return 1", "user_data"), (b"#" * 300_000, "evals")],
)
async def test_a_grader_from_a_wrong_file(client: Client, content: bytes, purpose: str) -> None:
    data = await upload(client, jsonl(*questions(1)))
    code = await upload(client, content, name="grader.py", purpose=purpose)
    task = qa_task(data.id, grader={"type": "python", "file_id": code.id})

    error = await client.refused(400, "evals.create_suite", name="s", manifest={"tasks": [task]})

    assert error["param"] == "tasks[0].grader.file_id"


BODIES = [
    pytest.param(b"", id="empty"),
    pytest.param(b"{", id="truncated"),
    pytest.param(b"null", id="null"),
    pytest.param(b"[]", id="list"),
    pytest.param(b'"text"', id="text"),
    pytest.param(b"NaN", id="NaN"),
    pytest.param(b'{"name": NaN, "manifest": {}}', id="NaN inside"),
    pytest.param(b'{"name": "\xff", "manifest": {}}', id="invalid UTF-8"),
    pytest.param(b'{"name": "a\\u0000b", "manifest": {}}', id="NUL"),
    pytest.param(b'{"name": "n", "manifest": {"a\\u0000": 1}}', id="NUL in a key"),
    pytest.param(b'{"name": "\\ud800", "manifest": {}}', id="half a surrogate pair"),
    pytest.param(b"[" * 100_000, id="deep and open"),
    pytest.param(b"[" * 5_000 + b"]" * 5_000, id="deep"),
    pytest.param(b'{"name": "n", "manifest": ' + b'{"a":' * 100 + b"1" + b"}" * 101, id="too deep to keep"),
    pytest.param(b'{"name": "n", "manifest": {"n": ' + b"9" * 30 + b"}}", id="integer beyond 64 bits"),
    pytest.param(b'{"name": "n", "manifest": {"n": ' + b"9" * 5_000 + b"}}", id="integer beyond reason"),
    pytest.param(b'{"name": "n", "manifest": {"n": 1e999}}', id="infinite number"),
    pytest.param("﻿{}".encode(), id="byte order mark"),
    pytest.param('{"name": "n", "manifest": {}}'.encode("utf-16"), id="UTF-16"),
]


@pytest.mark.parametrize("body", BODIES)
async def test_a_broken_body(client: Client, body: bytes) -> None:
    answer = await client.raw("POST", SUITES, content=body, headers=JSON)

    assert answer.status == 400, answer.content
    check_envelope(answer)


async def test_a_big_integer_inside_free_fields(client: Client) -> None:
    file = await upload(client, jsonl(*questions(1)))
    manifest = orjson.dumps({"tasks": [qa_task(file.id)], "metadata": {"n": "HERE"}})
    body = b'{"name": "n", "manifest": ' + manifest.replace(b'"HERE"', b"1" + b"0" * 25) + b"}"

    answer = await client.raw("POST", SUITES, content=body, headers=JSON)

    assert answer.status == 400
    assert check_envelope(answer)["param"] == "manifest.metadata.n"


async def test_a_body_over_the_bound(client: Client) -> None:
    async def chunks() -> Any:
        for _ in range(40):
            yield b" " * 65_536

    declared = await client.raw("POST", SUITES, content=b" " * 1_048_577, headers=JSON)
    streamed = await client.raw("POST", SUITES, content=chunks(), headers=JSON)

    assert (declared.status, streamed.status) == (413, 413)
    check_envelope(declared)
    check_envelope(streamed)


async def test_bodies_of_another_type(client: Client) -> None:
    body = orjson.dumps({"name": "n", "manifest": {}})

    for content_type in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "nonsense",
    ):
        answer = await client.raw("POST", SUITES, content=body, headers={"Content-Type": content_type})
        assert answer.status == 400, content_type
        check_envelope(answer)


@pytest.mark.parametrize("value", [None, True, 7, 1.5, "text", [], {}, [{}], {"a": None}], ids=repr)
@pytest.mark.parametrize("path", [SUITES, RUNS])
async def test_wrong_types_everywhere(client: Client, path: str, value: Any) -> None:
    fields = {
        SUITES: ("name", "manifest", "description", "metadata"),
        RUNS: ("suite_id", "models", "suite_version", "task_ids", "judge_model", "embedding_model", "generation",
               "concurrency", "max_samples_per_task", "metadata"),
    }[path]  # fmt: skip
    good: dict[str, Any] = {"name": "n", "manifest": {}} if path == SUITES else {"suite_id": "x", "models": [MODEL]}

    answers = await asyncio.gather(*(client.raw("POST", path, json=good | {field: value}) for field in fields))

    for answer in answers:
        assert answer.status in {400, 404}, answer.content
        check_envelope(answer)


async def test_a_slow_body_holds_no_connection(client: Client) -> None:
    """As many half-sent bodies as the pool has connections twice over, and others are still served."""
    release = asyncio.Event()

    async def dribble() -> Any:
        yield b'{"name": "n", '
        await release.wait()
        yield b'"manifest": {}}'

    slow = [asyncio.ensure_future(client.raw("POST", SUITES, content=dribble(), headers=JSON)) for _ in range(30)]
    for _ in range(3):
        assert (await client.raw("GET", f"{SUITES}?limit=1")).status == 200
    release.set()
    assert {answer.status for answer in await asyncio.gather(*slow)} == {400}
