"""Labels by people and calibrations of judges: beyond the published API."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from assay.core.calibration.types import DEFAULT_LABELER, DEFAULT_THRESHOLD, MAX_LABELS, SubjectKind
from assay.dialects.mka1.wire.base import RequestModel, ResponseModel, UnixSeconds

Metric = Annotated[str, Field(min_length=1, max_length=128)]
Labeler = Annotated[str, Field(min_length=1, max_length=255)]


class Subject(RequestModel):
    """What a label is about."""

    kind: SubjectKind
    id: Annotated[str, Field(min_length=1, max_length=64)]


class NewWireLabel(RequestModel):
    """A label to be kept; ``true`` and ``false`` are 1 and 0."""

    subject: Subject
    metric: Metric
    value: Annotated[float, Field(allow_inf_nan=False)]
    labeler: Labeler = DEFAULT_LABELER
    note: Annotated[str | None, Field(max_length=10_000)] = None


class PutLabels(RequestModel):
    """Body of ``POST /labels``."""

    labels: Annotated[list[NewWireLabel], Field(min_length=1, max_length=MAX_LABELS)]


class ImportLabels(RequestModel):
    """Body of ``POST /labels/import``."""

    file_id: str


class WireLabelsPut(ResponseModel):
    """How many labels were kept, and how many of them replaced an earlier one."""

    object: Literal["eval.labels"]
    count: int
    created: int
    replaced: int


class WireSubject(ResponseModel):
    """What a label is about."""

    kind: str
    id: str


class WireLabel(ResponseModel):
    """A label."""

    id: str
    object: Literal["eval.label"]
    subject: WireSubject
    metric: str
    value: float
    labeler: str
    note: str | None
    created_at: UnixSeconds
    updated_at: UnixSeconds


class WireLabelDeleted(ResponseModel):
    """Answer to a deletion."""

    id: str
    object: Literal["eval.label.deleted"]
    deleted: bool


class CreateCalibration(RequestModel):
    """Body of ``POST /calibrations``."""

    judge_version: Annotated[str, Field(min_length=1, max_length=64)]
    metric: Metric = "score"
    threshold: Annotated[float, Field(allow_inf_nan=False)] = DEFAULT_THRESHOLD


class WireCalibration(ResponseModel):
    """A calibration."""

    id: str
    object: Literal["eval.calibration"]
    judge_version: str
    metric: str
    threshold: float
    items: int
    report: dict[str, Any]
    created_at: UnixSeconds


class WireCalibrationDeleted(ResponseModel):
    """Answer to a deletion."""

    id: str
    object: Literal["eval.calibration.deleted"]
    deleted: bool


class WireCorrected(ResponseModel):
    """A corrected rate, with its 95 % interval."""

    value: float
    low: float | None
    high: float | None
    n: int
    labelled: int


class WireCalibratedRate(ResponseModel):
    """A run's passes, as the judge counted them and as they probably are."""

    object: Literal["eval.run.calibrated_rate"]
    run_id: str
    task_id: str
    model: str
    metric: str
    judge_version: str
    calibration_id: str
    n: int
    judged_rate: float | None
    rogan_gladen: WireCorrected | None
    prediction_powered: WireCorrected | None
