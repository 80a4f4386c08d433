"""Values as text (contract §5.7) and as JSON.

A value can be small and its text endless: an array that holds itself twice, forty times over. So text is written
piece by piece and each piece is counted first.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from assay.sandbox.hog.budget import Budget
from assay.sandbox.hog.compare import too_deep
from assay.sandbox.hog.dates import iso_text
from assay.sandbox.hog.limits import MAX_VALUE_NESTING
from assay.sandbox.hog.values import Closure, HogDate, HogDateTime, HogError, LibraryFunction, Value

_ESCAPES = {
    "\b": "\\b",
    "\f": "\\f",
    "\r": "\\r",
    "\n": "\\n",
    "\t": "\\t",
    "\0": "\\0",
    "\a": "\\a",
    "\v": "\\v",
    "\\": "\\\\",
    "'": "\\'",
}
_ESCAPED = re.compile("[\b\f\r\n\t\0\a\v\\\\']")
_MAX_INDENT = 10
# Numbers are written many at a time, few enough for a chunk of the longest integers to be small beside the limit.
_CHUNK = 128
_NUMBERS = frozenset((int, float))


def print_text(budget: Budget, value: Value) -> str:
    """How ``print`` shows a value: a string as it is, anything else as source that would make it."""
    if isinstance(value, str):
        return value
    writer = _PrintWriter(budget)
    writer.write(value)
    return writer.finish()


def quoted_text(budget: Budget, value: Value) -> str:
    """As `print_text`, but a string in quotes, as it shows inside of a container."""
    writer = _PrintWriter(budget)
    writer.write(value)
    return writer.finish()


def joined_text(budget: Budget, value: Value) -> str:
    """How ``concat``, ``||`` and templates show a value: as `print_text`, null as nothing."""
    return "" if value is None else print_text(budget, value)


def plain_text(budget: Budget, value: Value) -> str:
    """``toString``: as `print_text`, dates in ISO form."""
    return iso_text(value) if isinstance(value, HogDate | HogDateTime) else print_text(budget, value)


def texts(budget: Budget, values: Iterable[Value], show: Callable[[Budget, Value], str]) -> list[str]:
    """The texts of many values, which together must stay within the limit too.

    Raises:
        MemoryUsedUp: They do not.
    """
    shown: list[str] = []
    size = 0
    for value in values:
        budget.step()
        shown.append(show(budget, value))
        size += len(shown[-1])
        if size > budget.limits.memory_bytes:
            raise budget.too_much_memory()
    return shown


def json_text(budget: Budget, value: Value, *, indent: int = 0) -> str:
    """JSON with separators ``", "`` and ``": "``, everything outside ASCII escaped, cycles and NaN as null.

    Args:
        budget: Pays for it.
        value: Any value; those that JSON does not have become objects with a marker, or their text.
        indent: Spaces for each level; 0 for one line.
    """
    writer = _JsonWriter(budget, min(max(indent, 0), _MAX_INDENT))
    writer.write(value)
    return writer.finish()


class _Writer:
    """Pieces of text, counted before they are kept."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._pieces: list[str] = []
        self._size = 0
        self._open: list[int] = []

    def put(self, piece: str) -> None:
        self._budget.step()
        self._size += len(piece)
        if self._size > self._budget.limits.memory_bytes:
            raise self._budget.too_much_memory()
        self._pieces.append(piece)

    def finish(self) -> str:
        if len(self._pieces) == 1:
            return self._pieces[0]
        self._budget.charge_text(self._size)
        return "".join(self._pieces)

    def enter(self, value: Value) -> bool:
        """Step into a container; false when it is being written already."""
        if id(value) in self._open:
            self.put("null")
            return False
        if len(self._open) == MAX_VALUE_NESTING:
            raise too_deep()
        self._open.append(id(value))
        return True

    def leave(self) -> None:
        self._open.pop()


