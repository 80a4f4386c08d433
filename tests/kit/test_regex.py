"""Patterns of strangers."""

from __future__ import annotations

import pytest

from assay.kit.regex import BadPatternError, compile_pattern, escape


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("b(c)?", "abc", ["bc", "c"]),
        ("b(x)?", "abc", ["b", None]),
        ("é.", "caféï", ["éï"]),
        ("x", "abc", None),
        ("^$", "", [""]),
        (r"\?", "\ud800", ["?"]),
    ],
)
def test_search(pattern: str, text: str, found: list[str | None] | None) -> None:
    assert compile_pattern(pattern).search(text) == found


def test_case_can_be_ignored() -> None:
    assert compile_pattern("É", ignore_case=True).search("é") == ["é"]
    assert compile_pattern("É").search("é") is None


@pytest.mark.parametrize("pattern", ["(", r"(a)\1", "(?=a)", "(?<!a)b", "a{1001}", "((a{100}){100}){100}"])
def test_bad_patterns(pattern: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BadPatternError, match=r"."):
        compile_pattern(pattern)
    assert capfd.readouterr().err == ""


def test_escape() -> None:
    text = "a.b*[c]\\d é%_"
    assert compile_pattern(f"^{escape(text)}$").search(text) == [text]
