"""Rows as this dialect writes them, and what it sends as the core's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel

from assay.core.datasets.models import DatasetItemRow
from assay.core.jobs.models import JobIterationRow, JobRow, SpanRecordRow, TraceRecordRow
from assay.core.jobs.types import Decision, JobKind, JobStatus
from assay.core.targets.models import SuggestionRow, TargetAgentRow, TargetPromptRow
from assay.core.targets.repository import DatasetVersion
from assay.core.targets.types import DatasetOrigin, SuggestionStatus
from assay.dialects.overmind.people import Numbers
from assay.dialects.overmind.wire.base import as_object
from assay.dialects.overmind.wire.datasets import Datapoint, DatapointInput, Dataset, DatasetListRow
from assay.dialects.overmind.wire.jobs import Iteration, Job, JobListRow
from assay.dialects.overmind.wire.targets import Agent, AgentListRow, EvalSpec, Prompt, Suggestion
from assay.dialects.overmind.wire.traces import Span, SpanType, Trace

T = TypeVar("T")

JOB_NAMES: Mapping[str, str] = {
    "agent": "agent_id",
    "best_agent_code": "best_code",
    "celery_task_id": "task_reference",
    "job_type": "kind",
    "project": "project_id",
}
ITERATION_NAMES: Mapping[str, str] = {
    "agent_code": "code",
    "iteration_name": "name",
    "job": "job_id",
    "order": "position",
}
AGENT_NAMES: Mapping[str, str] = {
    "active_dataset": "active_dataset_id",
    "dataset_has_expected_output": "dataset_has_expected",
    "project": "project_id",
}
PROMPT_NAMES: Mapping[str, str] = {
    "agent": "agent_id",
    "full_agent_code": "code",
    "iteration": "iteration_id",
    "tools_json": "tools",
}
SUGGESTION_NAMES: Mapping[str, str] = {"agent": "agent_id", "iteration": "iteration_id", "job": "job_id"}
TRACE_NAMES: Mapping[str, str] = {
    "agent": "agent_id",
    "input_data": "input",
    "iteration": "iteration_id",
    "job": "job_id",
    "output_data": "output",
    "total_cost": "cost",
    "total_latency_ms": "latency_ms",
    "total_tokens": "tokens",
}
SPAN_NAMES: Mapping[str, str] = {"metadata": "details", "order": "position"}
VERSION_NAMES: Mapping[str, str] = {"metadata": "details", "source": "origin"}
POINT_NAMES: Mapping[str, str] = {"expected_output": "expected", "order": "position"}


def render_job_row(row: JobRow, *, numbers: Numbers, agents: Mapping[UUID, str]) -> JobListRow:
    """A job in a list."""
    return JobListRow.model_construct(**_job_fields(row, numbers, agents))


def render_job(
    row: JobRow, *, numbers: Numbers, agents: Mapping[UUID, str], iterations: Sequence[JobIterationRow]
) -> Job:
    """A job."""
    return Job.model_construct(
        **_job_fields(row, numbers, agents),
        candidates_per_iteration=row.candidates_per_iteration,
        current_iteration=row.current_iteration,
        data_source=row.data_source,
        best_agent_code=row.best_code,
        report_markdown=row.report_markdown,
        backtest_results=row.backtest_results,
        result=row.result,
        logs=row.logs,
        celery_task_id=row.task_reference,
        triggered_by=numbers.known(row.triggered_by),
        iterations=[render_iteration(iteration, numbers=numbers) for iteration in iterations],
    )


def _job_fields(row: JobRow, numbers: Numbers, agents: Mapping[UUID, str]) -> dict[str, Any]:
    return {
        "id": row.id,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "user": numbers.of(row.created_by),
        "job_type": JobKind(row.kind),
        "status": JobStatus(row.status),
        "agent": row.agent_id,
        "agent_display_name": "" if row.agent_id is None else agents.get(row.agent_id, ""),
        "project": row.project_id,
        "prompt_slug": row.prompt_slug,
        "analyzer_model": row.analyzer_model,
        "num_iterations": row.num_iterations,
        "baseline_score": row.baseline_score,
        "best_score": row.best_score,
        "improvement": row.improvement,
    }


def render_iteration(row: JobIterationRow, *, numbers: Numbers) -> Iteration:
    """A job iteration."""
    return Iteration.model_construct(
        id=row.id,
        created_at=row.created_at,
        job=row.job_id,
        user=numbers.of(row.created_by),
        iteration_name=row.name,
        order=row.position,
        avg_score=row.avg_score,
        status=Decision(row.status),
        description=row.description,
        dimension_scores=row.dimension_scores,
        agent_code=row.code,
        candidates=row.candidates,
    )


def render_agent_row(row: TargetAgentRow, numbers: Numbers) -> AgentListRow:
    """An agent in a list."""
    return AgentListRow.model_construct(**_agent_fields(row, AgentListRow, numbers))


def render_agent(row: TargetAgentRow, numbers: Numbers) -> Agent:
    """An agent."""
    return Agent.model_construct(**_agent_fields(row, Agent, numbers))


def _agent_fields(row: TargetAgentRow, model: type[AgentListRow], numbers: Numbers) -> dict[str, Any]:
    told: dict[str, Any] = {
        "user": numbers.of(row.created_by),
        "project": row.project_id,
        "dataset_has_expected_output": row.dataset_has_expected,
        "active_dataset": row.active_dataset_id,
        "is_deleted": row.deleted_at is not None,
    }
    return {name: told[name] if name in told else getattr(row, name) for name in model.model_fields}


def render_eval_spec(row: TargetAgentRow) -> EvalSpec:
    """What the agent's answers are judged by (O§2.3)."""
    described = as_object(row.agent_description).get("description")
    return EvalSpec.model_construct(
        agent_description=row.description or (described if isinstance(described, str) else ""),
        agent_path=row.agent_path,
        input_schema=row.input_schema,
        output_fields=row.output_fields,
        tool_config=row.tool_config,
        consistency_rules=row.consistency_rules,
        optimizable_elements=row.optimizable_elements,
        fixed_elements=row.fixed_elements,
        structure_weight=row.structure_weight,
        total_points=row.total_points,
        tool_usage_weight=row.tool_usage_weight,
    )


