"""From what a program returned to what the evaluation says (contract §4.3)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import cast

from assay.sandbox.hog.errors import HogFailureKind
from assay.sandbox.hog.running import Outcome
from assay.sandbox.hog.values import Value

_SHOWN_CHARACTERS = 200
_SHOWN_ITEMS = 10


class OutputType(StrEnum):
    """What an evaluation says about an event."""

    BOOLEAN = "boolean"
    NUMERIC = "numeric"
    CATEGORICAL = "categorical"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputRule:
    """What a program may return."""

    type: OutputType = OutputType.BOOLEAN
    allows_na: bool = False
    """Whether null means "not applicable"; else it is an error."""
    minimum: float | None = None
    maximum: float | None = None
    """Bounds of a numeric output, inclusive."""
    options: tuple[str, ...] = ()
    """Keys of a categorical output."""
    multiple: bool = False
    """Whether a categorical output is any number of keys rather than one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an evaluation says, or why it says nothing."""

    reasoning: str
    """The printed lines."""
    applicable: bool = True
    """False for "not applicable"; of no meaning beside an error."""
    result: bool | None = None
    score: int | float | None = None
    categories: tuple[str, ...] | None = None
    error: str | None = None
    failure: HogFailureKind | None = None
    """Why a run failed; ``None`` beside an error means that it returned the wrong thing."""


class _WrongReturnError(Exception):
    pass


def judge(outcome: Outcome, rule: OutputRule) -> Verdict:
    """The verdict of a run."""
    if outcome.error is not None:
        return Verdict(reasoning="", error=outcome.error.text, failure=outcome.error.kind)
    reasoning = "\n".join(outcome.printed)
    if outcome.value is None and rule.allows_na:
        return Verdict(reasoning=reasoning, applicable=False)
    try:
        return _verdict(outcome.value, rule, reasoning)
    except _WrongReturnError as exc:
        return Verdict(reasoning=reasoning, error=str(exc))


def _verdict(value: Value, rule: OutputRule, reasoning: str) -> Verdict:
    match rule.type:
        case OutputType.BOOLEAN:
            if not isinstance(value, bool):
                raise _wrong_type("boolean", value, rule)
            return Verdict(reasoning=reasoning, result=value)
        case OutputType.NUMERIC:
            return Verdict(reasoning=reasoning, score=_score(value, rule))
        case OutputType.CATEGORICAL:
            return Verdict(reasoning=reasoning, categories=_categories(value, rule))


def _wrong_type(wanted: str, value: Value, rule: OutputRule) -> _WrongReturnError:
    hint = f"Must return {wanted}" + (" or null" if rule.allows_na else "")
    return _WrongReturnError(f"{hint}, got {_host_type(value)}: {_shown(value)}")


def _shown(value: Value) -> str:
    """A value in a message, short whatever it is: a program may return one whose text would be endless."""
    if isinstance(value, list | tuple | dict):
        return _shown_items(cast("list[Value]", value))
    match value:
        case None | bool() | int() | float():
            return str(value)[:_SHOWN_CHARACTERS]
        case str():
            return repr(value[:_SHOWN_CHARACTERS])
        case _:
            return "no plain value"


def _shown_items(items: list[Value]) -> str:
    shown = ", ".join(_shown_inside(item) for item in islice(items, _SHOWN_ITEMS))
    return f"{shown[:_SHOWN_CHARACTERS]} ({len(items)} elements)"


def _shown_inside(item: Value) -> str:
    return _host_type(cast("object", item)) if isinstance(item, list | tuple | dict) else _shown(item)


def _host_type(value: object) -> str:
    """Python's name of a type, which is what the contract shows here."""
    return type(value).__name__


def _score(value: Value, rule: OutputRule) -> int | float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _wrong_type("number", value, rule)
    try:
        finite = math.isfinite(value)
    except OverflowError:
        finite = False
    if not finite:
        raise _WrongReturnError("Must return a finite number")
    if rule.minimum is not None and value < rule.minimum:
        raise _WrongReturnError(f"Score {value} is below the minimum of {rule.minimum:g}")
    if rule.maximum is not None and value > rule.maximum:
        raise _WrongReturnError(f"Score {value} is above the maximum of {rule.maximum:g}")
    return value


def _categories(value: Value, rule: OutputRule) -> tuple[str, ...]:
    """The keys, each once, in the order returned."""
    keys: list[Value]
    if isinstance(value, str) and not rule.multiple:
        keys = [value]
    elif isinstance(value, list | tuple):
        keys = [*cast("list[Value]", value)]
    else:
        raise _wrong_type("list of category keys" if rule.multiple else "category key", value, rule)
    if not rule.multiple and len(keys) != 1:
        raise _WrongReturnError(f"Must return exactly one category key, got {len(keys)}")
    for key in keys:
        if not isinstance(key, str) or key not in rule.options:
            raise _WrongReturnError(f"Unknown category {_shown_inside(key)}; the options are {', '.join(rule.options)}")
    return tuple(dict.fromkeys(cast("list[str]", keys)))
