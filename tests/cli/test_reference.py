"""The generated pages say what the program does."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.cli.reference import PAGES

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", sorted(PAGES))
def test_page_is_current(name: str) -> None:
    made = PAGES[name]()
    assert (DOCS / name).read_text(encoding="utf-8") == made, "run `python -m assay.cli.reference docs`"


def test_every_setting_is_described() -> None:
    rows = [line for line in PAGES["settings.md"]().splitlines() if line.startswith("| `")]
    assert len(rows) >= 15
    assert [row for row in rows if row.endswith("|  |")] == []
