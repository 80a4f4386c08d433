"""Manifests: what is accepted, and the path and reason of everything that is not."""

from __future__ import annotations

import copy
import datetime
from dataclasses import dataclass, field
from typing import Any, cast

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.suites.manifest import ManifestError, parse_manifest, refuse_unsupported, unsupported_parts
from assay.core.suites.manifest.errors import UnsupportedManifestError
from assay.core.suites.manifest.schema import DatasetSource, Grader, ModelAccess, TaskType

GRADE = "def grade(sample, item):\n    return 1.0\n"
GRADE_BATCH = "def grade_batch(samples):\n    return [1.0 for sample in samples]\n"
TRANSFORM = "def transform(row):\n    return row\n"
FILE = {"file_id": "file_1"}


def task(**fields: Any) -> dict[str, Any]:
    """A qa task over a file, with fields added or replaced."""
    return {"id": "t", "type": "qa", "dataset": dict(FILE), **fields}


def manifest(*tasks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"tasks": list(tasks) or [task()], **fields}


FULL_TASKS = [
    task(
        id="capital-cities.v1",
        name="Capitals",
        prompt_template="Capital of {{country}}?",
        target_template="{{capital}}",
        output_extraction={"type": "take_first", "lines": 1},
        metrics=[{"id": "exact_match", "aggregation": "mean", "higher_is_better": True, "description": "Same text"}],
        fewshot={
            "count": 2,
            "dataset": {"source": "file", "file_id": "file_2", "format": "csv", "max_rows": 100},
            "prompt_template": "{{country}}",
            "target_template": "{{capital}}",
            "example_template": "{{prompt}} -> {{target}}",
            "separator": "\n",
            "strategy": "random",
            "seed": -7,
        },
        num_fewshot=2,
        metadata={"owner": "geo", "nested": {"a": [1, None]}},
    ),
    task(id="choice", type="multiple_choice", choices=["red", "green"], metrics=[{"id": "f1_macro"}]),
    task(id="label", type="classification", output_extraction={"type": "label_set", "labels": ["a", "b"]}),
    task(id="re", output_extraction={"type": "regex_last", "pattern": r"(?P<x>\d+)", "group": "x", "flags": "is"}),
    task(id="re2", output_extraction={"type": "regex", "pattern": r"(\d+)", "group": 1}),
    task(id="n", type="numeric", output_extraction={"type": "number"}),
    task(id="none", output_extraction={"type": "none"}),
    task(id="c", type="custom", grader={"type": "python", "source": GRADE, "timeout_seconds": 600}),
    task(id="s", type="summarization", grader={"type": "python", "file_id": "file_g", "contract": "batch"}),
    task(
        id="judge",
        type="llm_judge",
        grader={
            "type": "python",
            "contract": "model_backed",
            "execution": "per_sample",
            "model_access": "mka1",
            "metric_id": "quality",
            "source": GRADE,
            "max_model_calls": 0,
        },
        preprocess={"type": "python", "contract": "batch", "file_id": "file_p", "timeout_seconds": 1},
    ),
    task(id="m", type="math"),
    task(
        id="hf",
        dataset={
            "path": "facebook/belebele",
            "name": "eng_Latn",
            "split": "test",
            "revision": "main",
            "data_files": {"test": ["a.parquet", "b.parquet"], "train": "c.parquet"},
            "dataset_kwargs": {"streaming": True},
            "max_rows": 1_000_000,
        },
    ),
    task(id="asr", type="transcription", language="uk", dataset={"file_id": "file_a", "audio_column": "audio"}),
    task(
        id="emb",
        type="embedding",
        embedding={
            "kind": "retrieval",
            "corpus_dataset": {"file_id": "file_corpus"},
            "qrels_dataset": {"path": "mteb/scifact"},
            "k_values": [1, 10],
        },
    ),
]


def test_every_part_of_the_schema_is_accepted() -> None:
    sent = manifest(*FULL_TASKS, schema_version="2026-05-27", metadata={"team": "a"})
    before = copy.deepcopy(sent)
    parsed = parse_manifest(sent)
    assert sent == before
    assert [one.id for one in parsed.tasks] == [one["id"] for one in FULL_TASKS]
    assert parsed.dataset_file_ids == ("file_1", "file_2", "file_a", "file_corpus")
    assert parsed.code_file_ids == ("file_g", "file_p")


