"""What a person reads of a job, in Markdown (O§3.8): the result first, what it rests on after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from assay.scoring.optimization import Outcome, Reason, Round
from assay.scoring.statistics import Interval

if TYPE_CHECKING:
    from assay.core.jobs.work.job import Work

_REASONS = {
    Reason.KEPT: "kept: better on the validation cases",
    Reason.NO_PROPOSAL: "nothing new was proposed",
    Reason.COPIED_ANSWERS: "every proposal carried answers of the cases",
    Reason.NOT_BETTER_ON_TRAIN: "no better than the best so far on the training cases",
    Reason.NOT_SIGNIFICANT: "the difference may be chance",
    Reason.WORSE: "worse on the validation cases",
    Reason.REGRESSIONS: "too many cases got worse",
    Reason.TOO_FEW_SCORED: "too few answers could be graded",
}
_SHOWN = 80


def round_text(finished: Round) -> str:
    """Why a round ended as it did, with the numbers that decided."""
    text, comparison = _REASONS[finished.reason], finished.comparison
    if comparison is not None and comparison.difference is not None and comparison.p is not None:
        text += f"; {points(comparison.difference, signed=True)} points on {comparison.n} cases, p = {comparison.p:.3g}"
    return text


def report_tuning(work: Work, outcome: Outcome, *, sizes: tuple[int, int, int], model: str, grader: str) -> str:
    """The report of a prompt tuning."""
    train, validation, test = sizes
    lines = [
        f"# Prompt tuning: {work.target.agent_name or work.job.prompt_slug or 'prompt'}",
        "",
        *_verdict(outcome, test),
        "",
        "| | |",
        "|---|---|",
        f"| Model | {cell(model)} |",
        f"| Analyzer model | {cell(work.target.analyzer_model or 'auto')} |",
        f"| Graded by | {grader} |",
        f"| Cases | {train} to learn from, {validation} to decide by, {test} sealed |",
        f"| Rounds | {len(outcome.rounds)} of {work.job.num_iterations}"
        f"{', stopped early' if outcome.stopped_early else ''} |",
        f"| Spent | {spent(work)} |",
        "",
        "## Rounds",
        "",
        "| Iteration | Score | Status | Description |",
        "|---|---|---|---|",
        f"| 0 | {_score(outcome.baseline_score)} | baseline | The prompt as it was. |",
    ]
    for finished in outcome.rounds:
        chosen = "" if finished.chosen is None else finished.chosen.description
        told = f"{chosen[:_SHOWN]} ({round_text(finished)})" if chosen else round_text(finished)
        status = "keep" if finished.kept else "discard" if finished.chosen is not None else "skip"
        lines.append(f"| {finished.number} | {_score(finished.score)} | {status} | {cell(told)} |")
    if outcome.improved:
        lines += ["", "## The new prompt", "", *fenced(outcome.winner)]
    return "\n".join([*lines, ""])


def _verdict(outcome: Outcome, test: int) -> list[str]:
    sealed = outcome.sealed
    if sealed is None:
        more = [
            finished.comparison.more_items
            for finished in outcome.rounds
            if finished.comparison is not None and finished.comparison.more_items
        ]
        hint = f" The closest attempt would need about {min(more)} more validation cases to be decided." if more else ""
        return [f"**No improvement found.** The prompt stays as it is.{hint}"]
    gain = f"{points(sealed.gain.mean, signed=True)} points{between(sealed.gain.interval)}"
    scores = f"from {points(sealed.baseline)} to {points(sealed.winner)} on {test} cases that nothing was chosen by"
    if not outcome.improved:
        return [
            "**No improvement found.** A candidate won on the validation cases, but not on the sealed ones: "
            f"{gain}, {scores}. The prompt stays as it is."
        ]
    unsure = sealed.gain.interval is None or sealed.gain.interval.low <= 0
    doubt = " The interval includes 0: on these cases alone the gain may be chance." if unsure else ""
    return [f"**A better prompt was found.** It gains {gain}, {scores}.{doubt}"]


def points(fraction: float, *, signed: bool = False) -> str:
    """A fraction in points, with one decimal."""
    return f"{100 * fraction:+.1f}" if signed else f"{100 * fraction:.1f}"


def between(interval: Interval | None) -> str:
    """A 95 % interval of fractions, in points."""
    if interval is None:
        return " (too little data for an interval)"
    return f" (95 % interval {points(interval.low, signed=True)} to {points(interval.high, signed=True)})"


def spent(work: Work) -> str:
    """What the job has cost."""
    unpriced = work.ledger.unpriced
    known = f"${work.ledger.spent_usd:.4f}"
    return f"{known}, and {unpriced} calls whose price is not known" if unpriced else known


def cell(text: str) -> str:
    """A text that cannot break a table."""
    return " ".join(text.replace("|", "\\|").split())


def fenced(text: str) -> Sequence[str]:
    """A text in a code block that it cannot end."""
    fence = "```"
    while fence in text:
        fence += "`"
    return [f"{fence}text", text, fence]


def _score(fraction: float | None) -> str:
    return "–" if fraction is None else points(fraction)
