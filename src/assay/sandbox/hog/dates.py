"""Dates and instants: reading, showing, counting."""

from __future__ import annotations

import calendar
import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from assay.sandbox.hog.errors import HogFailure
from assay.sandbox.hog.values import HogDate, HogDateTime

_ISO = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})"
    r"(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s*(Z|[+-]\d{2}:?(?:\d{2})?)?)?",
    re.ASCII | re.IGNORECASE,
)
_MAX_TEXT = 64
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_MONTHS = {"month": 1, "quarter": 3, "year": 12}


@lru_cache(maxsize=64)
def _zone_exists(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ValueError, OSError):
        return False
    return True


def checked_zone(name: object) -> str:
    """A name of the time zone database.

    Raises:
        HogFailure: It is not.
    """
    # A zone is looked up as a file: nothing that could lead elsewhere gets that far.
    if isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9_+\-/]{1,64}", name) and _zone_exists(name):
        return name
    raise HogFailure(f"Unknown time zone: {str(name)[:64]}")


def parse_datetime(text: str) -> HogDateTime | None:
    """An instant from ISO-like text; without a zone it is UTC, below the millisecond it is cut off."""
    found = _ISO.fullmatch(text.strip()) if len(text) <= _MAX_TEXT else None
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    milliseconds = int((found[7] or "0").ljust(3, "0")[:3])
    try:
        local = datetime(year, month, day, hour, minute, second, milliseconds * 1000, tzinfo=UTC)
        return HogDateTime((local - _offset(found[8])).timestamp())
    except (ValueError, OverflowError):
        return None


def _offset(text: str | None) -> timedelta:
    if text is None or text in "Zz":
        return timedelta()
    digits = text[1:].replace(":", "")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or 0))
    return -offset if text[0] == "-" else offset


def parse_date(text: str) -> HogDate | None:
    """The day of ISO-like text, in its own zone."""
    found = _ISO.fullmatch(text.strip()) if len(text) <= _MAX_TEXT else None
    if found is None:
        return None
    try:
        return HogDate(date(int(found[1]), int(found[2]), int(found[3])))
    except ValueError:
        return None


def instant(seconds: float, zone: str = "UTC") -> HogDateTime:
    """An instant that can be shown.

    Raises:
        HogFailure: It is not finite or its year is outside 1 to 9999.
    """
    if math.isfinite(seconds):
        result = HogDateTime(float(seconds), zone)
        try:
            result.local()
        except (OverflowError, ValueError):
            pass
        else:
            return result
    raise HogFailure("The date is out of range")


def iso_text(value: HogDate | HogDateTime) -> str:
    """``YYYY-MM-DD``, or an instant with milliseconds and its offset, ``Z`` for UTC."""
    if isinstance(value, HogDate):
        return value.day.isoformat()
    text = value.local().isoformat(timespec="milliseconds")
    return f"{text[:-6]}Z" if value.zone == "UTC" else text


def as_local(value: HogDate | HogDateTime) -> datetime:
    """Calendar fields of a date or an instant; a date starts at midnight UTC."""
    if isinstance(value, HogDateTime):
        return value.local()
    return datetime(value.day.year, value.day.month, value.day.day, tzinfo=UTC)


def unit_name(unit: object) -> str:
    """A unit of time, singular and in lower case.

    Raises:
        HogFailure: There is no such unit.
    """
    name = unit.lower().rstrip("s") if isinstance(unit, str) and len(unit) < 16 else ""
    if name not in _SECONDS and name not in _MONTHS:
        raise HogFailure(f"Unknown unit of time: {str(unit)[:64]}")
    return name


def shift(value: HogDate | HogDateTime, count: int, unit: str) -> HogDate | HogDateTime:
    """Add units; months keep to the length of the month, dates stay dates.

    Raises:
        HogFailure: The result is out of range.
    """
    try:
        if unit in _MONTHS:
            return _shift_months(value, count * _MONTHS[unit])
        if isinstance(value, HogDateTime):
            return instant(value.seconds + count * _SECONDS[unit], value.zone)
        moved = as_local(value) + timedelta(seconds=count * _SECONDS[unit])
        return HogDate(moved.date())
    except (OverflowError, ValueError) as exc:
        raise HogFailure("The date is out of range") from exc


