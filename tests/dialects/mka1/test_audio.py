"""The clips of samples (M§2.7)."""

from __future__ import annotations

import base64
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from tests.support.live import LiveServer
from tests.support.mka1 import Client, jsonl, make_suite, qa_task, upload

from assay.core.runs.audio import MAX_CLIP_BYTES, find_clip
from assay.db.session import transaction

CLIP = "data:audio/wav;base64," + base64.b64encode(b"RIFF....WAVE").decode()
OTHER = "data:audio/mpeg;base64," + base64.b64encode(b"ID3").decode()
BYTES = base64.b64encode(b"fLaC").decode()


async def run_of(client: Client, *rows: dict[str, Any], tasks: int = 1, models: int = 1) -> Any:
    asked = [{"question": "q answer=a", "answer": "a", **row} for row in rows]
    file = await upload(client, jsonl(*asked))
    manifest = {"tasks": [qa_task(file.id, id=f"t{number}") for number in range(tasks)]}
    suite = await client.call("evals.create_suite", name="audio", manifest=manifest)
    names = [f"openai/m{number}" for number in range(models)]
    run = await client.call("evals.create_run", suite_id=suite.id, models=names)
    return await client.finished(run.id)


async def test_the_clip_is_the_same_for_all_models(client: Client) -> None:
    run = await run_of(client, {"clip": CLIP}, {"clip": None}, models=2)

    found = await client.call("evals.get_sample_audio", run_id=run.id, sample_index=0)
    assert (found.audio, found.sample_index, found.task_id, found.model) == (CLIP, 0, "t0", "openai/m0")
    hinted = await client.call("evals.get_sample_audio", run_id=run.id, sample_index=0, model="openai/m1")
    assert (hinted.audio, hinted.model) == (CLIP, "openai/m1")
    listed = (await client.call("evals.list_samples", run_id=run.id)).data[0]
    assert "redacted" in listed.dataset_row["clip"]
    await client.refused(404, "evals.get_sample_audio", run_id=run.id, sample_index=1)
    await client.refused(404, "evals.get_sample_audio", run_id=run.id, sample_index=2)
    await client.refused(404, "evals.get_sample_audio", run_id=run.id, sample_index=0, model="other")
    await client.refused(404, "evals.get_sample_audio", run_id=run.id, sample_index=0, task_id="other")


async def test_an_index_in_several_tasks_needs_the_task(client: Client) -> None:
    run = await run_of(client, {"clip": CLIP}, tasks=2)

    error = await client.refused(400, "evals.get_sample_audio", run_id=run.id, sample_index=0)
    assert error["param"] == "task_id"
    found = await client.call("evals.get_sample_audio", run_id=run.id, sample_index=0, task_id="t1")
    assert found.task_id == "t1"


async def test_the_named_column_comes_first(live: LiveServer, client: Client) -> None:
    run = await run_of(client, {"a": OTHER, "speech": CLIP})

    async def name_column() -> None:
        async with transaction(live.runtime.sessions) as session:
            await session.execute(
                text(
                    "UPDATE suite_versions SET manifest = jsonb_set(manifest, '{tasks,0,dataset,audio_column}', "
                    "'\"speech\"') WHERE id = :id"
                ),
                {"id": UUID(run.suite_version_id.removeprefix("eval_sver_"))},
            )

    assert (await client.call("evals.get_sample_audio", run_id=run.id, sample_index=0)).audio == OTHER
    live.call(name_column())
    assert (await client.call("evals.get_sample_audio", run_id=run.id, sample_index=0)).audio == CLIP


@pytest.mark.parametrize(("extra", "status"), [(0, 200), (3, 413)])
async def test_inline_clips_are_bounded(live: LiveServer, client: Client, extra: int, status: int) -> None:
    run = await run_of(client, {"clip": ""})

    async def put_clip() -> None:
        clip = "data:audio/wav;base64," + base64.b64encode(bytes(MAX_CLIP_BYTES + extra)).decode()
        async with transaction(live.runtime.sessions) as session:
            await session.execute(
                text("UPDATE run_items SET dataset_row = jsonb_build_object('clip', CAST(:clip AS text)) "
                     "WHERE run_id = :run_id"),
                {"run_id": UUID(run.id.removeprefix("eval_run_")), "clip": clip},
            )  # fmt: skip

    live.call(put_clip())

    answer = await client.raw("GET", f"/api/v1/llm/evals/runs/{run.id}/samples/0/audio")

    assert answer.status == status, answer.content[:200]


async def test_who_may(client: Client, outsider: Client) -> None:
    suite = await make_suite(client)
    run = await client.call("evals.create_run", suite_id=suite.id, models=["openai/m"])

    await outsider.refused(404, "evals.get_sample_audio", run_id=run.id, sample_index=0)


@pytest.mark.parametrize(
    ("row", "column", "clip"),
    [
        ({"a": CLIP}, None, CLIP),
        ({"a": CLIP, "b": OTHER}, "b", OTHER),
        ({"a": CLIP, "b": "no audio"}, "b", CLIP),
        ({"a": {"deep": [{"x": CLIP}]}}, None, CLIP),
        ({"a": "https://x.example/a.mp3?token=1"}, None, "https://x.example/a.mp3?token=1"),
        ({"a": "https://x.example/page"}, None, None),
        ({"a": "https://x.example/page"}, "a", "https://x.example/page"),
        ({"a": "data:image/png;base64,AAAA"}, None, None),
        ({"a": "see https://x.example/a.mp3"}, None, None),
        ({"a": {"bytes": BYTES, "path": "x.flac"}}, "a", f"data:audio/flac;base64,{BYTES}"),
        ({"a": {"bytes": BYTES, "path": None}}, None, f"data:audio/wav;base64,{BYTES}"),
        ({"a": {"bytes": "not base64!", "path": "x.wav"}}, None, None),
        ({"a": {"src": CLIP}}, "a", CLIP),
        ({"a": {"src": {"src": {"src": 1}}}}, "a", None),
        ({}, "a", None),
        ({"a": None}, "a", None),
    ],
)
def test_finding_a_clip(row: dict[str, Any], column: str | None, clip: str | None) -> None:
    found = find_clip(row, column)

    if clip is not None and clip.startswith("data:audio/flac"):
        assert found is not None
        assert found.endswith(BYTES)
    else:
        assert found == clip
