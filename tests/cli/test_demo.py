"""`assay demo` on a fresh home, as a newcomer runs it, and the data it brings."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from tests.support.assay_process import environment

from assay.cli.demo import SIMULATED_MODELS, write_folder
from assay.demo.grader import grade
from assay.embedded.home import AssayHome

SECONDS = 60.0


def rows_of(name: str) -> list[dict[str, Any]]:
    text = (resources.files("assay.demo") / name).read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.timeout(120)
async def test_demo() -> None:
    with tempfile.TemporaryDirectory(prefix="assay-demo-") as parent:
        home = Path(parent) / "home"
        started = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "assay", "demo", "--json", "--home", str(home),
            stdout=PIPE, stderr=PIPE, env=environment(Path(parent)), cwd=parent,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), 110)
        seconds = time.monotonic() - started
        assert process.returncode == 0, err.decode()
        assert seconds < SECONDS, err.decode()
        check_document(json.loads(out))
        assert "687/687 samples" in err.decode()
        with AssayHome(home).lock():  # everything has been stopped
            assert AssayHome(home).read_credentials() is not None
        assert (home / "demo" / "manifest.yaml").is_file()


def check_document(document: dict[str, Any]) -> None:
    run = document["run"]
    assert run["status"] == "completed"
    assert run["request_counts"] == {"total": 687, "completed": 687, "failed": 0}
    assert run["cost_usd"] > 0
    results = {(row["task_id"], row["model"]): row for row in document["results"]}
    assert set(results) == {(task, model) for task in ("tickets", "questions") for model in SIMULATED_MODELS}
    for row in results.values():
        assert row["interval"]["low"] < row["value"] < row["interval"]["high"]
        assert row["interval"]["method"] == "wilson"
        assert row["cost_usd"] > 0
    for task in ("tickets", "questions"):
        strong, weak, limited = (results[task, model]["value"] for model in SIMULATED_MODELS)
        assert weak < limited < strong
    for comparison in document["comparisons"]:
        assert (comparison["leader"], comparison["runner_up"]) == ("simulator/strong", "simulator/limited")
        assert comparison["verdict"] == "better"
        assert 0 < comparison["low"] < comparison["difference"] < comparison["high"]
        assert comparison["p"] < 0.05


def test_data_is_ample_and_no_row_is_there_twice() -> None:
    tickets, questions = rows_of("tickets.jsonl"), rows_of("questions.jsonl")
    assert len(tickets) + len(questions) >= 200
    assert len({row["ticket"] for row in tickets}) == len(tickets)
    assert len({row["question"] for row in questions}) == len(questions)
    assert len({row["category"] for row in tickets}) == 6


def test_answer_key_knows_every_row(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "demo")
    prompts = {json.loads(line)["prompt"] for line in (folder.path / "answers.jsonl").read_text().splitlines()}
    assert prompts == {row["ticket"] for row in rows_of("tickets.jsonl")} | {
        row["question"] for row in rows_of("questions.jsonl")
    }


@pytest.mark.parametrize("row", rows_of("questions.jsonl"), ids=lambda row: row["question"][:40])
def test_grader_accepts_every_right_answer(row: dict[str, Any]) -> None:
    for name in (row["answer"], *row["aliases"]):
        assert grade({"output_text": name}, row) == {"correct": 1.0, "brief": 1.0}
        assert grade({"output_text": f"I would say: {name.upper()}."}, row) == {"correct": 1.0, "brief": 0.0}


@pytest.mark.parametrize(
    ("said", "target", "correct"),
    [
        ("The heart.", "heart", True),
        ("heartburn", "heart", False),
        ("17", "7", False),
        ("It is 7, I think", "7", True),
        ("7.5", "7", False),
        ("at 21:55", "21:55", True),
        ("", "7", False),
        ("García Márquez!", "garcía márquez", True),
    ],
)
def test_grader_wants_whole_words(said: str, target: str, correct: bool) -> None:
    assert grade({"output_text": said}, {"answer": target, "aliases": []})["correct"] == float(correct)
