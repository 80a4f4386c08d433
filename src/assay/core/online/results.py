"""An outcome as an ``$ai_evaluation`` event (P§3.7), and as the ledger keeps it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from assay.core.evaluators.types import Definition, EvaluatorKind, OutputKind, TargetKind
from assay.core.events.types import EVALUATION, NewEvent, StoredEvent
from assay.core.online.types import WRITTEN_SKIPS, Finding, Leased, ModelUse, Origin, Outcome, Reason

_RUNS = UUID("2f0c9f0e-0a55-4a0b-8d4e-5a2a7f6f4b11")
_PREFIXES = {
    EvaluatorKind.LLM_JUDGE: "llma-llm-eval",
    EvaluatorKind.HOG: "llma-hog-eval",
    EvaluatorKind.SENTIMENT: "llma-sentiment-eval",
}
_LONGEST_UNIT_ID = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """All that a result event tells of."""

    entry_id: UUID
    project_id: UUID
    evaluator_id: UUID
    evaluator_name: str
    definition: Definition
    target: TargetKind
    subject: UUID
    subject_key: str | None
    origin: Origin
    backfill_id: UUID | None
    source: StoredEvent
    outcome: Outcome
    reason: Reason | None
    finding: Finding | None
    use: ModelUse | None
    started_at: datetime


def manual_run_id(kind: EvaluatorKind, evaluator_id: UUID, event_uuid: UUID, now: datetime) -> str:
    """Id of a run by hand (P§4.1)."""
    return f"{_PREFIXES[kind]}-{evaluator_id}-{event_uuid}-manual-{round(now.timestamp() * 1000)}"


def automatic_run_id(judged: Judged) -> str:
    """Id of the run that nobody asked for by hand (P§4.1)."""
    suffix = f"-backfill-{judged.backfill_id}" if judged.origin is Origin.BACKFILL else ""
    if judged.target is TargetKind.GENERATION:
        prefix = _PREFIXES[judged.definition.kind]
        return f"{prefix}-{judged.evaluator_id}-{judged.subject}{suffix or '-ingestion'}"
    unit = judged.subject_key or ""
    if len(unit) > _LONGEST_UNIT_ID:
        unit = hashlib.md5(unit.encode(), usedforsecurity=False).hexdigest()
    return f"llma-{judged.target.value}-eval-{judged.evaluator_id}-{unit}{suffix}"


def is_told(outcome: Outcome, reason: Reason | None) -> bool:
    """Whether an outcome is told in an event (P§3.5)."""
    return outcome.is_verdict or (reason is not None and reason in WRITTEN_SKIPS)


def result_event(judged: Judged, run_id: str) -> NewEvent:
    """The event of one run. Its uuid derives from the run's id, so that writing it again changes nothing."""
    return NewEvent(
        uuid=uuid5(_RUNS, f"{judged.project_id}:{run_id}"),
        event=EVALUATION,
        distinct_id=judged.source.distinct_id,
        timestamp=judged.started_at,
        properties={**_identity(judged), **_target(judged), **_verdict(judged), **_model(judged.use)},
    )


def stored_result(finding: Finding | None, use: ModelUse | None) -> dict[str, Any] | None:
    """What the ledger keeps of a finding."""
    if finding is None and use is None:
        return None
    kept: dict[str, Any] = {}
    if finding is not None:
        kept = {
            "reasoning": finding.reasoning,
            "applicable": finding.applicable,
            "verdict": finding.verdict,
            "score": finding.score,
            "categories": None if finding.categories is None else list(finding.categories),
            "sentiment": finding.sentiment,
        }
    if use is not None:
        kept |= {
            "model": use.model,
            "provider": use.provider,
            "key_id": None if use.key_id is None else str(use.key_id),
        }
    return kept


def read_finding(result: Mapping[str, Any]) -> Finding:
    """The reverse of ``stored_result``."""
    return Finding(
        reasoning=result["reasoning"],
        applicable=result["applicable"],
        verdict=result["verdict"],
        score=result["score"],
        categories=result["categories"],
        sentiment=result["sentiment"],
    )


def read_use(result: Mapping[str, Any], *, input_tokens: int | None, output_tokens: int | None) -> ModelUse | None:
    """Which model said it, as ``stored_result`` kept it; None when none was asked."""
    if "model" not in result:
        return None
    return ModelUse(
        model=result["model"],
        provider=result["provider"],
        key_id=None if result["key_id"] is None else UUID(result["key_id"]),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
    )


