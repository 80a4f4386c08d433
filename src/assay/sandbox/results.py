"""From what user code returned to scores and rows (R10).

    number                                            -> {metric_id: number}
    {"accuracy": 1, "f1": 0.5}                        -> the same
    {"scores": {…}, "judge"?: {…}, "extracted_output"?: "…"} -> all three

A boolean counts as 0 or 1. Whatever else comes is refused with a `ResultError` that says what was found and what is
expected; nothing is guessed.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn, cast

from assay.kit.storable import find_unstorable, render_path
from assay.sandbox.contract import (
    BatchGraded,
    CodeFailure,
    FailureKind,
    Graded,
    GradeOutcome,
    Returned,
    Transformed,
    TransformedBatch,
)

MAX_METRICS = 100
MAX_METRIC_NAME = 128
MAX_RETURNED_DEPTH = 64

_SCORES_FORM = frozenset({"scores", "judge", "extracted_output"})
_EXPECTED = 'return a number, a dict of metric to number, or {"scores": {…}, "judge": {…}, "extracted_output": "…"}'

_EXPECTED_BATCH = 'return a list with one result per sample, or {"samples": […], "metrics": {…}}'


class ResultError(ValueError):
    """The value is not a result; the message is for the author of the code."""


def decode(text: str) -> Any:
    """Parse the JSON text of a result. NaN and infinity pass; whoever takes a number refuses them.

    Raises:
        ResultError: An integer too long to be read, or nesting too deep.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ResultError(f"the result cannot be read: {str(exc)[:200]}") from exc


def parse_grade(value: Any, *, metric_id: str) -> Graded:
    """The verdict that ``value`` stands for.

    Raises:
        ResultError: It stands for none.
    """
    if not isinstance(value, dict):
        if not isinstance(value, int | float):
            raise ResultError(f"the grader returned {describe(value)}; {_EXPECTED}")
        return Graded({metric_id: _number(value, "the grader returned")})
    mapping = cast("dict[str, Any]", value)
    if not isinstance(mapping.get("scores"), dict):
        return Graded(parse_scores(mapping, "the result"))
    if unknown := sorted(mapping.keys() - _SCORES_FORM):
        raise ResultError(f'unknown key {unknown[0][:100]!r} beside "scores"; {_EXPECTED}')
    return Graded(
        parse_scores(mapping["scores"], '"scores"'),
        judge=_judge(mapping.get("judge")),
        extracted_output=_text(mapping.get("extracted_output")),
    )


def parse_batch(value: Any, *, count: int, metric_id: str) -> BatchGraded:
    """The verdicts that `grade_batch` returned for ``count`` samples; a bad element fails alone.

    Raises:
        ResultError: The whole is of another form or length.
    """
    metrics: dict[str, float] = {}
    if isinstance(value, dict):
        mapping = cast("dict[str, Any]", value)
        if unknown := sorted(mapping.keys() - {"samples", "metrics"}):
            raise ResultError(f"unknown key {unknown[0][:100]!r}; {_EXPECTED_BATCH}")
        if mapping.get("metrics") not in (None, {}):
            metrics = parse_scores(mapping["metrics"], '"metrics"')
        value = mapping.get("samples")
    if not isinstance(value, list):
        raise ResultError(f"`grade_batch` returned {describe(value)}; {_EXPECTED_BATCH}")
    elements = cast("list[Any]", value)
    if len(elements) != count:
        raise ResultError(
            f"`grade_batch` returned {len(elements)} results for {count} samples; return one for each, in order"
        )
    return BatchGraded([_element(element, metric_id) for element in elements], metrics)


def _element(value: Any, metric_id: str) -> GradeOutcome:
    try:
        return parse_grade(value, metric_id=metric_id)
    except ResultError as exc:
        return CodeFailure(FailureKind.RESULT, str(exc))


def parse_scores(value: Any, where: str) -> dict[str, float]:
    """A map of metric to finite number.

    Raises:
        ResultError: Not a map, empty, too large, or with a bad name or number.
    """
    if not isinstance(value, dict):
        raise ResultError(f"{where} must be a dict of metric to number, not {describe(value)}")
    scores = cast("dict[str, Any]", value)
    if not 1 <= len(scores) <= MAX_METRICS:
        raise ResultError(f"{where} must hold 1 to {MAX_METRICS} metrics, not {len(scores)}")
    for name in scores:
        if not 1 <= len(name) <= MAX_METRIC_NAME or "\0" in name:
            raise ResultError(
                f"metric name {name[:MAX_METRIC_NAME]!r} must have 1 to {MAX_METRIC_NAME} characters, no NUL"
            )
    return {name: _number(number, f"metric {name!r} is") for name, number in scores.items()}


