"""What is shown of a run that goes on."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from assay.cli.evaluation.progress import Pace, Snapshot, describe, format_cost, open_display

HALF = Snapshot("in_progress", total=2000, done=1000, failed=3, cost_usd=0.0123)


def pace_of(*marks: tuple[float, int]) -> Pace:
    pace = Pace()
    for now, done in marks:
        pace.note(now, done)
    return pace


def test_pace_looks_at_the_last_seconds_only() -> None:
    # 0 to 10 s: 10/s; 10 to 15 s: 100/s. The window of 5 s begins at 10 s.
    pace = pace_of((0.0, 0), (10.0, 100), (15.0, 600))
    assert pace.rate == 100
    assert pace.seconds_left(50) == 0.5


@pytest.mark.parametrize(
    "pace",
    [
        pytest.param(Pace(), id="nothing"),
        pytest.param(pace_of((1.0, 5)), id="one mark"),
        pytest.param(pace_of((1.0, 5), (1.0, 6)), id="no time"),
        pytest.param(pace_of((1.0, 5), (2.0, 3)), id="run again"),
    ],
)
def test_pace_is_unknown_without_two_marks(pace: Pace) -> None:
    assert (pace.rate, pace.seconds_left(10)) == (None, None)


def test_nothing_moves() -> None:
    pace = pace_of((0.0, 5), (1.0, 5))
    assert (pace.rate, pace.seconds_left(10)) == (0, None)


def test_line_has_samples_rate_time_failures_and_cost() -> None:
    line = describe(HALF, pace_of((0.0, 900), (2.0, 1000)))
    assert line == "1,000/2,000 samples · 50/s · ETA 0:00:20 · 3 failed · cost $0.0123"


def test_line_before_samples_are_laid_out_says_the_status() -> None:
    assert describe(replace(HALF, status="queued", total=0), Pace()) == "queued"


@pytest.mark.parametrize(("cost", "text"), [(None, "–"), (0.0, "$0.0000"), (0.04567, "$0.0457"), (1234.5, "$1,234.50")])
def test_cost(cost: float | None, text: str) -> None:
    assert format_cost(cost) == text


def test_without_a_terminal_lines_are_few_and_the_last_is_there() -> None:
    stream = io.StringIO()
    with open_display(stream) as show:
        show(replace(HALF, status="queued", total=0, done=0))
        for done in range(0, 2001, 100):
            show(replace(HALF, done=done))
        show(replace(HALF, status="finalizing", done=2000))
    lines = stream.getvalue().splitlines()
    assert lines[0] == "queued"
    assert lines[1].startswith("0/2,000 samples")
    assert lines[-1].startswith("2,000/2,000 samples")
    assert len(lines) == 3


def test_a_terminal_gets_a_live_bar() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with open_display(stream) as show:
        show(HALF)
    assert "1,000/2,000 samples" in stream.getvalue()
    assert "\x1b[" in stream.getvalue()
