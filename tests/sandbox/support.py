"""What the files of the conformance suite share."""

from __future__ import annotations

import asyncio
import textwrap
import time
from collections.abc import Callable
from typing import Any

from assay.sandbox import (
    Case,
    CodeFailure,
    EntryPoint,
    Graded,
    Limits,
    Program,
    Sandbox,
    check_program,
)

QUICK = Limits(timeout_seconds=0.4, max_memory_bytes=16 * 2**20, max_output_bytes=2000, max_recursion_depth=100)

LONG = Limits(timeout_seconds=50)


def program(source: str, entry_point: EntryPoint = EntryPoint.GRADE) -> Program:
    return check_program(textwrap.dedent(source), entry_point=entry_point)


def returning(expression: str) -> Program:
    return program(f"def grade(sample, item):\n    return {expression}\n")


def cases(*targets: Any) -> list[Case]:
    return [
        Case({"index": index, "output_text": "Paris", "extracted_output": "Paris"}, {"target": target})
        for index, target in enumerate(targets)
    ]


async def grade_one(sandbox: Sandbox, code: Program, *, limits: Limits = QUICK) -> Graded | CodeFailure:
    [outcome] = await sandbox.grade(code, cases("x"), limits=limits)
    return outcome


EXACT = program("""
    def grade(sample, item):
        return sample["extracted_output"] == item["target"]
""")


ENDLESS = program("def grade(sample, item):\n    while True: pass\n")


async def assert_works(sandbox: Sandbox) -> None:
    """The sandbox is in order: harmless code gets its score."""
    assert await sandbox.grade(EXACT, cases("Paris", "Rome")) == [Graded({"score": 1.0}), Graded({"score": 0.0})]


async def assert_eventually(condition: Callable[[], bool], *, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        await asyncio.sleep(0.01)
