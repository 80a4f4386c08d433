"""Candidates that carry answers along: a prompt that knows the cases scores well on them, and on nothing else."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MIN_ANSWER_CHARACTERS: Final = 6
MIN_INPUT_WORDS: Final = 8
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class CopiedAnswer:
    """Something of a case that a candidate holds and its ancestor does not."""

    case: int
    what: str
    """``answer`` or ``input``."""


def find_copied_answers(
    candidate: str, ancestor: str, *, inputs: Sequence[str], answers: Sequence[str | None]
) -> list[CopiedAnswer]:
    """What of the cases a candidate has copied.

    An answer counts when it has at least 6 characters, no other case has the same (what several cases share is a
    label, which a prompt may name), and it stands in the candidate as whole words but not in the ancestor. An input
    counts when 8 of its words in a row do so.

    Args:
        candidate: The new prompt.
        ancestor: The prompt that the search began with.
        inputs: Of all cases, whatever part they are in.
        answers: What is expected; None where nothing is.
    """
    text, before = _words(candidate), _words(ancestor)
    folded = [None if answer is None else _words(answer) for answer in answers]
    common = Counter(answer for answer in folded if answer is not None)
    found: list[CopiedAnswer] = []
    for case, (given, answer) in enumerate(zip(inputs, folded, strict=True)):
        if answer is not None and _is_telling(answer, common[answer]) and _is_new(answer, text, before):
            found.append(CopiedAnswer(case, "answer"))
        elif any(_is_new(run, text, before) for run in _runs(_words(given))):
            found.append(CopiedAnswer(case, "input"))
    return found


def _is_telling(answer: str, cases: int) -> bool:
    return cases == 1 and len(answer.strip()) >= MIN_ANSWER_CHARACTERS


def _is_new(piece: str, text: str, before: str) -> bool:
    return piece in text and piece not in before


def _words(text: str) -> str:
    """The words of a text, each between single spaces."""
    return f" {' '.join(_WORD.findall(text.casefold()))} "


def _runs(words: str) -> list[str]:
    parts = words.split()
    return [
        f" {' '.join(parts[start : start + MIN_INPUT_WORDS])} " for start in range(len(parts) - MIN_INPUT_WORDS + 1)
    ]
