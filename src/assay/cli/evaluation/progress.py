"""Showing how far a run is: a live bar on a terminal, else a plain line every few seconds. On standard error."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

WINDOW_SECONDS = 5.0
LINE_SECONDS = 5.0

Show = Callable[["Snapshot"], None]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run at one moment."""

    status: str
    total: int
    """Samples; 0 until they are laid out."""
    done: int
    """Samples that completed or failed."""
    failed: int
    cost_usd: float | None
    """None when no price is known."""


class Pace:
    """Samples per second of late."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()

    def note(self, now: float, done: int) -> None:
        """Note how many samples are done.

        Args:
            now: Seconds on a clock that only goes forward.
            done: Samples so far; may drop when samples are run again, which starts the count anew.
        """
        if self._marks and done < self._marks[-1][1]:
            self._marks.clear()
        self._marks.append((now, done))
        while len(self._marks) > 2 and self._marks[1][0] <= now - WINDOW_SECONDS:
            self._marks.popleft()

    @property
    def rate(self) -> float | None:
        """Samples per second over the last seconds; None before anything is known."""
        if len(self._marks) < 2:
            return None
        (first, before), (last, after) = self._marks[0], self._marks[-1]
        return (after - before) / (last - first) if last > first else None

    def seconds_left(self, remaining: int) -> float | None:
        """When the remaining samples will be done at this rate; None while nothing moves."""
        rate = self.rate
        return remaining / rate if rate else None


def describe(snapshot: Snapshot, pace: Pace) -> str:
    """One line: samples, rate, time left, failures, cost."""
    if not snapshot.total:
        return snapshot.status
    rate, left = pace.rate, pace.seconds_left(snapshot.total - snapshot.done)
    return " · ".join(
        (
            f"{snapshot.done:,}/{snapshot.total:,} samples",
            "– /s" if rate is None else f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s",
            "ETA –" if left is None else f"ETA {timedelta(seconds=round(left))}",
            f"{snapshot.failed:,} failed",
            f"cost {format_cost(snapshot.cost_usd)}",
        )
    )


def format_cost(cost_usd: float | None) -> str:
    """Dollars, with as many digits as a small sum needs."""
    if cost_usd is None:
        return "–"
    return f"${cost_usd:,.2f}" if cost_usd >= 1 else f"${cost_usd:.4f}"


@contextmanager
def open_display(stream: TextIO | None = None) -> Generator[Show]:
    """A display that is open inside the block; call it with each snapshot."""
    target = sys.stderr if stream is None else stream
    if target.isatty():
        with _open_bar(target) as show:
            yield show
    else:
        with _open_lines(target) as show:
            yield show


@contextmanager
def _open_bar(stream: TextIO) -> Generator[Show]:
    pace = Pace()
    columns = (SpinnerColumn(), BarColumn(bar_width=10), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=Console(file=stream), transient=True) as progress:
        task = progress.add_task("starting", total=None)

        def show(snapshot: Snapshot) -> None:
            pace.note(time.monotonic(), snapshot.done)
            total = snapshot.total or None
            progress.update(task, total=total, completed=snapshot.done, description=describe(snapshot, pace))

        yield show


@contextmanager
def _open_lines(stream: TextIO) -> Generator[Show]:
    pace = Pace()
    shown: Snapshot | None = None
    due = 0.0

    def show(snapshot: Snapshot) -> None:
        nonlocal shown, due
        now = time.monotonic()
        pace.note(now, snapshot.done)
        first = shown is None or (not shown.total and snapshot.total > 0)
        last = snapshot.done == snapshot.total and snapshot.total > 0
        already = shown is not None and (shown.done, shown.total) == (snapshot.done, snapshot.total)
        if not already and (first or last or now >= due):
            print(describe(snapshot, pace), file=stream, flush=True)
            shown, due = snapshot, now + LINE_SECONDS

    yield show
