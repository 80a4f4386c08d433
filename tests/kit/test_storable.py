"""What can be kept as JSON, and how places in it are named."""

from __future__ import annotations

import datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.kit.storable import Path, find_unstorable, render_path


@pytest.mark.parametrize(
    ("value", "path", "says"),
    [
        ({"a": ["x", "y\x00"]}, ("a", 1), "the text holds a NUL"),
        ({"a": {"\x00": 1}}, ("a", "\x00"), "the key holds a NUL"),
        ({"a": float("nan")}, ("a",), "nan is not a number"),
        ([float("-inf")], (0,), "-inf"),
        ({"a": 2**63}, ("a",), "64 bits"),
        ({"a": "\ud800"}, ("a",), "surrogate"),
        ({"a": datetime.date(2026, 5, 27)}, ("a",), "a date is not a JSON value"),
        ({"a": {1: 2}}, ("a", "1"), "keys must be strings"),
        ([[[[1]]]], (0, 0, 0), "nested too deeply"),
    ],
)
def test_what_cannot_be_kept(value: Any, path: Path, says: str) -> None:
    (fault,) = find_unstorable(value, max_depth=3)
    assert fault.path == path
    assert says in fault.reason


def test_every_fault_is_found_in_document_order() -> None:
    found = find_unstorable({"b": "\x00", "a": [float("inf"), {"c": "\x00"}]}, max_depth=9)
    assert [render_path(fault.path) for fault in found] == ["b", "a[0]", "a[1].c"]


def test_endless_nesting_is_stopped() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert len(list(find_unstorable(loop, max_depth=32))) == 1


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("tasks", 3, "grader", "source"), "tasks[3].grader.source"),
        ((0, "a"), "[0].a"),
        (("query-id",), "query-id"),
        (("odd key", 1), '["odd key"][1]'),
        (("a\x00\ud800",), "['a\\x00\\ud800']"),
    ],
)
def test_paths_as_people_write_them(path: Path, text: str) -> None:
    assert render_path(path) == text


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(value=anything)
def test_what_passes_survives_a_round_trip(value: Any) -> None:
    faults = list(find_unstorable(value, max_depth=32))
    if not faults:
        assert orjson.loads(orjson.dumps(value)) == value
    for fault in faults:
        fault_text = f"{render_path(fault.path)}: {fault.reason}"
        assert "\x00" not in fault_text
        fault_text.encode()