def test_defaults() -> None:
    only = parse_manifest(
        manifest(task(type="qa", grader={"source": GRADE}, preprocess={"source": TRANSFORM}, fewshot={}))
    ).tasks[0]
    assert isinstance(only.grader, Grader)
    assert (only.grader.timeout_seconds, only.grader.max_model_calls, only.grader.metric_id) == (120, 64, "score")
    assert only.preprocess is not None
    assert (only.preprocess.contract, only.preprocess.timeout_seconds) == ("row", 120)
    assert only.fewshot is not None
    assert (only.fewshot.example_template, only.fewshot.separator) == ("{{prompt}}\n{{target}}", "\n\n")
    assert (only.fewshot.strategy, only.fewshot.seed, only.effective_fewshot_count) == ("first", 0, 0)
    assert only.dataset.effective_source is DatasetSource.FILE


def test_null_stands_for_absent() -> None:
    only = parse_manifest(manifest(task(name=None, fewshot={"count": None}, metadata={"kept": None}))).tasks[0]
    assert only.name is None
    assert only.effective_fewshot_count == 0
    assert only.metadata == {"kept": None}


@pytest.mark.parametrize(
    ("fewshot", "num_fewshot", "count"),
    [
        (None, None, 0),
        (None, 3, 3),
        ({"count": 0}, 3, 3),
        ({"count": 3}, None, 3),
        ({"count": 3}, 0, 3),
        ({"count": 3}, 3, 3),
    ],
)
def test_fewshot_count(fewshot: dict[str, Any] | None, num_fewshot: int | None, count: int) -> None:
    parsed = parse_manifest(manifest(task(fewshot=fewshot, num_fewshot=num_fewshot)))
    assert parsed.tasks[0].effective_fewshot_count == count


@pytest.mark.parametrize(
    ("grader", "access"),
    [
        ({}, ModelAccess.NONE),
        ({"contract": "batch", "source": GRADE_BATCH}, ModelAccess.NONE),
        ({"contract": "model_backed"}, ModelAccess.MKA1),
        ({"contract": "sample", "model_access": "mka1"}, ModelAccess.MKA1),
    ],
)
def test_model_access(grader: dict[str, Any], access: ModelAccess) -> None:
    parsed = parse_manifest(manifest(task(grader={"source": GRADE, **grader})))
    made = parsed.tasks[0].grader
    assert isinstance(made, Grader)
    assert made.effective_model_access is access


@dataclass(frozen=True)
class Wrong:
    path: str
    says: str
    sent: Any
    also: list[str] = field(default_factory=list[str])
    """Paths of further faults."""


def extraction(**fields: Any) -> Any:
    return manifest(task(output_extraction=fields))


def grader(**fields: Any) -> Any:
    return manifest(task(grader=fields))


def dataset(**fields: Any) -> Any:
    return manifest(task(dataset=fields))


def embedding(**fields: Any) -> Any:
    return manifest(task(type="embedding", embedding={"kind": "sts", **fields}))


RETRIEVAL = embedding(kind="retrieval", corpus_dataset={"file_id": "f"}, qrels_dataset={})


