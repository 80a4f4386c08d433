"""JSON."""

from __future__ import annotations

import json
from typing import Any, cast

from assay.sandbox.hog.access import copy_global
from assay.sandbox.hog.budget import Budget
from assay.sandbox.hog.errors import HogFailure
from assay.sandbox.hog.library.general import to_float, to_int
from assay.sandbox.hog.library.registry import ANY, function, need_integer
from assay.sandbox.hog.text import json_text
from assay.sandbox.hog.values import VALUE_COST, Value, type_name

_MISSING = object()


def _parse(budget: Budget, text: str) -> Any:
    """JSON text as a value, paid for by an upper bound: every value but the first needs a separator before it.

    Raises:
        ValueError: It is no JSON.
        HogFailure: It is nested too deeply.
    """
    separators = text.count(",") + text.count(":") + text.count("[") + text.count("{")
    budget.charge(VALUE_COST * (separators + 1) + len(text))
    budget.step(1 + len(text) // 256)
    try:
        value = json.loads(text)
    except RecursionError as exc:
        raise HogFailure("The JSON text is nested too deeply") from exc
    # The copy checks depth and integers; nothing else could have come out of JSON.
    return copy_global(budget, value)


@function("jsonParse", 1)
def json_parse(budget: Budget, text: Value) -> Value:
    """The value of JSON text.

    Raises:
        HogFailure: It is none.
    """
    if text is None:
        return None
    if not isinstance(text, str):
        raise HogFailure(f"Function `jsonParse` needs a string, not a value of type {type_name(text)}")
    try:
        return _parse(budget, text)
    except ValueError as exc:
        raise HogFailure(f"Invalid JSON: {exc}") from exc


@function("jsonStringify", 1, 2)
def json_stringify(budget: Budget, value: Value, indent: Value = None) -> str:
    """JSON text of a value."""
    return json_text(budget, value, indent=0 if indent is None else need_integer(indent, "jsonStringify"))


@function("isValidJSON", 1)
def is_valid_json(budget: Budget, text: Value) -> bool:
    """Whether a text is JSON."""
    return isinstance(text, str) and _parse_or_missing(budget, text) is not _MISSING


def _parse_or_missing(budget: Budget, text: str) -> Any:
    try:
        return _parse(budget, text)
    except ValueError:
        return _MISSING


def _walk(budget: Budget, value: Value, path: tuple[Value, ...]) -> Any:
    """Follow keys and indexes (from 1, or from the end below 0); strings on the way are parsed."""
    for key in path:
        if isinstance(value, str):
            value = _parse_or_missing(budget, value)
        value = _child(value, key)
        if value is _MISSING:
            return _MISSING
    return value


def _child(value: Any, key: Value) -> Any:
    if isinstance(value, dict) and (key is None or isinstance(key, str | int | float)):
        return cast("dict[Any, Any]", value).get(key, _MISSING)
    if isinstance(value, list | tuple) and isinstance(key, int) and not isinstance(key, bool) and key != 0:
        items = cast("list[Any]", value)
        index = key - 1 if key > 0 else len(items) + key
        return items[index] if 0 <= index < len(items) else _MISSING
    return _MISSING


def _document(budget: Budget, value: Value, path: tuple[Value, ...]) -> Any:
    """What stands at a path; a string there is parsed, if it is JSON."""
    found = _walk(budget, value, path)
    if isinstance(found, str):
        parsed = _parse_or_missing(budget, found)
        return found if parsed is _MISSING else parsed
    return found


@function("JSONHas", 1, ANY)
def json_has(budget: Budget, value: Value, *path: Value) -> bool:
    """Whether something stands at a path."""
    return _walk(budget, value, path) is not _MISSING


@function("JSONLength", 1, ANY)
def json_length(budget: Budget, value: Value, *path: Value) -> int:
    """Size of the object or array at a path, else 0."""
    found = _document(budget, value, path)
    return len(cast("list[Any]", found)) if isinstance(found, list | tuple | dict) else 0


@function("JSONExtractBool", 1, ANY)
def json_extract_bool(budget: Budget, value: Value, *path: Value) -> bool:
    """The boolean at a path, else false."""
    return _document(budget, value, path) is True


@function("JSONExtractInt", 1, ANY)
def json_extract_int(budget: Budget, value: Value, *path: Value) -> int | None:
    """The value at a path as an integer."""
    found = _document(budget, value, path)
    return None if found is _MISSING else to_int(budget, found)


@function("JSONExtractFloat", 1, ANY)
def json_extract_float(budget: Budget, value: Value, *path: Value) -> float | None:
    """The value at a path as a float."""
    found = _document(budget, value, path)
    return None if found is _MISSING else to_float(budget, found)


@function("JSONExtractString", 1, ANY)
def json_extract_string(budget: Budget, value: Value, *path: Value) -> str | None:
    """The value at a path as text; containers as JSON."""
    found = _walk(budget, value, path) if path else _document(budget, value, path)
    if found is _MISSING or found is None:
        return None
    return found if isinstance(found, str) else json_text(budget, found)


@function("JSONExtractArrayRaw", 1, ANY)
def json_extract_array_raw(budget: Budget, value: Value, *path: Value) -> list[Any] | None:
    """The array at a path."""
    found = _document(budget, value, path)
    return list(cast("list[Any]", found)) if isinstance(found, list | tuple) else None


@function("JSONExtract", 2, ANY)
def json_extract(budget: Budget, value: Value, *path: Value) -> Value:
    """The value at a path; the last argument, a type, is not looked at."""
    found = _document(budget, value, path[:-1]) if len(path) == 1 else _walk(budget, value, path[:-1])
    return None if found is _MISSING else found
