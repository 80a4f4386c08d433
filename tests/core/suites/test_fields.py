"""No field of the manifest is silently ignored.

Each one either changes the compiled task, or is kept for people to read. The two lists together must be the schema, so
that a new field cannot slip in without a decision.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from assay.core.suites.compile import CompiledTask, compile_manifest
from assay.core.suites.manifest import parse_manifest, schema, unsupported_parts
from assay.core.suites.manifest.schema import Part

GRADE = "def grade(sample, item):\n    return 1.0\n"
GRADE_BATCH = "def grade_batch(samples):\n    return [1.0 for sample in samples]\n"
TRANSFORM = "def transform(row):\n    return row\n"
SOURCES = {
    "file_g": GRADE + GRADE_BATCH,
    "file_h": GRADE_BATCH + GRADE,
    "file_p": TRANSFORM + "def transform_batch(rows):\n    return rows\n",
    "file_q": TRANSFORM,
}


def compile_one(task: dict[str, Any]) -> CompiledTask:
    manifest = parse_manifest({"tasks": [{"id": "t", "type": "qa", "dataset": {"file_id": "f"}, **task}]})
    assert unsupported_parts(manifest) == []
    return compile_manifest(manifest, sources=SOURCES)[0]


@dataclass(frozen=True)
class Used:
    fields: list[str]
    """Fields whose change is shown."""
    after: dict[str, Any]
    before: dict[str, Any] = field(default_factory=dict[str, Any])


def grader(**fields: Any) -> dict[str, Any]:
    return {"grader": {"file_id": "file_g", **fields}}


def preprocess(**fields: Any) -> dict[str, Any]:
    return {"preprocess": {"file_id": "file_p", **fields}}


def fewshot(**fields: Any) -> dict[str, Any]:
    return {"fewshot": {"count": 1, **fields}}


def pool(**fields: Any) -> dict[str, Any]:
    return fewshot(dataset={"file_id": "g", **fields})


def extraction(**fields: Any) -> dict[str, Any]:
    return {"output_extraction": fields}


REGEX = {"type": "regex", "pattern": "(a)(?P<b>b)"}
LABELS = {"type": "label_set", "labels": ["a"]}

NUMERIC = {"type": "numeric", "min": 0, "max": 10}


def judged(**fields: Any) -> dict[str, Any]:
    return {"grader": {"type": "judge", "criteria": "It is right.", **fields}}


def options(**fields: Any) -> dict[str, Any]:
    return judged(output={"type": "categorical", "options": [{"key": "a"}, {"key": "b"}], **fields})


def checked(**fields: Any) -> dict[str, Any]:
    return {
        "grader": {
            "type": "judge",
            "checklist": [{"id": "i", "criteria": "It is right.", **fields}, {"id": "k", "criteria": "It is short."}],
        }
    }


AUXILIARY = ("train_dataset", "corpus_dataset", "qrels_dataset", "top_ranked_dataset")
CHANGED = {"samples_per_label": 4, "n_experiments": 3, "seed": 7, "k_values": [2], "max_chars": 9, "max_texts": 8}


def embedding(**fields: Any) -> dict[str, Any]:
    datasets = {name: {"file_id": name} for name in AUXILIARY[1:]}
    return {"type": "embedding", "embedding": {"kind": "reranking", **datasets, **fields}}


def transcription(**fields: Any) -> dict[str, Any]:
    return {"type": "transcription", "dataset": {"file_id": "f", "audio_column": "a"}, **fields}


USED = [
    Used(["Task.embedding", "EmbeddingConfig.kind"], embedding(), {"type": "embedding", "embedding": {"kind": "sts"}}),
    Used(
        ["EmbeddingConfig.train_dataset"],
        {"type": "embedding", "embedding": {"kind": "classification", "train_dataset": {"file_id": "other"}}},
        {"type": "embedding", "embedding": {"kind": "classification", "train_dataset": {"file_id": "train"}}},
    ),
    *[
        Used([f"EmbeddingConfig.{name}"], embedding(**{name: {"file_id": "other"}}), embedding())
        for name in AUXILIARY[1:]
    ],
    *[
        Used([f"EmbeddingConfig.{name}"], embedding(**{name: CHANGED.get(name, "other")}), embedding())
        for name in schema.EmbeddingConfig.model_fields
        if name != "kind" and name not in AUXILIARY
    ],
    Used(["Task.language"], transcription(language="uk"), transcription()),
    Used(
        ["Dataset.audio_column"],
        transcription(dataset={"file_id": "f", "audio_column": "b"}),
        transcription(),
    ),
    Used(["Task.id"], {"id": "u"}),
    Used(["Task.type"], {"type": "numeric"}),
    Used(["Task.dataset", "Dataset.file_id"], {"dataset": {"file_id": "g"}}),
    Used(["Dataset.path"], {"dataset": {"path": "a/b"}}),
    *[
        Used([f"Dataset.{name}"], {"dataset": {"path": "a/b", name: "x"}}, {"dataset": {"path": "a/b"}})
        for name in ("name", "split", "revision", "data_files")
    ],
    Used(["Dataset.dataset_id"], {"dataset": {"dataset_id": "d"}}),
    Used(["Dataset.format"], {"dataset": {"file_id": "f", "format": "csv"}}),
    Used(["Dataset.max_rows"], {"dataset": {"file_id": "f", "max_rows": 5}}),
    Used(["Task.prompt_template"], {"prompt_template": "{{q}}"}),
    Used(["Task.target_template"], {"target_template": "{{a}}"}),
    Used(["Task.choices"], {"choices": ["a", "b"]}),
    Used(["Task.num_fewshot"], {"num_fewshot": 2}),
    Used(["Task.output_extraction", "TakeFirst.type"], extraction(type="take_first")),
    Used(["TakeFirst.lines"], extraction(type="take_first", lines=2), extraction(type="take_first")),
    Used(["NumberExtraction.type"], extraction(type="number")),
    Used(["NoExtraction.type"], extraction(type="none"), extraction(type="number")),
    Used(["RegexExtraction.type"], extraction(**{**REGEX, "type": "regex_last"}), extraction(**REGEX)),
    Used(["RegexExtraction.pattern"], extraction(**{**REGEX, "pattern": "(c)"}), extraction(**REGEX)),
    Used(["RegexExtraction.group"], extraction(**REGEX, group="b"), extraction(**REGEX)),
    Used(["RegexExtraction.flags"], extraction(**REGEX, flags="i"), extraction(**REGEX)),
    Used(["LabelSet.type", "LabelSet.labels"], extraction(**{**LABELS, "labels": ["b"]}), extraction(**LABELS)),
    Used(["LabelSet.case_sensitive"], extraction(**LABELS, case_sensitive=True), extraction(**LABELS)),
    Used(["Task.metrics", "Metric.id"], {"metrics": [{"id": "f1"}]}),
    Used(["Metric.aggregation"], {"metrics": [{"id": "f1", "aggregation": "none"}]}, {"metrics": [{"id": "f1"}]}),
    Used(
        ["Metric.higher_is_better"], {"metrics": [{"id": "f1", "higher_is_better": False}]}, {"metrics": [{"id": "f1"}]}
    ),
    Used(["Task.grader", "Grader.source"], {"grader": {"source": GRADE}}),
    Used(["Grader.file_id"], grader(file_id="file_h"), grader()),
    Used(["Grader.contract"], grader(contract="batch"), grader()),
    Used(["Grader.execution"], grader(execution="aggregate"), grader()),
    Used(["Grader.model_access"], grader(model_access="mka1"), grader()),
    Used(["Grader.metric_id"], grader(metric_id="m"), grader()),
    Used(["Grader.timeout_seconds"], grader(timeout_seconds=5), grader()),
    Used(["Grader.max_model_calls"], grader(max_model_calls=5), grader()),
    *[
        Used([f"JudgeGrader.{name}"], judged(**{name: value}), judged())
        for name, value in {
            "criteria": "Other.",
            "allows_na": True,
            "reference": True,
            "context_template": "{{a}}",
            "models": ["m"],
            "repeats": 3,
            "generation": {"temperature": 0.5},
            "metric_id": "m",
        }.items()
    ],
    Used(["JudgeGrader.type"], judged(), grader()),
    Used(["JudgeGrader.output", "NumericOutput.type"], judged(output=NUMERIC), judged()),
    *[
        Used([f"NumericOutput.{name}"], judged(output={**NUMERIC, name: 2}), judged(output=NUMERIC))
        for name in ("min", "max", "step")
    ],
    Used(["BooleanOutput.type"], judged(output={"type": "boolean"}), judged(output=NUMERIC)),
    Used(["CategoricalOutput.type", "CategoricalOutput.options", "JudgeOption.key"], options(), judged()),
    Used(["CategoricalOutput.selection_mode"], options(selection_mode="multiple"), options()),
    Used(["JudgeOption.label"], options(options=[{"key": "a", "label": "A"}, {"key": "b"}]), options()),
    Used(["JudgeOption.score"], options(options=[{"key": "a", "score": 1}, {"key": "b", "score": 0}]), options()),
    Used(["JudgeGrader.checklist", "JudgeChecklistItem.id"], checked(id="j"), checked()),
    Used(["JudgeChecklistItem.criteria"], checked(criteria="Other."), checked()),
    Used(["JudgeChecklistItem.weight"], checked(weight=2), checked()),
    Used(["JudgeChecklistItem.gate"], checked(gate=True), checked()),
    Used(["JudgeGrader.pairwise"], judged(pairwise={}), judged()),
    Used(["JudgePair.allows_tie"], judged(pairwise={"allows_tie": False}), judged(pairwise={})),
    Used(["Task.preprocess", "Preprocessor.source"], {"preprocess": {"source": TRANSFORM}}),
    Used(["Preprocessor.file_id"], preprocess(file_id="file_q"), preprocess()),
    Used(["Preprocessor.contract"], preprocess(contract="batch"), preprocess()),
    Used(["Preprocessor.timeout_seconds"], preprocess(timeout_seconds=5), preprocess()),
    Used(["Task.fewshot", "Fewshot.count"], fewshot(count=2), fewshot()),
    Used(["Fewshot.dataset"], pool(), fewshot()),
    Used(["Fewshot.prompt_template"], fewshot(prompt_template="{{q}}"), fewshot()),
    Used(["Fewshot.target_template"], fewshot(target_template="{{a}}"), fewshot()),
    Used(["Fewshot.example_template"], fewshot(example_template="{{prompt}}: {{target}}"), fewshot()),
    Used(["Fewshot.separator"], fewshot(separator="-"), fewshot()),
    Used(["Fewshot.strategy"], fewshot(strategy="random"), fewshot()),
    Used(["Fewshot.seed"], fewshot(seed=1), fewshot()),
]

KEPT = {
    "Task.name",
    "Task.metadata",
    "Metric.description",
    "Dataset.dataset_kwargs",
    "Dataset.source",  # Says once more what file_id says; a contradiction is refused.
    "Grader.type",  # Has one value.
    "Preprocessor.type",
}

PARTS = [part for part in vars(schema).values() if isinstance(part, type) and issubclass(part, Part)]
ABSTRACT = {"Part", "PythonPart", "Manifest"}


def test_every_field_has_a_decision() -> None:
    fields = {
        f"{part.__name__}.{name}" for part in PARTS if part.__name__ not in ABSTRACT for name in part.model_fields
    }
    used = {name for case in USED for name in case.fields}
    assert used | KEPT == fields
    assert not used & KEPT
    assert set(schema.Manifest.model_fields) == {"tasks", "schema_version", "metadata"}


@pytest.mark.parametrize("case", USED, ids=lambda case: case.fields[-1])
def test_used_fields_change_what_runs(case: Used) -> None:
    assert compile_one(case.before) == compile_one(case.before)
    assert compile_one({**case.before, **case.after}) != compile_one(case.before)


def test_examples_from_another_split_are_a_pool_of_their_own() -> None:
    dataset = {"path": "a/b", "split": "test"}
    same = compile_one({"dataset": dataset, "fewshot": {"count": 1, "dataset": dataset}})
    other = compile_one({"dataset": dataset, "fewshot": {"count": 1, "dataset": {"path": "a/b", "split": "train"}}})
    assert same.fewshot is not None
    assert other.fewshot is not None
    # From the task's own rows, a sample's own row is never its example.
    assert same.fewshot.pool_dataset is None
    assert other.fewshot.pool_dataset is not None


def test_kept_fields_change_nothing_but_the_manifest() -> None:
    plain = compile_one({"metrics": [{"id": "f1"}]})
    decorated = compile_one(
        {
            "name": "n",
            "metadata": {"a": 1},
            "metrics": [{"id": "f1", "description": "d"}],
            "dataset": {"file_id": "f", "source": "file", "dataset_kwargs": {"x": 1}},
        }
    )
    assert decorated.metrics[0].id == plain.metrics[0].id
    assert decorated.dataset.file_id == plain.dataset.file_id
    assert (decorated.scorer, decorated.extractor) == (plain.scorer, plain.extractor)
