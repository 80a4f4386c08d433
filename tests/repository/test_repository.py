"""What the repository holds, and what it must not."""

from __future__ import annotations

import os
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORBIDDEN = {
    "a path of one machine": r"(?<![\w.~])/(?:work|tmp/wt|Users/\w+|home/[a-z]\w*)/",
    "the host of a package registry": r"(?:pypi" + r"\.org|python" + r"hosted\.|npm" + r"js\.)",
    "another index than the machine's own": r"--(?:extra-)?index-url|\[\[tool\.uv\.index\]\]",
}


@cache
def tracked() -> list[Path]:
    """Every file of the repository; what git ignores is not there."""
    # The folder may belong to somebody else than whoever runs the tests, as in a container.
    git = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT)]
    listed = subprocess.run(
        [*git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=True,
        text=True,
    )
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def texts() -> list[tuple[Path, str]]:
    found: list[tuple[Path, str]] = []
    for path in tracked():
        content = path.read_bytes()
        if b"\0" not in content:
            found.append((path, content.decode("utf-8")))
    return found


def test_there_is_no_lock_file() -> None:
    locks = {"uv.lock", "poetry.lock", "Pipfile.lock", "pdm.lock", "requirements.txt"}
    assert [path for path in tracked() if path.name in locks] == []


@pytest.mark.parametrize("what", FORBIDDEN)
def test_nothing_ties_it_to_one_place(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path, text in texts()
        if path != Path(__file__)
        for match in pattern.finditer(text)
    ]
    assert found == []


def test_the_check_script_can_be_run() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", script], capture_output=True, check=False, text=True).stderr == ""


def test_the_check_script_runs_every_check_and_the_test_command() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    checks = ["ruff format --check .", "ruff check .", "pyright", "lint-imports", "pytest"]
    assert [check for check in checks if f"uv run {check}\n" not in script] == []


def test_every_source_file_is_short() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path, text in texts()
        if path.suffix == ".py" and (lines := text.count("\n")) > 1000
    }
    assert long == {}


def test_code_waits_for_no_later_day() -> None:
    mark = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b|Not" + r"ImplementedError")
    # The Hog language has an error of that name.
    sources = [(path, text) for path, text in texts() if path.suffix == ".py" and "hog" not in path.parts]
    assert [str(path.relative_to(ROOT)) for path, text in sources if mark.search(text)] == []
