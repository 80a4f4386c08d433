"""From return value to verdict (§4.3)."""

from __future__ import annotations

import math
from typing import Any

import pytest
from tests.sandbox.hog.programs import run

from assay.sandbox.hog import (
    HogFailureKind,
    HogLimits,
    Outcome,
    OutputRule,
    OutputType,
    compile_program,
    judge,
    run_program,
)

BOOLEAN = OutputRule()
BOOLEAN_NA = OutputRule(allows_na=True)
SCORE = OutputRule(type=OutputType.NUMERIC, minimum=0, maximum=10)
ONE = OutputRule(type=OutputType.CATEGORICAL, options=("a", "b"))
MANY = OutputRule(type=OutputType.CATEGORICAL, options=("a", "b"), multiple=True)


@pytest.mark.parametrize(
    ("rule", "source", "attribute", "value"),
    [
        (BOOLEAN, "return true", "result", True),
        (BOOLEAN, "return false", "result", False),
        (BOOLEAN_NA, "return false", "result", False),
        (SCORE, "return 0", "score", 0),
        (SCORE, "return 10", "score", 10),
        (SCORE, "return 2.5", "score", 2.5),
        (ONE, "return 'a'", "categories", ("a",)),
        (ONE, "return ['b']", "categories", ("b",)),
        (MANY, "return ['b', 'a', 'b']", "categories", ("b", "a")),
        (MANY, "return []", "categories", ()),
    ],
)
def test_accepted(rule: OutputRule, source: str, attribute: str, value: Any) -> None:
    verdict = judge(run(f"print('why') print('so') {source}"), rule)
    assert verdict.error is None
    assert verdict.applicable
    assert verdict.reasoning == "why\nso"
    assert repr(getattr(verdict, attribute)) == repr(value)
    assert sum(part is not None for part in (verdict.result, verdict.score, verdict.categories)) == 1


@pytest.mark.parametrize("rule", [BOOLEAN_NA, OutputRule(type=OutputType.NUMERIC, allows_na=True)])
@pytest.mark.parametrize("source", ["return null", "let a := 1"])
def test_null_is_not_applicable(rule: OutputRule, source: str) -> None:
    verdict = judge(run(source), rule)
    assert not verdict.applicable
    assert (verdict.result, verdict.score, verdict.error) == (None, None, None)


@pytest.mark.parametrize(
    ("rule", "source", "fragments"),
    [
        (BOOLEAN, "", ["Must return boolean", "NoneType: None"]),
        (BOOLEAN, "return 1", ["Must return boolean", "int: 1"]),
        (BOOLEAN, "return 1.5", ["Must return boolean", "float: 1.5"]),
        (BOOLEAN, "return 'true'", ["Must return boolean", "str: 'true'"]),
        (BOOLEAN, "return [1]", ["Must return boolean", "list"]),
        (BOOLEAN, "return {}", ["Must return boolean", "dict"]),
        (BOOLEAN, "return (1, 2)", ["Must return boolean", "tuple"]),
        (BOOLEAN_NA, "return 0", ["Must return boolean or null", "int: 0"]),
        (SCORE, "return true", ["Must return number", "bool"]),
        (SCORE, "return 11", ["above the maximum of 10"]),
        (SCORE, "return -1", ["below the minimum of 0"]),
        (SCORE, "return nan", ["finite"]),
        (SCORE, "return 1e308 * 10", ["finite"]),
        (SCORE, "return toInt('" + "9" * 400 + "')", ["finite"]),
        (ONE, "return 'z'", ["Unknown category", "a, b"]),
        (ONE, "return []", ["exactly one"]),
        (ONE, "return ['a', 'b']", ["exactly one"]),
        (MANY, "return 'a'", ["list of category keys"]),
        (MANY, "return [1]", ["Unknown category 1"]),
    ],
)
def test_refused(rule: OutputRule, source: str, fragments: list[str]) -> None:
    verdict = judge(run(f"print('why') {source}"), rule)
    assert verdict.error is not None
    assert all(fragment in verdict.error for fragment in fragments), verdict.error
    assert (verdict.result, verdict.score, verdict.categories) == (None, None, None)
    assert verdict.failure is None
    assert verdict.reasoning == "why"


def test_a_returned_bomb_makes_a_short_message() -> None:
    verdict = judge(run("let a := [] for (let i := 0; i < 60; i := i + 1) { a := [a, a] } return a"), BOOLEAN)
    assert verdict.error is not None
    assert len(verdict.error) < 400


@pytest.mark.parametrize(
    ("source", "limits", "kind", "fragments"),
    [
        ("while (true) {}", HogLimits(steps=1000), HogFailureKind.TIMEOUT, ["timed out", "10s"]),
        ("return range(1e9)", HogLimits(), HogFailureKind.MEMORY, ["Memory limit"]),
        ("return nope()", HogLimits(), HogFailureKind.RUNTIME, ["Runtime error: "]),
        ("throw Error('x')", HogLimits(), HogFailureKind.RUNTIME, ["Runtime error: Error('x')"]),
    ],
)
def test_failures(source: str, limits: HogLimits, kind: HogFailureKind, fragments: list[str]) -> None:
    verdict = judge(run_program(compile_program(f"print('why') {source}"), {}, limits=limits), BOOLEAN)
    assert verdict.failure is kind
    assert verdict.error is not None
    assert all(fragment in verdict.error for fragment in fragments)
    assert verdict.reasoning == ""


def test_infinity_is_no_score() -> None:
    unbounded = OutputRule(type=OutputType.NUMERIC)
    assert judge(Outcome(math.inf, []), unbounded).score is None
