"""Runs over Hugging Face datasets and Parquet files."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from tests.support.evals import Evals, open_evals, working
from tests.support.model_server import ModelServer

from assay.core.files.service import open_content
from assay.core.runs.types import RunStatus
from assay.core.suites.service import create_suite
from assay.core.suites.types import NewSuite
from assay.db.session import transaction

# pyarrow has no types of its own.
pa: Any = import_module("pyarrow")
pq: Any = import_module("pyarrow.parquet")

PROMPT = "{{question}} answer={{answer}}"


def write(folder: Path, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """A dataset with a file for each split."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, content in rows.items():
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content))


def rows(word: str, count: int) -> list[dict[str, str]]:
    return [{"question": f"{word}{number}", "answer": f"{word}-a{number}"} for number in range(count)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "sets"
    write(path / "museum/questions", {"train": rows("train", 3), "test": rows("test", 4)})
    return path


@pytest.fixture
async def evals(
    database_url: str, temporal_address: str, tmp_path: Path, models: ModelServer, folder: Path
) -> AsyncIterator[Evals]:
    """A project whose workers read datasets from the folder."""
    async with open_evals(
        database_url=database_url,
        temporal_address=temporal_address,
        home=tmp_path,
        models=models,
        hub_folder=str(folder),
    ) as opened:
        yield opened


async def make_suite(evals: Evals, dataset: dict[str, Any], **task: Any) -> UUID:
    manifest = {"tasks": [{"id": "t", "type": "qa", "dataset": dataset, "prompt_template": PROMPT, **task}]}
    async with transaction(evals.runtime.sessions) as session:
        new = NewSuite(name="hub", manifest=manifest)
        return (await create_suite(session, evals.principal, store=evals.runtime.files, new=new)).id


async def results(evals: Evals, file_id: UUID | None) -> dict[str, Any]:
    assert file_id is not None
    async with evals.runtime.sessions() as session:
        content = await open_content(session, evals.principal, store=evals.runtime.files, file_id=file_id)
        return json.loads(b"".join([chunk async for chunk in content.chunks]))


async def test_a_run_with_examples_from_another_split(evals: Evals) -> None:
    dataset = {"path": "museum/questions", "split": "test", "max_rows": 3}
    examples = {"path": "museum/questions", "split": "train"}
    suite_id = await make_suite(evals, dataset, fewshot={"count": 2, "dataset": examples})

    async with working(evals):
        run = await evals.finished(suite_id, timeout=50)

    assert (run.status, run.completed) == (RunStatus.COMPLETED, 3)
    samples = await evals.samples(run.id)
    assert [sample.target for sample in samples] == ["test-a0", "test-a1", "test-a2"]
    for sample in samples:
        assert sample.prompt.startswith("train0 answer=train-a0\ntrain-a0\n\ntrain1 answer=train-a1\ntrain-a1\n\ntest")
    assert set(run.dataset_revisions) == {"museum/questions, split test", "museum/questions, split train"}
    assert all(revision.startswith("sha256:") for revision in run.dataset_revisions.values())
    assert (await results(evals, run.result_file_id))["dataset_revisions"] == run.dataset_revisions


async def test_a_retry_reads_the_same_rows_or_none(evals: Evals, folder: Path) -> None:
    test_file = folder / "museum/questions/test.jsonl"
    rightful = test_file.read_text()
    # The second task cannot be read yet, so the run fails after the first one's rows have been read.
    manifest = {
        "tasks": [
            {"id": "a", "type": "qa", "dataset": {"path": "museum/questions", "split": "test"}},
            {"id": "b", "type": "qa", "dataset": {"path": "museum/late"}},
        ]
    }
    async with transaction(evals.runtime.sessions) as session:
        new = NewSuite(name="two", manifest=manifest)
        suite_id = (await create_suite(session, evals.principal, store=evals.runtime.files, new=new)).id

    async with working(evals):
        run = await evals.finished(suite_id, timeout=50)
        assert run.status is RunStatus.FAILED
        assert run.error is not None
        assert (
            "Task 'b': the folder of datasets (ASSAY_HUB_FOLDER) has no subfolder museum/late" in run.error["message"]
        )
        write(folder / "museum/late", {"test": rows("late", 1)})
        write(folder / "museum/questions", {"test": rows("changed", 4)})
        await evals.retry(run.id)
        run = await evals.until(run.id, timeout=50)
        assert run.status is RunStatus.FAILED
        assert run.error is not None
        assert "Task 'a': the files of museum/questions, split test have changed" in run.error["message"]
        test_file.write_text(rightful)
        await evals.retry(run.id)
        run = await evals.until(run.id, timeout=50)

    assert (run.status, run.completed, run.error) == (RunStatus.COMPLETED, 5, None)


@pytest.mark.parametrize("stated", [True, False])
async def test_an_uploaded_parquet_file(evals: Evals, tmp_path: Path, stated: bool) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(rows("p", 3)), path)
    file_id = await evals.upload(path.read_bytes(), filename="rows.bin" if stated else "rows.parquet")
    dataset = {"file_id": f"file_{file_id.hex}"} | ({"format": "parquet"} if stated else {})
    suite_id = await make_suite(evals, dataset)

    async with working(evals):
        run = await evals.finished(suite_id, timeout=50, max_samples_per_task=2)

    assert (run.status, run.completed) == (RunStatus.COMPLETED, 2)
    assert [sample.target for sample in await evals.samples(run.id)] == ["p-a0", "p-a1"]
    assert run.dataset_revisions == {}
