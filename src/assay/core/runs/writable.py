"""Results as JSON that PostgreSQL takes, whatever models and graders put into them.

Models send NUL characters, halves of surrogate pairs and numbers of any size. One such value must not keep the
hundreds of results that are written together with it from being stored, so it is replaced. Results without any, which
is nearly all, are encoded once and only searched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import orjson

REPLACEMENT = "\ufffd"
_LARGEST_INTEGER = 2**63 - 1
_ESCAPED_NUL = b"\\u0000"


def encode(value: Any) -> str:
    """JSON text for a ``json`` parameter: NUL and lone surrogates become U+FFFD, integers over 64 bits floats."""
    try:
        encoded = orjson.dumps(value)
    except TypeError:
        encoded = orjson.dumps(_repaired(value))
    if _ESCAPED_NUL in encoded:
        encoded = orjson.dumps(_repaired(value))
    return encoded.decode()


def repair_text(text: str) -> str:
    """The text with U+FFFD for each character that PostgreSQL cannot hold."""
    if "\0" in text:
        text = text.replace("\0", REPLACEMENT)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        # Two halves that belong together, each escaped on its own, become their character again.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _repaired(value: Any) -> Any:
    if isinstance(value, str):
        return repair_text(value)
    if isinstance(value, Mapping):
        pairs = cast("Mapping[Any, Any]", value).items()
        return {repair_text(str(key)): _repaired(part) for key, part in pairs}
    if isinstance(value, list | tuple):
        return [_repaired(part) for part in cast("Sequence[Any]", value)]
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        return _as_float(value)
    return value


def _as_float(value: int) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None
