"""Labels by people and calibrations of judges: beyond the published API."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Query

from assay.core.calibration import service
from assay.core.calibration.errors import LabelInputError
from assay.core.calibration.importing import import_labels
from assay.core.calibration.types import (
    CalibratedRate,
    Calibration,
    Label,
    LabelFilter,
    NewLabel,
    RateRequest,
    SubjectKind,
)
from assay.dialects.mka1 import mapping
from assay.dialects.mka1.identifiers import Prefix, UnknownIdError, read_id, write_id
from assay.dialects.mka1.query import AfterCalibration, AfterLabel, PageLimit, SamplePageLimit
from assay.dialects.mka1.route import EvalsReader, EvalsWriter, Session, State, mka1_router
from assay.dialects.mka1.wire.base import WireList
from assay.dialects.mka1.wire.calibration import (
    CreateCalibration,
    ImportLabels,
    NewWireLabel,
    PutLabels,
    WireCalibratedRate,
    WireCalibration,
    WireCalibrationDeleted,
    WireCorrected,
    WireLabel,
    WireLabelDeleted,
    WireLabelsPut,
    WireSubject,
)
from assay.scoring.correction import CorrectedRate

router = mka1_router("/api/v1/llm/evals", tag="calibration")

Metric = Annotated[str | None, Query(min_length=1, max_length=128)]
Name = Annotated[str | None, Query(min_length=1, max_length=255)]


@router.post("/labels")
async def put_labels(body: PutLabels, caller: EvalsWriter, session: Session) -> WireLabelsPut:
    """Keep labels; a person's later one replaces the earlier."""
    labels = [_from_label(label, number) for number, label in enumerate(body.labels)]
    return _counted(len(labels), await service.put_labels(session, caller, labels))


@router.post("/labels/import")
async def put_labels_of_file(body: ImportLabels, caller: EvalsWriter, session: Session, state: State) -> WireLabelsPut:
    """Keep the labels of an uploaded CSV or JSONL file."""
    file_id = read_id(Prefix.FILE, body.file_id, param="file_id")
    return _counted(*await import_labels(session, caller, store=state.files, file_id=file_id))


@router.get("/labels")
async def list_labels(
    caller: EvalsReader,
    session: Session,
    after: AfterLabel = None,
    limit: SamplePageLimit = 100,
    kind: SubjectKind | None = None,
    subject_id: Annotated[str | None, Query(max_length=64)] = None,
    metric: Metric = None,
    labeler: Name = None,
) -> WireList[WireLabel]:
    """List labels, newest first."""
    subject = None if subject_id is None else _subject_id(subject_id, param="subject_id")
    wanted = LabelFilter(kind=kind, subject_id=subject, metric=metric, labeler=labeler)
    page = await service.list_labels(session, caller, wanted=wanted, after=after, limit=limit)
    return mapping.to_list(page, _to_label)


@router.delete("/labels/{label_id}")
async def delete_label(label_id: str, caller: EvalsWriter, session: Session) -> WireLabelDeleted:
    """Take a label back."""
    await service.delete_label(session, caller, label_id=read_id(Prefix.LABEL, label_id, param="label_id"))
    return WireLabelDeleted(id=label_id, object="eval.label.deleted", deleted=True)


@router.post("/calibrations")
async def create_calibration(body: CreateCalibration, caller: EvalsWriter, session: Session) -> WireCalibration:
    """Compare one version of a judge with the labels that are there."""
    made = await service.create_calibration(
        session, caller, judge_version=body.judge_version, metric=body.metric, threshold=body.threshold
    )
    return _to_calibration(made)


@router.get("/calibrations")
async def list_calibrations(
    caller: EvalsReader,
    session: Session,
    after: AfterCalibration = None,
    limit: PageLimit = 20,
    judge_version: Annotated[str | None, Query(min_length=1, max_length=64)] = None,
    metric: Metric = None,
) -> WireList[WireCalibration]:
    """List calibrations, newest first."""
    page = await service.list_calibrations(
        session, caller, judge_version=judge_version, metric=metric, after=after, limit=limit
    )
    return mapping.to_list(page, _to_calibration)


