r"""Finding the answer in a model's output.

A task states a rule (an ``ExtractionSpec``); :func:`build_extractor` checks and compiles it once, and ``extract`` runs
once per sample. None means that the rule found no answer, which is different from finding an empty one.

| rule | the answer is | none is found when |
|---|---|---|
| ``WholeOutput`` | the output as it stands | never |
| ``TakeFirst`` | the first ``lines`` lines, from the first that is not blank, stripped | all is blank |
| ``Pattern`` | a group of the first match (of the last one with ``last``) | no match, or the group took no part in it |
| ``LabelSet`` | the label that stands last in it, spelled as in the rule | no label stands in it as a whole word |
| ``LastNumber`` | the last number (see ``numbers``) | it holds no number |

**Labels.** Of several labels the one that *ends last* wins, and of those that end together the longest (``not toxic``
before ``toxic``): models reason first and conclude last, as for numbers. A label counts only as a whole word, that is,
when no letter, digit or underscore touches it. Characters of scripts that put no spaces between words (Han, Kana, Thai,
…) touch nothing, so ``B`` is found in ``答案是B``. Any run of white space equals one space. A one-letter label such as
``A`` without ``case_sensitive`` is also found in the article "a".

**Patterns** are Python's, run by the ``regex`` package because it can stop: a match has ``MATCH_TIMEOUT_SECONDS``. That
covers time only while matching. Building needs a bound of its own, since the engine writes out counted repeats and
nested ones multiply: ``((a{1000}){1000}){1000}`` would fill any memory. See ``MAX_PATTERN_WEIGHT``.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import regex

from assay.scoring.errors import ExtractionSpecError, ExtractionTimeoutError
from assay.scoring.numbers import find_last_number

MATCH_TIMEOUT_SECONDS: Final = 0.1
MAX_PATTERN_CHARS: Final = 1_000
MAX_PATTERN_WEIGHT: Final = 500_000
"""Bound on the pattern's length times the product of its minimum repeat counts. Building then takes about 0.2 s and
200 MB at worst, and next to nothing for patterns that people write."""
MAX_LABELS: Final = 1_000
MAX_LABEL_CHARS: Final = 200
MAX_LINES: Final = 10_000

_FLAGS: Final = {"i": regex.IGNORECASE, "m": regex.MULTILINE, "s": regex.DOTALL, "x": regex.VERBOSE}
_MINIMUM_COUNT: Final = re.compile(r"\{([0-9]+)")
_INLINE_VERBOSE: Final = re.compile(r"\(\?[a-zA-Z0-9]*x")
_SPACED_COUNT: Final = re.compile(r"\{[0-9,]*[\s#]")
_UNSPACED_SCRIPTS: Final = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORD: Final = rf"[\w--[{_UNSPACED_SCRIPTS}]]"


@dataclass(frozen=True, slots=True)
class WholeOutput:
    """Rule ``none``."""


@dataclass(frozen=True, slots=True)
class TakeFirst:
    """Rule ``take_first``."""

    lines: int = 1


@dataclass(frozen=True, slots=True)
class Pattern:
    """Rules ``regex`` and, with ``last``, ``regex_last``."""

    pattern: str
    group: int | str | None = None
    """Number or name. None means group 1 if the pattern has groups, else the whole match."""
    flags: str = ""
    """Some of ``imsx``."""
    last: bool = False


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Rule ``label_set``."""

    labels: tuple[str, ...]
    case_sensitive: bool = False


@dataclass(frozen=True, slots=True)
class LastNumber:
    """Rule ``number``."""


ExtractionSpec = WholeOutput | TakeFirst | Pattern | LabelSet | LastNumber


class Extractor(Protocol):
    """A compiled rule."""

    def extract(self, text: str) -> str | None:
        """The answer in one model output; None when the rule finds none.

        Raises:
            ExtractionTimeoutError: A pattern took longer than ``MATCH_TIMEOUT_SECONDS`` on this text.
        """
        ...


def build_extractor(spec: ExtractionSpec) -> Extractor:
    """Check and compile a rule.

    Raises:
        ExtractionSpecError: The rule is not valid; ``param`` names its faulty field.
    """
    match spec:
        case WholeOutput():
            return _WholeOutputExtractor()
        case TakeFirst(lines=lines):
            _require(1 <= lines <= MAX_LINES, f"lines is {lines}; it must be from 1 to {MAX_LINES}.", "lines")
            return _TakeFirstExtractor(lines)
        case Pattern():
            compiled = _compile_pattern(spec)
            return _PatternExtractor(compiled, _resolve_group(spec.group, compiled), spec.last)
        case LabelSet():
            return _build_label_extractor(spec)
        case LastNumber():
            return _LastNumberExtractor()


@dataclass(frozen=True, slots=True)
class _WholeOutputExtractor:
    def extract(self, text: str) -> str | None:
        return text


@dataclass(frozen=True, slots=True)
class _TakeFirstExtractor:
    lines: int

    def extract(self, text: str) -> str | None:
        kept = text.strip().replace("\r\n", "\n").split("\n", self.lines)[: self.lines]
        return "\n".join(kept).rstrip() or None


@dataclass(frozen=True, slots=True)
class _LastNumberExtractor:
    def extract(self, text: str) -> str | None:
        return find_last_number(text)


