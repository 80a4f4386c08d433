"""From core types to the dialect's JSON: one explicit function for each type."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from assay.core.files.types import File
from assay.core.runs.types import Run, RunConfig, RunOverview, Sample, TokenCounts
from assay.core.suites.types import DeletedSuite, Suite, SuiteVersion
from assay.db.paging import Page
from assay.dialects.mka1.identifiers import Prefix, write_id
from assay.dialects.mka1.wire.base import WireList
from assay.dialects.mka1.wire.files import WireFile
from assay.dialects.mka1.wire.runs import (
    CreateRun,
    WireArtifacts,
    WireOverview,
    WireRequestCounts,
    WireRun,
    WireSample,
    WireTokens,
    WireTrials,
)
from assay.dialects.mka1.wire.suites import WireSuite, WireSuiteDeleted, WireVersion

Item = TypeVar("Item")
Wire = TypeVar("Wire")

_INLINE_BLOB = re.compile(r"^data:[\w.+-]+/[\w.+-]+(;[\w=-]+)*,")


def unix(moment: datetime) -> int:
    """Whole seconds since 1970."""
    return int(moment.timestamp())


def unix_or_none(moment: datetime | None) -> int | None:
    """Whole seconds since 1970, or null."""
    return None if moment is None else int(moment.timestamp())


def dollars(amount: Decimal | None) -> float | None:
    """A cost as a JSON number, or null when it is not known (R44)."""
    return None if amount is None else float(amount)


def to_list(page: Page[Item], to_wire: Callable[[Item], Wire]) -> WireList[Wire]:
    """A page of a list, with the ids at its ends."""
    data = [to_wire(item) for item in page.items]
    ids: list[str] = [item.id for item in data]  # type: ignore[attr-defined] - every listed wire model has an id
    return WireList[Wire](
        object="list",
        data=data,
        first_id=ids[0] if ids else None,
        last_id=ids[-1] if ids else None,
        has_more=page.has_more,
    )


def to_suite(suite: Suite) -> WireSuite:
    """A suite."""
    return WireSuite(
        id=write_id(Prefix.SUITE, suite.id),
        object="eval.suite",
        name=suite.name,
        description=suite.description,
        org_id=write_id(Prefix.ORGANIZATION, suite.organization_id),
        team_id=write_id(Prefix.TEAM, suite.project_id),
        access=suite.access.value,
        active_version=suite.active_version,
        latest_version=suite.latest_version,
        metadata=dict(suite.metadata),
        created_at=unix(suite.created_at),
        updated_at=unix(suite.updated_at),
    )


def to_version(version: SuiteVersion) -> WireVersion:
    """A suite's version."""
    return WireVersion(
        id=write_id(Prefix.VERSION, version.id),
        object="eval.suite.version",
        suite_id=write_id(Prefix.SUITE, version.suite_id),
        version=version.version,
        manifest=dict(version.manifest),
        dataset_file_ids=list(version.dataset_file_ids),
        metadata=dict(version.metadata),
        created_at=unix(version.created_at),
    )


def to_suite_deleted(deleted: DeletedSuite) -> WireSuiteDeleted:
    """What a deletion took along."""
    return WireSuiteDeleted(
        id=write_id(Prefix.SUITE, deleted.id),
        object="eval.suite.deleted",
        deleted=True,
        deleted_runs=deleted.deleted_runs,
    )


def from_create_run(body: CreateRun) -> RunConfig:
    """How a run is to be carried out."""
    return RunConfig(
        models=body.models,
        task_ids=body.task_ids,
        judge_model=body.judge_model,
        embedding_model=body.embedding_model,
        generation=body.generation or {},
        generation_concurrency=body.generation_concurrency,
        concurrency=body.concurrency,
        grader_concurrency=body.grader_concurrency,
        max_samples_per_task=body.max_samples_per_task,
        max_workflow_sample_activities=body.max_workflow_sample_activities,
        repeats=body.repeats,
        budget_usd=body.budget_usd,
    )


def to_run(run: Run) -> WireRun:
    """A run."""
    return WireRun(
        id=write_id(Prefix.RUN, run.id),
        object="eval.run",
        suite_id=write_id(Prefix.SUITE, run.suite_id),
        suite_version_id=write_id(Prefix.VERSION, run.suite_version_id),
        suite_version=run.suite_version,
        org_id=write_id(Prefix.ORGANIZATION, run.organization_id),
        team_id=write_id(Prefix.TEAM, run.project_id),
        status=run.status.value,
        models=list(run.config.models),
        task_ids=None if run.config.task_ids is None else list(run.config.task_ids),
        judge_model=run.config.judge_model,
        embedding_model=run.config.embedding_model,
        generation=dict(run.config.generation),
        repeats=run.config.repeats if run.config.effective_repeats > 1 else None,
        budget_usd=dollars(run.config.budget_usd),
        request_counts=WireRequestCounts(total=run.total, completed=run.completed, failed=run.failed),
        metrics=None if run.metrics is None else dict(run.metrics),
        error=None if run.error is None else dict(run.error),
        artifact_file_ids=_artifact_ids(run),
        metadata=dict(run.metadata),
        dataset_revisions=dict(run.dataset_revisions) or None,
        agent_name=run.agent_name,
        agent_version=run.agent_version,
        agent_effort=run.agent_effort,
        cost_usd=dollars(run.cost_usd),
        tokens=to_tokens(run.tokens),
        created_at=unix(run.created_at),
        started_at=unix_or_none(run.started_at),
        completed_at=unix_or_none(run.completed_at),
        cancelled_at=unix_or_none(run.cancelled_at),
        failed_at=unix_or_none(run.failed_at),
    )


