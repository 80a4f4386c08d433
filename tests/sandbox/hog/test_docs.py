"""The guide's programs run, and its figures are those of the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.sandbox.hog.programs import run

from assay.sandbox.hog import DEFAULT_LIMITS, limits

GUIDE = (Path(__file__).parents[3] / "docs" / "hog.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```hog\n(.*?)```", GUIDE, re.DOTALL)
[SKETCH] = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)


@pytest.mark.parametrize("source", PROGRAMS, ids=range(len(PROGRAMS)))
def test_program_runs(source: str) -> None:
    outcome = run(source, output="Paris is the capital.")
    assert outcome.error is None
    assert outcome.value is True


@pytest.mark.parametrize(
    ("answer", "reason"), [("  ", "empty answer"), ("I cannot say", "refused: i cannot"), ("a@b.c", "")]
)
def test_the_first_program_tells_bad_answers(answer: str, reason: str) -> None:
    outcome = run(PROGRAMS[0], output=answer)
    assert outcome.value is False
    assert "\n".join(outcome.printed) == reason


async def test_the_sketch_works() -> None:
    namespace: dict[str, Any] = {}
    exec(compile(SKETCH, "hog.md", "exec"), namespace)
    assert await namespace["judge"](["long enough", "no"]) == [True, False]


@pytest.mark.parametrize(
    "figure",
    [
        f"{limits.MAX_SOURCE_BYTES:,} bytes, {limits.MAX_NESTING} levels",
        f"{DEFAULT_LIMITS.seconds:g} s, {DEFAULT_LIMITS.steps:,} steps",
        f"{DEFAULT_LIMITS.memory_bytes // 2**20} MiB",
        f"{limits.MAX_CALL_DEPTH:,} deep, {limits.MAX_ARGUMENTS} arguments",
        f"{limits.MAX_INTEGER_BITS:,} bits",
        f"{limits.MAX_PATTERN_CHARACTERS:,} characters",
        f"{limits.MAX_VALUE_NESTING} levels",
        f"{DEFAULT_LIMITS.printed_characters:,} characters",
    ],
)
def test_figures(figure: str) -> None:
    assert f"| {figure}" in GUIDE
