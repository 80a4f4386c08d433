import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.scoring.numbers import find_last_number, parse_number


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("42", 42), (" 42\n", 42), ("42.", 42), ("+5", 5), ("-5", -5), ("−5", -5), ("007", 7), (".5", 0.5),
        ("1e3", 1000), ("2.5E-1", 0.25), ("$3", 3), ("$ 3", 3), ("-$3", -3), ("$-3", -3), ("€1,000.50", 1000.5),
        ("50%", 50), ("50 %", 50), ("1,234.5", 1234.5), ("1,234,567", 1234567), ("12,34,567", 1234567),
        ("3/4", 0.75), ("-3/4", -0.75), ("1 1/2", 1.5), ("-1 1/2", -1.5),
        ("", None), ("five", None), ("5 km", None), ("1,5", None), ("1,23", None), ("0,123", None), ("1234,567", None),
        ("3/0", None), ("2024/05/06", None), ("3/4.5", None), ("--3", None), ("-$-3", None), ("1_000", None),
        ("nan", None), ("inf", None), ("-Infinity", None), ("1e999", None), ("9" * 6000, None), ("0x10", None),
        ("true", None), ("1.2.3", None), ("1\n2", None),
    ],
)  # fmt: skip
def test_parse_number(text: str, expected: float | None) -> None:
    assert parse_number(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The answer is 42.", "42"), ("first 1, then 2, last 3!", "3"), ("costs $1,234.50 in all", "1234.50"),
        ("x = -4", "-4"), ("(-4)", "-4"), ("3-4", "4"), ("5 - 3", "3"), ("range 3–4", "4"), ("minus −7", "-7"),
        ("-$5", "-5"), ("$-5", "-5"), ("50%", "50"), ("1,2,3", "3"), ("1,00,000", "100000"), ("about -.5", "-.5"),
        ("it is 3/4.", "0.75"), ("1 1/2 cups", "1.5"), ("on 2024/05/06", "06"), ("1/2/3", "3"), ("3/0", "0"),
        ("H2O", "2"), ("答案是42。", "42"), ("v1.2.3", "3"), ("10:30", "30"), ("1.5e3 m", "1.5e3"), ("3.", "3"),
        ("", None), ("none", None), ("- . , /", None), ("1e999", None), ("7" * 6000, None),
    ],
)  # fmt: skip
def test_find_last_number(text: str, expected: str | None) -> None:
    assert find_last_number(text) == expected


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_python_floats_are_read_back(value: float) -> None:
    assert parse_number(repr(value)) == value
    assert find_last_number(f"so it is {value!r}") == repr(value)


@settings(deadline=None)
@given(st.integers(-(10**15), 10**15))
def test_thousands_separators_are_read(value: int) -> None:
    assert parse_number(f"{value:,}") == value
    assert find_last_number(f"In total {value:,} items.") == str(value)


@settings(deadline=None)
@given(st.text(alphabet="0123456789.,/-+−eE$% x()", max_size=40))
def test_what_is_found_is_a_finite_float_and_nothing_else_is(text: str) -> None:
    found = find_last_number(text)
    if found is not None:
        assert math.isfinite(float(found))
        assert parse_number(found) == float(found)
    elif any(character.isdigit() for character in text):
        assert "e" in text.lower()  # digits that are no number can only be an overflow such as 1e999


@settings(deadline=None)
@given(st.text(alphabet="0123456789.,/-+eE$% ", max_size=40))
def test_a_text_that_is_one_number_holds_that_number(text: str) -> None:
    value = parse_number(text)
    if value is not None:
        found = find_last_number(text)
        assert found is not None
        assert float(found) == value


@pytest.mark.parametrize(
    "unit", ["1", "1 ", "1/", "1,111", "1,11,", "1e1", "1 1/1 ", ". ", "-$", "1.", "-", "1,"], ids=repr
)
@pytest.mark.timeout(5)
def test_hostile_repetition_is_linear(unit: str) -> None:
    find_last_number(unit * (1_000_000 // len(unit)))
    parse_number(unit * (1_000_000 // len(unit)))