WRONG = [
    Wrong("", "must be an object", [1]),
    Wrong("", "must be an object", None),
    Wrong("tasks", "is required", {}),
    Wrong("tasks", "must be a list", {"tasks": {}}),
    Wrong("tasks", "at least 1", {"tasks": []}),
    Wrong("tasks", "at most 100", {"tasks": [task(id=f"t{i}") for i in range(101)]}),
    Wrong("taks", "unknown field", {**manifest(), "taks": []}),
    Wrong("schema_version", "use '2026-05-27'", manifest(schema_version="1999-01-01")),
    Wrong("schema_version", "a date is not a JSON value", manifest(schema_version=datetime.date(2026, 5, 27))),
    Wrong("metadata", "17 pairs", manifest(metadata={str(i): "" for i in range(17)})),
    Wrong("metadata", "65 characters", manifest(metadata={"k" * 65: ""})),
    Wrong("metadata", "513 characters", manifest(metadata={"k": "v" * 513})),
    Wrong("tasks[0].metadata", "512", manifest(task(metadata={"k": ["v" * 513]}))),
    Wrong("metadata.a", "NUL", manifest(metadata={"a": "\x00"})),
    Wrong("metadata.a", "nan", manifest(metadata={"a": float("nan")})),
    Wrong("", "1,048,576", manifest(metadata={"a": "x" * 1_100_000})),
    Wrong("tasks[0]", "must be an object", {"tasks": ["x"]}),
    Wrong("tasks[0].id", "is required", {"tasks": [{"type": "qa", "dataset": FILE}]}),
    Wrong("tasks[0].id", "pattern", manifest(task(id="a b"))),
    Wrong("tasks[0].id", "pattern", manifest(task(id="a\n"))),
    Wrong("tasks[0].id", "pattern", manifest(task(id=""))),
    Wrong("tasks[2].id", "repeats the task id of entry 0", manifest(task(), task(id="u"), task())),
    Wrong("tasks[0].type", "'classification'", manifest(task(type="essay"))),
    Wrong("tasks[0].type", "is required", manifest(task(type=None))),
    Wrong("tasks[1].prompt_template", "string", manifest(task(), task(id="u", prompt_template=5))),
    Wrong("tasks[0].choices", "at least 1", manifest(task(choices=[]))),
    Wrong("tasks[0].choices[1]", "at least 1 character", manifest(task(choices=["a", ""]))),
    Wrong("tasks[0].choices[0]", "blank", manifest(task(choices=[" "]))),
    Wrong("tasks[0].choices[2]", "repeats the choice of entry 1", manifest(task(choices=["a", "b", "b "]))),
    Wrong("tasks[0].choices", "two", manifest(task(type="multiple_choice", choices=["a"]))),
    Wrong("tasks[0].language", "transcription tasks only", manifest(task(language="en"))),
    Wrong("tasks[0].embedding", "embedding tasks only", manifest(task(embedding={"kind": "sts"}))),
    Wrong("tasks[0].embedding", "is required", manifest(task(type="embedding"))),
    Wrong("tasks[0].dataset.audio_column", "is required", manifest(task(type="transcription"))),
    Wrong("tasks[0].dataset.audio_column", "transcription tasks only", dataset(file_id="f", audio_column="a")),
    Wrong("tasks[0].dataset", "neither file_id nor path", dataset()),
    Wrong("tasks[0].dataset", "both", dataset(file_id="f", path="a/b")),
    Wrong("tasks[0].dataset.file_id", "source 'file'", dataset(source="file", path="a/b")),
    Wrong("tasks[0].dataset.path", "source 'huggingface'", dataset(source="huggingface", file_id="f")),
    Wrong("tasks[0].dataset", "both file_id and dataset_id", dataset(file_id="f", dataset_id="d")),
    Wrong("tasks[0].dataset.dataset_id", "source 'dataset'", dataset(source="dataset", file_id="f")),
    Wrong("tasks[0].dataset.file_id", "instead of dataset_id", dataset(source="file", dataset_id="d")),
    Wrong("tasks[0].dataset.format", "uploaded files only", dataset(dataset_id="d", format="csv")),
    Wrong("tasks[0].dataset.split", "Hugging Face datasets only", dataset(dataset_id="d", split="test")),
    Wrong("tasks[0].dataset.source", "'file', 'huggingface' or 'dataset'", dataset(source="s3", file_id="f")),
    Wrong("tasks[0].dataset.split", "Hugging Face datasets only", dataset(file_id="f", split="test")),
    Wrong("tasks[0].dataset.format", "uploaded files only", dataset(path="a/b", format="csv")),
    Wrong("tasks[0].dataset.format", "'jsonl', 'csv' or 'parquet'", dataset(file_id="f", format="xml")),
    *[
        Wrong("tasks[0].dataset.path", "owner/name", dataset(path=path))
        for path in ("/etc", "../up", "a/b/c", "https://host/x", "a/..", "a b/c", ".hidden/x")
    ],
    *[
        Wrong("tasks[0].dataset.data_files", "within the repository", dataset(path="a/b", data_files=files))
        for files in (
            "/etc/passwd",
            "../x.csv",
            "https://host/x.csv",
            ["x.csv", "file:///x.csv"],
            {"test": "a/../../x.csv"},
            "zip://x.csv::https://host/x.zip",
            "~/x.csv",
            "a\\x.csv",
            "",
        )
    ],
    Wrong("tasks[0].dataset.data_files", "at most 1000", dataset(path="a/b", data_files=["x.csv"] * 1001)),
    Wrong("tasks[0].dataset.revision", "branch, tag or commit", dataset(path="a/b", revision="../main")),
    Wrong("tasks[0].dataset.max_rows", "1000000", dataset(file_id="f", max_rows=1_000_001)),
    Wrong("tasks[0].dataset.max_rows", "greater than", dataset(file_id="f", max_rows=0)),
    Wrong("tasks[0].dataset.max_rows", "integer", dataset(file_id="f", max_rows="5")),
    Wrong("tasks[0].dataset.max_rows", "integer", dataset(file_id="f", max_rows=True)),
    Wrong("tasks[0].dataset.data_files", "list of paths", dataset(path="a/b", data_files={"a": {"b": "c"}})),
    Wrong("tasks[0].fewshot.dataset", "neither", manifest(task(fewshot={"dataset": {}}))),
    Wrong(
        "tasks[0].fewshot.dataset.max_rows",
        "differs",
        manifest(task(fewshot={"count": 1, "dataset": {**FILE, "max_rows": 5}})),
    ),
    Wrong("tasks[0].fewshot.example_template", "not closed", manifest(task(fewshot={"example_template": "{{prompt"}))),
    Wrong("tasks[0].prompt_template", "not a path", manifest(task(prompt_template="{{ a | upper }}"))),
    Wrong("tasks[0].target_template", "empty", manifest(task(target_template="{{}}"))),
    Wrong("tasks[0].fewshot.count", "100", manifest(task(fewshot={"count": 101}))),
    Wrong("tasks[0].num_fewshot", "100", manifest(task(num_fewshot=101))),
    Wrong("tasks[0].num_fewshot", "fewshot.count is 3", manifest(task(fewshot={"count": 3}, num_fewshot=2))),
    Wrong("tasks[0].fewshot.strategy", "'first' or 'random'", manifest(task(fewshot={"strategy": "last"}))),
    Wrong(
        "tasks[0].metrics[1].id",
        "repeats",
        manifest(task(metrics=[{"id": "a"}, {"id": "a"}], grader={"source": GRADE})),
    ),
    Wrong(
        "tasks[0].metrics[0].id",
        "use one of exact_match, f1, or add a grader",
        manifest(task(metrics=[{"id": "accuracy"}])),
    ),
    Wrong("tasks[0].metrics[0].id", "is required", manifest(task(metrics=[{}]))),
    Wrong(
        "tasks[0].metrics[0].aggregation",
        "'mean' or 'none'",
        manifest(task(metrics=[{"id": "a", "aggregation": "max"}])),
    ),
    Wrong(
        "tasks[0].metrics[0].higher_is_better", "boolean", manifest(task(metrics=[{"id": "a", "higher_is_better": 1}]))
    ),
    Wrong("tasks[0].output_extraction", "'type'", extraction()),
    Wrong("tasks[0].output_extraction.type", "'label_set'", extraction(type="magic")),
    Wrong("tasks[0].output_extraction.pattern", "not valid", extraction(type="regex", pattern="(")),
    Wrong(
        "tasks[0].output_extraction.pattern", "repeat counts", extraction(type="regex", pattern="((a{1000}){1000}){9}")
    ),
    Wrong("tasks[0].output_extraction.group", "no group 'x'", extraction(type="regex", pattern="a", group="x")),
    Wrong("tasks[0].output_extraction.pattern", "is required", extraction(type="regex")),
    Wrong("tasks[0].output_extraction.labels", "unknown field", extraction(type="regex", pattern="x", labels=[])),
    Wrong("tasks[0].output_extraction.flags", "flag 'g'", extraction(type="regex", pattern="x", flags="g")),
    Wrong("tasks[0].output_extraction.group", "number or its name", extraction(type="regex", pattern="x", group=1.5)),
    Wrong("tasks[0].output_extraction.group", "no group -1", extraction(type="regex", pattern="x", group=-1)),
    Wrong("tasks[0].output_extraction.lines", "greater than", extraction(type="take_first", lines=0)),
    Wrong("tasks[0].output_extraction.labels", "at least 1", extraction(type="label_set", labels=[])),
    Wrong(
        "tasks[0].output_extraction.labels[1]",
        "cannot be told from 'Yes'",
        extraction(type="label_set", labels=["Yes", "yes"]),
    ),
    Wrong("tasks[0].output_extraction.labels[0]", "blank", extraction(type="label_set", labels=[" "])),
    Wrong("tasks[0].grader.source", "is required", grader(type="python")),
    Wrong("tasks[0].grader.source", "together with file_id", grader(source=GRADE, file_id="f")),
    Wrong("tasks[0].grader.source", "must define `def grade(sample, item)`", grader(source=" \n")),
    Wrong("tasks[0].grader.source", "syntax error", grader(source="def grade(sample, item)\n  return 1")),
    Wrong("tasks[0].grader.source", "grade_batch(samples)", grader(source=GRADE, contract="batch")),
    Wrong("tasks[0].grader.source", "grade_batch(samples)", grader(source=GRADE, execution="aggregate")),
    Wrong("tasks[0].grader.source", "grade(sample, item)", grader(source="x = 1", contract="model_backed")),
    Wrong("tasks[0].grader.source", "NUL", grader(source="\x00")),
    Wrong("tasks[0].grader.type", "'python'", grader(type="javascript", source=GRADE)),
    Wrong("tasks[0].grader.timeout_seconds", "600", grader(source=GRADE, timeout_seconds=601)),
    Wrong("tasks[0].grader.max_model_calls", "500", grader(source=GRADE, max_model_calls=501)),
    Wrong("tasks[0].grader.contract", "'sample'", grader(source=GRADE, contract="other")),
    Wrong(
        "tasks[0].grader.model_access",
        "'none' while",
        grader(source=GRADE, contract="model_backed", model_access="none"),
    ),
    Wrong("tasks[0].grader", "nothing built in scores", manifest(task(type="llm_judge"))),
    Wrong("tasks[0].grader", "nothing built in scores", manifest(task(type="custom"))),
    Wrong("tasks[0].preprocess.source", "transform(row)", manifest(task(preprocess={"source": GRADE}))),
    Wrong("tasks[0].preprocess.source", "is required", manifest(task(preprocess={"type": "python"}))),
    Wrong(
        "tasks[0].preprocess.contract",
        "'row' or 'batch'",
        manifest(task(preprocess={"source": "x", "contract": "sample"})),
    ),
    Wrong("tasks[0].embedding.train_dataset", "not used by the kind 'sts'", embedding(train_dataset={"file_id": "f"})),
    Wrong("tasks[0].embedding.train_dataset", "is required by", embedding(kind="classification")),
    Wrong(
        "tasks[0].grader",
        "no effect",
        manifest(task(type="embedding", embedding={"kind": "sts"}, grader={"source": GRADE})),
    ),
    Wrong("tasks[0].embedding.kind", "'sts'", manifest(task(type="embedding", embedding={"kind": "other"}))),
    Wrong("tasks[0].embedding.max_chars", "64000", embedding(max_chars=64_001)),
    Wrong("tasks[0].embedding.max_texts", "50000", embedding(max_texts=50_001)),
    Wrong("tasks[0].embedding.k_values[1]", "greater than", embedding(k_values=[1, 0])),
    Wrong(
        "tasks[0].embedding.qrels_dataset",
        "neither",
        RETRIEVAL,
    ),
    Wrong(
        "tasks[0].type",
        "is required",
        manifest({"id": "x"}, task(id="!")),
        ["tasks[0].dataset", "tasks[1].id"],
    ),
    Wrong(
        "tasks[3].grader.source",
        "is required",
        manifest(*(task(id=f"t{i}") for i in range(3)), task(id="t3", grader={}), task(id="t4", language="en")),
        ["tasks[4].language"],
    ),
]


