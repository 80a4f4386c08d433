"""Finding the JSON objects in what a model wrote.

Models wrap their answer in fences, in sentences, or in thoughts. Whatever stands around an object is passed over; what
stands inside of one is taken strictly: no NaN, no key twice.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, cast

MAX_REPLY_CHARACTERS: Final = 200_000
_MAX_DECODINGS: Final = 200
_THOUGHT = re.compile(r"\s*<think>.*?</think>", re.DOTALL)


class RepeatedKeyError(ValueError):
    """An object has a key twice, so that it says two things at once."""


class UnfinishedObjectError(ValueError):
    """The text ends inside of an object."""


class TooManyBracesError(ValueError):
    """So many objects or opening braces that what comes after them is not looked at."""


def find_objects(text: str) -> list[dict[str, Any]]:
    """Every complete JSON object of a text that is not part of another one, in order.

    Args:
        text: At most `MAX_REPLY_CHARACTERS`, which bounds the time.

    Raises:
        RepeatedKeyError: An object has a key twice.
        UnfinishedObjectError: The last object has only a beginning.
        TooManyBracesError: The text has more than 200 objects and stray braces.
    """
    thought = _THOUGHT.match(text)
    start = text.find("{", thought.end() if thought else 0)
    end = len(text.rstrip().removesuffix("```").rstrip())
    found: list[dict[str, Any]] = []
    for _ in range(_MAX_DECODINGS):
        if start < 0:
            return found
        try:
            value, after = _DECODER.raw_decode(text, start)
        except json.JSONDecodeError as error:
            if error.pos >= end or error.msg.startswith("Unterminated string"):
                raise UnfinishedObjectError from error
            after = start + 1
        except RepeatedKeyError:
            raise
        except (ValueError, RecursionError):
            # A number of thousands of digits, NaN, or nesting beyond all use.
            after = start + 1
        else:
            found.append(cast("dict[str, Any]", value))
        start = text.find("{", after)
    raise TooManyBracesError


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise RepeatedKeyError
    return mapping


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant, strict=False)
