"""Regular expressions that strangers write: RE2, whose time is linear in the text.

It has neither back-references nor look-around; patterns that use them are bad patterns. RE2 reads UTF-8, so texts are
encoded first; a lone surrogate, which UTF-8 cannot express, becomes ``?``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import re2

_re2: Any = re2  # The package has no types.
_MAX_PROGRAM_BYTES = 2 * 1024 * 1024


class BadPatternError(ValueError):
    """The text is no regular expression, or a too large one."""


class LinearPattern:
    """A compiled regular expression."""

    __slots__ = ("_compiled", "size")

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self.size: int = compiled.programsize
        """Instructions; a search takes at most as many steps for each character."""

    def search(self, text: str) -> list[str | None] | None:
        """The first match anywhere: all of it, then its groups; ``None`` without one."""
        found = self._compiled.search(_encode(text))
        if found is None:
            return None
        parts = (found.group(0), *found.groups())
        return [None if part is None else part.decode("utf-8", "replace") for part in parts]


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "replace")


@lru_cache(maxsize=256)
def compile_pattern(pattern: str, *, ignore_case: bool = False) -> LinearPattern:
    """Compile a pattern.

    Raises:
        BadPatternError: With RE2's reason.
    """
    options = _re2.Options()
    options.case_sensitive = not ignore_case
    options.log_errors = False
    options.max_mem = _MAX_PROGRAM_BYTES
    try:
        return LinearPattern(_re2.compile(_encode(pattern), options))
    except _re2.error as exc:
        reason = exc.args[0]
        raise BadPatternError(reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)) from exc


def escape(text: str) -> str:
    """A pattern that matches the text itself."""
    return str(_re2.escape(text))
