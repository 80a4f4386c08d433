"""How a simulated model knows an answer: rules, the answer key, built-in skills.

A source of answers maps a prompt to an ``Answer`` or None. New skills are functions in ``SKILLS``.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, DivisionByZero, InvalidOperation
from pathlib import Path
from random import Random
from typing import Any

import orjson
import regex

from assay.gateway.errors import CatalogConfigError

_RULE_SECONDS = 0.05
"""Longest that one rule may search one prompt."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The right answer, and plausible wrong ones."""

    text: str
    wrong: tuple[str, ...] = ()

    def wrong_one(self, draw: Random) -> str:
        """A plausible other answer; a number near the right one when no other is known."""
        if self.wrong:
            return draw.choice(self.wrong)
        try:
            return str(Decimal(self.text) + draw.choice((-10, -2, -1, 1, 2, 10)))
        except InvalidOperation:
            return "I am not sure."


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a simulated model is asked."""

    text: str
    """The last user turn."""
    instructions: str


Skill = Callable[[Prompt], Answer | None]


@dataclass(frozen=True, slots=True)
class Rule:
    r"""A pattern searched in the prompt, and the answer template that it leads to (``\1``, ``\g<name>``)."""

    pattern: regex.Pattern[str]
    answer: str
    wrong: tuple[str, ...] = ()

    def apply(self, prompt: Prompt) -> Answer | None:
        """The answer, when the pattern is found."""
        try:
            match = self.pattern.search(prompt.text, timeout=_RULE_SECONDS)
        except TimeoutError:
            return None
        return None if match is None else Answer(match.expand(self.answer), self.wrong)


def rules_from_config(rules: Sequence[Mapping[str, Any]], path: str) -> tuple[Rule, ...]:
    """Rules from their configured form: ``{pattern, answer, wrong}``.

    Raises:
        CatalogConfigError: A pattern is no valid regular expression.
    """
    made: list[Rule] = []
    for index, rule in enumerate(rules):
        try:
            pattern = regex.compile(rule["pattern"])
        except regex.error as exc:
            where = f"{path}[{index}].pattern"
            raise CatalogConfigError(f"{where} is no valid regular expression: {exc}.", param=where) from exc
        made.append(Rule(pattern, rule["answer"], tuple(rule.get("wrong") or ())))
    return tuple(made)


class AnswerKey:
    """Right answers by prompt.

    A prompt is found as a whole or, since templates wrap the rows of a dataset, by one of its lines, the last first.
    Entries of one group lend each other their answers as wrong ones.
    """

    def __init__(self) -> None:
        self._entries: dict[bytes, tuple[str, tuple[str, ...], str]] = {}
        self._groups: dict[str, dict[str, None]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, prompt: str, answer: str, *, wrong: Iterable[str] = (), group: str = "") -> None:
        """Note the answer to a prompt, or to a line of it."""
        self._entries[_digest(prompt)] = (answer, tuple(wrong), group)
        self._groups.setdefault(group, {})[answer] = None

    def load(self, path: Path) -> None:
        """Add the lines of a JSONL file: ``{"prompt", "answer", "wrong"?: […], "group"?}``.

        Raises:
            CatalogConfigError: The file is missing, or a line is wrong; the message has its number.
        """
        try:
            lines = path.read_bytes().splitlines()
        except OSError as exc:
            raise CatalogConfigError(f"Answer key {path}: {exc.strerror}.", param="simulator.answer_key") from exc
        for number, line in enumerate(lines, start=1):
            if line.strip():
                self._add_line(path, number, line)

    def _add_line(self, path: Path, number: int, line: bytes) -> None:
        try:
            row: dict[str, Any] = orjson.loads(line)
            prompt, answer = row["prompt"], row["answer"]
            wrong: list[Any] = row.get("wrong") or []
            group: Any = row.get("group") or ""
            if not all(isinstance(text, str) for text in (prompt, answer, group, *wrong)):
                raise TypeError("prompt, answer, wrong and group are texts")
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise CatalogConfigError(
                f'Answer key {path}, line {number}: want {{"prompt": …, "answer": …}}: {exc}.',
                param="simulator.answer_key",
            ) from exc
        self.add(prompt, answer, wrong=wrong, group=group)

    def apply(self, prompt: Prompt) -> Answer | None:
        """The answer to the prompt, when the key has it."""
        entries = self._entries
        if not entries:
            return None
        entry = entries.get(_digest(prompt.text))
        if entry is None:
            lines = reversed(prompt.text.splitlines())
            entry = next((found for line in lines if (found := self._find_line(line)) is not None), None)
        if entry is None:
            return None
        answer, wrong, group = entry
        return Answer(answer, wrong or tuple(other for other in self._groups[group] if other != answer))

    def _find_line(self, line: str) -> tuple[str, tuple[str, ...], str] | None:
        found = self._entries.get(_digest(line))
        if found is None and ":" in line:
            # "Question: …", "Text: …": the usual way in which templates introduce a column.
            found = self._entries.get(_digest(line.partition(":")[2]))
        return found


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.strip().encode()).digest()


def _divide(left: Decimal, right: Decimal) -> Decimal:
    return left / right


_OPERATIONS: dict[str, Callable[[Decimal, Decimal], Decimal]] = {
    "+": operator.add,
    "-": operator.sub,
    "−": operator.sub,
    "*": operator.mul,
    "×": operator.mul,
    "x": operator.mul,
    "/": _divide,
    "÷": _divide,
}
_SUM = regex.compile(r"(-?\d{1,12}(?:\.\d{1,9})?)\s*([-+*/×÷−x])\s*(-?\d{1,12}(?:\.\d{1,9})?)")


def arithmetic(prompt: Prompt) -> Answer | None:
    """Work out the last ``a <op> b`` in the prompt."""
    found: list[tuple[str, str, str]] = _SUM.findall(prompt.text)
    if not found:
        return None
    left, sign, right = found[-1]
    try:
        value = _OPERATIONS[sign](Decimal(left), Decimal(right))
    except (DivisionByZero, InvalidOperation):
        return None
    return Answer(format(value.normalize(), "f"))


_WORD = regex.compile(r"[\p{L}']+")
_GOOD = frozenset(
    _WORD.findall(
        "amazing awesome beautiful best brilliant charming delightful enjoy enjoyed excellent fantastic "
        "flawless friendly good great happy helpful love loved lovely outstanding perfect pleasant recommend "
        "superb terrific wonderful "
    )
)
_BAD = frozenset(
    _WORD.findall(
        "annoying awful bad boring broken cheap confusing dirty disappointed disappointing dreadful dull "
        "failed hate hated horrible late mediocre poor refund rude slow terrible tedious ugly unusable "
        "useless waste worst "
    )
)
_NEGATIONS = frozenset({"not", "no", "never", "hardly", "isn't", "wasn't", "don't", "didn't"})


def sentiment(prompt: Prompt) -> Answer | None:
    """Judge by word lists: positive, negative or, in a tie of words found, neutral."""
    words: list[str] = _WORD.findall(prompt.text.lower())
    score = found = 0
    for before, word in zip(["", *words], words, strict=False):
        value = (word in _GOOD) - (word in _BAD)
        found += abs(value)
        score += -value if before in _NEGATIONS else value
    if not found:
        return None
    labels = ("negative", "neutral", "positive")
    label = labels[(score > 0) - (score < 0) + 1]
    return Answer(label, tuple(other for other in labels if other != label))


def echo(prompt: Prompt) -> Answer | None:
    """Repeat the prompt."""
    return Answer(prompt.text)


SKILLS: Mapping[str, Skill] = {"arithmetic": arithmetic, "sentiment": sentiment, "echo": echo}


def constant(text: str) -> Skill:
    """A skill that always says the same."""
    answer = Answer(text)
    return lambda _: answer


def skill_named(name: str, path: str) -> Skill:
    """A built-in skill.

    Raises:
        CatalogConfigError: There is none of that name.
    """
    skill = SKILLS.get(name)
    if skill is None:
        known = ", ".join(sorted(SKILLS))
        raise CatalogConfigError(f"{path}: no skill is named {name!r}; there are {known}.", param=path)
    return skill