def to_tokens(tokens: TokenCounts) -> WireTokens:
    """Token sums."""
    return WireTokens(input=tokens.input, output=tokens.output, cached=tokens.cached, reasoning=tokens.reasoning)


def to_sample(sample: Sample, *, with_row: bool, with_reasoning: bool) -> WireSample:
    """A sample; the dataset row and the reasoning only when asked for (M§2.6)."""
    return WireSample(
        id=write_id(Prefix.SAMPLE, sample.id),
        object="eval.sample",
        run_id=write_id(Prefix.RUN, sample.run_id),
        task_id=sample.task_id,
        model=sample.model,
        sample_index=sample.sample_index,
        repeat=sample.repeat_no if sample.repeats > 1 else None,
        status=sample.status.value,
        dataset_row=redact_blobs(dict(sample.dataset_row)) if with_row and sample.dataset_row is not None else None,
        prompt=sample.prompt,
        target=sample.target,
        response_id=sample.response_id,
        output_text=sample.output_text,
        extracted_output=sample.extracted_output,
        reasoning=sample.reasoning if with_reasoning else None,
        scores=dict(sample.scores),
        judge=None if sample.judge is None else dict(sample.judge),
        error=None if sample.error is None else dict(sample.error),
        cost_usd=dollars(sample.cost_usd),
        input_tokens=sample.input_tokens,
        output_tokens=sample.output_tokens,
        cached_tokens=sample.cached_tokens,
        reasoning_tokens=sample.reasoning_tokens,
        tokens_estimated=sample.tokens_estimated,
        phase_timings=None if sample.phase_timings is None else dict(sample.phase_timings),
        created_at=unix(sample.created_at),
        started_at=unix_or_none(sample.started_at),
        completed_at=unix_or_none(sample.completed_at),
    )


def redact_blobs(value: Any) -> Any:
    """The same value with every inline ``data:`` blob replaced by its type and size."""
    if isinstance(value, str):
        found = _INLINE_BLOB.match(value)
        return value if found is None else f"{found.group(0)}[redacted, {len(value)} characters]"
    if isinstance(value, dict):
        return {key: redact_blobs(part) for key, part in value.items()}  # type: ignore[misc]
    if isinstance(value, list):
        return [redact_blobs(part) for part in value]  # type: ignore[misc]
    return value


def to_file(file: File) -> WireFile:
    """A file."""
    return WireFile(
        id=write_id(Prefix.FILE, file.id),
        object="file",
        bytes=file.bytes,
        created_at=unix(file.created_at),
        filename=file.filename,
        purpose=file.purpose.value,
        expires_at=unix_or_none(file.expires_at),
        status="processed",
        status_details=None,
        sha256=file.sha256,
    )


def to_overview(overview: RunOverview) -> WireOverview:
    """A run at a glance."""
    run, trials = overview.run, overview.trials
    return WireOverview(
        object="eval.run.overview",
        run_id=write_id(Prefix.RUN, run.id),
        suite_id=write_id(Prefix.SUITE, run.suite_id),
        status=run.status.value,
        agent_name=run.agent_name,
        agent_version=run.agent_version,
        agent_effort=run.agent_effort,
        models=list(run.config.models),
        metric=overview.metric,
        avg_reward=overview.average,
        trials=WireTrials(
            total=trials.total,
            completed=trials.completed,
            failed=trials.failed,
            errored=trials.errored,
            retried=trials.retried,
        ),
        cost_usd=dollars(overview.cost_usd),
        tokens=to_tokens(overview.tokens),
    )


def to_artifacts(run: Run) -> WireArtifacts:
    """Files that a run left."""
    return WireArtifacts(
        object="eval.artifacts",
        run_id=write_id(Prefix.RUN, run.id),
        result_file_id=None if run.result_file_id is None else write_id(Prefix.FILE, run.result_file_id),
        samples_file_id=None if run.samples_file_id is None else write_id(Prefix.FILE, run.samples_file_id),
        artifact_file_ids=_artifact_ids(run),
    )


def _artifact_ids(run: Run) -> list[str]:
    return [
        write_id(Prefix.FILE, file_id) for file_id in (run.result_file_id, run.samples_file_id) if file_id is not None
    ]
