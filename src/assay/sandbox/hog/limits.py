"""The bounds of a program, before and while it runs."""

from __future__ import annotations

from dataclasses import dataclass

MAX_SOURCE_BYTES = 64 * 1024
MAX_NESTING = 100
"""Levels of parentheses, blocks and prefix operators; keeps parser and compiler inside Python's own stack."""
MAX_CALL_DEPTH = 1000
MAX_ARGUMENTS = 300
MAX_VALUE_NESTING = 200
"""Levels of a value that is printed, compared, copied or encoded."""
MAX_INTEGER_BITS = 14_000
"""Larger integers could not be printed: Python refuses to convert more than 4,300 digits."""
MAX_PATTERN_CHARACTERS = 1000
CLOCK_STEPS = 128
"""The clock is read once in so many steps, and at each call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HogLimits:
    """What one run may use up."""

    seconds: float = 10.0
    """Wall-clock time."""
    memory_bytes: int = 64 * 1024 * 1024
    """By the cost model: 8 for each value, 1 for each character, containers with what is in them."""
    steps: int = 50_000_000
    """Instructions, and units of work inside library functions. A machine of today does fewer in 10 s."""
    printed_characters: int = 100_000
    """What is printed beyond is dropped, and a last line says so."""


DEFAULT_LIMITS = HogLimits()
