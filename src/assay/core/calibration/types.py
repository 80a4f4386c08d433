"""Labels and calibrations, as the rest of Assay sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from assay.scoring.correction import CorrectedRate

MAX_LABELS = 1_000
"""In one request."""
MAX_IMPORTED_LABELS = 10_000
DEFAULT_LABELER = "human"
DEFAULT_THRESHOLD = 0.5


class SubjectKind(StrEnum):
    """What a label is about."""

    SAMPLE = "sample"
    EVENT = "event"
    """A captured event, by its uuid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLabel:
    """What a person says of a subject."""

    kind: SubjectKind
    subject_id: UUID
    metric: str
    """Of the judge: its number is what the label stands beside."""
    value: float
    """On the metric's scale; 1 and 0 for pass and fail."""
    labeler: str = DEFAULT_LABELER
    """Who says so; a person's later label replaces the earlier one."""
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Label:
    """A label that is kept."""

    id: UUID
    kind: SubjectKind
    subject_id: UUID
    metric: str
    value: float
    labeler: str
    note: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class LabelFilter:
    """Which labels to list."""

    kind: SubjectKind | None = None
    subject_id: UUID | None = None
    metric: str | None = None
    labeler: str | None = None


@dataclass(frozen=True, slots=True)
class Calibration:
    """What labels said about one version of a judge when it was calibrated. It never changes."""

    id: UUID
    judge_version: str
    metric: str
    threshold: float
    """A number of at least this passes, both the judge's and a label."""
    items: int
    """Labelled subjects that the judge judged, without those on which people are split."""
    report: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class CalibratedRate:
    """The passes of a run, as the judge counted them and as they probably are."""

    run_id: UUID
    task_id: str
    model: str
    metric: str
    judge_version: str
    calibration_id: UUID
    n: int
    judged_rate: float | None
    rogan_gladen: CorrectedRate | None
    prediction_powered: CorrectedRate | None
    """From labels on this very run; None when it has none."""


@dataclass(frozen=True, slots=True)
class RateRequest:
    """Whose rate is wanted."""

    run_id: UUID
    task_id: str | None = None
    model: str | None = None
    metric: str | None = None
    calibration_id: UUID | None = None
    """The newest of the judge's version by default."""


JudgedValues = Mapping[UUID, float]
"""A judge's numbers by sample or event."""
Gold = Mapping[UUID, bool]
"""What people say by subject; those on which they are split are not there."""
LabelsBySubject = Mapping[UUID, Sequence[float]]
