"""Reading a choice, whichever way it is written: by text, letter or position.

Data sets store the right choice in any of these forms, and models answer in any of them. The order of reading is fixed
and the same for both, so that they agree:

1. the choice's text, exactly, then as a normalized label when only one choice has it;
2. a letter, ``A`` for the first choice (``b``, ``(B)``, ``B.``), or a letter with text after it (``B) Paris``);
3. digits, as a position counted from 0.

Text comes first, so choices that are themselves letters or digits mean what they say. Choices with the same text are
one choice.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from assay.scoring.normalization import normalize_label

_FIRST_LETTER: Final = ord("a")
_LETTERS: Final = 26
_LETTER_AND_TEXT: Final = re.compile(r"\s*[*_(\[]*([A-Za-z])[*_]*[).:\]][*_]*\s+\S")
_MAX_POSITION_DIGITS: Final = 4


@dataclass(frozen=True, slots=True)
class ChoiceIndex:
    """The choices of a task or row, prepared for look-up; made by :func:`index_choices`."""

    choices: tuple[str, ...]
    canonical: tuple[int, ...]
    """For each choice, the position of the first one with the same text."""
    by_text: dict[str, int]
    by_label: dict[str, int]

    def find(self, text: str) -> int | None:
        """Position of the choice that ``text`` means, or None when it means none."""
        stripped = text.strip()
        position = self.by_text.get(stripped)
        if position is None:
            label = normalize_label(stripped)
            position = self.by_label.get(label)
            if position is None:
                position = self._find_by_letter_or_position(label, stripped)
        return position

    def _find_by_letter_or_position(self, label: str, stripped: str) -> int | None:
        if label.isascii() and label.isdigit() and len(label) <= _MAX_POSITION_DIGITS:
            return self._at(int(label))
        if len(label) != 1:
            match = _LETTER_AND_TEXT.match(stripped)
            if match is None:
                return None
            label = match[1].lower()
        offset = ord(label) - _FIRST_LETTER
        return self._at(offset) if 0 <= offset < _LETTERS else None

    def _at(self, position: int) -> int | None:
        return self.canonical[position] if position < len(self.canonical) else None


@lru_cache(maxsize=1024)
def _index(choices: tuple[str, ...]) -> ChoiceIndex:
    by_text: dict[str, int] = {}
    canonical = tuple(by_text.setdefault(choice.strip(), position) for position, choice in enumerate(choices))
    by_label: dict[str, int] = {}
    ambiguous: set[str] = set()
    for text, position in by_text.items():
        label = normalize_label(text)
        if by_label.setdefault(label, position) != position:
            ambiguous.add(label)
    return ChoiceIndex(
        choices=choices,
        canonical=canonical,
        by_text=by_text,
        by_label={label: position for label, position in by_label.items() if label not in ambiguous},
    )


def index_choices(choices: Sequence[str]) -> ChoiceIndex:
    """Prepare choices for look-up. Indexes of recent choice lists are kept, so calling this per sample is cheap."""
    return _index(choices if isinstance(choices, tuple) else tuple(choices))