def _number(value: Any, subject: str) -> float:
    if isinstance(value, bool):
        return float(value)
    if not isinstance(value, int | float):
        raise ResultError(f"{subject} {describe(value)}; a score must be a finite number")
    try:
        number = float(value)
    except OverflowError:
        raise ResultError(f"{subject} an integer too large for a float; a score must be a finite number") from None
    if not math.isfinite(number):
        raise ResultError(f"{subject} {number}; a score must be a finite number")
    return number


def _judge(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ResultError(f'"judge" must be a dict, not {describe(value)}')
    return _object(cast("dict[str, Any]", value), '"judge"')


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise ResultError(f'"extracted_output" must be a string, not {describe(value)}')
    _check_storable(value, '"extracted_output"')
    return value


def parse_row(value: Any) -> Transformed:
    """A dataset row.

    Raises:
        ResultError: Not a dict, or with something that JSON storage refuses.
    """
    if not isinstance(value, dict):
        raise ResultError(f"`transform` returned {describe(value)}; return the row as a dict")
    return Transformed(_object(cast("dict[str, Any]", value), "the row"))


def parse_rows(value: Any) -> TransformedBatch:
    """Dataset rows.

    Raises:
        ResultError: Not a list of dicts; the message counts rows from 0.
    """
    if not isinstance(value, list):
        raise ResultError(f"`transform_batch` returned {describe(value)}; return a list of rows")
    rows: list[dict[str, Any]] = []
    for index, row in enumerate(cast("list[Any]", value)):
        if not isinstance(row, dict):
            raise ResultError(f"row {index} of `transform_batch` is {describe(row)}; every row must be a dict")
        rows.append(_object(cast("dict[str, Any]", row), f"row {index}"))
    return TransformedBatch(rows)


def _object(value: dict[str, Any], where: str) -> dict[str, Any]:
    _check_storable(value, where)
    return value


def _check_storable(value: Any, where: str) -> None:
    pending = [value]
    while pending:
        current = pending.pop()
        if isinstance(current, int) and not -(2**63) <= current < 2**64:
            _refuse(f"{where} holds an integer of more than 64 bits")
        if isinstance(current, str):
            if "\0" in current:
                _refuse(f"{where} holds a NUL character")
        elif isinstance(current, float):
            if not math.isfinite(current):
                _refuse(f"{where} holds {current}, which JSON cannot express")
        elif isinstance(current, dict):
            entries = cast("dict[str, Any]", current)
            pending.extend(entries.keys())
            pending.extend(entries.values())
        elif isinstance(current, list):
            pending.extend(cast("list[Any]", current))


def _refuse(message: str) -> NoReturn:
    raise ResultError(message)


def describe(value: Any) -> str:
    """A short name for what came instead."""
    if value is None:
        return "nothing (None)"
    names = {str: "a string", list: "a list", dict: "a dict", bool: "a boolean", int: "an integer", float: "a float"}
    return names.get(cast("type[Any]", type(value)), type(value).__name__)


def parse_returned(value: Any) -> Returned:
    """The value that a tool returned.

    Raises:
        ResultError: It holds NaN, infinity or an integer beyond 64 bits, which JSON for models cannot.
    """
    if fault := next(find_unstorable(value, max_depth=MAX_RETURNED_DEPTH), None):
        raise ResultError(f"a value was returned that cannot be passed on: {render_path(fault.path)} {fault.reason}")
    return Returned(value)


def describe_type(name: str, function: str) -> str:
    """The complaint about a value of type ``name`` that JSON cannot hold, or that holds one such."""
    if name in {"dict", "list", "tuple"}:
        return f"`{function}` returned a {name} with something in it that JSON cannot express"
    if name == "int":
        return f"`{function}` returned an integer too large for a float; a score must be a finite number"
    return f"`{function}` returned a value of type {name[:100]!r}, not a result; convert it to JSON values"
