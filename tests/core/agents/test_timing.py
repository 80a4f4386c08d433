"""When agents' schedules are due."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.agents.errors import AgentInputError
from assay.core.agents.timing import to_cadence

NOW = datetime(2027, 3, 1, 12, 0, 0, 400_000, tzinfo=UTC)


def at(hour: int, minute: int = 0, second: int = 0, *, day: int = 1) -> datetime:
    return datetime(2027, 3, day, hour, minute, second, tzinfo=UTC)


CASES: list[tuple[str, dict[str, Any], list[datetime]]] = [
    ("once", {"type": "once", "run_at": "2027-03-01T13:00:00Z"}, [at(13)]),
    ("once, in a zone", {"type": "once", "run_at": "2027-03-01T15:00:00", "timezone": "Europe/Berlin"}, [at(14)]),
    ("once, with an offset", {"type": "once", "run_at": "2027-03-01T15:00:00+01:00"}, [at(14)]),
    ("once, between seconds", {"type": "once", "run_at": "2027-03-01T13:00:00.2Z"}, [at(13, 0, 1)]),
    ("once, past", {"type": "once", "run_at": "2027-03-01T11:00:00Z"}, []),
    # The anchor is rounded up, so that the first fire is never early.
    ("interval", {"type": "interval", "interval_seconds": 60}, [at(12, 1, 1), at(12, 2, 1), at(12, 3, 1)]),
    (
        "interval, to start",
        {"type": "interval", "interval_seconds": 3600, "start_at": "2027-03-01T20:30:00Z"},
        [at(20, 30), at(21, 30), at(22, 30)],
    ),
    (
        "interval, begun",
        {"type": "interval", "interval_seconds": 3600, "start_at": "2020-01-01T00:30:00Z"},
        [at(12, 30), at(13, 30), at(14, 30)],
    ),
    (
        "cron",
        {"type": "cron", "cron_expression": "0 9 * * *", "timezone": "Europe/Berlin"},
        [at(8, day=2), at(8, day=3), at(8, day=4)],
    ),
]


@pytest.mark.parametrize(("spec", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_instants(spec: dict[str, Any], expected: list[datetime]) -> None:
    assert list(islice(to_cadence(spec, anchor=NOW).after(NOW), 3)) == expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)
specs = st.fixed_dictionaries(
    {"type": st.sampled_from(["once", "interval", "cron"]) | json_values},
    optional={
        name: json_values | st.datetimes().map(str)
        for name in ("run_at", "start_at", "interval_seconds", "cron_expression", "timezone")
    },
)


@given(specs)
def test_whatever_is_sent_is_a_cadence_or_refused(spec: dict[str, Any]) -> None:
    refusals: list[AgentInputError] = []
    try:
        first = next(to_cadence(spec, anchor=NOW).after(NOW), None)
    except AgentInputError as error:
        refusals, first = [error], None
    assert first is None or first > NOW
    assert all((refusal.param or "").startswith("schedule.") for refusal in refusals)