def render_prompt(row: TargetPromptRow, numbers: Numbers) -> Prompt:
    """A prompt."""
    return Prompt.model_construct(
        id=row.id,
        created_at=row.created_at,
        user=numbers.of(row.created_by),
        agent=row.agent_id,
        iteration=row.iteration_id,
        version=row.version,
        label=row.label,
        system_prompt=row.system_prompt,
        tools_json=row.tools,
        model=row.model,
        full_agent_code=row.code,
    )


def render_suggestion(row: SuggestionRow, numbers: Numbers) -> Suggestion:
    """A suggestion."""
    return Suggestion.model_construct(
        id=row.id,
        created_at=row.created_at,
        updated_at=row.updated_at,
        user=numbers.of(row.created_by),
        agent=row.agent_id,
        job=row.job_id,
        iteration=row.iteration_id,
        status=SuggestionStatus(row.status),
        title=row.title,
        description=row.description,
        change_type=row.change_type,
        score_before=row.score_before,
        score_after=row.score_after,
    )


def render_trace(row: TraceRecordRow, numbers: Numbers) -> Trace:
    """A trace record."""
    return Trace.model_construct(**_renamed_fields(row, Trace, TRACE_NAMES, numbers))


def render_span(row: SpanRecordRow, numbers: Numbers) -> Span:
    """A span."""
    fields = _renamed_fields(row, Span, SPAN_NAMES, numbers)
    fields["span_type"] = SpanType(row.span_type)
    return Span.model_construct(**fields)


def _renamed_fields(
    row: TraceRecordRow | SpanRecordRow, model: type[BaseModel], names: Mapping[str, str], numbers: Numbers
) -> dict[str, Any]:
    shown = (name for name in model.model_fields if name != "user")
    return {"user": numbers.of(row.created_by)} | {name: getattr(row, names.get(name, name)) for name in shown}


def render_dataset_row(found: DatasetVersion) -> DatasetListRow:
    """A dataset version in a list."""
    return DatasetListRow.model_construct(**_dataset_fields(found))


def render_dataset(found: DatasetVersion, points: Sequence[DatasetItemRow]) -> Dataset:
    """A dataset version."""
    rendered = [render_point(point, number) for number, point in enumerate(points)]
    return Dataset.model_construct(**_dataset_fields(found), datapoints=rendered)


def _dataset_fields(found: DatasetVersion) -> dict[str, Any]:
    return {
        "id": found.dataset.id,
        "agent": found.version.agent_id,
        "version": found.version.version,
        "name": found.dataset.name,
        "source": DatasetOrigin(found.version.origin),
        "generator_model": found.version.generator_model,
        "policy_hash": found.version.policy_hash,
        "metadata": found.dataset.details,
        "num_datapoints": found.version.size,
        "created_at": found.dataset.created_at,
    }


def render_point(row: DatasetItemRow, number: int) -> Datapoint:
    """An example; one without a place of its own has the one in which it is shown."""
    details = as_object(row.details)
    return Datapoint.model_construct(
        id=row.id,
        order=number if row.position is None else row.position,
        input=row.input,
        expected_output=row.expected,
        persona=_of_type(details.get("persona"), str) or "",
        tags=details.get("tags"),
        output=details.get("output"),
        correctness=_of_type(details.get("correctness"), float),
        correctness_reason=_of_type(details.get("correctness_reason"), str),
    )


def _of_type(value: Any, kind: type[T]) -> T | None:
    """Details are anybody's to write; of another type, as if it were not there."""
    return value if isinstance(value, kind) else None


def point_values(wire: DatapointInput) -> dict[str, Any]:
    """What a client sent of an example, in the core's words."""
    sent = wire.model_dump(include=wire.model_fields_set)
    return {POINT_NAMES.get(name, name): value for name, value in sent.items()}
