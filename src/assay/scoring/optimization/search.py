"""The loop: propose, compare on train, test on validation, keep or discard; then measure the winner once.

Several things may be tried, but the validation cases are looked at once a round at most, and each look has its share
of the allowed error (Bonferroni; Dunn 1961, "Multiple comparisons among means", JASA 56). So the whole search calls a
prompt better that is not with a probability of at most ``alpha``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from assay.scoring.optimization.guard import DEFAULT_THRESHOLD, Regression, check_regression
from assay.scoring.optimization.leaks import find_copied_answers
from assay.scoring.optimization.splits import Split
from assay.scoring.paired import PairedDifference, paired_difference
from assay.scoring.verdicts import Comparison, Verdict, compare_paired

MIN_SCORED_SHARE: Final = 0.8
"""A candidate is compared only when at least this share of the cases has a score for both."""


class Reason(StrEnum):
    """Why a round ended as it did."""

    KEPT = "kept"
    NO_PROPOSAL = "no_proposal"
    """Nothing new was proposed."""
    COPIED_ANSWERS = "copied_answers"
    """Every new proposal carried answers of the cases."""
    NOT_BETTER_ON_TRAIN = "not_better_on_train"
    NOT_SIGNIFICANT = "not_significant"
    """Better on the validation cases, or worse, but chance explains it."""
    WORSE = "worse"
    REGRESSIONS = "regressions"
    TOO_FEW_SCORED = "too_few_scored"


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How long and how strictly to search."""

    rounds: int = 5
    patience: int = 3
    """Rounds without a keep after which the search ends; 0 never ends it early."""
    alpha: float = 0.05
    """The allowed probability, over all rounds, of keeping what is not better."""
    regression_threshold: float = DEFAULT_THRESHOLD
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Setting:
    """The cases of a search."""

    split: Split
    inputs: Sequence[str]
    """As text, one per case."""
    answers: Sequence[str | None]
    """What is expected, as text; None where nothing is."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A prompt to try."""

    prompt: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A proposal and how it did on the training cases."""

    proposal: Proposal
    copied: int = 0
    """How many cases it carries something of; such a one is not tried."""
    train: float | None = None
    """Mean over the scored training cases."""


@dataclass(frozen=True, slots=True)
class Round:
    """One round, for the record."""

    number: int
    reason: Reason
    candidates: Sequence[Candidate] = ()
    chosen: Proposal | None = None
    score: float | None = None
    """Mean of the chosen one on validation, or on train where it did not get that far."""
    comparison: Comparison | None = None
    """On the validation cases, against the best so far."""
    regression: Regression | None = None

    @property
    def kept(self) -> bool:
        """Whether the chosen one is the new best."""
        return self.reason is Reason.KEPT


@dataclass(frozen=True, slots=True)
class Brief:
    """What a proposer may know: the best prompt so far, and how it did on the training cases."""

    round: int
    prompt: str
    train: Sequence[tuple[int, float | None]]
    """Cases and their scores."""
    history: Sequence[Round]


@dataclass(frozen=True, slots=True)
class SealedMeasurement:
    """Baseline and winner on the sealed cases."""

    baseline: float
    winner: float
    gain: PairedDifference
    """With its 95 % interval."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a search comes to."""

    baseline: str
    winner: str
    """The baseline itself when nothing was kept, or when the sealed measurement took the gain back."""
    baseline_score: float | None
    """Mean on the validation cases."""
    rounds: Sequence[Round]
    sealed: SealedMeasurement | None
    """None when nothing was kept: then there is nothing to measure."""
    stopped_early: bool = False

    @property
    def improved(self) -> bool:
        """Whether a better prompt was found."""
        return self.winner != self.baseline


class Evaluate(Protocol):
    """Runs a prompt on cases."""

    async def __call__(self, prompt: str, cases: Sequence[int], /) -> Sequence[float | None]:
        """Scores from 0 to 1 in the order of the cases; None for a case that could not be scored."""
        ...


class Propose(Protocol):
    """Thinks of prompts to try."""

    async def __call__(self, brief: Brief, /) -> Sequence[Proposal]:
        """Some proposals, at best new ones."""
        ...


class Note(Protocol):
    """Is told of each round."""

    async def __call__(self, finished: Round, /) -> None:
        """A round has ended."""
        ...


@dataclass(slots=True)
class _Best:
    prompt: str
    train: Sequence[float | None]
    validation: Sequence[float | None]