def _identity(judged: Judged) -> dict[str, Any]:
    backfill = judged.origin is Origin.BACKFILL
    told: dict[str, Any] = {
        "$ai_evaluation_id": str(judged.evaluator_id),
        "$ai_evaluation_name": judged.evaluator_name,
        "$ai_evaluation_type": "online",
        "$ai_evaluation_runtime": judged.definition.kind.value,
        "$ai_evaluation_result_type": judged.definition.output_kind.value,
        "$ai_evaluation_start_time": judged.started_at.isoformat(),
        "$ai_evaluation_reasoning": "" if judged.finding is None else judged.finding.reasoning,
        "$ai_evaluation_trigger": "backfill" if backfill else "live",
    }
    if backfill:
        told["$ai_evaluation_backfill_id"] = str(judged.backfill_id)
    if not judged.outcome.is_verdict and judged.reason is not None:
        told |= {"$ai_evaluation_skipped": True, "$ai_evaluation_skip_reason": judged.reason.value}
    return told


def _target(judged: Judged) -> dict[str, Any]:
    source = judged.source
    if judged.target is TargetKind.SESSION:
        return {"$ai_target_id": judged.subject_key, "$ai_target_type": "session_id"}
    if judged.target is TargetKind.TRACE:
        return {
            "$ai_target_id": judged.subject_key,
            "$ai_target_type": "trace_id",
            "$ai_trace_id": judged.subject_key,
        }
    prompt = {
        name: source.properties[name] for name in ("$ai_prompt_name", "$ai_prompt_version") if name in source.properties
    }
    return {
        "$ai_target_event_id": str(source.uuid),
        "$ai_target_id": str(source.uuid),
        "$ai_target_event_type": source.event,
        "$ai_target_type": "generation_uuid",
        "$ai_trace_id": source.properties.get("$ai_trace_id"),
        "$session_id": source.properties.get("$session_id"),
        **prompt,
    }


def _verdict(judged: Judged) -> dict[str, Any]:
    config = judged.definition.output_config
    said = judged.finding if judged.outcome.is_verdict else None
    applicable = said is not None and said.applicable
    if judged.definition.output_kind is OutputKind.SENTIMENT:
        return {} if said is None else _sentiment(said.sentiment or {})
    allows_na = bool(config.get("allows_na"))
    told: dict[str, Any] = {"$ai_evaluation_allows_na": allows_na}
    if allows_na or judged.definition.output_kind is OutputKind.CATEGORICAL:
        told["$ai_evaluation_applicable"] = applicable
    match judged.definition.output_kind:
        case OutputKind.BOOLEAN if applicable or not allows_na:
            told["$ai_evaluation_result"] = bool(said is not None and said.verdict)
        case OutputKind.NUMERIC if applicable and said is not None:
            told["$ai_evaluation_numeric_result"] = said.score
            told["$ai_evaluation_numeric_result_min"] = config.get("min")
            told["$ai_evaluation_numeric_result_max"] = config.get("max")
        case OutputKind.CATEGORICAL:
            told["$ai_evaluation_categorical_result"] = [] if said is None else list(said.categories or ())
        case _:
            pass
    return told


def _sentiment(found: Mapping[str, Any]) -> dict[str, Any]:
    names = ("label", "score", "scores", "messages", "message_count")
    return {f"$ai_sentiment_{name}": found.get(name) for name in names}


def _model(use: ModelUse | None) -> dict[str, Any]:
    if use is None:
        return {}
    return {
        "$ai_model": use.model,
        "$ai_provider": use.provider,
        "$ai_input_tokens": use.input_tokens,
        "$ai_output_tokens": use.output_tokens,
        "$ai_evaluation_model": use.model,
        "$ai_evaluation_provider": use.provider,
        "$ai_evaluation_key_type": "posthog" if use.key_id is None else "byok",
        "$ai_evaluation_key_id": None if use.key_id is None else str(use.key_id),
    }


def judged_of(
    entry: Leased,
    *,
    evaluator_name: str,
    definition: Definition,
    source: StoredEvent,
    outcome: Outcome,
    reason: Reason | None,
    finding: Finding | None,
    use: ModelUse | None,
    started_at: datetime,
) -> Judged:
    """What is to be told of a leased entry that has ended."""
    return Judged(
        entry_id=entry.id,
        project_id=entry.project_id,
        evaluator_id=entry.evaluator_id,
        evaluator_name=evaluator_name,
        definition=definition,
        target=entry.target,
        subject=entry.subject,
        subject_key=entry.subject_key,
        origin=entry.origin,
        backfill_id=entry.backfill_id,
        source=source,
        outcome=outcome,
        reason=reason,
        finding=finding,
        use=use,
        started_at=started_at,
    )
