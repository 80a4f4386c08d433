"""Numbers as people and models write them.

One grammar serves extraction and comparison, so that what is found in an answer is read the way a target is:

    prefix:  [sign] [currency]  or  currency sign
    value:   digits with thousands separators, decimals and exponent  or  a/b  or  whole a/b
    suffix:  [%]

- Thousands separators are commas between groups (``1,234,567``, and the Indian ``12,34,567``). A comma is never a
  decimal mark: ``1,5`` is two numbers.
- A currency sign (``$ € £ ¥ ₹``) and ``%`` are units and carry no value: ``50%`` is 50, not 0.5.
- ``3/4`` is 0.75 and ``1 1/2`` is 1.5; ``2024/05/06`` and ``3/0`` are no fractions.
- Only finite numbers exist: ``nan``, ``inf`` and ``1e999`` are not numbers.
"""

from __future__ import annotations

import math
import re
from collections import deque
from typing import Final

MAX_NUMBER_CHARS: Final = 5_000
"""Longer runs of digits are not read; they are no answers, and converting them costs quadratic time."""

_CURRENCY: Final = "[$€£¥₹]"
_SIGN: Final = "[-+−]"
_MINUS: Final = frozenset({"-", "−"})
_DIGITS: Final = r"(?:[1-9][0-9]{0,2}(?:(?:,[0-9]{3})+|(?:,[0-9]{2})+,[0-9]{3})(?![0-9])|[0-9]++)"
_DECIMAL: Final = rf"(?:{_DIGITS}(?:\.[0-9]++)?|(?<![0-9.])\.[0-9]++)(?:[eE][-+]?[0-9]++)?"
_FRACTION: Final = r"(?:(?P<whole>[0-9]++) )?(?P<over>[0-9]++)/(?P<under>[0-9]++)(?![0-9.]*/)(?!\.[0-9])"
_VALUE: Final = rf"(?:(?<!/){_FRACTION}|(?P<decimal>{_DECIMAL}))"

_WHOLE_TEXT: Final = re.compile(
    rf"(?:(?P<sign>{_SIGN})?(?:{_CURRENCY} ?)?|{_CURRENCY}(?P<late_sign>{_SIGN})){_VALUE}(?: ?%)?\.?"
)
# A sign belongs to the number only where no word ends just before it: "3-4" holds 3 and 4, "x = -4" holds -4.
# The first look-ahead only saves time, at the many places where no number can start.
_ANYWHERE: Final = re.compile(rf"(?=[-+−.0-9])(?:(?<![\w.)])(?P<sign>{_SIGN}){_CURRENCY}?)?{_VALUE}")


def parse_number(text: str) -> float | None:
    """The finite number that ``text`` as a whole spells, or None.

    White space around it and one full stop after it are ignored.
    """
    if len(text) > MAX_NUMBER_CHARS:
        return None
    match = _WHOLE_TEXT.fullmatch(text.strip())
    if match is None:
        return None
    value = _read_value(match)
    if value is None:
        return None
    return -value if (match["sign"] or match["late_sign"]) in _MINUS else value


def find_last_number(text: str) -> str | None:
    """The last number in ``text``, written so that ``float()`` reads it; None without one, or if it is not finite.

    Separators, currency and ``%`` are removed and fractions become decimals; the digits are otherwise kept as they
    stand (``1,234.50`` gives ``1234.50``). Linear in the length of the text.
    """
    matches = deque(_ANYWHERE.finditer(text), maxlen=1)
    if not matches:
        return None
    match = matches[0]
    if match.end() - match.start() > MAX_NUMBER_CHARS:
        return None
    sign = "-" if match["sign"] in _MINUS else ""
    value = _read_value(match)
    if match["decimal"] is not None:
        return None if value is None else sign + match["decimal"].replace(",", "")
    return match["under"] if value is None else sign + repr(value)


def _read_value(match: re.Match[str]) -> float | None:
    if match["decimal"] is not None:
        value = float(match["decimal"].replace(",", ""))
    else:
        under = float(match["under"])
        if under == 0:
            return None
        value = float(match["whole"] or 0) + float(match["over"]) / under
    return value if math.isfinite(value) else None
