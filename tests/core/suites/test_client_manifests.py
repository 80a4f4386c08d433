"""Manifests as the published Python client writes them, its own defaults included."""

from __future__ import annotations

import json
from typing import Any

import pytest
from meetkai_mka1.models.evalsuitemanifest import EvalSuiteManifest

from assay.core.suites.manifest import parse_manifest, unsupported_parts

GRADE = "def grade(sample, item):\n    return 1.0\n"


def as_sent(*tasks: dict[str, Any]) -> dict[str, Any]:
    base = {"type": "qa", "dataset": {"file_id": "file_1", "format": "jsonl"}}
    typed = EvalSuiteManifest.model_validate(
        {"tasks": [{"id": f"t{i}", **base, **task} for i, task in enumerate(tasks)]}
    )
    return json.loads(typed.model_dump_json(by_alias=True))


def test_the_clients_defaults_are_no_choices_of_the_user() -> None:
    sent = as_sent(
        {"num_fewshot": 3, "fewshot": {"dataset": {"file_id": "file_2"}}},
        {"type": "custom", "grader": {"type": "python", "source": GRADE}, "metrics": [{"id": "score"}]},
        {"type": "llm_judge", "grader": {"type": "python", "contract": "model_backed", "file_id": "file_g"}},
        {"preprocess": {"type": "python", "file_id": "file_p"}},
    )
    assert sent["tasks"][0]["fewshot"]["count"] == 0
    parsed = parse_manifest(sent)
    assert parsed.tasks[0].effective_fewshot_count == 3
    assert unsupported_parts(parsed) == []


@pytest.mark.parametrize(
    "extraction",
    [
        {"type": "none"},
        {"type": "number"},
        {"type": "take_first"},
        {"type": "label_set", "labels": ["a", "b"]},
        {"type": "regex", "pattern": "(?P<x>a)", "group": "x", "flags": "im"},
        {"type": "regex_last", "pattern": "(a)", "group": 1},
    ],
    ids=lambda extraction: extraction["type"],
)
def test_extractions(extraction: dict[str, Any]) -> None:
    parsed = parse_manifest(as_sent({"output_extraction": extraction}))
    assert parsed.tasks[0].output_extraction is not None
    assert parsed.tasks[0].output_extraction.type == extraction["type"]


def test_types_whose_vectors_or_clips_are_scored_parse() -> None:
    sent = as_sent(
        {"type": "embedding", "embedding": {"kind": "sts"}},
        {"type": "transcription", "dataset": {"path": "a/b", "audio_column": "audio"}, "language": "uk"},
    )
    assert sent["tasks"][0]["embedding"]["query_id_column"] == "query-id"
    assert unsupported_parts(parse_manifest(sent)) == []
