"""Whatever results hold, PostgreSQL takes it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.runs.writable import encode, repair_text

LONE = st.characters(categories=["Cs"])
TEXTS = st.text(st.one_of(st.characters(), LONE, st.just("\0"), st.just("\\")))
VALUES = st.recursive(
    st.none() | st.booleans() | TEXTS | st.integers() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": "plain"}, '{"a":"plain"}'),
        ({"a\0": "b\0c"}, '{"a�":"b�c"}'),
        (["\ud800x"], '["�x"]'),
        (["\ud83d\ude00"], '["😀"]'),
        (["back\\u0000slash"], '["back\\\\u0000slash"]'),
        ([2**70], "[1.1805916207174113e+21]"),
        ([10**400, float("nan")], "[null,null]"),
    ],
)
def test_encode(value: Any, text: str) -> None:
    assert encode(value) == text


@given(VALUES)
def test_encoded_values_can_be_stored(value: Any) -> None:
    written = encode(value)
    written.encode()
    assert not _holds_nul(json.loads(written))


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_storable_text_is_left_alone(text: str) -> None:
    assert repair_text(text) == text


def _holds_nul(value: Any) -> bool:
    # A NUL inside is escaped again, which makes it the only way to these six characters.
    return "\\u0000" in json.dumps(value).replace("\\\\", "")
