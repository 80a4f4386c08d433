"""Dataset versions and their datapoints (O§2.4)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from assay.core.targets.types import DatasetOrigin
from assay.core.targets.versions import MAX_POINTS
from assay.dialects.overmind.wire.base import INT_MAX, Id, Input, Output, Text64, Text128, Text255


class DatapointInput(Input):
    """An example."""

    order: Annotated[int, Field(ge=0, le=INT_MAX)] = 0
    input: Any = None
    expected_output: Any = None
    persona: Text128 = ""
    tags: Any = None


class DatasetInput(Input):
    """A dataset version to make; there is no changing one."""

    agent: Id
    datapoints: Annotated[list[DatapointInput], Field(max_length=MAX_POINTS)]
    name: Text255 = ""
    source: Annotated[DatasetOrigin, Field(strict=False)] = DatasetOrigin.SEED
    generator_model: Text128 = ""
    policy_hash: Text64 = ""
    metadata: Any = None
    make_active: bool = True


class Datapoint(Output):
    """An example."""

    id: UUID
    order: int
    input: Any
    expected_output: Any
    persona: str
    tags: Any
    output: Any
    """What a model or an application answered; ours, the published API has no such field."""
    correctness: float | None
    """What a ``judge_scoring`` job gave the output, from 0 to 1; ours."""
    correctness_reason: str | None


class DatasetListRow(Output):
    """A dataset version in a list."""

    id: UUID
    agent: UUID
    version: int
    name: str
    source: DatasetOrigin
    generator_model: str
    policy_hash: str
    metadata: Any
    num_datapoints: int
    created_at: datetime


class Dataset(DatasetListRow):
    """A dataset version."""

    datapoints: list[Datapoint]
