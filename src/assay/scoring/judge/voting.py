"""Several readings of one question made into one: repeats of a judge, judges of a panel, orders of a pair.

| question | what several come to |
|---|---|
| boolean, one category, a preference | what more than half say |
| several categories | each category that more than half name |
| checklist | for each item what more than half say |
| number | the median |

"Not applicable" is an answer like the others. Readings that failed take no part; if they are half or more, there is no
result. Neither is there one without a majority, but for preferences, where none is a tie.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean, median
from typing import TypeVar

from assay.scoring.judge.judgements import FailureKind, Judgement, Preference, Reading, Unreadable
from assay.scoring.judge.questions import CategoricalScale, Checklist, NumericScale, Pairwise, Question, Rubric

V = TypeVar("V", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Vote:
    """What several readings come to."""

    reading: Reading
    voters: int
    readable: int
    agreement: float | None
    """Share of pairs of readable voters that say the same, averaged over items for a checklist; None for fewer than
    two."""
    spread: float | None = None
    """Largest minus smallest number, of a numeric question with two applicable scores or more."""


def join_orders(candidate_first: Reading, baseline_first: Reading) -> Reading:
    """The preference of a pair that was judged in both orders: the one that both share, else a tie.

    A preference that depends on the order is none (Zheng et al. 2023, arXiv 2306.05685, section 3.4). One unreadable
    order leaves the pair unreadable.
    """
    for reading in (candidate_first, baseline_first):
        if isinstance(reading, Unreadable):
            return reading
    first, second = (reading for reading in (candidate_first, baseline_first) if isinstance(reading, Judgement))
    agree = first.preference is second.preference
    preference = first.preference if agree else Preference.TIE
    reasoning = "\n\n".join(part for part in (first.reasoning, second.reasoning) if part)
    return Judgement(reasoning=reasoning, preference=preference, swaps_agree=agree)


def take_vote(question: Question, readings: Sequence[Reading]) -> Vote:
    """What readings of the same question come to; of one reading, itself.

    Raises:
        ValueError: There are no readings.
    """
    if not readings:
        raise ValueError("a vote needs at least one reading")
    if len(readings) == 1:
        return Vote(readings[0], 1, int(isinstance(readings[0], Judgement)), None)
    readable = [reading for reading in readings if isinstance(reading, Judgement)]
    reading = _result(question, readings, readable)
    return Vote(reading, len(readings), len(readable), _agreement(question, readable), _spread(readable))


def _result(question: Question, readings: Sequence[Reading], readable: Sequence[Judgement]) -> Reading:
    if 2 * len(readable) <= len(readings):
        failed = Counter(reading.kind for reading in readings if isinstance(reading, Unreadable))
        kinds = ", ".join(f"{count} {kind.value}" for kind, count in failed.most_common())
        return Unreadable(
            FailureKind.TOO_FEW_READABLE, f"Only {len(readable)} of {len(readings)} replies can be read ({kinds})."
        )
    applicable = _majority(judgement.applicable for judgement in readable)
    if applicable is None:
        return _undecided("whether the criteria apply")
    if not applicable:
        return next(judgement for judgement in readable if not judgement.applicable)
    applied = [judgement for judgement in readable if judgement.applicable]
    return _joined(question, applied)


def _joined(question: Question, votes: Sequence[Judgement]) -> Reading:
    match question:
        case Checklist():
            return _joined_items(question, votes)
        case Pairwise():
            preference = _majority(vote.preference for vote in votes) or Preference.TIE
            return _with_reasons(votes, Judgement(preference=preference))
        case Rubric(scale=NumericScale()):
            return _with_reasons(votes, Judgement(score=median(vote.score or 0.0 for vote in votes)))
        case Rubric(scale=CategoricalScale(multiple=True) as scale):
            return _joined_categories(scale, votes)
        case _:
            verdict = _majority(vote.verdict for vote in votes)
            chosen = next((vote for vote in votes if vote.verdict == verdict), None)
            return _undecided("the verdict") if chosen is None else chosen


def _joined_items(checklist: Checklist, votes: Sequence[Judgement]) -> Reading:
    outcomes = {
        item.id: _majority(vote.items[item.id] for vote in votes if vote.items is not None) for item in checklist.items
    }
    decided = {item: outcome for item, outcome in outcomes.items() if outcome is not None}
    if len(decided) < len(outcomes):
        undecided = next(item for item, outcome in outcomes.items() if outcome is None)
        return _undecided(f"the item '{undecided}'")
    return _with_reasons(votes, Judgement(items=decided))


def _joined_categories(scale: CategoricalScale, votes: Sequence[Judgement]) -> Reading:
    named = Counter(key for vote in votes for key in vote.categories or ())
    chosen = tuple(option.key for option in scale.options if 2 * named[option.key] > len(votes))
    return _with_reasons(votes, Judgement(categories=chosen)) if chosen else _undecided("any category")


def _with_reasons(votes: Sequence[Judgement], result: Judgement) -> Judgement:
    """The result with the reasons of the vote that is most like it."""
    alike = next((vote for vote in votes if vote.verdict == result.verdict), votes[0])
    return replace(result, reasoning=alike.reasoning, swaps_agree=alike.swaps_agree)


def _undecided(what: str) -> Unreadable:
    return Unreadable(FailureKind.NO_MAJORITY, f"No majority of the replies agrees on {what}.")


def _majority(values: Iterable[V]) -> V | None:
    """What more than half say."""
    listed = list(values)
    [(value, count)] = Counter(listed).most_common(1)
    return value if 2 * count > len(listed) else None


def _agreement(question: Question, readable: Sequence[Judgement]) -> float | None:
    pairs = list(combinations(readable, 2))
    if not pairs:
        return None
    if isinstance(question, Checklist):
        return fmean(_share_of_items(question, first, second) for first, second in pairs)
    return fmean(first.verdict == second.verdict for first, second in pairs)


def _share_of_items(checklist: Checklist, first: Judgement, second: Judgement) -> float:
    if first.items is None or second.items is None:
        return float(first.applicable == second.applicable)
    return fmean(first.items[item.id] is second.items[item.id] for item in checklist.items)


def _spread(readable: Sequence[Judgement]) -> float | None:
    scores = [judgement.score for judgement in readable if judgement.score is not None]
    return max(scores) - min(scores) if len(scores) > 1 else None
