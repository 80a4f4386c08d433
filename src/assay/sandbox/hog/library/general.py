"""Types, conversion, conditions, comparison, arithmetic."""

from __future__ import annotations

import math
import random
import uuid
from collections.abc import Callable
from datetime import date
from typing import Any, NoReturn

from assay.sandbox.hog.budget import Budget
from assay.sandbox.hog.compare import equal, order
from assay.sandbox.hog.errors import HogFailure
from assay.sandbox.hog.library.registry import ANY, function, need_number
from assay.sandbox.hog.limits import MAX_INTEGER_BITS
from assay.sandbox.hog.operators import add, subtract
from assay.sandbox.hog.text import plain_text, print_text, texts
from assay.sandbox.hog.values import HogDate, HogDateTime, HogError, Value, is_truthy, type_name

_EPOCH_DAY = date(1970, 1, 1)


@function("print", 0, ANY)
def print_(budget: Budget, *values: Value) -> None:
    """One line of output, the arguments joined by a space."""
    parts = texts(budget, values, print_text)
    budget.charge_text(sum(map(len, parts)) + len(parts))
    budget.print_line(" ".join(parts))


@function("typeof", 1)
def typeof(budget: Budget, value: Value) -> str:
    """The name of a value's type."""
    return type_name(value)


@function("toUUID", 1)
@function("toString", 1)
def to_string(budget: Budget, value: Value) -> str:
    """Text of a value; ``toUUID`` validates nothing."""
    return plain_text(budget, value)


@function("toInt", 1)
def to_int(budget: Budget, value: Value) -> int | None:
    """An integer: floats are cut off, dates are days and instants seconds since the epoch; null when unparsable."""
    match value:
        case bool() | int():
            return int(value)
        case float():
            return int(value) if math.isfinite(value) else None
        case str():
            return _parse_int(value)
        case HogDate(day):
            return (day - _EPOCH_DAY).days
        case HogDateTime(seconds):
            return int(seconds)
        case _:
            return None


def _parse_int(text: str) -> int | None:
    try:
        number = int(text)
    except ValueError:
        return None
    return number if number.bit_length() <= MAX_INTEGER_BITS else None


@function("toFloat", 1)
def to_float(budget: Budget, value: Value) -> float | None:
    """A float, by the rules of ``toInt``; null when unparsable."""
    match value:
        case bool() | int() | float() | str():
            try:
                return float(value)
            except (ValueError, OverflowError):
                return None
        case HogDate(day):
            return float((day - _EPOCH_DAY).days)
        case HogDateTime(seconds):
            return seconds
        case _:
            return None


@function("ifNull", 2)
@function("coalesce", 1, ANY)
def coalesce(budget: Budget, *values: Value) -> Value:
    """The first value that is not null."""
    return next((value for value in values if value is not None), None)


@function("assumeNotNull", 1)
def assume_not_null(budget: Budget, value: Value) -> Value:
    """The value.

    Raises:
        HogFailure: It is null.
    """
    if value is None:
        raise HogFailure("Value is null in assumeNotNull")
    return value


@function("isNull", 1)
def is_null(budget: Budget, value: Value) -> bool:
    """Whether a value is null."""
    return value is None


@function("isNotNull", 1)
def is_not_null(budget: Budget, value: Value) -> bool:
    """Whether a value is not null."""
    return value is not None


@function("if", 3)
@function("multiIf", 3, ANY)
def multi_if(budget: Budget, *arguments: Value) -> Value:
    """The value behind the first condition that holds, else the last argument."""
    if len(arguments) % 2 == 0:
        raise HogFailure("Function `multiIf` needs pairs of condition and value, and a default")
    for index in range(0, len(arguments) - 1, 2):
        if is_truthy(arguments[index]):
            return arguments[index + 1]
    return arguments[-1]


@function("and", 1, ANY)
def and_(budget: Budget, *values: Value) -> bool:
    """Whether all values are truthy."""
    return all(map(is_truthy, values))


