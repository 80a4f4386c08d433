"""Cron expressions of five fields: minute, hour, day of month, month, day of week.

Each field is ``*``, a number, a range ``a-b``, either with a step ``/n``, or a comma list of these; ``a/n`` runs from
``a`` to the field's end. Months and days of the week may be named (``JAN``, ``MON``); Sunday is 0 or 7. As in the
engine that keeps the clock, a day must match *both* day fields. Seconds, years, ``@daily``, ``?``, ``L``, ``W`` and
``#`` are refused: their meaning differs from program to program.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache

from assay.core.schedules.errors import CronError

MAX_LENGTH = 255

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_ITEM = re.compile(r"(?P<all>\*)|(?P<first>[0-9]{1,2}|[A-Za-z]{3})(?:-(?P<last>[0-9]{1,2}|[A-Za-z]{3}))?")
_DAYS_IN_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    names: Mapping[str, int]


_FIELDS = (
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day of month", 1, 31, {}),
    _Field("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    _Field("day of week", 0, 7, {name: number for number, name in enumerate(_WEEKDAYS)}),
)


@dataclass(frozen=True)
class CronExpression:
    """The numbers that each field admits, in order. Sunday is 0."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]

    @cached_property
    def times(self) -> tuple[tuple[int, int], ...]:
        """(hour, minute) of every time of a day, in order."""
        return tuple((hour, minute) for hour in self.hours for minute in self.minutes)

    def matches_day(self, day: date) -> bool:
        """Whether the expression admits times on a calendar day."""
        return day.month in self.months and day.day in self.days and day.isoweekday() % 7 in self.weekdays


@lru_cache(maxsize=4096)
def parse_cron(text: str) -> CronExpression:
    """Parse an expression.

    Raises:
        CronError: With the field at fault and what it may hold.
    """
    if len(text) > MAX_LENGTH:
        raise CronError(f"`cron` may have at most {MAX_LENGTH} characters.", param="cron")
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise CronError(
            f"`cron` must have five fields (minute, hour, day of month, month, day of week); {text!r} has {len(parts)}."
            + (" Seconds and years are not supported." if len(parts) > len(_FIELDS) else ""),
            param="cron",
        )
    values = [_parse_field(field, part) for field, part in zip(_FIELDS, parts, strict=True)]
    minutes, hours, days, months, weekdays = values
    expression = CronExpression(minutes, hours, days, months, tuple(sorted({day % 7 for day in weekdays})))
    if not any(day <= _DAYS_IN_MONTH[month - 1] for month in months for day in days):
        raise CronError(f"`cron` {text!r} never fires: none of its months has such a day.", param="cron")
    return expression


def _parse_field(field: _Field, text: str) -> tuple[int, ...]:
    admitted: set[int] = set()
    for item in text.split(","):
        admitted.update(_parse_item(field, item))
    return tuple(sorted(admitted))


def _parse_item(field: _Field, item: str) -> range:
    base, slash, step_text = item.partition("/")
    found = _ITEM.fullmatch(base)
    if found is None:
        raise _fault(field, item, "write *, a number, a range like 1-5, a step like */15, or a list of these")
    step = _parse_step(field, item, step_text) if slash else 1
    if found["all"]:
        return range(field.low, field.high + 1, step)
    first = _parse_number(field, item, found["first"])
    if found["last"] is None:
        return range(first, (field.high if slash else first) + 1, step)
    last = _parse_number(field, item, found["last"])
    if last < first:
        raise _fault(field, item, f"the range ends before it begins; write {first}-{field.high},{field.low}-{last}")
    return range(first, last + 1, step)


def _parse_number(field: _Field, item: str, text: str) -> int:
    number = int(text) if text.isdecimal() else field.names.get(text.upper())
    if number is None or not field.low <= number <= field.high:
        raise _fault(field, item, f"{text!r} is not {field.low} to {field.high}" + (" or a name" * bool(field.names)))
    return number


def _parse_step(field: _Field, item: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 2 and 1 <= int(text) <= max(field.high, 1)):
        raise _fault(field, item, f"the step {text!r} must be 1 to {field.high}")
    return int(text)


def _fault(field: _Field, item: str, reason: str) -> CronError:
    return CronError(f"`cron`: the {field.name} field holds {item!r}: {reason}.", param="cron")