def _shift_months(value: HogDate | HogDateTime, count: int) -> HogDate | HogDateTime:
    local = as_local(value)
    year, month = divmod(local.year * 12 + local.month - 1 + count, 12)
    month += 1
    day = min(local.day, calendar.monthrange(year, month)[1])
    moved = local.replace(year=year, month=month, day=day)
    return HogDate(moved.date()) if isinstance(value, HogDate) else from_local(moved, value.zone)


def from_local(local: datetime, zone: str) -> HogDateTime:
    """An instant from calendar fields in its zone."""
    return HogDateTime(local.timestamp(), zone)


def difference(unit: str, start: HogDate | HogDateTime, end: HogDate | HogDateTime) -> int:
    """``end - start``: elapsed units rounded down; weeks, months and years as the contract counts them."""
    first, last = as_local(start), as_local(end)
    if unit == "year":
        return last.year - first.year
    months = (last.year - first.year) * 12 + last.month - first.month
    if unit in _MONTHS:
        return months // _MONTHS[unit]
    elapsed = last.timestamp() - first.timestamp()
    return math.floor(elapsed / _SECONDS["day"]) // 7 if unit == "week" else math.floor(elapsed / _SECONDS[unit])


def truncate(unit: str, value: HogDate | HogDateTime) -> HogDate | HogDateTime:
    """The start of the year, quarter, month, week (Monday), day, hour, minute or second."""
    local = as_local(value)
    fields = ("microsecond", "second", "minute", "hour")
    keep = {"second": 1, "minute": 2, "hour": 3}.get(unit, 4)
    local = local.replace(**dict.fromkeys(fields[:keep], 0))
    match unit:
        case "week":
            local -= timedelta(days=local.weekday())
        case "month":
            local = local.replace(day=1)
        case "quarter":
            local = local.replace(day=1, month=local.month - (local.month - 1) % 3)
        case "year":
            local = local.replace(day=1, month=1)
        case _:
            pass
    return HogDate(local.date()) if isinstance(value, HogDate) else from_local(local, value.zone)


# Spelled out, because those of the standard library follow the locale.
_MONTH_NAMES = "January February March April May June July August September October November December".split()  # noqa: SIM905
_DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _twelve(hour: int) -> int:
    return hour % 12 or 12


_FORMATS: dict[str, Callable[[datetime], str]] = {
    "Y": lambda at: f"{at.year:04d}",
    "y": lambda at: f"{at.year % 100:02d}",
    "m": lambda at: f"{at.month:02d}",
    "d": lambda at: f"{at.day:02d}",
    "e": lambda at: f"{at.day:2d}",
    "H": lambda at: f"{at.hour:02d}",
    "k": lambda at: f"{at.hour:2d}",
    "h": lambda at: f"{_twelve(at.hour):02d}",
    "I": lambda at: f"{_twelve(at.hour):02d}",
    "l": lambda at: f"{_twelve(at.hour):2d}",
    "i": lambda at: f"{at.minute:02d}",
    "S": lambda at: f"{at.second:02d}",
    "s": lambda at: f"{at.second:02d}",
    "f": lambda at: f"{at.microsecond:06d}",
    "p": lambda at: "AM" if at.hour < 12 else "PM",
    "a": lambda at: _DAY_NAMES[at.weekday()][:3],
    "b": lambda at: _MONTH_NAMES[at.month - 1][:3],
    "M": lambda at: _MONTH_NAMES[at.month - 1],
    "W": lambda at: _DAY_NAMES[at.weekday()],
    "j": lambda at: f"{at.timetuple().tm_yday:03d}",
    "u": lambda at: str(at.isoweekday()),
    "w": lambda at: str(at.isoweekday() % 7),
    "F": lambda at: at.date().isoformat(),
    "T": lambda at: f"{at:%H:%M:%S}",
    "R": lambda at: f"{at:%H:%M}",
    "D": lambda at: f"{at:%m/%d/}{at.year % 100:02d}",
    "z": lambda at: f"{at:%z}",
    "n": lambda at: "\n",
    "t": lambda at: "\t",
    "%": lambda at: "%",
}
MAX_FORMATTED_CHARACTERS = 10
"""The longest text of one placeholder."""


def format_datetime(at: datetime, pattern: str) -> str:
    """Fill the placeholders of a pattern; unknown ones stay as they are."""

    def fill(found: re.Match[str]) -> str:
        formatter = _FORMATS.get(found[1])
        return found[0] if formatter is None else formatter(at)

    return re.sub(r"%(.)", fill, pattern, flags=re.DOTALL)
