"""The form of a judge's reply: JSON Schema for providers that take it, and the same in words for all.

Only what every provider's structured output knows is used: objects whose properties are all required, arrays, enums.
Bounds of numbers are said in words and checked when the reply is read. Reasons come before verdicts, so that a model
that thinks by writing has thought.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from assay.scoring.judge.questions import (
    BooleanScale,
    CategoricalScale,
    Checklist,
    NumericScale,
    Pairwise,
    Question,
    Rubric,
)

OUTCOMES = ("pass", "fail", "not_applicable")
ITEM_OUTCOMES = ("met", "not_met", "not_applicable")
PREFERENCES = ("first", "second", "tie")
_TEXT = {"type": "string"}


def reply_schema(question: Question) -> dict[str, Any]:
    """JSON Schema of the reply."""
    match question:
        case Rubric():
            return _object({"reasoning": _TEXT, **_rubric_fields(question)})
        case Checklist():
            item = _object({"reasoning": _TEXT, "outcome": _enum(_item_outcomes(question))})
            return _object({"reasoning": _TEXT, "items": _object({one.id: item for one in question.items})})
        case Pairwise():
            return _object({"reasoning": _TEXT, "preference": _enum(_preferences(question))})


def response_format(question: Question) -> dict[str, Any]:
    """The schema as a value of ``text.format`` in the Responses API."""
    return {"type": "json_schema", "name": "judgement", "strict": True, "schema": reply_schema(question)}


def describe_reply(question: Question) -> str:
    """The same for people and models: what to reply."""
    match question:
        case Rubric():
            fields = [_REASONING, *_describe_rubric(question)]
        case Checklist():
            words = _one_of(_item_outcomes(question))
            fields = [
                _REASONING,
                f"`items`: an object with one entry for each item, by its id. Each is an object with `reasoning` (a "
                f"string: why) and then `outcome` ({words}).",
            ]
        case Pairwise():
            fields = [_REASONING, f"`preference`: {_one_of(_preferences(question))}: the better answer."]
    listed = "\n".join(f"- {field}" for field in fields)
    return f"Reply with one JSON object and nothing else. Its fields, in this order:\n{listed}"


_REASONING = "`reasoning`: a string: in a few sentences, why."


def _rubric_fields(rubric: Rubric) -> dict[str, Any]:
    match rubric.scale:
        case BooleanScale():
            return {"outcome": _enum(OUTCOMES)} if rubric.allows_na else {"verdict": {"type": "boolean"}}
        case NumericScale():
            return {"score": {"type": ["number", "null"] if rubric.allows_na else "number"}}
        case CategoricalScale() as scale:
            return {"categories": {"type": "array", "items": _enum([option.key for option in scale.options])}}


def _describe_rubric(rubric: Rubric) -> list[str]:
    match rubric.scale:
        case BooleanScale():
            if rubric.allows_na:
                return [f"`outcome`: {_one_of(OUTCOMES)}. Use `not_applicable` if the criteria do not apply at all."]
            return ["`verdict`: true if the criteria are met, else false."]
        case NumericScale() as scale:
            na = " Use null if the criteria do not apply at all." if rubric.allows_na else ""
            return [f"`score`: a number{_range(scale)}.{na}"]
        case CategoricalScale() as scale:
            how_many = "one or more of these keys" if scale.multiple else "exactly one of these keys"
            na = " Leave it empty if the criteria do not apply at all." if rubric.allows_na else ""
            options = "".join(f"\n  - `{one.key}`" + (f": {one.label}" if one.label else "") for one in scale.options)
            return [f"`categories`: an array of {how_many}.{na}{options}"]


def _range(scale: NumericScale) -> str:
    low = (
        ""
        if scale.minimum is None
        else f" from {scale.minimum:g}"
        if scale.maximum is not None
        else (f" of at least {scale.minimum:g}")
    )
    high = (
        ""
        if scale.maximum is None
        else f" to {scale.maximum:g}"
        if scale.minimum is not None
        else (f" of at most {scale.maximum:g}")
    )
    step = "" if scale.step is None else f", in steps of {scale.step:g}"
    return low + high + step


def _item_outcomes(checklist: Checklist) -> Sequence[str]:
    return ITEM_OUTCOMES if checklist.allows_na else ITEM_OUTCOMES[:2]


def _preferences(pairwise: Pairwise) -> Sequence[str]:
    return PREFERENCES if pairwise.allows_tie else PREFERENCES[:2]


def _one_of(words: Sequence[str]) -> str:
    return " or ".join(f'"{word}"' for word in words)


def _enum(values: Sequence[str]) -> dict[str, Any]:
    return {"type": "string", "enum": list(values)}


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }
