"""The examples of the guide run, and its figures are those of the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from assay.sandbox import (
    BatchGraded,
    Case,
    EntryPoint,
    Graded,
    ModelAccess,
    Returned,
    Sandbox,
    Transformed,
    TransformedBatch,
    check_program,
)
from assay.sandbox.failures import AVAILABLE_MODULES

GUIDE = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)


class YesModel:
    async def responses_create(self, *, model: str, **request: Any) -> Any:
        return {"output_text": "Yes"}

    async def embeddings_create(self, *, model: str, **request: Any) -> Any:
        return {"data": []}


@pytest.mark.parametrize("source", EXAMPLES)
async def test_example_runs(sandbox: Sandbox, source: str) -> None:
    [name] = re.findall(r"^def (\w+)", source, re.MULTILINE)
    program = check_program(source, entry_point=EntryPoint(name))
    cases = [Case({"output_text": "Paris", "extracted_output": "Paris"}, {"target": "Paris"})]
    match program.entry_point:
        case EntryPoint.GRADE:
            [outcome] = await sandbox.grade(program, cases, models=ModelAccess(YesModel()))
            assert isinstance(outcome, Graded)
            assert set(outcome.scores.values()) == {1.0}
        case EntryPoint.GRADE_BATCH:
            assert await sandbox.grade_batch(program, cases) == BatchGraded([Graded({"score": 1.0})], {"hit_rate": 1.0})
        case EntryPoint.TRANSFORM:
            assert await sandbox.transform(program, [{"question": " q "}]) == [Transformed({"question": "q"})]
        case EntryPoint.TRANSFORM_BATCH:
            rows = [{"question": "q"}, {"question": ""}]
            assert await sandbox.transform_batch(program, rows) == TransformedBatch([{"question": "q"}])
        case EntryPoint.RUN:
            assert await sandbox.run(program, {"a": 2, "b": 3}) == Returned({"total": 5})
        case EntryPoint.ANSWER:
            assert await sandbox.answer(program, "q", models=ModelAccess(YesModel())) == Returned("Yes")


def test_every_entry_point_has_an_example() -> None:
    assert all(any(f"def {entry_point}(" in source for source in EXAMPLES) for entry_point in EntryPoint)


def test_modules_are_listed() -> None:
    listed = GUIDE.partition("Modules that exist")[2].partition("`os` and `pathlib`")[0]
    assert re.findall(r"`(\w+)`", listed) == AVAILABLE_MODULES
