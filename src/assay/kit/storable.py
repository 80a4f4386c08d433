"""What may be kept: JSON that survives a round trip through PostgreSQL and through our JSON writer.

JSON as Python holds it is wider than what can be stored. ``jsonb`` refuses NUL characters, no writer has a text for NaN
or a lone surrogate, integers beyond 64 bits cannot be written, and nesting without a bound is an attack on recursion.
Input is checked once, where it enters, so that no later step meets such a value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

Path = tuple[str | int, ...]

_INT_MIN = -(2**63)
_INT_MAX = 2**63 - 1
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_SHOWN_KEY_LENGTH = 64


class Unstorable(NamedTuple):
    """One value that cannot be kept."""

    path: Path
    """Keys and indexes from the root to the value."""
    reason: str


def find_unstorable(value: Any, *, max_depth: int) -> Iterator[Unstorable]:
    """Find every part of a value that cannot be kept, in document order.

    Args:
        value: What a JSON or YAML parser returned.
        max_depth: Containers allowed inside each other; the root counts as one.
    """
    return _walk(value, (), max_depth)


def render_path(path: Path) -> str:
    """A path as people write it: ``tasks[3].grader.source``, ``metadata["odd key"]``."""
    return "".join(_step(part) for part in path).removeprefix(".")


def _step(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    if _PLAIN_KEY.fullmatch(part) and len(part) <= _SHOWN_KEY_LENGTH:
        return f".{part}"
    # ascii() keeps NUL and lone surrogates, which such a key may hold, out of messages.
    shown = part if len(part) <= _SHOWN_KEY_LENGTH else part[:_SHOWN_KEY_LENGTH] + "…"
    return f"[{shown!a}]" if not shown.isprintable() else f'["{shown}"]'


def _walk(value: Any, path: Path, depth_left: int) -> Iterator[Unstorable]:
    if isinstance(value, str):
        yield from _text_faults(value, path)
    elif value is None or isinstance(value, bool):
        return
    elif isinstance(value, int):
        if not _INT_MIN <= value <= _INT_MAX:
            yield Unstorable(path, "the integer does not fit in 64 bits; write it as a string")
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield Unstorable(path, f"{value} is not a number that JSON can hold; leave it out or use null")
    elif isinstance(value, Mapping | list | tuple):
        yield from _container_faults(cast("Mapping[Any, Any] | Sequence[Any]", value), path, depth_left)
    else:
        yield Unstorable(path, f"a {type(value).__name__} is not a JSON value; write it as a string, in quotes")


def _container_faults(
    container: Mapping[Any, Any] | Sequence[Any], path: Path, depth_left: int
) -> Iterator[Unstorable]:
    if depth_left <= 0:
        yield Unstorable(path, "nested too deeply; flatten the value or keep it as a JSON string")
        return
    if not isinstance(container, Mapping):
        for index, item in enumerate(container):
            yield from _walk(item, (*path, index), depth_left - 1)
        return
    for key, item in container.items():
        if isinstance(key, str):
            yield from _text_faults(key, (*path, key), what="the key")
            yield from _walk(item, (*path, key), depth_left - 1)
        else:
            yield Unstorable((*path, str(key)), f"the key is a {type(key).__name__}; keys must be strings, in quotes")


def _text_faults(text: str, path: Path, *, what: str = "the text") -> Iterator[Unstorable]:
    if "\x00" in text:
        yield Unstorable(path, f"{what} holds a NUL character; remove it")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            yield Unstorable(path, f"{what} holds half of a surrogate pair; write the whole character")
