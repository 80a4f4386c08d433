"""From what a model wrote to a judgement.

| the reply | comes to |
|---|---|
| one JSON object of the asked form | its judgement |
| the same in a fence, after a `<think>` part, or amid sentences | the same |
| several such objects that say the same | the last one's judgement |
| several that differ, or a key twice, or fields that contradict each other | `CONTRADICTORY` |
| blank | `EMPTY` |
| cut off by the output limit, whatever it holds | `OUTPUT_LIMIT` |
| withheld by the provider | `FILTERED` |
| the beginning of an object | `TRUNCATED` |
| more than 200,000 characters | `TOO_LONG` |
| words, or objects that lack the deciding field, or hundreds of braces | `NO_OBJECT` |
| an object with a value that the question does not allow | `WRONG_FORM` |
| a score out of bounds | `OUT_OF_BOUNDS` |

Words are never searched for a verdict: "it would be wrong to say that this passes" contains "passes". A hostile text
that makes the judge quote an object is a contradiction as soon as the judge also gives its own, and a second verdict
inside of ``reasoning`` is text.

Small liberties are taken with the form, and no others: upper and lower case, spaces and hyphens in words that have a
fixed set; ``n/a`` and ``na`` for not applicable; ``"true"`` and ``"false"`` for booleans; a number in quotes; a single
category that is not in an array; line breaks in strings; fields that were not asked for; no reasoning.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final, cast

from assay.scoring.judge.judgements import (
    FailureKind,
    ItemOutcome,
    Judgement,
    Preference,
    Reading,
    Unreadable,
)
from assay.scoring.judge.objects import (
    MAX_REPLY_CHARACTERS,
    RepeatedKeyError,
    TooManyBracesError,
    UnfinishedObjectError,
    find_objects,
)
from assay.scoring.judge.prompts import Order
from assay.scoring.judge.questions import (
    BooleanScale,
    CategoricalScale,
    Checklist,
    NumericScale,
    Pairwise,
    Question,
    Rubric,
    fold_word,
)

MAX_REASONING_CHARACTERS: Final = 20_000
_LIMIT_WORDS: Final = frozenset({"length", "max_tokens", "max_output_tokens", "model_context_window_exceeded"})
_FILTER_WORDS: Final = frozenset({"content_filter", "refusal", "safety"})
_NUMBER = re.compile(r"\s*[+-]?\d{1,15}(?:\.\d{1,30})?\s*", re.ASCII)


class _NoVerdictError(Exception):
    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.unreadable = Unreadable(kind, message)


def read_reply(
    question: Question, text: str, *, finish_reason: str | None = None, order: Order = Order.CANDIDATE_FIRST
) -> Reading:
    """Read a judge's reply. Never raises: what cannot be read is `Unreadable`.

    Args:
        question: What was asked.
        text: The reply, without reasoning that the provider keeps apart.
        finish_reason: The provider's word for why the model stopped; None when it gave none.
        order: Of a pair: which answer the judge saw first.
    """
    try:
        return _read(question, text, finish_reason, order)
    except _NoVerdictError as error:
        return error.unreadable


def _read(question: Question, text: str, finish_reason: str | None, order: Order) -> Judgement:
    _check_ending(finish_reason)
    if not text.strip():
        raise _NoVerdictError(FailureKind.EMPTY, "The judge's reply is blank.")
    if len(text) > MAX_REPLY_CHARACTERS:
        raise _NoVerdictError(
            FailureKind.TOO_LONG,
            f"The judge's reply has {len(text)} characters; at most {MAX_REPLY_CHARACTERS} are read.",
        )
    deciding = _deciding_fields(question)
    candidates = [value for value in _objects(text) if not deciding.isdisjoint(value)]
    if not candidates:
        fields = " or ".join(f"`{name}`" for name in sorted(deciding))
        raise _NoVerdictError(FailureKind.NO_OBJECT, f"The judge's reply holds no JSON object with {fields}.")
    judgements = [_judgement(question, value, order) for value in candidates]
    if len({judgement.verdict for judgement in judgements}) > 1:
        raise _NoVerdictError(
            FailureKind.CONTRADICTORY, f"The judge's reply holds {len(judgements)} verdicts that differ."
        )
    return judgements[-1]


def _check_ending(finish_reason: str | None) -> None:
    word = (finish_reason or "").lower()
    if word in _LIMIT_WORDS:
        raise _NoVerdictError(
            FailureKind.OUTPUT_LIMIT, "The judge stopped at its output limit; raise `max_output_tokens`."
        )
    if word in _FILTER_WORDS:
        raise _NoVerdictError(FailureKind.FILTERED, f"The judge's provider withheld the reply ({word}).")


def _objects(text: str) -> list[dict[str, Any]]:
    try:
        return find_objects(text)
    except RepeatedKeyError as error:
        raise _NoVerdictError(
            FailureKind.CONTRADICTORY, "The judge's reply holds a JSON object that has a key twice."
        ) from error
    except UnfinishedObjectError as error:
        raise _NoVerdictError(FailureKind.TRUNCATED, "The judge's reply ends inside of a JSON object.") from error
    except TooManyBracesError as error:
        raise _NoVerdictError(
            FailureKind.NO_OBJECT, "The judge's reply is so full of braces that no verdict is looked for."
        ) from error


def _deciding_fields(question: Question) -> frozenset[str]:
    match question:
        case Checklist():
            return frozenset({"items"})
        case Pairwise():
            return frozenset({"preference"})
        case Rubric(scale=NumericScale()):
            return frozenset({"score"})
        case Rubric(scale=CategoricalScale()):
            return frozenset({"categories"})
        case _:
            return frozenset({"verdict", "outcome", "applicable"} if question.allows_na else {"verdict"})


def _judgement(question: Question, value: Mapping[str, Any], order: Order) -> Judgement:
    reasoning = _reasoning(value)
    match question:
        case Rubric():
            return _rubric_judgement(question, value, reasoning)
        case Checklist():
            return _checklist_judgement(question, value, reasoning)
        case Pairwise():
            return Judgement(reasoning=reasoning, preference=_preference(question, value["preference"], order))


def _reasoning(value: Mapping[str, Any]) -> str:
    """What the judge gave as its reasons; text of another form is no reason to lose a verdict."""
    reasoning = value.get("reasoning")
    return reasoning[:MAX_REASONING_CHARACTERS] if isinstance(reasoning, str) else ""


def _rubric_judgement(rubric: Rubric, value: Mapping[str, Any], reasoning: str) -> Judgement:
    not_applicable = Judgement(reasoning=reasoning, applicable=False)
    match rubric.scale:
        case NumericScale() as scale:
            score = value["score"]
            if rubric.allows_na and (score is None or _is_not_applicable(score)):
                return not_applicable
            return Judgement(reasoning=reasoning, score=_score(scale, score))
        case CategoricalScale() as scale:
            named = value["categories"]
            if rubric.allows_na and (named in (None, []) or _is_not_applicable(named)):
                return not_applicable
            return Judgement(reasoning=reasoning, categories=_categories(scale, named))
        case BooleanScale():
            passed = _outcome(value) if rubric.allows_na else _boolean(value["verdict"], "verdict")
            return not_applicable if passed is None else Judgement(reasoning=reasoning, passed=passed)


def _outcome(value: Mapping[str, Any]) -> bool | None:
    """Pass, fail or not applicable, in either of the forms that P§3.4 names; all fields given must agree."""
    said: set[bool | None] = set()
    if "outcome" in value:
        said.add(_OUTCOMES[_word(value["outcome"], _OUTCOMES, "outcome")])
    if value.get("verdict") is not None:
        said.add(None if _is_not_applicable(value["verdict"]) else _boolean(value["verdict"], "verdict"))
    if "applicable" in value and not _boolean(value["applicable"], "applicable"):
        said.add(None)
    if len(said) > 1 or (said == {None} and value.get("applicable") is True):
        raise _NoVerdictError(FailureKind.CONTRADICTORY, "The fields of the judge's verdict contradict each other.")
    if not said:
        raise _wrong("verdict", value.get("verdict"), "true or false")
    return said.pop()


_OUTCOMES: Final[Mapping[str, bool | None]] = {"pass": True, "fail": False, "not_applicable": None}
_PREFERENCES: Final = ("first", "second", "tie")


def _boolean(value: Any, field: str) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise _wrong(field, value, "true or false")


def _score(scale: NumericScale, value: Any) -> float:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise _wrong("score", value, "a finite number")
    low = -math.inf if scale.minimum is None else scale.minimum
    high = math.inf if scale.maximum is None else scale.maximum
    if not low <= value <= high:
        raise _NoVerdictError(
            FailureKind.OUT_OF_BOUNDS, f"The judge's score {value:g} lies outside of {low:g} to {high:g}."
        )
    return float(value)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _categories(scale: CategoricalScale, value: Any) -> tuple[str, ...]:
    named = [value] if isinstance(value, str) else value
    keys = {fold_word(option.key): option.key for option in scale.options}
    labels = {fold_word(option.label): option.key for option in scale.options if option.label}
    if not isinstance(named, list):
        raise _wrong("categories", cast("object", value), "an array of keys")
    chosen: set[str] = set()
    for name in cast("list[object]", named):
        key = (keys.get(fold_word(name)) or labels.get(fold_word(name))) if isinstance(name, str) else None
        if key is None:
            raise _wrong("categories", name, "one of the options' keys")
        chosen.add(key)
    if not chosen or (len(chosen) > 1 and not scale.multiple):
        wanted = "at least one" if scale.multiple else "exactly one"
        raise _NoVerdictError(
            FailureKind.WRONG_FORM, f"The judge named {len(chosen)} categories; {wanted} is asked for."
        )
    return tuple(option.key for option in scale.options if option.key in chosen)


def _checklist_judgement(checklist: Checklist, value: Mapping[str, Any], reasoning: str) -> Judgement:
    answers = value["items"]
    if not isinstance(answers, Mapping):
        raise _wrong("items", answers, "an object with one entry for each item")
    given = {fold_word(name): entry for name, entry in cast("Mapping[str, Any]", answers).items()}
    outcomes: dict[str, ItemOutcome] = {}
    for item in checklist.items:
        if fold_word(item.id) not in given:
            raise _NoVerdictError(FailureKind.WRONG_FORM, f"The judge did not decide the item '{item.id}'.")
        outcomes[item.id] = _item_outcome(checklist, item.id, given.pop(fold_word(item.id)))
    if given:
        raise _NoVerdictError(FailureKind.WRONG_FORM, "The judge decided an item that the checklist does not have.")
    if set(outcomes.values()) == {ItemOutcome.NOT_APPLICABLE}:
        return Judgement(reasoning=reasoning, applicable=False)
    return Judgement(reasoning=reasoning, items=outcomes)


def _item_outcome(checklist: Checklist, item_id: str, entry: Any) -> ItemOutcome:
    said: Any = entry
    if isinstance(entry, Mapping):
        said = cast("Mapping[str, Any]", entry).get("outcome")
    if isinstance(said, bool):
        return ItemOutcome.MET if said else ItemOutcome.NOT_MET
    outcome = ItemOutcome(_word(said, tuple(ItemOutcome), f"items.{item_id}.outcome"))
    if outcome is ItemOutcome.NOT_APPLICABLE and not checklist.allows_na:
        raise _wrong(f"items.{item_id}.outcome", said, "met or not_met")
    return outcome


def _preference(pairwise: Pairwise, value: Any, order: Order) -> Preference:
    word = _word(value, _PREFERENCES, "preference")
    if word == "tie":
        if not pairwise.allows_tie:
            raise _wrong("preference", value, "first or second")
        return Preference.TIE
    first_is_candidate = order is Order.CANDIDATE_FIRST
    return Preference.CANDIDATE if (word == "first") is first_is_candidate else Preference.BASELINE


def _word(value: Any, words: Mapping[str, Any] | tuple[str, ...], field: str) -> str:
    """One of a fixed set of words, in whatever case and with whatever joints."""
    if isinstance(value, str):
        word = "not_applicable" if _is_not_applicable(value) else fold_word(value)
        if word in words:
            return word
    raise _wrong(field, value, ", ".join(words))


def _is_not_applicable(value: Any) -> bool:
    return isinstance(value, str) and fold_word(value) in ("not_applicable", "n/a", "na")


def _wrong(field: str, value: object, wanted: str) -> _NoVerdictError:
    shown = f"'{value[:60]}'" if isinstance(value, str) else type(value).__name__
    return _NoVerdictError(FailureKind.WRONG_FORM, f"The judge's `{field}` is {shown}; it must be {wanted}.")
