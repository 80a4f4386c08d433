"""What a job works on: parameters, agent, prompt, cases and models, read once and kept for the job's whole life."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final, cast
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.datasets.models import DatasetItemRow, DatasetRow
from assay.core.events.models import EventRow
from assay.core.events.spans import PROPERTY as SPAN_PROPERTY
from assay.core.jobs.models import JobRow, TraceRecordRow
from assay.core.jobs.work.faults import FaultCode, JobFaultError
from assay.core.targets.models import TargetAgentRow, TargetPromptRow

MAX_CASES: Final = 2_000
TRACES: Final = "traces"
"""The ``data_source`` of jobs that work on what the agent was asked and answered, instead of on a dataset."""
POLICY_LABEL: Final = "policy"
"""Label of a prompt that is no prompt but the agent's policy (O§2.6)."""


class Proposer(StrEnum):
    """Who thinks of prompts to try."""

    ANALYZER = "analyzer"
    """The analyzer model, asked for several prompts at once, each with another focus (``proposing``)."""
    GEPA = "gepa"
    """GEPA, which has the analyzer improve one prompt after the other on the training cases (``evolving``)."""


class UploadedRow(BaseModel):
    """An output that was made elsewhere."""

    model_config = ConfigDict(extra="ignore")

    input: Any = None
    output: Any = None
    expected_output: Any = None
    metadata: Any = None


class Parameters(BaseModel):
    """``result.parameters`` of a job (O§3.1). Unknown keys are ignored."""

    model_config = ConfigDict(extra="ignore")

    dataset: UUID | None = None
    prompt_id: UUID | None = None
    job: UUID | None = None
    """Another job, whose ``best_agent_code`` is the prompt."""
    prompt: Annotated[str, Field(min_length=1, max_length=1_000_000)] | None = None
    models: Annotated[list[Annotated[str, Field(min_length=1, max_length=255)]], Field(max_length=10)] = []
    judge_model: Annotated[str, Field(max_length=255)] | None = None
    rows: Annotated[list[Any], Field(max_length=MAX_CASES)] | None = None
    max_items: Annotated[int, Field(ge=1, le=MAX_CASES)] | None = None
    min_items: Annotated[int, Field(ge=1, le=MAX_CASES)] = 1
    proposer: Proposer = Proposer.ANALYZER
    patience: Annotated[int, Field(ge=0, le=1000)] = 3
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    margin: Annotated[float, Field(ge=0, le=1)] = 0.05
    """How much worse, as a fraction, a model may be at most to be recommended for its speed or price."""
    budget_usd: Annotated[Decimal, Field(gt=0)] | None = None
    timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 120.0


@dataclass(frozen=True, slots=True)
class Case:
    """One example; JSON-ready."""

    input: Any
    expected: Any = None
    output: Any = None
    """What was answered elsewhere, for jobs that only grade."""
    item: str | None = None
    """Id of the dataset item."""
    record: str | None = None
    """Id of the trace record."""

    @property
    def text(self) -> str:
        """The input as it is shown to a model: texts as they are, objects a line for each key."""
        return as_text(self.input)

    @property
    def key(self) -> str:
        """What makes two cases equal."""
        return json.dumps(self.input, sort_keys=True, ensure_ascii=False).casefold()


