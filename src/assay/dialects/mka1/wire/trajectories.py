"""What agents did in their trials (M§2.7)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from assay.dialects.mka1.wire.base import RequestModel, ResponseModel


class UploadTrajectory(RequestModel):
    """Body of ``PUT …/trajectory``. Steps are stored as they are and never looked into."""

    steps: list[Any]
    schema_version: Annotated[str, Field(min_length=1, max_length=128, pattern="^[^\\x00]+$")] = "ATIF-v1.7"
    logs: dict[str, str] | None = None


class WireTrajectory(ResponseModel):
    """A trajectory."""

    object: Literal["eval.sample.trajectory"]
    run_id: str
    sample_index: int
    task_id: str
    model: str
    schema_version: str
    step_count: int
    size_bytes: int
    steps: list[Any]
    logs: dict[str, str] | None


class WireTrajectoryUploaded(ResponseModel):
    """What was stored."""

    object: Literal["eval.sample.trajectory.uploaded"]
    run_id: str
    sample_index: int
    task_id: str
    model: str
    step_count: int
    size_bytes: int
