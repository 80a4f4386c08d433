"""What a run's models are to its tasks."""

from __future__ import annotations

from assay.core.suites.manifest.schema import TaskType
from assay.gateway.types import ModelRole

_ROLES = {TaskType.EMBEDDING.value: ModelRole.EMBEDDING, TaskType.TRANSCRIPTION.value: ModelRole.TRANSCRIPTION}


def role_of(task_type: str) -> ModelRole:
    """What a run's models are to a task of a type; it decides what ``auto`` means (R20)."""
    return _ROLES.get(task_type, ModelRole.CANDIDATE)
