"""Imports of runs that were carried out elsewhere (M§2.12, M§2.13)."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field

from assay.dialects.mka1.wire.base import RequestModel, ResponseModel
from assay.dialects.mka1.wire.runs import ModelId

Count = Annotated[int | None, Field(ge=0, le=2**31 - 1)]
Dollars = Annotated[Decimal | None, Field(ge=0, lt=10_000_000_000, allow_inf_nan=False)]
Score = Annotated[float, Field(allow_inf_nan=False)]
AgentName = Annotated[str, Field(min_length=1, max_length=255)]


class TrialBody(RequestModel):
    """A trial; ``sample_index`` is its place in the list unless given."""

    task_id: Annotated[str, Field(min_length=1, max_length=255)]
    sample_index: Annotated[int | None, Field(ge=0, le=2**31 - 1)] = None
    status: Literal["completed", "failed"] = "completed"
    prompt: str = ""
    target: str | None = None
    output_text: str | None = None
    scores: dict[str, Score] | None = None
    error: dict[str, Any] | None = None
    cost_usd: Dollars = None
    input_tokens: Count = None
    output_tokens: Count = None
    cached_tokens: Count = None
    reasoning_tokens: Count = None
    phase_timings: dict[str, Any] | None = None


class PlacedTrialBody(TrialBody):
    """A trial that is sent on its own, so it must say which sample it is."""

    sample_index: Annotated[int, Field(ge=0, le=2**31 - 1)]  # type: ignore[assignment] - required here


class ImportAgentRun(RequestModel):
    """Body of ``POST /imports/agent-run``."""

    suite_id: str
    agent_name: AgentName
    model: ModelId
    suite_version: Annotated[int | None, Field(ge=1, le=2**31 - 1)] = None
    agent_version: AgentName | None = None
    agent_effort: AgentName | None = None
    cost_usd: Dollars = None
    created_at: Annotated[int | None, Field(ge=0, le=2**33)] = None
    metadata: dict[str, str] | None = None
    idempotency_key: Annotated[str | None, Field(min_length=1, max_length=255)] = None
    trials: Annotated[list[TrialBody] | None, Field(max_length=10_000)] = None
    expected_trials: Count = None
    finalize: bool = True


class AppendTrials(RequestModel):
    """Body of ``POST /runs/{run_id}/trials``."""

    trials: Annotated[list[PlacedTrialBody] | None, Field(max_length=10_000)] = None
    finalize: bool = False


class HistorySource(RequestModel):
    """Where the results are."""

    type: Literal["huggingface"] = "huggingface"
    repo: Annotated[str, Field(min_length=1, max_length=200)] = "meetkai/lm-eval-harness-result"
    revision: Annotated[str, Field(min_length=1, max_length=255)] = "main"
    path_prefix: Annotated[str | None, Field(min_length=1, max_length=1024)] = None
    files: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=1024)]] | None, Field(min_length=1, max_length=1000)
    ] = None


class ImportHistory(RequestModel):
    """Body of ``POST /imports/huggingface-results``."""

    source: HistorySource | None = None
    suite_id: str | None = None
    suite_name: Annotated[str, Field(min_length=1, max_length=255)] = "Historical lm-eval harness results"
    suite_description: Annotated[str | None, Field(max_length=10_000)] = None
    create_missing_tasks: bool = True
    dry_run: bool = False
    limit_files: Annotated[int | None, Field(ge=1, le=100)] = None
    metadata: dict[str, str] | None = None


class WireHistorySource(ResponseModel):
    """Where the results were."""

    type: Literal["huggingface"]
    repo: str
    revision: str


class WireHistoryImport(ResponseModel):
    """What was imported, or, in a dry run, would have been."""

    object: Literal["eval.import"]
    source: WireHistorySource
    suite_id: str
    suite_version: int
    created_suite: bool
    created_suite_version: bool
    dry_run: bool
    discovered_files: int
    imported_runs: int
    skipped_runs: int
    imported_samples: int
