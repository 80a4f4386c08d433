"""Scoring structured answers by an eval spec: points for structure and for each field (O§4.6).

A spec names output fields with a type and a weight; what is expected of a case is an object with the same fields. Parts
that cannot be measured here (tools, text that only a judge can compare) are left out, and the points of the others are
scaled so that a perfect answer is still worth 1.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from assay.scoring.judge.objects import MAX_REPLY_CHARACTERS, find_objects

_WORD = re.compile(r"\w+")
_COVERAGE: Final = 0.6
_LENGTHS: Final = (0.3, 3.0)
_PENALTY: Final = 3.0
_ORDERINGS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
}


@dataclass(frozen=True, slots=True)
class SpecScore:
    """What one answer is worth."""

    total: float
    """0 to 1."""
    dimensions: Mapping[str, float]
    """Points by part: ``structure``, each field, ``consistency_penalty``."""


@dataclass(frozen=True, slots=True)
class EvalSpec:
    """The part of a spec that is scored here."""

    fields: Mapping[str, Mapping[str, Any]]
    structure_weight: float = 20.0
    rules: Sequence[Mapping[str, Any]] = ()


def read_spec(output_fields: Any, *, structure_weight: float, consistency_rules: Any = None) -> EvalSpec | None:
    """A spec from its stored form; None when it names no field that can be scored.

    Args:
        output_fields: Fields by name, or a list of objects with ``name``; anything else is no spec.
        structure_weight: Points for the share of expected fields that are there; below 0 counts as 0.
        consistency_rules: A list of objects; others are left out.
    """
    found: dict[str, Mapping[str, Any]] = {}
    if isinstance(output_fields, dict):
        named = cast("dict[str, Any]", output_fields)
        found = {name: _object(config) or {"type": config} for name, config in named.items()}
    elif isinstance(output_fields, list):
        listed = [_object(entry) for entry in cast("list[Any]", output_fields)]
        found = {str(entry["name"]): entry for entry in listed if isinstance(entry.get("name"), str)}
    if not found:
        return None
    rules = cast("list[Any]", consistency_rules) if isinstance(consistency_rules, list) else []
    weight = structure_weight if math.isfinite(structure_weight) else 0.0
    return EvalSpec(found, max(0.0, weight), [rule for rule in map(_object, rules) if rule])


def score_answer(spec: EvalSpec, output: Any, expected: Any) -> SpecScore:
    """What an answer is worth against what is expected.

    Args:
        spec: How to score.
        output: An object, or text that holds one; anything else is worth 0.
        expected: An object. Fields that it lacks are not scored.
    """
    given, wanted = _object(output) if isinstance(output, dict) else _parse(output), _object(expected)
    fields = {name: config for name, config in spec.fields.items() if name in wanted}
    weights = {name: _weight(config, len(fields), spec.structure_weight) for name, config in fields.items()}
    points = {
        name: weights[name] * _field_share(config, given.get(name), wanted[name]) for name, config in fields.items()
    }
    there = sum(given.get(name) not in (None, "", [], {}) for name in fields)
    points = {"structure": spec.structure_weight * there / len(fields) if fields else 0.0, **points}
    most = spec.structure_weight + sum(weights.values())
    points["consistency_penalty"] = -sum(_violation(rule, given) for rule in spec.rules)
    total = max(0.0, sum(points.values())) / most if fields and most > 0 else 0.0
    return SpecScore(min(1.0, total), points)


def _field_share(config: Mapping[str, Any], given: Any, wanted: Any) -> float:
    """The share of a field's weight, 0 to 1."""
    match config.get("type"):
        case "enum":
            return _enum_share(config, given, wanted)
        case "number" | "integer" | "float":
            return _number_share(config, given, wanted)
        case "text" | "string":
            return _text_share(config, given, wanted)
        case _:
            return float(_same(given, wanted))


def _enum_share(config: Mapping[str, Any], given: Any, wanted: Any) -> float:
    if _fold(given) == _fold(wanted):
        return 1.0
    values = config.get("values")
    known = [_fold(value) for value in cast("list[Any]", values)] if isinstance(values, list) else []
    return 0.2 if config.get("partial_credit") and _fold(given) in known else 0.0


def _number_share(config: Mapping[str, Any], given: Any, wanted: Any) -> float:
    found, goal = _number(given), _number(wanted)
    if found is None or goal is None:
        return 0.0
    distance = abs(found - goal)
    bands = config.get("tolerance_bands")
    if isinstance(bands, list) and bands:
        return _band_share(map(_object, cast("list[Any]", bands)), distance)
    allowed = _number(config.get("tolerance")) or 0.0
    return 1.0 if distance <= allowed else 0.5 if distance <= 2 * allowed else 0.0


def _band_share(bands: Iterable[Mapping[str, Any]], distance: float) -> float:
    for band in bands:
        within, share = _number(band.get("within")), _number(band.get("score_pct"))
        if within is not None and share is not None and distance <= within:
            return min(1.0, max(0.0, share))
    return 0.0


def _text_share(config: Mapping[str, Any], given: Any, wanted: Any) -> float:
    if not isinstance(given, str) or not given.strip():
        return 0.0
    if config.get("eval_mode") == "non_empty":
        return 1.0
    words, goal = _WORD.findall(given.casefold()), _WORD.findall(str(wanted).casefold())
    if not goal:
        return float(not words)
    shared = set(words) & set(goal)
    coverage = len(shared) / len(set(goal))
    if config.get("eval_mode") == "keyword_coverage":
        return coverage
    likeness = _COVERAGE * coverage + (1 - _COVERAGE) * len(shared) / len(set(words) | set(goal))
    ratio = len(words) / len(goal)
    short, long = _LENGTHS
    return likeness * (ratio / short if ratio < short else long / ratio if ratio > long else 1.0)


def _violation(rule: Mapping[str, Any], given: Mapping[str, Any]) -> float:
    """Points lost to a rule ``{"type": "ordering", "field_a", "operator", "field_b"}`` that does not hold."""
    compare = _ORDERINGS.get(str(rule.get("operator", "")))
    first, second = _number(given.get(str(rule.get("field_a")))), _number(given.get(str(rule.get("field_b"))))
    if rule.get("type") != "ordering" or compare is None or first is None or second is None or compare(first, second):
        return 0.0
    penalty = _number(rule.get("penalty"))
    return _PENALTY if penalty is None else abs(penalty)


def _weight(config: Mapping[str, Any], fields: int, structure: float) -> float:
    weight = _number(config.get("weight"))
    return (100.0 - min(structure, 100.0)) / fields if weight is None else max(0.0, weight)


def _parse(output: Any) -> dict[str, Any]:
    try:
        found = find_objects(output[:MAX_REPLY_CHARACTERS]) if isinstance(output, str) else []
    except ValueError:
        return {}
    return found[-1] if found else {}


def _same(given: Any, wanted: Any) -> bool:
    if isinstance(given, str) and isinstance(wanted, str):
        return _fold(given) == _fold(wanted)
    number = _number(wanted)
    return _number(given) == number if number is not None else type(given) is type(wanted) and given == wanted


def _fold(value: Any) -> str:
    return " ".join(str(value).casefold().split())


def _number(value: Any) -> float | None:
    """A finite number; None for anything else, also for a boolean."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