@dataclass(slots=True)
class _Search:
    setting: Setting
    settings: SearchSettings
    evaluate: Evaluate
    baseline: str
    best: _Best
    tried: set[str]
    history: list[Round] = field(default_factory=list[Round])

    async def carry_out(self, number: int, propose: Propose) -> Round:
        split = self.setting.split
        train = list(zip(split.train, self.best.train, strict=True))
        proposals = self._new(await propose(Brief(number, self.best.prompt, train, tuple(self.history))))
        if not proposals:
            return Round(number, Reason.NO_PROPOSAL)
        candidates = [Candidate(proposal, copied=self._copied(proposal)) for proposal in proposals]
        if all(candidate.copied for candidate in candidates):
            return Round(number, Reason.COPIED_ANSWERS, candidates, candidates[0].proposal)
        scored: list[Candidate] = []
        results: dict[str, Sequence[float | None]] = {}
        for candidate in candidates:
            if not candidate.copied:
                scores = results[candidate.proposal.prompt] = await self.evaluate(
                    candidate.proposal.prompt, split.train
                )
                candidate = Candidate(candidate.proposal, train=_mean(scores))
            scored.append(candidate)
        chosen = max(scored, key=lambda one: -1.0 if one.train is None else one.train)
        return await self._decide(number, scored, chosen, results.get(chosen.proposal.prompt, ()))

    async def _decide(
        self, number: int, candidates: Sequence[Candidate], chosen: Candidate, train: Sequence[float | None]
    ) -> Round:
        proposal, split = chosen.proposal, self.setting.split
        before = _mean(self.best.train)
        if chosen.train is None or (before is not None and chosen.train <= before):
            return Round(number, Reason.NOT_BETTER_ON_TRAIN, candidates, proposal, chosen.train)
        validation = await self.evaluate(proposal.prompt, split.validation)
        score = _mean(validation)
        old, new = _pairs(self.best.validation, validation)
        if len(old) < MIN_SCORED_SHARE * len(split.validation) or not old:
            return Round(number, Reason.TOO_FEW_SCORED, candidates, proposal, score)
        alpha = self.settings.alpha / max(1, self.settings.rounds)
        comparison = compare_paired(old, new, alpha=alpha, seed=self.settings.seed)
        regression = check_regression(old, new, threshold=self.settings.regression_threshold)
        reason = _reason(comparison, regression)
        if reason is Reason.KEPT:
            self.best = _Best(proposal.prompt, train, validation)
        return Round(number, reason, candidates, proposal, score, comparison, regression)

    def _new(self, proposals: Sequence[Proposal]) -> list[Proposal]:
        fresh: list[Proposal] = []
        for proposal in proposals:
            key = proposal.prompt.strip()
            if key and key not in self.tried:
                self.tried.add(key)
                fresh.append(proposal)
        return fresh

    def _copied(self, proposal: Proposal) -> int:
        setting = self.setting
        found = find_copied_answers(proposal.prompt, self.baseline, inputs=setting.inputs, answers=setting.answers)
        return len({copied.case for copied in found})


async def search(
    baseline: str,
    setting: Setting,
    settings: SearchSettings,
    *,
    evaluate: Evaluate,
    propose: Propose,
    note: Note,
) -> Outcome:
    """Look for a prompt that is better than the baseline.

    "No improvement found" is a normal outcome: then the winner is the baseline. With few cases it is the only one,
    because no test can decide by them; `Round.comparison` says how many more it would take.

    Args:
        baseline: The prompt to begin with.
        setting: The cases, already split.
        settings: How long and how strictly.
        evaluate: Runs a prompt on cases. Called for the sealed ones only at the end, and only if something was kept.
        propose: Thinks of prompts; sees nothing but training cases.
        note: Told of each round, kept or not.
    """
    split = setting.split
    best = _Best(baseline, await evaluate(baseline, split.train), await evaluate(baseline, split.validation))
    baseline_score = _mean(best.validation)
    work = _Search(setting, settings, evaluate, baseline, best, {baseline.strip()})
    stalled, stopped = 0, False
    for number in range(1, settings.rounds + 1):
        finished = await work.carry_out(number, propose)
        work.history.append(finished)
        await note(finished)
        stalled = 0 if finished.kept else stalled + 1
        if settings.patience and stalled >= settings.patience:
            stopped = number < settings.rounds
            break
    sealed = None
    winner = work.best.prompt
    if winner != baseline:
        sealed = await _measure(baseline, winner, split.test, evaluate)
        if sealed is not None and sealed.gain.mean <= 0:
            winner = baseline
    return Outcome(baseline, winner, baseline_score, tuple(work.history), sealed, stopped)


async def _measure(baseline: str, winner: str, cases: Sequence[int], evaluate: Evaluate) -> SealedMeasurement | None:
    old, new = _pairs(await evaluate(baseline, cases), await evaluate(winner, cases))
    gain = paired_difference(old, new)
    return None if gain is None else SealedMeasurement(sum(old) / len(old), sum(new) / len(new), gain)


def _reason(comparison: Comparison, regression: Regression) -> Reason:
    match comparison.verdict:
        case Verdict.WORSE:
            return Reason.WORSE
        case Verdict.NOT_DECIDED:
            return Reason.NOT_SIGNIFICANT
        case Verdict.BETTER:
            return Reason.KEPT if regression.verdict.passes else Reason.REGRESSIONS


def _pairs(before: Sequence[float | None], after: Sequence[float | None]) -> tuple[list[float], list[float]]:
    """The scores of the cases that both have one for."""
    both = [(old, new) for old, new in zip(before, after, strict=True) if old is not None and new is not None]
    return [old for old, _ in both], [new for _, new in both]


def _mean(scores: Sequence[float | None]) -> float | None:
    known = [score for score in scores if score is not None]
    return sum(known) / len(known) if known else None
