"""Equality and order.

*Direct* comparison treats values as Python does: numbers by value, collections element by element, no conversion.
The operators of the source *coerce* first (contract §5.4), on the outermost level only.

Both walk in steps that are paid for: two small programs can build values whose comparison never ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cmp_to_key
from typing import Any, cast

from assay.sandbox.hog.budget import Budget
from assay.sandbox.hog.dates import parse_datetime
from assay.sandbox.hog.errors import HogFailure
from assay.sandbox.hog.limits import MAX_VALUE_NESTING
from assay.sandbox.hog.values import HogDate, HogDateTime, HogError, Value, is_number, type_name

_SCALARS = (type(None), bool, int, float, str)


def too_deep() -> HogFailure:
    """The failure of any walk through a value that is nested too deeply."""
    return HogFailure(f"A value is nested too deeply: more than {MAX_VALUE_NESTING} levels")


def equal(budget: Budget, left: Value, right: Value, depth: int = 0) -> bool:
    """Direct equality."""
    if isinstance(left, _SCALARS) or isinstance(right, _SCALARS):
        return left == right
    if left is right:
        return True
    if depth == MAX_VALUE_NESTING:
        raise too_deep()
    budget.step()
    match left, right:
        case (list(), list()) | (tuple(), tuple()):
            return _equal_items(budget, cast("list[Any]", left), cast("list[Any]", right), depth)
        case dict(), dict():
            mine, other = cast("dict[Any, Any]", left), cast("dict[Any, Any]", right)
            return mine.keys() == other.keys() and all(
                equal(budget, value, other[key], depth + 1) for key, value in mine.items()
            )
        case HogError(), HogError():
            return (left.type, left.message) == (right.type, right.message) and equal(
                budget, left.payload, right.payload, depth + 1
            )
        case HogDate() | HogDateTime(), HogDate() | HogDateTime():
            return type(left) is type(right) and _instant(left) == _instant(right)
        case _:
            return False


def _equal_items(budget: Budget, left: Sequence[Any], right: Sequence[Any], depth: int) -> bool:
    if len(left) != len(right):
        return False
    for mine, other in zip(left, right, strict=True):
        budget.step()
        if not equal(budget, mine, other, depth + 1):
            return False
    return True


def coerced_equal(budget: Budget, left: Value, right: Value) -> bool:
    """``==``."""
    if left is None or right is None:
        return left is right
    coerced = _coerce(left, right)
    return coerced is not None and equal(budget, *coerced)


def coerced_order(budget: Budget, left: Value, right: Value) -> int | None:
    """Order for ``<`` and its kin: negative, zero, positive, or ``None`` where no comparison holds.

    Raises:
        HogFailure: The types cannot be compared.
    """
    if left is None or right is None:
        return None
    coerced = _coerce(left, right)
    if coerced is None:
        raise _incomparable(left, right)
    return order(budget, *coerced)


def order(budget: Budget, left: Value, right: Value, depth: int = 0) -> int | None:
    """Direct order; ``None`` when NaN takes part.

    Raises:
        HogFailure: The types cannot be compared.
    """
    mine: Any
    other: Any
    match left, right:
        case (str(), str()) | (int() | float(), int() | float()):
            mine, other = left, right
        case HogDate() | HogDateTime(), HogDate() | HogDateTime():
            mine, other = _instant(left), _instant(right)
        case (list(), list()) | (tuple(), tuple()):
            return _order_items(budget, cast("list[Any]", left), cast("list[Any]", right), depth)
        case _:
            raise _incomparable(left, right)
    if mine == other:
        return 0
    return None if mine != mine or other != other else (1 if mine > other else -1)


def _order_items(budget: Budget, left: Sequence[Any], right: Sequence[Any], depth: int) -> int | None:
    """By the first elements that differ; a beginning comes before the whole."""
    if depth == MAX_VALUE_NESTING:
        raise too_deep()
    for mine, other in zip(left, right, strict=False):
        budget.step()
        if not equal(budget, mine, other, depth + 1):
            return order(budget, mine, other, depth + 1)
    return len(left) - len(right)


def _incomparable(left: Value, right: Value) -> HogFailure:
    return HogFailure(f"Cannot compare values of type {type_name(left)} and {type_name(right)}")


def _coerce(left: Value, right: Value) -> tuple[Value, Value] | None:
    """Both sides as values of one kind; ``None`` when the conversion fails."""
    match left, right:
        case bool(), str():
            return left, _text_as_boolean(right)
        case str(), bool():
            return _text_as_boolean(left), right
        case int() | float(), str():
            return _numbers(left, right)
        case str(), int() | float():
            return _numbers(left, right)
        case HogDate() | HogDateTime(), str():
            return _dates(left, parse_datetime(right))
        case str(), HogDate() | HogDateTime():
            return _dates(parse_datetime(left), right)
        case HogDate(), HogDateTime():
            return _dates(left, right)
        case HogDateTime(), HogDate():
            return _dates(left, right)
        case _:
            return left, right


def _text_as_boolean(text: str) -> bool:
    return {"true": True, "false": False}.get(text.lower(), bool(text))


def _numbers(left: Value, right: Value) -> tuple[Value, Value] | None:
    try:
        return _number(left), _number(right)
    except ValueError:
        return None


def _number(value: Value) -> Value:
    return float(value) if isinstance(value, str) else value


def _dates(left: Value, right: Value) -> tuple[Value, Value] | None:
    if left is None or right is None:
        return None
    return HogDateTime(_instant(left)), HogDateTime(_instant(right))


def _instant(value: HogDate | HogDateTime) -> float:
    if isinstance(value, HogDateTime):
        return value.seconds
    return datetime(value.day.year, value.day.month, value.day.day, tzinfo=UTC).timestamp()


def contains(budget: Budget, collection: Value, item: Value) -> bool:
    """``item in collection``: a part of a string, an element, a key; false for anything else."""
    match collection:
        case str():
            budget.step(1 + len(collection) // 1024)
            return isinstance(item, str) and item in collection
        case list() | tuple():
            return position(budget, cast("list[Any]", collection), item) is not None
        case dict():
            return isinstance(item, _SCALARS) and item in collection
        case _:
            return False


def position(budget: Budget, items: Sequence[Any], wanted: Value) -> int | None:
    """Index, from 0, of the first element that is directly equal."""
    for index, item in enumerate(items):
        budget.step()
        if equal(budget, item, wanted):
            return index
    return None


def sort(budget: Budget, items: Sequence[Any]) -> list[Any]:
    """A sorted copy.

    Raises:
        HogFailure: Two elements cannot be compared.
    """
    count = len(items)
    budget.charge_items(count)
    if all(is_number(item) for item in items) or all(isinstance(item, str) for item in items):
        budget.step(count * count.bit_length() // 8)
        return sorted(items)
    return sorted(items, key=cmp_to_key(lambda left, right: _paid_order(budget, left, right)))


def _paid_order(budget: Budget, left: Value, right: Value) -> int:
    budget.step()
    return order(budget, left, right) or 0
