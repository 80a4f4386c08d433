"""Words of jobs."""

from __future__ import annotations

from enum import StrEnum


class JobKind(StrEnum):
    """What a job does."""

    INFERENCE = "inference"
    UPLOADED_OUTPUTS_SETUP = "uploaded_outputs_setup"
    JUDGE_SCORING = "judge_scoring"
    PROMPT_TUNING = "prompt_tuning"
    MODEL_BACKTESTING = "model_backtesting"


class JobStatus(StrEnum):
    """How far a job is."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more happens unless somebody asks for it."""
        return self not in (JobStatus.PENDING, JobStatus.RUNNING)


class Decision(StrEnum):
    """What became of an iteration's candidate."""

    KEEP = "keep"
    DISCARD = "discard"