@dataclass(frozen=True, slots=True)
class Target:
    """What a job works on, as it was when the job began."""

    agent: str | None = None
    agent_name: str = ""
    description: str = ""
    model: str = ""
    """The agent's own."""
    analyzer_model: str = ""
    prompt: str = ""
    """For a model to read, or a program (``programs``)."""
    function: str = "run"
    """The entry point of a prompt that is a program."""
    criteria: Sequence[str] = ()
    output_fields: Any = None
    structure_weight: float = 20.0
    consistency_rules: Any = None
    suggested_models: Sequence[str] = ()
    active_dataset: str | None = None
    dataset: str | None = None
    """Where the cases come from."""
    cases: Sequence[Case] = field(default_factory=tuple[Case, ...])
    unusable: int = 0
    """Items of the dataset that have no input, and so are no cases."""

    @property
    def left_out(self) -> str:
        """A sentence on items that are no cases; empty if there are none."""
        return f"{self.unusable} items without an input were left out." if self.unusable else ""

    @property
    def code_without_cases(self) -> FaultCode:
        """What it is called that there are no cases: there is nothing to work on, or nothing in it."""
        nowhere = self.agent is None and self.dataset is None
        return FaultCode.NO_TARGET if nowhere else FaultCode.NOT_ENOUGH_DATA

    def dump(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @classmethod
    def load(cls, stored: dict[str, Any]) -> Target:
        """What ``dump`` gave."""
        values: dict[str, Any] = {**stored, "cases": tuple(Case(**case) for case in stored["cases"])}
        return cls(**values)


def read_parameters(result: Any) -> Parameters:
    """The parameters of a job's ``result``.

    Raises:
        JobFaultError: One of them is wrong.
    """
    try:
        return Parameters.model_validate(as_object(as_object(result).get("parameters")))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in ("parameters", *first["loc"]))
        raise JobFaultError(FaultCode.INVALID_PARAMETERS, f"{place}: {first['msg']}.") from error


async def read_target(session: AsyncSession, job: JobRow, parameters: Parameters) -> Target:
    """Read what a job works on. Parts that are missing are empty; who needs them says so.

    Raises:
        JobFaultError: The job names something that is not there.
    """
    agent = await _find_agent(session, job)
    dataset_id = parameters.dataset or (None if agent is None else agent.active_dataset_id)
    items = await _read_cases(session, job, agent, dataset_id, parameters)
    cases = tuple(case for case in items if case.input not in (None, ""))
    unusable = len(items) - len(cases)
    prompt = await _read_prompt(session, job, agent, parameters)
    if agent is None:
        return Target(
            analyzer_model=job.analyzer_model,
            prompt=prompt,
            dataset=None if dataset_id is None else str(dataset_id),
            cases=cases,
            unusable=unusable,
        )
    return Target(
        agent=str(agent.id),
        agent_name=agent.display_name or agent.name,
        description=agent.description,
        model=agent.model,
        analyzer_model=job.analyzer_model or agent.analyzer_model,
        prompt=prompt,
        function=agent.entrypoint_fn or "run",
        criteria=_criteria(agent),
        output_fields=agent.output_fields,
        structure_weight=agent.structure_weight,
        consistency_rules=agent.consistency_rules,
        suggested_models=_suggested(agent.backtest_model_suggestions),
        active_dataset=None if agent.active_dataset_id is None else str(agent.active_dataset_id),
        dataset=None if dataset_id is None else str(dataset_id),
        cases=cases,
        unusable=unusable,
    )


async def _find_agent(session: AsyncSession, job: JobRow) -> TargetAgentRow | None:
    if job.agent_id is None:
        return None
    agent = await session.get(TargetAgentRow, job.agent_id)
    if agent is None or agent.deleted_at is not None:
        raise JobFaultError(FaultCode.NO_TARGET, "The job's agent has been deleted.")
    return agent


async def _read_cases(
    session: AsyncSession,
    job: JobRow,
    agent: TargetAgentRow | None,
    dataset_id: UUID | None,
    parameters: Parameters,
) -> tuple[Case, ...]:
    most = parameters.max_items or MAX_CASES
    if job.data_source == TRACES and parameters.dataset is None:
        return () if agent is None else await _read_traffic(session, job, agent, most)
    if dataset_id is None:
        return () if agent is None else _blob_cases(agent.eval_dataset)[:most]
    dataset = await session.get(DatasetRow, dataset_id)
    if dataset is None or dataset.project_id != job.project_id or dataset.deleted_at is not None:
        raise JobFaultError(FaultCode.NO_TARGET, f"There is no dataset {dataset_id} in this project.")
    item = DatasetItemRow
    statement = select(item).where(item.dataset_id == dataset_id, item.deleted_at.is_(None))
    rows = await session.scalars(
        statement.order_by(item.position.asc().nulls_last(), item.created_at, item.id).limit(most)
    )
    return tuple(Case(row.input, row.expected, as_object(row.details).get("output"), str(row.id)) for row in rows)