@dataclass(frozen=True, slots=True)
class _PatternExtractor:
    compiled: regex.Pattern[str]
    group: int | str
    last: bool

    def extract(self, text: str) -> str | None:
        try:
            match = self._find_last(text) if self.last else self.compiled.search(text, timeout=MATCH_TIMEOUT_SECONDS)
        except TimeoutError as exc:
            raise ExtractionTimeoutError(
                f"The pattern did not finish within {MATCH_TIMEOUT_SECONDS} s on an output of {len(text)} characters; "
                "make it simpler (nested repeats such as '(a+)+' are the usual cause).",
                param="pattern",
                data={"pattern": self.compiled.pattern},
            ) from exc
        return None if match is None else match[self.group]

    def _find_last(self, text: str) -> regex.Match[str] | None:
        # The engine's limit covers the whole iteration, not each match.
        matches = deque(self.compiled.finditer(text, timeout=MATCH_TIMEOUT_SECONDS), maxlen=1)
        return matches[0] if matches else None


@dataclass(frozen=True, slots=True)
class _LabelExtractor:
    compiled: regex.Pattern[str]
    spelled: dict[str, str]
    case_sensitive: bool

    def extract(self, text: str) -> str | None:
        match = self.compiled.search(_fold(text, case_sensitive=self.case_sensitive))
        return None if match is None else self.spelled[match[0]]


def _fold(text: str, *, case_sensitive: bool) -> str:
    return " ".join((text if case_sensitive else text.casefold()).split())


def _build_label_extractor(spec: LabelSet) -> _LabelExtractor:
    count = len(spec.labels)
    _require(1 <= count <= MAX_LABELS, f"There are {count} labels; 1 to {MAX_LABELS} are allowed.", "labels")
    spelled: dict[str, str] = {}
    for position, label in enumerate(spec.labels):
        _require(
            len(label) <= MAX_LABEL_CHARS,
            f"The label has {len(label)} characters; at most {MAX_LABEL_CHARS} are allowed.",
            f"labels[{position}]",
        )
        folded = _fold(label, case_sensitive=spec.case_sensitive)
        _require(folded != "", "The label is blank.", f"labels[{position}]")
        _require(
            folded not in spelled,
            f"'{label}' cannot be told from '{spelled.get(folded)}'.",
            f"labels[{position}]",
        )
        spelled[folded] = label
    return _LabelExtractor(_compile_labels(spelled), spelled, spec.case_sensitive)


def _compile_labels(labels: Iterable[str]) -> regex.Pattern[str]:
    longest_first = sorted(labels, key=len, reverse=True)
    alternatives = "|".join(regex.escape(label, special_only=True) for label in longest_first)
    # (?r) searches from the end, so the first hit is the label that ends last.
    return regex.compile(rf"(?r)(?<!{_WORD})(?:{alternatives})(?!{_WORD})", regex.VERSION1)


def _compile_pattern(spec: Pattern) -> regex.Pattern[str]:
    flags = _read_flags(spec.flags)
    _refuse_heavy(spec.pattern, verbose="x" in spec.flags)
    try:
        return regex.compile(spec.pattern, flags)
    # The engine answers faults in a pattern with any of these, ValueError for flags that exclude each other among them.
    except (regex.error, ValueError, OverflowError, RecursionError, MemoryError, KeyError, IndexError) as exc:
        reason = "it is nested too deeply" if isinstance(exc, RecursionError) else str(exc) or type(exc).__name__
        raise ExtractionSpecError(f"The pattern is not valid: {reason}.", param="pattern") from exc


def _read_flags(flags: str) -> int:
    combined: int = regex.VERSION0
    for flag in flags:
        _require(flag in _FLAGS, f"Flag '{flag}' is not known; use some of 'i', 'm', 's', 'x'.", "flags")
        combined |= _FLAGS[flag]
    return combined


def _refuse_heavy(pattern: str, *, verbose: bool) -> None:
    _require(
        len(pattern) <= MAX_PATTERN_CHARS,
        f"The pattern has {len(pattern)} characters; at most {MAX_PATTERN_CHARS} are allowed.",
        "pattern",
    )
    if verbose or _INLINE_VERBOSE.search(pattern):
        # Verbose mode reads "{1 000}" as a count of 1000, which the scan below would not see.
        _require(not _SPACED_COUNT.search(pattern), "Write repeat counts without spaces or comments.", "pattern")
    # Counts that stand side by side do not multiply, so this overestimates; it cannot be fooled by nesting.
    weight = len(pattern) * math.prod(max(int(count), 1) for count in _MINIMUM_COUNT.findall(pattern))
    _require(
        weight <= MAX_PATTERN_WEIGHT,
        "The pattern's repeat counts are too large together; lower them, or use '{0,n}', '*' or '+'.",
        "pattern",
    )


def _resolve_group(group: int | str | None, compiled: regex.Pattern[str]) -> int | str:
    if group is None:
        return 1 if compiled.groups else 0
    if isinstance(group, str):
        names = ", ".join(compiled.groupindex) or "none"
        _require(group in compiled.groupindex, f"The pattern has no group '{group}'; its names: {names}.", "group")
        return group
    _require(
        not isinstance(group, bool) and 0 <= group <= compiled.groups,
        f"The pattern has no group {group}; it has {compiled.groups}.",
        "group",
    )
    return group


def _require(condition: Any, message: str, param: str) -> None:
    if not condition:
        raise ExtractionSpecError(message, param=param)
