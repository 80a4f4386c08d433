"""Reading and writing elements (contract §5.5), and the copies that keep globals untouched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from assay.sandbox.hog.budget import Budget
from assay.sandbox.hog.compare import too_deep
from assay.sandbox.hog.errors import HogFailure
from assay.sandbox.hog.limits import MAX_INTEGER_BITS, MAX_VALUE_NESTING
from assay.sandbox.hog.values import VALUE_COST, HogError, Value, type_name


def read(base: Value, key: Value) -> Value:
    """``base[key]``; whatever is not there is null.

    Raises:
        HogFailure: Index 0, or a key that no object can have.
    """
    match base:
        case dict():
            return cast("dict[Any, Any]", base).get(object_key(key))
        case list() | tuple() | str():
            return _element(cast("Sequence[Any]", base), key)
        case HogError() if key in ("type", "message", "payload"):
            return getattr(base, str(key))
        case _:
            return None


def _element(items: Sequence[Any], key: Value) -> Value:
    index = _index(key)
    if index is None:
        return None
    if index == 0:
        raise HogFailure("Array access starts from 1, not from 0")
    offset = index - 1 if index > 0 else len(items) + index
    return items[offset] if 0 <= offset < len(items) else None


def _index(key: Value) -> int | None:
    if isinstance(key, float) and key.is_integer():
        return int(key)
    return key if isinstance(key, int) and not isinstance(key, bool) else None


def object_key(key: Value) -> Value:
    """A value that may be a key.

    Raises:
        HogFailure: It is a collection or the like.
    """
    if key is None or isinstance(key, str | int | float):
        return key
    raise HogFailure(f"A value of type {type_name(key)} cannot be the key of an object")


def write(budget: Budget, base: Value, key: Value, value: Value) -> None:
    """``base[key] := value``; writing to null is ignored.

    Raises:
        HogFailure: The base cannot be changed, or the index is outside of the array.
    """
    match base:
        case None:
            return
        case dict():
            budget.charge(2 * VALUE_COST)
            base[object_key(key)] = value
        case list():
            items = cast("list[Any]", base)
            index = _index(key)
            if index is None or not 1 <= index <= len(items):
                reason = f"arrays start from 1, this one has {len(items)} elements"
                raise HogFailure(f"Cannot assign to index {str(key)[:32]}: {reason}")
            items[index - 1] = value
        case _:
            raise HogFailure(f"Cannot assign to an element of a value of type {type_name(base)}")


def copy_global(budget: Budget, value: Any, depth: int = 0) -> Value:
    """A deep copy of a JSON value, paid for as it grows.

    Raises:
        HogFailure: It is nested too deeply, or holds an integer too large for the language.
        TypeError: It is no JSON value; the fault is the caller's.
    """
    match value:
        case None | bool() | float() | str():
            return value
        case int():
            return value if value.bit_length() <= MAX_INTEGER_BITS else budget.integer(value)
        case list() | tuple() | Mapping():
            if depth == MAX_VALUE_NESTING:
                raise too_deep()
            return _copy_container(budget, cast("Any", value), depth + 1)
        case _:
            raise TypeError(f"a global holds a value of type {type(value).__name__}, which JSON does not have")


def _copy_container(budget: Budget, value: Any, depth: int) -> Value:
    budget.charge_items(len(value))
    if isinstance(value, Mapping):
        entries = cast("Mapping[str, Any]", value)
        return {key: copy_global(budget, item, depth) for key, item in entries.items()}
    return [copy_global(budget, item, depth) for item in value]