@function("or", 1, ANY)
def or_(budget: Budget, *values: Value) -> bool:
    """Whether any value is truthy."""
    return any(map(is_truthy, values))


@function("not", 1)
def not_(budget: Budget, value: Value) -> bool:
    """Whether a value is not truthy."""
    return not is_truthy(value)


@function("equals", 2)
def equals(budget: Budget, left: Value, right: Value) -> bool:
    """Equality without the coercions of ``==``."""
    return equal(budget, left, right)


@function("notEquals", 2)
def not_equals(budget: Budget, left: Value, right: Value) -> bool:
    """The contrary of ``equals``."""
    return not equal(budget, left, right)


def _ordering(holds: Callable[[int], bool]) -> Callable[[Budget, Value, Value], bool]:
    def compare(budget: Budget, left: Value, right: Value) -> bool:
        if left is None or right is None:
            return False
        found = order(budget, left, right)
        return found is not None and holds(found)

    return compare


function("less", 2)(_ordering(lambda found: found < 0))
function("lessOrEquals", 2)(_ordering(lambda found: found <= 0))
function("greater", 2)(_ordering(lambda found: found > 0))
function("greaterOrEquals", 2)(_ordering(lambda found: found >= 0))
function("plus", 2)(add)
function("minus", 2)(subtract)


@function("min2", 2)
def min2(budget: Budget, left: Value, right: Value) -> Value:
    """The smaller of two values."""
    return right if (order(budget, left, right) or 0) > 0 else left


@function("max2", 2)
def max2(budget: Budget, left: Value, right: Value) -> Value:
    """The larger of two values."""
    return right if (order(budget, left, right) or 0) < 0 else left


@function("floor", 1)
def floor(budget: Budget, value: Value) -> int | None:
    """The integer at or below a number."""
    return None if value is None else math.floor(need_number(value, "floor"))


@function("round", 1, 2)
def round_(budget: Budget, value: Value, digits: Value = None) -> int | None:
    """The nearest integer, halves to the even one; digits are ignored."""
    return None if value is None else round(need_number(value, "round"))


@function("generateUUIDv4", 0)
def generate_uuid(budget: Budget) -> str:
    """A random UUID."""
    return str(uuid.uuid4())


@function("randomFloat", 0)
def random_float(budget: Budget) -> float:
    """A number in [0, 1)."""
    return random.random()


@function("sleep", 1)
def sleep(budget: Budget, seconds: Value) -> None:
    """Nothing: waiting would keep a worker from others."""
    need_number(seconds, "sleep")


@function("run", 1, ANY)
def run_query(budget: Budget, *arguments: Value) -> list[Any]:
    """No rows: evaluations see no data but their own."""
    return []


def _absent(name: str) -> Callable[..., NoReturn]:
    def refuse(budget: Budget, *arguments: Value) -> NoReturn:
        raise HogFailure(f"Function `{name}` is not available in evaluations: they reach neither network nor data")

    return refuse


for _name in ("fetch", "postHogCapture", "import"):
    function(_name, 0, ANY)(_absent(_name))


@function("HogError", 1, 3)
def hog_error(budget: Budget, kind: Value, message: Value = None, payload: Value = None) -> HogError:
    """An error of any type."""
    budget.charge_items(3)
    return HogError(plain_text(budget, kind), _message(budget, message, "HogError"), payload)


def _message(budget: Budget, message: Value, default: str) -> str:
    return default if message is None else plain_text(budget, message)


def _error_of(kind: str) -> Callable[..., HogError]:
    def create(budget: Budget, message: Value = None, payload: Value = None) -> HogError:
        budget.charge_items(3)
        return HogError(kind, _message(budget, message, "An error occurred"), payload)

    return create


for _name in ("Error", "RetryError", "NotImplementedError"):
    function(_name, 0, 2)(_error_of(_name))
