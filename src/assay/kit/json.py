"""JSON as the database and the wire want it."""

from __future__ import annotations

from typing import Any

import orjson


def dumps(value: Any) -> str:
    """Compact JSON text. NaN and infinity become ``null``; callers refuse them earlier where they matter."""
    return orjson.dumps(value).decode()


def canonical_bytes(value: Any) -> bytes:
    """JSON with sorted keys and no white space: equal values give equal bytes, so they can be hashed."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def loads(text: str | bytes) -> Any:
    """Parse strict JSON (no NaN, no trailing commas).

    Raises:
        ValueError: With line and column of the fault.
    """
    return orjson.loads(text)
