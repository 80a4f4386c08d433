"""What changed between two texts: words within a line of prose, lines of a document."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import NamedTuple

MAX_LENGTH = 20_000
"""Longer texts are shown whole: comparing takes time that grows with the square of their length."""
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
CONTEXT_LINES = 3


class Piece(NamedTuple):
    """A part of a text: the ``same`` in both, only in the ``old`` or only in the ``new``."""

    kind: str
    text: str


class Line(NamedTuple):
    """A line of a document; ``skipped`` stands for lines that did not change."""

    kind: str
    text: str


def diff_words(old: str, new: str) -> list[Piece]:
    """The pieces of both texts in order."""
    if old == new:
        return [Piece("same", old)]
    if len(old) + len(new) > MAX_LENGTH:
        return [Piece("old", old), Piece("new", new)]
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    pieces: list[Piece] = []
    for tag, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            pieces.append(Piece("same", "".join(before[a:b])))
            continue
        pieces += [Piece("old", "".join(before[a:b]))] if b > a else []
        pieces += [Piece("new", "".join(after[c:d]))] if d > c else []
    return pieces


def diff_lines(old: str, new: str) -> list[Line]:
    """The lines of both documents in order, unchanged stretches cut short."""
    before, after = old.splitlines(), new.splitlines()
    lines: list[Line] = []
    opcodes = SequenceMatcher(None, before, after, autojunk=len(before) + len(after) > 4000).get_opcodes()
    for number, (tag, a, b, c, d) in enumerate(opcodes):
        if tag == "equal":
            lines += _shorten(before[a:b], is_first=number == 0, is_last=number == len(opcodes) - 1)
            continue
        lines += [Line("del", line) for line in before[a:b]] + [Line("add", line) for line in after[c:d]]
    return lines


def _shorten(same: list[str], *, is_first: bool, is_last: bool) -> list[Line]:
    head = 0 if is_first else CONTEXT_LINES
    tail = 0 if is_last else CONTEXT_LINES
    if len(same) <= head + tail + 1:
        return [Line("same", line) for line in same]
    hidden = len(same) - head - tail
    middle = Line("skipped", f"{hidden:,} lines that did not change")
    rest = same[len(same) - tail :] if tail else []
    return [*(Line("same", line) for line in same[:head]), middle, *(Line("same", line) for line in rest)]