async def _read_traffic(session: AsyncSession, job: JobRow, agent: TargetAgentRow, most: int) -> tuple[Case, ...]:
    """The newest things that the agent was asked: root spans that name it, then records that clients made of it."""
    root = EventRow.properties[SPAN_PROPERTY]
    events = select(EventRow).where(
        EventRow.project_id == job.project_id,
        EventRow.deleted_at.is_(None),
        EventRow.parent_id.is_(None),
        root["agent"].as_string() == str(agent.id),
    )
    spans = list(await session.scalars(events.order_by(EventRow.timestamp.desc(), EventRow.id.desc()).limit(most)))
    record = TraceRecordRow
    records = select(record).where(
        record.project_id == job.project_id, record.agent_id == agent.id, record.deleted_at.is_(None)
    )
    rows = await session.scalars(
        records.order_by(record.created_at.desc(), record.id.desc()).limit(max(0, most - len(spans)))
    )
    found = [Case(_first(span.properties, _INPUTS), output=_first(span.properties, _OUTPUTS)) for span in spans]
    return (*found, *(Case(row.input, output=row.output, record=str(row.id)) for row in rows))


_INPUTS = ("$ai_input_state", "$ai_input")
_OUTPUTS = ("$ai_output_state", "$ai_output_choices")


def _first(properties: dict[str, Any], names: Sequence[str]) -> Any:
    return next((properties[name] for name in names if properties.get(name) is not None), None)


def _blob_cases(blob: Any) -> tuple[Case, ...]:
    """The cases that an agent itself carries: an array, or an object with one under ``cases`` (O§2.3)."""
    listed = as_object(blob).get("cases", blob)
    rows = cast("list[Any]", listed)[:MAX_CASES] if isinstance(listed, list) else []
    return tuple(Case(as_object(row).get("input"), as_object(row).get("expected_output")) for row in rows)


async def _read_prompt(session: AsyncSession, job: JobRow, agent: TargetAgentRow | None, parameters: Parameters) -> str:
    if parameters.prompt is not None:
        return parameters.prompt
    if parameters.job is not None:
        other = await session.get(JobRow, parameters.job)
        if other is None or other.project_id != job.project_id or other.deleted_at is not None:
            raise JobFaultError(FaultCode.NO_TARGET, f"There is no job {parameters.job} in this project.")
        return other.best_code
    prompt = TargetPromptRow
    statement = select(prompt).where(prompt.project_id == job.project_id, prompt.deleted_at.is_(None))
    if parameters.prompt_id is not None:
        statement = statement.where(prompt.id == parameters.prompt_id)
    elif agent is not None:
        statement = statement.where(prompt.agent_id == agent.id, prompt.label != POLICY_LABEL)
    else:
        return ""
    found = (await session.scalars(statement.order_by(prompt.version.desc(), prompt.id).limit(1))).one_or_none()
    if found is None and parameters.prompt_id is not None:
        raise JobFaultError(FaultCode.NO_TARGET, f"There is no prompt {parameters.prompt_id} in this project.")
    return "" if found is None else found.system_prompt or found.code


def _criteria(agent: TargetAgentRow) -> tuple[str, ...]:
    """The rules of ``{"correctness": [rule, …]}``; of other forms, every text in them."""
    found: list[str] = []

    def collect(value: Any) -> None:
        if isinstance(value, str) and value.strip():
            found.append(value.strip())
        elif isinstance(value, dict):
            for part in cast("dict[str, Any]", value).values():
                collect(part)
        elif isinstance(value, list):
            for part in cast("list[Any]", value):
                collect(part)

    collect(agent.evaluation_criteria)
    return tuple(found[:50])


def _suggested(stored: Any) -> tuple[str, ...]:
    listed = as_object(stored).get("recommendations")
    rows = [as_object(row) for row in cast("list[Any]", listed)] if isinstance(listed, list) else []
    return tuple(row["model"] for row in rows if isinstance(row.get("model"), str))[:10]


def as_object(value: Any) -> dict[str, Any]:
    """A JSON object; of any other value an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def as_text(value: Any) -> str:
    """A value as text for a model or a comparison."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        if len(fields) == 1:
            return as_text(next(iter(fields.values())))
        return "\n".join(f"{name}: {as_text(part)}" for name, part in fields.items())
    return json.dumps(value, ensure_ascii=False)
