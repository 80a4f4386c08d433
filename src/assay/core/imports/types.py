"""Imports, as the rest of Assay sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from assay.core.runs.types import Run, SampleStatus

MAX_TRIALS = 10_000
"""Of one request."""
MAX_SAMPLE_INDEX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Trial:
    """A sample as it came out elsewhere."""

    task_id: str
    sample_index: int
    status: SampleStatus = SampleStatus.COMPLETED
    """Completed, or failed, which means that there is no score at all."""
    prompt: str = ""
    target: str | None = None
    output_text: str | None = None
    extracted_output: str | None = None
    dataset_row: Mapping[str, Any] = field(default_factory=dict[str, Any])
    scores: Mapping[str, float] = field(default_factory=dict[str, float])
    error: Mapping[str, Any] | None = None
    """May be there although the trial was scored."""
    cost_usd: Decimal | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    phase_timings: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class AgentRun:
    """A coding agent's run over tasks of a suite."""

    suite_id: UUID
    agent_name: str
    model: str
    suite_version: int | None = None
    """None is the active one."""
    agent_version: str | None = None
    agent_effort: str | None = None
    cost_usd: Decimal | None = None
    """Of the whole run; None is the sum of its trials."""
    created_at: datetime | None = None
    """When it ran; None is now."""
    metadata: Mapping[str, str] | None = None
    idempotency_key: str | None = None
    """Importing again with the same key finds the first run."""
    expected_trials: int | None = None
    finalize: bool = True
    """Whether the run is complete with these trials."""
    trials: Sequence[Trial] = ()


@dataclass(frozen=True, slots=True)
class ImportedRun:
    """What became of an import."""

    run: Run
    key_reused: bool = False
    """The key is that of another import, whose run this is."""
