"""Which metric samples are compared by, and which way it is good."""

from __future__ import annotations

from typing import Any

import pytest

from assay.core.suites.manifest import parse_manifest
from assay.core.suites.manifest.schema import Task
from assay.core.suites.scorings import is_higher_better, main_sample_metric

AUDIO = {"type": "transcription", "dataset": {"file_id": "f", "audio_column": "a"}}


def one_task(**fields: Any) -> Task:
    [task] = parse_manifest({"tasks": [{"id": "t", "dataset": {"file_id": "f"}, **fields}]}).tasks
    return task


@pytest.mark.parametrize(
    ("fields", "metric"),
    [
        ({"type": "qa"}, "exact_match"),
        ({"type": "qa", "metrics": [{"id": "f1"}]}, "f1"),
        ({"type": "classification", "choices": ["a", "b"]}, "exact_match"),
        ({"type": "numeric"}, "numeric_match"),
        (AUDIO, "wer"),
    ],
    ids=str,
)
def test_main_sample_metric(fields: dict[str, Any], metric: str) -> None:
    assert main_sample_metric(one_task(**fields)) == metric


@pytest.mark.parametrize(
    ("metrics", "metric", "expected"),
    [
        ([], "exact_match", True),
        ([], "wer", False),
        ([], "corpus_cer", False),
        ([{"id": "f1", "higher_is_better": False}], "f1", False),
        ([{"id": "f1", "higher_is_better": False}], "exact_match", True),
    ],
    ids=str,
)
def test_direction(metrics: list[dict[str, Any]], metric: str, expected: bool) -> None:
    assert is_higher_better(one_task(type="qa", metrics=metrics), metric) is expected
    assert metrics or is_higher_better(None, metric) is expected
