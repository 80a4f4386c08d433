"""Evaluators that ask nobody: Hog programs, in the sandbox, and sentiment, on a thread."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from assay.core.evaluators.types import Definition, EvaluatorKind, OutputKind, TargetKind
from assay.core.online.batches import Work
from assay.core.online.types import Ended, Finding, Outcome, Reason
from assay.kit.clock import utc_now
from assay.sandbox.hog import (
    HogCompileError,
    HogFailureKind,
    HogSandbox,
    OutputRule,
    OutputType,
    Verdict,
    compile_program,
)
from assay.scoring.online import generation_variables, target_variables
from assay.scoring.online.sentiment import judge_sentiment

MAX_DETAIL_CHARACTERS = 2000


async def run_programs(sandbox: HogSandbox, work: Sequence[Work]) -> list[Ended]:
    """Carry out entries of Hog and sentiment evaluators.

    Raises:
        SandboxUnavailableError: Hog programs cannot be run.
    """
    by_version: dict[UUID, list[Work]] = defaultdict(list)
    for one in work:
        by_version[one.entry.version_id].append(one)
    ended: list[Ended] = []
    for same in by_version.values():
        if same[0].definition.kind is EvaluatorKind.HOG:
            ended += await _run_hog(sandbox, same)
        else:
            ended += await asyncio.to_thread(_feel, same)
    return ended


async def _run_hog(sandbox: HogSandbox, work: Sequence[Work]) -> list[Ended]:
    started, definition = utc_now(), work[0].definition
    try:
        program = _compiled(definition.config["source"])
    except HogCompileError as error:
        return [_failed(one, Reason.HOG_ERROR, error.message, started) for one in work]
    cases = [_variables(one) for one in work]
    verdicts = await sandbox.evaluate(
        program, cases, rule=output_rule(definition.output_kind, definition.output_config)
    )
    return [_ended(one, verdict, started) for one, verdict in zip(work, verdicts, strict=True)]


_compiled = lru_cache(maxsize=256)(compile_program)


def _variables(work: Work) -> dict[str, Any]:
    if work.entry.target is TargetKind.GENERATION:
        return generation_variables(work.event)
    return target_variables(work.facts, [event.for_scoring() for event in work.unit])


def output_rule(kind: OutputKind, config: Mapping[str, Any]) -> OutputRule:
    """What a program may return. Bounds are left to ``_ended``: passing them skips, and does not fail (P§3.5)."""
    options: Sequence[Any] = config.get("options") or ()
    return OutputRule(
        type=OutputType(kind.value),
        allows_na=bool(config.get("allows_na")),
        options=tuple(option["key"] for option in options),
        multiple=config.get("selection_mode") == "multiple",
    )


def _ended(work: Work, verdict: Verdict, started: datetime) -> Ended:
    if verdict.error is not None:
        reason = Reason.INTERNAL if verdict.failure is HogFailureKind.UNEXPECTED else Reason.HOG_ERROR
        return _failed(work, reason, verdict.error, started)
    finding = Finding(
        reasoning=verdict.reasoning,
        applicable=verdict.applicable,
        verdict=verdict.result,
        score=verdict.score,
        categories=verdict.categories,
    )
    return ended_with(work, finding, started)


def ended_with(work: Work, finding: Finding, started: datetime) -> Ended:
    """The outcome of what an evaluator said."""
    outcome, reason = Outcome.SCORED if finding.applicable else Outcome.NOT_APPLICABLE, None
    if finding.score is not None and _out_of_bounds(work.definition, finding.score):
        outcome, reason = Outcome.SKIPPED, Reason.SCORE_OUT_OF_BOUNDS
    return Ended(entry_id=work.entry.id, outcome=outcome, reason=reason, finding=finding, started_at=started)


def _out_of_bounds(definition: Definition, score: float) -> bool:
    if definition.output_kind is not OutputKind.NUMERIC:
        return False
    low, high = definition.output_config.get("min"), definition.output_config.get("max")
    return (low is not None and score < low) or (high is not None and score > high)


def _failed(work: Work, reason: Reason, detail: str, started: datetime) -> Ended:
    return Ended(
        entry_id=work.entry.id,
        outcome=Outcome.FAILED,
        reason=reason,
        detail=detail[:MAX_DETAIL_CHARACTERS],
        started_at=started,
    )


def _feel(work: Sequence[Work]) -> list[Ended]:
    return [_sentiment(one, utc_now()) for one in work]


def _sentiment(work: Work, started: datetime) -> Ended:
    found = judge_sentiment(work.event)
    overall = found.overall
    said = {
        **({"label": None, "score": None, "scores": None} if overall is None else overall.as_json()),
        "messages": [{"index": place, **feeling.as_json()} for place, feeling in found.messages],
        "message_count": len(found.messages),
    }
    reasoning = "No user says anything." if overall is None else ""
    finding = Finding(reasoning=reasoning, applicable=overall is not None, sentiment=said)
    return ended_with(work, finding, started)
