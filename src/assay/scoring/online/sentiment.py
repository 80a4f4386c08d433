"""How the users of a conversation feel, by VADER: a lexicon and rules, for English, without a model or a download.

C. Hutto, E. Gilbert: "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text", ICWSM 2014.
A text's compound value is in [-1, 1]; the paper's thresholds of ±0.05 make it negative, neutral or positive.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, cast

from assay.scoring.online.events import Event, event_input
from assay.scoring.online.rendering import render

MAX_MESSAGES = 100
"""The last ones of a conversation."""
MAX_CHARACTERS = 10_000
"""Of one message."""
THRESHOLD = 0.05
_NAMES = {"positive": "pos", "neutral": "neu", "negative": "neg"}


class _Analyzer(Protocol):
    def polarity_scores(self, text: str) -> dict[str, float]:
        """Shares ``pos``, ``neu`` and ``neg`` of the words, and ``compound``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Feeling:
    """Of one message, or of all together."""

    label: str
    """``positive``, ``neutral`` or ``negative``."""
    score: float
    """How clearly, in [0, 1]: the compound value's distance from 0, or for neutral its nearness to 0."""
    scores: Mapping[str, float]
    """By label: the share of the words that carry it. They add up to 1, but for rounding."""

    def as_json(self) -> dict[str, Any]:
        """For results."""
        return {"label": self.label, "score": self.score, "scores": dict(self.scores)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentiment:
    """Of a conversation."""

    overall: Feeling | None
    """The mean over its messages; None when no user says anything."""
    messages: Sequence[tuple[int, Feeling]]
    """By place in the input."""


def judge_sentiment(event: Event) -> Sentiment:
    """The sentiment of what users say in a generation's input."""
    found = [(place, _measure(text)) for place, text in list(user_texts(event_input(event)))[-MAX_MESSAGES:]]
    if not found:
        return Sentiment(overall=None, messages=())
    means = {name: sum(measured[name] for _, measured in found) / len(found) for name in ("compound", *_NAMES.values())}
    return Sentiment(overall=_feeling(means), messages=[(place, _feeling(measured)) for place, measured in found])


def user_texts(conversation: Any) -> Iterator[tuple[int, str]]:
    """What users say, with its place; text alone is a user's."""
    messages: list[Any] = cast("list[Any]", conversation) if isinstance(conversation, list) else [conversation]
    for place, message in enumerate(messages):
        if isinstance(message, Mapping):
            fields = cast("Mapping[str, Any]", message)
            if fields.get("role") != "user":
                continue
            text = render({name: value for name, value in fields.items() if name in ("content", "parts")})
        else:
            text = message if isinstance(message, str) else ""
        if text.strip():
            yield place, text[:MAX_CHARACTERS]


def _measure(text: str) -> dict[str, float]:
    return _analyzer().polarity_scores(text)


def _feeling(measured: Mapping[str, float]) -> Feeling:
    compound = measured["compound"]
    label = "neutral" if abs(compound) < THRESHOLD else "positive" if compound > 0 else "negative"
    clearness = 1 - abs(compound) if label == "neutral" else abs(compound)
    scores = {name: round(measured[key], 4) for name, key in _NAMES.items()}
    return Feeling(label=label, score=round(clearness, 4), scores=scores)


@lru_cache(maxsize=1)
def _analyzer() -> _Analyzer:
    # Loads a lexicon of 400 kB, so only who needs it pays for it.
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer  # pyright: ignore[reportMissingTypeStubs]

    return cast("_Analyzer", SentimentIntensityAnalyzer())
