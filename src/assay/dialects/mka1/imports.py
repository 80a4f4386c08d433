"""The dialect's imports and core types, in both directions."""

from __future__ import annotations

from datetime import UTC, datetime

from assay.core.imports.history.types import HistoryRequest, HistoryResult
from assay.core.imports.types import AgentRun, Trial
from assay.core.runs.types import SampleStatus
from assay.dialects.mka1.identifiers import Prefix, read_id, write_id
from assay.dialects.mka1.wire.imports import (
    HistorySource,
    ImportAgentRun,
    ImportHistory,
    TrialBody,
    WireHistoryImport,
    WireHistorySource,
)


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


def from_import_history(body: ImportHistory) -> HistoryRequest:
    """A historical import."""
    source = body.source or HistorySource()
    return HistoryRequest(
        repository=source.repo,
        revision=source.revision,
        path_prefix=source.path_prefix,
        files=source.files,
        suite_id=None if body.suite_id is None else read_id(Prefix.SUITE, body.suite_id, param="suite_id"),
        suite_name=body.suite_name,
        suite_description=body.suite_description,
        create_missing_tasks=body.create_missing_tasks,
        dry_run=body.dry_run,
        limit_files=body.limit_files,
        metadata=body.metadata,
    )


def to_history_import(result: HistoryResult) -> WireHistoryImport:
    """What came of a historical import."""
    return WireHistoryImport(
        object="eval.import",
        source=WireHistorySource(type="huggingface", repo=result.repository, revision=result.revision),
        suite_id=write_id(Prefix.SUITE, result.suite_id),
        suite_version=result.suite_version,
        created_suite=result.created_suite,
        created_suite_version=result.created_suite_version,
        dry_run=result.dry_run,
        discovered_files=result.discovered_files,
        imported_runs=result.imported_runs,
        skipped_runs=result.skipped_runs,
        imported_samples=result.imported_samples,
    )
