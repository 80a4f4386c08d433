"""The operators of property filters (contract §3.2).

Each takes the value of the property, present and not null, and the value of the filter. Operators that say what must
*not* hold are the negation of their positive form, and hold for a property that is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from assay.kit.regex import BadPatternError, compile_pattern
from assay.scoring.online.rendering import json_text

_RELATIVE = re.compile(r"-(\d{1,5})([hdwmy])", re.ASCII)
_UNIT_DAYS = {"h": 1 / 24, "d": 1, "w": 7, "m": 30, "y": 365}
_VERSION = re.compile(r"\d{1,18}(?:\.\d{1,18})*", re.ASCII)
_MAX_PATTERN_CHARACTERS = 1000


class FilterError(Exception):
    """The filter itself is wrong, so it matches nothing."""


Test = Callable[[Any, Any, datetime], bool]


def text_of(value: Any) -> str:
    """A property as text: ``true`` and ``false``, strings as they are, the rest as JSON."""
    return value if isinstance(value, str) else json_text(value)


def _listed(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else [value]


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _same(left: Any, right: Any) -> bool:
    """Equality across the types in which clients write the same thing."""
    if isinstance(left, bool) or isinstance(right, bool):
        return text_of(left).lower() == text_of(right).lower()
    first, second = _number(left), _number(right)
    if first is not None and second is not None:
        return first == second
    return bool(left == right) or text_of(left) == text_of(right)


def _exact(left: Any, right: Any, now: datetime) -> bool:
    return any(_same(left, option) for option in _listed(right))


def _icontains(left: Any, right: Any, now: datetime) -> bool:
    text = text_of(left).lower()
    return any(text_of(part).lower() in text for part in _listed(right))


def _regex(left: Any, right: Any, now: datetime) -> bool:
    if not isinstance(right, str) or len(right) > _MAX_PATTERN_CHARACTERS:
        raise FilterError("a regular expression must be a string of at most 1000 characters")
    try:
        return compile_pattern(right).search(text_of(left)) is not None
    except BadPatternError as exc:
        raise FilterError(f"invalid regular expression: {exc}") from exc


def _order(left: Any, right: Any) -> int:
    """As numbers when both are, else as text."""
    first, second = _number(left), _number(right)
    if first is not None and second is not None:
        return (first > second) - (first < second)
    mine, other = text_of(left), text_of(right)
    return (mine > other) - (mine < other)


def _ordering(holds: Callable[[int], bool]) -> Test:
    return lambda left, right, now: holds(_order(left, right))


def _between(left: Any, right: Any, now: datetime) -> bool:
    bounds = _listed(right)
    if len(bounds) != 2:
        raise FilterError("`between` needs a list of two bounds")
    return _order(left, bounds[0]) >= 0 and _order(left, bounds[1]) <= 0


def _date(value: Any, now: datetime) -> datetime:
    """A moment from ISO text, seconds since the epoch, or an age such as ``-7d``."""
    text = text_of(value).strip()
    try:
        if found := _RELATIVE.fullmatch(text):
            return now - timedelta(days=int(found[1]) * _UNIT_DAYS[found[2]])
        if (seconds := _number(value)) is not None:
            return datetime.fromtimestamp(seconds, UTC)
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError) as exc:
        raise FilterError(f"no date: {text[:64]}") from exc


def _date_exact(left: Any, right: Any, now: datetime) -> bool:
    """The same moment, or the same UTC day when the filter names no time."""
    mine, other = _date(left, now), _date(right, now)
    if isinstance(right, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}|-\d+[dwmy]", right.strip()):
        return mine.astimezone(UTC).date() == other.astimezone(UTC).date()
    return mine == other


def _version(value: Any) -> tuple[int, ...]:
    found = _VERSION.search(text_of(value))
    if found is None:
        raise FilterError(f"no version: {text_of(value)[:64]}")
    numbers = [int(part) for part in found[0].split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _versions(holds: Callable[[tuple[int, ...], tuple[int, ...]], bool]) -> Test:
    return lambda left, right, now: holds(_version(left), _version(right))


OPERATORS: dict[str, Test] = {
    "exact": _exact,
    "icontains": _icontains,
    "regex": _regex,
    "gt": _ordering(lambda found: found > 0),
    "gte": _ordering(lambda found: found >= 0),
    "lt": _ordering(lambda found: found < 0),
    "lte": _ordering(lambda found: found <= 0),
    "between": _between,
    "in": lambda left, right, now: isinstance(right, list) and _exact(left, right, now),
    "is_set": lambda left, right, now: True,
    "is_date_exact": _date_exact,
    "is_date_before": lambda left, right, now: _date(left, now) < _date(right, now),
    "is_date_after": lambda left, right, now: _date(left, now) > _date(right, now),
    "semver_eq": _versions(lambda left, right: left == right),
    "semver_gt": _versions(lambda left, right: left > right),
    "semver_gte": _versions(lambda left, right: left >= right),
    "semver_lt": _versions(lambda left, right: left < right),
    "semver_lte": _versions(lambda left, right: left <= right),
}
NEGATIONS = {
    "is_not": "exact",
    "not_icontains": "icontains",
    "not_regex": "regex",
    "not_in": "in",
    "is_not_set": "is_set",
    "semver_neq": "semver_eq",
}
# A missing number is not outside of a range either.
_NEGATIONS_THAT_NEED_A_VALUE = {"not_between": "between"}


def holds(operator: str, value: Any, wanted: Any, now: datetime) -> bool:
    """Whether a filter holds for a property.

    Args:
        operator: A name of the table.
        value: The property; ``None`` when missing.
        wanted: The value of the filter.
        now: Where relative dates count from.

    Raises:
        FilterError: The operator is unknown, or the filter or the property is not what it needs.
    """
    if operator in NEGATIONS:
        return value is None or not OPERATORS[NEGATIONS[operator]](value, wanted, now)
    if operator in _NEGATIONS_THAT_NEED_A_VALUE:
        return value is not None and not OPERATORS[_NEGATIONS_THAT_NEED_A_VALUE[operator]](value, wanted, now)
    test = OPERATORS.get(operator)
    if test is None:
        raise FilterError(f"unknown operator `{operator}`")
    return value is not None and test(value, wanted, now)