@router.get("/calibrations/{calibration_id}")
async def get_calibration(calibration_id: str, caller: EvalsReader, session: Session) -> WireCalibration:
    """Retrieve a calibration."""
    row_id = read_id(Prefix.CALIBRATION, calibration_id, param="calibration_id")
    return _to_calibration(await service.get_calibration(session, caller, calibration_id=row_id))


@router.delete("/calibrations/{calibration_id}")
async def delete_calibration(calibration_id: str, caller: EvalsWriter, session: Session) -> WireCalibrationDeleted:
    """Delete a calibration."""
    row_id = read_id(Prefix.CALIBRATION, calibration_id, param="calibration_id")
    await service.delete_calibration(session, caller, calibration_id=row_id)
    return WireCalibrationDeleted(id=calibration_id, object="eval.calibration.deleted", deleted=True)


@router.get("/runs/{run_id}/calibrated-rate")
async def get_calibrated_rate(
    run_id: str,
    caller: EvalsReader,
    session: Session,
    task_id: str | None = None,
    model: Name = None,
    metric: Metric = None,
    calibration_id: str | None = None,
) -> WireCalibratedRate:
    """The passes of a run's model and task, corrected for the errors of their judge."""
    request = RateRequest(
        run_id=read_id(Prefix.RUN, run_id, param="run_id"),
        task_id=task_id,
        model=model,
        metric=metric,
        calibration_id=None
        if calibration_id is None
        else read_id(Prefix.CALIBRATION, calibration_id, param="calibration_id"),
    )
    return _to_rate(await service.calibrated_rate(session, caller, request))


def _counted(count: int, created: int) -> WireLabelsPut:
    return WireLabelsPut(object="eval.labels", count=count, created=created, replaced=count - created)


def _from_label(label: NewWireLabel, number: int) -> NewLabel:
    return NewLabel(
        kind=label.subject.kind,
        subject_id=_subject_id(label.subject.id, param=f"labels[{number}].subject.id"),
        metric=label.metric,
        value=label.value,
        labeler=label.labeler,
        note=label.note,
    )


def _subject_id(text: str, *, param: str) -> UUID:
    """A sample's id in the dialect's form, or an event's uuid."""
    try:
        return read_id(Prefix.SAMPLE, text, param=param) if text.startswith(Prefix.SAMPLE) else UUID(text)
    except (ValueError, UnknownIdError) as exc:
        raise LabelInputError(f"`{param}`: {text[:64]!r} is neither a sample's id nor a uuid.", param=param) from exc


def _to_label(label: Label) -> WireLabel:
    is_sample = label.kind is SubjectKind.SAMPLE
    subject_id = write_id(Prefix.SAMPLE, label.subject_id) if is_sample else str(label.subject_id)
    return WireLabel(
        id=write_id(Prefix.LABEL, label.id),
        object="eval.label",
        subject=WireSubject(kind=label.kind.value, id=subject_id),
        metric=label.metric,
        value=label.value,
        labeler=label.labeler,
        note=label.note,
        created_at=mapping.unix(label.created_at),
        updated_at=mapping.unix(label.updated_at),
    )


def _to_calibration(calibration: Calibration) -> WireCalibration:
    return WireCalibration(
        id=write_id(Prefix.CALIBRATION, calibration.id),
        object="eval.calibration",
        judge_version=calibration.judge_version,
        metric=calibration.metric,
        threshold=calibration.threshold,
        items=calibration.items,
        report=dict(calibration.report),
        created_at=mapping.unix(calibration.created_at),
    )


def _to_rate(rate: CalibratedRate) -> WireCalibratedRate:
    return WireCalibratedRate(
        object="eval.run.calibrated_rate",
        run_id=write_id(Prefix.RUN, rate.run_id),
        task_id=rate.task_id,
        model=rate.model,
        metric=rate.metric,
        judge_version=rate.judge_version,
        calibration_id=write_id(Prefix.CALIBRATION, rate.calibration_id),
        n=rate.n,
        judged_rate=rate.judged_rate,
        rogan_gladen=_to_corrected(rate.rogan_gladen),
        prediction_powered=_to_corrected(rate.prediction_powered),
    )


def _to_corrected(rate: CorrectedRate | None) -> WireCorrected | None:
    if rate is None:
        return None
    interval = rate.interval
    return WireCorrected(
        value=rate.rate,
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
        n=rate.n,
        labelled=rate.labelled,
    )
