from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.schedules.cron import CronExpression, parse_cron
from assay.core.schedules.errors import CronError

ALL_MINUTES, ALL_HOURS = tuple(range(60)), tuple(range(24))
ALL_DAYS, ALL_MONTHS, ALL_WEEKDAYS = tuple(range(1, 32)), tuple(range(1, 13)), tuple(range(7))


def expression(
    minutes: tuple[int, ...] = (0,),
    hours: tuple[int, ...] = ALL_HOURS,
    days: tuple[int, ...] = ALL_DAYS,
    months: tuple[int, ...] = ALL_MONTHS,
    weekdays: tuple[int, ...] = ALL_WEEKDAYS,
) -> CronExpression:
    return CronExpression(minutes, hours, days, months, weekdays)


@dataclass
class Case:
    text: str
    expected: CronExpression


GOOD = [
    Case("* * * * *", expression(minutes=ALL_MINUTES)),
    Case("0 3 * * *", expression(hours=(3,))),
    Case("*/15 * * * *", expression(minutes=(0, 15, 30, 45))),
    Case("7/20 * * * *", expression(minutes=(7, 27, 47))),
    Case("10-20/5 * * * *", expression(minutes=(10, 15, 20))),
    Case("5,1,3 * * * *", expression(minutes=(1, 3, 5))),
    Case("0 9-17 * * MON-FRI", expression(hours=tuple(range(9, 18)), weekdays=(1, 2, 3, 4, 5))),
    Case("0 0 * jan,JUL *", expression(hours=(0,), months=(1, 7))),
    Case("0 0 * * 7", expression(hours=(0,), weekdays=(0,))),
    Case("0 0 * * 5-7", expression(hours=(0,), weekdays=(0, 5, 6))),
    Case("0 0 29 2 *", expression(hours=(0,), days=(29,), months=(2,))),
    Case("  0  0\t1 *   * ", expression(hours=(0,), days=(1,))),
    Case("*/59 * * * *", expression(minutes=(0, 59))),
]


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.text)
def test_reads_five_fields(case: Case) -> None:
    assert parse_cron(case.text) == case.expected


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "five fields"),
        ("0 3 * *", "has 4"),
        ("0 0 3 * * *", "Seconds and years are not supported"),
        ("0 0 3 * * * 2027", "Seconds and years"),
        ("CRON_TZ=UTC 0 3 * * *", "five fields"),
        ("@daily", "five fields"),
        ("@every 60s", "five fields"),
        ("60 * * * *", "'60' is not 0 to 59"),
        ("* 24 * * *", "'24' is not 0 to 23"),
        ("* * 0 * *", "'0' is not 1 to 31"),
        ("* * 32 * *", "'32' is not 1 to 31"),
        ("* * * 13 *", "'13' is not 1 to 12"),
        ("* * * * 8", "'8' is not 0 to 7"),
        ("* * * FOO *", "or a name"),
        ("MON * * * *", "minute"),
        ("* * L * *", "day of month"),
        ("* * 15W * *", "day of month"),
        ("* * * * 5#2", "day of week"),
        ("* * ? * *", "day of month"),
        ("20-10 * * * *", "write 20-59,0-10"),
        ("*/0 * * * *", "the step '0' must be 1 to 59"),
        ("*/90 * * * *", "the step '90' must be 1 to 59"),
        ("*/x * * * *", "the step 'x'"),
        ("*/ * * * *", "the step ''"),
        ("1, * * * *", "''"),
        ("1,,2 * * * *", "''"),
        ("-1 * * * *", "'-1'"),
        ("１ * * * *", "write"),
        ("*/² * * * *", "the step"),
        ("0 0 30 2 *", "never fires"),
        ("0 0 31 4,6,9,11 *", "never fires"),
        ("* " * 200, "at most 255"),
    ],
)
def test_refuses_with_the_reason(text: str, part: str) -> None:
    with pytest.raises(CronError) as caught:
        parse_cron(text)
    assert part in caught.value.message
    assert caught.value.param == "cron"


@given(st.text(alphabet="0123456789*/,- ?LW#@JANMON\t", max_size=40))
def test_never_fails_otherwise(text: str) -> None:
    try:
        found = parse_cron(text)
    except CronError:
        return
    assert found.times
    assert all(values == tuple(sorted(set(values))) for values in (found.minutes, found.hours, found.weekdays))