class _PrintWriter(_Writer):
    def write(self, value: Value) -> None:
        match value:
            case str():
                # Escapes at most double it.
                self._budget.charge_text(2 * len(value))
                self.put(quote(value))
            case list():
                self._list("[", cast("list[Any]", value), "]")
            case tuple():
                items = cast("tuple[Any, ...]", value)
                self._list("(" if len(items) > 1 else "tuple(", items, ")")
            case dict():
                self._object(cast("dict[Any, Any]", value))
            case HogError():
                self._error(value)
            case _:
                self.put(scalar_text(value))

    def _list(self, opening: str, items: Sequence[Any], closing: str) -> None:
        if not self.enter(items):
            return
        self.put(opening)
        for start in range(0, len(items), _CHUNK):
            if start:
                self.put(", ")
            self._items(items[start : start + _CHUNK])
        self.put(closing)
        self.leave()

    def _items(self, items: Sequence[Any]) -> None:
        if _NUMBERS.issuperset(map(type, items)):
            self._budget.step(2 * len(items))
            self.put(", ".join(map(str, items)))
            return
        for index, item in enumerate(items):
            if index:
                self.put(", ")
            self.write(item)

    def _object(self, entries: dict[Any, Any]) -> None:
        if not self.enter(entries):
            return
        self.put("{")
        for index, (key, value) in enumerate(entries.items()):
            if index:
                self.put(", ")
            self.write(key)
            self.put(": ")
            self.write(value)
        self.put("}")
        self.leave()

    def _error(self, error: HogError) -> None:
        if not self.enter(error):
            return
        self.put(f"{error.type}({quote(error.message)}")
        if error.payload is not None:
            self.put(", ")
            self.write(error.payload)
        self.put(")")
        self.leave()


def quote(text: str) -> str:
    """A string as the source would write it."""
    return f"'{_ESCAPED.sub(lambda found: _ESCAPES[found[0]], text)}'"


def scalar_text(value: Value) -> str:
    """Text of a value that holds no others."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case HogDate(day):
            return f"Date({day.year}, {day.month}, {day.day})"
        case HogDateTime(seconds, zone):
            return f"DateTime({seconds!r}, {quote(zone)})"
        case Closure():
            return f"fn<{value.code.name}({value.code.parameters})>"
        case LibraryFunction():
            return f"fn<{value.name}({value.min_arguments})>"
        case _:
            return str(value)


class _JsonWriter(_Writer):
    def __init__(self, budget: Budget, indent: int) -> None:
        super().__init__(budget)
        self._indent = indent

    def write(self, value: Value) -> None:
        match value:
            case str():
                # One character becomes at most two escapes of six characters.
                self._budget.charge_text(len(value) if value.isascii() else 12 * len(value))
                self.put(json.dumps(value))
            case float() if not math.isfinite(value):
                self.put("null")
            case list() | tuple():
                self._list(cast("list[Any]", value))
            case dict():
                self._object(cast("dict[Any, Any]", value))
            case HogError() | HogDate() | HogDateTime():
                self._object(_marked(value))
            case Closure() | LibraryFunction():
                self.put(json.dumps(scalar_text(value)))
            case _:
                self.put(scalar_text(value))

    def _list(self, items: Iterable[Any]) -> None:
        if not self.enter(items):
            return
        self.put("[")
        empty = True
        for item in items:
            self._separate(first=empty)
            empty = False
            self.write(item)
        self._close("]", empty=empty)

    def _object(self, entries: dict[Any, Any]) -> None:
        if not self.enter(entries):
            return
        self.put("{")
        empty = True
        for key, value in entries.items():
            self._separate(first=empty)
            empty = False
            self.put(json.dumps(key if isinstance(key, str) else scalar_text(key)))
            self.put(": ")
            self.write(value)
        self._close("}", empty=empty)

    def _separate(self, *, first: bool) -> None:
        if self._indent:
            self.put(("" if first else ",") + self._break(len(self._open)))
        elif not first:
            self.put(", ")

    def _close(self, closing: str, *, empty: bool) -> None:
        self.leave()
        self.put(closing if empty or not self._indent else self._break(len(self._open)) + closing)

    def _break(self, level: int) -> str:
        return "\n" + " " * (self._indent * level)


def _marked(value: HogError | HogDate | HogDateTime) -> dict[str, Any]:
    match value:
        case HogError():
            return {"__hogError__": True, "type": value.type, "message": value.message, "payload": value.payload}
        case HogDate(day):
            return {"__hogDate__": True, "year": day.year, "month": day.month, "day": day.day}
        case HogDateTime(seconds, zone):
            return {"__hogDateTime__": True, "dt": seconds, "zone": zone}
