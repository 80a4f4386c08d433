"""Agents, prompts and suggestions (O§2.3, O§2.6)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, StringConstraints

from assay.core.targets.types import SuggestionStatus
from assay.dialects.overmind.wire.base import (
    Code20,
    Id,
    Input,
    Integer,
    Name255,
    Number,
    Output,
    Text64,
    Text128,
    Text255,
    Text512,
    partial,
)

Slug = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9_-]+$")]


class AgentInput(Input):
    """An agent to make or to replace."""

    name: Name255
    slug: Slug
    project: Id
    description: str = ""
    agent_path: Text512 = ""
    display_name: Text512 = ""
    entrypoint_fn: Text255 = ""
    model: Text128 = ""
    analyzer_model: Text128 = ""
    status: Code20 = "active"
    structure_weight: Number = 20.0
    total_points: Number = 100.0
    tool_usage_weight: Number = 0.0
    dataset_size: Integer = 0
    dataset_has_expected_output: bool = False
    policy_markdown: str = ""
    active_dataset: Id | None = None
    tags: Any = None
    input_schema: Any = None
    output_fields: Any = None
    output_schema: Any = None
    tool_config: Any = None
    tool_analysis: Any = None
    consistency_rules: Any = None
    optimizable_elements: Any = None
    fixed_elements: Any = None
    proposed_criteria: Any = None
    policy_data: Any = None
    dataset_input_keys: Any = None
    eval_dataset: Any = None
    evaluation_criteria: Any = None
    agent_description: Any = None
    improvement_metadata: Any = None
    backtest_metadata: Any = None
    backtest_model_suggestions: Any = None


AgentPatch = partial(AgentInput, "AgentPatch")


class AgentListRow(Output):
    """An agent in a list."""

    id: UUID
    created_at: datetime
    updated_at: datetime
    user: int
    project: UUID
    name: str
    slug: str
    description: str
    agent_path: str
    display_name: str
    entrypoint_fn: str
    model: str
    analyzer_model: str
    status: str
    structure_weight: float
    total_points: float
    tool_usage_weight: float
    dataset_size: int
    dataset_has_expected_output: bool
    tags: Any


class Agent(AgentListRow):
    """An agent with its eval spec."""

    input_schema: Any
    output_fields: Any
    output_schema: Any
    tool_config: Any
    tool_analysis: Any
    consistency_rules: Any
    optimizable_elements: Any
    fixed_elements: Any
    proposed_criteria: Any
    policy_data: Any
    dataset_input_keys: Any
    eval_dataset: Any
    evaluation_criteria: Any
    agent_description: Any
    improvement_metadata: Any
    backtest_metadata: Any
    backtest_model_suggestions: Any
    policy_markdown: str
    active_dataset: UUID | None
    is_deleted: bool


class EvalSpec(Output):
    """What the answers of an agent are judged by."""

    agent_description: str
    agent_path: str
    input_schema: Any
    output_fields: Any
    tool_config: Any
    consistency_rules: Any
    optimizable_elements: Any
    fixed_elements: Any
    structure_weight: float
    total_points: float
    tool_usage_weight: float


class PromptInput(Input):
    """A prompt to make or to replace."""

    agent: Id
    iteration: Id | None = None
    version: Integer = 1
    label: Text128 = ""
    system_prompt: str = ""
    tools_json: Any = None
    model: Text128 = ""
    full_agent_code: str = ""


PromptPatch = partial(PromptInput, "PromptPatch")


class Prompt(Output):
    """A prompt."""

    id: UUID
    created_at: datetime
    user: int
    agent: UUID
    iteration: UUID | None
    version: int
    label: str
    system_prompt: str
    tools_json: Any
    model: str
    full_agent_code: str


class SuggestionInput(Input):
    """A suggestion to make or to replace."""

    agent: Id
    title: Annotated[str, StringConstraints(min_length=1, max_length=512)]
    job: Id | None = None
    iteration: Id | None = None
    status: Annotated[SuggestionStatus, Field(strict=False)] = SuggestionStatus.PROPOSED
    description: str = ""
    change_type: Text64 = ""
    score_before: Number | None = None
    score_after: Number | None = None


SuggestionPatch = partial(SuggestionInput, "SuggestionPatch")


class Suggestion(Output):
    """A change that a job proposes."""

    id: UUID
    created_at: datetime
    updated_at: datetime
    user: int
    agent: UUID
    job: UUID | None
    iteration: UUID | None
    status: SuggestionStatus
    title: str
    description: str
    change_type: str
    score_before: float | None
    score_after: float | None
