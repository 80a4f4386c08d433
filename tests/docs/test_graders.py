"""Every grader in the guide does what the guide says."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest
import yaml
from tests.docs.pages import ROOT, examples

from assay.core.suites.compile import compile_manifest
from assay.core.suites.manifest import parse_manifest
from assay.sandbox import (
    BatchGraded,
    Case,
    EntryPoint,
    Graded,
    ModelAccess,
    MontySandbox,
    Sandbox,
    Transformed,
    check_program,
)
from assay.sandbox.contract import CodeFailure, GradeOutcome

GUIDE = ROOT / "docs" / "graders.md"
PROGRAMS = {example.line: example.text for example in examples("python") if example.page == GUIDE}


class Judge:
    """Answers as a judge would."""

    def __init__(self, reply: str = "SCORE: 4") -> None:
        self._reply = reply

    async def responses_create(self, *, model: str, **request: Any) -> Any:
        assert model == "auto"
        return {"output_text": self._reply}

    async def embeddings_create(self, *, model: str, **request: Any) -> Any:
        return {
            "data": [{"index": index, "embedding": [1.0, float(index)]} for index, _ in enumerate(request["input"])]
        }


@pytest.fixture(scope="module")
async def sandbox() -> AsyncGenerator[Sandbox]:
    async with MontySandbox() as sandbox:
        yield sandbox


def find(text: str) -> str:
    """The one program of the guide that has this text in it."""
    [program] = [program for program in PROGRAMS.values() if text in program]
    return program


async def grade(sandbox: Sandbox, mark: str, *, output: str, judge: Judge | None = None, **item: Any) -> GradeOutcome:
    program = check_program(find(mark), entry_point=EntryPoint.GRADE)
    case = Case({"output_text": output, "extracted_output": output}, {"target": None, **item})
    [outcome] = await sandbox.grade(program, [case], models=ModelAccess(judge) if judge else None)
    return outcome


async def test_the_smallest_one(sandbox: Sandbox) -> None:
    assert await grade(sandbox, "return sample[", output="Paris", target="Paris") == Graded({"score": 1.0})
    assert await grade(sandbox, "return sample[", output="Rome", target="Paris") == Graded({"score": 0.0})


async def test_the_manifest_around_it() -> None:
    [manifest] = [yaml.safe_load(example.text) for example in examples("yaml") if example.page == GUIDE]
    [task] = compile_manifest(parse_manifest({"schema_version": "2026-05-27", **manifest}), sources={})
    assert task.grader is not None
    assert task.grader.metric_id == "correct"


async def test_a_column_that_only_the_grader_reads(sandbox: Sandbox) -> None:
    outcome = await grade(sandbox, "must_mention", output="Bread and salt.", must_mention=["bread", "wine"])
    assert outcome == Graded({"score": 0.5})


async def test_several_scores_with_an_explanation(sandbox: Sandbox) -> None:
    outcome = await grade(sandbox, "short_enough", output="Please wait.")
    assert outcome == Graded({"short_enough": 1.0, "polite": 1.0}, judge={"words": 2})


@pytest.mark.parametrize(
    ("output", "scores"),
    [
        ('{"city": "Paris"}', {"valid_json": 1.0, "right_city": 1.0}),
        ('{"city": "Rome"}', {"valid_json": 1.0, "right_city": 0.0}),
        ("Paris", {"valid_json": 0.0, "right_city": 0.0}),
    ],
)
async def test_what_cannot_be_read_is_wrong(sandbox: Sandbox, output: str, scores: dict[str, float]) -> None:
    assert await grade(sandbox, "valid_json", output=output, target="Paris") == Graded(scores)


async def test_a_whole_group(sandbox: Sandbox) -> None:
    program = check_program(find("def grade_batch"), entry_point=EntryPoint.GRADE_BATCH)
    cases = [Case({"output_text": text}, {}) for text in ["a", "b", "a", "c"]]
    graded = await sandbox.grade_batch(program, cases)
    assert isinstance(graded, BatchGraded)
    assert graded.metrics == {"distinct": 0.75}
    assert [outcome.scores["repeated"] for outcome in graded.outcomes if isinstance(outcome, Graded)] == [1, 0, 1, 0]


async def test_a_judge(sandbox: Sandbox) -> None:
    outcome = await grade(sandbox, "SCORE:", output="Short.", judge=Judge(), text="A long story.")
    assert outcome == Graded({"quality": 0.75}, judge={"reply": "SCORE: 4"})


async def test_a_judge_in_another_form_fails_the_sample(sandbox: Sandbox) -> None:
    outcome = await grade(sandbox, "SCORE:", output="Short.", judge=Judge("Very good!"), text="A long story.")
    assert isinstance(outcome, CodeFailure)
    assert "the judge gave no score: Very good!" in outcome.message


async def test_a_similarity(sandbox: Sandbox) -> None:
    outcome = await grade(sandbox, "embeddings_create", output="a", judge=Judge(), target="b")
    assert isinstance(outcome, Graded)
    assert outcome.scores["score"] == pytest.approx(2**-0.5)


async def test_a_preprocessor(sandbox: Sandbox) -> None:
    program = check_program(find("def transform"), entry_point=EntryPoint.TRANSFORM)
    [outcome] = await sandbox.transform(program, [{"choices": ["red", "blue"]}])
    assert outcome == Transformed({"choices": ["red", "blue"], "options": "A. red\nB. blue"})
