"""Regular expressions and ``like``, paid for in advance."""

from __future__ import annotations

from functools import lru_cache

from assay.kit.regex import BadPatternError, LinearPattern, compile_pattern, escape
from assay.sandbox.hog.budget import Budget
from assay.sandbox.hog.errors import HogFailure
from assay.sandbox.hog.limits import MAX_PATTERN_CHARACTERS
from assay.sandbox.hog.values import Value, type_name

# Characters times instructions of the pattern. RE2's slow path does about 10^8 of these in a second.
_MAX_SEARCH_WORK = 500_000_000
_WORK_PER_STEP = 2_000


def search(budget: Budget, text: Value, pattern: Value, *, ignore_case: bool = False) -> list[str | None] | None:
    """The first match anywhere in a text: the whole match, then its groups; ``None`` without one.

    Raises:
        HogFailure: An operand is no string, the pattern is bad or long, or the search would take too long.
    """
    if not isinstance(text, str) or not isinstance(pattern, str):
        types = f"{type_name(text)} and {type_name(pattern)}"
        raise HogFailure(f"A regular expression needs two strings, not {types}")
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        raise HogFailure(f"The regular expression is longer than {MAX_PATTERN_CHARACTERS} characters")
    return _search(budget, _compile(pattern, ignore_case=ignore_case), text)


def _compile(pattern: str, *, ignore_case: bool) -> LinearPattern:
    try:
        return compile_pattern(pattern, ignore_case=ignore_case)
    except BadPatternError as exc:
        raise HogFailure(f"Invalid regular expression: {exc}") from exc


def _search(budget: Budget, compiled: LinearPattern, text: str) -> list[str | None] | None:
    work = len(text) * compiled.size
    if work > _MAX_SEARCH_WORK:
        raise HogFailure("The regular expression is too costly for a text of this length")
    budget.charge_text(len(text))
    budget.step(1 + work // _WORK_PER_STEP)
    return compiled.search(text)


def like(budget: Budget, text: Value, pattern: Value, *, ignore_case: bool) -> bool:
    """``like``: ``%`` is any run, ``_`` one character, none a line break; found anywhere in the text.

    Raises:
        HogFailure: An operand is neither null nor a string.
    """
    if text is None or pattern is None:
        return False
    if not isinstance(text, str) or not isinstance(pattern, str):
        raise HogFailure(f"`like` needs two strings, not {type_name(text)} and {type_name(pattern)}")
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        raise HogFailure(f"The pattern is longer than {MAX_PATTERN_CHARACTERS} characters")
    return _search(budget, _compile(_like_to_regex(pattern), ignore_case=ignore_case), text) is not None


@lru_cache(maxsize=256)
def _like_to_regex(pattern: str) -> str:
    parts = {"%": ".*", "_": "."}
    return "".join(parts.get(character) or escape(character) for character in pattern)
