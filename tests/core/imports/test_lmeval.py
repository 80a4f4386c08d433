"""Reading files of lm-evaluation-harness: names, shapes old and new, and bytes of any kind."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.imports.history.errors import HistoryFormatError
from assay.core.imports.history.lmeval import SamplesFile, model_name, read_trials, recognize
from assay.core.imports.trials import phase_seconds
from assay.core.runs.types import SampleStatus

FILE = SamplesFile("m/samples_t.jsonl", "t", None)


@pytest.mark.parametrize(
    ("path", "task", "at"),
    [
        ("a/samples_gsm8k_2025-03-04T05-06-07.890000.jsonl", "gsm8k", datetime(2025, 3, 4, 5, 6, 7, 890_000, UTC)),
        ("samples_mmlu_us_history_2024-01-02T03:04:05.jsonl", "mmlu_us_history", datetime(2024, 1, 2, 3, 4, 5, 0, UTC)),
        ("samples_arc.jsonl", "arc", None),
        ("samples_arc_2024-13-02T03-04-05.jsonl", "arc", None),
        ("samples_arc_0001-01-01T00-00-00.jsonl", "arc", None),
        ("samples_arc_v2.jsonl", "arc_v2", None),
    ],
)
def test_names_of_samples_files(path: str, task: str, at: datetime | None) -> None:
    file = recognize(path)

    assert file is not None
    assert (file.path, file.task_id, file.evaluated_at) == (path, task, at)


@pytest.mark.parametrize("path", ["results_2025.json", "samples_.jsonl", "samples_a.json", "a.jsonl", "README.md"])
def test_other_files_are_none(path: str) -> None:
    assert recognize(path) is None


@pytest.mark.parametrize(
    ("folder", "results", "name"),
    [
        ("org__m", {"model_name": "Org/M"}, "Org/M"),
        ("org__m", {"config": {"model_args": "pretrained=Org/M,dtype=auto"}}, "Org/M"),
        ("org__m", {"config": {"model_args": {"pretrained": "Org/M"}}}, "Org/M"),
        ("org__m", {"config": None}, "org/m"),
        ("runs/org__m", None, "org/m"),
        ("", None, "the/repository"),
    ],
)
def test_names_of_models(folder: str, results: dict[str, Any] | None, name: str) -> None:
    file = recognize(f"{folder}/samples_t.jsonl".lstrip("/"))
    assert file is not None
    content = None if results is None else orjson.dumps(results)

    assert model_name(file, content, repository="the/repository") == name


def test_results_that_are_no_json_name_no_model() -> None:
    file = recognize("org__m/samples_t.jsonl")
    assert file is not None

    assert model_name(file, b"<html>", repository="r") == "org/m"


@pytest.mark.parametrize(
    ("document", "scores"),
    [
        ({"metrics": ["acc_norm", "acc"], "acc": 0, "acc_norm": 1}, {"acc": 0, "acc_norm": 1, "score": 0}),
        ({"metrics": ["rouge", "bleurt"], "rouge": 0.5, "bleurt": 1}, {"rouge": 0.5, "bleurt": 1, "score": 0.5}),
        ({"metrics": ["score", "acc"], "score": 0.25, "acc": 1}, {"score": 0.25, "acc": 1}),
        ({"metrics": ["acc"], "acc": True}, {"acc": 1, "score": 1}),
        ({"acc": 1.0}, {"acc": 1, "score": 1}),
        ({"metrics": ["ppl"], "ppl": [1, 2]}, {}),
        ({"metrics": "acc", "acc": "high"}, {}),
        ({"metrics": ["acc"], "acc": 10**400}, {}),
        ({}, {}),
    ],
)
def test_scores(document: dict[str, Any], scores: dict[str, float]) -> None:
    (trial,) = read_trials(FILE, json.dumps({"doc_id": 3, **document}).encode())

    assert (trial.sample_index, trial.scores) == (3, scores)
    assert trial.status is (SampleStatus.COMPLETED if scores else SampleStatus.FAILED)


@given(st.binary(min_size=1, max_size=200).filter(lambda content: content.strip() != b""))
def test_bytes_that_are_no_objects_are_refused(content: bytes) -> None:
    with pytest.raises(HistoryFormatError, match=r"m/samples_t\.jsonl, line \d+"):
        read_trials(FILE, b"x" + content)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1" * 400])
def test_numbers_that_json_lacks_are_left_out(value: str) -> None:
    (trial,) = read_trials(FILE, f'{{"metrics": ["acc", "f1"], "acc": {value}, "f1": 1, "target": {value}}}'.encode())

    assert trial.scores == {"f1": 1, "score": 1}


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_NAMES = st.sampled_from(
    ["doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "acc", "exact_match", "score"]
)


@given(st.lists(st.dictionaries(_NAMES, _VALUES), max_size=4), st.booleans())
def test_fields_of_any_kind_make_samples(documents: list[dict[str, Any]], repeated: bool) -> None:
    lines = [{"doc_id": 0 if repeated else number, **one} for number, one in enumerate(documents)]

    trials = read_trials(FILE, b"\n".join(map(orjson.dumps, lines)))

    assert len(trials) == (min(1, len(lines)) if repeated else len(lines))
    for trial in trials:
        assert isinstance(trial.prompt, str)
        assert all(isinstance(value, float) for value in trial.scores.values())


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        ({"started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:01:30.5Z"}, 90.5),
        ({"started_at": "2026-01-01T00:00:00+01:00", "finished_at": "2025-12-31T23:00:10Z"}, 10),
        ({"started_at": "2026-01-01T00:00:00", "finished_at": "2026-01-01T00:00:01"}, 1),
        ({"started_at": "2026-01-01T00:00:00", "finished_at": "2026-01-01T00:00:01Z"}, None),
        ({"started_at": "2026-01-01T00:00:02Z", "finished_at": "2026-01-01T00:00:01Z"}, None),
        ({"started_at": "2026-99-01T00:00:02Z", "finished_at": "2026-01-01T00:00:01Z"}, None),
        ({"started_at": 1, "finished_at": 2}, None),
        ({}, None),
        ("soon", None),
    ],
)
def test_lengths_of_phases(times: Any, seconds: float | None) -> None:
    assert phase_seconds({"agent_execution": times}, "agent_execution") == seconds
    assert phase_seconds({"verifier": times}, "agent_execution") is None
    assert phase_seconds(None, "agent_execution") is None
