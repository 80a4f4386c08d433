"""Tables of labels and calibrations."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from assay.core.calibration.types import SubjectKind
from assay.core.ownership import OwnedMixin
from assay.db.base import Base, enum_check


class LabelRow(OwnedMixin, Base):
    """What one person says of one subject. A subject, sample or event, has no foreign key: it may be gone."""

    __tablename__ = "labels"
    __table_args__ = (
        enum_check("subject_kind", SubjectKind),
        Index(
            "uq_labels_subject",
            "project_id",
            "subject_kind",
            "subject_id",
            "metric",
            "labeler",
            unique=True,
        ),
        Index("ix_labels_project_id_id", "project_id", "id"),
        Index("ix_labels_project_id_metric", "project_id", "metric"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    subject_kind: Mapped[str]
    subject_id: Mapped[UUID]
    metric: Mapped[str]
    value: Mapped[float]
    labeler: Mapped[str]
    note: Mapped[str | None]
    updated_at: Mapped[datetime]


class CalibrationRow(OwnedMixin, Base):
    """What labels said about one version of a judge."""

    __tablename__ = "calibrations"
    __table_args__ = (
        Index("ix_calibrations_project_id_id", "project_id", "id"),
        Index("ix_calibrations_project_id_judge_version", "project_id", "judge_version", "metric", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    judge_version: Mapped[str]
    metric: Mapped[str]
    threshold: Mapped[float]
    items: Mapped[int]
    report: Mapped[dict[str, Any]]
