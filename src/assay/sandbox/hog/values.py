"""The values of the language and the Python types behind them.

null boolean integer float string   None bool int float str
array tuple object                  list tuple dict
date datetime                       HogDate HogDateTime
error                               HogError
function                            Closure, LibraryFunction
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeAlias, cast
from zoneinfo import ZoneInfo

from assay.sandbox.hog.code import FunctionCode

VALUE_COST = 8
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class HogDate:
    """A day of the calendar."""

    day: date


@dataclass(frozen=True, slots=True)
class HogDateTime:
    """An instant, and the zone it is shown in."""

    seconds: float
    """Since the epoch."""
    zone: str = "UTC"

    def local(self) -> datetime:
        """The instant in its zone.

        Raises:
            OverflowError: The year is outside 1 to 9999.
        """
        # Not `fromtimestamp`: its range depends on the platform.
        return (_EPOCH + timedelta(seconds=self.seconds)).astimezone(ZoneInfo(self.zone))


@dataclass(frozen=True, slots=True)
class HogError:
    """An error value, thrown or not."""

    type: str
    message: str
    payload: Any = None


@dataclass(slots=True)
class Cell:
    """A variable that closures share."""

    value: Any


@dataclass(frozen=True, slots=True, eq=False)
class Closure:
    """A function of the program."""

    code: FunctionCode
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, eq=False)
class LibraryFunction:
    """A function of the library.

    ``call`` takes the budget and the arguments. When ``resumable``, it returns a generator that yields a `CallRequest`
    for each call of a function it was given, and returns the value.
    """

    name: str
    min_arguments: int
    max_arguments: int
    call: Callable[..., Any]
    resumable: bool = False


@dataclass(frozen=True, slots=True)
class CallRequest:
    """A library function asks the machine to call a function for it."""

    function: Any
    arguments: list[Any]


@dataclass(slots=True)
class Iteration:
    """A loop in progress; no value of the language, but it keeps values alive."""

    pairs: list[tuple[Any, Any]]
    position: int = 0


Value: TypeAlias = Any
"""Any value of the language; Python's type system cannot say it usefully."""

_TYPE_NAMES: dict[type, str] = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "float",
    str: "string",
    list: "array",
    tuple: "tuple",
    dict: "object",
    Closure: "function",
    LibraryFunction: "function",
    HogError: "error",
    HogDate: "date",
    HogDateTime: "datetime",
}


def type_name(value: Value) -> str:
    """What ``typeof`` says."""
    return _TYPE_NAMES[type(value)]


def is_number(value: Value) -> bool:
    """Whether it is an integer or a float; a boolean is neither."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_truthy(value: Value) -> bool:
    """Whether a condition holds (contract §5.4)."""
    return bool(value)


def children(value: Value) -> Sequence[Any] | None:
    """What a container holds; ``None`` for values that hold nothing."""
    match value:
        case list() | tuple():
            return cast("list[Any]", value)
        case dict():
            entries = cast("dict[Any, Any]", value)
            return [*entries, *entries.values()]
        case HogError():
            return (value.type, value.message, value.payload)
        case Iteration():
            return value.pairs
        case Closure():
            return [cell.value for cell in value.cells]
        case _:
            return None
