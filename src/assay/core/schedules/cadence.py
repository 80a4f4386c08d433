"""When a schedule is due: cron in a time zone, an interval from an anchor, or once.

Daylight saving (M§7 R26) is decided here, and only here. A local time that the clocks skip is due at the first instant
after the gap, where several of them coincide; a local time that comes twice is due the first time. So every local
time that an expression names is due exactly once.

The engine that keeps the clock sees it otherwise (measured with its server 1.32): it leaves out times in
a gap of an hour and shifts those in a gap of half an hour; it fires twice in a repeated hour, and only the second time
in a repeated half hour, after which it leaves out the next. ``CronCadence.corrections`` lists the instants that it
has to be told in so many words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property, lru_cache
from itertools import takewhile
from typing import Protocol
from zoneinfo import ZoneInfo, available_timezones

from assay.core.schedules.cron import CronExpression
from assay.core.schedules.errors import ScheduleInputError

MAX_CORRECTIONS = 250
"""Bounds what a schedule carries. A cron of every minute has 240 of them at one change of the clocks."""

CLOCK_SKEW = timedelta(seconds=10)
"""How far the clock's idea of now may be ahead of ours."""

_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
_NEAR_CHANGE = timedelta(hours=2)
_LONGEST_WAIT = timedelta(days=366 * 41)
"""Beyond the rarest pair of days: 29 February on a given weekday is at most forty years away."""


class Cadence(Protocol):
    """A set of instants, all in UTC and on whole seconds."""

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The instants after a moment, in order; without an end unless the set has one."""
        ...


@dataclass(frozen=True, slots=True)
class Due:
    """Instants that have become due."""

    earliest: datetime
    before_latest: datetime | None
    """The last but one; None when there is only one."""
    latest: datetime
    count: int


def next_due(cadence: Cadence, moment: datetime) -> datetime | None:
    """The first instant after a moment; None when there is none."""
    return next(cadence.after(moment), None)


def find_due(cadence: Cadence, *, after: datetime, until: datetime) -> Due | None:
    """What became due in ``(after, until]``; None for nothing."""
    found: Due | None = None
    for instant in takewhile(lambda instant: instant <= until, cadence.after(after)):
        found = Due(instant, None, instant, 1) if found is None else _followed(found, instant)
    return found


def due_until(now: datetime, scheduled_at: datetime | None) -> datetime:
    """Up to when to look for what is due: now, or the instant for which a clock that is slightly ahead woke us."""
    if scheduled_at is None or scheduled_at - now > CLOCK_SKEW:
        return now
    return max(now, scheduled_at)


def _followed(due: Due, instant: datetime) -> Due:
    return Due(due.earliest, due.latest, instant, due.count + 1)


def whole_seconds(moment: datetime) -> datetime:
    """The first whole second that is not before a moment, since instants have no parts of seconds."""
    floor = moment.replace(microsecond=0)
    return floor if floor == moment else floor + timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class OnceCadence:
    """One instant."""

    at: datetime

    def after(self, moment: datetime) -> Iterator[datetime]:
        """That instant, if it is still to come."""
        if self.at > moment:
            yield self.at


@dataclass(frozen=True, slots=True)
class IntervalCadence:
    """``anchor + n * every`` for n = 1, 2, …"""

    every: timedelta
    """Whole seconds, at least one."""
    anchor: datetime

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The instants after a moment."""
        start = self.anchor.replace(microsecond=0)
        number = max(0, (moment - start) // self.every)
        while True:
            number += 1
            yield start + number * self.every


@dataclass(frozen=True)
class CronCadence:
    """The local times that an expression names, in a time zone."""

    expression: CronExpression
    timezone: str

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The instants after a moment."""
        last = moment
        # A skipped day's instants come a day later, so the day before may still bring one.
        first_day = moment.astimezone(self._zone).date() - _DAY
        for day in _days(first_day, first_day + _LONGEST_WAIT):
            if self.expression.matches_day(day):
                for instant in self._instants(day):
                    if instant > last:
                        yield instant
                        last = instant

    def corrections(self, start: datetime, end: datetime) -> list[datetime]:
        """The due instants within two hours of a change of the clocks, at most ``MAX_CORRECTIONS``, in order."""
        found: list[datetime] = []
        for day in _days(start.astimezone(self._zone).date(), end.astimezone(self._zone).date()):
            if self._is_plain(day) or not self.expression.matches_day(day):
                continue
            midnight, next_midnight = (
                resolve_local(datetime.combine(at, time()), self._zone) for at in (day, day + _DAY)
            )
            change = _find_change(midnight - _MINUTE, next_midnight, self._zone)
            found += [at for at in self._instants(day) if abs(at - change) <= _NEAR_CHANGE and start < at <= end]
        return found[:MAX_CORRECTIONS]

    def _instants(self, day: date) -> list[datetime]:
        times = self.expression.times
        if self._is_plain(day):
            midnight = datetime.combine(day, time(), tzinfo=self._zone).astimezone(UTC)
            return [midnight + timedelta(hours=hour, minutes=minute) for hour, minute in times]
        return sorted({resolve_local(datetime.combine(day, time(*at)), self._zone) for at in times})

    def _is_plain(self, day: date) -> bool:
        """Whether the clocks stay as they are from this midnight to the next."""
        start, end = datetime.combine(day, time()), datetime.combine(day + _DAY, time())
        offsets = {at.replace(tzinfo=self._zone, fold=fold).utcoffset() for at in (start, end) for fold in (0, 1)}
        return len(offsets) == 1


def resolve_local(naive: datetime, zone: ZoneInfo) -> datetime:
    """The instant at which a local time is due: its first occurrence, or the first instant after the gap it is in."""
    early = naive.replace(tzinfo=zone, fold=0)
    instant = early.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == naive:
        return instant
    # In a gap the two folds stand on either side of it (PEP 495).
    return _find_change(naive.replace(tzinfo=zone, fold=1).astimezone(UTC), instant, zone)


def _find_change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The first second in ``(before, after]`` with another offset than ``before``."""
    offset = before.astimezone(zone).utcoffset()
    low, high = 0, int((after - before).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        same = (before + timedelta(seconds=middle)).astimezone(zone).utcoffset() == offset
        low, high = (middle, high) if same else (low, middle)
    return before + timedelta(seconds=high)


def _days(first: date, last: date) -> Iterator[date]:
    day = first
    while day <= last:
        yield day
        day += _DAY


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones())


def check_timezone(name: str) -> str:
    """The name itself.

    Raises:
        ScheduleInputError: It is no time zone of the IANA database.
    """
    if name not in _zone_names():
        raise ScheduleInputError(
            f"`timezone` {name[:80]!r} is not in the IANA database; write a name such as America/New_York or UTC.",
            param="timezone",
        )
    return name