@pytest.mark.parametrize("case", WRONG, ids=lambda case: f"{case.path or 'manifest'}-{case.says}")
def test_faults_are_named(case: Wrong) -> None:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(case.sent)
    error = caught.value
    assert error.message.startswith(f"{case.path or 'manifest'}: ")
    assert case.says in error.faults[0].reason
    assert error.param == (case.path or None)
    assert [entry["path"] for entry in error.data["errors"]] == [case.path, *case.also]


def test_many_faults_are_bounded() -> None:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(manifest(*(task(id=f"t{i}", choices=[" "] * 9) for i in range(90))))
    assert len(caught.value.data["errors"]) == 50
    assert caught.value.message.endswith(" more)")
    assert len(caught.value.message) < 1000


@pytest.mark.parametrize(
    "sent",
    [
        {"tasks": [1] * 200_000},
        {"tasks": [task(**{str(number): 1 for number in range(50_000)})]},
        {"tasks": [task(choices=["a"] * 100_000)]},
        {"tasks": [task(output_extraction={"type": "regex", "pattern": "a", "group": "g" * 500_000})]},
        {"tasks": [task(prompt_template="{{" * 400_000)]},
        {"tasks": [task(grader={"source": "(" * 200_000})]},
        {"tasks": [task(grader={"source": f"class {'A' * 200_000}(B): pass"})]},
        {"tasks": [task()], "schema_version": "x" * 500_000},
        {"tasks": [task()], "x" * 500_000: 1},
    ],
    ids=range(9),
)
def test_hostile_manifests_get_short_answers_soon(sent: Any) -> None:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(sent)
    assert len(caught.value.message) < 2000
    assert len(orjson.dumps(caught.value.data)) < 50_000


