"""Dates and instants."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from assay.sandbox.hog import dates
from assay.sandbox.hog.budget import Budget
from assay.sandbox.hog.errors import HogFailure
from assay.sandbox.hog.library.registry import function, need_integer, need_number, need_text
from assay.sandbox.hog.values import HogDate, HogDateTime, Value, type_name

_PARTS: dict[str, Callable[[datetime], int]] = {
    "year": lambda at: at.year,
    "quarter": lambda at: (at.month + 2) // 3,
    "month": lambda at: at.month,
    "week": lambda at: at.isocalendar().week,
    "day": lambda at: at.day,
    "hour": lambda at: at.hour,
    "minute": lambda at: at.minute,
    "second": lambda at: at.second,
}
_TRUNCATED = ("year", "month", "day", "hour", "minute")


def _moment(value: Value, name: str) -> HogDate | HogDateTime:
    """A date or an instant, from text too.

    Raises:
        HogFailure: It is neither.
    """
    found = to_date_time(None, value) if isinstance(value, str) else value
    if isinstance(found, HogDate | HogDateTime):
        return found
    raise HogFailure(f"Function `{name}` needs a date, not a value of type {type_name(value)}")


@function("now", 0)
def now(budget: Budget) -> HogDateTime:
    """The present, UTC."""
    return HogDateTime(budget.now().timestamp())


@function("today", 0)
def today(budget: Budget) -> HogDate:
    """The present day, UTC."""
    return HogDate(budget.now().astimezone(UTC).date())


@function("toDateTime", 1)
def to_date_time(budget: Budget | None, value: Value) -> HogDateTime | None:
    """From seconds since the epoch or ISO-like text; null when unparsable."""
    match value:
        case HogDateTime():
            return value
        case HogDate():
            return HogDateTime(dates.as_local(value).timestamp())
        case bool():
            return None
        case int() | float():
            return dates.instant(value) if math.isfinite(value) else None
        case str():
            return dates.parse_datetime(value)
        case _:
            return None


@function("toDate", 1)
def to_date(budget: Budget, value: Value) -> HogDate | None:
    """The day of an instant in its zone, of seconds since the epoch or of ISO-like text; null when unparsable."""
    if isinstance(value, str):
        return dates.parse_date(value)
    if isinstance(value, HogDate):
        return value
    at = to_date_time(budget, value)
    return None if at is None else HogDate(at.local().date())


@function("fromUnixTimestamp", 1)
def from_unix_timestamp(budget: Budget, seconds: Value) -> HogDateTime | None:
    """The instant so many seconds after the epoch."""
    return None if seconds is None else dates.instant(need_number(seconds, "fromUnixTimestamp"))


@function("fromUnixTimestampMilli", 1)
def from_unix_timestamp_milli(budget: Budget, milliseconds: Value) -> HogDateTime | None:
    """The instant so many milliseconds after the epoch."""
    if milliseconds is None:
        return None
    return dates.instant(need_number(milliseconds, "fromUnixTimestampMilli") / 1000)


@function("toUnixTimestamp", 1, 2)
def to_unix_timestamp(budget: Budget, value: Value, zone: Value = None) -> float | None:
    """Seconds since the epoch."""
    if value is None:
        return None
    moment = _moment(value, "toUnixTimestamp")
    return dates.as_local(moment).timestamp() if isinstance(moment, HogDate) else moment.seconds


@function("toUnixTimestampMilli", 1)
def to_unix_timestamp_milli(budget: Budget, value: Value) -> int | None:
    """Milliseconds since the epoch."""
    seconds = to_unix_timestamp(budget, value)
    return None if seconds is None else round(seconds * 1000)


@function("toTimeZone", 2)
def to_time_zone(budget: Budget, value: Value, zone: Value) -> HogDateTime | None:
    """The same instant in another zone."""
    if value is None:
        return None
    at = to_date_time(budget, _moment(value, "toTimeZone"))
    return None if at is None else dates.instant(at.seconds, dates.checked_zone(zone))


@function("formatDateTime", 2, 3)
def format_date_time(budget: Budget, value: Value, pattern: Value, zone: Value = None) -> str | None:
    """Fill the placeholders of a pattern."""
    if value is None:
        return None
    text = need_text(pattern, "formatDateTime")
    moment = _moment(value, "formatDateTime")
    if zone is not None:
        moment = to_time_zone(budget, moment, zone) or moment
    budget.charge_text(len(text) * dates.MAX_FORMATTED_CHARACTERS)
    budget.step(1 + len(text) // 2)
    return dates.format_datetime(dates.as_local(moment), text)


@function("dateAdd", 3)
def date_add(budget: Budget, unit: Value, count: Value, value: Value) -> HogDate | HogDateTime | None:
    """Add units of time."""
    if value is None or count is None:
        return None
    return dates.shift(_moment(value, "dateAdd"), need_integer(count, "dateAdd"), dates.unit_name(unit))


@function("addDays", 2)
def add_days(budget: Budget, value: Value, count: Value) -> HogDate | HogDateTime | None:
    """Add days."""
    return date_add(budget, "day", count, value)


@function("dateDiff", 3)
def date_diff(budget: Budget, unit: Value, start: Value, end: Value) -> int | None:
    """Units of time from one moment to another."""
    if start is None or end is None:
        return None
    return dates.difference(dates.unit_name(unit), _moment(start, "dateDiff"), _moment(end, "dateDiff"))


@function("dateTrunc", 2)
def date_trunc(budget: Budget, unit: Value, value: Value) -> HogDate | HogDateTime | None:
    """The start of the year, month, day, hour or minute."""
    name = dates.unit_name(unit)
    if name not in _TRUNCATED:
        raise HogFailure(f"Function `dateTrunc` knows {', '.join(_TRUNCATED)}, not {name}")
    return None if value is None else dates.truncate(name, _moment(value, "dateTrunc"))


@function("extract", 2)
def extract(budget: Budget, part: Value, value: Value) -> int | None:
    """A field of the calendar."""
    name = dates.unit_name(part)
    return None if value is None else _PARTS[name](dates.as_local(_moment(value, "extract")))


def _start_of(unit: str) -> None:
    name = f"toStartOf{unit.title()}"

    def start(budget: Budget, value: Value) -> HogDate | HogDateTime | None:
        return None if value is None else dates.truncate(unit, _moment(value, name))

    function(name, 1)(start)


def _interval(unit: str) -> None:
    name = f"toInterval{unit.title()}"

    def interval(budget: Budget, count: Value) -> dict[str, Any]:
        budget.charge_items(6)
        return {"__hogInterval__": True, "value": need_number(count, name), "unit": unit}

    function(name, 1)(interval)


for _unit in ("day", "hour", "week", "month"):
    _start_of(_unit)
for _unit in ("day", "hour", "minute", "month"):
    _interval(_unit)


def _field(name: str, read: Callable[[datetime], int]) -> None:
    def field(budget: Budget, value: Value) -> int | None:
        return None if value is None else read(dates.as_local(_moment(value, name)))

    function(name, 1)(field)


_field("toYear", lambda at: at.year)
_field("toMonth", lambda at: at.month)
_field("toYYYYMM", lambda at: at.year * 100 + at.month)
