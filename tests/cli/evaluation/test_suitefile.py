"""Manifests as people write them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from assay.cli.evaluation.suitefile import SuiteFileError, load_suite


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("rows.jsonl", "more.csv", "grader.py"):
        (tmp_path / name).write_text("")
    return tmp_path


def write(folder: Path, text: str, name: str = "suite.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


FULL = """
tasks:
  - id: a
    dataset: {file: rows.jsonl, max_rows: 5}
    grader: {source_file: grader.py}
    fewshot: {count: 2, dataset: {file: more.csv}}
  - id: b
    dataset: {file_id: file_1}
    preprocess: {source_file: grader.py}
"""


def test_local_files_become_ids(folder: Path) -> None:
    suite = load_suite(write(folder, FULL))
    assert suite.files == {
        "tasks[0].dataset": folder / "rows.jsonl",
        "tasks[0].grader": folder / "grader.py",
        "tasks[0].fewshot.dataset": folder / "more.csv",
        "tasks[1].preprocess": folder / "grader.py",
    }
    ids = {path: f"file_{path.stem}" for path in suite.files.values()}
    assert suite.with_file_ids(ids) == {
        "tasks": [
            {
                "id": "a",
                "dataset": {"file_id": "file_rows", "max_rows": 5},
                "grader": {"file_id": "file_grader"},
                "fewshot": {"count": 2, "dataset": {"file_id": "file_more"}},
            },
            {"id": "b", "dataset": {"file_id": "file_1"}, "preprocess": {"file_id": "file_grader"}},
        ]
    }


def test_json_reads_the_same(folder: Path) -> None:
    text = json.dumps({"tasks": [{"id": "a", "dataset": {"file": "rows.jsonl"}}]})
    assert load_suite(write(folder, text, "suite.json")).files == {"tasks[0].dataset": folder / "rows.jsonl"}


@pytest.mark.parametrize(("name", "expected"), [("tickets.yaml", "tickets"), ("manifest.yaml", None)])
def test_suite_is_named_by_its_file(folder: Path, name: str, expected: str | None) -> None:
    suite = load_suite(write(folder, FULL, name))
    assert suite.name == (expected or folder.name)
    assert load_suite(folder / name, name="mine").name == "mine"


def test_dates_and_answers_stay_as_written(folder: Path) -> None:
    suite = load_suite(write(folder, "tasks: [{id: a, dataset: {file_id: x}, metadata: {day: 2026-05-27}}]"))
    assert suite.manifest["tasks"][0]["metadata"] == {"day": "2026-05-27"}


def test_data_is_for_the_tasks_without_a_dataset(folder: Path) -> None:
    path = write(folder, "tasks: [{id: a}, {id: b, dataset: {file_id: x}}]")
    assert load_suite(path, data=folder / "rows.jsonl").files == {"tasks[0].dataset": folder / "rows.jsonl"}


def test_data_replaces_the_only_dataset(folder: Path) -> None:
    path = write(
        folder, "tasks: [{id: a, dataset: {file_id: x, max_rows: 3}}, {id: b, dataset: {file_id: x, max_rows: 3}}]"
    )
    suite = load_suite(path, data=folder / "rows.jsonl")
    assert set(suite.files) == {"tasks[0].dataset", "tasks[1].dataset"}
    ids = {folder / "rows.jsonl": "y"}
    assert suite.with_file_ids(ids)["tasks"][0]["dataset"] == {"file_id": "y", "max_rows": 3}


def test_data_is_refused_where_tasks_have_datasets_of_their_own(folder: Path) -> None:
    path = write(folder, "tasks: [{id: a, dataset: {file_id: x}}, {id: b, dataset: {file_id: y}}]")
    with pytest.raises(SuiteFileError, match="every task names a dataset of its own"):
        load_suite(path, data=folder / "rows.jsonl")


@dataclass(frozen=True, slots=True)
class Case:
    text: str
    message: str
    name: str = "suite.yaml"


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(Case("tasks: [", "is no YAML.*suite.yaml.*line 1"), id="syntax"),
        pytest.param(Case("{", "is no JSON", "suite.json"), id="json syntax"),
        pytest.param(Case("tasks: {a: 1}", "a list of `tasks`"), id="tasks no list"),
        pytest.param(Case("[]", "a list of `tasks`"), id="no object"),
        pytest.param(Case("tasks:\n- id: a\n  id: b", "'id' is given twice"), id="key twice"),
        pytest.param(Case("tasks: !!python/object:os.system {}", "is no YAML"), id="python tag"),
        pytest.param(Case("tasks: [{id: a}]", r"tasks\[0\].dataset: is missing"), id="no dataset"),
        pytest.param(
            Case(
                "tasks: [{id: a, dataset: {file: no.jsonl}}]", r"tasks\[0\].dataset.file: there is no file .*no.jsonl"
            ),
            id="no such file",
        ),
        pytest.param(Case("tasks: [{id: a, dataset: {file: 5}}]", "must be a path"), id="no path"),
        pytest.param(
            Case("tasks: [{id: a, dataset: {file: rows.jsonl, file_id: x}}]", "either `file` or `file_id`"),
            id="two files",
        ),
        pytest.param(
            Case(
                "tasks: [{id: a, dataset: {file_id: x}, grader: {source_file: grader.py, source: 'x'}}]", "or `source`"
            ),
            id="two sources",
        ),
    ],
)
def test_faults_are_named(folder: Path, case: Case) -> None:
    with pytest.raises(SuiteFileError, match=f"(?s){case.message}"):
        load_suite(write(folder, case.text, case.name))


@pytest.mark.parametrize("content", [b"\xff\xfe", b"tasks: \x00"])
def test_bytes_that_are_no_text(folder: Path, content: bytes) -> None:
    (folder / "suite.yaml").write_bytes(content)
    with pytest.raises(SuiteFileError, match=r"suite\.yaml"):
        load_suite(folder / "suite.yaml")


def test_faults_of_parts_are_left_to_the_server(folder: Path) -> None:
    suite = load_suite(write(folder, "tasks: [7, {id: a, dataset: 5, grader: [x], fewshot: {dataset: no}}]"))
    assert suite.files == {}
