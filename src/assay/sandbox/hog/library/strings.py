"""Text and patterns. Null stays null where the contract is silent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from assay.sandbox.hog.budget import Budget
from assay.sandbox.hog.errors import HogFailure
from assay.sandbox.hog.library.registry import ANY, function, need_integer, need_text
from assay.sandbox.hog.operators import BINARY
from assay.sandbox.hog.patterns import search
from assay.sandbox.hog.text import joined_text, texts
from assay.sandbox.hog.values import Value, type_name

# Upper and lower case of one character has at most three.
_CASE_GROWTH = 3


@function("length", 1)
def length(budget: Budget, value: Value) -> int | None:
    """Characters, elements or keys."""
    if value is None:
        return None
    if isinstance(value, str | list | tuple | dict):
        return len(cast("list[Any]", value))
    raise HogFailure(f"Function `length` does not apply to a value of type {type_name(value)}")


@function("empty", 1)
def empty(budget: Budget, value: Value) -> bool:
    """Whether nothing is in it; numbers and booleans are never empty."""
    return value is None or (isinstance(value, str | list | tuple | dict) and not value)


@function("notEmpty", 1)
def not_empty(budget: Budget, value: Value) -> bool:
    """The contrary of ``empty``."""
    return not empty(budget, value)


def _pay_text(budget: Budget, characters: int) -> None:
    budget.charge_text(characters)
    budget.step(1 + characters // 1024)


@function("lower", 1)
def lower(budget: Budget, text: Value) -> str | None:
    """Lower case."""
    return None if text is None else _changed(budget, text, "lower", str.lower)


@function("upper", 1)
def upper(budget: Budget, text: Value) -> str | None:
    """Upper case."""
    return None if text is None else _changed(budget, text, "upper", str.upper)


@function("reverse", 1)
def reverse(budget: Budget, text: Value) -> str | None:
    """The characters from last to first."""
    return None if text is None else _changed(budget, text, "reverse", lambda characters: characters[::-1])


def _changed(budget: Budget, value: Value, name: str, change: Callable[[str], str]) -> str:
    text = need_text(value, name)
    _pay_text(budget, len(text) * _CASE_GROWTH)
    return change(text)


def _trimming(name: str, strip: Callable[[str, str | None], str]) -> None:
    def trim(budget: Budget, text: Value, character: Value = None) -> str | None:
        if text is None:
            return None
        if character is not None and len(need_text(character, name)) > 1:
            return ""
        _pay_text(budget, len(need_text(text, name)))
        # An empty character strips nothing, as in Python.
        return strip(text, character)

    function(name, 1, 2)(trim)


_trimming("trim", str.strip)
_trimming("trimLeft", str.lstrip)
_trimming("trimRight", str.rstrip)


@function("replaceOne", 3)
def replace_one(budget: Budget, text: Value, find: Value, replacement: Value) -> str | None:
    """Replace the first occurrence."""
    return None if text is None else _replace(budget, text, find, replacement, "replaceOne", most=1)


@function("replaceAll", 3)
def replace_all(budget: Budget, text: Value, find: Value, replacement: Value) -> str | None:
    """Replace all occurrences."""
    return None if text is None else _replace(budget, text, find, replacement, "replaceAll", most=None)


def _replace(budget: Budget, text: Value, find: Value, replacement: Value, name: str, *, most: int | None) -> str:
    source, old, new = (need_text(value, name) for value in (text, find, replacement))
    count = source.count(old) if most is None else most
    _pay_text(budget, len(source) + max(0, count * (len(new) - len(old))))
    return source.replace(old, new, -1 if most is None else most)


@function("substring", 2, 3)
def substring(budget: Budget, text: Value, start: Value, count: Value = None) -> str:
    """A part by its first character, from 1, and its length; nothing when that makes no sense."""
    if not isinstance(text, str) or start is None:
        return ""
    first = need_integer(start, "substring")
    size = len(text) if count is None else need_integer(count, "substring")
    if first < 1 or size < 0 or first > len(text):
        return ""
    _pay_text(budget, min(size, len(text)))
    return text[first - 1 : first - 1 + size]


@function("startsWith", 2)
def starts_with(budget: Budget, text: Value, prefix: Value) -> bool:
    """Whether a string begins with another."""
    return isinstance(text, str) and isinstance(prefix, str) and text.startswith(prefix)


@function("position", 2)
def position(budget: Budget, text: Value, part: Value) -> int:
    """Where a part begins, from 1; 0 when nowhere."""
    if not isinstance(text, str) or not isinstance(part, str):
        return 0
    budget.step(1 + len(text) // 1024)
    return text.find(part) + 1


@function("positionCaseInsensitive", 2)
def position_case_insensitive(budget: Budget, text: Value, part: Value) -> int:
    """As ``position``, in any case."""
    if not isinstance(text, str) or not isinstance(part, str):
        return 0
    return position(budget, lower(budget, text), lower(budget, part))


@function("splitByString", 2, 3)
def split_by_string(budget: Budget, separator: Value, text: Value, most: Value = None) -> list[str] | None:
    """The parts between separators, at most so many of them; an empty separator splits into characters."""
    if text is None:
        return None
    mark, source = need_text(separator, "splitByString"), need_text(text, "splitByString")
    limit = None if most is None else max(0, need_integer(most, "splitByString"))
    count = source.count(mark) + 1
    budget.charge_items(count)
    _pay_text(budget, len(source))
    if not mark:
        return list(source[:limit])
    return source.split(mark, -1 if limit is None else limit)[:limit]


@function("concat", 1, ANY)
def concat(budget: Budget, *values: Value) -> str:
    """All texts joined, null as nothing."""
    parts = texts(budget, values, joined_text)
    _pay_text(budget, sum(map(len, parts)))
    return "".join(parts)


function("like", 2)(BINARY["like"])
function("ilike", 2)(BINARY["ilike"])
function("notLike", 2)(BINARY["not like"])
function("notILike", 2)(BINARY["not ilike"])


@function("match", 2)
def match(budget: Budget, text: Value, pattern: Value) -> bool:
    """Whether a regular expression is found anywhere."""
    return text is not None and pattern is not None and search(budget, text, pattern) is not None


@function("extractRegex", 2)
def extract_regex(budget: Budget, text: Value, pattern: Value) -> str:
    """The first group of the first match, or the match where there is no group; nothing without one."""
    found = None if text is None or pattern is None else search(budget, text, pattern)
    if found is None:
        return ""
    return (found[1] if len(found) > 1 else found[0]) or ""


@function("multiSearchAnyCaseInsensitive", 2)
def multi_search(budget: Budget, text: Value, needles: Value) -> int:
    """1 when any of the needles is part of the text, in any case, else 0."""
    if not isinstance(text, str) or not isinstance(needles, list | tuple):
        return 0
    haystack = lower(budget, text)
    return int(any(position(budget, haystack, lower(budget, needle)) > 0 for needle in cast("list[Any]", needles)))