def test_nesting_is_bounded() -> None:
    deep: Any = 1
    for _ in range(40):
        deep = {"a": deep}
    with pytest.raises(ManifestError, match="nested too deeply"):
        parse_manifest(manifest(metadata=deep))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def _places(value: object, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner: list[tuple[Any, object]] = []
    if isinstance(value, dict):
        inner = list(cast("dict[str, object]", value).items())
    elif isinstance(value, list):
        inner = list(enumerate(cast("list[object]", value)))
    return [place, *(found for key, item in inner for found in _places(item, (*place, key)))]


PLACES = [place for place in _places(manifest(*FULL_TASKS)) if place]


@given(place=st.sampled_from(PLACES), value=json_values)
def test_any_value_anywhere_is_accepted_or_refused_cleanly(place: tuple[Any, ...], value: Any) -> None:
    sent = copy.deepcopy(manifest(*FULL_TASKS))
    inner: Any = sent
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    faults: list[str] = []
    try:
        unsupported_parts(parse_manifest(sent))
    except ManifestError as exc:
        faults = [str(fault) for fault in exc.faults]
    assert all(fault.encode() and "\x00" not in fault for fault in faults)


RESULTS = {"path": "a/b", "data_files": "org__model/samples_gsm8k_2025-03-04T05-06-07.890000.jsonl"}


@pytest.mark.parametrize(
    ("one", "path", "says"),
    [
        (task(dataset=RESULTS), "tasks[0].dataset.data_files", "no questions to ask"),
        (
            task(fewshot={"count": 1, "dataset": RESULTS}),
            "tasks[0].fewshot.dataset.data_files",
            "give the dataset itself",
        ),
    ],
)
def test_what_cannot_run_is_refused(one: dict[str, Any], path: str, says: str) -> None:
    parsed = parse_manifest(manifest(one))
    with pytest.raises(UnsupportedManifestError) as caught:
        refuse_unsupported(parsed)
    assert caught.value.param == path
    assert says in caught.value.message


def test_everything_else_can_be_run() -> None:
    rows = task(id="rows", dataset={"path": "a/b", "data_files": "samples_1.jsonl"})
    assert unsupported_parts(parse_manifest(manifest(*FULL_TASKS, rows))) == []


@pytest.mark.parametrize("type_", ["summarization", "semantic_similarity", "llm_judge", "custom", "math"])
def test_python_grader_makes_any_type_runnable(type_: str) -> None:
    parsed = parse_manifest(manifest(task(type=type_, grader={"source": GRADE})))
    assert unsupported_parts(parsed) == []
    assert parsed.tasks[0].type is TaskType(type_)
