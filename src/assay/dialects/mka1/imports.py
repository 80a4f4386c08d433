"""From the dialect's imports to core types."""

from __future__ import annotations

from datetime import UTC, datetime

from assay.core.imports.types import AgentRun, Trial
from assay.core.runs.types import SampleStatus
from assay.dialects.mka1.identifiers import Prefix, read_id
from assay.dialects.mka1.wire.imports import ImportAgentRun, TrialBody


def from_import_agent_run(body: ImportAgentRun) -> AgentRun:
    """A coding agent's run."""
    return AgentRun(
        suite_id=read_id(Prefix.SUITE, body.suite_id, param="suite_id"),
        agent_name=body.agent_name,
        model=body.model,
        suite_version=body.suite_version,
        agent_version=body.agent_version,
        agent_effort=body.agent_effort,
        cost_usd=body.cost_usd,
        created_at=None if body.created_at is None else datetime.fromtimestamp(body.created_at, UTC),
        metadata=body.metadata,
        idempotency_key=body.idempotency_key,
        expected_trials=body.expected_trials,
        finalize=body.finalize,
        trials=[from_trial(trial, place=place) for place, trial in enumerate(body.trials or [])],
    )


def from_trial(body: TrialBody, *, place: int) -> Trial:
    """A trial; ``place`` is its index unless it has one."""
    return Trial(
        task_id=body.task_id,
        sample_index=place if body.sample_index is None else body.sample_index,
        status=SampleStatus(body.status),
        prompt=body.prompt,
        target=body.target,
        output_text=body.output_text,
        scores=body.scores or {},
        error=body.error,
        cost_usd=body.cost_usd,
        input_tokens=body.input_tokens,
        output_tokens=body.output_tokens,
        cached_tokens=body.cached_tokens,
        reasoning_tokens=body.reasoning_tokens,
        phase_timings=body.phase_timings,
    )
