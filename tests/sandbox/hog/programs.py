"""A program, the globals it sees, and how it must end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from assay.sandbox.hog import HogCompileError, Outcome, compile_program, run_program


@dataclass(frozen=True, slots=True)
class Case:
    """One row of a table."""

    source: str
    value: Any = None
    printed: list[str] = field(default_factory=list[str])
    error: str | None = None
    """A part of the text of the failure."""
    variables: Mapping[str, Any] = field(default_factory=dict[str, Any])


def returns(source: str, value: Any, **variables: Any) -> Case:
    return Case(source, value, variables=variables)


def prints(source: str, *lines: str) -> Case:
    return Case(source, printed=list(lines))


def fails(source: str, error: str, **variables: Any) -> Case:
    return Case(source, error=error, variables=variables)


def run(source: str, **variables: Any) -> Outcome:
    return run_program(compile_program(source), variables)


def check(case: Case) -> None:
    outcome = run_program(compile_program(case.source), case.variables)
    if case.error is not None:
        assert outcome.error is not None, outcome
        assert case.error in outcome.error.text
        return
    assert outcome.error is None, outcome.error
    # The representation tells 1 from 1.0 and from true, inside of collections too.
    assert repr(outcome.value) == repr(case.value)
    assert outcome.printed == case.printed


def compile_error(source: str) -> HogCompileError:
    try:
        compile_program(source)
    except HogCompileError as error:
        return error
    raise AssertionError(f"compiled: {source}")
