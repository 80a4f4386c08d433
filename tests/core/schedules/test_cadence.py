from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from assay.core.schedules.cadence import (
    CronCadence,
    IntervalCadence,
    OnceCadence,
    check_timezone,
    find_due,
    next_due,
)
from assay.core.schedules.cron import CronExpression, parse_cron
from assay.core.schedules.errors import ScheduleInputError

NEW_YORK, LORD_HOWE, TOKYO = "America/New_York", "Australia/Lord_Howe", "Asia/Tokyo"


@dataclass
class Case:
    """Instants of a cron over some days, written by hand from the published rules of the zone."""

    name: str
    cron: str
    timezone: str
    start: str
    days: int
    expected: list[str]


CASES = [
    # New York, 14 March 2027: 02:00 EST (07:00Z) becomes 03:00 EDT. 02:30 does not exist.
    Case("gap", "30 2 * * *", NEW_YORK, "2027-03-13T05:00Z", 3, ["03-13T07:30", "03-14T07:00", "03-15T06:30"]),
    Case("start of a gap", "0 2 * * *", NEW_YORK, "2027-03-14T05:00Z", 1, ["03-14T07:00"]),
    Case("end of a gap", "0 3 * * *", NEW_YORK, "2027-03-14T05:00Z", 1, ["03-14T07:00"]),
    Case("several in a gap are one", "0,20,40 2 * * *", NEW_YORK, "2027-03-14T05:00Z", 1, ["03-14T07:00"]),
    Case(
        "every half hour across a gap",
        "*/30 1-3 * * *",
        NEW_YORK,
        "2027-03-14T05:00Z",
        1,
        ["03-14T06:00", "03-14T06:30", "03-14T07:00", "03-14T07:30"],
    ),
    # New York, 7 November 2027: 02:00 EDT (06:00Z) becomes 01:00 EST. 01:30 comes at 05:30Z and again at 06:30Z.
    Case("repeated", "30 1 * * *", NEW_YORK, "2027-11-06T04:00Z", 3, ["11-06T05:30", "11-07T05:30", "11-08T06:30"]),
    Case(
        "hourly across it",
        "0 0-3 * * *",
        NEW_YORK,
        "2027-11-07T04:00Z",
        1,
        ["11-07T04:00", "11-07T05:00", "11-07T07:00", "11-07T08:00"],
    ),
    # Lord Howe, 3 October 2027: 02:00 +10:30 (15:30Z on the 2nd) becomes 02:30 +11:00.
    Case(
        "half-hour gap", "15 2 * * *", LORD_HOWE, "2027-10-01T14:00Z", 3, ["10-01T15:45", "10-02T15:30", "10-03T15:15"]
    ),
    Case("after a half-hour gap", "45 2 * * *", LORD_HOWE, "2027-10-02T14:00Z", 1, ["10-02T15:45"]),
    # Lord Howe, 4 April 2027: 02:00 +11:00 (15:00Z on the 3rd) becomes 01:30 +10:30. 01:45 comes at 14:45Z and 15:15Z.
    Case(
        "repeated half hour",
        "45 1 * * *",
        LORD_HOWE,
        "2027-04-02T13:00Z",
        3,
        ["04-02T14:45", "04-03T14:45", "04-04T15:15"],
    ),
    Case("no daylight saving", "30 2 * * *", TOKYO, "2027-03-13T00:00Z", 2, ["03-13T17:30", "03-14T17:30"]),
    # Havana, 14 March 2027: 00:00 (05:00Z) becomes 01:00: the day has no midnight.
    Case("no midnight", "0 0 * * *", "America/Havana", "2027-03-13T12:00Z", 2, ["03-14T05:00", "03-15T04:00"]),
    # Apia left out 30 December 2011: what was due on it is due when the 31st begins, 10:00Z on the 30th.
    Case("no such day", "0 12 30 12 *", "Pacific/Apia", "2011-12-29T00:00Z", 3, ["12-30T10:00"]),
    Case("both day fields", "0 0 13 * 5", "UTC", "2027-01-01T00:00Z", 365, ["08-13T00:00"]),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_is_due_at(case: Case) -> None:
    start = datetime.fromisoformat(case.start)
    cadence = CronCadence(parse_cron(case.cron), case.timezone)
    found = [
        at for at in islice(cadence.after(start - timedelta(seconds=1)), 500) if at < start + timedelta(days=case.days)
    ]
    assert [f"{at:%m-%dT%H:%M}" for at in found] == case.expected
    assert all(at.utcoffset() == timedelta(0) for at in found)


def minute_by_minute(expression: CronExpression, timezone: str, start: datetime, end: datetime) -> list[datetime]:
    """The same by watching a wall clock: what it shows for the first time is due, and so is what it jumped over."""
    zone = ZoneInfo(timezone)
    due: list[datetime] = []
    seen = (start - timedelta(days=1)).astimezone(zone).replace(tzinfo=None)
    at = start - timedelta(days=1)
    while at <= end:
        shown = at.astimezone(zone).replace(tzinfo=None)
        new = [seen + timedelta(minutes=n) for n in range(1, int((shown - seen).total_seconds()) // 60 + 1)]
        names = [
            wall
            for wall in new
            if wall.minute in expression.minutes
            and wall.hour in expression.hours
            and expression.matches_day(wall.date())
        ]
        if names and start < at <= end:
            due.append(at)
        seen = max(seen, shown)
        at += timedelta(minutes=1)
    return due


@pytest.mark.parametrize("timezone", [NEW_YORK, LORD_HOWE, TOKYO, "Europe/London", "America/Havana", "Asia/Kathmandu"])
@pytest.mark.parametrize("cron", ["*/10 * * * *", "5,35 0-3 * * *", "0 2 * * SUN"])
@pytest.mark.parametrize("start", ["2027-03-13", "2027-04-03", "2027-10-02", "2027-11-06"])
def test_agrees_with_a_wall_clock(timezone: str, cron: str, start: str) -> None:
    after = datetime.fromisoformat(start).replace(tzinfo=UTC)
    until = after + timedelta(days=2)
    cadence = CronCadence(parse_cron(cron), timezone)
    expected = minute_by_minute(parse_cron(cron), timezone, after, until)
    found = [at for at in islice(cadence.after(after), 400) if at <= until]
    assert found == expected
    due = find_due(cadence, after=after, until=until)
    if not expected:
        assert due is None
        return
    assert due is not None
    assert (due.earliest, due.latest, due.count) == (expected[0], expected[-1], len(expected))
    assert due.before_latest == (expected[-2] if len(expected) > 1 else None)


def test_rare_days_are_found() -> None:
    # 29 February is a Monday in 2044, next after 2016.
    cadence = CronCadence(parse_cron("0 0 29 2 MON"), "UTC")
    assert next_due(cadence, datetime(2026, 1, 1, tzinfo=UTC)) == datetime(2044, 2, 29, tzinfo=UTC)


def test_intervals_count_from_their_anchor() -> None:
    anchor = datetime(2027, 1, 1, 12, 0, 7, 250_000, tzinfo=UTC)
    cadence = IntervalCadence(timedelta(seconds=90), anchor)
    first = datetime(2027, 1, 1, 12, 1, 37, tzinfo=UTC)
    assert next_due(cadence, anchor) == first
    assert next_due(cadence, first) == first + timedelta(seconds=90)
    assert next_due(cadence, first - timedelta(microseconds=1)) == first
    assert next_due(cadence, anchor - timedelta(days=9)) == first
    due = find_due(cadence, after=anchor, until=anchor + timedelta(days=1))
    assert due is not None
    assert due.count == 960


def test_once_is_due_once() -> None:
    at = datetime(2027, 1, 1, tzinfo=UTC)
    assert next_due(OnceCadence(at), at - timedelta(days=1)) == at
    assert next_due(OnceCadence(at), at) is None


@pytest.mark.parametrize("name", ["UTC", "US/Pacific", NEW_YORK, "Etc/GMT+5", "Asia/Kolkata"])
def test_knows_time_zones(name: str) -> None:
    assert check_timezone(name) == name


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "utc+1", "../etc/passwd", "america/new_york", "UTC\0"])
def test_refuses_other_names(name: str) -> None:
    with pytest.raises(ScheduleInputError, match="IANA"):
        check_timezone(name)
