"""Charts, differences and words of pages, without a page."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from xml.etree import ElementTree

import pytest

from assay.ui import charts, rendering
from assay.ui.charts import Part, Point, Span
from assay.ui.diffing import diff_lines, diff_words
from assay.ui.edge import read_uuid, safe_path

HOSTILE = '<script>alert("x")</script>&'


def parsed(chart: str) -> ElementTree.Element:
    return ElementTree.fromstring(f"<root>{chart}</root>")


@pytest.mark.parametrize(
    "chart",
    [
        charts.series([Point(HOSTILE, 1.0, 0.5, 1.5, f"/x?{HOSTILE}", HOSTILE)], title=HOSTILE),
        charts.shares([Part(HOSTILE, 3, HOSTILE)], title=HOSTILE),
        charts.timeline([Span(HOSTILE, 0, 1, HOSTILE)], title=HOSTILE),
        charts.histogram([0, 1], [3], title=HOSTILE),
        charts.moments([(datetime(2026, 1, 1, tzinfo=UTC), HOSTILE, "bad")], [], datetime.now(UTC), title=HOSTILE),
    ],
)
def test_no_text_of_a_user_becomes_markup(chart: str) -> None:
    tags = {element.tag for element in parsed(chart).iter()}
    assert "script" not in tags
    assert HOSTILE not in chart


def test_charts_of_nothing_are_nothing() -> None:
    assert charts.series([Point("a", None)], title="t") == ""
    assert charts.shares([], title="t") == ""
    assert charts.timeline([], title="t") == ""
    assert charts.histogram([0, 1], [0], title="t") == ""
    assert charts.interval(None, None, None) == ""


def test_an_interval_is_drawn_where_it_is() -> None:
    found = parsed(charts.interval(0.5, 0.25, 0.75))
    dot = found.find(".//circle")
    assert dot is not None
    assert dot.get("cx") == "80.0"
    whisker = found.findall(".//line")[1]
    assert (whisker.get("x1"), whisker.get("x2")) == ("42.0", "118.0")


def test_words_that_changed() -> None:
    pieces = diff_words("The answer is 41.", "The answer is 42.")
    assert [(piece.kind, piece.text) for piece in pieces] == [
        ("same", "The answer is "),
        ("old", "41"),
        ("new", "42"),
        ("same", "."),
    ]
    long = diff_words("a" * 30_000, "b")
    assert [piece.kind for piece in long] == ["old", "new"]


def test_lines_that_did_not_change_are_cut_short() -> None:
    old = "\n".join(str(n) for n in range(100))
    lines = diff_lines(old, old.replace("\n50\n", "\nfifty\n"))
    assert [line.text for line in lines if line.kind in {"add", "del"}] == ["50", "fifty"]
    assert sum(line.kind == "skipped" for line in lines) == 2
    assert len(lines) == 10


def test_numbers_as_people_read_them() -> None:
    assert [rendering.number(value) for value in (None, 0.5, 12, 0.00001, True)] == [
        "–",
        "0.500",
        "12",
        "1.0e-05",
        "true",
    ]
    assert [rendering.money(value) for value in (None, Decimal("0.00042"), 0, 12.5)] == [
        "–",
        "$0.0004",
        "$0.00",
        "$12.50",
    ]
    assert [rendering.seconds(value) for value in (0.02, 3.21, 250, 7500)] == [
        "20 ms",
        "3.2 s",
        "4 min 10 s",
        "2 h 5 min",
    ]
    assert rendering.signed(-0.25) == "−0.250"
    assert rendering.tail("begin " * 30 + "the end", 12) == "…gin the end"


def test_markdown_lets_no_markup_through() -> None:
    text = rendering.markdown("# Title\n\n<script>x</script> [a](javascript:alert(1)) ![b](https://x.example/y.png)")
    assert "<h2>Title</h2>" in text
    assert "<script" not in text
    assert 'href="javascript' not in text
    assert "<img" not in text


@pytest.mark.parametrize("path", ["//evil.example", "https://evil.example", "/\\evil.example", "", None, "x", "/a\nb"])
def test_nobody_is_led_elsewhere(path: str | None) -> None:
    assert safe_path(path) == "/"


def test_ids_are_read_in_every_form() -> None:
    text = "01a216de7e49725fb8122dead97490a7"
    assert read_uuid(f"eval_run_{text}") == read_uuid(text) == read_uuid("01a216de-7e49-725f-b812-2dead97490a7")
    assert read_uuid("nonsense") is None
