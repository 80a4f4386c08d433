"""Arrays, tuples, objects, and the functions that call functions."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, cast

from assay.sandbox.hog.budget import Budget
from assay.sandbox.hog.compare import contains, sort
from assay.sandbox.hog.compare import position as find
from assay.sandbox.hog.errors import HogFailure
from assay.sandbox.hog.library.registry import ANY, function, need_integer, resumable
from assay.sandbox.hog.text import joined_text, texts
from assay.sandbox.hog.values import VALUE_COST, CallRequest, Value, is_truthy, type_name

Calls = Generator[CallRequest, Any, Any]


@function("range", 1, 2)
def range_(budget: Budget, first: Value, last: Value = None) -> list[int]:
    """``[0 … n-1]`` or ``[a … b-1]``."""
    start, end = (0, first) if last is None else (need_integer(first, "range"), last)
    end = need_integer(end, "range")
    budget.charge_items(max(0, end - start))
    return list(range(start, end))


def _items(value: Value) -> list[Any] | None:
    return list(cast("list[Any]", value)) if isinstance(value, list | tuple) else None


def _paid_items(budget: Budget, value: Value, extra: int = 0) -> list[Any] | None:
    """A copy of an array or tuple, paid for; ``None`` for anything else."""
    if isinstance(value, list | tuple):
        budget.charge_items(len(cast("list[Any]", value)) + extra)
    return _items(value)


@function("keys", 1)
def keys(budget: Budget, value: Value) -> list[Any]:
    """Keys of an object; of an array its indexes from 0."""
    if isinstance(value, dict):
        return _paid_items(budget, tuple(cast("dict[Any, Any]", value))) or []
    if isinstance(value, list | tuple):
        return range_(budget, len(cast("list[Any]", value)))
    return []


@function("values", 1)
def values(budget: Budget, value: Value) -> list[Any]:
    """Values of an object, elements of an array."""
    if isinstance(value, dict):
        return _paid_items(budget, tuple(cast("dict[Any, Any]", value).values())) or []
    return _paid_items(budget, value) or []


@function("tuple", 0, ANY)
def tuple_(budget: Budget, *items: Value) -> tuple[Any, ...]:
    """A tuple of the arguments."""
    budget.charge_items(len(items))
    return items


@function("in", 2)
def in_(budget: Budget, item: Value, collection: Value) -> bool:
    """As the operator."""
    return contains(budget, collection, item)


@function("has", 2)
def has(budget: Budget, array: Value, item: Value) -> bool:
    """Whether an array has an element."""
    return isinstance(array, list | tuple) and contains(budget, array, item)


@function("indexOf", 2)
def index_of(budget: Budget, array: Value, item: Value) -> int:
    """Where an element first stands, from 1; 0 when nowhere."""
    found = find(budget, cast("list[Any]", array), item) if isinstance(array, list | tuple) else None
    return 0 if found is None else found + 1


@function("arrayPushBack", 2)
def array_push_back(budget: Budget, array: Value, item: Value) -> list[Any]:
    """A copy with one more element at the end."""
    items = _paid_items(budget, array, 1)
    return [item] if items is None else [*items, item]


@function("arrayPushFront", 2)
def array_push_front(budget: Budget, array: Value, item: Value) -> list[Any]:
    """A copy with one more element at the beginning."""
    items = _paid_items(budget, array, 1)
    return [item] if items is None else [item, *items]


@function("arrayPopBack", 1)
def array_pop_back(budget: Budget, array: Value) -> list[Any]:
    """A copy without the last element."""
    return (_paid_items(budget, array) or [])[:-1]


@function("arrayPopFront", 1)
def array_pop_front(budget: Budget, array: Value) -> list[Any]:
    """A copy without the first element."""
    return (_paid_items(budget, array) or [])[1:]


@function("arraySort", 1)
def array_sort(budget: Budget, array: Value) -> list[Any]:
    """A sorted copy."""
    return sort(budget, cast("list[Any]", array)) if isinstance(array, list | tuple) else []


@function("arrayReverse", 1)
def array_reverse(budget: Budget, array: Value) -> list[Any]:
    """A copy from last to first."""
    return (_paid_items(budget, array) or [])[::-1]


@function("arrayReverseSort", 1)
def array_reverse_sort(budget: Budget, array: Value) -> list[Any]:
    """A copy sorted from the largest to the smallest."""
    return array_sort(budget, array)[::-1]


@function("arrayStringConcat", 1, 2)
def array_string_concat(budget: Budget, array: Value, separator: Value = None) -> str:
    """The texts of the elements, joined."""
    if not isinstance(array, list | tuple):
        return ""
    glue = joined_text(budget, separator)
    parts = texts(budget, cast("list[Any]", array), joined_text)
    budget.charge_text(sum(map(len, parts)) + len(parts) * len(glue))
    return glue.join(parts)


def _each(budget: Budget, name: str, array: Value) -> list[Any]:
    """The elements as they are now: the callback may change the array.

    Raises:
        HogFailure: Neither an array nor null.
    """
    items = _paid_items(budget, array)
    if items is None and array is not None:
        raise HogFailure(f"Function `{name}` needs an array, not a value of type {type_name(array)}")
    return items or []


@resumable("arrayMap", 2)
def array_map(budget: Budget, callback: Value, array: Value) -> Calls:
    """What a function makes of each element."""
    mapped: list[Any] = []
    for item in _each(budget, "arrayMap", array):
        budget.charge(VALUE_COST)
        mapped.append((yield CallRequest(callback, [item])))
    return mapped


@resumable("arrayFilter", 2)
def array_filter(budget: Budget, callback: Value, array: Value) -> Calls:
    """The elements for which a function holds."""
    kept: list[Any] = []
    for item in _each(budget, "arrayFilter", array):
        if is_truthy((yield CallRequest(callback, [item]))):
            budget.charge(VALUE_COST)
            kept.append(item)
    return kept


@resumable("arrayExists", 2)
def array_exists(budget: Budget, callback: Value, array: Value) -> Calls:
    """Whether a function holds for any element."""
    for item in _each(budget, "arrayExists", array):
        if is_truthy((yield CallRequest(callback, [item]))):
            return True
    return False


@resumable("arrayCount", 2)
def array_count(budget: Budget, callback: Value, array: Value) -> Calls:
    """For how many elements a function holds."""
    count = 0
    for item in _each(budget, "arrayCount", array):
        count += is_truthy((yield CallRequest(callback, [item])))
    return count


@resumable("arrayReduce", 3)
def array_reduce(budget: Budget, callback: Value, array: Value, initial: Value) -> Calls:
    """Fold the elements: the function takes what it returned last, and the next element."""
    result = initial
    for item in _each(budget, "arrayReduce", array):
        result = yield CallRequest(callback, [result, item])
    return result
